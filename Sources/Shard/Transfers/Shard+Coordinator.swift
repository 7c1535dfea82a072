// The debit account's shard, D: reserves, asks the credit account's shard, decides, commits. The states are SlotState's.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLedger

extension Shard {
    // MARK: Reserving

    /// Holds the debit and asks the credit side.
    mutating func reserve(_ slot: UInt32) {
        let i = Int(slot)
        let entry = undecidedEntry(slots[i].debit)
        order += 1
        slots[i].order = order
        slots[i].state = .preparing
        undecided[entry].reservedDebits += transfers[i].amount.value
        countPending(transfers[i].flags, 1)
        // Last of the open list.
        slots[i].previous = undecided[entry].openTail
        slots[i].next = 0
        if undecided[entry].openTail != 0 {
            slots[Int(undecided[entry].openTail - 1)].next = slot + 1
        } else {
            undecided[entry].openHead = slot + 1
        }
        undecided[entry].openTail = slot + 1
        if slots[i].peer != id { endCaution(slot) }
        statistics.crossings += 1

        let creditHash = ledger.accountHash(transfers[i].creditAccountID)
        send(.prepare(slot: slot, age: slots[i].age, creditHash: creditHash), to: slots[i].peer)
        failpoint(.prepared)
    }

    /// Lets go of the debit: the slot leaves the open list.
    mutating func unreserve(_ slot: UInt32, _ entry: Int) {
        let i = Int(slot)
        undecided[entry].reservedDebits -= transfers[i].amount.value
        countPending(transfers[i].flags, -1)
        let next = slots[i].next
        let previous = slots[i].previous
        if next != 0 { slots[Int(next - 1)].previous = previous } else { undecided[entry].openTail = previous }
        if previous != 0 { slots[Int(previous - 1)].next = next } else { undecided[entry].openHead = next }
        slots[i].next = 0
        slots[i].previous = 0
    }

    /// The newest open transfer of the account waits at its peer: later ones queue behind it.
    func tailWaits(_ entry: Int) -> Bool {
        let tail = undecided[entry].openTail
        return tail != 0 && slots[Int(tail - 1)].state == .waitingAtPeer
    }

    // MARK: The peer's answers

    /// The credit side's shard has said something about one of our slots.
    mutating func receive(_ answer: PeerAnswer, _ slot: UInt32) {
        if slots[Int(slot)].chain != 0 { return receive(answer, ofChain: slot) }
        let state = slots[Int(slot)].state
        switch state.action(on: answer.kind) {
        case .vote: voted(slot, answer)
        case .refuse: refused(slot, answer)
        case .wait:
            slots[Int(slot)].state = .waitingAtPeer
            abortFollowers(slot)
            statistics.waits += 1
        case .suspend: suspend(slot)
        case .park:
            slots[Int(slot)].state = .parked
            markDirty(slots[Int(slot)].debit)
        case .ignore: break
        case .never: stop("\(answer) for slot \(slot), which is \(state)")
        }
    }

    private mutating func voted(_ slot: UInt32, _ answer: PeerAnswer) {
        let i = Int(slot)
        slots[i].state = .voted
        if case .yes(stands: true) = answer { remember(standing: transfers[i]) }
        failpoint(.voted)
        let entry = undecidedEntry(slots[i].debit)
        if undecided[entry].openHead == slot + 1 && slots[i].next == 0 && canReceive {
            // The usual case: nobody before it and nobody behind it.
            decide(slot, entry)
            ended(entry)
        } else {
            markDirty(slots[i].debit)
        }
    }

    private mutating func refused(_ slot: UInt32, _ answer: PeerAnswer) {
        guard case .no(let code) = answer else { stop("a refusal without its code") }
        let i = Int(slot)
        unreserve(slot, undecidedEntry(slots[i].debit))
        let result = code.isFinalRefusal ? refuse(transfers[i], slots[i].identityHash, code) : EventResult(code)
        finish(slot, result, journal.appended)
        markDirty(slots[i].debit)
        failpoint(.refused)
    }

    /// An older one stands before at the peer.
    private mutating func suspend(_ slot: UInt32) {
        let i = Int(slot)
        abortFollowers(slot)
        let entry = undecidedEntry(slots[i].debit)
        unreserve(slot, entry)
        slots[i].state = .suspended
        beCautious(slot)
        prependParked(entry, slot)
        statistics.restarts += 1
        markDirty(slots[i].debit)
    }

