// Events as they come from a front: what can be decided at once is, in one step; the rest gets a slot. The groups are
// those of Docs/Semantics.md.

public import SuanpanCore
public import SuanpanJournal
internal import SuanpanLedger

extension Shard {
    /// True for a transfer that needs no chain: plain, pending, a post or a void, as most of them are. All others go by
    /// `submitChain`.
    @inline(__always)
    public static func needsNoChain(_ t: borrowing Transfer) -> Bool {
        let flags = t.flags
        guard flags.isPlain || flags.isSimplyPending, !flags.contains(.linked) else { return false }
        if flags.resolves { return true }
        return t.amount.value <= Limits.standingAmountMax
    }

    /// Decides a transfer that needs no chain and whose debit account hashes to this shard.
    /// - Complexity: O(1); allocates nothing. A duplicate of an old id costs a read of its group.
    public mutating func submit(_ t: borrowing Transfer, _ origin: Origin) throws(JournalError) -> Submission {
        let bad = t.refusalByRequest()
        if bad != .created { return .answered(EventResult(bad)) }
        // Those that waited go first: a stream keeps its order.
        guard againQueue.isEmpty else { return .stalled }
        return try admit(t, origin, hashed(t))
    }

    /// The same for the `k`-th transfer of a run that was staged.
    public mutating func submit(
        _ t: borrowing Transfer, _ origin: Origin, staged k: Int
    ) throws(JournalError) -> Submission {
        let bad = t.refusalByRequest()
        if bad != .created { return .answered(EventResult(bad)) }
        guard againQueue.isEmpty else { return .stalled }
        return try admit(t, origin, staged[k])
    }

    /// The same for a transfer whose own fields are sound.
    mutating func admit(
        _ t: borrowing Transfer, _ origin: Origin, _ found: Staged
    ) throws(JournalError) -> Submission {
        guard hasRoom else { return .stalled }
        if origin.stream != 0, let obstacle = obstacle(stream: origin.stream) {
            wait(for: obstacle, .transfer, t, origin)
            return .deferred
        }

        // Group 5: seen before, or being decided now.
        let hash = found.identityHash
        if openIdentityCount > 0, !isFaulty(.forgetOpenIDs), let slot = openSlot(hash, t) {
            wait(for: .slot(slot), .transfer, t, origin)
            return .deferred
        }
        // A chain is deciding it: that ends first.
        if chainIdentities.contains(hash), !isFaulty(.forgetChainIDs) { return try admitAsChain(t, origin) }
        do throws(JournalError) {
            if let known = try rememberedAnswer(hash, t, waits: false) { return .answered(known) }
        } catch {
            // No descriptor to read its record with: the event comes again.
            if error.isShortage { return .stalled }
            throw error
        }
        guard ledger.hasRoomForTransfer && journal.admitsNewWork else {
            return .answered(EventResult(.capacityExhausted))
        }

        // Group 6.
        guard let debit = find(t.debitAccountID, hash: found.debitHash, guess: found.debit) else {
            if isHeld(t.debitAccountID) {
                wait(for: .holds, .transfer, t, origin)
                return .deferred
            }
            return .answered(refuse(t, hash, .debitAccountNotFound))
        }
        if !t.flags.isPlain {
            if t.flags.resolves { return try admitResolving(t, origin, found, debit) }
            if !hasRoomForPending(1) { return .answered(EventResult(.capacityExhausted)) }
        }
        let peer = found.peer
        let u = ledger.undecided(debit)
        var reservedDebits: UInt128 = 0
        var reservedCredits: UInt128 = 0
        var hasOpen = false
        if u != 0 {
            let entry = Int(u - 1)
            if undecided[entry].parkedHead | undecided[entry].lock | undecided[entry].mark != 0 || tailWaits(entry) {
                return park(t, origin, hash, debit, peer)
            }
            reservedDebits = undecided[entry].reservedDebits
            reservedCredits = undecided[entry].reservedCredits
            hasOpen = undecided[entry].openHead != 0
        }
        let now = Timestamp(clock.now)
        var worst = ledger.debitRefusal(debit, t, reservedDebits: reservedDebits, expectedCredits: 0, now: now)
        if worst != .created {
            worst = debitRefusal(
                worst, withoutDueOf: debit, t, reservedDebits: reservedDebits, expectedCredits: 0)
        }
        if worst != .created {
            var best = ledger.debitRefusal(debit, t, reservedDebits: 0, expectedCredits: reservedCredits, now: now)
            best = debitRefusal(best, withoutDueOf: debit, t, reservedDebits: 0, expectedCredits: reservedCredits)
            if best == worst {
                switch expireDue(debit, worst.dueSides, by: clock.upcoming) {
                case .nothing: break
                case .expired: return try admit(t, origin, found)
                case .waits: return park(t, origin, hash, debit, peer)
                }
            }
            // Refused whatever becomes of the undecided, and for the same reason.
            let isSure = worst != .exceedsCredits || !mayMissCredits(debit)
            if best == worst && isSure { return .answered(refuse(t, hash, worst)) }
            if isFaulty(.refuseInsteadOfWait) { return .answered(refuse(t, hash, worst)) }
            let submission = park(t, origin, hash, debit, peer)
            if best == worst { markDirty(debit) }
            return submission
        }

        // Group 7, here or at the peer; behind those that hold a debit, which keep their place.
        if hasOpen { return open(t, origin, hash, debit, peer) }
        guard peer == id else {
            if standingVotes.has(t, found.creditHash), mayAnnounce(t.flags, peer.index) {
                return decideStanding(t, [], origin, hash, debit, peer, found.creditHash)
            }
            return open(t, origin, hash, debit, peer)
        }
        switch creditVerdict(t, found) {
        case .refused(let code):
            switch expireDue(creditOf: t, found, code, by: clock.upcoming) {
            case .nothing: return .answered(refuse(t, hash, code))
            case .expired: return try admit(t, origin, found)
            case .waits: return open(t, origin, hash, debit, peer)
            }
        case .undecided: return open(t, origin, hash, debit, peer)
        case .accepted(let credit):
            return .answered(EventResult(.created, timestamp: accept(t, hash, debit, credit)))
        }
    }

