// The lock on a data directory itself, beside that of its LOCK file: whoever removes or renames that file, or puts another
// one in its place, has not made the directory free. It hangs on the directory's inode (flock(2)), so it goes along where the
// directory is renamed, and holds through every other name of it.

internal import SuanpanCore

/// Held until the owner is destroyed; exclusive by whoever writes, shared by those that only read.
final class FolderLock: Sendable {
    private let fd: CInt

    /// - Throws: `locked`, `beingRead`.
    init(_ directory: String, shared: Bool) throws(JournalError) {
        fd = try System.openDirectory(directory)
        if try System.lockDirectory(fd, shared: shared, path: directory) { return }
        // Readers let another one in.
        if !shared, try System.lockDirectory(fd, shared: true, path: directory) { throw .beingRead(path: directory) }
        var holder = try Self.holder(fd, directory)
        if holder == nil { holder = try DirectoryLock.holder(directory) }
        throw .locked(path: directory, holder: holder ?? 0)
    }

    /// Where the directory lies by this name.
    func place(_ directory: String) throws(JournalError) -> DirectoryPlace { try DirectoryPlace(fd, directory) }

    deinit { System.unlockDirectory(fd) }

    /// The process that holds the lock, as the kernel lists it: `1: FLOCK  ADVISORY  WRITE 8065 fe:00:9181234 0 EOF`. nil where
    /// it cannot be seen, as in another container.
    private static func holder(_ fd: CInt, _ directory: String) throws(JournalError) -> Int? {
        let place = try System.placeInLocks(fd, path: directory)
        for line in try System.readStream("/proc/locks").split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 5, fields[1] == "FLOCK", fields[3] == "WRITE", fields[5] == place {
                return Int(fields[4])
            }
        }
        return nil
    }
}
