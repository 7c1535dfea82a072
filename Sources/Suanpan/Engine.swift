// The embedding API: an engine in the caller's process. Builds the cores, hands calls to them, stops them.

internal import CSuanpanSupport
internal import Glibc
public import SuanpanCore
internal import SuanpanFront
internal import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLedger
internal import SuanpanShard
internal import SuanpanWire
internal import Synchronization

/// A sharded, durable ledger. Calls come from any thread or task, suspend, and never block a thread.
///
///     let engine = try Engine(.init(dataDirectory: "data", shards: 4))
///     let results = try await engine.createTransfers([...])
///     try await engine.close()
///
/// A call is finished within the engine: cancelling its task does not end it, and its results are given all the same. What
/// `close` finds under way is finished within 10 seconds or throws `interrupted`.
public final class Engine: Sendable {
    public let configuration: EngineConfiguration
    let routing: Routing
    private let bells: [Doorbell]
    private let callers: [CallerLane]
    let control: EngineControl
    let hold: EngineHold
    private let board: StatusBoard
    let history: HistoryDesk
    private let resources: Mutex<EngineResources>
    private let isClosing = Atomic<Bool>(false)
    let time: EngineTime?
    /// The cores have ended and the directory is free.
    private let hasEnded = Atomic<Bool>(false)
    /// What the start found.
    public let started: EngineStart

    /// Calls under way; one more throws `busy`.
    public static let callsMax = 4096

    /// Opens the data directory, replays its logs and starts one thread per shard. Blocks meanwhile; clients of its doors are
    /// answered `loading`.
    /// - Parameter progress: Tells how far the start is, and can cancel it.
    /// - Throws: `EngineError` with what is wrong and what to do; nothing was changed in a directory that is refused.
    public convenience init(_ configuration: EngineConfiguration, progress: StartProgress? = nil) throws(EngineError) {
        try self.init(configuration, progress: progress, fileLimit: nil)
    }

    /// - Parameter fileLimit: Files that this process may open, where they are the engine's alone.
    init(_ configuration: EngineConfiguration, progress: StartProgress?, fileLimit: Int?) throws(EngineError) {
        let begun = suanpan_monotonic_ns()
        let progress = (progress ?? StartProgress()).replay
        self.configuration = configuration
        let ground = try EngineGround(configuration, progress, fileLimit: fileLimit)
        let count = ground.shards
        routing = ground.box.directory.routing
        let facts = ground.facts(configuration, begun: begun)
        board = StatusBoard(coreCount: count, facts: facts, progress: progress)
        callers = (0..<count).map { _ in CallerLane() }
        control = EngineControl(coreCount: count, callsMax: Self.callsMax)
        let lanes: LaneTable
        do throws(SystemError) {
            bells = try (0..<count).map { (_) throws(SystemError) in try Doorbell() }
            let directories = (0..<count).map { ground.box.directory.shard(ShardID($0)) }
            history = try HistoryDesk(routing: routing, shards: directories, callers: callers, bells: bells)
            lanes = try LaneTable(coreCount: count)
        } catch {
            ground.sockets.close()
            throw .system(error)
        }
        hold = EngineHold(ground, callers: callers, history: history, control: control)

        progress.begin(shards: count)
        let door = LoadingThread(
            ground.sockets, configuration, connectionsMax: ground.files.connectionsMax, board, progress)
        let connections = ConnectionCounts(coreCount: count, connectionsMax: ground.files.connectionsMax)
        let replies = ReplyBudget(bytesMax: facts.replyLimitBytes)
        let cuts = CutBoard()
        let barrier = StartBarrier(count: count, progress: progress)
        let start = StartBox(coreCount: count)
        let key = HashKey.random()
        var setups: [CoreSetup] = []
        for i in 0..<count {
            let id = ShardID(i)
            let setup = CoreSetup(
                id: id, cpu: ground.claims.cpus.isEmpty ? nil : ground.claims.cpus[i], configuration: configuration,
                directory: ground.box.directory.shard(id),
                wasEverAsynchronous: ground.box.directory.wasEverAsynchronous, supply: ground.preparer.supply(id),
                routing: routing, key: key, memoryBytes: ground.plan.tableBytes / count,
                frontBounds: ground.plan.frontBounds, bells: bells, callers: callers, replies: replies, board: board,
                history: history, control: control,
                barrier: barrier, progress: progress, start: start, controlLanes: lanes.control, cuts: cuts,
                tables: lanes.tables, requestLanes: lanes.requests,
                nativeListener: i == 0 ? ground.sockets.nativeFD : -1,
                respListener: i == 0 ? ground.sockets.respFD : -1, connections: connections, hold: hold)
            setups.append(setup)
        }
        let threads = Self.startThreads(setups, history)
        while start.state.withLock({ $0.readyCount < count && $0.failure == nil }) { suanpan_sleep_microseconds(500) }
        if let first = start.state.withLock({ $0.failure }) {
            // The other cores may have reasons of their own, told when they have ended.
            withExtendedLifetime(lanes) { for thread in threads.cores { thread.join() } }
            _ = door?.end()
            _ = control.gate.close()
            let failure = start.state.withLock { $0.failure } ?? first
            let why = start.state.withLock(\.lacksMemory) ? ground.lackOfMemory(progress) ?? failure : failure
            hold.release()
            threads.reader?.join()
            throw ground.box.directory.explain(why)
        }
        ground.box.directory.settle()
        progress.finish()
        openDoors(for: door?.end() ?? [], connections, callers, bells)
        let elapsed = (suanpan_monotonic_ns() - begun) / 1_000_000
        board.setRecovered(elapsed)
        started = EngineStart(configuration, ground, start, milliseconds: elapsed)
        time = start.state.withLock { $0.time }
        resources = Mutex(EngineResources(lanes: lanes, threads: threads))
    }

