// The verdict on a chain: its events in order, each seeing the ones before. The lowest event's fault is the answer; of
// one event, Groups 2 to 7 (Docs/Semantics.md) in order, the debit side before the credit side. Pure: reads and writes
// the view alone.

public import SuanpanCore

extension ChainView {
    /// Judges the chain. `result` of every event is set; where all are created, `final` too, without timestamps.
    /// - Parameters:
    ///   - now: The time of the transfers: a pending one is expired from its deadline on.
    ///   - supported: The flags that are open at this door.
    /// - Complexity: O(events × accounts), both of them small; allocates nothing. To be called once per filling.
    public mutating func evaluate(now: Timestamp, supported: TransferFlags = .supported) -> ChainOutcome {
        if eventCount > 0 && allExist(supported) {
            for i in 0..<eventCount { events[i].result = events[i].known }
            return .exists
        }
        for i in 0..<eventCount {
            let result = judge(i, now, supported)
            if result.isCreated { continue }
            for k in 0..<eventCount { events[k].result = EventResult(.linkedEventFailed) }
            events[i].result = result
            return .refused(at: i, result)
        }
        for i in 0..<eventCount { events[i].result = EventResult(.created) }
        return .created
    }

    /// The verdict on a chain for which all shards have reserved: created, by what they were told.
    public mutating func complete() {
        for i in 0..<eventCount {
            events[i].result = EventResult(.created)
            if events[i].asked.flags.resolves { details[i].final = events[i].asked.completed(by: details[i].given) }
        }
    }

    private func allExist(_ supported: TransferFlags) -> Bool {
        for i in 0..<eventCount where events[i].known.rawCode != ResultCode.exists.rawValue { return false }
        // Groups 2 to 4 come first; only the last event of a view may fall to them.
        return events[eventCount - 1].asked.refusalByRequest(supported: supported) == .created
    }

    /// Groups 2 to 7 of one event, after the ones before it; what it does is applied to the view's accounts.
    private mutating func judge(_ i: Int, _ now: Timestamp, _ supported: TransferFlags) -> EventResult {
        let t = events[i].asked
        let bad = t.refusalByRequest(supported: supported)
        if bad != .created { return EventResult(bad) }
        if !events[i].known.isCreated { return events[i].known }
        if let first = earlier(i, t.id, t.debitAccountID) {
            return EventResult(t.comparedWithRecorded(events[first].asked))
        }

        // 6
        let debit = Int(events[i].debitPlace)
        guard accounts[debit].exists else { return EventResult(.debitAccountNotFound) }
        var final = t
        var held = PendingFact(.notFound)
        if t.flags.resolves {
            if t.ledger != 0 && t.ledger != records[debit].ledger {
                return EventResult(.debitAccountHasDifferentLedger)
            }
            held = pendingFact(i)
            let code = t.pendingRefusal(held, now: now)
            if code != .created { return EventResult(code) }
            final = t.completed(by: held)
        } else if t.flags.contains(.balancingDebit) {
            final.amount = min(t.amount, records[debit].leftToDebit)
        }
        var effect = Effect(debitOf: final, held: held.amount, heldFlags: held.flags)
        var code = records[debit].debitRefusal(final.ledger, effect, .none, now: now)
        if code != .created { return EventResult(code) }

        // 7
        let place = t.flags.resolves ? findPlace(final.creditAccountID) : Int(events[i].creditPlace)
        guard let credit = place, accounts[credit].exists else { return EventResult(.creditAccountNotFound) }
        if t.flags.contains(.balancingCredit) {
            final.amount = min(final.amount, records[credit].leftToCredit)
        }
        if t.flags.balances { effect = Effect(debitOf: final, held: held.amount, heldFlags: held.flags) }
        let creditEffect = Effect(creditOf: final, held: held.amount, heldFlags: held.flags)
        code = records[credit].creditRefusal(final.ledger, creditEffect, .none)
        if code != .created { return EventResult(code) }

        records[debit].applyDebit(effect)
        records[credit].applyCredit(creditEffect)
        if !t.flags.isPlain { details[i].final = final }
        // One that left it out, and names a transfer of this chain, had none.
        events[i].creditPlace = UInt16(credit)
        return EventResult(.created)
    }

    /// The event before `i` with this identity.
    private func earlier(_ i: Int, _ id: TransferID, _ debit: AccountID) -> Int? {
        for k in 0..<i where events[k].asked.id == id && events[k].asked.debitAccountID == debit { return k }
        return nil
    }

    /// The transfer that a post or void names, after the events before it: opened by one of them, or known to the ledger;
    /// perhaps posted or voided by one of them.
    private func pendingFact(_ i: Int) -> PendingFact {
        let t = events[i].asked
        var fact = pending(i)
        if let opener = openedInChain(i) {
            fact = PendingFact(final(opener), .open)
            // Its timestamp is to come: it cannot expire within the chain.
            fact.deadline = 0
        }
        for k in 0..<i {
            let other = events[k].asked
            if other.flags.resolves && other.pendingID == t.pendingID && other.debitAccountID == t.debitAccountID {
                fact.state = PendingState(resolvedBy: other.flags, isExpiry: false)
            }
        }
        return fact
    }
}
