// The credit account's shard, C: reserves the credit and votes, on durable facts; applies what D has decided.
// The states are ParticipantState's.

internal import SuanpanCore
internal import SuanpanJournal
public import SuanpanLanes
internal import SuanpanLedger

extension Shard {
    // MARK: Messages

    /// Handles a protocol message from another shard.
    public mutating func receive(_ message: Message) {
        // Before its sender's clock is taken over, which may lie beyond the cut.
        if message.kind == .marker { joinCut() }
        clock.observe(message.clock)
        let from = Int(message.from)
        if message.durableSequence > peers[from].durableThere { peers[from].durableThere = message.durableSequence }
        clockBarrier.hear(message.clock, from: from)
        if clockBarrier.isListening { tellListeners() }
        let peer = ShardID(message.from)
        switch ProtocolMessage(message) {
        case .prepare(let slot, let age, let creditHash): prepare(begin(slot, peer, age: age), creditHash)
        case .release(let slot, let fault): release(participant(slot, peer), fault)
        case .commit(let slot, let sequence, let time): commit(participant(slot, peer), sequence, from, time)
        case .commits(let through, let time): commitAnnounced(through, time, from)
        case .announce(let slot, let creditHash, let flags): note(slot, peer, creditHash, flags)
        case .credit(let credit): note(credit, from)
        case .lock(let slot, let age, let chain):
            lock(begin(slot, peer, age: age), ChainReference(base: tables[from].chainViews, index: chain))
        case .look(let slot, let time): lookAgain(participant(slot, peer), time)
        case .applied(let through, let noted, let grantsPendings):
            peers[from].notedThere = noted
            peers[from].grantsPendings = grantsPendings
            applied(through, at: peer)
        case .revoke(let place, let accountHash): forgetStanding(place, peer, accountHash)
        case .revoked(let place): revoked(Int(place))
        case .durable: break
        case .hear: send(.heard, to: peer)
        case .heard: heard(from)
        case .marker(let time, let decided): takeMarker(time, decided, from)
        case .share(let time): takeShare(.share(time: time, from: from))
        case .late(let time): takeShare(.late(time: time))
        case .yes(let slot, let stands, let grantsPendings):
            peers[from].grantsPendings = grantsPendings
            receive(.yes(stands: stands), slot)
        case .no(let slot, let code): receive(.no(code), slot)
        case .chainYes(let slot, let isReserved, let hasRoom, let standing):
            receive(.chainYes(isReserved: isReserved, hasRoom: hasRoom, standing: standing), slot)
        case .waiting(let slot): receive(.waiting, slot)
        case .letGo(let slot): receive(.letGo, slot)
        case .again(let slot): receive(.again, slot)
        case .released(let slot): receive(.released, slot)
        }
    }

    /// The participant of a peer's slot.
    @inline(__always)
    func participant(_ slot: UInt32, _ peer: ShardID) -> Int { Int(slot) + peer.index * slotCount }

    /// D asks for the credit of a transfer.
    private mutating func prepare(_ p: Int, _ creditHash: UInt64) {
        let transfer = tables[participants[p].coordinator.index].reference(Int(participants[p].slot))
        participants[p].transfer = transfer
        guard let credit = ledger.find(transfer.value.creditAccountID, hash: creditHash) else {
            if isBeingCreated(transfer.value.creditAccountID) { return dieBehindHold(p) }
            return voteNo(p, .creditAccountNotFound, .zero)
        }
        participants[p].account = credit
        if transfer.value.flags.contains(.pending) && !hasRoomForPending(1) {
            return voteNo(p, .capacityExhausted, .zero)
        }
        judge(p, transfer, credit)
    }

