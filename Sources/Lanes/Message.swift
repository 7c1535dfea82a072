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

    // The cross-shard protocol, coordinator D → participant C.
    /// Reserve the credit of `transfer` and vote.
    case prepare = 32
    /// Forget the reservation or the wait of `slot`; answered by `released`.
    case release = 33
    /// The decision is durable: apply it. Numbered per pair.
    case commit = 34
    /// Lock all accounts of a chain that live there, say what they are, and vote.
    case lock = 35
    /// `transfer` is decided by a standing vote of the receiver: reserve its credit.
    case announce = 36
    /// A standing vote is forgotten, and all commits of decisions that rested on it have been sent.
    case revoked = 37
    /// The decisions up to `sequence` are durable, all of them announced: apply them.
    case commits = 38
    /// The same of a plain credit, which it says itself (`credit`).
    case credit = 40
    /// Say how the accounts that are held for a chain stand as of `time`, and vote again.
    case look = 39

    // Participant C → coordinator D.
    case voteYes = 48
    case voteNo = 49
    /// C waits for younger undecided transfers; D lets go of those behind this one.
    case waiting = 50
    /// An older undecided transfer stands before: let go, and prepare again after `again`.
    case letGo = 51
    case again = 52
    case released = 53
    /// All commits up to `sequence` are applied (their records appended), all announcements up to `time` are noted.
    case applied = 54
    /// Everything up to `durableSequence` is durable at C.
    case durable = 55
    /// Forget the standing vote on the account whose hash is `sequence`; answered by `revoked`.
    case revoke = 56

    /// Take my clock over, and answer by `heard`.
    case hear = 61
    /// All that was decided up to the clock that was asked stands before this in the lane.
    case heard = 62

    // The consistent cut.
    /// Shard → shard: what the sender decides after this, it decides after the cut at `time`; its decisions for the
    /// receiver up to `sequence` belong to it.
    case marker = 57
    /// Shard → shard 0: the sender's share of the cut at `time` is there, or its clock was past it.
    case share = 58
    case late = 59

    // Front → front.
    /// A new connection to serve: `slot` is its descriptor, `flags` its protocol.
    case adopt = 64
}

@frozen public struct Message: BitwiseCopyable, Sendable {
    public var kind: MessageKind
    /// Requests: the operation. Adopt: the protocol. Announce: the flags of its record. Applied, yes: 1: pending transfers
    /// may be announced.
    public var operation: UInt8
    /// The sending core.
    public var from: UInt16
    public var rawCode: UInt16
    public var rawReason: UInt16
    /// The coordinator's slot, which names the transfer between the two shards.
    public var slot: UInt32
    /// What must stay in order: a connection of a text protocol; 0: nothing.
    public var stream: UInt32
    /// The front's request slot and the event's index in it. Release with a code: the event at fault. Yes: 1, and it
    /// stands for all credits to come. Revoke, revoked: the place in the asking shard's table.
    public var request: UInt32
    public var index: UInt32
    /// The sender's hybrid logical clock.
    public var clock: UInt64
    /// Prepare: the transfer's age. Announce: number of the decision in its pair. Commit, result: its
    /// timestamp; commits: the last one. Applied: announcements noted.
    public var time: UInt64
    /// Lock: the chain's view, as bits. Yes to a chain: the events whose credits are promised, a bit for each. Prepare, announce, revoke: the hash of the credit account, whose key all
    /// shards share. Commit, applied: number of the decision in its pair.
    public var sequence: UInt64
    /// The highest number of the receiver's decisions that is durable at the sender.
    public var durableSequence: UInt64

    /// Prepare, announce: the transfer, in the coordinator's table.
    public var transfer: TransferReference?

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
        transfer = nil
    }

    /// Announces a credit.
    @inlinable @inline(__always)
    public init(_ credit: LoggedCredit, from: ShardID) {
        self.init(.credit, from: from)
        let account = credit.account.value
        slot = UInt32(truncatingIfNeeded: account)
        stream = UInt32(truncatingIfNeeded: account >> 32)
        request = UInt32(truncatingIfNeeded: account >> 64)
        index = UInt32(truncatingIfNeeded: account >> 96)
        time = credit.timestamp.nanoseconds
        sequence = credit.amount
    }

    /// What a message of kind `credit` announces.
    @inlinable @inline(__always)
    public var credit: LoggedCredit {
        let low = UInt64(slot) | UInt64(stream) << 32
        let high = UInt64(request) | UInt64(index) << 32
        return LoggedCredit(
            account: AccountID(UInt128(high) << 64 | UInt128(low)), amount: sequence, timestamp: Timestamp(time))
    }

    @inlinable public var hasRecord: Bool { kind == .request || kind == .record }
}
