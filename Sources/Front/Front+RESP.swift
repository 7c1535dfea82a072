// RESP: commands in, replies out, in order. A command goes to its shard as soon as it is read, unless it must see, or must
// not be seen by, an earlier one of the same connection that is undecided (`CommandOrder`): then it is left unread. Cuts and
// reads of history go alone.

internal import Glibc
internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanShard
internal import SuanpanWire

extension Front {
    /// Commands of one connection under way: what one core and its disk have to do in the time of a few syncs.
    static var pipelineMax: Int { 256 }
    /// Commands taken from one connection before the next gets its turn.
    static var commandsPerTurn: Int { 256 }

    /// Handles the commands that a connection has received. Returns how many.
    mutating func workRESP(_ c: Int, _ shard: inout Shard) throws(JournalError) -> Int {
        if isHeld(c) { return 0 }
        var handled = 0
        connections[c].isMidRequest = false
        let refuses = refusesRequests(c)
        // The input is taken out while it is parsed, so that replies can be written meanwhile.
        var input = OutputBuffer()
        swap(&input, &connections[c].input)
        defer { swap(&input, &connections[c].input) }
        while connections[c].state == .open && !input.isEmpty {
            if handled >= Self.commandsPerTurn {
                makeReady(c)
                break
            }
            guard !connections[c].isAlone, connections[c].openRequests < Self.pipelineMax, !refuses || mayRefuse(c)
            else {
                stall(c)
                break
            }
            guard refuses || hasOutputRoom(c) else {
                awaitOutputRoom(c)
                break
            }
            var parser = connections[c].parser
            let authenticated = connections[c].isAuthenticated
            let parsed = parse(&parser, input, authenticated: authenticated)
            switch parsed {
            case .needMore:
                connections[c].parser = parser
                awaitRest(c, isNew: handled > 0)
                return handled
            case .malformed(let error):
                // What came before is answered first.
                guard connections[c].openRequests == 0, connections[c].refusals.isEmpty else {
                    stall(c)
                    return handled
                }
                statistics.malformed += 1
                if case .foreign(let other) = error {
                    Self.noteForeign(other, connections[c].fd, .resp, configuration.board, now)
                }
                encoder(c).error(error, into: &connections[c].output)
                input.removeAll()
                drain(c)
                return handled
            case .command(let consumed):
                connections[c].parser = RESPParser()
                if refuses {
                    refuse(c, input.withBytes { RESPCommand.decode(&arguments, $0) }, bytes: consumed)
                } else {
                    guard try run(c, input, &shard) else {
                        if !isHeld(c) { stall(c) }
                        return handled
                    }
                }
                input.removeFirst(consumed)
                handled += 1
                statistics.commands += 1
            }
        }
        return handled
    }

    private mutating func parse(_ parser: inout RESPParser, _ input: borrowing OutputBuffer, authenticated: Bool)
        -> RESPParsed
    {
        input.withBytes { parser.parse($0, into: &arguments, authenticated: authenticated) }
    }

    @inline(__always)
    func encoder(_ c: Int) -> RESPEncoder {
        RESPEncoder(version: connections[c].respVersion == 3 ? .three : .two)
    }

