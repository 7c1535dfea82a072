// A core's thread from its first instruction to its last: pin, replay, agree with the other shards, run.

internal import CSuanpanNuma
internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLedger
internal import SuanpanLoop
internal import SuanpanShard
internal import SuanpanUring
internal import Synchronization

/// What the cores tell each other while they start.
struct StartState: Sendable {
    /// By shard; nil: not replayed yet.
    var facts: [ReplayFacts?]
    /// By shard: nothing behind this LSN counts (async directories whose shards must agree).
    var limits: [LSN?]
    var mustReplay: [Bool]
    var ceiling: UInt64 = 0
    var accounts: Int { facts.reduce(0) { $0 + ($1?.accounts ?? 0) } }
    var transfers: UInt64 { facts.reduce(0) { $0 + ($1?.transfers ?? 0) } }
    var redone = 0
    var cuts: [String] = []
    var time: EngineTime?
    var readyCount = 0
    /// Why the engine can't start: of several shards' reasons the first one's, whoever came first.
    var failure: EngineError?
    var failedShard = Int.max
    /// Some ledger's tables were full when its replay failed.
    var lacksMemory = false

    /// - Parameter shard: Whose reason it is; nil: nobody's own.
    mutating func fail(_ error: EngineError, of shard: ShardID?) {
        let shard = shard?.index ?? Int.max
        guard failure == nil || shard < failedShard else { return }
        failure = error
        failedShard = shard
    }
}

/// Everything a core is built from. The engine keeps what it points to alive until all cores have ended.
struct CoreSetup: Sendable {
    let id: ShardID
    let cpu: Int?
    let configuration: EngineConfiguration
    let directory: ShardDirectory
    let wasEverAsynchronous: Bool
    let supply: SegmentSupply
    let routing: Routing
    let key: HashKey
    let memoryBytes: Int
    let frontBounds: FrontBounds
    let bells: [Doorbell]
    let callers: [CallerLane]
    let replies: ReplyBudget
    let board: StatusBoard
    let history: HistoryDesk
    let control: EngineControl
    let barrier: StartBarrier
    let progress: ReplayProgress
    let start: StartBox
    /// [from][to]
    let controlLanes: [[Lane?]]
    let cuts: CutBoard
    let tables: [TransferTable]
    let requestLanes: [[Lane?]]
    let nativeListener: CInt
    let respListener: CInt
    let connections: ConnectionCounts
    let hold: EngineHold

    /// This core can't start: the others, who wait for it or will, end too.
    func endStart(_ error: EngineError) {
        start.state.withLock { $0.fail(error, of: id) }
        barrier.fail(error)
    }

    /// Ends the engine, and nothing else: see `EngineEnd`.
    func fail(_ why: String) {
        control.fail(.failed(why))
        for bell in bells { bell.ring() }
    }
}

/// The state that the starting cores share, behind a lock.
final class StartBox: Sendable {
    let state: Mutex<StartState>
    init(coreCount: Int) {
        state = Mutex(
            StartState(
                facts: Array(repeating: nil, count: coreCount), limits: Array(repeating: nil, count: coreCount),
                mustReplay: Array(repeating: false, count: coreCount)))
    }

    /// The engine's time source: the first core that asks makes it.
    func time(_ ceiling: UInt64, _ configuration: EngineConfiguration) throws(EngineError) -> EngineTime {
        try state.withLock { s throws(EngineError) in
            if let time = s.time { return time }
            let time = try EngineTime(
                ceiling: ceiling, policy: configuration.clock, jumpMaxSeconds: configuration.clockJumpMaxSeconds)
            s.time = time
            return time
        }
    }
}

enum CoreThread {
    /// The thread's body. Fails the engine when the core fails after it has started to serve.
    static func run(_ setup: CoreSetup) {
        if !serve(setup) { return }
        // The core's own memory and files have gone.
        if setup.control.coreEnds() && setup.control.hasFailed { setup.hold.release() }
    }

