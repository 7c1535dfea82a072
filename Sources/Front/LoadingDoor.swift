// The doors while the engine replays its logs: one thread that accepts, answers `loading` at once, and hands its
// connections over when the engine serves. It sleeps while no client says anything.

internal import CSuanpanSupport
internal import Glibc
public import SuanpanJournal
public import SuanpanLanes
internal import SuanpanWire
internal import Synchronization

public final class LoadingDoor: Sendable {
    /// A socket that listens.
    public struct Listener: Sendable {
        let fd: CInt
        let door: Door
        public init(fd: CInt, door: Door) {
            self.fd = fd
            self.door = door
        }
    }

    private let listeners: [Listener]
    private let password: [UInt8]
    private let connectionsMax: Int
    /// As `FrontConfiguration.progressTimeoutNanoseconds`.
    private let progressTimeout: UInt64
    private let board: StatusBoard
    private let progress: ReplayProgress
    private let bell: CInt
    private let stopping = Atomic<Bool>(false)
    private let handed = Mutex<[LoadedConnection]>([])

    private static let readBytes = 16 << 10
    /// After a failed accept (no descriptors, for one) those who wait stay in the backlog for so long.
    private static let acceptPauseMilliseconds: CInt = 100

    /// - Returns: Nil where the system has no descriptor left.
    public init?(
        _ listeners: [Listener], password: [UInt8], connectionsMax: Int, progressTimeoutNanoseconds: UInt64,
        board: StatusBoard, progress: ReplayProgress
    ) {
        bell = suanpan_eventfd()
        guard bell >= 0 else { return nil }
        self.listeners = listeners
        self.password = password
        self.connectionsMax = connectionsMax
        progressTimeout = progressTimeoutNanoseconds
        self.board = board
        self.progress = progress
        // An accept must not wait: the client may have gone between the look and the call.
        for listener in listeners { Self.setWaits(listener.fd, false) }
    }

    deinit { close(bell) }

    /// Ends `run`, which leaves its connections for `takeConnections`.
    public func stop() {
        stopping.store(true, ordering: .releasing)
        var one: UInt64 = 1
        // SAFETY: eight bytes of a local.
        _ = unsafe write(bell, &one, 8)
    }

    /// What `run` has left, once its thread has ended. Those that nobody takes over are closed.
    public func takeConnections() -> [LoadedConnection] {
        // The ring of a core waits by itself, and takes an accept that does not wait for a failed one.
        for listener in listeners { Self.setWaits(listener.fd, true) }
        return handed.withLock { held in
            defer { held = [] }
            return held
        }
    }

    private static func setWaits(_ fd: CInt, _ waits: Bool) {
        let flags = fcntl(fd, F_GETFL)
        _ = fcntl(fd, F_SETFL, waits ? flags & ~O_NONBLOCK : flags | O_NONBLOCK)
    }

    /// Milliseconds to wait at most; -1: until something happens.
    /// - Parameters:
    ///   - held: When the first password that waits is to be judged.
    ///   - isAwaited: Some client must get on, and is looked at again.
    private func wait(isPaused: Bool, held: UInt64?, isAwaited: Bool) -> CInt {
        var milliseconds: [CInt] = isPaused ? [Self.acceptPauseMilliseconds] : []
        if let held {
            let now = suanpan_monotonic_ns()
            milliseconds.append(held > now ? CInt(clamping: (held - now) / 1_000_000 + 1) : 0)
        }
        if isAwaited { milliseconds.append(CInt(Front.sweepPause(timeout: progressTimeout) / 1_000_000)) }
        return milliseconds.min() ?? -1
    }

    /// Ends those that are late.
    private func sweep(_ connections: [LoadingConnection], _ now: UInt64) {
        let first = Front.firstTimeout(progressTimeout, isFull: connections.count >= connectionsMax)
        for connection in connections
        where connection.endIfLate(now, timeout: progressTimeout, first: first) { board.notices.count(one: .late) }
    }

    // MARK: The thread

    /// The thread's body.
    public func run() {
        unsafe suanpan_name_thread("suanpan-loading")
        let facts = LoadingFacts(password: password, board: board, progress: progress)
        var arguments = RESPArguments()
        var scratch = [UInt8](repeating: 0, count: Self.readBytes)
        var connections: [LoadingConnection] = []
        var accepted: UInt64 = 0
        var isPaused = false
        var lastSweep: UInt64 = 0
        while true {
            var polled = [pollfd(fd: bell, events: Int16(POLLIN), revents: 0)]
            let doors = isPaused ? [] : listeners
            for listener in doors { polled.append(pollfd(fd: listener.fd, events: Int16(POLLIN), revents: 0)) }
            for connection in connections {
                // One whose password waits is not looked at.
                polled.append(
                    pollfd(
                        fd: connection.heldUntil == 0 ? connection.fd : -1,
                        events: Int16(connection.owes ? POLLOUT : POLLIN), revents: 0))
            }
            let held = connections.lazy.map(\.heldUntil).filter { $0 != 0 }.min()
            let timeout = wait(
                isPaused: isPaused, held: held, isAwaited: connections.contains { $0.mustProgress })
            // SAFETY: so many entries of an array that outlives the call.
            let found = unsafe polled.withUnsafeMutableBufferPointer {
                unsafe poll($0.baseAddress, nfds_t($0.count), timeout)
            }
            // Acquire: pairs with `stop`.
            if stopping.load(ordering: .acquiring) { break }
            isPaused = false
            let now = suanpan_monotonic_ns()
            if held != nil { for connection in connections { connection.resume(&arguments, facts, now: now) } }
            for (i, connection) in connections.enumerated()
            where found > 0 && polled[1 + doors.count + i].revents != 0 {
                if connection.owes {
                    connection.goOn(&arguments, facts, now: now)
                } else {
                    connection.receive(&scratch, &arguments, facts, now: now)
                }
            }
            connections.removeAll { $0.isClosed }
            if now - lastSweep >= Front.sweepPause(timeout: progressTimeout) {
                sweep(connections, now)
                lastSweep = now
            }
            connections.removeAll { $0.isClosed }
            for (i, listener) in doors.enumerated() where found > 0 && polled[1 + i].revents != 0 {
                let fd = accept(listener.fd, nil, nil)
                guard fd >= 0 else {
                    isPaused = errno != EAGAIN && errno != EINTR && errno != ECONNABORTED
                    continue
                }
                _ = fcntl(fd, F_SETFD, FD_CLOEXEC)
                guard connections.count < connectionsMax else {
                    Front.refuseConnection(fd, listener.door)
                    continue
                }
                accepted += 1
                connections.append(
                    LoadingConnection(
                        fd: fd, door: listener.door, number: accepted, isAuthenticated: password.isEmpty,
                        now: now))
            }
        }
        let left = connections.compactMap { $0.handOver() }
        handed.withLock { $0 = left }
    }
}

/// Tells core 0 that the engine serves: it accepts from now on.
public final class OpenDoors: CallerNode, @unchecked Sendable {
    // SAFETY of Sendable: it holds nothing.
    public override init() { super.init() }
}
