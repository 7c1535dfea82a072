// One io_uring, made and used by one thread (SINGLE_ISSUER, DEFER_TASKRUN: completions run when that thread asks, so
// nothing interrupts it). The only importer of CSuanpanUring. A caller names each request by a 64-bit token of its own, which
// comes back with the completion; what the kernel reads or writes must stay in place until then.

internal import CSuanpanSupport
internal import CSuanpanUring
internal import Glibc
public import SuanpanCore

/// Why a ring is not to be had, or failed. Every case ends its core.
public enum RingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kernel has no io_uring, is older than 6.1, or forbids it.
    case unavailable(errno: CInt)
    case failed(operation: String, errno: CInt)
    /// Memory for what it works on is not to be had.
    case system(SystemError)

    public var description: String {
        switch self {
        case .unavailable(let errno):
            "io_uring is not available (errno \(errno)): Linux 6.1 or later is needed, and the sysctl "
                + "kernel.io_uring_disabled must be 0 (containers: the seccomp profile must allow io_uring_setup)"
        case .failed(let operation, let errno): "\(SystemError("do io_uring \(operation)", errno: errno))"
        case .system(let error): "\(error)"
        }
    }
}

/// What the kernel says of a finished request.
@frozen public struct Completion: BitwiseCopyable, Sendable {
    public var token: UInt64
    /// Bytes, a descriptor, or −errno.
    public var result: Int32
    @usableFromInline var flags: UInt32

    /// Of a request that has ended, with no buffer.
    public init(token: UInt64, result: Int32) { self.init(token: token, result: result, flags: 0) }

    init(token: UInt64, result: Int32, flags: UInt32) {
        self.token = token
        self.result = result
        self.flags = flags
    }

    /// A multishot request goes on; false: it must be armed again.
    @inlinable public var hasMore: Bool { flags & 2 != 0 }
    /// The provided buffer that holds the bytes received.
    @inlinable public var bufferID: Int? { flags & 1 != 0 ? Int(flags >> 16) : nil }
}

@safe
public struct Ring: ~Copyable {
    private let ring: UnsafeMutablePointer<io_uring>
    /// Requests prepared since the last submission.
    public private(set) var unsubmitted = 0

    /// - Parameter entries: Submission entries, a power of two; completions get eight times as many.
    public init(entries: UInt32 = 4096) throws(RingError) {
        let memory = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
        unsafe memory.initialize(to: io_uring())
        var params = io_uring_params()
        params.flags =
            UInt32(1 << 12) | UInt32(1 << 13) | UInt32(IORING_SETUP_CQSIZE) | UInt32(IORING_SETUP_CLAMP)
        params.cq_entries = entries * 8
        // SAFETY: both structures outlive the call; the ring stays at its address until `deinit`.
        let result = unsafe io_uring_queue_init_params(entries, memory, &params)
        guard result == 0 else {
            unsafe memory.deallocate()
            switch -result {
            case EMFILE, ENFILE, ENOMEM, EAGAIN: throw .failed(operation: "setup", errno: -result)
            default: throw .unavailable(errno: -result)
            }
        }
        // Only now: an owner whose fields are all set runs its `deinit` when its `init` throws.
        unsafe ring = memory
        _ = unsafe io_uring_register_ring_fd(ring)
    }

    deinit {
        unsafe io_uring_queue_exit(ring)
        unsafe ring.deallocate()
    }

    // MARK: Requests. SAFETY of all: the entry is valid until submission, and `entry()` never returns a null one.

    /// Writes `length` bytes from `address` at `offset` of a file.
    public mutating func write(
        _ fd: CInt, from address: UnsafeRawPointer, length: Int, offset: UInt64, token: UInt64
    ) {
        let e = unsafe entry()
        unsafe io_uring_prep_write(e, fd, address, UInt32(length), offset)
        unsafe e.pointee.user_data = token
    }

    /// Reads at most `length` bytes into `address`; `offset` UInt64.max: the current position (eventfd, pipes).
    public mutating func read(
        _ fd: CInt, into address: UnsafeMutableRawPointer, length: Int, offset: UInt64, token: UInt64
    ) {
        let e = unsafe entry()
        unsafe io_uring_prep_read(e, fd, address, UInt32(length), offset)
        unsafe e.pointee.user_data = token
    }

    public mutating func syncData(_ fd: CInt, token: UInt64) {
        let e = unsafe entry()
        unsafe io_uring_prep_fsync(e, fd, 1)
        unsafe e.pointee.user_data = token
    }

