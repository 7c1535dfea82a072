// What drives a shard: carrying on with what has become possible, and releasing what the durable log allows.

internal import SuanpanCore
public import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLedger

extension Shard {
    /// True while protocol messages may be taken in: each can append a few records.
    public var canReceive: Bool { journal.hasRoom(records: Self.recordsPerStep) }

    /// Carries on: messages to itself, accounts where something changed, events that waited.
    /// Call after every batch of events or messages. Work that lacks room in the log stays queued.
    // Do not rename: Perf/ finds it by this symbol.
    @inline(never)
    public mutating func settle() throws(JournalError) {
        isAgainStalled = false
        var seen = 0
        while true {
            guard canReceive else { return }
            if !selfQueue.isEmpty {
                if seen == 0 {
                    lookAheadAtOwn()
                    seen = min(selfQueue.count, Self.stagedMax)
                }
                seen -= 1
                let message = selfQueue.first
                selfQueue.removeFirst()
                receive(message)
            } else if !dirtyQueue.isEmpty {
                let entry = Int(dirtyQueue.first)
                dirtyQueue.removeFirst()
                undecided[entry].isDirty = false
                if undecided[entry].isUsed { try look(at: entry) }
            } else if !againQueue.isEmpty {
                guard try submitAgain() else {
                    isAgainStalled = true
                    return
                }
            } else {
                return
            }
        }
    }

    /// Releases votes and commits that the log has made durable, and tells peers what they need not send again.
    public mutating func advance() {
        expire()
        sendCommits()
        sendVotes()
        sendRefusals()
        sendReleased()
        advanceCut()
        guard shardCount > 1 else { return }
        let durable = journal.durable.value
        for p in 0..<shardCount where p != id.index {
            if peers[p].markLSN <= durable && peers[p].durableHere != peers[p].applied {
                peers[p].durableHere = peers[p].mark
                peers[p].mark = peers[p].applied
                peers[p].markLSN = peers[p].appliedLSN
                if peers[p].markLSN <= durable { peers[p].durableHere = peers[p].mark }
            }
            if peers[p].durableHere != peers[p].toldDurable, lanes[p].room(atLeast: lanes[p].capacity - 32) {
                send(.durable, to: ShardID(p))
            }
        }
    }

    /// Says what was applied and makes all that was sent visible to the others; calls `wake` for each shard that has
    /// something new.
    public mutating func flush(_ wake: (Int) -> Void) {
        for p in 0..<shardCount where p != id.index {
            // One message for all commits and announcements since the last: each had a credit for its own.
            if peers[p].applied != peers[p].toldApplied || peers[p].noted != peers[p].toldNoted {
                peers[p].toldApplied = peers[p].applied
                peers[p].toldNoted = peers[p].noted
                send(
                    .applied(through: peers[p].applied, noted: peers[p].noted, grantsPendings: grantsPendings),
                    to: ShardID(p))
                failpoint(.applied)
            }
            if lanes[p].flush() { wake(p) }
        }
    }

    // MARK: One account

    /// Marks an account whose balances or undecided transfers have changed, where somebody may wait for that.
    @inline(__always)
    mutating func markDirty(_ account: AccountIndex) {
        let u = ledger.undecided(account)
        if u == 0 { return }
        let entry = Int(u - 1)
        if undecided[entry].isDirty { return }
        undecided[entry].isDirty = true
        dirtyQueue.append(UInt32(entry))
    }

    /// Something undecided on the account has ended. Where nothing waits for that, its entry is given back; else the account
    /// is looked at in this turn (`look(at:)`).
    @inline(__always)
    mutating func ended(_ entry: Int) {
        let isWaitedFor =
            undecided[entry].parkedHead | undecided[entry].waitList.head | undecided[entry].dyingList.head
            | undecided[entry].readHead | undecided[entry].mark != 0
        if isWaitedFor || undecided[entry].openHead != 0 { return markDirty(undecided[entry].account) }
        if !undecided[entry].isDirty { freeIfQuiet(entry) }
    }