    /// Runs the command just parsed. Returns false when it must be read again later; nothing has happened then.
    private mutating func run(_ c: Int, _ input: borrowing OutputBuffer, _ shard: inout Shard) throws(JournalError)
        -> Bool
    {
        let command = input.withBytes { RESPCommand.decode(&arguments, $0) }
        if !connections[c].isAuthenticated {
            switch command {
            case .auth, .hello, .quit, .nothing, .reset: break
            default:
                guard connections[c].openRequests == 0 else { return false }
                encoder(c).notAuthenticated(into: &connections[c].output)
                statistics.commandsRejected += 1
                return true
            }
        }
        if connections[c].multi != .closed { return try runInMulti(c, command, input, &shard) }
        switch command {
        case .nothing:
            statistics.commandsRejected += 1
            return true
        // A post or void does not say which accounts it concerns.
        case .transfer(let t) where !Shard.needsNoChain(t) || t.flags.resolves:
            shard.chainInput[0] = t
            return try startChain(c, .respTransfer, 1, &shard) != .later
        case .accountFreeze(let id, let sides, let freezes):
            return try startFreeze(c, id, sides, freezes: freezes, &shard)
        case .transfer(let t):
            return try start(
                c, .respTransfer, .createTransfers, t, routing.shard(of: t.debitAccountID), .transfer, &shard)
        case .accountCreate(let account) where account.flags.contains(.linked):
            // Nothing can follow it but in MULTI.
            guard connections[c].openRequests == 0 else { return false }
            encoder(c).encode(
                result: EventResult(.linkedEventChainOpen), of: .account, into: &connections[c].output)
            return true
        case .accountCreate(let account):
            return try start(
                c, .respAccountCreate, .createAccounts, account.bits, routing.shard(of: account.id),
                .account(account.id), &shard)
        case .accountGet(count: 1):
            let id = arguments.accountID(0)
            return try start(
                c, .respAccountGet, .lookupAccounts, Shard.readKey(id), routing.shard(of: id), .account(id), &shard)
        case .accountGet(let count): return startCut(c, .respAccountGetMany, accounts: count)
        case .totals: return startCut(c, .respTotals, accounts: 0)
        case .accountHistory(let kind, let filter): return startHistory(c, .query(kind, filter))
        case .transferGet(let id, let debit):
            guard let debit else { return startHistory(c, .transfers([(AccountID(0), id)])) }
            var key = Shard.readKey(debit)
            key.id = id
            return try start(c, .respTransferGet, .lookupTransfers, key, routing.shard(of: debit), .identity, &shard)
        case .multi:
            connections[c].multi = .queueing
            owe(c, multi: true)
            return true
        default:
            // Everything else is answered here and now, after all that came before.
            guard connections[c].openRequests == 0 else { return false }
            if command.givesPassword && holdsAttempt(c) { return false }
            answerHere(c, command, input)
            return true
        }
    }

    // MARK: Commands for a shard

    private mutating func start(
        _ c: Int, _ kind: RequestKind, _ operation: Operation, _ record: Transfer, _ target: ShardID,
        _ subject: Subject, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        if isDraining { return shuttingDown(c) }
        if operation == .createTransfers || operation == .createAccounts, configuration.board.isBroken {
            return unbalanced(c)
        }
        let isLooked = connections[c].undecided > 0
        if isLooked {
            look(c, subject, record, shard)
            guard mayGo(c, lane: target.value, shard) else { return false }
        }
        guard let r = makeRequest(kind, connection: c, count: 1, bytes: ResultPool.recordStride) else {
            return busy(c)
        }
        if record.flags.contains(.pending) && operation == .createTransfers {
            requests[Int(r)].makesHold = true
            requests[Int(r)].hold = KnownHold(
                debit: record.debitAccountID, id: record.id, credit: record.creditAccountID, amount: record.amount,
                closes: false)
        }
        let isHanded = try hand(operation, record, to: target, r, 0, stream: stream(c), &shard)
        if isHanded && !isLooked && !isSettled(r) { look(c, subject, record, shard) }
        return keep(c, r, lane: target.value, isHanded: isHanded)
    }

    /// The command was decided as it was handed in: whatever comes later finds what it did.
    @inline(__always)
    private func isSettled(_ r: UInt32) -> Bool { requests[Int(r)].remaining == 0 || requests[Int(r)].isDecided }

    /// Keeps the request of the command that is looked at where it was handed in; gives it back where it was not.
    mutating func keep(_ c: Int, _ r: UInt32, lane: UInt16, isHanded: Bool) -> Bool {
        guard isHanded else {
            connections[c].openRequests -= 1
            freeRequest(r)
            return false
        }
        if !isSettled(r) { enter(c, r, lane: lane) }
        enqueue(c, r)
        return true
    }

    mutating func busy(_ c: Int) -> Bool {
        guard connections[c].openRequests == 0 else { return false }
        statistics.busy += 1
        encoder(c).busy(retryAfterMilliseconds: Self.busyRetryMilliseconds, into: &connections[c].output)
        return true
    }

    /// Nothing new is taken: said in its turn.
    mutating func shuttingDown(_ c: Int) -> Bool {
        guard connections[c].openRequests == 0 else { return false }
        encoder(c).shuttingDown(into: &connections[c].output)
        return true
    }

    /// No writes are taken any more: said in its turn.
    mutating func unbalanced(_ c: Int) -> Bool {
        guard connections[c].openRequests == 0 else { return false }
        encoder(c).unbalanced(into: &connections[c].output)
        return true
    }

