// One core: a pinned thread with one io_uring, its shard and its front. The loop's order, each turn:
//
//     1  completions      what the kernel has done: log writes, received bytes, sends, the bell
//     2  control lanes    protocol of other shards, results for our front, new connections
//     3  advance, release votes, commits and replies that the log has made durable
//     4  requests         of other cores, of embedding callers, of our connections
//     5  settle           whatever has become possible meanwhile
//     6  log              hand filled groups to the disk
//     7  flush, submit    make messages visible, ring bells, enter the kernel; sleep when nothing is left
//
// Nothing is answered in the turn that appended it unless its log was already durable.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanShard
internal import SuanpanUring

/// What all cores of an engine share. Immutable but for atomics.
struct CoreShared: Sendable {
    let coreCount: Int
    let time: EngineTime
    let board: StatusBoard
    let bells: [Doorbell]
    let callers: [CallerLane]
    let control: EngineControl
}

struct CoreLoop: ~Copyable {
    let id: ShardID
    let shared: CoreShared
    var ring: Ring
    var shard: Shard
    var front: Front
    /// By core: lanes towards us.
    let controlIn: FixedArray<Lane>
    let requestsIn: FixedArray<Lane>
    let bell: Doorbell
    let callers: CallerLane
    var bellWord = RawRegion(count: 64)

    /// By core: the first request waiting was turned away in this turn.
    var requestsStalled = FixedArray<Bool>(count: Limits.shardsMax)

    /// When each write under way was submitted, by its token.
    var writeStarted = FixedArray<UInt64>(count: 64)
    var syncToken: UInt64 = 0
    var syncTimes = DurationHistogram()
    /// From the turn in which another core pushed requests to theirs here.
    var queueing = DurationHistogram()
    /// Nanoseconds in which some connection waited for room.
    var backpressure: UInt64 = 0
    var now: UInt64 = 0
    var publishedAt: UInt64 = 0
    var publishedTransfers: UInt64 = 0
    var ticks: UInt64 = 0
    var sleeps: UInt64 = 0
    /// A shortage was said and not yet its end.
    var saidShortage = false
    var saidMemory = false
    var nativeListener: CInt = -1
    var respListener: CInt = -1
    /// A door whose last accept failed is tried again at this time.
    var nativePaused = false
    var respPaused = false
    var acceptAgainAt: UInt64 = .max
    /// When records were first left to be written later; 0: none are.
    var gatheringSince: UInt64 = 0

    static var messagesPerLane: Int { 1024 }
    /// Messages looked ahead at together.
    static var messagesAhead: Int { 32 }
    /// Quiet for so long, a core writes an empty group that proves its last ones durable.
    static var idleGroupAfter: UInt64 { 2_000_000 }
    /// Records that nobody waits for are written after so long, or with others: a flush of the device less.
    static var gatherTime: UInt64 { 1_000_000 }
    /// So many requests under way are many small ones: the next turn is better late and full.
    static var crowd: Int { 8 }
    static var publishEvery: UInt64 { 200_000_000 }
    static var acceptPause: UInt64 { 100_000_000 }

    // MARK: The loop

    /// Runs until the engine stops or has failed; `leave` comes after. Throws what ends the engine.
    // Do not rename: Perf/ finds the loop by this symbol.
    @inline(never)
    mutating func run() throws(CoreError) {
        armBell()
        while true {
            ticks += 1
            let before = now
            observeTime()
            if front.hasStalled { backpressure += now &- before }
            var progress = try takeCompletions()
            if try drainControl() { progress = true }
            try journal { (shard) throws(JournalError) in try shard.settle() }
            shard.advance()
            // A reply waits until the clock has passed every timestamp given out.
            if shared.time.at(suanpan_monotonic_ns()) >= shard.clock.now { front.release(&shard) }
            if try drainRequests() { progress = true }
            if !callers.isEmpty {
                for node in callers.takeAll() {
                    if let question = node as? CutRequest {
                        receive(question)
                    } else if !front.take(node), node is OpenDoors {
                        openDoors()
                    }
                }
                front.adoptArrivals(ring: &ring)
                observeTime()
                progress = true
            }
            if progress { front.wakeStalled() }
            try work()
            workCuts()
            try writeLog()
            flush()
            let owing = front.sweep(now: now)
            if now > acceptAgainAt { acceptAgain() }
            if now &- publishedAt > Self.publishEvery { publish() }
            if MemoryReserve.isUsed { try failForMemory() }
            if shared.control.isStopping, try stop() { return }
            if progress || front.hasWork || hasReleasable || shard.hasWork || shard.hasCutWork {
                try submit(poll: true)
            } else {
                try sleep(owing: owing || acceptAgainAt != .max)
            }
        }
    }