    /// Votes on a credit, or waits, or lets go.
    private mutating func judge(_ p: Int, _ transfer: TransferReference, _ credit: AccountIndex) {
        // Seldom has any account been opened so lately that its own line must be asked.
        let opened = ledger.lastStatusLSN <= journal.acknowledged ? .zero : ledger.statusLSN(credit)
        let flags = ledger.flags(credit)
        let u = ledger.undecided(credit)
        if u != 0 && undecided[Int(u - 1)].lock | undecided[Int(u - 1)].mark != 0 {
            guard passes(p, Int(u - 1)) else { return }
        }
        let reserved = u == 0 ? 0 : undecided[Int(u - 1)].reservedCredits
        let queued = u != 0 && undecided[Int(u - 1)].waitList.head != 0
        var worst = ledger.creditRefusal(credit, transfer.value, reservedCredits: reserved, expectedDebits: 0)
        if worst != .created {
            worst = creditRefusal(
                worst, withoutDueOf: credit, transfer.value, reservedCredits: reserved, expectedDebits: 0)
        }
        if worst == .created && !queued {
            // A credit uses none of the account's balances unless they limit it.
            let limited = flags.contains(.creditsMustNotExceedDebits)
            return voteYes(p, limited ? journal.appended : opened)
        }
        let expected = u == 0 ? 0 : undecided[Int(u - 1)].reservedDebits
        var best = ledger.creditRefusal(credit, transfer.value, reservedCredits: 0, expectedDebits: expected)
        best = creditRefusal(
            best, withoutDueOf: credit, transfer.value, reservedCredits: 0, expectedDebits: expected)
        if best == worst && best != .created {
            let time = timeOfJudging(p)
            switch expireDue(credit, best.dueSides, by: time) {
            case .nothing: return voteNo(p, best, journal.appended)
            case .expired: return judge(p, transfer, credit)
            case .waits: return die(p, undecidedEntry(credit), barrier: order + 1, awaiting: best.dueSides, by: time)
            }
        }
        if isFaulty(.refuseInsteadOfWait) { return voteNo(p, worst, journal.appended) }

        // The answer depends on what is undecided. It holds a debit at D: it may wait for younger ones only.
        let entry = undecidedEntry(credit)
        if hasOlder(entry, than: participants[p].age) && !isFaulty(.waitWithoutDying) {
            die(p, entry, barrier: order + 1)
        } else {
            waitInLine(p, entry)
        }
    }

    /// Fills the participant of a peer's slot, that of a single transfer unless it is given a chain.
    @inline(__always)
    mutating func begin(_ slot: UInt32, _ peer: ShardID, age: UInt64) -> Int {
        let p = participant(slot, peer)
        invariant(participants[p].state == .free, "a transfer or a chain for a slot that is in use")
        participants[p].age = age
        participants[p].coordinator = peer
        participants[p].slot = slot
        participants[p].next = 0
        participants[p].previous = 0
        participants[p].voteSent = false
        participants[p].recordFlags = []
        participants[p].opens = 0
        participants[p].reservations = 0
        participants[p].chain = 0
        participants[p].awaited = []
        participants[p].dueBy = 0
        return p
    }

    /// Waits at the account for what is undecided there now.
    mutating func waitInLine(_ p: Int, _ entry: Int) {
        participants[p].barrier = order + 1
        participants[p].state = .waiting
        Self.append(p, to: &undecided[entry].waitList, in: &participants)
        send(.waiting(slot: participants[p].slot), to: participants[p].coordinator)
        markDirty(undecided[entry].account)
    }

    /// D lets go of a transfer: forget it, whatever was said in between.
    private mutating func release(_ p: Int, _ fault: FaultyEvent?) {
        switch participants[p].state {
        case .free: break
        case .refusing: participants[p].state = .free
        case .reserved: releaseCredit(p)
        case .waiting:
            let entry = undecidedEntry(participants[p].account)
            Self.remove(p, from: &undecided[entry].waitList, in: &participants)
        case .dying:
            let entry = undecidedEntry(participants[p].account)
            Self.remove(p, from: &undecided[entry].dyingList, in: &participants)
        case .dyingBehindHold:
            forgetHeldBack(p)
            participants[p].state = .free
        case .chainReserved, .locked, .lockWaiting, .dyingBehindSlot: return releaseChain(p, fault)
        }
        if participants[p].state != .free {
            participants[p].state = .free
            markDirty(participants[p].account)
        }
        send(.released(slot: participants[p].slot), to: participants[p].coordinator)
    }

    /// D's decision is durable: record and apply the credit.
    private mutating func commit(_ p: Int, _ sequence: UInt64, _ from: Int, _ time: Timestamp) {
        clock.observe(time.nanoseconds)
        if participants[p].chain != 0 { return commitChain(p, sequence, from, time.nanoseconds) }
        commit(p, sequence, from)
    }

    /// The same for one participant.
    @inline(__always)
    mutating func commit(_ p: Int, _ sequence: UInt64, _ from: Int) {
        if participants[p].transfer.value.isCreditedInShort {
            var run = CreditRun()
            run[CreditRun.countMax - 1] = LoggedCredit(of: participants[p].transfer.value)
            journal.append(credits: run, 1, peer: ShardID(from), sequence: sequence)
            return credit(p, sequence, from)
        }
        if !participants[p].transfer.value.flags.isPlain { return commitPending(p, sequence, from) }
        journal.append(
            .credit, participants[p].transfer.value, timestamp: participants[p].transfer.value.timestamp,
            peer: ShardID(from), sequence: sequence)
        credit(p, sequence, from)
    }

