// Offline proof of a data directory: `OfflineBooks`, and double entry added up. Writes nothing.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger

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
    /// As of when the sums are, nanoseconds since the Unix epoch: the moment of the reading. What was due by then is not pending.
    public var asOf: UInt64
    public var ledgers: [Ledger]
    public var accounts: UInt64
    public var transfers: UInt64
    public var shards: [Shard]
}

public enum Verifier {
    /// Reads everything. Needs the memory of all shards' tables.
    /// - Throws: The first damage, and where; `unsound` when sound files contradict the ledger's rules.
    public static func verify(dataDirectory: String) throws(EngineError) -> VerificationReport {
        let books = try OfflineBooks(dataDirectory)
        var sums: [UInt32: VerificationReport.Ledger] = [:]
        var report = VerificationReport(
            balanced: true, asOf: books.moment.nanoseconds, ledgers: [], accounts: 0, transfers: 0, shards: [])
        for shard in books.shards {
            let summary = shard.facts.summary
            report.accounts += UInt64(shard.audit.replay.ledger.accountCount)
            report.transfers += shard.audit.replay.ledger.transferCount
            report.shards.append(
                VerificationReport.Shard(
                    firstLSN: summary.records > 0 ? 1 : 0, lastLSN: summary.lastLSN.value, groups: summary.groups,
                    bytes: summary.bytes))
            for totals in shard.totals(at: books.moment) { add(totals, to: &sums) }
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
}
