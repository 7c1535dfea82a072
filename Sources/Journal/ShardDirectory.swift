// What a shard's journal and its recovery must know of the data directory: a plain value, handed to the shard's thread.

public import SuanpanCore

/// One shard's folder in an open data directory.
public struct ShardDirectory: Sendable, Equatable {
    public let shard: ShardID
    /// `<data directory>/shard-000`
    public let path: String
    public let salt: UInt128
    /// Size of every segment file: a multiple of 1 MiB.
    public let segmentBytes: Int
    /// Of the data directory; nil while it is being made.
    var place: DirectoryPlace?

    /// Opens a file of the folder, and makes sure that it is this directory's.
    /// - Throws: What `open` throws, or `io` with ESTALE.
    func opening(_ file: String, _ open: () throws(JournalError) -> CInt) throws(JournalError) -> CInt {
        let fd: CInt
        do throws(JournalError) { fd = try open() } catch {
            try place?.check(.open, file)
            throw error
        }
        do throws(JournalError) { try place?.check(.open, file) } catch {
            System.close(fd)
            throw error
        }
        return fd
    }

    func segmentPath(_ number: UInt64) -> String { "\(path)/\(Self.segmentName(number))" }

    static func segmentName(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 16 - digits.count)) + digits + ".log"
    }

    /// Number of a segment file's name, nil for other names.
    static func segmentNumber(_ name: String) -> UInt64? {
        guard name.count == 20, name.hasSuffix(".log") else { return nil }
        return UInt64(name.dropLast(4))
    }

    /// Numbers of the segments that are there, ascending.
    func segments() throws(JournalError) -> [UInt64] {
        try System.list(path).compactMap(Self.segmentNumber).sorted()
    }
}
