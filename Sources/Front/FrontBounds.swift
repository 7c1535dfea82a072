// How much a front may have under way.

internal import SuanpanCore

public struct FrontBounds: Sendable {
    /// Requests of all connections; more are `busy`.
    public var requests: Int
    /// Of them, those with many events or records.
    public var largeRequests: Int
    /// Requests of one connection; more are left in the socket.
    public var requestsPerConnection: Int
    /// Bytes that a client has not taken; above, its requests are left in the socket, unless it reads nothing at all.
    public var outputBytes: Int
    /// Events to one other shard, more than a chain has.
    public var eventsOut: Int

    public init(requests: Int, largeRequests: Int, requestsPerConnection: Int, outputBytes: Int, eventsOut: Int) {
        invariant(eventsOut > Limits.eventsPerChainMax, "a chain would never be handed over")
        self.requests = requests
        self.largeRequests = largeRequests
        self.requestsPerConnection = requestsPerConnection
        self.outputBytes = outputBytes
        self.eventsOut = eventsOut
    }

    /// What an engine uses. Events to one other shard: what it decides in the time of a sync or two, and at least all of
    /// one request; fewer among many shards, as lanes grow with their square.
    init(shardCount: Int) {
        self.init(
            requests: 1 << 14, largeRequests: 128, requestsPerConnection: 1024, outputBytes: 4 << 20,
            eventsOut: shardCount <= 4 ? 1 << 14 : 1 << 13)
    }
}
