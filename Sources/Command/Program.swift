// What every command shares: parsing, the last line on stderr, and the exit code.
// 0 done, 1 the data or the run is bad, 2 the command line is wrong, above 128: ended by a signal.

public import ArgumentParser
internal import Foundation
internal import Glibc
internal import Suanpan

/// The allocator that the executable links; the library behind the commands has none of its own.
public enum Allocator {
    @TaskLocal public static var version = "system"
}

/// Why a command ends without success. The message names what, the value and what to do.
struct Failure: Error, Equatable, CustomStringConvertible {
    enum Kind: Equatable {
        case run
        case usage
        /// What was done until then is told.
        case signal(Int32)

        var exitCode: Int32 {
            switch self {
            case .run: 1
            case .usage: 2
            case .signal(let number): Program.signalCodes + number
            }
        }
    }
    var kind: Kind
    /// Empty: nothing is to be said.
    var description: String

    static func run(_ message: String) -> Failure { Failure(kind: .run, description: message) }
    static let quiet = Failure(kind: .run, description: "")
    static func usage(_ message: String) -> Failure { Failure(kind: .usage, description: message) }
}

public struct Program: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "suanpan",
        abstract: "A sharded durable ledger: double-entry transfers at peak-sale rates.",
        discussion: """
            Every option can also stand in a configuration file (JSON or YAML, the option's name as the key) and in \
            the environment (SUANPAN_ and the option's name in capitals, a dash as _). The command line wins, then \
            the environment, then the file.
            Exit codes: 0 done, 1 the data or the run is bad, 2 the command line is wrong.
            """,
        version: VersionCommand.line,
        subcommands: [
            ServeCommand.self, LoadCommand.self,
            VerifyCommand.self, DumpCommand.self, VersionCommand.self,
        ])

    /// An exit code above it stands for a signal, as in a shell.
    public static let signalCodes: Int32 = 128

    public init() {}

    /// Runs one command line (without the program's name) and returns the exit code.
    public static func run(_ arguments: [String]) -> Int32 {
        Output.prepareStandardStreams()
        do {
            var command = try parseAsRoot(withDefaults(joiningNegatives(arguments)))
            if let note = Settings.noteOfUnknownVariables(ProcessInfo.processInfo.environment) { writeNote(note) }
            try command.run()
            try Output.standard.flush()
            return 0
        } catch let failure as Failure {
            return end(failure.description, code: failure.kind.exitCode)
        } catch let error as EngineError {
            // What only the start has shown, such as where a host's name leads.
            if case .configuration(let what) = error { return end(what, code: Failure.Kind.usage.exitCode) }
            return end(error.description, code: Failure.Kind.run.exitCode)
        } catch {
            return end(parserError: error)
        }
    }

    /// A command line that is none, before it is looked at.
    public static func refuse(_ message: String) -> Int32 {
        Output.prepareStandardStreams()
        return end(message, code: Failure.Kind.usage.exitCode)
    }

    /// What was printed before the failure comes before it; a second failure adds nothing to the first.
    private static func end(_ message: String, code: Int32) -> Int32 {
        do throws(Failure) { try Output.standard.flush() } catch {
            if !error.description.isEmpty { writeError("suanpan: \(error)") }
        }
        if !message.isEmpty { writeError("suanpan: \(message)") }
        return code
    }

    /// Help and version are answers; anything else that the parser throws is a wrong command line. The parser puts the
    /// usage last; here the error is the last line.
    private static func end(parserError error: any Error) -> Int32 {
        let text = fullMessage(for: error)
        if exitCode(for: error).isSuccess {
            do throws(Failure) {
                try Output.standard.print(text)
                try Output.standard.flush()
            } catch { return end(error.description, code: error.kind.exitCode) }
            return 0
        }
        let reason = message(for: error)
        let usage = text.hasPrefix("Error: \(reason)\n") ? text.dropFirst("Error: \(reason)\n".count) : ""
        if !usage.isEmpty { writeError(String(usage)) }
        let line = reason.split(separator: "\n").map { $0.trimmingSpaces() }.joined(separator: " ")
        return end(line, code: Failure.Kind.usage.exitCode)
    }
}

/// One line to stderr, unbuffered.
func writeError(_ line: String) {
    // SAFETY: the bytes live for this call; a short write loses text only.
    unsafe Array((line + "\n").utf8).withUnsafeBytes { _ = unsafe write(2, $0.baseAddress, $0.count) }
}

/// What somebody should know, and that ends nothing.
func writeNote(_ note: String) { writeError("suanpan: note: \(note)") }

extension Substring {
    func trimmingSpaces() -> String { String(self).trimmingSpaces() }
}

extension String {
    /// White space alone.
    var isBlank: Bool { allSatisfy(\.isWhitespace) }

    /// Without white space at either end.
    func trimmingSpaces() -> String {
        var text = self[...]
        while let last = text.last, last.isWhitespace { text.removeLast() }
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        return String(text)
    }
}