    /// Returns false when the engine could not start.
    private static func serve(_ setup: CoreSetup) -> Bool {
        unsafe suanpan_name_thread("suanpan-\(setup.id.value)")
        let pages = PageThread(cpu: setup.cpu, memoryBytes: setup.memoryBytes)
        defer { pages?.stop() }
        if let cpu = setup.cpu { _ = suanpan_pin_to_cpu(CInt(cpu)) }
        // Memory of this thread comes from its own node, whatever the process was started with.
        if numa_available() >= 0 { numa_set_localalloc() }
        defer { MemoryReserve.end() }
        do throws(EngineError) {
            try takeReserve(setup)
            var loop = try make(setup, pages?.stock)
            MemoryReserve.keep(MemoryReserve.turnBytes)
            setup.start.state.withLock { $0.readyCount += 1 }
            do throws(CoreError) { try loop.run() } catch {
                // Fail stop: nothing more is answered.
                setup.fail("shard \(setup.id.value): \(error)")
            }
            invariant(setup.control.isStopping, "shard \(setup.id.value) ended while the engine serves")
            end(loop, setup.control)
            return true
        } catch {
            // Somebody could not start, and every core ends: the engine tells why.
            setup.start.state.withLock { $0.fail(error, of: nil) }
            return false
        }
    }

    /// Cores read each other's chains and lanes: none frees its own before all have left.
    private static func end(_ loop: consuming CoreLoop, _ control: EngineControl) {
        let isDone = loop.leave()
        if !isDone { control.noteWritesLeft() }
        control.meet(1)
        loop.flushLast()
        control.meet(2)
        loop.closeAdopted()
        guard !isDone else { return }
        // SAFETY: never freed: the kernel may still read its buffers, and writes where they say.
        unsafe UnsafeMutablePointer<CoreLoop>.allocate(capacity: 1).initialize(to: loop)
    }

    // MARK: Starting

    private static func takeReserve(_ setup: CoreSetup) throws(EngineError) {
        let bytes = MemoryPlan.reserveBytes(shards: setup.routing.shardCount)
        do throws(SystemError) { try MemoryReserve.begin(bytes, for: "shard \(setup.id.value)") } catch {
            setup.endStart(.system(error))
            throw .system(error)
        }
    }

    /// - Throws: When the machine did not give what was just built from.
    private static func checkMemory(_ setup: CoreSetup, _ what: String) throws(EngineError) {
        do throws(SystemError) { try MemoryReserve.check("\(what) of shard \(setup.id.value)") } catch {
            throw .system(error)
        }
    }

    private static func make(_ setup: CoreSetup, _ stock: PageStock?) throws(EngineError) -> CoreLoop {
        var replayed: ReplaySummary
        var replay: LedgerReplay
        do throws(EngineError) {
            replay = newReplay(setup, stock)
            replayed = try run(setup, &replay, upTo: nil)
            publish(setup, replay, replayed)
        } catch {
            setup.endStart(error)
            throw error
        }
        // Round after round until the shards agree on what counts; one round unless an async directory lost power.
        while true {
            try setup.barrier.wait()
            do throws(EngineError) { try judge(setup, replay) } catch {
                setup.endStart(error)
                throw error
            }
            try setup.barrier.wait()
            let limit = setup.start.state.withLock { $0.mustReplay[setup.id.index] ? $0.limits[setup.id.index] : nil }
            let again = setup.start.state.withLock { $0.mustReplay.contains(true) }
            guard again else { break }
            try setup.barrier.wait()
            if let limit {
                do throws(EngineError) {
                    replay = newReplay(setup, stock)
                    replayed = try run(setup, &replay, upTo: limit)
                    publish(setup, replay, replayed)
                } catch {
                    setup.endStart(error)
                    throw error
                }
            }
        }
        let loop: CoreLoop
        do throws(EngineError) { loop = try build(setup, replay, replayed) } catch {
            setup.endStart(error)
            throw error
        }
        try setup.barrier.wait()
        return loop
    }

    private static func newReplay(_ setup: CoreSetup, _ stock: PageStock?) -> LedgerReplay {
        LedgerReplay(
            id: setup.id, routing: setup.routing, key: setup.key, memoryBytes: setup.memoryBytes,
            stock: stock)
    }

