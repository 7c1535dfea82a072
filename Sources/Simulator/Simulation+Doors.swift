// Clients behind real fronts: each core has its io_uring and its Front, clients send frames and commands through socket
// pairs, and a seeded network cuts what they send into pieces, holds it up and breaks connections. All on one thread, so
// that the kernel does nothing at a time of its own: a socket's bytes are there when `send` returns, and the ring sees them
// at the next submission.

import SuanpanCore
import SuanpanFront
import SuanpanLanes
import SuanpanShard
import SuanpanUring

/// A core's ring and the front behind it.
final class Entrance {
    var ring: Ring
    var front: Front

    init(_ ring: consuming Ring, _ front: consuming Front) {
        self.ring = ring
        self.front = front
    }

    deinit { front.closeAll() }

    /// A connection that another core has accepted.
    func adopt(_ message: Message) {
        guard let door = Door(rawValue: message.operation) else { stop("door \(message.operation)") }
        front.adopt(CInt(bitPattern: message.slot), door, ring: &ring, isDealt: true)
    }
}

/// What a seed has drawn for the network and the fronts.
struct Network {
    /// Sizes of the pieces in which bytes travel.
    var pieces = [1 << 20]
    /// See `ClientSocket.pair`.
    var room: Int?
    /// Percent of the moments at which a client reads.
    var reads = 100
    var breaksLeft = 0
    var hostilesLeft = 0
    var bounds = FrontBounds(
        requests: 256, largeRequests: 4, largeLookups: 2, requestsPerConnection: 1024, outputBytes: 4 << 20,
        eventsOut: 1024)

    /// Replies that are kept for a client that takes none: a few more than without.
    var replyBytes: Int { 4 * bounds.outputBytes }

    /// Longer than a history, but for those that begin something and never end it.
    static let timeout: UInt64 = 1_000_000_000_000
    /// Of each core.
    static let connectionsMax = 64

    init(_ dice: inout Dice) {
        pieces = dice.pick([[1 << 20], [1 << 20], [1, 3, 64, 200], [1, 1, 2, 7], [63, 64, 65, 192], [5, 1 << 20]])
        room = dice.pick([nil, nil, 1, 8192])
        reads = dice.pick([100, 100, 50, 10])
        breaksLeft = dice.pick([0, 1, 3, 8])
        hostilesLeft = dice.pick([0, 1, 3])
        if dice.chance(30) { bounds.requests = dice.between(1, 4) }
        if dice.chance(30) { bounds.requestsPerConnection = dice.between(1, 3) }
        if dice.chance(30) { bounds.outputBytes = dice.between(1, 2000) }
        if dice.chance(30) { bounds.eventsOut = Limits.eventsPerChainMax + dice.between(1, 2) }
    }
}

extension Simulation {
    // MARK: Cores

    func countConnectionsAnew() {
        connectionCounts = ConnectionCounts(
            coreCount: shardCount, connectionsMax: Network.connectionsMax * shardCount)
    }

    func makeEntrance(_ i: Int) throws -> Entrance {
        var ring = try Ring(entries: 64)
        let front = try Front(
            core: ShardID(i),
            configuration: FrontConfiguration(
                routing: routing, password: [], connections: connectionCounts,
                progressTimeoutNanoseconds: Network.timeout, replies: ReplyBudget(bytesMax: network.replyBytes),
                board: board,
                history: try HistoryDesk(routing: routing, shards: [], callers: [], bells: [])),
            ring: &ring, requestLanes: requestLanes[i], controlLanes: lanes[i], bounds: network.bounds)
        let entrance = Entrance(ring, front)
        #if SUANPAN_FAILPOINTS
            entrance.front.fault = options.frontFault
        #endif
        return entrance
    }

    /// Nothing is left in a front, its sockets or its lanes.
    var areDoorsQuiet: Bool {
        guard hasDoors else { return true }
        var open = 0
        for node in nodes {
            guard let entrance = node.entrance, entrance.front.isQuiet, !entrance.front.hasStalled else { return false }
            open += Int(entrance.front.statistics.connectionsOpen)
        }
        for from in requestLanes { for lane in from { if let lane, !lane.isEmpty { return false } } }
        return callers.allSatisfy(\.isEmpty) && clients.allSatisfy { $0.connection?.isSettled == true }
            && open == clients.count + hostiles.count { $0.isOpen }
    }

    var stuckDoors: String {
        let fronts = nodes.enumerated().map { i, node in
            guard let front = node.entrance else { return "" }
            return
                "\n  front \(i): quiet \(front.front.isQuiet), stalled \(front.front.hasStalled), \(front.front.statistics)"
        }
        let connections = clients.indices.map {
            "\n  client \($0): \(clients[$0].connection.map { "\($0)" } ?? "away")"
        }
        return fronts.joined() + connections.joined()
    }

    // MARK: Connections

    /// Gives a client a connection to some front.
    func connect(_ c: Int) throws {
        let door: Door = clients[c].isStream ? .resp : .native
        clients[c].connection = ClientConnection(try openSocket(door), door)
        clients[c].stream = clients[c].isStream ? takeStream() : 0
        clients[c].place = 0
        coverage.connections += 1
        if door == .resp && dice.chance(30) { say(c, .hello, []) }
    }

