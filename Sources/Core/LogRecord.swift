// The 144-byte log record: what replay reads. The same layout in memory and on disk (little-endian).
//
//     0    kind        u8    RecordKind
//     1    flags       u8    LogRecordFlags
//     2    peer        u16   the other shard of a crossing transfer, else 0
//     4    reason      u16   a refusal's ResultCode, else 0
//     6    count       u16   of a record of credits, else 0
//     8    sequence    u64   crossing: number of the decision in its (debit shard → credit shard) pair, from 1
//    16    body        128   an Account, a Transfer or a CreditRun
//
// The body of an accepted transfer is the transfer as it came out: its actual amount and, of a post or void, the
// pending transfer's credit account, ledger and code. What was asked is kept beside it, so that a transfer sent again
// compares as it was asked: see `asked`.

/// What a log record says. Numbers are part of the disk format and never reused.
public enum RecordKind: UInt8, BitwiseCopyable, Sendable {
    /// An account was created; body: the account.
    case account = 1
    /// A transfer whose accounts both live here was accepted and applied; body: the transfer.
    case transfer = 2
    /// The decision of a crossing transfer, in the debit account's shard: debits here; body: the transfer.
    case decision = 3
    /// The credit of a crossing transfer, in the credit account's shard; body: the transfer.
    case credit = 4
    /// A transfer was refused for good; body: the transfer as asked (its timestamp is the decision's).
    case refusal = 5
    /// An account's debits or credits were frozen, or are no longer; body: see `init(freeze:)`.
    case freeze = 6
    /// A transfer of a chain over several shards: the sides whose accounts live here are applied; body: the transfer.
    /// Peer: the chain's coordinator; sequence: number of the commit in the pair.
    case leg = 7
    /// At a chain's coordinator, before the chain's legs, for each other shard that has some: peer and sequence.
    case chainPeer = 8
    /// An account of a chain of creations over several shards: created where it lives; body: the account.
    /// Peer and sequence as of a leg.
    case accountLeg = 9
    /// Up to four credits of plain crossing transfers, in the credit accounts' shard; body: a `CreditRun`.
    /// Peer: their debit accounts' shard; sequence: the number of the first in the pair.
    case credits = 10
}

/// Bits of a log record's second byte. Positions are part of the disk format.
@frozen public struct LogRecordFlags: OptionSet, Hashable, BitwiseCopyable, Sendable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The record continues a chain with the next one: both are applied, or neither.
    @inlinable public static var chainContinues: LogRecordFlags { LogRecordFlags(rawValue: 1 << 0) }
    /// Post and void: the credit account, the ledger, the code was 0 in the request.
    @inlinable public static var creditAskedZero: LogRecordFlags { LogRecordFlags(rawValue: 1 << 1) }
    @inlinable public static var ledgerAskedZero: LogRecordFlags { LogRecordFlags(rawValue: 1 << 2) }
    @inlinable public static var codeAskedZero: LogRecordFlags { LogRecordFlags(rawValue: 1 << 3) }
    /// Post and void: the amount was 2^128−1 in the request, "all of it".
    @inlinable public static var amountAskedAll: LogRecordFlags { LogRecordFlags(rawValue: 1 << 4) }
    /// A pending transfer expired; body: see `init(expiryOf:)`.
    @inlinable public static var expiry: LogRecordFlags { LogRecordFlags(rawValue: 1 << 5) }

    /// Bits with a meaning; a record with another one is from a later release, or damaged.
    @inlinable public static var known: LogRecordFlags { LogRecordFlags(rawValue: 0x3F) }
}

/// One record of a shard's log: 144 bytes, alignment 16.
@frozen public struct LogRecord: BitwiseCopyable, Sendable {
    public var rawKind: UInt8
    public var flags: LogRecordFlags
    public var peer: ShardID
    public var rawReason: UInt16
    public var count: UInt16
    public var sequence: UInt64
    /// A transfer, or an account seen as one: both are 128 plain bytes.
    public var body: Transfer

    @inlinable public static var bytes: Int { 144 }
    @inlinable public static var sequenceOffset: Int { 8 }
    @inlinable public static var bodyOffset: Int { 16 }

    @inlinable public init(
        _ kind: RecordKind, _ body: Transfer, peer: ShardID = ShardID(0), reason: ResultCode = .created,
        sequence: UInt64 = 0
    ) {
        rawKind = kind.rawValue
        flags = []
        self.peer = peer
        rawReason = reason.rawValue
        count = 0
        self.sequence = sequence
        self.body = body
    }

    @inlinable public init(_ account: Account) {
        self.init(.account, account.bits)
    }

    @inlinable public var kind: RecordKind? { RecordKind(rawValue: rawKind) }
    /// The body of a record of kind `account` or `accountLeg`.
    @inlinable public var account: Account { Account(bits: body) }
    /// Both bodies keep their timestamp in the last eight bytes.
    @inlinable public var timestamp: Timestamp { body.timestamp }
}

extension Account {
    /// The account's 128 bytes seen as a transfer: for places that carry either.
    @inlinable public var bits: Transfer {
        // SAFETY: both are plain bytes of the same size and alignment (asserted by a test).
        unsafe unsafeBitCast(self, to: Transfer.self)
    }
    @inlinable public init(bits: Transfer) {
        // SAFETY: as above.
        self = unsafe unsafeBitCast(bits, to: Account.self)
    }
}
