// A connection made while the engine replays its logs. Requests are answered `loading` and not executed; what sets a
// connection up (AUTH, HELLO, CLIENT …) and what a probe reads (INFO) is answered as ever, so that the connection can go on
// when the engine serves. Owned by the loading door's thread, which then hands it to a core as a `LoadedConnection`.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore
internal import SuanpanJournal
public import SuanpanLanes
internal import SuanpanWire
internal import Synchronization

/// What a connection has agreed on while the engine was starting.
struct ConnectionSession: Sendable {
    var isAuthenticated: Bool
    var respVersion: UInt8 = 2
    var clientName = ""
    var multi = MultiState.closed
    /// Since when the password was not given, and when the request came whose begin waits: monotonic nanoseconds.
    var strangerSince: UInt64 = 0
    var requestBeganAt: UInt64 = 0
}

/// A connection as a core takes it over: its descriptor, what it has agreed on, and the bytes that nobody has read yet.
/// Closes the descriptor where no core has taken it.
@safe
public final class LoadedConnection: CallerNode, @unchecked Sendable {
    // SAFETY of Sendable: immutable but for one atomic.
    let fd: CInt
    let door: Door
    let session: ConnectionSession
    /// The begin of a request; replies not yet taken.
    let input: [UInt8]
    let output: [UInt8]
    private let isTaken = Atomic<Bool>(false)

    init(fd: CInt, door: Door, session: ConnectionSession, input: [UInt8], output: [UInt8]) {
        self.fd = fd
        self.door = door
        self.session = session
        self.input = input
        self.output = output
        super.init()
    }

    deinit { if !isTaken.load(ordering: .relaxed) { close(fd) } }

    /// The descriptor; it is the caller's from now on.
    func take() -> CInt {
        isTaken.store(true, ordering: .relaxed)
        return fd
    }
}

/// What the answers are made of.
struct LoadingFacts {
    let password: [UInt8]
    let board: StatusBoard
    let progress: ReplayProgress
}

final class LoadingConnection {
    let fd: CInt
    let door: Door
    private let number: UInt64
    private var session: ConnectionSession
    private var input = OutputBuffer()
    private var output = OutputBuffer()
    private var parser = RESPParser()
    /// Closed when what it is owed has been sent.
    private(set) var isEnding = false
    private(set) var isClosed = false
    /// A password waits to be judged until then, monotonic nanoseconds; 0: none does. Nothing is read meanwhile.
    private(set) var heldUntil: UInt64 = 0
    private var hasWaited = false
    private var wrongPasswords = 0
    /// When the client last sent or took something, and since when replies wait for it; see `isLate`.
    private var progressAt: UInt64
    private var owesSince: UInt64 = 0

    /// A client may ask again after so long.
    private static let retryAfterMilliseconds: UInt32 = 250

    init(fd: CInt, door: Door, number: UInt64, isAuthenticated: Bool, now: UInt64) {
        self.fd = fd
        self.door = door
        self.number = number
        session = ConnectionSession(isAuthenticated: isAuthenticated, strangerSince: now)
        progressAt = now
    }

    /// Sends what is owed, and goes on with what has come when the client has taken all.
    func goOn(_ arguments: inout RESPArguments, _ facts: LoadingFacts, now: UInt64) {
        send(now)
        work(&arguments, facts, now)
    }

    /// No more is answered before these are taken.
    private var isFull: Bool { output.count >= Self.outputBytesMax }
    private static let outputBytesMax = 64 << 10

    /// Replies wait until the client takes some; nothing is read meanwhile.
    var owes: Bool { !output.isEmpty }

    func end() {
        if !isClosed { close(fd) }
        isClosed = true
    }

    /// For a core to go on with; nil where the connection ends.
    func handOver() -> LoadedConnection? {
        guard !isClosed, !isEnding else {
            end()
            return nil
        }
        isClosed = true
        func bytes(_ buffer: borrowing OutputBuffer) -> [UInt8] {
            buffer.withBytes { bytes in bytes.indices.map { bytes[$0] } }
        }
        return LoadedConnection(fd: fd, door: door, session: session, input: bytes(input), output: bytes(output))
    }

    // MARK: The socket

    /// Reads what has come, as far as it fits `scratch`, answers it and sends the answers.
    func receive(
        _ scratch: inout [UInt8], _ arguments: inout RESPArguments, _ facts: LoadingFacts, now: UInt64
    ) {
        // SAFETY: at most so many bytes into an array of as many.
        let count = unsafe scratch.withUnsafeMutableBytes {
            unsafe recv(fd, $0.baseAddress, $0.count, CInt(MSG_DONTWAIT))
        }
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        guard count > 0 else { return end() }
        if input.isEmpty { session.requestBeganAt = now }
        progressAt = now
        input.append(scratch.span.extracting(0..<count))
        work(&arguments, facts, now)
    }

