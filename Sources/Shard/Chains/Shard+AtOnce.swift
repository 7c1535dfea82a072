// Chains, and events that need one, of which this shard can say all there is to say at once. Either no account refuses them
// whatever becomes of all that is undecided there, as a single transfer is accepted: most of them. Or their accounts are
// free, and are judged as they stand. Credits of other shards' accounts are part of it where they are promised.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger

extension Shard {
    /// Decides the chain in `scratch` when this shard can say all of it.
    /// - Returns: `decided`, or `deferred` where credits are on their way to other shards: what another one does next must not
    ///   pass those. nil: nothing was done, but perhaps what was due has expired.
    mutating func decideAtOnce(_ count: Int, _ origin: Origin) throws(JournalError) -> Submission? {
        var crossing: UInt8 = 0
        for i in 0..<scratch.view.count {
            let t = scratch.view[i].asked
            guard routing.shard(of: t.debitAccountID) == id else { return nil }
            if t.creditAccountID.isZero { continue }
            let peer = routing.shard(of: t.creditAccountID)
            if peer == id { continue }
            guard t.flags.isPlain, standingVotes.has(t, ledger.accountHash(t.creditAccountID)),
                hasCredit(peer.index, kept: Self.keptForExpiry + scratch.view.count)
            else { return nil }
            crossing += 1
        }
        var isDecided = acceptAtOnce(origin, crossing)
        if !isDecided { isDecided = try judgeAtOnce(count, origin, crossing) }
        guard isDecided else { return nil }
        return crossing == 0 ? .decided : .deferred
    }

    // MARK: What passes in the worst case

    /// Accepts the chain in `scratch` where no account here refuses it, whatever becomes of what is undecided there, and its
    /// credits elsewhere are promised. False: nothing was done.
    private mutating func acceptAtOnce(_ origin: Origin, _ crossing: UInt8) -> Bool {
        for i in 0..<scratch.view.count {
            let t = scratch.view[i].asked
            scratch.view.setIdentityHash(i, ledger.identityHash(t.debitAccountID, t.id))
            guard t.flags.resolves else { continue }
            let fact = ledger.openPendingFact(t)
            if let fact { scratch.view.setPending(i, fact) }
            scratch.view.tell(i, fact)
        }
        scratch.view.decideWhetherToReserve(true, isExpiry: false)
        guard scratch.view.mayReserve, !scratch.view.mayBreakPromises else { return false }
        for place in 0..<scratch.view.accountCount {
            let account = scratch.view.accountID(place)
            scratch.view.setOwner(place, routing.shard(of: account), hash: ledger.accountHash(account))
        }
        for i in 0..<scratch.view.count where !scratch.view[i].asked.flags.isPlain {
            guard scratch.view.owner(Int(scratch.view[i].creditPlace)) == id else { return false }
        }
        if scratch.view.count == 1 && keepsItsPlace(scratch.view[0].asked.debitAccountID) { return false }
        guard passes(scratch, of: id), hasRoomForChain(opens: scratch.view.opens) else { return false }
        for place in 0..<scratch.view.accountCount where scratch.view.owner(place) == id {
            scratch.view.setIndex(place, reserving.accounts[place])
        }
        scratch.view.complete()
        record(origin, crossing)
        return true
    }

    /// One event keeps its place among those of its debit account; chains have none.
    private func keepsItsPlace(_ debit: AccountID) -> Bool {
        guard let account = ledger.find(debit) else { return false }
        let u = ledger.undecided(account)
        return u != 0 && undecided[Int(u - 1)].openHead | undecided[Int(u - 1)].parkedHead != 0
    }

    /// Records, applies and answers the chain in `scratch`, which passes. Its credits to other shards are announced: each is
    /// the decision of a transfer, and they count when the chain's last record is durable.
    /// - Parameter crossing: How many of these there are.
    private mutating func record(_ origin: Origin, _ crossing: UInt8) {
        let count = scratch.view.count
        for i in 0..<count { scratch.view.setTimestamp(i, clock.next()) }
        let last = LSN(journal.appended.value + UInt64(count))
        chainEnd = last
        var left = crossing
        if crossing != 0 { statistics.announcedChains += 1 }
        for i in 0..<count {
            let debit = scratch.view.index(scratch.view[i].debitPlace)
            let peer = routing.shard(of: scratch.view.accountID(Int(scratch.view[i].creditPlace)))
            if peer == id {
                apply(scratch.view.record(i, .transfer), debit, scratch.view.index(scratch.view[i].creditPlace))
            } else {
                peers[peer.index].decided += 1
                let sequence = peers[peer.index].decided
                apply(scratch.view.record(i, .decision, peer: peer, sequence: sequence), debit, nil)
                left -= 1
                announce(LoggedCredit(of: scratch.view.final(i)), to: peer, .nobody, last, following: left)
            }
        }
        invariant(journal.appended == last, "a chain of \(count) ends at \(journal.appended), not \(last)")
        for i in 0..<count { answer(origin, i, scratch.view[i].result) }
    }

    // MARK: What is free

    /// Nothing is undecided on the account, and nobody waits there.
    func isFree(_ account: AccountIndex) -> Bool {
        let u = ledger.undecided(account)
        if u == 0 { return true }
        let entry = Int(u - 1)
        return undecided[entry].openHead | undecided[entry].parkedHead | undecided[entry].lock | undecided[entry].mark
            | undecided[entry].creditList.head | undecided[entry].waitList.head | undecided[entry].reservations.head
            == 0
    }

