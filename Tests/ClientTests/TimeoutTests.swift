// Goal: no call of the network client waits for ever, whatever the server does or does not; what is said then is true, and
// the connection's threads end.
// Method: listeners that accept and are silent, accept nobody, stop reading, answer too late or by half; calls with short
// time-outs, cancelled calls, threads that must be gone.

import Foundation
import SuanpanWire
import Testing

@testable import SuanpanClient

private let short = ClientTimeouts(connect: .milliseconds(300), call: .milliseconds(200), close: .milliseconds(300))
/// Longer than a test may take.
private let long = ClientTimeouts(connect: .seconds(600), call: .seconds(600), close: .seconds(600))
/// As a server that was stopped.
private let noReading = { @Sendable (_: CInt) in }

@Suite(.serialized, .timeLimit(.minutes(5))) struct TimeoutTests {
    @Test func aCallToASilentServerTimesOut() async throws {
        let server = try Listener(serve: noReading)
        let client = try await LedgerClient.connect(host: "127.0.0.1", port: server.port, timeouts: short)
        await #expect(throws: ClientError.timedOut(after: short.call)) { try await client.ping() }
        // An exception for one call, both ways, and calls that end in another order than they began in.
        let patient = client.waiting(atMost: .milliseconds(400))
        async let first = outcome { try await patient.ping() }
        async let second = outcome { try await client.waiting(atMost: .milliseconds(10)).ping() }
        #expect(await second == .timedOut(after: .milliseconds(10)))
        #expect(await first == .timedOut(after: .milliseconds(400)))
        await #expect(throws: ClientError.timedOut(after: .zero)) { try await client.waiting(atMost: .zero).ping() }
        await client.close()
        await #expect(throws: ClientError.closed) { try await client.ping() }
        await #expect(throws: ClientError.closed) { try await patient.ping() }
    }

    @Test func aCallEndsWithItsTask() async throws {
        let server = try Listener(serve: noReading)
        let client = try await LedgerClient.connect(host: "127.0.0.1", port: server.port, timeouts: long)
        let call = Task { await outcome { try await client.ping() } }
        try await Task.sleep(for: .milliseconds(50))
        call.cancel()
        #expect(await call.value == .cancelled)
        // Cancelled before it began.
        let late = Task {
            while !Task.isCancelled { await Task.yield() }
            return await outcome { try await client.ping() }
        }
        late.cancel()
        #expect(await late.value == .cancelled)
        await client.close()
    }

    /// What is under way keeps `close` no longer than its time, or than its task lives; the call is told.
    @Test(arguments: [false, true]) func closeReturns(byCancellation: Bool) async throws {
        let server = try Listener(serve: noReading)
        let timeouts = ClientTimeouts(call: .seconds(600), close: byCancellation ? .seconds(600) : .milliseconds(100))
        let client = try await LedgerClient.connect(host: "127.0.0.1", port: server.port, timeouts: timeouts)
        let calls = (0..<50).map { _ in Task { await outcome { try await client.ping() } } }
        try await Task.sleep(for: .milliseconds(50))
        let close = Task { await client.close() }
        try await Task.sleep(for: .milliseconds(20))
        await #expect(throws: ClientError.closed) { try await client.ping() }
        if byCancellation { close.cancel() }
        await close.value
        for call in calls {
            #expect(await call.value == .disconnected("the client was closed before the reply"))
        }
        await client.close()
    }

    /// The calls' time-outs count while a send waits for a server that has stopped reading, and its threads end.
    @Test func aServerThatStopsReadingHoldsNobody() async throws {
        let server = try Listener(serve: noReading)
        weak var remains: Connection?
        do {
            let connection = Connection(try await dialer(server.port).connect())
            #expect(connection.start() == nil)
            remains = connection
            let calls = (0..<40).map { _ in
                // A mebibyte each: no socket buffer takes them all.
                Task {
                    await outcome {
                        _ = try await connection.call(.createTransfers, count: 8190, timeout: .milliseconds(200)) {
                            $0.append(zeros: 8190 * 128)
                        }
                    }
                }
            }
            for call in calls { #expect(await call.value == .timedOut(after: .milliseconds(200))) }
            #expect(
                await outcome { _ = try await connection.call(.ping, timeout: .milliseconds(50)) }
                    == .timedOut(after: .milliseconds(50)))
            await connection.close(within: .seconds(600))
        }
        while remains != nil { try await Task.sleep(for: .milliseconds(10)) }
    }

    /// A reply belongs to its request's number: the one that comes too late is nobody's.
    @Test func aLateReplyIsNotTakenForAnothers() async throws {
        let server = try Listener { connection in
            // Both requests first, then both answers.
            guard let first = readHeader(connection), let second = readHeader(connection) else { return }
            for header in [first, second] {
                var out = OutputBuffer()
                out.appendFrame(
                    FrameHeader(
                        header.rawOperation, status: .busy, requestID: header.requestID,
                        retryAfterMilliseconds: UInt32(header.requestID * 11)))
                write(connection, out)
            }
        }
        let client = try await LedgerClient.connect(host: "127.0.0.1", port: server.port, timeouts: long)
        await #expect(throws: ClientError.timedOut(after: .milliseconds(50))) {
            try await client.waiting(atMost: .milliseconds(50)).ping()
        }
        await #expect(throws: ClientError.busy(retryAfterMilliseconds: 22)) { try await client.ping() }
        await client.close()
    }

    @Test func halfAReplyIsNone() async throws {
        let server = try Listener { connection in
            guard let header = readHeader(connection) else { return }
            var out = OutputBuffer()
            out.appendFrame(FrameHeader(header.rawOperation, status: .busy, requestID: header.requestID))
            write(connection, out, count: 30)
        }
        let client = try await LedgerClient.connect(host: "127.0.0.1", port: server.port, timeouts: short)
        await #expect(throws: ClientError.timedOut(after: short.call)) { try await client.ping() }
        await client.close()
    }

    @Test func everyCallUnderWayLearnsOfTheEnd() async throws {
        let server = try Listener { connection in
            for _ in 0..<100 { guard readHeader(connection) != nil else { return } }
            shutdown(connection, CInt(SHUT_RDWR))
        }
        let client = try await LedgerClient.connect(host: "127.0.0.1", port: server.port, timeouts: long)
        let calls = (0..<100).map { _ in Task { await outcome { try await client.ping() } } }
        for call in calls {
            #expect(await call.value == .disconnected("the server closed the connection"))
        }
        await client.close()
    }

    // MARK: Connecting

    /// The kernel answers nobody whose listener has its hands full: as an address that drops packets.
    @Test func connectingToABlackHoleEnds() async throws {
        let hole = try BlackHole()
        do {
            _ = try await LedgerClient.connect(host: "127.0.0.1", port: hole.port, timeouts: short)
            Issue.record("connected to a black hole")
        } catch {
            #expect(error == .cannotConnect(host: "127.0.0.1", port: hole.port, "no answer within 0.3 seconds"))
        }
        let port = hole.port
        let attempt = Task {
            await outcome { _ = try await LedgerClient.connect(host: "127.0.0.1", port: port, timeouts: long) }
        }
        try await Task.sleep(for: .milliseconds(100))
        attempt.cancel()
        #expect(await attempt.value == .cancelled)
    }

    @Test func aDeadAddressBeforeALiveOneIsPassedBy() async throws {
        let (hole, server) = (try BlackHole(), try Listener(serve: noReading))
        var addresses: [Address] = []
        for port in [hole.port, server.port] {
            addresses += try Address.find("127.0.0.1", port, flags: AI_NUMERICHOST).get()
        }
        let (silent, nobody) = try bound()
        defer { close(silent) }
        addresses.insert(contentsOf: try Address.find("127.0.0.1", nobody, flags: AI_NUMERICHOST).get(), at: 0)
        try dialer(server.port).reach(addresses).close()
    }

    @Test func thePasswordBelongsToConnecting() async throws {
        let server = try Listener(serve: noReading)
        do {
            _ = try await LedgerClient.connect(
                host: "localhost", port: server.port, password: "secret", timeouts: short)
            Issue.record("connected without an answer")
        } catch {
            #expect(
                error
                    == .cannotConnect(
                        host: "localhost", port: server.port,
                        "connected, but no answer to the password within 0.3 seconds"))
        }
    }
}

