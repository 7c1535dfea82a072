// How a core comes by its connections: accepted and dealt, handed over by the core that has accepted them, or made while
// the engine was starting.

internal import Glibc
internal import SuanpanCore
internal import SuanpanLanes
public import SuanpanUring
internal import SuanpanWire

extension Front {
    /// Hands a new descriptor to the core with the fewest connections, or serves it here where that is this one.
    public mutating func accepted(_ fd: CInt, _ door: Door, ring: inout Ring) {
        guard !isDraining else {
            close(fd)
            return
        }
        guard let target = deal() else {
            statistics.connectionsRefused += 1
            Self.refuseConnection(fd, door)
            return
        }
        nextCore = (target + 1) % routing.shardCount
        if target == core.index { return adopt(fd, door, ring: &ring, isDealt: true) }
        var message = Message(.adopt, from: core, slot: UInt32(bitPattern: fd))
        message.operation = door.rawValue
        controlLanes[target].push(message)
    }

    private func deal() -> Int? {
        let most = Self.adoptsMax(shardCount: routing.shardCount)
        return configuration.connections.deal(from: nextCore) { target in
            target == core.index || controlLanes[target].room(atLeast: controlLanes[target].capacity - most)
        }
    }

    /// Begins to serve a descriptor.
    /// - Parameter isDealt: It is among this core's `ConnectionCounts` already.
    public mutating func adopt(_ fd: CInt, _ door: Door, ring: inout Ring, isDealt: Bool = false) {
        if !isDealt { configuration.connections.add(core.index) }
        guard let c = place(fd, door) else { return }
        armReceive(c, &ring)
    }

    private mutating func place(_ fd: CInt, _ door: Door) -> Int? {
        guard freeConnections.count > 0 && !isDraining else {
            configuration.connections.subtract(core.index)
            statistics.connectionsRefused += 1
            Self.refuseConnection(fd, door)
            return nil
        }
        setOptions(fd)
        let c = Int(freeConnections.take())
        statistics.connectionsOpen += 1
        statistics.connectionsAccepted += 1
        let number = statistics.connectionsAccepted &* UInt64(routing.shardCount) &+ UInt64(core.value)
        connections[c].begin(
            fd: fd, door: door, number: number, authenticated: configuration.password.isEmpty, now: now)
        return c
    }

    /// Goes on with connections that were made while the engine was starting.
    public mutating func adoptArrivals(ring: inout Ring) {
        guard !arrivals.isEmpty else { return }
        for arrival in arrivals {
            guard let c = place(arrival.take(), arrival.door) else { continue }
            connections[c].isAuthenticated = arrival.session.isAuthenticated
            connections[c].respVersion = arrival.session.respVersion
            connections[c].clientName = arrival.session.clientName
            connections[c].multi = arrival.session.multi
            connections[c].strangerSince = arrival.session.strangerSince
            connections[c].requestBeganAt = arrival.session.requestBeganAt
            for byte in arrival.input { connections[c].input.append(byte) }
            for byte in arrival.output { connections[c].output.append(byte) }
            makeReady(c)
            armReceive(c, &ring)
        }
        arrivals = []
    }

    /// Small replies leave at once; a peer that is gone without a word is found within two minutes.
    private func setOptions(_ fd: CInt) {
        func set(_ level: CInt, _ option: CInt, _ value: CInt) {
            var value = value
            // SAFETY: an option of four bytes from a local. Sockets without it do without.
            _ = unsafe setsockopt(fd, level, option, &value, 4)
        }
        set(CInt(IPPROTO_TCP), TCP_NODELAY, 1)
        set(SOL_SOCKET, SO_KEEPALIVE, 1)
        set(CInt(IPPROTO_TCP), TCP_KEEPIDLE, 60)
        set(CInt(IPPROTO_TCP), TCP_KEEPINTVL, 15)
        set(CInt(IPPROTO_TCP), TCP_KEEPCNT, 4)
    }

    static func refuseConnection(_ fd: CInt, _ door: Door) {
        var text = OutputBuffer()
        switch door {
        case .resp: RESPEncoder().tooManyClients(into: &text)
        case .native: text.appendFrame(FrameHeader(0, status: .busy, requestID: 0, retryAfterMilliseconds: 1000))
        }
        text.withBytes { bytes in
            // SAFETY: the bytes live for the call; the client is told on a best-effort basis before the close.
            unsafe bytes.withUnsafeBytes {
                _ = unsafe Glibc.send(fd, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
            }
        }
        close(fd)
    }
}
