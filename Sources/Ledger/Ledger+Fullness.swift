// How full the tables of a ledger are: each has a bound of its own, and the first to come to it refuses.

/// In whole percents; 100: the table takes no more.
public struct LedgerFullness: Equatable, Sendable {
    public var accounts: Int
    /// Of transfers, and of those that were refused for good.
    public var ids: Int
    public var pendings: Int
}

extension Ledger {
    public var fullness: LedgerFullness {
        LedgerFullness(
            accounts: max(Self.percent(accounts.count, accounts.capacity), accountIndex.percent, totalsIndex.percent),
            ids: identities.percent, pendings: pendingTable.percent)
    }

    static func percent(_ used: Int, _ bound: Int) -> Int { used >= bound ? 100 : used * 100 / bound }
}

extension HashIndex {
    var percent: Int { Ledger.percent(bytes, bytesMax) }
}

extension PendingTable {
    var percent: Int { max(Ledger.percent(count, capacity), index.percent) }
}
