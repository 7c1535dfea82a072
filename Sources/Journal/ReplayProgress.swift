// How far the replay of a directory is, and whether it shall go on. One for all shards; any thread may look or cancel.

internal import Synchronization

public final class ReplayProgress: Sendable {
    // Relaxed throughout: each number stands for itself, and a cancellation may be seen a group later.
    private let total = Atomic<UInt64>(0)
    private let done = Atomic<UInt64>(0)
    private let missing = Atomic<Int>(0)
    private let cancelled = Atomic<Bool>(false)
    private let finished = Atomic<Bool>(false)

    public init() {}

    /// So many shards will say how much they have to read; until all have, nothing is said.
    public func begin(shards: Int) { missing.store(shards, ordering: .relaxed) }

    /// Nothing is left to be replayed: the engine serves.
    public func finish() { finished.store(true, ordering: .relaxed) }
    public var isFinished: Bool { finished.load(ordering: .relaxed) }

    /// A shard begins to read so many bytes of log, prepared space included.
    func expect(_ bytes: UInt64) {
        total.add(bytes, ordering: .relaxed)
        missing.subtract(1, ordering: .relaxed)
    }
    func advance(_ bytes: UInt64) { done.add(bytes, ordering: .relaxed) }

    public var bytesTotal: UInt64 { total.load(ordering: .relaxed) }
    public var bytesDone: UInt64 { min(done.load(ordering: .relaxed), bytesTotal) }

    /// Whole percents of the bytes to be read; 100 not before the engine serves.
    public var percent: Int {
        if isFinished { return 100 }
        let total = bytesTotal
        guard missing.load(ordering: .relaxed) <= 0, total > 0 else { return 0 }
        return min(99, Int(Double(bytesDone) / Double(total) * 100))
    }

    /// Asks the start to end: it throws `cancelled` soon.
    public func cancel() { cancelled.store(true, ordering: .relaxed) }
    public var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

    public func check() throws(JournalError) { if isCancelled { throw .cancelled } }
}
