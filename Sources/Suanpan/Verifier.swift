// Offline proof of a data directory: every file is read, every checksum and chain checked, every record replayed, both
// sides of every crossing transfer compared, and double entry added up. Writes nothing but the directory's LOCK.

public import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger
internal import SuanpanShard

public struct VerificationReport: Sendable {
    public struct Ledger: Sendable {
        public var ledger: UInt32
        public var debitsPending, debitsPosted, creditsPending, creditsPosted: UInt128
        public var isBalanced: Bool { debitsPending == creditsPending && debitsPosted == creditsPosted }
    }
    public struct Shard: Sendable {
        public var firstLSN, lastLSN, groups, bytes: UInt64
    }
    public var balanced: Bool
    public var ledgers: [Ledger]
    public var accounts: UInt64
    public var transfers: UInt64
    public var shards: [Shard]
}

public enum Verifier {
    /// Reads everything. Needs the memory of the ledger's tables, a shard at a time.
    /// - Throws: The first damage, and where; `unsound` when sound files contradict the ledger's rules.
    public static func verify(dataDirectory: String) throws(EngineError) -> VerificationReport {
        let box = try DirectoryBox.open(existing: dataDirectory)
        let count = box.directory.shardCount
        var pairs: [[PairNumbers]] = []
        var decisions: [[[LogRecord]]] = []
        var audits: [AuditBox] = []
        var sums: [UInt32: VerificationReport.Ledger] = [:]
        var report = VerificationReport(balanced: true, ledgers: [], accounts: 0, transfers: 0, shards: [])
        for i in 0..<count {
            var audit = Audit(id: ShardID(i), routing: box.directory.routing)
            var summary: ReplaySummary
            do throws(JournalError) {
                let shard = box.directory.shard(ShardID(i))
                summary = try Recovery.replay(shard, into: &audit)
                // A chain whose end is missing: the next start cuts the log before it, or cannot.
                if let since = audit.replay.incompleteSince {
                    audit = Audit(id: ShardID(i), routing: box.directory.routing)
                    summary = try Recovery.replay(shard, upTo: LSN(since.value - 1), into: &audit)
                }
            } catch { throw .journal(error) }
            if let wrong = audit.brokenLimit() { throw .unsound("shard \(i): \(wrong)") }
            pairs.append(audit.replay.pairs)
            decisions.append(audit.replay.decisions)
            report.accounts += UInt64(audit.replay.ledger.accountCount)
            report.transfers += audit.replay.ledger.transferCount
            report.shards.append(
                VerificationReport.Shard(
                    firstLSN: summary.records > 0 ? 1 : 0, lastLSN: summary.lastLSN.value, groups: summary.groups,
                    bytes: summary.bytes))
            audits.append(AuditBox(audit))
        }
        try compare(pairs)
        // What was decided and not yet applied (the next start redoes it) counts.
        for (i, box) in audits.enumerated() {
            if let wrong = box.redo(pairs, decisions) { throw .unsound("shard \(i): \(wrong)") }
            for slot in 0..<box.audit.replay.ledger.ledgerCount { add(box.audit.replay.ledger.totals(slot), to: &sums) }
        }
        report.ledgers = sums.values.sorted { $0.ledger < $1.ledger }
        report.balanced = report.ledgers.allSatisfy(\.isBalanced)
        return report
    }

    private static func add(_ t: LedgerTotals, to sums: inout [UInt32: VerificationReport.Ledger]) {
        var sum = sums[t.ledger] ?? empty(t.ledger)
        sum.debitsPending &+= t.debitsPending
        sum.debitsPosted &+= t.debitsPosted
        sum.creditsPending &+= t.creditsPending
        sum.creditsPosted &+= t.creditsPosted
        sums[t.ledger] = sum
    }

    private static func empty(_ ledger: UInt32) -> VerificationReport.Ledger {
        VerificationReport.Ledger(
            ledger: ledger, debitsPending: 0, debitsPosted: 0, creditsPending: 0, creditsPosted: 0)
    }

    /// Every commit applied was decided.
    private static func compare(_ pairs: [[PairNumbers]]) throws(EngineError) {
        for debit in pairs.indices {
            for credit in pairs.indices where credit != debit {
                let decided = pairs[debit][credit].decided
                let applied = pairs[credit][debit].applied
                guard applied <= decided else {
                    throw .unsound(
                        "shard \(debit) is damaged: its log ends at decision \(decided) for shard \(credit), which has "
                            + "applied decision \(applied); restore the data directory from a backup")
                }
            }
        }
    }
}

/// Keeps a shard's audit until all have been read.
private final class AuditBox {
    var audit: Audit
    init(_ audit: consuming Audit) { self.audit = audit }

    /// Applies what the next start would: what is wrong with it, or nil.
    func redo(_ pairs: [[PairNumbers]], _ decisions: [[[LogRecord]]]) -> String? {
        do throws(JournalError) {
            for record in try audit.replay.missingCredits(pairs: pairs, decisions: decisions) {
                if let wrong = audit.replay.apply(record, lsn: .zero, position: LogPosition(0)) { return wrong }
            }
        } catch { return "\(error)" }
        return nil
    }
}

/// Replays a shard and looks for what a sound log never holds.
private struct Audit: ~Copyable, RecordVisitor {
    var replay: LedgerReplay
    private let id: ShardID
    private let routing: Routing

