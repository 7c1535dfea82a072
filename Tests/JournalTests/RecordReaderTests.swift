// Goal: a single record is read back only with a group that proves it, whatever bit of the group has flipped, whatever the
// group's length and wherever in it the record stands. Method: groups of 1 to 7,000 records; every field flipped in turn.

import SuanpanCore
import Testing

@testable import SuanpanJournal

struct RecordReaderTests {
    /// A log of groups of these sizes; the position of each record.
    private func write(_ sizes: [Int]) throws -> (Bench, [LogPosition]) {
        let bench = try Bench()
        var journal = try bench.open()
        var disk = Disk(bench.data)
        var positions: [LogPosition] = []
        for size in sizes {
            while !journal.hasRoom(records: size) { bench.preparer.step() }
            for _ in 0..<size { positions.append(journal.append(transfer(UInt64(positions.count + 1)))) }
            try disk.drain(&journal)
        }
        return (bench, positions)
    }

    private func read(_ reader: inout RecordReader, _ position: LogPosition) throws(JournalError) -> LogRecord {
        try reader.read(
            segment: position.segment(segmentBytes: 1 << 20), offset: position.offset(segmentBytes: 1 << 20))
    }

    @Test func everyRecordOfGroupsOfAllLengths() throws {
        let (bench, positions) = try write([1, 2, 27, 28, 29, 200, 300, 1, 1000, 7000, 3, 5000, 1])
        var reader = try RecordReader(bench.data)
        for (i, position) in positions.enumerated() {
            #expect(try read(&reader, position).body.id == TransferID(UInt128(i + 1)))
        }
        // In any order: nothing of a group read before is taken for the next one's.
        var random = Seeded(7)
        for _ in 0..<300 {
            let i = random.below(positions.count)
            #expect(try read(&reader, positions[i]).body.id == TransferID(UInt128(i + 1)))
        }
    }

    @Test(arguments: [1, 20, 250, 3000]) func noFlippedBitIsBelieved(size: Int) throws {
        let (bench, positions) = try write([3, size, 3])
        let position = positions[3 + size / 2]
        let place = Int(position.offset(segmentBytes: 1 << 20))
        let path = bench.data.segmentPath(1)
        // The record's kind, flags, reason, sequence, id, accounts, amount, timestamp; a neighbour; the group's header.
        let group = 8192
        let places =
            [0, 1, 4, 8, 16, 33, 50, 65, 80, 140].map { place + $0 } + [group + 130, group + 57, group + 90, group + 3]
        for at in places {
            flip(path, at)
            var reader = try RecordReader(bench.data)
            let error = fail { () throws(JournalError) in _ = try read(&reader, position) }
            guard case .damaged(let damage) = error else {
                Issue.record(
                    "byte \(at - place) of the record, \(at - group) of its group: \(String(describing: error))")
                continue
            }
            #expect(damage.path == path && damage.offset >= UInt64(group))
            flip(path, at)
        }
        var reader = try RecordReader(bench.data)
        #expect(try read(&reader, position).body.id == TransferID(UInt128(4 + size / 2)))
    }

    @Test func aGroupThatAnotherOneStandsInForIsNoRecord() throws {
        let (bench, positions) = try write([3, 40, 3])
        let path = bench.data.segmentPath(1)
        // The group of 40 records as a disk that never wrote it would show it: the one before it proves nothing here.
        put(path, 8192, [UInt8](repeating: 0, count: 8192))
        var reader = try RecordReader(bench.data)
        #expect(fail { () throws(JournalError) in _ = try read(&reader, positions[10]) } != nil)
        #expect(try read(&reader, positions[1]).body.id == TransferID(2))
    }
}
