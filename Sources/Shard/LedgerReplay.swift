// Rebuilds one shard's ledger from its log, and keeps what the other shards may have to be told again: the last
// decisions of crossing transfers, by the number of their pair.

public import SuanpanCore
public import SuanpanJournal
public import SuanpanLedger

public struct LedgerReplay: ~Copyable, RecordVisitor {
    public var ledger: Ledger
    public private(set) var pairs: [PairNumbers]
    /// By peer: the last decisions taken here, oldest first; the newest is `pairs[peer].decided`.
    public private(set) var decisions: [[Transfer]]
    /// By peer: LSNs of the last commits applied here, oldest first; the newest is `pairs[peer].applied`.
    public private(set) var credits: [[LSN]]
    private let id: ShardID
    /// Records read and not yet applied: their index lines are asked for together, as in the shard.
    private var ahead = FixedArray<Ahead>(count: LedgerReplay.aheadMax)
    private var aheadCount = 0

    private static var aheadMax: Int { 32 }
    struct Ahead: BitwiseCopyable {
        var record: LogRecord
        var lsn: LSN
        var position: LogPosition
    }

    public init(id: ShardID, shardCount: Int, key: HashKey, memoryBytes: Int) {
        self.id = id
        ledger = Ledger(key: key, memoryBytes: memoryBytes)
        pairs = Array(repeating: PairNumbers(), count: shardCount)
        decisions = Array(repeating: [], count: shardCount)
        credits = Array(repeating: [], count: shardCount)
    }

    public mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
        ledger.prefetch(record)
        ahead[aheadCount] = Ahead(record: record, lsn: lsn, position: position)
        aheadCount += 1
        if aheadCount == Self.aheadMax { try finish() }
    }

    /// Applies what was read ahead. Call it at the end of the replay.
    public mutating func finish() throws(JournalError) {
        for i in 0..<aheadCount { ledger.prefetchAccounts(ahead[i].record) }
        for i in 0..<aheadCount { try apply(ahead[i].record, ahead[i].lsn, ahead[i].position) }
        aheadCount = 0
    }

    private mutating func apply(_ record: LogRecord, _ lsn: LSN, _ position: LogPosition) throws(JournalError) {
        if let wrong = ledger.replay(record, lsn: lsn, position: position.value) { throw damaged(wrong, lsn) }
        switch record.kind {
        case .decision:
            let peer = try checkedPeer(record, lsn)
            guard record.sequence == pairs[peer].decided + 1 else {
                throw damaged(gap(record, pairs[peer].decided), lsn)
            }
            pairs[peer].decided = record.sequence
            Self.keep(record.body, in: &decisions[peer])
        case .credit:
            let peer = try checkedPeer(record, lsn)
            guard record.sequence == pairs[peer].applied + 1 else {
                throw damaged(gap(record, pairs[peer].applied), lsn)
            }
            pairs[peer].applied = record.sequence
            Self.keep(lsn, in: &credits[peer])
        default: break
        }
    }

    /// The ledger as rebuilt.
    public consuming func intoLedger() -> Ledger { ledger }

    /// Redo: the records that this shard's log lacks, of decisions that are durable at their coordinators, in the order
    /// of their numbers. Append each, make all durable, then open.
    /// - Parameters:
    ///   - pairs: By shard, then by peer, as every shard's replay found them.
    ///   - decisions: Likewise.
    /// - Throws: When a coordinator has not kept a decision that is missing here.
    public func missingCredits(
        pairs all: [[PairNumbers]], decisions: [[[Transfer]]]
    ) throws(JournalError) -> [LogRecord] {
        var records: [LogRecord] = []
        for peer in 0..<pairs.count where peer != id.index {
            let applied = pairs[peer].applied
            let missing = Int(all[peer][id.index].decided - applied)
            let kept = decisions[peer][id.index]
            guard missing <= kept.count else {
                throw .invalidArgument(
                    "shard \(id.value) lacks \(missing) decisions of shard \(peer): more than can be under way")
            }
            for (i, transfer) in kept.suffix(missing).enumerated() {
                records.append(
                    LogRecord(.credit, transfer, peer: ShardID(peer), sequence: applied + 1 + UInt64(i)))
            }
        }
        return records
    }

    private func checkedPeer(_ record: LogRecord, _ lsn: LSN) throws(JournalError) -> Int {
        guard record.peer.index < pairs.count, record.peer != id else {
            throw damaged("a crossing transfer names shard \(record.peer.value)", lsn)
        }
        return record.peer.index
    }

    private func gap(_ record: LogRecord, _ last: UInt64) -> String {
        "a crossing transfer with shard \(record.peer.value) has number \(record.sequence) after \(last)"
    }

    private func damaged(_ what: String, _ lsn: LSN) -> JournalError {
        .invalidArgument(
            "shard \(id.value), LSN \(lsn.value): \(what); restore this shard's files from a backup; nothing was changed"
        )
    }

    /// Keeps the last `Limits.redoPerPeerMax` of a list, dropping in large steps.
    private static func keep<Element>(_ element: Element, in list: inout [Element]) {
        list.append(element)
        if list.count >= 2 * Limits.redoPerPeerMax { list.removeFirst(Limits.redoPerPeerMax) }
    }
}
