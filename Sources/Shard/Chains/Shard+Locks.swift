// Chains at a shard that takes part: it locks all accounts of the chain that live here at once, says what it found, and
// applies what the coordinator has decided. Lets go or waits by the rules of wait-die, as for single transfers.
//
// A locked account makes all else wait. While a chain waits for its lock, its accounts are marked: what comes later and
// is younger queues behind it, what is older goes first, and then the chain lets go. A mark is always of the oldest.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLedger

extension Shard {
    /// The coordinator wants all accounts of a chain that live here.
    mutating func lock(_ p: Int, _ chain: ChainReference) {
        participants[p].chain = chain.bits
        order += 1
        participants[p].order = order
        if chain.view.isOfAccounts { return lockAccounts(p) }
        // An id that is being decided singly needs no look: its slot holds a debit of one of these accounts, or holds
        // nothing and looks for what is remembered when its turn comes.
        for i in 0..<chain.view.count where freeWaiters.count > 0 {
            guard let slot = expiring(chain.view[i].asked) else { continue }
            // What it posts or voids is due: that comes first.
            participants[p].state = .dyingBehindSlot
            let origin = Origin(
                core: 0, operation: 0, request: UInt32(truncatingIfNeeded: p),
                index: UInt32(truncatingIfNeeded: participants[p].order), stream: 0)
            wait(for: .slot(slot), .chain, chain.view[i].asked, origin)
            return sayLetGo(p)
        }
        for i in 0..<chain.view.count {
            let debit = chain.view[i].asked.debitAccountID
            if isHeld(debit) { return waitForHold(p, debit) }
        }
        if let yes = reserve(p, chain) { return vote(p, yes.code, yes.lsn) }
        let besideCredits = goesBesideCredits(chain)
        for place in 0..<chain.view.accountCount {
            guard let account = accountHere(chain, place) else {
                if isBeingCreated(chain.view.accountID(place)) { return dieBehindHold(p) }
                continue
            }
            let u = ledger.undecided(account)
            guard u != 0, !isFaulty(.waitWithoutDying) else { continue }
            if hasOlder(Int(u - 1), than: participants[p].age, besideCredits: besideCredits) {
                return die(p, Int(u - 1), barrier: order + 1)
            }
        }
        takeLocks(p)
    }

    func reference(_ p: Int) -> ChainReference {
        guard let chain = ChainReference(bits: participants[p].chain) else { stop("a chain without its view") }
        return chain
    }

    /// The account at a place of the view, where it lives here and exists.
    func accountHere(_ chain: ChainReference, _ place: Int) -> AccountIndex? {
        chain.view.owner(place) == id ? ledger.find(chain.view.accountID(place)) : nil
    }

    /// True for a post or void alone, which moves what is held already: credits that are reserved make no difference to it,
    /// nor does it to them, and none is promised in vain. For all else it waits as other chains do.
    private func goesBesideCredits(_ chain: ChainReference) -> Bool {
        guard chain.view.count == 1, !chain.view.isOfAccounts else { return false }
        let flags = chain.view[0].asked.flags
        return flags.isSimplyPending && flags.resolves && !chain.view[0].asked.id.isZero
    }

    /// Something on the account stands before the participant's lock.
    private func isTaken(_ entry: Int, for p: Int, besideCredits: Bool) -> Bool {
        if undecided[entry].openHead | undecided[entry].waitList.head != 0 { return true }
        if undecided[entry].reservations.head != 0 { return true }
        if !besideCredits && undecided[entry].creditList.head != 0 { return true }
        if undecided[entry].lock != 0 { return true }
        let mark = undecided[entry].mark
        return mark != 0 && mark != UInt32(p) + 1 && participants[Int(mark - 1)].age < participants[p].age
    }

    /// Locks all accounts of a chain when none of them is taken; else marks them and waits.
    mutating func takeLocks(_ p: Int) {
        let chain = reference(p)
        let besideCredits = goesBesideCredits(chain)
        var isFree = true
        for place in 0..<chain.view.accountCount where !besideCredits {
            guard let account = accountHere(chain, place) else { continue }
            if !isUnpromised(account) {
                revokeStanding(account)
                isFree = false
            }
        }
        for place in 0..<chain.view.accountCount where isFree {
            guard let account = accountHere(chain, place) else { continue }
            let u = ledger.undecided(account)
            if u != 0 && isTaken(Int(u - 1), for: p, besideCredits: besideCredits) { isFree = false }
        }
        if !isFree && participants[p].state == .lockWaiting { return markCreated(p, chain, besideCredits) }
        // Of the accounts' limits and of what closes them it speaks as of the same moment.
        let time = clock.upcoming
        if isFree, let (account, sides) = accountHeldByDue(p, chain, by: time) {
            if participants[p].state == .lockWaiting { unmark(p) }
            return die(p, undecidedEntry(account), barrier: order + 1, awaiting: sides, by: time)
        }
        for place in 0..<chain.view.accountCount {
            guard let account = accountHere(chain, place) else { continue }
            let entry = undecidedEntry(account)
            let mark = undecided[entry].mark
            if mark != 0 && mark != UInt32(p) + 1 { displace(Int(mark - 1), entry, barrier: order + 1) }
            undecided[entry].mark = isFree ? 0 : UInt32(p) + 1
            if isFree { undecided[entry].lock = UInt32(p) + 1 }
        }
        guard isFree else {
            participants[p].state = .lockWaiting
            statistics.waits += 1
            return
        }
        order += 1
        participants[p].order = order
        participants[p].state = .locked
        sayFacts(p, chain, at: time)
    }

