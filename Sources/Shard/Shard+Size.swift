// What a shard takes of memory for each of its peers.

internal import SuanpanCore

extension Shard {
    /// Tables whose size depends on the number of shards: participants, what is undecided, places of decisions.
    public static func peerTableBytes(shardCount: Int) -> Int {
        guard shardCount > 1 else { return 0 }
        let bounds = ShardBounds(shardCount: shardCount)
        let open = bounds.openPerPeer + keptForExpiry
        // It takes part in what it coordinates itself, too; but nothing of the rest is touched for itself.
        let perShard = bounds.slots * (MemoryLayout<Participant>.stride + MemoryLayout<HoldingParticipant>.stride)
        let perPeer =
            open * (MemoryLayout<UndecidedAccount>.stride + MemoryLayout<ReadGroup>.stride)
            + PairPlaces(open: open).perPeer * (MemoryLayout<UInt32>.stride + MemoryLayout<LoggedCredit>.stride)
        return perShard * shardCount + perPeer * (shardCount - 1)
    }
}
