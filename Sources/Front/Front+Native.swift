// The native protocol: frames in, frames out. Docs/Protocol.md specifies every byte.

internal import SuanpanCore
internal import SuanpanHistory
internal import SuanpanJournal
internal import SuanpanLedger
internal import SuanpanShard
internal import SuanpanWire

extension Front {
    /// Handles the frames that a connection has received. Returns about how many events it handed in.
    mutating func workNative(_ c: Int, _ shard: inout Shard) throws(JournalError) -> Int {
        if isHeld(c) { return 0 }
        var handed = 0
        connections[c].isMidRequest = false
        if refusesRequests(c) { return refuseFrames(c) }
        while handed < Self.eventsPerTurn {
            if connections[c].current != 0 {
                let before = connections[c].cursor
                let hasRoom = try handFrame(c, &shard, eventsMax: Self.eventsPerTurn - handed)
                handed += connections[c].cursor - before
                if !hasRoom {
                    stall(c)
                    return handed
                }
                if connections[c].cursor < Int(requests[Int(connections[c].current - 1)].count) { break }
                endFrame(c)
                continue
            }
            guard connections[c].state == .open else { return handed }
            if connections[c].input.isEmpty { return handed }
            // A stranger is told at the first word, not when a whole header has come.
            if connections[c].input.count >= 4 && load(UInt32.self, c, 0) != FrameHeader.magic {
                noteForeign(c)
                refuseFrame(c, .malformed, operation: 0, requestID: 0)
                return handed
            }
            guard connections[c].openRequests < bounds.requestsPerConnection else {
                stall(c)
                return handed
            }
            guard hasOutputRoom(c) else {
                awaitOutputRoom(c)
                return handed
            }
            switch decode(c) {
            case .needMore:
                awaitRest(c, isNew: handed > 0)
                return handed
            case .refused(let status, let operation, let id):
                refuseFrame(c, status, operation: operation, requestID: id)
                return handed
            case .frame(let header, _):
                if header.operation == .authenticate && holdsAttempt(c) { return handed }
                begin(c, header)
                statistics.commands += 1
            }
            handed += 1
        }
        makeReady(c)
        return handed
    }

    /// The same for a client that takes no replies: its frames are answered `busy`.
    private mutating func refuseFrames(_ c: Int) -> Int {
        var refused = 0
        while connections[c].state == .open && !connections[c].input.isEmpty && refused < Self.eventsPerTurn {
            guard mayRefuse(c) else {
                stall(c)
                return refused
            }
            switch decode(c) {
            case .needMore:
                awaitRest(c, isNew: refused > 0)
                return refused
            case .refused(let status, let operation, let id):
                refuseFrame(c, status, operation: operation, requestID: id)
                return refused
            case .frame(let header, _): refuse(c, header)
            }
            refused += 1
        }
        if !connections[c].input.isEmpty { makeReady(c) }
        return refused
    }

    /// The frame at the start of what a connection has received. A stranger's bytes are not gathered.
    private func decode(_ c: Int) -> FrameParsed {
        let bodyBytesMax = connections[c].isAuthenticated ? Limits.messageBodyBytesMax : Self.strangerBodyBytesMax
        let parsed = connections[c].input.withBytes { FrameDecoder.request($0, bodyBytesMax: bodyBytesMax) }
        if isFaulty(.trustBodies), case .refused(.checksumMismatch, _, _) = parsed {
            let header = load(FrameHeader.self, c, 0)
            if header.requestRefusal() == nil { return .frame(header, consumed: 0) }
        }
        return parsed
    }

    @inline(__always)
    private func load<Value: BitwiseCopyable>(_ type: Value.Type, _ c: Int, _ offset: Int) -> Value {
        connections[c].input.load(type, at: offset)
    }

