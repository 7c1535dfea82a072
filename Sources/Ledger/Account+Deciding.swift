// Groups 6 and 7 of the refusals (Docs/Semantics.md), as far as one account's record decides them: pure functions of the
// record, the effect and what is undecided. The pending transfer of a post or void is looked at before: `pendingRefusal`.

public import SuanpanCore

extension Account {
    /// What `balancing_debit` leaves: credits posted less all debits, at least 0.
    @inlinable public var leftToDebit: Amount {
        Amount(Self.left(creditsPosted.value, debitsPosted.value, debitsPending.value))
    }
    /// What `balancing_credit` leaves: debits posted less all credits, at least 0.
    @inlinable public var leftToCredit: Amount {
        Amount(Self.left(debitsPosted.value, creditsPosted.value, creditsPending.value))
    }

    @inlinable
    static func left(_ other: UInt128, _ posted: UInt128, _ pending: UInt128) -> UInt128 {
        let (own, overflow) = posted.addingReportingOverflow(pending)
        return overflow || own >= other ? 0 : other - own
    }

    /// The debit side's refusal, or `.created`.
    /// - Parameters:
    ///   - ledger: The transfer's; of a post or void, the pending transfer's.
    ///   - now: The transfer's timestamp, or a time close to it: for `overflows_timeout` only.
    @inlinable @inline(__always)
    public func debitRefusal(_ ledger: UInt32, _ e: Effect, _ b: UndecidedBounds, now: Timestamp) -> ResultCode {
        if self.ledger != ledger { return .debitAccountHasDifferentLedger }
        if e.passes { return .created }
        if flags.contains(.closed) { return .debitAccountClosed }
        if flags.contains(.debitsFrozen) { return .debitAccountFrozen }
        if e.timeout != 0, now.nanoseconds.addingReportingOverflow(UInt64(e.timeout) &* 1_000_000_000).overflow {
            return .overflowsTimeout
        }
        switch Self.sum(debitsPending.value, debitsPosted.value, e, b) {
        case .pendingOverflow: return .overflowsDebitsPending
        case .postedOverflow: return .overflowsDebitsPosted
        case .overflow: return .overflowsDebits
        case .fits(let debits):
            if flags.contains(.debitsMustNotExceedCredits) {
                let (credits, overflow) = creditsPosted.value.addingReportingOverflow(b.otherPosted)
                if !overflow && debits > credits { return .exceedsCredits }
            }
            return .created
        }
    }

    /// The credit side's refusal, or `.created`; the mirror of the debit side's.
    @inlinable @inline(__always)
    public func creditRefusal(_ ledger: UInt32, _ e: Effect, _ b: UndecidedBounds) -> ResultCode {
        if self.ledger != ledger { return .creditAccountHasDifferentLedger }
        if e.passes { return .created }
        if flags.contains(.closed) { return .creditAccountClosed }
        if flags.contains(.creditsFrozen) { return .creditAccountFrozen }
        switch Self.sum(creditsPending.value, creditsPosted.value, e, b) {
        case .pendingOverflow: return .overflowsCreditsPending
        case .postedOverflow: return .overflowsCreditsPosted
        case .overflow: return .overflowsCredits
        case .fits(let credits):
            if flags.contains(.creditsMustNotExceedDebits) {
                let (debits, overflow) = debitsPosted.value.addingReportingOverflow(b.otherPosted)
                if !overflow && credits > debits { return .exceedsDebits }
            }
            return .created
        }
    }

    @frozen @usableFromInline
    enum Sum {
        case fits(UInt128)
        case pendingOverflow
        case postedOverflow
        case overflow
    }

    /// Pending and posted of one side together, after the effect and what the bounds add.
    @inlinable @inline(__always)
    static func sum(_ pending: UInt128, _ posted: UInt128, _ e: Effect, _ b: UndecidedBounds) -> Sum {
        if e.pendingAdd != 0 {
            let (held, o1) = pending.addingReportingOverflow(b.added)
            if o1 || held.addingReportingOverflow(e.pendingAdd).overflow { return .pendingOverflow }
        }
        let (reserved, o2) = posted.addingReportingOverflow(b.added)
        if o2 || reserved.addingReportingOverflow(e.posted).overflow { return .postedOverflow }
        // What is released was held: it is less than what is pending.
        let kept = pending - min(pending, e.pendingRelease)
        let (all, o3) = kept.addingReportingOverflow(posted)
        let (grown, o4) = all.addingReportingOverflow(e.pendingAdd &+ e.posted)
        let (total, o5) = grown.addingReportingOverflow(b.added)
        return o3 || o4 || o5 ? .overflow : .fits(total)
    }

    /// What an effect does to the debit side.
    @inlinable @inline(__always)
    public mutating func applyDebit(_ e: Effect) {
        debitsPending.value = debitsPending.value &+ e.pendingAdd &- e.pendingRelease
        debitsPosted.value &+= e.posted
        applyClosing(e)
    }

    /// What an effect does to the credit side.
    @inlinable @inline(__always)
    public mutating func applyCredit(_ e: Effect) {
        creditsPending.value = creditsPending.value &+ e.pendingAdd &- e.pendingRelease
        creditsPosted.value &+= e.posted
        applyClosing(e)
    }

    @inlinable @inline(__always)
    mutating func applyClosing(_ e: Effect) {
        if e.closes { flags.insert(.closed) }
        if e.opens { flags.remove(.closed) }
    }
}