    /// The peer has applied our decisions up to `sequence`: they are answered, those by its vote now.
    mutating func applied(_ sequence: UInt64, at peer: ShardID) {
        let p = peer.index
        invariant(sequence <= peers[p].decided, "decision \(sequence) of \(peers[p].decided) is applied")
        while peers[p].appliedThere < sequence {
            peers[p].appliedThere += 1
            let slot = decidedSlots[pairPlaces.place(p, peers[p].appliedThere)]
            if slot == Self.noSlot {
                peers[p].open -= 1
                failpoint(.answered)
                continue
            }
            let i = Int(slot)
            // Past the last one stands another slot or none, and asking for its memory does no harm.
            let later = decidedSlots[pairPlaces.place(p, peers[p].appliedThere &+ UInt64(Self.entriesAhead))]
            if later != Self.noSlot { slots.prefetch(Int(later)) }
            if slots[i].chain != 0 {
                chainApplied(slot)
                continue
            }
            if !slots[i].isAnnounced {
                answers.append(
                    Answer(
                        origin: slots[i].origin, result: EventResult(.created, timestamp: Timestamp(slots[i].age)),
                        lsn: .zero))
            }
            if slots[i].isPendingOut { peers[p].pendingsOut -= 1 }
            free(slot)
            failpoint(.answered)
        }
    }

    /// Those that reserved on the same debit account after `slot` let go of what they hold: a holder may wait for
    /// younger transfers only, and by the order of the account they would wait for this older one.
    mutating func abortFollowers(_ slot: UInt32) {
        let entry = undecidedEntry(slots[Int(slot)].debit)
        if isFaulty(.keepFollowers) { return }
        while undecided[entry].openTail != slot + 1 {
            let last = undecided[entry].openTail - 1
            let i = Int(last)
            invariant(slots[i].state != .decided, "a decided transfer is behind one that waits")
            unreserve(last, entry)
            slots[i].state = .aborting
            beCautious(last)
            prependParked(entry, last)
            statistics.restarts += 1
            send(.release(slot: last, fault: nil), to: slots[i].peer)
        }
    }

    // MARK: Deciding

    /// Appends the decision of a transfer that both sides have reserved: from here on it is accepted.
    mutating func decide(_ slot: UInt32, _ entry: Int) {
        let i = Int(slot)
        let peer = slots[i].peer
        unreserve(slot, entry)
        undecided[entry].doubtedAt = 0
        let timestamp = clock.next()
        transfers[i].timestamp = timestamp
        if peer == id {
            let participant = participant(slot, id)
            let credit = participants[participant].account
            if transfers[i].flags.isPlain {
                let amount = transfers[i].amount
                let position = journal.append(.transfer, transfers[i], timestamp: timestamp)
                ledger.applyDebit(slots[i].debit, amount)
                ledger.applyCredit(credit, amount)
                noteDebit(slots[i].debit)
                noteRaise(credit)
                ledger.rememberCreated(slots[i].identityHash, position: position.value)
            } else {
                apply(LogRecord(.transfer, transfers[i]), slots[i].debit, credit)
            }
            releaseCredit(participant)
            finish(slot, EventResult(.created, timestamp: timestamp), journal.appended)
        } else {
            endIdentity(slot)
            endCaution(slot)
            resubmitAfter(slot)
            recordDecision(slot, slots[i].debit, slots[i].identityHash)
        }
        failpoint(.decided)
    }

    /// Appends and applies the decision of a crossing transfer whose timestamp is set.
    /// - Parameters:
    ///   - flags: Of its record.
    ///   - announced: Its number among those announced to the peer; 0: the peer has voted on it.
    @inline(__always)
    mutating func recordDecision(
        _ slot: UInt32, _ debit: AccountIndex, _ hash: UInt64, _ flags: LogRecordFlags = [], announced: UInt64 = 0
    ) {
        let i = Int(slot)
        let peer = slots[i].peer
        peers[peer.index].decided += 1
        if transfers[i].flags.isPlain {
            appendDecision(transfers[i], transfers[i].timestamp, debit, hash, peer)
        } else {
            var record = LogRecord(.decision, transfers[i], peer: peer, sequence: peers[peer.index].decided)
            record.flags = flags
            apply(record, debit, nil)
        }
        awaitCommit(slot, transfers[i].timestamp, announced: announced)
    }

    /// Appends and applies the peer's last decision, of a plain transfer.
    @inline(__always)
    mutating func appendDecision(
        _ t: borrowing Transfer, _ timestamp: Timestamp, _ debit: AccountIndex, _ hash: UInt64, _ peer: ShardID
    ) {
        let position = journal.append(
            .decision, t, timestamp: timestamp, peer: peer, sequence: peers[peer.index].decided)
        ledger.applyDebit(debit, t.amount)
        noteDebit(debit)
        ledger.rememberCreated(hash, position: position.value)
    }