    /// One completion per connection, its result the new descriptor, until `hasMore` is false.
    public mutating func acceptMultishot(_ fd: CInt, token: UInt64) {
        let e = unsafe entry()
        unsafe io_uring_prep_multishot_accept(e, fd, nil, nil, CInt(SOCK_CLOEXEC.rawValue))
        unsafe e.pointee.user_data = token
    }

    /// Connects a socket. The address is copied when the request is submitted and must stay in place until then.
    public mutating func connect(_ fd: CInt, to address: UnsafeRawPointer, length: Int, token: UInt64) {
        let e = unsafe entry()
        unsafe io_uring_prep_connect(e, fd, address.assumingMemoryBound(to: sockaddr.self), socklen_t(length))
        unsafe e.pointee.user_data = token
    }

    /// One completion per arrival, in a buffer of `group`, until `hasMore` is false. Result 0: the peer has closed.
    public mutating func receiveMultishot(_ fd: CInt, group: UInt16, token: UInt64) {
        let e = unsafe entry()
        unsafe io_uring_prep_recv_multishot(e, fd, nil, 0, 0)
        unsafe e.pointee.flags |= UInt8(1 << 5)  // IOSQE_BUFFER_SELECT
        unsafe e.pointee.buf_group = group
        unsafe e.pointee.user_data = token
    }

    /// Receives at most `length` bytes; `waitAll`: only short when the peer closes.
    public mutating func receive(
        _ fd: CInt, into address: UnsafeMutableRawPointer, length: Int, waitAll: Bool = false, token: UInt64
    ) {
        let e = unsafe entry()
        unsafe io_uring_prep_recv(e, fd, address, length, waitAll ? CInt(MSG_WAITALL) : 0)
        unsafe e.pointee.user_data = token
    }

    /// Sends `length` bytes; the completion may be short only after an error or when the peer closes (MSG_WAITALL).
    public mutating func send(_ fd: CInt, from address: UnsafeRawPointer, length: Int, token: UInt64) {
        let e = unsafe entry()
        unsafe io_uring_prep_send(e, fd, address, length, CInt(MSG_NOSIGNAL) | CInt(MSG_WAITALL))
        unsafe e.pointee.user_data = token
    }

    /// Asks the kernel to end the request that carries `token`; that one completes with −ECANCELED.
    public mutating func cancel(token: UInt64, ownToken: UInt64) {
        let e = unsafe entry()
        unsafe io_uring_prep_cancel64(e, token, 0)
        unsafe e.pointee.user_data = ownToken
    }

    private mutating func entry() -> UnsafeMutablePointer<io_uring_sqe> {
        while true {
            if let e = unsafe io_uring_get_sqe(ring) {
                unsubmitted += 1
                return unsafe e
            }
            // The submission queue is full: hand it over; the kernel takes all entries it can.
            let result = unsafe io_uring_submit(ring)
            invariant(
                result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR, "io_uring_submit: \(result)")
            unsubmitted = 0
        }
    }

    // MARK: Submission and completion

    /// Hands prepared requests to the kernel and runs what has completed. One system call, or none when there is
    /// nothing to submit and `poll` is false.
    public mutating func submit(poll: Bool) throws(RingError) {
        if unsubmitted == 0 && !poll { return }
        let result = unsafe poll ? io_uring_submit_and_get_events(ring) : io_uring_submit(ring)
        unsubmitted = 0
        if result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY {
            throw .failed(operation: "submit", errno: -result)
        }
    }

    /// Submits and sleeps until a completion is there or the time is over; nil waits without end.
    public mutating func submitAndWait(timeoutNanoseconds: UInt64?) throws(RingError) {
        var cqe: UnsafeMutablePointer<io_uring_cqe>? = nil
        var result: CInt
        if let timeout = timeoutNanoseconds {
            var time = __kernel_timespec(
                tv_sec: Int64(timeout / 1_000_000_000), tv_nsec: Int64(timeout % 1_000_000_000))
            result = unsafe io_uring_submit_and_wait_timeout(ring, &cqe, 1, &time, nil)
            if result == -ETIME { result = 0 }
        } else {
            result = unsafe io_uring_submit_and_wait(ring, 1)
        }
        unsubmitted = 0
        if result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY {
            throw .failed(operation: "wait", errno: -result)
        }
    }

