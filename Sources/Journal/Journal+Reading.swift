// Single records by their position: duplicates of ids that memory no longer holds in full. Rare, and blocks on the disk
// when the record has left the journal's buffers.

public import SuanpanCore

extension Journal {
    /// The record at a position that `append` or a replay gave out.
    /// - Throws: On failed I/O, and when its group no longer proves that record.
    /// - Complexity: O(16) in memory, else as `RecordReader.read`.
    /// - Parameter waits: Whoever asks cannot come again: a shortage of descriptors is waited for, up to ten seconds. False: it
    ///   is thrown.
    public mutating func read(_ position: LogPosition, waits: Bool = false) throws(JournalError) -> LogRecord {
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
        var triesLeft = waits ? Self.readTriesMax : 1
        while true {
            do throws(JournalError) { return try reader.read(segment: segment, offset: offset) } catch {
                triesLeft -= 1
                guard error.isShortage, triesLeft > 0 else { throw error }
                System.sleep(milliseconds: 1)
            }
        }
    }

    private static var readTriesMax: Int { 10_000 }

    /// What stands at a position is not what was written there.
    public func damage(_ reason: DamageReason, at position: LogPosition) -> JournalError {
        .damaged(
            Damage(
                reason, path: directory.segmentPath(position.segment(segmentBytes: segmentBytes)),
                offset: position.offset(segmentBytes: segmentBytes)))
    }
}