    private static func run(
        _ setup: CoreSetup, _ replay: inout LedgerReplay, upTo limit: LSN?
    ) throws(EngineError) -> ReplaySummary {
        try checkMemory(setup, "the ledger")
        do throws(JournalError) {
            let summary = try Recovery.replay(
                setup.directory, upTo: limit, progress: setup.progress, into: &replay)
            try replay.finish()
            return summary
        } catch {
            if case .invalidArgument = error, !replay.ledger.hasRoomForAccount() || !replay.ledger.hasRoomForPending() {
                setup.start.state.withLock { $0.lacksMemory = true }
            }
            throw EngineError(starting: error)
        }
    }

    private static func publish(_ setup: CoreSetup, _ replay: borrowing LedgerReplay, _ replayed: ReplaySummary) {
        let facts = ReplayFacts(replay, replayed)
        setup.start.state.withLock { s in
            let i = setup.id.index
            s.facts[i] = facts
            s.mustReplay[i] = false
            s.ceiling = max(s.ceiling, replayed.clockCeiling)
            if let cut = replayed.cut, replayed.lastLSN.value > 0 || cut.bytes > 0 {
                s.cuts.append(
                    "shard \(i): cut \(counted(cut.bytes, "byte")) behind LSN \(replayed.lastLSN.value) (\(cut.path))")
            }
        }
    }

    /// Compares this shard's log with those of the others, and notes where it must end.
    private static func judge(_ setup: CoreSetup, _ replay: borrowing LedgerReplay) throws(EngineError) {
        let i = setup.id.index
        let all = setup.start.state.withLock { $0.facts.compactMap(\.self) }
        let found = try Agreement.lastLSN(
            of: replay, setup.id, among: all, wasEverAsynchronous: setup.wasEverAsynchronous)
        setup.start.state.withLock { s in
            if let found {
                s.limits[i] = found
                s.mustReplay[i] = true
            }
        }
    }

    // MARK: Building

    private static func build(
        _ setup: CoreSetup, _ replay: consuming LedgerReplay, _ replayed: ReplaySummary
    ) throws(EngineError) -> CoreLoop {
        let i = setup.id.index
        let (facts, ceiling) = setup.start.state.withLock { ($0.facts.compactMap(\.self), $0.ceiling) }
        let all = facts.map(\.pairs)
        let time = try setup.start.time(ceiling, setup.configuration)
        var options = JournalOptions()
        options.smallWritesInFlightMax = 1
        options.earlyWriteBytes = 512 << 10
        options.durability = setup.configuration.durability == .sync ? .sync : .async
        var ring: Ring
        var journal: Journal
        do throws(RingError) { ring = try Ring() } catch { throw .ring(error) }
        do throws(JournalError) {
            journal = try Journal(setup.directory, after: replayed, supply: setup.supply, options: options)
        } catch { throw .journal(error) }
        try checkMemory(setup, "the log")
        // Opening has made durable what was replayed of this log. Only when that is so of all logs may a credit be
        // appended: after a kill a decision can be readable and not yet on the disk, and a credit that survives the next
        // power cut without its decision is money from nowhere.
        try setup.barrier.wait()

        // Redo: decisions that are durable at their coordinator and not here.
        // All decisions of ours are applied at their peers when every shard has come this far.
        var pairs = all[i]
        let missing: [LogRecord]
        do throws(JournalError) {
            missing = try replay.missingCredits(pairs: all, decisions: facts.map(\.decisions))
        } catch { throw .journal(error) }
        for record in missing {
            if setup.progress.isCancelled { throw .cancelled }
            do throws(JournalError) { try replay.checkPlace(for: record) } catch { throw .journal(error) }
            let position = try append(record, &journal, &ring, ceiling)
            let wrong = replay.apply(record, lsn: journal.appended, position: position)
            if let wrong { throw .inconsistent("shard \(i), redo of decision \(record.sequence): \(wrong)") }
            pairs[record.peer.index].applied = record.sequence
        }
        try flush(&journal, &ring, ceiling)
        let (accounts, transfers) = (replay.ledger.accountCount, replay.ledger.transferCount)
        setup.start.state.withLock {
            $0.redone += missing.count
            // What was credited now counts: legs of chains and accounts of theirs that another shard has decided.
            $0.facts[i]?.accounts = accounts
            $0.facts[i]?.transfers = transfers
        }

        setup.board.set(i, .transfersBefore, transfers)

        let clock = HybridClock(
            shard: setup.id, shardCount: setup.routing.shardCount, after: Timestamp(ceiling))
        let front: Front
        do throws(RingError) {
            front = try Front(
                core: setup.id,
                configuration: FrontConfiguration(
                    routing: setup.routing, password: Array((setup.configuration.password ?? "").utf8),
                    connections: setup.connections,
                    progressTimeoutNanoseconds: setup.configuration.progressTimeoutNanoseconds,
                    replies: setup.replies, board: setup.board, history: setup.history),
                ring: &ring, requestLanes: setup.requestLanes[i], controlLanes: setup.controlLanes[i],
                bounds: setup.frontBounds)
        } catch { throw .ring(error) }
        try checkMemory(setup, "the connections")
        var shard = Shard(
            id: setup.id, routing: setup.routing, ledger: replay.intoLedger(), journal: journal, clock: clock,
            lanes: setup.controlLanes[i], tables: setup.tables, pairs: pairs, cuts: setup.cuts)
        #if SUANPAN_FAILPOINTS
            shard.fault = Fault.armed
        #endif
        shard.noteRedone(missing.count)
        front.begin(shard)
        let shared = CoreShared(
            coreCount: setup.routing.shardCount, time: time, board: setup.board, bells: setup.bells,
            callers: setup.callers, control: setup.control)
        let host = CoreHost(
            shared: shared, ring: ring, front: front, bell: setup.bells[i], nativeListener: setup.nativeListener,
            respListener: setup.respListener)
        let loop = Loop(
            id: setup.id, coreCount: setup.routing.shardCount, shard: shard, host: host,
            controlIn: incoming(setup.controlLanes, i), requestsIn: incoming(setup.requestLanes, i),
            callers: setup.callers[i])
        try checkMemory(setup, "the tables of what is under way")
        return CoreLoop(loop, shared)
    }

