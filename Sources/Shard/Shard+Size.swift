// What a shard takes of memory for each of its peers.

extension Shard {
    /// Tables whose size depends on the number of shards: participants, what is undecided, places of decisions.
    public static func peerTableBytes(shardCount: Int) -> Int {
        guard shardCount > 1 else { return 0 }
        let bounds = ShardBounds(shardCount: shardCount)
        let perPeer =
            bounds.slots * MemoryLayout<Participant>.stride
            + bounds.openPerPeer * (MemoryLayout<UndecidedAccount>.stride + MemoryLayout<ReadGroup>.stride)
            + 2 * PairPlaces(open: bounds.openPerPeer).perPeer * MemoryLayout<UInt32>.stride
        return perPeer * shardCount
    }
}
