// One client's connection: its descriptor, the bytes received and not yet understood, the bytes to send. A state machine
// of the ring's completions; its memory goes back when it is idle.

internal import Glibc
internal import SuanpanCore
internal import SuanpanWire

/// A connection's place is free, serving, or waiting for the ring to give back what it still holds of it.
enum ConnectionState: UInt8 {
    case free
    case open
    /// Answers what is owed, then closes.
    case draining
    /// Shut down; closed when the ring has let go of it.
    case closing
}

/// What MULTI has begun on a connection.
enum MultiState: UInt8 {
    case closed
    case queueing
    /// A command was refused: EXEC will be.
    case aborted
}

struct Connection: ~Copyable {
    var fd: CInt = -1
    var door = Door.native
    var state = ConnectionState.free
    /// Tells a connection from an earlier one of the same place.
    var generation: UInt32 = 0
    /// Its number among all connections of the engine, and when it began, monotonic nanoseconds.
    var number: UInt64 = 0
    var beganAt: UInt64 = 0

    var input = OutputBuffer()
    var output = OutputBuffer()
    var sending = OutputBuffer()
    var sendInFlight = false
    var receiveArmed = false
    var receiveCancelled = false

    /// The peer has sent its last byte.
    var inputEnded = false
    var isAuthenticated = false
    /// Wrong passwords so far; when the one that waits is judged, 0 for none; it has waited.
    var wrongPasswords = 0
    var heldUntil: UInt64 = 0
    var hasWaited = false
    /// In the queue of connections with something to do.
    var isReady = false
    /// Could not go on for lack of room; looked at again after any progress.
    var isStalled = false

    /// The request whose events are being handed in, plus 1, and how far it is.
    var current: UInt32 = 0
    var cursor = 0
    /// Requests not yet answered.
    var openRequests = 0
    /// When it last got on: bytes of a frame in, bytes of a reply out.
    var progressAt: UInt64 = 0

    var parser = RESPParser()
    var respVersion: UInt8 = 2
    var clientName = ""
    /// RESP: a command is under way that no other may overtake.
    var isAlone = false
    /// RESP: between MULTI and EXEC.
    var multi = MultiState.closed
    /// What MULTI queues, until EXEC has been answered: transfers, or accounts seen as transfers.
    var queued: [Transfer] = []
    var queuesAccounts = false
    /// RESP: requests in order, plus 1.
    var requestHead: UInt32 = 0
    var requestTail: UInt32 = 0

    init() {}

    /// Takes the place for a new descriptor.
    mutating func begin(fd: CInt, door: Door, number: UInt64, authenticated: Bool, now: UInt64) {
        self.fd = fd
        self.number = number
        beganAt = now
        self.door = door
        state = .open
        generation &+= 1
        isAuthenticated = authenticated
        wrongPasswords = 0
        heldUntil = 0
        hasWaited = false
        inputEnded = false
        clientName = ""
        isReady = false
        isStalled = false
        current = 0
        cursor = 0
        openRequests = 0
        progressAt = now
        parser = RESPParser()
        respVersion = 2
        isAlone = false
        endMulti()
        requestHead = 0
        requestTail = 0
        sendInFlight = false
        receiveArmed = false
        receiveCancelled = false
    }

    /// Gives the memory back and frees the place. The ring holds nothing of it any more.
    mutating func end() {
        close(fd)
        fd = -1
        state = .free
        generation &+= 1
        endMulti()
        input.removeAll()
        output.removeAll()
        sending.removeAll()
        input.releaseMemory()
        output.releaseMemory()
        sending.releaseMemory()
    }

    /// Forgets what MULTI has queued.
    mutating func endMulti() {
        multi = .closed
        queued = []
    }

    /// Something is owed either way: a half-received request, or a reply not taken.
    var mustProgress: Bool {
        state != .free && (sendInFlight || state == .closing || (!input.isEmpty && current == 0 && openRequests == 0))
    }
}
