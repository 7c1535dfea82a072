// Goal: after any crash a replay gives a prefix of what was appended that holds all that was durable, and no later
// replay takes leftovers for records. Method: seeded histories; each write under way is kept, dropped or torn.

import SuanpanCore
import Testing

@testable import SuanpanJournal

/// One history of openings and crashes. Ids are never used twice, so a leftover shows.
func crashHistory(seed: UInt64, isAsync: Bool) throws {
    let bench = try Bench(ahead: 3)
    var random = Seeded(seed)
    var kept: [UInt64] = []
    var nextID: UInt64 = 1
    var cuts = 0
    for round in 0..<5 {
        var options = JournalOptions()
        options.durability = isAsync ? .async : .sync
        options.earlyWriteBytes = [8 << 10, 64 << 10, 256 << 10][random.below(3)]
        options.smallWritesInFlightMax = 1 + random.below(4)
        var limit: LSN?
        if isAsync, round > 0, random.below(3) == 0 {
            // The engine cuts back to what all shards agree on: anywhere at or above this epoch's begin.
            let before = try bench.replay().0
            let floor = before.epochs.last.map { $0.firstLSN - 1 } ?? 0
            limit = LSN(floor + UInt64(random.below(Int(before.lastLSN.value - floor) + 1)))
            kept = Array(kept.prefix(Int(limit!.value)))
        }
        var journal = try bench.open(upTo: limit, options: options)
        #expect(journal.appended == LSN(UInt64(kept.count)), "seed \(seed) round \(round)")
        var appended = kept
        var disk = Disk(bench.data, isAsync: isAsync)
        for _ in 0..<random.below(60) {
            bench.preparer.step()
            switch random.below(8) {
            case 0, 1, 2:
                for _ in 0..<[1, 3, 40, 900][random.below(4)] where journal.hasRoom(records: 1) {
                    journal.append(transfer(nextID))
                    appended.append(nextID)
                    nextID += 1
                }
            case 3: if !disk.flying.isEmpty { try disk.complete(random.below(disk.flying.count), &journal) }
            case 4: if !disk.flying.isEmpty { try disk.complete(0, &journal) }
            case 5: if journal.wantsIdleGroup { journal.sealIdle() }
            case 6: if disk.syncing == nil { disk.beginSync(&journal) }
            default: try disk.endSync(&journal)
            }
            try disk.submit(&journal)
        }
        let durable = Int(journal.durable.value)
        #expect(journal.durable <= journal.acknowledged)
        disk.crash(&random)
        let (summary, seen) = try bench.replay()
        #expect(seen.ids.count >= durable, "seed \(seed) round \(round): a durable record is gone")
        #expect(seen.ids == Array(appended.prefix(seen.ids.count)), "seed \(seed) round \(round): not a prefix")
        #expect(summary.lastLSN == LSN(UInt64(seen.ids.count)))
        #expect(try bench.replay().0 == summary, "a replay changes nothing")
        if summary.cut != nil { cuts += 1 }
        kept = seen.ids
    }
    _ = cuts
}

@Test(arguments: 0..<60) func crashesOfASyncedJournal(seed: Int) throws {
    try crashHistory(seed: UInt64(seed), isAsync: false)
}

@Test(arguments: 0..<60) func crashesOfAnAsyncJournal(seed: Int) throws {
    try crashHistory(seed: UInt64(1000 + seed), isAsync: true)
}

@Test func aTornTailIsCutAndSaysWhere() throws {
    let bench = try Bench()
    var journal = try bench.open()
    var disk = Disk(bench.data)
    for n: UInt64 in 1...10 { journal.append(transfer(n)) }
    try disk.drain(&journal)
    for n: UInt64 in 11...100 { journal.append(transfer(n)) }
    try disk.submit(&journal)
    // The header's sector is there, the last sectors are not.
    Disk.apply(disk.flying[0]) { $0 < 20 }
    let (summary, seen) = try bench.replay()
    #expect(seen.ids == Array(1...10))
    #expect(
        summary.cut
            == CutTail(
                finding: .badPayload, path: bench.data.segmentPath(1), offset: 8192, bytes: 16384, lsn: LSN(11)))
    // Another shard may have seen what was cut.
    let proof = fail { () throws(JournalError) in try summary.check(decided: 6, appliedBy: ShardID(1), 7) }
    #expect(
        proof
            == .damaged(
                Damage(
                    .endsBeforeProof(decided: 6, applied: 7, peer: ShardID(1)), path: bench.data.segmentPath(1),
                    offset: 8192, lsn: LSN(11))))
    try summary.check(decided: 7, appliedBy: ShardID(1), 7)
}

@Test func aLaterGroupWithoutProofIsCutWithTheEarlier() throws {
    let bench = try Bench()
    var journal = try bench.open()
    var disk = Disk(bench.data)
    journal.append(transfer(1))
    try disk.submit(&journal)
    journal.append(transfer(2))
    try disk.submit(&journal)
    #expect(disk.flying.count == 2)
    Disk.apply(disk.flying[1])
    let (summary, seen) = try bench.replay()
    #expect(seen.ids == [] && summary.cut?.finding == .blank && summary.cut?.offset == 4096)
    // The next opening writes over the first place only; the leftover stays behind it and says nothing.
    var second = try Journal(bench.data, after: summary, supply: bench.preparer.supply(ShardID(0)))
    second.append(transfer(3))
    var secondDisk = Disk(bench.data)
    try secondDisk.drain(&second)
    #expect(try bench.replay().1.ids == [3])
    #expect(try bench.replay().0.cut == nil)
}
