// One end of a socket pair whose other end a front holds: the simulated network. Nothing here waits.

import SuanpanCore

#if canImport(Glibc)
    import Glibc
#endif

final class ClientSocket {
    private let fd: CInt

    /// - Parameters:
    ///   - room: Bytes that the front can send before the client has read some; nil: many.
    /// - Returns: This end, and the descriptor of the front's.
    static func pair(room: Int?) throws -> (ClientSocket, CInt) {
        var ends: [CInt] = [-1, -1]
        // SAFETY: two descriptors are written into an array of two.
        let result = unsafe ends.withUnsafeMutableBufferPointer {
            unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, $0.baseAddress!)
        }
        guard result == 0 else { throw Failure(description: "socketpair: errno \(errno)") }
        if let room {
            var bytes = CInt(room)
            // SAFETY: an option of four bytes from a local.
            _ = unsafe setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &bytes, 4)
        }
        return (ClientSocket(fd: ends[0]), ends[1])
    }

    private init(fd: CInt) { self.fd = fd }

    deinit { Self.close(fd) }

    static func close(_ fd: CInt) { Glibc.close(fd) }

    /// Returns how many of the bytes the socket has taken; none, too, where the other end has gone.
    func send(_ bytes: ArraySlice<UInt8>) -> Int {
        // SAFETY: the bytes live for the call.
        let sent = unsafe bytes.withUnsafeBytes {
            unsafe Glibc.send(fd, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
        }
        return max(0, sent)
    }

    enum Received {
        case bytes([UInt8])
        case nothing
        /// The other end sends no more.
        case end
    }

    func receive(_ countMax: Int) -> Received {
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: countMax) { buffer, count in
            // SAFETY: at most the buffer's bytes are written.
            let received = unsafe recv(fd, buffer.baseAddress, countMax, CInt(MSG_DONTWAIT))
            count = max(0, received)
        }
        if !bytes.isEmpty { return .bytes(bytes) }
        var one: UInt8 = 0
        // SAFETY: one byte of a local.
        let left = unsafe recv(fd, &one, 1, CInt(MSG_DONTWAIT) | CInt(MSG_PEEK))
        return left < 0 && errno == EAGAIN ? .nothing : .end
    }

    /// Sends no more, and still reads.
    func endSending() { shutdown(fd, CInt(SHUT_WR)) }
}
