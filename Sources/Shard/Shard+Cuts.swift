// Consistent cuts: the whole ledger as of one moment X of the engine's clock, for totals and for look-ups of several
// accounts. What was decided with a timestamp up to X belongs to the cut, nothing else does, and no shard stops for it.
//
//     shard 0                          every shard, itself included
//     X = the clock and a little more
//     shows X on the board  ───────►   looks at the board before its clock passes X: each turn, or at the first marker
//                                      clock past X already:  ── late ──►  shard 0 begins again with a later X
//                                      copies its sums and the accounts asked for; sets its clock to X
//                                      ── marker n, on every lane: my decisions for you up to n belong to the cut ──►
//                                      applies commits that belong to it to the copy too
//     adds up the shares    ◄───────   share, when all markers are in, the commits they name applied, its log durable
//     answers
//
// Why the answer is exact. A shard hands out timestamps later than its clock, which was at most X when it copied and is at
// least X after that; so its copy holds exactly its own decisions up to X. A credit decided elsewhere is in the ledger when
// its commit has been applied. One that was applied before the copy is up to X, since a commit's timestamp is observed
// by the clock; one that comes later carries its timestamp, and is added to the copy if that is up to X. None is missed:
// its coordinator had taken it when it copied, so its number is at most that of the coordinator's marker, and the share
// waits until those are applied. A chain's events are decided in one step, so all of them belong to the cut or none.
//
// Why it is strictly serializable. Timestamps are the order of everything that changes the ledger, and reads of one account
// are as of a timestamp too; the cut's place in it is X. X is later than every answer given before the question came, as an
// answer waits until the clock has passed its timestamp, and the cut's own answer waits until the clock has passed X.
// Being late is the only thing that the order of messages can cause: a copy is never wrong, at worst it is not taken.
//
// A single-shard engine takes the same way without markers: one copy, answered when it is durable. One cut at a time;
// questions that come meanwhile share the next one.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLedger

/// A shard's part in the newest cut that it has seen.
struct CutPart {
    /// The cut's moment; 0: none seen yet.
    var time: UInt64 = 0
    /// The copy is taken, the share not given.
    var isOpen = false
    var cut: Cut?
    /// By shard: number of its last decision for this shard that belongs to the cut; nil: its marker is not in.
    var lastCommits: [UInt64?] = []
    var markersMissing = 0
    /// What the share rests on, once all commits are applied.
    var lsn: LSN?
    /// By the ledger's slots.
    var totals: [LedgerTotals] = []
    var accounts: [Account] = []
    /// Places in `accounts`, by account index.
    var places: [UInt32: Int] = [:]
    /// Of each account asked for; nil: unknown.
    var asked: [Int?] = []
}

/// What shard 0 keeps of the questions.
struct CutDesk {
    var waiting: [CutRequest] = []
    /// Those of the cut under way; empty: none is.
    var taken: [CutRequest] = []
    var answered: [CutRequest] = []
    var sharesMissing = 0
    /// A shard was late: begin again, further ahead of the clock.
    var isLate = false
    var lead: UInt64 = 0
}

extension Shard {
    // MARK: Questions, at shard 0

    /// Takes a question in; its answer comes by `nextCutAnswer`.
    public mutating func ask(_ request: CutRequest) { desk.waiting.append(request) }

    /// `beginCut` or `nextCutAnswer` would find something to do.
    public var hasCutWork: Bool {
        !desk.answered.isEmpty || desk.isLate || (desk.taken.isEmpty && !desk.waiting.isEmpty)
    }

    /// Begins a cut where questions wait and none is under way, or begins one again.
    /// - Parameter now: The engine's clock, just read.
    public mutating func beginCut(now: UInt64) {
        if desk.isLate {
            desk.lead *= 2
        } else {
            guard desk.taken.isEmpty, !desk.waiting.isEmpty else { return }
            takeQuestions()
            desk.lead = cutLead
        }
        desk.isLate = false
        statistics.cuts += 1
        desk.sharesMissing = shardCount
        var accounts = [[AccountID]](repeating: [], count: shardCount)
        for request in desk.taken { for account in request.accounts { accounts[home(account)].append(account) } }
        let asksForTotals = desk.taken.contains { $0.asksForTotals }
        cutBoard.begin(Cut(time: max(now, clock.now) &+ desk.lead, asksForTotals: asksForTotals, accounts: accounts))
        joinCut()
    }

    /// As many questions as one cut answers: its copy takes every shard's time.
    private mutating func takeQuestions() {
        var accounts = 0
        var count = 0
        while count < desk.waiting.count {
            accounts += desk.waiting[count].accounts.count
            if count > 0 && accounts > Limits.eventsPerRequestMax { break }
            count += 1
        }
        desk.taken = Array(desk.waiting.prefix(count))
        desk.waiting.removeFirst(count)
    }

    private func home(_ account: AccountID) -> Int { routing.shard(of: account).index }

