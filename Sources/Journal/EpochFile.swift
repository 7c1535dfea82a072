// Where each opening of a shard's log began: `shard-000/epochs`, replaced as a whole before an opening's first write.
// All that lies before the newest entry was read by an opening, synced and built upon: there a bad group is damage,
// never a torn tail. Groups of an older epoch behind the newest entry's begin were cut and say nothing.
//
//     0     magic         u64   "SUANEPO1"          64 + 64 × i:
//     8     version       u16   1                     0   epoch             u32
//    10     shard         u16                         4   reserved          u32
//    12     count         u32                         8   segment           u64
//    16     salt          u128                       16   offset            u64   first byte the epoch writes
//    32     checksum      u64   XXH3-64 of the file  24   firstLSN          u64   records from it on, before: void
//    40     reserved      24                         32   previousChecksum  u64   of the last group before
//                                                    40   clockCeiling      u64
//                                                    48   reserved          16

internal import SuanpanCore

struct EpochEntry: BitwiseCopyable, Equatable {
    var epoch: UInt32
    var reserved0: UInt32 = 0
    var segment: UInt64
    var offset: UInt64
    var firstLSN: UInt64
    var previousChecksum: UInt64
    var clockCeiling: UInt64
    var reserved1: UInt64 = 0
    var reserved2: UInt64 = 0

    /// A place where an opening can have begun. Checked after the checksum: a sound file is never trusted blindly.
    func isPlausible(segmentBytes: Int) -> Bool {
        epoch > 0 && segment > 0 && segment < EpochFile.segmentMax && firstLSN > 0 && firstLSN < EpochFile.lsnMax
            && offset >= UInt64(SegmentFile.blockBytes) && offset % UInt64(SegmentFile.blockBytes) == 0
            && offset <= UInt64(segmentBytes)
    }
}

enum EpochFile {
    /// Beyond any log, and small enough that sums and positions of what lies below never overflow.
    static let segmentMax: UInt64 = 1 << 32
    static let lsnMax: UInt64 = 1 << 56
    /// A million openings.
    private static let bytesMax = 64 << 20
    static let magic: UInt64 = 0x314F_5045_4E41_5553
    static let name = "epochs"

    struct Head: BitwiseCopyable {
        var magic = EpochFile.magic
        var version = FormatVersion.current
        var shard: UInt16
        var count: UInt32
        var salt: UInt128
        var checksum: UInt64 = 0
        var reserved: (UInt64, UInt64, UInt64) = (0, 0, 0)
    }

    static func write(_ directory: ShardDirectory, _ entries: [EpochEntry]) throws(JournalError) {
        var bytes: [UInt8] = []
        Plain.append(
            Head(shard: directory.shard.value, count: UInt32(entries.count), salt: directory.salt), to: &bytes)
        for entry in entries { Plain.append(entry, to: &bytes) }
        Plain.store(Plain.checksum(bytes, checksumAt: 32), into: &bytes, at: 32)
        try System.replaceSmallFile(directory.path, name, bytes)
    }

    static func read(_ directory: ShardDirectory) throws(JournalError) -> [EpochEntry] {
        let path = "\(directory.path)/\(name)"
        guard let bytes = try System.readSmallFile(path, bytesMax: bytesMax),
            let head = Plain.load(Head.self, from: bytes, at: 0)
        else {
            throw .damaged(Damage(.epochsFile, path: path))
        }
        let computed = Plain.checksum(bytes, checksumAt: 32)
        guard head.magic == magic, head.checksum == computed else {
            throw .damaged(Damage(.epochsFile, path: path, stored: head.checksum, computed: computed))
        }
        guard head.version == FormatVersion.current else { throw .unsupportedVersion(head.version, path: path) }
        guard head.salt == directory.salt, head.shard == directory.shard.value else {
            throw .foreignSegment(path: path, why: "of another directory or shard")
        }
        var entries: [EpochEntry] = []
        for i in 0..<Int(head.count) {
            guard let entry = Plain.load(EpochEntry.self, from: bytes, at: 64 + 64 * i),
                entry.isPlausible(segmentBytes: directory.segmentBytes),
                entries.last.map({ $0.epoch < entry.epoch }) ?? true
            else { throw .damaged(Damage(.epochsFile, path: path)) }
            entries.append(entry)
        }
        return entries
    }
}
