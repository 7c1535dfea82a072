// The journal's output side: which groups go to the disk when, and what their completions prove.

internal import SuanpanCore

extension Journal {
    /// The next write to submit, nil when there is none now. Call until nil, after each batch and each completion.
    ///
    /// A group goes out when fewer than `smallWritesInFlightMax` writes are under way (`hurriedWritesInFlightMax` where the
    /// journal `hurries` and the group is small), or when it is full or has reached `earlyWriteBytes`; never more than
    /// `writesInFlightMax` at once.
    /// - Parameter clockCeiling: Nanoseconds; above every timestamp given out until the next group.
    /// - Throws: What ended this journal: a failed write, sync or preparation. The shard must stop.
    /// - Complexity: O(bytes of the group) for its checksum; allocates nothing but when a segment begins.
    public mutating func nextWrite(clockCeiling: UInt64) throws(JournalError) -> WriteCommand? {
        if supply.ready > openThrough { try openAhead() }
        if unsent == opened && !idleRequested && shortWrites == 0 && failure == nil && supply.failure == 0 {
            return nil
        }
        try checkHealth()
        if shortWrites > 0 { return rewriteShort() }
        if writesInFlight >= options.writesInFlightMax { return nil }
        if unsent == opened {
            // Idle: an empty group of its own. It waits for its turn like a small one.
            if writesInFlight >= options.smallWritesInFlightMax || !hasRoom(records: 1) { return nil }
            openGroup()
        }
        let index = Self.slot(unsent)
        if slots[index].state == .open {
            let bytes = writeOffset - index * Self.groupBytesMax
            let isHurried = hurries && bytes <= options.hurriedBytes
            let most = isHurried ? options.hurriedWritesInFlightMax : options.smallWritesInFlightMax
            if writesInFlight >= most && bytes < options.earlyWriteBytes { return nil }
        }
        guard let fd = try openFile(slots[index].segment) else { return nil }
        if slots[index].state == .open { freeze() }
        idleRequested = false
        sealHeader(index, clockCeiling: clockCeiling)
        let group = unsent
        unsent += 1
        newestSent = slots[index].segment
        let file = Self.file(newestSent)
        files[file].endGroup = unsent
        files[file].lastLSN = slots[index].firstLSN + UInt64(slots[index].count) - 1
        count(slots[index])
        return command(group, fd: fd)
    }

    /// Takes the result of a write or a sync: bytes, 0 for a sync, or −errno.
    /// - Throws: On any failure; the journal is over, nothing of its unacknowledged records may be answered.
    @discardableResult
    public mutating func completed(token: UInt64, result: Int32) throws(JournalError) -> CompletedWrite {
        if token >= Self.syncToken { return try completedSync(token: token, result: result) }
        let index = Self.slot(token)
        invariant(token >= oldest && token < unsent && slots[index].state == .inFlight, "completion of no write")
        writesInFlight -= 1
        let slot = slots[index]
        if System.isShortage(-result) {
            // Nothing of it was written: it goes out again.
            slots[index].state = .short
            shortWrites += 1
            counters.shortWrites += 1
            return CompletedWrite()
        }
        if result < 0 { throw fail(.io(.write, errno: -result, path: directory.segmentPath(slot.segment))) }
        let written = slot.written + UInt32(result)
        if written < slot.length {
            // Whole blocks count: direct writes go on at a block.
            let whole = written / UInt32(SegmentFile.blockBytes) * UInt32(SegmentFile.blockBytes)
            if whole == slot.written {
                throw fail(.io(.write, errno: System.inputOutput, path: directory.segmentPath(slot.segment)))
            }
            slots[index].written = whole
            slots[index].state = .short
            shortWrites += 1
            counters.shortWrites += 1
            return CompletedWrite()
        }
        invariant(written == slot.length, "a write of \(slot.length) bytes wrote \(written)")
        slots[index].state = .complete
        advance()
        return CompletedWrite(records: Int(slot.count), bytes: Int(slot.length))
    }

    /// The next fdatasync to submit; nil in sync mode, and while one is under way or nothing waits for it.
    public mutating func nextSync() -> SyncCommand? {
        if options.durability == .sync || syncUnderway || syncedGroups == oldest || failure != nil { return nil }
        closeFiles()
        let file = files[Self.file(oldestFile)]
        invariant(file.number == oldestFile && file.endGroup > syncedGroups, "nothing to sync in segment \(oldestFile)")
        // Groups of one segment at a time; the newest completed one may be in a later segment.
        syncTargetGroups = min(oldest, file.endGroup)
        syncTargetLSN = syncTargetGroups == oldest ? acknowledged : LSN(file.lastLSN)
        syncUnderway = true
        syncCount += 1
        counters.syncs += 1
        return SyncCommand(
            token: Self.syncToken | (syncCount & (Self.syncToken - 1)), fd: file.fd, segment: file.number)
    }

    private mutating func completedSync(token: UInt64, result: Int32) throws(JournalError) -> CompletedWrite {
        invariant(
            syncUnderway && token == Self.syncToken | (syncCount & (Self.syncToken - 1)), "completion of no sync")
        syncUnderway = false
        // It did not begin; what it would have said of the disk is not lost.
        if System.isInterruption(-result) { return CompletedWrite() }
        if result < 0 {
            throw fail(.io(.sync, errno: -result, path: directory.segmentPath(oldestFile)))
        }
        syncedGroups = syncTargetGroups
        durable = syncTargetLSN
        closeFiles()
        return CompletedWrite()
    }

