// Why an engine ended, and who wants to know. A core or the reader of history that cannot go on fails the whole engine:
// the first reason counts, every call under way and every later one throws it, and the process goes on.

internal import Synchronization

/// Any thread.
final class EngineEnd: Sendable {
    typealias Watcher = @Sendable (EngineError?) -> Void

    private struct State {
        var failure: EngineError?
        var isOver = false
        var failureWatchers: [Watcher] = []
        var waiters: [EndWaiter] = []
    }
    private let state = Mutex(State())

    /// Why it fails, from the first moment on.
    var failure: EngineError? { state.withLock { $0.failure } }
    /// Everything is given back.
    var isOver: Bool { state.withLock { $0.isOver } }

    /// The engine fails now, unless it has before or is over.
    func fail(_ error: EngineError) {
        let watchers = state.withLock { s -> [Watcher] in
            if s.isOver || s.failure != nil { return [] }
            s.failure = error
            defer { s.failureWatchers = [] }
            return s.failureWatchers
        }
        for watcher in watchers { watcher(error) }
    }

    /// Failed or closed, the engine has given back what it had.
    func finish() {
        let (failure, waiters) = state.withLock { s -> (EngineError?, [EndWaiter]) in
            s.isOver = true
            defer { s.waiters = [] }
            return (s.failure, s.waiters)
        }
        for waiter in waiters { waiter.resume(failure) }
    }

    /// Calls `body` once when the engine fails, on the thread that finds it: it must not block. At once where it has.
    func whenFailed(_ body: @escaping Watcher) {
        let failure = state.withLock { s in
            if s.failure == nil { s.failureWatchers.append(body) }
            return s.failure
        }
        if let failure { body(failure) }
    }

    /// Resumes the waiter when the engine is over, failed or closed; at once where it is.
    fileprivate func tell(_ waiter: EndWaiter) {
        let (failure, isOver) = state.withLock { s in
            if !s.isOver { s.waiters.append(waiter) }
            return (s.failure, s.isOver)
        }
        if isOver { waiter.resume(failure) }
    }

    /// It waits no more.
    fileprivate func forget(_ waiter: EndWaiter) {
        state.withLock { $0.waiters.removeAll { $0 === waiter } }
    }
}

extension Engine {
    /// Why the engine cannot go on: a disk that fails, damage found in a log, a limit of the system that leaves no way. Nil
    /// while it works, and when it was closed before. All calls throw it; nothing is known of those that were under way.
    /// Close it, and open the directory again when the cause is gone: the same ids can then be sent again.
    public var failure: EngineError? { control.end.failure }

    /// Suspends until the engine has ended and given everything back, or the task is cancelled.
    /// - Returns: Why it failed; nil when it was closed, and on cancellation.
    public func waitForEnd() async -> EngineError? {
        let end = control.end
        let waiter = EndWaiter()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                waiter.wait(continuation)
                end.tell(waiter)
            }
        } onCancel: {
            end.forget(waiter)
            waiter.resume(nil)
        }
    }
}

/// Resumes one continuation once, whoever comes first, even before it is there.
private final class EndWaiter: Sendable {
    private enum State {
        case idle
        case waiting(CheckedContinuation<EngineError?, Never>)
        case over(EngineError?)
    }
    private let state = Mutex(State.idle)

    func wait(_ continuation: CheckedContinuation<EngineError?, Never>) {
        let early: EngineError?? = state.withLock { s in
            if case .over(let reason) = s { return .some(reason) }
            s = .waiting(continuation)
            return nil
        }
        if let early { continuation.resume(returning: early) }
    }

    func resume(_ reason: EngineError?) {
        let waiting: CheckedContinuation<EngineError?, Never>? = state.withLock { s in
            defer { if case .over = s {} else { s = .over(reason) } }
            if case .waiting(let continuation) = s { return continuation }
            return nil
        }
        waiting?.resume(returning: reason)
    }
}
