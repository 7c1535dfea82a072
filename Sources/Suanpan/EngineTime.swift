// The engine's time source: monotonic time plus an offset that only grows. A wall clock that is set back while the
// engine runs changes nothing; one that was set back before a start is overruled by the log's ceiling. One that is set
// forward is followed by small steps only: a large one would expire whatever is held and put all later timestamps into the
// future, for good. So it is reported, and followed when the operator says so.

internal import CSuanpanSupport
internal import Synchronization

/// Where time is read. Tests give it other ones.
struct Clocks: Sendable {
    /// Nanoseconds since the Unix epoch, as the machine has been told.
    var wall: @Sendable () -> UInt64
    /// Nanoseconds since some moment, whatever anybody sets.
    var monotonic: @Sendable () -> UInt64

    static let machine = Clocks(wall: { suanpan_realtime_ns() }, monotonic: { suanpan_monotonic_ns() })
}

/// What becomes of a wall clock that stands too far ahead of the ledger at a start.
public enum ClockPolicy: String, Sendable, CaseIterable {
    /// The start fails and says how far. The default.
    case check
    /// It is right, says the operator: the engine goes on from there.
    case follow
}

/// How far the wall clock stands from the engine's, and what that has just led to.
struct ClockReport: Equatable, Sendable {
    /// The wall clock's nanoseconds ahead of the engine's, which does not follow it; or behind it.
    var ahead: UInt64 = 0
    var behind: UInt64 = 0
    /// It began, or ceased, to stand too far ahead since the last look.
    var isNews = false
}

final class EngineTime: Sendable {
    private let clocks: Clocks
    private let offset: Atomic<UInt64>
    private let jumpMax: UInt64
    /// From the log's last time to the start; 0: there was no log, or the wall clock stood behind it.
    let awaySeconds: UInt64
    /// The wall clock was found too far ahead, and that was said.
    private let isReported = Atomic<Bool>(false)

    // Bounds of what is believed, in nanoseconds since the epoch.

    /// 2024: no ledger of this engine is older; a machine without a clock begins in 1970 or 2000.
    static let earliest: UInt64 = 1_704_067_200_000_000_000
    /// 2200: later than that no directory is made.
    static let latestFirst: UInt64 = 7_258_118_400_000_000_000
    /// 2400: 64 bits end in 2554, and the longest timeout takes 136 years, so that up to here every deadline can be told.
    static let end: UInt64 = 13_569_465_600_000_000_000
    /// 90 days: a server may be off for weeks, and a ledger be put aside for a quarter.
    static let absenceMax: UInt64 = 90 * 86_400_000_000_000
    /// What is no difference: the time between two readings.
    private static let jitter: UInt64 = 1_000_000

    /// - Parameters:
    ///   - ceiling: The highest clock of any log, above which time goes on; 0: there is none yet.
    ///   - jumpMaxSeconds: A step forward of the wall clock that is followed while the engine runs.
    /// - Throws: `clock` when the wall clock, or the log, can't be believed.
    init(
        ceiling: UInt64, policy: ClockPolicy = .check, jumpMaxSeconds: Int = 60, clocks: Clocks = .machine
    ) throws(EngineError) {
        let wall = clocks.wall()
        if let wrong = Self.fault(wall, ceiling, policy) { throw .clock(wrong) }
        self.clocks = clocks
        awaySeconds = ceiling == 0 || wall < ceiling ? 0 : (wall - ceiling) / 1_000_000_000
        let (jump, overflow) = UInt64(max(0, jumpMaxSeconds)).multipliedReportingOverflow(by: 1_000_000_000)
        jumpMax = overflow ? .max : jump
        offset = Atomic(max(wall, ceiling &+ 1) &- clocks.monotonic())
    }

