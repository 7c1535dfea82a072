// What must hold of a shard's lists and counters between two steps. The simulator looks after each turn of a core, tests
// whenever they like; an engine does not.

internal import SuanpanCore
internal import SuanpanLedger

extension Shard {
    /// Ends the process where an owner is at odds with itself, or with the shard's tables.
    /// - Complexity: O(places of these).
    public func checkInvariants() {
        streamOrder.checkInvariants()
        absentAccounts.checkInvariants()
        clockBarrier.checkInvariants(now: clock.now)
        cutCoordinator.checkInvariants()
        cutParticipant.checkInvariants(id)
        cutCopy.checkInvariants(isTaken: cutParticipant.hasCopy, ledger)
        notedCredits.checkInvariants()
        checkStreams()
        checkHolders()
        checkAccounts()
    }

    private func checkStreams() {
        if streamOrder.isEmpty { return }
        for slot in 0..<slotCount where streamOrder.contains(slot: UInt32(slot)) {
            invariant(slots[slot].state != .free, "a stream waits for slot \(slot), which is free")
        }
    }

    private func checkHolders() {
        if absentAccounts.isEmpty { return }
        for p in 0..<participants.count {
            let state = participants[p].state
            invariant(
                !absentAccounts.isHolding(p) || state == .locked || state == .lockWaiting,
                "participant \(p), \(state), holds an absent account")
            let waits = absentAccounts.isWaiting(p)
            invariant(
                !waits || state == .lockWaiting || state == .dyingBehindHold,
                "participant \(p), \(state), waits for the end of a hold")
            // Or nobody would tell it of an end.
            invariant(waits || state != .dyingBehindHold, "participant \(p) waits for a hold that does not know")
        }
    }

    // MARK: What is undecided on accounts

    /// - Complexity: O(accounts and what is undecided on them).
    private func checkAccounts() {
        var used = 0
        for i in 0..<ledger.accountCount {
            let u = ledger.undecided(AccountIndex(i))
            if u == 0 { continue }
            let entry = Int(u - 1)
            used += 1
            invariant(
                undecided[entry].isUsed && undecided[entry].account == AccountIndex(i),
                "account \(i) has the entry of another")
            let debits = checkOpen(entry)
            let credits = checkCredits(entry)
            let reserved = checkReservations(entry)
            invariant(
                undecided[entry].reservedDebits == debits + reserved.debits
                    && undecided[entry].reservedCredits == credits + reserved.credits,
                "account \(i) has reserved \(undecided[entry].reservedDebits) and \(undecided[entry].reservedCredits), its "
                    + "lists \(debits + reserved.debits) and \(credits + reserved.credits)")
            checkParked(entry)
            checkList(undecided[entry].waitList, .waiting, entry)
            checkList(undecided[entry].dyingList, .dying, entry)
            checkHolder(undecided[entry].lock, .locked, entry)
            checkHolder(undecided[entry].mark, .lockWaiting, entry)
        }
        invariant(
            used + freeUndecided.count == undecided.count,
            "\(used) entries are in use and \(freeUndecided.count) free, of \(undecided.count)")
    }

    /// The slots that hold a debit, in the order of their reservations. Returns what they hold.
    private func checkOpen(_ entry: Int) -> UInt128 {
        var sum: UInt128 = 0
        var before: UInt32 = 0
        var order: UInt64 = 0
        var link = undecided[entry].openHead
        while link != 0 {
            let i = Int(link - 1)
            let state = slots[i].state
            invariant(
                state == .preparing || state == .waitingAtPeer || state == .voted, "slot \(i), \(state), is open")
            invariant(slots[i].previous == before && slots[i].order > order, "slot \(i) stands in the wrong place")
            invariant(slots[i].debit == undecided[entry].account, "slot \(i) is open at another account")
            sum += transfers[i].amount.value
            order = slots[i].order
            before = link
            link = slots[i].next
        }
        invariant(undecided[entry].openTail == before, "the open list of entry \(entry) ends elsewhere")
        return sum
    }

    /// The slots that wait to begin.
    private func checkParked(_ entry: Int) {
        var before: UInt32 = 0
        var link = undecided[entry].parkedHead
        while link != 0 {
            let i = Int(link - 1)
            let isSingle = slots[i].chain == 0
            let state = slots[i].state
            invariant(
                !isSingle || state == .parked || state == .suspended || state == .aborting,
                "slot \(i), \(state), is parked")
            invariant(slots[i].previous == before, "parked slot \(i) stands in the wrong place")
            invariant(slots[i].debit == undecided[entry].account, "slot \(i) is parked at another account")
            before = link
            link = slots[i].next
        }
        invariant(undecided[entry].parkedTail == before, "the parked list of entry \(entry) ends elsewhere")
    }

    /// The participants that hold a credit. Returns what others must reckon with.
    private func checkCredits(_ entry: Int) -> UInt128 {
        var sum: UInt128 = 0
        checkList(undecided[entry].creditList, .reserved, entry) {
            if participants[$0].isExpected { sum += participants[$0].transfer.value.amount.value }
        }
        return sum
    }

    /// A list of participants of the account, all in one state.
    private func checkList(
        _ list: ParticipantList, _ state: ParticipantState, _ entry: Int, _ body: (Int) -> Void = { _ in }
    ) {
        var before: UInt32 = 0
        var link = list.head
        while link != 0 {
            let p = Int(link - 1)
            invariant(
                participants[p].state == state, "participant \(p), \(participants[p].state), is in the list of \(state)"
            )
            invariant(participants[p].previous == before, "participant \(p) stands in the wrong place")
            invariant(participants[p].account == undecided[entry].account, "participant \(p) is at another account")
            body(p)
            before = link
            link = participants[p].next
        }
        invariant(list.tail == before, "the list of \(state) of entry \(entry) ends elsewhere")
    }

    /// What chains have reserved of the account. Returns the sums.
    private func checkReservations(_ entry: Int) -> (debits: UInt128, credits: UInt128) {
        var sums: (debits: UInt128, credits: UInt128) = (0, 0)
        var before: UInt32 = 0
        var link = undecided[entry].reservations.head
        while link != 0 {
            let reservation = reservations[link]
            let p = Int(reservation.participant)
            invariant(
                participants[p].state == .chainReserved, "participant \(p), \(participants[p].state), has reserved")
            invariant(
                reservation.previous == before && Int(reservation.entry) == entry,
                "a reservation of participant \(p) stands in the wrong place")
            sums.debits += reservation.debits
            sums.credits += reservation.credits
            before = link
            link = reservation.next
        }
        invariant(undecided[entry].reservations.tail == before, "the reservations of entry \(entry) end elsewhere")
        return sums
    }

    /// The chain that holds the account alone, or waits for that.
    private func checkHolder(_ link: UInt32, _ state: ParticipantState, _ entry: Int) {
        guard link != 0 else { return }
        let p = Int(link - 1)
        invariant(
            participants[p].state == state,
            "participant \(p), \(participants[p].state), stands as \(state) at entry \(entry)")
    }
}
