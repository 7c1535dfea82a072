// Goal: what is appended and completed comes back, in order, over groups, segments and openings.
// Method: a hand-driven disk carries out the journal's commands; a replay collects.

import Glibc
import SuanpanCore
import Testing

@testable import SuanpanJournal

@Test func headersHaveTheirDocumentedLayout() {
    #expect(MemoryLayout<GroupHeader>.size == 128 && MemoryLayout<GroupHeader>.stride == 128)
    #expect(MemoryLayout<GroupHeader>.offset(of: \.salt) == 16)
    #expect(MemoryLayout<GroupHeader>.offset(of: \.epoch) == 48)
    #expect(MemoryLayout<GroupHeader>.offset(of: \.firstLSN) == 56)
    #expect(MemoryLayout<GroupHeader>.offset(of: \.payloadChecksum) == 88)
    #expect(MemoryLayout<GroupHeader>.offset(of: \.length) == 96)
    #expect(MemoryLayout<GroupHeader>.offset(of: \.offset) == 104)
    #expect(MemoryLayout<GroupHeader>.offset(of: \.headerChecksum) == 120)
    #expect(MemoryLayout<Superblock.Head>.size == 64 && MemoryLayout<Superblock.Head>.offset(of: \.checksum) == 56)
    #expect(
        MemoryLayout<SegmentFile.Header>.size == 64 && MemoryLayout<SegmentFile.Header>.offset(of: \.checksum) == 56)
    #expect(MemoryLayout<EpochEntry>.size == 64 && MemoryLayout<EpochEntry>.offset(of: \.clockCeiling) == 40)
    #expect(MemoryLayout<EpochFile.Head>.size == 64 && MemoryLayout<EpochFile.Head>.offset(of: \.checksum) == 32)
}

@Test func recordsComeBackOverGroupsSegmentsAndOpenings() throws {
    let bench = try Bench()
    var total: UInt64 = 0
    var positions: [LogPosition] = []
    for round in 0..<3 {
        var journal = try bench.open()
        var disk = Disk(bench.data)
        var random = Seeded(UInt64(round))
        for _ in 0..<40 {
            bench.preparer.step()
            let count = 1 + random.below(700)
            #expect(journal.hasRoom(records: count) == true)
            for _ in 0..<count {
                total += 1
                positions.append(journal.append(transfer(total)))
            }
            try disk.drain(&journal, clock: total * 10)
            #expect(journal.durable == LSN(total) && journal.appended == LSN(total))
        }
        let (summary, seen) = try bench.replay()
        #expect(seen.ids == Array(1...total))
        #expect(seen.positions == positions)
        #expect(summary.lastLSN == LSN(total) && summary.cut == nil && summary.clockCeiling == total * 10)
        #expect(summary.epoch == UInt32(round + 1))
        #expect(summary.segments > 2)
        for n in stride(from: 1, to: total, by: 997) {
            let record = try journal.read(positions[Int(n) - 1])
            #expect(record.body.id == TransferID(UInt128(n)))
        }
        #expect(try journal.read(positions.last!).body.id == TransferID(UInt128(total)))
    }
}

@Test func openRecordsCanBeReadBeforeTheyAreWritten() throws {
    let bench = try Bench()
    var journal = try bench.open()
    let first = journal.append(transfer(7))
    let second = journal.append(transfer(8))
    #expect(try journal.read(second).body.amount == Amount(8))
    #expect(try journal.read(first).body.amount == Amount(7))
    // Behind the last record nothing stands, in memory or on disk.
    let error = fail { () throws(JournalError) in _ = try journal.read(LogPosition(second.value + 9)) }
    guard case .damaged(let damage) = error else { Issue.record("\(String(describing: error))"); return }
    #expect(damage.reason == .headerUnreadable)
}

