// Writes RESP replies, versions 2 and 3, into a connection's output. Allocates nothing besides the buffer's own growth.

public import SuanpanCore

/// The reply writer of a connection: remembers which version of the protocol was agreed on.
@frozen public struct RESPEncoder: BitwiseCopyable, Sendable {
    public var version: RESPVersion
    public init(version: RESPVersion = .two) { self.version = version }

    // MARK: Elements

    /// `+text`; the text must hold no line break.
    public func simple(_ text: StaticString, into out: inout OutputBuffer) {
        out.append(UInt8(ascii: "+"))
        out.append(text)
        out.appendLineEnd()
    }

    public func ok(into out: inout OutputBuffer) { out.append("+OK\r\n") }
    public func queued(into out: inout OutputBuffer) { out.append("+QUEUED\r\n") }

    /// `-text`; begins with the error's name in capitals.
    public func error(_ text: StaticString, into out: inout OutputBuffer) {
        out.append(UInt8(ascii: "-"))
        out.append(text)
        out.appendLineEnd()
    }

    /// For numbers that stay below 2^53, and so exact in every client: counts, the protocol's version, a connection's id.
    public func integer(_ value: UInt64, into out: inout OutputBuffer) {
        out.append(UInt8(ascii: ":"))
        out.append(decimal: value)
        out.appendLineEnd()
    }

    public func bulk(_ text: StaticString, into out: inout OutputBuffer) {
        bulkHeader(text.utf8CodeUnitCount, into: &out)
        out.append(text)
        out.appendLineEnd()
    }

    public func bulk(_ bytes: Span<UInt8>, into out: inout OutputBuffer) {
        bulkHeader(bytes.count, into: &out)
        out.append(bytes)
        out.appendLineEnd()
    }

    /// Text made on a cold path: INFO.
    public func bulk(text: String, into out: inout OutputBuffer) {
        bulkHeader(text.utf8.count, into: &out)
        out.append(text: text)
        out.appendLineEnd()
    }

    /// Text for people, that redis-cli prints as it is: verbatim in version 3, a bulk string in version 2.
    public func verbatim(text: String, into out: inout OutputBuffer) {
        if version == .two { return bulk(text: text, into: &out) }
        out.append(UInt8(ascii: "="))
        out.append(decimal: UInt64(text.utf8.count + 4))
        out.append("\r\ntxt:")
        out.append(text: text)
        out.appendLineEnd()
    }

    /// A number as a decimal bulk string: 128 bits do not fit RESP's integers.
    public func bulk(decimal value: UInt128, into out: inout OutputBuffer) {
        bulkHeader(OutputBuffer.digitCount(value), into: &out)
        out.append(decimal: value)
        out.appendLineEnd()
    }

    /// A timestamp as a decimal bulk string, as in maps: clients whose numbers are doubles (JavaScript, Lua, jq) would round
    /// an integer above 2^53, in either version of the protocol.
    @inline(__always)
    public func bulk(timestamp: Timestamp, into out: inout OutputBuffer) {
        let count = OutputBuffer.digitCount(timestamp.nanoseconds)
        // All timestamps from 2001 to 2286.
        if _fastPath(count == 19) { out.append("$19\r\n") } else { bulkHeader(count, into: &out) }
        out.append(decimal: timestamp.nanoseconds)
        out.appendLineEnd()
    }

    func bulkHeader(_ count: Int, into out: inout OutputBuffer) {
        out.append(UInt8(ascii: "$"))
        out.append(decimal: UInt64(count))
        out.appendLineEnd()
    }

    public func null(into out: inout OutputBuffer) { out.append(version == .two ? "$-1\r\n" : "_\r\n") }

    /// EXEC of a chain that was given up.
    public func nullArray(into out: inout OutputBuffer) { out.append(version == .two ? "*-1\r\n" : "_\r\n") }

    /// The head of an array; its `count` elements follow.
    public func array(_ count: Int, into out: inout OutputBuffer) { head("*", count, into: &out) }

    /// The head of a map; its `count` keys and values follow in turn. A flat array in version 2.
    public func map(_ count: Int, into out: inout OutputBuffer) {
        if version == .two { head("*", count * 2, into: &out) } else { head("%", count, into: &out) }
    }