    /// Starts all threads. Where the system has too few, those that have started are told, and end.
    private static func startThreads(_ setups: [CoreSetup], _ history: HistoryDesk) -> EngineThreads {
        var threads = EngineThreads()
        do throws(SystemError) {
            let first = setups[0]
            threads.reader = try SystemThread.start { HistoryThread.run(history) { first.fail($0) } }
            for setup in setups { threads.cores.append(try SystemThread.start { CoreThread.run(setup) }) }
        } catch {
            setups[0].start.state.withLock { $0.fail(.system(error), of: nil) }
            setups[0].barrier.fail(.system(error))
        }
        return threads
    }

    /// An engine that nobody holds any more closes, blocking: its cores work in memory that goes with it.
    deinit { closeBlocking() }

    /// The machine's clock is right, however far it has jumped ahead: the engine follows it. Holds whose time is over by it
    /// expire.
    /// - Returns: False: it is not ahead, or beyond the year 2400.
    @discardableResult
    public func followClock() -> Bool {
        time?.accept() ?? false
    }

    /// Takes no more calls, finishes those under way, then stops: every answered call is durable. Later calls throw
    /// `closed`. Whoever comes second waits for the first.
    public func close() async throws(EngineError) {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let body: @Sendable () -> Void = {
                self.closeBlocking()
                continuation.resume()
            }
            // Where the system has no thread left, this one must do: a close always returns.
            do throws(SystemError) { try SystemThread.start(body).detach() } catch { body() }
        }
    }

    /// The same, blocking the calling thread: for a server's main thread.
    public func closeBlocking() { closeBlocking(withinSeconds: 10) }

    /// - Parameter seconds: For everything under way; what is left then throws `interrupted`.
    func closeBlocking(withinSeconds seconds: UInt64) {
        guard !isClosing.exchange(true, ordering: .acquiringAndReleasing) else {
            // Acquire: pairs with the release below.
            while !hasEnded.load(ordering: .acquiring) { suanpan_sleep_microseconds(500) }
            return
        }
        _ = control.gate.close()
        control.stop(withinSeconds: seconds)
        for bell in bells { bell.ring() }
        resources.withLock { held in
            // No core ends while a call is under way, unless the time is over or the engine has failed. What they work on
            // goes after them.
            for thread in held.threads.cores { thread.join() }
            hold.release()
            held.threads.reader?.join()
        }
        hasEnded.store(true, ordering: .releasing)
    }

    // MARK: Calls

    /// Creates transfers; one result per event, in order. Docs/Semantics.md lists the refusals.
    /// - Parameter transfers: 1 to 8190.
    /// - Throws: `busy` when too many calls are under way and `closed` (nothing was executed), `interrupted`,
    ///   `configuration`.
    public func createTransfers(_ transfers: [Transfer]) async throws(EngineError) -> [EventResult] {
        let call = try await run(.createTransfers, transfers) { $0.debitAccountID }
        return (0..<transfers.count).map { call.result($0) }
    }

    /// Creates accounts; one result per event, in order.
    public func createAccounts(_ accounts: [Account]) async throws(EngineError) -> [EventResult] {
        let call = try await run(.createAccounts, accounts.map(\.bits)) { AccountID($0.id.value) }
        return (0..<accounts.count).map { call.result($0) }
    }

    /// The accounts with these ids, in order; nil: unknown. Each is durable and waits for what is undecided on it.
    /// - Parameter consistent: All as of one moment, however many shards they live in.
    public func accounts(_ ids: [AccountID], consistent: Bool = false) async throws(EngineError) -> [Account?] {
        let keys = ids.map { Shard.readKey($0) }
        let call =
            consistent && ids.count > 1
            ? try await cut(.consistentAccounts, keys) : try await run(.lookupAccounts, keys) { $0.debitAccountID }
        return (0..<ids.count).map { call.result($0).isCreated ? Account(bits: call.event($0)) : nil }
    }

    /// The sums over all accounts, by ledger, ascending: every transfer up to their timestamp, and no later one. Debits equal
    /// credits, or the engine takes no more writes (`unbalanced`).
    public func totals() async throws(EngineError) -> [LedgerTotals] {
        try await cut(.totals, [Shard.readKey(AccountID(0))]).totals
    }

    /// The transfers with these debit accounts and ids, in order; nil: unknown.
    public func transfers(_ ids: [(debit: AccountID, id: TransferID)]) async throws(EngineError) -> [Transfer?] {
        let keys = ids.map { key in
            var record = Shard.readKey(key.debit)
            record.id = key.id
            return record
        }
        let call = try await run(.lookupTransfers, keys) { $0.debitAccountID }
        return (0..<ids.count).map { call.result($0).isCreated ? call.event($0) : nil }
    }

    /// Stops payments: refuses new debits, new credits or both of an account from now on, until `unfreeze`. Pending
    /// transfers can still be voided, and expire.
    /// - Returns: `created` with its timestamp, or why not.
    public func freeze(
        _ account: AccountID, debits: Bool = true, credits: Bool = true
    ) async throws(EngineError) -> EventResult {
        try await freeze(account, Self.sides(debits, credits), lifting: false)
    }

    /// Lifts the freeze of these sides.
    public func unfreeze(
        _ account: AccountID, debits: Bool = true, credits: Bool = true
    ) async throws(EngineError) -> EventResult {
        try await freeze(account, Self.sides(debits, credits), lifting: true)
    }

    private static func sides(_ debits: Bool, _ credits: Bool) -> AccountFlags {
        (debits ? AccountFlags.debitsFrozen : []).union(credits ? .creditsFrozen : [])
    }

    private func freeze(
        _ account: AccountID, _ sides: AccountFlags, lifting: Bool
    ) async throws(EngineError) -> EventResult {
        let bad = FreezeItem(account, sides).refusalByRequest()
        guard bad == .created else { return EventResult(bad) }
        let key = Shard.freezeKey(account, sides, lifting: lifting)
        return try await run(.freezeAccounts, [key]) { $0.debitAccountID }.result(0)
    }

    /// The shard that owns an account: for callers that keep what belongs together in one call.
    public func shard(of account: AccountID) -> ShardID { routing.shard(of: account) }

    /// INFO's text, for an embedder's own status page.
    public func info(section: String? = nil) -> String { board.info(sections: section.map { [$0] } ?? []) }

    private func run(
        _ kind: CallKind, _ events: [Transfer], account: (Transfer) -> AccountID
    ) async throws(EngineError) -> Call {
        var indices = [[UInt32]](repeating: [], count: routing.shardCount)
        var target = 0
        var isLinked = false
        for (i, event) in events.enumerated() {
            // A chain goes whole to the shard of its first event.
            if !isLinked { target = routing.shard(of: account(event)).index }
            indices[target].append(UInt32(i))
            isLinked = (kind == .createTransfers || kind == .createAccounts) && event.flags.contains(.linked)
        }
        return try await run(kind, events, parts: indices)
    }

    /// - Parameter parts: By shard: the indices of its events.
    private func run(_ kind: CallKind, _ events: [Transfer], parts: [[UInt32]]) async throws(EngineError) -> Call {
        guard !control.gate.isClosed else { throw failure ?? .closed }
        if kind.writes && board.isBroken { throw .unbalanced }
        guard events.count <= Limits.eventsPerRequestMax else {
            throw .configuration("\(events.count) events in one call: at most \(Limits.eventsPerRequestMax)")
        }
        let count = parts.count { !$0.isEmpty }
        guard count > 0 else { return Call(kind: kind, events: [], parts: 1) {} }
        try control.enter()
        let ended = await decide(kind, events, parts, parts: count)
        if ended.isAbandoned { throw control.outcomeUnknown }
        return ended
    }

    /// A call that a consistent cut answers: whole to the core that takes them.
    private func cut(_ kind: CallKind, _ keys: [Transfer]) async throws(EngineError) -> Call {
        try await run(kind, keys, parts: [Array(0..<UInt32(keys.count))])
    }

    /// Hands a call that has entered the gate to its shards; it leaves when it has ended.
    func decide(_ kind: CallKind, _ events: [Transfer], _ indices: [[UInt32]], parts: Int) async -> Call {
        let gate = control.gate
        let ended: Call = await withCheckedContinuation { continuation in
            let holder = CallHolder()
            // Runs on a core, so it must not hold the engine, whose end waits for that core.
            let call = Call(kind: kind, events: events, parts: parts) {
                gate.leave()
                continuation.resume(returning: holder.take())
            }
            holder.put(call)
            for (shard, list) in indices.enumerated() where !list.isEmpty {
                callers[shard].push(CallPart(call: call, indices: list))
                bells[shard].ring()
            }
        }
        ended.observeEnd()
        return ended
    }
}

