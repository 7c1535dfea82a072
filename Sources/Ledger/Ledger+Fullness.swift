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
            accounts: hasRoomForAccount()
                ? max(Self.percent(accounts.count, accounts.limit), accountIndex.percent, totalsIndex.percent) : 100,
            ids: identities.percent, pendings: pendingTable.percent)
    }

    static func percent(_ used: Int, _ bound: Int) -> Int { used >= bound ? 100 : used * 100 / bound }
}

extension Ledger {
    /// The machine gives some table no memory to grow; it takes nothing new meanwhile.
    public var isShort: Bool {
        accounts.isShort || states.isShort || totalsTable.isShort || accountIndex.isShort || totalsIndex.isShort
            || identities.isShort || pendingTable.isShort
    }

    /// Tries to grow those tables again.
    public mutating func growAhead() {
        accounts.growAhead()
        states.growAhead()
        totalsTable.growAhead()
        accountIndex.growAhead()
        totalsIndex.growAhead()
        identities.growAhead()
        pendingTable.growAhead()
    }
}

extension HashIndex {
    var percent: Int { hasRoom ? min(99, Ledger.percent(count, countMax)) : 100 }
}

extension PendingTable {
    var percent: Int { max(Ledger.percent(count, entries.limit), index.percent) }
}
