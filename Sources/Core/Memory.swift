// Owners of memory: fixed arrays, chunked arrays, page-aligned buffers. Every unsafe access of the data structures
// above is here, behind bounds that are checked in release builds too.

public import CSuanpanSupport

/// A fixed number of plain values, zero-filled, page-aligned, released in `deinit`.
/// - Complexity: access O(1) with a bounds check; never grows.
@safe
public struct FixedArray<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline let base: UnsafeMutablePointer<Element>
    public let count: Int
    @usableFromInline let bytes: Int

    /// `count` elements whose bytes are all zero. Needed memory: see `MemoryReserve`.
    /// - Parameter isSparse: Few of them are used, here and there: a huge page for each would cost much memory.
    public init(count: Int, isSparse: Bool = false) {
        bytes = max(1, count) * MemoryLayout<Element>.stride
        self.count = count
        let memory = unsafe mapNeeded(bytes, huge: bytes >= 4 << 20 && !isSparse)
        // SAFETY: freshly mapped, zero-filled, page-aligned, of `count` strides; Element is plain bytes.
        unsafe base = memory.bindMemory(to: Element.self, capacity: max(1, count))
    }

    /// The same in a part of a region that nobody else uses and that has not been written.
    /// - Precondition: the region outlives the array; `offset` suits the element.
    public init(count: Int, in region: borrowing RawRegion, at offset: Int) {
        bytes = 0
        self.count = count
        let length = count * MemoryLayout<Element>.stride
        invariant(
            offset >= 0 && offset % MemoryLayout<Element>.alignment == 0 && offset + length <= region.count,
            "\(length) bytes at \(offset) of \(region.count)")
        // SAFETY: zero-filled, within the region, aligned; Element is plain bytes.
        unsafe base = (region.base + offset).bindMemory(to: Element.self, capacity: count)
    }

    deinit { if bytes > 0 { unsafe suanpan_unmap(base, bytes) } }

    @inlinable @inline(__always)
    public subscript(index: Int) -> Element {
        unsafeAddress {
            invariant(UInt(bitPattern: index) < UInt(bitPattern: count), "index \(index) of \(count)")
            return unsafe UnsafePointer(base + index)
        }
        unsafeMutableAddress {
            invariant(UInt(bitPattern: index) < UInt(bitPattern: count), "index \(index) of \(count)")
            return unsafe base + index
        }
    }
}

extension FixedArray where Element: BitwiseCopyable {
    /// Asks for an element's cache lines ahead of their use; out of bounds: does nothing.
    @inlinable @inline(__always)
    public func prefetch(_ index: Int) {
        guard UInt(bitPattern: index) < UInt(bitPattern: count) else { return }
        // SAFETY: the element is within the array; a prefetch reads nothing.
        let element = unsafe UnsafeRawPointer(base + index)
        var byte = 0
        while byte < MemoryLayout<Element>.size {
            unsafe suanpan_prefetch_write(element + byte)
            byte += 64
        }
        // One that is not aligned to lines may end in one more.
        if MemoryLayout<Element>.stride & 63 != 0 {
            unsafe suanpan_prefetch_write(element + MemoryLayout<Element>.size - 1)
        }
    }
}

// SAFETY: the memory belongs to the array alone; moving the owner to another thread moves the memory with it.
extension FixedArray: @unchecked Sendable {}

