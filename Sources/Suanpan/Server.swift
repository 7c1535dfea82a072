// A server process: an engine with doors, until a signal says to stop.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore

/// What a server says when it serves.
public struct ServerReady: Sendable {
    public var nativeEndpoint: Endpoint?
    public var respEndpoint: Endpoint?
    public var shards: Int
    public var segmentBytes: Int
    public var accounts: UInt64
    public var transfers: UInt64
    public var recoveredMilliseconds: Int
    /// What an operator should know: what was cut, redone, a clock that stands back.
    public var notes: [String]
}

public enum Server {
    /// Serves until SIGTERM, SIGINT or SIGHUP, then finishes what was taken and returns. While the engine starts they end
    /// the start. A second signal ends the process at once. Blocks; call it on the main thread.
    /// - Throws: Why the engine did not start, or why it has failed.
    /// - Parameter ready: Called once, when clients can connect; false ends the server.
    /// - Returns: Nil: it has served. Else how far the start was, in percent, that a signal has ended.
    public static func run(
        _ configuration: EngineConfiguration, ready: (ServerReady) -> Bool
    ) throws(EngineError) -> Int? {
        let progress = StartProgress()
        let signals: StopSignals
        let clock: ClockSignal
        do throws(SystemError) {
            ClockSignal.block()
            signals = try StopSignals { progress.cancel() }
            clock = try ClockSignal()
        } catch { throw .system(error) }
        signal(SIGPIPE, SIG_IGN)
        let files = FilePlan.raiseLimit(connections: configuration.connectionsMax)
        let engine: Engine
        do throws(EngineError) {
            engine = try Engine(configuration, progress: progress, fileLimit: files)
        } catch {
            if case .cancelled = error { return Int(progress.share * 100) }
            throw error
        }
        clock.serve(engine.time)
        if ready(describe(engine.started)) {
            engine.control.end.whenFailed { _ in signals.wake() }
            signals.wait()
        }
        if let failure = engine.failure {
            abandon(engine)
            throw failure
        }
        engine.closeBlocking()
        if let failure = engine.failure { throw failure }
        return nil
    }

    /// A failed engine gives everything back by itself; where a disk that does not answer holds it up, the process ends all
    /// the same, so that it is seen and started again.
    private static func abandon(_ engine: Engine) {
        var turns = 0
        while !engine.control.end.isOver && turns < failureWait {
            suanpan_sleep_microseconds(1_000)
            turns += 1
        }
        // SAFETY: retained and never released: its `deinit` would wait for ever.
        if !engine.control.end.isOver { unsafe _ = Unmanaged.passRetained(engine) }
    }

    /// Milliseconds, beyond what a core waits for its last writes.
    private static let failureWait = 8_000

    /// A ledger away for longer says so: holds of that time are over.
    private static let awayNoted: UInt64 = 86_400

    private static func describe(_ start: EngineStart) -> ServerReady {
        var notes = start.cuts + start.notes
        if start.redone > 0 {
            notes.append(
                "\(counted(start.redone, "crossing transfer")) decided before the stop \(start.redone == 1 ? "was" : "were") credited now"
            )
        }
        if start.clockBehindSeconds > 0 {
            notes.append(
                "the machine's clock stands \(start.clockBehindSeconds) s behind the ledger's last timestamp (was it set "
                    + "back?): timestamps go on from there")
        }
        if start.awaySeconds >= awayNoted {
            notes.append(
                "the machine's clock stands \(start.awaySeconds) s ahead of the ledger's last timestamp: holds whose time is "
                    + "over expire now")
        }
        return ServerReady(
            nativeEndpoint: start.native, respEndpoint: start.resp, shards: start.shards,
            segmentBytes: start.segmentBytes, accounts: UInt64(start.accounts), transfers: start.transfers,
            recoveredMilliseconds: Int(start.recoveredMilliseconds), notes: notes)
    }
}