    /// Goes on where the time of a password has come.
    func resume(_ arguments: inout RESPArguments, _ facts: LoadingFacts, now: UInt64) {
        guard heldUntil != 0, heldUntil <= now else { return }
        heldUntil = 0
        work(&arguments, facts, now)
    }

    private func work(_ arguments: inout RESPArguments, _ facts: LoadingFacts, _ now: UInt64) {
        var wasFull = true
        while wasFull && !owes && !isClosed {
            let before = input.count
            if door == .native { workNative(facts) } else { workRESP(&arguments, facts, now) }
            // What is left began after what was taken.
            if input.count < before { session.requestBeganAt = now }
            if isEnding { input.removeAll() }
            wasFull = isFull
            if owes { owesSince = now }
            send(now)
        }
    }

    /// Sends what is owed, as far as the client takes it.
    private func send(_ now: UInt64) {
        while !output.isEmpty {
            // SAFETY: the bytes live for the call.
            let count = output.withBytes { bytes in
                unsafe bytes.withUnsafeBytes {
                    unsafe Glibc.send(
                        fd, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
                }
            }
            if count < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN { end() }
                return
            }
            progressAt = now
            output.removeFirst(count)
        }
        if isEnding { end() }
    }

    // MARK: Time

    /// As of a served connection (`Front+Timeouts`): it must get on, or is late one day.
    var mustProgress: Bool { owes || isMidRequest || !session.isAuthenticated }

    private var isMidRequest: Bool { !input.isEmpty && heldUntil == 0 }

    /// - Parameters:
    ///   - timeout: For any progress, nanoseconds.
    ///   - first: For a request or the password, from the first byte on.
    private func isLate(_ now: UInt64, timeout: UInt64, first: UInt64) -> Bool {
        if owes { return Front.isOver(now, since: owesSince, timeout) }
        if isMidRequest && Front.isOver(now, since: progressAt, timeout) { return true }
        if isMidRequest && Front.isOver(now, since: session.requestBeganAt, first, bytes: input.count) { return true }
        return !session.isAuthenticated && Front.isOver(now, since: session.strangerSince, first)
    }

    /// Answers `timeout`, where that still can be, and closes.
    /// - Returns: False where the client is in time.
    func endIfLate(_ now: UInt64, timeout: UInt64, first: UInt64) -> Bool {
        guard mustProgress, isLate(now, timeout: timeout, first: first) else { return false }
        if owes {
            end()
            return true
        }
        switch door {
        case .native: output.appendFrame(FrameHeader(0, status: .timeout, requestID: 0))
        case .resp: encoder.timeout(into: &output)
        }
        isEnding = true
        input.removeAll()
        owesSince = now
        send(now)
        return true
    }

    // MARK: Passwords

    /// As `Front.holdsAttempt`.
    private func holdsAttempt(_ facts: LoadingFacts) -> Bool {
        if facts.password.isEmpty { return false }
        if hasWaited {
            hasWaited = false
            return false
        }
        let now = suanpan_monotonic_ns()
        let wait = facts.board.passwords.wait(Peer.site(fd), now: now)
        guard wait > 0 else { return false }
        hasWaited = true
        heldUntil = now + wait
        facts.board.notices.count(one: .passwordDelayed)
        return true
    }

    private func isRight(_ given: [UInt8], _ facts: LoadingFacts) -> Bool {
        if Front.passwordMatches(given, facts.password) { return true }
        wrongPasswords += 1
        if wrongPasswords >= Front.wrongPasswordsMax { isEnding = true }
        Front.noteWrongPassword(fd, door, facts.board, suanpan_monotonic_ns())
        return false
    }

    // MARK: Native

    private func workNative(_ facts: LoadingFacts) {
        while !isEnding && !isFull && !input.isEmpty {
            let bodyBytesMax = session.isAuthenticated ? Limits.messageBodyBytesMax : Front.strangerBodyBytesMax
            switch input.withBytes({ FrameDecoder.request($0, bodyBytesMax: bodyBytesMax) }) {
            case .needMore: return
            case .refused(let status, let operation, let id):
                if status == .malformed, let other = input.withBytes({ ForeignProtocol.beginning(ofFrame: $0) }) {
                    Front.noteForeign(other, fd, door, facts.board, suanpan_monotonic_ns())
                }
                output.appendFrame(FrameHeader(operation, status: status, requestID: id))
                isEnding = true
            case .frame(let header, let consumed):
                if header.operation == .authenticate && holdsAttempt(facts) { return }
                answer(header, consumed, facts)
                input.removeFirst(consumed)
            }
        }
    }

    private func answer(_ header: FrameHeader, _ consumed: Int, _ facts: LoadingFacts) {
        func reply(_ status: Status, retryAfter: UInt32 = 0, text: String = "") {
            output.appendFrame(
                FrameHeader(
                    header.rawOperation, status: status, requestID: header.requestID,
                    retryAfterMilliseconds: retryAfter), text: text)
        }
        guard let operation = header.operation else { return reply(.unknownOperation) }
        if operation == .authenticate {
            let given = input.withBytes { bytes in (FrameHeader.bytes..<consumed).map { bytes[$0] } }
            session.isAuthenticated = isRight(given, facts)
            return reply(session.isAuthenticated ? .ok : .notAuthenticated)
        }
        guard session.isAuthenticated else { return reply(.notAuthenticated) }
        reply(
            .loading, retryAfter: Self.retryAfterMilliseconds, text: "replaying, \(facts.progress.percent)% done")
    }

