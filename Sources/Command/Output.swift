// What a command says on standard output, or writes to a file that it was asked for. Checked to the last byte: an export on
// a full disk must not look like a whole one.

internal import Glibc
internal import Synchronization

/// What was printed is written by `flush` at the latest, which every command ends with.
final class Output: Sendable {
    /// For messages.
    private let name: String
    private let fd: CInt
    private let buffer = Mutex<[UInt8]>([])
    private static let bufferBytes = 1 << 16

    static let standard = Output(name: "standard output", fd: 1)

    init(name: String, fd: CInt) {
        self.name = name
        self.fd = fd
    }

    func print(_ line: String) throws(Failure) { try write(line + "\n") }

    /// - Throws: When the bytes before this text, or with it, could not all be written.
    func write(_ text: String) throws(Failure) {
        try buffer.withLock { bytes throws(Failure) in
            bytes.append(contentsOf: text.utf8)
            if bytes.count >= Self.bufferBytes { try writeAll(&bytes) }
        }
    }

    func flush() throws(Failure) { try buffer.withLock { bytes throws(Failure) in try writeAll(&bytes) } }

    private func writeAll(_ buffer: inout [UInt8]) throws(Failure) {
        var done = 0
        // What cannot be written now is not tried again: the command ends.
        defer { buffer.removeAll(keepingCapacity: true) }
        while done < buffer.count {
            // SAFETY: the rest of the array, for the length of the call.
            let count = unsafe buffer.withUnsafeBytes {
                unsafe Glibc.write(fd, $0.baseAddress! + done, $0.count - done)
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) {
                var ready = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
                _ = unsafe poll(&ready, 1, -1)
                continue
            }
            if count <= 0 { throw .output(name, errno: count == 0 ? ENOSPC : errno) }
            done += count
        }
    }

    /// Opens what standard streams are closed, so that no file of ours gets their numbers: a ready line must not end up in a
    /// log. For writing where one reads and for reading where one writes: using them still fails. And a reader that goes
    /// away, or a limit of the size of files, is an error of `write`, not the end of the process.
    static func prepareStandardStreams() {
        for stream: CInt in 0...2 where fcntl(stream, F_GETFD) < 0 && errno == EBADF {
            _ = unsafe open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY)
        }
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
    }
}

extension Failure {
    /// An output that could not be written whole. A reader that has gone away, as `head` does, needs no message.
    static func output(_ name: String, errno: CInt) -> Failure {
        if errno == EPIPE { return .quiet }
        // SAFETY: strerror returns a string that lives until this thread's next call; it is copied at once.
        return .run("\(name) could not be written to its end: \(unsafe String(cString: strerror(errno)))")
    }
}

/// Where a report goes as JSON; `-` is standard output. Opened before the work, so that a path that leads nowhere is told at
/// once; and emptied, so that where the work fails an earlier report does not pass for this one.
struct ReportFile {
    private let name: String
    private let fd: CInt?

    init(_ path: String) throws(Failure) {
        name = "--json '\(path)'"
        if path == "-" {
            fd = nil
            return
        }
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard file >= 0 else {
            // SAFETY: as above.
            throw .run("\(name) cannot be opened: \(unsafe String(cString: strerror(errno))); choose another file")
        }
        fd = file
    }

    /// The whole report, with a final line break; once.
    func write(_ text: String) throws(Failure) {
        guard let fd else { return try Output.standard.print(text) }
        let file = Output(name: name, fd: fd)
        do throws(Failure) {
            try file.print(text)
            try file.flush()
        } catch {
            close(fd)
            throw error
        }
        // Some file systems tell only now that there is no room.
        if close(fd) != 0 { throw .output(name, errno: errno) }
    }
}
