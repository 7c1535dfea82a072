// The traffic between this shard and each other, as numbers.

internal import SuanpanCore

/// What a shard knows of its traffic with one other.
struct PeerState: BitwiseCopyable {
    /// As coordinator: number of the last decision with this peer as the credit side.
    var decided: UInt64 = 0
    /// The highest of them that the peer has said is durable there.
    var durableThere: UInt64 = 0
    /// The highest of them that the peer has applied.
    var appliedThere: UInt64 = 0
    /// Slots alive whose credit side is this peer.
    var open = 0
    /// Of the decisions, those taken by a standing vote of the peer; and how many of them it has noted.
    var announced: UInt64 = 0
    var notedThere: UInt64 = 0
    /// Of those not applied there, the pending transfers; and whether the peer has room for more.
    var pendingsOut = 0
    var grantsPendings = false
    /// As participant: number of the last commit applied from this peer.
    var applied: UInt64 = 0
    var appliedLSN: UInt64 = 0
    /// The commit number that becomes durable when the log reaches `markLSN`.
    var mark: UInt64 = 0
    var markLSN: UInt64 = 0
    var durableHere: UInt64 = 0
    /// The last `applied` said to the peer.
    var toldApplied: UInt64 = 0
    /// Decisions that can be sent as `commits` and have not been: how many, the last one's number and its timestamp.
    var commitsCount = 0
    var commitsThrough: UInt64 = 0
    var commitsTime: UInt64 = 0
    /// As participant: the peer's announcements noted, and the last number of them said to it.
    var noted: UInt64 = 0
    var toldNoted: UInt64 = 0
    /// The last `durableHere` said to the peer.
    var toldDurable: UInt64 = 0

    /// As recovery leaves it: everything decided is applied, and durable, on both sides.
    init(_ pair: PairNumbers) {
        decided = pair.decided
        durableThere = pair.decided
        appliedThere = pair.decided
        applied = pair.applied
        durableHere = pair.applied
        mark = pair.applied
        toldDurable = pair.applied
        toldApplied = pair.applied
    }
}
