// Replies out of bytes as they arrive, in pieces of any size: a small state machine per connection and protocol that
// returns one event at a time. No I/O, no allocation (but for the text of an error).

internal import SuanpanCore
internal import SuanpanWire

/// Native frames: header, then a body of results or of timestamps.
struct NativeReplies: BitwiseCopyable {
    enum Event {
        /// All bytes are used up.
        case more
        /// `header` is complete and sound.
        case header
        /// One event's result.
        case result(EventResult)
        /// The frame is complete, and its checksum is right.
        case end
        case bad(String)
    }

    private(set) var header = FrameHeader(0, requestID: 0)
    private var result = EventResult(.created)
    private var headerBytes = 0
    private var resultBytes = 0
    /// Bytes of the body that are still to come.
    private var left = 0
    /// Bytes from here on that the checksum already covers.
    private var covered = 0
    private var crc: UInt32 = 0

    private var hasResults: Bool {
        header.rawOperation == Operation.createTransfers.rawValue && header.rawStatus == 0
            && header.flags & FrameHeader.timestampsOnly == 0
    }

    mutating func next(_ bytes: borrowing RawSpan, at offset: inout Int) -> Event {
        if headerBytes < FrameHeader.bytes {
            if offset == bytes.byteCount { return .more }
            let count = min(FrameHeader.bytes - headerBytes, bytes.byteCount - offset)
            // SAFETY: count bytes lie in the span from offset on, and fit behind those that the header has.
            unsafe bytes.withUnsafeBytes { source in
                unsafe withUnsafeMutableBytes(of: &header) {
                    unsafe UnsafeMutableRawBufferPointer(rebasing: $0[headerBytes...]).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: source[offset..<offset + count]))
                }
            }
            headerBytes += count
            offset += count
            if headerBytes < FrameHeader.bytes { return .more }
            if let problem = header.refusal() { return .bad("sent a frame that is \(problem.name)") }
            left = Int(header.bodyLength)
            covered = 0
            crc = 0
            resultBytes = 0
            return .header
        }
        if left == 0 {
            headerBytes = 0
            return crc == header.bodyChecksum ? .end : .bad("sent a body with a wrong checksum")
        }
        if offset == bytes.byteCount { return .more }
        if covered == 0 {
            covered = min(left, bytes.byteCount - offset)
            // SAFETY: covered bytes lie in the span from offset on.
            crc = unsafe bytes.withUnsafeBytes {
                unsafe Checksum.crc32c(UnsafeRawBufferPointer(rebasing: $0[offset..<offset + covered]), continuing: crc)
            }
        }
        if !hasResults {
            offset += covered
            left -= covered
            covered = 0
            return left == 0 ? next(bytes, at: &offset) : .more
        }
        let size = MemoryLayout<EventResult>.size
        let count = min(size - resultBytes, covered)
        if count == size {
            // SAFETY: covered bytes lie in the span from offset on; a result is plain bytes.
            result = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: EventResult.self)
        } else {
            // SAFETY: as for the header.
            unsafe bytes.withUnsafeBytes { source in
                unsafe withUnsafeMutableBytes(of: &result) {
                    unsafe UnsafeMutableRawBufferPointer(rebasing: $0[resultBytes...]).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: source[offset..<offset + count]))
                }
            }
        }
        resultBytes += count
        offset += count
        left -= count
        covered -= count
        if resultBytes < size { return left == 0 ? .bad("sent a body that ends within a result") : .more }
        resultBytes = 0
        return .result(result)
    }
}

/// RESP replies to TRANSFER and AUTH: a timestamp as a bulk string of digits, an error, or OK.
struct RespReplies: BitwiseCopyable {
    enum Event {
        case more
        /// The transfer was created.
        case created
        case ok
        /// The number of the refusal.
        case refused(UInt16)
        /// An error that is no refusal: the text.
        case error(String)
        case bad(String)
    }

    // The first bytes of an error line; what follows them is for people.
    private typealias Line = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    private var line: Line = (0, 0, 0, 0, 0, 0, 0, 0)
    private var length = 0
    private var kind: UInt8 = 0
    /// Within the digits of a bulk string, behind the line that says how many.
    private var isBody = false

    private static let bulk = UInt8(ascii: "$")
    private static let lineBytesMax = 64
    private static let codes: [String: UInt16] = Dictionary(
        uniqueKeysWithValues: ResultCode.allCases.map { ($0.upperName, $0.rawValue) })

    mutating func next(_ bytes: borrowing RawSpan, at offset: inout Int) -> Event {
        while offset < bytes.byteCount {
            // SAFETY: offset is below the span's count; any byte is a UInt8.
            let byte = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
            offset += 1
            if kind == 0 {
                kind = byte
                length = 0
                guard byte == Self.bulk || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") else {
                    return .bad("sent a reply of type '\(Character(UnicodeScalar(byte)))' to a transfer")
                }
                continue
            }
            if byte == 10 {
                if kind == Self.bulk && !isBody {
                    isBody = true
                    continue
                }
                let event = lineEnd()
                kind = 0
                isBody = false
                return event
            }
            if kind == Self.bulk {
                // The digits of the length and those of the timestamp.
                if byte &- UInt8(ascii: "0") > 9 && byte != 13 { return .bad("sent a text instead of a timestamp") }
            } else if byte != 13 && length < Self.lineBytesMax {
                // SAFETY: length is below the line's size.
                unsafe withUnsafeMutableBytes(of: &line) { unsafe $0[length] = byte }
                length += 1
            }
        }
        return .more
    }

    private func lineEnd() -> Event {
        if kind == Self.bulk { return .created }
        if kind == UInt8(ascii: "+") { return .ok }
        // SAFETY: length is at most the line's size.
        let text = unsafe withUnsafeBytes(of: line) { unsafe String(decoding: $0[..<length], as: UTF8.self) }
        let name = text.prefix { $0 != " " }
        if let code = Self.codes[String(name)] { return .refused(code) }
        return .error(text)
    }
}