/// What an engine found when it started.
public struct EngineStart: Sendable {
    public let shards: Int
    public let accounts: Int
    public let transfers: UInt64
    /// Crossing transfers that a crash had left decided and not credited: credited now.
    public let redone: Int
    /// Size of the log segments: a directory keeps the one that it was made with.
    public let segmentBytes: Int
    /// What was cut off the logs' ends, as text.
    public let cuts: [String]
    /// What is not as it was asked for, as text.
    public let notes: [String]
    public let recoveredMilliseconds: UInt64
    /// The wall clock stands so far behind the ledger's last timestamp: it was set back.
    public let clockBehindSeconds: UInt64
    /// It stood so far ahead of it: so long the ledger was away.
    public let awaySeconds: UInt64
    public let native: Endpoint?
    public let resp: Endpoint?

    init(_ configuration: EngineConfiguration, _ ground: EngineGround, _ start: StartBox, milliseconds: UInt64) {
        let found = start.state.withLock { $0 }
        shards = ground.shards
        accounts = found.accounts
        transfers = found.transfers
        redone = found.redone
        segmentBytes = ground.box.directory.segmentBytes
        cuts = found.cuts
        notes = ground.notes(configuration)
        recoveredMilliseconds = milliseconds
        clockBehindSeconds = found.time?.secondsAhead() ?? 0
        awaySeconds = found.time?.awaySeconds ?? 0
        native = configuration.native.map { Endpoint(host: $0.host, port: ground.sockets.nativePort) }
        resp = configuration.resp.map { Endpoint(host: $0.host, port: ground.sockets.respPort) }
    }
}

/// Gives a call to its own completion, which is made before it.
private final class CallHolder: Sendable {
    private let call = Mutex<Call?>(nil)
    func put(_ call: Call) { self.call.withLock { $0 = call } }
    func take() -> Call {
        call.withLock { held in
            guard let taken = held else { SuanpanCore.stop("a call ended before it began") }
            held = nil
            return taken
        }
    }
}

/// The engine's threads, as far as they have started.
struct EngineThreads: Sendable {
    var cores: [SystemThread] = []
    var reader: SystemThread?
}

/// What must outlive the cores.
struct EngineResources: Sendable {
    let lanes: LaneTable
    let threads: EngineThreads
}