    /// The decision of a slot is in the log: its commit leaves when it is durable.
    mutating func awaitCommit(_ slot: UInt32, _ timestamp: Timestamp, announced: UInt64 = 0) {
        let i = Int(slot)
        let peer = slots[i].peer
        slots[i].state = .decided
        slots[i].age = timestamp.nanoseconds
        decidedSlots[pairPlaces.place(peer.index, peers[peer.index].decided)] = slot
        decidedQueue.append(
            DecidedItem(
                slot: slot, peer: peer, lsn: journal.appended, timestamp: timestamp,
                sequence: peers[peer.index].decided, announced: announced, origin: slots[i].origin))
    }

    /// Sends the commits of decisions that have become durable, in the order of the log.
    mutating func sendCommits() {
        let durable = isFaulty(.commitBeforeDurable) ? journal.appended : journal.acknowledged
        while !decidedQueue.isEmpty, decidedQueue.first.lsn <= durable {
            let decision = decidedQueue.first
            guard decision.announced <= peers[decision.peer.index].notedThere else { break }
            if decision.following != 0 && !isRestNoted(decision) { break }
            if decision.sequence == 0 {
                decidedQueue.removeFirst()
                sendAnnouncedCommits(decision.peer)
                sendRevoked(decision)
                continue
            }
            failpoint(.durable)
            decidedQueue.removeFirst()
            if decision.announced != 0 {
                // Whoever knows the answer and asks there finds the credit noted, and waits for it.
                if !decision.origin.isNobody {
                    answers.append(
                        Answer(
                            origin: decision.origin, result: EventResult(.created, timestamp: decision.timestamp),
                            lsn: .zero))
                }
                sendCommit(announced: decision)
            } else {
                sendAnnouncedCommits(decision.peer)
                send(
                    .commit(slot: decision.slot, sequence: decision.sequence, time: decision.timestamp),
                    to: decision.peer)
            }
            failpoint(.committed)
        }
        for p in 0..<shardCount { sendAnnouncedCommits(ShardID(p)) }
    }

    /// The credits of the first decision's chain that stand behind it are noted too, each by its shard.
    private func isRestNoted(_ first: DecidedItem) -> Bool {
        for k in 1...Int(first.following) {
            let decision = decidedQueue[k]
            if decision.announced > peers[decision.peer.index].notedThere { return false }
        }
        return true
    }

    // MARK: Ending a slot

    /// Answers a slot's request and frees it.
    mutating func finish(_ slot: UInt32, _ result: EventResult, _ lsn: LSN) {
        answers.append(
            Answer(
                origin: slots[Int(slot)].origin, result: result,
                lsn: isFaulty(.answerBeforeDurable) ? .zero : lsn))
        endIdentity(slot)
        endCaution(slot)
        resubmitAfter(slot)
        free(slot)
    }

    mutating func free(_ slot: UInt32) {
        let i = Int(slot)
        slots[i].state = .free
        peers[slots[i].peer.index].open -= 1
        freeSlots.give(slot)
    }

    /// Takes the slot out of the table of open identities: the log knows its id now.
    mutating func endIdentity(_ slot: UInt32) {
        let bucket = identityBucket(slots[Int(slot)].identityHash)
        let after = slots[Int(slot)].identityNext
        openIdentityCount -= 1
        if identityHeads[bucket] == slot + 1 {
            identityHeads[bucket] = after
            return
        }
        var link = identityHeads[bucket]
        while link != 0 {
            let i = Int(link - 1)
            if slots[i].identityNext == slot + 1 {
                slots[i].identityNext = after
                return
            }
            link = slots[i].identityNext
        }
        stop("an open transfer is not in the table of open identities")
    }

    mutating func resubmitAfter(_ slot: UInt32) {
        var waiter = slots[Int(slot)].afterHead
        while waiter != 0 {
            let next = waiters[Int(waiter - 1)].next
            endWaiting(Int(waiter - 1))
            againQueue.append(waiter)
            waiter = next
        }
        slots[Int(slot)].afterHead = 0
        slots[Int(slot)].afterTail = 0
    }

    // MARK: Parked slots

