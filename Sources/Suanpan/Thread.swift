// Starting a pthread with a Swift closure.

internal import Glibc
internal import SuanpanCore

enum Thread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// A joinable thread with all signals blocked: they belong to the main thread.
    static func start(_ run: @escaping @Sendable () -> Void) -> pthread_t {
        var all = sigset_t()
        var before = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
        var thread = pthread_t()
        // SAFETY: the body is retained until the thread takes it.
        let body = unsafe Unmanaged.passRetained(Body(run)).toOpaque()
        let result = unsafe pthread_create(
            &thread, nil,
            { raw in
                unsafe Unmanaged<Body>.fromOpaque(raw.unsafelyUnwrapped).takeRetainedValue().run()
                return nil
            }, body)
        invariant(result == 0, "no thread: errno \(result)")
        return thread
    }
}
