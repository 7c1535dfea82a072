// Looking ahead: before a run of transfers is decided one by one, their index lines and then their accounts are asked for
// together, so that the memory's latencies overlap instead of adding up. Changes nothing but a scratch table.
// The idea is that of batched hash joins (Chen et al., "Improving hash join performance through prefetching", 2004).

public import SuanpanCore
public import SuanpanLanes
internal import SuanpanLedger

/// What looking ahead found for one transfer. Account indices are guesses by hash, verified where they are used: an
/// account may be created earlier in the same run.
struct Staged: BitwiseCopyable {
    var identityHash: UInt64
    var debitHash: UInt64
    var creditHash: UInt64
    /// Account index plus 1; 0: not guessed.
    var debit: UInt32
    var credit: UInt32
    /// Of the pending transfer that it opens, posts or voids; 0: it does not.
    var pendingHash: UInt64
    /// Where the credit account lives.
    var peer: ShardID
}

/// What looking ahead found for one message of another shard.
struct StagedMessage: BitwiseCopyable {
    enum Step: UInt8, BitwiseCopyable { case nothing, prepare, commit, vote, lock, chainCommit, chainVote }
    var step: Step
    /// The participant or the slot.
    var at: UInt32
    /// Account index plus 1; 0: not known.
    var account: UInt32
    /// Of the credit account; of a chain's: its view, as a `ChainReference`'s bits.
    var hash: UInt64
}

extension Shard {
    /// Transfers looked ahead at together.
    public static var stagedMax: Int { 32 }
    /// How far ahead the memory of table entries is asked for that are taken or ended one after the other.
    static var entriesAhead: Int { 8 }

    /// Takes the `k`-th transfer of a run down, to be looked ahead at with the others.
    @inline(__always)
    public mutating func stage(_ k: Int, _ t: borrowing Transfer) {
        staged[k] = hashed(t)
        if !t.flags.isPlain { stagePending(k, t) }
    }

    private mutating func stagePending(_ k: Int, _ t: borrowing Transfer) {
        if t.flags.resolves {
            staged[k].pendingHash = ledger.identityHash(t.debitAccountID, t.pendingID)
        } else if t.flags.contains(.pending) {
            staged[k].pendingHash = staged[k].identityHash
        }
    }

    /// Asks for the memory that deciding the first `count` staged transfers will touch: three looks, each at what the one
    /// before has brought near. Each does little else, so that the processor has many under way at once.
    public mutating func lookAhead(staged count: Int) {
        for k in 0..<count { ledger.prefetchIdentity(hash: staged[k].identityHash) }
        for k in 0..<count { lookForAccounts(k) }
        for k in 0..<count { stageAccounts(k) }
        for k in 0..<count { stageUndecided(k) }
    }

    /// First look: the lines of the indices.
    @inline(__always)
    private func lookForAccounts(_ k: Int) {
        ledger.prefetchAccount(hash: staged[k].debitHash)
        if staged[k].peer == id {
            ledger.prefetchAccount(hash: staged[k].creditHash)
        } else {
            standingVotes.prefetch(staged[k].creditHash)
        }
        if openIdentityCount > 0 { identityHeads.prefetch(identityBucket(staged[k].identityHash)) }
        if staged[k].pendingHash != 0 {
            if staged[k].pendingHash != staged[k].identityHash { ledger.prefetchIdentity(hash: staged[k].pendingHash) }
            ledger.prefetchPending(hash: staged[k].pendingHash)
        }
    }

    /// Second look: guesses the accounts by their hashes and asks for their records.
    @inline(__always)
    private mutating func stageAccounts(_ k: Int) {
        if let debit = ledger.guess(hash: staged[k].debitHash) {
            ledger.prefetch(debit)
            staged[k].debit = debit.value + 1
        }
        if staged[k].peer == id, let credit = ledger.guess(hash: staged[k].creditHash) {
            ledger.prefetch(credit)
            staged[k].credit = credit.value + 1
        }
        if staged[k].pendingHash != 0 { ledger.prefetchPendingEntry(hash: staged[k].pendingHash) }
    }

    /// Third look: what is undecided on the accounts; and where a post or a void leaves its credit account out, that
    /// of what it names.
    @inline(__always)
    private func stageUndecided(_ k: Int) {
        if staged[k].pendingHash != 0 && staged[k].credit == 0 { ledger.prefetchNamed(hash: staged[k].pendingHash) }
        guard shardCount > 1 else { return }
        if staged[k].debit != 0 { prefetchUndecided(AccountIndex(staged[k].debit - 1)) }
        if staged[k].credit != 0 { prefetchUndecided(AccountIndex(staged[k].credit - 1)) }
    }

    /// The hashes of a transfer that nobody looked ahead at.
    @inline(__always)
    func hashed(_ t: borrowing Transfer) -> Staged {
        Staged(
            identityHash: ledger.identityHash(t.debitAccountID, t.id), debitHash: ledger.accountHash(t.debitAccountID),
            creditHash: ledger.accountHash(t.creditAccountID), debit: 0, credit: 0,
            pendingHash: 0, peer: routing.shard(of: t.creditAccountID))
    }

    /// The account, by a guess where that is right.
    @inline(__always)
    func find(_ account: AccountID, hash: UInt64, guess: UInt32) -> AccountIndex? {
        if guess != 0 && ledger.isAccount(AccountIndex(guess - 1), account) { return AccountIndex(guess - 1) }
        return ledger.find(account, hash: hash)
    }

