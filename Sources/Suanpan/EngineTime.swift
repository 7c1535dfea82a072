// The engine's time source: monotonic time plus an offset that only grows. A wall clock that is set back while the
// engine runs changes nothing; one that was set back before a start is overruled by the log's ceiling.

internal import CSuanpanSupport
internal import Synchronization

final class EngineTime: Sendable {
    private let offset: Atomic<UInt64>

    /// - Parameter ceiling: The highest clock of any log: time goes on above it.
    init(ceiling: UInt64) {
        let wall = suanpan_realtime_ns()
        offset = Atomic(max(wall, ceiling &+ 1) &- suanpan_monotonic_ns())
    }

    /// Nanoseconds since the Unix epoch at a monotonic time.
    func at(_ monotonic: UInt64) -> UInt64 { monotonic &+ offset.load(ordering: .relaxed) }

    /// Follows a wall clock that has been set forward; one core calls it now and then.
    func follow() {
        // In this order: a thread that is held up in between takes too small an offset, never one that lies ahead.
        let wall = suanpan_realtime_ns()
        let monotonic = suanpan_monotonic_ns()
        if wall > at(monotonic) &+ 1_000_000 { offset.store(wall &- monotonic, ordering: .relaxed) }
    }

    /// Seconds by which the wall clock stands behind: it was set back.
    func secondsAhead() -> UInt64 {
        let now = at(suanpan_monotonic_ns())
        let wall = suanpan_realtime_ns()
        return now > wall ? (now - wall) / 1_000_000_000 : 0
    }
}