    /// Moves the acknowledged prefix over all groups that are complete.
    private mutating func advance() {
        while oldest < unsent {
            let index = Self.slot(oldest)
            if slots[index].state != .complete { break }
            acknowledged = LSN(slots[index].firstLSN + UInt64(slots[index].count) - 1)
            slots[index].state = .free
            oldest += 1
        }
        invariant(acknowledged <= appended, "acknowledged LSN passed the appended one")
        if options.durability == .sync {
            durable = acknowledged
            syncedGroups = oldest
        }
        if files[Self.file(oldestFile)].endGroup <= syncedGroups { closeFiles() }
    }

    private mutating func checkHealth() throws(JournalError) {
        if let failure { throw failure }
        let errno = supply.failure
        if errno != 0 {
            throw fail(.io(.prepare, errno: errno, path: directory.segmentPath(supply.ready + 1)))
        }
    }

    /// Ends this journal for what was found elsewhere: `nextWrite` throws it.
    public mutating func end(_ error: JournalError) { failure = failure ?? error }

    private mutating func fail(_ error: JournalError) -> JournalError {
        failure = error
        return error
    }

    // MARK: Writes

    private mutating func sealHeader(_ index: Int, clockCeiling: UInt64) {
        let slot = slots[index]
        let base = index * Self.groupBytesMax
        lastCeiling = max(lastCeiling, clockCeiling)
        var header = GroupHeader(
            shard: directory.shard.value,
            flags: (options.durability == .async ? GroupHeader.asynchronousFlag : 0)
                | (slot.count == 0 ? GroupHeader.idleFlag : 0),
            salt: directory.salt, segment: slot.segment, epoch: epoch, count: slot.count, firstLSN: slot.firstLSN,
            durable: durable.value, clockCeiling: lastCeiling, previousChecksum: lastChecksum,
            payloadChecksum: buffers.checksum(base + GroupHeader.bytes, Int(slot.length) - GroupHeader.bytes),
            length: slot.length, offset: slot.offset)
        header.headerChecksum = header.computedChecksum()
        invariant(header.isPlausible(segmentBytes: directory.segmentBytes), "a group header that recovery would refuse")
        buffers.store(header, at: base)
        lastChecksum = header.headerChecksum
        headerDurable = durable
        slots[index].checksum = header.headerChecksum
    }

    private mutating func command(_ group: UInt64, fd: CInt) -> WriteCommand {
        let index = Self.slot(group)
        slots[index].state = .inFlight
        writesInFlight += 1
        let slot = slots[index]
        // SAFETY: within the buffers' region: index < bufferCount, written < length ≤ groupBytesMax.
        return unsafe WriteCommand(
            token: group, fd: fd,
            address: UnsafeRawPointer(buffers.base + (index * Self.groupBytesMax + Int(slot.written))),
            length: Int(slot.length - slot.written), offset: slot.offset + UInt64(slot.written),
            segment: slot.segment, records: Int(slot.count))
    }

    private mutating func rewriteShort() -> WriteCommand? {
        for group in oldest..<unsent where slots[Self.slot(group)].state == .short {
            shortWrites -= 1
            return command(group, fd: files[Self.file(slots[Self.slot(group)].segment)].fd)
        }
        stop("a short write has no group")
    }

    private mutating func count(_ slot: GroupSlot) {
        counters.groups += 1
        counters.records += UInt64(slot.count)
        counters.bytes += UInt64(slot.length)
        if slot.count == 0 { counters.idleGroups += 1 }
    }

    // MARK: Files

    /// The descriptor of a segment; nil while there is none for it, or while its place in the table is held by one that is not
    /// synced yet.
    private mutating func openFile(_ number: UInt64) throws(JournalError) -> CInt? {
        if number > openThrough { try openAhead() }
        return number <= openThrough ? files[Self.file(number)].fd : nil
    }

    /// Opens the files of segments that are ready. One that the system has no descriptor for is tried again at the next
    /// write, and one whose place in the table is held by a segment that is not synced yet waits for it.
    mutating func openAhead() throws(JournalError) {
        while openThrough < supply.ready && openThrough < segment + Self.segmentsOpenAhead {
            let number = openThrough + 1
            if files[Self.file(number)].number != 0 { return }
            do throws(JournalError) {
                let fd = try directory.opening(directory.segmentPath(number)) { () throws(JournalError) in
                    try Self.open(directory, number, options.durability)
                }
                files[Self.file(number)] = OpenSegment(number: number, endGroup: 0, lastLSN: 0, fd: fd)
            } catch {
                guard case .io(_, let errno, _) = error, error.isShortage else { throw fail(error) }
                shortage = errno
                return
            }
            openThrough = number
        }
        shortage = 0
    }

    /// More than a preparer keeps ready; after an opening there may be some left over.
    private static var segmentsOpenAhead: UInt64 { 4 }

    /// Closes files behind the one being written whose groups are all synced.
    private mutating func closeFiles() {
        while true {
            let file = files[Self.file(oldestFile)]
            // It has got its last group.
            guard newestSent > oldestFile else { return }
            if file.number == oldestFile {
                guard file.endGroup <= syncedGroups else { return }
                System.close(file.fd)
                files[Self.file(oldestFile)] = OpenSegment(number: 0, endGroup: 0, lastLSN: 0, fd: 0)
            }
            oldestFile += 1
        }
    }
}
