// What does not belong at a door, known by its first bytes: browsers and services can be made to send HTTP to any port,
// with a body of the sender's choice, and a misconfigured client knocks at the wrong one. Nothing behind it is executed.
// Source of the idea: Redis' securityWarningCommand, which ends connections that say POST or Host: (since 3.2.7).

/// A protocol that is not the door's.
@frozen public enum ForeignProtocol: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case http
    case tls
    /// Ours, at the other port.
    case native
    case resp

    public var name: StaticString {
        switch self {
        case .http: "HTTP"
        case .tls: "TLS"
        case .native: "the native protocol"
        case .resp: "the Redis protocol"
        }
    }

    /// A TLS record of a handshake begins so, whatever the version.
    private static let handshake: (UInt8, UInt8) = (0x16, 0x03)

    /// What the bytes of a RESP connection begin with where they are no command; nil where they may be one.
    static func beginning(ofCommand bytes: Span<UInt8>) -> ForeignProtocol? {
        if bytes.count >= 2, bytes[0] == handshake.0, bytes[1] == handshake.1 { return .tls }
        if bytes.count >= 4, has(bytes, "SPN1", at: 0) { return .native }
        return nil
    }

    /// What the bytes of a native connection begin with where they are no frame; nil where it is nothing known.
    public static func beginning(ofFrame bytes: Span<UInt8>) -> ForeignProtocol? {
        guard bytes.count >= 4 else { return nil }
        if bytes[0] == handshake.0, bytes[1] == handshake.1 { return .tls }
        if bytes[0] == UInt8(ascii: "*"), bytes[1] &- 0x30 <= 9 { return .resp }
        for word: StaticString in ["GET ", "HEAD", "POST", "PUT ", "DELE", "CONN", "OPTI", "TRAC", "PATC", "PRI "]
        where has(bytes, word, at: 0) { return .http }
        return nil
    }

    /// Methods that no command of ours is named by. In a line without a version too: HTTP 0.9 has none, and who can break a
    /// line in a path ends it there.
    private static var methods: [StaticString] {
        ["GET", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"]
    }
    /// What requests of HTTP's form have as their version: HTTP, streams, calls.
    private static var versions: [StaticString] { ["HTTP/", "RTSP/", "SIP/", "ICAP/"] }

    /// True for the first line of an HTTP request of any method, and for its other lines, whose first word ends in a colon.
    static func isHTTP(line bytes: Span<UInt8>, end: Int) -> Bool {
        var start = 0
        while start < end, ASCII.isSpace(bytes[start]) { start += 1 }
        var wordEnd = start
        while wordEnd < end, !ASCII.isSpace(bytes[wordEnd]) { wordEnd += 1 }
        if wordEnd - start > 1, bytes[wordEnd - 1] == UInt8(ascii: ":") { return true }
        if wordEnd - start == 4, has(bytes, "POST", at: start) { return true }
        // An answer.
        if has(bytes, "HTTP/", at: start) { return true }
        var second = wordEnd
        while second < end, ASCII.isSpace(bytes[second]) { second += 1 }
        let isMethod = methods.contains { $0.utf8CodeUnitCount == wordEnd - start && has(bytes, $0, at: start) }
        if isMethod, second < end, bytes[second] == UInt8(ascii: "/") || has(bytes, "HTTP", at: second) { return true }
        var last = end
        while last > second, ASCII.isSpace(bytes[last - 1]) { last -= 1 }
        var version = last
        while version > second, !ASCII.isSpace(bytes[version - 1]) { version -= 1 }
        // A word between the method and the version, as no command of ours has one there.
        return (isMethod || version > second) && isVersion(bytes, from: version, to: last)
    }

    /// `HTTP/1.1` and the like.
    private static func isVersion(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> Bool {
        for name in versions where has(bytes, name, at: start) {
            let number = start + name.utf8CodeUnitCount
            if number >= end { return false }
            return (number..<end).allSatisfy { bytes[$0] == UInt8(ascii: ".") || bytes[$0] &- ASCII.zero <= 9 }
        }
        return false
    }

    /// True for the words by which Redis knows HTTP, sent as an array's first.
    @inline(__always)
    static func isHTTP(command bytes: Span<UInt8>, _ word: RESPArgument) -> Bool {
        switch word.length {
        case 4: has(bytes, "POST", at: word.offset)
        case 5: has(bytes, "HOST:", at: word.offset)
        default: false
        }
    }

    /// `word`, in capitals, stands at `offset`, in any case.
    private static func has(_ bytes: Span<UInt8>, _ word: StaticString, at offset: Int) -> Bool {
        let length = word.utf8CodeUnitCount
        return offset + length <= bytes.count && bytes.matches(offset: offset, length: length, word)
    }
}
