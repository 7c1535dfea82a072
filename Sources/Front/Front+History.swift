// A core's part in reads of history: taking questions in, the steps that need its shard, and replies. See `HistoryDesk`.

internal import SuanpanCore
internal import SuanpanHistory
internal import SuanpanJournal
internal import SuanpanShard
internal import SuanpanWire

extension Front {
    /// Does what can be done of the steps that wait here.
    mutating func workHistory(_ shard: inout Shard) {
        guard !historyParts.isEmpty else { return }
        historyParts = historyParts.filter { !advance($0, &shard) }
    }

    /// True when the step is done.
    private mutating func advance(_ part: HistoryPart, _ shard: inout Shard) -> Bool {
        let desk = configuration.history
        switch part.step {
        case .begin: desk.begin(part.call, Timestamp(shard.clock.now))
        case .settle:
            if part.mark == nil { part.mark = .decided(shard.closeHistory(upTo: part.call.time)) }
            guard case .decided(let decided)? = part.mark, shard.hasApplied(decided) else { return false }
            desk.settled(part.call)
        case .bound:
            if part.mark == nil { part.mark = .appended(shard.journal.appended) }
            guard case .appended(let lsn)? = part.mark, lsn <= shard.released else { return false }
            desk.bounded(part.call, core, lsn)
        case .done:
            if let asker = part.call.asker { countDown(Int(asker.request), 0) }
        }
        return true
    }

    /// Asks for a request's answer. False: too many questions are under way; the request is given back.
    mutating func askHistory(_ r: UInt32, _ question: HistoryQuestion) -> Bool {
        guard let call = configuration.history.ask(question, asker: (core, r)) else {
            connections[Int(requests[Int(r)].connection)].openRequests -= 1
            freeRequest(r)
            return false
        }
        historyCalls[r] = call
        return true
    }

    /// A request for history: one result, which stands elsewhere.
    mutating func makeHistoryRequest(_ kind: RequestKind, _ c: Int) -> UInt32? {
        makeRequest(kind, connection: c, count: 1, bytes: 16)
    }

    // MARK: Native

    /// Begins a native request for history. The frame is whole and has been judged but for its body.
    mutating func beginHistory(_ c: Int, _ header: FrameHeader, _ question: HistoryQuestion) {
        guard let r = makeHistoryRequest(.nativeHistory, c) else { return replyBusy(c, header) }
        requests[Int(r)].requestID = header.requestID
        requests[Int(r)].operation = header.rawOperation
        if !askHistory(r, question) { replyBusy(c, header) }
    }

    private mutating func replyBusy(_ c: Int, _ header: FrameHeader) {
        statistics.busy += 1
        connections[c].output.appendFrame(
            FrameHeader(
                header.rawOperation, status: .busy, requestID: header.requestID,
                retryAfterMilliseconds: Self.historyRetryMilliseconds))
    }

    static var historyRetryMilliseconds: UInt32 { 100 }

    mutating func replyHistory(_ c: Int, _ r: Int) {
        let operation = requests[r].operation
        let id = requests[r].requestID
        let call = historyCalls[UInt32(r)]
        guard let answer = call?.answer else {
            if call?.isRefused == true { statistics.busy += 1 }
            let refusal =
                call?.isRefused == true
                ? FrameHeader(
                    operation, status: .busy, requestID: id, retryAfterMilliseconds: Self.historyRetryMilliseconds)
                : FrameHeader(operation, status: .shuttingDown, requestID: id)
            return connections[c].output.appendFrame(refusal)
        }
        let frame = connections[c].output.beginFrame()
        switch answer {
        case .transfers(let list): for record in list { connections[c].output.append(record: record) }
        case .accounts(let list): for record in list { connections[c].output.append(record: record) }
        case .balances(let list): for record in list { connections[c].output.append(record: record) }
        }
        connections[c].output.endFrame(frame, FrameHeader(operation, requestID: id, count: answer.count))
    }

    // MARK: RESP

    /// ACCOUNT.TRANSFERS, ACCOUNT.BALANCES, and TRANSFER.GET by id alone: they go alone. Returns false when the command must
    /// be read again later.
    mutating func startHistory(_ c: Int, _ question: HistoryQuestion) -> Bool {
        if isDraining { return shuttingDown(c) }
        guard connections[c].openRequests == 0 else { return false }
        if case .query(let kind, let filter) = question, let refusal = filter.refusal(kind) {
            encoder(c).invalidFilter(refusal, into: &connections[c].output)
            return true
        }
        guard let r = makeHistoryRequest(.respHistory, c) else { return busy(c) }
        guard askHistory(r, question) else {
            statistics.busy += 1
            encoder(c).busy(
                retryAfterMilliseconds: Self.historyRetryMilliseconds, into: &connections[c].output)
            return true
        }
        goAlone(c, r)
        return true
    }

    mutating func encodeHistory(_ c: Int, _ r: Int) {
        let encoder = encoder(c)
        let call = historyCalls[UInt32(r)]
        guard let answer = call?.answer else {
            if call?.isRefused == true {
                statistics.busy += 1
                return encoder.busy(
                    retryAfterMilliseconds: Self.historyRetryMilliseconds, into: &connections[c].output)
            }
            return encoder.shuttingDown(into: &connections[c].output)
        }
        encoder.array(answer.count, into: &connections[c].output)
        switch answer {
        case .transfers(let list): for t in list { encoder.encode(transfer: t, into: &connections[c].output) }
        case .accounts(let list): for a in list { encoder.encode(account: a, into: &connections[c].output) }
        case .balances(let list): for b in list { encoder.encode(balance: b, into: &connections[c].output) }
        }
    }
}