    /// The next question that is answered. It may leave when the engine's clock has passed its moment.
    public mutating func nextCutAnswer() -> CutRequest? { desk.answered.isEmpty ? nil : desk.answered.removeFirst() }

    // MARK: Taking part

    /// Takes part in a cut that has begun since the last call. Call after reading the engine's clock and before observing
    /// it, and before observing another core's.
    @inline(__always)
    public mutating func joinCut() {
        if cutBoard.time > cutPart.time { copyForCut() }
    }

    @inline(never)
    private mutating func copyForCut() {
        guard let cut = cutBoard.newest(), cut.time > cutPart.time else { return }
        cutPart = CutPart()
        cutPart.time = cut.time
        if clock.now > cut.time && !isFaulty(.cutThoughLate) {
            return sayShare(isLate: true)
        }
        clock.observe(cut.time)
        cutPart.cut = cut
        cutPart.isOpen = true
        if cut.asksForTotals {
            cutPart.totals = ledger.totals(at: Timestamp(cut.time))
            summedLSN = journal.appended
        }
        copyAccounts(cut.accounts[id.index])
        cutPart.lastCommits = Array(repeating: nil, count: shardCount)
        cutPart.markersMissing = shardCount - 1
        for p in 0..<shardCount where p != id.index {
            send(.marker(time: cut.time, decided: peers[p].decided), to: ShardID(p))
        }
    }

    private mutating func copyAccounts(_ ids: [AccountID]) {
        cutPart.asked.reserveCapacity(ids.count)
        var first = 0
        while first < ids.count {
            // In runs, so that the memory's latencies overlap.
            let run = ids[first..<min(first + Self.stagedMax, ids.count)]
            for account in run { ledger.prefetchAccount(hash: ledger.accountHash(account)) }
            for account in run {
                if let index = ledger.guess(hash: ledger.accountHash(account)) { ledger.prefetch(index) }
            }
            for account in run { cutPart.asked.append(ledger.find(account).map { copyAccount($0) }) }
            first += run.count
        }
    }

    private mutating func copyAccount(_ index: AccountIndex) -> Int {
        if let place = cutPart.places[index.value] { return place }
        cutPart.places[index.value] = cutPart.accounts.count
        cutPart.accounts.append(ledger.account(index, at: Timestamp(cutPart.time)))
        return cutPart.accounts.count - 1
    }

    /// A shard's marker: nothing that it decides after this belongs to the cut.
    mutating func takeMarker(_ time: UInt64, _ decided: UInt64, _ from: Int) {
        invariant(time <= cutPart.time, "a marker of a cut that was not seen")
        // Of one that has begun again, or that this shard is late for.
        guard time == cutPart.time, cutPart.isOpen else { return }
        invariant(cutPart.lastCommits[from] == nil, "a second marker of shard \(from)")
        cutPart.lastCommits[from] = decided
        cutPart.markersMissing -= 1
    }

    // MARK: Commits after the copy

    /// Whether a commit must be applied to the copy too.
    @inline(__always)
    func isInCut(time: UInt64, _ sequence: UInt64, from: Int) -> Bool {
        cutPart.isOpen && isInOpenCut(time, sequence, from)
    }

    private func isInOpenCut(_ time: UInt64, _ sequence: UInt64, _ from: Int) -> Bool {
        if isFaulty(.cutWithoutLanes) { return false }
        if isFaulty(.cutWithLaterCommits) { return true }
        let isIn = time <= cutPart.time
        if let last = cutPart.lastCommits[from] {
            invariant(
                isIn == (sequence <= last) || isFaulty(.cutThoughLate),
                "commit \(sequence) and a marker at \(last) disagree")
        }
        return isIn
    }

    /// Call before the accounts change by something that belongs to the cut: takes out of the copy what they hold.
    mutating func takeOutOfCut(debit: AccountIndex?, credit: AccountIndex?) {
        change(debit, credit) { copy, account in
            copy.debitsPending.value &-= account.debitsPending.value
            copy.debitsPosted.value &-= account.debitsPosted.value
            copy.creditsPending.value &-= account.creditsPending.value
            copy.creditsPosted.value &-= account.creditsPosted.value
            copy.flags.formSymmetricDifference(account.flags)
        } totals: {
            $0.subtract($1)
        }
    }

    /// And after it: puts back what they hold now.
    mutating func putIntoCut(debit: AccountIndex?, credit: AccountIndex?) {
        change(debit, credit) { copy, account in
            copy.debitsPending.value &+= account.debitsPending.value
            copy.debitsPosted.value &+= account.debitsPosted.value
            copy.creditsPending.value &+= account.creditsPending.value
            copy.creditsPosted.value &+= account.creditsPosted.value
            copy.flags.formSymmetricDifference(account.flags)
        } totals: {
            $0.add($1)
        }
    }