@Test func aLogThatPositionsCannotTellFurtherTakesNoNewWork() throws {
    let bench = try Bench()
    // As if 16 TiB less a few segments had been written: the epochs file says where the log begins.
    let total = (Limits.logPositionMax + 1) * 16 / (1 << 20)
    let last = total - total / 1024 - 1
    for number in last...last + 2 { try SegmentFile.create(bench.data, number) }
    try EpochFile.write(
        bench.data,
        [
            EpochEntry(
                epoch: 1, segment: last, offset: 4096, firstLSN: 1 << 40, previousChecksum: 0, clockCeiling: 0)
        ])
    var journal = try bench.open()
    #expect(journal.admitsNewWork == true)
    while journal.admitsNewWork {
        #expect(journal.hasRoom(records: 1) == true)
        journal.append(transfer(1))
    }
    // What had begun goes on.
    let position = journal.append(transfer(2))
    #expect(position.segment(segmentBytes: 1 << 20) == last + 1)
    #expect(position.value < Limits.logPositionMax)
}

@Test func aPlaceWithoutARecordIsRefused() throws {
    let bench = try Bench()
    var reader = try RecordReader(bench.data)
    for offset: UInt64 in [0, 4096, 4096 + 128, (1 << 20) - 16, 5000] {
        #expect(fail { () throws(JournalError) in _ = try reader.read(segment: 1, offset: offset) } != nil)
    }
    #expect(fail { () throws(JournalError) in _ = try reader.read(segment: 99, offset: 4224) } != nil)
}

@Test func theDurablePrefixFollowsTheOldestWrite() throws {
    let bench = try Bench()
    var options = JournalOptions()
    options.smallWritesInFlightMax = 8
    var journal = try bench.open(options: options)
    var disk = Disk(bench.data)
    for n: UInt64 in 1...5 {
        journal.append(transfer(n))
        try disk.submit(&journal)
    }
    #expect(disk.flying.count == 5 && journal.writesInFlight == 5)
    try disk.complete(4, &journal)
    try disk.complete(1, &journal)
    #expect(journal.durable == LSN(0) && journal.acknowledged == LSN(0))
    try disk.complete(0, &journal)
    #expect(journal.durable == LSN(2))
    try disk.complete(0, &journal)
    #expect(journal.durable == LSN(3))
    try disk.complete(0, &journal)
    #expect(journal.durable == LSN(5) && journal.writesInFlight == 0)
}

@Test func aHurriedJournalSendsSmallGroupsBesideOthers() throws {
    let bench = try Bench()
    var options = JournalOptions()
    options.smallWritesInFlightMax = 1
    options.hurriedWritesInFlightMax = 3
    var journal = try bench.open(options: options)
    var disk = Disk(bench.data)
    journal.append(transfer(1))
    try disk.submit(&journal)
    journal.append(transfer(2))
    try disk.submit(&journal)
    #expect(disk.flying.count == 1, "nobody hurries")
    journal.hurries = true
    try disk.submit(&journal)
    #expect(disk.flying.count == 2)
    for n: UInt64 in 3...20 { journal.append(transfer(n)) }
    try disk.submit(&journal)
    #expect(disk.flying.count == 2, "a group of more than hurriedBytes waits")
    try disk.drain(&journal)
    for n: UInt64 in 21...24 {
        journal.append(transfer(n))
        try disk.submit(&journal)
    }
    #expect(disk.flying.count == 3, "never more than hurriedWritesInFlightMax")
    try disk.drain(&journal)
    #expect(journal.durable == LSN(24))
}

@Test func groupsFillWhileWritesAreUnderWay() throws {
    let bench = try Bench(ahead: 6)
    var options = JournalOptions()
    options.smallWritesInFlightMax = 1
    options.writesInFlightMax = 3
    var journal = try bench.open(options: options)
    for _ in 0..<6 { bench.preparer.step() }
    var disk = Disk(bench.data)
    journal.append(transfer(1))
    try disk.submit(&journal)
    for n: UInt64 in 2...100 { journal.append(transfer(n)) }
    try disk.submit(&journal)
    #expect(disk.flying.count == 1, "a small group waits for the write under way")
    for n: UInt64 in 101...2000 { journal.append(transfer(n)) }
    try disk.submit(&journal)
    #expect(disk.flying.count == 2, "a group of earlyWriteBytes does not wait")
    #expect(disk.flying[1].command.records == 1999)
    for n: UInt64 in 2001...30000 { journal.append(transfer(n)) }
    try disk.submit(&journal)
    #expect(disk.flying.count == 3, "never more than writesInFlightMax")
    try disk.drain(&journal)
    #expect(journal.durable == LSN(30000))
    #expect(try bench.replay().1.ids == Array(1...30000))
}