    /// Creates an account that hashes to this shard.
    public mutating func submit(_ account: Account, _ origin: Origin) -> Submission {
        let bad = account.refusalByRequest()
        if bad != .created { return .answered(EventResult(bad)) }
        guard origin.stream == 0 || againQueue.isEmpty else { return .stalled }
        return admit(account, origin)
    }

    /// The same for an account whose own fields are sound.
    mutating func admit(_ account: Account, _ origin: Origin) -> Submission {
        guard hasRoom else { return .stalled }
        if origin.stream != 0, let obstacle = obstacle(stream: origin.stream) {
            wait(for: obstacle, .account, account.bits, origin)
            return .deferred
        }
        if isHeld(account.id) {
            wait(for: .holds, .account, account.bits, origin)
            return .deferred
        }
        if let index = ledger.find(account.id) {
            let existing = ledger.accountAsCreated(index)
            let code = account.comparedWithExisting(existing)
            return .answered(EventResult(code, timestamp: code == .exists ? existing.timestamp : .zero))
        }
        guard ledger.hasRoomForAccount(1 + absentAccounts.count) && journal.admitsNewWork else {
            return .answered(EventResult(.capacityExhausted))
        }
        var created = account
        created.timestamp = clock.next()
        _ = journal.append(LogRecord(created))
        ledger.apply(account: created, lsn: journal.appended)
        return .answered(EventResult(.created, timestamp: created.timestamp))
    }

    /// The account as it stands now, by this shard's clock. Debits are decided here: what is undecided comes after this
    /// read, unless it is of the same stream. Credits are decided elsewhere, perhaps already: the read waits for those that
    /// are undecided now, or decided and not heard of, and shows the ones with an earlier timestamp. What ends meanwhile is
    /// never shown, as something before it may still be under way.
    public mutating func lookup(_ account: AccountID, _ origin: Origin) -> Lookup {
        guard againQueue.isEmpty else { return .stalled }
        return read(account, origin)
    }

