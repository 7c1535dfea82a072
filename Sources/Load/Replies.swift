// Replies out of bytes as they arrive, in pieces of any size: a small state machine per connection and protocol that
// returns one event at a time. No I/O, no allocation (but for the text of an error).

internal import SuanpanCore
internal import SuanpanWire

/// Native frames: `FrameReader`, and its bodies as results where they are some.
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

    private var reader = FrameReader()
    private var result = EventResult(.created)
    private var resultBytes = 0
    /// Of the bytes given: the part of the body that is still to be taken apart.
    private var pieceStart = 0
    private var pieceEnd = 0

    var header: FrameHeader { reader.header }

    private var hasResults: Bool {
        header.rawOperation == Operation.createTransfers.rawValue && header.rawStatus == 0
            && header.flags & FrameHeader.timestampsOnly == 0
    }

    mutating func next(_ bytes: Span<UInt8>, at offset: inout Int) -> Event {
        while true {
            if pieceStart < pieceEnd, let result = nextResult(bytes) { return .result(result) }
            switch reader.next(bytes, at: &offset) {
            case .more: return .more
            case .header:
                resultBytes = 0
                return .header
            case .body(let range): if hasResults { (pieceStart, pieceEnd) = (range.lowerBound, range.upperBound) }
            case .end: return resultBytes == 0 ? .end : .bad("sent a body that ends within a result")
            case .refused(.checksumMismatch): return .bad("sent a frame with a wrong checksum")
            case .refused(let status): return .bad("sent a frame that is \(status.name)")
            }
        }
    }

    /// The next result of the piece; nil: only a part of one was left, and is kept.
    @inline(__always)
    private mutating func nextResult(_ bytes: Span<UInt8>) -> EventResult? {
        let size = MemoryLayout<EventResult>.size
        let count = min(size - resultBytes, pieceEnd - pieceStart)
        if count == size {
            // SAFETY: the piece lies in the span; a result is plain bytes.
            result = unsafe bytes.withUnsafeBytes {
                unsafe $0.loadUnaligned(fromByteOffset: pieceStart, as: EventResult.self)
            }
        } else {
            // SAFETY: count bytes of the piece lie in the span, and fit behind those that the result has.
            unsafe bytes.withUnsafeBytes { source in
                unsafe withUnsafeMutableBytes(of: &result) {
                    unsafe UnsafeMutableRawBufferPointer(rebasing: $0[resultBytes...]).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: source[pieceStart..<pieceStart + count]))
                }
            }
        }
        pieceStart += count
        resultBytes += count
        if resultBytes < size { return nil }
        resultBytes = 0
        return result
    }
}

/// RESP replies to TRANSFER, MULTI, EXEC and AUTH: a timestamp as a bulk string of digits, an error, OK, QUEUED, or the
/// beginning of an array of the first two.
struct RespReplies: BitwiseCopyable {
    enum Event {
        case more
        /// The transfer was created.
        case created
        case ok
        case queued
        /// So many replies follow that are one.
        case array(Int)
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
    private static let array = UInt8(ascii: "*")
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
                guard byte == Self.bulk || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") || byte == Self.array
                else {
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
        // "OK" and "QUEUED" come by the thousand: told apart without a String.
        if kind == UInt8(ascii: "+") { return length == 6 ? .queued : .ok }
        // SAFETY: length is at most the line's size.
        let text = unsafe withUnsafeBytes(of: line) { unsafe String(decoding: $0[..<length], as: UTF8.self) }
        if kind == Self.array {
            guard let count = Int(text), count >= 0 else { return .bad("sent an array of '\(text)'") }
            return .array(count)
        }
        let name = text.prefix { $0 != " " }
        if let code = Self.codes[String(name)] { return .refused(code) }
        return .error(text)
    }
}
