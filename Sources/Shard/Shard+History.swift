// What a read of history must know of a shard: when everything that it has decided by some moment is applied at its peers.

public import SuanpanCore

extension Shard {
    /// Lets nothing be decided up to `time` any more.
    /// - Returns: By peer: how many decisions were taken for it so far. `hasApplied` says when they have all arrived.
    public mutating func closeHistory(upTo time: Timestamp) -> [UInt64] {
        joinCut()
        clock.observe(time.nanoseconds)
        return (0..<shardCount).map { peers[$0].decided }
    }

    /// Whether so many decisions are applied, by peer.
    public func hasApplied(_ decided: [UInt64]) -> Bool {
        (0..<shardCount).allSatisfy { peers[$0].appliedThere >= decided[$0] }
    }
}