    mutating func read(_ account: AccountID, _ origin: Origin) -> Lookup {
        if origin.stream != 0, let obstacle = obstacle(stream: origin.stream) {
            guard freeWaiters.count > 0 else { return .stalled }
            wait(for: obstacle, .accountRead, Self.readKey(account), origin)
            return .deferred
        }
        guard let index = ledger.find(account) else {
            guard isBeingCreated(account) else { return .unknown }
            guard freeWaiters.count > 0 else { return .stalled }
            wait(for: .holds, .accountRead, Self.readKey(account), origin)
            return .deferred
        }
        let u = ledger.undecided(index)
        let mayMiss = mayMissCredits(index)
        if (u == 0 && !mayMiss) || isFaulty(.readUndecided) { return .found(shown(index)) }
        guard freeWaiters.count > 0, freeUndecided.count > 0 else { return .stalled }
        let entry = undecidedEntry(index)
        if origin.stream != 0, let slot = newestOpen(entry, stream: origin.stream) {
            wait(for: .slot(slot), .accountRead, Self.readKey(account), origin)
            return .deferred
        }
        let isLocked = undecided[entry].lock != 0
        let isReserved = undecided[entry].reservations.head != 0 && !isFaulty(.readReserved)
        if undecided[entry].creditList.head == 0 && !isReserved && !isLocked && !mayMiss { return .found(shown(index)) }
        let waiter = makeWaiter(.accountRead, Self.readKey(account), origin)
        appendRead(entry, waiter)
        if undecided[entry].readGroupTail == 0 && !isLocked {
            startReads(entry)
            markDirty(index)
        }
        statistics.waits += 1
        return .deferred
    }

    /// The transfer with this debit account and id, as recorded; nil: none accepted.
    /// - Complexity: O(1); a read of its group (`RecordReader`) when it is older than the buffers in memory.
    public mutating func lookupTransfer(_ debit: AccountID, _ id: TransferID) throws(JournalError) -> Transfer? {
        guard let (known, record) = try remembered(ledger.identityHash(debit, id), debit, id) else { return nil }
        return known.refusal == nil ? record.transfer : nil
    }

    /// The same for a client: waits while the transfer is being decided, or an earlier command of the stream waits.
    /// - Parameter key: The transfer's debit account and id.
    public mutating func lookup(transfer key: borrowing Transfer, _ origin: Origin) throws(JournalError)
        -> TransferLookup
    {
        guard againQueue.isEmpty || origin.stream == 0 else { return .stalled }
        return try read(transfer: key, origin)
    }

    mutating func read(transfer key: borrowing Transfer, _ origin: Origin) throws(JournalError) -> TransferLookup {
        if let obstacle = obstacle(key, stream: origin.stream) {
            guard freeWaiters.count > 0 else { return .stalled }
            wait(for: obstacle, .transferRead, key, origin)
            return .deferred
        }
        return .found(try lookupTransfer(key.debitAccountID, key.id))
    }

    /// What a look-up of a transfer must wait for.
    private func obstacle(_ key: borrowing Transfer, stream: UInt32) -> Obstacle? {
        if stream != 0, let obstacle = obstacle(stream: stream) { return obstacle }
        let hash = ledger.identityHash(key.debitAccountID, key.id)
        if let index = ledger.find(key.debitAccountID) {
            let u = ledger.undecided(index)
            if u != 0 && (undecided[Int(u - 1)].lock != 0 || chainIdentities.contains(hash)) {
                return .reads(Int(u - 1))
            }
        }
        return openIdentityCount > 0 ? openSlot(hash, key).map { .slot($0) } : nil
    }

    /// A look-up's key: an account, seen as the debit account of a transfer.
    public static func readKey(_ account: AccountID) -> Transfer {
        Transfer(id: TransferID(0), debit: account, credit: AccountID(0), amount: .zero, ledger: 0, code: 0)
    }

    // MARK: Group 5

    /// `exists…` or `id_already_failed` for a transfer seen before; nil for a new one.
    /// - Parameter waits: See `Journal.read`.
    mutating func rememberedAnswer(
        _ hash: UInt64, _ t: borrowing Transfer, waits: Bool = true
    ) throws(JournalError) -> EventResult? {
        if isFaulty(.forgetIDs) { return nil }
        guard let (known, record) = try remembered(hash, t.debitAccountID, t.id, waits: waits) else { return nil }
        if let reason = known.refusal { return EventResult(.idAlreadyFailed, reason: reason) }
        let code = t.comparedWithRecorded(record.asked)
        return EventResult(code, timestamp: code == .exists ? record.body.timestamp : .zero)
    }

