// SIGTERM, SIGINT and SIGHUP of a server process: the first asks it to end, whatever it does; the second ends it at once.

internal import Glibc
internal import SuanpanCore
internal import Synchronization

/// Make one on the main thread before any other thread starts: all of them inherit its mask.
final class StopSignals: Sendable {
    /// Posted when the first signal has come.
    private let received = ReceivedSignal()

    private static var set: sigset_t {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGTERM)
        unsafe sigaddset(&signals, SIGINT)
        if !isIgnored(SIGHUP) { unsafe sigaddset(&signals, SIGHUP) }
        return signals
    }

    /// True for SIGHUP under nohup: a signal that is waited for would come though it is ignored.
    private static func isIgnored(_ number: CInt) -> Bool {
        var action = sigaction()
        // SAFETY: a local, written during the call.
        unsafe sigaction(number, nil, &action)
        // SAFETY: a handler is compared by its address, never called.
        return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// - Parameter first: Called once, on a thread of its own, when the first signal comes.
    /// - Throws: When the system has no thread left.
    init(first: @escaping @Sendable () -> Void) throws(SystemError) {
        var signals = Self.set
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        let received = received
        try SystemThread.start {
            var signals = Self.set
            var number: CInt = 0
            unsafe sigwait(&signals, &number)
            // The next one finds this thread, and the default action.
            unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
            first()
            received.post()
            while true { pause() }
        }.detach()
    }

    /// Blocks until the first signal has come, or `wake` was called.
    func wait() { received.wait() }
    func wake() { received.post() }
}

/// A semaphore of one event.
@safe
private final class ReceivedSignal: @unchecked Sendable {
    // SAFETY of Sendable: a POSIX semaphore is made for several threads; its memory does not move.
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        unsafe semaphore = .allocate(capacity: 1)
        unsafe sem_init(semaphore, 0, 0)
    }

    deinit {
        unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }

    func post() { unsafe sem_post(semaphore) }
    func wait() { while unsafe sem_wait(semaphore) != 0 && errno == EINTR {} }
}
