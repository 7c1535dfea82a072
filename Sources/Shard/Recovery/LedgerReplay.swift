// Rebuilds one shard's ledger from its log, and keeps what the other shards may have to be told again: the last
// decisions of crossing transfers, by the number of their pair.

public import SuanpanCore
public import SuanpanJournal
public import SuanpanLedger

public struct LedgerReplay: ~Copyable, RecordVisitor {
    public var ledger: Ledger
    public private(set) var pairs: [PairNumbers]
    /// By peer: what it must append for the last decisions taken here, oldest first; a chain may give it several records
    /// of the same number. The newest number is `pairs[peer].decided`.
    public private(set) var decisions: [[LogRecord]]
    /// By peer: LSNs of the last commits applied here, oldest first; the newest is `pairs[peer].applied`.
    public private(set) var credits: [[LSN]]
    private let id: ShardID
    private let routing: Routing
    /// A chain whose last record has not come yet: applied whole, or not at all.
    private var chain: [Ahead] = []
    /// Records read and not yet applied: their index lines are asked for together, as in the shard.
    private var ahead = FixedArray<Ahead>(count: LedgerReplay.aheadMax)
    private var aheadCount = 0

    private static var aheadMax: Int { 32 }
    struct Ahead: BitwiseCopyable {
        var record: LogRecord
        var lsn: LSN
        var position: LogPosition
    }

    public init(id: ShardID, routing: Routing, key: HashKey, memoryBytes: Int, stock: PageStock? = nil) {
        self.id = id
        self.routing = routing
        let shardCount = routing.shardCount
        ledger = Ledger(key: key, memoryBytes: memoryBytes, stock: stock)
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
        for i in 0..<aheadCount { try take(ahead[i].record, ahead[i].lsn, ahead[i].position) }
        aheadCount = 0
        guard !ledger.isShort else { throw .noMemory(for: "shard \(id.value): its ledger") }
    }

    /// The first record of a chain at the log's end that lacks its last ones: a crash came between, the chain was not
    /// decided. The log is to be cut before it.
    public var incompleteSince: LSN? { chain.first?.lsn }

    private mutating func take(_ record: LogRecord, _ lsn: LSN, _ position: LogPosition) throws(JournalError) {
        let continues = record.flags.contains(.chainContinues)
        if !continues && chain.isEmpty { return try applyWhole(record, lsn, position) }
        chain.append(Ahead(record: record, lsn: lsn, position: position))
        if continues {
            guard chain.count <= 2 * Limits.eventsPerChainMax else { throw damaged("a chain has no end", lsn) }
            return
        }
        let whole = chain
        chain = []
        // Of a chain over several shards: the numbers of its commits, then its transfers.
        var peers: [(peer: Int, sequence: UInt64)] = []
        var applied: UInt64?
        for item in whole {
            switch item.record.kind {
            case .chainPeer:
                let peer = try checkedPeer(item.record, item.lsn)
                guard item.record.sequence == pairs[peer].decided + 1 else {
                    throw damaged(gap(item.record, pairs[peer].decided), item.lsn)
                }
                pairs[peer].decided = item.record.sequence
                peers.append((peer, item.record.sequence))
            case .leg where item.record.peer == id, .accountLeg where item.record.peer == id:
                if concerns(item.record, id.index) { try applyToLedger(item.record, item.lsn, item.position) }
                for (peer, sequence) in peers where concerns(item.record, peer) {
                    var leg = item.record
                    leg.peer = id
                    leg.sequence = sequence
                    keepDecision(leg, peer)
                }
            case .leg where applied == item.record.sequence, .accountLeg where applied == item.record.sequence:
                try applyToLedger(item.record, item.lsn, item.position)
            default:
                if item.record.kind == .leg || item.record.kind == .accountLeg { applied = item.record.sequence }
                try applyWhole(item.record, item.lsn, item.position)
            }
        }
        // Each peer's last leg ends its run there.
        for (peer, sequence) in peers {
            guard let last = decisions[peer].indices.last, decisions[peer][last].sequence == sequence else {
                throw damaged("a chain has no part in shard \(peer)", lsn)
            }
            for i in decisions[peer].indices.reversed() {
                if decisions[peer][i].sequence != sequence { break }
                decisions[peer][i].flags.insert(.chainContinues)
            }
            decisions[peer][last].flags.remove(.chainContinues)
        }
    }

