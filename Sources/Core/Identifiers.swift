// The integers of a ledger that must not mix, each a type of its own.
// All are plain values: copied, compared and hashed as their integer.

/// Names an account; chosen by the client. Valid: neither 0 nor 2^128−1.
@frozen public struct AccountID: Hashable, Comparable, BitwiseCopyable, Sendable {
    public var value: UInt128
    @inlinable public init(_ value: UInt128) { self.value = value }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
    @inlinable public var isZero: Bool { value == 0 }
    @inlinable public var isMax: Bool { value == .max }
}

/// Names a transfer within its debit account; chosen by the client, best time-ordered. Neither 0 nor 2^128−1.
@frozen public struct TransferID: Hashable, Comparable, BitwiseCopyable, Sendable {
    public var value: UInt128
    @inlinable public init(_ value: UInt128) { self.value = value }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
    @inlinable public var isZero: Bool { value == 0 }
    @inlinable public var isMax: Bool { value == .max }
}

/// Money: a count of the ledger's minor unit (fen, cent).
@frozen public struct Amount: Hashable, Comparable, BitwiseCopyable, Sendable {
    public var value: UInt128
    @inlinable public init(_ value: UInt128) { self.value = value }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
    @inlinable public static var zero: Amount { Amount(0) }
}

/// Nanoseconds since the Unix epoch by the engine's clock; unique over all shards where the engine assigned it.
@frozen public struct Timestamp: Hashable, Comparable, BitwiseCopyable, Sendable {
    public var nanoseconds: UInt64
    @inlinable public init(_ nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable public static var zero: Timestamp { Timestamp(0) }
}

/// Log sequence number: the ordinal of a record in one shard's log. The first record is 1; 0 is "before all".
@frozen public struct LSN: Hashable, Comparable, BitwiseCopyable, Sendable {
    public var value: UInt64
    @inlinable public init(_ value: UInt64) { self.value = value }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
    @inlinable public static var zero: LSN { LSN(0) }
}

/// The index of a shard, from 0.
@frozen public struct ShardID: Hashable, Comparable, BitwiseCopyable, Sendable {
    public var value: UInt16
    @inlinable public init(_ value: UInt16) { self.value = value }
    @inlinable public init(_ index: Int) { value = UInt16(truncatingIfNeeded: index) }
    @inlinable public var index: Int { Int(value) }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
}
