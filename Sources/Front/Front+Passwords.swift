// Passwords, at both doors: attempts wait their time (`PasswordGuard`) while their connection alone is left unread, wrong
// ones are counted, and too many of them end the connection.

internal import SuanpanCore
internal import SuanpanWire

/// A connection whose attempt waits.
struct HeldAttempt: BitwiseCopyable {
    var connection: UInt32
    var generation: UInt32
    /// Monotonic nanoseconds.
    var until: UInt64
}

extension Front {
    /// Wrong passwords on one connection; with the last it is closed.
    static var wrongPasswordsMax: Int { 10 }

    /// Its attempt waits: nothing of it is read.
    @inline(__always)
    func isHeld(_ c: Int) -> Bool { connections[c].heldUntil != 0 }

    /// An attempt is about to be judged. True: it must wait, and be read again when the connection is no longer held.
    mutating func holdsAttempt(_ c: Int) -> Bool {
        if configuration.password.isEmpty { return false }
        if connections[c].hasWaited {
            connections[c].hasWaited = false
            return false
        }
        let wait = configuration.board.passwords.wait(Peer.site(connections[c].fd), now: now)
        guard wait > 0 else { return false }
        connections[c].hasWaited = true
        connections[c].heldUntil = now + wait
        // The wait is ours, and not the client's: it came in time.
        connections[c].strangerSince += wait
        held.append(
            HeldAttempt(
                connection: UInt32(c), generation: connections[c].generation, until: connections[c].heldUntil))
        configuration.board.notices.count(one: .passwordDelayed)
        return true
    }

    /// Lets the attempts whose time has come be judged.
    mutating func releaseAttempts() {
        guard !held.isEmpty else { return }
        var waiting: [HeldAttempt] = []
        for attempt in held {
            let c = Int(attempt.connection)
            guard connections[c].generation == attempt.generation else { continue }
            guard attempt.until <= now else {
                waiting.append(attempt)
                continue
            }
            connections[c].heldUntil = 0
            // The time was ours, not the client's.
            connections[c].progressAt = now
            makeReady(c)
        }
        held = waiting
    }

    /// When the next of them comes.
    public var nextAttempt: UInt64? { held.isEmpty ? nil : held.map(\.until).min() }

    /// Judges a password that was given.
    mutating func isRight(_ c: Int, _ given: [UInt8]) -> Bool {
        if Self.passwordMatches(given, configuration.password) { return true }
        connections[c].wrongPasswords += 1
        Self.noteWrongPassword(connections[c].fd, connections[c].door, configuration.board, now)
        return false
    }

    /// A wrong password was answered: the last one that this connection may give?
    mutating func closeAfterTooManyPasswords(_ c: Int) {
        if connections[c].wrongPasswords >= Self.wrongPasswordsMax { drain(c) }
    }

    /// Counts a wrong password, and tells the operator.
    static func noteWrongPassword(_ fd: CInt, _ door: Door, _ board: StatusBoard, _ now: UInt64) {
        board.passwords.failed(Peer.site(fd), now: now)
        board.notices.say(.wrongPassword, now: now) {
            "a wrong password at the \(door.name) port from \(Peer.name(fd, ofPeer: true))"
        }
    }

    /// Compares in a time that does not depend on where the first difference is.
    static func passwordMatches(_ given: [UInt8], _ wanted: [UInt8]) -> Bool {
        if wanted.isEmpty { return true }
        var difference = given.count ^ wanted.count
        for (i, byte) in given.enumerated() { difference |= Int(byte ^ wanted[i % wanted.count]) }
        return difference == 0
    }
}
