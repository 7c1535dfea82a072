// What a data directory is: written once at creation, and again before the first asynchronous write.
//
//     0     magic         u64   "SUANPAN1"
//     8     version       u16   1
//    10     shardCount    u16
//    12     flags         u32   bit 0: some group may have been written asynchronously
//    16     salt          u128  random; every header of the directory carries it
//    32     segmentBytes  u64
//    40     createdAt     u64   nanoseconds since the Unix epoch
//    48     slotCount     u32   4096
//    52     reserved      u32
//    56     checksum      u64   XXH3-64 of the whole file with this field zero
//    64     slots         u16 × slotCount: the shard of each slot
//
// Docs/DiskFormat.md has all formats together.

internal import CSuanpanSupport
internal import SuanpanCore

struct Superblock: Equatable {
    static let magic: UInt64 = 0x314E_4150_4E41_5553
    static let name = "superblock"
    static let asynchronousFlag: UInt32 = 1
    static let bytes = 64 + 2 * Limits.slotCount

    struct Head: BitwiseCopyable, Equatable {
        var magic = Superblock.magic
        var version = FormatVersion.current
        var shardCount: UInt16
        var flags: UInt32 = 0
        var salt: UInt128
        var segmentBytes: UInt64
        var createdAt: UInt64
        var slotCount: UInt32
        var reserved: UInt32 = 0
        var checksum: UInt64 = 0
    }

    var head: Head
    var slots: [UInt16]

    /// A new directory's: random salt, slots dealt round-robin.
    init(shardCount: Int, segmentBytes: Int) {
        let salt = UInt128.random(in: 1 ... .max)
        slots = Routing(key: HashKey(salt), shardCount: shardCount).slots
        head = Head(
            shardCount: UInt16(shardCount), salt: salt, segmentBytes: UInt64(segmentBytes),
            createdAt: suanpan_realtime_ns(), slotCount: UInt32(slots.count))
    }

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        var head = head
        head.checksum = 0
        Plain.append(head, to: &bytes)
        for slot in slots { Plain.append(slot, to: &bytes) }
        Plain.store(Plain.checksum(bytes, checksumAt: 56), into: &bytes, at: 56)
        return bytes
    }

    init(decoding bytes: [UInt8], path: String) throws(JournalError) {
        guard let head = Plain.load(Head.self, from: bytes, at: 0) else {
            throw .superblockDamaged(path: path, stored: 0, computed: 0)
        }
        // The version stands before the checksum: a later format may compute another one.
        if head.magic == Self.magic && head.version != FormatVersion.current {
            throw .unsupportedVersion(head.version, path: path)
        }
        let computed = Plain.checksum(bytes, checksumAt: 56)
        guard head.magic == Self.magic, head.checksum == computed,
            head.slotCount == Limits.slotCount, bytes.count == Self.bytes
        else { throw .superblockDamaged(path: path, stored: head.checksum, computed: computed) }
        self.head = head
        var slots: [UInt16] = []
        slots.reserveCapacity(Limits.slotCount)
        for i in 0..<Limits.slotCount { slots.append(Plain.load(UInt16.self, from: bytes, at: 64 + 2 * i) ?? 0) }
        self.slots = slots
    }
}
