// Faults of the loop that tests switch on to see that their harness notices them. Debug builds only.

/// Deliberate breaches of the loop's rules.
public enum LoopFault: String, CaseIterable, Sendable {
    /// A reply leaves though the clock has not passed its timestamp.
    case releaseBeforeClock
}

extension Loop where Host: ~Copyable {
    /// Whether a rule is switched off. Always false, and gone, in a release build.
    @inlinable @inline(__always)
    func isFaulty(_ fault: LoopFault) -> Bool {
        #if SUANPAN_FAILPOINTS
            return self.fault == fault
        #else
            return false
        #endif
    }
}
