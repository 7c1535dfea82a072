// Replies out of a stream of bytes, as every client of the native protocol reads them: a small state machine that takes
// bytes in pieces of any size and hands out a header, the pieces of its body, and the end. It keeps no body, so that one
// who only counts results needs no memory for them. No I/O, no allocation.

@frozen public struct FrameReader: BitwiseCopyable, Sendable {
    @frozen public enum Event: Sendable, Equatable {
        /// All bytes are used up; go on with those that come next.
        case more
        /// `header` is complete and sound.
        case header
        /// The next bytes of the body, as offsets into the bytes given. Its checksum is not yet known to be right.
        case body(Range<Int>)
        /// The frame is complete, and its checksum is right.
        case end
        /// The stream cannot be followed any longer.
        case refused(Status)
    }

    /// Of the frame under way, from `.header` on.
    public private(set) var header = FrameHeader(0, requestID: 0)
    private var headerBytes = 0
    /// Bytes of the body that are still to come.
    private var left = 0
    private var crc: UInt32 = 0

    public init() {}

    /// Nothing of a frame was seen since the last one ended.
    public var isBetweenFrames: Bool { headerBytes == 0 }

    /// What comes next in `bytes` from `offset` on, which moves behind it.
    public mutating func next(_ bytes: Span<UInt8>, at offset: inout Int) -> Event {
        if headerBytes < FrameHeader.bytes { return nextOfHeader(bytes, at: &offset) }
        if left == 0 {
            headerBytes = 0
            return crc == header.bodyChecksum ? .end : .refused(.checksumMismatch)
        }
        if offset == bytes.count { return .more }
        let piece = offset..<offset + min(left, bytes.count - offset)
        // SAFETY: the piece lies within the span, which lives for the call.
        crc = unsafe bytes.withUnsafeBytes {
            unsafe Checksum.crc32c(UnsafeRawBufferPointer(rebasing: $0[piece]), continuing: crc)
        }
        offset = piece.upperBound
        left -= piece.count
        return .body(piece)
    }

    private mutating func nextOfHeader(_ bytes: Span<UInt8>, at offset: inout Int) -> Event {
        if offset == bytes.count { return .more }
        let count = min(FrameHeader.bytes - headerBytes, bytes.count - offset)
        // SAFETY: count bytes lie in the span from offset on, and fit behind those that the header has.
        unsafe bytes.withUnsafeBytes { source in
            unsafe withUnsafeMutableBytes(of: &header) {
                unsafe UnsafeMutableRawBufferPointer(rebasing: $0[headerBytes...]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: source[offset..<offset + count]))
            }
        }
        headerBytes += count
        offset += count
        guard headerBytes == FrameHeader.bytes else {
            // Another protocol is told by its first bytes: a whole header may never come.
            return header.hasMagic(in: headerBytes) ? .more : .refused(.malformed)
        }
        if let status = header.refusal() { return .refused(status) }
        left = Int(header.bodyLength)
        crc = 0
        return .header
    }
}

extension FrameHeader {
    /// Whether the first `count` bytes of a header that is still coming are those of the magic, as far as it reaches.
    func hasMagic(in count: Int) -> Bool {
        let mask = count >= 4 ? UInt32.max : (1 << (8 * UInt32(count))) - 1
        return (magic ^ Self.magic) & mask == 0
    }
}
