// What a simulation gives a core's loop in place of CoreHost: dice for a gate, a disk whose writes complete in any order, in
// part or not at all, the simulation's time, and a real front, or the simulation that stands in for one.

import SuanpanCore
import SuanpanFront
import SuanpanJournal
import SuanpanLanes
import SuanpanLoop
import SuanpanShard
import SuanpanUring

#if canImport(Glibc)
    import Glibc
#endif

/// Called by the loop in the middle of a turn, while the loop is being changed: it must not reach for any core's loop by way
/// of the simulation, only for what stands beside them.
struct SimulatedCore: ~Copyable, LoopHost {
    private unowned let simulation: Simulation
    let id: Int
    /// nil: the simulation stands in for the front.
    let entrance: Entrance?
    /// Not completed.
    var writes: [WriteCommand] = []
    /// No write completes before this step.
    private var diskWakes = 0

    // Of this turn.
    private var isWhole = false
    /// How many completions it sees, of writes and of the ring.
    private var writesLeft = 0
    private var ringLeft = 0
    private var order: [Int] = []
    private var takesRequests = false
    private var mayCrash = false
    /// What has ended the turn early: a crash, or a failure of the harness. No further step is taken.
    private(set) var interruption: (any Error)?
    /// It was completed with an error, which must end the loop.
    private(set) var failedWrite: WriteCommand?

    init(_ simulation: Simulation, _ id: Int, _ entrance: Entrance?) {
        self.simulation = simulation
        self.id = id
        self.entrance = entrance
    }

    // MARK: Between turns

    /// Draws what a turn does.
    /// - Parameter isWhole: All that it can.
    mutating func begin(isWhole: Bool) {
        self.isWhole = isWhole
        order = simulation.dice.shuffled(Array(0..<simulation.shardCount))
        if !isWhole && chance(1) { diskWakes = simulation.step + simulation.dice.between(20, 200) }
        writesLeft = 0
        if isWhole {
            writesLeft = writes.count
        } else if simulation.step >= diskWakes && chance(simulation.isDiskSlow ? 4 : 70) {
            writesLeft = simulation.dice.between(0, writes.count)
        }
        ringLeft = isWhole ? .max : simulation.dice.pick([0, 1, 2, .max, .max])
        takesRequests = some(70)
        mayCrash = true
    }

    /// Outside of turns: the next look at completions sees all writes, and nothing else.
    mutating func completeWrites() {
        mayCrash = false
        isWhole = true
        writesLeft = writes.count
        ringLeft = 0
    }

    func submit() throws { try entrance?.ring.submit(poll: true) }

    // MARK: Clock

    func monotonicNow() -> UInt64 { simulation.time }
    func time(at monotonic: UInt64) -> UInt64 { monotonic }

    // MARK: Gate

    private func chance(_ percent: Int) -> Bool { simulation.dice.chance(percent) }
    private func some(_ percent: Int) -> Bool { isWhole || chance(percent) }

    /// False where the turn has ended: before any of its steps, and before any message, all memory may be lost.
    private mutating func goesOn() -> Bool {
        if interruption != nil { return false }
        guard mayCrash && simulation.crashesLeft > 0 && simulation.dice.below(4000) == 0 else { return true }
        interruption = Crash()
        return false
    }

    mutating func opens(_ step: LoopStep) -> Bool {
        guard goesOn() else { return false }
        switch step {
        case .joinCut: return isWhole || !chance(simulation.cutMisses)
        case .controlLane, .requestLane, .run: return true
        case .lookAhead: return chance(30)
        case .settle, .advance, .release, .cuts: return !simulation.isWild || some(60)
        case .callers, .work: return takesRequests
        case .wakeStalled, .log: return some(70)
        case .flush: return some(80)
        }
    }

    mutating func share(of most: Int, _ step: LoopStep) -> Int {
        switch step {
        case .run: return simulation.cutsRuns ? min(most, simulation.dice.pick([1, 2, 5, most])) : most
        case .controlLane:
            guard goesOn(), some(simulation.isLaneSlow ? 5 : 60) else { return 0 }
            return isWhole ? most : min(most, simulation.dice.pick([1, 1, 2, 3, 1000]))
        case .requestLane:
            guard goesOn(), takesRequests, some(70) else { return 0 }
            return isWhole ? most : min(most, simulation.dice.pick([1, 1, 2, 4, 1000]))
        default: return most
        }
    }

    mutating func peer(_ k: Int, of count: Int) -> Int { order[k] }

    mutating func admits(_ message: Message) -> Bool {
        guard goesOn() else { return false }
        simulation.trace("core \(id) gets \(message.kind) of slot \(message.slot) from \(message.from)")
        return true
    }

    // MARK: Disk

    var gatherTime: UInt64 { simulation.gatherTime }
    var isStopping: Bool { false }

