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

/// Starts a detached thread; all signals are blocked on it, they belong to the program.
/// - Returns: nil, or why there is none (a limit of processes, no memory for its stack).
func startThread(_ run: @escaping @Sendable () -> Void) -> String? {
    final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    var all = sigset_t()
    var before = sigset_t()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    // SAFETY: the body is retained until the thread takes it, or released below when there is none.
    let body = unsafe Unmanaged.passRetained(Body(run))
    let result = unsafe pthread_create(
        &thread, nil,
        { raw in
            unsafe Unmanaged<Body>.fromOpaque(raw.unsafelyUnwrapped).takeRetainedValue().run()
            return nil
        }, body.toOpaque())
    guard result == 0 else {
        unsafe body.release()
        return "cannot start a thread: \(Socket.message(result))"
    }
    pthread_detach(thread)
    return nil
}