    /// Begins the request of a whole frame, or answers it at once.
    private mutating func begin(_ c: Int, _ header: FrameHeader) {
        let frameBytes = FrameHeader.bytes + Int(header.bodyLength)
        guard let operation = header.operation else {
            statistics.commandsRejected += 1
            reply(c, .unknownOperation, header)
            return connections[c].input.removeFirst(frameBytes)
        }
        if !connections[c].isAuthenticated && operation != .authenticate {
            statistics.commandsRejected += 1
            reply(c, .notAuthenticated, header)
            return connections[c].input.removeFirst(frameBytes)
        }
        let count = Int(header.count)
        let kind: RequestKind
        var bytes = count * 16
        switch operation {
        case .authenticate:
            let given = connections[c].input.withBytes { bytes in
                (FrameHeader.bytes..<frameBytes).map { bytes[$0] }
            }
            if connections[c].isAuthenticated { connections[c].strangerSince = now }
            connections[c].isAuthenticated = isRight(c, given)
            reply(c, connections[c].isAuthenticated ? .ok : .notAuthenticated, header)
            connections[c].input.removeFirst(frameBytes)
            return closeAfterTooManyPasswords(c)
        case .ping:
            reply(c, .ok, header)
            return connections[c].input.removeFirst(frameBytes)
        case .status:
            reply(c, .ok, header, text: configuration.board.statusJSON())
            return connections[c].input.removeFirst(frameBytes)
        case .createAccounts, .createTransfers, .freezeAccounts, .unfreezeAccounts: kind = .nativeCreate
        case .lookupAccounts:
            kind = .nativeLookupAccounts
            bytes = count * ResultPool.recordStride
        case .totals: kind = .nativeTotals
        case .lookupTransfers:
            kind = .nativeLookupTransfers
            bytes = count * ResultPool.recordStride
        case .getAccountTransfers, .getAccountBalances, .queryAccounts, .queryTransfers:
            kind = .nativeHistory
            if count > 0, let refusal = filterRefusal(c, operation) {
                reply(c, .invalidFilter, header, text: refusal.rawValue)
                return connections[c].input.removeFirst(frameBytes)
            }
        }
        if isDraining {
            reply(c, .shuttingDown, header)
            return connections[c].input.removeFirst(frameBytes)
        }
        if kind == .nativeCreate && configuration.board.isBroken {
            reply(c, .unbalanced, header)
            return connections[c].input.removeFirst(frameBytes)
        }
        guard count > 0 || kind == .nativeTotals else {
            reply(c, .ok, header)
            return connections[c].input.removeFirst(frameBytes)
        }
        if let question = historyQuestion(c, operation, count) {
            beginHistory(c, header, question)
            return connections[c].input.removeFirst(frameBytes)
        }
        let isConsistent = kind == .nativeLookupAccounts && count > 1 && header.flags & FrameHeader.consistent != 0
        let asksForCut = isConsistent || kind == .nativeTotals
        guard !asksForCut || hasRoomForCut(isConsistent ? count : 0),
            let r = makeRequest(
                kind, connection: c, count: kind == .nativeTotals ? 1 : count, bytes: max(16, bytes))
        else {
            statistics.busy += 1
            reply(c, .busy, header, retryAfter: Self.busyRetryMilliseconds)
            return connections[c].input.removeFirst(frameBytes)
        }
        requests[Int(r)].requestID = header.requestID
        requests[Int(r)].operation = operation.rawValue
        if asksForCut {
            askForCut(c, r, count, isConsistent: isConsistent)
            return connections[c].input.removeFirst(frameBytes)
        }
        connections[c].current = r + 1
        connections[c].cursor = 0
    }

    private func queryKind(_ operation: Operation) -> QueryKind? {
        switch operation {
        case .getAccountTransfers: .accountTransfers
        case .getAccountBalances: .accountBalances
        case .queryAccounts: .accounts
        case .queryTransfers: .transfers
        default: nil
        }
    }

    /// What is wrong with the filter of a request for history.
    private func filterRefusal(_ c: Int, _ operation: Operation) -> FilterRefusal? {
        guard let kind = queryKind(operation) else { return nil }
        return load(QueryFilter.self, c, FrameHeader.bytes).refusal(kind)
    }

    /// The question of the current frame that only the logs can answer; nil: it is another operation.
    private func historyQuestion(_ c: Int, _ operation: Operation, _ count: Int) -> HistoryQuestion? {
        if let kind = queryKind(operation) { return .query(kind, load(QueryFilter.self, c, FrameHeader.bytes)) }
        let at = FrameHeader.bytes
        guard operation == .lookupTransfers,
            (0..<count).contains(where: { load(AccountID.self, c, at + $0 * 32).isZero })
        else { return nil }
        return .transfers(
            (0..<count).map { (load(AccountID.self, c, at + $0 * 32), load(TransferID.self, c, at + $0 * 32 + 16)) })
    }

    /// Hands the next events of the current frame to their shards. Returns false when one must be tried again later.
    // Do not rename: Perf/ finds it by this symbol.
    @inline(never)
    private mutating func handFrame(_ c: Int, _ shard: inout Shard, eventsMax: Int) throws(JournalError) -> Bool {
        let r = connections[c].current - 1
        let count = min(Int(requests[Int(r)].count), connections[c].cursor + eventsMax)
        guard let operation = Operation(rawValue: requests[Int(r)].operation) else {
            stop("a request without an operation")
        }
        if operation == .createTransfers { return try handTransfers(c, r, count, &shard) }
        var i = connections[c].cursor
        defer { connections[c].cursor = i }
        while i < count {
            let record: Transfer
            let routed: AccountID
            switch operation {
            case .createAccounts:
                record = load(Transfer.self, c, FrameHeader.bytes + i * 128)
                routed = AccountID(record.id.value)
                if record.flags.contains(.linked) {
                    let chain = chainRun(c, i, of: Int(requests[Int(r)].count))
                    guard try hand(.createAccounts, chain, c, r, &shard) else { return false }
                    i = chain.end
                    continue
                }
            case .lookupAccounts:
                routed = AccountID(load(UInt128.self, c, FrameHeader.bytes + i * 16))
                record = Shard.readKey(routed)
            case .freezeAccounts, .unfreezeAccounts:
                let item = load(FreezeItem.self, c, FrameHeader.bytes + i * FreezeItem.bytes)
                let bad = item.refusalByRequest()
                guard bad == .created else {
                    complete(Int(r), i, EventResult(bad), lsn: 0)
                    i += 1
                    continue
                }
                routed = item.account
                record = Shard.freezeKey(routed, item.sides, lifting: operation == .unfreezeAccounts)
            default:
                routed = AccountID(load(UInt128.self, c, FrameHeader.bytes + i * 32))
                var key = Shard.readKey(routed)
                key.id = TransferID(load(UInt128.self, c, FrameHeader.bytes + i * 32 + 16))
                record = key
            }
            guard try hand(operation, record, to: routing.shard(of: routed), r, i, stream: 0, &shard) else {
                return false
            }
            i += 1
        }
        return true
    }

