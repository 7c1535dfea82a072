// Replies on their way out, and how many may wait. A client that falls behind in reading goes through three states:
//
//     left unread   `outputBytes` wait for it: its requests stay in the socket until it takes some
//     kept          it has taken none for a moment: it may be one that reads when it has sent everything, so its replies
//                   are kept, as far as the memory for all of them allows
//     refused       that is used up, and still it has taken none: what it sends is answered `busy`, unexecuted
//
// Whoever reads is never refused, and whoever sends is never left waiting for its own reading.

internal import SuanpanCore
public import SuanpanUring
internal import SuanpanWire

extension Front {
    /// What a connection may have waiting, whatever the others have.
    static var outputFloorBytes: Int { 4 << 10 }
    /// Nothing taken for so long: whoever reads takes something.
    static var unreadNanoseconds: UInt64 { 100_000_000 }
    /// And for so long, or a quarter of the timeout, when there is no memory left either: it is not reading slowly.
    static var unreadBeforeRefusal: UInt64 { 2_000_000_000 }
    /// Refused bytes of a client that takes no replies at all; then it is left unread, and closed in its time.
    static var refusedBytesMax: Int { 128 << 20 }
    /// Refusals written at once.
    static var refusalsPerSend: Int { 1024 }
    static var busyRetryMilliseconds: UInt32 { 10 }
    /// What a core holds more or less than it has told the others.
    static var untoldBytesMax: Int { 64 << 10 }

    // MARK: Room

    /// A reply may be written: the client has taken enough of those before.
    @inline(__always)
    func hasOutputRoom(_ c: Int) -> Bool {
        connections[c].waitingBytes
            < (connections[c].keepsReplies ? keptRoom : connections[c].quietBytes(quietRoom))
    }

    /// What a connection may have waiting, now that the others hold what they do.
    mutating func observeOutputRoom() {
        keptRoom = max(Self.outputFloorBytes, configuration.replies.freeBytes - (replyBytes - toldReplyBytes))
        quietRoom = min(bounds.outputBytes, keptRoom)
    }

    /// There is no room for a reply: waits, but no longer for one that does not read.
    mutating func awaitOutputRoom(_ c: Int) {
        if connections[c].lacksRoomSince == 0 { connections[c].lacksRoomSince = now }
        let unread = now &- max(connections[c].lacksRoomSince, connections[c].sendBeganAt)
        if !connections[c].isAuthenticated || unread < Self.unreadNanoseconds {
            stall(c)
        } else if !connections[c].keepsReplies {
            connections[c].keepsReplies = true
            makeReady(c)
        } else if unread < min(Self.unreadBeforeRefusal, configuration.progressTimeoutNanoseconds / 4) {
            stall(c)
        } else {
            connections[c].refuses = true
            makeReady(c)
        }
    }

    /// Adds what a connection holds to what all do. Once a turn.
    @inline(__always)
    mutating func countReplies(_ c: Int) {
        let bytes = connections[c].waitingBytes
        if bytes == connections[c].countedBytes { return }
        replyBytes += bytes - connections[c].countedBytes
        connections[c].countedBytes = bytes
    }

    /// Tells the other cores what this one holds; they need not know it to the byte.
    mutating func tellReplies() {
        let more = replyBytes - toldReplyBytes
        guard abs(more) >= Self.untoldBytesMax || (more != 0 && replyBytes == 0) else { return }
        toldReplyBytes = replyBytes
        configuration.replies.add(more)
    }

    // MARK: Sending

    /// A send has completed.
    public mutating func sent(_ completion: Completion, connection number: UInt64) {
        let c = Int(number)
        connections[c].sendInFlight = false
        sendsInFlight -= 1
        if connections[c].state == .closing { return closeIfReleased(c) }
        if completion.result < 0 {
            shut(c)
            return
        }
        connections[c].progressAt = now
        connections[c].refusedBytes = 0
        connections[c].sending.removeFirst(Int(completion.result))
        makeReady(c)
    }

    /// Hands the connection's output to the ring, one send at a time.
    mutating func sendOutput(_ c: Int, _ ring: inout Ring) {
        guard connections[c].state == .open || connections[c].state == .draining else { return }
        if connections[c].sendInFlight {
            connections[c].keepFullOutput()
            return
        }
        if connections[c].sending.isEmpty && !takeOutput(c) {
            if connections[c].state == .draining && connections[c].openRequests == 0 { shut(c) }
            return
        }
        let bytes = unsafe connections[c].sending.unsafeBytes
        // SAFETY: `sending` is not changed before the completion.
        unsafe ring.send(
            connections[c].fd, from: bytes.baseAddress!, length: min(bytes.count, Self.sendBytesMax),
            token: TokenKind.send.token(UInt64(c)))
        connections[c].sendInFlight = true
        connections[c].sendBeganAt = now
        connections[c].receivedSince = 0
        sendsInFlight += 1
    }

