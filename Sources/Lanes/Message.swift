// What travels between two cores: a head of 64 bytes, one cache line, followed by a 128-byte record where the kind
// has one. Written by the sending core, read once by the receiving one.

public import SuanpanCore

/// Numbers live in memory only; nothing of this reaches a disk or a wire.
@frozen public enum MessageKind: UInt8, BitwiseCopyable, Sendable {
    // Requests, front → shard (the lane that may be left undrained).
    /// An event or a look-up, its record or ids in the body.
    case request = 1

    // Answers, shard → front.
    case result = 16
    /// A result with a record (a look-up that found one).
    case record = 17

    // The cross-shard protocol, coordinator D → participant C. `ProtocolMessage` says what each carries.
    case prepare = 32
    case release = 33
    case commit = 34
    case lock = 35
    case announce = 36
    case revoked = 37
    case commits = 38
    case look = 39
    case credit = 40

    // Participant C → coordinator D.
    case voteYes = 48
    case voteNo = 49
    case waiting = 50
    case letGo = 51
    case again = 52
    case released = 53
    case applied = 54
    case durable = 55
    case revoke = 56
    case hear = 61
    case heard = 62
    case chainYes = 63

    // The consistent cut.
    case marker = 57
    case share = 58
    case late = 59

    // Front → front.
    /// A new connection to serve: `slot` is its descriptor, `flags` its protocol.
    case adopt = 64
}

/// The head, as a cell of a lane. What its fields mean depends on the kind: those of the protocol are told by
/// `ProtocolMessage`, the others below.
@frozen public struct Message: BitwiseCopyable, Sendable {
    public var kind: MessageKind
    /// Requests: the operation. Adopt: the protocol.
    public var operation: UInt8
    /// The sending core.
    public var from: UInt16
    public var rawCode: UInt16
    public var rawReason: UInt16
    /// Adopt: the descriptor.
    public var slot: UInt32
    /// What must stay in order: a connection of a text protocol; 0: nothing.
    public var stream: UInt32
    /// The front's request slot and the event's index in it.
    public var request: UInt32
    public var index: UInt32
    /// The sender's hybrid logical clock.
    public var clock: UInt64
    /// Requests: when it was sent. Results: its timestamp.
    public var time: UInt64
    public var sequence: UInt64
    /// The highest number of the receiver's decisions that is durable at the sender.
    public var durableSequence: UInt64

    @inlinable public init(_ kind: MessageKind, from: ShardID, slot: UInt32 = 0) {
        self.kind = kind
        operation = 0
        self.from = from.value
        rawCode = 0
        rawReason = 0
        self.slot = slot
        stream = 0
        request = 0
        index = 0
        clock = 0
        time = 0
        sequence = 0
        durableSequence = 0
    }

    @inlinable public var hasRecord: Bool { kind == .request || kind == .record }
}
