// Finds the commands in the bytes of a RESP connection: arrays of bulk strings, as client libraries send them, and lines,
// as people type them. Pure: bytes in, slices out; keeps 24 bytes per connection between calls.
// Source of the wording of errors: Redis' networking.c, which client libraries know.

/// What a call of `RESPParser.parse` found.
@frozen public enum RESPParsed: BitwiseCopyable, Sendable, Equatable {
    /// The command is incomplete. Nothing more can be said before `atLeast` bytes of it, counted from its start, are
    /// there.
    case needMore(atLeast: Int)
    /// A command; its arguments are in the table, and its `consumed` bytes can go once it was decoded. No arguments at
    /// all (an empty line, `*0`) are to be skipped in silence.
    case command(consumed: Int)
    /// The stream cannot be understood any longer: answer and close.
    case malformed(RESPProtocolError)
}

/// What is wrong with a stream.
@frozen public enum RESPProtocolError: BitwiseCopyable, Sendable, Equatable {
    case invalidMultibulkLength
    case tooManyArguments
    case unauthenticatedMultibulkLength
    case tooBigMultibulkCount
    case expectedBulk(got: UInt8)
    case invalidBulkLength
    case unauthenticatedBulkLength
    case tooBigBulkCount
    case invalidBulkEnd
    case tooBigCommand
    case tooBigInline
    case unbalancedQuotes
    /// Another protocol than this door's.
    case foreign(ForeignProtocol)
}

/// The parser's state for one connection.
///
/// Call `parse` with all bytes received from the start of the command on. After `needMore` call again with the same bytes
/// and more behind them (they may have moved in memory).
/// - Complexity: O(bytes) over all calls for one command, however it was cut; allocates nothing.
@frozen public struct RESPParser: BitwiseCopyable, Sendable {
    /// One argument. The longest that means anything is a password or an inline number; the rest is for ECHO.
    public static let bulkBytesMax = 64 << 10
    /// One command with all its framing; a connection's receive buffer needs no more.
    public static let commandBytesMax = 1 << 20
    /// One typed line.
    public static let inlineBytesMax = 64 << 10
    /// Bounds of a client that has not given the password yet, as in Redis.
    public static let unauthenticatedArgumentsMax = 10
    public static let unauthenticatedBulkBytesMax = 16 << 10
    /// `*` or `$`, a sign, digits, and the end of the line.
    static let countLineBytesMax = 32

    /// Bytes of the command that were already looked at.
    var position = 0
    /// Bulk strings still to come.
    var remaining = 0
    /// True once the array's header was read.
    var isArray = false

    public init() {}

    /// True between two commands: nothing of the next one was seen.
    public var isIdle: Bool { position == 0 }

    /// Looks for the next command at the start of `bytes`.
    /// - Parameters:
    ///   - arguments: Receives the arguments on `.command`.
    ///   - authenticated: False narrows the limits, so that strangers cannot fill the memory.
    public mutating func parse(
        _ bytes: Span<UInt8>, into arguments: inout RESPArguments, authenticated: Bool = true
    ) -> RESPParsed {
        let wasIdle = isIdle
        let outcome = advance(bytes, into: &arguments, authenticated: authenticated)
        switch outcome {
        case .needMore:
            return outcome
        case .malformed:
            self = RESPParser()
            return outcome
        case .command:
            self = RESPParser()
            if wasIdle { return outcome }
            // The table knows the arguments since the last call only: walk the complete command once more.
            let whole = advance(bytes, into: &arguments, authenticated: authenticated)
            self = RESPParser()
            return whole
        }
    }

    private mutating func advance(
        _ bytes: Span<UInt8>, into arguments: inout RESPArguments, authenticated: Bool
    ) -> RESPParsed {
        arguments.removeAll()
        if !isArray {
            if bytes.isEmpty { return .needMore(atLeast: 1) }
            if bytes[0] != UInt8(ascii: "*") { return advanceInline(bytes, into: &arguments) }
            switch Self.count(bytes, at: 1) {
            case .incomplete:
                if bytes.count > Self.countLineBytesMax { return .malformed(.tooBigMultibulkCount) }
                return .needMore(atLeast: bytes.count + 1)
            case .invalid:
                return .malformed(.invalidMultibulkLength)
            case .value(let value, let next):
                if value > RESPArguments.countMax { return .malformed(.tooManyArguments) }
                if !authenticated, value > Self.unauthenticatedArgumentsMax {
                    return .malformed(.unauthenticatedMultibulkLength)
                }
                if value <= 0 { return .command(consumed: next) }
                position = next
                remaining = value
                isArray = true
            }
        }
        return advanceArray(bytes, into: &arguments, authenticated: authenticated)
    }

    private mutating func advanceArray(
        _ bytes: Span<UInt8>, into arguments: inout RESPArguments, authenticated: Bool
    ) -> RESPParsed {
        while remaining > 0 {
            if position >= bytes.count { return .needMore(atLeast: position + 1) }
            if bytes[position] != UInt8(ascii: "$") { return .malformed(.expectedBulk(got: bytes[position])) }
            switch Self.count(bytes, at: position + 1) {
            case .incomplete:
                if bytes.count - position > Self.countLineBytesMax { return .malformed(.tooBigBulkCount) }
                return .needMore(atLeast: bytes.count + 1)
            case .invalid:
                return .malformed(.invalidBulkLength)
            case .value(let length, let next):
                if length < 0 || length > Self.bulkBytesMax { return .malformed(.invalidBulkLength) }
                if !authenticated, length > Self.unauthenticatedBulkBytesMax {
                    return .malformed(.unauthenticatedBulkLength)
                }
                let end = next + length + 2
                if end > Self.commandBytesMax { return .malformed(.tooBigCommand) }
                if end > bytes.count { return .needMore(atLeast: end) }
                if bytes[end - 2] != ASCII.carriageReturn || bytes[end - 1] != ASCII.newline {
                    return .malformed(.invalidBulkEnd)
                }
                if !arguments.append(offset: next, length: length) { return .malformed(.tooManyArguments) }
                position = end
                remaining -= 1
            }
        }
        if ForeignProtocol.isHTTP(command: bytes, arguments[0]) { return .malformed(.foreign(.http)) }
        return .command(consumed: position)
    }

    private enum Count {
        case incomplete
        case invalid
        case value(Int, next: Int)
    }

    /// Reads `-?digits\r\n` from `start` on. Looks at no more than `countLineBytesMax` bytes.
    @inline(__always)
    private static func count(_ bytes: Span<UInt8>, at start: Int) -> Count {
        var i = start
        let end = min(bytes.count, start + countLineBytesMax)
        var value = 0
        var isNegative = false
        if i < end, bytes[i] == UInt8(ascii: "-") {
            isNegative = true
            i += 1
        }
        let firstDigit = i
        while i < end {
            let byte = bytes[i]
            let digit = byte &- ASCII.zero
            if digit <= 9 {
                // Beyond ten digits the answer is known: too large.
                if i - firstDigit >= 10 { return .invalid }
                value = value * 10 + Int(digit)
                i += 1
                continue
            }
            if byte != ASCII.carriageReturn || i == firstDigit { return .invalid }
            if i - firstDigit > 1, bytes[firstDigit] == ASCII.zero { return .invalid }
            if i + 1 >= bytes.count { return .incomplete }
            if bytes[i + 1] != ASCII.newline { return .invalid }
            return .value(isNegative ? -value : value, next: i + 2)
        }
        return .incomplete
    }
}
