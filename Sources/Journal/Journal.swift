// The writer of one shard's log: a state machine that takes records and returns the I/O to do. Owned by the shard's
// thread. Group commit without a timer: while writes are under way the next group fills.
//
//     append ─► open group ─► frozen ─► in flight ─► complete ─► (prefix whole) ─► acknowledged ─► durable
//                        nextWrite ────┘      └─ completed          sync mode: the same; async: nextSync
//
// Groups are numbered from 0 in this process; group g uses buffer g mod 16, and its token is g.

public import SuanpanCore

/// A write for the shard's ring. What it points to stays in place until `completed` gets its token.
@safe
public struct WriteCommand: BitwiseCopyable, @unchecked Sendable {
    // SAFETY of Sendable: the bytes are not changed while the write is under way.
    /// Below 2^47; come back with it.
    public let token: UInt64
    public let fd: CInt
    /// Page-aligned, `length` bytes.
    public let address: UnsafeRawPointer
    /// A multiple of 4096.
    public let length: Int
    /// In the file, a multiple of 4096.
    public let offset: UInt64
    /// Number of the segment file, for a simulator.
    public let segment: UInt64
    public let records: Int
}

/// An fdatasync for the shard's ring; `completed` gets its token.
public struct SyncCommand: BitwiseCopyable, Sendable {
    /// From 2^47 to 2^48.
    public let token: UInt64
    public let fd: CInt
    public let segment: UInt64
}

/// What a completion amounted to.
public struct CompletedWrite: BitwiseCopyable, Sendable {
    /// Records and bytes of the group; zero for a sync or a short write whose rest is still to go.
    public var records = 0
    public var bytes = 0
}

/// Totals since this opening.
public struct JournalCounters: BitwiseCopyable, Sendable {
    public var records: UInt64 = 0
    public var groups: UInt64 = 0
    public var idleGroups: UInt64 = 0
    public var bytes: UInt64 = 0
    public var syncs: UInt64 = 0
    public var shortWrites: UInt64 = 0
    public var segments: UInt64 = 0
}

@usableFromInline
enum GroupState: UInt8, BitwiseCopyable {
    /// Nothing waits for the buffer; what it holds can still be read.
    case free, open, frozen, inFlight, short, complete
}

@usableFromInline
struct GroupSlot: BitwiseCopyable {
    var segment: UInt64
    var offset: UInt64
    var firstLSN: UInt64
    var checksum: UInt64
    var count: UInt32
    var length: UInt32
    /// Bytes that the disk has, of a short write.
    var written: UInt32
    var state: GroupState
}

/// A segment file open for writing. Zero bytes: none.
struct OpenSegment: BitwiseCopyable {
    var number: UInt64
    /// One after the last group written to it so far.
    var endGroup: UInt64
    /// Last LSN of those groups.
    var lastLSN: UInt64
    var fd: CInt
}

public struct Journal: ~Copyable {
    @usableFromInline let addressOnly = AddressOnly()
    public static let groupBytesMax = GroupHeader.lengthMax
    static let bufferCount: UInt64 = 16
    /// More than buffers: each group in flight may have a segment of its own, and async mode syncs the older ones.
    static let openSegmentsMax: UInt64 = 32
    static let syncToken: UInt64 = 1 << 47

    public let directory: ShardDirectory
    public let options: JournalOptions
    /// Few wait for the log, each for itself: a group of a few records goes out though others are under way, so that nobody
    /// waits for two writes where one of them is slow.
    public var hurries = false
    let supply: SegmentSupply
    let epoch: UInt32
    @usableFromInline let segmentBytes: UInt64
    /// No work begins in or behind this segment: what has begun still finds places for its records.
    let segmentForNewWorkMax: UInt64

    // The open group, as `append` sees it.
    @usableFromInline let buffers: PageBuffer
    /// Byte in `buffers` where the next record goes.
    @usableFromInline var writeOffset = 0
    /// Records that still fit the open group; 0 when none is open.
    @usableFromInline var roomInGroup = 0
    /// Byte in the log where the next record goes: segment × segmentBytes + offset.
    @usableFromInline var logOffset: UInt64 = 0
    @usableFromInline var lastAppended: LSN
    /// Last LSN appended.
    @inlinable public var appended: LSN { lastAppended }