    /// The head of a set; an array in version 2.
    public func set(_ count: Int, into out: inout OutputBuffer) { head(version == .two ? "*" : "~", count, into: &out) }

    private func head(_ type: StaticString, _ count: Int, into out: inout OutputBuffer) {
        out.append(type)
        out.append(decimal: UInt64(count))
        out.appendLineEnd()
    }

    // MARK: Errors of the connection

    /// The stream cannot be understood: answer and close.
    public func error(_ error: RESPProtocolError, into out: inout OutputBuffer) {
        out.append("-ERR Protocol error: ")
        switch error {
        case .invalidMultibulkLength: out.append("invalid multibulk length")
        case .tooManyArguments:
            out.append("invalid multibulk length, up to ")
            out.append(decimal: UInt64(RESPArguments.countMax))
            out.append(" arguments are taken")
        case .unauthenticatedMultibulkLength: out.append("unauthenticated multibulk length")
        case .tooBigMultibulkCount: out.append("too big mbulk count string")
        case .expectedBulk(let got):
            out.append("expected '$', got '")
            out.append(Self.printable(got))
            out.append("'")
        case .invalidBulkLength: out.append("invalid bulk length")
        case .unauthenticatedBulkLength: out.append("unauthenticated bulk length")
        case .tooBigBulkCount: out.append("too big bulk count string")
        case .invalidBulkEnd: out.append("a bulk string does not end where its length says")
        case .tooBigCommand:
            out.append("too big command, up to ")
            out.append(decimal: UInt64(RESPParser.commandBytesMax >> 20))
            out.append(" MiB is taken")
        case .tooBigInline: out.append("too big inline request")
        case .unbalancedQuotes: out.append("unbalanced quotes in request")
        case .foreign(let other):
            out.append(other.name)
            out.append(" is not spoken at this port, which is RESP without TLS; nothing of it was executed")
        }
        out.appendLineEnd()
    }

    /// The command cannot be understood: answer and go on.
    /// - Parameters:
    ///   - arguments: The table that the command was decoded from, unchanged since.
    ///   - input: The bytes it was parsed from.
    public func error(
        _ error: RESPCommandError, of arguments: borrowing RESPArguments, input: Span<UInt8>,
        into out: inout OutputBuffer
    ) {
        switch error.kind {
        case .unknownCommand:
            quote(
                "-ERR unknown command '", error.argument, "'; COMMAND DOCS lists those there are", arguments, input,
                &out)
        case .wrongArgumentCount:
            out.append("-ERR wrong number of arguments for '")
            append(error.argument, lowercased: true, arguments, input, &out)
            out.append("' command")
        case .unknownSubcommand:
            quote(
                "-ERR unknown subcommand or wrong number of arguments for '", error.argument, "'", arguments, input,
                &out)
        case .syntax:
            quote("-ERR syntax error near '", error.argument, "'", arguments, input, &out)
        case .notUnsigned(let field):
            out.append("-ERR ")
            out.append(field.name)
            quote(" '", error.argument, "' is not an unsigned ", arguments, input, &out)
            out.append(decimal: UInt64(field.bits))
            out.append("-bit integer")
        case .mustNotBeZero(let field):
            out.append("-ERR ")
            out.append(field.name)
            quote(" '", error.argument, "' must not be 0; leave it out for no bound", arguments, input, &out)
        case .unknownFlag:
            quote("-ERR flag '", error.argument, "' is not known", arguments, input, &out)
        case .unsupportedProtocol:
            out.append("-NOPROTO unsupported protocol version")
        case .protocolVersionNotANumber:
            out.append("-ERR Protocol version is not an integer or out of range")
        case .databaseOutOfRange:
            out.append("-ERR DB index is out of range")
        case .invalidClientName:
            out.append("-ERR Client names cannot contain spaces, newlines or special characters, and have at most ")
            out.append(decimal: UInt64(RESPCommand.clientNameBytesMax))
            out.append(" bytes")
        case .invalidClientID:
            out.append("-ERR Invalid client ID")
        case .unknownClientType:
            quote("-ERR Unknown client type '", error.argument, "'", arguments, input, &out)
        case .unknownClientAttribute:
            quote("-ERR Unrecognized option '", error.argument, "'", arguments, input, &out)
        case .invalidClientAttribute:
            out.append("-ERR ")
            append(error.argument, lowercased: true, arguments, input, &out)
            out.append(" cannot contain spaces, newlines or special characters, and has at most ")
            out.append(decimal: UInt64(RESPCommand.clientNameBytesMax))
            out.append(" bytes")
        case .noCluster:
            out.append("-ERR This instance has cluster support disabled")
        case .watchNotSupported:
            quote(
                "-ERR ", error.argument, " is not supported: EXEC applies all or nothing and checks the limits itself",
                arguments, input, &out)
        }
        out.appendLineEnd()
    }

