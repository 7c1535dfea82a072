// Expiry of pending transfers, by the debit account's shard. What is due counts as over from that moment on, wherever it is
// asked for, though its expiry is recorded a little later, and may have to wait for others:
//
//     a read, a cut, a limit   as of a time T: leave out what is due at T (`Ledger.account(_:at:)`)
//     closed, overflow         what was due when the transfer came expires first; then it is looked at again
//
// A limit needs no expiry, as nothing can bring back what is due at T. Only a post could, and each is judged by a clock that
// is past T: the debit account's shard has looked at T, or the credit account's has and says so in its vote (an account that
// limits its credits promises none, so that every post asks it). Whatever was judged before still holds the account.
//
// The other two do, as the account's record carries them: it would open for whatever else has closed it meanwhile, or lose a
// carry. They are as of the same moment as the limits: else a hold might be over on one account and not on the other. That
// does not go on for ever, as a hold lasts a second at least, and an account that is closed gets no other. What must wait for
// an expiry holds nothing meanwhile, as the expiry is younger and waits for whoever holds something.

public import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger

/// What has become of what was due of an account.
enum DueOutcome {
    /// Nothing was, on the sides asked for.
    case nothing
    /// All of it has expired: look at the account again.
    case expired
    /// Some of it is being expired, here or by another shard; the account is looked at again when that has happened.
    case waits
}

extension Shard {
    /// When a pending transfer may be due.
    public var nextExpiry: Timestamp? { ledger.nextExpiryLook }

    /// Transfers that one step may expire at once, and those that one chain expires together.
    private static var expiriesPerStep: Int { 64 }
    /// Chains that expire something, under way: more would only wait for each other, where their accounts are few.
    private static var expiryChainsMax: Int { 4 }
    /// Waiting ones that are looked at for others of the same two shards.
    private static var expiriesLookedAt: Int { 256 }
    /// Of chains, and of the credits with each peer, those that only an expiry may use, and of slots as many as it needs:
    /// whatever else is under way may be waiting for one.
    static var keptForExpiry: Int { 1 }
    static var slotsKeptForExpiry: Int { 2 * keptForExpiry }

    /// Something may expire.
    private var mayExpire: Bool { journal.hasRoom(records: Self.recordsPerStep) && freeUndecided.count > 2 }

    /// A chain of expiries may begin: the first always finds what it needs, others leave some to requests.
    private var mayBeginExpiry: Bool {
        if expiriesUnderWay == 0 { return chainPool.freeLargeCount > 0 && freeSlots.count >= Self.slotsKeptForExpiry }
        return expiriesUnderWay < Self.expiryChainsMax && chainPool.freeLargeCount > chainPool.largeCount / 4
            && freeSlots.count > 2 * Self.slotsKeptForExpiry
    }

    /// Expires what is due, some at a time. What lacks room is first in the next turn: all that it lacks comes back soon.
    mutating func expire() {
        var left = Self.expiriesPerStep
        ledger.turn(now: Timestamp(clock.now))
        while left > 0, let due = ledger.nextExpired, mayExpire {
            left -= 1
            if expireAtOnce(due) { continue }
            let peer = routing.shard(of: ledger.pending(due).creditAccountID)
            let isBegun = beginExpiry(due) { shard, next in shard.waiting(from: next, creditedBy: peer) }
            guard isBegun else { return }
        }
    }

    /// Expires a transfer of whose accounts no chain holds one that is here, and whose credit account is here, or granted.
    /// False: nothing was done.
    private mutating func expireAtOnce(_ due: PendingIndex) -> Bool {
        let pending = ledger.pending(due)
        if pending.busy != 0 {
            ledger.take(due)
            return true
        }
        if let debit = pending.debitIndex, isUnlocked(debit) {
            if let credit = pending.creditIndex {
                if isUnlocked(credit) {
                    recordExpiry(pending.transfer)
                    return true
                }
            } else if expireGranted(pending, debit) {
                return true
            }
        }
        guard isFaulty(.expireWithoutLock) else { return false }
        recordExpiry(pending.transfer)
        return true
    }

    /// Expires a transfer whose credit account's shard has promised to take all credits: it is told of the decision and not
    /// asked, as of a void. The lane has brought it the transfer's beginning before. False: nothing was done.
    private mutating func expireGranted(_ pending: PendingTransfer, _ debit: AccountIndex) -> Bool {
        let peer = routing.shard(of: pending.creditAccountID)
        let record = LogRecord(expiryOf: pending.transfer, kind: .decision, timestamp: .zero)
        let creditHash = ledger.accountHash(pending.creditAccountID)
        // Half of what may be open is for requests.
        guard hasCredit(peer.index, kept: openPerPeerMax / 2), freeSlots.count > slotCount / 2,
            !pending.isOpenedElsewhere, !pending.flags.closes, standingVotes.has(record.body, creditHash)
        else { return false }
        switch decideStanding(record.body, record.flags, .nobody, 0, debit, peer, creditHash) {
        case .deferred: return true
        case .answered, .decided, .stalled: stop("an expiry on a promise is not decided")
        }
    }

