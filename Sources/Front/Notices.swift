// Lines for the operator about what knocks at the doors. All cores share one place, so that of each kind at most one line
// a minute is written, whoever tries to fill the log. INFO shows how many there were of each.

internal import Glibc
internal import Synchronization

public final class Notices: Sendable {
    enum Kind: Int, CaseIterable, Sendable {
        case http
        /// Another protocol than the door's that is not HTTP.
        case foreignProtocol
        case wrongPassword
        /// An attempt that had to wait; no line tells of it.
        case passwordDelayed
        /// A client that was late while the engine was starting; no line tells of it, and INFO shows it with `timeouts`.
        case late
    }

    private struct Said: Sendable {
        /// Monotonic nanoseconds; 0: never.
        var at: UInt64 = 0
        /// Left unsaid since.
        var withheld = 0
        var count: UInt64 = 0
    }

    private let said = Mutex([Said](repeating: Said(), count: Kind.allCases.count))
    private static var every: UInt64 { 60_000_000_000 }

    public init() {}

    func count(_ kind: Kind) -> UInt64 { said.withLock { $0[kind.rawValue].count } }

    func count(one kind: Kind) { said.withLock { $0[kind.rawValue].count += 1 } }

    /// Counts it and writes a line, unless one of its kind was written less than a minute ago.
    func say(_ kind: Kind, now: UInt64, _ text: () -> String) {
        let withheld: Int? = said.withLock { said in
            said[kind.rawValue].count += 1
            let last = said[kind.rawValue]
            guard last.at == 0 || now > last.at &+ Self.every else {
                said[kind.rawValue].withheld += 1
                return nil
            }
            said[kind.rawValue].at = max(1, now)
            said[kind.rawValue].withheld = 0
            return last.withheld
        }
        guard let withheld else { return }
        let more = withheld == 0 ? "" : "; \(withheld) more since the last such line"
        let line = "suanpan: note: \(text())\(more); INFO security counts them\n"
        // SAFETY: the bytes live for the call; a short write loses text only.
        unsafe line.utf8.withContiguousStorageIfAvailable { _ = unsafe write(2, $0.baseAddress, $0.count) }
    }
}
