// From arguments to a command: the names first, then a decoder of its own for each command of the ledger.

internal import SuanpanCore

extension RESPCommand {
    /// Decodes the command that was parsed last.
    /// - Parameter input: The bytes that were given to the parser.
    /// - Complexity: O(bytes of the arguments); allocates nothing.
    public static func decode(_ arguments: inout RESPArguments, _ input: Span<UInt8>) -> RESPCommand {
        if arguments.count == 0 { return .nothing }
        do throws(RESPCommandError) {
            if !arguments.isInline { return try decode(&arguments, source: input) }
            // SAFETY: decoding writes the table's ids only, never its scratch, so the span stays valid for the call.
            return try decode(&arguments, source: unsafe Span(_unsafeBytes: arguments.scratch.unsafeBytes))
        } catch {
            return .refused(error)
        }
    }

    private static func decode(
        _ arguments: inout RESPArguments, source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPCommand {
        let name = arguments[0]
        if source.matches(name, "TRANSFER") {
            var reader = ArgumentReader(arguments.count)
            return .transfer(try reader.transfer(arguments, source))
        }
        return switch source.initial(of: name) {
        case UInt8(ascii: "A"): try decodeAccount(&arguments, source)
        case UInt8(ascii: "T"): try decodeTransfer(arguments, source)
        default: try decodeConnection(arguments, source)
        }
    }

    /// ACCOUNT.… and AUTH.
    private static func decodeAccount(
        _ arguments: inout RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPCommand {
        let name = arguments[0]
        var reader = ArgumentReader(arguments.count)
        if source.matches(name, "ACCOUNT.GET") { return try reader.accountGet(&arguments, source) }
        if source.matches(name, "ACCOUNT.CREATE") { return .accountCreate(try reader.accountCreate(arguments, source)) }
        if source.matches(name, "ACCOUNT.TRANSFERS") {
            return .accountHistory(.accountTransfers, try reader.accountHistory(arguments, source))
        }
        if source.matches(name, "ACCOUNT.BALANCES") {
            return .accountHistory(.accountBalances, try reader.accountHistory(arguments, source))
        }
        if source.matches(name, "ACCOUNT.FREEZE") { return try reader.freeze(arguments, source, freezes: true) }
        if source.matches(name, "ACCOUNT.UNFREEZE") { return try reader.freeze(arguments, source, freezes: false) }
        if source.matches(name, "AUTH") {
            try reader.expect(arguments, 2...3)
            return arguments.count == 2
                ? .auth(user: nil, password: arguments[1]) : .auth(user: arguments[1], password: arguments[2])
        }
        throw RESPCommandError(.unknownCommand, name)
    }

    /// TRANSFER.… and TOTALS.
    private static func decodeTransfer(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPCommand {
        let name = arguments[0]
        var reader = ArgumentReader(arguments.count)
        if source.matches(name, "TRANSFER.GET") {
            try reader.expect(arguments, 2...3)
            let id = TransferID(try reader.number(arguments, source, .id))
            if reader.isAtEnd { return .transferGet(id, debit: nil) }
            return .transferGet(id, debit: AccountID(try reader.number(arguments, source, .debit)))
        }
        if source.matches(name, "TRANSFER.POST") {
            return .transfer(try reader.resolution(arguments, source, .postPending))
        }
        if source.matches(name, "TRANSFER.VOID") {
            return .transfer(try reader.resolution(arguments, source, .voidPending))
        }
        if source.matches(name, "TOTALS") {
            try reader.expect(arguments, 1...1)
            return .totals
        }
        throw RESPCommandError(.unknownCommand, name)
    }

    private static func decodeConnection(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPCommand {
        let name = arguments[0]
        let reader = ArgumentReader(arguments.count)
        if source.matches(name, "PING") {
            try reader.expect(arguments, 1...2)
            return .ping(arguments.count == 2 ? arguments[1] : nil)
        }
        if source.matches(name, "MULTI") {
            try reader.expect(arguments, 1...1)
            return .multi
        }
        if source.matches(name, "EXEC") {
            try reader.expect(arguments, 1...1)
            return .exec
        }
        if source.matches(name, "DISCARD") {
            try reader.expect(arguments, 1...1)
            return .discard
        }
        if source.matches(name, "ECHO") {
            try reader.expect(arguments, 2...2)
            return .echo(arguments[1])
        }
        if source.matches(name, "INFO") { return .info }
        if source.matches(name, "HELLO") { return .hello(try hello(arguments, source)) }
        if source.matches(name, "CLIENT") { return .client(try client(arguments, source)) }
        if source.matches(name, "COMMAND") { return .command(try command(arguments, source)) }
        if source.matches(name, "CONFIG") {
            try reader.expect(arguments, 2...RESPArguments.countMax)
            guard source.matches(arguments[1], "GET") else { throw RESPCommandError(.unknownSubcommand, arguments[1]) }
            try reader.expect(arguments, 3...RESPArguments.countMax)
            return .configGet
        }
        if source.matches(name, "SELECT") {
            try reader.expect(arguments, 2...2)
            guard let database = source.unsigned(arguments[1]), database == 0 else {
                throw RESPCommandError(.databaseOutOfRange, arguments[1])
            }
            return .select(0)
        }
        if source.matches(name, "WATCH") || source.matches(name, "UNWATCH") {
            throw RESPCommandError(.watchNotSupported, name)
        }
        if source.matches(name, "ROLE") {
            try reader.expect(arguments, 1...1)
            return .role
        }
        if source.matches(name, "CLUSTER") || source.matches(name, "READONLY") || source.matches(name, "READWRITE") {
            throw RESPCommandError(.noCluster, name)
        }
        if source.matches(name, "RESET") || source.matches(name, "QUIT") {
            try reader.expect(arguments, 1...1)
            return source.matches(name, "RESET") ? .reset : .quit
        }
        throw RESPCommandError(.unknownCommand, name)
    }

    /// HELLO [version [AUTH user password] [SETNAME name]]
    private static func hello(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPHello {
        var hello = RESPHello()
        if arguments.count == 1 { return hello }
        guard let version = source.unsigned(arguments[1]) else {
            throw RESPCommandError(.protocolVersionNotANumber, arguments[1])
        }
        hello.version = version == 2 ? .two : version == 3 ? .three : nil
        if hello.version == nil { throw RESPCommandError(.unsupportedProtocol, arguments[1]) }
        var i = 2
        while i < arguments.count {
            let option = arguments[i]
            if source.matches(option, "AUTH"), i + 2 < arguments.count {
                hello.user = arguments[i + 1]
                hello.password = arguments[i + 2]
                i += 3
            } else if source.matches(option, "SETNAME"), i + 1 < arguments.count {
                hello.clientName = try clientName(arguments[i + 1], source)
                i += 2
            } else {
                throw RESPCommandError(.syntax, option)
            }
        }
        return hello
    }

    /// Redis has no bound; this one keeps what a connection costs small.
    static var clientNameBytesMax: Int { 256 }

    private static func clientName(
        _ argument: RESPArgument, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPArgument {
        if !isName(argument, source) { throw RESPCommandError(.invalidClientName, argument) }
        return argument
    }

    private static func isName(_ argument: RESPArgument, _ source: Span<UInt8>) -> Bool {
        var isName = argument.length <= clientNameBytesMax
        for i in 0..<argument.length where isName {
            isName = (0x21...0x7E).contains(source[argument.offset + i])
        }
        return isName
    }

    private static func client(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPClientCommand {
        guard arguments.count > 1 else { throw RESPCommandError(.wrongArgumentCount, arguments[0]) }
        let subcommand = arguments[1]
        let count = arguments.count
        if source.matches(subcommand, "ID"), count == 2 { return .id }
        if source.matches(subcommand, "INFO"), count == 2 { return .info }
        if source.matches(subcommand, "LIST") { return .list(try clientSelection(arguments, source)) }
        if source.matches(subcommand, "GETNAME"), count == 2 { return .getName }
        if source.matches(subcommand, "SETNAME"), count == 3 { return .setName(try clientName(arguments[2], source)) }
        if source.matches(subcommand, "SETINFO"), count == 4 {
            guard source.matches(arguments[2], "LIB-NAME") || source.matches(arguments[2], "LIB-VER") else {
                throw RESPCommandError(.unknownClientAttribute, arguments[2])
            }
            guard isName(arguments[3], source) else { throw RESPCommandError(.invalidClientAttribute, arguments[2]) }
            return .accepted
        }
        if source.matches(subcommand, "NO-EVICT") || source.matches(subcommand, "NO-TOUCH"), count == 3 {
            guard source.matches(arguments[2], "ON") || source.matches(arguments[2], "OFF") else {
                throw RESPCommandError(.syntax, arguments[2])
            }
            return .accepted
        }
        throw RESPCommandError(.unknownSubcommand, subcommand)
    }

    /// CLIENT LIST [TYPE normal|master|replica|slave|pubsub] [ID id …], one of the two.
    private static func clientSelection(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPClientSelection {
        if arguments.count == 2 { return .all }
        let filter = arguments[2]
        guard arguments.count > 3 else { throw RESPCommandError(.syntax, filter) }
        if source.matches(filter, "ID") {
            for i in 3..<arguments.count where source.unsigned(arguments[i]) == nil {
                throw RESPCommandError(.invalidClientID, arguments[i])
            }
            return .ids
        }
        guard source.matches(filter, "TYPE"), arguments.count == 4 else { throw RESPCommandError(.syntax, filter) }
        let type = arguments[3]
        if source.matches(type, "NORMAL") { return .all }
        if source.matches(type, "MASTER") || source.matches(type, "REPLICA") || source.matches(type, "SLAVE")
            || source.matches(type, "PUBSUB")
        {
            return .none
        }
        throw RESPCommandError(.unknownClientType, type)
    }

    private static func command(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPCommandCommand {
        if arguments.count == 1 { return .all }
        let subcommand = arguments[1]
        if source.matches(subcommand, "COUNT"), arguments.count == 2 { return .count }
        if source.matches(subcommand, "DOCS") { return .docs }
        if source.matches(subcommand, "INFO") { return .info }
        if source.matches(subcommand, "LIST") { return .list(try commandFilter(arguments, source)) }
        throw RESPCommandError(.unknownSubcommand, subcommand)
    }

    /// COMMAND LIST [FILTERBY MODULE name|ACLCAT category|PATTERN pattern]
    private static func commandFilter(
        _ arguments: borrowing RESPArguments, _ source: Span<UInt8>
    ) throws(RESPCommandError) -> RESPCommandFilter {
        if arguments.count == 2 { return .all }
        guard source.matches(arguments[2], "FILTERBY"), arguments.count == 5 else {
            throw RESPCommandError(.syntax, arguments[2])
        }
        if source.matches(arguments[3], "MODULE") || source.matches(arguments[3], "ACLCAT") { return .none }
        if source.matches(arguments[3], "PATTERN") { return .pattern }
        throw RESPCommandError(.syntax, arguments[3])
    }
}

extension Span where Element == UInt8 {
    /// The first letter of a name, as a capital; 0 where it is empty.
    fileprivate func initial(of name: RESPArgument) -> UInt8 { name.length == 0 ? 0 : self[name.offset] & ~0x20 }
}