    // MARK: RESP

    private var encoder: RESPEncoder { RESPEncoder(version: session.respVersion == 3 ? .three : .two) }

    private func workRESP(_ arguments: inout RESPArguments, _ facts: LoadingFacts, _ now: UInt64) {
        while !isEnding && !isFull && !input.isEmpty {
            let parsed = input.withBytes {
                parser.parse($0, into: &arguments, authenticated: session.isAuthenticated)
            }
            switch parsed {
            case .needMore: return
            case .malformed(let error):
                if case .foreign(let other) = error {
                    Front.noteForeign(other, fd, door, facts.board, suanpan_monotonic_ns())
                }
                encoder.error(error, into: &output)
                isEnding = true
            case .command(let consumed):
                parser = RESPParser()
                let command = input.withBytes { RESPCommand.decode(&arguments, $0) }
                if command.givesPassword && holdsAttempt(facts) { return }
                answer(command, arguments, facts, now)
                input.removeFirst(consumed)
            }
        }
    }

    private func answer(
        _ command: RESPCommand, _ arguments: borrowing RESPArguments, _ facts: LoadingFacts, _ now: UInt64
    ) {
        if !session.isAuthenticated {
            switch command {
            case .auth, .hello, .quit, .nothing, .reset: break
            default: return encoder.notAuthenticated(into: &output)
            }
        }
        switch command {
        case .nothing: break
        case .auth(_, let password):
            guard isRight(bytes(password, arguments), facts) else {
                return encoder.wrongPassword(into: &output)
            }
            session.isAuthenticated = true
            encoder.ok(into: &output)
        case .hello(let hello): answerHello(hello, arguments, facts)
        case .reset:
            session = ConnectionSession(isAuthenticated: facts.password.isEmpty, strangerSince: now)
            encoder.simple("RESET", into: &output)
        case .quit:
            encoder.ok(into: &output)
            isEnding = true
        case .info:
            let sections = (1..<arguments.count).map { text(arguments[$0], arguments) }
            encoder.verbatim(text: facts.board.info(sections: sections), into: &output)
        case .client(let client):
            if case .setName(let name) = client { session.clientName = text(name, arguments) }
            let about = RESPClientFacts(connectionID: number, name: session.clientName, fd: fd)
            input.withBytes { encoder.client(client, about, arguments, input: $0, into: &output) }
        case .command(let command):
            input.withBytes { encoder.command(command, arguments, input: $0, into: &output) }
        case .select(0): encoder.ok(into: &output)
        case .role: encoder.role(into: &output)
        case .refused(let error):
            if session.multi != .closed { session.multi = .aborted }
            input.withBytes { encoder.error(error, of: arguments, input: $0, into: &output) }
        default: answerLedger(command, facts)
        }
    }

    /// As Redis: MULTI is taken, what it would queue is not, and then EXEC does nothing.
    private func answerLedger(_ command: RESPCommand, _ facts: LoadingFacts) {
        switch (command, session.multi) {
        case (.multi, .closed):
            session.multi = .queueing
            return encoder.ok(into: &output)
        case (.discard, .queueing), (.discard, .aborted):
            session.multi = .closed
            return encoder.ok(into: &output)
        case (.exec, .aborted):
            session.multi = .closed
            return encoder.execAborted(into: &output)
        case (.exec, .queueing): session.multi = .closed
        case (_, .queueing): session.multi = .aborted
        default: break
        }
        encoder.loading(percent: facts.progress.percent, into: &output)
    }

    private func answerHello(_ hello: RESPHello, _ arguments: borrowing RESPArguments, _ facts: LoadingFacts) {
        if let password = hello.password {
            guard isRight(bytes(password, arguments), facts) else {
                return encoder.wrongPassword(into: &output)
            }
            session.isAuthenticated = true
        }
        guard session.isAuthenticated else { return encoder.notAuthenticated(into: &output) }
        if let name = hello.clientName { session.clientName = text(name, arguments) }
        if let version = hello.version { session.respVersion = version.rawValue }
        encoder.hello(connectionID: number, serverVersion: facts.board.facts.version, into: &output)
    }

    private func bytes(_ argument: RESPArgument, _ arguments: borrowing RESPArguments) -> [UInt8] {
        input.withBytes { source in
            arguments.withBytes(of: argument, input: source) { bytes in bytes.indices.map { bytes[$0] } }
        }
    }

    private func text(_ argument: RESPArgument, _ arguments: borrowing RESPArguments) -> String {
        String(decoding: bytes(argument, arguments), as: UTF8.self)
    }
}