    /// What is remembered of an identity, and its record; nil: nothing.
    /// - Complexity: O(1) for a new identity; else a read of the record's group when it is older than the buffers in memory.
    /// - Throws: `damaged` where the log no longer proves what was remembered: never taken for another id.
    @inline(__always)
    mutating func remembered(
        _ hash: UInt64, _ debit: AccountID, _ id: TransferID, waits: Bool = true
    ) throws(JournalError) -> (RememberedID, LogRecord)? {
        var step = 0
        while let known = ledger.nextRemembered(hash, &step) {
            let record = try readBack(hash, LogPosition(known.position), waits: waits)
            // Equal hashes, other ids: go on looking.
            if record.body.id == id && record.body.debitAccountID == debit { return (known, record) }
        }
        return nil
    }

    /// The record of a remembered identity: one with that hash, or what stands there is not what was written.
    private mutating func readBack(
        _ hash: UInt64, _ position: LogPosition, waits: Bool
    ) throws(JournalError) -> LogRecord {
        let record = try journal.read(position, waits: waits)
        guard ledger.identityHash(record.body.debitAccountID, record.body.id) == hash else {
            throw journal.damage(.otherRecord, at: position)
        }
        return record
    }

    // MARK: Deciding at once

    enum CreditVerdict {
        case accepted(AccountIndex)
        case refused(ResultCode)
        case undecided
    }

    /// Group 7 for a transfer whose credit account lives here too.
    @inline(__always)
    mutating func creditVerdict(_ t: borrowing Transfer, _ found: Staged) -> CreditVerdict {
        guard let credit = find(t.creditAccountID, hash: found.creditHash, guess: found.credit) else {
            return isBeingCreated(t.creditAccountID) ? .undecided : .refused(.creditAccountNotFound)
        }
        let u = ledger.undecided(credit)
        if u == 0 {
            var code = ledger.creditRefusal(credit, t, reservedCredits: 0, expectedDebits: 0)
            if code == .created { return .accepted(credit) }
            code = creditRefusal(code, withoutDueOf: credit, t, reservedCredits: 0, expectedDebits: 0)
            return code == .created ? .accepted(credit) : .refused(code)
        }
        let entry = Int(u - 1)
        if undecided[entry].lock | undecided[entry].mark != 0 { return .undecided }
        let (worst, best) = creditRefusals(credit, t, entry, expectedDebits: undecided[entry].reservedDebits)
        if worst == .created && undecided[entry].waitList.head == 0 { return .accepted(credit) }
        return best == worst && best != .created ? .refused(best) : .undecided
    }

    /// A credit's refusal in the worst case and in the best of what is undecided on its account; `created`: it passes.
    /// - Parameter expectedDebits: Of the best case.
    mutating func creditRefusals(
        _ credit: AccountIndex, _ t: borrowing Transfer, _ entry: Int, expectedDebits: UInt128
    ) -> (worst: ResultCode, best: ResultCode) {
        let reserved = undecided[entry].reservedCredits
        var worst = ledger.creditRefusal(credit, t, reservedCredits: reserved, expectedDebits: 0)
        if worst == .created { return (.created, .created) }
        worst = creditRefusal(worst, withoutDueOf: credit, t, reservedCredits: reserved, expectedDebits: 0)
        if worst == .created { return (.created, .created) }
        let best = ledger.creditRefusal(credit, t, reservedCredits: 0, expectedDebits: expectedDebits)
        return (
            worst,
            creditRefusal(best, withoutDueOf: credit, t, reservedCredits: 0, expectedDebits: expectedDebits)
        )
    }

    /// Expires what is due of a credit account here, before a refusal that may rest on it.
    mutating func expireDue(
        creditOf t: borrowing Transfer, _ found: Staged, _ code: ResultCode, by time: Timestamp
    ) -> DueOutcome {
        guard let credit = find(t.creditAccountID, hash: found.creditHash, guess: found.credit) else { return .nothing }
        return expireDue(credit, code.dueSides, by: time)
    }

