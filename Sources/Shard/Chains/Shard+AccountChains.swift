// Chains of account creations: all accounts or none. Within one shard a chain is judged and applied at once. Over several
// it goes through the machine of Shard+Chains and Shard+Locks, its decision and legs of kind `accountLeg`.
//
// What it holds are ids that do not exist yet, from its lock to its end: whatever must know whether such an account exists
// waits, holding nothing. Accounts that exist need no lock, as they never go away. Chains of accounts wait for each other
// by wait-die, and for chains of transfers that rest on an absence at any age: nobody waits for them with a hold.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger

extension Shard {
    // MARK: Submitting

    /// Decides a chain of account creations whose first hashes to this shard. The accounts stand in `chainInput`,
    /// 0 ..< count, seen as transfers, linked as a chain should be.
    /// - Returns: As `submitChain`.
    public mutating func submitAccountChain(_ count: Int, _ origin: Origin) -> Submission {
        guard againQueue.isEmpty, hasRoom else { return .stalled }
        scratch.view.begin(ofAccounts: true)
        for i in 0..<count {
            scratch.view.add(chainInput[i])
            // No event behind it can be at fault before it.
            if Account(bits: chainInput[i]).refusalByRequest() != .created { break }
        }
        for place in 0..<scratch.view.accountCount {
            let account = scratch.view.account(place).id
            if routing.shard(of: account) != id {
                return begin(.accounts, count, origin) != nil ? .deferred : .stalled
            }
            // Those that wait for its end do so by locks.
            if isHeld(account) { return begin(.accounts, count, origin) != nil ? .deferred : .stalled }
            if let index = ledger.find(account) { scratch.view.setAccount(place, ledger.accountAsCreated(index)) }
        }
        let chain = scratch
        switch accountChain.judge(&chain.view) {
        case .created:
            guard ledger.hasRoomForAccount(count + absentAccounts.count) && journal.admitsNewWork else {
                answerAll(count, origin, fault: 0, EventResult(.capacityExhausted), journal.appended)
                return .decided
            }
            chainEnd = LSN(journal.appended.value + UInt64(count))
            for i in 0..<count {
                scratch.view.setTimestamp(i, clock.next())
                create(Self.creation(scratch.view, i))
            }
        case .exists, .refused: break
        }
        for i in 0..<count {
            answer(origin, i, i < scratch.view.count ? scratch.view[i].result : EventResult(.linkedEventFailed))
        }
        return .decided
    }

    // MARK: The coordinator

    /// Every shard has said which of the accounts exist.
    mutating func judgeAccounts(_ c: Int) {
        let chain = chainPool[c]
        guard case .created = accountChain.judge(&chain.view) else { return letGo(c, .ending) }
        guard !chains[c].lacksRoom && journal.admitsNewWork else {
            answerAll(
                Int(chains[c].count), chains[c].origin, fault: 0, EventResult(.capacityExhausted), journal.appended)
            chains[c].isAnswered = true
            return letGo(c, .ending)
        }
        record(c)
    }

    /// The log record of one of the chain's accounts.
    static func accountRecord(_ chain: ChainReference, _ i: Int, peer: ShardID, sequence: UInt64) -> LogRecord {
        var record = LogRecord(accountLeg: Account(bits: chain.view.final(i)), peer: peer, sequence: sequence)
        if i + 1 < chain.view.count { record.flags.insert(.chainContinues) }
        return record
    }

    /// Appends an account leg; creates the account where it lives here.
    /// - Parameter isInCut: In the copy of the cut that is being taken too.
    mutating func applyAccount(_ record: LogRecord, isInCut: Bool) {
        guard routing.shard(of: record.account.id) == id else {
            _ = journal.append(record)
            return
        }
        create(record)
        if isInCut { putIntoCut(created: record.account.id) }
    }

    /// The log record of one account of a chain that is all here.
    static func creation(_ chain: borrowing ChainView, _ i: Int) -> LogRecord {
        var record = LogRecord(Account(bits: chain.final(i)))
        if i + 1 < chain.count { record.flags.insert(.chainContinues) }
        return record
    }

    mutating func create(_ record: LogRecord) {
        _ = journal.append(record)
        ledger.apply(account: record.account, lsn: factLSN)
    }

