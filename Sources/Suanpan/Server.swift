// A server process: an engine with doors, until a signal says to stop.

internal import Glibc
internal import SuanpanCore

/// What a server says when it serves.
public struct ServerReady: Sendable {
    public var nativeEndpoint: Endpoint?
    public var respEndpoint: Endpoint?
    public var shards: Int
    public var accounts: UInt64
    public var transfers: UInt64
    public var recoveredMilliseconds: Int
    /// What an operator should know: what was cut, redone, a clock that stands back.
    public var notes: [String]
}

public enum Server {
    /// Serves until SIGTERM or SIGINT, then finishes what was taken and returns. A second signal ends the process at
    /// once. Blocks; call it on the main thread.
    /// - Throws: Why the engine did not start, or why it has failed.
    /// - Parameter ready: Called once, when clients can connect.
    public static func run(
        _ configuration: EngineConfiguration, ready: (ServerReady) -> Void
    ) throws(EngineError) {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGTERM)
        unsafe sigaddset(&signals, SIGINT)
        unsafe sigaddset(&signals, wakeSignal)
        // Blocked before any thread starts: only `sigwait` below takes them.
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        signal(SIGPIPE, SIG_IGN)
        var configuration = configuration
        let files = allowFiles(configuration.connectionsMax)
        let connectionsMax = configuration.connectionsMax
        configuration.connectionsMax = min(connectionsMax, max(1, files - filesReserved))
        let engine = try Engine(configuration)
        var state = describe(engine.started)
        if configuration.connectionsMax < connectionsMax {
            state.notes.append(
                "at most \(configuration.connectionsMax) connections of \(connectionsMax), as this process may open "
                    + "\(files) files: raise the limit (ulimit -Hn) or set connections-max")
        }
        ready(state)
        let waiting = pthread_self()
        engine.control.end.whenFailed { _ in pthread_kill(waiting, wakeSignal) }
        var received = wakeSignal
        while received == wakeSignal && engine.failure == nil { unsafe sigwait(&signals, &received) }
        unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        if let failure = engine.failure {
            abandon(engine)
            throw failure
        }
        engine.closeBlocking()
        if let failure = engine.failure { throw failure }
    }

    /// A failed engine gives everything back by itself; where a disk that does not answer holds it up, the process ends all
    /// the same, so that it is seen and started again.
    private static func abandon(_ engine: Engine) {
        var turns = 0
        while !engine.control.end.isOver && turns < failureWait {
            usleep(1_000)
            turns += 1
        }
        // Its `deinit` would wait for ever.
        if !engine.control.end.isOver { unsafe _ = Unmanaged.passRetained(engine) }
    }

    /// Milliseconds, beyond what a core waits for its last writes.
    private static let failureWait = 8_000

    /// Wakes the waiting thread when the engine has failed. Its default is to be ignored, so one too many does no harm.
    private static let wakeSignal = SIGURG

    /// Files that are no connections: log segments, rings, bells, what the runtime opens.
    private static let filesReserved = 512

    /// Raises this process's limit of open files as far as it may. Returns the limit.
    private static func allowFiles(_ connections: Int) -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        // SAFETY: a local; the kernel reads or writes it during the call.
        guard unsafe getrlimit(resource, &limit) == 0 else { return .max }
        let wanted = min(rlim_t(connections + filesReserved), limit.rlim_max)
        if limit.rlim_cur < wanted {
            var raised = limit
            raised.rlim_cur = wanted
            if unsafe setrlimit(resource, &raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }

    private static func describe(_ start: EngineStart) -> ServerReady {
        var notes = start.cuts
        if start.redone > 0 {
            notes.append("\(start.redone) crossing transfers decided before the stop were credited now")
        }
        if start.clockBehindSeconds > 0 {
            notes.append(
                "the machine's clock stands \(start.clockBehindSeconds) s behind the ledger's last timestamp (was it set "
                    + "back?): timestamps go on from there")
        }
        return ServerReady(
            nativeEndpoint: start.native, respEndpoint: start.resp, shards: start.shards,
            accounts: UInt64(start.accounts), transfers: start.transfers,
            recoveredMilliseconds: Int(start.recoveredMilliseconds), notes: notes)
    }
}