/// Plain values in chunks of 2^chunkShift that never move; grows by a chunk, up to `capacity`. The next chunk is mapped when
/// the one before it is begun.
/// - Complexity: access O(1); appending allocates one chunk every 2^chunkShift elements, no copying.
@safe
public struct ChunkedArray<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline var chunks: UnsafeMutablePointer<UnsafeMutablePointer<Element>?>
    @usableFromInline let chunkShift: Int
    public let capacity: Int
    /// So many elements it takes: fewer than `capacity` while the machine gives no chunk, as the last one that is there is for
    /// what is decided already. Asked before something is decided; `append` does not look at it.
    public private(set) var limit: Int
    public private(set) var count = 0
    private var chunkCount = 0
    private let directoryBytes: Int
    private let chunkBytes: Int

    public init(capacity: Int, chunkShift: Int = 14) {
        self.capacity = capacity
        self.chunkShift = chunkShift
        limit = capacity
        let directory = (capacity >> chunkShift) + 1
        directoryBytes = unsafe directory * MemoryLayout<UnsafeMutablePointer<Element>?>.stride
        chunkBytes = (1 << chunkShift) * MemoryLayout<Element>.stride
        let memory = unsafe mapNeeded(directoryBytes, huge: false)
        // SAFETY: zero bytes are nil pointers.
        unsafe chunks = memory.bindMemory(to: UnsafeMutablePointer<Element>?.self, capacity: directory)
        unsafe add(mapNeeded(chunkBytes, huge: isHuge))
    }

    deinit {
        for i in 0..<chunkCount { unsafe suanpan_unmap(chunks[i]!, chunkBytes) }
        unsafe suanpan_unmap(chunks, directoryBytes)
    }

    private var isHuge: Bool { chunkBytes >= 2 << 20 }

    private mutating func add(_ memory: UnsafeMutableRawPointer) {
        unsafe chunks[chunkCount] = memory.bindMemory(to: Element.self, capacity: 1 << chunkShift)
        chunkCount += 1
    }

    /// Adds one element; false when `capacity` is reached (nothing changed).
    public mutating func append(_ element: Element) -> Bool {
        guard count < capacity else { return false }
        let place = count & ((1 << chunkShift) - 1)
        if place == 0 { beginChunk() }
        unsafe chunks[count >> chunkShift]![place] = element
        count += 1
        return true
    }

    @inline(never)
    private mutating func beginChunk() {
        if count >> chunkShift == chunkCount { unsafe add(mapNeeded(chunkBytes, huge: isHuge)) }
        growAhead()
    }

    /// The machine gave no chunk ahead when it was last asked.
    public var isShort: Bool { limit < capacity }

    /// Maps the chunk behind the one in use, where it is missing.
    public mutating func growAhead() {
        limit = capacity
        guard chunkCount << chunkShift < capacity, chunkCount <= (count >> chunkShift) + 1 else { return }
        guard let memory = unsafe suanpan_map_ahead(chunkBytes, isHuge ? 1 : 0) else {
            limit = (chunkCount - 1) << chunkShift
            return
        }
        unsafe add(memory)
    }

    @inlinable @inline(__always)
    public subscript(index: Int) -> Element {
        unsafeAddress { unsafe UnsafePointer(address(index)) }
        unsafeMutableAddress { unsafe address(index) }
    }

    /// Asks for the element's cache lines ahead of their use.
    @inlinable @inline(__always)
    public func prefetch(_ index: Int) {
        let element = unsafe UnsafeRawPointer(address(index))
        unsafe suanpan_prefetch_write(element)
        if MemoryLayout<Element>.stride > 64 { unsafe suanpan_prefetch_write(element + 64) }
    }

    @inlinable @inline(__always)
    func address(_ index: Int) -> UnsafeMutablePointer<Element> {
        invariant(UInt(bitPattern: index) < UInt(bitPattern: count), "index \(index) of \(count)")
        // SAFETY: index < count, so its chunk exists.
        return unsafe chunks[index >> chunkShift].unsafelyUnwrapped + (index & ((1 << chunkShift) - 1))
    }
}

// SAFETY: as for FixedArray.
extension ChunkedArray: @unchecked Sendable {}

/// A fixed number of owners, each made at the start and never moved: connections, for one. Needed memory.
@safe
public struct Slab<Element: ~Copyable>: ~Copyable {
    @usableFromInline let base: UnsafeMutablePointer<Element>
    public let count: Int

    public init(count: Int, make: (Int) -> Element) {
        self.count = count
        let memory = unsafe mapNeeded(Self.bytes(count), huge: false)
        // SAFETY: freshly mapped, page-aligned, of `count` strides.
        unsafe base = memory.bindMemory(to: Element.self, capacity: max(1, count))
        for i in 0..<count { unsafe (base + i).initialize(to: make(i)) }
    }

    deinit {
        unsafe base.deinitialize(count: count)
        unsafe suanpan_unmap(base, Self.bytes(count))
    }