    /// Records and applies a transfer within this shard.
    @inline(__always)
    mutating func accept(_ t: borrowing Transfer, _ hash: UInt64, _ debit: AccountIndex, _ credit: AccountIndex)
        -> Timestamp
    {
        if !t.flags.isPlain { return acceptPending(t, debit, credit) }
        let timestamp = clock.next()
        let position = journal.append(.transfer, t, timestamp: timestamp)
        ledger.applyDebit(debit, t.amount)
        ledger.applyCredit(credit, kept(t.amount))
        noteDebit(debit)
        noteRaise(credit)
        ledger.rememberCreated(hash, position: position.value)
        markDirty(debit)
        markDirty(credit)
        return timestamp
    }

    /// Records a refusal for good.
    mutating func refuse(_ t: borrowing Transfer, _ hash: UInt64, _ code: ResultCode) -> EventResult {
        let position = journal.append(.refusal, t, timestamp: clock.next(), reason: code)
        ledger.rememberRefused(hash, code, position: position.value)
        return EventResult(code)
    }

    // MARK: Slots

    /// A new slot for a transfer, or nil when the peer's credits are used up.
    mutating func makeSlot(
        _ t: borrowing Transfer, _ origin: Origin, _ hash: UInt64, _ debit: AccountIndex, _ peer: ShardID
    ) -> UInt32? {
        let p = peer.index
        guard hasCredit(p) else { return nil }
        let slot = takeSlot(origin, peer, age: clock.next().nanoseconds)
        let i = Int(slot)
        transfers[i] = copy t
        slots[i].identityHash = hash
        slots[i].debit = debit
        let bucket = identityBucket(hash)
        slots[i].identityNext = identityHeads[bucket]
        identityHeads[bucket] = slot + 1
        openIdentityCount += 1
        return slot
    }

    /// A free slot, made a single transfer's in no list; its peer has credit for it.
    @inline(__always)
    mutating func takeSlot(_ origin: Origin, _ peer: ShardID, age: UInt64) -> UInt32 {
        peers[peer.index].open += 1
        let slot = freeSlots.take()
        if let later = freeSlots.next(after: Self.entriesAhead) {
            slots.prefetch(Int(later))
            transfers.prefetchForWriting(Int(later))
        }
        let i = Int(slot)
        slots[i].origin = origin
        slots[i].age = age
        slots[i].peer = peer
        slots[i].next = 0
        slots[i].previous = 0
        slots[i].afterHead = 0
        slots[i].afterTail = 0
        slots[i].isAnnounced = false
        slots[i].isPendingOut = false
        slots[i].chain = 0
        return slot
    }

    /// One more transfer may be open with this peer.
    /// - Parameter kept: Of what there is, so much is for others.
    @inline(__always)
    func hasCredit(_ p: Int, kept: Int = Shard.keptForExpiry) -> Bool {
        peers[p].open + kept < openPerPeerMax
            && peers[p].decided &- peers[p].durableThere &+ UInt64(peers[p].open + kept) < UInt64(redoPerPeerMax)
    }

    @inline(__always)
    func identityBucket(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (slotCount - 1) }

    /// The slot that is deciding this identity now.
    func openSlot(_ hash: UInt64, _ t: borrowing Transfer) -> UInt32? {
        let id = t.id
        let debit = t.debitAccountID
        var link = identityHeads[identityBucket(hash)]
        while link != 0 {
            let i = Int(link - 1)
            if slots[i].identityHash == hash && transfers[i].id == id && transfers[i].debitAccountID == debit {
                return link - 1
            }
            link = slots[i].identityNext
        }
        return nil
    }

    mutating func open(
        _ t: borrowing Transfer, _ origin: Origin, _ hash: UInt64, _ debit: AccountIndex, _ peer: ShardID
    ) -> Submission {
        guard let slot = makeSlot(t, origin, hash, debit, peer) else { return .stalled }
        if peer == id { beCautious(slot) }
        reserve(slot)
        return .deferred
    }

