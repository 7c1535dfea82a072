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
    /// Between the two, where the client is far behind; and the refusals that come after all replies.
    var backlog = ReplyBacklog()
    var refusals = OwedRefusals()
    /// See `Front+Replies`.
    var keepsReplies = false
    var refuses = false
    /// Since when there is no room for a reply; 0: there is.
    var lacksRoomSince: UInt64 = 0
    /// Bytes of requests refused since the client last took something.
    var refusedBytes = 0
    /// What of its bytes the front has counted.
    var countedBytes = 0
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
    /// Since when the password was not given.
    var strangerSince: UInt64 = 0
    /// In the queue of connections with something to do.
    var isReady = false
    /// Could not go on for lack of room; looked at again after any progress.
    var isStalled = false

    /// The request whose events are being handed in, plus 1, and how far it is.
    var current: UInt32 = 0
    var cursor = 0
    /// Requests not yet answered.
    var openRequests = 0
    /// When it last got on: bytes of a frame in, a request handled, bytes of a reply out.
    var progressAt: UInt64 = 0
    /// When the send under way began, and the bytes received since then.
    var sendBeganAt: UInt64 = 0
    var receivedSince = 0
    /// What was received ends within a request, whose first byte came at this time or earlier.
    var isMidRequest = false
    var requestBeganAt: UInt64 = 0

    var parser = RESPParser()
    var respVersion: UInt8 = 2
    var clientName = ""
    /// RESP: a command is under way that no other may overtake.
    var isAlone = false
    /// RESP: commands under way that later ones may have to wait for, and the account of which the next one must know more.
    var undecided = 0
    var askedAbout = AccountID(0)
    /// RESP: between MULTI and EXEC.
    var multi = MultiState.closed
    /// What MULTI queues, until EXEC: transfers, or accounts seen as transfers.
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
        strangerSince = now
        inputEnded = false
        clientName = ""
        isReady = false
        isStalled = false
        current = 0
        cursor = 0
        openRequests = 0
        progressAt = now
        keepsReplies = false
        refuses = false
        lacksRoomSince = 0
        refusedBytes = 0
        countedBytes = 0
        sendBeganAt = now
        receivedSince = 0
        isMidRequest = false
        requestBeganAt = now
        parser = RESPParser()
        respVersion = 2
        isAlone = false
        undecided = 0
        askedAbout = AccountID(0)
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
        backlog.removeAll()
        refusals.removeAll()
        input.releaseMemory()
        output.releaseMemory()
        sending.releaseMemory()
    }

    /// Forgets what MULTI has queued.
    mutating func endMulti() {
        multi = .closed
        queued = []
    }
}