    /// Begins a chain that expires a transfer whose debit account lives here, and others with it. Its first slot is their
    /// `busy` word.
    /// - Parameter another: One more of the same credit shard that waits, given what stands behind the last one in the
    ///   list; nil: there is none.
    /// - Returns: False: no room at the moment, nothing was done.
    private mutating func beginExpiry(
        _ first: PendingIndex, _ another: (borrowing Shard, PendingIndex?) -> PendingIndex?
    ) -> Bool {
        guard mayBeginExpiry else { return false }
        expiryScratch.begin()
        var count = 0
        var due: PendingIndex? = first
        while let i = due, count < Self.expiriesPerStep {
            var event = ledger.pending(i).transfer
            event.pendingID = event.id
            event.id = TransferID(0)
            event.amount = .zero
            event.flags = .voidPending
            expiryScratch.add(event)
            expiring[count] = i.value
            count += 1
            let next = ledger.waiting(after: i)
            ledger.take(i)
            due = another(self, next)
        }
        let c = begin(.expiry, count, .nobody)
        for k in 0..<count {
            let i = PendingIndex(expiring[k])
            if let c { ledger.setBusy(i, chains[c].slot) } else { ledger.giveBack(i) }
        }
        return c != nil
    }

    /// The first waiting one, from `first` on, whose credit account is another shard's, this one.
    private borrowing func waiting(from first: PendingIndex?, creditedBy peer: ShardID) -> PendingIndex? {
        if peer == id { return nil }
        var left = Self.expiriesLookedAt
        var next = first
        while let i = next, left > 0 {
            left -= 1
            let pending = ledger.pending(i)
            if pending.busy == 0 && routing.shard(of: pending.creditAccountID) == peer { return i }
            next = ledger.waiting(after: i)
        }
        return nil
    }

    /// A chain of expiries was not decided, as something else has resolved one of them: the others wait again.
    mutating func giveBackExpiries(_ c: Int) {
        let chain = chainPool[c]
        for k in 0..<chain.view.count {
            let t = chain.view[k].asked
            guard let i = ledger.findPending(t.debitAccountID, t.pendingID) else { continue }
            ledger.setBusy(i, 0)
            ledger.giveBack(i)
        }
    }

    /// No chain holds the account or waits to: whatever else is undecided there is not hindered by less money held.
    private func isUnlocked(_ account: AccountIndex) -> Bool {
        let u = ledger.undecided(account)
        return u == 0 || undecided[Int(u - 1)].lock | undecided[Int(u - 1)].mark == 0
    }

    mutating func recordExpiry(_ pending: Transfer) {
        let debit = ledger.find(pending.debitAccountID)
        let credit = ledger.find(pending.creditAccountID)
        apply(LogRecord(expiryOf: pending, kind: .transfer, timestamp: clock.next()), debit, credit)
    }

    /// The slot that is expiring the transfer which a post or void names; nil: none is, or it could be done at once.
    mutating func expiring(_ t: borrowing Transfer) -> UInt32? {
        guard t.flags.resolves, !t.id.isZero, routing.shard(of: t.debitAccountID) == id else { return nil }
        let debit = t.debitAccountID
        let named = t.pendingID
        guard let due = ledger.findPending(debit, named),
            PendingFact(ledger.pending(due)).isExpired(at: Timestamp(clock.now))
        else { return nil }
        if ledger.pending(due).busy == 0 && !expireAtOnce(due) {
            guard mayExpire, beginExpiry(due, { _, _ in nil }) else { return nil }
        }
        guard let left = ledger.findPending(debit, named) else { return nil }
        let busy = ledger.pending(left).busy
        // A reserved chain ends first, and then its hold is looked at again.
        return busy == 0 || busy == PendingTransfer.isReserved ? nil : busy - 1
    }

    // MARK: Limits

    /// The debit side's refusal as of now, given that by the account's record: where that is its limit, what is due is left
    /// out. `created`: the clock has passed what was left out.
    /// - Parameter e: Of the transfer on the account.
    @inline(never)
    mutating func debitRefusal(
        _ code: ResultCode, withoutDueOf debit: AccountIndex, _ ledger: UInt32, _ e: Effect, _ bounds: UndecidedBounds
    ) -> ResultCode {
        guard code == .exceedsCredits, !isFaulty(.holdPastDeadline) else { return code }
        let time = clock.upcoming
        let result = self.ledger.debitRefusal(debit, ledger, e, bounds, at: time)
        if result == .created { clock.observe(time.nanoseconds) }
        return result
    }

    /// The same for the credit side.
    @inline(never)
    mutating func creditRefusal(
        _ code: ResultCode, withoutDueOf credit: AccountIndex, _ ledger: UInt32, _ e: Effect, _ bounds: UndecidedBounds
    ) -> ResultCode {
        guard code == .exceedsDebits, !isFaulty(.holdPastDeadline) else { return code }
        let time = clock.upcoming
        let result = self.ledger.creditRefusal(credit, ledger, e, bounds, at: time)
        if result == .created { clock.observe(time.nanoseconds) }
        return result
    }

