// What `memory` the tables of a directory need: asked when a start has found that what it may use is too little. Counts the
// logs' records, and asks empty ledgers of ever more memory whether so much would fit.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger

/// Of one shard.
struct MemoryNeed: RecordVisitor {
    private let shard: ShardID
    private let routing: Routing
    private(set) var accounts = 0
    /// Remembered for ever: transfers, and those refused for good.
    private var ids = 0
    private var openPendings = 0
    private(set) var openPendingsMax = 0

    /// Half of a ledger's memory is for ids, of which each takes about 25 bytes.
    private static let bytesPerID = 50

    init(_ shard: ShardID, _ routing: Routing) {
        self.shard = shard
        self.routing = routing
    }

    mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
        switch record.kind {
        case .account: accounts += 1
        case .accountLeg: if routing.shard(of: record.account.id) == shard { accounts += 1 }
        case .transfer, .decision, .credit, .leg:
            if record.kind != .credit { ids += 1 }
            if record.body.flags.contains(.pending) {
                openPendings += 1
                openPendingsMax = max(openPendingsMax, openPendings)
            } else if record.body.flags.resolves {
                openPendings -= 1
            }
        case .refusal: ids += 1
        default: break
        }
    }

    /// A bound with which a ledger takes all of it, and a few more.
    /// - Parameter begin: One with which it does not.
    private func bytes(from begin: Int) -> Int {
        var bytes = begin
        while bytes < EngineConfiguration.Bounds.memoryBytes.upperBound && !fits(bytes) { bytes += bytes / 8 }
        return bytes
    }

    private func fits(_ bytes: Int) -> Bool {
        guard ids * Self.bytesPerID < bytes else { return false }
        let ledger = Ledger(key: HashKey(a: 1, b: 2), memoryBytes: bytes)
        // No ledger of this size can be made to ask.
        if MemoryReserve.isUsed { return true }
        return ledger.hasRoomForAccount(accounts + 1) && ledger.hasRoomForPending(openPendingsMax + 1)
    }

    /// The refusal of a start whose memory was too little; nil: it would have done.
    /// - Parameter given: The bound of all shards' tables.
    /// - Complexity: one pass over all logs.
    static func refusal(
        _ directory: borrowing DataDirectory, given: Int, _ progress: ReplayProgress
    ) throws(JournalError) -> EngineError? {
        let count = directory.shardCount
        var most = given / count
        var (accounts, pendings) = (0, 0)
        for i in 0..<count {
            var need = MemoryNeed(ShardID(i), directory.routing)
            _ = try Recovery.replay(directory.shard(ShardID(i)), progress: progress, into: &need)
            most = max(most, need.bytes(from: given / count))
            accounts += need.accounts
            pendings += need.openPendingsMax
        }
        guard most > given / count else { return nil }
        let wanted = (most * count + (1 << 20) - 1) & ~((1 << 20) - 1)
        return .configuration(
            "\(directory.path): its \(counted(accounts, "account")) and up to \(counted(pendings, "open pending transfer")) "
                + "do not fit into --memory \(given >> 20)MiB; start with --memory \(wanted >> 20)MiB or more; nothing was "
                + "changed")
    }
}
