// Goal: a data directory is made whole or not at all, held by one process, and refused by name when it is not ours.
// Method: directories are made, spoiled and opened again.

import Glibc
import SuanpanCore
import Testing

@testable import SuanpanJournal

private func refusal(
    _ path: String, shards: Int? = nil, segmentBytes: Int? = 1 << 20, create: Bool = true
) -> JournalError? {
    fail { () throws(JournalError) in
        _ = try DataDirectory(path: path, shards: shards, segmentBytes: segmentBytes, create: create)
    }
}

@Test func aDirectoryKeepsWhatItWasMadeWith() throws {
    let folder = Folder()
    let path = folder.path + "/deep/er"
    var salt: UInt128 = 0
    var routing: Routing?
    do {
        let made = try DataDirectory(path: path, shards: 3, segmentBytes: 2 << 20)
        #expect(made.isNew && made.shardCount == 3 && made.segmentBytes == 2 << 20 && made.salt != 0)
        salt = made.salt
        routing = made.routing
    }
    let again = try DataDirectory(path: path)
    #expect(!again.isNew && again.salt == salt && again.routing == routing && again.segmentBytes == 2 << 20)
    #expect(again.shard(ShardID(2)).path == path + "/shard-002")
    #expect(try System.list(path) == ["LOCK", "shard-000", "shard-001", "shard-002", "superblock"])
    #expect(try System.list(path + "/shard-002") == ["0000000000000001.log", "epochs"])
}

@Test func aSecondOpenerLearnsWhoHoldsIt() throws {
    let folder = Folder()
    do {
        let first = try DataDirectory(path: folder.path, segmentBytes: 1 << 20)
        #expect(refusal(folder.path) == .locked(path: folder.path, holder: Int(getpid())))
        #expect(refusal(folder.path)?.description.contains("in use by process \(getpid())") == true)
        _ = first.isNew
    }
    #expect(refusal(folder.path) == nil)
}

@Test func anotherShardCountIsRefused() throws {
    let folder = Folder()
    _ = try DataDirectory(path: folder.path, shards: 2, segmentBytes: 1 << 20)
    let error = refusal(folder.path, shards: 4)
    #expect(error == .shardCountMismatch(path: folder.path, stored: 2, requested: 4))
    #expect(error?.description.contains("holds 2 shards, 4 were asked for") == true)
    #expect(refusal(folder.path, shards: 2) == nil)
}

@Test func sillyArgumentsAreRefusedBeforeAnythingIsMade() throws {
    let folder = Folder()
    for shards in [0, 65, -1] { #expect(refusal(folder.path, shards: shards) != nil) }
    for bytes in [0, 4096, (1 << 20) + 4096, 2 << 30] { #expect(refusal(folder.path, segmentBytes: bytes) != nil) }
    #expect(try System.list(folder.path) == [])
    #expect(refusal(folder.path + "/none", create: false) == .notFound(path: folder.path + "/none"))
    #expect(refusal(folder.path, create: false) == .holdsNoLedger(path: folder.path))
    let read = fail { () throws(JournalError) in _ = try DataDirectory(reading: folder.path) }
    #expect(read == .holdsNoLedger(path: folder.path))
    #expect(try DataDirectory.shardCount(at: folder.path) == nil)
    #expect(try DataDirectory.shardCount(at: folder.path + "/none") == nil)
    #expect(try System.list(folder.path) == [])
}

@Test func strangersAreNotTouched() throws {
    let folder = Folder()
    put(folder.path + "/thesis.txt", 0, [1, 2, 3])
    #expect(refusal(folder.path) == .notADataDirectory(path: folder.path, found: "thesis.txt"))
    #expect(try System.list(folder.path) == ["thesis.txt"])
}

@Test func aLostOrSpoiledSuperblockIsNotReplaced() throws {
    let folder = Folder()
    _ = try DataDirectory(path: folder.path, segmentBytes: 1 << 20)
    let path = folder.path + "/superblock"
    let bytes = contents(path)
    for byte in [0, 7, 10, 12, 20, 33, 41, 48, 57, 64, 5000, bytes.count - 1] {
        flip(path, byte)
        guard case .superblockDamaged(let file, _, _) = refusal(folder.path) else {
            Issue.record("byte \(byte)")
            continue
        }
        #expect(file == path)
        flip(path, byte)
    }
    put(path, 8, [7, 0])
    #expect(refusal(folder.path) == .unsupportedVersion(7, path: path))
    #expect(refusal(folder.path)?.description.contains("format version 7; this build reads version 1") == true)
    truncate(path, 10)
    #expect(refusal(folder.path) == .superblockDamaged(path: path, stored: 0, computed: 0))
    unlink(path)
    #expect(refusal(folder.path) == .superblockMissing(path: path))
    put(path, 0, bytes)
    #expect(refusal(folder.path) == nil)
}

@Test func anInterruptedMakingIsCompleted() throws {
    let folder = Folder()
    do { _ = try DataDirectory(path: folder.path, shards: 2, segmentBytes: 1 << 20) }
    // As a crash before the superblock leaves it; the next try may be for fewer shards.
    unlink(folder.path + "/superblock")
    put(folder.path + "/CREATING", 0, [0])
    put(folder.path + "/superblock.tmp", 0, [1, 2])
    put(folder.path + "/shard-001/0000000000000001.log.tmp", 0, [9])
    let made = try DataDirectory(path: folder.path, shards: 1, segmentBytes: 1 << 20)
    #expect(made.isNew && made.shardCount == 1)
    #expect(try System.list(folder.path) == ["LOCK", "shard-000", "superblock"])
    var collector = Collector()
    #expect(try Recovery.replay(made.shard(ShardID(0)), into: &collector).lastLSN == LSN(0))
}

@Test func aMarkerLeftBesideASuperblockChangesNothing() throws {
    let folder = Folder()
    do { _ = try DataDirectory(path: folder.path, segmentBytes: 1 << 20) }
    put(folder.path + "/CREATING", 0, [0])
    let before = contents(folder.path + "/superblock")
    let again = try DataDirectory(path: folder.path)
    #expect(!again.isNew && contents(folder.path + "/superblock") == before)
    #expect(try System.list(folder.path) == ["LOCK", "shard-000", "superblock"])
}

@Test func asynchronousUseIsNotedForGood() throws {
    let folder = Folder()
    do {
        var made = try DataDirectory(path: folder.path, segmentBytes: 1 << 20)
        #expect(made.wasEverAsynchronous == false)
        try made.noteAsynchronous()
        #expect(made.wasEverAsynchronous == true)
    }
    let again = try DataDirectory(path: folder.path)
    #expect(again.wasEverAsynchronous == true)
}

@Test func aPreparedSegmentIsNoDamage() throws {
    let bench = try Bench(ahead: 3)
    do { _ = try bench.open() }
    // As a crash of the preparer leaves it.
    put(bench.data.segmentPath(5) + ".tmp", 0, [UInt8](repeating: 3, count: 100))
    #expect(try bench.data.segments() == [1, 2, 3, 4])
    let (summary, seen) = try bench.replay()
    #expect(seen.ids == [] && summary.cut == nil && summary.segmentsReady == 4)
    try SegmentFile.create(bench.data, 5)
    #expect(try bench.replay().0.segmentsReady == 5)
}
