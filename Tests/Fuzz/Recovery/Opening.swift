// What an engine's threads do with the logs before they serve, one after the other and without writing: see CoreThread.

import SuanpanCore
import SuanpanJournal
import SuanpanLedger
import SuanpanShard

enum Opening {
    /// Double entry over all shards, by ledger.
    case balances([UInt32: LedgerTotals])
    case refused(String)

    static func open(_ path: String) -> Opening {
        do throws(JournalError) {
            let directory = try DataDirectory(path: path, create: false)
            var replays = [try Replayed(directory, 0, nil), try Replayed(directory, 1, nil)]
            // A chain whose end is missing was not decided.
            for i in 0..<2 {
                if let since = replays[i].replay.incompleteSince {
                    replays[i] = try Replayed(directory, i, LSN(since.value - 1))
                }
            }
            let pairs = replays.map { $0.replay.pairs }
            let decisions = replays.map { $0.replay.decisions }
            for i in 0..<2 where pairs[i][1 - i].applied > pairs[1 - i][i].decided {
                return .refused("shard \(i) has applied what shard \(1 - i) has not decided")
            }
            var sums: [UInt32: LedgerTotals] = [:]
            for i in 0..<2 {
                for record in try replays[i].replay.missingCredits(pairs: pairs, decisions: decisions) {
                    if let wrong = replays[i].replay.apply(record, lsn: .zero, position: LogPosition(0)) {
                        return .refused(wrong)
                    }
                }
                for slot in 0..<replays[i].replay.ledger.ledgerCount {
                    add(replays[i].replay.ledger.totals(slot), to: &sums)
                }
            }
            return .balances(sums)
        } catch { return .refused("\(error)") }
    }

    private static func add(_ t: LedgerTotals, to sums: inout [UInt32: LedgerTotals]) {
        guard var sum = sums[t.ledger] else {
            sums[t.ledger] = t
            return
        }
        sum.debitsPending &+= t.debitsPending
        sum.debitsPosted &+= t.debitsPosted
        sum.creditsPending &+= t.creditsPending
        sum.creditsPosted &+= t.creditsPosted
        sums[t.ledger] = sum
    }
}

/// A shard's replay, shared by reference: it is noncopyable.
private final class Replayed {
    var replay: LedgerReplay

    init(_ directory: borrowing DataDirectory, _ shard: Int, _ limit: LSN?) throws(JournalError) {
        var replay = LedgerReplay(
            id: ShardID(shard), routing: directory.routing, key: HashKey(a: 3, b: 4), memoryBytes: 1 << 20)
        _ = try Recovery.replay(directory.shard(ShardID(shard)), upTo: limit, into: &replay)
        try replay.finish()
        self.replay = replay
    }
}
