// What every core says of itself, for INFO, `status` and the embedding API: each core writes its own row of plain
// counters, anybody reads them all. Rows may be a fraction of a second old and are not a consistent cut; the sums of the ledgers are one.

public import SuanpanCore
public import SuanpanJournal
internal import Synchronization

/// One number of a core's row.
public enum Metric: Int, CaseIterable, Sendable {
    case connections, accepted, refusedConnections, requests, commands, busy, malformed, stalls, timeouts, replyBytes
    case accounts, transfers, refusals, ledgerBytes
    /// How full tables are, in percent.
    case accountsFull, idsFull, pendingsFull
    case appendedLSN, acknowledgedLSN, durableLSN, groups, journalBytes, records, diskFull
    /// Errno of why there are no further segments at present.
    case segmentErrno
    case syncP50, syncP99, syncMax
    case latencyP50, latencyP99, latencyMax
    /// Of `transfers`, those that the start found in the log: the counters that follow begin there.
    case transfersBefore
    case crossings, waits, restarts, redone, queueDepth, queueingP99, backpressure
    case cpuNanoseconds, ticks, rate, sleeps
    case cuts
}

/// What does not change while the engine runs.
public struct StatusFacts: Sendable {
    public var version = ""
    public var durability = "sync"
    public var shardCount = 1
    public var salt: UInt128 = 0
    public var slots: [UInt16] = []
    public var dataDirectory = ""
    public var filesystem = ""
    public var syncMilliseconds = 0.0
    public var startedAt: UInt64 = 0
    public var nativePort: UInt16 = 0
    public var respPort: UInt16 = 0
    public var processID = 0
    public var cpuModel = ""
    public var memoryLimitBytes = 0
    public var replyLimitBytes = 0
    /// What the engine takes beside its tables, and what the machine or the control group has for all.
    public var memoryFixedBytes = 0
    public var memoryAvailableBytes = 0
    /// By shard; empty: no thread is pinned.
    public var pinnedCPUs: [Int] = []
    public init() {}
}

public final class StatusBoard: Sendable {
    public let facts: StatusFacts
    /// Of the start; nil: nothing is replayed.
    private let progress: ReplayProgress?
    private let recovered = Atomic<UInt64>(0)
    /// Nanoseconds that the wall clock stands ahead of the engine's, or behind it.
    private let clockAhead = Atomic<UInt64>(0)
    private let clockBehind = Atomic<UInt64>(0)
    private let coreCount: Int
    private let rows: [Row]

    /// What has knocked at the doors, and who guesses passwords.
    let notices = Notices()
    let passwords = PasswordGuard()
    let rareEvents = RareEvents()

    private let books = Mutex<Books?>(nil)
    private let broken = Atomic<Bool>(false)
    private let auditedAt = Atomic<UInt64>(0)

    private final class Row: Sendable {
        let words: [Word]
        init(count: Int) { words = (0..<count).map { _ in Word() } }
    }
    private final class Word: Sendable { let value = Atomic<UInt64>(0) }

    public init(coreCount: Int, facts: StatusFacts, progress: ReplayProgress? = nil) {
        self.progress = progress
        self.coreCount = coreCount
        self.facts = facts
        rows = (0..<coreCount).map { _ in Row(count: Metric.allCases.count) }
    }

    // Relaxed throughout: each number stands for itself.

    public func setRecovered(_ milliseconds: UInt64) { recovered.store(milliseconds, ordering: .relaxed) }
    var recoveredMilliseconds: UInt64 { recovered.load(ordering: .relaxed) }

    /// The logs are being replayed: so many percent of them are done. Nil: the engine serves.
    var loadingPercent: Int? { progress.flatMap { $0.isFinished ? nil : $0.percent } }
    var loadingBytes: (done: UInt64, total: UInt64) { progress.map { ($0.bytesDone, $0.bytesTotal) } ?? (0, 0) }

    public func setClock(ahead: UInt64, behind: UInt64) {
        clockAhead.store(ahead, ordering: .relaxed)
        clockBehind.store(behind, ordering: .relaxed)
    }
    var clockAheadNanoseconds: UInt64 { clockAhead.load(ordering: .relaxed) }
    var clockBehindNanoseconds: UInt64 { clockBehind.load(ordering: .relaxed) }

    public func set(_ core: Int, _ metric: Metric, _ value: UInt64) {
        rows[core].words[metric.rawValue].value.store(value, ordering: .relaxed)
    }

    public func get(_ core: Int, _ metric: Metric) -> UInt64 {
        rows[core].words[metric.rawValue].value.load(ordering: .relaxed)
    }

    public func sum(_ metric: Metric) -> UInt64 { (0..<coreCount).reduce(0) { $0 &+ get($1, metric) } }
    public func highest(_ metric: Metric) -> UInt64 { (0..<coreCount).reduce(0) { max($0, get($1, metric)) } }

    // MARK: The books

    /// Shows the sums of a cut.
    /// - Returns: True when they are the first that are not balanced: from now on no writes are taken.
    public func setTotals(_ sums: [LedgerTotals], at time: Timestamp) -> Bool {
        books.withLock { $0 = Books(time: time, sums: sums) }
        guard !sums.allSatisfy(\.isBalanced) else { return false }
        return !broken.exchange(true, ordering: .relaxed)
    }

    /// Debits and credits were found to differ: fronts take no writes.
    public var isBroken: Bool { broken.load(ordering: .relaxed) }

    /// What the last cut has shown; nil: none yet.
    func lastTotals() -> Books? { books.withLock { $0 } }

    /// True for one caller in `every` nanoseconds: a look at the books is its to ask for.
    public func beginAudit(now: UInt64, every: UInt64) -> Bool {
        let last = auditedAt.load(ordering: .relaxed)
        guard last == 0 || now > last && now - last >= every else { return false }
        return auditedAt.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged
    }
}

/// The sums of all ledgers at one moment.
struct Books: Sendable {
    var time: Timestamp
    var sums: [LedgerTotals]
}
