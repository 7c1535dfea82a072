// What somebody must have heard who says what an account does not have. A credit that rests on a standing vote is decided
// elsewhere and may be on its way: whoever is told "the balance is b", or "exceeds credits", as of a time T, is told so when
// all shards have been heard from whose clocks were past T. What each has decided up to T stood before that in its lane.
//
// Without this, two who look at two shards at once could each see the transfer that begins at theirs and miss the one that
// ends there, and no order would explain both.
//
//     account looked at at T   ──── hear ────►   every other shard: its clock passes T
//     …                        ◄── heard ────
//     all have been heard: what is undecided now, or was applied meanwhile, is all there is up to T

internal import SuanpanCore
internal import SuanpanLanes
internal import SuanpanLedger

extension Shard {
    /// True when credits of the account may have been decided that are not applied here.
    @inline(__always)
    func mayMissCredits(_ account: AccountIndex) -> Bool {
        mayMissCredits(account, upTo: clock.now)
    }

    /// The same for credits decided up to a time.
    @inline(__always)
    func mayMissCredits(_ account: AccountIndex, upTo time: UInt64) -> Bool {
        if isUnpromised(account) { return false }
        if !clockBarrier.isComplete(upTo: time) && !isFaulty(.lookUnheard) { return true }
        if isFaulty(.lookUnapplied) { return false }
        let id = ledger.account(account).id
        return notedCredits.has(id, ledger.accountHash(id), upTo: time)
    }

    /// The first parked transfer of an account would be refused for lack of credits: true while it must wait to be sure.
    /// As of the first such look since the account was last debited, by one before it or a chain.
    mutating func doubts(_ entry: Int) -> Bool {
        if undecided[entry].doubtedAt == 0 {
            guard mayMissCredits(undecided[entry].account) else { return false }
            undecided[entry].doubtedAt = clock.now
            listen(entry, upTo: clock.now)
        }
        return mayMissCredits(undecided[entry].account, upTo: undecided[entry].doubtedAt)
    }

    /// Looks at the entry again when all has been heard that was decided up to `time`, which is not later than now.
    mutating func listen(_ entry: Int, upTo time: UInt64) {
        if undecided[entry].listensUpTo >= time { return }
        undecided[entry].listensUpTo = time
        let shards = clockBarrier.listen(entry, upTo: time)
        for p in 0..<shardCount where shards >> UInt64(p) & 1 == 1 { send(.hear, to: ShardID(p)) }
    }

    /// Asks a peer for its clock, unless it has been heard up to `time`, or is asked already.
    mutating func ask(_ p: Int, upTo time: UInt64) {
        if clockBarrier.mustAsk(p, upTo: time) { send(.hear, to: ShardID(p)) }
    }

    /// A peer has answered.
    mutating func heard(_ p: Int) {
        if clockBarrier.takeAnswer(of: p) { send(.hear, to: ShardID(p)) }
    }

    /// Looks again at the accounts whose listeners have heard all that they must.
    mutating func tellListeners() {
        while let entry = clockBarrier.nextComplete() {
            if undecided[entry].isUsed { markDirty(undecided[entry].account) }
        }
    }
}