    private static func bytes(_ count: Int) -> Int { max(1, count) * MemoryLayout<Element>.stride }

    @inlinable @inline(__always)
    public subscript(index: Int) -> Element {
        unsafeAddress {
            invariant(UInt(bitPattern: index) < UInt(bitPattern: count), "index \(index) of \(count)")
            return unsafe UnsafePointer(base + index)
        }
        unsafeMutableAddress {
            invariant(UInt(bitPattern: index) < UInt(bitPattern: count), "index \(index) of \(count)")
            return unsafe base + index
        }
    }
}

// SAFETY: owns its elements; moving the owner moves them.
extension Slab: @unchecked Sendable where Element: Sendable {}

/// Zero-filled bytes at a fixed place, needed memory; values are stored and loaded at byte offsets that are checked.
@safe
public struct RawRegion: ~Copyable {
    @usableFromInline let base: UnsafeMutableRawPointer
    public let count: Int

    public init(count: Int) {
        self.count = count
        unsafe base = mapNeeded(max(1, count), huge: count >= 4 << 20)
    }

    /// The same of memory that is asked for, not needed: too large for a reserve.
    /// - Throws: When the machine does not give it.
    public init(asking count: Int, for what: String) throws(SystemError) {
        guard let memory = unsafe suanpan_map(max(1, count), count >= 4 << 20 ? 1 : 0) else {
            throw MemoryReserve.refused(count, what)
        }
        self.count = count
        unsafe base = memory
    }

    deinit { unsafe suanpan_unmap(base, max(1, count)) }

    @inlinable @inline(__always)
    public mutating func store<Value: BitwiseCopyable>(_ value: Value, at offset: Int) {
        invariant(offset >= 0 && offset <= count - MemoryLayout<Value>.size, "offset \(offset) of \(count)")
        // SAFETY: the range was checked; storing bytes needs no alignment.
        unsafe base.storeBytes(of: value, toByteOffset: offset, as: Value.self)
    }

    @inlinable @inline(__always)
    public func load<Value: BitwiseCopyable>(_ type: Value.Type, at offset: Int) -> Value {
        invariant(offset >= 0 && offset <= count - MemoryLayout<Value>.size, "offset \(offset) of \(count)")
        // SAFETY: the range was checked, and all bytes are initialized.
        return unsafe base.loadUnaligned(fromByteOffset: offset, as: Value.self)
    }

    /// Calls `body` with the address: for the kernel, which keeps it while the region lives.
    @unsafe @inlinable
    public mutating func withAddress(_ body: (UnsafeMutableRawPointer) -> Void) { unsafe body(base) }

    /// Calls `body` with a range of the bytes.
    @inlinable
    public borrowing func withBytes<Result>(_ offset: Int, _ length: Int, _ body: (Span<UInt8>) -> Result) -> Result {
        invariant(offset >= 0 && length >= 0 && offset <= count - length, "range \(offset)+\(length) of \(count)")
        // SAFETY: the range was checked; the span cannot outlive the call.
        let bytes = unsafe UnsafeBufferPointer(
            start: (base + offset).assumingMemoryBound(to: UInt8.self), count: length)
        return body(unsafe Span(_unsafeElements: bytes))
    }

    /// Calls `body` with `count` values that lie one after the other from an offset on, which their alignment divides.
    @inlinable
    public borrowing func withValues<Value: BitwiseCopyable, Result>(
        _ type: Value.Type, at offset: Int, count: Int, _ body: (Span<Value>) -> Result
    ) -> Result {
        let length = count * MemoryLayout<Value>.stride
        invariant(
            offset >= 0 && length >= 0 && offset <= self.count - length && offset % MemoryLayout<Value>.alignment == 0,
            "range \(offset)+\(length) of \(self.count)")
        // SAFETY: the range was checked, the region is page-aligned; the span cannot outlive the call.
        let values = unsafe UnsafeBufferPointer(
            start: (base + offset).assumingMemoryBound(to: Value.self), count: count)
        return body(unsafe Span(_unsafeElements: values))
    }
}

// SAFETY: owns its memory; moving the owner moves it.
extension RawRegion: @unchecked Sendable {}
