// Cutting received bytes into native frames, and writing frames into an output buffer. Pure: no I/O here.

public import SuanpanCore

/// What the first bytes of a connection's input hold.
@frozen public enum FrameParsed: BitwiseCopyable, Sendable, Equatable {
    /// Incomplete; nothing more can be said before so many bytes, counted from the frame's start, are there.
    case needMore(atLeast: Int)
    /// A whole frame; the body lies between `FrameHeader.bytes` and `consumed`.
    case frame(FrameHeader, consumed: Int)
    /// The stream cannot be followed: answer with this status and request id, then close.
    case refused(Status, requestID: UInt64)
}

public enum FrameDecoder {
    /// Looks for a request at the start of `bytes`: header, limits, length and both checksums are checked.
    /// An unknown operation is a frame: its length is known, so the connection can go on.
    public static func request(_ bytes: Span<UInt8>) -> FrameParsed {
        decode(bytes) { $0.requestRefusal() }
    }

    /// Looks for a reply at the start of `bytes`.
    public static func reply(_ bytes: Span<UInt8>) -> FrameParsed {
        decode(bytes) { $0.refusal() }
    }

    /// The header at the start of `bytes`, unchecked; nil where they are too few.
    public static func header(_ bytes: Span<UInt8>) -> FrameHeader? {
        guard bytes.count >= FrameHeader.bytes else { return nil }
        // SAFETY: 64 bytes are there; a header is plain bytes, any of them valid.
        return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: FrameHeader.self) }
    }

    @inline(__always)
    private static func decode(_ bytes: Span<UInt8>, _ refusal: (FrameHeader) -> Status?) -> FrameParsed {
        guard let header = header(bytes) else {
            // Another protocol, or a stray byte: say so without waiting for a whole header.
            for i in 0..<min(4, bytes.count) where bytes[i] != UInt8(truncatingIfNeeded: FrameHeader.magic >> (8 * i)) {
                return .refused(.malformed, requestID: 0)
            }
            return .needMore(atLeast: FrameHeader.bytes)
        }
        if let status = refusal(header) {
            // The request id is worth repeating only where the header's checksum vouches for it.
            let isTrusted = header.magic == FrameHeader.magic && header.headerChecksum == header.computedHeaderChecksum
            return .refused(status, requestID: isTrusted ? header.requestID : 0)
        }
        let end = FrameHeader.bytes + Int(header.bodyLength)
        if bytes.count < end { return .needMore(atLeast: end) }
        let body = bytes.extracting(FrameHeader.bytes..<end)
        // SAFETY: reads the span's own bytes.
        let checksum = unsafe body.withUnsafeBytes { unsafe Checksum.crc32c($0) }
        if checksum != header.bodyChecksum { return .refused(.checksumMismatch, requestID: header.requestID) }
        return .frame(header, consumed: end)
    }
}

/// A frame under way in an `OutputBuffer`: where its header stands.
@frozen public struct OpenFrame: BitwiseCopyable, Sendable {
    @usableFromInline let offset: Int
}

extension OutputBuffer {
    /// Leaves room for a header; append the body, then call `endFrame`. Take nothing from the front in between.
    public mutating func beginFrame() -> OpenFrame {
        let frame = OpenFrame(offset: count)
        append(zeros: FrameHeader.bytes)
        return frame
    }

    /// Completes the frame: sets the body's length and both checksums and writes the header into its place.
    public mutating func endFrame(_ frame: OpenFrame, _ header: FrameHeader) {
        var header = header
        let bodyStart = frame.offset + FrameHeader.bytes
        invariant(bodyStart <= count, "the frame's header is gone")
        header.bodyLength = UInt32(count - bodyStart)
        // SAFETY: the range was checked; the buffer does not change while the checksum is computed.
        unsafe header.seal(body: UnsafeRawBufferPointer(rebasing: unsafeBytes[bodyStart...]))
        overwrite(record: header, at: frame.offset)
    }

    /// Appends a frame without a body: ping, busy, an error.
    public mutating func appendFrame(_ header: FrameHeader) {
        let frame = beginFrame()
        endFrame(frame, header)
    }

    /// Appends a reply of 16-byte results, or of timestamps alone where all were created.
    /// - Returns: True where timestamps alone were enough.
    @discardableResult
    public mutating func appendReply(_ header: FrameHeader, results: Span<EventResult>) -> Bool {
        var header = header
        var allCreated = true
        for i in 0..<results.count where !results[i].isCreated { allCreated = false }
        let frame = beginFrame()
        reserve(results.count * (allCreated ? 8 : 16))
        if allCreated {
            for i in 0..<results.count { append(record: results[i].timestamp.nanoseconds) }
            header.flags |= FrameHeader.timestampsOnly
        } else {
            for i in 0..<results.count { append(record: results[i]) }
        }
        header.count = UInt32(results.count)
        endFrame(frame, header)
        return allCreated
    }
}
