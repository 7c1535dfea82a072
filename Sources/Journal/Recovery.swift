// Reads a shard's log from its begin and hands every record to a visitor, in order. Never writes, never skips damage.
// Blocks; meant for the shard's own thread before it serves, all shards at once.

public import SuanpanCore

/// Takes the records of a replay. What it has seen is worth nothing when the replay throws in the end.
public protocol RecordVisitor: ~Copyable {
    mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError)
}

public enum Recovery {
    /// Replays a shard's log.
    /// - Parameters:
    ///   - limit: Cut the log behind this LSN: for asynchronous shards that must agree. nil: all that is there.
    ///   - progress: Is told how far it is, and may cancel it.
    /// - Throws: `damaged`, `cancelled` and others; the files are as they were.
    /// - Complexity: O(bytes of log) plus one scan of what lies behind its end.
    @inlinable
    public static func replay<Visitor: RecordVisitor & ~Copyable>(
        _ directory: ShardDirectory, upTo limit: LSN? = nil, progress: ReplayProgress? = nil,
        into visitor: inout Visitor
    ) throws(JournalError) -> ReplaySummary {
        let cursor = try ReplayCursor(directory, upTo: limit, progress: progress)
        while let group = try cursor.nextGroup() {
            for i in 0..<group.count {
                try visitor.visit(
                    group.record(i), lsn: LSN(group.firstLSN.value &+ UInt64(i)), position: group.position(i))
            }
        }
        return cursor.summary
    }
}

/// The records of one group. Valid until the cursor moves.
@safe @frozen
public struct ReplayGroup {
    // SAFETY of the accesses: `count` records lie in the cursor's window, which stays until its next move.
    @usableFromInline let records: UnsafeRawPointer
    @usableFromInline let base: UInt64
    public let count: Int
    public let firstLSN: LSN
    /// Written in async mode.
    public let isAsynchronous: Bool

    init(records: UnsafeRawPointer, base: UInt64, count: Int, firstLSN: LSN, isAsynchronous: Bool) {
        unsafe self.records = records
        self.base = base
        self.count = count
        self.firstLSN = firstLSN
        self.isAsynchronous = isAsynchronous
    }

    @inlinable @inline(__always)
    public func record(_ index: Int) -> LogRecord {
        invariant(UInt(bitPattern: index) < UInt(bitPattern: count), "record \(index) of \(count)")
        return unsafe (records + index * LogRecord.bytes).load(as: LogRecord.self)
    }

    @inlinable @inline(__always)
    public func position(_ index: Int) -> LogPosition {
        LogPosition((base + UInt64(index * LogRecord.bytes)) >> 4)
    }
}
