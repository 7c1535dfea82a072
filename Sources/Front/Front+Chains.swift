// What is not a plain transfer by itself: pending, posting, voiding, balancing, closing transfers, and chains. The events
// of a chain go together, as one, to the shard of the first one's debit account; an event alone is a chain of one.

internal import SuanpanCore
public import SuanpanJournal
public import SuanpanLanes
internal import SuanpanLedger
public import SuanpanShard
internal import SuanpanWire

extension Front {
    /// Answers the events of a run whose fault the request itself shows.
    /// - Parameter shift: From a place in the run's request to the index of its result.
    mutating func refuse(_ run: ChainRun, _ r: UInt32, shift: Int = 0) {
        for i in run.first..<run.end {
            let code: ResultCode = i == run.faultAt ? run.fault : .linkedEventFailed
            complete(Int(r), i + shift, EventResult(code), lsn: 0)
        }
    }

    /// The account whose shard is handed a creation.
    @inline(__always)
    static func routed(_ operation: Operation, _ event: borrowing Transfer) -> AccountID {
        operation == .createAccounts ? AccountID(event.id.value) : event.debitAccountID
    }

    private static func submitChain(
        _ operation: UInt8, _ count: Int, _ origin: Origin, _ shard: inout Shard
    ) throws(JournalError) -> Submission {
        operation == Operation.createAccounts.rawValue
            ? shard.submitAccountChain(count, origin) : try shard.submitChain(count, origin)
    }

    /// Hands in the chain whose events stand in the shard's `chainInput`. Returns false when it must be tried again later;
    /// nothing has happened then.
    /// - Parameters:
    ///   - operation: `createTransfers`, or `createAccounts` for accounts seen as transfers.
    ///   - first: Index of the first event's result; the others follow it.
    mutating func handChain(
        _ operation: Operation, _ count: Int, _ r: UInt32, _ first: Int, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        if operation == .createTransfers { for k in 0..<count { noteRare(shard.chainInput[k]) } }
        let target = routing.shard(of: Self.routed(operation, shard.chainInput[0]))
        if target == core {
            let origin = Origin(
                core: core.value, operation: operation.rawValue, request: r,
                index: UInt32(truncatingIfNeeded: first), stream: 0)
            switch try Self.submitChain(operation.rawValue, count, origin, &shard) {
            case .answered(let result):
                invariant(count == 1, "a chain of \(count) with one answer")
                complete(Int(r), first, result, lsn: shard.journal.appended.value)
            case .decided: requests[Int(r)].isDecided = true
            case .deferred: break
            case .stalled: return false
            }
            return true
        }
        // All of it in one turn, so that the lane's next flush shows it whole: see `serve`.
        let t = target.index
        guard eventsOut[t] + count <= eventsOutMax else { return false }
        eventsOut[t] += count
        for k in 0..<count {
            var message = Message(.request, from: core)
            message.operation = operation.rawValue
            message.request = r
            message.index = UInt32(truncatingIfNeeded: first + k)
            message.time = now
            requestLanes[t].push(message, shard.chainInput[k])
        }
        return true
    }

    /// Takes the next request of another core's front, with what is linked to it.
    /// - Parameter k: Its place in the run that the shard has staged.
    /// - Returns: How many messages it was, to be taken from the lane; 0: the shard must be asked again later.
    public static func serve(_ message: Message, _ lane: Lane, staged k: Int, _ shard: inout Shard)
        throws(JournalError) -> Int
    {
        let record = lane.peekRecord()
        let isAlone =
            if message.operation == Operation.createTransfers.rawValue {
                Shard.needsNoChain(record.value)
            } else {
                // The flag stands at the same place in both records.
                message.operation != Operation.createAccounts.rawValue || !record.value.flags.contains(.linked)
            }
        if isAlone {
            return try serve(message, record.value, staged: k, &shard) ? 1 : 0
        }
        var count = 0
        while true {
            // A chain is flushed whole, so whoever sees its first event sees its last.
            guard count < Limits.eventsPerChainMax, lane.peek(ahead: count * Lane.recordCells) != nil else {
                stop("a chain that does not end, from the front of shard \(message.from)")
            }
            shard.chainInput[count] = lane.record(ahead: count * Lane.recordCells).value
            count += 1
            if !shard.chainInput[count - 1].flags.contains(.linked) { break }
        }
        let origin = Origin(
            core: message.from, operation: message.operation, request: message.request, index: message.index,
            stream: message.stream)
        switch try submitChain(message.operation, count, origin, &shard) {
        case .answered(let result):
            invariant(count == 1, "a chain of \(count) with one answer")
            shard.answers.append(Answer(origin: origin, result: result, lsn: shard.journal.appended))
        case .decided, .deferred: break
        case .stalled: return 0
        }
        return count
    }
}
