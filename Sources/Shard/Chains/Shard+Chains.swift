// Everything that is not a single plain transfer: chains, pending transfers, posts, voids, balancing, closing, freezing,
// expiry. What concerns this shard alone and meets nothing undecided is judged and applied at once. All else reserves
// what it needs in every shard concerned, or locks its accounts there; it is judged here when all have said what they
// found, and is one decision in this log.
// The states are ChainState's; Docs/Architecture.md shows the machine.

public import SuanpanCore
public import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLedger

extension Shard {
    // MARK: Submitting

    /// Decides a chain whose first debit account hashes to this shard, or one event that is not plain. The events stand in
    /// `chainInput`, 0 ..< count; they are linked as a chain should be (the front has looked: see `ChainRun`).
    /// - Parameter origin: Of the first event; the others' indices follow it.
    /// - Returns: `decided`, `deferred`: the answers come by `answers`, one for each event; `stalled`: nothing happened.
    public mutating func submitChain(_ count: Int, _ origin: Origin) throws(JournalError) -> Submission {
        guard againQueue.isEmpty, hasRoom else { return .stalled }
        if count == 1 && Self.needsNoChain(chainInput[0]) { return try submit(chainInput[0], origin) }
        scratch.view.begin()
        for i in 0..<count {
            scratch.view.add(chainInput[i])
            // No event behind it can be at fault before it.
            if chainInput[i].refusalByRequest() != .created { break }
        }
        return try submitScratch(count, origin)
    }

    /// The same for the events in `scratch`.
    mutating func submitScratch(_ count: Int, _ origin: Origin) throws(JournalError) -> Submission {
        if let submission = try decideAtOnce(count, origin) { return submission }
        return begin(.transfers, count, origin) != nil ? .deferred : .stalled
    }

    /// Freezes or unfreezes an account that hashes to this shard. The answer: `created` with its timestamp, or
    /// `debit_account_not_found`.
    /// - Parameter request: As from `Shard.freezeKey`.
    public mutating func submitFreeze(_ request: Transfer, _ origin: Origin) throws(JournalError) -> Submission {
        guard againQueue.isEmpty else { return .stalled }
        return try admitFreeze(request, origin)
    }

    mutating func admitFreeze(_ request: Transfer, _ origin: Origin) throws(JournalError) -> Submission {
        guard hasRoom else { return .stalled }
        guard let account = ledger.find(request.debitAccountID) else {
            if isBeingCreated(request.debitAccountID) {
                wait(for: .holds, .freeze, request, origin)
                return .deferred
            }
            answers.append(Answer(origin: origin, result: EventResult(.debitAccountNotFound), lsn: journal.appended))
            return .decided
        }
        if isFree(account) && isUnpromised(account) {
            let result = freeze(request, account)
            answers.append(Answer(origin: origin, result: result, lsn: journal.appended))
            return .decided
        }
        scratch.view.begin()
        scratch.view.add(request)
        return begin(.freeze, 1, origin) != nil ? .deferred : .stalled
    }

    /// What a freeze asks, as a record that lanes can carry.
    public static func freezeKey(_ account: AccountID, _ sides: AccountFlags, lifting: Bool) -> Transfer {
        Transfer(
            id: TransferID(0), debit: account, credit: AccountID(0), amount: .zero, ledger: 0, code: lifting ? 1 : 0,
            flags: TransferFlags(rawValue: sides.rawValue))
    }

    private mutating func freeze(_ request: borrowing Transfer, _ account: AccountIndex) -> EventResult {
        let sides = AccountFlags(rawValue: request.flags.rawValue).intersection(.freezing)
        let flags = request.code == 0 ? ledger.flags(account).union(sides) : ledger.flags(account).subtracting(sides)
        let timestamp = clock.next()
        _ = journal.append(LogRecord(freeze: request.debitAccountID, flags: flags, timestamp: timestamp))
        ledger.apply(freeze: account, flags: flags)
        ledger.setStatusLSN(account, journal.appended)
        markDirty(account)
        return EventResult(.created, timestamp: timestamp)
    }

    // MARK: Beginning