    /// Marks accounts that were created while the chain waits for its lock: nobody else would tell it when they are free.
    private mutating func markCreated(_ p: Int, _ chain: ChainReference, _ besideCredits: Bool) {
        for place in 0..<chain.view.accountCount {
            guard let account = accountHere(chain, place) else { continue }
            let u = ledger.undecided(account)
            if u != 0 && undecided[Int(u - 1)].mark == UInt32(p) + 1 { continue }
            if u != 0 && !isFaulty(.waitWithoutDying),
                hasOlder(Int(u - 1), than: participants[p].age, besideCredits: besideCredits)
            {
                unmark(p)
                return die(p, Int(u - 1), barrier: order + 1)
            }
            let entry = undecidedEntry(account)
            let mark = undecided[entry].mark
            if mark != 0 { displace(Int(mark - 1), entry, barrier: order + 1) }
            undecided[entry].mark = UInt32(p) + 1
        }
    }

    /// Writes what the chain must know of its accounts and ids here, and votes.
    private mutating func sayFacts(_ p: Int, _ chain: ChainReference, at time: Timestamp) {
        var opens = 0
        for i in 0..<chain.view.count {
            let t = chain.view[i].asked
            if t.flags.contains(.pending) { opens += 1 }
            guard routing.shard(of: t.debitAccountID) == id else { continue }
            do throws(JournalError) {
                let hash = ledger.identityHash(t.debitAccountID, t.id)
                chain.view.setIdentity(i, try rememberedAnswer(hash, t) ?? EventResult(.created))
                if t.flags.resolves { chain.view.setFact(i, try pendingFact(t)) }
            } catch {
                // No vote, so nothing is decided: the next look at the journal ends the engine.
                return journal.end(error)
            }
        }
        sayAccounts(chain, at: time)
        for place in 0..<chain.view.accountCount where chain.view.owner(place) == id {
            let account = chain.view.accountID(place)
            let hash = ledger.accountHash(account)
            if ledger.find(account, hash: hash) != nil { continue }
            chain.view.setAbsent(place)
            absentAccounts.hold(account, hash, by: p, .absent)
        }
        let hasRoom = opens == 0 || hasRoomForPending(opens)
        let code: ResultCode = hasRoom ? .created : .capacityExhausted
        // Held until it is unlocked.
        participants[p].opens = hasRoom ? UInt8(truncatingIfNeeded: opens) : 0
        pendingsUnderWay += Int(participants[p].opens)
        if participants[p].coordinator == id {
            // Whatever the decision rests on here stands before it in the same log.
            sendVote(p, code)
        } else {
            vote(p, code, journal.appended)
        }
        if isFaulty(.unlockBeforeCommit) { freeAccounts(p) }
    }

    private mutating func sayAccounts(_ chain: ChainReference, at time: Timestamp) {
        let isModest = chain.view.isModest
        clock.observe(time.nanoseconds)
        for place in 0..<chain.view.accountCount {
            guard let index = accountHere(chain, place) else { continue }
            chain.view.setAccount(place, accountForChain(index, isModest: isModest, at: time), index: index)
        }
    }

    /// The coordinator wants to know how the accounts that are held for a chain stand as of a moment: when each shard spoke
    /// as of its own, a hold may count as over on one account and not on the other.
    mutating func lookAgain(_ p: Int, _ time: Timestamp) {
        let chain = reference(p)
        if participants[p].state == .locked, let (account, sides) = accountHeldByDue(p, chain, by: time) {
            letGo(p)
            return die(p, undecidedEntry(account), barrier: order + 1, awaiting: sides, by: time)
        }
        // What it has reserved passes at any moment.
        sayAccounts(chain, at: time)
        sendVote(p, .created)
    }

