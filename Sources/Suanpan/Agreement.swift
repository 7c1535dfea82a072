// Where each shard's log must end so that no log holds what another one does not know of: the same for a start, for `verify`
// and for `dump`. Asked of each shard when all have been replayed; where a log must end earlier it is replayed again, up to
// there, and all are asked again.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanShard

/// What one shard's replay tells the others.
struct ReplayFacts: Sendable {
    /// By peer.
    var pairs: [PairNumbers]
    var decisions: [[LogRecord]]
    var summary: ReplaySummary
    var accounts: Int
    var transfers: UInt64

    init(_ replay: borrowing LedgerReplay, _ summary: ReplaySummary) {
        pairs = replay.pairs
        decisions = replay.decisions
        self.summary = summary
        accounts = replay.ledger.accountCount
        transfers = replay.ledger.transferCount
    }
}

enum Agreement {
    /// The last LSN of a shard that counts; nil: all of its log does.
    ///
    /// A decision applied here that its coordinator's log lacks proves damage there, as it was durable before it left. Of a
    /// directory that was ever written in async mode it may be a power cut: then this shard is cut back to before it.
    /// - Throws: `journal(damaged)` with the place in the coordinator's log, `inconsistent`.
    static func lastLSN(
        of replay: borrowing LedgerReplay, _ shard: ShardID, among all: [ReplayFacts], wasEverAsynchronous: Bool
    ) throws(EngineError) -> LSN? {
        // A chain that a crash has cut in two was not decided.
        var limit = replay.incompleteSince.map { LSN($0.value - 1) }
        for peer in all.indices where peer != shard.index {
            let applied = all[shard.index].pairs[peer].applied
            let decided = all[peer].pairs[shard.index].decided
            guard applied > decided else { continue }
            guard wasEverAsynchronous else {
                do throws(JournalError) {
                    try all[peer].summary.check(decided: decided, appliedBy: shard, applied)
                } catch { throw .journal(error) }
                continue
            }
            let lost = Int(applied - decided)
            guard lost <= replay.credits[peer].count else {
                throw .inconsistent(
                    "shard \(shard.value) has applied \(lost) decisions that shard \(peer) has lost: more than kept")
            }
            let before = LSN(replay.credits[peer][replay.credits[peer].count - lost].value - 1)
            limit = limit.map { min($0, before) } ?? before
        }
        return limit
    }
}