    /// Everything that may go on at one account, in the order of who came first.
    mutating func look(at entry: Int) throws(JournalError) {
        let account = undecided[entry].account
        while undecided[entry].openHead != 0 {
            let slot = undecided[entry].openHead - 1
            guard slots[Int(slot)].state == .voted else { break }
            guard canReceive else { return markDirty(account) }
            decide(slot, entry)
        }
        while undecided[entry].waitList.head != 0, voteWaiting(entry) {}
        if undecided[entry].dyingList.head != 0 { wakeDying(entry) }
        answerReads(entry)
        if undecided[entry].mark != 0 {
            guard canReceive else { return markDirty(account) }
            takeLocks(Int(undecided[entry].mark - 1))
        }
        while undecided[entry].parkedHead != 0 {
            guard canReceive else { return markDirty(account) }
            guard try startParked(entry) else { break }
        }
        answerReads(entry)
        freeIfQuiet(entry)
    }

    /// True when all that became undecided on the account before `barrier` has ended.
    @inline(__always)
    func barrierPassed(_ entry: Int, _ barrier: UInt64) -> Bool {
        let open = undecided[entry].openHead
        if open != 0 && slots[Int(open - 1)].order < barrier { return false }
        let credit = undecided[entry].creditList.head
        if credit != 0 && participants[Int(credit - 1)].order < barrier { return false }
        let reserved = undecided[entry].reservations.head
        if reserved != 0 && reservations[reserved].order < barrier { return false }
        let lock = undecided[entry].lock
        if lock != 0 && participants[Int(lock - 1)].order < barrier { return false }
        let mark = undecided[entry].mark
        return mark == 0 || participants[Int(mark - 1)].order >= barrier
    }

    /// Makes all reads that wait a group: what they will show is fixed but for credits that are undecided now.
    mutating func startReads(_ entry: Int) {
        // Those that follow a read of their stream may go on now.
        var link = undecided[entry].readHead
        undecided[entry].readHead = 0
        undecided[entry].readTail = 0
        while link != 0 {
            let w = Int(link - 1)
            let next = waiters[w].next
            waiters[w].next = 0
            endWaiting(w)
            if waiters[w].isFollower {
                againQueue.append(link)
            } else {
                if undecided[entry].readTail != 0 {
                    waiters[Int(undecided[entry].readTail - 1)].next = link
                } else {
                    undecided[entry].readHead = link
                }
                undecided[entry].readTail = link
            }
            link = next
        }
        undecided[entry].readGroupTail = undecided[entry].readTail
        readGroups[entry].time = clock.now
        let mayMiss = mayMissCredits(undecided[entry].account)
        readGroups[entry].barrier = mayMiss ? .max : order + 1
        if mayMiss { listen(entry, upTo: clock.now) }
        readGroups[entry].account = shown(undecided[entry].account)
    }

    /// A credit was decided at its coordinator: reads that began later show what it adds to the account.
    @inline(__always)
    mutating func showToReads(_ p: Int, _ entry: Int, _ timestamp: UInt64, pending: UInt128 = 0, posted: UInt128) {
        guard undecided[entry].readGroupTail != 0, participants[p].order < readGroups[entry].barrier,
            timestamp <= readGroups[entry].time
        else { return }
        readGroups[entry].account.creditsPending.value &+= pending
        readGroups[entry].account.creditsPosted.value &+= posted
    }

    /// Answers the reads for which every credit has ended that may be earlier; those that came meanwhile are next.
    mutating func answerReads(_ entry: Int) {
        while undecided[entry].readHead != 0 {
            if undecided[entry].readGroupTail == 0 {
                if undecided[entry].lock != 0 { return }
                startReads(entry)
                // None of them was a read of the account.
                if undecided[entry].readHead == 0 { return }
            }
            if readGroups[entry].barrier == .max {
                guard !mayMissCredits(undecided[entry].account, upTo: readGroups[entry].time) else { return }
                readGroups[entry].barrier = order + 1
            }
            let credit = undecided[entry].creditList.head
            if credit != 0 && participants[Int(credit - 1)].order < readGroups[entry].barrier { return }
            let reserved = undecided[entry].reservations.head
            if reserved != 0 && reservations[reserved].order < readGroups[entry].barrier
                && !isFaulty(.readReserved)
            {
                return
            }
            var waiter: UInt32
            repeat {
                waiter = undecided[entry].readHead
                let w = Int(waiter - 1)
                undecided[entry].readHead = waiters[w].next
                recordAnswers.append(
                    RecordAnswer(
                        origin: waiters[w].origin, found: true, record: readGroups[entry].account.bits,
                        lsn: journal.appended))
                freeWaiters.give(UInt32(w))
            } while waiter != undecided[entry].readGroupTail
            if undecided[entry].readHead == 0 { undecided[entry].readTail = 0 }
            undecided[entry].readGroupTail = 0
        }
    }

