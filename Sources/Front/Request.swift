// What a front knows of a request under way: where the answer goes, how many events are still out, and where their
// results are gathered. Fixed tables of one core.

internal import SuanpanCore
internal import SuanpanWire

/// Which protocol a connection speaks.
public enum Door: UInt8, BitwiseCopyable, Sendable {
    case native = 0
    case resp = 1

    var name: String { self == .native ? "native" : "RESP" }
}

/// What is done with the results.
enum RequestKind: UInt8, BitwiseCopyable {
    case nativeCreate
    case nativeLookupAccounts
    case nativeLookupTransfers
    case nativeTotals
    case respTransfer
    /// A chain of transfers, of accounts: an array.
    case respExec
    case respExecAccounts
    case respAccountCreate
    case respAccountGet
    /// Several accounts, as of one moment: an array.
    case respAccountGetMany
    case respTotals
    case respTransferGet
    /// A read of history: its answer stands in `Front.historyCalls`.
    case nativeHistory
    case respHistory
    case embedded
}

struct Request: BitwiseCopyable {
    var kind: RequestKind
    /// Every event so far was created.
    var allCreated: Bool
    var isComplete: Bool
    /// Of a native request: the `Operation`'s number.
    var operation: UInt8
    var connection: UInt32
    var generation: UInt32
    /// The client's id of a native request.
    var requestID: UInt64
    var count: UInt32
    var remaining: UInt32
    /// Where the results are gathered; see ResultPool.
    var buffer: UInt32
    /// The answer may leave when the own log is acknowledged up to here.
    var lsn: UInt64
    /// Next of the connection's requests, in order (RESP).
    var next: UInt32
    /// The shard that decides it, and the accounts it concerns (RESP: later commands may have to wait for it).
    var coordinator: UInt16
    var firstAccount: AccountID
    var secondAccount: AccountID
    var startedAt: UInt64
}

/// Memory for the results of requests under way: places for a few results, and places for full batches.
struct ResultPool: ~Copyable {
    /// A found record with a flag in front, so that either kind of result has a fixed place.
    static let recordStride = 144
    static let smallBytes = 1024
    static let largeBytes = Limits.eventsPerRequestMax * recordStride
    private var region: RawRegion
    private var freeSmall: FixedArray<UInt32>
    private var freeSmallCount: Int
    private var freeLarge: FixedArray<UInt32>
    private var freeLargeCount: Int
    private let smallCount: Int

    init(smallCount: Int, largeCount: Int) {
        self.smallCount = smallCount
        region = RawRegion(count: smallCount * Self.smallBytes + largeCount * Self.largeBytes)
        freeSmall = FixedArray(count: smallCount)
        freeLarge = FixedArray(count: largeCount)
        for i in 0..<smallCount { freeSmall[i] = UInt32(smallCount - 1 - i) }
        for i in 0..<largeCount { freeLarge[i] = UInt32(smallCount + largeCount - 1 - i) }
        freeSmallCount = smallCount
        freeLargeCount = largeCount
    }

    /// A place for `bytes` of results, or nil when all of that size are in use.
    mutating func take(bytes: Int) -> UInt32? {
        if bytes <= Self.smallBytes {
            guard freeSmallCount > 0 else { return nil }
            freeSmallCount -= 1
            return freeSmall[freeSmallCount]
        }
        guard freeLargeCount > 0 else { return nil }
        freeLargeCount -= 1
        return freeLarge[freeLargeCount]
    }

    mutating func give(_ buffer: UInt32) {
        if buffer < smallCount {
            freeSmall[freeSmallCount] = buffer
            freeSmallCount += 1
        } else {
            freeLarge[freeLargeCount] = buffer
            freeLargeCount += 1
        }
    }

    private func offset(_ buffer: UInt32) -> Int {
        buffer < smallCount
            ? Int(buffer) * Self.smallBytes
            : smallCount * Self.smallBytes + (Int(buffer) - smallCount) * Self.largeBytes
    }

    @inline(__always)
    mutating func store(_ result: EventResult, _ buffer: UInt32, _ index: Int) {
        region.store(result, at: offset(buffer) + index * 16)
    }
    @inline(__always)
    func result(_ buffer: UInt32, _ index: Int) -> EventResult {
        region.load(EventResult.self, at: offset(buffer) + index * 16)
    }

    mutating func store<Record: BitwiseCopyable>(found record: Record, _ buffer: UInt32, _ index: Int) {
        let at = offset(buffer) + index * Self.recordStride
        region.store(UInt64(1), at: at)
        region.store(record, at: at + 16)
    }
    mutating func storeMissing(_ buffer: UInt32, _ index: Int) {
        region.store(UInt64(0), at: offset(buffer) + index * Self.recordStride)
    }
    func record<Record: BitwiseCopyable>(_ type: Record.Type, _ buffer: UInt32, _ index: Int) -> Record? {
        let at = offset(buffer) + index * Self.recordStride
        guard region.load(UInt64.self, at: at) == 1 else { return nil }
        return region.load(Record.self, at: at + 16)
    }

    /// Calls `body` with `count` results.
    func withResults(_ count: Int, _ buffer: UInt32, _ body: (Span<EventResult>) -> Void) {
        region.withValues(EventResult.self, at: offset(buffer), count: count, body)
    }
}
