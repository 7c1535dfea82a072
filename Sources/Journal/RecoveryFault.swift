// A fault that tests switch on to see that their harness notices it. Debug builds only.

#if SUANPAN_FAILPOINTS
    public import Synchronization

    /// A deliberate breach of recovery's rules.
    public enum RecoveryFault {
        /// The records of a group are not compared with its checksum.
        public static let acceptTornGroups = Atomic<Bool>(false)
    }
#endif
