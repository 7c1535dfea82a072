// What must hold of a shard's lists and counters between two steps. The simulator looks after each turn of a core, tests
// whenever they like; an engine does not.

internal import SuanpanCore

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
        checkStreams()
        checkHolders()
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
}
