// Walks a log group by group: epoch after epoch, segment after segment, to the end that `RecoveryDecision` finds.

public import SuanpanCore

#if SUANPAN_FAILPOINTS
    internal import Synchronization
#endif

/// One replay under way. A class, for once: the optimizer (6.3) crashes where an inlinable function, such as
/// `Recovery.replay`, destroys a noncopyable value whose `deinit` is not inlinable. Touched once per group.
public final class ReplayCursor {
    private let directory: ShardDirectory
    private let limit: LSN?
    private let progress: ReplayProgress?
    /// Bytes of log still to be read, as `progress` knows them.
    private var bytesLeft: UInt64
    private var reader: SegmentReader
    private var epochs: [EpochEntry]
    /// Index in `epochs` of the one being read; −1 before the first has begun.
    private var current = -1
    private var segments: [UInt64]
    private var segment: UInt64
    private var offset: UInt64
    private var expected: UInt64
    private var lastChecksum: UInt64
    private var isAtEnd = false
    /// Segments of the newest epoch and the first LSN in each.
    private var starts: [(segment: UInt64, lsn: UInt64)] = []
    /// What was found; complete when `nextGroup` has returned nil.
    public private(set) var summary: ReplaySummary

    public init(
        _ directory: ShardDirectory, upTo limit: LSN? = nil, progress: ReplayProgress? = nil
    ) throws(JournalError) {
        // All that can fail comes before the first owner.
        let epochs = try EpochFile.read(directory)
        let segments = try directory.segments()
        if let limit, let newest = epochs.last, limit.value + 1 < newest.firstLSN {
            throw .cutBelowEpoch(path: directory.path, limit: limit, begin: LSN(newest.firstLSN))
        }
        let reader = try SegmentReader(directory)
        self.directory = directory
        self.limit = limit
        self.progress = progress
        self.epochs = epochs
        self.segments = segments
        self.reader = reader
        summary = ReplaySummary(directory)
        let first = epochs.first
        segment = first?.segment ?? 1
        offset = first?.offset ?? UInt64(SegmentFile.blockBytes)
        expected = first?.firstLSN ?? 1
        lastChecksum = first?.previousChecksum ?? 0
        let toRead = segments.count { $0 >= first?.segment ?? 1 }
        bytesLeft = UInt64(toRead * directory.segmentBytes)
        progress?.expect(bytesLeft)
    }

    private var newestEpoch: UInt32 { epochs.last?.epoch ?? 0 }
    private var currentEpoch: UInt32 { current < 0 ? 0 : epochs[current].epoch }
    private var isNewest: Bool { current == epochs.count - 1 }
    private var path: String { directory.segmentPath(segment) }

    private func damage(_ reason: DamageReason, stored: UInt64? = nil, computed: UInt64? = nil) -> JournalError {
        .damaged(
            Damage(reason, path: path, offset: offset, lsn: LSN(expected), stored: stored, computed: computed))
    }

    /// The next group with records that count, nil at the end of the log.
    public func nextGroup() throws(JournalError) -> ReplayGroup? {
        while !isAtEnd {
            try enterEpochs()
            if isNewest, let limit, expected > limit.value {
                finish(try laterGroups().header == nil ? nil : cut(nil, bytes: 0))
                return nil
            }
            if reader.number != segment || offset == UInt64(directory.segmentBytes) {
                guard try enterSegment() else { return nil }
                continue
            }
            let (finding, header) = try classify()
            guard case .sound = finding, let header else {
                try end(finding, header)
                return nil
            }
            if let group = try accept(header) { return group }
        }
        return nil
    }

    // MARK: Steps

    /// Passes into every epoch that begins exactly here.
    private func enterEpochs() throws(JournalError) {
        while current + 1 < epochs.count {
            let next = epochs[current + 1]
            if (segment, offset) < (next.segment, next.offset) { return }
            guard (segment, offset) == (next.segment, next.offset), next.firstLSN <= expected,
                next.previousChecksum == lastChecksum
            else { throw damage(.chainBroken, stored: next.previousChecksum, computed: lastChecksum) }
            current += 1
            expected = next.firstLSN
            summary.lastLSN = LSN(expected - 1)
            summary.durableEvidence = LSN(expected - 1)
            summary.clockCeiling = max(summary.clockCeiling, next.clockCeiling)
            starts = [(segment, expected)]
        }
    }

