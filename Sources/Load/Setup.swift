// Before the load: ask the server what it is, make the accounts, fund them. One blocking connection, one request at a
// time; the main thread alone. A later run with the same accounts finds them there, which is fine.

internal import FoundationEssentials
internal import SuanpanCore
internal import SuanpanWire

/// What the server says of itself; nil where it does not.
struct ServerStatus: Sendable {
    var version: String?
    var durability: String?
    var shards: Int?
    var salt: UInt128?
    var slots: [UInt16]?
    var filesystem: String?
    var syncMilliseconds: Double?
    var cpuSeconds: Double?
    var journalBytes: Double?
    var transfers: UInt64?
    /// Of the logs, while they are replayed; nil: it serves.
    var loadingPercent: Substring?

    /// Where accounts live, or nil when the server did not say enough.
    var routing: Routing? {
        guard let salt, let shards, shards >= 1, shards <= Limits.shardsMax else { return nil }
        guard let slots else { return Routing(key: HashKey(salt), shardCount: shards) }
        guard slots.count == Limits.slotCount, slots.allSatisfy({ Int($0) < shards }) else { return nil }
        return Routing(key: HashKey(salt), slots: slots, shardCount: shards)
    }

    /// The `status` reply of the native protocol.
    init(json: [UInt8], target: String) throws(LoadError) {
        struct Reply: Decodable {
            var version: String?
            var durability: String?
            var shards: Int?
            var salt: String?
            var slots: [UInt16]?
            var filesystem: String?
            var syncMilliseconds: Double?
            var cpuSeconds: Double?
            var journalBytes: Double?
            var transfers: UInt64?

            enum CodingKeys: String, CodingKey {
                case version, durability, shards, salt, filesystem, transfers
                case slots = "slot_map"
                case syncMilliseconds = "sync_ms"
                case cpuSeconds = "cpu_s"
                case journalBytes = "journal_bytes"
            }
        }
        let reply: Reply
        do {
            reply = try JSONDecoder().decode(Reply.self, from: Data(json))
        } catch {
            throw .server(target: target, problem: "answered `status` with what is not the JSON expected: \(error)")
        }
        version = reply.version
        durability = reply.durability
        shards = reply.shards
        salt = reply.salt.flatMap { UInt128($0, radix: 16) }
        slots = reply.slots
        filesystem = reply.filesystem
        syncMilliseconds = reply.syncMilliseconds
        cpuSeconds = reply.cpuSeconds
        journalBytes = reply.journalBytes
        transfers = reply.transfers
    }

    /// The lines of INFO: `name:value`.
    init(info: String) {
        var values: [Substring: Substring] = [:]
        for line in info.split(whereSeparator: { $0.isNewline }) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            values[line[..<colon]] = line[line.index(after: colon)...]
        }
        version = values["version"].map(String.init)
        durability = values["durability"].map(String.init)
        shards = values["shards"].flatMap { Int($0) }
        salt = values["salt"].flatMap { UInt128($0, radix: 16) }
        filesystem = values["filesystem"].map(String.init)
        syncMilliseconds = values["sync_ms"].flatMap { Double($0) }
        cpuSeconds = values["used_cpu_seconds"].flatMap { Double($0) }
        journalBytes = values["journal_bytes"].flatMap { Double($0) }
        transfers = values["transfers"].flatMap { UInt64($0) }
        if values["loading"] == "1" { loadingPercent = values["loading_loaded_perc"]?.prefix { $0 != "." } ?? "0" }
    }
}

struct Setup: ~Copyable {
    private var socket: BlockingSocket
    private let plan: LoadPlan
    private var requestID: UInt64 = 0
    private var reader = LineReader()

    /// A server answers what is asked first within milliseconds; what is silent for so long is another door.
    private static let firstReplySeconds = 5

    init(_ plan: LoadPlan) throws(LoadError) {
        self.plan = plan
        let addresses = try System.resolve(plan.host, port: plan.port, seconds: BlockingSocket.connectSeconds)
        socket = try BlockingSocket(
            addresses, target: plan.target, seconds: min(Self.firstReplySeconds, plan.replyTimeoutSeconds))
    }

