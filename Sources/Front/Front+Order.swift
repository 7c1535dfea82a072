// The order of a RESP connection's commands: what each uses (`CommandOrder` has the rule), and what must be known of
// accounts and holds to tell.

internal import SuanpanCore
internal import SuanpanLanes
internal import SuanpanLedger
public import SuanpanShard
internal import SuanpanWire

/// What a command is about, beside its record.
enum Subject {
    /// Its record is a transfer.
    case transfer
    case account(AccountID)
    /// The debit account and id of its record.
    case identity
    /// The events in the shard's `chainInput`.
    case chain(Int)
    case accountChain(Int)
}

extension Front {
    /// Looks at what the logs have left, before the first command.
    public func begin(_ shard: borrowing Shard) {
        if shard.ledger.hasHeldClosing { configuration.board.rareEvents.noteClosing() }
    }

    // MARK: What a command uses

    /// Makes a command the one that is looked at.
    mutating func look(_ c: Int, _ subject: Subject, _ record: borrowing Transfer, _ shard: borrowing Shard) {
        order.begin(stream: connections[c].number)
        switch subject {
        case .transfer:
            order.use(record.debitAccountID, .takes)
            order.use(record.creditAccountID, .gives)
            order.useIdentity(record.debitAccountID, record.id)
            order.useWhole(.named)
        case .account(let id):
            order.use(id, .needs)
            order.useWhole(.named)
        case .identity: order.useIdentity(record.debitAccountID, record.id)
        case .chain(let count): look(atChain: count, shard)
        case .accountChain(let count):
            for k in 0..<count { order.use(AccountID(shard.chainInput[k].id.value), .needs) }
            order.useWhole(.named)
        }
    }

    /// One event counts as a chain of one.
    private mutating func look(atChain count: Int, _ shard: borrowing Shard) {
        balances.removeAll(keepingCapacity: true)
        for k in 0..<count {
            let t = shard.chainInput[k]
            order.useIdentity(t.debitAccountID, t.id)
            if t.flags.resolves {
                look(atResolving: t, shard)
            } else if t.flags.balances || t.flags.closes || t.amount.value > Limits.standingAmountMax {
                order.use(t.debitAccountID, .needs)
                order.use(t.creditAccountID, .needs)
                order.useWhole(.named)
            } else {
                order.use(t.debitAccountID, coversInChain(t.debitAccountID, t.amount.value) ? .gives : .takes)
                order.use(t.creditAccountID, .gives)
                if !t.flags.contains(.pending) { gain(t.creditAccountID, t.amount.value) }
                order.useWhole(.named)
            }
        }
    }

    private mutating func look(atResolving t: borrowing Transfer, _ shard: borrowing Shard) {
        order.useIdentity(t.debitAccountID, t.pendingID)
        guard let hold = knownHold(t.debitAccountID, t.pendingID, shard) else {
            order.use(t.debitAccountID, .resolves)
            // It may open accounts again, and nobody knows which.
            let mayOpen = t.flags.contains(.voidPending) && configuration.board.rareEvents.mayHoldClosing
            return order.useWhole(mayOpen ? .needs : .unnamed)
        }
        order.use(hold.debit, hold.closes ? .needs : .resolves)
        order.use(hold.credit, hold.closes ? .needs : .resolves)
        order.useWhole(hold.closes ? .named : .resolvesKnown)
        if t.flags.contains(.postPending) { gain(hold.credit, min(t.amount.value, hold.amount.value)) }
    }

    private func knownHold(_ debit: AccountID, _ id: TransferID, _ shard: borrowing Shard) -> KnownHold? {
        guard routing.shard(of: debit) == core else { return knownHolds.hold(debit, id, routing.key) }
        var key = Shard.readKey(debit)
        key.pendingID = id
        guard let fact = shard.ledger.openPendingFact(key) else { return nil }
        return KnownHold(
            debit: debit, id: id, credit: fact.creditAccountID, amount: fact.amount, closes: fact.flags.closes)
    }

    // MARK: What a chain gives before it takes

    /// An event of the chain credits the account.
    private mutating func gain(_ account: AccountID, _ amount: UInt128) {
        if let i = balances.firstIndex(where: { $0.account == account }) {
            balances[i].amount = balances[i].amount.addingReportingOverflow(amount).partialValue
        } else {
            balances.append((account, amount))
        }
    }

