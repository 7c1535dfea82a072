// Reads a shard's log while the shard writes it: what is durable does not change any more. For a thread of its own, with
// its own descriptors. Recovery has judged the log when the shard opened, so whatever does not fit is damage.

public import SuanpanCore

/// One pass over the groups of a shard's log, from the first segment that may hold what is asked for. A class for the
/// reason that `ReplayCursor` gives.
public final class LogScan {
    private let directory: ShardDirectory
    private let bound: LSN
    private let since: Timestamp
    private let epochs: [EpochEntry]
    private var reader: SegmentReader
    private var segment: UInt64
    private var offset = UInt64(SegmentFile.blockBytes)
    private var epoch: UInt32 = 0
    /// Of the group before: what the next one must continue. 0: the first one is to come.
    private var lastChecksum: UInt64 = 0
    private var expected: UInt64 = 0
    private var isAtEnd = false

    /// - Parameters:
    ///   - bound: Of this shard, durable: the last record to be read.
    ///   - since: Records with an earlier timestamp may be left out.
    /// - Complexity: one read of 4 MiB per step of a binary search over the segments, where `since` is not 0.
    public init(_ directory: ShardDirectory, through bound: LSN, since: Timestamp = .zero) throws(JournalError) {
        let epochs = try EpochFile.read(directory)
        let reader = try SegmentReader(directory)
        self.directory = directory
        self.bound = bound
        self.since = since
        self.epochs = epochs
        self.reader = reader
        segment = 1
        isAtEnd = bound == .zero
        if !isAtEnd && since > .zero { try skipSegments() }
    }

    /// The next group with records up to the bound, some of which may not be earlier than `since`; nil at the end.
    /// - Throws: `damaged`, and failed I/O.
    public func nextGroup() throws(JournalError) -> ReplayGroup? {
        while !isAtEnd {
            if offset == UInt64(directory.segmentBytes) {
                segment += 1
                offset = UInt64(SegmentFile.blockBytes)
            }
            guard let header = try header(segment, offset) else { throw damaged(.headerUnreadable) }
            guard header.epoch >= epoch, header.isPlausible(segmentBytes: directory.segmentBytes), continues(header)
            else { throw damaged(.chainBroken) }
            epoch = header.epoch
            lastChecksum = header.headerChecksum
            let at = try reader.ensure(offset, Int(header.length))
            let base = segment * UInt64(directory.segmentBytes) + offset + UInt64(GroupHeader.bytes)
            // A later epoch may have begun inside this group: its other records are void.
            let cut = epochs.filter { $0.epoch > header.epoch }.map(\.firstLSN).min() ?? .max
            let end = min(header.endLSN, cut, bound.value + 1)
            isAtEnd = header.endLSN > bound.value && cut > bound.value
            expected = min(header.endLSN, cut)
            let isEarly = header.clockCeiling < since.nanoseconds
            if !isEarly && end > header.firstLSN {
                let computed = reader.window.checksum(at + GroupHeader.bytes, Int(header.length) - GroupHeader.bytes)
                guard computed == header.payloadChecksum else { throw damaged(.payloadChecksum) }
            }
            offset += UInt64(header.length)
            guard !isEarly && end > header.firstLSN else { continue }
            // SAFETY: `ensure` has made the whole group readable; the header is plausible.
            return unsafe ReplayGroup(
                records: UnsafeRawPointer(reader.window.base + at + GroupHeader.bytes), base: base,
                count: Int(end - header.firstLSN), firstLSN: LSN(header.firstLSN),
                isAsynchronous: header.isAsynchronous)
        }
        return nil
    }

    /// The group stands behind the one read before it: no other opening's, nor an older one that a write should have
    /// replaced.
    private func continues(_ header: GroupHeader) -> Bool {
        expected == 0 || header.previousChecksum == lastChecksum && header.firstLSN == expected
    }

    /// Begins with the last segment whose first group was written before `since`: group ceilings never fall, so all
    /// records of the segments before it are earlier.
    private func skipSegments() throws(JournalError) {
        var first: UInt64 = 1
        var behind = (try directory.segments().last ?? 1) + 1
        while behind - first > 1 {
            let middle = first + (behind - first) / 2
            // Segments that the log has not reached, and groups of a log's end that was cut, are no help.
            if let header = try header(middle, UInt64(SegmentFile.blockBytes)), header.firstLSN <= bound.value,
                isValid(header), header.clockCeiling < since.nanoseconds
            {
                first = middle
            } else {
                behind = middle
            }
        }
        segment = first
    }

    /// No later epoch has voided the group.
    private func isValid(_ header: GroupHeader) -> Bool {
        epochs.allSatisfy {
            $0.epoch <= header.epoch || ($0.segment, $0.offset) > (header.segment, header.offset)
        }
    }

    /// The header at a place; nil: there is none.
    private func header(_ number: UInt64, _ at: UInt64) throws(JournalError) -> GroupHeader? {
        if reader.number != number {
            guard try reader.open(number, expected: bound) else { return nil }
        }
        let index = try reader.ensure(at, SegmentFile.blockBytes)
        guard let header = GroupHeader.load(reader.window, at: index, salt: directory.salt),
            header.isAt(directory.shard, number, at)
        else { return nil }
        return header
    }

    private func damaged(_ reason: DamageReason) -> JournalError {
        .damaged(Damage(reason, path: directory.segmentPath(segment), offset: offset))
    }
}