    // MARK: Messages. Three looks, each at what the one before has brought near.

    /// All of them at the next messages to itself: as far as one run goes.
    mutating func lookAheadAtOwn() {
        let count = min(selfQueue.count, Self.stagedMax)
        for k in 0..<count { lookAhead(k, selfQueue[k]) }
        for k in 0..<count { lookCloser(k) }
        for k in 0..<count { lookClosest(k) }
    }

    /// First look at the `k`-th message of a run: the transfer, slot or participant it names, the credit account's index.
    @inline(__always)
    public mutating func lookAhead(_ k: Int, _ message: Message) {
        var found = StagedMessage(step: .nothing, at: 0, account: 0, hash: 0)
        let peer = ShardID(message.from)
        switch message.kind {
        case .prepare, .announce, .commit, .lock, .voteYes, .voteNo, .chainYes:
            found = lookAhead(ProtocolMessage(message), peer)
        default: break
        }
        stagedMessages[k] = found
    }

    private func lookAhead(_ message: ProtocolMessage, _ peer: ShardID) -> StagedMessage {
        var found = StagedMessage(step: .nothing, at: 0, account: 0, hash: 0)
        switch message {
        case .prepare(let slot, _, let creditHash), .announce(let slot, let creditHash, _):
            found.step = .prepare
            found.hash = creditHash
            tables[peer.index].prefetch(Int(slot))
            participants.prefetch(participant(slot, peer))
            ledger.prefetchAccount(hash: creditHash)
        case .commit(let slot, _, _):
            found.step = .commit
            found.at = UInt32(truncatingIfNeeded: participant(slot, peer))
            participants.prefetch(Int(found.at))
        case .yes(let slot, _, _), .chainYes(let slot, _, _, _):
            found.step = .vote
            found.at = slot
            slots.prefetch(Int(slot))
            transfers.prefetch(Int(slot))
        case .lock(let slot, _, let place):
            let chain = ChainReference(base: tables[peer.index].chainViews, index: place)
            found.step = .lock
            found.hash = chain.bits
            participants.prefetch(participant(slot, peer))
            chain.view.prefetch()
        case .no(let slot, _): slots.prefetch(Int(slot))
        default: break
        }
        return found
    }

    /// Second look: the accounts.
    @inline(__always)
    public mutating func lookCloser(_ k: Int) {
        let i = Int(stagedMessages[k].at)
        var account: AccountIndex?
        switch stagedMessages[k].step {
        case .nothing: return
        case .prepare: account = ledger.guess(hash: stagedMessages[k].hash)
        case .commit:
            if participants[i].chain != 0 { return lookCloser(k, .chainCommit, participants[i].chain) }
            account = participants[i].account
        case .lock: return askForIndices(stagedMessages[k].hash)
        case .chainCommit, .chainVote: return
        case .vote:
            if slots[i].chain != 0 {
                let c = Int(slots[i].chain - 1)
                chains.prefetch(c)
                return lookCloser(k, .chainVote, chainPool[c].bits)
            }
            ledger.prefetchIdentity(hash: slots[i].identityHash)
            account = slots[i].debit
        }
        guard let account else { return }
        ledger.prefetch(account)
        stagedMessages[k].account = account.value + 1
    }

    private mutating func lookCloser(_ k: Int, _ step: StagedMessage.Step, _ chain: UInt64) {
        stagedMessages[k].step = step
        stagedMessages[k].hash = chain
        ChainReference(bits: chain)?.view.prefetch()
    }

    /// Third look: what is undecided on them.
    @inline(__always)
    public func lookClosest(_ k: Int) {
        let account = stagedMessages[k].account
        if account != 0 { return prefetchUndecided(AccountIndex(account - 1)) }
        switch stagedMessages[k].step {
        case .lock: askForAccounts(stagedMessages[k].hash, areFound: false)
        case .chainCommit, .chainVote: askForAccounts(stagedMessages[k].hash, areFound: true)
        default: break
        }
    }

    /// The index lines of a chain's accounts and identities here.
    private func askForIndices(_ bits: UInt64) {
        guard let chain = ChainReference(bits: bits) else { return }
        for place in 0..<chain.view.accountCount where chain.view.owner(place) == id {
            ledger.prefetchAccount(hash: chain.view.account(place).hash)
        }
        if chain.view.isOfAccounts { return }
        for i in 0..<chain.view.count where chain.view.owner(Int(chain.view[i].debitPlace)) == id {
            ledger.prefetchIdentity(hash: chain.view[i].identityHash)
        }
    }

    /// The chain's accounts here.
    /// - Parameter areFound: This shard has found them; else they are guessed.
    private func askForAccounts(_ bits: UInt64, areFound: Bool) {
        guard let chain = ChainReference(bits: bits) else { return }
        for place in 0..<chain.view.accountCount where chain.view.owner(place) == id {
            let account = chain.view.account(place)
            if areFound && !account.exists { continue }
            let index = areFound ? account.index : ledger.guess(hash: account.hash)
            if let index { ledger.prefetch(index) }
        }
    }

    @inline(__always)
    func prefetchUndecided(_ account: AccountIndex) {
        let u = ledger.undecided(account)
        if u != 0 { undecided.prefetch(Int(u - 1)) }
    }
}
