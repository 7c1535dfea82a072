// What must hold of a shard's lists and counters between two steps. The simulator looks after each turn of a core, tests
// whenever they like; an engine does not.

internal import SuanpanCore

extension Shard {
    /// Ends the process where an owner is at odds with itself.
    /// - Complexity: O(what is under way).
    public func checkInvariants() {
        absentAccounts.checkInvariants()
        clockBarrier.checkInvariants(now: clock.now)
        cutCoordinator.checkInvariants()
        cutParticipant.checkInvariants(id)
        cutCopy.checkInvariants(isTaken: cutParticipant.hasCopy, ledger)
    }
}
