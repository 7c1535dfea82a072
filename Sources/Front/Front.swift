// A core's front: connections, requests, replies. Knows accounts only by their hash, balances not at all. Owned by its
// core's thread, beside the shard; events of other shards go there by lane and their results come back by lane.
//
// Bounds and what happens at them: connections (closed with a reason), requests under way on one connection (it is not
// read until some are answered), on the core (`busy`), bytes to send (see `Front+Replies`), events under way to one shard
// (the connection waits), time (see `Front+Timeouts`).

internal import CSuanpanSupport
internal import Glibc
public import SuanpanCore
public import SuanpanJournal
public import SuanpanLanes
public import SuanpanShard
public import SuanpanUring
internal import SuanpanWire

/// What fronts are built from; the same for all cores.
public struct FrontConfiguration: Sendable {
    public var routing: Routing
    public var password: [UInt8]
    /// Of all cores; the same object for all of them.
    public var connections: ConnectionCounts
    /// A frame that does not get on for so long, or a client that takes nothing: the connection is closed.
    public var progressTimeoutNanoseconds: UInt64
    /// For the replies of all cores that are not taken.
    public var replies: ReplyBudget
    public var board: StatusBoard
    public var history: HistoryDesk
    public init(
        routing: Routing, password: [UInt8], connections: ConnectionCounts, progressTimeoutNanoseconds: UInt64,
        replies: ReplyBudget, board: StatusBoard, history: HistoryDesk
    ) {
        self.routing = routing
        self.password = password
        self.connections = connections
        self.progressTimeoutNanoseconds = progressTimeoutNanoseconds
        self.replies = replies
        self.board = board
        self.history = history
    }
}

public struct FrontStatistics: BitwiseCopyable, Sendable {
    public var connectionsOpen: UInt64 = 0
    public var connectionsAccepted: UInt64 = 0
    public var connectionsRefused: UInt64 = 0
    /// For the ledger.
    public var requests: UInt64 = 0
    /// All commands and frames that were taken, and those of them that were not understood, or need the password first.
    public var commands: UInt64 = 0
    public var commandsRejected: UInt64 = 0
    public var busy: UInt64 = 0
    public var malformed: UInt64 = 0
    public var stalls: UInt64 = 0
    public var timeouts: UInt64 = 0
}

public struct Front: ~Copyable {
    private let addressOnly = AddressOnly()
    let core: ShardID
    let configuration: FrontConfiguration
    let routing: Routing
    let bounds: FrontBounds
    #if SUANPAN_FAILPOINTS
        /// The rule that a test has switched off.
        public var fault: FrontFault?
    #endif

    var connections: Slab<Connection>
    var freeConnections: FreeList
    var buffers: ProvidedBuffers
    /// Connections with something to do, and those that wait for room.
    var ready = Queue<UInt32>(capacity: 1024)
    var stalled = Queue<UInt32>(capacity: 1024)
    /// Connections whose password waits to be judged.
    var held: [HeldAttempt] = []
    var arguments = RESPArguments()

    /// Which commands of RESP connections may be under way together.
    var order: CommandOrder
    var knownAccounts = KnownAccounts()
    var knownHolds = KnownHolds()
    /// While a chain is looked at: what it has credited accounts with.
    var balances: [(account: AccountID, amount: UInt128)] = []
    /// By request: the creations of an EXEC under way, which its reply names.
    var executions: [UInt32: [Transfer]] = [:]

    var requests: FixedArray<Request>
    var freeRequests: FreeList
    var pool: ResultPool
    /// Requests whose results are all there, waiting for the own log, in order.
    var awaiting = Queue<UInt32>(capacity: 1 << 12)

    /// By shard: the lane that carries our requests, and the one that carries everything else (results, adoption).
    let requestLanes: FixedArray<Lane>
    let controlLanes: FixedArray<Lane>
    /// Events under way to each shard: credits of the request and result lanes.
    var eventsOut: FixedArray<Int>

    /// Parts of embedding calls: the first is being handed in.
    var parts: [CallPart] = []
    var partCursor = 0
    var partRequests: [UInt32: CallPart] = [:]
    /// The request of the first part, plus 1.
    var connectionlessRequest: UInt32 = 0

