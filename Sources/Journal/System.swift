// The journal's only gate to the kernel. Calls are retried on EINTR; every failure becomes a `JournalError` that names
// the operation and the file.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore

enum System {
    static let noSpace = ENOSPC
    static let noMemory = ENOMEM
    static let noEntry = ENOENT
    static let inputOutput = EIO
    static func isDiskFull(_ errno: CInt) -> Bool { errno == ENOSPC || errno == EDQUOT }
    /// What the whole system or this process lacks for the moment, and what a signal has interrupted: worth another try. What
    /// a disk says of itself is final.
    static func isShortage(_ errno: CInt) -> Bool {
        errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EAGAIN || errno == EINTR || errno == ENOBUFS
    }
    /// The call has not begun its work.
    static func isInterruption(_ errno: CInt) -> Bool { errno == EINTR || errno == EAGAIN }
    static func isReadOnly(_ errno: CInt) -> Bool { errno == EACCES || errno == EROFS || errno == EPERM }

    static func message(_ errno: CInt) -> String {
        // SAFETY: strerror returns a NUL-terminated string or nil; it is copied at once.
        unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "unknown error"
    }

    static func nameThread(_ name: String) { unsafe suanpan_name_thread(name) }

    static func sleep(milliseconds: UInt64) { suanpan_sleep_microseconds(milliseconds * 1000) }

    static var processID: Int { Int(getpid()) }

    /// Calls the kernel, again while a signal comes in between; −1 leaves `errno`.
    private static func call(_ body: () -> CInt) -> CInt {
        while true {
            let result = body()
            if result != -1 || errno != EINTR { return result }
        }
    }

    // MARK: Descriptors. SAFETY of all calls with a String: the bridged C string lives for the call.

    static func open(
        _ path: String, writable: Bool = false, direct: Bool = false, dsync: Bool = false, create: Bool = false
    ) throws(JournalError) -> CInt {
        var fd = unsafe suanpan_open(path, writable ? 1 : 0, direct ? 1 : 0, dsync ? 1 : 0, create ? 1 : 0, 0)
        // What is only read may lie where direct I/O is not to be had: a snapshot on squashfs, a network file system.
        if fd == -EINVAL && direct && !writable { fd = unsafe suanpan_open(path, 0, 0, 0, 0, 0) }
        if fd < 0 { throw cannotOpen(path, errno: -fd) }
        if direct && isDirectory(fd) {
            close(fd)
            throw .notAFile(path: path)
        }
        return fd
    }

