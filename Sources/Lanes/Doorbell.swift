// How a core sleeps without missing a message: it publishes that it sleeps, looks at its lanes once more, and only then
// waits in the kernel. A producer that sees the flag after its flush rings the bell: an eventfd that the sleeper's ring
// reads. The store and the load on both sides are sequentially consistent (Dekker's pattern): at least one of the two
// sees the other.

internal import CSuanpanSupport
internal import Glibc
public import SuanpanCore
internal import Synchronization

/// One per core; `ring` may be called from any thread, the rest by its core alone. Lives as long as the process's engine.
public final class Doorbell: Sendable {
    private let sleeping = Atomic<Bool>(false)
    /// Eight bytes to read when it has rung.
    public let descriptor: CInt

    /// - Throws: When there is no descriptor left.
    public init() throws(SystemError) {
        descriptor = suanpan_eventfd()
        guard descriptor >= 0 else { throw SystemError("make an eventfd", errno: -descriptor) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// The core says that it will sleep unless its lanes, looked at after this, hold something.
    public func willSleep() { sleeping.store(true, ordering: .sequentiallyConsistent) }

    /// The core is awake again.
    public func didWake() { sleeping.store(false, ordering: .sequentiallyConsistent) }

    /// Sleeps until it has rung: for a thread without a ring, between `willSleep` and `didWake`.
    public func wait() {
        var count: UInt64 = 0
        // SAFETY: eight bytes of a local.
        while unsafe read(descriptor, &count, 8) < 0 && errno == EINTR {}
    }

    /// Wakes the core if it sleeps. Call after the lane's flush. One system call at most for each sleep.
    public func ring() {
        // Orders the flush before the look at the flag (the store half of Dekker's pattern).
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard sleeping.load(ordering: .sequentiallyConsistent),
            sleeping.exchange(false, ordering: .sequentiallyConsistent)
        else { return }
        var one: UInt64 = 1
        // SAFETY: eight bytes of a local; a full counter (EAGAIN cannot happen: one ring per sleep) still wakes.
        _ = unsafe write(descriptor, &one, 8)
    }
}
