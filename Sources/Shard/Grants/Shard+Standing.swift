// Standing votes: the yes of an account's shard C to all plain credits to come, so that the debit account's shard D may
// decide such a transfer at once. Given with a yes, for accounts that don't limit their credits: nothing but closing,
// freezing and overflow could refuse one.
//
//     D                                             C
//     prepare, the first time      ─────────►       vote
//     remember                     ◄── yes, and it stands
//
//     append the decision
//     … being written …            ── announce ──►  note the credit
//                                  ◄── noted n ──
//     … durable, and noted: answer ── commit n ──►  append, apply
//
//     forget                       ◄── revoke ──    before the account is locked, frozen or closed, and before a credit
//     … commits sent …             ── revoked ──►   so large that others might overflow
//
// Three rules replace what waiting for the vote gave:
//
// 1. **Nothing that may follow from the decision leaves D before C has noted it**: no answer, no vote, no commit that
//    stands behind it in the log (`released`), and no part of a chain before all its shards have noted theirs. So whoever has seen anything of it finds the credit noted at C, and waits
//    there, as behind a vote. It costs no time: the disk takes longer.
// 2. **A promise is taken back before it could be broken**: C revokes, D forgets at once and says `revoked` behind the
//    commits of all that it has decided; the lane keeps the order. A chain revokes before it locks: it judges by what it
//    locked, and an announcement must not slip in beneath.
// 3. **A promise is a durable fact**, as any vote; and gone with the process.

public import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLedger

/// What a shard has said of credits to an account of its own: `Ledger.standing`.
private enum Standing {
    static let none: UInt8 = 0
    static let given: UInt8 = 1
    static let beingRevoked: UInt8 = 2
    /// Bits of the above; the others count the votes until it is given again after it was taken back: where chains and
    /// plain transfers alternate it is not worth its revocation.
    static let mask: UInt8 = 3
    static let countShift: UInt8 = 2
    static let votesBeforeAgain: UInt8 = 7
}

extension Shard {
    /// What may leave: all that stands in the log up to here is durable, and whatever was decided on a standing vote is noted
    /// by the shard that gave it.
    @inline(__always)
    public var released: LSN {
        if decidedQueue.isEmpty || isFaulty(.releaseBeforeNoted) { return journal.acknowledged }
        // A `revoked` may stand behind an empty log.
        return min(journal.acknowledged, LSN(max(decidedQueue.first.lsn.value, 1) - 1))
    }

    /// Commits in one message: each is a record that the receiver must have room for.
    static var commitsMax: Int { 64 }

    // MARK: D

    /// Decides a crossing transfer that its debit side accepts and whose credit is promised.
    /// - Parameters:
    ///   - t: As it comes out.
    ///   - flags: Of its record.
    @inline(__always)
    mutating func decideStanding(
        _ t: borrowing Transfer, _ flags: LogRecordFlags, _ origin: Origin, _ hash: UInt64, _ debit: AccountIndex,
        _ peer: ShardID, _ creditHash: UInt64
    ) -> Submission {
        let p = peer.index
        guard hasCredit(p) else { return .stalled }
        if t.flags.isPlain {
            decideCredit(t, origin, hash, debit, peer)
            return .deferred
        }
        let timestamp = clock.next()
        let slot = takeSlot(origin, peer, age: timestamp.nanoseconds)
        let i = Int(slot)
        transfers[i] = copy t
        transfers[i].timestamp = timestamp
        statistics.crossings += 1
        statistics.announced += 1
        statistics.announcedPending += 1
        peers[p].announced += 1
        slots[i].isAnnounced = true
        if t.flags.contains(.pending) {
            slots[i].isPendingOut = true
            peers[p].pendingsOut += 1
        }
        recordDecision(slot, debit, hash, flags, announced: peers[p].announced)
        markDirty(debit)

        send(.announce(slot: slot, creditHash: creditHash, flags: flags), to: peer)
        failpoint(.announced)
        return .deferred
    }

    /// The same for a plain transfer: all that C must know stands in the announcement, so that it needs no slot.
    @inline(__always)
    private mutating func decideCredit(
        _ t: borrowing Transfer, _ origin: Origin, _ hash: UInt64, _ debit: AccountIndex, _ peer: ShardID
    ) {
        let timestamp = clock.next()
        peers[peer.index].decided += 1
        appendDecision(t, timestamp, debit, hash, peer)
        markDirty(debit)
        var credit = LoggedCredit(of: t)
        credit.timestamp = timestamp
        announce(credit, to: peer, origin, journal.appended)
    }

    /// Announces the credit of the peer's last decision, which counts when the log is durable up to `lsn`.
    /// - Parameter following: So many of its chain's will be next.
    @inline(__always)
    mutating func announce(
        _ credit: LoggedCredit, to peer: ShardID, _ origin: Origin, _ lsn: LSN, following: UInt8 = 0
    ) {
        let p = peer.index
        statistics.crossings += 1
        statistics.announced += 1
        peers[p].announced += 1
        peers[p].open += 1
        decidedSlots[pairPlaces.place(p, peers[p].decided)] = Self.noSlot
        decidedQueue.append(
            DecidedItem(
                slot: Self.noSlot, peer: peer, lsn: lsn, timestamp: credit.timestamp, sequence: peers[p].decided,
                announced: peers[p].announced, origin: origin, following: following))
        failpoint(.decided)
        send(.credit(credit), to: peer)
        failpoint(.announced)
    }

