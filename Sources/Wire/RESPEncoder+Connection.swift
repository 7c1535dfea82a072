// Replies that make Redis clients feel at home: HELLO, CLIENT, CONFIG GET, COMMAND. All of them are off the hot path.

internal import Glibc
internal import SuanpanCore

/// What CLIENT tells of a connection.
public struct RESPClientFacts {
    /// Never used again.
    public var connectionID: UInt64
    public var name: String
    /// HOST:PORT, of the client and of this end.
    public var address: String
    public var localAddress: String
    public var fd: Int32
    public var ageSeconds: UInt64

    public init(
        connectionID: UInt64, name: String = "", address: String = "", localAddress: String = "", fd: Int32 = 0,
        ageSeconds: UInt64 = 0
    ) {
        self.connectionID = connectionID
        self.name = name
        self.address = address
        self.localAddress = localAddress
        self.fd = fd
        self.ageSeconds = ageSeconds
    }
}

extension RESPEncoder {
    /// HELLO: what the server is. Encode with the version that was just agreed on.
    /// - Parameter serverVersion: Ours; clients choose what they ask for by `version`, which keeps Redis' meaning.
    public func hello(connectionID: UInt64, serverVersion: String, into out: inout OutputBuffer) {
        map(8, into: &out)
        bulk("server", into: &out)
        bulk("suanpan", into: &out)
        bulk("version", into: &out)
        bulk(text: Version.redis, into: &out)
        bulk("proto", into: &out)
        integer(UInt64(version.rawValue), into: &out)
        bulk("id", into: &out)
        integer(connectionID, into: &out)
        bulk("mode", into: &out)
        bulk("standalone", into: &out)
        bulk("role", into: &out)
        bulk("master", into: &out)
        bulk("modules", into: &out)
        array(0, into: &out)
        bulk("suanpan_version", into: &out)
        bulk(text: serverVersion, into: &out)
    }

    /// ROLE: a primary without replicas.
    public func role(into out: inout OutputBuffer) {
        array(3, into: &out)
        bulk("master", into: &out)
        integer(0, into: &out)
        array(0, into: &out)
    }

    /// CLIENT …, of the connection that asks; LIST tells of that one only. SETNAME: keep the name, then encode.
    public func client(
        _ command: RESPClientCommand, _ client: RESPClientFacts, _ arguments: borrowing RESPArguments,
        input: Span<UInt8>, into out: inout OutputBuffer
    ) {
        switch command {
        case .id:
            integer(client.connectionID, into: &out)
        case .list(.none):
            verbatim(text: "", into: &out)
        case .list(.ids) where !names(client.connectionID, arguments, input):
            verbatim(text: "", into: &out)
        case .info, .list:
            // The fields of Redis 7, since clients read them by name; what has no meaning here is 0.
            let fields = [
                "id=\(client.connectionID)", "addr=\(client.address)", "laddr=\(client.localAddress)",
                "fd=\(client.fd)",
                "name=\(client.name)", "age=\(client.ageSeconds)", "idle=0", "flags=N", "db=0", "sub=0", "psub=0",
                "ssub=0", "multi=-1", "qbuf=0", "qbuf-free=0", "argv-mem=0", "multi-mem=0", "rbs=0", "rbp=0", "obl=0",
                "oll=0", "omem=0", "tot-mem=0", "events=r", "cmd=client", "user=default", "redir=-1",
                "resp=\(version.rawValue)",
            ]
            verbatim(text: fields.joined(separator: " ") + "\n", into: &out)
        case .getName:
            if client.name.isEmpty { return null(into: &out) }
            bulk(text: client.name, into: &out)
        case .setName, .accepted:
            ok(into: &out)
        }
    }

    /// One of the ids behind CLIENT LIST ID is this one.
    private func names(_ id: UInt64, _ arguments: borrowing RESPArguments, _ input: Span<UInt8>) -> Bool {
        arguments.withSource(input) { source in
            (3..<arguments.count).contains { source.unsigned(arguments[$0]) == UInt128(id) }
        }
    }

    /// CONFIG GET: the few parameters that tools ask for, by name or pattern.
    /// - Parameter isSynced: True where answers wait for the device.
    public func configGet(
        _ arguments: borrowing RESPArguments, input: Span<UInt8>, isSynced: Bool, into out: inout OutputBuffer
    ) {
        let parameters: [(StaticString, StaticString)] = [
            // As Redis with its append-only file says it: no snapshots by time, every write in the log.
            ("SAVE", ""), ("APPENDONLY", "yes"), ("APPENDFSYNC", isSynced ? "always" : "everysec"),
            ("DATABASES", "1"),
            // Idle connections are kept; nothing is ever evicted.
            ("TIMEOUT", "0"), ("MAXMEMORY-POLICY", "noeviction"),
        ]
        var patterns: [String] = []
        for i in 2..<arguments.count { patterns.append(Self.text(arguments[i], arguments, input)) }
        let asked = parameters.map { parameter in
            patterns.contains { Self.matches("\(parameter.0)", $0) }
        }
        map(asked.count { $0 }, into: &out)
        for (parameter, isAsked) in zip(parameters, asked) where isAsked {
            bulk(text: "\(parameter.0)".lowercased(), into: &out)
            bulk(parameter.1, into: &out)
        }
    }

