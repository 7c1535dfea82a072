// A connection for the setup: one request at a time, on the main thread, each with a time by which it has to be done.

internal import Glibc

struct BlockingSocket: ~Copyable {
    /// For a connection to stand, over all addresses.
    static let connectSeconds = 10

    private let fd: CInt
    private let target: String
    /// The address that answered.
    let address: SocketAddress
    /// What an exchange may take from now on, and the monotonic nanosecond at which the current one is over.
    private var seconds: Int
    private var deadline: UInt64

    /// Connects to the first of the addresses that answers.
    init(
        _ addresses: [SocketAddress], target: String, connectSeconds: Int = Self.connectSeconds, seconds: Int
    ) throws(LoadError) {
        let end = System.now + UInt64(connectSeconds) * 1_000_000_000
        var problem = "no address"
        for (i, address) in addresses.enumerated() {
            let fd = System.socket(address, blocks: false)
            guard fd >= 0 else {
                problem = System.reason(-fd)
                continue
            }
            // A silent address must not use up the time of those behind it.
            let now = System.now
            let share = (max(end, now) - now) / UInt64(addresses.count - i)
            let result = Self.connect(fd, address, until: now + share)
            if result == 0 {
                self.fd = fd
                self.target = target
                self.address = address
                self.seconds = seconds
                deadline = 0
                return
            }
            problem =
                switch result {
                case ETIMEDOUT:
                    "no answer within \(connectSeconds) s: is the address right, and is no firewall between?"
                case ECONNREFUSED:
                    "\(System.reason(result)): nothing listens there; `suanpan serve` names its ports when it is ready"
                default: System.reason(result)
                }
            System.close(fd)
        }
        throw .connect(target: target, problem: problem)
    }

    deinit { if fd >= 0 { System.close(fd) } }

    private static func connect(_ fd: CInt, _ address: SocketAddress, until end: UInt64) -> CInt {
        // SAFETY: the storage holds `length` bytes of an address of its own family.
        let result = unsafe withUnsafeBytes(of: address.storage) {
            unsafe Glibc.connect(
                fd, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(address.length))
        }
        if result == 0 { return 0 }
        if errno != EINPROGRESS { return errno }
        guard wait(fd, POLLOUT, until: end) else { return ETIMEDOUT }
        var code: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        return unsafe getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : errno
    }

    /// Whether the socket is ready, or has failed, before `end`.
    private static func wait(_ fd: CInt, _ events: CInt, until end: UInt64) -> Bool {
        while true {
            let now = System.now
            if now >= end { return false }
            var entry = pollfd(fd: fd, events: Int16(events), revents: 0)
            if unsafe poll(&entry, 1, CInt(clamping: (end - now) / 1_000_000 + 1)) > 0 { return true }
        }
    }

    /// From the next request on.
    mutating func allow(seconds: Int) { self.seconds = seconds }

    /// Sends a request; its time begins.
    mutating func send(_ bytes: [UInt8]) throws(LoadError) {
        deadline = System.now + UInt64(seconds) * 1_000_000_000
        var done = 0
        while done < bytes.count {
            // SAFETY: the rest of the array, for the length of the call.
            let n = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.send(fd, $0.baseAddress! + done, $0.count - done, CInt(MSG_NOSIGNAL))
            }
            if n > 0 {
                done += n
            } else if try !mayRepeat(n, POLLOUT) {
                throw failure(n)
            }
        }
    }

    /// At most `count` bytes that have arrived, at least one.
    func receive(atMost count: Int) throws(LoadError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        while true {
            let n = unsafe recv(fd, &bytes, count, 0)
            if n > 0 { return n == count ? bytes : Array(bytes[..<n]) }
            if try !mayRepeat(n, POLLIN) { throw failure(n) }
        }
    }

    func receive(exactly count: Int) throws(LoadError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count { bytes += try receive(atMost: count - bytes.count) }
        return bytes
    }

    /// After a call that did nothing: waits where it would have blocked. False: it has failed.
    private func mayRepeat(_ n: Int, _ events: CInt) throws(LoadError) -> Bool {
        if n < 0 && errno == EINTR { return true }
        guard n < 0 && errno == EAGAIN else { return false }
        if Self.wait(fd, events, until: deadline) { return true }
        throw .server(target: target, problem: "no reply for \(seconds) s")
    }

    private func failure(_ n: Int) -> LoadError {
        .server(target: target, problem: n == 0 ? "closed the connection" : System.reason(errno))
    }
}