    /// The server's address, of those that its name has.
    var address: SocketAddress { socket.address }

    /// Gives the password where there is one, and asks what the server is.
    /// - Throws: Which door it is, where it is not the one that was meant.
    mutating func greet() throws(LoadError) -> ServerStatus {
        do {
            try authenticate()
            let found = try status()
            socket.allow(seconds: plan.replyTimeoutSeconds)
            return found
        } catch {
            guard case .server(_, let problem) = error else { throw error }
            if let advice = Door.identify(address, target: plan.target).advice(wanting: plan.wire) {
                throw failed(advice)
            }
            if problem.hasPrefix("no reply") || problem.hasPrefix("closed") {
                throw failed(problem + "; is that a suanpan server, and does it run?")
            }
            throw error
        }
    }

    private mutating func authenticate() throws(LoadError) {
        guard let password = plan.password else { return }
        switch plan.wire {
        case .native: _ = try request(.authenticate, body: Array(password.utf8), count: 0)
        case .resp:
            try socket.send(Self.command(["AUTH", password]))
            let reply = try reader.line(socket)
            if reply != "+OK" { throw failed("AUTH was answered \(reply)") }
        }
    }

    private func failed(_ problem: String) -> LoadError { .server(target: plan.target, problem: problem) }

    /// What the server is. Waits while it replays its logs.
    mutating func status() throws(LoadError) -> ServerStatus {
        var isNoted = false
        while true {
            let (status, loading) = plan.wire == .native ? try statusNative() : try statusRESP()
            if let status { return status }
            if !isNoted { System.printError("suanpan: note: waiting for the server: \(loading)\n") }
            isNoted = true
            System.sleep(milliseconds: 250)
        }
    }

    /// A core publishes what it has counted and used a few times a second, and before it sleeps: soon after the last reply.
    private static let publishMilliseconds: UInt32 = 20
    private static let countPatienceNanoseconds: UInt64 = 2_000_000_000

    /// What the server is when it has counted that many transfers, and used what they took; or after a while, if it
    /// counts less or nothing.
    mutating func status(counting least: UInt64) throws(LoadError) -> ServerStatus {
        let end = System.now + Self.countPatienceNanoseconds
        while true {
            System.sleep(milliseconds: Self.publishMilliseconds)
            let found = try status()
            if found.transfers ?? least >= least || System.now > end { return found }
        }
    }

    /// The status, or nil and what a server says that is starting.
    private mutating func statusNative() throws(LoadError) -> (ServerStatus?, String) {
        let reply = try ask(.status, body: [], count: 0)
        if reply.header.status == .loading { return (nil, String(decoding: reply.body, as: UTF8.self)) }
        try expectDone(reply.header, .status)
        return (try ServerStatus(json: reply.body, target: plan.target), "")
    }

    private mutating func statusRESP() throws(LoadError) -> (ServerStatus?, String) {
        try socket.send(Self.command(["INFO"]))
        let first = try reader.line(socket)
        guard first.first == "$" || first.first == "=", let length = Int(first.dropFirst()), length >= 0 else {
            throw failed("INFO was answered \(first)")
        }
        let status = ServerStatus(info: try reader.bulk(socket, count: length))
        if let percent = status.loadingPercent { return (nil, "replaying, \(percent)% done") }
        return (status, "")
    }

    /// Makes the bank and all accounts of `book`, and pays each customer its funding. `ids` must be new to the server.
    mutating func prepare(
        _ book: AccountBook, ids: inout IDSource, screen: inout LiveLine
    ) throws(LoadError) {
        var accounts = [AccountBook.bankAccount]
        for number in 0..<book.count {
            screen.show(
                setup: "making \(Format.grouped(UInt64(book.count))) accounts"
                    + (number == 0 ? "" : ": \(number) so far"))
            accounts.append(book.account(UInt32(number)))
            if accounts.count == Limits.eventsPerRequestMax { try create(&accounts) }
        }
        try create(&accounts)
        var transfers: [Transfer] = []
        for number in book.firstCustomer..<book.count {
            screen.show(
                setup: "paying each of \(Format.grouped(UInt64(book.customers))) customers "
                    + "\(Format.grouped(UInt64(book.funding))): \(number - book.firstCustomer) so far")
            transfers.append(book.fundingTransfer(UInt32(number), id: ids.next()))
            if transfers.count == Limits.eventsPerRequestMax { try create(&transfers) }
        }
        try create(&transfers)
    }

