// Faults of the front that tests switch on to see that their harness notices them. Debug builds only.

/// Deliberate breaches of the front's rules.
public enum FrontFault: String, CaseIterable, Sendable {
    /// A reply leaves before the log that explains it is durable.
    case replyBeforeDurable
    /// A command goes to its shard though an earlier one that it shares an account with is decided elsewhere.
    case passOthers
    /// The newest command of a text protocol is answered first.
    case replyNewestFirst
    /// A request of a connection that has ended is answered to the next one in its place.
    case forgetGenerations
    /// A client that sends no more is not owed anything.
    case dropWhenEnded
    /// Nobody looks at the checksum of a frame's body.
    case trustBodies
}

extension Front {
    /// Whether a rule is switched off. Always false, and gone, in a release build.
    @inline(__always)
    func isFaulty(_ fault: FrontFault) -> Bool {
        #if SUANPAN_FAILPOINTS
            return self.fault == fault
        #else
            return false
        #endif
    }
}
