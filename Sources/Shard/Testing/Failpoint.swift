// Places where a test kills the process, one by one. Compiled into debug builds only: a release build has no trace.
// SUANPAN_FAILPOINT=name:n kills with SIGKILL when the place is passed for the n-th time in this process.

internal import SuanpanCore

#if SUANPAN_FAILPOINTS
    internal import Glibc
    internal import Synchronization
#endif

/// The steps of a crossing transfer after which a crash is a case of its own.
public enum Failpoint: String, CaseIterable, Sendable {
    /// D has reserved the debit and sent `prepare`.
    case prepared
    /// C has sent its vote.
    case voteSent
    /// D has C's yes.
    case voted
    /// D has appended a decision by a standing vote, and sent the announcement.
    case announced
    /// D has appended the decision; it is not durable.
    case decided
    /// The decision is durable; no commit was sent.
    case durable
    /// The commit is sent.
    case committed
    /// C has appended the credit; it is not durable.
    case credited
    /// C has said `applied`.
    case applied
    /// D has released the answer.
    case answered
    /// D has appended a refusal that C gave.
    case refused
}

#if SUANPAN_FAILPOINTS
    // SAFETY: read once, at the first use; nothing changes the environment after the start.
    private let armed: (name: String, count: Int)? = {
        guard let raw = unsafe getenv("SUANPAN_FAILPOINT") else { return nil }
        let parts = unsafe String(cString: raw).split(separator: ":")
        guard parts.count == 2, let count = Int(parts[1]) else { return nil }
        return (String(parts[0]), count)
    }()
    private let passed = Atomic<Int>(0)
#endif

extension Shard {
    @inline(__always)
    func failpoint(_ place: Failpoint) {
        #if SUANPAN_FAILPOINTS
            if let armed, armed.name == place.rawValue,
                passed.wrappingAdd(1, ordering: .relaxed).newValue == armed.count
            {
                kill(getpid(), SIGKILL)
            }
        #endif
    }
}
