// A hash table that grows without a pause: a directory of small linear-probing tables, chosen by the top bits of the
// hash, each growing on its own at a load of its own (spread from 0.5 to 0.8), so that growth is paid in small even
// parts instead of one stop. After extendible hashing (Fagin et al. 1979), with the directory fixed. A part that would pass
// the bound of all bytes does not double: it fills to `loadMax`, and the first that has says that the index is full.
//
// An entry is 16 bytes: the 64-bit hash and a 64-bit value that is never 0. One that is removed leaves no mark: those
// after it shift back (Knuth, TAOCP 3, 6.4, algorithm R). Parts never shrink.

public import CSuanpanSupport
internal import SuanpanCore

@frozen @usableFromInline
struct IndexEntry: BitwiseCopyable {
    @usableFromInline var hash: UInt64
    /// 0: the place is empty.
    @usableFromInline var value: UInt64
    @inlinable init(hash: UInt64, value: UInt64) {
        self.hash = hash
        self.value = value
    }
}

@safe @frozen @usableFromInline
struct HashTablePart: BitwiseCopyable {
    @usableFromInline var entries: UnsafeMutablePointer<IndexEntry>
    /// A power of two.
    @usableFromInline var capacity: Int
    @usableFromInline var count: Int
    @usableFromInline var growAt: Int
}

@safe
public struct HashIndex: ~Copyable {
    @usableFromInline let parts: UnsafeMutablePointer<HashTablePart>
    private var arena: BlockArena
    @usableFromInline let shift: UInt64
    private let partCount: Int
    @usableFromInline var entryCount = 0
    public var count: Int { entryCount }
    /// Bytes of all parts.
    public private(set) var bytes = 0
    /// Bound of `bytes`: passed only by what was decided while there was room.
    public let bytesMax: Int
    /// Entries that fit into that, about: the parts are unequally full.
    public let countMax: Int
    /// Parts with more than `growAt`.
    private var fullParts = 0
    /// The machine gave no memory to grow when it was last asked.
    public private(set) var isShort = false

    private static var initialCapacity: Int { 256 }

    /// - Parameters:
    ///   - partBits: Base-2 logarithm of the number of parts.
    ///   - stock: Of memory that is ready; nil: all of it is mapped when it is needed.
    public init(partBits: Int, bytesMax: Int, stock: PageStock? = nil) {
        arena = BlockArena(stock)
        partCount = 1 << partBits
        shift = UInt64(64 - partBits)
        self.bytesMax = bytesMax
        countMax = Self.countMax(partBits: partBits, bytesMax: bytesMax)
        unsafe parts = .allocate(capacity: partCount)
        for i in 0..<partCount {
            let capacity = Self.initialCapacity
            unsafe parts[i] = Self.makeNeededPart(&arena, capacity: capacity, index: i, of: partCount)
            bytes += capacity * MemoryLayout<IndexEntry>.stride
        }
    }

    deinit {
        for i in 0..<partCount { unsafe BlockArena.abandon(parts[i].entries, parts[i].capacity * 16) }
        unsafe parts.deallocate()
    }

    private static func makePart(
        _ arena: inout BlockArena, capacity: Int, index: Int, of partCount: Int, isNeeded: Bool = false
    ) -> HashTablePart? {
        let bytes = capacity * MemoryLayout<IndexEntry>.stride
        guard let memory = unsafe arena.allocate(bytes, isNeeded: isNeeded) else { return nil }
        return unsafe HashTablePart(
            entries: memory.bindMemory(to: IndexEntry.self, capacity: capacity), capacity: capacity, count: 0,
            growAt: growAt(capacity, index, of: partCount))
    }

    /// The load at which a part grows differs from part to part: they take turns.
    private static func growAt(_ capacity: Int, _ index: Int, of partCount: Int) -> Int {
        capacity / 2 + Int(UInt64(capacity) * 3 * UInt64(index) / (10 * UInt64(partCount)))
    }