    private func quote(
        _ before: StaticString, _ argument: RESPArgument, _ after: StaticString, _ arguments: borrowing RESPArguments,
        _ input: Span<UInt8>, _ out: inout OutputBuffer
    ) {
        out.append(before)
        append(argument, lowercased: false, arguments, input, &out)
        out.append(after)
    }

    /// Up to 64 bytes of an argument; what could break the line or the terminal becomes `?`.
    private func append(
        _ argument: RESPArgument, lowercased: Bool, _ arguments: borrowing RESPArguments, _ input: Span<UInt8>,
        _ out: inout OutputBuffer
    ) {
        arguments.withSource(input) { source in
            for i in 0..<min(argument.length, 64) {
                let byte = Self.printable(source[argument.offset + i])
                out.append(lowercased && byte >= 0x41 && byte <= 0x5A ? byte + 0x20 : byte)
            }
        }
        if argument.length > 64 { out.append("...") }
    }

    private static func printable(_ byte: UInt8) -> UInt8 { byte >= 0x20 && byte <= 0x7E ? byte : UInt8(ascii: "?") }

    public func notAuthenticated(into out: inout OutputBuffer) { out.append("-NOAUTH Authentication required.\r\n") }
    public func wrongPassword(into out: inout OutputBuffer) {
        out.append("-WRONGPASS invalid username-password pair or user is disabled.\r\n")
    }
    public func multiNested(into out: inout OutputBuffer) { out.append("-ERR MULTI calls can not be nested\r\n") }
    public func execWithoutMulti(into out: inout OutputBuffer) { out.append("-ERR EXEC without MULTI\r\n") }
    public func discardWithoutMulti(into out: inout OutputBuffer) { out.append("-ERR DISCARD without MULTI\r\n") }
    public func execAborted(into out: inout OutputBuffer) {
        out.append("-EXECABORT Transaction discarded because of previous errors.\r\n")
    }
    public func notInMulti(into out: inout OutputBuffer) {
        out.append("-ERR only TRANSFER, TRANSFER.POST, TRANSFER.VOID and ACCOUNT.CREATE can be queued in MULTI\r\n")
    }
    /// One more than a chain holds.
    public func multiTooLong(of accounts: Bool, into out: inout OutputBuffer) {
        out.append("-ERR MULTI queues up to ")
        out.append(decimal: UInt64(Limits.eventsPerChainMax))
        out.append(accounts ? " accounts\r\n" : " transfers\r\n")
    }
    public func multiMixed(into out: inout OutputBuffer) {
        out.append("-ERR MULTI queues either transfers or accounts, not both\r\n")
    }
    public func tooManyClients(into out: inout OutputBuffer) { out.append("-ERR max number of clients reached\r\n") }
    public func shuttingDown(into out: inout OutputBuffer) {
        out.append("-SHUTTING_DOWN the server is shutting down; nothing was executed\r\n")
    }
    /// The server is starting.
    public func loading(percent: Int, into out: inout OutputBuffer) {
        out.append("-LOADING replaying, ")
        out.append(decimal: UInt64(percent))
        out.append("% done; nothing was executed, try again\r\n")
    }
    public func unbalanced(into out: inout OutputBuffer) {
        out.append("-UNBALANCED debits and credits differ: no writes are taken; see INFO totals\r\n")
    }
    public func timeout(into out: inout OutputBuffer) { out.append("-TIMEOUT the connection was too slow\r\n") }
    public func busy(retryAfterMilliseconds: UInt32, into out: inout OutputBuffer) {
        out.append("-BUSY retry after ")
        out.append(decimal: UInt64(retryAfterMilliseconds))
        out.append(" ms\r\n")
    }
}
