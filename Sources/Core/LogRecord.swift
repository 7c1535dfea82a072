// The 144-byte log record: what replay reads. The same layout in memory and on disk (little-endian).
//
//     0    kind        u8    RecordKind
//     1    flags       u8    bit 0: the record continues a chain with the next one (0 until chains exist)
//     2    peer        u16   the other shard of a crossing transfer, else 0
//     4    reason      u16   a refusal's ResultCode, else 0
//     6    reserved    u16   0
//     8    sequence    u64   crossing: number of the decision in its (debit shard → credit shard) pair, from 1
//    16    body        128   an Account or a Transfer

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
}

/// One record of a shard's log: 144 bytes, alignment 16.
@frozen public struct LogRecord: BitwiseCopyable, Sendable {
    public var rawKind: UInt8
    public var flags: UInt8
    public var peer: ShardID
    public var rawReason: UInt16
    public var reserved: UInt16
    public var sequence: UInt64
    /// A transfer, or an account seen as one: both are 128 plain bytes.
    public var body: Transfer

    public static let bytes = 144

    @inlinable public init(
        _ kind: RecordKind, _ body: Transfer, peer: ShardID = ShardID(0), reason: ResultCode = .created,
        sequence: UInt64 = 0
    ) {
        rawKind = kind.rawValue
        flags = 0
        self.peer = peer
        rawReason = reason.rawValue
        reserved = 0
        self.sequence = sequence
        self.body = body
    }

    @inlinable public init(_ account: Account) {
        self.init(.account, account.bits)
    }

    @inlinable public var kind: RecordKind? { RecordKind(rawValue: rawKind) }
    /// The body of a record of kind `account`.
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
