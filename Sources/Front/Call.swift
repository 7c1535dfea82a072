// A call of the embedding API: its events, shared with the shards that decide them, and its results, written by them.
// One part per shard concerned; the last part to end tells the caller.

public import SuanpanCore
public import SuanpanLanes
internal import Synchronization

/// What an embedding caller asks for.
public enum CallKind: UInt8, Sendable {
    case createTransfers
    case createAccounts
    case lookupAccounts
    case lookupTransfers
    /// Events are `Shard.freezeKey`s.
    case freezeAccounts
    /// One part, at core 0.
    case consistentAccounts
    case totals

    public var writes: Bool { self == .createTransfers || self == .createAccounts || self == .freezeAccounts }
    var asksForCut: Bool { self == .consistentAccounts || self == .totals }
}

/// A call under way. The events are plain 128-byte records: transfers, accounts, or keys to look up.
@safe
public final class Call: @unchecked Sendable {
    // SAFETY of Sendable: each place of `results` is written by the one shard whose part lists it, and so is that place of
    // `events` by a look-up, which puts what it finds in the place of its key; nothing else changes events after the call was
    // handed over. The countdown of `partsLeft` (release by each part, acquire by the last) orders all of it before `done`.
    public let kind: CallKind
    public let count: Int
    private let events: UnsafeMutablePointer<Transfer>
    private let results: UnsafeMutablePointer<EventResult>
    private let partsLeft: Atomic<Int>
    /// What `totals` has found; written by its one part.
    public private(set) var totals: [LedgerTotals] = []
    private let abandoned = Atomic<Bool>(false)
    private let done: @Sendable () -> Void

    /// - Parameters:
    ///   - parts: How many `CallPart`s will be handed over for it.
    ///   - done: Called once, on the thread of a core: must not block.
    public init(kind: CallKind, events source: [Transfer], parts: Int, done: @escaping @Sendable () -> Void) {
        self.kind = kind
        count = source.count
        unsafe events = .allocate(capacity: max(1, source.count))
        unsafe events.initialize(from: source, count: source.count)
        unsafe results = .allocate(capacity: max(1, source.count))
        unsafe results.initialize(repeating: EventResult(.created), count: source.count)
        partsLeft = Atomic(parts)
        self.done = done
    }

    deinit {
        unsafe events.deallocate()
        unsafe results.deallocate()
    }

    @inline(__always)
    public func event(_ index: Int) -> Transfer {
        invariant(UInt(bitPattern: index) < UInt(bitPattern: count), "event \(index) of \(count)")
        return unsafe events[index]
    }

    public func result(_ index: Int) -> EventResult {
        invariant(UInt(bitPattern: index) < UInt(bitPattern: count), "result \(index) of \(count)")
        return unsafe results[index]
    }

    @inline(__always)
    func setResult(_ index: Int, _ result: EventResult) {
        invariant(UInt(bitPattern: index) < UInt(bitPattern: count), "result \(index) of \(count)")
        unsafe results[index] = result
    }

    /// A look-up's answer takes the place of its key; `result` says whether it was found.
    func setRecord(_ index: Int, _ record: Transfer?) {
        if let record { unsafe events[index] = record }
        setResult(index, EventResult(record == nil ? .debitAccountNotFound : .created))
    }

    func setTotals(_ found: [LedgerTotals]) { totals = found }

    /// The engine ended before every part was decided: what became of the events is known after the next start only.
    public var isAbandoned: Bool { abandoned.load(ordering: .relaxed) }

    /// Relaxed above and here: ordered by the countdown that follows.
    fileprivate func abandonPart() {
        abandoned.store(true, ordering: .relaxed)
        partEnded()
    }

    /// Orders what every part has written before what the caller reads, whatever has told the caller that it may.
    public func observeEnd() {
        // Acquire: pairs with the release of each part's countdown.
        let left = partsLeft.load(ordering: .acquiring)
        invariant(left == 0, "\(left) parts of a call have not ended")
    }

    func partEnded() {
        if partsLeft.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { done() }
    }
}

/// The events of a call that one shard decides, in the order of the call.
public final class CallPart: CallerNode, @unchecked Sendable {
    // SAFETY of Sendable: immutable.
    public let call: Call
    public let indices: [UInt32]
    public init(call: Call, indices: [UInt32]) {
        self.call = call
        self.indices = indices
        super.init()
    }

    /// Ends the part without its results: its core has ended. Once, and by whoever holds the part then.
    public func abandon() { call.abandonPart() }
}
