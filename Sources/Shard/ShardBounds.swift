// How much a shard may have under way, and what its traffic with another is numbered from.

public import SuanpanCore

/// How much a shard may have under way.
public struct ShardBounds: Sendable {
    /// Transfers that could not be decided at once, and as many events that wait for one; a power of two.
    public var slots: Int
    /// Of them, those whose credit side is one and the same shard.
    public var openPerPeer: Int
    /// Decisions not yet known durable at that shard.
    public var redoPerPeer: Int
    /// Places for other shards' standing votes; a power of two.
    public var standingVotes: Int
    /// Nanoseconds that a cut's moment lies ahead of the clock, so that as a rule no core's clock is past it when it learns
    /// of it: a few times what showing it takes. At least 1.
    public var cutLead: UInt64

    public init(
        slots: Int, openPerPeer: Int, redoPerPeer: Int, standingVotes: Int = 1 << 16, cutLead: UInt64 = 4_000
    ) {
        self.slots = slots
        self.openPerPeer = openPerPeer
        self.redoPerPeer = redoPerPeer
        self.standingVotes = standingVotes
        self.cutLead = cutLead
    }

    /// What an engine uses.
    init(shardCount: Int) {
        self.init(
            slots: Shard.slotCountDefault, openPerPeer: Shard.openPerPeerMax(shardCount: shardCount),
            redoPerPeer: Limits.redoPerPeerMax)
    }
}

/// Numbers of the commits between two shards.
public struct PairNumbers: BitwiseCopyable, Sendable, Equatable {
    /// Decisions taken here whose credit side is the peer.
    public var decided: UInt64
    /// Commits of the peer's decisions applied here.
    public var applied: UInt64
    public init(decided: UInt64 = 0, applied: UInt64 = 0) {
        self.decided = decided
        self.applied = applied
    }
}
