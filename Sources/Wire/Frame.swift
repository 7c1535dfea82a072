// Cutting received bytes into native frames, and writing frames into an output buffer. Pure: no I/O here.

public import SuanpanCore

/// What the first bytes of a connection's input hold.
@frozen public enum FrameParsed: BitwiseCopyable, Sendable, Equatable {
    /// Incomplete; nothing more can be said before so many bytes, counted from the frame's start, are there.
    case needMore(atLeast: Int)
    /// A whole frame; the body lies between `FrameHeader.bytes` and `consumed`.
    case frame(FrameHeader, consumed: Int)
    /// The stream cannot be followed: answer with this status, operation and request id, then close.
    case refused(Status, operation: UInt8, requestID: UInt64)
}

public enum FrameDecoder {
    /// Looks for a request at the start of `bytes`: header, limits, length and both checksums are checked, the header before
    /// its body has come. An unknown operation is a frame: its length is known, so the connection can go on.
    /// - Parameter bodyBytesMax: Less for strangers.
    /// - Complexity: O(bytes of the frame) once it is whole, O(1) before.
    public static func request(
        _ bytes: Span<UInt8>, bodyBytesMax: Int = Limits.messageBodyBytesMax
    ) -> FrameParsed {
        guard bytes.count >= FrameHeader.bytes else {
            // Another protocol, or a stray byte: say so without waiting for a whole header.
            for i in 0..<min(4, bytes.count) where bytes[i] != UInt8(truncatingIfNeeded: FrameHeader.magic >> (8 * i)) {
                return .refused(.malformed, operation: 0, requestID: 0)
            }
            return .needMore(atLeast: FrameHeader.bytes)
        }
        // SAFETY: 64 bytes are there; a header is plain bytes, any of them valid.
        let header = unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: FrameHeader.self) }
        if let status = header.requestRefusal(bodyBytesMax: bodyBytesMax) { return refused(status, header) }
        let end = FrameHeader.bytes + Int(header.bodyLength)
        if bytes.count < end { return .needMore(atLeast: end) }
        let body = bytes.extracting(FrameHeader.bytes..<end)
        // SAFETY: reads the span's own bytes.
        let checksum = unsafe body.withUnsafeBytes { unsafe Checksum.crc32c($0) }
        if checksum != header.bodyChecksum { return refused(.checksumMismatch, header) }
        return .frame(header, consumed: end)
    }

    /// Operation and request id are worth repeating only where the header's checksum vouches for them.
    private static func refused(_ status: Status, _ header: FrameHeader) -> FrameParsed {
        let isTrusted = header.magic == FrameHeader.magic && header.headerChecksum == header.computedHeaderChecksum
        return .refused(
            status, operation: isTrusted ? header.rawOperation : 0, requestID: isTrusted ? header.requestID : 0)
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

    /// Appends a frame of a status and perhaps a text: ping, busy, an error.
    public mutating func appendFrame(_ header: FrameHeader, text: String = "") {
        let frame = beginFrame()
        append(text: text)
        endFrame(frame, header)
    }

    /// Appends a reply of 16-byte results, or of timestamps alone where all were created.
    /// - Parameter allCreated: What the caller knows of the results.
    public mutating func appendReply(_ header: FrameHeader, results: Span<EventResult>, allCreated: Bool) {
        var header = header
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
    }
}