    mutating func remember(standing t: borrowing Transfer) {
        let credit = t.creditAccountID
        standingVotes.add(credit, ledger: t.ledger, ledger.accountHash(credit))
    }

    /// The peer's yes to a chain stands for the credits of these events.
    mutating func remember(standing events: UInt64, of chain: ChainReference) {
        var left = events
        while left != 0 {
            let i = left.trailingZeroBitCount
            left &= left - 1
            let t = chain.view[i].asked
            standingVotes.add(
                t.creditAccountID, ledger: t.ledger, chain.view.account(Int(chain.view[i].creditPlace)).hash)
        }
    }

    /// The peer takes a standing vote back.
    mutating func forgetStanding(_ place: UInt32, _ peer: ShardID, _ accountHash: UInt64) {
        if !isFaulty(.keepStandingVotes) { standingVotes.remove(accountHash) }
        decidedQueue.append(
            DecidedItem(
                slot: place, peer: peer, lsn: journal.appended, timestamp: .zero, sequence: 0,
                announced: 0, origin: .nobody))
    }

    /// A decision's commit may leave: with others, as one message.
    @inline(__always)
    mutating func sendCommit(announced decision: DecidedItem) {
        let p = decision.peer.index
        peers[p].commitsThrough = decision.sequence
        peers[p].commitsTime = decision.timestamp.nanoseconds
        peers[p].commitsCount += 1
        if peers[p].commitsCount == Self.commitsMax { sendAnnouncedCommits(decision.peer) }
    }

    mutating func sendAnnouncedCommits(_ peer: ShardID) {
        let p = peer.index
        guard peers[p].commitsCount > 0 else { return }
        peers[p].commitsCount = 0
        send(.commits(through: peers[p].commitsThrough, time: Timestamp(peers[p].commitsTime)), to: peer)
    }

    /// All decisions before the revocation have been sent as commits.
    mutating func sendRevoked(_ item: DecidedItem) { send(.revoked(place: item.slot), to: item.peer) }

    // MARK: C

    /// D has decided on our standing vote.
    @inline(__always)
    mutating func note(_ credit: LoggedCredit, _ from: Int) {
        notedCredits.note(credit, ledger.accountHash(credit.account), from: from)
        peers[from].noted += 1
    }

    /// The same of what is no plain credit: reserves it.
    mutating func note(_ slot: UInt32, _ peer: ShardID, _ creditHash: UInt64, _ flags: LogRecordFlags) {
        let from = peer.index
        let transfer = tables[from].reference(Int(slot))
        let p = begin(slot, peer, age: transfer.value.timestamp.nanoseconds)
        participants[p].transfer = transfer
        guard let credit = ledger.find(transfer.value.creditAccountID, hash: creditHash) else {
            stop("an announcement for an account that is not here")
        }
        participants[p].account = credit
        participants[p].voteSent = true
        participants[p].recordFlags = flags
        reserveCredit(p)
        notedCredits.note(participant: p, transfer.value.timestamp, from: from)
        peers[from].noted += 1
    }

    /// D's decisions up to a number are durable, all of them announced: records and applies them.
    mutating func commitAnnounced(_ last: UInt64, _ time: Timestamp, _ from: Int) {
        clock.observe(time.nanoseconds)
        let first = peers[from].applied + 1
        invariant(last >= first && last < first + UInt64(Self.commitsMax), "commits from \(first) to \(last)")
        let count = Int(last - first) + 1
        invariant(count <= notedCredits.count(from: from), "a commit without its announcement")
        lookAhead(atNoted: count, from)
        var done = 0
        while done < count {
            let run = creditsInShort(from, upTo: count - done)
            if run == 0 { commitOther(from) } else { commitRun(from, done, run) }
            done += max(1, run)
        }
    }

    /// Two looks: the index lines, then the accounts; seldom is anything undecided on these.
    private mutating func lookAhead(atNoted count: Int, _ from: Int) {
        for k in 0..<count {
            let credit = notedCredits.next(k, from: from)
            if let p = credit.participant {
                participants.prefetch(p)
            } else {
                let hash = ledger.accountHash(credit.account)
                notedHashes[k] = hash
                ledger.prefetchAccount(hash: hash)
            }
        }
        for k in 0..<count {
            if let p = notedCredits.next(k, from: from).participant {
                participants[p].transfer.prefetch()
                ledger.prefetch(participants[p].account)
            } else if let account = ledger.guess(hash: notedHashes[k]) {
                ledger.prefetch(account)
            }
        }
    }

    /// How many of the next announcements make one record of credits.
    @inline(__always)
    private func creditsInShort(_ from: Int, upTo most: Int) -> Int {
        let countMax = min(CreditRun.countMax, most)
        var count = 0
        while count < countMax, notedCredits.next(count, from: from).participant == nil { count += 1 }
        return count
    }

