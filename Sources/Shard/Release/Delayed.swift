// What waits for the log to be durable before it leaves: decisions, votes, refusals, releases.

internal import SuanpanCore
internal import SuanpanJournal

/// A decision whose commit leaves when it is durable, and noted where it was announced; all that the commit says. Or
/// a `revoked` that leaves behind the commits before it: then `sequence` is 0 and `slot` the place of the revocation.
struct DecidedItem: BitwiseCopyable {
    var slot: UInt32
    var peer: ShardID
    var lsn: LSN
    var timestamp: Timestamp
    var sequence: UInt64
    /// Number of the announcement; 0: not announced.
    var announced: UInt64
    /// Of an announced one: where its answer goes.
    var origin: Origin
    /// So many after it are of the same chain.
    var following: UInt8 = 0
}

struct DelayedVote: BitwiseCopyable {
    var participant: UInt32
    var order: UInt64
    var lsn: LSN
    var code: ResultCode
}

struct DelayedRefusal: BitwiseCopyable {
    var chain: UInt32
    /// Of the shard that remembers it.
    var slot: UInt32
    var event: FaultyEvent
    var lsn: LSN
}

struct DelayedRelease: BitwiseCopyable {
    var slot: UInt32
    var peer: ShardID
    var lsn: LSN
}
