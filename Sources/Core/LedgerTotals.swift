// Sums over accounts: 80 bytes; the same in memory and on the wire (little-endian).

/// Sums over all accounts of one ledger, modulo 2^128. Of one shard alone, debits and credits need not be equal.
@frozen public struct LedgerTotals: Hashable, BitwiseCopyable, Sendable {
    public var ledger: UInt32
    public var reserved: UInt32 = 0
    /// Every transfer up to here is in the sums, and no later one; 0: the sums of one shard, as they stand.
    public var timestamp = Timestamp.zero
    public var debitsPending: UInt128 = 0
    public var debitsPosted: UInt128 = 0
    public var creditsPending: UInt128 = 0
    public var creditsPosted: UInt128 = 0

    @inlinable public init(ledger: UInt32) { self.ledger = ledger }

    /// Double entry: what was debited was credited.
    @inlinable public var isBalanced: Bool { debitsPending == creditsPending && debitsPosted == creditsPosted }

    /// Takes the sums of other accounts of the ledger in.
    public mutating func add(_ other: LedgerTotals) {
        debitsPending &+= other.debitsPending
        debitsPosted &+= other.debitsPosted
        creditsPending &+= other.creditsPending
        creditsPosted &+= other.creditsPosted
    }

    /// Takes them out again.
    public mutating func subtract(_ other: LedgerTotals) {
        debitsPending &-= other.debitsPending
        debitsPosted &-= other.debitsPosted
        creditsPending &-= other.creditsPending
        creditsPosted &-= other.creditsPosted
    }
}