    /// True where the chain has credited the account with as much before: no debit limit can refuse it that.
    private mutating func coversInChain(_ account: AccountID, _ amount: UInt128) -> Bool {
        guard let i = balances.firstIndex(where: { $0.account == account }) else { return amount == 0 }
        guard balances[i].amount >= amount else {
            balances[i].amount = 0
            return false
        }
        balances[i].amount -= amount
        return true
    }

    // MARK: Asking

    /// Whether the command that is looked at may go to its shard now.
    mutating func mayGo(_ c: Int, lane: UInt16, _ shard: borrowing Shard) -> Bool {
        if connections[c].undecided == 0 || isFaulty(.passOthers) { return true }
        let vast = configuration.board.rareEvents.vastCount
        switch order.verdict(lane: lane, { freedom(of: $0, vast, shard) }) {
        case .goes:
            connections[c].askedAbout = AccountID(0)
            return true
        case .waits: return false
        case .dependsOn(let account):
            if routing.shard(of: account) != core { ask(c, account, vast) }
            return false
        }
    }

    /// What limits an account: of the own shard's as its ledger says, of others' as far as it is remembered.
    private func freedom(of account: AccountID, _ vast: UInt32, _ shard: borrowing Shard) -> AccountFreedom? {
        guard routing.shard(of: account) == core else {
            return knownAccounts.freedom(of: account, routing.key, vast: vast)
        }
        return shard.ledger.find(account).map { AccountFreedom(shard.ledger.account($0)) }
    }

    /// What a request lane carries beside the operations of clients: `answerFact`.
    static var factOperation: UInt8 { .max }

    /// Asks an account's shard what limits it: once for a command. Until that is known it waits for those before it.
    private mutating func ask(_ c: Int, _ account: AccountID, _ vast: UInt32) {
        let t = routing.shard(of: account).index
        guard connections[c].askedAbout != account, eventsOut[t] < singlesOutMax,
            let r = makeRequest(.accountFact, connection: c, count: 1, bytes: ResultPool.recordStride)
        else { return }
        requests[Int(r)].requestID = UInt64(vast)
        eventsOut[t] += 1
        var message = Message(.request, from: core)
        message.operation = Self.factOperation
        message.request = r
        message.time = now
        requestLanes[t].push(message, Shard.readKey(account))
        connections[c].askedAbout = account
    }

    /// Says what stands in the ledger now, whatever is undecided or on its way to the disk: what is asked for never changes.
    static func answerFact(_ account: AccountID, _ origin: Origin, _ shard: inout Shard) {
        let found = shard.ledger.find(account).map { shard.ledger.account($0) }
        shard.recordAnswers.append(
            RecordAnswer(
                origin: origin, found: found != nil, record: found?.bits ?? Shard.readKey(account), lsn: .zero))
    }

    /// An account's shard has said what limits it.
    mutating func learnAccount(_ r: UInt32) {
        let i = Int(r)
        if let account = pool.record(Account.self, requests[i].buffer, 0) {
            knownAccounts.note(account, routing.key, vast: UInt32(truncatingIfNeeded: requests[i].requestID))
        }
        if isCurrent(i) {
            let c = Int(requests[i].connection)
            connections[c].openRequests -= 1
            if connections[c].openRequests == 0 { connections[c].isAlone = false }
            makeReady(c)
        }
        freeRequest(r)
    }

    /// A pending transfer was created, or exists as it was asked.
    mutating func learnHold(_ r: Int) {
        let code = pool.result(requests[r].buffer, 0).code
        guard requests[r].makesHold, code == .created || code == .exists else { return }
        knownHolds.note(requests[r].hold, routing.key)
    }

    /// Tells all fronts of what is about to be handed in.
    mutating func noteRare(_ t: borrowing Transfer) {
        if t.flags.closes { configuration.board.rareEvents.noteClosing() }
        if AccountFreedom.isVast(t) { configuration.board.rareEvents.noteVast() }
    }

    // MARK: Under way

    /// The command that is looked at was handed in.
    mutating func enter(_ c: Int, _ r: UInt32, lane: UInt16) {
        guard order.hasRoom else {
            // No other is under way: `mayGo` has seen to that.
            connections[c].isAlone = true
            return
        }
        requests[Int(r)].uses = order.enter(lane: lane)
        connections[c].undecided += 1
    }

    /// The command is decided.
    mutating func leave(_ r: Int) {
        guard requests[r].uses != 0 else { return }
        order.leave(requests[r].uses)
        requests[r].uses = 0
        let c = Int(requests[r].connection)
        if connections[c].generation == requests[r].generation { connections[c].undecided -= 1 }
    }
}
