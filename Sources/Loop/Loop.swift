// One core's turns, in an engine and in a simulation alike: the shard, the lanes, and what the host gives them. The order,
// each turn:
//
//     1  completions      what the kernel has done: log writes, received bytes, sends, the bell
//     2  control lanes    protocol of other shards, results for our front, new connections
//     3  advance, release votes, commits and replies that the log has made durable
//     4  requests         of other cores, of embedding callers, of our connections
//     5  settle, cuts     whatever has become possible meanwhile
//     6  log              hand filled groups to the disk
//     7  flush            make messages visible, ring bells
//
// Nothing is answered in the turn that appended it unless its log was already durable. What comes behind a turn, entering
// the kernel or sleeping in it, is the host's; `hasMore` and `pause` say which.
//
// Owned by the core's thread. The bodies are inlinable, so that the engine has them made for its own host: a step that it
// always takes costs nothing.

public import SuanpanCore
public import SuanpanFront
public import SuanpanJournal
public import SuanpanLanes
public import SuanpanShard
public import SuanpanUring

public struct Loop<Host: LoopHost & ~Copyable>: ~Copyable {
    public let id: ShardID
    public let coreCount: Int
    public var shard: Shard
    public var host: Host
    /// By core: lanes towards us.
    public let controlIn: FixedArray<Lane>
    public let requestsIn: FixedArray<Lane>
    public let callers: CallerLane
    /// The turn's time, monotonic nanoseconds.
    public var now: UInt64 = 0

    /// By core: the first request waiting was turned away in this turn.
    public var requestsStalled = FixedArray<Bool>(count: Limits.shardsMax)
    /// Some connection must be looked at again soon, whatever happens.
    public var isOwing = false

    /// When each write under way was submitted, by its token.
    @usableFromInline var writeStarted = FixedArray<UInt64>(count: 64)
    @usableFromInline var syncToken: UInt64 = 0
    /// When records were first left to be written later; 0: none are.
    @usableFromInline var gatheringSince: UInt64 = 0
    #if SUANPAN_FAILPOINTS
        /// The rule that a test has switched off.
        public var fault: LoopFault?
    #endif

    @inlinable static var messagesPerLane: Int { 1024 }
    /// Messages looked ahead at together.
    @inlinable static var messagesAhead: Int { 32 }
    /// So many requests under way are many small ones: the next turn is better late and full.
    @inlinable public static var crowd: Int { 8 }
    /// Quiet for so long, a core writes an empty group that proves its last ones durable.
    @inlinable public static var idleGroupAfter: UInt64 { 2_000_000 }

    /// - Parameters:
    ///   - controlIn: By core: the lane towards this one; likewise `requestsIn`.
    public init(
        id: ShardID, coreCount: Int, shard: consuming Shard, host: consuming Host,
        controlIn: consuming FixedArray<Lane>, requestsIn: consuming FixedArray<Lane>, callers: CallerLane
    ) {
        self.id = id
        self.coreCount = coreCount
        self.shard = shard
        self.host = host
        self.controlIn = controlIn
        self.requestsIn = requestsIn
        self.callers = callers
    }

    // MARK: A turn

    /// - Returns: True when something had come in.
    @inlinable
    public mutating func turn() throws(CoreError) -> Bool {
        observeTime()
        var progress = try takeCompletions()
        if try drainControl() { progress = true }
        try settle()
        if host.opens(.advance) { shard.advance() }
        // A reply waits until the clock has passed every timestamp given out.
        if host.opens(.release),
            host.time(at: host.monotonicNow()) >= shard.clock.now || isFaulty(.releaseBeforeClock)
        {
            host.release(&shard)
        }
        if try drainRequests() { progress = true }
        if takeCallers() { progress = true }
        if progress && host.opens(.wakeStalled) { host.wakeStalled() }
        if host.opens(.work) {
            do throws(JournalError) { try host.work(&shard, now: now) } catch { throw .journal(error) }
        }
        try settle()
        if host.opens(.cuts) { workCuts() }
        if host.opens(.log) { try writeLog() }
        if host.opens(.flush) { flush() }
        isOwing = host.sweep(now: now)
        return progress
    }

    /// Reads the clock: whatever this core has taken in by now was sent before it.
    @inlinable
    mutating func observeTime() {
        now = host.monotonicNow()
        host.beginTurn(now)
        // The clock is read before the look and taken over after it: a cut is seen before its moment has passed here.
        let clock = host.time(at: now)
        if host.opens(.joinCut) { shard.joinCut() }
        shard.clock.observe(clock)
    }

    @inlinable
    mutating func settle() throws(CoreError) {
        guard host.opens(.settle) else { return }
        do throws(JournalError) { try shard.settle() } catch { throw .journal(error) }
    }

    // MARK: 1 Completions

    @inlinable
    public mutating func takeCompletions() throws(CoreError) -> Bool {
        var any = false
        while let completion = host.nextCompletion() {
            any = true
            let (kind, number) = TokenKind.split(completion.token)
            switch kind {
            case .journalWrite:
                try complete(number, completion.result)
                host.noteWrite(nanoseconds: now &- writeStarted[Int(number & 63)])
            case .journalSync: try complete(syncToken, completion.result)
            case let kind?: host.completed(completion, kind, number)
            case nil: SuanpanCore.stop("a completion with token \(completion.token)")
            }
        }
        return any
    }

    @inlinable
    mutating func complete(_ token: UInt64, _ result: Int32) throws(CoreError) {
        do throws(JournalError) { _ = try shard.journal.completed(token: token, result: result) } catch {
            throw .journal(error)
        }
    }