    /// A transfer that belongs to the cut holds, or releases, what is over by the cut's time: of the sums that is no part.
    mutating func takeOutOfCut(_ over: (amount: Amount, isOpening: Bool), debit: AccountIndex?, credit: AccountIndex?) {
        guard let either = debit ?? credit, !cutPart.totals.isEmpty else { return }
        let slot = ledger.totalsSlot(of: either)
        let change = over.isOpening ? 0 &- over.amount.value : over.amount.value
        if debit != nil { cutPart.totals[slot].debitsPending &+= change }
        if credit != nil { cutPart.totals[slot].creditsPending &+= change }
    }

    /// An account has been created that belongs to the cut.
    mutating func putIntoCut(created account: AccountID) {
        guard let cut = cutPart.cut, let index = ledger.find(account) else { return }
        for (i, asked) in cut.accounts[id.index].enumerated() where asked == account {
            cutPart.asked[i] = copyAccount(index)
        }
        guard cut.asksForTotals else { return }
        while cutPart.totals.count < ledger.ledgerCount {
            cutPart.totals.append(LedgerTotals(ledger: ledger.totals(cutPart.totals.count).ledger))
        }
    }

    private mutating func change(
        _ debit: AccountIndex?, _ credit: AccountIndex?, account: (inout Account, Account) -> Void,
        totals: (inout LedgerTotals, LedgerTotals) -> Void
    ) {
        for side in [debit, credit] {
            guard let side, let place = cutPart.places[side.value] else { continue }
            let current = ledger.account(side, at: Timestamp(cutPart.time))
            account(&cutPart.accounts[place], current)
        }
        // Both accounts share their ledger, and so its sums.
        guard let either = debit ?? credit, !cutPart.totals.isEmpty else { return }
        let slot = ledger.totalsSlot(of: either)
        totals(&cutPart.totals[slot], ledger.totals(slot))
    }

    // MARK: Shares

    /// Gives this shard's share once it is whole and durable.
    mutating func advanceCut() {
        guard cutPart.isOpen, cutPart.markersMissing == 0 else { return }
        if cutPart.lsn == nil {
            for p in 0..<shardCount where p != id.index {
                guard peers[p].applied >= cutPart.lastCommits[p] ?? 0 || isFaulty(.cutWithoutLanes) else { return }
            }
            cutPart.lsn = journal.appended
        }
        guard let lsn = cutPart.lsn, lsn <= released || isFaulty(.cutBeforeDurable) else { return }
        cutPart.isOpen = false
        let share = CutShare(
            totals: cutPart.totals, accounts: cutPart.asked.map { place in place.map { cutPart.accounts[$0] } })
        cutPart.cut?.put(share, of: id)
        cutPart.totals = []
        cutPart.accounts = []
        cutPart.places = [:]
        cutPart.asked = []
        sayShare(isLate: false)
    }

    /// Tells shard 0 that this shard's share is there, or that it is late.
    private mutating func sayShare(isLate: Bool) {
        if id.value == 0 { return takeShare(cutPart.time, isLate: isLate) }
        send(isLate ? .late(time: cutPart.time) : .share(time: cutPart.time), to: ShardID(0))
    }

    /// At shard 0: a shard has put its share in, or was late.
    mutating func takeShare(_ time: UInt64, isLate: Bool) {
        guard time == cutPart.time, !desk.taken.isEmpty else { return }
        if isLate {
            desk.isLate = true
            return
        }
        desk.sharesMissing -= 1
        if desk.sharesMissing == 0 { answerQuestions() }
    }

    private mutating func answerQuestions() {
        guard let cut = cutPart.cut else { stop("a cut ends that has not begun") }
        let shares = cut.takeShares()
        cutPart.cut = nil
        let time = Timestamp(cut.time)
        let totals = cut.asksForTotals ? Self.sum(shares, time) : []
        var next = [Int](repeating: 0, count: shardCount)
        for request in desk.taken {
            var answer = CutAnswer(time: time)
            if request.asksForTotals { answer.totals = totals }
            answer.accounts.reserveCapacity(request.accounts.count)
            for account in request.accounts {
                let shard = home(account)
                answer.accounts.append(shares[shard].accounts[next[shard]])
                next[shard] += 1
            }
            request.answer = answer
        }
        desk.answered += desk.taken
        desk.taken = []
    }

    private static func sum(_ shares: [CutShare], _ time: Timestamp) -> [LedgerTotals] {
        var sums: [UInt32: LedgerTotals] = [:]
        for share in shares {
            for part in share.totals { sums[part.ledger, default: LedgerTotals(ledger: part.ledger)].add(part) }
        }
        return sums.values.sorted { $0.ledger < $1.ledger }.map { sum in
            var sum = sum
            sum.timestamp = time
            return sum
        }
    }

    /// Nothing of a cut is under way at shard 0.
    var isDeskEmpty: Bool { desk.waiting.isEmpty && desk.taken.isEmpty && desk.answered.isEmpty }
}
