// How many connections each core serves: the core that accepts deals a new one to the core with the fewest, and refuses
// one that is too many for all of them together.

internal import Synchronization

public final class ConnectionCounts: Sendable {
    private let cores: [Count]
    /// Over all cores.
    public let connectionsMax: Int

    private final class Count: Sendable { let value = Atomic<Int>(0) }

    public init(coreCount: Int, connectionsMax: Int) {
        cores = (0..<coreCount).map { _ in Count() }
        self.connectionsMax = connectionsMax
    }

    /// Places that a core needs. A new connection goes to the core with the fewest, so that no core ever has more than
    /// its share of the most that all have together.
    public var perCoreMax: Int { (connectionsMax + cores.count - 1) / cores.count }

    // Relaxed: numbers for themselves. A place is given back before its count falls, on the thread that will be asked to
    // fill it.

    public var total: Int { cores.reduce(0) { $0 + $1.value.load(ordering: .relaxed) } }

    func add(_ core: Int) { cores[core].value.add(1, ordering: .relaxed) }
    func subtract(_ core: Int) { cores[core].value.subtract(1, ordering: .relaxed) }

    /// Counts a new connection for the core that is to serve it: of those with the fewest the first from `start` on.
    /// One thread at a time deals.
    /// - Parameter canTake: Whether a core can be given one now.
    /// - Returns: Nil: one too many.
    public func deal(from start: Int = 0, _ canTake: (Int) -> Bool = { _ in true }) -> Int? {
        guard total < connectionsMax else { return nil }
        var best: (core: Int, count: Int)?
        for i in 0..<cores.count {
            let core = (start + i) % cores.count
            let count = cores[core].value.load(ordering: .relaxed)
            if count < best?.count ?? perCoreMax && canTake(core) { best = (core, count) }
        }
        guard let best else { return nil }
        add(best.core)
        return best.core
    }
}
