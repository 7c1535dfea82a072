// Sequential direct reads of segment files through one large window.

internal import SuanpanCore

struct SegmentReader: ~Copyable {
    /// Large enough that the disk streams; a group fits it four times.
    static let windowBytes = 4 << 20

    let directory: ShardDirectory
    let window: PageBuffer
    private let scratch: PageBuffer
    private var fd: CInt = -1
    private(set) var number: UInt64 = 0
    /// The part of the file that the window holds.
    private var begin: UInt64 = 0
    private var valid: UInt64 = 0

    init(_ directory: ShardDirectory) throws(JournalError) {
        let window = try PageBuffer(bytes: Self.windowBytes, for: directory.path)
        scratch = try PageBuffer(bytes: SegmentFile.blockBytes, for: directory.path)
        self.window = window
        self.directory = directory
    }

    deinit { if fd >= 0 { System.close(fd) } }

    /// Opens a segment and checks its header. False when there is no such file.
    mutating func open(_ segment: UInt64, expected: LSN) throws(JournalError) -> Bool {
        if fd >= 0 { System.close(fd) }
        fd = -1
        valid = 0
        number = segment
        let path = directory.segmentPath(segment)
        do throws(JournalError) {
            fd = try directory.opening(path) { () throws(JournalError) in try System.open(path, direct: true) }
        } catch {
            if case .io(_, System.noEntry, _) = error { return false }
            throw error
        }
        try SegmentFile.verify(fd, directory, segment, scratch: scratch, expected: expected)
        return true
    }

    /// Makes `length` bytes at `offset` (a multiple of 4096) readable in the window; returns where in it.
    mutating func ensure(_ offset: UInt64, _ length: Int) throws(JournalError) -> Int {
        if offset >= begin && offset + UInt64(length) <= begin + valid { return Int(offset - begin) }
        let size = min(UInt64(Self.windowBytes), UInt64(directory.segmentBytes) - offset)
        invariant(length <= Int(size), "\(length) bytes at \(offset) of a segment")
        let path = directory.segmentPath(number)
        valid = 0
        // SAFETY: `size` is at most the window.
        let count = unsafe try System.read(fd, into: window.base, length: Int(size), offset: offset, path: path)
        guard count == Int(size) else { throw .damaged(Damage(.segmentSize, path: path, offset: offset)) }
        begin = offset
        valid = size
        return 0
    }
}
