// Requests under way: taking a place, handing events to their shards, gathering results, releasing replies when the log
// allows.

public import SuanpanCore
internal import SuanpanJournal
public import SuanpanLanes
internal import SuanpanLedger
public import SuanpanShard
internal import SuanpanWire

extension Front {
    /// A place for a request of `count` events whose results take `bytes`; nil: all are in use.
    mutating func makeRequest(_ kind: RequestKind, connection c: Int, count: Int, bytes: Int) -> UInt32? {
        guard freeRequests.count > 0, let buffer = pool.take(bytes: bytes) else { return nil }
        let r = freeRequests.take()
        let i = Int(r)
        requests[i].kind = kind
        requests[i].allCreated = true
        requests[i].isComplete = false
        requests[i].isDecided = false
        requests[i].connection = UInt32(truncatingIfNeeded: c)
        requests[i].generation = c >= 0 ? connections[c].generation : 0
        requests[i].count = UInt32(count)
        requests[i].remaining = UInt32(count)
        requests[i].buffer = buffer
        requests[i].lsn = 0
        requests[i].next = 0
        requests[i].uses = 0
        requests[i].beginsMulti = false
        requests[i].queuedCount = 0
        requests[i].makesHold = false
        requests[i].startedAt = now
        if c >= 0 { connections[c].openRequests += 1 }
        statistics.requests += 1
        return r
    }

    mutating func freeRequest(_ r: UInt32) {
        let kind = requests[Int(r)].kind
        leave(Int(r))
        if kind == .nativeHistory || kind == .respHistory { historyCalls[r] = nil }
        if kind == .respExec || kind == .respExecAccounts { executions[r] = nil }
        pool.give(requests[Int(r)].buffer)
        if !totals.isEmpty { totals[r] = nil }
        freeRequests.give(r)
    }

    /// A connection has gone: its complete requests are dropped, the others when their last result comes.
    mutating func dropRequests(_ c: Int) {
        var link = connections[c].requestHead
        while link != 0 {
            let r = link - 1
            link = requests[Int(r)].next
            if requests[Int(r)].isComplete { freeRequest(r) }
        }
        connections[c].requestHead = 0
        connections[c].requestTail = 0
    }

    @inline(__always)
    func isCurrent(_ r: Int) -> Bool {
        let c = Int(requests[r].connection)
        return (connections[c].generation == requests[r].generation || isFaulty(.forgetGenerations))
            && (connections[c].state == .open || connections[c].state == .draining)
    }

    // MARK: Handing in

    /// Hands one event to its shard. Returns false when it must be tried again later.
    @inline(__always)
    mutating func hand(
        _ operation: Operation, _ record: Transfer, to target: ShardID, _ r: UInt32, _ index: Int, stream: UInt32,
        _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        if target == core {
            let origin = Origin(
                core: core.value, operation: operation.rawValue, request: r, index: UInt32(truncatingIfNeeded: index),
                stream: stream)
            return try handHere(operation, record, origin, &shard)
        }
        let t = target.index
        guard eventsOut[t] < singlesOutMax else { return false }
        eventsOut[t] += 1
        var message = Message(.request, from: core)
        message.operation = operation.rawValue
        message.request = r
        message.index = UInt32(truncatingIfNeeded: index)
        message.stream = stream
        message.time = now
        requestLanes[t].push(message, record)
        return true
    }

    @inline(__always)
    private mutating func handHere(
        _ operation: Operation, _ record: Transfer, _ origin: Origin, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        let r = Int(origin.request)
        let index = Int(origin.index)
        let submission: Submission
        switch operation {
        case .createTransfers: submission = try shard.submit(record, origin)
        case .createAccounts: submission = shard.submit(Account(bits: copy record), origin)
        case .freezeAccounts, .unfreezeAccounts: submission = try shard.submitFreeze(record, origin)
        case .lookupAccounts:
            switch shard.lookup(record.debitAccountID, origin) {
            case .found(let account): completeRecord(r, index, account.bits, lsn: shard.journal.appended.value)
            case .unknown: completeRecord(r, index, nil, lsn: shard.journal.appended.value)
            case .deferred: break
            case .stalled: return false
            }
            return true
        case .lookupTransfers:
            switch try shard.lookup(transfer: record, origin) {
            case .found(let found): completeRecord(r, index, found, lsn: shard.journal.appended.value)
            case .deferred: break
            case .stalled: return false
            }
            return true
        default: stop("operation \(operation) is not for a shard")
        }
        switch submission {
        case .answered(let result): complete(r, index, result, lsn: shard.journal.appended.value)
        case .decided: requests[r].isDecided = true
        case .deferred: break
        case .stalled: return false
        }
        return true
    }

