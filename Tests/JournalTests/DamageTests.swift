// Goal: what was durable and is no longer whole is reported, by file, and never skipped; what is planted is refused.
// Method: logs are written, then bytes and files are changed behind the journal's back.

import Glibc
import SuanpanCore
import Testing

@testable import SuanpanJournal

/// A log over three segments whose last records an idle group proves. Returns the LSN of the last.
private func sealedLog(_ bench: Bench) throws -> UInt64 {
    var journal = try bench.open()
    var disk = Disk(bench.data)
    var n: UInt64 = 0
    while n < 16000 {
        bench.preparer.step()
        for _ in 0..<400 {
            n += 1
            journal.append(transfer(n))
        }
        try disk.drain(&journal)
    }
    journal.sealIdle()
    try disk.drain(&journal)
    return n
}

private func damage(_ bench: Bench) -> Damage? {
    let error = fail { () throws(JournalError) in _ = try bench.replay() }
    guard case .damaged(let damage) = error else { return nil }
    return damage
}

@Test func anyByteOfASealedLogIsMissed() throws {
    let bench = try Bench()
    let last = try sealedLog(bench)
    let (summary, seen) = try bench.replay()
    #expect(seen.ids.count == Int(last) && summary.segment == 3 && summary.cut == nil)
    var random = Seeded(7)
    var places: [(UInt64, Int)] = []
    for segment: UInt64 in 1...2 {
        for _ in 0..<60 { places.append((segment, random.below(1 << 20))) }
        for byte in 0..<160 { places.append((segment, 4096 + byte)) }
        for byte in stride(from: 0, to: 4096, by: 37) { places.append((segment, byte)) }
    }
    // Up to the idle group, which nothing proves but itself.
    for _ in 0..<60 { places.append((3, random.below(Int(summary.offset) - 4096))) }
    for (segment, offset) in places {
        let path = bench.data.segmentPath(segment)
        flip(path, offset)
        let found = damage(bench)
        #expect(found?.path == path, "byte \(offset) of segment \(segment)")
        #expect((found?.offset ?? .max) <= UInt64(offset))
        flip(path, offset)
    }
    #expect(try bench.replay().0 == summary)
}

@Test func theLastGroupIsDamagedOnceSomethingProvesIt() throws {
    for proof in 0..<3 {
        let bench = try Bench()
        var journal = try bench.open()
        var disk = Disk(bench.data)
        for n: UInt64 in 1...20 { journal.append(transfer(n)) }
        try disk.drain(&journal)
        switch proof {
        case 0: break
        case 1:
            journal.sealIdle()
            try disk.drain(&journal)
        default: _ = try Journal(bench.data, after: bench.replay().0, supply: bench.preparer.supply(ShardID(0)))
        }
        flip(bench.data.segmentPath(1), 5000)
        if proof == 0 {
            let (summary, seen) = try bench.replay()
            #expect(seen.ids == [] && summary.cut?.finding == .badPayload)
        } else {
            let found = damage(bench)
            #expect(found?.reason == .payloadChecksum && found?.lsn == LSN(1) && found?.offset == 4096)
            #expect(found?.stored != nil && found?.stored != found?.computed)
        }
        // Zeros in its place.
        put(bench.data.segmentPath(1), 4096, [UInt8](repeating: 0, count: 4096))
        if proof == 0 {
            #expect(try bench.replay().1.ids == [])
        } else {
            #expect(damage(bench)?.reason == .groupMissing)
        }
    }
}

@Test func aProofOfOneRecordIsEnough() throws {
    let bench = try Bench()
    var journal = try bench.open()
    var disk = Disk(bench.data)
    for n: UInt64 in 1...2 {
        journal.append(transfer(n))
        try disk.drain(&journal)
    }
    // The second group knows LSN 1 durable, and no more.
    flip(bench.data.segmentPath(1), 4096 + 130)
    #expect(damage(bench)?.lsn == LSN(1))
    flip(bench.data.segmentPath(1), 4096 + 130)
    flip(bench.data.segmentPath(1), 8192 + 130)
    #expect(try bench.replay().1.ids == [1])
}

