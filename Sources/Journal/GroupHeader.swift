// The header of a group: the unit of writing and of checking. It begins on a block of 4096 bytes; records of 144 bytes
// follow it, then zeros to the next block.
//
//     0     magic             u64   "SUANGRP1"
//     8     version           u16   1
//    10     shard             u16
//    12     flags             u32   bit 0: written in async mode; bit 1: idle, no records
//    16     salt              u128  the directory's
//    32     segment           u64   number of the file it was written to
//    40     generation        u64   of that file
//    48     epoch             u32   one more at each opening
//    52     count             u32   records
//    56     firstLSN          u64   of the first record; idle: of the next one
//    64     durable           u64   LSN known durable when the group was closed
//    72     clockCeiling      u64   nanoseconds: a restart begins its clock above it
//    80     previousChecksum  u64   headerChecksum of the group before, 0 for the first of all
//    88     payloadChecksum   u64   XXH3-64 of the bytes 128 ..< length
//    96     length            u32   bytes, a multiple of 4096, at most 1 MiB
//   100     reserved          u32
//   104     offset            u64   of this group in its file
//   112     reserved          u64
//   120     headerChecksum    u64   XXH3-64 of these 128 bytes with this field zero

internal import SuanpanCore

struct GroupHeader: BitwiseCopyable, Equatable {
    var magic = GroupHeader.magic
    var version = FormatVersion.current
    var shard: UInt16
    var flags: UInt32
    var salt: UInt128
    var segment: UInt64
    var generation = SegmentFile.generation
    var epoch: UInt32
    var count: UInt32
    var firstLSN: UInt64
    var durable: UInt64
    var clockCeiling: UInt64
    var previousChecksum: UInt64
    var payloadChecksum: UInt64
    var length: UInt32
    var reserved0: UInt32 = 0
    var offset: UInt64
    var reserved1: UInt64 = 0
    var headerChecksum: UInt64 = 0

    static let magic: UInt64 = 0x3150_5247_4E41_5553
    static let bytes = 128
    static let lengthMax = 1 << 20
    static let asynchronousFlag: UInt32 = 1
    static let idleFlag: UInt32 = 2

    var isAsynchronous: Bool { flags & Self.asynchronousFlag != 0 }

    /// One after the last record's LSN.
    var endLSN: UInt64 { firstLSN &+ UInt64(count) }

    /// Lengths that a writer can have meant. Checked after the checksum: a sound header is never trusted blindly.
    func isPlausible(segmentBytes: Int) -> Bool {
        let length = UInt64(length)
        return length >= 4096 && length % 4096 == 0 && length <= UInt64(Self.lengthMax)
            && offset % 4096 == 0 && offset >= 4096 && offset + length <= UInt64(segmentBytes)
            && UInt64(Self.bytes) + UInt64(count) * UInt64(LogRecord.bytes) <= length
            && durable < firstLSN && firstLSN > 0 && (count == 0) == (flags & Self.idleFlag != 0)
    }

    /// Written for exactly this place.
    func isAt(_ shard: ShardID, _ segment: UInt64, _ offset: UInt64) -> Bool {
        self.shard == shard.value && self.segment == segment && self.offset == offset
            && generation == SegmentFile.generation
    }

    /// Whether the bytes at `at` are a header of this directory: magic, salt and checksum hold.
    static func load(_ buffer: borrowing PageBuffer, at: Int, salt: UInt128) -> GroupHeader? {
        guard buffer.load(UInt64.self, at: at) == magic else { return nil }
        var header = buffer.load(GroupHeader.self, at: at)
        guard header.salt == salt else { return nil }
        let stored = header.headerChecksum
        header.headerChecksum = 0
        guard header.computedChecksum() == stored else { return nil }
        header.headerChecksum = stored
        return header
    }

    /// Of this header as it stands; `headerChecksum` must be zero.
    func computedChecksum() -> UInt64 { Checksum.of(self) }
}
