// Clients that are late. Each of these is answered `timeout`, where it still can be, and closed:
//
//     nothing came and nothing was taken     for `timeout`, while a request is half sent or a reply waits
//
// A connection that owes nothing may be silent for as long as it likes, also between MULTI and EXEC.

internal import SuanpanWire

extension Front {
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
        guard now - lastSweep >= min(1_000_000_000, timeout / 4) else {
            return connections.count > freeConnections.count
        }
        lastSweep = now
        var owing = false
        for c in 0..<connections.count where connections[c].mustProgress {
            owing = true
            if connections[c].isLate(now, timeout: timeout) { endLate(c) }
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
    /// Something is owed either way: the rest of a request, or the taking of a reply.
    var mustProgress: Bool {
        state != .free && (sendInFlight || state == .closing || (isMidRequest && openRequests == 0))
    }

    func isLate(_ now: UInt64, timeout: UInt64) -> Bool { now > progressAt &+ timeout }
}
