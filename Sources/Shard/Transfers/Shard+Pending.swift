// Pending transfers, posts and voids that go singly. A pending transfer asks of its accounts what a plain one does, and goes
// its ways: at once, on a standing vote, or by prepare and vote. A post or void moves what is held already, so that nothing
// undecided on its accounts makes a difference: it is decided at once where its credit account lives here, or is promised.
// What meets a chain, something due or an order to keep goes the way of a chain of one.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger

extension Shard {
    // MARK: Room

    /// True when `n` more pending transfers fit beside those that are being decided and those that others may announce.
    func hasRoomForPending(_ n: Int) -> Bool {
        ledger.hasRoomForPending(n + pendingsUnderWay + 2 * pendingWindow * (shardCount - 1))
    }

    /// Whether other shards may announce pending transfers: each up to `pendingWindow` that are not applied. What one has
    /// announced when it hears that it may no longer is at most twice that: some before, and some on the word before.
    var grantsPendings: Bool { hasRoomForPending(2 * pendingWindow * (shardCount - 1)) }

    /// A transfer with these flags and this peer's credit may be announced.
    @inline(__always)
    func mayAnnounce(_ flags: TransferFlags, _ p: Int) -> Bool {
        !flags.contains(.pending) || (peers[p].grantsPendings && peers[p].pendingsOut < pendingWindow)
    }

    /// A transfer holds, or no longer holds, a place for a pending one.
    @inline(__always)
    mutating func countPending(_ flags: TransferFlags, _ change: Int) {
        if flags.contains(.pending) { pendingsUnderWay += change }
    }

    // MARK: D

    /// Records and applies a pending transfer within this shard.
    mutating func acceptPending(
        _ t: borrowing Transfer, _ debit: AccountIndex, _ credit: AccountIndex
    ) -> Timestamp {
        var record = LogRecord(.transfer, copy t)
        record.body.timestamp = clock.next()
        apply(record, debit, credit)
        return record.timestamp
    }

    /// Decides a new post or void whose debit account is here.
    mutating func admitResolving(
        _ t: borrowing Transfer, _ origin: Origin, _ found: Staged, _ debit: AccountIndex
    ) throws(JournalError) -> Submission {
        let now = Timestamp(clock.now)
        let u = ledger.undecided(debit)
        if u != 0 {
            let entry = Int(u - 1)
            let before = undecided[entry].openHead | undecided[entry].parkedHead
            if before | undecided[entry].lock | undecided[entry].mark != 0 { return try admitAsChain(t, origin) }
        }
        let hash = found.pendingHash != 0 ? found.pendingHash : ledger.identityHash(t.debitAccountID, t.pendingID)
        guard let held = ledger.findPending(t, hash: hash) else { return try admitAsChain(t, origin) }
        let fact = PendingFact(ledger.pending(held))
        let isReserved = ledger.pending(held).busy == PendingTransfer.isReserved
        if isReserved || fact.isExpired(at: now) || fact.flags.closes { return try admitAsChain(t, origin) }
        // 6
        var code = ledger.debitLedgerRefusal(debit, t)
        if code == .created { code = t.pendingRefusal(fact, now: now) }
        if code != .created { return .answered(refuse(t, found.identityHash, code)) }
        let final = t.completed(by: fact)
        let effect = Effect(debitOf: final, held: fact.amount, heldFlags: fact.flags)
        code = ledger.debitRefusal(debit, final, effect, .none, now: now)
        if code != .created { code = debitRefusal(code, withoutDueOf: debit, final.ledger, effect, .none) }
        if code != .created {
            // An account closed by what is due is open.
            if case .nothing = expireDue(debit, code.dueSides, by: clock.upcoming) {
                return .answered(refuse(t, found.identityHash, code))
            }
            return try admitAsChain(t, origin)
        }
        // 7
        let creditHash = ledger.accountHash(final.creditAccountID)
        let peer = routing.shard(of: final.creditAccountID)
        var record = LogRecord(.transfer, final: final, asked: copy t)
        guard peer == id else {
            guard standingVotes.has(final, creditHash), !ledger.pending(held).isOpenedElsewhere else {
                return try admitAsChain(t, origin)
            }
            return decideStanding(
                final, record.flags, origin, found.identityHash, debit, peer, creditHash)
        }
        guard let credit = ledger.find(final.creditAccountID, hash: creditHash) else {
            stop("the credit account of a pending transfer is gone")
        }
        let c = ledger.undecided(credit)
        if c != 0 && undecided[Int(c - 1)].lock | undecided[Int(c - 1)].mark != 0 { return try admitAsChain(t, origin) }
        let creditEffect = Effect(creditOf: final, held: fact.amount, heldFlags: fact.flags)
        code = ledger.creditRefusal(credit, final, creditEffect, .none)
        if code != .created { code = creditRefusal(code, withoutDueOf: credit, final.ledger, creditEffect, .none) }
        if code != .created {
            if case .nothing = expireDue(credit, code.dueSides, by: clock.upcoming) {
                return .answered(refuse(t, found.identityHash, code))
            }
            return try admitAsChain(t, origin)
        }
        record.body.timestamp = clock.next()
        apply(record, debit, credit)
        return .answered(EventResult(.created, timestamp: record.timestamp))
    }

    /// The way of a chain, for one event.
    mutating func admitAsChain(_ t: borrowing Transfer, _ origin: Origin) throws(JournalError) -> Submission {
        scratch.view.begin()
        scratch.view.add(copy t)
        return try submitScratch(1, origin)
    }

    // MARK: C

    /// Whether a credit is one that debits of its account may count on, and that limits others. What is pending, or given
    /// back, brings the account nothing to spend; where nothing limits its credits, nobody must know of it: a debit would
    /// wait for it in vain.
    @inline(__always)
    func isExpected(_ p: Int) -> Bool {
        let flags = participants[p].transfer.value.flags
        return flags.isPlain || flags.contains(.postPending) || !ledger.takesAnyCredit(participants[p].account)
    }

    /// Records and applies the credit side of one that D has decided.
    mutating func commitPending(_ p: Int, _ sequence: UInt64, _ from: Int) {
        let account = participants[p].account
        var record = LogRecord(
            .credit, participants[p].transfer.value, peer: ShardID(from), sequence: sequence)
        record.flags = participants[p].recordFlags
        let time = record.timestamp.nanoseconds
        let entry = undecidedEntry(account)
        let before = ledger.account(account)
        // To reads as of a time at which it is due, it holds nothing.
        let isOver =
            undecided[entry].readGroupTail != 0
            && ledger.over(record, at: Timestamp(readGroups[entry].time)) != nil
        apply(record, nil, account, isInCut: isInCut(time: time, sequence, from: from))
        takeCommit(p, sequence, from)
        failpoint(.credited)
        let after = ledger.account(account)
        showToReads(
            p, entry, time, pending: isOver ? 0 : after.creditsPending.value &- before.creditsPending.value,
            posted: after.creditsPosted.value &- before.creditsPosted.value)
        releaseCredit(p, entry)
    }
}
