// The generator's calls into the kernel other than its rings: sockets for the setup, threads, signals, files. Every
// unsafe pointer of these calls stays in this file.

internal import CSuanpanSupport
internal import Glibc

/// A resolved address, ready for `connect`.
struct SocketAddress: Sendable {
    fileprivate(set) var storage: sockaddr_storage
    let length: Int
    var family: CInt { CInt(storage.ss_family) }
}

enum System {
    static var now: UInt64 { suanpan_monotonic_ns() }
    static var realtime: UInt64 { suanpan_realtime_ns() }
    static var threadCPU: UInt64 { suanpan_thread_cpu_ns() }
    static func sleep(milliseconds: UInt32) { usleep(milliseconds * 1000) }

    static func reason(_ code: CInt) -> String {
        // SAFETY: strerror returns a string that lives until this thread's next call.
        unsafe String(cString: strerror(code))
    }

    /// The first address of `host`, or why there is none.
    static func resolve(_ host: String, port: UInt16) throws(LoadError) -> SocketAddress {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard result == 0, let first = unsafe list else {
            let problem = unsafe result == 0 ? "no address" : String(cString: gai_strerror(result))
            throw .connect(target: "\(host):\(port)", problem: problem)
        }
        defer { unsafe freeaddrinfo(first) }
        var storage = sockaddr_storage()
        let length = unsafe min(Int(first.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size)
        // SAFETY: copies the address's own length into a structure made to hold any address.
        unsafe withUnsafeMutableBytes(of: &storage) {
            unsafe $0.baseAddress!.copyMemory(from: first.pointee.ai_addr, byteCount: length)
        }
        return SocketAddress(storage: storage, length: length)
    }

    /// An address at a place of its own, for the kernel to read while a connect is under way.
    @safe
    struct PlacedAddress: ~Copyable {
        let pointer: UnsafeMutablePointer<sockaddr_storage>
        let length: Int

        init(_ address: SocketAddress) {
            unsafe pointer = .allocate(capacity: 1)
            unsafe pointer.initialize(to: address.storage)
            length = address.length
        }
        deinit { unsafe pointer.deallocate() }
    }

    /// A TCP socket without delay; −errno when there is none.
    static func socket(_ address: SocketAddress) -> CInt {
        let fd = Glibc.socket(address.family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        if fd < 0 { return -errno }
        var on: CInt = 1
        unsafe setsockopt(fd, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
        return fd
    }

    /// Ends both directions: what is armed on the socket completes.
    static func hangUp(_ fd: CInt) { _ = Glibc.shutdown(fd, CInt(SHUT_RDWR)) }
    static func close(_ fd: CInt) { _ = Glibc.close(fd) }

    /// Lets the process open `count` files more, up to its hard limit.
    static func allowDescriptors(_ count: Int) throws(LoadError) {
        var limit = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let needed = UInt(count + 64)
        if limit.rlim_cur >= needed { return }
        guard limit.rlim_max >= needed else {
            throw .machine(
                "\(count) connections need \(needed) open files, the limit is \(limit.rlim_max): "
                    + "raise it (ulimit -Hn) or ask for fewer")
        }
        limit.rlim_cur = needed
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    // MARK: Threads and signals

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    struct Thread: Sendable {
        fileprivate let handle: pthread_t
        /// Waits for its end; once.
        func join() { pthread_join(handle, nil) }
    }

    /// Starts a thread of its own for `body`.
    static func spawn(_ name: String, _ body: @escaping @Sendable () -> Void) throws(LoadError) -> Thread {
        var handle = pthread_t()
        // SAFETY: the box is retained here and released by the thread that runs it.
        let box = unsafe Unmanaged<Body>.passRetained(
            Body {
                unsafe suanpan_name_thread(name)
                suanpan_set_timer_slack(1_000)
                body()
            })
        let result = unsafe pthread_create(
            &handle, nil,
            { (argument) -> UnsafeMutableRawPointer? in
                let body = unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
                body.run()
                return nil
            }, box.toOpaque())
        guard result == 0 else {
            unsafe box.release()
            throw .machine("cannot start a thread: \(reason(result))")
        }
        return Thread(handle: handle)
    }

    /// SIGINT and SIGTERM, held back from their default action while this lives, for `wait` to take.
    @safe
    struct Interrupts: ~Copyable {
        private var set = sigset_t()
        private var before = sigset_t()

        init() {
            unsafe sigemptyset(&set)
            unsafe sigaddset(&set, SIGINT)
            unsafe sigaddset(&set, SIGTERM)
            unsafe pthread_sigmask(SIG_BLOCK, &set, &before)
        }

        deinit {
            var mask = before
            unsafe pthread_sigmask(SIG_SETMASK, &mask, nil)
        }

        /// Sleeps up to `milliseconds`; true when one of the signals came.
        mutating func wait(milliseconds: Int) -> Bool {
            var time = timespec(tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
            return unsafe sigtimedwait(&set, nil, &time) > 0
        }
    }

    // MARK: Files and the terminal

    /// The whole of a file, or nil when it cannot be read.
    static func readFile(_ path: String) -> [UInt8]? {
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var out: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let n = unsafe read(fd, &chunk, chunk.count)
            if n < 0 && errno == EINTR { continue }
            if n < 0 { return nil }
            if n == 0 { return out }
            out += chunk[..<n]
        }
    }

    /// Writes a file anew; nil, or why it could not.
    static func writeFile(_ path: String, _ bytes: [UInt8]) -> String? {
        let fd = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard fd >= 0 else { return reason(errno) }
        defer { close(fd) }
        return writeAll(fd, bytes) ? nil : reason(errno)
    }

    @discardableResult
    private static func writeAll(_ fd: CInt, _ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            // SAFETY: the rest of the array, for the length of the call.
            let n = unsafe bytes.withUnsafeBytes { unsafe write(fd, $0.baseAddress! + done, $0.count - done) }
            if n < 0 && errno == EINTR { continue }
            if n <= 0 { return false }
            done += n
        }
        return true
    }

    static func printOut(_ text: String) { writeAll(1, Array(text.utf8)) }
    static func printError(_ text: String) { writeAll(2, Array(text.utf8)) }
    static var errorIsTerminal: Bool { isatty(2) == 1 }

    static func environment(_ name: String) -> String? {
        // SAFETY: nothing in this process changes its environment; the value is copied at once.
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    static var kernel: String {
        guard let bytes = readFile("/proc/sys/kernel/osrelease") else { return "unknown" }
        return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
    }

    static var cpuModel: String {
        guard let bytes = readFile("/proc/cpuinfo") else { return "unknown" }
        for line in bytes.split(separator: 10) {
            let text = String(decoding: line, as: UTF8.self)
            if text.hasPrefix("model name"), let colon = text.firstIndex(of: ":") {
                return String(text[text.index(after: colon)...].drop { $0 == " " })
            }
        }
        return "unknown"
    }

    static var cores: Int { Int(suanpan_allowed_cpus(nil, 0)) }
}

/// A blocking connection for the setup: one request at a time, every call bounded by a timeout.
struct BlockingSocket: ~Copyable {
    private let fd: CInt
    private let target: String
    private let timeoutSeconds: Int

    init(_ address: SocketAddress, target: String, timeoutSeconds: Int) throws(LoadError) {
        fd = System.socket(address)
        self.target = target
        self.timeoutSeconds = timeoutSeconds
        guard fd >= 0 else { throw .connect(target: target, problem: System.reason(-fd)) }
        var time = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        unsafe setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, size)
        unsafe setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, size)
        // SAFETY: the storage holds `length` bytes of an address of its own family.
        let result = unsafe withUnsafeBytes(of: address.storage) {
            unsafe connect(fd, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(address.length))
        }
        if result != 0 {
            throw .connect(target: target, problem: errno == EINPROGRESS ? "no answer" : System.reason(errno))
        }
    }

    deinit { if fd >= 0 { System.close(fd) } }

    func send(_ bytes: [UInt8]) throws(LoadError) {
        var done = 0
        while done < bytes.count {
            // SAFETY: the rest of the array, for the length of the call.
            let n = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.send(fd, $0.baseAddress! + done, $0.count - done, CInt(MSG_NOSIGNAL))
            }
            if n < 0 && errno == EINTR { continue }
            if n <= 0 { throw failure(n) }
            done += n
        }
    }

    /// At most `count` bytes that have arrived, at least one.
    func receive(atMost count: Int) throws(LoadError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        while true {
            let n = unsafe recv(fd, &bytes, count, 0)
            if n < 0 && errno == EINTR { continue }
            if n <= 0 { throw failure(n) }
            return n == count ? bytes : Array(bytes[..<n])
        }
    }

    private func failure(_ n: Int) -> LoadError {
        if n == 0 { return .server(target: target, problem: "closed the connection during the setup") }
        let problem = errno == EAGAIN ? "no reply for \(timeoutSeconds) s" : System.reason(errno)
        return .server(target: target, problem: problem)
    }
}