    /// Opens the segment to be read, or the one after its end. False when the log ends for lack of one.
    private func enterSegment() throws(JournalError) -> Bool {
        let number = offset == UInt64(directory.segmentBytes) ? segment + 1 : segment
        guard try reader.open(number, expected: LSN(expected)) else {
            let later: LaterEvidence = (segments.last ?? 0) > number ? .proven : .none
            let place: GroupPlace = isNewest && number > segment ? .inNewestEpoch : .beforeLaterEpoch
            guard case .endOfLog = RecoveryDecision.verdict(.segmentMissing, place, later) else {
                segment = number
                offset = 0
                throw damage(.segmentMissing)
            }
            finish(nil)
            return false
        }
        summary.segments += 1
        if number != segment {
            segment = number
            offset = UInt64(SegmentFile.blockBytes)
            starts.append((segment, expected))
        }
        return true
    }

    private func classify() throws(JournalError) -> (GroupFinding, GroupHeader?) {
        let at = try reader.ensure(offset, SegmentFile.blockBytes)
        guard let header = GroupHeader.load(reader.window, at: at, salt: directory.salt) else {
            return (reader.window.isZero(at, SegmentFile.blockBytes) ? .blank : .unreadableHeader, nil)
        }
        if header.version != FormatVersion.current { throw .unsupportedVersion(header.version, path: path) }
        guard header.isAt(directory.shard, segment, offset) else { return (.misplaced, header) }
        if header.epoch > newestEpoch { return (.unknownEpoch, header) }
        if header.epoch < currentEpoch { return (.stale, header) }
        guard header.epoch == currentEpoch, header.previousChecksum == lastChecksum, header.firstLSN == expected,
            header.isPlausible(segmentBytes: directory.segmentBytes)
        else { return (.brokenChain, header) }
        let whole = try reader.ensure(offset, Int(header.length))
        let computed = reader.window.checksum(whole + GroupHeader.bytes, Int(header.length) - GroupHeader.bytes)
        #if SUANPAN_FAILPOINTS
            RecoveryFault.pause()
            if RecoveryFault.acceptTornGroups.load(ordering: .relaxed) { return (.sound, header) }
        #endif
        return (computed == header.payloadChecksum ? .sound : .badPayload, header)
    }

    /// Counts a sound group and moves behind it; nil when none of its records counts.
    private func accept(_ header: GroupHeader) throws(JournalError) -> ReplayGroup? {
        let at = try reader.ensure(offset, Int(header.length))
        var end = header.endLSN
        // A later epoch that begins inside this group's records has voided the rest.
        if current + 1 < epochs.count { end = min(end, epochs[current + 1].firstLSN) }
        if isNewest, let limit { end = min(end, limit.value + 1) }
        let count = Int(end) - Int(header.firstLSN)
        let base = segment * UInt64(directory.segmentBytes) + offset + UInt64(GroupHeader.bytes)
        summary.groups += 1
        summary.bytes += UInt64(header.length)
        summary.durableEvidence = max(summary.durableEvidence, LSN(header.durable))
        summary.clockCeiling = max(summary.clockCeiling, header.clockCeiling)
        try advance(UInt64(header.length))
        offset += UInt64(header.length)
        expected = header.endLSN
        lastChecksum = header.headerChecksum
        guard count > 0 else { return nil }
        summary.lastLSN = LSN(end - 1)
        summary.records += UInt64(count)
        // SAFETY: `ensure` has made the whole group readable; the header's count was checked against its length.
        return unsafe ReplayGroup(
            records: UnsafeRawPointer(reader.window.base + at + GroupHeader.bytes), base: base, count: count,
            firstLSN: LSN(header.firstLSN), isAsynchronous: header.isAsynchronous)
    }

    // MARK: The end

