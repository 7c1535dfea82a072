// The replay of `verify` and `dump`: looks in a shard's log for what a sound one never holds.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger
internal import SuanpanShard

/// Replays a shard and looks for what a sound log never holds.
struct Audit: ~Copyable, RecordVisitor {
    var replay: LedgerReplay
    private let id: ShardID
    private let routing: Routing

    private let segmentBytes: UInt64
    private var reader: RecordReader
    /// The latest timestamp of a record: what was due by then held nothing.
    private var latest = Timestamp.zero
    /// Of the chain under way, which is applied when it is whole: its transfers so far.
    private var chain: [Identity] = []

    private struct Identity: Equatable {
        var debit: AccountID
        var id: TransferID
    }

    /// - Parameter key: Random: nobody can choose ids whose hashes are equal under it.
    init(_ directory: ShardDirectory, routing: Routing, key: HashKey) throws(JournalError) {
        reader = try RecordReader(directory)
        id = directory.shard
        self.routing = routing
        segmentBytes = UInt64(directory.segmentBytes)
        replay = LedgerReplay(id: id, routing: routing, key: key, memoryBytes: Machine.memoryBytes)
    }

    mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
        let t = record.body
        latest = max(latest, record.timestamp)
        switch record.kind {
        case .transfer, .decision, .refusal:
            try expect(
                routing.shard(of: t.debitAccountID) == id, "debit account \(t.debitAccountID.value) lives elsewhere",
                lsn)
            try expectNew(record, lsn)
        case .leg:
            try expect(
                record.peer == id || routing.shard(of: t.debitAccountID) == id
                    || routing.shard(of: t.creditAccountID) == id,
                "both accounts of transfer \(t.id.value) live elsewhere", lsn)
            if routing.shard(of: t.debitAccountID) == id { try expectNew(record, lsn) }
        case .freeze:
            try expect(
                routing.shard(of: t.debitAccountID) == id, "account \(t.debitAccountID.value) lives elsewhere", lsn)
        case .credit:
            try expect(
                routing.shard(of: t.creditAccountID) == id, "credit account \(t.creditAccountID.value) lives elsewhere",
                lsn)
        case .credits:
            for k in 0..<record.creditCount {
                let account = record.credit(k).account
                try expect(routing.shard(of: account) == id, "credit account \(account.value) lives elsewhere", lsn)
            }
        case .account:
            try expect(
                routing.shard(of: record.account.id) == id, "account \(record.account.id.value) lives elsewhere", lsn)
        case .accountLeg:
            try expect(
                record.peer == id || routing.shard(of: record.account.id) == id,
                "account \(record.account.id.value) lives elsewhere", lsn)
        case .chainPeer, nil: break
        }
        if !record.flags.contains(.chainContinues) { chain.removeAll(keepingCapacity: true) }
        try replay.visit(record, lsn: lsn, position: position)
        // At once: the next record may be the same transfer again.
        try replay.finish()
    }

    /// No transfer has the same debit account and id as an earlier one. Equal hashes prove nothing: the ids are compared.
    private mutating func expectNew(_ record: LogRecord, _ lsn: LSN) throws(JournalError) {
        if record.flags.contains(.expiry) { return }
        let identity = Identity(debit: record.body.debitAccountID, id: record.body.id)
        var isNew = !chain.contains(identity)
        let hash = replay.ledger.identityHash(identity.debit, identity.id)
        var step = 0
        while isNew, let known = replay.ledger.nextRemembered(hash, &step) {
            let place = LogPosition(known.position)
            let earlier = try reader.read(
                segment: place.segment(segmentBytes: segmentBytes), offset: place.offset(segmentBytes: segmentBytes))
            isNew = Identity(debit: earlier.body.debitAccountID, id: earlier.body.id) != identity
        }
        try expect(isNew, "transfer \(identity.id.value) of account \(identity.debit.value) is there twice", lsn)
        if record.flags.contains(.chainContinues) { chain.append(identity) }
    }

    private func expect(_ holds: Bool, _ what: @autoclosure () -> String, _ lsn: LSN) throws(JournalError) {
        if !holds { throw .unsound("shard \(id.value), LSN \(lsn.value): \(what())") }
    }

    private static func isSum(_ pending: Amount, _ posted: Amount, above limit: Amount) -> Bool {
        let (sum, overflow) = pending.value.addingReportingOverflow(posted.value)
        return overflow || sum > limit.value
    }

    /// Applies a record that the next start appends. Returns what is wrong with it, or nil.
    mutating func redo(_ record: LogRecord) -> String? {
        latest = max(latest, record.timestamp)
        return replay.apply(record, lsn: .zero, position: LogPosition(0))
    }

    /// An account whose balances pass its limit, as text. What was due at the end holds nothing, though its expiry is perhaps
    /// not recorded: others may have used the room.
    mutating func brokenLimit() -> String? {
        for i in 0..<replay.ledger.accountCount {
            let a = replay.ledger.account(AccountIndex(i), at: latest)
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