/// What a call threw, nil: nothing of the client's.
private func outcome(_ call: () async throws -> Void) async -> ClientError? {
    do {
        try await call()
        return nil
    } catch { return error as? ClientError }
}

private func dialer(_ port: UInt16) -> Dialer {
    Dialer(host: "127.0.0.1", port: port, timeout: .seconds(30), deadline: Deadline(after: .seconds(30)))
}

// MARK: Servers

/// Takes one connection, hands it to `serve` on a thread of its own, and keeps it open until it is dropped.
private final class Listener: @unchecked Sendable {
    let port: UInt16
    private let fd: CInt
    // Guard: the lock.
    private var connection: CInt = -1
    private let lock = NSLock()

    init(serve: @escaping @Sendable (CInt) -> Void) throws {
        (fd, port) = try bound()
        try #require(listen(fd, 8) == 0)
        let listener = fd
        let thread = Thread { [weak self] in
            let connection = accept(listener, nil, nil)
            serve(connection)
            guard let self else {
                close(connection)
                return
            }
            self.lock.withLock { self.connection = connection }
        }
        thread.start()
    }

    deinit {
        shutdown(fd, CInt(SHUT_RDWR))
        close(fd)
        if connection >= 0 { close(connection) }
    }
}

/// A listener whose queue is full: it answers no more.
private final class BlackHole {
    let port: UInt16
    private var descriptors: [CInt] = []

    init() throws {
        let (fd, port) = try bound()
        self.port = port
        descriptors = [fd]
        try #require(listen(fd, 0) == 0)
        var address = loopback(port)
        for _ in 0..<4 {
            let one = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
            descriptors.append(one)
            withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = connect(one, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
    }

    deinit { for fd in descriptors { close(fd) } }
}

/// A request's header; its body is skipped.
private func readHeader(_ connection: CInt) -> FrameHeader? {
    var header = FrameHeader(0, requestID: 0)
    let count = withUnsafeMutableBytes(of: &header) { recv(connection, $0.baseAddress, $0.count, CInt(MSG_WAITALL)) }
    return count == FrameHeader.bytes ? header : nil
}

private func write(_ connection: CInt, _ out: borrowing OutputBuffer, count: Int? = nil) {
    let bytes = out.withBytes { bytes in (0..<bytes.count).map { bytes[$0] } }
    _ = send(connection, bytes, count ?? bytes.count, CInt(MSG_NOSIGNAL))
}
