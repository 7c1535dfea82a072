// The client's threads, and the bell that wakes one of them.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore

/// Wakes one waiting thread; rings are counted.
@safe
final class Bell: @unchecked Sendable {
    // Guard: a semaphore is made for several threads.
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        unsafe semaphore = .allocate(capacity: 1)
        // SAFETY: freshly allocated, initialized here, destroyed in `deinit` alone.
        invariant(unsafe sem_init(semaphore, 0, 0) == 0, "no semaphore: errno \(errno)")
    }

    deinit {
        unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }

    func ring() { unsafe sem_post(semaphore) }

    /// Sleeps until a ring or the deadline.
    func wait(until deadline: Deadline) {
        // SAFETY: the semaphore lives as long as this object.
        unsafe suanpan_semaphore_wait(semaphore, deadline.nanoseconds)
    }
}

/// Starts a detached thread.
/// - Returns: nil, or why there is none (a limit of processes, no memory for its stack).
func startThread(_ run: @escaping @Sendable () -> Void) -> String? {
    do throws(SystemError) { try SystemThread.start(run).detach() } catch { return "\(error)" }
    return nil
}