    /// Takes a request of another core's front that is no chain. Returns false when the shard must be asked again later.
    /// - Parameter k: Its place in the run that the shard has staged.
    static func serve(
        _ message: Message, _ record: borrowing Transfer, staged k: Int, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        let origin = Origin(
            core: message.from, operation: message.operation, request: message.request, index: message.index,
            stream: message.stream)
        if message.operation == factOperation {
            answerFact(record.debitAccountID, origin, &shard)
            return true
        }
        let submission: Submission
        switch Operation(rawValue: message.operation) {
        case .createTransfers: submission = try shard.submit(record, origin, staged: k)
        case .createAccounts: submission = shard.submit(Account(bits: copy record), origin)
        case .freezeAccounts, .unfreezeAccounts: submission = try shard.submitFreeze(record, origin)
        case .lookupAccounts:
            switch shard.lookup(record.debitAccountID, origin) {
            case .found(let account): shard.answerRecord(origin, account.bits)
            case .unknown: shard.answerRecord(origin, nil)
            case .deferred: break
            case .stalled: return false
            }
            return true
        case .lookupTransfers:
            switch try shard.lookup(transfer: record, origin) {
            case .found(let found): shard.answerRecord(origin, found)
            case .deferred: break
            case .stalled: return false
            }
            return true
        default: stop("request with operation \(message.operation)")
        }
        switch submission {
        case .answered(let result):
            shard.answers.append(Answer(origin: origin, result: result, lsn: shard.journal.appended))
        case .decided, .deferred: break
        case .stalled: return false
        }
        return true
    }

    /// Hands the `k`-th transfer of a staged run to the own shard. Returns false when it must be tried again later.
    @inline(__always)
    mutating func handStaged(
        _ k: Int, _ t: borrowing Transfer, _ r: UInt32, _ index: Int, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        let origin = Origin(
            core: core.value, operation: Operation.createTransfers.rawValue, request: r,
            index: UInt32(truncatingIfNeeded: index), stream: 0)
        switch try shard.submit(t, origin, staged: k) {
        case .answered(let result): complete(Int(r), index, result, lsn: shard.journal.appended.value)
        case .decided, .deferred: break
        case .stalled: return false
        }
        return true
    }

    // MARK: Gathering

    /// One event's result. `lsn`: of the own log, that the reply must wait for; 0 for what is durable already.
    @inline(__always)
    mutating func complete(_ r: Int, _ index: Int, _ result: EventResult, lsn: UInt64) {
        if requests[r].kind == .embedded {
            partRequests[UInt32(r)]!.call.setResult(index, result)
        } else {
            pool.store(result, requests[r].buffer, index)
        }
        if result.rawCode != 0 { requests[r].allCreated = false }
        countDown(r, lsn)
    }

    mutating func completeRecord(_ r: Int, _ index: Int, _ record: Transfer?, lsn: UInt64) {
        if requests[r].kind == .embedded {
            partRequests[UInt32(r)]!.call.setRecord(index, record)
        } else if let record {
            pool.store(found: record, requests[r].buffer, index)
        } else {
            pool.storeMissing(requests[r].buffer, index)
        }
        countDown(r, lsn)
    }

    @inline(__always)
    mutating func countDown(_ r: Int, _ lsn: UInt64) {
        if lsn > requests[r].lsn && !isFaulty(.replyBeforeDurable) { requests[r].lsn = lsn }
        requests[r].remaining -= 1
        if requests[r].remaining == 0 { awaiting.append(UInt32(r)) }
    }