    /// The next completion that is already there.
    @inline(__always)
    public mutating func nextCompletion() -> Completion? {
        // SAFETY: a non-null entry is valid until it is marked as seen.
        var cqe: UnsafeMutablePointer<io_uring_cqe>? = nil
        var head: UInt32 = 0
        unsafe head = ring.pointee.cq.khead.pointee
        let tail = unsafe suanpan_load_acquire(ring.pointee.cq.ktail)
        if head == tail { return nil }
        let mask = unsafe ring.pointee.cq.kring_mask.pointee
        unsafe cqe = ring.pointee.cq.cqes + Int(head & mask)
        let completion = unsafe Completion(
            token: cqe!.pointee.user_data, result: cqe!.pointee.res, flags: cqe!.pointee.flags)
        unsafe suanpan_store_release(ring.pointee.cq.khead, head &+ 1)
        return completion
    }

    // MARK: Provided buffers

    /// Buffers that the kernel picks for `receiveMultishot`: `count` (a power of two, at most 32768) of `size` bytes.
    public mutating func provideBuffers(group: UInt16, count: Int, size: Int) throws(RingError) -> ProvidedBuffers {
        let ringBytes = ProvidedBuffers.ringBytes(count)
        let pages = unsafe suanpan_map(ringBytes, 0)
        let buffers = unsafe suanpan_map(count * size, 0)
        guard let pages = unsafe pages, let buffers = unsafe buffers else {
            if let pages = unsafe pages { unsafe suanpan_unmap(pages, ringBytes) }
            if let buffers = unsafe buffers { unsafe suanpan_unmap(buffers, count * size) }
            throw .system(MemoryReserve.refused(ringBytes + count * size, "receive buffers"))
        }
        // SAFETY: the ring stays at its address; both regions are handed over.
        return try unsafe ProvidedBuffers(
            ring, group: group, count: count, size: size, pages: pages, buffers: buffers)
    }
}

/// A ring of receive buffers shared with the kernel. Must not outlive its `Ring`.
@safe
public struct ProvidedBuffers: ~Copyable {
    private let memory: UnsafeMutableRawPointer
    private let bufferRing: UnsafeMutablePointer<io_uring_buf_ring>
    public let count: Int
    public let size: Int
    public let group: UInt16
    private let ringBytes: Int

    fileprivate static func ringBytes(_ count: Int) -> Int { count * MemoryLayout<io_uring_buf>.stride }

    /// - Parameters:
    ///   - pages: Of `ringBytes(count)`, now its own.
    ///   - buffers: Of `count` times `size` bytes, now its own.
    fileprivate init(
        _ ring: UnsafeMutablePointer<io_uring>, group: UInt16, count: Int, size: Int,
        pages: UnsafeMutableRawPointer, buffers: UnsafeMutableRawPointer
    ) throws(RingError) {
        let ringBytes = Self.ringBytes(count)
        // All fields are set before the first throw: a failed owner still releases what it maps.
        self.count = count
        self.size = size
        self.group = group
        self.ringBytes = ringBytes
        unsafe memory = buffers
        unsafe bufferRing = pages.assumingMemoryBound(to: io_uring_buf_ring.self)
        var registration = io_uring_buf_reg()
        registration.ring_addr = UInt64(UInt(bitPattern: pages))
        registration.ring_entries = UInt32(count)
        registration.bgid = group
        // SAFETY: the pages are aligned, zeroed and live until `deinit`.
        let result = unsafe io_uring_register_buf_ring(ring, &registration, 0)
        guard result == 0 else { throw .failed(operation: "buffer registration", errno: -result) }
        unsafe io_uring_buf_ring_init(bufferRing)
        for i in 0..<count {
            unsafe io_uring_buf_ring_add(
                bufferRing, memory + i * size, UInt32(size), UInt16(i), CInt(count - 1), CInt(i))
        }
        unsafe io_uring_buf_ring_advance(bufferRing, CInt(count))
    }

    deinit {
        unsafe suanpan_unmap(memory, count * size)
        unsafe suanpan_unmap(bufferRing, ringBytes)
    }

    /// The bytes received into a buffer. Valid until it is recycled.
    @inline(__always)
    public func bytes(_ id: Int, length: Int) -> UnsafeRawBufferPointer {
        invariant(id < count && length <= size, "provided buffer \(id) of \(count), \(length) bytes")
        return unsafe UnsafeRawBufferPointer(start: memory + id * size, count: length)
    }

    /// Gives a buffer back to the kernel.
    @inline(__always)
    public mutating func recycle(_ id: Int) {
        unsafe io_uring_buf_ring_add(
            bufferRing, memory + id * size, UInt32(size), UInt16(id), CInt(count - 1), 0)
        unsafe io_uring_buf_ring_advance(bufferRing, 1)
    }
}
