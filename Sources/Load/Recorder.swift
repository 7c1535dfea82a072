// What a load thread counts, and what the threads share with the main one: a row per second while the run goes on, all of
// it at the end. Counting touches the thread's own memory alone; the shared part is locked once a second.

internal import Histogram
internal import SuanpanCore
internal import Synchronization

typealias Latencies = Histogram<UInt64>

extension Histogram where Count == UInt64 {
    /// Nanoseconds, exact to `digits` from 1 µs to one hour.
    init(digits: SignificantDigits) {
        self.init(
            lowestDiscernibleValue: 1_000, highestTrackableValue: Recorder.latencyMax,
            numberOfSignificantValueDigits: digits)
    }
    func milliseconds(_ percentile: Double) -> Double { Double(valueAtPercentile(percentile)) / 1e6 }
}

/// Transfers, or purchases, of one second: offered by the time they were due, the others by the time of their answer.
struct SecondCounts: Sendable {
    var offered: UInt64 = 0
    var accepted: UInt64 = 0
    var busy: UInt64 = 0

    static func += (a: inout Self, b: Self) {
        a.offered += b.offered
        a.accepted += b.accepted
        a.busy += b.busy
    }
}

/// A second of the run as the threads have told it so far.
struct SecondRow: Sendable {
    var counts = SecondCounts()
    var latencies = Latencies(digits: .two)
    var threads = 0
}

/// Everything that one thread has to say in the end.
struct ThreadResult: Sendable {
    var latencies = Latencies(digits: .three)
    var seconds: [SecondCounts] = []
    /// Answers by result code, those to purchases by what refused them; the last entry counts codes that are not known here.
    var codes = [UInt64](repeating: 0, count: 257)
    /// Of purchases, by step: transfers created, and latencies from the sending.
    var created = [UInt64](repeating: 0, count: PurchaseStep.allCases.count)
    var steps: [Latencies] = []
    /// Transfers that were created.
    var transfersCreated: UInt64 { steps.isEmpty ? codes[Int(ResultCode.created.rawValue)] : created.reduce(0, +) }
    var offered: UInt64 = 0
    var errors: UInt64 = 0
    /// Due, but not sent when the run ended.
    var unsent: UInt64 = 0
    /// Sent, but not answered when the run ended.
    var unanswered: UInt64 = 0
    var firstError: String?
    var failure: LoadError?
    /// Nanoseconds after the start of the run.
    var lastReply: UInt64 = 0
    /// Of the run alone, without connecting.
    var cpuNanoseconds: UInt64 = 0
    var connectionsLost = 0
}

/// Counts for one thread. Allocates when the run enters a second beyond those made ahead, never per request.
struct Recorder {
    static let latencyMax: UInt64 = 3_600_000_000_000
    private static let secondsAhead = 4096

    var result = ThreadResult()
    private var current = Latencies(digits: .two)
    private var second = 0
    /// Of replies read after `second` ended and before it was shared.
    private var ahead = Latencies(digits: .two)

    /// - Parameter buys: The load makes purchases.
    init(buys: Bool) {
        result.seconds.reserveCapacity(Self.secondsAhead)
        if buys { result.steps = PurchaseStep.allCases.map { _ in Latencies(digits: .three) } }
    }

    @inline(__always)
    private mutating func reach(_ second: Int) {
        while result.seconds.count <= second { result.seconds.append(SecondCounts()) }
    }

    /// `count` transfers were due at `time` nanoseconds after the start.
    @inline(__always)
    mutating func offer(_ count: Int, at time: UInt64) {
        let second = Int(time / 1_000_000_000)
        reach(second)
        result.seconds[second].offered += UInt64(count)
        result.offered += UInt64(count)
    }

    @inline(__always)
    mutating func count(code: UInt16) { result.codes[min(Int(code), 256)] += 1 }

    /// A request was answered at `time`: `accepted` and `busy` of its `count` transfers; the rest was refused.
    @inline(__always)
    mutating func answer(_ count: Int, accepted: Int, busy: Int, latency: UInt64, at time: UInt64) {
        let second = Int(time / 1_000_000_000)
        reach(second)
        result.seconds[second].accepted += UInt64(accepted)
        result.seconds[second].busy += UInt64(busy)
        result.lastReply = time
        // A busy answer is not a decision: it would make a server look the faster the more it turns away.
        let decided = UInt64(count - busy)
        if decided == 0 { return }
        let value = min(latency, Self.latencyMax)
        result.latencies.record(value, count: decided)
        if second == self.second { current.record(value, count: decided) } else { ahead.record(value, count: decided) }
    }

    /// A purchase's step was decided.
    @inline(__always)
    mutating func answer(_ step: PurchaseStep, latency: UInt64, isCreated: Bool) {
        result.steps[Int(step.rawValue)].record(min(latency, Self.latencyMax))
        if isCreated { result.created[Int(step.rawValue)] += UInt64(step.count) }
    }

    /// Transfers that were due and never sent: they waited at least `latency`.
    mutating func leave(_ count: Int, latency: UInt64) {
        result.unsent += UInt64(count)
        result.latencies.record(min(latency, Self.latencyMax), count: UInt64(count))
    }

    /// Transfers, or a purchase, that were sent and not answered: they waited at least `latency`.
    mutating func abandon(_ count: Int, latency: UInt64) {
        result.unanswered += UInt64(count)
        result.latencies.record(min(latency, Self.latencyMax), count: UInt64(count))
    }

    /// Shares the seconds that are over at `time`.
    @inline(__always)
    mutating func turn(_ time: UInt64, _ control: RunControl) {
        let now = Int(time / 1_000_000_000)
        if now > second { share(until: now, control) }
    }

    private mutating func share(until now: Int, _ control: RunControl) {
        reach(now)
        let counts = result.seconds[second]
        let latencies = current
        let shared = second
        control.rows.withLock { rows in
            while rows.count < now { rows.append(SecondRow()) }
            rows[shared].counts += counts
            rows[shared].latencies.add(latencies)
            for i in shared..<now { rows[i].threads += 1 }
        }
        current.reset()
        swap(&current, &ahead)
        second = now
    }

    /// Shares the last, unfinished second and ends.
    mutating func finish(_ control: RunControl) -> ThreadResult {
        share(until: second + 1, control)
        if current.totalCount > 0 { share(until: second + 1, control) }
        return result
    }
}

/// What the main thread and the load threads tell each other.
final class RunControl: Sendable {
    let threads: Int
    /// Threads whose connections stand, or that have failed.
    let ready = Atomic<Int>(0)
    /// Monotonic nanoseconds at which the run begins; 0: not yet.
    let startAt = Atomic<UInt64>(0)
    /// 0: go on; 1: send nothing new; 2: leave at once.
    let stop = Atomic<Int>(0)
    let rows = Mutex<[SecondRow]>([])
    let results = Mutex<[ThreadResult]>([])

    init(threads: Int) { self.threads = threads }

    // Relaxed suffices for all of these: each is a lone flag or number, and results travel under a lock.
    var stopping: Int { stop.load(ordering: .relaxed) }
    func raiseStop(to level: Int) { if stopping < level { stop.store(level, ordering: .relaxed) } }
}