@Test func damageSaysFileOffsetLSNAndWhatToDo() throws {
    let bench = try Bench()
    _ = try sealedLog(bench)
    flip(bench.data.segmentPath(2), 4096 + 300)
    let text = String(describing: try #require(fail { () throws(JournalError) in _ = try bench.replay() }))
    #expect(text.contains("shard-000/0000000000000002.log: damaged at offset 4096, LSN "))
    #expect(text.contains("(checksum 0x") && text.contains(" stored, 0x"))
    #expect(text.hasSuffix("; restore the data directory from a backup; nothing was changed"))
}

@Test func missingShortAndForeignSegmentsAreRefused() throws {
    let bench = try Bench()
    _ = try sealedLog(bench)
    let second = bench.data.segmentPath(2)
    let aside = bench.folder.path + "/aside"
    for number: UInt64 in 1...3 {
        let path = bench.data.segmentPath(number)
        rename(path, aside)
        #expect(damage(bench)?.reason == .segmentMissing && damage(bench)?.path == path)
        rename(aside, path)
    }
    let whole = contents(second)
    truncate(second, 1 << 19)
    #expect(damage(bench)?.reason == .segmentSize && damage(bench)?.path == second)
    put(second, 0, whole)

    // A segment of another directory, of another shard, of another number.
    let other = Folder()
    let directory = try DataDirectory(path: other.path, shards: 2, segmentBytes: 1 << 20)
    _ = directory.shardCount
    put(second, 0, contents(other.path + "/shard-000/0000000000000001.log"))
    #expect(
        fail { () throws(JournalError) in _ = try bench.replay() }
            == .foreignSegment(path: second, why: "a segment of another data directory"))
    put(second, 0, contents(bench.data.segmentPath(1)))
    #expect(
        fail { () throws(JournalError) in _ = try bench.replay() }
            == .foreignSegment(path: second, why: "holds segment number 1"))
    let shardOne = other.path + "/shard-001/0000000000000001.log"
    put(other.path + "/shard-000/0000000000000001.log", 0, contents(shardOne))
    var collector = Collector()
    #expect(
        fail { () throws(JournalError) in
            _ = try Recovery.replay(directory.shard(ShardID(0)), into: &collector)
        } == .foreignSegment(path: other.path + "/shard-000/0000000000000001.log", why: "a segment of shard 1"))
    put(second, 0, whole)
    #expect(try bench.replay().1.ids.count == 16000)
}

@Test func groupsOfOtherPlacesAreRefused() throws {
    let bench = try Bench()
    _ = try sealedLog(bench)
    let (summary, _) = try bench.replay()
    // A sound block of the log copied behind its end.
    let path = bench.data.segmentPath(3)
    let block = Array(contents(path)[4096..<8192])
    put(path, Int(summary.offset), block)
    #expect(damage(bench)?.reason == .misplacedGroup && damage(bench)?.offset == summary.offset)
    // Whoever plants a header for exactly this place does not know the salt: the torn tail of nothing.
    var forged = try #require(Plain.load(GroupHeader.self, from: block, at: 0))
    forged.salt ^= 1
    forged.offset = summary.offset
    forged.segment = summary.segment
    forged.firstLSN = summary.lastLSN.value + 1
    forged.durable = summary.lastLSN.value
    forged.previousChecksum = summary.lastChecksum
    forged.headerChecksum = 0
    forged.headerChecksum = forged.computedChecksum()
    var bytes: [UInt8] = []
    Plain.append(forged, to: &bytes)
    put(path, Int(summary.offset), bytes + block[128...])
    #expect(try bench.replay().0.cut?.finding == .unreadableHeader)
}

