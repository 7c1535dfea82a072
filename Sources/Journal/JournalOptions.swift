// How a journal writes: tuning and bounds. None of it is part of the disk format.

/// When a write counts as done.
public enum Durability: Sendable, Equatable {
    /// Each write is on stable storage before anything that it explains leaves.
    case sync
    /// Writes are acknowledged when the kernel has them, and synced in the background.
    case async
}

public struct JournalOptions: Sendable {
    public var durability: Durability = .sync
    /// A group of this size goes out although others are under way: the disk takes several at once.
    public var earlyWriteBytes = 256 << 10
    /// Bounds what a crash can leave torn, and the buffers.
    public var writesInFlightMax = 8
    /// Groups below `earlyWriteBytes` go out while fewer than this are under way.
    public var smallWritesInFlightMax = 2
    /// Groups of at most so many bytes go out while fewer than so many writes are under way, while the journal `hurries`.
    public var hurriedBytes = 1 << 10
    public var hurriedWritesInFlightMax = 4
    /// Room that a full disk leaves to records of work already begun: counted in groups of one record, so 4 KiB each.
    public var reserveRecords = 8192

    public init() {}
}
