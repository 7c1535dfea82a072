// Which chains may be reserved, and what their events do: from what the coordinator has written before it asked, so that
// every shard can judge its own accounts alone.

public import SuanpanCore

extension ChainView {
    /// Says which chains the shards may reserve: those whose effects are known before any of them has looked. Call it when
    /// `tell` has said what is known of the transfers that they post or void.
    /// - Parameters:
    ///   - asked: False for what must have its accounts alone, whatever its events.
    ///   - isExpiry: Its events are the shard's own and have no ids; a request's that has none is refused.
    public mutating func decideWhetherToReserve(_ asked: Bool, isExpiry: Bool) {
        mayReserve = asked && !isOfAccounts
        guard mayReserve else { return }
        // Only the last event of a view can be one that its own fields refuse.
        if !isExpiry && events[eventCount - 1].asked.refusalByRequest() != .created { mayReserve = false }
        for i in 0..<eventCount where !isReservable(i) || repeats(i) { mayReserve = false }
    }

    /// An event before this one has its identity, or posts or voids the same transfer.
    private func repeats(_ i: Int) -> Bool {
        let t = events[i].asked
        for k in 0..<i where events[k].asked.debitAccountID == t.debitAccountID {
            let other = events[k].asked
            // Expiries have no id.
            if other.id == t.id && !t.id.isZero { return true }
            if t.flags.resolves && other.flags.resolves && other.pendingID == t.pendingID { return true }
        }
        return false
    }

    /// Tells all shards what the coordinator knows of the transfer that an event posts or voids; nil: it is not open there.
    public mutating func tell(_ i: Int, _ fact: PendingFact?) { details[i].given = fact ?? PendingFact(.notFound) }

    private func isReservable(_ i: Int) -> Bool {
        let t = events[i].asked
        if t.flags.balances || t.flags.closes { return false }
        guard t.flags.resolves else { return true }
        let isKnown = details[i].given.state == .open && events[i].creditPlace != Self.noPlace
        return isKnown && !details[i].given.flags.closes && openedInChain(i) == nil
    }

    /// What an event of a chain that may be reserved does on its two sides, once it is accepted; nil: it will not be, by what
    /// was known when the shards were asked.
    public func effects(_ i: Int, now: Timestamp) -> (ledger: UInt32, debit: Effect, credit: Effect)? {
        let t = events[i].asked
        guard t.flags.resolves else { return (t.ledger, Effect(debitOf: t), Effect(creditOf: t)) }
        let held = details[i].given
        if !t.id.isZero && t.pendingRefusal(held, now: now) != .created { return nil }
        let final = t.completed(by: held)
        return (
            final.ledger, Effect(debitOf: final, held: held.amount, heldFlags: held.flags),
            Effect(creditOf: final, held: held.amount, heldFlags: held.flags)
        )
    }
}