@Test func theEpochsFileIsChecked() throws {
    let bench = try Bench()
    let epochs = bench.data.path + "/epochs"
    let old = contents(epochs)
    var journal = try bench.open()
    var disk = Disk(bench.data)
    journal.append(transfer(1))
    try disk.drain(&journal)
    let current = contents(epochs)
    for byte in 0..<current.count {
        flip(epochs, byte)
        #expect(damage(bench)?.reason == .epochsFile && damage(bench)?.path == epochs, "byte \(byte)")
        flip(epochs, byte)
    }
    // An older one: groups of an opening that it does not know.
    unlink(epochs)
    #expect(damage(bench)?.reason == .epochsFile)
    put(epochs, 0, old)
    #expect(damage(bench)?.reason == .unknownEpoch)
    unlink(epochs)
    put(epochs, 0, current)
    #expect(try bench.replay().1.ids == [1])
}

@Test func unknownVersionsAreRefusedByNumber() throws {
    let bench = try Bench()
    _ = try sealedLog(bench)
    let path = bench.data.segmentPath(1)
    let segment = Plain.load(SegmentFile.Header.self, from: contents(path), at: 0)
    var header = try #require(segment)
    header.version = 9
    header.checksum = 0
    header.checksum = header.computedChecksum()
    var bytes: [UInt8] = []
    Plain.append(header, to: &bytes)
    put(path, 0, bytes)
    #expect(fail { () throws(JournalError) in _ = try bench.replay() } == .unsupportedVersion(9, path: path))
    bytes = []
    Plain.append(try #require(segment), to: &bytes)
    put(path, 0, bytes)

    let stored = Plain.load(GroupHeader.self, from: contents(path), at: 4096)
    var group = try #require(stored)
    group.version = 2
    group.headerChecksum = 0
    group.headerChecksum = group.computedChecksum()
    bytes = []
    Plain.append(group, to: &bytes)
    put(path, 4096, bytes)
    #expect(fail { () throws(JournalError) in _ = try bench.replay() } == .unsupportedVersion(2, path: path))
}

@Test func aLogIsNotCutBelowAnEarlierOpening() throws {
    let bench = try Bench()
    var n: UInt64 = 0
    for _ in 0..<2 {
        var journal = try bench.open()
        var disk = Disk(bench.data)
        for _ in 0..<10 {
            n += 1
            journal.append(transfer(n))
        }
        try disk.drain(&journal)
    }
    #expect(try bench.replay(upTo: LSN(13)).1.ids == Array(1...13))
    #expect(try bench.replay(upTo: LSN(10)).1.ids == Array(1...10))
    #expect(try bench.replay(upTo: LSN(99)).1.ids == Array(1...20))
    #expect(
        fail { () throws(JournalError) in _ = try bench.replay(upTo: LSN(9)) }
            == .cutBelowEpoch(path: bench.data.path, limit: LSN(9), begin: LSN(11)))
    // What a limit left out is void for good once a journal has begun behind it.
    var journal = try bench.open(upTo: LSN(13))
    #expect(try bench.replay().1.ids == Array(1...13))
    journal.append(transfer(99))
    var disk = Disk(bench.data)
    try disk.drain(&journal)
    #expect(try bench.replay().1.ids == Array(1...13) + [99])
}

/// Found by the recovery fuzzer: such a file, with its checksum right, ended the process.
@Test func anEpochThatBeganWhereNoneCanIsDamage() throws {
    let bench = try Bench()
    let sound = EpochEntry(
        epoch: 2, segment: 1, offset: 4096, firstLSN: 1, previousChecksum: 0, clockCeiling: 0)
    let change: [(inout EpochEntry) -> Void] = [
        { $0.epoch = 0 }, { $0.epoch = 1 }, { $0.segment = 0 }, { $0.segment = .max }, { $0.offset = 0 },
        { $0.offset = 4097 }, { $0.offset = UInt64(bench.data.segmentBytes) + 4096 }, { $0.offset = .max },
        { $0.firstLSN = 0 }, { $0.firstLSN = .max },
    ]
    var first = sound
    first.epoch = 1
    for (i, change) in change.enumerated() {
        var entry = sound
        change(&entry)
        try EpochFile.write(bench.data, [first, entry])
        #expect(damage(bench)?.reason == .epochsFile, "change \(i)")
    }
    try EpochFile.write(bench.data, [first, sound])
    #expect(try bench.replay().0.epoch == 2)
}
