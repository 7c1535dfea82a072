// Faults that tests switch on to see that their harness notices them. Debug builds only.

internal import SuanpanCore

/// Deliberate breaches of the protocol's rules. A harness that does not notice each of them is blind.
public enum Fault: UInt8, CaseIterable, Sendable {
    /// Answers leave before the log that explains them is durable.
    case answerBeforeDurable
    /// D sends `commit` before its decision is durable.
    case commitBeforeDurable
    /// C votes on facts that are not durable.
    case voteBeforeDurable
    /// Another shard remembers that a chain is refused before what its earlier events rest on is durable.
    case refuseBeforeDurable
    /// What depends on something undecided is refused.
    case refuseInsteadOfWait
    /// A read does not wait for what is undecided.
    case readUndecided
    /// A holder waits for older transfers too.
    case waitWithoutDying
    /// Those behind one that waits keep what they hold.
    case keepFollowers
    /// What may follow from a decision by a standing vote leaves before the announcement is noted.
    case releaseBeforeNoted
    /// A read or a refusal does not wait for credits that it has not heard of.
    case lookUnheard
    /// A read or a refusal does not wait for credits that it has heard of to be applied.
    case lookUnapplied
    /// D goes on using a standing vote that C has taken back.
    case keepStandingVotes
    /// C locks, freezes and closes an account without taking its standing vote back.
    case keepPromises
    /// A remembered id is not looked for.
    case forgetIDs
    /// An id that is being decided is not looked for.
    case forgetOpenIDs
    /// A chain's accounts are free once its shard has voted.
    case unlockBeforeCommit
    /// A chain reserves nothing of what it needs.
    case reserveNothing
    /// Votes on credits that are not durable, of chains that reserve.
    case forgetRaises
    /// An id that a reserved chain is deciding is not looked for.
    case forgetChainIDs
    /// A read does not wait for chains that have reserved.
    case readReserved
    /// An expiry does not ask who holds its accounts.
    case expireWithoutLock
    /// Of a committed chain only the first leg is applied.
    case applyChainInPart
    /// What is due holds its money until its expiry is recorded.
    case holdPastDeadline
    /// What closes an account is over if it was due when the transfer came, though its limits are as of later.
    case closeByAge
    /// A chain is judged though its shards spoke as of moments of their own.
    case judgeManyMoments
    /// A copy is taken though the clock is past the cut.
    case cutThoughLate
    /// A cut leaves out commits that were under way.
    case cutWithoutLanes
    /// A cut takes commits in that were decided after it.
    case cutWithLaterCommits
    /// A share is given before its log is durable.
    case cutBeforeDurable
    /// Credits of 666 units are lost in memory, the log has them: double entry is broken.
    case loseCredits
}

#if SUANPAN_FAILPOINTS
    internal import Glibc

    extension Fault {
        /// By the name of its case; nil: there is none.
        public init?(named name: String) {
            guard let fault = Self.allCases.first(where: { "\($0)" == name }) else { return nil }
            self = fault
        }

        /// The one that SUANPAN_FAULT names; nil: none.
        // SAFETY: read once, at the first use; nothing changes the environment after the start.
        public static let armed: Fault? = unsafe getenv("SUANPAN_FAULT").flatMap {
            Fault(named: unsafe String(cString: $0))
        }
    }
#endif

extension Shard {
    /// Whether a rule is switched off. Always false, and gone, in a release build.
    @inline(__always)
    func isFaulty(_ fault: Fault) -> Bool {
        #if SUANPAN_FAILPOINTS
            return self.fault == fault
        #else
            return false
        #endif
    }

    /// What a credit leaves on the account: all of it.
    @inline(__always)
    func kept(_ credit: Amount) -> Amount { isFaulty(.loseCredits) && credit.value == 666 ? .zero : credit }
}