    // Groups: oldest ≤ unsent ≤ opened ≤ oldest + bufferCount.
    var slots: FixedArray<GroupSlot>
    var opened: UInt64 = 0
    var unsent: UInt64 = 0
    var oldest: UInt64 = 0
    var isOpen = false
    var idleRequested = false
    var shortWrites = 0

    // Where the next group begins.
    var segment: UInt64
    var nextOffset: UInt64

    var files: FixedArray<OpenSegment>
    /// Oldest segment whose file may be open.
    var oldestFile: UInt64
    /// The files of the segments up to this one are open: what is appended there can be written, whatever the system then
    /// lacks.
    var openThrough: UInt64
    /// Segment of the last group that was sent.
    var newestSent: UInt64 = 0
    /// Why a segment that is ready could not be opened; 0: all are open.
    var shortage: CInt = 0

    var lastChecksum: UInt64
    var lastCeiling: UInt64
    /// Highest durable LSN in any header written, or proved by this epoch's begin.
    var headerDurable: LSN
    var syncedGroups: UInt64 = 0
    var syncTargetGroups: UInt64 = 0
    var syncTargetLSN = LSN.zero
    var syncUnderway = false
    var syncCount: UInt64 = 0

    /// End of the contiguous prefix of completed writes: what a reply may wait for.
    public internal(set) var acknowledged: LSN
    /// End of the prefix that survives a power cut. Sync mode: the same as `acknowledged`.
    public internal(set) var durable: LSN
    public internal(set) var writesInFlight = 0
    public internal(set) var counters = JournalCounters()
    /// Why this journal failed; it writes nothing more.
    public internal(set) var failure: JournalError?

    var reader: RecordReader

    /// Goes on writing behind a replayed log. Syncs what was replayed and notes the new epoch durably first; blocks.
    /// - Parameters:
    ///   - replayed: What recovery read last, of the same directory; with a limit, what lies above it is void for good.
    ///   - supply: Of a preparer; without its thread, or after its end, there are no more segments than it has made.
    public init(
        _ directory: ShardDirectory, after replayed: borrowing ReplaySummary, supply: SegmentSupply,
        options: JournalOptions = JournalOptions()
    ) throws(JournalError) {
        invariant(
            options.writesInFlightMax >= 1 && options.writesInFlightMax < Int(Self.bufferCount), "writes in flight")
        invariant(options.smallWritesInFlightMax >= 1, "small writes in flight")
        invariant(replayed.shard == directory.shard, "the replay of another shard")
        self.directory = directory
        self.options = options
        self.supply = supply
        segmentBytes = UInt64(directory.segmentBytes)
        let segmentsMax = (Limits.logPositionMax + 1) * 16 / segmentBytes
        // A thousandth of it is 16 GiB: more than all that can be under way.
        segmentForNewWorkMax = segmentsMax - segmentsMax / 1024
        // Before anything is written or open.
        let buffers = try PageBuffer(bytes: Int(Self.bufferCount) * Self.groupBytesMax, for: directory.path)
        var reader = try RecordReader(directory)
        let (epoch, open) = try Self.begin(directory, replayed, options)
        reader.take(reserve: open.reserve)
        self.epoch = epoch
        self.buffers = buffers
        self.reader = reader
        slots = FixedArray(count: Int(Self.bufferCount))
        files = FixedArray(count: Int(Self.openSegmentsMax))
        lastAppended = replayed.lastLSN
        acknowledged = replayed.lastLSN
        durable = replayed.lastLSN
        headerDurable = replayed.lastLSN
        segment = replayed.segment
        nextOffset = replayed.offset
        oldestFile = replayed.segment
        openThrough = replayed.segment
        files[Self.file(replayed.segment)] = OpenSegment(
            number: replayed.segment, endGroup: 0, lastLSN: 0, fd: open.file)
        lastChecksum = replayed.lastChecksum
        lastCeiling = replayed.clockCeiling
        supply.begin(segment: segment, ready: replayed.segmentsReady)
    }

    /// The new epoch, and what a journal has open from its beginning: the segment that it goes on with, and its reader's
    /// reserve.
    private static func begin(
        _ directory: ShardDirectory, _ replayed: borrowing ReplaySummary, _ options: JournalOptions
    ) throws(JournalError) -> (epoch: UInt32, open: (file: CInt, reserve: CInt)) {
        let epoch = try replayed.beginEpoch(directory)
        let file = try open(directory, replayed.segment, options.durability)
        do throws(JournalError) { return (epoch, (file, try System.open(directory.path))) } catch {
            System.close(file)
            throw error
        }
    }

