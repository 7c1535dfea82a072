// Small collections of the hot path: plain values in memory that was mapped before.

/// A first-in first-out queue in a power of two of places; grows by doubling, which a warmed shard no longer does.
public struct Queue<Element: BitwiseCopyable>: ~Copyable {
    private var items: FixedArray<Element>
    private var mask: Int
    private var head = 0
    private var tail = 0

    public init(capacity: Int = 1024) {
        var places = 64
        while places < capacity { places *= 2 }
        items = FixedArray(count: places)
        mask = places - 1
    }

    public var count: Int { tail &- head }
    public var isEmpty: Bool { head == tail }
    public var first: Element { items[head & mask] }

    public mutating func append(_ element: Element) {
        if count > mask { grow() }
        items[tail & mask] = element
        tail &+= 1
    }

    public mutating func removeFirst() { head &+= 1 }

    @inline(never)
    private mutating func grow() {
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
    private var stack: FixedArray<UInt32>
    public private(set) var count: Int

    public init(count: Int) {
        stack = FixedArray(count: count)
        self.count = count
        for i in 0..<count { stack[i] = UInt32(count - 1 - i) }
    }

    public mutating func take() -> UInt32 {
        invariant(count > 0, "a table is full")
        count -= 1
        return stack[count]
    }

    public mutating func give(_ index: UInt32) {
        stack[count] = index
        count += 1
    }
}
