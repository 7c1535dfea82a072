// A blocking TCP socket, used by the client's own threads only. Every system call of the client stands here.

internal import Glibc
internal import SuanpanCore

/// A connected socket. Reading and writing may happen on two threads at once; `end` wakes both.
struct Socket: Sendable {
    let fd: CInt

    /// Connects, blocking, to the first address of the host that answers.
    static func connect(host: String, port: UInt16) throws(ClientError) -> Socket {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        // SAFETY: the list is freed below; its entries are used before.
        let found = unsafe getaddrinfo(host, "\(port)", &hints, &list)
        guard found == 0 else {
            throw unsafe .cannotConnect(host: host, port: port, String(cString: gai_strerror(found)))
        }
        defer { unsafe freeaddrinfo(list) }
        var why = "no address"
        var entry = unsafe list
        while let address = unsafe entry {
            let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
            let fd = unsafe socket(address.pointee.ai_family, kind, 0)
            if fd >= 0 {
                if unsafe Glibc.connect(fd, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0 {
                    var one: CInt = 1
                    unsafe setsockopt(fd, CInt(IPPROTO_TCP), TCP_NODELAY, &one, 4)
                    return Socket(fd: fd)
                }
                why = message()
                Glibc.close(fd)
            } else {
                why = message()
            }
            unsafe entry = address.pointee.ai_next
        }
        throw .cannotConnect(host: host, port: port, why)
    }

    /// Fills `buffer`; returns nil, or why it could not.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> String? {
        var done = 0
        while done < buffer.count {
            // SAFETY: the range lies within the buffer.
            let count = unsafe recv(fd, buffer.baseAddress.unsafelyUnwrapped + done, buffer.count - done, 0)
            if count == 0 { return "the server closed the connection" }
            if count < 0 {
                if errno == EINTR { continue }
                return Self.message()
            }
            done += count
        }
        return nil
    }

    /// Writes all bytes; returns nil, or why it could not.
    func write(_ bytes: UnsafeRawBufferPointer) -> String? {
        var done = 0
        while done < bytes.count {
            // SAFETY: the range lies within the buffer. No signal: a broken pipe is an answer.
            let count = unsafe send(
                fd, bytes.baseAddress.unsafelyUnwrapped + done, bytes.count - done, CInt(MSG_NOSIGNAL))
            if count < 0 {
                if errno == EINTR { continue }
                return Self.message()
            }
            done += count
        }
        return nil
    }

    /// Ends the connection both ways; blocked calls of other threads return.
    func end() { shutdown(fd, CInt(SHUT_RDWR)) }
    /// Gives the descriptor back; nobody uses it any more.
    func close() { Glibc.close(fd) }

    private static func message() -> String { unsafe String(cString: strerror(errno)) }
}

/// Wakes one waiting thread; rings are counted.
@safe
final class Bell: @unchecked Sendable {
    // Guard: a semaphore is made for several threads.
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        unsafe semaphore = .allocate(capacity: 1)
        // SAFETY: freshly allocated, initialized here, destroyed in `deinit` alone.
        invariant(unsafe sem_init(semaphore, 0, 0) == 0, "no semaphore: errno \(errno)")
    }

    deinit {
        unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }

    func ring() { unsafe sem_post(semaphore) }
    func wait() { while unsafe sem_wait(semaphore) != 0 && errno == EINTR {} }
}

/// Starts a detached thread; all signals are blocked on it, they belong to the program.
func startThread(_ run: @escaping @Sendable () -> Void) {
    final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    var all = sigset_t()
    var before = sigset_t()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    // SAFETY: the body is retained until the thread takes it.
    let body = unsafe Unmanaged.passRetained(Body(run)).toOpaque()
    let result = unsafe pthread_create(
        &thread, nil,
        { raw in
            unsafe Unmanaged<Body>.fromOpaque(raw.unsafelyUnwrapped).takeRetainedValue().run()
            return nil
        }, body)
    invariant(result == 0, "no thread: errno \(result)")
    pthread_detach(thread)
}
