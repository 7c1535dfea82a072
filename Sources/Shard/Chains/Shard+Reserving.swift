// Chains that reserve: a shard that takes part says yes at once where its accounts pass in the worst case, whatever becomes
// of all else that is undecided there, and holds no more than the chain needs (`Demand`). Nobody has the account alone, so
// nothing stands still for a sync, however hot it is. What cannot be said yes to at once goes by locks (`Shard+Locks`):
// its shard then knows the balance exactly, and a refusal stays true until the coordinator has ended it.
//
//     reserve    an account      adds the dip to what others must leave, and what it may bring to what they may hope for
//                a pending one   to be posted, voided or expired: held by itself (`busy`), not by its account
//                an identity     that is being decided: in `chainIdentities`
//     commit     applied, then given back;  release: given back
//
// Locks wait for the reservations before them; what comes behind a lock that waits does not reserve.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLedger

/// What a shard finds out before it reserves, by the place in the chain's view.
struct Reserving: ~Copyable {
    var demands = FixedArray<Demand>(count: Limits.accountsPerChainMax)
    var accounts = FixedArray<AccountIndex>(count: Limits.accountsPerChainMax)
    /// Places whose accounts live here.
    var isHere = FixedArray<Bool>(count: Limits.accountsPerChainMax)
}

extension PendingTransfer {
    /// `busy` of one that a reserved chain posts or voids.
    static var isReserved: UInt32 { .max }
}

extension Shard {
    /// Reserves what a chain needs here, and says what it has found.
    /// - Returns: Its vote, and what that rests on in the log; nil: nothing was done.
    mutating func reserve(_ p: Int, _ chain: ChainReference) -> (code: ResultCode, lsn: LSN)? {
        guard chain.view.mayReserve, passes(chain, of: participants[p].coordinator) else { return nil }
        let opens = chain.view.opens
        let hasRoom = opens == 0 || hasRoomForPending(opens)
        participants[p].opens = hasRoom ? UInt8(truncatingIfNeeded: opens) : 0
        pendingsUnderWay += Int(participants[p].opens)
        statistics.reserved += 1

        order += 1
        participants[p].order = order
        participants[p].state = .chainReserved
        participants[p].reservations = 0
        let lsn = takePlaces(p, chain)
        takeIdentities(chain)
        return (hasRoom ? .created : .capacityExhausted, lsn)
    }

    /// Reserves what a chain of this shard needs here, before others are asked. Nil: it asks this shard as it does others.
    mutating func reserveOwn(_ slot: UInt32, _ c: Int) -> ResultCode? {
        let p = begin(slot, id, age: chains[c].age)
        let chain = chainPool[c]
        participants[p].chain = chain.bits
        // Whatever the decision rests on here stands before it in the same log.
        if let vote = reserve(p, chain) { return vote.code }
        participants[p].chain = 0
        return nil
    }

    /// What of the chain is here passes in the worst case, and nothing else holds it.
    mutating func passes(_ chain: ChainReference, of coordinator: ShardID) -> Bool {
        findAccounts(chain) && knowsPending(chain, of: coordinator) && demand(chain) && mayTakeIdentities(chain)
    }

    /// The accounts that live here exist, and nobody has one alone, or waits for that or for room.
    private mutating func findAccounts(_ chain: ChainReference) -> Bool {
        let count = chain.view.accountCount
        guard reservations.room >= count, freeUndecided.count > count, chainIdentities.room >= chain.view.count
        else { return false }
        for place in 0..<count {
            reserving.isHere[place] = chain.view.owner(place) == id
            guard reserving.isHere[place] else { continue }
            let account = chain.view.account(place)
            guard let index = ledger.find(account.id, hash: account.hash) else { return false }
            let u = ledger.undecided(index)
            var debits: UInt128 = 0
            var credits: UInt128 = 0
            if u != 0 {
                let entry = Int(u - 1)
                if undecided[entry].lock | undecided[entry].mark | undecided[entry].waitList.head != 0 { return false }
                debits = undecided[entry].reservedDebits
                credits = undecided[entry].reservedCredits
            }
            reserving.accounts[place] = index
            reserving.demands[place] = Demand(
                ledger.account(index), reservedDebits: debits, reservedCredits: credits)
        }
        return true
    }

