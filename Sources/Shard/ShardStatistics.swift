// What a shard has counted since it began.

public struct ShardStatistics: BitwiseCopyable, Sendable {
    public var crossings: UInt64 = 0
    /// Of the crossings, those decided on a standing vote; of these, those that are not plain; and (`revocations`)
    /// standing votes taken back.
    public var announced: UInt64 = 0
    public var announcedPending: UInt64 = 0
    /// Chains decided at once though some of their credits cross: these are among `announced`.
    public var announcedChains: UInt64 = 0
    public var revocations: UInt64 = 0
    /// Votes on chains by reservation.
    public var reserved: UInt64 = 0
    public var waits: UInt64 = 0
    public var restarts: UInt64 = 0
    /// Chains of which all shards were asked once more, to speak as of one moment.
    public var looks: UInt64 = 0
    public var redone: UInt64 = 0
    /// Cuts that this shard has begun, those begun again counted again.
    public var cuts: UInt64 = 0
}
