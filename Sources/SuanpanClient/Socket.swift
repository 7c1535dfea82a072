// A TCP socket, used by the client's own threads only. Nothing here waits longer than its caller has said, but `read`,
// which `end` ends.

internal import Glibc
internal import SuanpanCore

/// A connected socket. Reading and writing may happen on two threads at once; `end` wakes both.
struct Socket: Sendable {
    /// How often a write that the server does not take looks at the clock.
    private static let writePatienceMilliseconds: CInt = 50

    let fd: CInt

    /// Fills `buffer`; returns nil, or why it could not.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> String? {
        var done = 0
        while done < buffer.count {
            // SAFETY: the range lies within the buffer.
            let count = unsafe recv(fd, buffer.baseAddress.unsafelyUnwrapped + done, buffer.count - done, 0)
            if count == 0 { return "the server closed the connection" }
            if count < 0 {
                if errno == EINTR { continue }
                return Self.message(errno)
            }
            done += count
        }
        return nil
    }

    /// Writes all bytes; returns nil, or why it could not. While the server takes none, `tick` is called again and again.
    func write(_ bytes: UnsafeRawBufferPointer, tick: () -> Void) -> String? {
        var done = 0
        while done < bytes.count {
            // SAFETY: the range lies within the buffer. No signal: a broken pipe is an answer.
            let count = unsafe send(
                fd, bytes.baseAddress.unsafelyUnwrapped + done, bytes.count - done,
                CInt(MSG_NOSIGNAL | MSG_DONTWAIT))
            if count >= 0 {
                done += count
                continue
            }
            if errno == EINTR { continue }
            guard errno == EAGAIN else { return Self.message(errno) }
            var entry = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
            // A failure of the poll itself only makes the next `send` come sooner.
            _ = unsafe poll(&entry, 1, Self.writePatienceMilliseconds)
            tick()
        }
        return nil
    }

    /// Ends the connection both ways; blocked calls of other threads return.
    func end() { shutdown(fd, CInt(SHUT_RDWR)) }
    /// Gives the descriptor back; nobody uses it any more.
    func close() { Glibc.close(fd) }

    static func message(_ code: CInt) -> String { unsafe String(cString: strerror(code)) }
}