    /// Steps of reads of history that wait here, and the reads that our requests have asked for.
    var historyParts: [HistoryPart] = []
    var historyCalls: [UInt32: HistoryCall] = [:]

    /// Questions for a consistent cut: to be handed to shard 0; how many accounts those under way ask for; by request, the
    /// ledgers whose sums are asked for (none: all) and the answers.
    var cutRequests: [CutRequest] = []
    var cutAccountsOut = 0
    var ledgersAsked: [UInt32: Set<UInt32>] = [:]
    var totals: [UInt32: [LedgerTotals]] = [:]

    /// Nanoseconds from a request taken to its reply written, since the last look.
    public var latency = DurationHistogram()
    /// The shards of a run of transfers that is being handed in.
    var targets = FixedArray<ShardID>(count: Shard.stagedMax)
    /// And where those of the own one are staged.
    var places = FixedArray<Int>(count: Shard.stagedMax)
    /// Where the next connection is dealt to among cores that have as few.
    var nextCore = 0
    /// Connections made while the engine was starting, to be taken over.
    var arrivals: [LoadedConnection] = []
    public internal(set) var statistics = FrontStatistics()
    /// The tick's time, monotonic nanoseconds.
    var now: UInt64 = 0
    var lastSweep: UInt64 = 0
    /// No new connections or requests are taken.
    var isDraining = false
    var sendsInFlight = 0

    /// Bytes of replies that this core's clients have not taken, and as many of them as the other cores know of.
    public internal(set) var replyBytes = 0
    var toldReplyBytes = 0
    /// In this turn: bytes of replies that may wait for a client before it is left unread, and for one whose replies are kept.
    var quietRoom = 0
    var keptRoom = 0

    static var receiveGroup: UInt16 { 1 }
    static var receiveBytes: Int { 64 << 10 }
    static var receiveBuffers: Int { 64 }
    var eventsOutMax: Int { bounds.eventsOut }
    /// The rest is for chains, which need room for all their events at once.
    var singlesOutMax: Int { eventsOutMax - Limits.eventsPerChainMax }
    /// Bytes received and not yet handled: two full frames.
    static var inputBytesMax: Int { 2 * (Limits.messageBodyBytesMax + FrameHeader.bytes) }
    /// The same, the bytes not taken, and those of a frame's body, before a client has given the password.
    static var strangerOutputBytesMax: Int { 64 << 10 }
    static var strangerInputBytesMax: Int { 256 << 10 }
    static var strangerBodyBytesMax: Int { 4 << 10 }
    /// Bytes handed to the kernel at once: a client that takes so many in the time it has is making progress.
    static var sendBytesMax: Int { 256 << 10 }

    /// Things used by RESP commands under way: a few for each.
    static var usesMax: Int { 1 << 15 }
    /// New connections under way to one other core; more are served where they were accepted.
    static func adoptsMax(shardCount: Int) -> Int { min(512, (1 << 13) / shardCount) }
    /// Cells of the lane that carries everything but requests: protocol, results and records, adoption.
    public static func controlCells(shardCount: Int) -> Int {
        controlCells(
            shardCount: shardCount, openPerPeer: Shard.openPerPeerMax(shardCount: shardCount),
            eventsOut: FrontBounds(shardCount: shardCount).eventsOut)
    }
    public static func controlCells(shardCount: Int, openPerPeer: Int, eventsOut: Int) -> Int {
        Shard.protocolCells(openPerPeer: openPerPeer) + adoptsMax(shardCount: shardCount)
            + requestCells(eventsOut: eventsOut)
    }
    /// What the lanes from one core to another take.
    public static func laneBytes(shardCount: Int) -> Int {
        LaneOwner.bytes(cells: controlCells(shardCount: shardCount))
            + LaneOwner.bytes(cells: requestCells(shardCount: shardCount))
    }
    /// Events handed in before the rest of the core gets its turn: short turns keep both sides of a crossing busy.
    public static var eventsPerTurn: Int { 1024 }
    /// Cells of a request lane, and of the results coming back, between a front and a shard.
    public static func requestCells(shardCount: Int) -> Int {
        requestCells(eventsOut: FrontBounds(shardCount: shardCount).eventsOut)
    }
    public static func requestCells(eventsOut: Int) -> Int { eventsOut * Lane.recordCells + 64 }