    mutating func park(
        _ t: borrowing Transfer, _ origin: Origin, _ hash: UInt64, _ debit: AccountIndex, _ peer: ShardID
    ) -> Submission {
        guard let slot = makeSlot(t, origin, hash, debit, peer) else { return .stalled }
        let entry = undecidedEntry(debit)
        let i = Int(slot)
        slots[i].state = .parked
        beCautious(slot)
        appendParked(entry, slot)
        statistics.waits += 1
        return .deferred
    }

    // MARK: Waiters

    mutating func makeWaiter(_ kind: WaiterKind, _ t: borrowing Transfer, _ origin: Origin) -> UInt32 {
        let w = freeWaiters.take()
        waiters[Int(w)] = Waiter(
            transfer: copy t, origin: origin, next: 0, slot: 0, entry: 0, kind: kind, isFollower: false)
        return w + 1
    }

    /// Looks at the event again when what it waits for is over.
    mutating func wait(for obstacle: Obstacle, _ kind: WaiterKind, _ t: borrowing Transfer, _ origin: Origin) {
        let waiter = makeWaiter(kind, t, origin)
        let w = Int(waiter - 1)
        statistics.waits += 1
        switch obstacle {
        case .reads(let entry):
            waiters[w].isFollower = true
            appendRead(entry, waiter)
        case .holds:
            absentAccounts.wait(event: waiter)
            beginWaiting(waiter)
        case .slot(let slot):
            let i = Int(slot)
            if slots[i].afterTail != 0 {
                waiters[Int(slots[i].afterTail - 1)].next = waiter
            } else {
                slots[i].afterHead = waiter
            }
            slots[i].afterTail = waiter
            waiters[w].slot = slot + 1
            beginWaiting(waiter)
        }
    }

    /// Adds a read, or one that follows it, to those that wait at an entry.
    mutating func appendRead(_ entry: Int, _ waiter: UInt32) {
        waiters[Int(waiter - 1)].entry = UInt32(entry) + 1
        if undecided[entry].readTail != 0 {
            waiters[Int(undecided[entry].readTail - 1)].next = waiter
        } else {
            undecided[entry].readHead = waiter
        }
        undecided[entry].readTail = waiter
        beginWaiting(waiter)
    }

    // MARK: Order within a stream

    /// What a command of the stream must wait for, so as not to pass an earlier one.
    func obstacle(stream: UInt32) -> Obstacle? {
        switch streamOrder.obstacle(stream) {
        case .slot(let slot): return .slot(slot)
        case .waiter(let w):
            if waiters[w].slot != 0 { return .slot(waiters[w].slot - 1) }
            return waiters[w].entry != 0 ? .reads(Int(waiters[w].entry - 1)) : .holds
        case nil: return nil
        }
    }

    /// Later commands of its stream wait for what the waiter waits for.
    mutating func beginWaiting(_ waiter: UInt32) {
        let stream = waiters[Int(waiter - 1)].origin.stream
        if stream != 0 { streamOrder.add(waiter: Int(waiter - 1), stream) }
    }

    mutating func endWaiting(_ w: Int) { if waiters[w].origin.stream != 0 { streamOrder.remove(waiter: w) } }

    /// Later commands of its stream wait for the slot.
    mutating func beCautious(_ slot: UInt32) {
        let stream = slots[Int(slot)].origin.stream
        if stream != 0 { streamOrder.add(slot: slot, stream) }
    }

    @inline(__always)
    mutating func endCaution(_ slot: UInt32) {
        if slots[Int(slot)].origin.stream != 0 { streamOrder.remove(slot: slot) }
    }

    /// The newest transfer of the stream that holds a debit of the account.
    func newestOpen(_ entry: Int, stream: UInt32) -> UInt32? {
        var link = undecided[entry].openTail
        while link != 0 {
            let i = Int(link - 1)
            if slots[i].origin.stream == stream { return link - 1 }
            link = slots[i].previous
        }
        return nil
    }
}

extension Shard {
    /// Queues the answer of a look-up that was decided at once for another core.
    public mutating func answerRecord(_ origin: Origin, _ record: Transfer?) {
        recordAnswers.append(
            RecordAnswer(
                origin: origin, found: record != nil, record: record ?? Self.readKey(AccountID(0)),
                lsn: journal.appended))
    }
}
