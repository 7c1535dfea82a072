// What every core says of itself, for INFO, `status` and the embedding API: each core writes its own row of plain
// counters, anybody reads them all. Rows may be a fraction of a second old and are not a consistent cut.

internal import SuanpanCore
internal import Synchronization

/// One number of a core's row.
public enum Metric: Int, CaseIterable, Sendable {
    case connections, accepted, refusedConnections, requests, busy, malformed, stalls, timeouts
    case accounts, transfers, refusals, ledgerBytes
    case appendedLSN, acknowledgedLSN, durableLSN, groups, journalBytes, records, diskFull
    case syncP50, syncP99, syncMax
    case latencyP50, latencyP99, latencyMax
    case crossings, waits, restarts, redone, queueDepth, queueingP99, backpressure
    case cpuNanoseconds, ticks, rate, sleeps
    case ledgers
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
    public init() {}
}

public final class StatusBoard: Sendable {
    public let facts: StatusFacts
    private let recovered = Atomic<UInt64>(0)
    private let coreCount: Int
    private let rows: [Row]

    /// Totals of so many ledgers are shown per core.
    public static let ledgersShown = 8
    static let wordsPerLedger = 9

    private final class Row: Sendable {
        let words: [Word]
        init(count: Int) { words = (0..<count).map { _ in Word() } }
    }
    private final class Word: Sendable { let value = Atomic<UInt64>(0) }

    public init(coreCount: Int, facts: StatusFacts) {
        self.coreCount = coreCount
        self.facts = facts
        let words = Metric.allCases.count + Self.ledgersShown * Self.wordsPerLedger
        rows = (0..<coreCount).map { _ in Row(count: words) }
    }

    // Relaxed throughout: each number stands for itself.

    public func setRecovered(_ milliseconds: UInt64) { recovered.store(milliseconds, ordering: .relaxed) }
    var recoveredMilliseconds: UInt64 { recovered.load(ordering: .relaxed) }

    public func set(_ core: Int, _ metric: Metric, _ value: UInt64) {
        rows[core].words[metric.rawValue].value.store(value, ordering: .relaxed)
    }

    public func get(_ core: Int, _ metric: Metric) -> UInt64 {
        rows[core].words[metric.rawValue].value.load(ordering: .relaxed)
    }

    public func sum(_ metric: Metric) -> UInt64 { (0..<coreCount).reduce(0) { $0 &+ get($1, metric) } }
    public func highest(_ metric: Metric) -> UInt64 { (0..<coreCount).reduce(0) { max($0, get($1, metric)) } }

    /// The running totals of one of a core's ledgers.
    public func setTotals(_ core: Int, _ slot: Int, ledger: UInt32, _ sums: [UInt128]) {
        guard slot < Self.ledgersShown else { return }
        let base = Metric.allCases.count + slot * Self.wordsPerLedger
        rows[core].words[base].value.store(UInt64(ledger), ordering: .relaxed)
        for (i, sum) in sums.enumerated() {
            rows[core].words[base + 1 + 2 * i].value.store(UInt64(truncatingIfNeeded: sum), ordering: .relaxed)
            rows[core].words[base + 2 + 2 * i].value.store(UInt64(truncatingIfNeeded: sum >> 64), ordering: .relaxed)
        }
    }

    /// Per ledger: debits pending and posted, credits pending and posted, summed over all cores.
    func totals() -> [(ledger: UInt32, sums: [UInt128])] {
        var byLedger: [UInt32: [UInt128]] = [:]
        for core in 0..<coreCount {
            for slot in 0..<min(Int(get(core, .ledgers)), Self.ledgersShown) {
                let base = Metric.allCases.count + slot * Self.wordsPerLedger
                func word(_ i: Int) -> UInt64 { rows[core].words[base + i].value.load(ordering: .relaxed) }
                var sums = byLedger[UInt32(truncatingIfNeeded: word(0))] ?? [0, 0, 0, 0]
                for i in 0..<4 { sums[i] &+= UInt128(word(2 + 2 * i)) << 64 | UInt128(word(1 + 2 * i)) }
                byLedger[UInt32(truncatingIfNeeded: word(0))] = sums
            }
        }
        return byLedger.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
