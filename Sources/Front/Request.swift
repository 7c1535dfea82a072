// What a front knows of a request under way: where the answer goes, how many events are still out, and where their
// results are gathered. Fixed tables of one core.

internal import SuanpanCore
internal import SuanpanUring
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
    /// The front's own, for the order of a connection's commands: nobody is answered.
    case accountFact
    case embedded
}

struct Request: BitwiseCopyable {
    var kind: RequestKind
    /// Every event so far was created.
    var allCreated: Bool
    var isComplete: Bool
    /// Its one event or chain was decided as it was handed in, though the answers are not there yet.
    var isDecided: Bool
    /// Of a native request: the `Operation`'s number.
    var operation: UInt8
    var connection: UInt32
    var generation: UInt32
    /// The client's id of a native request; of an `accountFact`, `RareEvents.vastCount` when it was asked.
    var requestID: UInt64
    var count: UInt32
    var remaining: UInt32
    /// Where the results are gathered; see ResultPool.
    var buffer: UInt32
    /// The answer may leave when the own log is acknowledged up to here.
    var lsn: UInt64
    /// Next of the connection's requests, in order (RESP).
    var next: UInt32
    /// What it uses while it is undecided, see `CommandOrder`; 0: nothing that later commands must wait for (RESP).
    var uses: UInt32
    /// `+OK` and so many `+QUEUED` come behind its reply: those of a MULTI that was read meanwhile (RESP).
    var beginsMulti: Bool
    var queuedCount: UInt8
    /// The pending transfer that it asks for, where it does (RESP).
    var makesHold: Bool
    var hold: KnownHold
    var startedAt: UInt64
}

/// Places of one size.
private struct ResultPlaces: ~Copyable {
    let first: UInt32
    let begin: Int
    let bytes: Int
    private var free: FreeList

    init(count: Int, bytes: Int, first: Int, begin: Int) {
        self.first = UInt32(first)
        self.begin = begin
        self.bytes = bytes
        free = FreeList(count: count)
    }

    mutating func take() -> UInt32? { free.count > 0 ? first + free.take() : nil }
    mutating func give(_ buffer: UInt32) { free.give(buffer - first) }
    func offset(_ buffer: UInt32) -> Int { begin + Int(buffer - first) * bytes }
}

/// Memory for the results of requests under way: places for a few results, for full batches, and for full look-ups.
struct ResultPool: ~Copyable {
    /// A found record with a flag in front, so that either kind of result has a fixed place.
    static let recordStride = 144
    static let smallBytes = 1024
    static let largeBytes = Limits.eventsPerRequestMax * MemoryLayout<EventResult>.stride
    static let lookupBytes = Limits.eventsPerRequestMax * recordStride
    private var region: RawRegion
    private var small: ResultPlaces
    private var large: ResultPlaces
    private var lookups: ResultPlaces

    /// What it maps.
    static func bytes(_ bounds: FrontBounds) -> Int {
        bounds.requests * smallBytes + bounds.largeRequests * largeBytes + bounds.largeLookups * lookupBytes
    }

    /// - Throws: When the machine does not give the memory.
    init(_ bounds: FrontBounds) throws(RingError) {
        region = try Self.region(Self.bytes(bounds))
        small = ResultPlaces(count: bounds.requests, bytes: Self.smallBytes, first: 0, begin: 0)
        let begin = bounds.requests * Self.smallBytes
        large = ResultPlaces(count: bounds.largeRequests, bytes: Self.largeBytes, first: bounds.requests, begin: begin)
        lookups = ResultPlaces(
            count: bounds.largeLookups, bytes: Self.lookupBytes, first: bounds.requests + bounds.largeRequests,
            begin: begin + bounds.largeRequests * Self.largeBytes)
    }

    private static func region(_ bytes: Int) throws(RingError) -> RawRegion {
        do throws(SystemError) { return try RawRegion(asking: bytes, for: "the results of requests") } catch {
            throw .system(error)
        }
    }

    /// A place for `bytes` of results, or nil when all of that size are in use.
    mutating func take(bytes: Int) -> UInt32? {
        if bytes <= Self.smallBytes { return small.take() }
        return bytes <= Self.largeBytes ? large.take() : lookups.take()
    }

    mutating func give(_ buffer: UInt32) {
        if buffer < large.first {
            small.give(buffer)
        } else if buffer < lookups.first {
            large.give(buffer)
        } else {
            lookups.give(buffer)
        }
    }

    private func offset(_ buffer: UInt32) -> Int {
        if buffer < large.first { return small.offset(buffer) }
        return buffer < lookups.first ? large.offset(buffer) : lookups.offset(buffer)
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