    /// What this shard knows of the transfer that a post or void names.
    mutating func pendingFact(_ t: borrowing Transfer) throws(JournalError) -> PendingFact {
        if let open = ledger.openPendingFact(t) { return open }
        let debit = t.debitAccountID
        let named = t.pendingID
        guard let (known, record) = try remembered(ledger.identityHash(debit, named), debit, named) else {
            return PendingFact(.notFound)
        }
        return PendingFact(known, record)
    }

    // MARK: Letting go

    /// Tells the coordinator to let go, and to begin again when what has become undecided on the account before `barrier`
    /// has ended, and nothing that was due at a time holds the sides `awaited`.
    mutating func die(
        _ p: Int, _ entry: Int, barrier: UInt64, awaiting awaited: DueSides = [], by time: Timestamp = .zero
    ) {
        participants[p].barrier = barrier
        participants[p].awaited = awaited
        participants[p].dueBy = time.nanoseconds
        participants[p].state = .dying
        participants[p].account = undecided[entry].account
        Self.append(p, to: &undecided[entry].dyingList, in: &participants)
        sayLetGo(p)
        markDirty(undecided[entry].account)
    }

    /// An older one goes before a chain that waits for its lock.
    private mutating func displace(_ p: Int, _ entry: Int, barrier: UInt64) {
        unmark(p)
        die(p, entry, barrier: barrier)
    }

    private mutating func unmark(_ p: Int) {
        let chain = reference(p)
        for place in 0..<chain.view.accountCount {
            guard let account = accountHere(chain, place) else { continue }
            let u = ledger.undecided(account)
            guard u != 0, undecided[Int(u - 1)].mark == UInt32(p) + 1 else { continue }
            undecided[Int(u - 1)].mark = 0
            markDirty(account)
        }
    }

    /// Lets go of the lock on all accounts of a chain.
    private mutating func freeAccounts(_ p: Int) {
        let chain = reference(p)
        for place in 0..<chain.view.accountCount {
            guard let account = accountHere(chain, place) else { continue }
            let u = ledger.undecided(account)
            guard u != 0, undecided[Int(u - 1)].lock == UInt32(p) + 1 else { continue }
            undecided[Int(u - 1)].lock = 0
            markDirty(account)
        }
    }

    /// Lets go of everything that the chain holds here.
    mutating func letGo(_ p: Int) {
        if participants[p].state == .chainReserved { return endReservations(p) }
        freeAccounts(p)
        pendingsUnderWay -= Int(participants[p].opens)
        participants[p].opens = 0
        participants[p].state = .free
        participants[p].chain = 0
        endHolds(p)
    }

    /// Where a credit's account is locked or marked: true when it goes on, false when it waits or was told to let go.
    mutating func passes(_ p: Int, _ entry: Int) -> Bool {
        let age = participants[p].age
        let lock = undecided[entry].lock
        let mark = undecided[entry].mark
        let isOlder = lock != 0 ? participants[Int(lock - 1)].age < age : participants[Int(mark - 1)].age < age
        if isOlder && !isFaulty(.waitWithoutDying) {
            die(p, entry, barrier: order + 1)
            return false
        }
        if lock != 0 {
            waitInLine(p, entry)
            return false
        }
        // Behind the one that goes first now, whose place is the next.
        displace(Int(mark - 1), entry, barrier: order + 3)
        return true
    }

    /// The expiry that a chain had to let go for has ended.
    mutating func chainMayGoOn(_ origin: Origin) {
        let p = Int(origin.request)
        guard participants[p].state == .dyingBehindSlot,
            UInt32(truncatingIfNeeded: participants[p].order) == origin.index
        else { return }
        participants[p].state = .free
        sayAgain(p)
    }

    /// The coordinator lets go of a chain; the event at fault, if any, is refused for good here.
    mutating func releaseChain(_ p: Int, _ fault: FaultyEvent?) {
        let peer = participants[p].coordinator
        let slot = participants[p].slot
        let chain = reference(p)
        switch participants[p].state {
        case .locked, .chainReserved:
            if let fault {
                let t = chain.view[Int(fault.index)].asked
                _ = refuse(t, ledger.identityHash(t.debitAccountID, t.id), fault.code)
                letGo(p)
                return releaseQueue.append(DelayedRelease(slot: slot, peer: peer, lsn: journal.appended))
            }
            letGo(p)
        case .lockWaiting:
            unmark(p)
            participants[p].state = .free
            forgetHeldBack(p)
        default: participants[p].state = .free
        }
        send(.released(slot: slot), to: peer)
    }