    /// Gives the chain in `scratch`, or of expiries in `expiryScratch`, a place and slots, and begins to lock, or queues it at its debit account.
    /// nil: no room at the moment, nothing happened.
    mutating func begin(_ kind: ChainKind, _ count: Int, _ origin: Origin) -> Int? {
        let isExpiry = kind == .expiry
        let places = isExpiry ? expiryScratch.accountCount : scratch.view.accountCount
        let kept = isExpiry ? 0 : Self.keptForExpiry
        guard chainPlaces + places + kept * Limits.accountsPerChainMax <= Self.chainPlacesMax,
            let c = chainPool.take(events: isExpiry ? expiryScratch.count : scratch.view.count, kept: kept)
        else { return nil }
        let chain = chainPool[c]
        chain.view.begin(ofAccounts: kind == .accounts)
        if isExpiry {
            for i in 0..<expiryScratch.count { chain.view.add(expiryScratch[i].asked) }
        } else {
            for i in 0..<scratch.view.count { chain.view.add(scratch.view[i].asked) }
        }
        // A post or void of a transfer that is open here: its credit account is known.
        let resolves = kind == .transfers || isExpiry
        for i in 0..<chain.view.count where resolves && chain.view[i].asked.flags.resolves {
            if let fact = ledger.openPendingFact(chain.view[i].asked) { chain.view.setPending(i, fact) }
        }
        chains[c] = Chain(
            origin: origin, age: clock.next().nanoseconds, count: UInt32(count), slot: 0, outstanding: 0,
            state: .queued, kind: kind, isParked: false, isAnswered: kind == .expiry, lacksRoom: false, wasDue: false,
            isOfOneMoment: false, isLocked: false, isReserved: false)
        guard addSlots(c) else {
            chainPool.give(c)
            return nil
        }
        for i in 0..<chain.view.count where resolves {
            let t = chain.view[i].asked
            chain.view.setIdentityHash(i, ledger.identityHash(t.debitAccountID, t.id))
        }
        chainPlaces += chain.view.accountCount
        if isExpiry { expiriesUnderWay += 1 }
        let slot = chains[c].slot - 1
        // One event keeps its place among those of its debit account; chains have none.
        if let debit = ledger.find(chain.view[0].asked.debitAccountID), count == 1, kind == .transfers {
            let entry = undecidedEntry(debit)
            slots[Int(slot)].debit = debit
            let isFirst =
                undecided[entry].parkedHead | undecided[entry].openHead | undecided[entry].lock
                | undecided[entry].mark == 0
            appendParked(entry, slot)
            chains[c].isParked = true
            if !isFirst {
                statistics.waits += 1
                markDirty(debit)
                return c
            }
        }
        beginLocking(c)
        return c
    }

    /// Makes the slots that the chain still lacks: its own first, then one per other shard concerned.
    /// False: some credit is used up; none was made.
    private mutating func addSlots(_ c: Int) -> Bool {
        let chain = chainPool[c]
        var wanted: UInt64 = chains[c].slot == 0 ? 1 << UInt64(id.value) : 0
        for place in 0..<chain.view.accountCount {
            let peer = routing.shard(of: chain.view.accountID(place))
            chain.view.setOwner(place, peer, hash: ledger.accountHash(chain.view.accountID(place)))
            if peer != id { wanted |= 1 << UInt64(peer.value) }
        }
        var link = chains[c].slot
        while link != 0 {
            wanted &= ~(1 << UInt64(slots[Int(link - 1)].peer.value))
            link = slots[Int(link - 1)].chainNext
        }
        let isExpiry = chains[c].kind == .expiry
        let slotsKept = isExpiry ? 0 : Self.slotsKeptForExpiry
        guard freeSlots.count >= wanted.nonzeroBitCount + slotsKept else { return false }
        for p in 0..<shardCount where wanted >> UInt64(p) & 1 == 1 {
            guard hasCredit(p, kept: isExpiry ? 0 : Self.keptForExpiry) else { return false }
        }
        if wanted >> UInt64(id.value) & 1 == 1 { addSlot(c, id) }
        for p in 0..<shardCount where p != id.index && wanted >> UInt64(p) & 1 == 1 { addSlot(c, ShardID(p)) }
        return true
    }

    private mutating func addSlot(_ c: Int, _ peer: ShardID) {
        let slot = takeSlot(chains[c].origin, peer, age: chains[c].age)
        let i = Int(slot)
        slots[i].identityHash = 0
        slots[i].state = .parked
        slots[i].chain = UInt32(c) + 1
        slots[i].chainNext = 0
        if chains[c].slot == 0 {
            chains[c].slot = slot + 1
        } else {
            slots[i].chainNext = slots[Int(chains[c].slot - 1)].chainNext
            slots[Int(chains[c].slot - 1)].chainNext = slot + 1
        }
        if peer != id { statistics.crossings += 1 }
    }