    mutating func write(_ write: WriteCommand) { writes.append(write) }
    mutating func sync(_ sync: SyncCommand) { stop("a sync, where writes are durable when they complete") }

    /// Writes in any order; then what the kernel has done for the front: all of it, or some of what came first.
    mutating func nextCompletion() -> Completion? {
        guard goesOn() else { return nil }
        if writesLeft > 0 && failedWrite == nil {
            writesLeft -= 1
            do { return try completeWrite() } catch {
                interruption = error
                return nil
            }
        }
        guard ringLeft > 0, let completion = entrance?.ring.nextCompletion() else { return nil }
        ringLeft -= 1
        return completion
    }

    /// The disk finishes one write, or only the first blocks of it, or fails.
    private mutating func completeWrite() throws -> Completion {
        let write = writes.remove(at: simulation.dice.below(writes.count))
        let token = TokenKind.journalWrite.token(write.token)
        if simulation.isDiskFaulty && !isWhole && simulation.dice.below(150) == 0 {
            return Completion(token: token, result: fail(write))
        }
        let blocks = write.length / 4096
        if blocks > 1 && chance(50) {
            let some = simulation.dice.between(1, blocks - 1)
            try simulation.put(write, 0..<some * 4096)
            simulation.coverage.shortWrites += 1
            return Completion(token: token, result: Int32(some * 4096))
        }
        try simulation.put(write)
        return Completion(token: token, result: Int32(write.length))
    }

    private mutating func fail(_ write: WriteCommand) -> Int32 {
        simulation.coverage.diskErrors += 1
        let result = simulation.dice.pick([-EIO, -ENOSPC, Int32(simulation.dice.below(4096))])
        simulation.trace("a write of \(write.length) bytes gives \(result)")
        if simulation.options.harnessFault == .ignoreFailedWrite { return Int32(write.length) }
        failedWrite = write
        return result
    }

    // MARK: The front

    mutating func beginTurn(_ now: UInt64) { entrance?.front.beginTurn(now) }

    mutating func completed(_ completion: Completion, _ kind: TokenKind, _ number: UInt64) {
        guard let entrance else { return }
        switch kind {
        case .receive: entrance.front.received(completion, connection: number, ring: &entrance.ring)
        case .send: entrance.front.sent(completion, connection: number)
        default: break
        }
    }

    mutating func receiveResult(_ message: Message) { entrance?.front.receiveResult(message) }
    mutating func receiveRecord(_ message: Message, _ record: Transfer) {
        entrance?.front.receiveRecord(message, record)
    }
    mutating func adopt(_ message: Message) { entrance?.adopt(message) }

    mutating func release(_ shard: inout Shard) {
        if let entrance { entrance.front.release(&shard) } else { simulation.release(&shard) }
    }

    func canRelease(_ shard: borrowing Shard) -> Bool {
        if let entrance { return entrance.front.canRelease(shard) }
        return !shard.answers.isEmpty && shard.answers.first.lsn <= shard.released
    }

    mutating func take(_ node: CallerNode) { stop("a call, where nobody calls") }
    mutating func endCallers() {}
    mutating func noteQueueing(nanoseconds: UInt64) {}
    mutating func noteWrite(nanoseconds: UInt64) {}
    var hasStalled: Bool { entrance?.front.hasStalled ?? false }
    mutating func wakeStalled() { entrance?.front.wakeStalled() }
    var hasWork: Bool { entrance?.front.hasWork ?? false }
    var requestsUnderWay: Int {
        max(entrance?.front.requestsUnderWay ?? 0, simulation.isCrowded ? Loop<SimulatedCore>.crowd : 0)
    }
    var awaitsLog: Bool { entrance?.front.awaitsLog ?? false }

    mutating func work(_ shard: inout Shard, now: UInt64) throws(JournalError) {
        guard let entrance else { return try simulation.serve(id, &shard, isWhole: isWhole) }
        try entrance.front.work(
            &shard, ring: &entrance.ring, now: now, eventsMax: isWhole ? 1024 : simulation.dice.pick([1, 3, 1024]))
    }

    mutating func takeCutRequests() -> [CutRequest] { entrance?.front.takeCutRequests() ?? [] }

    mutating func receive(_ answered: CutRequest) {
        if let entrance { return entrance.front.receive(answered) }
        guard let event = answered.request.map(Int.init), let answer = answered.answer else { return }
        simulation.answered(event, .cut(answer.accounts, answer.totals))
    }

    mutating func note(_ answered: CutRequest) { simulation.coverage.cuts += 1 }

    func pass(_ node: CutRequest, to core: Int) { simulation.callers[core].push(node) }
    mutating func flush() { entrance?.front.flush { _ in } }
    /// Nobody sleeps: a core has its turn when the dice say so.
    func wake(_ core: Int) {}
    mutating func sweep(now: UInt64) -> Bool { interruption == nil && entrance?.front.sweep(now: now) == true }
}
