// The bytes of one shard's files, laid out by Docs/DiskFormat.md alone.

import CSuanpanXXHash
import SuanpanCore

/// A shard's epochs file and its two segments.
struct LogImage {
    static let segmentBytes = 1 << 20
    static let salt: UInt128 = 0x5A17

    let shard: UInt16
    /// The segments one behind the other, up to what was written last.
    private(set) var bytes: [UInt8] = []
    private(set) var epochs: [UInt8] = []
    private var records: [LogRecord] = []
    private var offset = 4096
    private(set) var firstLSN: UInt64 = 1
    private var previousChecksum: UInt64 = 0
    private var epoch: UInt32 = 1
    /// Where the last group begins in `bytes`; nil: there is none, or it is torn.
    private var lastGroup: Int?

    init(shard: Int) {
        self.shard = UInt16(shard)
        beginSegment(0)
        writeEpochs(appending: true)
    }

    // MARK: Writing as an engine does

    mutating func append(_ record: LogRecord) { if records.count < 400 { records.append(record) } }

    /// Closes the open group.
    /// - Parameters:
    ///   - durable: The LSN that the header says was durable; nil: all before it.
    ///   - fillsSegment: With zeros to the segment's end, as nothing follows it there.
    mutating func flush(durable: UInt64? = nil, fillsSegment: Bool = false) {
        let end = (offset / Self.segmentBytes + 1) * Self.segmentBytes
        let needed = (128 + records.count * LogRecord.bytes + 4095) / 4096 * 4096
        let length = fillsSegment ? end - offset : needed
        guard end <= 2 * Self.segmentBytes, needed <= end - offset else { return }
        grow(to: offset + 128 + records.count * LogRecord.bytes)
        for (i, record) in records.enumerated() { store(record, at: offset + 128 + i * LogRecord.bytes) }
        let at = offset
        store(0x3150_5247_4E41_5553 as UInt64, at: at)
        store(1 as UInt16, at: at + 8)
        store(shard, at: at + 10)
        store((records.isEmpty ? 2 : 0) as UInt32, at: at + 12)
        store(Self.salt, at: at + 16)
        store(UInt64(at / Self.segmentBytes + 1), at: at + 32)
        store(1 as UInt64, at: at + 40)
        store(epoch, at: at + 48)
        store(UInt32(records.count), at: at + 52)
        store(firstLSN, at: at + 56)
        store(durable ?? firstLSN - 1, at: at + 64)
        store(1_000_000 + firstLSN, at: at + 72)
        store(previousChecksum, at: at + 80)
        store(UInt32(length), at: at + 96)
        store(UInt64(at % Self.segmentBytes), at: at + 104)
        lastGroup = at
        firstLSN += UInt64(records.count)
        records = []
        offset += length
        if offset == Self.segmentBytes { beginSegment(1) }
        seal()
    }

    /// The next opening: begins here, with the records from `lsn` on void.
    mutating func beginEpoch(firstLSN lsn: UInt64) {
        flush()
        firstLSN = max(1, min(lsn, firstLSN))
        epoch += 1
        writeEpochs(appending: true)
    }

    // MARK: Damage

    /// Adds to a byte of the last group's header or records and makes its checksums right again.
    mutating func change(_ place: Int, by value: UInt8) {
        guard let lastGroup, lastGroup + place < bytes.count else { return }
        bytes[lastGroup + place] &+= value
        seal()
    }

    /// Adds to any byte and leaves checksums alone.
    mutating func spoil(_ place: Int, by value: UInt8) {
        if place < bytes.count { bytes[place] &+= value }
    }

    /// Adds to a byte of the epochs file; its checksum is made right unless the byte is part of it.
    mutating func changeEpochs(_ place: Int, by value: UInt8) {
        guard place < epochs.count else { return }
        epochs[place] &+= value
        if !(32..<40).contains(place) { writeEpochs(appending: false) }
    }

    /// The log ends in the middle of its last group.
    mutating func tear(after count: Int) {
        guard let at = lastGroup, at + count < bytes.count else { return }
        bytes.removeSubrange((at + count)...)
        lastGroup = nil
    }

    // MARK: Bytes