    /// Reads the clock: whatever this core has taken in by now was sent before it.
    private mutating func observeTime() {
        now = suanpan_monotonic_ns()
        front.beginTurn(now)
        // The clock is read before the look and taken over after it: a cut is seen before its moment has passed here.
        let clock = shared.time.at(now)
        shard.joinCut()
        shard.clock.observe(clock)
    }

    /// Answers that need not wait for the disk.
    private var hasReleasable: Bool { front.canRelease(shard) }

    private mutating func work() throws(CoreError) {
        do throws(JournalError) {
            try front.work(&shard, ring: &ring, now: now, eventsMax: Front.eventsPerTurn)
            try shard.settle()
        } catch { throw .journal(error) }
    }

    private mutating func journal(_ body: (inout Shard) throws(JournalError) -> Void) throws(CoreError) {
        do throws(JournalError) { try body(&shard) } catch { throw .journal(error) }
    }

    /// What was decided is applied, with memory of the reserve: there may be none for what comes next.
    private func failForMemory() throws(CoreError) {
        do throws(SystemError) { try MemoryReserve.check("what is decided") } catch { throw .system(error) }
    }

    // MARK: 1 Completions

    private mutating func takeCompletions() throws(CoreError) -> Bool {
        var any = false
        while let completion = ring.nextCompletion() {
            any = true
            let (kind, number) = TokenKind.split(completion.token)
            switch kind {
            case .journalWrite:
                try journal { (shard) throws(JournalError) in
                    _ = try shard.journal.completed(token: number, result: completion.result)
                }
                syncTimes.record(now &- writeStarted[Int(number & 63)])
            case .journalSync:
                let token = syncToken
                try journal { (shard) throws(JournalError) in
                    _ = try shard.journal.completed(token: token, result: completion.result)
                }
            case .acceptNative: accepted(completion, .native)
            case .acceptRESP: accepted(completion, .resp)
            case .receive: front.received(completion, connection: number, ring: &ring)
            case .send: front.sent(completion, connection: number)
            case .bell: armBell()
            case .cancel: break
            case nil: SuanpanCore.stop("a completion with token \(completion.token)")
            }
        }
        return any
    }

    private mutating func accepted(_ completion: Completion, _ door: Door) {
        if completion.result >= 0 { front.accepted(completion.result, door, ring: &ring) }
        guard !completion.hasMore, !shared.control.isStopping else { return }
        if completion.result >= 0 { return accept(door) }
        // Out of descriptors, for one: those who wait stay in the backlog; trying at once would spin.
        if door == .native { nativePaused = true } else { respPaused = true }
        acceptAgainAt = now &+ Self.acceptPause
    }

    /// The engine serves: connections are taken from now on.
    private mutating func openDoors() {
        if nativeListener >= 0 { accept(.native) }
        if respListener >= 0 { accept(.resp) }
    }

    private mutating func accept(_ door: Door) {
        let native = door == .native
        ring.acceptMultishot(
            native ? nativeListener : respListener, token: (native ? TokenKind.acceptNative : .acceptRESP).token())
    }

    private mutating func acceptAgain() {
        if nativePaused { accept(.native) }
        if respPaused { accept(.resp) }
        nativePaused = false
        respPaused = false
        acceptAgainAt = .max
    }

    private mutating func armBell() {
        // SAFETY: eight bytes of a region that lives as long as the ring.
        unsafe bellWord.withAddress { address in
            unsafe ring.read(bell.descriptor, into: address, length: 8, offset: .max, token: TokenKind.bell.token())
        }
    }

    // MARK: 2 Control lanes

    // Do not rename: Perf/ finds it by this symbol.
    @inline(never)
    private mutating func drainControl() throws(CoreError) -> Bool {
        var any = false
        for core in 0..<shared.coreCount where core != id.index {
            let lane = controlIn[core]
            var left = Self.messagesPerLane
            while left > 0 && lane.peek() != nil {
                lookAhead(lane)
                let run = min(left, Self.messagesAhead)
                let taken = takeMessages(lane, run)
                if taken > 0 { any = true }
                // Decided while what was looked ahead at is still near.
                try journal { (shard) throws(JournalError) in try shard.settle() }
                if taken < run { break }
                left -= taken
            }
            lane.release()
        }
        return any
    }