    /// Of a directory that is still to be made, as the start of its engine would see it.
    /// - Throws: `clock` when the wall clock can't be believed.
    static func checkFirstStart(_ policy: ClockPolicy, clocks: Clocks = .machine) throws(EngineError) {
        if let wrong = fault(clocks.wall(), 0, policy) { throw .clock(wrong) }
    }

    /// The time at which a start would go on now, for whoever only reads: above the logs' last time, and no later than that
    /// where the wall clock would be refused.
    static func offline(ceiling: UInt64, clocks: Clocks = .machine) -> UInt64 {
        let wall = clocks.wall()
        return fault(wall, ceiling, .check) == nil ? max(wall, ceiling &+ 1) : ceiling
    }

    /// Why time can't begin there; nil: it can.
    private static func fault(_ wall: UInt64, _ ceiling: UInt64, _ policy: ClockPolicy) -> String? {
        if ceiling >= end {
            return
                "the ledger's last timestamp is \(text(ceiling)), and time ends in 2554: restore a backup from before the "
                + "machine's clock went wrong"
        }
        if wall >= end {
            return "the machine's clock says \(text(wall)): set it"
        }
        if policy == .follow { return nil }
        if ceiling == 0 {
            guard wall < earliest || wall >= latestFirst else { return nil }
            return "the machine's clock says \(text(wall)): set it, or start with --clock follow if that is right"
        }
        guard wall > ceiling, wall - ceiling > absenceMax else { return nil }
        return
            "the machine's clock says \(text(wall)), \((wall - ceiling) / 86_400_000_000_000) days after the ledger's last "
            + "timestamp (\(text(ceiling))): holds of that time would expire, for good. Set the clock, or start with --clock "
            + "follow if it is right"
    }

    /// A day, of a time in nanoseconds: `2026-11-28`. (Howard Hinnant, "chrono-compatible low-level date algorithms".)
    static func text(_ nanoseconds: UInt64) -> String {
        let days = nanoseconds / 86_400_000_000_000 + 719_468
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return "\(year)-\(month < 10 ? "0" : "")\(month)-\(day < 10 ? "0" : "")\(day)"
    }

    /// Nanoseconds since the Unix epoch at a monotonic time.
    func at(_ monotonic: UInt64) -> UInt64 { monotonic &+ offset.load(ordering: .relaxed) }

    /// Follows a wall clock that has been set forward a little; any core calls it now and then.
    func follow() -> ClockReport {
        // In this order: a thread that is held up in between takes too small an offset, never one that lies ahead.
        let wall = clocks.wall()
        let monotonic = clocks.monotonic()
        let now = at(monotonic)
        var report = ClockReport()
        if wall < now {
            if now - wall > Self.jitter { report.behind = now - wall }
        } else if wall - now > Self.jitter {
            if wall - now <= jumpMax && wall < Self.end { set(wall, monotonic) } else { report.ahead = wall - now }
        }
        report.isNews = isReported.exchange(report.ahead > 0, ordering: .relaxed) != (report.ahead > 0)
        return report
    }

    /// Follows the wall clock however far it is ahead: the operator says that it is right. False: it is not ahead, or
    /// nothing can be right that far.
    func accept() -> Bool {
        let wall = clocks.wall()
        let monotonic = clocks.monotonic()
        guard wall > at(monotonic), wall < Self.end else { return false }
        set(wall, monotonic)
        return true
    }

    /// Several threads may do so at once: the offset never falls.
    private func set(_ wall: UInt64, _ monotonic: UInt64) {
        var old = offset.load(ordering: .relaxed)
        while monotonic &+ old < wall {
            let result = offset.compareExchange(expected: old, desired: wall &- monotonic, ordering: .relaxed)
            if result.exchanged { return }
            old = result.original
        }
    }

    /// Seconds by which the wall clock stands behind: it was set back.
    func secondsAhead() -> UInt64 {
        let now = at(clocks.monotonic())
        let wall = clocks.wall()
        return now > wall ? (now - wall) / 1_000_000_000 : 0
    }
}