    private func concerns(_ record: LogRecord, _ peer: Int) -> Bool {
        if record.kind == .accountLeg { return routing.shard(of: record.account.id).index == peer }
        return routing.shard(of: record.body.debitAccountID).index == peer
            || routing.shard(of: record.body.creditAccountID).index == peer
    }

    /// Applies one record of this shard's log, or of its redo, to the ledger.
    /// - Returns: What is wrong with it, or nil.
    public mutating func apply(_ record: LogRecord, lsn: LSN, position: LogPosition) -> String? {
        if record.kind == .leg {
            // A side whose account the ledger does not know would be taken for one that lives elsewhere.
            for account in [record.body.debitAccountID, record.body.creditAccountID]
            where routing.shard(of: account) == id && ledger.find(account) == nil {
                return "account \(account.value) of a chain does not exist"
            }
        }
        return ledger.replay(record, lsn: lsn, position: position.value)
    }

    /// - Throws: Where the ledger has no place for what the record adds; ask before `apply`.
    public func checkPlace(for record: LogRecord) throws(JournalError) {
        guard !ledger.lacksPlace(for: record) else {
            throw .invalidArgument(
                "shard \(id.value): so little memory holds \(ledger.accountCount) accounts, "
                    + "\(ledger.openPendingCount) open pending transfers and \(ledger.idCount) ids, and its log has more; "
                    + "give it more memory "
                    + "(--memory); nothing was changed")
        }
    }

    private mutating func applyToLedger(_ record: LogRecord, _ lsn: LSN, _ position: LogPosition) throws(JournalError) {
        try checkPlace(for: record)
        if let wrong = apply(record, lsn: lsn, position: position) { throw damaged(wrong, lsn) }
    }

    private mutating func applyWhole(_ record: LogRecord, _ lsn: LSN, _ position: LogPosition) throws(JournalError) {
        try applyToLedger(record, lsn, position)
        switch record.kind {
        case .decision:
            let peer = try checkedPeer(record, lsn)
            guard record.sequence == pairs[peer].decided + 1 else {
                throw damaged(gap(record, pairs[peer].decided), lsn)
            }
            pairs[peer].decided = record.sequence
            var credit = LogRecord(creditOf: record.body, peer: id, sequence: record.sequence)
            credit.flags = record.flags
            // Of a chain here, whose promised credits stand each by itself there.
            credit.flags.remove(.chainContinues)
            keepDecision(credit, peer)
        case .credit, .credits, .leg, .accountLeg:
            let peer = try checkedPeer(record, lsn)
            guard record.sequence == pairs[peer].applied + 1 else {
                throw damaged(gap(record, pairs[peer].applied), lsn)
            }
            for _ in 0..<record.commits {
                pairs[peer].applied += 1
                Self.keep(lsn, in: &credits[peer])
            }
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
        pairs all: [[PairNumbers]], decisions: [[[LogRecord]]]
    ) throws(JournalError) -> [LogRecord] {
        var records: [LogRecord] = []
        for peer in 0..<pairs.count where peer != id.index {
            let applied = pairs[peer].applied
            let missing = Int(all[peer][id.index].decided - applied)
            let kept = decisions[peer][id.index]
            guard missing == 0 || kept.first.map({ $0.sequence <= applied + 1 }) == true else {
                throw .unsound(
                    "shard \(id.value) lacks \(missing) decisions of shard \(peer): more than can be under way")
            }
            if missing > 0 { records += kept.drop { $0.sequence <= applied } }
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
        .unsound("shard \(id.value), LSN \(lsn.value): \(what)")
    }

    /// Keeps what the last `Limits.redoPerPeerMax` decisions gave a peer, dropping in large steps.
    private mutating func keepDecision(_ record: LogRecord, _ peer: Int) {
        decisions[peer].append(record)
        let oldest = decisions[peer][0].sequence
        if record.sequence - oldest >= 2 * UInt64(Limits.redoPerPeerMax) {
            let bound = record.sequence - UInt64(Limits.redoPerPeerMax)
            decisions[peer].removeFirst(decisions[peer].firstIndex { $0.sequence > bound } ?? 0)
        }
    }

    /// Keeps the last `Limits.redoPerPeerMax` of a list, dropping in large steps.
    private static func keep<Element>(_ element: Element, in list: inout [Element]) {
        list.append(element)
        if list.count >= 2 * Limits.redoPerPeerMax { list.removeFirst(Limits.redoPerPeerMax) }
    }
}