    /// - Parameter first: Its place among those looked ahead at.
    private mutating func commitRun(_ from: Int, _ first: Int, _ count: Int) {
        var run = CreditRun()
        for k in 0..<count { run[CreditRun.countMax - count + k] = notedCredits.next(k, from: from) }
        journal.append(credits: run, count, peer: ShardID(from), sequence: peers[from].applied + 1)
        for k in 0..<count { credit(notedBy: from, notedHashes[first + k]) }
    }

    /// Applies the first credit that a peer has announced, whose record has been appended.
    @inline(__always)
    private mutating func credit(notedBy from: Int, _ hash: UInt64) {
        let credit = notedCredits.next(0, from: from)
        guard let account = ledger.find(credit.account, hash: hash) else {
            stop("an announced credit of an account that is not here")
        }
        peers[from].applied += 1
        peers[from].appliedLSN = journal.appended.value
        notedCredits.end(hash, from: from)
        failpoint(.credited)
        let u = ledger.undecided(account)
        if u != 0 { showToReads(credit, Int(u - 1)) }
        let isInCut = isInCut(time: credit.timestamp.nanoseconds, peers[from].applied, from: from)
        if isInCut { takeOutOfCut(debit: nil, credit: account) }
        ledger.applyCredit(account, kept(Amount(UInt128(credit.amount))))
        noteRaise(account)
        if isInCut { putIntoCut(debit: nil, credit: account) }
        if u != 0 { ended(Int(u - 1)) }
    }

    /// Reads as of a later time show it.
    private mutating func showToReads(_ credit: LoggedCredit, _ entry: Int) {
        let isReading = undecided[entry].readGroupTail != 0
        guard isReading, credit.timestamp.nanoseconds <= readGroups[entry].time else { return }
        readGroups[entry].account.creditsPosted.value &+= UInt128(credit.amount)
    }

    private mutating func commitOther(_ from: Int) {
        guard let p = notedCredits.next(0, from: from).participant else { stop("a plain credit by its participant") }
        notedCredits.endOther(from: from)
        commit(p, peers[from].applied + 1, from)
    }

    /// Whether a yes to a credit of the account that is being sent stands for all to come; notes that it does.
    private mutating func stands(_ account: AccountIndex) -> Bool {
        let standing = ledger.standing(account)
        if standing & Standing.mask == Standing.given { return true }
        guard standing & Standing.mask == Standing.none, ledger.takesAnyCredit(account) else { return false }
        let u = ledger.undecided(account)
        if u != 0 && undecided[Int(u - 1)].lock | undecided[Int(u - 1)].mark != 0 { return false }
        guard standing == 0 else {
            ledger.setStanding(account, standing - 1 << Standing.countShift)
            return false
        }
        ledger.setStanding(account, Standing.given)
        return true
    }

    /// The same of a single transfer's.
    mutating func stands(_ p: Int) -> Bool {
        participants[p].coordinator != id && stands(participants[p].account)
    }

    /// The events of a chain that has reserved whose credits are promised with its yes, a bit for each.
    mutating func standing(of p: Int) -> UInt64 {
        if participants[p].coordinator == id { return 0 }
        let chain = reference(p)
        var events: UInt64 = 0
        for i in 0..<chain.view.count where chain.view[i].asked.flags.isPlain {
            let place = Int(chain.view[i].creditPlace)
            if chain.view.owner(place) == id && stands(chain.view.index(chain.view[i].creditPlace)) {
                events |= 1 << UInt64(i)
            }
        }
        return events
    }

    /// No other shard holds a standing vote on the account, and nothing decided on one is on its way.
    @inline(__always)
    func isUnpromised(_ account: AccountIndex) -> Bool {
        ledger.standing(account) & Standing.mask == Standing.none || isFaulty(.keepPromises)
    }

    /// Takes a standing vote back; whoever marks the account is looked at when that is done.
    mutating func revokeStanding(_ account: AccountIndex) {
        guard ledger.standing(account) & Standing.mask == Standing.given else { return }
        ledger.setStanding(account, Standing.beingRevoked)
        statistics.revocations += 1
        revocations.queue.append(account)
        sendRevocations()
    }

    private mutating func sendRevocations() {
        while !revocations.queue.isEmpty, revocations.free.count > 0 {
            let account = revocations.queue.first
            revocations.queue.removeFirst()
            let place = revocations.free.take()
            revocations.underWay[Int(place)] = .init(account: account, left: shardCount - 1)
            let hash = ledger.accountHash(ledger.account(account).id)
            for p in 0..<shardCount where p != id.index {
                send(.revoke(place: place, accountHash: hash), to: ShardID(p))
            }
        }
    }

    mutating func revoked(_ place: Int) {
        revocations.underWay[place].left -= 1
        guard revocations.underWay[place].left == 0 else { return }
        let account = revocations.underWay[place].account
        revocations.free.give(UInt32(place))
        ledger.setStanding(account, Standing.votesBeforeAgain << Standing.countShift)
        markDirty(account)
        sendRevocations()
    }
}
