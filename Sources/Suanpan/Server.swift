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
        let engine = try Engine(configuration)
        ready(describe(engine.started))
        var received: CInt = 0
        unsafe sigwait(&signals, &received)
        unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        engine.closeBlocking()
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