    /// Likewise of a transfer that is plain or pending.
    mutating func debitRefusal(
        _ code: ResultCode, withoutDueOf debit: AccountIndex, _ t: borrowing Transfer, reservedDebits: UInt128,
        expectedCredits: UInt128
    ) -> ResultCode {
        let bounds = UndecidedBounds(added: reservedDebits, otherPosted: expectedCredits)
        return debitRefusal(code, withoutDueOf: debit, t.ledger, Effect(debitOf: t), bounds)
    }

    mutating func creditRefusal(
        _ code: ResultCode, withoutDueOf credit: AccountIndex, _ t: borrowing Transfer, reservedCredits: UInt128,
        expectedDebits: UInt128
    ) -> ResultCode {
        let bounds = UndecidedBounds(added: reservedCredits, otherPosted: expectedDebits)
        return creditRefusal(code, withoutDueOf: credit, t.ledger, Effect(creditOf: t), bounds)
    }

    // MARK: Before something is refused

    /// Expires what is due of an account on some of its sides. Call it before a refusal that rests on them: one for good must
    /// not rest on what was over when it was asked for.
    /// - Parameter time: When that was. What became due later is not waited for.
    /// - Complexity: O(1) where nothing is due in this shard; else what is due of the account.
    mutating func expireDue(_ account: AccountIndex, _ sides: DueSides, by time: Timestamp) -> DueOutcome {
        if sides.isEmpty || isFaulty(.holdPastDeadline) { return .nothing }
        guard ledger.isHeldByDue(account, sides, by: time) else { return .nothing }
        var left = Self.expiriesPerStep
        while let due = ledger.waitingDue(of: account, sides, by: time) {
            guard left > 0, mayExpire else { return .waits }
            left -= 1
            if expireAtOnce(due) { continue }
            let peer = routing.shard(of: ledger.pending(due).creditAccountID)
            let isBegun = beginExpiry(due) { shard, next in shard.waiting(from: next, creditedBy: peer) }
            guard isBegun else { return .waits }
        }
        guard ledger.isHeldByDue(account, sides, by: time) else { return .expired }
        hurryExpiries(account)
        return .waits
    }

    /// By when something must be due to be over for a participant that is judged now: D has judged its side by a clock that
    /// is not past this, so that both sides are judged as of one moment.
    func timeOfJudging(_ p: Int) -> Timestamp {
        isFaulty(.closeByAge) ? Timestamp(participants[p].age) : Timestamp(clock.now)
    }

    /// Wakes the shards that must expire what is due of a credit account here: their clocks may not have come so far.
    private mutating func hurryExpiries(_ account: AccountIndex) {
        var shards: UInt64 = 0
        ledger.forSomeDueElsewhere(of: account) { shards |= 1 << UInt64(routing.shard(of: $0).value) }
        for p in 0..<shardCount where shards >> UInt64(p) & 1 == 1 { ask(p, upTo: clock.now) }
    }

    // MARK: Chains

    /// The sides of an account on which what is due must have expired before a chain is judged.
    func sidesThatMatter(_ account: AccountIndex, isModest: Bool) -> DueSides {
        var sides: DueSides = isModest && ledger.isFarFromOverflow(account) ? [] : [.debits, .credits]
        if ledger.flags(account).contains(.closed) { sides.insert(.closing) }
        return sides
    }

    /// An account of a chain, here, on which what is due at a time could make a difference to it; it is being expired.
    mutating func accountHeldByDue(
        _ p: Int, _ chain: ChainReference, by time: Timestamp
    ) -> (AccountIndex, DueSides)? {
        // An expiry, or a freeze.
        if chain.view[0].asked.id.isZero { return nil }
        let time = isFaulty(.closeByAge) ? timeOfJudging(p) : time
        let isModest = chain.view.isModest
        for place in 0..<chain.view.accountCount {
            guard let account = accountHere(chain, place) else { continue }
            let sides = sidesThatMatter(account, isModest: isModest)
            if case .waits = expireDue(account, sides, by: time) { return (account, sides) }
        }
        return nil
    }

    /// An account as a chain finds it: what is due holds nothing. What that keeps closed, or near to the end of its balances,
    /// is as it stands: `accountHeldByDue` has seen to it.
    /// - Parameter time: The chain's timestamps are later.
    mutating func accountForChain(_ account: AccountIndex, isModest: Bool, at time: Timestamp) -> Account {
        if !isModest || !ledger.isFarFromOverflow(account) || isFaulty(.holdPastDeadline) {
            return ledger.account(account)
        }
        var record = ledger.account(account, at: time)
        record.flags = ledger.flags(account)
        return record
    }

    // MARK: Before something is shown

    /// An account as it is by this shard's clock.
    mutating func shown(_ account: AccountIndex) -> Account {
        isFaulty(.holdPastDeadline) ? ledger.account(account) : ledger.account(account, at: Timestamp(clock.now))
    }
}
