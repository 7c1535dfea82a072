// Where a record stands in its shard's log.

/// (segment number × segment bytes + offset) / 16: fits 40 bits for 16 TiB of log a shard. 0: nowhere.
@frozen public struct LogPosition: Hashable, Comparable, BitwiseCopyable, Sendable {
    public var value: UInt64
    @inlinable public init(_ value: UInt64) { self.value = value }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.value < b.value }

    @inlinable public func segment(segmentBytes: UInt64) -> UInt64 { (value << 4) / segmentBytes }
    @inlinable public func offset(segmentBytes: UInt64) -> UInt64 { (value << 4) % segmentBytes }
}