@Test func roomEndsWithBuffersOrSegments() throws {
    let bench = try Bench(ahead: 1)
    var journal = try bench.open()
    // Segments 1 and 2 are there: 1 MiB each, a block of header each, one group in what is left.
    let perSegment = ((1 << 20) - 4096 - 128) / 144
    #expect(journal.hasRoom(records: 2 * perSegment) == true)
    #expect(journal.hasRoom(records: 2 * perSegment + 1) == false)
    for n in 1...2 * perSegment { journal.append(transfer(UInt64(n))) }
    #expect(journal.hasRoom(records: 1) == false)
    var disk = Disk(bench.data)
    try disk.drain(&journal)
    #expect(journal.hasRoom(records: 1) == false)
    bench.preparer.step()
    #expect(journal.hasRoom(records: perSegment) && !journal.hasRoom(records: perSegment + 1))
    journal.append(transfer(UInt64(2 * perSegment + 1)))
    try disk.drain(&journal)
    #expect(try bench.replay().1.ids.count == 2 * perSegment + 1)

    // With segments enough, the sixteen buffers are the limit.
    let wide = try Bench(ahead: 20)
    var second = try wide.open()
    for _ in 0..<20 { wide.preparer.step() }
    #expect(second.hasRoom(records: 16 * perSegment) && !second.hasRoom(records: 16 * perSegment + 1))
    for n in 1...16 * perSegment { second.append(transfer(UInt64(n))) }
    #expect(second.hasRoom(records: 1) == false)
    var wideDisk = Disk(wide.data)
    try wideDisk.drain(&second)
    #expect(try wide.replay().1.ids.count == 16 * perSegment)
}

@Test func aShortWriteIsFinished() throws {
    let bench = try Bench()
    var journal = try bench.open()
    for n: UInt64 in 1...100 { journal.append(transfer(n)) }
    let whole = try #require(try journal.nextWrite(clockCeiling: 0))
    #expect(whole.length == 16384)
    // 5000 bytes: one whole block counts.
    let bytes = [UInt8](UnsafeRawBufferPointer(start: whole.address, count: whole.length))
    try journal.completed(token: whole.token, result: 5000)
    #expect(journal.durable == LSN(0) && journal.writesInFlight == 0)
    let rest = try #require(try journal.nextWrite(clockCeiling: 0))
    #expect(rest.token == whole.token && rest.length == 12288 && rest.offset == whole.offset + 4096)
    #expect(bytes[4096...] == [UInt8](UnsafeRawBufferPointer(start: rest.address, count: rest.length))[...])
    try journal.completed(token: rest.token, result: 12288)
    #expect(journal.durable == LSN(100) && journal.counters.shortWrites == 1)
}

@Test func whatABufferHeldBeforeDoesNotReachTheDisk() throws {
    let bench = try Bench()
    var journal = try bench.open()
    // Each of the 16 buffers holds 50 records once, then one.
    for round in 0..<32 {
        for n in 0..<(round < 16 ? 50 : 1) { journal.append(transfer(UInt64(n + 1))) }
        let command = try #require(try journal.nextWrite(clockCeiling: 0))
        if round >= 16 {
            let bytes = [UInt8](UnsafeRawBufferPointer(start: command.address, count: command.length))
            #expect(command.length == 4096 && bytes[272...].allSatisfy { $0 == 0 })
        }
        try journal.completed(token: command.token, result: Int32(command.length))
    }
}

@Test func aFailedWriteEndsTheJournal() throws {
    let bench = try Bench()
    var journal = try bench.open()
    journal.append(transfer(1))
    let write = try #require(try journal.nextWrite(clockCeiling: 0))
    let error = fail { () throws(JournalError) in try journal.completed(token: write.token, result: -5) }
    #expect(error == .io(.write, errno: 5, path: bench.data.segmentPath(1)))
    journal.append(transfer(2))
    #expect(fail { () throws(JournalError) in _ = try journal.nextWrite(clockCeiling: 0) } == error)
    #expect(journal.durable == LSN(0) && !journal.wantsIdleGroup)
}

