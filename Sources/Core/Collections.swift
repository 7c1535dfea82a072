// Small collections of the hot path: plain values in memory that was mapped before.

/// A first-in first-out queue in a power of two of places; grows by doubling, which a warmed shard no longer does.
public struct Queue<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline var items: FixedArray<Element>
    @usableFromInline var mask: Int
    @usableFromInline var head = 0
    @usableFromInline var tail = 0

    public init(capacity: Int = 1024) {
        var places = 64
        while places < capacity { places *= 2 }
        items = FixedArray(count: places)
        mask = places - 1
    }

    @inlinable public var count: Int { tail &- head }
    @inlinable public var isEmpty: Bool { head == tail }
    @inlinable public var first: Element { items[head & mask] }
    @inlinable public var last: Element { items[(tail &- 1) & mask] }

    @inlinable @inline(__always)
    public mutating func append(_ element: Element) {
        if count > mask { grow() }
        items[tail & mask] = element
        tail &+= 1
    }

    /// The `k`-th of those that are in it.
    @inlinable public subscript(k: Int) -> Element { items[(head &+ k) & mask] }

    @inlinable public mutating func removeFirst() { head &+= 1 }

    @usableFromInline @inline(never)
    mutating func grow() {
        let bigger = FixedArray<Element>(count: (mask + 1) * 2)
        var larger = bigger
        let n = count
        for i in 0..<n { larger[i] = items[(head &+ i) & mask] }
        items = larger
        mask = mask * 2 + 1
        head = 0
        tail = n
    }
}

/// Indices of free places of a table, the last freed first: what was just used is still in the cache.
public struct FreeList: ~Copyable {
    @usableFromInline var stack: FixedArray<UInt32>
    @usableFromInline var free: Int
    @inlinable public var count: Int { free }

    public init(count: Int) {
        stack = FixedArray(count: count)
        free = count
        for i in 0..<count { stack[i] = UInt32(count - 1 - i) }
    }

    @inlinable @inline(__always)
    public mutating func take() -> UInt32 {
        invariant(free > 0, "a table is full")
        free -= 1
        return stack[free]
    }

    /// The index that will be taken after `count` others when none is given back before; nil: there are not so many.
    @inlinable @inline(__always)
    public func next(after count: Int) -> UInt32? { free > count ? stack[free - 1 - count] : nil }

    @inlinable @inline(__always)
    public mutating func give(_ index: UInt32) {
        stack[free] = index
        free += 1
    }
}