    init(id: ShardID, routing: Routing) {
        self.id = id
        self.routing = routing
        replay = LedgerReplay(
            id: id, routing: routing, key: HashKey(a: 0x5EED, b: 0xF00D), memoryBytes: Machine.memoryBytes
        )
    }

    mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
        let t = record.body
        switch record.kind {
        case .transfer, .decision, .refusal:
            try expect(
                routing.shard(of: t.debitAccountID) == id, "debit account \(t.debitAccountID.value) lives elsewhere",
                lsn)
            if record.flags.contains(.expiry) { break }
            var step = 0
            let seen = replay.ledger.nextRemembered(replay.ledger.identityHash(t.debitAccountID, t.id), &step) != nil
            try expect(!seen, "transfer \(t.id.value) of account \(t.debitAccountID.value) is there twice", lsn)
        case .leg:
            try expect(
                record.peer == id || routing.shard(of: t.debitAccountID) == id
                    || routing.shard(of: t.creditAccountID) == id,
                "both accounts of transfer \(t.id.value) live elsewhere", lsn)
        case .freeze:
            try expect(
                routing.shard(of: t.debitAccountID) == id, "account \(t.debitAccountID.value) lives elsewhere", lsn)
        case .credit:
            try expect(
                routing.shard(of: t.creditAccountID) == id, "credit account \(t.creditAccountID.value) lives elsewhere",
                lsn)
        case .account:
            try expect(
                routing.shard(of: record.account.id) == id, "account \(record.account.id.value) lives elsewhere", lsn)
        case .accountLeg:
            try expect(
                record.peer == id || routing.shard(of: record.account.id) == id,
                "account \(record.account.id.value) lives elsewhere", lsn)
        case .chainPeer, nil: break
        }
        try replay.visit(record, lsn: lsn, position: position)
        // At once: the next record may be the same transfer again.
        try replay.finish()
    }

    private func expect(_ holds: Bool, _ what: @autoclosure () -> String, _ lsn: LSN) throws(JournalError) {
        if !holds { throw .invalidArgument("shard \(id.value), LSN \(lsn.value): \(what())") }
    }

    private static func isSum(_ pending: Amount, _ posted: Amount, above limit: Amount) -> Bool {
        let (sum, overflow) = pending.value.addingReportingOverflow(posted.value)
        return overflow || sum > limit.value
    }

    /// An account whose balances pass its limit, as text.
    func brokenLimit() -> String? {
        for i in 0..<replay.ledger.accountCount {
            let a = replay.ledger.account(AccountIndex(i))
            if a.flags.contains(.debitsMustNotExceedCredits)
                && Self.isSum(a.debitsPending, a.debitsPosted, above: a.creditsPosted)
            {
                return "account \(a.id.value) has debited more than it was credited"
            }
            if a.flags.contains(.creditsMustNotExceedDebits)
                && Self.isSum(a.creditsPending, a.creditsPosted, above: a.debitsPosted)
            {
                return "account \(a.id.value) was credited more than it has debited"
            }
        }
        return nil
    }
}

/// Offline export of what a directory holds.
public enum Export {
    /// Every account, shard by shard, in order of creation.
    public static func accounts(dataDirectory: String, each: (Account) -> Void) throws(EngineError) {
        try replayAll(dataDirectory) { replay in
            for i in 0..<replay.ledger.accountCount { each(replay.ledger.account(AccountIndex(i))) }
        }
    }

    /// Every accepted transfer, shard by shard, in the order of its debit account's log.
    public static func transfers(dataDirectory: String, each: @escaping (Transfer) -> Void) throws(EngineError) {
        let box = try DirectoryBox.open(existing: dataDirectory)
        for i in 0..<box.directory.shardCount {
            var printer = TransferExport(each: each, id: ShardID(i), routing: box.directory.routing)
            do throws(JournalError) {
                _ = try Recovery.replay(box.directory.shard(ShardID(i)), into: &printer)
            } catch { throw .journal(error) }
        }
    }

    private static func replayAll(_ path: String, _ body: (borrowing LedgerReplay) -> Void) throws(EngineError) {
        let box = try DirectoryBox.open(existing: path)
        let count = box.directory.shardCount
        for i in 0..<count {
            var replay = LedgerReplay(
                id: ShardID(i), routing: box.directory.routing, key: HashKey(a: 1, b: 2),
                memoryBytes: Machine.memoryBytes)
            do throws(JournalError) {
                _ = try Recovery.replay(box.directory.shard(ShardID(i)), into: &replay)
                try replay.finish()
            } catch { throw .journal(error) }
            body(replay)
        }
    }
}

private struct TransferExport: RecordVisitor {
    let each: (Transfer) -> Void
    let id: ShardID
    let routing: Routing
    mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
        let isOwnLeg = record.kind == .leg && routing.shard(of: record.body.debitAccountID) == id
        guard record.kind == .transfer || record.kind == .decision || isOwnLeg else { return }
        if !record.flags.contains(.expiry) { each(record.transfer) }
    }
}

extension DirectoryBox {
    /// Opens a directory that must be there already.
    static func open(existing path: String) throws(EngineError) -> DirectoryBox {
        do throws(JournalError) { return DirectoryBox(try DataDirectory(path: path, create: false)) } catch {
            throw .journal(error)
        }
    }
}