    /// - Parameter bounds: Nil: what an engine uses. Tests come to the bounds with small ones.
    public init(
        core: ShardID, configuration: FrontConfiguration, ring: inout Ring, requestLanes: [Lane?],
        controlLanes: [Lane?], bounds: FrontBounds? = nil
    ) throws(RingError) {
        self.core = core
        self.configuration = configuration
        routing = configuration.routing
        let bounds = bounds ?? FrontBounds(shardCount: configuration.routing.shardCount)
        self.bounds = bounds
        let pool = try ResultPool(bounds)
        buffers = try ring.provideBuffers(
            group: Self.receiveGroup, count: Self.receiveBuffers, size: Self.receiveBytes)
        let places = configuration.connections.perCoreMax
        connections = Slab(count: places) { _ in Connection() }
        freeConnections = FreeList(count: places)
        order = CommandOrder(uses: Self.usesMax)
        requests = FixedArray(count: bounds.requests)
        freeRequests = FreeList(count: bounds.requests)
        self.pool = pool
        var table = FixedArray<Lane>(count: routing.shardCount)
        for (i, lane) in requestLanes.enumerated() { if let lane { table[i] = lane } }
        self.requestLanes = table
        var control = FixedArray<Lane>(count: routing.shardCount)
        for (i, lane) in controlLanes.enumerated() { if let lane { control[i] = lane } }
        self.controlLanes = control
        eventsOut = FixedArray(count: routing.shardCount)
    }

    // MARK: Connections

    mutating func armReceive(_ c: Int, _ ring: inout Ring) {
        ring.receiveMultishot(
            connections[c].fd, group: Self.receiveGroup, token: TokenKind.receive.token(UInt64(c)))
        connections[c].receiveArmed = true
        connections[c].receiveCancelled = false
    }

    /// A receive has completed: bytes, the end, or an error.
    public mutating func received(_ completion: Completion, connection number: UInt64, ring: inout Ring) {
        let c = Int(number)
        if let id = completion.bufferID {
            if completion.result > 0 && connections[c].state == .open {
                let bytes = unsafe buffers.bytes(id, length: Int(completion.result))
                // SAFETY: the kernel has written so many bytes; they are copied before the buffer goes back.
                let span = unsafe Span<UInt8>(_unsafeBytes: bytes)
                if connections[c].input.isEmpty { connections[c].requestBeganAt = now }
                connections[c].input.append(span)
                connections[c].progressAt = now
                connections[c].receivedSince += span.count
                makeReady(c)
            }
            buffers.recycle(id)
        }
        if completion.hasMore {
            if connections[c].input.count >= inputBytesMax(c) && !connections[c].receiveCancelled {
                ring.cancel(token: TokenKind.receive.token(number), ownToken: TokenKind.cancel.token())
                connections[c].receiveCancelled = true
            }
            return
        }
        connections[c].receiveArmed = false
        let result = completion.result
        if connections[c].state != .open && connections[c].state != .draining {
            closeIfReleased(c)
        } else if result > 0 || result == -ENOBUFS || result == -ECANCELED || result == -EINTR {
            rearm(c, &ring)
        } else if result == 0 {
            // The peer sends no more, and may still read: what it has sent is answered first.
            connections[c].inputEnded = true
            makeReady(c)
        } else {
            // The connection broke: nobody is left to answer.
            shut(c)
        }
    }

    mutating func rearm(_ c: Int, _ ring: inout Ring) {
        if connections[c].state == .open && !connections[c].receiveArmed && !connections[c].inputEnded
            && connections[c].input.count < inputBytesMax(c)
        {
            armReceive(c, &ring)
        }
    }

    private func inputBytesMax(_ c: Int) -> Int {
        connections[c].isAuthenticated ? Self.inputBytesMax : Self.strangerInputBytesMax
    }

    /// Ends a connection at once: what is under way for it is answered to nobody.
    mutating func shut(_ c: Int) {
        guard connections[c].state == .open || connections[c].state == .draining else { return }
        connections[c].state = .closing
        Glibc.shutdown(connections[c].fd, CInt(SHUT_RDWR))
        dropRequests(c)
        closeIfReleased(c)
    }

