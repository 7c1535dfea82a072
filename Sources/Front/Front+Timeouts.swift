// Clients that are late. Each of these is answered `timeout`, where it still can be, and closed:
//
//     nothing came and nothing was taken     for `timeout`, while a request is half sent or a reply waits
//     a request is not whole                 `timeout` after its first byte, and a second more for each 16 KiB of it
//     a reply is not taken                   `timeout` after it was handed over, and a second more for each 16 KiB that the
//                                            client has sent meanwhile
//     the password is not given              `timeout` after the connection began, or was reset
//
// A connection that owes nothing may be silent for as long as it likes, also between MULTI and EXEC. While no place is
// free, half-sent requests and strangers have a quarter of the time: they go first.

internal import SuanpanWire

extension Front {
    /// The slowest line that may send as much as it likes.
    static var bytesPerSecondMin: UInt64 { 16 << 10 }
    /// More bytes give no more time: a client that sends and takes no reply for so long is of no use to anybody.
    static var bytesAllowedForMax: Int { 1 << 30 }

    /// - Parameter bytes: Each 16 KiB of them give a second more.
    static func isOver(_ now: UInt64, since begin: UInt64, _ allowed: UInt64, bytes: Int = 0) -> Bool {
        // Whole seconds, and no more bytes than a request and a long pipeline have: whoever sends for ever, and takes no
        // reply, is late in the end.
        let counted = UInt64(min(bytes, bytesAllowedForMax))
        return now > begin &+ allowed &+ counted / bytesPerSecondMin &* 1_000_000_000
    }

    /// Nanoseconds between two looks for clients that are late.
    static func sweepPause(timeout: UInt64) -> UInt64 { min(1_000_000_000, timeout / 4) }
    /// For half-sent requests and strangers.
    static func firstTimeout(_ timeout: UInt64, isFull: Bool) -> UInt64 { isFull ? timeout / 4 : timeout }

    /// What was received ends within a request.
    /// - Parameter isNew: Others were taken before it in this turn: it began after the last look.
    mutating func awaitRest(_ c: Int, isNew: Bool) {
        connections[c].isMidRequest = true
        if isNew { connections[c].requestBeganAt = now }
    }

    /// Closes connections that are late. Cheap: at most once a second, or four times in a timeout.
    /// - Returns: True while some connection must be looked at again later.
    public mutating func sweep(now: UInt64) -> Bool {
        let timeout = configuration.progressTimeoutNanoseconds
        guard now - lastSweep >= Self.sweepPause(timeout: timeout) else {
            return connections.count > freeConnections.count
        }
        lastSweep = now
        let isFull = configuration.connections.total >= configuration.connections.connectionsMax
        let first = Self.firstTimeout(timeout, isFull: isFull)
        var owing = false
        for c in 0..<connections.count where connections[c].mustProgress {
            owing = true
            if connections[c].isLate(now, timeout: timeout, first: first) { endLate(c) }
        }
        return owing
    }

    private mutating func endLate(_ c: Int) {
        statistics.timeouts += 1
        connections[c].isMidRequest = false
        guard !connections[c].sendInFlight && connections[c].state == .open else { return shut(c) }
        switch connections[c].door {
        case .native: connections[c].output.appendFrame(FrameHeader(0, status: .timeout, requestID: 0))
        case .resp: encoder(c).timeout(into: &connections[c].output)
        }
        connections[c].input.removeAll()
        drain(c)
    }
}

extension Connection {
    /// Something is owed either way: the password, the rest of a request, or the taking of a reply.
    var mustProgress: Bool {
        state != .free && (sendInFlight || state == .closing || owesRest || !isAuthenticated)
    }

    private var owesRest: Bool { isMidRequest && openRequests == 0 }

    /// - Parameters:
    ///   - timeout: For any progress, nanoseconds.
    ///   - first: For a request or the password, from the first byte on.
    func isLate(_ now: UInt64, timeout: UInt64, first: UInt64) -> Bool {
        if (sendInFlight || state == .closing || owesRest) && Front.isOver(now, since: progressAt, timeout) {
            return true
        }
        if owesRest && Front.isOver(now, since: requestBeganAt, first, bytes: input.count) { return true }
        if sendInFlight && Front.isOver(now, since: sendBeganAt, timeout, bytes: receivedSince) { return true }
        return !isAuthenticated && state == .open && Front.isOver(now, since: strangerSince, first)
    }
}
