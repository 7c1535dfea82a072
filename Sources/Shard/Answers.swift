// Where the answers of a shard go, and when they may leave.

public import SuanpanCore

/// Where an answer goes: the front of a core, its request and the event's place in it.
@frozen public struct Origin: BitwiseCopyable, Sendable {
    public var core: UInt16
    /// What was asked; the front's own number.
    public var operation: UInt8
    public var request: UInt32
    public var index: UInt32
    /// A connection whose commands take effect in order; 0: none.
    public var stream: UInt32
    @inlinable public init(core: UInt16, operation: UInt8, request: UInt32, index: UInt32, stream: UInt32) {
        self.core = core
        self.operation = operation
        self.request = request
        self.index = index
        self.stream = stream
    }

    /// Of what the shard does by itself: it is answered to nobody.
    static var nobody: Origin { Origin(core: .max, operation: 0, request: 0, index: 0, stream: 0) }
    var isNobody: Bool { core == .max }
}

/// An answer that may leave when the log is acknowledged up to `lsn`.
@frozen public struct Answer: BitwiseCopyable, Sendable {
    public var origin: Origin
    public var result: EventResult
    public var lsn: LSN

    public init(origin: Origin, result: EventResult, lsn: LSN) {
        self.origin = origin
        self.result = result
        self.lsn = lsn
    }
}

/// An answer of a look-up that had to wait.
@frozen public struct RecordAnswer: BitwiseCopyable, Sendable {
    public var origin: Origin
    public var found: Bool
    /// The account or transfer, as 128 plain bytes.
    public var record: Transfer
    public var lsn: LSN

    public init(origin: Origin, found: Bool, record: Transfer, lsn: LSN) {
        self.origin = origin
        self.found = found
        self.record = record
        self.lsn = lsn
    }
}

/// What became of an event handed in.
@frozen public enum Submission: BitwiseCopyable, Sendable {
    /// May leave when the log is acknowledged up to what is appended now.
    case answered(EventResult)
    /// It was decided in this step, within this shard; the answers stand in `answers`.
    case decided
    /// The answer will come by `answers`.
    case deferred
    /// Nothing happened: the log, a table or a peer's credit is exhausted for the moment.
    case stalled
}

/// What became of a look-up of a transfer.
@frozen public enum TransferLookup: BitwiseCopyable, Sendable {
    /// As it was recorded; nil: there is none.
    case found(Transfer?)
    /// The answer will come by `recordAnswers`.
    case deferred
    case stalled
}

/// What became of a look-up of an account.
@frozen public enum Lookup: BitwiseCopyable, Sendable {
    case found(Account)
    case unknown
    case deferred
    case stalled
}
