// What tests switch on: a fault, to see that their harness notices it, and a slow disk. Debug builds only.

#if SUANPAN_FAILPOINTS
    internal import CSuanpanSupport
    internal import Glibc
    public import Synchronization

    /// A deliberate breach of recovery's rules.
    public enum RecoveryFault {
        /// The records of a group are not compared with its checksum.
        public static let acceptTornGroups = Atomic<Bool>(false)

        /// SUANPAN_REPLAY_PAUSE: milliseconds that each group takes longer, so that a small log takes its time.
        private static let pauseMilliseconds: UInt64 = {
            // SAFETY: the text is copied before anybody could change the environment.
            guard let text = unsafe getenv("SUANPAN_REPLAY_PAUSE") else { return 0 }
            return unsafe UInt64(String(cString: text)) ?? 0
        }()
        static func pause() { if pauseMilliseconds > 0 { suanpan_sleep_microseconds(pauseMilliseconds * 1000) } }
    }
#endif