    /// Calls `body` for each slot of a chain.
    private mutating func eachSlot(_ c: Int, _ body: (inout Shard, UInt32) -> Void) {
        var link = chains[c].slot
        while link != 0 {
            let next = slots[Int(link - 1)].chainNext
            body(&self, link - 1)
            link = next
        }
    }

    /// Asks every shard concerned for its accounts.
    mutating func beginLocking(_ c: Int) {
        chains[c].state = .locking
        chains[c].outstanding = 0
        chains[c].lacksRoom = false
        chains[c].isOfOneMoment = false
        chains[c].isLocked = false
        chains[c].isReserved = false
        tellPending(c)
        eachSlot(c) { shard, slot in
            let isOwnOfMany = shard.slots[Int(slot)].peer == shard.id && shard.slots[Int(slot)].chainNext != 0
            if isOwnOfMany, let code = shard.reserveOwn(slot, c) {
                shard.slots[Int(slot)].state = .voted
                shard.chains[c].isReserved = true
                if code != .created { shard.chains[c].lacksRoom = true }
                return
            }
            shard.slots[Int(slot)].state = .preparing
            shard.chains[c].outstanding += 1
            shard.send(
                .lock(slot: slot, age: shard.chains[c].age, chain: UInt32(truncatingIfNeeded: c)),
                to: shard.slots[Int(slot)].peer)
        }
        failpoint(.prepared)
    }

    /// Says what is held by the transfers that the chain posts or voids, where this shard has them. Of others it does not
    /// know when the credit account's shard will have heard of them: such a chain locks.
    private mutating func tellPending(_ c: Int) {
        let chain = chainPool[c]
        let mayReserve = chains[c].kind == .transfers || chains[c].kind == .expiry
        for i in 0..<chain.view.count where mayReserve && chain.view[i].asked.flags.resolves {
            let isHere = routing.shard(of: chain.view[i].asked.debitAccountID) == id
            chain.view.tell(i, isHere ? ledger.openPendingFact(chain.view[i].asked) : nil)
        }
        chain.view.decideWhetherToReserve(mayReserve, isExpiry: chains[c].kind == .expiry)
    }

    // MARK: The shards' answers

    /// A shard has said something about one of a chain's slots.
    mutating func receive(_ answer: PeerAnswer, ofChain slot: UInt32) {
        let i = Int(slot)
        let c = Int(slots[i].chain - 1)
        let state = slots[i].state
        switch state.chainAction(on: answer.kind) {
        case .vote:
            guard case .chainYes(let isReserved, let hasRoom, let standing) = answer else { stop("no vote") }
            slots[i].state = .voted
            if !hasRoom { chains[c].lacksRoom = true }
            if isReserved { chains[c].isReserved = true } else { chains[c].isLocked = true }
            if standing != 0 { remember(standing: standing, of: chainPool[c]) }
            chains[c].outstanding -= 1
            failpoint(.voted)
            if chains[c].outstanding == 0 { judge(c) }
        case .suspend:
            statistics.restarts += 1
            letGo(c, .releasing, except: slot)
            slots[i].state = .suspended
            chains[c].outstanding += 1
        case .release:
            slots[i].state = .parked
            isReleased(c)
        case .ignore: break
        case .never: stop("\(answer) for slot \(slot) of a chain, which is \(state)")
        }
    }

    /// Tells all shards to forget the chain; goes on when all have said `released`.
    /// - Parameter fault: The slot whose shard must make a refusal durable first, with the event and the code.
    mutating func letGo(
        _ c: Int, _ state: ChainState, except suspended: UInt32? = nil,
        fault: (slot: UInt32, event: FaultyEvent)? = nil
    ) {
        chains[c].state = state
        chains[c].outstanding = 0
        eachSlot(c) { shard, slot in
            if slot == suspended { return }
            shard.slots[Int(slot)].state = .aborting
            shard.chains[c].outstanding += 1
            let event = fault?.slot == slot ? fault?.event : nil
            shard.send(.release(slot: slot, fault: event), to: shard.slots[Int(slot)].peer)
        }
    }

    private mutating func isReleased(_ c: Int) {
        chains[c].outstanding -= 1
        guard chains[c].outstanding == 0 else { return }
        if chains[c].state == .releasing {
            // More shards may be concerned than at first.
            guard addSlots(c) else {
                // Its credits are used up: nothing was executed, nothing is final.
                answerAll(Int(chains[c].count), chains[c].origin, fault: 0, EventResult(.busy), .zero)
                return free(chain: c)
            }
            return beginLocking(c)
        }
        if !chains[c].isAnswered {
            let chain = chainPool[c]
            let count = Int(chains[c].count)
            for i in 0..<count {
                let result = i < chain.view.count ? chain.view[i].result : EventResult(.linkedEventFailed)
                answer(chains[c].origin, i, result)
            }
        }
        free(chain: c)
    }

