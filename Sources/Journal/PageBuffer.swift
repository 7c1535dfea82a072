// A page-aligned region for direct I/O and the plain structures laid into it. The unsafe loads and stores of the file
// formats are here, behind bounds that are checked in release builds too.

internal import CSuanpanSupport
internal import CSuanpanXXHash
public import SuanpanCore

/// Owns `bytes` zero-filled, page-aligned bytes; releases them in `deinit`. Memory that is asked for: see `MemoryReserve`.
@safe @usableFromInline
struct PageBuffer: ~Copyable {
    @usableFromInline let base: UnsafeMutableRawPointer
    @usableFromInline let bytes: Int

    /// - Parameter path: What is read or written with it, for the error.
    init(bytes: Int, for path: String) throws(JournalError) {
        let length = max(1, bytes)
        guard let memory = unsafe suanpan_map(length, length >= 4 << 20 ? 1 : 0) else { throw .noMemory(for: path) }
        self.bytes = length
        unsafe base = memory
    }

    deinit { unsafe suanpan_unmap(base, bytes) }

    /// SAFETY: of all below: the range is checked against the buffer before it is touched; values are plain bytes.
    @inlinable @inline(__always)
    func check(_ offset: Int, _ length: Int) {
        invariant(offset >= 0 && length >= 0 && offset <= bytes - length, "\(length) bytes at \(offset) of \(bytes)")
    }

    @inlinable @inline(__always)
    func load<T: BitwiseCopyable>(_ type: T.Type, at offset: Int) -> T {
        check(offset, MemoryLayout<T>.size)
        return unsafe base.loadUnaligned(fromByteOffset: offset, as: T.self)
    }

    @inlinable @inline(__always)
    func store<T: BitwiseCopyable>(_ value: T, at offset: Int) {
        check(offset, MemoryLayout<T>.size)
        unsafe base.storeBytes(of: value, toByteOffset: offset, as: T.self)
    }

    func zero(_ offset: Int, _ length: Int) {
        check(offset, length)
        unsafe (base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: length)
    }

    /// XXH3-64 of a range.
    func checksum(_ offset: Int, _ length: Int) -> UInt64 {
        check(offset, length)
        return unsafe XXH3_64bits(base + offset, length)
    }

    func isZero(_ offset: Int, _ length: Int) -> Bool {
        check(offset, length)
        var position = offset
        let end = offset + length
        while position + 8 <= end {
            if unsafe base.loadUnaligned(fromByteOffset: position, as: UInt64.self) != 0 { return false }
            position += 8
        }
        while position < end {
            if unsafe base.load(fromByteOffset: position, as: UInt8.self) != 0 { return false }
            position += 1
        }
        return true
    }

    func copy(_ range: Range<Int>) -> [UInt8] {
        check(range.lowerBound, range.count)
        return unsafe [UInt8](UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count))
    }

    func fill(_ source: [UInt8]) {
        check(0, source.count)
        unsafe source.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            unsafe base.copyMemory(from: start, byteCount: bytes.count)
        }
    }
}

// SAFETY: the memory belongs to the buffer alone; moving the owner to another thread moves the memory with it.
extension PageBuffer: @unchecked Sendable {}

/// Plain structures in byte arrays: the small files.
enum Plain {
    static func append<T: BitwiseCopyable>(_ value: T, to bytes: inout [UInt8]) {
        // SAFETY: plain bytes of a local copy.
        unsafe withUnsafeBytes(of: value) { bytes.append(contentsOf: unsafe Array($0)) }
    }

    /// nil when the bytes end before.
    static func load<T: BitwiseCopyable>(_ type: T.Type, from bytes: [UInt8], at offset: Int) -> T? {
        guard offset >= 0, offset + MemoryLayout<T>.size <= bytes.count else { return nil }
        // SAFETY: within the array; the type is plain bytes.
        return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
    }

    /// XXH3-64 of all bytes, those of the checksum itself (eight at `offset`) taken as zero.
    static func checksum(_ bytes: [UInt8], checksumAt offset: Int) -> UInt64 {
        var copy = bytes
        for i in offset..<offset + 8 { copy[i] = 0 }
        // SAFETY: the array lives for the call.
        return unsafe copy.withUnsafeBytes { unsafe XXH3_64bits($0.baseAddress, $0.count) }
    }

    static func store(_ checksum: UInt64, into bytes: inout [UInt8], at offset: Int) {
        for i in 0..<8 { bytes[offset + i] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt64(i))) }
    }
}

enum Checksum {
    /// XXH3-64 of a plain value's bytes.
    @inline(__always)
    static func of<T: BitwiseCopyable>(_ value: T) -> UInt64 {
        // SAFETY: plain bytes of a local copy.
        unsafe withUnsafeBytes(of: value) { unsafe XXH3_64bits($0.baseAddress, $0.count) }
    }
}
