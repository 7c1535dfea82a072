// What a replay found, and what a journal needs to go on behind it.

public import SuanpanCore

/// What was left out at the end of a log.
public struct CutTail: Equatable, Sendable {
    /// Why: what stood where the log ends; nil: the caller's limit.
    public let finding: GroupFinding?
    public let path: String
    /// First byte in the file that no longer counts.
    public let offset: UInt64
    /// Bytes of the groups left out as far as they can be told.
    public let bytes: UInt64
    /// First LSN left out.
    public let lsn: LSN
}

public struct ReplaySummary: Equatable, Sendable {
    public let shard: ShardID
    /// LSN of the last record visited (or of the last one before, when the log is empty).
    public internal(set) var lastLSN = LSN.zero
    /// Highest LSN that the log itself proves durable.
    public internal(set) var durableEvidence = LSN.zero
    public internal(set) var records: UInt64 = 0
    public internal(set) var groups: UInt64 = 0
    public internal(set) var segments: UInt64 = 0
    public internal(set) var bytes: UInt64 = 0
    /// Nanoseconds; no timestamp was given out above it.
    public internal(set) var clockCeiling: UInt64 = 0
    /// Header checksum of the last group; 0 when there is none.
    public internal(set) var lastChecksum: UInt64 = 0
    /// Openings before: the newest epoch found.
    public internal(set) var epoch: UInt32 = 0
    /// Where writing goes on: segment number and byte in it; the latter may be the segment's end.
    public internal(set) var segment: UInt64 = 1
    public internal(set) var offset = UInt64(SegmentFile.blockBytes)
    /// Highest segment of those that follow without a gap.
    public internal(set) var segmentsReady: UInt64 = 0
    public internal(set) var cut: CutTail?

    let path: String
    var epochs: [EpochEntry] = []
    /// First segment with groups that nothing proves synced.
    var unsyncedSegment: UInt64 = 1

    init(_ directory: ShardDirectory) {
        shard = directory.shard
        path = directory.path
    }

    /// Another shard's log proves more of this one durable: it applies a decision only when that is on the disk here.
    /// - Parameters:
    ///   - decided: Number of the last decision for `peer` in this log.
    ///   - applied: Number of the last one that is in the peer's log.
    /// - Throws: `damaged` when this log ends before.
    public func check(decided: UInt64, appliedBy peer: ShardID, _ applied: UInt64) throws(JournalError) {
        if decided < applied {
            throw .damaged(
                Damage(
                    .endsBeforeProof(decided: decided, applied: applied, peer: peer),
                    path: "\(path)/\(ShardDirectory.segmentName(segment))", offset: offset,
                    lsn: LSN(lastLSN.value + 1)))
        }
    }

    /// Makes what was replayed durable and notes that the next epoch begins here. Returns its number.
    func beginEpoch(_ directory: ShardDirectory) throws(JournalError) -> UInt32 {
        // A killed process may have left groups in the device's cache: from here on they count as proven.
        for number in max(1, min(unsyncedSegment, segment))...segment {
            let path = directory.segmentPath(number)
            let fd = try System.open(path)
            defer { System.close(fd) }
            try System.syncData(fd, path: path)
        }
        let next = EpochEntry(
            epoch: epoch + 1, segment: segment, offset: offset, firstLSN: lastLSN.value + 1,
            previousChecksum: lastChecksum, clockCeiling: clockCeiling)
        var entries = epochs
        // An opening that wrote nothing needs no entry of its own.
        if let last = entries.last, last.segment == segment, last.offset == offset { entries.removeLast() }
        entries.append(next)
        try EpochFile.write(directory, entries)
        return next.epoch
    }
}
