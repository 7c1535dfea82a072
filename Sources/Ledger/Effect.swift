// What a transfer does to one of its two accounts, and what undecided transfers may still do there.
//
//     plain           posted += amount
//     pending         pending += amount; a closing one closes the account
//     post            pending −= held, posted += amount (≤ held)
//     void, expiry    pending −= held; of a closing one: opens the account again

public import SuanpanCore

/// What a transfer does to one side. With constants it folds away: `plain` costs what its one addition costs.
@frozen public struct Effect: Hashable, BitwiseCopyable, Sendable {
    public var pendingAdd: UInt128
    public var pendingRelease: UInt128
    public var posted: UInt128
    /// Seconds until what is held expires; on the debit side, which decides that. 0: never.
    public var timeout: UInt32
    public var closes: Bool
    public var opens: Bool
    /// Goes through whatever the account's state: a void, an expiry.
    public var passes: Bool

    @inlinable @inline(__always)
    public init(
        pendingAdd: UInt128 = 0, pendingRelease: UInt128 = 0, posted: UInt128 = 0, timeout: UInt32 = 0,
        closes: Bool = false, opens: Bool = false, passes: Bool = false
    ) {
        self.pendingAdd = pendingAdd
        self.pendingRelease = pendingRelease
        self.posted = posted
        self.timeout = timeout
        self.closes = closes
        self.opens = opens
        self.passes = passes
    }

    /// Of a plain transfer, on either side.
    @inlinable @inline(__always)
    public static func plain(_ amount: Amount) -> Effect { Effect(posted: amount.value) }

    /// On the debit account.
    /// - Parameters:
    ///   - t: The transfer with its actual amount.
    ///   - held: Of a post, void or expiry: the pending transfer's amount and flags.
    @inlinable
    public init(debitOf t: borrowing Transfer, held: Amount = .zero, heldFlags: TransferFlags = []) {
        self.init(t, held, closes: t.flags.contains(.closingDebit), opens: heldFlags.contains(.closingDebit))
        if t.flags.contains(.pending) { timeout = t.timeout }
    }

    /// On the credit account.
    @inlinable
    public init(creditOf t: borrowing Transfer, held: Amount = .zero, heldFlags: TransferFlags = []) {
        self.init(t, held, closes: t.flags.contains(.closingCredit), opens: heldFlags.contains(.closingCredit))
    }

    @inlinable
    init(_ t: borrowing Transfer, _ held: Amount, closes: Bool, opens: Bool) {
        let flags = t.flags
        if flags.contains(.pending) {
            self.init(pendingAdd: t.amount.value, closes: closes)
        } else if flags.contains(.postPending) {
            self.init(pendingRelease: held.value, posted: t.amount.value)
        } else if flags.contains(.voidPending) {
            self.init(pendingRelease: held.value, opens: opens, passes: true)
        } else {
            self.init(posted: t.amount.value)
        }
    }
}

/// What the undecided on an account may still do, as far as one side's question goes. For a debit, "own" is debits. Plain
/// and pending transfers are undecided beside others, and chains by their `Demand`: whatever else there is goes by locks.
@frozen public struct UndecidedBounds: Hashable, BitwiseCopyable, Sendable {
    /// Own posted may grow by this, and own pending and posted together. Of pending transfers too, as if they were posted:
    /// the bounds are wider for it, never narrower.
    public var added: UInt128
    /// The other side's posted may grow by this.
    public var otherPosted: UInt128

    @inlinable @inline(__always)
    public init(added: UInt128 = 0, otherPosted: UInt128 = 0) {
        self.added = added
        self.otherPosted = otherPosted
    }

    @inlinable public static var none: UndecidedBounds { UndecidedBounds() }
}
