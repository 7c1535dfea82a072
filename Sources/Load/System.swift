// The generator's calls into the kernel other than its rings: addresses, threads, signals, files. Every
// unsafe pointer of these calls stays in this file.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore
internal import Synchronization

/// A resolved address, ready for `connect`.
struct SocketAddress: Sendable {
    let storage: sockaddr_storage
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

    /// The addresses of `host`, or why there is none. The resolver blocks as long as it likes, so it has a thread that is
    /// left behind after `seconds`.
    static func resolve(_ host: String, port: UInt16, seconds: Int) throws(LoadError) -> [SocketAddress] {
        let target = "\(host):\(port)"
        let found = Found()
        _ = try spawn("resolver") {
            let answer = addresses(host, port)
            found.answer.withLock { $0 = answer }
        }
        let end = now + UInt64(seconds) * 1_000_000_000
        while now < end {
            switch found.answer.withLock({ $0 }) {
            case .success(let addresses): return addresses
            case .failure(let failure): throw .connect(target: target, problem: failure.problem)
            case nil: sleep(milliseconds: 1)
            }
        }
        throw .connect(target: target, problem: "the name was not resolved within \(seconds) s")
    }

    private struct Unresolved: Error { var problem: String }
    private final class Found: Sendable {
        let answer = Mutex<Result<[SocketAddress], Unresolved>?>(nil)
    }

    private static func addresses(_ host: String, _ port: UInt16) -> Result<[SocketAddress], Unresolved> {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard result == 0 else { return unsafe .failure(Unresolved(problem: String(cString: gai_strerror(result)))) }
        defer { unsafe freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var entry = unsafe list
        while let info = unsafe entry {
            var storage = sockaddr_storage()
            let length = unsafe min(Int(info.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size)
            // SAFETY: copies the address's own length into a structure made to hold any address.
            unsafe withUnsafeMutableBytes(of: &storage) {
                unsafe $0.baseAddress!.copyMemory(from: info.pointee.ai_addr, byteCount: length)
            }
            found.append(SocketAddress(storage: storage, length: length))
            unsafe entry = info.pointee.ai_next
        }
        return .success(found)
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
    static func socket(_ address: SocketAddress, blocks: Bool = true) -> CInt {
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | (blocks ? 0 : SOCK_NONBLOCK.rawValue)
        let fd = Glibc.socket(address.family, CInt(kind), 0)
        if fd < 0 { return -errno }
        var on: CInt = 1
        unsafe setsockopt(fd, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
        return fd
    }

    /// What this process or the machine lacks for the moment.
    static func isShortage(_ errno: CInt) -> Bool {
        errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS || errno == EINTR
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
                "\(counted(count, "connection")) need\(count == 1 ? "s" : "") \(needed) open files, the limit is \(limit.rlim_max): "
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

        /// Sleeps up to `milliseconds`; the signal that came, if one did.
        mutating func wait(milliseconds: Int) -> CInt? {
            var time = timespec(tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
            let number = unsafe sigtimedwait(&set, nil, &time)
            return number > 0 ? number : nil
        }
    }

    static func signalName(_ number: CInt) -> String {
        switch number {
        case SIGINT: "SIGINT"
        case SIGTERM: "SIGTERM"
        default: "signal \(number)"
        }
    }

    // MARK: Files and the terminal

    /// What the kernel tells of itself, or nil where it does not.
    private static func kernelFile(_ path: String) -> [UInt8]? {
        do { return try SmallFile.read(path) } catch { return nil }
    }

    /// To stderr; a short write loses text only.
    static func printError(_ text: String) {
        // SAFETY: the bytes live for the call.
        unsafe Array(text.utf8).withUnsafeBytes { _ = unsafe write(2, $0.baseAddress, $0.count) }
    }
    static var errorIsTerminal: Bool { isatty(2) == 1 }

    static func environment(_ name: String) -> String? {
        // SAFETY: nothing in this process changes its environment; the value is copied at once.
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }

    static var kernel: String {
        guard let bytes = kernelFile("/proc/sys/kernel/osrelease") else { return "unknown" }
        return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
    }

    static var cpuModel: String {
        guard let bytes = kernelFile("/proc/cpuinfo") else { return "unknown" }
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