    /// What the chain posts or voids is known at its credit account, where that lives here: it ends where it has begun. (The
    /// coordinator of a chain that opened it may be another, whose commit is on its way.) And an account that limits its
    /// credits counts a hold as over from its deadline on, by this shard's clock: the coordinator may be about to post it by
    /// its own, which is not so far.
    private func knowsPending(_ chain: ChainReference, of coordinator: ShardID) -> Bool {
        for i in 0..<chain.view.count where chain.view[i].asked.flags.resolves {
            let t = chain.view[i].asked
            let to = Int(chain.view[i].creditPlace)
            guard reserving.isHere[to] else { continue }
            if ledger.findPending(t.debitAccountID, t.pendingID) == nil { return false }
            let mayOutlive = chain.view.given(i).deadline != 0 && !t.id.isZero && coordinator != id
            if mayOutlive, ledger.flags(reserving.accounts[to]).contains(.creditsMustNotExceedDebits) { return false }
        }
        return true
    }

    /// Every event passes on its accounts here, each seeing the ones before it, in the worst case.
    private mutating func demand(_ chain: ChainReference) -> Bool {
        let now = Timestamp(clock.now)
        for i in 0..<chain.view.count {
            guard let (number, debit, credit) = chain.view.effects(i, now: now) else { return false }
            let from = Int(chain.view[i].debitPlace)
            let to = Int(chain.view[i].creditPlace)
            if reserving.isHere[from] && !reserving.demands[from].debit(number, debit, now: now) { return false }
            if reserving.isHere[to] {
                guard reserving.demands[to].credit(number, credit) else { return false }
                // So large that what is promised might overflow: the promise goes first.
                let isLarge = max(credit.pendingAdd, credit.posted) > Limits.standingAmountMax
                if isLarge && !isUnpromised(reserving.accounts[to]) { return false }
            }
        }
        for place in 0..<chain.view.accountCount where reserving.isHere[place] {
            if reserving.demands[place].takesNothing { continue }
            // Behind those that wait for room to begin.
            let u = ledger.undecided(reserving.accounts[place])
            if u != 0 && undecided[Int(u - 1)].parkedHead != 0 { return false }
        }
        return true
    }

    /// The identities and pending transfers of the chain that live here are new, and open, and nobody else's.
    private mutating func mayTakeIdentities(_ chain: ChainReference) -> Bool {
        for i in 0..<chain.view.count where reserving.isHere[Int(chain.view[i].debitPlace)] {
            let t = chain.view[i].asked
            if t.flags.resolves {
                guard let held = ledger.findPending(t.debitAccountID, t.pendingID) else { return false }
                let busy = ledger.pending(held).busy
                if !t.id.isZero && busy != 0 { return false }
                chain.view.setFact(i, PendingFact(ledger.pending(held)))
            }
            if t.id.isZero { continue }
            let hash = chain.view[i].identityHash
            if chainIdentities.contains(hash) || (openIdentityCount > 0 && openSlot(hash, t) != nil) { return false }
            do throws(JournalError) {
                if try rememberedAnswer(hash, t) != nil { return false }
            } catch {
                // By locks the engine ends of it.
                return false
            }
            chain.view.setIdentity(i, EventResult(.created))
        }
        return true
    }

    /// Adds the chain's reservations, and says how its accounts stand.
    /// - Returns: What the yes rests on is in the log up to there.
    private mutating func takePlaces(_ p: Int, _ chain: ChainReference) -> LSN {
        var lsn = LSN.zero
        for place in 0..<chain.view.accountCount where reserving.isHere[place] {
            let account = reserving.accounts[place]
            chain.view.setIndex(place, account)
            if reserving.demands[place].restsOnBalance { lsn = max(lsn, raises[account]) }
            if ledger.lastStatusLSN > journal.acknowledged { lsn = max(lsn, ledger.statusLSN(account)) }
            let entry = undecidedEntry(account)
            var reservation = Reservation(
                debits: reserving.demands[place].debitsToReserve, credits: reserving.demands[place].creditsToReserve,
                order: order, entry: UInt32(entry), participant: UInt32(p), next: 0, previous: 0,
                nextOfChain: participants[p].reservations)
            if isFaulty(.reserveNothing) {
                reservation.debits = 0
                reservation.credits = 0
            }
            undecided[entry].reservedDebits += reservation.debits
            undecided[entry].reservedCredits += reservation.credits
            participants[p].reservations = reservations.add(reservation, to: &undecided[entry].reservations)
        }
        return lsn
    }

