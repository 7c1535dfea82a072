// Why an engine did not start, or refused a call.

public import SuanpanCore
public import SuanpanJournal
public import SuanpanUring

public enum EngineError: Error, Sendable, CustomStringConvertible {
    /// The data directory: locked, damaged, of another shard count, not writable …
    case journal(JournalError)
    /// The ledger's files are whole and say something impossible.
    case unsound(String)
    /// Two shards' logs contradict each other.
    case inconsistent(String)
    /// Something is wrong with the files (what, and where), and the directory is a copy of one that was open, or whose process
    /// was killed: what is wrong may have come with the copying.
    case copiedWhileOpen(path: String, String)
    case ring(RingError)
    /// A thread, a descriptor or memory is not to be had; nothing was changed.
    case system(SystemError)
    /// The engine works no more, for this reason; see `Engine.failure`. Nothing is known of the calls that were under way.
    case failed(String)
    /// An address cannot be listened on.
    case listen(Endpoint, String)
    case configuration(String)
    /// `StartProgress.cancel` was called. The directory is as a crash would leave it; the next start goes on from there.
    case cancelled
    /// The machine's clock, or the ledger's last timestamp, can't be believed. Nothing was changed.
    case clock(String)
    /// The filter of a read is not one.
    case invalidFilter(FilterRefusal)
    /// Nothing was executed; try again later.
    case busy
    /// Nothing was executed.
    case closed
    /// Nothing was executed, nor will any write be: debits and credits were found to differ. Reads go on.
    case unbalanced
    /// The engine ended before the outcome was known: ask again, with the same ids, after the next start.
    case interrupted

    /// What is wrong with the files, without what to do about it; nil: something else is.
    var finding: String? {
        switch self {
        case .journal(let error): error.finding
        case .unsound(let what), .inconsistent(let what): what
        default: nil
        }
    }

    public var description: String {
        switch self {
        case .journal(let error): "\(error)"
        case .inconsistent(let what):
            "\(what); restore the data directory from a backup; nothing was changed"
        case .unsound(let what): "\(what); restore the data directory from a backup; nothing was changed"
        case .copiedWhileOpen(let path, let found):
            "\(found); \(path) is a copy of a directory that was open or whose server was killed: if it was copied while a server "
                + "had it open, its files are of different moments; copy it again when the server has stopped, or as one "
                + "file system snapshot. Else look whether the original is sound (suanpan verify), and copy that again or "
                + "restore a backup; nothing was changed"
        case .ring(let error): "\(error)"
        case .system(let error): "\(error)"
        case .failed(let why): "the engine has failed: \(why)"
        case .listen(let endpoint, let why): "cannot listen on \(endpoint): \(why)"
        case .configuration(let what), .clock(let what): what
        case .cancelled: "the start was cancelled"
        case .invalidFilter(let refusal): "invalid filter: \(refusal.rawValue)"
        case .busy: "busy: too many calls under way; nothing was executed, try again"
        case .closed: "the engine is closed"
        case .unbalanced: "debits and credits differ: no writes are taken; see totals, and verify the data directory"
        case .interrupted:
            "the engine was closed before the outcome was known; after its next start send the same ids again"
        }
    }
}