    static func open(
        _ directory: ShardDirectory, _ segment: UInt64, _ durability: Durability
    ) throws(JournalError) -> CInt {
        try System.open(directory.segmentPath(segment), writable: true, direct: true, dsync: durability == .sync)
    }

    /// Writes under way must have completed, or the ring that carries them be gone.
    deinit {
        supply.end()
        for i in 0..<files.count where files[i].number != 0 { System.close(files[i].fd) }
    }

    // MARK: Room

    /// Whether `records` more can be appended now. Ask again after `nextWrite`: it may close the open group early.
    /// - Complexity: O(1) while the open group has room, else O(16).
    @inlinable @inline(__always)
    public func hasRoom(records: Int) -> Bool { records <= roomInGroup || hasRoomBeyondGroup(records) }

    @usableFromInline
    func hasRoomBeyondGroup(_ records: Int) -> Bool {
        var missing = records - roomInGroup
        var group = opened
        var at = segment
        var offset = nextOffset
        if isOpen {
            let open = slots[Self.slot(opened - 1)]
            // Full to the brim, a group ends on its capacity.
            offset = open.offset + capacity(at: open.offset)
        }
        let usable = segmentsUsable
        while missing > 0 {
            guard group < oldest + Self.bufferCount else { return false }
            if offset == segmentBytes {
                at += 1
                offset = UInt64(SegmentFile.blockBytes)
                if at > usable { return false }
            }
            let bytes = capacity(at: offset)
            missing -= Self.records(in: bytes)
            offset += bytes
            group += 1
        }
        return true
    }

    /// Records go up to this segment: one that is ready is opened at the next write, but not when descriptors are short.
    var segmentsUsable: UInt64 { shortage == 0 ? supply.ready : openThrough }

    /// The disk has no room for further segments.
    public var isDiskFull: Bool { supply.isDiskFull }

    /// Errno of why there are no further segments at present: a full disk, or something that the system is short of. 0:
    /// nothing is in the way.
    public var segmentTrouble: CInt { shortage != 0 ? shortage : supply.hindrance }
    /// The same, to be read.
    public var segmentTroubleText: String { System.message(segmentTrouble) }

    /// False when there are no further segments at present, or the log is as long as positions can tell, and only the reserve
    /// for work already begun is left.
    public var admitsNewWork: Bool {
        if segment >= segmentForNewWorkMax { return false }
        guard segmentTrouble != 0 else { return true }
        let offset = isOpen ? slots[Self.slot(opened - 1)].offset + UInt64(SegmentFile.blockBytes) : nextOffset
        let ahead = segmentsUsable - min(segment, segmentsUsable)
        let bytes = segmentBytes - offset + ahead * (segmentBytes - UInt64(SegmentFile.blockBytes))
        let blocks = bytes / UInt64(SegmentFile.blockBytes)
        let reserve = UInt64(options.reserveRecords)
        // A shortage is over soon: of small segments those that are ready count, but for one.
        return blocks >= (isDiskFull ? reserve : min(reserve, segmentBytes / UInt64(SegmentFile.blockBytes)))
    }

    // MARK: Append

    /// Adds a record to the open group; nothing is written before `nextWrite`. `hasRoom` must have said yes.
    /// - Returns: Where the record will stand.
    /// - Complexity: O(1): a copy of 144 bytes; allocates nothing.
    @inlinable @inline(__always) @discardableResult
    public mutating func append(_ record: LogRecord) -> LogPosition {
        if roomInGroup == 0 { openGroup() }
        buffers.store(record, at: writeOffset)
        return placed()
    }

    /// The same for a record whose body is this transfer but for its timestamp; built in place.
    @inlinable @inline(__always) @discardableResult
    public mutating func append(
        _ kind: RecordKind, _ t: borrowing Transfer, timestamp: Timestamp, peer: ShardID = ShardID(0),
        reason: ResultCode = .created, sequence: UInt64 = 0
    ) -> LogPosition {
        if roomInGroup == 0 { openGroup() }
        let head =
            UInt64(kind.rawValue) | UInt64(peer.value) << 16 | UInt64(reason.rawValue) << 32
        buffers.store(head, at: writeOffset)
        buffers.store(sequence, at: writeOffset + LogRecord.sequenceOffset)
        buffers.store(copy t, at: writeOffset + LogRecord.bodyOffset)
        buffers.store(timestamp.nanoseconds, at: writeOffset + LogRecord.bytes - 8)
        return placed()
    }

