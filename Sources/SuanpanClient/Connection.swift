// One connection's machinery: callers leave frames in a queue, a writer thread sends them, a reader thread resumes the
// caller that each reply belongs to. No cooperative thread ever blocks. The writer keeps the time as well: every call rings
// it, so it knows of each deadline, and a send that the server does not take leaves it awake.

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
            throw .disconnected("a reply of \(counted(body.count, "byte")) holds \(counted(header.count, "record"))")
        }
        return unsafe body.withUnsafeBytes { bytes in
            // SAFETY: i stays below count, and count strides are there; records are plain bytes, any of them valid.
            (0..<Int(header.count)).map { unsafe bytes.loadUnaligned(fromByteOffset: $0 * stride, as: type) }
        }
    }
}

/// A request's frame, ready to be sent.
final class OutgoingFrame: Sendable {
    let id: UInt64
    let bytes: OutputBuffer
    init(_ id: UInt64, _ bytes: consuming OutputBuffer) {
        self.id = id
        self.bytes = bytes
    }
}

final class Connection: Sendable {
    typealias Waiter = CheckedContinuation<Result<Reply, ClientError>, Never>

    /// Requests under way; the server takes 1024, so one more would wait in vain.
    static let requestsMax = 1024

    private struct Call {
        let waiter: Waiter
        let deadline: Deadline
        let timeout: Duration
    }

    private struct State {
        var queue: [OutgoingFrame] = []
        var waiting: [UInt64: Call] = [:]
        /// Set once: no more requests are taken.
        var failure: ClientError?
        /// Resumed when nothing waits any more.
        var closers: [CheckedContinuation<Void, Never>] = []
        /// What still waits then is given up.
        var closeDeadline = Deadline.never
        /// Nothing is due before this; it may be early, since a call that has ended does not move it.
        var nextDeadline = Deadline.never
        var threads = 2

        /// Those to be resumed now.
        mutating func takeClosers() -> [CheckedContinuation<Void, Never>] {
            guard waiting.isEmpty else { return [] }
            defer { closers = [] }
            return closers
        }
    }

    private let socket: Socket
    private let state = Mutex(State())
    private let bell = Bell()
    private let lastID = Atomic<UInt64>(0)

    /// Takes the socket over.
    init(_ socket: Socket) { self.socket = socket }

    /// Starts its threads; once, before the first call.
    /// - Returns: nil, or why there are none: then the connection has ended.
    func start() -> String? {
        if let why = startThread({ self.write() }) {
            socket.close()
            return why
        }
        if let why = startThread({ self.read() }) {
            end(.disconnected(why))
            threadEnds()
            return why
        }
        return nil
    }

    // MARK: Callers

