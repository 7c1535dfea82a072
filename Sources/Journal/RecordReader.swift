// Single records from segment files. What is read back is believed only with the whole of its group: the group's header
// and the checksum over its records, as recovery checks them. A record has no checksum of its own, and a flipped bit in
// it would make a duplicate another transfer, or fake the answer to one.
//
// The group read last stays checked in memory, so that a batch sent again costs a read per group, not one per record.

public import SuanpanCore

/// Reads single records from segment files; keeps a few of them open. Any thread's own. Takes 1 MiB once it is used.
public struct RecordReader: ~Copyable {
    private let directory: ShardDirectory
    /// Holds the longest group, or all places where the header of a record's group can stand.
    private let window: PageBuffer
    private var files: FixedArray<OpenSegment>
    private var next = 0
    /// A descriptor that is given up for a file when there is none left.
    private var reserve: CInt = -1
    /// The part of a segment that the window holds.
    private var begin: UInt64 = 0
    private var end: UInt64 = 0
    /// The checked group in the window; nil: none.
    private var group: GroupHeader?

    /// Read before and behind a record at first: most groups lie within.
    private static var nearBytes: UInt64 { 32 << 10 }

    public init(_ directory: ShardDirectory) throws(JournalError) {
        // All that can fail comes before the first owner.
        window = try PageBuffer(bytes: GroupHeader.lengthMax + 2 * SegmentFile.blockBytes, for: directory.path)
        files = FixedArray(count: 8)
        self.directory = directory
    }

    /// Gives it a descriptor that it may close.
    mutating func take(reserve: CInt) { self.reserve = reserve }

    deinit {
        if reserve >= 0 { System.close(reserve) }
        for i in 0..<files.count where files[i].number != 0 { System.close(files[i].fd) }
    }

    /// The record at `offset` of a segment file that is durable there.
    /// - Throws: `damaged` where its group does not prove it; failed I/O.
    /// - Complexity: nothing is read when the group was the last one; else one to three direct reads, of 64 KiB for a
    ///   group of up to 32 KiB, of at most 2 MiB for the longest ones, and one checksum over the group.
    public mutating func read(segment: UInt64, offset: UInt64) throws(JournalError) -> LogRecord {
        if let group, group.segment == segment, group.holdsRecord(at: offset) {
            return window.load(LogRecord.self, at: Int(offset - begin))
        }
        group = nil
        guard offset % 16 == 0, offset >= UInt64(SegmentFile.blockBytes + GroupHeader.bytes),
            offset + UInt64(LogRecord.bytes) <= UInt64(directory.segmentBytes)
        else { throw damaged(.recordKind, segment, offset) }
        let header = try loadGroup(segment, offset)
        let computed = window.checksum(
            Int(header.offset - begin) + GroupHeader.bytes, Int(header.length) - GroupHeader.bytes)
        guard computed == header.payloadChecksum else {
            throw .damaged(
                Damage(
                    .payloadChecksum, path: directory.segmentPath(segment), offset: header.offset,
                    lsn: LSN(header.firstLSN), stored: header.payloadChecksum, computed: computed))
        }
        guard header.holdsRecord(at: offset) else { throw damaged(.recordKind, segment, offset) }
        group = header
        return window.load(LogRecord.self, at: Int(offset - begin))
    }

    // MARK: The group around a place

    /// Loads the whole group that holds `offset`, and returns its header.
    private mutating func loadGroup(_ segment: UInt64, _ offset: UInt64) throws(JournalError) -> GroupHeader {
        let block = UInt64(SegmentFile.blockBytes)
        let at = offset / block * block
        try load(segment, from: at - min(at - block, Self.nearBytes), to: at + Self.nearBytes)
        if findHeader(segment, before: offset) == nil {
            let back = UInt64(GroupHeader.lengthMax) - block
            try load(segment, from: at - min(at - block, back), to: at + block)
        }
        guard let header = findHeader(segment, before: offset),
            header.isPlausible(segmentBytes: directory.segmentBytes),
            offset < header.offset + UInt64(header.length)
        else { throw damaged(.headerUnreadable, segment, at) }
        if header.offset + UInt64(header.length) <= end { return header }
        try load(segment, from: header.offset, to: header.offset + UInt64(header.length))
        guard findHeader(segment, before: offset) == header else { throw damaged(.headerUnreadable, segment, at) }
        return header
    }

    /// The last header in the window that stands before a place. Within a group no other header stands: what lay there
    /// before was overwritten.
    private func findHeader(_ segment: UInt64, before offset: UInt64) -> GroupHeader? {
        let block = UInt64(SegmentFile.blockBytes)
        var at = (offset - UInt64(GroupHeader.bytes)) / block * block
        while at >= begin {
            if let header = GroupHeader.load(window, at: Int(at - begin), salt: directory.salt),
                header.isAt(directory.shard, segment, at)
            {
                return header
            }
            at -= block
        }
        return nil
    }

    private mutating func load(_ segment: UInt64, from: UInt64, to: UInt64) throws(JournalError) {
        let path = directory.segmentPath(segment)
        let fd = try file(segment, path: path)
        let length = Int(min(to, UInt64(directory.segmentBytes)) - from)
        // SAFETY: the window holds the longest group and two blocks; `loadGroup` asks for no more.
        let count = unsafe try System.read(fd, into: window.base, length: length, offset: from, path: path)
        guard count == length else { throw damaged(.segmentSize, segment, from) }
        begin = from
        end = from + UInt64(length)
    }

    private mutating func file(_ segment: UInt64, path: String) throws(JournalError) -> CInt {
        for i in 0..<files.count where files[i].number == segment { return files[i].fd }
        let fd = try open(path)
        // In turn: a file asked for again soon is still there.
        if files[next].number != 0 { System.close(files[next].fd) }
        files[next] = OpenSegment(number: segment, endGroup: 0, lastLSN: 0, fd: fd)
        next = (next + 1) % files.count
        return fd
    }

    /// Opens a file to read; where the process may open no more, in the place of those that are open here. Another thread may
    /// take that place first: then it is a shortage, to be tried again.
    private mutating func open(_ path: String) throws(JournalError) -> CInt {
        while true {
            do throws(JournalError) {
                return try directory.opening(path) { () throws(JournalError) in try System.open(path, direct: true) }
            } catch {
                guard error.isShortage, giveUpFile() else { throw error }
            }
        }
    }

    /// Closes the descriptor in reserve, or the file that was opened first. False: there is neither.
    private mutating func giveUpFile() -> Bool {
        if reserve >= 0 {
            System.close(reserve)
            reserve = -1
            return true
        }
        for k in 0..<files.count {
            let i = (next + k) % files.count
            if files[i].number == 0 { continue }
            System.close(files[i].fd)
            files[i] = OpenSegment(number: 0, endGroup: 0, lastLSN: 0, fd: 0)
            return true
        }
        return false
    }

    private func damaged(_ reason: DamageReason, _ segment: UInt64, _ offset: UInt64) -> JournalError {
        .damaged(Damage(reason, path: directory.segmentPath(segment), offset: offset))
    }
}

extension GroupHeader {
    /// One of the group's records begins at this byte of its file.
    fileprivate func holdsRecord(at place: UInt64) -> Bool {
        let first = offset + UInt64(Self.bytes)
        guard place >= first, (place - first) % UInt64(LogRecord.bytes) == 0 else { return false }
        return (place - first) / UInt64(LogRecord.bytes) < UInt64(count)
    }
}