    // MARK: Deciding

    /// Every account of the chain is held and known.
    private mutating func judge(_ c: Int) {
        let chain = chainPool[c]
        switch chains[c].kind {
        case .freeze:
            let request = chain.view[0].asked
            let result = ledger.find(request.debitAccountID).map { freeze(request, $0) }
            answer(chains[c].origin, 0, result ?? EventResult(.debitAccountNotFound))
            chains[c].isAnswered = true
            return letGo(c, .ending)
        case .expiry:
            chains[c].isAnswered = true
            for i in 0..<chain.view.count where ledger.openPendingFact(chain.view[i].asked) == nil {
                giveBackExpiries(c)
                return letGo(c, .ending)
            }
            return record(c)
        case .accounts: return judgeAccounts(c)
        case .transfers: break
        }
        let now = Timestamp(clock.now)
        if !chains[c].isLocked {
            if restsOnDue(c, now, { chain, i in chain.view.given(i) }) { return expireFirst(c) }
            chain.view.complete()
            return created(c)
        }
        let places = chain.view.accountCount
        if chain.view.addMissingPlaces() {
            chainPlaces += chain.view.accountCount - places
            return letGo(c, .releasing)
        }
        if restsOnDue(c, now, { chain, i in chain.view.pending(i) }) { return expireFirst(c) }
        // Those that have reserved have not said how their accounts stand.
        if chains[c].isReserved && !chains[c].isOfOneMoment { return lookAgain(c) }
        let outcome = chain.view.evaluate(now: now)
        let mayDiffer = !chains[c].isOfOneMoment && isOfSeveralShards(c) && !isFaulty(.judgeManyMoments)
        if mayDiffer && chain.view.mayRestOnDeadlines(outcome) { return lookAgain(c) }
        switch outcome {
        case .created: created(c)
        case .exists:
            for i in 0..<Int(chains[c].count) { answer(chains[c].origin, i, chain.view[i].result) }
            chains[c].isAnswered = true
            letGo(c, .ending)
        case .refused(let fault, let result):
            guard let code = result.code, code.isFinalRefusal else { return letGo(c, .ending) }
            let home = routing.shard(of: chain.view[fault].asked.debitAccountID)
            var link = chains[c].slot
            while link != 0 && slots[Int(link - 1)].peer != home { link = slots[Int(link - 1)].chainNext }
            invariant(link != 0, "an event's debit account is in no shard of its chain")
            // The events before it passed by what stands in this log: who remembers the refusal must not outlive that.
            let lsn = home == id || isFaulty(.refuseBeforeDurable) ? .zero : journal.appended
            refusalQueue.append(
                DelayedRefusal(
                    chain: UInt32(c), slot: link - 1,
                    event: FaultyEvent(index: UInt32(truncatingIfNeeded: fault), code: code), lsn: lsn))
            sendRefusals()
        }
    }

    /// A transfer that the chain posts or voids has become due since its shard has looked.
    private func restsOnDue(_ c: Int, _ now: Timestamp, _ fact: (ChainReference, Int) -> PendingFact) -> Bool {
        let chain = chainPool[c]
        for i in 0..<chain.view.count where chain.view[i].asked.flags.resolves {
            let fact = fact(chain, i)
            if fact.state == .open && fact.isExpired(at: now) { return true }
        }
        return false
    }

    /// That one expires first. Once more: its shard lacks the room for that, of which this chain may hold the last.
    private mutating func expireFirst(_ c: Int) {
        if !chains[c].wasDue {
            chains[c].wasDue = true
            return letGo(c, .releasing)
        }
        answerAll(Int(chains[c].count), chains[c].origin, fault: 0, EventResult(.busy), .zero)
        chains[c].isAnswered = true
        letGo(c, .ending)
    }

    /// All of the chain passes. For what it opens, every shard has kept a place.
    private mutating func created(_ c: Int) {
        if hasRoomForChain(opens: 0) && !chains[c].lacksRoom { return record(c) }
        answerAll(
            Int(chains[c].count), chains[c].origin, fault: 0, EventResult(.capacityExhausted), journal.appended)
        chains[c].isAnswered = true
        letGo(c, .ending)
    }

