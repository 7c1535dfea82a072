// A segment: a file of fixed size whose first block is its header; groups fill the rest to the last byte. It appears
// under its name only when all its zeros and its header are synced, so a named segment without a sound header is
// damaged, and one without groups is simply unused.
//
//     0     magic         u64   "SUANSEG1"
//     8     version       u16   1
//    10     shard         u16
//    12     reserved      u32
//    16     salt          u128
//    32     number        u64   from 1, without gaps
//    40     generation    u64   1; a recycled file counts on
//    48     segmentBytes  u64
//    56     checksum      u64   XXH3-64 of these 64 bytes with this field zero
//    64     zeros to 4096

internal import SuanpanCore

enum SegmentFile {
    static let magic: UInt64 = 0x3147_4553_4E41_5553
    static let blockBytes = 4096
    static let pieceBytes = 1 << 20
    static let generation: UInt64 = 1

    struct Header: BitwiseCopyable, Equatable {
        var magic = SegmentFile.magic
        var version = FormatVersion.current
        var shard: UInt16
        var reserved: UInt32 = 0
        var salt: UInt128
        var number: UInt64
        var generation = SegmentFile.generation
        var segmentBytes: UInt64
        var checksum: UInt64 = 0

        func computedChecksum() -> UInt64 {
            var bytes: [UInt8] = []
            Plain.append(self, to: &bytes)
            return Plain.checksum(bytes, checksumAt: 56)
        }
    }

    /// Makes a segment durable under its name, filled with zeros. A failure leaves at most a `.tmp` file.
    static func create(
        _ directory: ShardDirectory, _ number: UInt64, progress: ReplayProgress? = nil
    ) throws(JournalError) {
        let path = directory.segmentPath(number)
        let temporary = path + ".tmp"
        try directory.place?.check(.prepare, path)
        let fd = try System.open(temporary, writable: true, direct: true, create: true)
        defer { System.close(fd) }
        try System.allocate(fd, bytes: UInt64(directory.segmentBytes), path: temporary)
        let piece = try PageBuffer(bytes: pieceBytes, for: temporary)
        var header = Header(
            shard: directory.shard.value, salt: directory.salt, number: number,
            segmentBytes: UInt64(directory.segmentBytes))
        header.checksum = header.computedChecksum()
        piece.store(header, at: 0)
        for offset in stride(from: 0, to: directory.segmentBytes, by: pieceBytes) {
            try progress?.check()
            // SAFETY: the piece is of this length, and outlives the write.
            unsafe try System.write(
                fd, from: piece.base, length: pieceBytes, offset: UInt64(offset), path: temporary)
            if offset == 0 { piece.zero(0, blockBytes) }
        }
        try System.sync(fd, path: temporary)
        try directory.place?.check(.prepare, path)
        try System.rename(temporary, to: path)
        try System.syncDirectory(directory.path)
    }

    /// True when anything but zeros stands behind the header of a segment file, whosever it is and however long.
    static func hasGroups(_ path: String, _ progress: ReplayProgress?) throws(JournalError) -> Bool {
        let fd = try System.open(path)
        defer { System.close(fd) }
        let piece = try PageBuffer(bytes: pieceBytes, for: path)
        var offset = UInt64(blockBytes)
        while true {
            try progress?.check()
            // SAFETY: the piece is of this length, and outlives the read.
            let count = unsafe try System.read(fd, into: piece.base, length: pieceBytes, offset: offset, path: path)
            if !piece.isZero(0, count) { return true }
            if count < pieceBytes { return false }
            offset += UInt64(count)
        }
    }

    /// Checks size and header of an open segment file.
    static func verify(
        _ fd: CInt, _ directory: ShardDirectory, _ number: UInt64, scratch: borrowing PageBuffer, expected: LSN
    ) throws(JournalError) {
        let path = directory.segmentPath(number)
        guard try System.size(fd, path: path) == UInt64(directory.segmentBytes) else {
            throw .damaged(Damage(.segmentSize, path: path, lsn: expected))
        }
        // SAFETY: whoever calls hands over a buffer of a block at least.
        let count = unsafe try System.read(fd, into: scratch.base, length: blockBytes, offset: 0, path: path)
        let header = scratch.load(Header.self, at: 0)
        let computed = header.computedChecksum()
        guard count == blockBytes, header.magic == magic, header.checksum == computed,
            scratch.isZero(64, blockBytes - 64)
        else {
            throw .damaged(
                Damage(.segmentHeader, path: path, lsn: expected, stored: header.checksum, computed: computed))
        }
        guard header.version == FormatVersion.current else { throw .unsupportedVersion(header.version, path: path) }
        guard header.salt == directory.salt else {
            throw .foreignSegment(path: path, why: "a segment of another data directory")
        }
        guard header.shard == directory.shard.value else {
            throw .foreignSegment(path: path, why: "a segment of shard \(header.shard)")
        }
        guard header.number == number else {
            throw .foreignSegment(path: path, why: "holds segment number \(header.number)")
        }
        guard header.segmentBytes == UInt64(directory.segmentBytes), header.generation == generation else {
            throw .damaged(Damage(.segmentHeader, path: path, lsn: expected))
        }
    }
}