@Test func anIdleGroupCarriesWhatNoHeaderSaidYet() throws {
    let bench = try Bench()
    var journal = try bench.open()
    var disk = Disk(bench.data)
    #expect(journal.wantsIdleGroup == false, "nothing is new")
    journal.append(transfer(1))
    #expect(journal.wantsIdleGroup == false, "a group is open")
    try disk.submit(&journal)
    #expect(journal.wantsIdleGroup == false, "a write is under way")
    try disk.drain(&journal)
    #expect(journal.wantsIdleGroup == true)
    #expect(try bench.replay().0.durableEvidence == LSN(0))
    journal.sealIdle()
    try disk.drain(&journal, clock: 77)
    #expect(journal.wantsIdleGroup == false)
    #expect(journal.counters.idleGroups == 1)
    let summary = try bench.replay().0
    #expect(summary.durableEvidence == LSN(1) && summary.lastLSN == LSN(1) && summary.clockCeiling == 77)
    #expect(summary.groups == 2)
    // Records that arrive in between take the place of the idle group.
    journal.sealIdle()
    journal.append(transfer(2))
    try disk.drain(&journal)
    #expect(journal.counters.idleGroups == 1 && journal.counters.groups == 3)
    #expect(try bench.replay().1.ids == [1, 2])
}

