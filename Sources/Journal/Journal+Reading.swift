// Single records by their position: duplicates of ids that memory no longer holds in full. Rare, and blocks on the disk
// when the record has left the journal's buffers.

public import SuanpanCore

extension Journal {
    /// The record at a position that `append` or a replay gave out.
    /// - Throws: On failed I/O, and when no record stands there.
    /// - Complexity: O(16) in memory, else one direct read of at most 8 KiB.
    public mutating func read(_ position: LogPosition) throws(JournalError) -> LogRecord {
        let segment = position.segment(segmentBytes: segmentBytes)
        let offset = position.offset(segmentBytes: segmentBytes)
        for index in 0..<Int(Self.bufferCount) {
            let slot = slots[index]
            guard slot.segment == segment, segment != 0, offset >= slot.offset + UInt64(GroupHeader.bytes) else {
                continue
            }
            let end =
                slot.state == .open
                ? UInt64(writeOffset - index * Self.groupBytesMax)
                : UInt64(GroupHeader.bytes) + UInt64(slot.count) * UInt64(LogRecord.bytes)
            guard offset + UInt64(LogRecord.bytes) <= slot.offset + end else { continue }
            return buffers.load(LogRecord.self, at: index * Self.groupBytesMax + Int(offset - slot.offset))
        }
        return try reader.read(segment: segment, offset: offset)
    }
}

/// Reads single records from segment files; keeps a few of them open. Any thread's own.
public struct RecordReader: ~Copyable {
    private let directory: ShardDirectory
    private let scratch = PageBuffer(bytes: 2 * SegmentFile.blockBytes)
    private var files = FixedArray<OpenSegment>(count: 8)
    private var next = 0

    public init(_ directory: ShardDirectory) { self.directory = directory }

    deinit {
        for i in 0..<files.count where files[i].number != 0 { System.close(files[i].fd) }
    }

    /// The record at `offset` of a segment file.
    public mutating func read(segment: UInt64, offset: UInt64) throws(JournalError) -> LogRecord {
        let path = directory.segmentPath(segment)
        let block = UInt64(SegmentFile.blockBytes)
        guard offset % 16 == 0, offset >= block + UInt64(GroupHeader.bytes),
            offset + UInt64(LogRecord.bytes) <= UInt64(directory.segmentBytes)
        else { throw .damaged(Damage(.recordKind, path: path, offset: offset)) }
        let fd = try file(segment, path: path)
        let begin = offset / block * block
        let length = min(2 * block, UInt64(directory.segmentBytes) - begin)
        let count = unsafe try System.read(fd, into: scratch.base, length: Int(length), offset: begin, path: path)
        guard count == Int(length) else { throw .damaged(Damage(.segmentSize, path: path, offset: offset)) }
        let record = scratch.load(LogRecord.self, at: Int(offset - begin))
        guard record.kind != nil, record.reserved == 0 else {
            throw .damaged(Damage(.recordKind, path: path, offset: offset))
        }
        return record
    }

    private mutating func file(_ segment: UInt64, path: String) throws(JournalError) -> CInt {
        for i in 0..<files.count where files[i].number == segment { return files[i].fd }
        let fd = try System.open(path, direct: true)
        // In turn: a file asked for again soon is still there.
        if files[next].number != 0 { System.close(files[next].fd) }
        files[next] = OpenSegment(number: segment, endGroup: 0, lastLSN: 0, fd: fd)
        next = (next + 1) % files.count
        return fd
    }
}