    private static func isDirectory(_ fd: CInt) -> Bool {
        var status = stat()
        // SAFETY: a local; the kernel writes it during the call.
        return unsafe fstat(fd, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func cannotOpen(_ path: String, errno: CInt) -> JournalError {
        errno == EISDIR || errno == ENODEV ? .notAFile(path: path) : .io(.open, errno: errno, path: path)
    }

    static func close(_ fd: CInt) { _ = Glibc.close(fd) }

    static func size(_ fd: CInt, path: String) throws(JournalError) -> UInt64 {
        let end = lseek(fd, 0, SEEK_END)
        if end < 0 { throw .io(.read, errno: errno, path: path) }
        return UInt64(end)
    }

    /// Reads `length` bytes, fewer only at the end of the file. Returns how many.
    static func read(
        _ fd: CInt, into address: UnsafeMutableRawPointer, length: Int, offset: UInt64, path: String
    ) throws(JournalError) -> Int {
        var done = 0
        while done < length {
            // SAFETY: the caller owns `length` bytes at `address`.
            let n = unsafe pread(fd, address + done, length - done, off_t(offset) + off_t(done))
            if n < 0 {
                if errno == EINTR { continue }
                throw .io(.read, errno: errno, path: path)
            }
            if n == 0 { break }
            done += n
        }
        return done
    }

    static func write(
        _ fd: CInt, from address: UnsafeRawPointer, length: Int, offset: UInt64, path: String
    ) throws(JournalError) {
        var done = 0
        while done < length {
            // SAFETY: the caller owns `length` bytes at `address`.
            let n = unsafe suanpan_write_at(fd, address + done, length - done, Int64(offset) + Int64(done))
            if n <= 0 { throw .io(.write, errno: n == 0 ? EIO : CInt(-n), path: path) }
            done += Int(n)
        }
    }

    static func sync(_ fd: CInt, path: String) throws(JournalError) {
        if call({ fsync(fd) }) != 0 { throw .io(.sync, errno: errno, path: path) }
    }

    static func syncData(_ fd: CInt, path: String) throws(JournalError) {
        if call({ fdatasync(fd) }) != 0 { throw .io(.sync, errno: errno, path: path) }
    }

    static func allocate(_ fd: CInt, bytes: UInt64, path: String) throws(JournalError) {
        let result = suanpan_fallocate(fd, 0, Int64(bytes))
        // Filesystems without fallocate allocate while the zeros are written.
        if result != 0 && result != -EOPNOTSUPP { throw .io(.write, errno: -result, path: path) }
    }

    /// True when this open file now holds the lock; false when another does. A shared one is not needed where the file
    /// system has no locks: nobody can be seen there.
    static func lock(_ fd: CInt, shared: Bool, path: String) throws(JournalError) -> Bool {
        let result = suanpan_lock_file(fd, shared ? 1 : 0)
        if result == 0 { return true }
        if result == -EAGAIN || result == -EACCES { return false }
        if shared && [-ENOLCK, -EOPNOTSUPP, -ENOSYS].contains(result) { return true }
        throw .io(.lock, errno: -result, path: path)
    }

    /// Gives the lock up and closes the file. Closing alone would leave the lock to a child that the program is starting just
    /// now, which has the same open file until it executes its own program.
    static func unlock(_ fd: CInt) {
        suanpan_unlock_file(fd)
        close(fd)
    }

    /// Another open file shares the lock.
    static func isLockShared(_ fd: CInt) -> Bool { suanpan_is_lock_shared(fd) == 1 }

    /// Takes the lock of a directory itself; false when another has it. Where a file system has no such locks nobody can be
    /// seen by them.
    static func lockDirectory(_ fd: CInt, shared: Bool, path: String) throws(JournalError) -> Bool {
        let result = suanpan_lock_directory(fd, shared ? 1 : 0)
        if result == 0 || [-ENOLCK, -EOPNOTSUPP, -ENOSYS, -EBADF, -EINVAL].contains(result) { return true }
        if result == -EWOULDBLOCK { return false }
        throw .io(.lock, errno: -result, path: path)
    }

    static func openDirectory(_ path: String) throws(JournalError) -> CInt {
        let fd = unsafe suanpan_open_directory(path)
        if fd < 0 { throw .io(.open, errno: -fd, path: path) }
        return fd
    }

    /// As `unlock`.
    static func unlockDirectory(_ fd: CInt) {
        suanpan_unlock_directory(fd)
        close(fd)
    }

    static func inode(_ fd: CInt, path: String) throws(JournalError) -> UInt64 {
        var status = stat()
        // SAFETY: a local; the kernel writes it during the call.
        if unsafe fstat(fd, &status) != 0 { throw .io(.read, errno: errno, path: path) }
        return UInt64(status.st_ino)
    }

    /// An open file as /proc/locks names it: `fe:00:9181234`.
    static func placeInLocks(_ fd: CInt, path: String) throws(JournalError) -> String {
        var text = [CChar](repeating: 0, count: 64)
        let result = unsafe suanpan_place_in_locks(fd, &text, text.count)
        if result != 0 { throw .io(.read, errno: -result, path: path) }
        return text.prefix { $0 != 0 }.map { String(UnicodeScalar(UInt8(bitPattern: $0))) }.joined()
    }

    static func truncate(_ fd: CInt, bytes: Int = 0, path: String) throws(JournalError) {
        let result = suanpan_truncate(fd, Int64(bytes))
        if result != 0 { throw .io(.write, errno: -result, path: path) }
    }

    // MARK: Names

    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// Makes the directory and its parents.
    static func createDirectory(_ path: String) throws(JournalError) {
        var part = path.hasPrefix("/") ? "" : "."
        for name in path.split(separator: "/") {
            part += "/" + name
            if unsafe mkdir(part, 0o750) != 0 && errno != EEXIST {
                let error = errno
                if isReadOnly(error) { throw .notWritable(path: part, errno: error) }
                throw .io(.createDirectory, errno: error, path: part)
            }
        }
    }

    /// Names in a directory, without `.` and `..`, sorted.
    static func list(_ path: String) throws(JournalError) -> [String] {
        guard let directory = unsafe opendir(path) else {
            if errno == ENOENT { throw .notFound(path: path) }
            throw .io(.list, errno: errno, path: path)
        }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            // SAFETY: d_name is NUL-terminated and lives until the next readdir; it is copied here.
            let offset = unsafe MemoryLayout<dirent>.offset(of: \.d_name).unsafelyUnwrapped
            let name = unsafe String(
                cString: (UnsafeRawPointer(entry) + offset).assumingMemoryBound(to: CChar.self))
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func rename(_ from: String, to: String) throws(JournalError) {
        if unsafe Glibc.rename(from, to) != 0 { throw .io(.rename, errno: errno, path: from) }
    }

    static func remove(_ path: String) throws(JournalError) {
        if unsafe Glibc.remove(path) != 0 && errno != ENOENT { throw .io(.remove, errno: errno, path: path) }
    }

    static func syncDirectory(_ path: String) throws(JournalError) {
        let result = unsafe suanpan_fsync_directory(path)
        if result != 0 { throw .io(.sync, errno: -result, path: path) }
    }

    // MARK: Small files

    /// The whole of a small file, as far as `bytesMax`; nil when there is none.
    static func readSmallFile(_ path: String, bytesMax: Int) throws(JournalError) -> [UInt8]? {
        let fd = unsafe suanpan_open(path, 0, 0, 0, 0, 0)
        if fd == -ENOENT { return nil }
        if fd < 0 { throw cannotOpen(path, errno: -fd) }
        defer { close(fd) }
        // Of a directory the size is any number.
        if isDirectory(fd) { throw .notAFile(path: path) }
        let length = Int(min(try size(fd, path: path), UInt64(bytesMax)))
        guard length > 0 else { return [] }
        let buffer = try PageBuffer(bytes: length, for: path)
        let count = unsafe try read(fd, into: buffer.base, length: length, offset: 0, path: path)
        return buffer.copy(0..<count)
    }

    /// The text of a file whose size is not known before it is read, as those of /proc; empty where there is none.
    static func readStream(_ path: String) throws(JournalError) -> String {
        let fd = unsafe suanpan_open(path, 0, 0, 0, 0, 0)
        if fd < 0 { return "" }
        defer { close(fd) }
        let buffer = try PageBuffer(bytes: 1 << 16, for: path)
        var bytes: [UInt8] = []
        while true {
            let count = unsafe try read(
                fd, into: buffer.base, length: buffer.bytes, offset: UInt64(bytes.count), path: path)
            bytes += buffer.copy(0..<count)
            if count < buffer.bytes { return String(decoding: bytes, as: UTF8.self) }
        }
    }

    /// Replaces a small file so that a crash leaves the old or the new one: temporary, sync, rename, sync of the folder.
    static func replaceSmallFile(_ directory: String, _ name: String, _ bytes: [UInt8]) throws(JournalError) {
        let temporary = "\(directory)/\(name).tmp"
        let fd = try open(temporary, writable: true, create: true)
        defer { close(fd) }
        try truncate(fd, path: temporary)
        let buffer = try PageBuffer(bytes: bytes.count, for: temporary)
        buffer.fill(bytes)
        unsafe try write(fd, from: buffer.base, length: bytes.count, offset: 0, path: temporary)
        try sync(fd, path: temporary)
        try rename(temporary, to: "\(directory)/\(name)")
        try syncDirectory(directory)
    }

    // MARK: Bells

    static func makeBell() throws(JournalError) -> CInt {
        let fd = suanpan_eventfd()
        if fd < 0 { throw .io(.bell, errno: -fd, path: "segment preparer") }
        return fd
    }

    static func ring(_ bell: CInt) {
        var one: UInt64 = 1
        // SAFETY: eight bytes of a local; a full counter is a rung bell.
        _ = unsafe Glibc.write(bell, &one, 8)
    }

    /// Sleeps until the bell rings or the time is over (nil: without end), and silences it.
    static func waitForBell(_ bell: CInt, timeoutMilliseconds: Int?) {
        var descriptor = pollfd(fd: bell, events: Int16(POLLIN), revents: 0)
        // SAFETY: one descriptor, one counter of eight bytes.
        guard unsafe poll(&descriptor, 1, CInt(timeoutMilliseconds ?? -1)) > 0 else { return }
        var count: UInt64 = 0
        _ = unsafe Glibc.read(bell, &count, 8)
    }
}