    private func isOfSeveralShards(_ c: Int) -> Bool { slots[Int(chains[c].slot - 1)].chainNext != 0 }

    /// Asks every shard concerned to speak as of one moment.
    private mutating func lookAgain(_ c: Int) {
        let time = clock.upcoming
        clock.observe(time.nanoseconds)
        chains[c].isOfOneMoment = true
        statistics.looks += 1
        eachSlot(c) { shard, slot in
            shard.slots[Int(slot)].state = .preparing
            shard.chains[c].outstanding += 1
            shard.send(.look(slot: slot, time: time), to: shard.slots[Int(slot)].peer)
        }
    }

    /// Ends refused chains whose reasons are durable, in their order.
    mutating func sendRefusals() {
        while !refusalQueue.isEmpty, refusalQueue.first.lsn <= released {
            let item = refusalQueue.first
            refusalQueue.removeFirst()
            letGo(Int(item.chain), .ending, fault: (item.slot, item.event))
            failpoint(.refused)
        }
    }

    /// Appends the decision: from here on the chain is created.
    mutating func record(_ c: Int) {
        let chain = chainPool[c]
        let count = chain.view.count
        var last = Timestamp.zero
        for i in 0..<count {
            last = clock.next()
            chain.view.setTimestamp(i, last)
        }
        let own = chains[c].slot - 1
        let first = slots[Int(own)].chainNext
        if first == 0 {
            chainEnd = LSN(journal.appended.value + UInt64(count))
            for i in 0..<count {
                if chain.view.isOfAccounts {
                    create(Self.creation(chain.view, i))
                } else {
                    applyHere(chain, i, Self.record(chain, i, .transfer))
                }
            }
        } else if count == 1 {
            // Two shards at most.
            let peer = slots[Int(first - 1)].peer
            peers[peer.index].decided += 1
            let record = Self.record(chain, 0, .decision, peer: peer, sequence: peers[peer.index].decided)
            applyHere(chain, 0, record)
        } else {
            var link = first
            while link != 0 {
                let peer = slots[Int(link - 1)].peer
                peers[peer.index].decided += 1
                _ = journal.append(
                    LogRecord(chainPeer: peer, sequence: peers[peer.index].decided, timestamp: last))
                link = slots[Int(link - 1)].chainNext
            }
            chainEnd = LSN(journal.appended.value + UInt64(count))
            for i in 0..<count { applyHere(chain, i, Self.record(chain, i, .leg, peer: id)) }
        }
        failpoint(.decided)
        // What is applied here is no longer held: what rests on it stands behind it in the log.
        chains[c].state = .committing
        chains[c].outstanding = 0
        var link = first
        while link != 0 {
            let next = slots[Int(link - 1)].chainNext
            chains[c].outstanding += 1
            awaitCommit(link - 1, last)
            link = next
        }
        let participant = participant(own, id)
        if first != 0 && participants[participant].state == .chainReserved {
            letGo(participant)
            slots[Int(own)].state = .parked
        } else {
            slots[Int(own)].state = .aborting
            chains[c].outstanding += 1
            send(.release(slot: own, fault: nil), to: id)
        }
        if first == 0 && !chains[c].isAnswered { answerCreated(c, journal.appended) }
    }

    private mutating func answerCreated(_ c: Int, _ lsn: LSN) {
        let chain = chainPool[c]
        for i in 0..<Int(chains[c].count) { answer(chains[c].origin, i, chain.view[i].result, lsn) }
        chains[c].isAnswered = true
    }

    /// A participant has applied the chain.
    mutating func chainApplied(_ slot: UInt32) {
        let c = Int(slots[Int(slot)].chain - 1)
        slots[Int(slot)].state = .parked
        chains[c].outstanding -= 1
        guard chains[c].outstanding == 0 else { return }
        if !chains[c].isAnswered { answerCreated(c, .zero) }
        free(chain: c)
        failpoint(.answered)
    }

    /// Gives everything of a chain back.
    private mutating func free(chain c: Int) {
        let own = chains[c].slot - 1
        if chains[c].isParked {
            let debit = slots[Int(own)].debit
            removeParked(undecidedEntry(debit), own)
            markDirty(debit)
        }
        chainPlaces -= chainPool[c].view.accountCount
        if chains[c].kind == .expiry { expiriesUnderWay -= 1 }
        eachSlot(c) { shard, slot in
            shard.resubmitAfter(slot)
            shard.slots[Int(slot)].chain = 0
            shard.free(slot)
        }
        chains[c].state = .free
        chainPool.give(c)
    }
}
