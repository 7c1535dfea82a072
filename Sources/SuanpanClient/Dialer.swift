// Connecting: a thread of its own tries the name's addresses, the next one when the last has not answered for a while
// (RFC 8305, "happy eyeballs"). Neither a silent address nor a silent name server holds the caller beyond the deadline.

internal import Glibc
internal import Synchronization

/// One attempt to connect.
final class Dialer: Sendable {
    typealias Waiter = CheckedContinuation<Result<Socket, ClientError>, Never>

    /// An address is given so long before the next one is tried beside it.
    private static let headStart = Duration.milliseconds(250)
    /// How often the thread looks whether the caller still waits.
    private static let patienceMilliseconds: CInt = 50

    private struct State {
        var waiter: Waiter?
        /// The caller has its answer.
        var isOver = false
        var addresses: Result<[Address], ClientError>?
    }

    private let host: String
    private let port: UInt16
    private let timeout: Duration
    private let deadline: Deadline
    private let state = Mutex(State())
    /// Rung when there are addresses, and when it is over.
    private let bell = Bell()

    /// - Parameters:
    ///   - timeout: What `deadline` was made from, for messages.
    init(host: String, port: UInt16, timeout: Duration, deadline: Deadline) {
        self.host = host
        self.port = port
        self.timeout = timeout
        self.deadline = deadline
    }

    /// - Throws: `cannotConnect`; `cancelled` with the caller's task.
    func connect() async throws(ClientError) -> Socket {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                state.withLock { $0.waiter = waiter }
                // The handler may have run before there was a waiter to find.
                if Task.isCancelled {
                    finish(.failure(.cancelled))
                } else if let why = startThread({ self.run() }) {
                    finish(.failure(failed(why)))
                }
            }
        } onCancel: {
            finish(.failure(.cancelled))
        }
        return try result.get()
    }

    /// Answers the caller, once: only the first result counts. Returns whether this one did.
    @discardableResult
    private func finish(_ result: Result<Socket, ClientError>) -> Bool {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            state.isOver = true
            return state.waiter
        }
        bell.ring()
        waiter?.resume(returning: result)
        return waiter != nil
    }

    private func failed(_ why: String) -> ClientError { .cannotConnect(host: host, port: port, why) }

    // MARK: Its thread

    private func run() {
        do throws(ClientError) {
            let socket = try reach(try addresses())
            if !finish(.success(socket)) { socket.close() }
        } catch {
            finish(.failure(error))
        }
    }

    /// Those of the name. The resolver blocks as long as it likes, so it has a thread that may be left behind.
    private func addresses() throws(ClientError) -> [Address] {
        // A number needs no resolver.
        if case .success(let addresses) = Address.find(host, port, flags: AI_NUMERICHOST) { return addresses }
        let why = startThread {
            let found = Address.find(self.host, self.port, flags: 0).mapError { self.failed($0.why) }
            self.state.withLock { $0.addresses = found }
            self.bell.ring()
        }
        if let why { throw failed(why) }
        while true {
            bell.wait(until: deadline)
            let (found, isOver) = state.withLock { ($0.addresses, $0.isOver) }
            if let found { return try found.get() }
            if isOver { throw .cancelled }
            if deadline.isOver { throw failed("the name was not resolved within \(timeout)") }
        }
    }

    /// The first connection that is made to any of the addresses.
    func reach(_ addresses: [Address]) throws(ClientError) -> Socket {
        var next = 0
        var nextStart = Deadline.now
        var pending: [pollfd] = []
        var why = "no address"
        defer { for entry in pending { Glibc.close(entry.fd) } }
        while next < addresses.count || !pending.isEmpty {
            if state.withLock({ $0.isOver }) { throw .cancelled }
            if deadline.isOver { throw failed("no answer within \(timeout)") }
            if next < addresses.count, pending.isEmpty || nextStart.isOver {
                let started = addresses[next].startConnecting()
                next += 1
                nextStart = Deadline(after: Self.headStart)
                if started < 0 {
                    why = Socket.message(-started)
                    continue
                }
                pending.append(pollfd(fd: started, events: Int16(POLLOUT), revents: 0))
            }
            let wake = next < addresses.count ? min(deadline, nextStart) : deadline
            // SAFETY: the array's own entries, for the length of the call.
            let ready = unsafe poll(
                &pending, nfds_t(pending.count), wake.milliseconds(atMost: Self.patienceMilliseconds))
            if ready < 0 && errno != EINTR { throw failed(Socket.message(errno)) }
            if ready <= 0 { continue }
            for i in pending.indices.reversed() where pending[i].revents != 0 {
                let fd = pending.remove(at: i).fd
                let code = Self.outcome(fd)
                if code == 0 { return Socket(fd: fd) }
                why = Socket.message(code)
                Glibc.close(fd)
            }
        }
        throw failed(why)
    }

    /// 0: connected, and made to block from now on; else the errno.
    private static func outcome(_ fd: CInt) -> CInt {
        var code: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        if unsafe getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) != 0 { return errno }
        if code != 0 { return code }
        var one: CInt = 1
        unsafe setsockopt(fd, CInt(IPPROTO_TCP), TCP_NODELAY, &one, length)
        return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0 ? errno : 0
    }
}

/// Where a server may listen.
struct Address: Sendable {
    struct Failure: Error { var why: String }

    private var storage = sockaddr_storage()
    private let length: socklen_t

    /// The addresses of a name, in the order in which they should be tried. Blocks, unless `flags` say that it is a number.
    static func find(_ host: String, _ port: UInt16, flags: CInt) -> Result<[Address], Failure> {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_NUMERICSERV | flags
        var list: UnsafeMutablePointer<addrinfo>?
        // SAFETY: the list is freed below; its entries are used before.
        let result = unsafe getaddrinfo(host, "\(port)", &hints, &list)
        guard result == 0 else {
            let why = unsafe result == EAI_SYSTEM ? Socket.message(errno) : String(cString: gai_strerror(result))
            return .failure(Failure(why: why))
        }
        defer { unsafe freeaddrinfo(list) }
        var found: [Address] = []
        var entry = unsafe list
        while let info = unsafe entry {
            unsafe found.append(Address(info))
            unsafe entry = info.pointee.ai_next
        }
        return .success(found)
    }

    private init(_ info: UnsafeMutablePointer<addrinfo>) {
        length = unsafe min(info.pointee.ai_addrlen, socklen_t(MemoryLayout<sockaddr_storage>.size))
        // SAFETY: copies the address's own length into a structure made to hold any address.
        unsafe withUnsafeMutableBytes(of: &storage) {
            unsafe $0.baseAddress.unsafelyUnwrapped.copyMemory(from: info.pointee.ai_addr, byteCount: Int(length))
        }
    }

    /// A socket on its way, not to be waited for; or −errno.
    func startConnecting() -> CInt {
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let fd = socket(CInt(storage.ss_family), kind, 0)
        if fd < 0 { return -errno }
        // SAFETY: the storage holds `length` bytes of an address of its own family.
        let result = unsafe withUnsafeBytes(of: storage) {
            unsafe connect(fd, $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: sockaddr.self), length)
        }
        if result == 0 || errno == EINPROGRESS { return fd }
        let code = errno
        Glibc.close(fd)
        return -code
    }
}