    /// Sends a request and suspends until its reply is there, the time is over, or the caller's task is cancelled.
    /// - Parameter body: Appends the request's body.
    func call(
        _ operation: Operation, count: Int = 0, flags: UInt32 = 0, timeout: Duration,
        body: (inout OutputBuffer) -> Void = { _ in }
    ) async throws(ClientError) -> Reply {
        if count > Limits.eventsPerRequestMax { throw .tooManyEvents(count) }
        // Ordering: ids need only be different.
        let id = lastID.add(1, ordering: .relaxed).newValue
        var bytes = OutputBuffer(capacity: FrameHeader.bytes + count * (operation.requestItemBytes ?? 0))
        let open = bytes.beginFrame()
        body(&bytes)
        bytes.endFrame(open, FrameHeader(operation.rawValue, requestID: id, count: count, flags: flags))
        let frame = OutgoingFrame(id, bytes)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                submit(frame, Call(waiter: waiter, deadline: Deadline(after: timeout), timeout: timeout))
                // The handler may have run before there was a call to find.
                if Task.isCancelled { abandon(id, .cancelled) }
            }
        } onCancel: {
            abandon(id, .cancelled)
        }
        return try result.get()
    }

    private func submit(_ frame: OutgoingFrame, _ call: Call) {
        let refusal = state.withLock { state -> ClientError? in
            if let failure = state.failure { return failure }
            if state.waiting.count >= Self.requestsMax { return .busy(retryAfterMilliseconds: 10) }
            state.waiting[frame.id] = call
            state.queue.append(frame)
            state.nextDeadline = min(state.nextDeadline, call.deadline)
            return nil
        }
        if let refusal { call.waiter.resume(returning: .failure(refusal)) } else { bell.ring() }
    }

    /// Waits for a request's reply no longer: one that was not sent stays here, a reply that still comes is dropped.
    private func abandon(_ id: UInt64, _ reason: ClientError) {
        let (call, closers) = state.withLock { state in
            let call = state.waiting.removeValue(forKey: id)
            if call != nil { state.queue.removeAll { $0.id == id } }
            return (call, state.takeClosers())
        }
        call?.waiter.resume(returning: .failure(reason))
        for closer in closers { closer.resume() }
    }

    /// Takes no more requests, waits for the replies under way, then ends the connection; at once when the caller's task is
    /// cancelled.
    func close(within timeout: Duration) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { closer in
                let isDone = state.withLock { state in
                    if state.failure == nil { state.failure = .closed }
                    if state.waiting.isEmpty { return true }
                    state.closers.append(closer)
                    state.closeDeadline = min(state.closeDeadline, Deadline(after: timeout))
                    state.nextDeadline = min(state.nextDeadline, state.closeDeadline)
                    return false
                }
                if isDone { closer.resume() } else { bell.ring() }
            }
        } onCancel: {
            // Before the closer waits: then nothing is under way any more, and it does not wait at all.
            end(.closed)
        }
        end(.closed)
    }

    /// Ends the connection now; everything under way is told why.
    func end(_ reason: ClientError) {
        let (calls, closers) = state.withLock { state in
            if state.failure == nil { state.failure = reason }
            let calls = Array(state.waiting.values)
            state.waiting = [:]
            state.queue = []
            // With the lock held: a thread that ends closes the descriptor under it too.
            if state.threads > 0 { socket.end() }
            return (calls, state.takeClosers())
        }
        // `closed` is for calls that were not sent.
        let told = reason == .closed ? .disconnected("the client was closed before the reply") : reason
        for call in calls { call.waiter.resume(returning: .failure(told)) }
        for closer in closers { closer.resume() }
        bell.ring()
    }

    // MARK: Threads

    private func write() {
        var buffer = OutputBuffer()
        while true {
            bell.wait(until: expire())
            let (frames, hasEnded) = state.withLock { state in
                let taken = state.queue
                state.queue = []
                return (taken, state.failure != nil && state.waiting.isEmpty)
            }
            if hasEnded { break }
            // What has gathered meanwhile goes with one call.
            for frame in frames { frame.bytes.withBytes { buffer.append($0) } }
            // SAFETY: the buffer does not change during the call.
            if let why = unsafe socket.write(buffer.unsafeBytes, tick: { _ = expire() }) {
                end(.disconnected(why))
                break
            }
            buffer.removeAll()
        }
        threadEnds()
    }

    /// Gives up what has waited for long enough. Returns when to look again.
    private func expire() -> Deadline {
        let now = Deadline.now
        var late: [UInt64: Call] = [:]
        let (closers, isClosing, next) = state.withLock { state in
            if state.nextDeadline > now { return ([CheckedContinuation<Void, Never>](), false, state.nextDeadline) }
            late = state.waiting.filter { $0.value.deadline <= now }
            for id in late.keys { state.waiting[id] = nil }
            // One that was not sent stays here.
            state.queue.removeAll { late[$0.id] != nil }
            let isClosing = state.closeDeadline <= now
            let next = state.waiting.values.lazy.map(\.deadline).min() ?? .never
            state.nextDeadline = isClosing ? next : min(next, state.closeDeadline)
            return (state.takeClosers(), isClosing, state.nextDeadline)
        }
        for call in late.values { call.waiter.resume(returning: .failure(.timedOut(after: call.timeout))) }
        for closer in closers { closer.resume() }
        if isClosing { end(.closed) }
        return next
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
        var reader = FrameReader()
        var bytes = try receive(FrameHeader.bytes)
        var offset = 0
        while true {
            switch reader.next(bytes.span, at: &offset) {
            case .header:
                bytes = try receive(Int(reader.header.bodyLength))
                offset = 0
            case .body: break
            case .end: return try deliver(Reply(header: reader.header, body: bytes))
            case .refused(let status): throw .disconnected("not a reply of this protocol: \(status.name)")
            case .more: stop("a reply ends before its end")
            }
        }
    }

    /// The next `count` bytes of the server's.
    private func receive(_ count: Int) throws(ClientError) -> [UInt8] {
        if count == 0 { return [] }
        var why: String?
        // SAFETY: exactly `count` bytes are initialized where `read` succeeds; else they are thrown away.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            why = unsafe socket.read(into: .init(start: buffer.baseAddress, count: count))
            initialized = why == nil ? count : 0
        }
        if let why { throw .disconnected(why) }
        return bytes
    }

    private func deliver(_ reply: Reply) throws(ClientError) {
        let (call, closers) = state.withLock { state in
            // Nobody's: its call is over by time-out or cancellation.
            let call = state.waiting.removeValue(forKey: reply.header.requestID)
            return (call, state.takeClosers())
        }
        let result: Result<Reply, ClientError> =
            switch reply.header.status {
            case .ok: .success(reply)
            case .busy: .failure(.busy(retryAfterMilliseconds: reply.header.retryAfterMilliseconds))
            case .loading:
                .failure(
                    .loading(
                        percent: Self.percent(reply.body),
                        retryAfterMilliseconds: reply.header.retryAfterMilliseconds))
            case .invalidFilter: .failure(.invalidFilter(String(decoding: reply.body, as: UTF8.self)))
            case let status?: .failure(.refused(status))
            case nil: .failure(.disconnected("status \(reply.header.rawStatus) is not known"))
            }
        call?.waiter.resume(returning: result)
        for closer in closers { closer.resume() }
        if let status = reply.header.status, status.closesConnection {
            throw .disconnected("the server closes: \(status.name)")
        }
    }

    /// The number in `replaying, 43% done`.
    private static func percent(_ body: [UInt8]) -> Int {
        let text = String(decoding: body, as: UTF8.self)
        return Int(text.drop { !$0.isNumber }.prefix { $0.isNumber }) ?? 0
    }

    /// The last thread gives the descriptor back.
    private func threadEnds() {
        state.withLock { state in
            state.threads -= 1
            if state.threads == 0 { socket.close() }
        }
    }
}
