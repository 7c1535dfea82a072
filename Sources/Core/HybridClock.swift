// A shard's clock: physical time where it can be, logical where it must be. Timestamps of one engine are unique,
// since each shard hands out only those equal to its number modulo the number of shards, and later than everything
// they follow from, since a clock is carried in every message (Kulkarni et al., "Logical Physical Clocks", 2014).

public struct HybridClock: BitwiseCopyable, Sendable {
    private let shard: UInt64
    private let shardCount: UInt64
    /// The last timestamp handed out here; congruent to `shard`.
    private var lastOwn: UInt64
    /// The latest time seen: the engine's time source, or another shard's clock.
    private var floor: UInt64

    /// - Parameter after: Every timestamp handed out will be later.
    public init(shard: ShardID, shardCount: Int, after: Timestamp) {
        self.shard = UInt64(shard.value)
        self.shardCount = UInt64(shardCount)
        floor = after.nanoseconds
        lastOwn = 0
        lastOwn = aligned(after: after.nanoseconds)
    }

    /// The latest time this shard knows of: what its messages carry.
    @inlinable public var now: UInt64 { reading }
    @usableFromInline var reading: UInt64 { max(lastOwn, floor) }

    /// Takes note of the engine's time, or of a clock that a message carried.
    public mutating func observe(_ nanoseconds: UInt64) {
        if nanoseconds > floor { floor = nanoseconds }
    }

    /// A timestamp later than everything seen here, unique over all shards.
    public mutating func next() -> Timestamp {
        lastOwn = upcoming.nanoseconds
        return Timestamp(lastOwn)
    }

    /// What `next` would give now.
    public var upcoming: Timestamp {
        Timestamp(floor < lastOwn ? lastOwn &+ shardCount : aligned(after: floor))
    }

    private func aligned(after time: UInt64) -> UInt64 {
        let candidate = time &+ 1
        let phase = candidate % shardCount
        return candidate &+ (shard >= phase ? shard &- phase : shard &+ shardCount &- phase)
    }
}