    private mutating func takeIdentities(_ chain: ChainReference) {
        for i in 0..<chain.view.count where reserving.isHere[Int(chain.view[i].debitPlace)] {
            let t = chain.view[i].asked
            if t.id.isZero { continue }
            chainIdentities.add(chain.view[i].identityHash)
            if t.flags.resolves, let held = ledger.findPending(t.debitAccountID, t.pendingID) {
                ledger.setBusy(held, PendingTransfer.isReserved)
            }
        }
    }

    /// Where the log must be durable for what it has got last to hold: of a chain's records, at the chain's end, as a crash
    /// before that takes all of it back.
    var factLSN: LSN { max(journal.appended, chainEnd) }

    /// What the log has got last has raised what the account may take.
    @inline(__always)
    mutating func noteRaise(_ account: AccountIndex) { noteRaise(account, journal.appended) }

    @inline(__always)
    mutating func noteRaise(_ account: AccountIndex, _ lsn: LSN) {
        if isFaulty(.forgetRaises) { return }
        raises[account] = lsn
    }

    /// The same of a posted debit, which only raises what an account that limits its credits may take.
    @inline(__always)
    mutating func noteDebit(_ account: AccountIndex) { noteDebit(account, journal.appended) }

    @inline(__always)
    mutating func noteDebit(_ account: AccountIndex, _ lsn: LSN) {
        if ledger.flags(account).contains(.creditsMustNotExceedDebits) { noteRaise(account, lsn) }
    }

    // MARK: Ending

    /// The chain is applied here, or let go: gives back what it reserved.
    mutating func endReservations(_ p: Int) {
        let chain = reference(p)
        for i in 0..<chain.view.count {
            let t = chain.view[i].asked
            if t.id.isZero || chain.view.owner(Int(chain.view[i].debitPlace)) != id { continue }
            chainIdentities.remove(chain.view[i].identityHash)
            guard t.flags.resolves, let held = ledger.findPending(t.debitAccountID, t.pendingID),
                ledger.pending(held).busy == PendingTransfer.isReserved
            else { continue }
            ledger.setBusy(held, 0)
            // It may have become due meanwhile.
            ledger.giveBack(held)
        }
        var link = participants[p].reservations
        while link != 0 {
            let reservation = reservations[link]
            let entry = Int(reservation.entry)
            undecided[entry].reservedDebits -= reservation.debits
            undecided[entry].reservedCredits -= reservation.credits
            reservations.remove(link, from: &undecided[entry].reservations)
            ended(entry)
            link = reservation.nextOfChain
        }
        participants[p].reservations = 0
        pendingsUnderWay -= Int(participants[p].opens)
        participants[p].opens = 0
        participants[p].state = .free
        participants[p].chain = 0
    }

    /// Reads that began before it, and as of a later time, show what the chain does to its accounts here: call it before,
    /// and after with `adding`.
    mutating func showToReads(reserved p: Int, time: UInt64, adding: Bool) {
        var link = participants[p].reservations
        while link != 0 {
            let reservation = reservations[link]
            let entry = Int(reservation.entry)
            link = reservation.nextOfChain
            guard undecided[entry].readGroupTail != 0, reservation.order < readGroups[entry].barrier,
                time <= readGroups[entry].time
            else { continue }
            let account = ledger.account(undecided[entry].account, at: Timestamp(readGroups[entry].time))
            readGroups[entry].account.change(by: account, adding: adding)
        }
    }
}

extension Account {
    /// Adds the balances and changing flags of another state of the account, or takes them out.
    fileprivate mutating func change(by other: Account, adding: Bool) {
        if adding {
            debitsPending.value &+= other.debitsPending.value
            debitsPosted.value &+= other.debitsPosted.value
            creditsPending.value &+= other.creditsPending.value
            creditsPosted.value &+= other.creditsPosted.value
        } else {
            debitsPending.value &-= other.debitsPending.value
            debitsPosted.value &-= other.debitsPosted.value
            creditsPending.value &-= other.creditsPending.value
            creditsPosted.value &-= other.creditsPosted.value
        }
        flags.formSymmetricDifference(other.flags)
    }
}
