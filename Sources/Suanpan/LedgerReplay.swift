// Rebuilds one shard's ledger from its log, and keeps what the other shards may have to be told again: the last
// decisions of crossing transfers, by the number of their pair.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger
internal import SuanpanShard

struct LedgerReplay: ~Copyable, RecordVisitor {
    var ledger: Ledger
    var pairs: [PairNumbers]
    /// By peer: the last decisions taken here, oldest first; the newest is `pairs[peer].decided`.
    var decisions: [[Transfer]]
    /// By peer: LSNs of the last commits applied here, oldest first; the newest is `pairs[peer].applied`.
    var credits: [[LSN]]
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

    init(id: ShardID, shardCount: Int, key: HashKey, memoryBytes: Int) {
        self.id = id
        ledger = Ledger(key: key, memoryBytes: memoryBytes)
        pairs = Array(repeating: PairNumbers(), count: shardCount)
        decisions = Array(repeating: [], count: shardCount)
        credits = Array(repeating: [], count: shardCount)
    }

    mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
        ledger.prefetch(record)
        ahead[aheadCount] = Ahead(record: record, lsn: lsn, position: position)
        aheadCount += 1
        if aheadCount == Self.aheadMax { try finish() }
    }

    /// Applies what was read ahead. Call it at the end of the replay.
    mutating func finish() throws(JournalError) {
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
    consuming func intoLedger() -> Ledger { ledger }

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
