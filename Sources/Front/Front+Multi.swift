// RESP commands that take locks: chains, posting and voiding, freezing. No shard keeps their order, so they wait for what
// they do not commute with wherever that is decided. MULTI queues transfers, or account creations; EXEC hands them in as
// one chain.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanShard
internal import SuanpanWire

/// What became of a command that takes locks.
enum Started: Equatable {
    /// Nothing happened: it must be read again later.
    case later
    /// Answered here.
    case answered
    case handed(UInt32)
}

extension Front {
    /// Hands in the chain whose events stand in the shard's `chainInput`.
    mutating func startChain(
        _ c: Int, _ kind: RequestKind, _ count: Int, _ shard: inout Shard
    ) throws(JournalError) -> Started {
        if isDraining { return shuttingDown(c) ? .answered : .later }
        if configuration.board.isBroken { return unbalanced(c) ? .answered : .later }
        let operation: Operation = kind == .respExecAccounts ? .createAccounts : .createTransfers
        let subject: Subject = kind == .respExecAccounts ? .accountChain(count) : .chain(count)
        look(c, subject, shard.chainInput[0], shard)
        guard mayGo(c, lane: CommandOrder.unordered, shard) else { return .later }
        guard let r = makeRequest(kind, connection: c, count: count, bytes: count * 16) else {
            return busy(c) ? .answered : .later
        }
        let isHanded = try handChain(operation, count, r, 0, &shard)
        return keep(c, r, lane: CommandOrder.unordered, isHanded: isHanded) ? .handed(r) : .later
    }

    /// ACCOUNT.FREEZE and ACCOUNT.UNFREEZE.
    mutating func startFreeze(
        _ c: Int, _ id: AccountID, _ sides: AccountFlags, freezes: Bool, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        if isDraining { return shuttingDown(c) }
        if configuration.board.isBroken { return unbalanced(c) }
        let bad = FreezeItem(id, sides).refusalByRequest()
        guard bad == .created else {
            guard connections[c].openRequests == 0 else { return false }
            encoder(c).encode(result: EventResult(bad), of: .account, into: &connections[c].output)
            return true
        }
        let key = Shard.freezeKey(id, sides, lifting: !freezes)
        look(c, .account(id), key, shard)
        guard mayGo(c, lane: CommandOrder.unordered, shard) else { return false }
        guard let r = makeRequest(.respAccountCreate, connection: c, count: 1, bytes: 16) else { return busy(c) }
        let operation: Operation = freezes ? .freezeAccounts : .unfreezeAccounts
        let isHanded = try hand(operation, key, to: routing.shard(of: id), r, 0, stream: 0, &shard)
        return keep(c, r, lane: CommandOrder.unordered, isHanded: isHanded)
    }

    /// Keeps a request that no other command may overtake.
    mutating func goAlone(_ c: Int, _ r: UInt32) {
        connections[c].isAlone = true
        enqueue(c, r)
    }

    /// Runs a command between MULTI and EXEC. Returns false when it must be read again later; nothing has happened then.
    mutating func runInMulti(
        _ c: Int, _ command: RESPCommand, _ input: borrowing OutputBuffer, _ shard: inout Shard
    ) throws(JournalError) -> Bool {
        switch command {
        case .nothing:
            statistics.commandsRejected += 1
            return true
        case .transfer(let t): return queue(c, t, isAccount: false)
        case .accountCreate(let account): return queue(c, account.bits, isAccount: true)
        case .exec: return try execute(c, &shard)
        default: break
        }
        // Answered here and now, after all that came before.
        guard connections[c].openRequests == 0 else { return false }
        switch command {
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
    private mutating func queue(_ c: Int, _ event: Transfer, isAccount: Bool) -> Bool {
        let isMixed = !connections[c].queued.isEmpty && connections[c].queuesAccounts != isAccount
        if isMixed || connections[c].queued.count == Limits.eventsPerChainMax {
            guard connections[c].openRequests == 0 else { return false }
            if isMixed {
                encoder(c).multiMixed(into: &connections[c].output)
            } else {
                encoder(c).multiTooLong(of: isAccount, into: &connections[c].output)
            }
            connections[c].multi = .aborted
            return true
        }
        connections[c].queuesAccounts = isAccount
        connections[c].queued.append(event)
        owe(c, multi: false)
        return true
    }

    private mutating func execute(_ c: Int, _ shard: inout Shard) throws(JournalError) -> Bool {
        let count = connections[c].queued.count
        if connections[c].multi == .aborted {
            guard connections[c].openRequests == 0 else { return false }
            encoder(c).execAborted(into: &connections[c].output)
        } else if count == 0 {
            guard connections[c].openRequests == 0 else { return false }
            encoder(c).array(0, into: &connections[c].output)
        } else {
            for k in 0..<count {
                var t = connections[c].queued[k]
                // The flag stands at the same place in accounts.
                if k < count - 1 { t.flags.insert(.linked) } else { t.flags.remove(.linked) }
                shard.chainInput[k] = t
            }
            let kind: RequestKind = connections[c].queuesAccounts ? .respExecAccounts : .respExec
            switch try startChain(c, kind, count, &shard) {
            case .later: return false
            case .answered: break
            // What was asked is kept for the reply, which names the event at fault.
            case .handed(let r): executions[r] = connections[c].queued
            }
        }
        connections[c].endMulti()
        return true
    }

    /// The reply of an EXEC whose results are all there.
    mutating func encodeChain(_ c: Int, _ r: Int) {
        let buffer = requests[r].buffer
        guard let asked = executions[UInt32(r)] else { stop("an EXEC whose commands are forgotten") }
        encoder(c).encode(
            chain: Int(requests[r].count), of: requests[r].kind == .respExec ? .transfer : .account,
            result: { pool.result(buffer, $0) }, id: { asked[$0].id.value }, into: &connections[c].output)
    }
}