    // MARK: 2 Control lanes

    // Do not rename: Perf/ finds it by this symbol.
    @inlinable @inline(never)
    mutating func drainControl() throws(CoreError) -> Bool {
        var any = false
        for k in 0..<coreCount {
            let core = host.peer(k, of: coreCount)
            if core == id.index { continue }
            let lane = controlIn[core]
            var left = host.share(of: Self.messagesPerLane, .controlLane)
            while left > 0 && lane.peek() != nil {
                let run = host.share(of: min(left, Self.messagesAhead), .run)
                if host.opens(.lookAhead) { lookAhead(lane, run) }
                let taken = takeMessages(lane, run)
                if taken > 0 { any = true }
                // Decided while what was looked ahead at is still near.
                try settle()
                if taken < run { break }
                left -= taken
            }
            lane.release()
        }
        return any
    }

    /// Asks for the memory that the next `run` messages of a lane will touch.
    @inlinable
    mutating func lookAhead(_ lane: Lane, _ run: Int) {
        var cells = 0
        var count = 0
        while count < run, let message = lane.peek(ahead: cells) {
            shard.lookAhead(count, message)
            cells += message.hasRecord ? Lane.recordCells : Lane.headCells
            count += 1
        }
        for k in 0..<count { shard.lookCloser(k) }
        for k in 0..<count { shard.lookClosest(k) }
    }

    /// Handles up to `count` messages; fewer when the lane is empty or the log has no room.
    @inlinable
    mutating func takeMessages(_ lane: Lane, _ count: Int) -> Int {
        for taken in 0..<count {
            guard let message = lane.peek(), host.admits(message) else { return taken }
            switch message.kind {
            case .result: host.receiveResult(message)
            case .record: host.receiveRecord(message, lane.peekRecord().value)
            case .adopt: host.adopt(message)
            default:
                guard shard.canReceive else { return taken }
                shard.receive(message)
            }
            lane.take(message)
        }
        return count
    }

    // MARK: 4 Requests of other cores

    // Do not rename: Perf/ finds it by this symbol.
    @inlinable @inline(never)
    mutating func drainRequests() throws(CoreError) -> Bool {
        var any = false
        for k in 0..<coreCount {
            let core = host.peer(k, of: coreCount)
            if core == id.index { continue }
            requestsStalled[core] = false
            var left = host.share(of: Self.messagesPerLane, .requestLane)
            let lane = requestsIn[core]
            var sentAt: UInt64 = 0
            while left > 0 && lane.peek() != nil {
                let taken = try takeRequests(lane, core, host.share(of: min(left, Shard.stagedMax), .run), &sentAt)
                if taken > 0 { any = true }
                if taken == 0 || requestsStalled[core] { break }
                left -= taken
            }
            lane.release()
        }
        return any
    }

    /// Hands in a run of up to `most` messages, which the shard looks ahead at; a chain's go together. Every message on a
    /// request lane carries a record.
    @inlinable
    mutating func takeRequests(
        _ lane: Lane, _ core: Int, _ most: Int, _ sentAt: inout UInt64
    ) throws(CoreError) -> Int {
        var run = 0
        while run < most, let t = lane.peekRecord(ahead: run) {
            shard.stage(run, t.value)
            run += 1
        }
        shard.lookAhead(staged: run)
        // Before their senders' clocks are taken over.
        if host.opens(.joinCut) { shard.joinCut() }
        var k = 0
        while k < run, let message = lane.peek(), host.admits(message) {
            if message.time != sentAt {
                sentAt = message.time
                // It may have come in after this turn began: its timestamp is later than its sending all the same.
                shard.clock.observe(host.time(at: sentAt))
                host.noteQueueing(nanoseconds: now > sentAt ? now - sentAt : 0)
            }
            let taken: Int
            do throws(JournalError) {
                taken = try Front.serve(message, lane, staged: k, &shard)
            } catch { throw .journal(error) }
            guard taken > 0 else {
                requestsStalled[core] = true
                break
            }
            for _ in 0..<taken { lane.take(message) }
            k += taken
        }
        return k
    }

    @inlinable
    mutating func takeCallers() -> Bool {
        guard !callers.isEmpty, host.opens(.callers) else { return false }
        for node in callers.takeAll() {
            if let question = node as? CutRequest { receive(question) } else { host.take(node) }
        }
        host.endCallers()
        observeTime()
        return true
    }

    // MARK: 6 Log

    @inlinable
    public mutating func writeLog() throws(CoreError) {
        if gathers() { return }
        shard.journal.hurries = host.requestsUnderWay < Self.crowd
        do throws(JournalError) {
            while let write = try shard.journal.nextWrite(clockCeiling: shard.clock.now) {
                writeStarted[Int(write.token & 63)] = now
                host.write(write)
            }
        } catch { throw .journal(error) }
        if let sync = shard.journal.nextSync() {
            syncToken = sync.token
            host.sync(sync)
        }
    }

    /// True while the records that wait to be written may go on waiting: for others, which saves a flush of the device.
    @inlinable
    mutating func gathers() -> Bool {
        guard shard.journal.mayGather, !shard.awaitsLog, !host.awaitsLog, !host.isStopping else {
            gatheringSince = 0
            return false
        }
        if gatheringSince == 0 { gatheringSince = now }
        if now &- gatheringSince < host.gatherTime { return true }
        gatheringSince = 0
        return false
    }

    // MARK: 7 Messages out

    @inlinable
    mutating func flush() {
        shard.flush { host.wake($0) }
        host.flush()
    }
}