    /// The same for up to four credits, whose numbers in the pair follow each other.
    /// - Parameter run: Its last `count` places are filled.
    @inlinable @inline(__always) @discardableResult
    public mutating func append(
        credits run: borrowing CreditRun, _ count: Int, peer: ShardID, sequence: UInt64
    ) -> LogPosition {
        if roomInGroup == 0 { openGroup() }
        let head =
            UInt64(RecordKind.credits.rawValue) | UInt64(peer.value) << 16
            | UInt64(truncatingIfNeeded: count) << 48
        buffers.store(head, at: writeOffset)
        buffers.store(sequence, at: writeOffset + LogRecord.sequenceOffset)
        buffers.store(copy run, at: writeOffset + LogRecord.bodyOffset)
        return placed()
    }

    @inlinable @inline(__always)
    mutating func placed() -> LogPosition {
        let position = LogPosition(logOffset >> 4)
        writeOffset &+= LogRecord.bytes
        logOffset &+= UInt64(LogRecord.bytes)
        roomInGroup &-= 1
        lastAppended.value &+= 1
        return position
    }

    @usableFromInline @inline(never)
    mutating func openGroup() {
        if isOpen { freeze() }
        invariant(opened < oldest + Self.bufferCount, "append without room: all buffers are in use")
        if nextOffset == segmentBytes {
            invariant(segment < segmentsUsable, "append without room: no segment is ready")
            segment += 1
            nextOffset = UInt64(SegmentFile.blockBytes)
            counters.segments += 1
            supply.use(segment)
        }
        let index = Self.slot(opened)
        invariant(slots[index].state == .free, "a buffer in use was opened")
        slots[index] = GroupSlot(
            segment: segment, offset: nextOffset, firstLSN: appended.value + 1, checksum: 0, count: 0, length: 0,
            written: 0, state: .open)
        roomInGroup = Self.records(in: capacity(at: nextOffset))
        writeOffset = index * Self.groupBytesMax + GroupHeader.bytes
        logOffset = segment * segmentBytes + nextOffset + UInt64(GroupHeader.bytes)
        opened += 1
        isOpen = true
    }

    /// Closes the open group for appends; its header is written when it goes out.
    mutating func freeze() {
        let index = Self.slot(opened - 1)
        let count = appended.value + 1 - slots[index].firstLSN
        let used = GroupHeader.bytes + Int(count) * LogRecord.bytes
        let block = SegmentFile.blockBytes
        let length = (used + block - 1) / block * block
        buffers.zero(index * Self.groupBytesMax + used, length - used)
        slots[index].count = UInt32(count)
        slots[index].length = UInt32(length)
        slots[index].state = .frozen
        nextOffset += UInt64(length)
        roomInGroup = 0
        isOpen = false
    }

    // MARK: Idle

    /// The log knows more to be durable than any of its headers says: worth an empty group when nothing else is to do.
    public var wantsIdleGroup: Bool {
        headerDurable < durable && durable == appended && writesInFlight == 0 && !isOpen && !idleRequested
            && unsent == opened && failure == nil && hasRoom(records: 1)
    }

    /// Records wait to be written, fewer than a write that goes out beside others has.
    public var mayGather: Bool {
        isOpen && unsent + 1 == opened && writeOffset - Self.slot(unsent) * Self.groupBytesMax < options.earlyWriteBytes
    }

    /// Lets `nextWrite` put out an empty group that carries the durable LSN and the clock ceiling; when records are
    /// waiting, their group carries them instead.
    public mutating func sealIdle() {
        if !isOpen && unsent == opened && hasRoom(records: 1) { idleRequested = true }
    }

    // MARK: Places

    @inline(__always) static func slot(_ group: UInt64) -> Int { Int(group % bufferCount) }
    @inline(__always) static func file(_ segment: UInt64) -> Int { Int(segment % openSegmentsMax) }
    static func records(in bytes: UInt64) -> Int { (Int(bytes) - GroupHeader.bytes) / LogRecord.bytes }
    /// Bytes of the longest group that can begin at an offset.
    func capacity(at offset: UInt64) -> UInt64 { min(UInt64(Self.groupBytesMax), segmentBytes - offset) }
}
