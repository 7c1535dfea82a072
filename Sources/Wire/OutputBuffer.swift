// The bytes a connection is about to send: replies of both protocols are written at the end, the kernel takes them from
// the front. Owned by one connection on one thread. All unsafe access of the module's output stands here.

public import SuanpanCore

/// A growable byte buffer that never makes a `String`.
/// - Complexity: appending is amortized O(bytes); once warmed it allocates nothing.
@safe
public struct OutputBuffer: ~Copyable {
    @usableFromInline var base: UnsafeMutablePointer<UInt8>?
    /// Bytes of memory held.
    public private(set) var capacity = 0
    @usableFromInline var start = 0
    @usableFromInline var end = 0

    /// An empty buffer; holds no memory until something is appended.
    public init() { unsafe base = nil }

    public init(capacity: Int) {
        self.init()
        grow(by: capacity)
    }

    deinit { unsafe base?.deallocate() }

    /// Bytes not yet taken.
    @inlinable public var count: Int { end - start }
    @inlinable public var isEmpty: Bool { start == end }

    // MARK: Taking

    /// The bytes not yet taken, as the kernel wants them.
    /// - Warning: Valid until the buffer is next changed.
    @unsafe public var unsafeBytes: UnsafeRawBufferPointer {
        // SAFETY: start...end lies within the memory held, and those bytes were written.
        unsafe UnsafeRawBufferPointer(start: base.map { unsafe $0 + start }, count: count)
    }