    /// Computes the checksums of the last group anew.
    private mutating func seal() {
        guard let at = lastGroup else { return }
        let length = Int(load(UInt32.self, at: at + 96))
        if length >= 128 && length <= Self.segmentBytes {
            let stored = min(bytes.count, at + length)
            let zeros = [UInt8](repeating: 0, count: at + length - stored)
            store(Self.checksum(bytes[(at + 128)..<stored] + zeros), at: at + 88)
        }
        store(0 as UInt64, at: at + 120)
        previousChecksum = Self.checksum(bytes[at..<at + 128])
        store(previousChecksum, at: at + 120)
    }

    private mutating func beginSegment(_ index: Int) {
        let at = index * Self.segmentBytes
        grow(to: at + 64)
        store(0x3147_4553_4E41_5553 as UInt64, at: at)
        store(1 as UInt16, at: at + 8)
        store(shard, at: at + 10)
        store(Self.salt, at: at + 16)
        store(UInt64(index + 1), at: at + 32)
        store(1 as UInt64, at: at + 40)
        store(UInt64(Self.segmentBytes), at: at + 48)
        store(Self.checksum(bytes[at..<at + 64]), at: at + 56)
        if index == 1 { offset = at + 4096 }
    }

    private mutating func writeEpochs(appending: Bool) {
        if epochs.isEmpty {
            epochs = [UInt8](repeating: 0, count: 64)
            Self.store(0x314F_5045_4E41_5553 as UInt64, in: &epochs, at: 0)
            Self.store(1 as UInt16, in: &epochs, at: 8)
            Self.store(shard, in: &epochs, at: 10)
            Self.store(Self.salt, in: &epochs, at: 16)
        }
        if appending {
            let at = epochs.count
            epochs += [UInt8](repeating: 0, count: 64)
            Self.store(epoch, in: &epochs, at: at)
            Self.store(UInt64(offset / Self.segmentBytes + 1), in: &epochs, at: at + 8)
            Self.store(UInt64(offset % Self.segmentBytes), in: &epochs, at: at + 16)
            Self.store(firstLSN, in: &epochs, at: at + 24)
            Self.store(previousChecksum, in: &epochs, at: at + 32)
            Self.store(UInt32(at / 64), in: &epochs, at: 12)
        }
        Self.store(0 as UInt64, in: &epochs, at: 32)
        let checksum = Self.checksum(epochs[...])
        Self.store(checksum, in: &epochs, at: 32)
    }

    private mutating func grow(to count: Int) {
        if bytes.count < count { bytes += [UInt8](repeating: 0, count: count - bytes.count) }
    }

    private mutating func store<T: BitwiseCopyable>(_ value: T, at place: Int) {
        Self.store(value, in: &bytes, at: place)
    }

    private func load<T: BitwiseCopyable>(_ type: T.Type, at place: Int) -> T {
        // SAFETY: bounds are checked by the slice; plain bytes.
        unsafe bytes[place..<place + MemoryLayout<T>.size].withUnsafeBytes { unsafe $0.loadUnaligned(as: T.self) }
    }

    private static func store<T: BitwiseCopyable>(_ value: T, in bytes: inout [UInt8], at place: Int) {
        // SAFETY: the slice's bounds are checked; plain bytes.
        unsafe bytes[place..<place + MemoryLayout<T>.size].withUnsafeMutableBytes {
            unsafe $0.storeBytes(of: value, as: T.self)
        }
    }

    static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        // SAFETY: the slice lives for the call.
        unsafe bytes.withUnsafeBytes { unsafe XXH3_64bits($0.baseAddress, $0.count) }
    }
}

/// The superblock of the directory: two shards, slots dealt in turn.
enum SuperblockImage {
    static var bytes: [UInt8] {
        let routing = Routing(key: HashKey(LogImage.salt), shardCount: 2)
        var words: [(Int, UInt64)] = [(0, 0x314E_4150_4E41_5553), (8, 1 | 2 << 16)]
        words += [(16, UInt64(LogImage.salt)), (32, UInt64(LogImage.segmentBytes)), (48, UInt64(routing.slots.count))]
        var bytes = [UInt8](repeating: 0, count: 64 + 2 * routing.slots.count)
        for (at, word) in words {
            for i in 0..<8 { bytes[at + i] = UInt8(truncatingIfNeeded: word >> (8 * UInt64(i))) }
        }
        for (slot, shard) in routing.slots.enumerated() { bytes[64 + 2 * slot] = UInt8(truncatingIfNeeded: shard) }
        let checksum = LogImage.checksum(bytes[...])
        for i in 0..<8 { bytes[56 + i] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt64(i))) }
        return bytes
    }
}
