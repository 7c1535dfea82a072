// A bit that flips at rest, in a directory that nobody has open.

import Foundation
import SuanpanCore
import SuanpanJournal

extension Simulation {
    /// Flips one bit of a log at the end of a history. Recovery must refuse the directory, or find all records, or, where
    /// nothing proves that the damaged group was durable, say that it cuts it.
    func flipBit() throws {
        // Idle groups prove the last records durable.
        if dice.chance(50) {
            for node in nodes where node.shard.journal.wantsIdleGroup { try writeIdleGroup(node) }
        }
        nodes = []
        let before = try replayAll()
        let shard = dice.below(shardCount)
        let folder = "\(path)/shard-00\(shard)"
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasSuffix(".tmp") }
            .sorted()
        let name = dice.pick(names)
        var bytes = try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))
        // Nothing is said about blocks that were never written.
        let used = (bytes.lastIndex { $0 != 0 } ?? 0) / 4096 * 4096 + 4096
        let at = dice.below(min(used, bytes.count))
        bytes[at] ^= 1 << UInt8(dice.below(8))
        try bytes.write(to: URL(filePath: "\(folder)/\(name)"))
        trace("a bit flips in byte \(at) of shard \(shard)/\(name)")
        coverage.flips += 1

        let after: [Replayed]
        do { after = try replayAll() } catch is JournalError {
            coverage.flipsRefused += 1
            return
        }
        for i in 0..<shardCount {
            let lost = before[i].records.count - after[i].records.count
            try check(
                lost == 0 || i == shard, "a bit flipped in shard \(shard), and shard \(i) has lost \(lost) records")
            let kept = zip(before[i].records, after[i].records).allSatisfy { $0.body == $1.body }
            try check(kept && lost >= 0, "a bit flipped in byte \(at) of \(name), and recovery gives other records")
            if lost == 0 { continue }
            coverage.flipsCut += 1
            try check(
                after[i].summary.cut != nil && after[i].summary.lastLSN >= before[i].summary.durableEvidence,
                "a bit flipped in byte \(at) of \(name), and \(lost) records that were durable are gone without a word")
        }
    }
}
