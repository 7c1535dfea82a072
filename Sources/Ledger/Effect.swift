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

/// What the undecided on an account may still do, as far as one side's question goes. For a debit, "own" is debits.
@frozen public struct UndecidedBounds: Hashable, BitwiseCopyable, Sendable {
    /// Own pending and posted together may grow by this.
    public var added: UInt128
    /// Own posted may grow by this.
    public var addedPosted: UInt128
    /// Own pending and posted together may shrink by this.
    public var released: UInt128
    /// Own pending may shrink by this.
    public var releasedPending: UInt128
    /// The other side's posted may grow by this.
    public var otherPosted: UInt128

    @inlinable @inline(__always)
    public init(
        added: UInt128 = 0, addedPosted: UInt128 = 0, released: UInt128 = 0, releasedPending: UInt128 = 0,
        otherPosted: UInt128 = 0
    ) {
        self.added = added
        self.addedPosted = addedPosted
        self.released = released
        self.releasedPending = releasedPending
        self.otherPosted = otherPosted
    }

    @inlinable public static var none: UndecidedBounds { UndecidedBounds() }
}

/// The undecided effects on one side of an account, added up.
@frozen public struct UndecidedSide: Hashable, BitwiseCopyable, Sendable {
    public var added: UInt128
    public var addedPosted: UInt128
    public var released: UInt128
    public var releasedPending: UInt128

    @inlinable public init() {
        added = 0
        addedPosted = 0
        released = 0
        releasedPending = 0
    }

    @inlinable public var isEmpty: Bool { added | addedPosted | released | releasedPending == 0 }

    /// Takes note of an effect that is now undecided. What was reserved before was found to fit beside it: no overflow.
    @inlinable @inline(__always)
    public mutating func add(_ e: Effect) {
        let more = e.pendingAdd &+ e.posted
        if more >= e.pendingRelease {
            added &+= more &- e.pendingRelease
        } else {
            released &+= e.pendingRelease &- more
        }
        addedPosted &+= e.posted
        releasedPending &+= e.pendingRelease
    }

    /// The effect is decided, or let go.
    @inlinable @inline(__always)
    public mutating func remove(_ e: Effect) {
        let more = e.pendingAdd &+ e.posted
        if more >= e.pendingRelease {
            added &-= more &- e.pendingRelease
        } else {
            released &-= e.pendingRelease &- more
        }
        addedPosted &-= e.posted
        releasedPending &-= e.pendingRelease
    }

    /// For a question about this side: everything here accepted that takes, nothing anywhere that gives.
    @inlinable @inline(__always)
    public var worst: UndecidedBounds { UndecidedBounds(added: added, addedPosted: addedPosted) }

    /// For a question about this side: everything accepted that gives, here or on the other side; nothing that takes.
    @inlinable @inline(__always)
    public func best(other: UndecidedSide) -> UndecidedBounds {
        UndecidedBounds(released: released, releasedPending: releasedPending, otherPosted: other.addedPosted)
    }
}
