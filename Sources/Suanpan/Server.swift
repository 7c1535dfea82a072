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
    /// - Parameter ready: Called once, when clients can connect.
    public static func run(
        _ configuration: EngineConfiguration, ready: (ServerReady) -> Void
    ) throws(EngineError) {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGTERM)
        unsafe sigaddset(&signals, SIGINT)
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
        var received: CInt = 0
        unsafe sigwait(&signals, &received)
        unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        engine.closeBlocking()
    }

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