    private static func text(
        _ argument: RESPArgument, _ arguments: borrowing RESPArguments, _ input: Span<UInt8>
    ) -> String {
        arguments.withSource(input) { source in
            String(decoding: (0..<argument.length).map { source[argument.offset + $0] }, as: UTF8.self)
        }
    }

    /// As Redis matches names: `*`, `?`, `[…]`, whatever the case.
    private static func matches(_ name: String, _ pattern: String) -> Bool {
        // SAFETY: both texts live for the call; a 0 byte within ends them sooner.
        unsafe fnmatch(pattern.lowercased(), name.lowercased(), 0) == 0
    }

    /// COMMAND and its subcommands.
    public func command(
        _ command: RESPCommandCommand, _ arguments: borrowing RESPArguments, input: Span<UInt8>,
        into out: inout OutputBuffer
    ) {
        let table = RESPCommandDescription.all
        switch command {
        case .count:
            integer(UInt64(table.count), into: &out)
        case .all:
            array(table.count, into: &out)
            for description in table { entry(description, into: &out) }
        case .list(let filter):
            let pattern = filter == .pattern ? Self.text(arguments[arguments.count - 1], arguments, input) : "*"
            let names = filter == .none ? [] : table.map(\.name).filter { Self.matches($0, pattern) }
            array(names.count, into: &out)
            for name in names { bulk(text: name, into: &out) }
        case .info where arguments.count == 2:
            array(table.count, into: &out)
            for description in table { entry(description, into: &out) }
        case .info:
            array(arguments.count - 2, into: &out)
            for i in 2..<arguments.count {
                if let description = Self.description(arguments[i], arguments, input) {
                    entry(description, into: &out)
                } else {
                    nullArray(into: &out)
                }
            }
        case .docs:
            let asked =
                arguments.count == 2
                ? table : (2..<arguments.count).compactMap { Self.description(arguments[$0], arguments, input) }
            map(asked.count, into: &out)
            for description in asked { docs(description, into: &out) }
        }
    }

    private static func description(
        _ argument: RESPArgument, _ arguments: borrowing RESPArguments, _ input: Span<UInt8>
    ) -> RESPCommandDescription? {
        var name = ""
        arguments.withSource(input) { source in
            for i in 0..<min(argument.length, 32) {
                name.unicodeScalars.append(Unicode.Scalar(source[argument.offset + i]))
            }
        }
        name = name.lowercased()
        return RESPCommandDescription.all.first { $0.name == name }
    }

    /// name, arity, flags, first key, last key, step, categories, tips, key specifications, subcommands.
    private func entry(_ description: RESPCommandDescription, into out: inout OutputBuffer) {
        array(10, into: &out)
        bulk(text: description.name, into: &out)
        out.append(UInt8(ascii: ":"))
        if description.isVariadic { out.append(UInt8(ascii: "-")) }
        out.append(decimal: UInt64(description.wordsMin))
        out.appendLineEnd()
        set(1, into: &out)
        simple(description.writes ? "write" : "readonly", into: &out)
        for _ in 0..<3 { integer(0, into: &out) }
        for _ in 0..<4 { array(0, into: &out) }
    }

    private func docs(_ description: RESPCommandDescription, into out: inout OutputBuffer) {
        bulk(text: description.name, into: &out)
        map(description.arguments.isEmpty ? 3 : 4, into: &out)
        bulk("summary", into: &out)
        bulk(text: description.summary, into: &out)
        bulk("since", into: &out)
        bulk("1.0.0", into: &out)
        bulk("group", into: &out)
        bulk(text: description.group, into: &out)
        if description.arguments.isEmpty { return }
        bulk("arguments", into: &out)
        array(description.arguments.count, into: &out)
        for argument in description.arguments {
            let hasFlags = argument.isOptional || argument.isMultiple
            map(2 + (argument.token == nil ? 0 : 1) + (hasFlags ? 1 : 0), into: &out)
            bulk("name", into: &out)
            bulk(text: argument.name, into: &out)
            bulk("type", into: &out)
            bulk(argument.isToken ? "pure-token" : "string", into: &out)
            if let token = argument.token {
                bulk("token", into: &out)
                bulk(text: token, into: &out)
            }
            if hasFlags {
                bulk("flags", into: &out)
                set([argument.isOptional, argument.isMultiple, argument.repeatsToken].count { $0 }, into: &out)
                if argument.isOptional { simple("optional", into: &out) }
                if argument.isMultiple { simple("multiple", into: &out) }
                if argument.repeatsToken { simple("multiple_token", into: &out) }
            }
        }
    }
}
