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

extension Shard {
    // MARK: Questions, at shard 0

    /// Takes a question in; its answer comes by `nextCutAnswer`.
    public mutating func ask(_ request: CutRequest) { _ = cutCoordinator.on(.question(request)) }

    /// `beginCut` or `nextCutAnswer` would find something to do.
    public var hasCutWork: Bool { cutCoordinator.hasWork }

    /// Begins a cut where questions wait and none is under way, or begins one again.
    /// - Parameter now: The engine's clock, just read.
    public mutating func beginCut(now: UInt64) {
        guard case .begin(let cut) = cutCoordinator.on(.turn(now: max(now, clock.now))) else { return }
        statistics.cuts += 1
        cutBoard.begin(cut)
        joinCut()
    }

    /// The next question that is answered. It may leave when the engine's clock has passed its moment.
    public mutating func nextCutAnswer() -> CutRequest? { cutCoordinator.nextAnswer() }

    // MARK: Taking part

    /// Takes part in a cut that has begun since the last call. Call after reading the engine's clock and before observing
    /// it, and before observing another core's.
    @inline(__always)
    public mutating func joinCut() {
        if cutBoard.time > cutParticipant.time { joinNewCut() }
    }

    @inline(never)
    private mutating func joinNewCut() {
        guard let cut = cutBoard.newest(), cut.time > cutParticipant.time else { return }
        cutCopy.clear()
        perform(cutParticipant.on(.cut(cut, clock: isFaulty(.cutThoughLate) ? 0 : clock.now)))
    }

    private mutating func perform(_ action: CutParticipantAction) {
        switch action {
        case .none: break
        case .sayLate: sayShare(isLate: true)
        case .copy: copyForCut()
        case .share:
            cutParticipant.give(cutCopy.share, of: id)
            cutCopy.clear()
            sayShare(isLate: false)
        }
    }

    private mutating func copyForCut() {
        guard let cut = cutParticipant.cut else { stop("a copy for a cut that has not begun") }
        clock.observe(cut.time)
        cutCopy.take(
            cut.accounts[id.index], asksForTotals: cut.asksForTotals, at: Timestamp(cut.time), from: &ledger)
        if cut.asksForTotals { summedLSN = journal.appended }
        for p in 0..<shardCount where p != id.index {
            send(.marker(time: cut.time, decided: peers[p].decided), to: ShardID(p))
        }
    }

    /// A shard's marker: nothing that it decides after this belongs to the cut.
    mutating func takeMarker(_ time: UInt64, _ decided: UInt64, _ from: Int) {
        perform(cutParticipant.on(.marker(time: time, from: from, last: decided)))
    }

    // MARK: Commits after the copy

    /// Whether a commit must be applied to the copy too.
    @inline(__always)
    func isInCut(time: UInt64, _ sequence: UInt64, from: Int) -> Bool {
        cutParticipant.hasCopy && isInOpenCut(time, sequence, from)
    }

    private func isInOpenCut(_ time: UInt64, _ sequence: UInt64, _ from: Int) -> Bool {
        if isFaulty(.cutWithoutLanes) { return false }
        if isFaulty(.cutWithLaterCommits) { return true }
        return cutParticipant.includes(time: time, sequence, from: from, mayDisagree: isFaulty(.cutThoughLate))
    }

    /// Call before the accounts change by something that belongs to the cut: takes out of the copy what they hold.
    mutating func takeOutOfCut(debit: AccountIndex?, credit: AccountIndex?) {
        cutCopy.takeOut(debit, credit, &ledger)
    }

    /// And after it: puts back what they hold now.
    mutating func putIntoCut(debit: AccountIndex?, credit: AccountIndex?) { cutCopy.putIn(debit, credit, &ledger) }

    /// A transfer that belongs to the cut holds, or releases, what is over by the cut's time: of the sums that is no part.
    mutating func takeOutOfCut(_ over: (amount: Amount, isOpening: Bool), debit: AccountIndex?, credit: AccountIndex?) {
        cutCopy.takeOut(over, debit, credit, &ledger)
    }

    /// An account has been created that belongs to the cut.
    mutating func putIntoCut(created account: AccountID) { cutCopy.putIn(created: account, &ledger) }

    // MARK: Shares

    /// Gives this shard's share once it is whole and durable.
    mutating func advanceCut() {
        guard cutParticipant.hasCopy else { return }
        if cutParticipant.state == .applying && hasAppliedCut { perform(cutParticipant.on(.applied(journal.appended))) }
        guard let lsn = cutParticipant.lsn, lsn <= released || isFaulty(.cutBeforeDurable) else { return }
        perform(cutParticipant.on(.durable))
    }

    /// All commits that the markers name are applied.
    private var hasAppliedCut: Bool {
        for p in 0..<shardCount where p != id.index && peers[p].applied < cutParticipant.lastCommit(of: p) {
            return isFaulty(.cutWithoutLanes)
        }
        return true
    }

    /// Tells shard 0 that this shard's share is there, or that it is late.
    private mutating func sayShare(isLate: Bool) {
        let time = cutParticipant.time
        if id.value == 0 {
            takeShare(isLate ? .late(time: time) : .share(time: time, from: 0))
        } else {
            send(isLate ? .late(time: time) : .share(time: time), to: ShardID(0))
        }
    }

    /// At shard 0: a shard has put its share in, or was late.
    mutating func takeShare(_ message: CutCoordinatorMessage) { _ = cutCoordinator.on(message) }
}