    /// Names the connection to shards, so that its commands keep their order there.
    func stream(_ c: Int) -> UInt32 { UInt32(c * routing.shardCount + core.index) + 1 }

    mutating func enqueue(_ c: Int, _ r: UInt32) {
        if isFaulty(.replyNewestFirst) && connections[c].requestHead != 0 {
            requests[Int(r)].next = connections[c].requestHead
            connections[c].requestHead = r + 1
            return
        }
        if connections[c].requestTail != 0 {
            requests[Int(connections[c].requestTail - 1)].next = r + 1
        } else {
            connections[c].requestHead = r + 1
        }
        connections[c].requestTail = r + 1
    }

    /// Answers MULTI (`multi`), or a command that it queues: now, or behind the reply of the last request.
    mutating func owe(_ c: Int, multi: Bool) {
        let tail = connections[c].requestTail
        if connections[c].openRequests == 0 || tail == 0 {
            return multi
                ? encoder(c).ok(into: &connections[c].output) : encoder(c).queued(into: &connections[c].output)
        }
        if multi { requests[Int(tail - 1)].beginsMulti = true } else { requests[Int(tail - 1)].queuedCount += 1 }
    }

    /// Writes the replies of the first requests that are complete.
    mutating func replyInOrder(_ c: Int) {
        while connections[c].requestHead != 0 {
            let r = connections[c].requestHead - 1
            let i = Int(r)
            guard requests[i].isComplete else { return }
            connections[c].requestHead = requests[i].next
            if requests[i].next == 0 { connections[c].requestTail = 0 }
            encodeReply(c, i)
            if requests[i].beginsMulti { encoder(c).ok(into: &connections[c].output) }
            for _ in 0..<requests[i].queuedCount { encoder(c).queued(into: &connections[c].output) }
            connections[c].openRequests -= 1
            // One that goes alone is the last.
            if connections[c].openRequests == 0 { connections[c].isAlone = false }
            freeRequest(r)
        }
    }

    private mutating func encodeReply(_ c: Int, _ r: Int) {
        let buffer = requests[r].buffer
        let encoder = encoder(c)
        switch requests[r].kind {
        case .respTransfer: encoder.encode(result: pool.result(buffer, 0), of: .transfer, into: &connections[c].output)
        case .respAccountCreate:
            encoder.encode(result: pool.result(buffer, 0), of: .account, into: &connections[c].output)
        case .respExec, .respExecAccounts:
            encodeChain(c, r)
        case .respAccountGet: encodeAccount(c, buffer, 0)
        case .respHistory: encodeHistory(c, r)
        case .respAccountGetMany:
            encoder.array(Int(requests[r].count), into: &connections[c].output)
            for i in 0..<Int(requests[r].count) { encodeAccount(c, buffer, i) }
        case .respTotals:
            let sums = totals[UInt32(r)] ?? []
            encoder.array(sums.count, into: &connections[c].output)
            for sum in sums { encoder.encode(totals: sum, into: &connections[c].output) }
        case .respTransferGet:
            if let transfer = pool.record(Transfer.self, buffer, 0) {
                encoder.encode(transfer: transfer, into: &connections[c].output)
            } else {
                encoder.null(into: &connections[c].output)
            }
        default: stop("request kind \(requests[r].kind) on a RESP connection")
        }
    }

    private mutating func encodeAccount(_ c: Int, _ buffer: UInt32, _ index: Int) {
        if let account = pool.record(Account.self, buffer, index) {
            encoder(c).encode(account: account, into: &connections[c].output)
        } else {
            encoder(c).null(into: &connections[c].output)
        }
    }

    // MARK: Commands answered by the front

