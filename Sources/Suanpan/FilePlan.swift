// The files that a server has open beside its connections, and what the limit of open files leaves for those: found out
// before it serves, as a core that lacks one later can only end.

internal import Glibc
internal import SuanpanCore

struct FilePlan {
    /// What of the limit the connections get.
    let connectionsMax: Int
    /// What to tell where that is less than what was asked for; nil: it is as much.
    let note: String?

    /// The program's: standard streams, two doors, the lock, bells, a segment that is prepared, a log that is read for history,
    /// and what the runtime opens for a moment.
    private static let processFiles = 64
    /// A shard's: ring, bell, CPU claim, the reader of its log; up to eight segments that are written, ready or not yet
    /// synced, up to eight that old records are read from, and one that is kept for those; some to spare.
    private static let shardFiles = 24

    static func files(shards: Int) -> Int { processFiles + shards * shardFiles }

    /// - Parameter limit: Files that the process may open; nil: not asked, as in an embedder's process.
    /// - Throws: Where no connection would be left: how many files are needed.
    init(_ configuration: EngineConfiguration, shards: Int, limit: Int?) throws(EngineError) {
        let asked = configuration.connectionsMax
        let needed = Self.files(shards: shards)
        guard let limit else {
            connectionsMax = asked
            note = nil
            return
        }
        guard limit > needed else {
            throw .configuration(
                "\(counted(shards, "shard")) may have \(needed) files open beside one for each connection: this process may "
                    + "open \(limit); raise the limit to at least \(needed + 1) (ulimit -Hn, LimitNOFILE= of systemd), or use "
                    + "fewer shards")
        }
        connectionsMax = min(asked, limit - needed)
        note =
            connectionsMax == asked
            ? nil
            : "at most \(counted(connectionsMax, "connection")) of \(asked), as this process may open \(limit) files, of "
                + "which \(counted(shards, "shard")) may need \(needed): raise the limit (ulimit -Hn, LimitNOFILE= of systemd) "
                + "or set connections-max"
    }

    /// Raises this process's limit as far as it may, or as is needed. Returns the limit.
    static func raiseLimit(connections: Int) -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        // SAFETY: a local; the kernel reads or writes it during the call.
        guard unsafe getrlimit(resource, &limit) == 0 else { return .max }
        let most = connections + files(shards: EngineConfiguration.Bounds.shards.upperBound)
        let wanted = min(rlim_t(most), limit.rlim_max)
        if limit.rlim_cur < wanted {
            var raised = limit
            raised.rlim_cur = wanted
            if unsafe setrlimit(resource, &raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
