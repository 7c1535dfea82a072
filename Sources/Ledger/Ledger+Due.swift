// The ledger as of a time: what is due then holds nothing, whether or not its expiry is recorded yet.

public import SuanpanCore

extension Ledger {
    /// What of an account is still held by what is due at a time.
    /// - Complexity: O(1) where nothing is held there, or nothing due in this shard; else what is due of the account.
    public mutating func due(of index: AccountIndex, by now: Timestamp) -> DueSides {
        if holdsNothing(index) { return [] }
        return pendingTable.due(of: index, by: now)
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
    public func waitingDue(
        of index: AccountIndex, _ sides: DueSides, by now: Timestamp, where isMeant: (AccountID) -> Bool = { _ in true }
    ) -> PendingIndex? {
        pendingTable.waitingDue(of: index, sides, by: now, where: isMeant)
    }

    /// See `PendingTable.forEachDueElsewhere`.
    public func forEachDueElsewhere(of index: AccountIndex, _ body: (AccountID) -> Void) {
        pendingTable.forEachDueElsewhere(of: index, body)
    }

    /// The record as of a time.
    public mutating func account(_ index: AccountIndex, at now: Timestamp) -> Account {
        var account = account(index)
        if !holdsNothing(index) { pendingTable.removeDue(&account, index, at: now) }
        return account
    }

    /// The debit side refuses for this reason even as of a time, when nothing that is due then holds anything: no expiry can
    /// help the transfer.
    public mutating func refusesWithoutDue(
        _ index: AccountIndex, _ t: borrowing Transfer, _ code: ResultCode, expectedCredits: UInt128, at now: Timestamp
    ) -> Bool {
        let effect = t.flags.isPlain ? Effect.plain(t.amount) : Effect(debitOf: t)
        let bounds = UndecidedBounds(added: 0, otherPosted: expectedCredits)
        return account(index, at: now).debitRefusal(t.ledger, effect, bounds, now: now) == code
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
    /// The sides of the account that this refusal rests on: with less held there it might not be one.
    public var dueSides: DueSides {
        switch self {
        case .exceedsCredits, .overflowsDebitsPending, .overflowsDebits: .debits
        case .exceedsDebits, .overflowsCreditsPending, .overflowsCredits: .credits
        case .debitAccountClosed, .creditAccountClosed: .closing
        default: []
        }
    }
}