    /// Applies a plain credit whose record has been appended.
    @inline(__always)
    mutating func credit(_ p: Int, _ sequence: UInt64, _ from: Int) {
        takeCommit(p, sequence, from)
        failpoint(.credited)
        let timestamp = participants[p].transfer.value.timestamp
        let entry = undecidedEntry(participants[p].account)
        showToReads(p, entry, timestamp.nanoseconds, posted: participants[p].transfer.value.amount.value)
        let isInCut = isInCut(time: timestamp.nanoseconds, sequence, from: from)
        if isInCut { takeOutOfCut(debit: nil, credit: participants[p].account) }
        ledger.applyCredit(participants[p].account, kept(participants[p].transfer.value.amount))
        noteRaise(participants[p].account)
        if isInCut { putIntoCut(debit: nil, credit: participants[p].account) }
        releaseCredit(p, entry)
    }

    /// Counts a commit that is in the log.
    @inline(__always)
    mutating func takeCommit(_ p: Int, _ sequence: UInt64, _ from: Int) {
        invariant(participants[p].state == .reserved && participants[p].voteSent, "a commit without a vote")
        invariant(sequence == peers[from].applied + 1, "commit \(sequence) after \(peers[from].applied)")
        peers[from].applied = sequence
        peers[from].appliedLSN = journal.appended.value
    }

    /// The credit is no longer reserved: decided, or let go.
    mutating func releaseCredit(_ p: Int) {
        releaseCredit(p, undecidedEntry(participants[p].account))
    }

    @inline(__always)
    mutating func releaseCredit(_ p: Int, _ entry: Int) {
        if participants[p].isExpected {
            undecided[entry].reservedCredits -= participants[p].transfer.value.amount.value
        }
        countPending(participants[p].transfer.value.flags, -1)
        Self.remove(p, from: &undecided[entry].creditList, in: &participants)
        participants[p].state = .free
        ended(entry)
    }

    // MARK: Votes

    /// Reserves the credit; the vote leaves when the log is durable up to `lsn`.
    mutating func voteYes(_ p: Int, _ lsn: LSN) {
        reserveCredit(p)
        vote(p, .created, lsn)
    }

    @inline(__always)
    mutating func reserveCredit(_ p: Int) {
        let entry = undecidedEntry(participants[p].account)
        order += 1
        participants[p].order = order
        participants[p].state = .reserved
        participants[p].isExpected = isExpected(p)
        if participants[p].isExpected {
            undecided[entry].reservedCredits += participants[p].transfer.value.amount.value
        }
        countPending(participants[p].transfer.value.flags, 1)
        Self.append(p, to: &undecided[entry].creditList, in: &participants)
    }

    mutating func voteNo(_ p: Int, _ code: ResultCode, _ lsn: LSN) {
        order += 1
        participants[p].order = order
        participants[p].state = .refusing
        vote(p, code, lsn)
    }

    mutating func vote(_ p: Int, _ code: ResultCode, _ lsn: LSN) {
        // A chain's stands by itself; others are in order, as a later one's facts are durable no earlier.
        let isNext = voteQueue.isEmpty || participants[p].chain != 0
        if (lsn <= released && isNext) || isFaulty(.voteBeforeDurable) {
            sendVote(p, code)
        } else {
            voteQueue.append(
                DelayedVote(
                    participant: UInt32(p), order: participants[p].order, lsn: max(lsn, released), code: code))
        }
    }

    mutating func sendVote(_ p: Int, _ code: ResultCode) {
        participants[p].voteSent = true
        let slot = participants[p].slot
        if participants[p].chain != 0 {
            let isReserved = participants[p].state == .chainReserved
            send(
                .chainYes(
                    slot: slot, isReserved: isReserved, hasRoom: code == .created,
                    standing: isReserved ? standing(of: p) : 0),
                to: participants[p].coordinator)
        } else if code == .created {
            send(
                .yes(slot: slot, stands: stands(p), grantsPendings: grantsPendings), to: participants[p].coordinator)
        } else {
            participants[p].state = .free
            send(.no(slot: slot, code: code), to: participants[p].coordinator)
        }
        failpoint(.voteSent)
    }

