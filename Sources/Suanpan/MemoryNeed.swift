// What `memory` the tables of a directory need: asked when a start has found that what it may use is too little. Counts the
// logs' records, and looks for the least of which each shard's tables have room for its own.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger

/// Of one shard.
struct MemoryNeed: RecordVisitor {
    private let shard: ShardID
    private let routing: Routing
    private(set) var accounts = 0
    /// Remembered for ever: transfers, and those refused for good.
    private(set) var ids = 0
    private var openPendings = 0
    private(set) var openPendingsMax = 0

    init(_ shard: ShardID, _ routing: Routing) {
        self.shard = shard
        self.routing = routing
    }

    mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
        switch record.kind {
        case .account: accounts += 1
        case .accountLeg: if lives(record.account.id) { accounts += 1 }
        case .transfer, .decision, .credit, .leg: take(record)
        case .refusal: ids += 1
        default: break
        }
    }

    /// A transfer, post, void or expiry, or this shard's side of one.
    private mutating func take(_ record: LogRecord) {
        let t = record.body
        let remembers = lives(t.debitAccountID)
        guard remembers || lives(t.creditAccountID) else { return }
        if remembers && !record.flags.contains(.expiry) { ids += 1 }
        if t.flags.contains(.pending) {
            openPendings += 1
            openPendingsMax = max(openPendingsMax, openPendings)
        } else if t.flags.resolves {
            openPendings -= 1
        }
    }

    private func lives(_ account: AccountID) -> Bool { routing.shard(of: account) == shard }

    private func fits(_ bytes: Int) -> Bool {
        LedgerBounds(memoryBytes: bytes).hold(accounts: accounts, pendings: openPendingsMax, ids: ids)
    }

    /// The refusal of a start whose memory was too little; nil: it would have done.
    /// - Parameter given: The bound of all shards' tables.
    /// - Complexity: one pass over all logs.
    static func refusal(
        _ directory: borrowing DataDirectory, given: Int, _ progress: ReplayProgress
    ) throws(JournalError) -> EngineError? {
        let count = directory.shardCount
        var needs: [MemoryNeed] = []
        for i in 0..<count {
            var need = MemoryNeed(ShardID(i), directory.routing)
            _ = try Recovery.replay(directory.shard(ShardID(i)), progress: progress, into: &need)
            needs.append(need)
        }
        func suffices(_ bytes: Int) -> Bool { needs.allSatisfy { $0.fits(bytes / count) } }
        guard !suffices(given) else { return nil }
        // In whole MiB: `few` are too few.
        var few = given >> 20
        var enough = EngineConfiguration.Bounds.memoryBytes.upperBound >> 20
        while enough - few > 1 {
            let middle = few + (enough - few) / 2
            if suffices(middle << 20) { enough = middle } else { few = middle }
        }
        let accounts = needs.reduce(0) { $0 + $1.accounts }
        let pendings = needs.reduce(0) { $0 + $1.openPendingsMax }
        let ids = needs.reduce(0) { $0 + $1.ids }
        return .configuration(
            "\(directory.path): its \(counted(accounts, "account")), up to \(counted(pendings, "open pending transfer")) "
                + "and \(counted(ids, "id")) do not fit into --memory \(given >> 20)MiB; start with --memory \(enough)MiB or more; nothing was "
                + "changed")
    }
}
