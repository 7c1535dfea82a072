// One connection's machinery: callers leave frames in a queue, a writer thread sends them, a reader thread resumes the
// caller that each reply belongs to. No cooperative thread ever blocks.

internal import SuanpanCore
internal import SuanpanWire
internal import Synchronization

/// A reply as it came: the header was checked, the status is `ok`.
struct Reply: Sendable {
    var header: FrameHeader
    var body: [UInt8]

    /// The body as an array of records.
    func records<Record: BitwiseCopyable>(_ type: Record.Type) throws(ClientError) -> [Record] {
        let stride = MemoryLayout<Record>.stride
        guard body.count == Int(header.count) * stride else {
            throw .disconnected("a reply of \(body.count) bytes holds \(header.count) records")
        }
        return unsafe body.withUnsafeBytes { bytes in
            // SAFETY: i stays below count, and count strides are there; records are plain bytes, any of them valid.
            (0..<Int(header.count)).map { unsafe bytes.loadUnaligned(fromByteOffset: $0 * stride, as: type) }
        }
    }
}

/// A frame ready to be sent.
final class OutgoingFrame: Sendable {
    let bytes: OutputBuffer
    init(_ bytes: consuming OutputBuffer) { self.bytes = bytes }
}

final class Connection: Sendable {
    typealias Waiter = CheckedContinuation<Result<Reply, ClientError>, Never>

    /// Requests under way; the server takes 1024, so one more would wait in vain.
    static let requestsMax = 1024

    private struct State {
        var queue: [OutgoingFrame] = []
        var waiting: [UInt64: Waiter] = [:]
        /// Set once: no more requests are taken.
        var failure: ClientError?
        /// Resumed when nothing waits any more.
        var closers: [CheckedContinuation<Void, Never>] = []
        var threads = 2
    }

    private let socket: Socket
    private let state = Mutex(State())
    private let bell = Bell()
    private let lastID = Atomic<UInt64>(0)

    init(_ socket: Socket) {
        self.socket = socket
        startThread { self.write() }
        startThread { self.read() }
    }

    // MARK: Callers

    /// Sends a request and suspends until its reply is there.
    /// - Parameter body: Appends the request's body.
    func call(
        _ operation: Operation, count: Int = 0, flags: UInt32 = 0, body: (inout OutputBuffer) -> Void = { _ in }
    ) async throws(ClientError) -> Reply {
        if count > Limits.eventsPerRequestMax { throw .tooManyEvents(count) }
        // Ordering: ids need only be different.
        let id = lastID.add(1, ordering: .relaxed).newValue
        var bytes = OutputBuffer(capacity: FrameHeader.bytes + count * (operation.requestItemBytes ?? 0))
        let open = bytes.beginFrame()
        body(&bytes)
        bytes.endFrame(open, FrameHeader(operation.rawValue, requestID: id, count: count, flags: flags))
        let frame = OutgoingFrame(bytes)
        let result = await withCheckedContinuation { (waiter: Waiter) in
            let refusal = state.withLock { state -> ClientError? in
                if let failure = state.failure { return failure }
                if state.waiting.count >= Self.requestsMax { return .busy(retryAfterMilliseconds: 10) }
                state.waiting[id] = waiter
                state.queue.append(frame)
                return nil
            }
            if let refusal { waiter.resume(returning: .failure(refusal)) } else { bell.ring() }
        }
        return try result.get()
    }

    /// Takes no more requests, waits for the replies under way, then ends the connection.
    func close() async {
        await withCheckedContinuation { closer in
            let isDone = state.withLock { state in
                if state.failure == nil { state.failure = .closed }
                if state.waiting.isEmpty { return true }
                state.closers.append(closer)
                return false
            }
            if isDone { closer.resume() }
        }
        end(.closed)
    }

    /// Ends the connection now; everything under way is told why.
    func end(_ reason: ClientError) {
        let (waiters, closers) = state.withLock { state in
            if state.failure == nil { state.failure = reason }
            let taken = (Array(state.waiting.values), state.closers)
            state.waiting = [:]
            state.closers = []
            state.queue = []
            // With the lock held: a thread that ends closes the descriptor under it too.
            if state.threads > 0 { socket.end() }
            return taken
        }
        for waiter in waiters { waiter.resume(returning: .failure(reason)) }
        for closer in closers { closer.resume() }
        bell.ring()
    }

    // MARK: Threads

    private func write() {
        var buffer = OutputBuffer()
        while true {
            bell.wait()
            let (frames, hasEnded) = state.withLock { state in
                let taken = state.queue
                state.queue = []
                return (taken, state.failure != nil && state.waiting.isEmpty)
            }
            if hasEnded { break }
            // What has gathered meanwhile goes with one call.
            for frame in frames { frame.bytes.withBytes { buffer.append($0) } }
            // SAFETY: the buffer does not change during the call.
            if let why = unsafe socket.write(buffer.unsafeBytes) {
                end(.disconnected(why))
                break
            }
            buffer.removeAll()
        }
        threadEnds()
    }

    private func read() {
        while true {
            do throws(ClientError) { try readReply() } catch {
                end(error)
                break
            }
        }
        threadEnds()
    }

    private func readReply() throws(ClientError) {
        var header = FrameHeader(0, requestID: 0)
        // SAFETY: a header is 64 plain bytes, any of them valid.
        if let why = unsafe withUnsafeMutableBytes(of: &header, { unsafe socket.read(into: $0) }) {
            throw .disconnected(why)
        }
        if let status = header.refusal() { throw .disconnected("not a reply of this protocol: \(status.name)") }
        var why: String?
        let count = Int(header.bodyLength)
        // SAFETY: exactly `count` bytes are initialized where `read` succeeds; else the body is thrown away.
        let body = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            why = count == 0 ? nil : unsafe socket.read(into: .init(start: buffer.baseAddress, count: count))
            initialized = why == nil ? count : 0
        }
        if let why { throw .disconnected(why) }
        let checksum = unsafe body.withUnsafeBytes { unsafe Checksum.crc32c($0) }
        if checksum != header.bodyChecksum { throw .disconnected("a reply is damaged") }
        try deliver(Reply(header: header, body: body))
    }

    private func deliver(_ reply: Reply) throws(ClientError) {
        let (waiter, closers) = state.withLock { state in
            let waiter = state.waiting.removeValue(forKey: reply.header.requestID)
            guard state.waiting.isEmpty else { return (waiter, [CheckedContinuation<Void, Never>]()) }
            let closers = state.closers
            state.closers = []
            return (waiter, closers)
        }
        let result: Result<Reply, ClientError> =
            switch reply.header.status {
            case .ok: .success(reply)
            case .busy: .failure(.busy(retryAfterMilliseconds: reply.header.retryAfterMilliseconds))
            case .invalidFilter: .failure(.invalidFilter(String(decoding: reply.body, as: UTF8.self)))
            case let status?: .failure(.refused(status))
            case nil: .failure(.disconnected("status \(reply.header.rawStatus) is not known"))
            }
        waiter?.resume(returning: result)
        for closer in closers { closer.resume() }
        if let status = reply.header.status, status.closesConnection {
            throw .disconnected("the server closes: \(status.name)")
        }
    }

    /// The last thread gives the descriptor back.
    private func threadEnds() {
        state.withLock { state in
            state.threads -= 1
            if state.threads == 0 { socket.close() }
        }
    }
}
