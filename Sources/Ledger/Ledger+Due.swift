// The ledger as of a time: what is due then holds nothing, whether or not its expiry is recorded yet.

public import SuanpanCore

extension Ledger {
    /// See `PendingTable.isHeldByDue`.
    /// - Complexity: O(1) where nothing is held there, or nothing due in this shard.
    public mutating func isHeldByDue(_ index: AccountIndex, _ sides: DueSides, by now: Timestamp) -> Bool {
        if sides.isEmpty || holdsNothing(index) { return false }
        return pendingTable.isHeldByDue(index, sides, by: now)
    }

    /// True while neither side of the account comes near to its end.
    public func isFarFromOverflow(_ index: AccountIndex) -> Bool {
        let a = accounts[index.index]
        let all = a.debitsPending.value | a.debitsPosted.value | a.creditsPending.value | a.creditsPosted.value
        return all >> 126 == 0
    }

    private func holdsNothing(_ index: AccountIndex) -> Bool {
        accounts[index.index].debitsPending.value | accounts[index.index].creditsPending.value == 0
            && !accounts[index.index].flags.contains(.closed)
    }

    /// See `PendingTable.waitingDue`.
    public func waitingDue(of index: AccountIndex, _ sides: DueSides, by now: Timestamp) -> PendingIndex? {
        pendingTable.waitingDue(of: index, sides, by: now)
    }

    /// See `PendingTable.forSomeDueElsewhere`.
    public func forSomeDueElsewhere(of index: AccountIndex, _ body: (AccountID) -> Void) {
        pendingTable.forSomeDueElsewhere(of: index, body)
    }

    /// The record as of a time.
    public mutating func account(_ index: AccountIndex, at now: Timestamp) -> Account {
        var account = account(index)
        if !holdsNothing(index) { pendingTable.removeDue(&account, index, at: now) }
        return account
    }

    /// The debit side's refusal, or `.created`, as of a time.
    @inline(never)
    public mutating func debitRefusal(
        _ index: AccountIndex, _ ledger: UInt32, _ e: Effect, _ bounds: UndecidedBounds, at now: Timestamp
    ) -> ResultCode {
        account(index, at: now).debitRefusal(ledger, e, bounds, now: now)
    }

    /// The credit side's.
    @inline(never)
    public mutating func creditRefusal(
        _ index: AccountIndex, _ ledger: UInt32, _ e: Effect, _ bounds: UndecidedBounds, at now: Timestamp
    ) -> ResultCode {
        account(index, at: now).creditRefusal(ledger, e, bounds)
    }

    /// The running totals of this shard's ledgers as of a time, in order of first use.
    /// - Complexity: O(ledgers + what is due).
    public mutating func totals(at now: Timestamp) -> [LedgerTotals] {
        var all: [LedgerTotals] = []
        var slots: [UInt32: Int] = [:]
        for slot in 0..<ledgerCount {
            all.append(totals(slot))
            slots[all[slot].ledger] = slot
        }
        pendingTable.forEachDue(by: now) { p in
            guard let slot = slots[p.ledger] else { return }
            if p.debitIndex != nil { all[slot].debitsPending &-= p.amount.value }
            if p.creditIndex != nil { all[slot].creditsPending &-= p.amount.value }
        }
        return all
    }

    /// Of a record that is about to be applied: what it holds, or releases, though that is over at a time; nil: nothing is.
    public func over(_ record: borrowing LogRecord, at time: Timestamp) -> (amount: Amount, isOpening: Bool)? {
        let t = record.body
        if t.flags.contains(.pending) {
            return t.deadline != 0 && t.deadline <= time.nanoseconds ? (t.amount, true) : nil
        }
        guard t.flags.resolves, let held = findPending(t.debitAccountID, t.pendingID) else { return nil }
        let p = pending(held)
        return p.deadline != 0 && p.deadline <= time.nanoseconds ? (p.amount, false) : nil
    }
}

extension ResultCode {
    /// The sides of the account that this refusal rests on: what is due there must have expired before it is sure. Not a
    /// limit's, which is told as of a time.
    public var dueSides: DueSides {
        switch self {
        case .overflowsDebitsPending, .overflowsDebits: .debits
        case .overflowsCreditsPending, .overflowsCredits: .credits
        case .debitAccountClosed, .creditAccountClosed: .closing
        default: []
        }
    }

    /// What is held on the account may make the difference.
    var restsOnHolds: Bool { !dueSides.isEmpty || self == .exceedsCredits || self == .exceedsDebits }
}
