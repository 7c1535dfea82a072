// The standing votes of other shards that this one holds, and those of its own that it is taking back: see `Shard+Standing`.

internal import SuanpanCore
internal import SuanpanLedger

/// Standing votes that this shard holds, by the hash of the account: each has two places, side by side in a cache line; a
/// newer one takes the place of an older.
struct StandingVotes: ~Copyable {
    struct Vote: BitwiseCopyable {
        var account: AccountID
        var ledger: UInt32
        var isHeld: Bool
    }
    private var votes: FixedArray<Vote>
    private let mask: Int

    init(count: Int) {
        invariant(count > 1 && count & (count - 1) == 0, "\(count) places for standing votes: not a power of two")
        votes = FixedArray(count: count)
        mask = count - 1
    }

    @inline(__always)
    private func place(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & mask }

    /// True when the transfer's credit is promised.
    @inline(__always)
    func has(_ t: borrowing Transfer, _ creditHash: UInt64) -> Bool {
        var i = place(creditHash)
        if votes[i].account != t.creditAccountID { i ^= 1 }
        guard votes[i].isHeld, votes[i].account == t.creditAccountID, votes[i].ledger == t.ledger else { return false }
        if t.flags.resolves { return true }
        return t.amount.value <= Limits.standingAmountMax
    }

    mutating func add(_ account: AccountID, ledger: UInt32, _ hash: UInt64) {
        var i = place(hash)
        if votes[i].isHeld && votes[i].account != account && !votes[i ^ 1].isHeld { i ^= 1 }
        votes[i] = Vote(account: account, ledger: ledger, isHeld: true)
    }

    /// Forgets the account's, or what has taken its place, and what stands beside it.
    mutating func remove(_ hash: UInt64) {
        votes[place(hash)].isHeld = false
        votes[place(hash) ^ 1].isHeld = false
    }

    @inline(__always)
    func prefetch(_ hash: UInt64) { votes.prefetch(place(hash)) }
}

/// Standing votes given by this shard that are being taken back, some at a time; others queue.
struct Revocations: ~Copyable {
    struct Revocation: BitwiseCopyable {
        var account: AccountIndex
        /// Shards that have not said `revoked`.
        var left: Int
    }
    var underWay = FixedArray<Revocation>(count: Revocations.countMax)
    var free = FreeList(count: Revocations.countMax)
    var queue = Queue<AccountIndex>(capacity: 64)

    /// Bounds the messages between two shards.
    static var countMax: Int { 64 }
}