    /// Sends events until each is created or was there before; leaves the array empty.
    private mutating func create(_ accounts: inout [Account]) throws(LoadError) {
        try untilDone(&accounts, .createAccounts) { account in
            [
                "ACCOUNT.CREATE", "0x" + String(account.id.value, radix: 16), "\(account.ledger)", "\(account.code)",
            ] + (account.flags.isEmpty ? [] : ["FLAGS", "debits_must_not_exceed_credits"])
        }
    }

    private mutating func create(_ transfers: inout [Transfer]) throws(LoadError) {
        try untilDone(&transfers, .createTransfers) { transfer in
            [
                "TRANSFER", "0x" + String(transfer.id.value, radix: 16),
                "0x" + String(transfer.debitAccountID.value, radix: 16),
                "0x" + String(transfer.creditAccountID.value, radix: 16), "\(transfer.amount.value)",
                "\(transfer.ledger)", "\(transfer.code)",
            ]
        }
    }

    private mutating func untilDone<Event: BitwiseCopyable>(
        _ events: inout [Event], _ operation: Operation, _ words: (Event) -> [String]
    ) throws(LoadError) {
        let end = System.now + UInt64(plan.replyTimeoutSeconds) * 1_000_000_000
        while !events.isEmpty {
            let codes = plan.wire == .native ? try send(events, operation) : try send(events.map(words))
            var again: [Event] = []
            for (event, code) in zip(events, codes) {
                switch code {
                case .created, .exists: continue
                case .busy: again.append(event)
                default:
                    let what = operation == .createAccounts ? "an account" : "a funding transfer"
                    throw failed("refused \(what) of the setup: \(code.name)")
                }
            }
            events = again
            if !again.isEmpty {
                if System.now > end { throw failed("busy for \(plan.replyTimeoutSeconds) s during the setup") }
                System.sleep(milliseconds: 5)
            }
        }
    }

    // MARK: Native

    private mutating func send<Event: BitwiseCopyable>(
        _ events: [Event], _ operation: Operation
    ) throws(LoadError) -> [ResultCode] {
        // SAFETY: events are plain records, copied out within the call.
        let body = unsafe events.withUnsafeBytes { unsafe Array($0) }
        let reply = try request(operation, body: body, count: events.count)
        if reply.header.status == .busy { return [ResultCode](repeating: .busy, count: events.count) }
        guard Int(reply.header.count) == events.count else {
            throw failed("answered \(counted(reply.header.count, "result")) to \(counted(events.count, "event"))")
        }
        if reply.header.flags & FrameHeader.timestampsOnly != 0 {
            return [ResultCode](repeating: .created, count: events.count)
        }
        guard reply.body.count == events.count * MemoryLayout<EventResult>.size else {
            throw failed("answered \(counted(reply.body.count, "byte")) to \(counted(events.count, "event"))")
        }
        var codes: [ResultCode] = []
        for i in 0..<events.count {
            let at = i * MemoryLayout<EventResult>.size + 8
            let number = UInt16(reply.body[at]) | UInt16(reply.body[at + 1]) << 8
            guard let code = ResultCode(rawValue: number) else { throw failed("answered the unknown code \(number)") }
            codes.append(code)
        }
        return codes
    }

    private mutating func request(
        _ operation: Operation, body: [UInt8], count: Int
    ) throws(LoadError) -> (header: FrameHeader, body: [UInt8]) {
        let (answer, rest) = try ask(operation, body: body, count: count)
        try expectDone(answer, operation)
        return (answer, rest)
    }