    /// Says `released` for refusals that have become durable.
    mutating func sendReleased() {
        while !releaseQueue.isEmpty, releaseQueue.first.lsn <= released {
            let item = releaseQueue.first
            releaseQueue.removeFirst()
            send(.released(slot: item.slot), to: item.peer)
        }
    }

    // MARK: Applying

    /// The chain's decision is durable: records and applies what of it is here.
    mutating func commitChain(_ p: Int, _ sequence: UInt64, _ from: Int, _ time: UInt64) {
        invariant(sequence == peers[from].applied + 1, "commit \(sequence) after \(peers[from].applied)")
        peers[from].applied = sequence
        let chain = reference(p)
        let isInCut = isInCut(time: time, sequence, from: from)
        let isReserved = participants[p].state == .chainReserved
        if isReserved { showToReads(reserved: p, time: time, adding: false) }
        var last = 0
        for i in 0..<chain.view.count where isHere(chain, i) { last = i }
        let kind: RecordKind = chain.view.count == 1 ? .credit : .leg
        for i in 0...(isFaulty(.applyChainInPart) ? 0 : last) where isHere(chain, i) {
            var record = Self.record(chain, i, kind, peer: ShardID(from), sequence: sequence)
            if i == last { record.flags.remove(.chainContinues) } else { record.flags.insert(.chainContinues) }
            applyHere(chain, i, record, isInCut: isInCut)
            let t = record.body
            if t.flags.contains(.pending), let held = ledger.findPending(t.debitAccountID, t.id) {
                ledger.setOpenedElsewhere(held)
            }
        }
        if isReserved { showToReads(reserved: p, time: time, adding: true) }
        peers[from].appliedLSN = journal.appended.value
        failpoint(.credited)
        letGo(p)
    }

    private func isHere(_ chain: ChainReference, _ i: Int) -> Bool {
        if chain.view.owner(Int(chain.view[i].debitPlace)) == id { return true }
        return !chain.view.isOfAccounts && chain.view.owner(Int(chain.view[i].creditPlace)) == id
    }

    /// The log record of a chain's event, or of an expiry.
    static func record(
        _ chain: ChainReference, _ i: Int, _ kind: RecordKind, peer: ShardID = ShardID(0), sequence: UInt64 = 0
    ) -> LogRecord {
        let final = chain.view.final(i)
        if chain.view.isOfAccounts { return accountRecord(chain, i, peer: peer, sequence: sequence) }
        guard final.id.isZero else { return chain.view.record(i, kind, peer: peer, sequence: sequence) }
        var pending = final
        pending.id = final.pendingID
        var record = LogRecord(
            expiryOf: pending, kind: kind, timestamp: final.timestamp, peer: peer, sequence: sequence)
        if i + 1 < chain.view.count { record.flags.insert(.chainContinues) }
        return record
    }

    /// Appends the record of a chain's event and applies the sides of it that live here: this shard has found those accounts
    /// when it reserved or locked them.
    /// - Parameter isInCut: To the copy of the cut that is being taken too.
    mutating func applyHere(_ chain: ChainReference, _ i: Int, _ record: LogRecord, isInCut: Bool = false) {
        if record.kind == .accountLeg { return applyAccount(record, isInCut: isInCut) }
        let debit = chain.view.index(chain.view[i].debitPlace, in: id)
        apply(record, debit, chain.view.index(chain.view[i].creditPlace, in: id), isInCut: isInCut)
    }

    /// The same for any accepted transfer, where it is known which of its accounts live here.
    mutating func apply(_ record: LogRecord, _ debit: AccountIndex?, _ credit: AccountIndex?, isInCut: Bool = false) {
        let position = journal.append(record)
        // A leg of other shards, in the decision of its coordinator.
        if debit == nil && credit == nil { return }
        let over = isInCut ? ledger.over(record, at: cutCopy.time) : nil
        if isInCut { takeOutOfCut(debit: debit, credit: credit) }
        ledger.apply(record, debit: debit, credit: credit, position: position.value)
        let lsn = factLSN
        if let debit { if record.body.flags.isPlain { noteDebit(debit, lsn) } else { noteRaise(debit, lsn) } }
        if let credit { noteRaise(credit, lsn) }
        // A void or expiry may have opened an account again.
        if record.body.flags.contains(.voidPending) {
            if let debit { ledger.setStatusLSN(debit, lsn) }
            if let credit { ledger.setStatusLSN(credit, lsn) }
        }
        if isInCut { putIntoCut(debit: debit, credit: credit) }
        if let over { takeOutOfCut(over, debit: debit, credit: credit) }
        if let debit {
            let u = ledger.undecided(debit)
            if u != 0 { undecided[Int(u - 1)].doubtedAt = 0 }
            markDirty(debit)
        }
        if let credit { markDirty(credit) }
    }
}
