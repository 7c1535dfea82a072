// How an engine is told to stop, and how its cores agree that nothing is left.

internal import CSuanpanSupport
internal import SuanpanJournal
internal import Synchronization

final class EngineControl: Sendable {
    private let stopping = Atomic<Bool>(false)
    private let deadline = Atomic<UInt64>(.max)
    private let quiet: [Flag]
    private final class Flag: Sendable { let value = Atomic<Bool>(false) }
    private let failed = Atomic<Bool>(false)
    private let writesLeft = Atomic<Bool>(false)
    private let meetings = Atomic<Int>(0)
    private let coresEnded = Atomic<Int>(0)
    let end = EngineEnd()

    /// Calls of the embedding API.
    let gate: CallGate

    init(coreCount: Int, callsMax: Int) {
        quiet = (0..<coreCount).map { _ in Flag() }
        gate = CallGate(callsMax: callsMax)
    }

    /// No new work; what was taken is finished, for at most `seconds`.
    func stop(withinSeconds seconds: UInt64) {
        deadline.store(suanpan_monotonic_ns() &+ seconds * 1_000_000_000, ordering: .relaxed)
        // Release: pairs with the acquire of `isStopping`; the deadline is set before.
        stopping.store(true, ordering: .releasing)
    }

    var isStopping: Bool { stopping.load(ordering: .acquiring) }
    /// The time to finish in is over, and `grace` nanoseconds more. Looks at the clock itself: a turn's time stands still.
    func isOverdue(grace: UInt64 = 0) -> Bool {
        let end = deadline.load(ordering: .relaxed)
        return end != .max && suanpan_monotonic_ns() >= end &+ grace
    }

    // MARK: Failing

    /// Takes no more calls and lets every core leave; the caller rings their bells. The first reason counts.
    func fail(_ error: EngineError) {
        end.fail(error)
        _ = gate.close()
        failed.store(true, ordering: .releasing)
        // Release: pairs with `isStopping`; a core that sees it sees that the engine has failed.
        stopping.store(true, ordering: .releasing)
    }

    var hasFailed: Bool { failed.load(ordering: .acquiring) }

    /// What a call throws that the engine's end has met: what became of it is not known.
    var outcomeUnknown: EngineError { end.failure ?? .interrupted }

    /// Lets a call in. Every success is followed by one `gate.leave()`.
    /// - Throws: `busy`, `closed`, or why the engine has failed; nothing was executed.
    func enter() throws(EngineError) {
        do throws(EngineError) { try gate.enter() } catch {
            if case .closed = error, let failure = end.failure { throw failure }
            throw error
        }
    }

    /// A disk has not answered all writes of some core.
    func noteWritesLeft() { writesLeft.store(true, ordering: .releasing) }
    var hasWritesLeft: Bool { writesLeft.load(ordering: .acquiring) }

    /// Waits until all cores have come here for the `round`-th time, from 1.
    func meet(_ round: Int) {
        meetings.add(1, ordering: .acquiringAndReleasing)
        while meetings.load(ordering: .acquiring) < quiet.count * round { suanpan_sleep_microseconds(200) }
    }

    /// A core's last word. True for the last core.
    func coreEnds() -> Bool { coresEnded.add(1, ordering: .acquiringAndReleasing).newValue == quiet.count }

    /// Sequentially consistent: a core that sees all flags set sees everything that was sent before they were.
    func setQuiet(_ core: Int, _ isQuiet: Bool) { quiet[core].value.store(isQuiet, ordering: .sequentiallyConsistent) }
    var allQuiet: Bool { quiet.allSatisfy { $0.value.load(ordering: .sequentiallyConsistent) } }
}

/// Counts the calls under way of an engine that may be closing: who came in before is waited for, nobody comes in after.
final class CallGate: Sendable {
    /// Calls under way; the top bit: closed.
    private let word = Atomic<UInt64>(0)
    private static var closed: UInt64 { 1 << 63 }
    private let callsMax: UInt64

    init(callsMax: Int) { self.callsMax = UInt64(callsMax) }

    /// One atomic step both looks at the door and counts: none can slip in behind `close`. Every success is followed by
    /// one `leave`.
    func enter() throws(EngineError) {
        let before = word.wrappingAdd(1, ordering: .acquiringAndReleasing).oldValue
        if before < callsMax { return }
        leave()
        throw before & Self.closed != 0 ? .closed : .busy
    }

    func leave() { word.wrappingSubtract(1, ordering: .acquiringAndReleasing) }

    /// Lets nobody in any more. False when it was closed before.
    func close() -> Bool { word.bitwiseOr(Self.closed, ordering: .acquiringAndReleasing).oldValue & Self.closed == 0 }

    var isClosed: Bool { word.load(ordering: .relaxed) & Self.closed != 0 }
    /// Once closed and seen empty it stays so. Acquiring: what those who left have done is seen.
    var isEmpty: Bool { word.load(ordering: .acquiring) & ~Self.closed == 0 }
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
    private let progress: ReplayProgress
    init(count: Int, progress: ReplayProgress) {
        self.count = count
        self.progress = progress
    }

    /// Frees everybody with an error: somebody will never come.
    func fail(_ error: EngineError) { state.withLock { $0.errors.append(error) } }

    /// Waits for everybody. Throws for all when somebody has failed, or the start was cancelled.
    func wait() throws(EngineError) {
        let round = state.withLock { s in
            s.arrived += 1
            let mine = s.round
            if s.arrived == count {
                s.arrived = 0
                s.round += 1
            }
            return mine
        }
        // An error frees everybody, in whatever round they wait.
        while state.withLock({ $0.round == round && $0.errors.isEmpty }) {
            // Not once the round is over: the others have gone on, and would not hear of it.
            if progress.isCancelled { state.withLock { if $0.round == round { $0.errors.append(.cancelled) } } }
            suanpan_sleep_microseconds(200)
        }
        // Once the round is over all have come: those who fail next are heard of in the next round.
        if let first = state.withLock({ $0.round == round ? $0.errors.first : nil }) { throw first }
    }
}