    /// Sends the votes whose facts have become durable.
    mutating func sendVotes() {
        let released = released
        while !voteQueue.isEmpty, voteQueue.first.lsn <= released {
            let v = voteQueue.first
            voteQueue.removeFirst()
            let p = Int(v.participant)
            // Let go in the meantime, and perhaps in use again: nothing to say.
            let isCurrent =
                participants[p].state == .reserved || participants[p].state == .refusing
                || participants[p].state == .locked || participants[p].state == .chainReserved
            guard isCurrent, participants[p].order == v.order else { continue }
            sendVote(p, v.code)
        }
    }

    // MARK: Waiting

    /// True when anything undecided on the account, or queued there, is older.
    /// - Parameter besideCredits: Credits that are reserved aside.
    func hasOlder(_ entry: Int, than age: UInt64, besideCredits: Bool = false) -> Bool {
        var link = undecided[entry].openHead
        while link != 0 {
            if slots[Int(link - 1)].age < age { return true }
            link = slots[Int(link - 1)].next
        }
        for chain in [undecided[entry].lock, undecided[entry].mark] where chain != 0 {
            if participants[Int(chain - 1)].age < age { return true }
        }
        let credits = besideCredits ? 0 : undecided[entry].creditList.head
        for head in [credits, undecided[entry].waitList.head] {
            link = head
            while link != 0 {
                if participants[Int(link - 1)].age < age { return true }
                link = participants[Int(link - 1)].next
            }
        }
        link = undecided[entry].reservations.head
        while link != 0 {
            let reservation = reservations[link]
            if participants[Int(reservation.participant)].age < age { return true }
            link = reservation.next
        }
        return false
    }

    /// Looks at the first waiting participant of an account again. Returns false when it must wait on.
    mutating func voteWaiting(_ entry: Int) -> Bool {
        if undecided[entry].lock != 0 { return false }
        let p = Int(undecided[entry].waitList.head - 1)
        let t = participants[p].transfer.value
        let account = participants[p].account
        let passed = barrierPassed(entry, participants[p].barrier)
        let (worst, best) = creditRefusals(
            account, t, entry, expectedDebits: passed ? 0 : undecided[entry].reservedDebits)
        if worst == .created {
            Self.remove(p, from: &undecided[entry].waitList, in: &participants)
            if t.flags.contains(.pending) && !hasRoomForPending(1) {
                voteNo(p, .capacityExhausted, .zero)
                return true
            }
            voteYes(p, journal.appended)
            return true
        }
        if best == worst {
            let time = timeOfJudging(p)
            let outcome = expireDue(account, best.dueSides, by: time)
            if case .expired = outcome { return true }
            Self.remove(p, from: &undecided[entry].waitList, in: &participants)
            if case .waits = outcome {
                die(p, entry, barrier: order + 1, awaiting: best.dueSides, by: time)
            } else {
                voteNo(p, best, journal.appended)
            }
            return true
        }
        if passed { participants[p].barrier = order + 1 }
        return false
    }

    /// Tells the participants that had to let go to begin again, where what they met has ended.
    mutating func wakeDying(_ entry: Int) {
        var link = undecided[entry].dyingList.head
        while link != 0 {
            let p = Int(link - 1)
            link = participants[p].next
            guard barrierPassed(entry, participants[p].barrier) else { continue }
            let time = Timestamp(participants[p].dueBy)
            if ledger.isHeldByDue(undecided[entry].account, participants[p].awaited, by: time) { continue }
            Self.remove(p, from: &undecided[entry].dyingList, in: &participants)
            participants[p].state = .free
            sayAgain(p)
        }
    }

    /// Tells the coordinator to let go, or to begin again.
    mutating func sayLetGo(_ p: Int) { send(.letGo(slot: participants[p].slot), to: participants[p].coordinator) }
    mutating func sayAgain(_ p: Int) { send(.again(slot: participants[p].slot), to: participants[p].coordinator) }

    // MARK: Lists of participants

    @inline(__always)
    static func append(_ p: Int, to list: inout ParticipantList, in table: inout FixedArray<Participant>) {
        table[p].previous = list.tail
        table[p].next = 0
        if list.tail != 0 { table[Int(list.tail - 1)].next = UInt32(p) + 1 } else { list.head = UInt32(p) + 1 }
        list.tail = UInt32(p) + 1
    }

    @inline(__always)
    static func remove(_ p: Int, from list: inout ParticipantList, in table: inout FixedArray<Participant>) {
        let next = table[p].next
        let previous = table[p].previous
        if next != 0 { table[Int(next - 1)].previous = previous } else { list.tail = previous }
        if previous != 0 { table[Int(previous - 1)].next = next } else { list.head = next }
        table[p].next = 0
        table[p].previous = 0
    }
}
