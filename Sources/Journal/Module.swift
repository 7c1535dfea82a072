public import SuanpanCore
// Stand-in until the journal is merged.
public struct LogPosition: BitwiseCopyable, Sendable { public var value: UInt64; public init(_ v: UInt64) { value = v } }
public enum JournalError: Error { case none }
public struct Journal: ~Copyable {
    public init() {}
    public var appended = LSN.zero
    public var acknowledged: LSN { appended }
    public var durable: LSN { appended }
    public var admitsNewWork: Bool { true }
    public func hasRoom(records: Int) -> Bool { true }
    public mutating func append(_ r: borrowing LogRecord) -> LogPosition { appended.value += 1; return LogPosition(appended.value) }
    public func read(_ p: LogPosition) throws(JournalError) -> LogRecord { throw .none }
}