    private func expectDone(_ answer: FrameHeader, _ operation: Operation) throws(LoadError) {
        guard answer.status != .ok && answer.status != .busy else { return }
        let name = answer.status?.name ?? "status \(answer.rawStatus)"
        let remedy = answer.status == .notAuthenticated ? "; set SUANPAN_PASSWORD to the server's password" : ""
        throw failed("answered \(operation) with \(name)\(remedy)")
    }

    /// Sends a request and returns its reply, whatever its status.
    private mutating func ask(
        _ operation: Operation, body: [UInt8], count: Int
    ) throws(LoadError) -> (header: FrameHeader, body: [UInt8]) {
        requestID += 1
        var frame = OutputBuffer(capacity: FrameHeader.bytes + body.count)
        let open = frame.beginFrame()
        frame.append(body.span)
        frame.endFrame(open, FrameHeader(operation.rawValue, requestID: requestID, count: count))
        try socket.send(frame.withBytes { bytes in bytes.indices.map { bytes[$0] } })
        return try receiveReply()
    }

    private func receiveReply() throws(LoadError) -> (FrameHeader, [UInt8]) {
        var replies = FrameReader()
        var body: [UInt8] = []
        while true {
            let bytes = try socket.receive(atMost: 64 << 10)
            var offset = 0
            reading: while true {
                switch replies.next(bytes.span, at: &offset) {
                case .more: break reading
                case .header: body.reserveCapacity(Int(replies.header.bodyLength))
                case .body(let piece): body += bytes[piece]
                case .end: return (replies.header, body)
                case .refused(let status):
                    throw failed("sent a frame that is \(status.name); is this a native port?")
                }
            }
        }
    }

    // MARK: RESP

    private static let pipelined = 512

    static func command(_ words: [String]) -> [UInt8] {
        var text = "*\(words.count)\r\n"
        for word in words { text += "$\(word.utf8.count)\r\n\(word)\r\n" }
        return Array(text.utf8)
    }

    private mutating func send(_ commands: [[String]]) throws(LoadError) -> [ResultCode] {
        var codes: [ResultCode] = []
        var start = 0
        while start < commands.count {
            let end = min(start + Self.pipelined, commands.count)
            var bytes: [UInt8] = []
            for command in commands[start..<end] { bytes += Self.command(command) }
            try socket.send(bytes)
            for _ in start..<end {
                let reply = try reader.line(socket)
                if reply == "+OK" || reply.first == "$" {
                    // A transfer's timestamp stands on a line of its own.
                    if reply.first == "$" { _ = try reader.line(socket) }
                    codes.append(.created)
                    continue
                }
                let name = reply.dropFirst().prefix { $0 != " " }
                if reply.hasPrefix("-ERR unknown command") {
                    throw failed("does not know \(commands[start][0]): a server of the Redis protocol, but not suanpan")
                }
                guard reply.first == "-", let code = ResultCode.allCases.first(where: { $0.upperName == name }) else {
                    throw failed("answered \(commands[start][0]) with \(reply)")
                }
                codes.append(code)
            }
            start = end
        }
        return codes
    }
}

/// Lines and bulk strings from a blocking socket.
private struct LineReader {
    private var bytes: [UInt8] = []
    private var position = 0

    mutating func line(_ socket: borrowing BlockingSocket) throws(LoadError) -> String {
        while true {
            if let end = bytes[position...].firstIndex(of: 10) {
                let line = bytes[position..<end]
                position = end + 1
                return String(decoding: line.last == 13 ? line.dropLast() : line, as: UTF8.self)
            }
            try more(socket)
        }
    }

    mutating func bulk(_ socket: borrowing BlockingSocket, count: Int) throws(LoadError) -> String {
        while bytes.count - position < count + 2 { try more(socket) }
        defer { position += count + 2 }
        return String(decoding: bytes[position..<position + count], as: UTF8.self)
    }

    private mutating func more(_ socket: borrowing BlockingSocket) throws(LoadError) {
        bytes.removeFirst(position)
        position = 0
        bytes += try socket.receive(atMost: 1 << 16)
    }
}
