// Every bound of the engine, each with its reason. A table at its limit refuses with a typed answer.

public enum Limits {
    /// Events in one request: with 128-byte records a body stays under 1 MiB.
    @inlinable public static var eventsPerRequestMax: Int { 8190 }
    /// Events in one chain: what a shard evaluates in one go and a log group surely holds.
    @inlinable public static var eventsPerChainMax: Int { 64 }
    /// Accounts that one chain can touch.
    @inlinable public static var accountsPerChainMax: Int { accountsPerEvent * eventsPerChainMax }
    /// Accounts that one event names: its debit and its credit account.
    @inlinable public static var accountsPerEvent: Int { 2 }
    /// A place in a shard's log, in units of 16 bytes: 40 bits of a remembered id hold it, which is 16 TiB of log. A shard
    /// takes no more work shortly before.
    @inlinable public static var logPositionMax: UInt64 { (1 << 40) - 1 }
    /// A record of the ledger: an account or a transfer.
    @inlinable public static var recordBytes: Int { 128 }
    /// Body of a native message.
    @inlinable public static var messageBodyBytesMax: Int { 1 << 20 }
    /// A larger amount is decided the slower way: credits up to this one, however many, don't overflow an account that has
    /// room for 2^127, so that a shard may promise to take them.
    @inlinable public static var standingAmountMax: UInt128 { (1 << 64) - 1 }
    /// Virtual slots that accounts hash into; a shard owns a set of them.
    @inlinable public static var slotCount: Int { 4096 }
    /// Shards of one engine: lanes grow with the square of it.
    @inlinable public static var shardsMax: Int { 64 }
    /// Crossing transfers under way that one shard coordinates with one peer: what two cores decide in the time of a few
    /// syncs. Bounds the protocol lanes: each such transfer has at most two messages under way in one direction.
    @inlinable public static var openPerPeerMax: Int { 4096 }
    /// Crossing decisions not yet known durable at the peer, per peer: what a crash may have to send again.
    @inlinable public static var redoPerPeerMax: Int { 1 << 16 }
}
