// Goal: a scan of a live log gives every durable record up to its bound, once, in order, whatever openings and cuts came
// before, and leaves out by time only what is too early. Method: logs of several segments and epochs, every bound.

import SuanpanCore
import Testing

@testable import SuanpanJournal

/// A record whose timestamp is ten times its number.
private func record(_ n: UInt64) -> LogRecord {
    var record = transfer(n)
    record.body.timestamp = Timestamp(n * 10)
    return record
}

private func ids(
    _ data: ShardDirectory, through bound: UInt64, since: UInt64 = 0
) throws(JournalError) -> (ids: [UInt64], records: Int) {
    let scan = try LogScan(data, through: LSN(bound), since: Timestamp(since))
    var found: [UInt64] = []
    var records = 0
    while let group = try scan.nextGroup() {
        records += group.count
        for i in 0..<group.count where group.record(i).timestamp.nanoseconds >= since {
            found.append(UInt64(group.record(i).body.id.value))
        }
    }
    return (found, records)
}

struct LogScanTests {
    /// Appends records in groups of `size`.
    private func write(
        _ range: ClosedRange<UInt64>, size: UInt64, _ journal: inout Journal, _ bench: borrowing Bench
    ) throws {
        var disk = Disk(bench.data)
        for n in range {
            while !journal.hasRoom(records: 1) { bench.preparer.step() }
            journal.append(record(n))
            if n % size == 0 || n == range.upperBound { try disk.drain(&journal, clock: n * 10) }
        }
    }

    @Test func everyBoundAndEveryTime() throws {
        let bench = try Bench()
        var journal = try bench.open()
        // About four segments of 1 MiB.
        try write(1...24_000, size: 500, &journal, bench)
        for bound: UInt64 in [1, 2, 499, 500, 501, 7000, 12_345, 23_999, 24_000] {
            #expect(try ids(bench.data, through: bound).ids == Array(1...bound))
            for since: UInt64 in [1, 9, 10, 11, 5000, 4999, 65_000, 123_450] where since < bound * 10 {
                let (found, records) = try ids(bench.data, through: bound, since: since)
                #expect(found == Array((since + 9) / 10...bound), "since \(since) through \(bound)")
                #expect(records <= Int(bound - since / 10) + 1000, "groups that are too early are read")
            }
        }
        #expect(try ids(bench.data, through: 0).ids == [])
        // More is appended and in memory only: nothing of it is looked at.
        for n: UInt64 in 24_001...24_100 { journal.append(record(n)) }
        #expect(try ids(bench.data, through: 24_000).ids.count == 24_000)
        withExtendedLifetime(journal) {}
    }

    @Test func openingsAndCuts() throws {
        let bench = try Bench()
        do {
            var journal = try bench.open()
            try write(1...300, size: 100, &journal, bench)
        }
        do {
            // Cut within a group: 251 to 300 are void.
            var journal = try bench.open(upTo: LSN(250))
            try write(1001...1300, size: 100, &journal, bench)
        }
        do {
            let journal = try bench.open(upTo: LSN(320))
            withExtendedLifetime(journal) {}
        }
        var journal = try bench.open()
        try write(2001...2010, size: 100, &journal, bench)
        let wanted = Array(1...250) + Array(1001...1070) + Array(2001...2010) as [UInt64]
        for bound in 1...wanted.count {
            #expect(try ids(bench.data, through: UInt64(bound)).ids == Array(wanted.prefix(bound)))
        }
        withExtendedLifetime(journal) {}
    }

    @Test func damageIsReported() throws {
        let bench = try Bench()
        var journal = try bench.open()
        try write(1...300, size: 100, &journal, bench)
        withExtendedLifetime(journal) {}
        flip(bench.data.segmentPath(1), 4096 + 128 + 10 * 144)
        #expect(throws: JournalError.self) { try ids(bench.data, through: 300) }
    }

    /// A group that is whole by itself and does not continue the one before: an older one that a write should have replaced,
    /// or another opening's.
    @Test(arguments: [false, true]) func aGroupThatContinuesAnotherIsDamage(hasAnotherNumber: Bool) throws {
        let bench = try Bench()
        var journal = try bench.open()
        try write(1...300, size: 100, &journal, bench)
        withExtendedLifetime(journal) {}
        let path = bench.data.segmentPath(1)
        // 100 records of 144 bytes and the header are four blocks.
        let at = 4096 + 4 * 4096
        let stored = Plain.load(GroupHeader.self, from: contents(path), at: at)
        var header = try #require(stored)
        #expect(header.firstLSN == 101)
        if hasAnotherNumber { header.firstLSN -= 1 } else { header.previousChecksum ^= 1 }
        header.headerChecksum = 0
        header.headerChecksum = header.computedChecksum()
        var bytes: [UInt8] = []
        Plain.append(header, to: &bytes)
        put(path, at, bytes)
        #expect(try ids(bench.data, through: 100).ids == Array(1...100))
        let error = fail { () throws(JournalError) in _ = try ids(bench.data, through: 300) }
        guard case .damaged(let damage) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(damage.reason == .chainBroken && damage.offset == UInt64(at))
    }
}