    // MARK: Entries

    /// The account's entry, made when it has none.
    mutating func undecidedEntry(_ account: AccountIndex) -> Int {
        let u = ledger.undecided(account)
        if u != 0 { return Int(u - 1) }
        let entry = Int(freeUndecided.take())
        if let later = freeUndecided.next(after: Self.entriesAhead) { undecided.prefetch(Int(later)) }
        invariant(undecided[entry].openHead == 0 && undecided[entry].parkedHead == 0, "an entry freed in use")
        undecided[entry].account = account
        undecided[entry].isUsed = true
        undecided[entry].listensUpTo = 0
        undecided[entry].doubtedAt = 0
        ledger.setUndecided(account, UInt32(entry) + 1)
        return entry
    }

    mutating func freeIfQuiet(_ entry: Int) {
        guard undecided[entry].openHead == 0, undecided[entry].parkedHead == 0,
            undecided[entry].creditList.head == 0, undecided[entry].waitList.head == 0,
            undecided[entry].dyingList.head == 0, undecided[entry].readHead == 0, !undecided[entry].isDirty,
            undecided[entry].lock | undecided[entry].mark | undecided[entry].reservations.head == 0
        else { return }
        invariant(
            undecided[entry].reservedDebits == 0 && undecided[entry].reservedCredits == 0,
            "money stays reserved where nothing is undecided")
        undecided[entry].isUsed = false
        ledger.setUndecided(undecided[entry].account, 0)
        freeUndecided.give(UInt32(entry))
    }

    // MARK: Events that waited

    /// Submits the first event that waited again. Returns false when it is stalled (it stays first).
    mutating func submitAgain() throws(JournalError) -> Bool {
        let waiter = againQueue.first
        let w = Int(waiter - 1)
        let transfer = waiters[w].transfer
        let origin = waiters[w].origin
        // Its place may be the last one, and it may have to wait again.
        freeWaiters.give(UInt32(w))
        switch waiters[w].kind {
        case .transfer, .account:
            let isAccount = waiters[w].kind == .account
            switch isAccount
                ? admit(Account(bits: transfer), origin) : try admit(transfer, origin, hashed(transfer))
            {
            case .stalled: return keepWaiter(w)
            case .decided, .deferred: break
            case .answered(let result):
                answers.append(Answer(origin: origin, result: result, lsn: journal.appended))
            }
        case .chain: chainMayGoOn(origin)
        case .freeze:
            switch try admitFreeze(transfer, origin) {
            case .stalled: return keepWaiter(w)
            case .answered, .decided, .deferred: break
            }
        case .transferRead:
            switch try read(transfer: transfer, origin) {
            case .stalled: return keepWaiter(w)
            case .deferred: break
            case .found(let found):
                recordAnswers.append(
                    RecordAnswer(
                        origin: origin, found: found != nil, record: found ?? transfer, lsn: journal.appended))
            }
        case .accountRead:
            switch read(transfer.debitAccountID, origin) {
            case .stalled: return keepWaiter(w)
            case .deferred: break
            case .unknown:
                recordAnswers.append(
                    RecordAnswer(origin: origin, found: false, record: transfer, lsn: journal.appended))
            case .found(let account):
                recordAnswers.append(
                    RecordAnswer(origin: origin, found: true, record: account.bits, lsn: journal.appended))
            }
        }
        againQueue.removeFirst()
        return true
    }

    /// A stalled event keeps its waiter, the last one given back. Always false.
    private mutating func keepWaiter(_ w: Int) -> Bool {
        let same = freeWaiters.take()
        invariant(Int(same) == w, "a stalled event lost its place")
        return false
    }

    // MARK: Sending

    /// Sends a protocol message. There is room: a slot counts against its peer from its first message to its last, and lanes
    /// are sized for all messages that all slots can cause (Docs/Architecture.md).
    @inline(__always)
    mutating func send(_ said: ProtocolMessage, to peer: ShardID) {
        var message = said.cell(from: id)
        message.clock = clock.now
        if peer == id {
            selfQueue.append(message)
            return
        }
        message.durableSequence = peers[peer.index].durableHere
        peers[peer.index].toldDurable = message.durableSequence
        lanes[peer.index].push(message)
    }
}