    /// Answers what is owed, then closes; reads nothing more.
    mutating func drain(_ c: Int) {
        guard connections[c].state == .open else { return }
        connections[c].state = .draining
        makeReady(c)
    }

    mutating func closeIfReleased(_ c: Int) {
        guard connections[c].state == .closing, !connections[c].sendInFlight, !connections[c].receiveArmed,
            connections[c].current == 0
        else { return }
        replyBytes -= connections[c].countedBytes
        connections[c].end()
        statistics.connectionsOpen -= 1
        freeConnections.give(UInt32(c))
        configuration.connections.subtract(core.index)
    }

    @inline(__always)
    mutating func makeReady(_ c: Int) {
        if connections[c].isReady { return }
        connections[c].isReady = true
        ready.append(UInt32(c))
    }

    mutating func stall(_ c: Int) {
        if connections[c].isStalled { return }
        connections[c].isStalled = true
        stalled.append(UInt32(c))
        statistics.stalls += 1
    }

    /// Bytes that an empty buffer may keep: much for few connections, little for thousands.
    private var keptBytes: Int { max(4 << 10, (256 << 20) / Int(statistics.connectionsOpen + 1)) }

    // MARK: Working

    /// The turn's time, before anything of the turn is handled.
    public mutating func beginTurn(_ now: UInt64) { self.now = now }

    public var hasWork: Bool { !ready.isEmpty }
    /// Something waits for room that only progress elsewhere can give.
    public var hasStalled: Bool { !stalled.isEmpty || !parts.isEmpty }

    /// Some progress was made: those that waited for room are looked at again.
    public mutating func wakeStalled() {
        while !stalled.isEmpty {
            let c = Int(stalled.first)
            stalled.removeFirst()
            connections[c].isStalled = false
            if connections[c].state != .free { makeReady(c) }
        }
    }

    /// Handles what connections have received, in turns, and sends what they are owed.
    /// - Parameter eventsMax: About how many events to hand in before other work gets its turn.
    // Do not rename: Perf/ finds it by this symbol.
    @inline(never)
    public mutating func work(_ shard: inout Shard, ring: inout Ring, now: UInt64, eventsMax: Int) throws(JournalError)
    {
        self.now = now
        try workParts(&shard)
        workHistory(&shard)
        releaseAttempts()
        var turns = ready.count
        var budget = eventsMax
        while turns > 0 && budget > 0 {
            turns -= 1
            let c = Int(ready.first)
            ready.removeFirst()
            connections[c].isReady = false
            if connections[c].state == .free { continue }
            observeOutputRoom()
            if connections[c].state == .open || connections[c].current != 0 {
                let handled = connections[c].door == .native ? try workNative(c, &shard) : try workRESP(c, &shard)
                budget -= handled
                // What waits for us is no fault of the client's.
                if handled > 0 { connections[c].progressAt = now }
            }
            // Nothing more comes, and what came is handled: answer what is owed, then close.
            if connections[c].inputEnded && !connections[c].isReady && !connections[c].isStalled
                && connections[c].current == 0 && !isHeld(c)
            {
                if isFaulty(.dropWhenEnded) { shut(c) } else { drain(c) }
            }
            if connections[c].state == .closing {
                closeIfReleased(c)
            } else {
                sendOutput(c, &ring)
                countReplies(c)
            }
            rearm(c, &ring)
            connections[c].giveBackIdleMemory(above: keptBytes)
        }
        tellReplies()
    }

    /// Closes every connection and ends every call: the core ends, and its ring with it.
    public mutating func closeAll() {
        abandonCalls()
        for c in 0..<connections.count where connections[c].state != .free {
            Glibc.shutdown(connections[c].fd, CInt(SHUT_RDWR))
            close(connections[c].fd)
            connections[c].state = .free
        }
    }

    /// Everything taken has been answered and sent.
    public var isQuiet: Bool {
        freeRequests.count == bounds.requests && parts.isEmpty && awaiting.isEmpty && ready.isEmpty
            && historyParts.isEmpty && sendsInFlight == 0
    }

    /// Takes no new work. True when everything taken has been answered and sent.
    public mutating func drainAll() -> Bool {
        isDraining = true
        return isQuiet
    }
}
