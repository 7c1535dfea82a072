// How much a front may have under way.

internal import SuanpanCore

public struct FrontBounds: Sendable {
    /// Requests of all connections; more are `busy`.
    public var requests: Int
    /// Of them, those with many events; and look-ups of very many records, which take nine times as much.
    public var largeRequests: Int
    public var largeLookups: Int
    /// Requests of one connection; more are left in the socket.
    public var requestsPerConnection: Int
    /// Bytes that a client has not taken; above, its requests are left in the socket, unless it reads nothing at all.
    public var outputBytes: Int
    /// Events to one other shard, more than a chain has.
    public var eventsOut: Int

    public init(
        requests: Int, largeRequests: Int, largeLookups: Int, requestsPerConnection: Int, outputBytes: Int,
        eventsOut: Int
    ) {
        invariant(eventsOut > Limits.eventsPerChainMax, "a chain would never be handed over")
        self.requests = requests
        self.largeRequests = largeRequests
        self.largeLookups = largeLookups
        self.requestsPerConnection = requestsPerConnection
        self.outputBytes = outputBytes
        self.eventsOut = eventsOut
    }

    /// What an engine uses. Events to one other shard: what it decides in the time of a sync or two; among many shards its
    /// part of that, as lanes grow with their square.
    /// - Parameter isSmall: The shard has little memory: a quarter of the requests.
    public init(shardCount: Int, isSmall: Bool = false) {
        self.init(
            requests: isSmall ? 1 << 12 : 1 << 14, largeRequests: isSmall ? 32 : 128,
            largeLookups: isSmall ? 4 : 16, requestsPerConnection: 1024, outputBytes: 4 << 20,
            eventsOut: shardCount <= 4 ? 1 << 14 : (1 << 14) / shardCount)
    }

    /// What a front maps for receiving and for results, all of it touched when it is busy.
    public var memoryBytes: Int { Front.receiveBuffers * Front.receiveBytes + ResultPool.bytes(self) }
}