    private func end(_ finding: GroupFinding, _ header: GroupHeader?) throws(JournalError) {
        var stored: UInt64?
        var computed: UInt64?
        if finding == .badPayload, let header {
            let at = try reader.ensure(offset, Int(header.length))
            stored = header.payloadChecksum
            computed = reader.window.checksum(at + GroupHeader.bytes, Int(header.length) - GroupHeader.bytes)
        } else if finding == .brokenChain, let header {
            stored = header.previousChecksum
            computed = lastChecksum
        } else if finding == .unreadableHeader {
            let at = try reader.ensure(offset, SegmentFile.blockBytes)
            var bytes = reader.window.load(GroupHeader.self, at: at)
            stored = bytes.headerChecksum
            bytes.headerChecksum = 0
            computed = bytes.computedChecksum()
        }
        let place: GroupPlace = isNewest ? .inNewestEpoch : .beforeLaterEpoch
        let later = isNewest ? try laterGroups() : LaterGroups()
        let evidence: LaterEvidence = later.header == nil ? .none : later.durable >= expected ? .proven : .unproven
        switch RecoveryDecision.verdict(finding, place, evidence) {
        case .accept: stop("recovery was asked to end at a sound group")
        case .damaged(let reason): throw damage(reason, stored: stored, computed: computed)
        case .endOfLog: finish(nil)
        case .cutTornTail:
            let own = finding == .badPayload ? UInt64(header?.length ?? 0) : UInt64(SegmentFile.blockBytes)
            finish(cut(finding, bytes: own + later.bytes))
        }
    }

    private func cut(_ finding: GroupFinding?, bytes: UInt64) -> CutTail {
        CutTail(finding: finding, path: path, offset: offset, bytes: bytes, lsn: LSN(summary.lastLSN.value + 1))
    }

    /// So many bytes more were read.
    private func advance(_ bytes: UInt64) throws(JournalError) {
        guard let progress else { return }
        try progress.check()
        let counted = min(bytes, bytesLeft)
        bytesLeft -= counted
        progress.advance(counted)
    }

    private func finish(_ cut: CutTail?) {
        isAtEnd = true
        progress?.advance(bytesLeft)
        bytesLeft = 0
        if let limit, limit < LSN(expected - 1), cut == nil { summary.cut = self.cut(nil, bytes: 0) }
        if cut != nil { summary.cut = cut }
        summary.lastChecksum = lastChecksum
        summary.epoch = newestEpoch
        summary.epochs = epochs
        summary.segment = segment
        summary.offset = offset
        var ready = segment
        while segments.contains(ready + 1) { ready += 1 }
        summary.segmentsReady = ready
        // The last segment that begins at or below the evidence, and one before it for idle groups at its end.
        let index = starts.lastIndex { $0.lsn <= summary.durableEvidence.value + 1 } ?? 0
        summary.unsyncedSegment = starts.isEmpty ? segment : starts[max(0, index - 1)].segment
    }

    /// Sound groups of the newest epoch behind this place.
    private struct LaterGroups {
        var header: GroupHeader?
        var durable: UInt64 = 0
        var bytes: UInt64 = 0
    }

    /// Looks at every block behind this place, in this segment and all later ones.
    private func laterGroups() throws(JournalError) -> LaterGroups {
        var found = LaterGroups()
        if reader.number == segment {
            try scan(
                segment, from: min(offset + UInt64(SegmentFile.blockBytes), UInt64(directory.segmentBytes)), &found)
        }
        guard let last = segments.last, last > segment else { return found }
        for number in segment + 1...last {
            guard try reader.open(number, expected: LSN(expected)) else {
                segment = number
                offset = 0
                throw damage(.segmentMissing)
            }
            try scan(number, from: UInt64(SegmentFile.blockBytes), &found)
        }
        return found
    }

    private func scan(
        _ number: UInt64, from begin: UInt64, _ found: inout LaterGroups
    ) throws(JournalError) {
        let block = UInt64(SegmentFile.blockBytes)
        let piece = UInt64(SegmentFile.pieceBytes)
        var at = begin
        while at < UInt64(directory.segmentBytes) {
            if at % piece == 0 { try advance(piece) }
            let index = try reader.ensure(at, SegmentFile.blockBytes)
            if let header = GroupHeader.load(reader.window, at: index, salt: directory.salt),
                header.isAt(directory.shard, number, at)
            {
                if header.epoch > newestEpoch {
                    throw .damaged(
                        Damage(
                            .unknownEpoch, path: directory.segmentPath(number), offset: at, lsn: LSN(expected)))
                }
                if header.epoch == newestEpoch {
                    found.header = header
                    found.durable = max(found.durable, header.durable)
                    found.bytes += UInt64(header.length)
                    summary.clockCeiling = max(summary.clockCeiling, header.clockCeiling)
                }
            }
            at += block
        }
    }
}