    /// Makes what is to be sent next `sending`. False: there is nothing.
    private mutating func takeOutput(_ c: Int) -> Bool {
        if !connections[c].backlog.isEmpty {
            connections[c].takeBacklog()
            return true
        }
        // Replies come before the refusals of what was sent after their requests.
        if connections[c].output.isEmpty && connections[c].openRequests == 0 { writeRefusals(c) }
        if connections[c].output.isEmpty {
            connections[c].keepsReplies = false
            connections[c].lacksRoomSince = 0
            return false
        }
        connections[c].takeOutput()
        return true
    }

    // MARK: Refusing

    private mutating func writeRefusals(_ c: Int) {
        var left = Self.refusalsPerSend
        while left > 0, let refused = connections[c].refusals.takeFirst() {
            left -= 1
            switch connections[c].door {
            case .native:
                connections[c].output.appendFrame(
                    FrameHeader(
                        refused.operation, status: .busy, requestID: refused.id,
                        retryAfterMilliseconds: Self.busyRetryMilliseconds))
            case .resp:
                encoder(c).busy(retryAfterMilliseconds: Self.busyRetryMilliseconds, into: &connections[c].output)
            }
        }
    }

    /// True when what comes next is to be refused. Where the client has read, it no longer is.
    mutating func refusesRequests(_ c: Int) -> Bool {
        guard connections[c].refuses else { return false }
        if connections[c].refusals.isEmpty && connections[c].waitingBytes < quietRoom { connections[c].refuses = false }
        return connections[c].refuses
    }

    /// One more request may be refused: what is owed for it can be remembered, and the client is not one that never reads.
    func mayRefuse(_ c: Int) -> Bool {
        connections[c].openRequests == 0 && connections[c].refusedBytes < Self.refusedBytesMax
            && connections[c].refusals.memoryBytes < max(Self.outputFloorBytes, configuration.replies.freeBytes)
    }

    /// Takes a frame, unexecuted.
    mutating func refuse(_ c: Int, _ header: FrameHeader) {
        statistics.busy += 1
        connections[c].refusals.add(header.requestID, operation: header.rawOperation)
        let bytes = FrameHeader.bytes + Int(header.bodyLength)
        connections[c].refusedBytes += bytes
        connections[c].input.removeFirst(bytes)
    }

    /// The same for a command. A chain of which something was refused is not executed.
    mutating func refuse(_ c: Int, _ command: RESPCommand, bytes: Int) {
        connections[c].refusedBytes += bytes
        switch command {
        case .nothing: return
        case .multi: connections[c].multi = .aborted
        case .exec, .discard, .reset, .quit: connections[c].endMulti()
        default: if connections[c].multi != .closed { connections[c].multi = .aborted }
        }
        statistics.busy += 1
        connections[c].refusals.addNext()
    }
}

extension Connection {
    /// Bytes of memory that hold what the client has not taken.
    var waitingBytes: Int { output.count + sending.count + backlog.memoryBytes + refusals.memoryBytes }

    /// What may wait for it before it is left unread.
    @inline(__always)
    func quietBytes(_ room: Int) -> Int { isAuthenticated ? room : min(room, Front.strangerOutputBytesMax) }

    /// What is to be sent next: the oldest of what was kept, or all output so far.
    mutating func takeBacklog() { backlog.takeFirst(into: &sending) }
    mutating func takeOutput() { swap(&sending, &output) }

    /// Puts output that fills a chunk behind what is being sent.
    mutating func keepFullOutput() {
        guard output.count >= ReplyBacklog.chunkBytes else { return }
        var chunk = OutputBuffer(capacity: ReplyBacklog.chunkCapacity)
        swap(&chunk, &output)
        backlog.append(chunk)
    }

    /// Empty buffers of more than `kept` bytes give their memory back.
    mutating func giveBackIdleMemory(above kept: Int) {
        if input.isEmpty && input.capacity > kept { input.releaseMemory() }
        if output.isEmpty && output.capacity > kept { output.releaseMemory() }
        if sending.isEmpty && !sendInFlight && sending.capacity > kept { sending.releaseMemory() }
    }
}
