// What a chain needs of one account while it is undecided: the argument of reservation (O'Neil 1986, "The escrow
// transactional method"), for a list of debits and credits in place of one amount.
//
//     dip     the deepest point of the chain's running sum on the account, below where it began: others leave room for it
//     hope    the most that the chain can bring: others may wait for it
//
// The dips of all that is undecided on an account fit into what is certain there. So whichever of them are decided, in
// whatever order, each finds its dip at its moment, and nobody needs the account alone.

public import SuanpanCore

/// One account's part of a chain, event by event: `debit` and `credit` in the chain's order, then what to reserve.
@frozen public struct Demand: BitwiseCopyable, Sendable {
    /// As it would be after the events so far.
    public private(set) var account: Account
    private let reservedDebits: UInt128
    private let reservedCredits: UInt128
    /// Below where it began, of the side that the account limits.
    private var depth: Int128 = 0
    private var dip: UInt128 = 0
    private var debits: UInt128 = 0
    private var credits: UInt128 = 0
    private var debitReleases: UInt128 = 0
    private var creditReleases: UInt128 = 0

    /// - Parameters:
    ///   - account: As it stands.
    ///   - reservedDebits: By others that are undecided; likewise `reservedCredits`.
    public init(_ account: Account, reservedDebits: UInt128, reservedCredits: UInt128) {
        self.account = account
        self.reservedDebits = reservedDebits
        self.reservedCredits = reservedCredits
    }

    /// Amounts up to this one add up without overflow, however many a chain has.
    @inlinable public static var amountMax: UInt128 { (1 << 100) - 1 }

    /// Adds a debit. False: in the worst case, which is that all others are accepted that take and none that bring, the
    /// account would refuse it.
    public mutating func debit(_ ledger: UInt32, _ e: Effect, now: Timestamp) -> Bool {
        let worst = UndecidedBounds(added: reservedDebits)
        guard account.debitRefusal(ledger, e, worst, now: now) == .created, Self.isSmall(e) else { return false }
        account.applyDebit(e)
        debits += e.pendingAdd + e.posted
        debitReleases += e.pendingRelease
        let taken = Int128(e.pendingAdd + e.posted) - Int128(e.pendingRelease)
        if account.flags.contains(.creditsMustNotExceedDebits) { depth -= Int128(e.posted) } else { deepen(taken) }
        return true
    }

    /// Adds a credit; the mirror of `debit`.
    public mutating func credit(_ ledger: UInt32, _ e: Effect) -> Bool {
        let worst = UndecidedBounds(added: reservedCredits)
        guard account.creditRefusal(ledger, e, worst) == .created, Self.isSmall(e) else { return false }
        account.applyCredit(e)
        credits += e.pendingAdd + e.posted
        creditReleases += e.pendingRelease
        let taken = Int128(e.pendingAdd + e.posted) - Int128(e.pendingRelease)
        if account.flags.contains(.creditsMustNotExceedDebits) { deepen(taken) } else { depth -= Int128(e.posted) }
        return true
    }

    private static func isSmall(_ e: Effect) -> Bool {
        max(e.pendingAdd, e.pendingRelease, e.posted) <= amountMax
    }

    private mutating func deepen(_ taken: Int128) {
        depth += taken
        if depth > 0 { dip = max(dip, UInt128(depth)) }
    }

    /// What to reserve of debits: of an account that limits them the dip, else all of them. What others may hope for is
    /// rather too much than too little: they wait for it, and are judged when it has ended.
    public var debitsToReserve: UInt128 {
        if account.flags.contains(.debitsMustNotExceedCredits) { return dip }
        return account.flags.contains(.creditsMustNotExceedDebits) ? debits + creditReleases : debits
    }

    /// The same of credits.
    public var creditsToReserve: UInt128 {
        if account.flags.contains(.creditsMustNotExceedDebits) { return dip }
        return account.flags.contains(.debitsMustNotExceedCredits) ? credits + debitReleases : credits
    }

    /// It takes nothing that somebody who waits for room could want.
    public var takesNothing: Bool { dip == 0 || !account.flags.isLimiting }

    /// Its verdict rests on what the account holds.
    public var restsOnBalance: Bool { account.flags.isLimiting && dip > 0 }
}

extension AccountFlags {
    /// The account limits one of its sides by the other.
    @inlinable var isLimiting: Bool { !isDisjoint(with: [.debitsMustNotExceedCredits, .creditsMustNotExceedDebits]) }
}