    /// The same for transfers: as many at a time as the shard looks ahead at. A chain is handed in whole, also beyond `count`.
    private mutating func handTransfers(
        _ c: Int, _ r: UInt32, _ count: Int, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        var i = connections[c].cursor
        defer { connections[c].cursor = i }
        while i < count {
            let run = min(Shard.stagedMax, count - i)
            var staged = 0
            for k in 0..<run {
                let t = load(Transfer.self, c, FrameHeader.bytes + (i + k) * 128)
                targets[k] = routing.shard(of: t.debitAccountID)
                places[k] = staged
                if targets[k] == core {
                    shard.stage(staged, t)
                    staged += 1
                }
            }
            shard.lookAhead(staged: staged)
            let start = i
            while i < start + run {
                let t = load(Transfer.self, c, FrameHeader.bytes + i * 128)
                let k = i - start
                if !Shard.needsNoChain(t) {
                    let chain = chainRun(c, i, of: Int(requests[Int(r)].count))
                    guard try hand(.createTransfers, chain, c, r, &shard) else { return false }
                    i = chain.end
                    continue
                }
                if targets[k] == core {
                    guard try handStaged(places[k], t, r, i, &shard) else { return false }
                } else {
                    guard try hand(.createTransfers, t, to: targets[k], r, i, stream: 0, &shard) else { return false }
                }
                i += 1
            }
        }
        return true
    }

    /// The run of the current frame's events, transfers or accounts, that begins with the `first`.
    private func chainRun(_ c: Int, _ first: Int, of count: Int) -> ChainRun {
        ChainRun(from: first, of: count) {
            load(Transfer.self, c, FrameHeader.bytes + $0 * 128).flags.contains(.linked)
        }
    }

    private mutating func hand(
        _ operation: Operation, _ run: ChainRun, _ c: Int, _ r: UInt32, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        guard run.fault == .created else {
            refuse(run, r)
            return true
        }
        for k in 0..<run.count {
            shard.chainInput[k] = load(Transfer.self, c, FrameHeader.bytes + (run.first + k) * 128)
        }
        return try handChain(operation, run.count, r, run.first, &shard)
    }

    private mutating func endFrame(_ c: Int) {
        let header = load(FrameHeader.self, c, 0)
        connections[c].input.removeFirst(FrameHeader.bytes + Int(header.bodyLength))
        connections[c].current = 0
        if connections[c].state == .closing { closeIfReleased(c) }
    }

    // MARK: Replies

    private mutating func reply(
        _ c: Int, _ status: Status, _ header: FrameHeader, text: String = "", retryAfter: UInt32 = 0
    ) {
        connections[c].output.appendFrame(
            FrameHeader(
                header.rawOperation, status: status, requestID: header.requestID, retryAfterMilliseconds: retryAfter),
            text: text)
    }

    /// A frame that cannot be accepted: a typed reply, then the end. Others do not notice.
    mutating func refuseFrame(_ c: Int, _ status: Status, operation: UInt8, requestID: UInt64) {
        statistics.malformed += 1
        connections[c].output.appendFrame(FrameHeader(operation, status: status, requestID: requestID))
        connections[c].input.removeAll()
        drain(c)
    }

    /// Writes the reply of a request whose results are all there.
    mutating func replyNative(_ c: Int, _ r: Int) {
        let count = Int(requests[r].count)
        let buffer = requests[r].buffer
        var header = FrameHeader(requests[r].operation, requestID: requests[r].requestID, count: count)
        switch requests[r].kind {
        case .nativeCreate:
            let allCreated = requests[r].allCreated
            // Taken out, so that results can be read meanwhile.
            var output = OutputBuffer()
            swap(&output, &connections[c].output)
            pool.withResults(count, buffer) { output.appendReply(header, results: $0, allCreated: allCreated) }
            swap(&output, &connections[c].output)
        case .nativeHistory: replyHistory(c, r)
        case .nativeTotals: replyTotals(c, r, header)
        default:
            let frame = connections[c].output.beginFrame()
            header.count = 0
            for i in 0..<count {
                guard let record = pool.record(Transfer.self, buffer, i) else { continue }
                connections[c].output.append(record: record)
                header.count += 1
            }
            connections[c].output.endFrame(frame, header)
        }
    }
}
