// What the journal's tests share: a folder of their own, a seeded generator, a disk that keeps, drops or tears what was
// not synced, a visitor that collects.

import Glibc
import SuanpanCore
import Testing

@testable import SuanpanJournal

/// A folder that goes with its owner.
final class Folder {
    let path: String

    init() {
        var template = Array("/tmp/suanpan-journal-XXXXXX".utf8CString)
        _ = mkdtemp(&template)
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { Self.remove(path) }

    static func remove(_ path: String) {
        if let names = try? System.list(path) { for name in names { remove("\(path)/\(name)") } }
        _ = Glibc.remove(path)
    }
}

struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
}

func transfer(_ n: UInt64) -> LogRecord {
    LogRecord(
        .transfer,
        Transfer(
            id: TransferID(UInt128(n)), debit: AccountID(1), credit: AccountID(2), amount: Amount(UInt128(n)),
            ledger: 1,
            code: 1))
}

/// Ids of the records seen, in order; fails the test when LSNs have gaps.
struct Collector: RecordVisitor {
    var ids: [UInt64] = []
    var positions: [LogPosition] = []
    mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
        #expect(lsn.value == UInt64(ids.count) + 1)
        ids.append(UInt64(record.body.id.value))
        positions.append(position)
    }
}

/// Carries out commands by hand. Writes reach the files when they are durable: at their completion in sync mode, at a
/// sync in async mode; `crash` decides about the rest.
struct Disk {
    struct Write {
        let command: WriteCommand
        let bytes: [UInt8]
        let path: String
    }
    var directory: ShardDirectory
    var isAsync = false
    var flying: [Write] = []
    var cached: [Write] = []
    var syncing: (command: SyncCommand, writes: [Write])?

    init(_ directory: ShardDirectory, isAsync: Bool = false) {
        self.directory = directory
        self.isAsync = isAsync
    }

    mutating func submit(_ journal: inout Journal, clock: UInt64 = 0) throws(JournalError) {
        while let command = try journal.nextWrite(clockCeiling: clock) {
            let bytes = [UInt8](UnsafeRawBufferPointer(start: command.address, count: command.length))
            flying.append(Write(command: command, bytes: bytes, path: directory.segmentPath(command.segment)))
        }
    }

    /// Completes the write at an index.
    mutating func complete(_ index: Int, _ journal: inout Journal) throws(JournalError) {
        let write = flying.remove(at: index)
        if isAsync { cached.append(write) } else { Self.apply(write) }
        try journal.completed(token: write.command.token, result: Int32(write.command.length))
    }

    /// Submits and completes until nothing is left to do.
    mutating func drain(_ journal: inout Journal, clock: UInt64 = 0) throws(JournalError) {
        try submit(&journal, clock: clock)
        while !flying.isEmpty {
            try complete(0, &journal)
            try submit(&journal, clock: clock)
        }
    }

    mutating func beginSync(_ journal: inout Journal) {
        guard let command = journal.nextSync() else { return }
        syncing = (command, cached.filter { $0.command.segment == command.segment })
    }

    mutating func endSync(_ journal: inout Journal) throws(JournalError) {
        guard let (command, writes) = syncing else { return }
        syncing = nil
        for write in writes { Self.apply(write) }
        let synced = writes.map(\.command.token)
        cached.removeAll { synced.contains($0.command.token) }
        try journal.completed(token: command.token, result: 0)
    }

    /// Power goes: of each write that is not durable all, nothing or some sectors reach the disk.
    mutating func crash(_ random: inout Seeded) {
        for write in cached + flying {
            switch random.below(3) {
            case 0: Self.apply(write)
            case 1: break
            default: Self.apply(write) { _ in random.below(2) == 0 }
            }
        }
        cached = []
        flying = []
        syncing = nil
    }

    static func apply(_ write: Write, sectors: (Int) -> Bool = { _ in true }) {
        let fd = open(write.path, O_RDWR)
        precondition(fd >= 0)
        for sector in 0..<write.bytes.count / 512 where sectors(sector) {
            write.bytes.withUnsafeBytes {
                let n = pwrite(
                    fd, $0.baseAddress! + sector * 512, 512, off_t(write.command.offset) + off_t(sector * 512))
                precondition(n == 512)
            }
        }
        close(fd)
    }
}

/// Changes one byte of a file; returns what it was.
@discardableResult
func flip(_ path: String, _ offset: Int) -> UInt8 {
    let fd = open(path, O_RDWR)
    precondition(fd >= 0, path)
    var byte: UInt8 = 0
    precondition(pread(fd, &byte, 1, off_t(offset)) == 1)
    var changed = byte ^ 0x40
    precondition(pwrite(fd, &changed, 1, off_t(offset)) == 1)
    close(fd)
    return byte
}

func put(_ path: String, _ offset: Int, _ bytes: [UInt8]) {
    let fd = open(path, O_RDWR | O_CREAT, 0o640)
    precondition(fd >= 0, path)
    precondition(pwrite(fd, bytes, bytes.count, off_t(offset)) == bytes.count)
    close(fd)
}

/// A file's bytes; one that cannot be read ends the test, as none would equal none.
func contents(_ path: String) -> [UInt8] {
    do throws(JournalError) {
        guard let bytes = try System.readSmallFile(path, bytesMax: 1 << 30) else { fatalError("\(path): no such file") }
        return bytes
    } catch { fatalError("\(error)") }
}

func fail(_ body: () throws(JournalError) -> Void) -> JournalError? {
    do throws(JournalError) {
        try body()
        return nil
    } catch {
        return error
    }
}

/// One shard over small segments: open, write, crash, open again.
struct Bench {
    let folder = Folder()
    let data: ShardDirectory
    let preparer: SegmentPreparer

    init(ahead: Int = 3) throws {
        let directory = try DataDirectory(path: folder.path, segmentBytes: 1 << 20)
        data = directory.shard(ShardID(0))
        preparer = try SegmentPreparer(directory, segmentsAhead: ahead)
    }

    func replay(upTo limit: LSN? = nil) throws(JournalError) -> (ReplaySummary, Collector) {
        var collector = Collector()
        let summary = try Recovery.replay(data, upTo: limit, into: &collector)
        return (summary, collector)
    }

    func open(
        upTo limit: LSN? = nil, options: JournalOptions = JournalOptions()
    ) throws(JournalError) -> Journal {
        let journal = try Journal(
            data, after: try replay(upTo: limit).0, supply: preparer.supply(ShardID(0)), options: options)
        preparer.step()
        preparer.step()
        preparer.step()
        return journal
    }
}
