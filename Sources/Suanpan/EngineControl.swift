// How an engine is told to stop, and how its cores agree that nothing is left.

internal import CSupport
internal import Synchronization

final class EngineControl: Sendable {
    private let stopping = Atomic<Bool>(false)
    private let deadline = Atomic<UInt64>(.max)
    private let quiet: [Flag]
    private final class Flag: Sendable { let value = Atomic<Bool>(false) }

    init(coreCount: Int) { quiet = (0..<coreCount).map { _ in Flag() } }

    /// No new work; what was taken is finished, for at most `seconds`.
    func stop(withinSeconds seconds: UInt64) {
        deadline.store(sp_monotonic_ns() &+ seconds * 1_000_000_000, ordering: .relaxed)
        // Release: pairs with the acquire of `isStopping`; the deadline is set before.
        stopping.store(true, ordering: .releasing)
    }

    var isStopping: Bool { stopping.load(ordering: .acquiring) }
    func isOverdue(_ now: UInt64) -> Bool { now > deadline.load(ordering: .relaxed) && now < .max / 2 }

    /// Sequentially consistent: a core that sees all flags set sees everything that was sent before they were.
    func setQuiet(_ core: Int, _ isQuiet: Bool) { quiet[core].value.store(isQuiet, ordering: .sequentiallyConsistent) }
    var allQuiet: Bool { quiet.allSatisfy { $0.value.load(ordering: .sequentiallyConsistent) } }
}

/// A place where all cores wait for each other while the engine starts. Not for the hot path.
final class StartBarrier: Sendable {
    private struct State: Sendable {
        var errors: [EngineError] = []
        var arrived = 0
        var round = 0
    }
    private let state = Mutex(State())
    private let count: Int
    init(count: Int) { self.count = count }

    /// Waits for everybody. Throws for all when one came with an error.
    func wait(_ error: EngineError? = nil) throws(EngineError) {
        let round = state.withLock { s in
            if let error { s.errors.append(error) }
            s.arrived += 1
            let mine = s.round
            if s.arrived == count {
                s.arrived = 0
                s.round += 1
            }
            return mine
        }
        // An error frees everybody, in whatever round they wait.
        while state.withLock({ $0.round == round && $0.errors.isEmpty }) { sp_sleep_microseconds(200) }
        if let first = state.withLock({ $0.errors.first }) { throw first }
    }
}