    mutating func appendParked(_ entry: Int, _ slot: UInt32) {
        let i = Int(slot)
        slots[i].previous = undecided[entry].parkedTail
        slots[i].next = 0
        if undecided[entry].parkedTail != 0 {
            slots[Int(undecided[entry].parkedTail - 1)].next = slot + 1
        } else {
            undecided[entry].parkedHead = slot + 1
        }
        undecided[entry].parkedTail = slot + 1
    }

    mutating func prependParked(_ entry: Int, _ slot: UInt32) {
        let i = Int(slot)
        slots[i].previous = 0
        slots[i].next = undecided[entry].parkedHead
        if undecided[entry].parkedHead != 0 {
            slots[Int(undecided[entry].parkedHead - 1)].previous = slot + 1
        } else {
            undecided[entry].parkedTail = slot + 1
        }
        undecided[entry].parkedHead = slot + 1
        undecided[entry].doubtedAt = 0
    }

    mutating func removeParkedHead(_ entry: Int) { removeParked(entry, undecided[entry].parkedHead - 1) }

    mutating func removeParked(_ entry: Int, _ slot: UInt32) {
        let i = Int(slot)
        let next = slots[i].next
        let previous = slots[i].previous
        if next != 0 { slots[Int(next - 1)].previous = previous } else { undecided[entry].parkedTail = previous }
        if previous != 0 { slots[Int(previous - 1)].next = next } else { undecided[entry].parkedHead = next }
        undecided[entry].doubtedAt = 0
        slots[i].next = 0
        slots[i].previous = 0
    }

    /// Looks at the first parked transfer of an account again. Returns false when it must wait on.
    mutating func startParked(_ entry: Int) throws(JournalError) -> Bool {
        let slot = undecided[entry].parkedHead - 1
        let i = Int(slot)
        guard slots[i].state == .parked, !tailWaits(entry) else { return false }
        if slots[i].chain != 0 {
            let chain = Int(slots[i].chain - 1)
            if chains[chain].state == .queued && undecided[entry].openHead == 0 { beginLocking(chain) }
            return false
        }
        if undecided[entry].lock | undecided[entry].mark != 0 { return false }
        let t = transfers[i]
        let debit = slots[i].debit
        // A chain may have decided the same id meanwhile.
        if let known = try rememberedAnswer(slots[i].identityHash, t) {
            removeParkedHead(entry)
            finish(slot, known, journal.appended)
            return true
        }
        let now = Timestamp(clock.now)
        let reserved = undecided[entry].reservedDebits
        var worst = ledger.debitRefusal(debit, t, reservedDebits: reserved, expectedCredits: 0, now: now)
        if worst != .created {
            worst = debitRefusal(worst, withoutDueOf: debit, t, reservedDebits: reserved, expectedCredits: 0)
        }
        if worst != .created {
            // All undecided credits count, later ones too: each may be decided already, and something seen here, or by a
            // client, may have followed from it. They end, and what they bring stays, so this waits but a little longer.
            let expected = undecided[entry].reservedCredits
            var best = ledger.debitRefusal(debit, t, reservedDebits: 0, expectedCredits: expected, now: now)
            best = debitRefusal(best, withoutDueOf: debit, t, reservedDebits: 0, expectedCredits: expected)
            if best == worst {
                switch expireDue(debit, worst.dueSides, by: clock.upcoming) {
                case .nothing: break
                case .expired: return true
                case .waits: return false
                }
            }
            if best == worst && worst == .exceedsCredits && doubts(entry) { return false }
            if best == worst || isFaulty(.refuseInsteadOfWait) {
                removeParkedHead(entry)
                finish(slot, refuse(t, slots[i].identityHash, worst), journal.appended)
                return true
            }
            return false
        }
        var verdict = CreditVerdict.undecided
        if slots[i].peer == id && undecided[entry].openHead == 0 {
            verdict = creditVerdict(t, hashed(t))
            if case .refused(let code) = verdict {
                switch expireDue(creditOf: t, hashed(t), code, by: clock.upcoming) {
                case .nothing: break
                case .expired: return true
                case .waits: verdict = .undecided
                }
            }
        }
        removeParkedHead(entry)
        // Others may have taken the room since it came.
        if t.flags.contains(.pending) && !hasRoomForPending(1) {
            finish(slot, EventResult(.capacityExhausted), journal.appended)
            return true
        }
        switch verdict {
        case .refused(let code): finish(slot, refuse(t, slots[i].identityHash, code), journal.appended)
        case .accepted(let credit):
            let timestamp = accept(t, slots[i].identityHash, debit, credit)
            finish(slot, EventResult(.created, timestamp: timestamp), journal.appended)
        case .undecided: reserve(slot)
        }
        return true
    }
}
