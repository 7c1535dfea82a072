// RESP commands that go alone: after everything before them is answered, and before anything after them is handed in.
// MULTI queues transfers, or account creations; EXEC hands them in as one chain.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanShard
internal import SuanpanWire

extension Front {
    /// Hands in the chain whose events stand in the shard's `chainInput`. Returns false when the command must be read again
    /// later; nothing has happened then.
    mutating func startChain(
        _ c: Int, _ kind: RequestKind, _ count: Int, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        if isDraining { return shuttingDown(c) }
        if configuration.board.isBroken { return unbalanced(c) }
        guard connections[c].openRequests == 0 else { return false }
        guard let r = makeRequest(kind, connection: c, count: count, bytes: count * 16) else { return busy(c) }
        let operation: Operation = kind == .respExecAccounts ? .createAccounts : .createTransfers
        return goAlone(c, r, try handChain(operation, count, r, 0, &shard))
    }

    /// ACCOUNT.FREEZE and ACCOUNT.UNFREEZE.
    mutating func startFreeze(
        _ c: Int, _ id: AccountID, _ sides: AccountFlags, freezes: Bool, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        if isDraining { return shuttingDown(c) }
        if configuration.board.isBroken { return unbalanced(c) }
        guard connections[c].openRequests == 0 else { return false }
        let bad = FreezeItem(id, sides).refusalByRequest()
        guard bad == .created else {
            encoder(c).encode(result: EventResult(bad), of: .account, into: &connections[c].output)
            return true
        }
        guard let r = makeRequest(.respAccountCreate, connection: c, count: 1, bytes: 16) else { return busy(c) }
        let key = Shard.freezeKey(id, sides, lifting: !freezes)
        let operation: Operation = freezes ? .freezeAccounts : .unfreezeAccounts
        return goAlone(c, r, try hand(operation, key, to: routing.shard(of: id), r, 0, stream: 0, &shard))
    }

    /// Keeps the request where it was handed in; gives it back where it was not.
    mutating func goAlone(_ c: Int, _ r: UInt32, _ isHanded: Bool) -> Bool {
        guard isHanded else {
            connections[c].openRequests -= 1
            freeRequest(r)
            return false
        }
        requests[Int(r)].coordinator = core.value
        requests[Int(r)].firstAccount = AccountID(0)
        requests[Int(r)].secondAccount = AccountID(0)
        connections[c].isAlone = true
        enqueue(c, r)
        return true
    }

    /// Runs a command between MULTI and EXEC. No request of the connection is under way. Returns false when the command
    /// must be read again later; nothing has happened then.
    mutating func runInMulti(
        _ c: Int, _ command: RESPCommand, _ input: borrowing OutputBuffer, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        switch command {
        case .nothing: statistics.commandsRejected += 1
        case .transfer(let t): queue(c, t, isAccount: false)
        case .accountCreate(let account): queue(c, account.bits, isAccount: true)
        case .exec: return try execute(c, &shard)
        case .discard:
            connections[c].endMulti()
            encoder(c).ok(into: &connections[c].output)
        case .reset, .quit:
            connections[c].endMulti()
            answerHere(c, command, input)
        case .multi:
            encoder(c).multiNested(into: &connections[c].output)
            connections[c].multi = .aborted
        case .refused:
            answerHere(c, command, input)
            connections[c].multi = .aborted
        default:
            encoder(c).notInMulti(into: &connections[c].output)
            connections[c].multi = .aborted
        }
        return true
    }

    /// Queues a creation; a chain holds either transfers or accounts.
    private mutating func queue(_ c: Int, _ event: Transfer, isAccount: Bool) {
        let isMixed = !connections[c].queued.isEmpty && connections[c].queuesAccounts != isAccount
        if isMixed || connections[c].queued.count == Limits.eventsPerChainMax {
            if isMixed {
                encoder(c).multiMixed(into: &connections[c].output)
            } else {
                encoder(c).multiTooLong(into: &connections[c].output)
            }
            connections[c].multi = .aborted
            return
        }
        connections[c].queuesAccounts = isAccount
        connections[c].queued.append(event)
        encoder(c).queued(into: &connections[c].output)
    }

    private mutating func execute(_ c: Int, _ shard: inout Shard) throws(JournalError) -> Bool {
        let count = connections[c].queued.count
        if connections[c].multi == .aborted {
            encoder(c).execAborted(into: &connections[c].output)
        } else if count == 0 {
            encoder(c).array(0, into: &connections[c].output)
        } else {
            for k in 0..<count {
                var t = connections[c].queued[k]
                // The flag stands at the same place in accounts.
                if k < count - 1 { t.flags.insert(.linked) } else { t.flags.remove(.linked) }
                shard.chainInput[k] = t
            }
            let kind: RequestKind = connections[c].queuesAccounts ? .respExecAccounts : .respExec
            guard try startChain(c, kind, count, &shard) else { return false }
            if connections[c].isAlone {
                // What was asked is kept for the reply, which names the event at fault.
                connections[c].multi = .closed
                return true
            }
        }
        connections[c].endMulti()
        return true
    }

    /// The reply of an EXEC whose results are all there.
    mutating func encodeChain(_ c: Int, _ r: Int) {
        let buffer = requests[r].buffer
        let asked = connections[c].queued
        encoder(c).encode(
            chain: Int(requests[r].count), of: requests[r].kind == .respExec ? .transfer : .account,
            result: { pool.result(buffer, $0) }, id: { asked[$0].id.value }, into: &connections[c].output)
        connections[c].endMulti()
    }
}