    /// A result that another core's shard sends: durable there.
    public mutating func receiveResult(_ message: Message) {
        eventsOut[Int(message.from)] -= 1
        var result = EventResult(.created, timestamp: Timestamp(message.time))
        result.rawCode = message.rawCode
        result.rawReason = message.rawReason
        complete(Int(message.request), Int(message.index), result, lsn: 0)
    }

    public mutating func receiveRecord(_ message: Message, _ record: Transfer) {
        eventsOut[Int(message.from)] -= 1
        completeRecord(Int(message.request), Int(message.index), message.rawCode == 1 ? record : nil, lsn: 0)
    }

    // MARK: Releasing

    /// Releases answers that may leave (`Shard.released`): to our own requests, and by lane to other cores' fronts.
    // Do not rename: Perf/ finds it by this symbol.
    @inline(never)
    public mutating func release(_ shard: inout Shard) {
        let released = shard.released
        while !shard.answers.isEmpty, shard.answers.first.lsn <= released {
            let answer = shard.answers.first
            shard.answers.removeFirst()
            if answer.origin.core == core.value {
                complete(Int(answer.origin.request), Int(answer.origin.index), answer.result, lsn: 0)
            } else {
                var message = Message(.result, from: core)
                message.request = answer.origin.request
                message.index = answer.origin.index
                message.rawCode = answer.result.rawCode
                message.rawReason = answer.result.rawReason
                message.time = answer.result.timestamp.nanoseconds
                controlLanes[Int(answer.origin.core)].push(message)
            }
        }
        while !shard.recordAnswers.isEmpty, shard.recordAnswers.first.lsn <= released {
            let answer = shard.recordAnswers.first
            shard.recordAnswers.removeFirst()
            if answer.origin.core == core.value {
                completeRecord(
                    Int(answer.origin.request), Int(answer.origin.index), answer.found ? answer.record : nil, lsn: 0)
            } else {
                var message = Message(.record, from: core)
                message.request = answer.origin.request
                message.index = answer.origin.index
                message.rawCode = answer.found ? 1 : 0
                controlLanes[Int(answer.origin.core)].push(message, answer.record)
            }
        }
        // In the order in which they were completed; the log positions they wait for rise with few exceptions.
        while !awaiting.isEmpty, requests[Int(awaiting.first)].lsn <= released.value {
            let r = awaiting.first
            awaiting.removeFirst()
            finish(r)
        }
    }

    /// Requests taken and not yet answered.
    public var requestsUnderWay: Int { requests.count - freeRequests.count }

    /// Replies or reads of history wait for the log.
    public var awaitsLog: Bool { !awaiting.isEmpty || !historyParts.isEmpty }

    /// True when `release` would find something.
    public func canRelease(_ shard: borrowing Shard) -> Bool {
        let released = shard.released
        if !awaiting.isEmpty && requests[Int(awaiting.first)].lsn <= released.value { return true }
        if !shard.answers.isEmpty && shard.answers.first.lsn <= released { return true }
        return !shard.recordAnswers.isEmpty && shard.recordAnswers.first.lsn <= released
    }

    /// Makes requests, results and adoptions visible to other cores; calls `wake` for each that has something new.
    public mutating func flush(_ wake: (Int) -> Void) {
        for p in 0..<routing.shardCount where p != core.index {
            let a = requestLanes[p].flush()
            let b = controlLanes[p].flush()
            if a || b { wake(p) }
        }
    }

    /// All results are there and durable: reply.
    private mutating func finish(_ r: UInt32) {
        let i = Int(r)
        if requests[i].kind == .embedded {
            let part = partRequests.removeValue(forKey: r)
            freeRequest(r)
            part?.call.partEnded()
            return
        }
        if requests[i].kind == .accountFact { return learnAccount(r) }
        leave(i)
        if requests[i].kind == .respTransfer { learnHold(i) }
        guard isCurrent(i) else {
            freeRequest(r)
            return
        }
        let c = Int(requests[i].connection)
        latency.record(now &- requests[i].startedAt)
        switch connections[c].door {
        case .native:
            replyNative(c, i)
            connections[c].openRequests -= 1
            freeRequest(r)
        case .resp:
            requests[i].isComplete = true
            replyInOrder(c)
        }
        makeReady(c)
    }

