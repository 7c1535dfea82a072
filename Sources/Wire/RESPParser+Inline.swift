// Commands as people type them in telnet or netcat: a line, words between spaces, quotes as in redis-cli.

internal import SuanpanCore

extension RESPParser {
    mutating func advanceInline(_ bytes: Span<UInt8>, into arguments: inout RESPArguments) -> RESPParsed {
        if let other = ForeignProtocol.beginning(ofCommand: bytes) { return .malformed(.foreign(other)) }
        var i = position
        while i < bytes.count, bytes[i] != ASCII.newline { i += 1 }
        position = i
        if i > Self.inlineBytesMax { return .malformed(.tooBigInline) }
        if i == bytes.count { return .needMore(atLeast: i + 1) }
        let lineEnd = i > 0 && bytes[i - 1] == ASCII.carriageReturn ? i - 1 : i
        if ForeignProtocol.isHTTP(line: bytes, end: lineEnd) { return .malformed(.foreign(.http)) }
        arguments.isInline = true
        arguments.scratch.removeAll()
        if let error = Self.split(bytes, lineEnd: lineEnd, into: &arguments) { return .malformed(error) }
        return .command(consumed: i + 1)
    }

    /// Cuts a line into words and takes quotes and escapes away.
    private static func split(
        _ bytes: Span<UInt8>, lineEnd: Int, into arguments: inout RESPArguments
    ) -> RESPProtocolError? {
        var i = 0
        while true {
            while i < lineEnd, ASCII.isSpace(bytes[i]) { i += 1 }
            if i == lineEnd { return nil }
            let start = arguments.scratch.count
            guard let end = word(bytes, from: i, lineEnd: lineEnd, into: &arguments.scratch) else {
                return .unbalancedQuotes
            }
            if !arguments.append(offset: start, length: arguments.scratch.count - start) { return .tooManyArguments }
            i = end
        }
    }

    /// Appends the word that begins at `start` to `scratch`; returns where it ends, nil for unbalanced quotes.
    private static func word(
        _ bytes: Span<UInt8>, from start: Int, lineEnd: Int, into scratch: inout OutputBuffer
    ) -> Int? {
        var i = start
        while i < lineEnd, !ASCII.isSpace(bytes[i]) {
            let byte = bytes[i]
            i += 1
            if byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "'") {
                scratch.append(byte)
                continue
            }
            guard let end = quoted(bytes, quote: byte, from: i, lineEnd: lineEnd, into: &scratch) else { return nil }
            // A closing quote must be followed by a space or nothing.
            if end < lineEnd, !ASCII.isSpace(bytes[end]) { return nil }
            i = end
        }
        return i
    }

    /// Appends what stands between quotes; returns the position behind the closing one.
    private static func quoted(
        _ bytes: Span<UInt8>, quote: UInt8, from start: Int, lineEnd: Int, into scratch: inout OutputBuffer
    ) -> Int? {
        let backslash = UInt8(ascii: "\\")
        var i = start
        while i < lineEnd {
            let byte = bytes[i]
            if byte == quote { return i + 1 }
            if byte != backslash || i + 1 == lineEnd {
                scratch.append(byte)
                i += 1
                continue
            }
            let next = bytes[i + 1]
            if quote == UInt8(ascii: "'") {
                scratch.append(next == quote ? next : backslash)
                i += next == quote ? 2 : 1
            } else if next == UInt8(ascii: "x"), i + 3 < lineEnd, let high = ASCII.hexDigit(bytes[i + 2]),
                let low = ASCII.hexDigit(bytes[i + 3])
            {
                scratch.append(high << 4 | low)
                i += 4
            } else {
                scratch.append(unescaped(next))
                i += 2
            }
        }
        return nil
    }

    private static func unescaped(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "n"): ASCII.newline
        case UInt8(ascii: "r"): ASCII.carriageReturn
        case UInt8(ascii: "t"): 9
        case UInt8(ascii: "b"): 8
        case UInt8(ascii: "a"): 7
        default: byte
        }
    }
}
