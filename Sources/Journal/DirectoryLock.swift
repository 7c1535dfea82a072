// The lock of a data directory: an open file description lock on its LOCK file, and one on the directory itself
// (`FolderLock`). Whoever writes holds them alone; `verify` and `dump` share them among them and write nothing, not even here,
// so that they read a snapshot that is mounted read-only.
//
// The file's text says who has the directory open, and tells a copy from the original:
//
//     8065             the process that has it open, or had when it died
//     inode 9181234    of the LOCK file that it wrote: a copy's is another
//
// or `closed`. So files that contradict each other beside the text of another LOCK file are no damage: they were copied
// one after the other while a server wrote them.

internal import Glibc
internal import SuanpanCore
internal import Synchronization

final class DirectoryLock: Sendable {
    static let name = "LOCK"

    private let path: String
    let place: DirectoryPlace
    /// Taken first: of a directory that is refused not even LOCK is made. Given up last.
    private let folder: FolderLock
    /// −1: read without a lock, as there is no LOCK file, or locks mean nothing there.
    private let fd: CInt
    private let inode: UInt64
    /// The inode that its text names; nil: none.
    private let writer: UInt64?
    /// What lies here was copied from a directory that was open, or that a killed process had left.
    let isOfOpenCopy: Bool
    private let isSettled = Atomic<Bool>(false)

    /// For the one that writes.
    /// - Throws: `locked`, `beingRead`, `notWritable`.
    static func writing(_ directory: String) throws(JournalError) -> DirectoryLock {
        let path = "\(directory)/\(name)"
        let folder = try FolderLock(directory, shared: false)
        let fd: CInt
        do throws(JournalError) {
            fd = try System.open(path, writable: true, create: true)
        } catch {
            if case .io(_, let errno, _) = error, System.isReadOnly(errno) {
                throw .notWritable(path: directory, errno: errno)
            }
            throw error
        }
        let lock = try taken(fd, folder, directory, path, shared: false)
        // A copy stays one until it has been found sound.
        try lock.write(LockText(holder: System.processID, inode: lock.writer ?? lock.inode))
        return lock
    }

    /// For those that only read.
    /// - Throws: `locked`.
    static func reading(_ directory: String) throws(JournalError) -> DirectoryLock {
        let path = "\(directory)/\(name)"
        let folder = try FolderLock(directory, shared: true)
        do throws(JournalError) {
            return try taken(try System.open(path), folder, directory, path, shared: true)
        } catch {
            guard case .io(.open, System.noEntry, _) = error else { throw error }
            return DirectoryLock(path, folder, try folder.place(directory), -1, 0, LockText())
        }
    }

    private static func taken(
        _ fd: CInt, _ folder: FolderLock, _ directory: String, _ path: String, shared: Bool
    ) throws(JournalError) -> DirectoryLock {
        do throws(JournalError) {
            guard try System.lock(fd, shared: shared, path: path) else {
                if System.isLockShared(fd) { throw .beingRead(path: directory) }
                throw .locked(path: directory, holder: try LockText(path).holder ?? 0)
            }
            return DirectoryLock(
                path, folder, try folder.place(directory), fd, try System.inode(fd, path: path), try LockText(path))
        } catch {
            System.unlock(fd)
            throw error
        }
    }

    /// Who has the directory open, as its LOCK file says; nil: nobody, or not known.
    static func holder(_ directory: String) throws(JournalError) -> Int? { try LockText("\(directory)/\(name)").holder }

    private init(
        _ path: String, _ folder: FolderLock, _ place: DirectoryPlace, _ fd: CInt, _ inode: UInt64, _ text: LockText
    ) {
        self.path = path
        self.folder = folder
        self.place = place
        self.fd = fd
        self.inode = inode
        writer = text.inode
        isOfOpenCopy = fd >= 0 && text.inode.map { $0 != inode } ?? false
    }

    /// The directory was found sound: copy or not, from now on it stands for itself.
    func settle() {
        // Where writing fails the text says less, and nothing wrong.
        do throws(JournalError) { try write(LockText(holder: System.processID, inode: inode)) } catch { return }
        isSettled.store(true, ordering: .relaxed)
    }

    deinit {
        guard fd >= 0 else { return }
        defer { System.unlock(fd) }
        guard isSettled.load(ordering: .relaxed) else { return }
        // Where that fails it stays as a killed process leaves it.
        do throws(JournalError) { try write(LockText()) } catch { return }
    }

    /// Never shorter than one byte in between: a full disk has no block to give for a file that was empty.
    private func write(_ text: LockText) throws(JournalError) {
        let bytes = Array(text.text.utf8)
        let buffer = try PageBuffer(bytes: bytes.count, for: path)
        buffer.fill(bytes)
        // SAFETY: `fill` has checked that the text fits the buffer, which lives to the end of this call.
        unsafe try System.write(fd, from: buffer.base, length: bytes.count, offset: 0, path: path)
        try System.truncate(fd, bytes: bytes.count, path: path)
    }
}

/// What a LOCK file says.
private struct LockText {
    /// nil: closed, or not known.
    var holder: Int?
    var inode: UInt64?

    init(holder: Int? = nil, inode: UInt64? = nil) {
        self.holder = holder
        self.inode = inode
    }

    init(_ path: String) throws(JournalError) {
        let lines = String(decoding: try System.readSmallFile(path, bytesMax: 256) ?? [], as: UTF8.self).split(
            separator: "\n")
        holder = lines.first.flatMap { Int($0) }
        inode = lines.dropFirst().first.flatMap { $0.hasPrefix("inode ") ? UInt64($0.dropFirst(6)) : nil }
    }

    var text: String {
        guard let holder else { return "closed\n" }
        return "\(holder)\n" + (inode.map { "inode \($0)\n" } ?? "")
    }
}