    /// The most that a part takes which may not double.
    private static func loadMax(_ capacity: Int) -> Int { capacity * 25 / 32 }

    /// Entries that fit into an index of so many bytes, about: 20.5 to 41 bytes each, fewest where the bound is a power of two.
    /// Hashes fall into its parts at random, and the fullest one counts.
    static func countMax(partBits: Int, bytesMax: Int) -> Int {
        let partCount = 1 << partBits
        var capacity = initialCapacity
        while 2 * capacity * partCount * MemoryLayout<IndexEntry>.stride <= bytesMax { capacity *= 2 }
        // The first of them that may not double.
        let spare = bytesMax / MemoryLayout<IndexEntry>.stride - capacity * partCount
        let index = min(partCount - 1, max(0, spare / capacity))
        let each = Double(max(loadMax(capacity), growAt(capacity, index, of: partCount)))
        let deviations = partCount > 1 ? 2 + 0.13 * Double(partBits) : 0
        return Int(max(0, each - deviations * each.squareRoot())) * partCount
    }

    private static func makeNeededPart(
        _ arena: inout BlockArena, capacity: Int, index: Int, of partCount: Int
    ) -> HashTablePart {
        guard let part = makePart(&arena, capacity: capacity, index: index, of: partCount, isNeeded: true) else {
            stop("out of memory: an index of \(capacity) entries, and the thread's reserve is used up")
        }
        return part
    }

    private mutating func give(_ part: HashTablePart) {
        unsafe arena.deallocate(part.entries, part.capacity * MemoryLayout<IndexEntry>.stride)
    }

    // SAFETY of the accesses: a place is masked into its part's entries.

    /// Where a look-up begins: with the first of the four entries of a cache line, so that most end in the same line.
    @inlinable @inline(__always)
    static func begin(_ hash: UInt64, _ mask: Int) -> Int { Int(truncatingIfNeeded: hash) & mask & ~3 }

    /// Asks for the line where a look-up of `hash` begins.
    @inlinable @inline(__always)
    public func prefetch(_ hash: UInt64) {
        let part = unsafe parts[Int(hash >> shift)]
        let line = unsafe UnsafeRawPointer(part.entries + Self.begin(hash, part.capacity - 1))
        unsafe suanpan_prefetch(line)
        unsafe suanpan_prefetch(line + 64)
    }

    /// The value of the first entry with this hash at or after `step` (0 to begin), which moves past it; nil: no more.
    /// - Complexity: O(1) expected; allocates nothing.
    @inlinable @inline(__always)
    public func next(_ hash: UInt64, _ step: inout Int) -> UInt64? {
        let part = unsafe parts[Int(hash >> shift)]
        let mask = part.capacity - 1
        let begin = Self.begin(hash, mask)
        while true {
            let entry = unsafe part.entries[(begin &+ step) & mask]
            if entry.value == 0 { return nil }
            step += 1
            if entry.hash == hash { return entry.value }
        }
    }

    /// True when one more entry surely fits in the memory allowed, and in what the machine gives. Asked before something is
    /// decided; `insert` does not look at it.
    public var hasRoom: Bool { fullParts == 0 && !isShort && bytes <= bytesMax }

    /// Tries again to grow what should have grown.
    public mutating func growAhead() {
        guard isShort else { return }
        isShort = false
        for i in 0..<partCount where unsafe parts[i].count >= parts[i].growAt { grow(i) }
    }

    /// Adds an entry; equal hashes may stand side by side.
    /// - Complexity: O(1) amortised, O(size of one part) when it grows.
    @inlinable @inline(__always)
    public mutating func insert(_ hash: UInt64, _ value: UInt64) {
        let i = Int(hash >> shift)
        if unsafe parts[i].count >= parts[i].growAt { makeRoom(i) }
        let part = unsafe parts[i]
        let mask = part.capacity - 1
        var at = Self.begin(hash, mask)
        while unsafe part.entries[at].value != 0 { at = (at + 1) & mask }
        unsafe part.entries[at] = IndexEntry(hash: hash, value: value)
        unsafe parts[i].count += 1
        entryCount += 1
    }