    /// Calls `body` with the bytes not yet taken.
    @inlinable public borrowing func withBytes<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        // SAFETY: as for `unsafeBytes`; the span cannot outlive the call, and `self` is borrowed for it.
        let bytes = unsafe UnsafeBufferPointer(start: base.map { unsafe UnsafePointer($0 + start) }, count: count)
        return body(unsafe Span(_unsafeElements: bytes))
    }

    /// Calls `body` with the bytes not yet taken, to change some of them.
    @inlinable mutating func withMutableBytes(_ body: (inout MutableSpan<UInt8>) -> Void) {
        // SAFETY: as for `unsafeBytes`; `self` is held exclusively for the call.
        let bytes = unsafe UnsafeMutableBufferPointer(start: base.map { unsafe $0 + start }, count: count)
        var span = unsafe MutableSpan(_unsafeElements: bytes)
        body(&span)
    }

    /// Drops the first `count` bytes: the kernel took them.
    public mutating func removeFirst(_ count: Int) {
        invariant(count >= 0 && count <= self.count, "took \(count) of \(self.count) bytes")
        start += count
        if start == end { removeAll() }
    }

    /// Drops all bytes and keeps the memory.
    public mutating func removeAll() {
        start = 0
        end = 0
    }

    /// Drops what was appended last until `count` bytes are left.
    public mutating func truncate(to count: Int) {
        invariant(count >= 0 && count <= self.count, "truncated to \(count) of \(self.count) bytes")
        end = start + count
    }

    /// Gives the memory back; an idle connection costs nothing. The buffer must be empty.
    public mutating func releaseMemory() {
        invariant(isEmpty, "released the memory of \(count) bytes")
        unsafe base?.deallocate()
        unsafe base = nil
        capacity = 0
        removeAll()
    }

    /// A value at an offset from the first byte not yet taken.
    @inlinable @inline(__always)
    public func load<Value: BitwiseCopyable>(_ type: Value.Type, at offset: Int) -> Value {
        invariant(offset >= 0 && offset <= count - MemoryLayout<Value>.size, "read past the end")
        // SAFETY: the range was checked to lie within the bytes written; loading needs no alignment.
        return unsafe UnsafeRawPointer(base.unsafelyUnwrapped + start).loadUnaligned(
            fromByteOffset: offset, as: Value.self)
    }

    // MARK: Appending

    /// Makes room for `count` bytes more without changing the content.
    @inlinable @inline(__always)
    public mutating func reserve(_ count: Int) {
        if _slowPath(capacity - end < count) { grow(by: count) }
    }

    /// Moves the content to the front, or to memory of at least twice the size.
    @inline(never) @usableFromInline
    mutating func grow(by wanted: Int) {
        invariant(wanted >= 0, "a negative size")
        let used = count
        if start > 0, start >= capacity / 2, capacity - used >= wanted, let base = unsafe base {
            // SAFETY: both ranges lie within the memory held; `update` allows them to overlap.
            unsafe base.update(from: base + start, count: used)
        } else {
            let newCapacity = max(256, capacity * 2, used + wanted)
            let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: newCapacity)
            // SAFETY: `used` bytes are initialized from `start` on; the new memory holds at least as many.
            if let base = unsafe base { unsafe memory.initialize(from: base + start, count: used) }
            unsafe base?.deallocate()
            unsafe base = memory
            capacity = newCapacity
        }
        start = 0
        end = used
    }

    @inlinable @inline(__always)
    public mutating func append(_ byte: UInt8) {
        reserve(1)
        // SAFETY: `reserve` made room for one byte at `end`.
        unsafe base.unsafelyUnwrapped[end] = byte
        end += 1
    }

    @inlinable @inline(__always)
    public mutating func append(_ text: StaticString) {
        let count = text.utf8CodeUnitCount
        reserve(count)
        invariant(text.hasPointerRepresentation, "a one-scalar StaticString")
        // SAFETY: a literal's bytes are constant memory; `reserve` made room for them.
        unsafe (base.unsafelyUnwrapped + end).update(from: text.utf8Start, count: count)
        end += count
    }

    @inlinable
    public mutating func append(_ bytes: Span<UInt8>) {
        let count = bytes.count
        if count == 0 { return }
        reserve(count)
        // SAFETY: `reserve` made room; a span cannot alias memory that this buffer alone owns and is changing.
        unsafe bytes.withUnsafeBufferPointer {
            unsafe (base.unsafelyUnwrapped + end).update(from: $0.baseAddress.unsafelyUnwrapped, count: count)
        }
        end += count
    }

    /// Appends `\r\n`.
    @inlinable @inline(__always)
    public mutating func appendLineEnd() {
        reserve(2)
        // SAFETY: `reserve` made room for two bytes at `end`.
        unsafe base.unsafelyUnwrapped[end] = 0x0D
        unsafe base.unsafelyUnwrapped[end + 1] = 0x0A
        end += 2
    }

    /// Appends text that was made on a cold path (INFO, status).
    public mutating func append(text: String) {
        for byte in text.utf8 { append(byte) }
    }

    /// Appends the value's bytes as they lie in memory: records of the native protocol (this engine is little-endian).
    @inlinable
    public mutating func append<Record: BitwiseCopyable>(record: Record) {
        let count = MemoryLayout<Record>.size
        reserve(count)
        // SAFETY: `reserve` made room; storing bytes needs no alignment, and the records have no padding.
        unsafe UnsafeMutableRawPointer(base.unsafelyUnwrapped + end).storeBytes(of: record, as: Record.self)
        end += count
    }

    /// Overwrites bytes appended before: a header whose length was not yet known.
    /// - Parameter offset: From the first byte not yet taken.
    @inlinable
    public mutating func overwrite<Record: BitwiseCopyable>(record: Record, at offset: Int) {
        invariant(offset >= 0 && offset + MemoryLayout<Record>.size <= count, "overwrote past the end")
        // SAFETY: the range was checked to lie within the bytes written.
        unsafe UnsafeMutableRawPointer(base.unsafelyUnwrapped + start + offset)
            .storeBytes(of: record, as: Record.self)
    }

    /// Appends `count` bytes of 0.
    public mutating func append(zeros count: Int) {
        reserve(count)
        // SAFETY: `reserve` made room.
        unsafe (base.unsafelyUnwrapped + end).update(repeating: 0, count: count)
        end += count
    }

    // MARK: Numbers

    /// Digits of `value` in base ten, 1 to 20.
    @inlinable static func digitCount(_ value: UInt64) -> Int {
        var count = 1
        var bound: UInt64 = 10
        while value >= bound {
            count += 1
            if count == 20 { break }
            bound &*= 10
        }
        return count
    }

    /// Digits of `value` in base ten, 1 to 39.
    static func digitCount(_ value: UInt128) -> Int {
        if value <= UInt128(UInt64.max) { return digitCount(UInt64(truncatingIfNeeded: value)) }
        let (high, low) = value.quotientAndRemainder(dividingBy: 10_000_000_000_000_000_000)
        _ = low
        return 19 + digitCount(high)
    }

    /// Appends `value` in base ten, with zeros in front up to `width` digits.
    public mutating func append(decimal value: UInt64, width: Int = 1) {
        let count = max(width, Self.digitCount(value))
        reserve(count)
        // SAFETY: `reserve` made room for `count` bytes from `end`; the loop writes exactly those, last digit first.
        let first = unsafe base.unsafelyUnwrapped + end
        var rest = value
        var i = count
        while i > 0 {
            i -= 1
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            unsafe first[i] = 0x30 + UInt8(truncatingIfNeeded: digit)
            rest = quotient
        }
        end += count
    }

    /// Appends `value` in base ten.
    public mutating func append(decimal value: UInt128) {
        if value <= UInt128(UInt64.max) {
            append(decimal: UInt64(truncatingIfNeeded: value))
            return
        }
        let (high, low) = value.quotientAndRemainder(dividingBy: 10_000_000_000_000_000_000)
        append(decimal: high)
        append(decimal: UInt64(truncatingIfNeeded: low), width: 19)
    }
}

// SAFETY: the memory belongs to the buffer alone; moving the owner to another thread moves the memory with it.
extension OutputBuffer: @unchecked Sendable {}
