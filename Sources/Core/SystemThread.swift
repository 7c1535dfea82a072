// The one way to start a thread of our own, with a Swift closure as its body.

internal import Glibc

/// A thread that runs. Join or detach it, once.
public struct SystemThread: Sendable {
    private let handle: UInt

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread with all signals blocked: they belong to the program.
    /// - Throws: When the system has no thread left; `run` is then released and not run.
    public static func start(_ run: @escaping @Sendable () -> Void) throws(SystemError) -> SystemThread {
        var all = sigset_t()
        var before = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
        var thread = pthread_t()
        // SAFETY: the body is retained until the thread takes it, or until there is none.
        let body = unsafe Unmanaged.passRetained(Body(run))
        let result = unsafe pthread_create(
            &thread, nil,
            { raw in
                unsafe Unmanaged<Body>.fromOpaque(raw.unsafelyUnwrapped).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        guard result == 0 else {
            unsafe body.release()
            throw SystemError("start a thread", errno: result)
        }
        return SystemThread(handle: UInt(thread))
    }

    /// Waits for its end.
    public func join() { pthread_join(pthread_t(handle), nil) }
    /// Nobody waits for it: what it holds goes with it.
    public func detach() { pthread_detach(pthread_t(handle)) }
}
