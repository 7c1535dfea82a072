// Why a load could not be started, or is no measurement. The message is the last line on stderr.

internal import SuanpanCore

public enum LoadError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The command line asks for what cannot be.
    case usage(String)
    case profile(file: String, problem: String)
    case connect(target: String, problem: String)
    /// The server was there and failed us: closed, silent, or answered what the protocol does not allow.
    case server(target: String, problem: String)
    /// The machine refused what the generator itself needs.
    case machine(String)
    /// The run came to its end, and then the server did not say what it has used and counted; what it did instead.
    case gone(String)
    /// The server acknowledged more transfers than it has.
    case lost(counted: UInt64, acknowledged: UInt64)
    /// All that was sent was refused, or found no answer.
    case nothingAccepted(of: UInt64, unit: String, most: String)
    /// The run came to its end, with errors.
    case errors(count: UInt64, first: String)

    /// 1: the run is bad; 2: the command line is wrong.
    public var exitCode: Int32 {
        switch self {
        case .usage, .profile: 2
        case .connect, .server, .machine, .gone, .lost, .errors, .nothingAccepted: 1
        }
    }

    public var description: String {
        switch self {
        case .usage(let text): text
        case .profile(let file, let problem): "profile \(file): \(problem)"
        case .connect(let target, let problem): "cannot connect to \(target): \(problem)"
        case .server(let target, let problem): "server \(target): \(problem)"
        case .machine(let text): text
        case .gone(let what):
            "the server is gone since the run ended, so that the report lacks what it used, and whether it has counted all "
                + "that it acknowledged is not known: \(what)"
        case .lost(let counted, let acknowledged):
            "the server counts \(counted) transfers, and acknowledged \(acknowledged) together with those that it had before: "
                + "stop it and run `suanpan verify`"
        case .nothingAccepted(let count, let unit, let most):
            "none of \(Format.grouped(count)) \(unit) was accepted; most were: \(most)"
        case .errors(let count, let first):
            "\(count) failed without an answer that counts; the first: \(first)"
        }
    }
}