@Test func anAsyncJournalIsDurableBySyncsOnly() throws {
    let bench = try Bench(ahead: 4)
    var options = JournalOptions()
    options.durability = .async
    var journal = try bench.open(options: options)
    for _ in 0..<4 { bench.preparer.step() }
    var disk = Disk(bench.data, isAsync: true)
    #expect(journal.nextSync() == nil)
    journal.append(transfer(1))
    try disk.drain(&journal)
    #expect(journal.acknowledged == LSN(1) && journal.durable == LSN(0))
    disk.beginSync(&journal)
    #expect(disk.syncing != nil && journal.nextSync() == nil, "one sync at a time")
    journal.append(transfer(2))
    try disk.drain(&journal)
    try disk.endSync(&journal)
    #expect(journal.acknowledged == LSN(2) && journal.durable == LSN(1))
    // Over three segments: each is synced by itself, the durable LSN follows.
    for n: UInt64 in 3...20000 { journal.append(transfer(n)) }
    try disk.drain(&journal)
    #expect(journal.acknowledged == LSN(20000))
    var steps: [UInt64] = []
    while true {
        disk.beginSync(&journal)
        if disk.syncing == nil { break }
        try disk.endSync(&journal)
        steps.append(journal.durable.value)
    }
    #expect(steps.count == 3 && steps == steps.sorted() && steps.last == 20000)
    #expect(journal.counters.syncs == 4)
    let (_, seen) = try bench.replay()
    #expect(seen.ids == Array(1...20000))
    let cursor = try ReplayCursor(bench.data)
    while let group = try cursor.nextGroup() { #expect(group.isAsynchronous) }
}

@Test func aFullDiskKeepsTheReserve() throws {
    let bench = try Bench(ahead: 1)
    var options = JournalOptions()
    options.reserveRecords = 200
    var journal = try bench.open(options: options)
    var disk = Disk(bench.data)
    #expect(journal.admitsNewWork && !journal.isDiskFull)
    bench.preparer.failPreparations(errno: 28)
    var n: UInt64 = 0
    // Into segment 2: the preparer wants segment 3 and finds no room.
    while journal.segment == 1 {
        n += 1
        journal.append(transfer(n))
        try disk.drain(&journal)
        bench.preparer.step()
    }
    #expect(journal.isDiskFull == true)
    var admitted = 0
    while journal.admitsNewWork {
        n += 1
        admitted += 1
        journal.append(transfer(n))
        try disk.drain(&journal)
    }
    #expect(admitted == 255 - 1 - 200 + 1, "each group of one record takes a block of the 255")
    // What was begun can still be finished.
    for _ in 0..<199 {
        #expect(journal.hasRoom(records: 1) == true)
        n += 1
        journal.append(transfer(n))
        try disk.drain(&journal)
    }
    #expect(!journal.hasRoom(records: 1) && !journal.wantsIdleGroup)
    // Room again: it goes on by itself.
    bench.preparer.failPreparations(errno: 0)
    bench.preparer.step()
    #expect(!journal.isDiskFull && journal.admitsNewWork && journal.hasRoom(records: 1))
    n += 1
    journal.append(transfer(n))
    try disk.drain(&journal)
    #expect(try bench.replay().1.ids == Array(1...n))
}

/// Each errno that says what the system lacks for the moment: while a segment is prepared, and of a write under way.
@Test(arguments: [EMFILE, ENFILE, ENOMEM, EAGAIN, EINTR])
func aShortageIsTriedAgain(errno: CInt) throws {
    let bench = try Bench(ahead: 2)
    var journal = try bench.open()
    var disk = Disk(bench.data)
    bench.preparer.step()
    bench.preparer.step()
    try disk.drain(&journal)
    bench.preparer.failPreparations(errno: errno)
    var n: UInt64 = 0
    // What is ready is used, but for the reserve.
    while journal.admitsNewWork {
        n += 1
        journal.append(transfer(n))
        try disk.drain(&journal)
        bench.preparer.step()
    }
    #expect(journal.segment > 1 && journal.segmentTrouble == errno && !journal.isDiskFull)
    #expect(journal.hasRoom(records: 1) == true)
    bench.preparer.failPreparations(errno: 0)
    bench.preparer.step()
    try disk.drain(&journal)
    #expect(journal.segmentTrouble == 0 && journal.admitsNewWork)
    // A write that the kernel turned away goes out again.
    n += 1
    journal.append(transfer(n))
    let first = try #require(try journal.nextWrite(clockCeiling: 0))
    try journal.completed(token: first.token, result: -errno)
    #expect(journal.durable < journal.appended)
    try disk.drain(&journal)
    #expect(journal.durable == journal.appended)
    #expect(try bench.replay().1.ids == Array(1...n))
}

@Test func aFailedPreparationEndsTheJournal() throws {
    let bench = try Bench(ahead: 2)
    var journal = try Journal(
        bench.data, after: bench.replay().0, supply: bench.preparer.supply(ShardID(0)))
    bench.preparer.failPreparations(errno: 5)
    bench.preparer.step()
    let error = fail { () throws(JournalError) in _ = try journal.nextWrite(clockCeiling: 0) }
    #expect(error == .io(.prepare, errno: 5, path: bench.data.segmentPath(2)))
}

@Test func thePreparersThreadKeepsSegmentsReady() throws {
    let bench = try Bench(ahead: 2)
    try bench.preparer.start()
    var journal = try Journal(
        bench.data, after: bench.replay().0, supply: bench.preparer.supply(ShardID(0)))
    var disk = Disk(bench.data)
    var n: UInt64 = 0
    while journal.segment < 6 {
        guard journal.hasRoom(records: 500) else {
            System.waitForBell(-1, timeoutMilliseconds: 1)
            continue
        }
        for _ in 0..<500 {
            n += 1
            journal.append(transfer(n))
        }
        try disk.drain(&journal)
    }
    bench.preparer.stop()
    #expect(try bench.replay().1.ids == Array(1...n))
}

/// Named after what once corrupted the heap: a journal wrote its last word into cells that had gone with the preparer.
@Test func aJournalMayOutliveItsPreparer() throws {
    let folder = Folder()
    let directory = try DataDirectory(path: folder.path, segmentBytes: 1 << 20)
    let data = directory.shard(ShardID(0))
    var preparer: SegmentPreparer? = try SegmentPreparer(directory)
    weak let observed = preparer
    do {
        var collector = Collector()
        let summary = try Recovery.replay(data, into: &collector)
        var journal = try Journal(data, after: summary, supply: try #require(preparer).supply(ShardID(0)))
        preparer = nil
        #expect(observed == nil)
        // Memory that would be theirs, were the cells free.
        let neighbours = (0..<64).map { [UInt64](repeating: .max, count: $0 % 8) }
        journal.append(transfer(1))
        var disk = Disk(data)
        try disk.drain(&journal)
        #expect(journal.durable == LSN(1))
        #expect(neighbours.allSatisfy { $0.allSatisfy { $0 == .max } })
    }
}
