// Where a data directory lies, and whether it still does: files are made and opened by their paths while it serves. Somebody
// who renames the directory, and starts a server on a new one of its old name, would have this one write into that.

internal import Glibc
internal import SuanpanCore

/// A data directory's path, and what tells the directory from any other. The inode is kept while `FolderLock` is.
struct DirectoryPlace: Sendable, Equatable {
    private let path: String
    private let device: UInt64
    private let inode: UInt64

    /// - Parameter fd: The directory, open.
    init(_ fd: CInt, _ path: String) throws(JournalError) {
        var status = stat()
        // SAFETY: a local; the kernel writes it during the call.
        if unsafe fstat(fd, &status) != 0 { throw .io(.read, errno: errno, path: path) }
        self.path = path
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }

    /// The path leads to the directory, by whatever links.
    /// - Throws: `io` with ESTALE: it does not any more.
    func check(_ operation: JournalOperation, _ file: String) throws(JournalError) {
        var status = stat()
        // SAFETY: as above.
        if unsafe stat(path, &status) == 0 {
            if UInt64(status.st_dev) == device && UInt64(status.st_ino) == inode { return }
        } else if errno != ENOENT && errno != ENOTDIR {
            return  // Not seen now; what follows says why.
        }
        throw .io(operation, errno: ESTALE, path: file)
    }
}