    private static func incoming(_ lanes: [[Lane?]], _ i: Int) -> FixedArray<Lane> {
        var table = FixedArray<Lane>(count: lanes.count)
        for from in 0..<lanes.count { if let lane = lanes[from][i] { table[from] = lane } }
        return table
    }

    /// Appends while starting: waits for room.
    private static func append(
        _ record: LogRecord, _ journal: inout Journal, _ ring: inout Ring, _ ceiling: UInt64
    ) throws(EngineError) -> LogPosition {
        while !journal.hasRoom(records: 1) { try drive(&journal, &ring, ceiling) }
        return journal.append(record)
    }

    /// Makes everything appended durable.
    private static func flush(_ journal: inout Journal, _ ring: inout Ring, _ ceiling: UInt64) throws(EngineError) {
        while journal.durable < journal.appended { try drive(&journal, &ring, ceiling) }
    }

    private static func drive(_ journal: inout Journal, _ ring: inout Ring, _ ceiling: UInt64) throws(EngineError) {
        var sync: UInt64 = 0
        do throws(JournalError) {
            while let write = try journal.nextWrite(clockCeiling: ceiling) {
                // SAFETY: the journal keeps the group in place until its completion.
                unsafe ring.write(
                    write.fd, from: write.address, length: write.length, offset: write.offset,
                    token: TokenKind.journalWrite.token(write.token))
            }
            if let command = journal.nextSync() {
                sync = command.token
                ring.syncData(command.fd, token: TokenKind.journalSync.token())
            }
        } catch { throw .journal(error) }
        do throws(RingError) { try ring.submitAndWait(timeoutNanoseconds: 10_000_000) } catch { throw .ring(error) }
        while let completion = ring.nextCompletion() {
            let (kind, number) = TokenKind.split(completion.token)
            do throws(JournalError) {
                _ = try journal.completed(token: kind == .journalSync ? sync : number, result: completion.result)
            } catch { throw .journal(error) }
        }
    }
}