    /// Judges the chain in `scratch` as its accounts stand, when all of them are free.
    /// - Parameter crossing: So many of its events are plain credits to other shards, and promised.
    private mutating func judgeAtOnce(
        _ count: Int, _ origin: Origin, _ crossing: UInt8
    ) throws(JournalError) -> Bool {
        for i in 0..<scratch.view.count {
            let t = scratch.view[i].asked
            if isHeld(t.debitAccountID) { return false }
            let hash = ledger.identityHash(t.debitAccountID, t.id)
            if openIdentityCount > 0 && openSlot(hash, t) != nil { return false }
            if let known = try rememberedAnswer(hash, t) { scratch.view.setIdentity(i, known) }
            guard t.flags.resolves else { continue }
            scratch.view.setPending(i, try pendingFact(t))
        }
        let time = clock.upcoming
        // What is left out by that time is expired by all that follows.
        clock.observe(time.nanoseconds)
        let isModest = scratch.view.isModest
        for place in 0..<scratch.view.accountCount {
            guard let index = ledger.find(scratch.view.account(place).id) else { continue }
            let sides = sidesThatMatter(index, isModest: isModest)
            if case .waits = expireDue(index, sides, by: time) { return false }
        }
        // What expired has used room of the log.
        guard canReceive else { return false }
        let mayBreakPromises = scratch.view.mayBreakPromises
        var mayMiss = false
        for place in 0..<scratch.view.accountCount {
            let account = scratch.view.account(place).id
            guard routing.shard(of: account) == id else {
                guard crossing != 0, let stand = promised(place) else { return false }
                scratch.view.setAccount(place, stand)
                continue
            }
            guard let index = ledger.find(account) else {
                if isBeingCreated(account) { return false }
                continue
            }
            if !isFree(index) || (mayBreakPromises && !isUnpromised(index)) { return false }
            if mayMissCredits(index) { mayMiss = true }
            scratch.view.setAccount(place, accountForChain(index, isModest: isModest, at: time), index: index)
        }
        // What is due has expired before this.
        for i in 0..<scratch.view.count where scratch.view.pending(i).state == .open {
            guard scratch.view.pending(i).isExpired(at: Timestamp(clock.now)),
                let due = ledger.findPending(scratch.view[i].asked.debitAccountID, scratch.view[i].asked.pendingID)
            else { continue }
            // Its credit account is perhaps not the one that was asked.
            let pending = ledger.pending(due).transfer
            guard let credit = ledger.find(pending.creditAccountID), isFree(credit) else { return false }
            recordExpiry(pending)
            scratch.view.setPending(i, try pendingFact(scratch.view[i].asked))
            for place in 0..<scratch.view.accountCount {
                if let index = ledger.find(scratch.view.account(place).id) {
                    scratch.view.setAccount(place, accountForChain(index, isModest: isModest, at: time), index: index)
                }
            }
        }
        let outcome = scratch.view.evaluate(now: Timestamp(clock.now))
        // By locks it knows of all credits.
        if mayMiss && scratch.view.restsOnCredits(outcome) { return false }
        switch outcome {
        case .created:
            guard hasRoomForChain(opens: scratch.view.opens) else {
                answerAll(count, origin, fault: 0, EventResult(.capacityExhausted), journal.appended)
                return true
            }
            record(origin, crossing)
        case .exists: for i in 0..<count { answer(origin, i, scratch.view[i].result) }
        case .refused(let fault, let result):
            let t = scratch.view[fault].asked
            if let code = result.code, code.isFinalRefusal {
                _ = refuse(t, ledger.identityHash(t.debitAccountID, t.id), code)
            }
            answerAll(count, origin, fault: fault, result, journal.appended)
        }
        return true
    }

    /// Another shard's account that takes any credit of its ledger, as a chain sees it; nil: the chain asks more of it, as a
    /// post or void does that leaves it out and ends a hold there.
    private func promised(_ place: Int) -> Account? {
        var stand: Account?
        for i in 0..<scratch.view.count where Int(scratch.view[i].creditPlace) == place {
            guard scratch.view[i].asked.flags.isPlain else { return nil }
            stand = Account(id: scratch.view.accountID(place), ledger: scratch.view[i].asked.ledger, code: 1)
        }
        return stand
    }

    // MARK: Answers

    func hasRoomForChain(opens: Int) -> Bool {
        guard ledger.hasRoomForTransfer && journal.admitsNewWork else { return false }
        return opens == 0 || hasRoomForPending(opens)
    }

    mutating func answer(_ origin: Origin, _ i: Int, _ result: EventResult, _ lsn: LSN? = nil) {
        var origin = origin
        origin.index += UInt32(truncatingIfNeeded: i)
        answers.append(
            Answer(
                origin: origin, result: result,
                lsn: isFaulty(.answerBeforeDurable) ? .zero : lsn ?? journal.appended))
    }

    /// One event at fault; all others say so.
    mutating func answerAll(_ count: Int, _ origin: Origin, fault: Int, _ result: EventResult, _ lsn: LSN) {
        for i in 0..<count { answer(origin, i, i == fault ? result : EventResult(.linkedEventFailed), lsn) }
    }
}