    /// Asks for the memory that the next messages of a lane will touch.
    private mutating func lookAhead(_ lane: Lane) {
        var cells = 0
        var count = 0
        while count < Self.messagesAhead, let message = lane.peek(ahead: cells) {
            shard.lookAhead(count, message)
            cells += message.hasRecord ? Lane.recordCells : Lane.headCells
            count += 1
        }
        for k in 0..<count { shard.lookCloser(k) }
        for k in 0..<count { shard.lookClosest(k) }
    }

    /// Handles up to `count` messages; fewer when the lane is empty or the log has no room.
    private mutating func takeMessages(_ lane: Lane, _ count: Int) -> Int {
        for taken in 0..<count {
            guard let message = lane.peek() else { return taken }
            switch message.kind {
            case .result: front.receiveResult(message)
            case .record: front.receiveRecord(message, lane.peekRecord().value)
            case .adopt:
                guard let door = Door(rawValue: message.operation) else {
                    SuanpanCore.stop("door \(message.operation)")
                }
                front.adopt(CInt(bitPattern: message.slot), door, ring: &ring, isDealt: true)
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
    @inline(never)
    private mutating func drainRequests() throws(CoreError) -> Bool {
        var any = false
        for core in 0..<shared.coreCount where core != id.index {
            let lane = requestsIn[core]
            var left = Self.messagesPerLane
            var isOpen = true
            var sentAt: UInt64 = 0
            requestsStalled[core] = false
            while isOpen && left > 0 && lane.peek() != nil {
                // In runs that the shard looks ahead at. Every message on this lane carries a record.
                var run = 0
                while run < Shard.stagedMax, let t = lane.peekRecord(ahead: run) {
                    shard.stage(run, t.value)
                    run += 1
                }
                shard.lookAhead(staged: run)
                // Before their senders' clocks are taken over.
                shard.joinCut()
                var k = 0
                while k < run, let message = lane.peek() {
                    if message.time != sentAt {
                        sentAt = message.time
                        // It may have come in after this turn began: its timestamp is later than its sending all the same.
                        shard.clock.observe(shared.time.at(sentAt))
                        queueing.record(now > sentAt ? now - sentAt : 0)
                    }
                    let taken: Int
                    do throws(JournalError) {
                        taken = try Front.serve(message, lane, staged: k, &shard)
                    } catch { throw .journal(error) }
                    isOpen = taken > 0
                    requestsStalled[core] = !isOpen
                    guard isOpen else { break }
                    for _ in 0..<taken { lane.take(message) }
                    any = true
                    k += taken
                    left -= taken
                }
            }
            lane.release()
        }
        return any
    }

    // MARK: 6 Log

    private mutating func writeLog() throws(CoreError) {
        if gathers() { return }
        shard.journal.hurries = front.requestsUnderWay < Self.crowd
        do throws(JournalError) {
            while let write = try shard.journal.nextWrite(clockCeiling: shard.clock.now) {
                writeStarted[Int(write.token & 63)] = now
                // SAFETY: the journal keeps the group in place until its completion.
                unsafe ring.write(
                    write.fd, from: write.address, length: write.length, offset: write.offset,
                    token: TokenKind.journalWrite.token(write.token))
            }
        } catch { throw .journal(error) }
        if let sync = shard.journal.nextSync() {
            syncToken = sync.token
            ring.syncData(sync.fd, token: TokenKind.journalSync.token())
        }
    }

    /// True while the records that wait to be written may go on waiting.
    private mutating func gathers() -> Bool {
        guard shard.journal.mayGather, !shard.awaitsLog, !front.awaitsLog, !shared.control.isStopping else {
            gatheringSince = 0
            return false
        }
        if gatheringSince == 0 { gatheringSince = now }
        if now &- gatheringSince < Self.gatherTime { return true }
        gatheringSince = 0
        return false
    }

    // MARK: 7 Messages out, sleep

    private mutating func flush() {
        shard.flush { shared.bells[$0].ring() }
        front.flush { shared.bells[$0].ring() }
    }

    private mutating func submit(poll: Bool) throws(CoreError) {
        do throws(RingError) { try ring.submit(poll: poll) } catch { throw .ring(error) }
    }

    /// Waits in the kernel for a completion or the bell. Costs nothing while there is nothing to do.
    /// - Parameter owing: Something must be looked at again soon, whatever happens.
    private mutating func sleep(owing: Bool) throws(CoreError) {
        bell.willSleep()
        // The second look: a message flushed before the flag was seen is found here; one after it rings.
        // What could not be taken in this turn for lack of room is no reason: only a completion or a message gives room.
        let blocked = !shard.canReceive
        for core in 0..<shared.coreCount where core != id.index {
            if (!controlIn[core].isEmpty && !blocked) || (!requestsIn[core].isEmpty && !requestsStalled[core]) {
                bell.didWake()
                return try submit(poll: true)
            }
        }
        if !callers.isEmpty {
            bell.didWake()
            return try submit(poll: true)
        }
        var timeout: UInt64?
        var isAnyStalled = front.hasStalled
        for core in 0..<shared.coreCount where requestsStalled[core] { isAnyStalled = true }
        if isAnyStalled || !shard.canReceive {
            // Room may come from a segment made ready, which rings no bell: look again soon.
            timeout = 5_000_000
            front.wakeStalled()
        } else if gatheringSince != 0 {
            timeout = Self.gatherTime
        } else if shard.journal.wantsIdleGroup {
            timeout = Self.idleGroupAfter
        } else if owing || shared.control.isStopping || shard.ledger.isShort || shard.journal.segmentTrouble != 0
            || shard.clock.now > shared.time.at(now)
        {
            timeout = shared.control.isStopping ? 1_000_000 : 100_000_000
        } else if owesAudit && publishedAt != 0 {
            timeout = Self.auditEvery
        } else if publishedAt != 0 {
            // Once more after the last activity, then no longer.
            publish()
            publishedAt = 0
        }
        if let expiry = shard.nextExpiry {
            let wall = shared.time.at(now)
            let left = expiry.nanoseconds > wall ? expiry.nanoseconds - wall + 1_000_000 : 1_000_000
            timeout = min(timeout ?? left, left)
        }
        if let due = front.nextAttempt {
            let left = due > now ? due - now : 1_000_000
            timeout = min(timeout ?? left, left)
        }
        sleeps += 1
        do throws(RingError) { try ring.submitAndWait(timeoutNanoseconds: timeout) } catch { throw .ring(error) }
        bell.didWake()
        if front.requestsUnderWay >= Self.crowd {
            // Whoever shares this CPU goes first: what it sends us comes as one lot, and is woken for and written once.
            sched_yield()
            try submit(poll: true)
        }
        let woke = suanpan_monotonic_ns()
        // The clock may have been set meanwhile.
        if woke &- now > Self.publishEvery { followClock() }
        if shard.journal.wantsIdleGroup && woke &- now >= Self.idleGroupAfter { shard.journal.sealIdle() }
    }

    // MARK: Stopping

    /// Drains; true when every core has nothing left, the time for it is over, or the engine has failed.
    private mutating func stop() throws(CoreError) -> Bool {
        if shared.control.hasFailed { return true }
        // Calls under way may still be on their way to any core.
        let idle =
            front.drainAll() && shared.control.gate.isEmpty && shard.isQuiet
            && shard.journal.durable == shard.journal.appended
        shared.control.setQuiet(id.index, idle)
        guard shared.control.allQuiet || shared.control.isOverdue() else { return false }
        if shard.journal.wantsIdleGroup {
            shard.journal.sealIdle()
            try writeLog()
        }
        while shard.journal.writesInFlight > 0 && !shared.control.isOverdue(grace: Self.lastWritesWait) {
            do throws(RingError) { try ring.submitAndWait(timeoutNanoseconds: 100_000_000) } catch {
                throw .ring(error)
            }
            _ = try takeCompletions()
        }
        publish()
        return true
    }
}

/// What ends a core, and with it the engine.
enum CoreError: Error, CustomStringConvertible {
    case journal(JournalError)
    case ring(RingError)
    case system(SystemError)

    var description: String {
        switch self {
        case .journal(let error): "\(error)"
        case .ring(let error): "\(error)"
        case .system(let error): "\(error)"
        }
    }
}