    // MARK: Embedding calls

    /// Ends calls that were not decided: the core ends.
    mutating func abandonCalls() {
        // The first part may be handed in already, in part.
        if connectionlessRequest != 0 { parts.removeFirst() }
        for part in parts { part.abandon() }
        for part in partRequests.values { part.abandon() }
        parts = []
        partRequests = [:]
        connectionlessRequest = 0
        for part in historyParts { configuration.history.abandon(part) }
        historyParts = []
    }

    /// Takes a part of a call that an embedding thread has handed over, a step of a read of history, or a connection made
    /// while the engine was starting.
    /// - Returns: False where it is none of them.
    public mutating func take(_ node: CallerNode) -> Bool {
        if let part = node as? CallPart {
            parts.append(part)
        } else if let part = node as? HistoryPart {
            historyParts.append(part)
        } else if let arrival = node as? LoadedConnection {
            arrivals.append(arrival)
        } else {
            return false
        }
        return true
    }

    /// Hands in the events of embedding calls, one part after the other.
    mutating func workParts(_ shard: inout Shard) throws(JournalError) {
        while let part = parts.first {
            let r: UInt32
            if connectionlessRequest == 0 {
                guard let made = makeRequest(.embedded, connection: -1, count: part.indices.count, bytes: 0) else {
                    return
                }
                r = made
                partRequests[r] = part
                connectionlessRequest = r + 1
                partCursor = 0
            } else {
                r = connectionlessRequest - 1
            }
            if part.call.kind.asksForCut {
                askForCut(
                    r, part.call.kind == .totals ? [] : part.indices.map { part.call.event(Int($0)).debitAccountID })
                connectionlessRequest = 0
                parts.removeFirst()
                continue
            }
            let operation: Operation =
                switch part.call.kind {
                case .createTransfers: .createTransfers
                case .createAccounts: .createAccounts
                case .lookupAccounts: .lookupAccounts
                case .lookupTransfers: .lookupTransfers
                case .freezeAccounts: .freezeAccounts
                case .consistentAccounts, .totals: stop("a cut is not decided event by event")
                }
            while partCursor < part.indices.count {
                // In runs that the shard looks ahead at.
                let run = min(Shard.stagedMax, part.indices.count - partCursor)
                if operation == .createTransfers {
                    for k in 0..<run { shard.stage(k, part.call.event(Int(part.indices[partCursor + k]))) }
                    shard.lookAhead(staged: run)
                }
                let end = partCursor + run
                while partCursor < end {
                    let index = Int(part.indices[partCursor])
                    let event = part.call.event(index)
                    let isRun =
                        operation == .createTransfers
                        ? !Shard.needsNoChain(event) : operation == .createAccounts && event.flags.contains(.linked)
                    if isRun {
                        guard try handRun(operation, of: part, r, &shard) else { return }
                    } else if operation != .createTransfers {
                        guard try hand(operation, event, to: core, r, index, stream: 0, &shard) else { return }
                        partCursor += 1
                    } else {
                        guard try handStaged(partCursor + run - end, event, r, index, &shard) else { return }
                        partCursor += 1
                    }
                }
            }
            connectionlessRequest = 0
            parts.removeFirst()
        }
    }

    /// Hands in the run of events at the part's cursor: an engine's call puts a chain whole into one part.
    private mutating func handRun(
        _ operation: Operation, of part: CallPart, _ r: UInt32, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        let first = partCursor
        let run = ChainRun(from: first, of: part.indices.count) {
            part.call.event(Int(part.indices[$0])).flags.contains(.linked)
        }
        let index = Int(part.indices[first])
        if run.fault != .created {
            refuse(run, r, shift: index - first)
        } else {
            for k in 0..<run.count { shard.chainInput[k] = part.call.event(index + k) }
            guard try handChain(operation, run.count, r, index, &shard) else { return false }
        }
        partCursor = run.end
        return true
    }
}