    // MARK: The shards that take part

    /// Holds the ids of a chain of accounts that live here, says which accounts exist, and votes; or waits, or lets go.
    mutating func lockAccounts(_ p: Int) {
        let chain = reference(p)
        var missing: [(id: AccountID, hash: UInt64)] = []
        var isFree = true
        for place in 0..<chain.view.accountCount {
            guard chain.view.owner(place) == id else { continue }
            let account = chain.view.accountID(place)
            let hash = ledger.accountHash(account)
            if let index = ledger.find(account, hash: hash) {
                chain.view.setAccount(place, ledger.accountAsCreated(index))
                continue
            }
            chain.view.setAbsent(place)
            missing.append((account, hash))
            var link = absentAccounts.firstHold(account, hash)
            while link != 0 {
                let hold = absentAccounts[link]
                if hold.kind != .absent && participants[Int(hold.participant)].age < participants[p].age {
                    return dieBehindHold(p)
                }
                if hold.kind != .awaited { isFree = false }
                link = hold.next
            }
        }
        for account in missing {
            absentAccounts.hold(account.id, account.hash, by: p, isFree ? .creating : .awaited)
        }
        guard isFree else {
            participants[p].state = .lockWaiting
            absentAccounts.wait(p)
            statistics.waits += 1
            return
        }
        order += 1
        participants[p].order = order
        participants[p].state = .locked
        let code: ResultCode = ledger.hasRoomForAccount(absentAccounts.count) ? .created : .capacityExhausted
        if participants[p].coordinator == id {
            sendVote(p, code)
        } else {
            vote(p, code, journal.appended)
        }
    }

    /// Tells the coordinator to let go, and to begin again when some hold has ended.
    mutating func dieBehindHold(_ p: Int) {
        participants[p].state = .dyingBehindHold
        absentAccounts.wait(p)
        statistics.waits += 1
        sayLetGo(p)
    }

    /// The chain, of transfers, must know whether an account is there whose absence another holds. As everywhere the older
    /// waits and the younger lets go, or two that meet here and at another shard would go on letting go for each other.
    /// Before a chain of accounts any lets go: that one waits for younger ones.
    mutating func waitForHold(_ p: Int, _ account: AccountID) {
        var link = absentAccounts.firstHold(account, ledger.accountHash(account))
        while link != 0 {
            let hold = absentAccounts[link]
            let isOlder = participants[Int(hold.participant)].age < participants[p].age
            if isOlder || hold.kind != .absent { return dieBehindHold(p) }
            link = hold.next
        }
        participants[p].state = .lockWaiting
        absentAccounts.wait(p)
        statistics.waits += 1
    }

    /// The participant waits for no hold any more.
    mutating func forgetHeldBack(_ p: Int) {
        absentAccounts.endWait(p)
        endHolds(p)
    }

    /// The chain has ended here: those that waited for its holds go on, the oldest first.
    mutating func endHolds(_ p: Int) {
        guard absentAccounts.endHolds(of: p) else { return }
        while let waiter = absentAccounts.nextEvent() {
            endWaiting(Int(waiter - 1))
            againQueue.append(waiter)
        }
        var waiting: [Int] = []
        while let w = absentAccounts.nextWaiting() { waiting.append(w) }
        waiting.sort { participants[$0].age < participants[$1].age }
        for w in waiting {
            let chain = participants[w].state == .lockWaiting ? reference(w) : nil
            if let chain, chain.view.isOfAccounts {
                absentAccounts.endHolds(of: w)
                lockAccounts(w)
            } else if let chain {
                participants[w].state = .free
                lock(w, chain)
            } else {
                participants[w].state = .free
                sayAgain(w)
            }
        }
    }

    // MARK: Everybody else

    /// Whether the account exists is being decided.
    @inline(__always)
    func isBeingCreated(_ account: AccountID) -> Bool {
        !absentAccounts.isEmpty && absentAccounts.isBeingCreated(account, ledger.accountHash(account))
    }

    /// The account must not be created now.
    @inline(__always)
    func isHeld(_ account: AccountID) -> Bool {
        !absentAccounts.isEmpty && absentAccounts.isHeld(account, ledger.accountHash(account))
    }
}