    mutating func answerHere(_ c: Int, _ command: RESPCommand, _ input: borrowing OutputBuffer) {
        let encoder = encoder(c)
        switch command {
        case .ping(nil): encoder.simple("PONG", into: &connections[c].output)
        case .ping(let argument?), .echo(let argument):
            append(c, input) { bytes, arguments, out in
                arguments.withBytes(of: argument, input: bytes) { encoder.bulk($0, into: &out) }
            }
        case .hello(let hello): answerHello(c, hello, input)
        case .auth(_, let password): answerAuthentication(c, password, input)
        case .select(let database):
            if database == 0 {
                encoder.ok(into: &connections[c].output)
            } else {
                encoder.error("ERR DB index is out of range", into: &connections[c].output)
            }
        case .reset:
            connections[c].respVersion = 2
            // A stranger's time goes on: it is one already.
            if connections[c].isAuthenticated { connections[c].strangerSince = now }
            connections[c].isAuthenticated = configuration.password.isEmpty
            connections[c].clientName = ""
            encoder.simple("RESET", into: &connections[c].output)
        case .quit:
            encoder.ok(into: &connections[c].output)
            drain(c)
        case .info:
            let sections = (1..<arguments.count).map { text(arguments[$0], input) }
            encoder.verbatim(text: configuration.board.info(sections: sections), into: &connections[c].output)
        case .client(let client):
            if case .setName(let name) = client { connections[c].clientName = text(name, input) }
            let facts = facts(of: c)
            append(c, input) { bytes, arguments, out in
                encoder.client(client, facts, arguments, input: bytes, into: &out)
            }
        case .command(let command):
            append(c, input) { bytes, arguments, out in
                encoder.command(command, arguments, input: bytes, into: &out)
            }
        case .configGet:
            let isSynced = configuration.board.facts.durability == "sync"
            append(c, input) { bytes, arguments, out in
                encoder.configGet(arguments, input: bytes, isSynced: isSynced, into: &out)
            }
        case .refused(let error):
            statistics.commandsRejected += 1
            append(c, input) { bytes, arguments, out in encoder.error(error, of: arguments, input: bytes, into: &out) }
        case .role: encoder.role(into: &connections[c].output)
        case .exec: encoder.execWithoutMulti(into: &connections[c].output)
        case .discard: encoder.discardWithoutMulti(into: &connections[c].output)
        case .nothing, .transfer, .accountFreeze, .accountCreate, .accountGet, .accountHistory, .transferGet, .totals,
            .multi:
            stop("a command for a shard came to the front")
        }
    }

    /// Writes a reply that quotes the command.
    private mutating func append(
        _ c: Int, _ input: borrowing OutputBuffer,
        _ body: (Span<UInt8>, borrowing RESPArguments, inout OutputBuffer) -> Void
    ) {
        var out = OutputBuffer()
        swap(&out, &connections[c].output)
        input.withBytes { bytes in body(bytes, arguments, &out) }
        swap(&out, &connections[c].output)
    }

    private func facts(of c: Int) -> RESPClientFacts {
        RESPClientFacts(
            connectionID: connections[c].number, name: connections[c].clientName,
            address: Peer.name(connections[c].fd, ofPeer: true),
            localAddress: Peer.name(connections[c].fd, ofPeer: false), fd: connections[c].fd,
            ageSeconds: (now &- connections[c].beganAt) / 1_000_000_000)
    }

    private func text(_ argument: RESPArgument, _ input: borrowing OutputBuffer) -> String {
        String(decoding: self.bytes(argument, input), as: UTF8.self)
    }

    private func bytes(_ argument: RESPArgument, _ input: borrowing OutputBuffer) -> [UInt8] {
        input.withBytes { source in
            arguments.withBytes(of: argument, input: source) { bytes in bytes.indices.map { bytes[$0] } }
        }
    }

    private mutating func answerHello(_ c: Int, _ hello: RESPHello, _ input: borrowing OutputBuffer) {
        if let password = hello.password {
            guard isRight(c, bytes(password, input)) else { return answerWrongPassword(c) }
            connections[c].isAuthenticated = true
        }
        guard connections[c].isAuthenticated else {
            encoder(c).notAuthenticated(into: &connections[c].output)
            return
        }
        if let name = hello.clientName { connections[c].clientName = text(name, input) }
        if let version = hello.version { connections[c].respVersion = version.rawValue }
        encoder(c).hello(
            connectionID: connections[c].number, serverVersion: configuration.board.facts.version,
            into: &connections[c].output)
    }

    /// Any password is right where none is set, as it is for HELLO and at the native door.
    private mutating func answerAuthentication(_ c: Int, _ password: RESPArgument, _ input: borrowing OutputBuffer) {
        guard isRight(c, bytes(password, input)) else { return answerWrongPassword(c) }
        connections[c].isAuthenticated = true
        encoder(c).ok(into: &connections[c].output)
    }

    private mutating func answerWrongPassword(_ c: Int) {
        encoder(c).wrongPassword(into: &connections[c].output)
        closeAfterTooManyPasswords(c)
    }
}