    /// A new socket, its other end at a front: straight, or dealt out by the one that has accepted it.
    private func openSocket(_ door: Door) throws -> ClientSocket {
        let (socket, fd) = try ClientSocket.pair(room: network.room)
        let deals = dice.chance(50)
        guard let entrance = nodes[deals ? 0 : dice.below(shardCount)].entrance else {
            throw fail("a core has no front")
        }
        if deals {
            entrance.front.accepted(fd, door, ring: &entrance.ring)
        } else {
            entrance.front.adopt(fd, door, ring: &entrance.ring)
        }
        return socket
    }

    private func say(_ c: Int, _ purpose: Inquiry.Purpose, _ questions: [Question]) {
        clients[c].connection?.ask(Inquiry(purpose: purpose, id: UInt64(nextRequest)), questions, &dice)
    }

    /// Asks what `send` has noted: a frame of all, or a command.
    func say(_ c: Int, _ asked: [Int]) {
        if clients[c].isStream && dice.chance(3) { say(c, .echo("word\(nextRequest)"), []) }
        for event in asked { events[event].isWhole = false }
        say(c, .ask(asked), asked.map { events[$0].question })
    }

    /// The network takes its turn with one client, or with somebody hostile, or breaks a connection.
    func runNetwork() throws {
        let c = dice.below(clients.count)
        try exchange(c, isWhole: false)
        guard let connection = clients[c].connection else { return }
        if network.breaksLeft > 0 && dice.below(1000) < (connection.isMidFrame ? 100 : 10) {
            network.breaksLeft -= 1
            try breakConnection(c)
        } else if !connection.isLeaving && !connection.isSettled && dice.below(1000) < 5 {
            connection.isLeaving = true
        }
        if network.hostilesLeft > 0 && dice.below(100) == 0 {
            network.hostilesLeft -= 1
            coverage.hostiles += 1
            let door: Door = dice.chance(60) ? .native : .resp
            let transfer = workload.transfer(dice.pick(workload.pool).id, dice.pick(workload.pool).id, 1)
            hostiles.append(HostileConnection(try openSocket(door), door, transfer, &dice))
        }
        for hostile in hostiles where dice.chance(20) { try hostile.exchange(dice.pick(network.pieces)) }
    }

    /// Everything is carried that can be.
    func finishNetwork() throws {
        for c in clients.indices { try exchange(c, isWhole: true) }
        for hostile in hostiles { try hostile.exchange(1 << 20) }
    }

    /// Some bytes of a client go out, some come in; what has come as a whole is understood.
    private func exchange(_ c: Int, isWhole: Bool) throws {
        guard let connection = clients[c].connection else { return }
        var left = isWhole ? Int.max : dice.pick([1, 1, 4, 20])
        while left > 0 {
            left -= 1
            let before = connection.sent
            if connection.write(dice.pick(network.pieces)) == 0 { break }
            for inquiry in connection.inquiries where inquiry.range.upperBound > before {
                guard inquiry.range.lowerBound < connection.sent else { break }
                if inquiry.range.lowerBound >= before { for e in inquiry.events { events[e].invoked = step } }
                if inquiry.range.upperBound <= connection.sent { for e in inquiry.events { events[e].isWhole = true } }
            }
            if connection.isMidFrame { coverage.splits += 1 }
        }
        guard isWhole || dice.chance(network.reads) else { return }
        left = isWhole ? Int.max : dice.pick([1, 1, 4, 20])
        reading: while left > 0 {
            left -= 1
            switch try connection.read(dice.pick(network.pieces)) {
            case .bytes: try understand(c, connection)
            case .nothing: break reading
            case .end:
                // It has said all that it wanted to, and heard the answers.
                try connect(c)
                break reading
            }
        }
    }

    private func understand(_ c: Int, _ connection: ClientConnection) throws {
        while let (inquiry, replies) = try connection.nextReply({ events[$0].question }) {
            for (event, reply) in zip(inquiry.events, replies) {
                if case .results(let results) = reply {
                    let isBusy = results.contains { $0.code == .busy }
                    if isBusy { coverage.busy += 1 }
                    // Of a success the text protocol does not say whether it is the first one.
                    events[event].isVague = connection.door == .resp && results.contains(where: \.isCreated)
                }
                answered(event, reply)
            }
        }
    }

    /// A client's connection ends in the middle of whatever is under way; it comes back, and asks most of it again.
    private func breakConnection(_ c: Int) throws {
        trace("the connection of client \(c) breaks: \(clients[c].connection.map { "\($0)" } ?? "")")
        coverage.breaks += 1
        if clients[c].connection?.isMidFrame == true { coverage.breaksMidFrame += 1 }
        clients[c].connection = nil
        let lost = clients[c].open
        for event in lost { events[event].isLost = true }
        try connect(c)
        askAgain(c, lost)
    }

    /// All fronts have gone, and with them what connections were on their way from one to the other.
    func closeDoors() {
        guard hasDoors else { return }
        for from in lanes {
            for case let lane? in from {
                lane.flush()
                while let message = lane.peek() {
                    if message.kind == .adopt { ClientSocket.close(CInt(bitPattern: message.slot)) }
                    lane.take(message)
                }
            }
        }
        for c in clients.indices { clients[c].connection = nil }
        hostiles = []
        countConnectionsAnew()
    }

    /// Whoever has begun something and not ended it is told after a time, and closed.
    func waitForHostiles() throws {
        guard hostiles.contains(where: \.isOpen) else { return }
        time += Network.timeout + 1
        for _ in 0..<8 {
            time += 1_000_000_000
            try drain()
        }
        try check(!hostiles.contains(where: \.isOpen), "a connection that sent no request is still open")
    }
}
