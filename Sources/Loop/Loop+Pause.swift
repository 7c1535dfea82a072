// Between two turns: whether the next one comes at once, and what must be looked at again though nobody rings.

public import SuanpanCore
public import SuanpanJournal
public import SuanpanLanes
public import SuanpanShard

extension Loop where Host: ~Copyable {
    /// Another turn would find something to do, whatever comes in.
    @inlinable
    public var hasMore: Bool { host.hasWork || host.canRelease(shard) || shard.hasWork || shard.hasCutWork }

    /// Messages have come in since the turn looked. What could not be taken in it for lack of room is no reason: only a
    /// completion or a message gives room.
    @inlinable
    public var hasNews: Bool {
        let blocked = !shard.canReceive
        for core in 0..<coreCount where core != id.index {
            if (!controlIn[core].isEmpty && !blocked) || (!requestsIn[core].isEmpty && !requestsStalled[core]) {
                return true
            }
        }
        return !callers.isEmpty
    }

    /// Before the core sleeps: nanoseconds after which the shard or its log needs a turn; nil: none.
    @inlinable
    public mutating func pause() -> UInt64? {
        var isAnyStalled = host.hasStalled
        for core in 0..<coreCount where requestsStalled[core] { isAnyStalled = true }
        if isAnyStalled || !shard.canReceive {
            // Room may come from a segment made ready, which rings no bell: look again soon.
            host.wakeStalled()
            return 5_000_000
        }
        if gatheringSince != 0 { return host.gatherTime }
        return shard.journal.wantsIdleGroup ? Self.idleGroupAfter : nil
    }

    /// After it has slept: quiet for long enough, the last groups are proved durable by an empty one.
    @inlinable
    public mutating func endPause(at woke: UInt64) {
        if shard.journal.wantsIdleGroup && woke &- now >= Self.idleGroupAfter { shard.journal.sealIdle() }
    }
}