    /// Takes an entry out; ends any walk by `next` that has begun.
    /// - Returns: False when there is no such entry.
    /// - Complexity: O(1) expected; allocates nothing.
    public mutating func remove(_ hash: UInt64, _ value: UInt64) -> Bool {
        guard var hole = place(hash, value) else { return false }
        let i = Int(hash >> shift)
        let part = unsafe parts[i]
        let mask = part.capacity - 1
        var at = hole
        while true {
            at = (at + 1) & mask
            let entry = unsafe part.entries[at]
            if entry.value == 0 { break }
            // It may go back as far as the place where looking for it begins.
            let begin = Self.begin(entry.hash, mask)
            if (at &- begin) & mask >= (at &- hole) & mask {
                unsafe part.entries[hole] = entry
                hole = at
            }
        }
        unsafe part.entries[hole] = IndexEntry(hash: 0, value: 0)
        if unsafe part.count > part.growAt && part.count - 1 <= part.growAt { fullParts -= 1 }
        unsafe parts[i].count -= 1
        entryCount -= 1
        return true
    }

    /// Changes the value of an entry where it stands.
    /// - Returns: False when there is no such entry.
    public mutating func replace(_ hash: UInt64, _ value: UInt64, with new: UInt64) -> Bool {
        guard let at = place(hash, value) else { return false }
        unsafe parts[Int(hash >> shift)].entries[at].value = new
        return true
    }

    /// Where an entry stands in its part.
    private func place(_ hash: UInt64, _ value: UInt64) -> Int? {
        let part = unsafe parts[Int(hash >> shift)]
        let mask = part.capacity - 1
        var at = Self.begin(hash, mask)
        while true {
            let entry = unsafe part.entries[at]
            if entry.value == 0 { return nil }
            if entry.hash == hash && entry.value == value { return at }
            at = (at + 1) & mask
        }
    }

    /// Before an entry goes into a part that has as many as it should.
    @inline(never) @usableFromInline
    mutating func makeRoom(_ i: Int) {
        grow(i)
        if unsafe parts[i].count == parts[i].growAt { fullParts += 1 }
    }

    private mutating func grow(_ i: Int) {
        let old = unsafe parts[i]
        let capacity = old.capacity * 2
        var made: HashTablePart?
        if bytes + old.capacity * MemoryLayout<IndexEntry>.stride > bytesMax {
            raise(i, to: Self.loadMax(old.capacity))
        } else {
            made = Self.makePart(&arena, capacity: capacity, index: i, of: partCount)
            if made == nil { isShort = true }
        }
        // Above the load wanted there is room for a while: for what is decided already.
        if made == nil && old.count < old.capacity - old.capacity / 32 { return }
        var new = made ?? Self.makeNeededPart(&arena, capacity: capacity, index: i, of: partCount)
        if unsafe parts[i].count > parts[i].growAt { fullParts -= 1 }
        let mask = new.capacity - 1
        for k in 0..<old.capacity {
            let entry = unsafe old.entries[k]
            if entry.value == 0 { continue }
            var at = Self.begin(entry.hash, mask)
            while unsafe new.entries[at].value != 0 { at = (at + 1) & mask }
            unsafe new.entries[at] = entry
        }
        new.count = old.count
        unsafe parts[i] = new
        bytes += old.capacity * MemoryLayout<IndexEntry>.stride
        give(old)
    }

    private mutating func raise(_ i: Int, to growAt: Int) {
        let part = unsafe parts[i]
        if growAt <= part.growAt { return }
        if part.count > part.growAt && part.count <= growAt { fullParts -= 1 }
        unsafe parts[i].growAt = growAt
    }
}

// SAFETY: owns its memory; moving the owner moves it.
extension HashIndex: @unchecked Sendable {}
