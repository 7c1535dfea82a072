// Real shards, lanes and journals on one thread. What is left to chance in an engine is left to a seeded generator here:
// which core has its turn, how much of its work it does, which writes have completed, which messages have arrived, when
// clients ask for what, when all memory is lost and what the disk has kept. A turn keeps CoreLoop's order.

import Foundation
import SuanpanCore
import SuanpanJournal
import SuanpanLanes
import SuanpanLedger
import SuanpanShard

#if canImport(Glibc)
    import Glibc
#endif

/// SplitMix64: the same numbers for the same seed, for ever.
struct Dice {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678 }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
    mutating func between(_ a: Int, _ b: Int) -> Int { a + below(b - a + 1) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<T>(_ items: [T]) -> T { items[below(items.count)] }
    mutating func shuffled<T>(_ items: [T]) -> [T] {
        var items = items
        var i = items.count
        while i > 1 {
            let j = below(i)
            i -= 1
            items.swapAt(i, j)
        }
        return items
    }
}

/// What went wrong in a seed.
struct Failure: Error, CustomStringConvertible {
    let description: String
}

/// What the seeds have visited: a harness that visits nothing proves nothing.
struct Coverage {
    var seeds = 0, events = 0, crossings = 0, waits = 0, restarts = 0, crashes = 0, redone = 0
    var torn = 0, resolved = 0, stalls = 0, crashesInRedo = 0, undecided = 0, shortWrites = 0, segments = 0
    var codes: [UInt16: Int] = [:]

    mutating func add(_ other: Coverage) {
        seeds += other.seeds
        events += other.events
        crossings += other.crossings
        waits += other.waits
        restarts += other.restarts
        crashes += other.crashes
        redone += other.redone
        torn += other.torn
        resolved += other.resolved
        stalls += other.stalls
        crashesInRedo += other.crashesInRedo
        undecided += other.undecided
        shortWrites += other.shortWrites
        segments += other.segments
        codes.merge(other.codes, uniquingKeysWith: +)
    }

    var summary: String {
        "seeds \(seeds), events \(events), crossings \(crossings), waits \(waits), restarts \(restarts), "
            + "crashes \(crashes) (\(crashesInRedo) in redo), redone \(redone), torn groups \(torn), "
            + "lost answers found in the log \(resolved), stalls \(stalls), short writes \(shortWrites), "
            + "segments begun \(segments), searches given up \(undecided)\n  answers: "
            + codes.sorted { $0.key < $1.key }.map { "\(ResultCode(rawValue: $0.key)?.name ?? "?") \($0.value)" }
            .joined(separator: ", ")
    }
}

/// Rules of the harness's own part that a canary switches off.
enum HarnessFault: CaseIterable {
    /// Answers given at once leave before the log is durable.
    case answerAtOnceBeforeDurable
    case skipRedo
    /// Redo does not know what is applied.
    case redoAgain
}

struct SimulationOptions {
    var seed: UInt64
    /// nil: by the seed.
    var shards: Int?
    var rule = OrderRule.sharedAccounts
    var harnessFault: HarnessFault?
    #if SUANPAN_FAILPOINTS
        var fault: Fault?
    #endif
    var isTracing = false
    var crashes: Bool?
    /// What clients do; nil: by the seed.
    var eventsMax: Int?
}

/// One core: its shard and the writes that its disk has not finished.
final class Node {
    var shard: Shard
    var writes: [WriteCommand] = []
    init(_ shard: consuming Shard) { self.shard = shard }
}

struct Client {
    let isStream: Bool
    let front: Int
    /// Changes with every connection.
    var stream: UInt32
    var place = 0
    /// Commands sent that the front has not handed in.
    var backlog: [Int] = []
    var open: [Int] = []
}

final class Simulation {
    let options: SimulationOptions
    var dice: Dice
    let path: String
    let directory: DataDirectory
    let preparer: SegmentPreparer
    let routing: Routing
    let shardCount: Int
    let bounds: ShardBounds
    var journalOptions = JournalOptions()
    /// Settle and advance may be left out of a turn.
    let isWild: Bool
    let isTimeSlow: Bool
    let isDiskSlow: Bool

    var nodes: [Node] = []
    var laneOwners: [LaneBox] = []
    var lanes: [[Lane?]] = []
    var time: UInt64 = 1000
    var step = 0
    var events: [Event] = []
    var clients: [Client] = []
    /// By shard, then by the pipe they come through: handed in, not yet taken.
    var queues: [[[Int]]] = []
    var nextStream: UInt32 = 1
    var nextRequest = 0
    /// Whose record is in the log, by identity and by account.
    var explained: [Identity: Int] = [:]
    var createdAccounts: [AccountID: Int] = [:]
    var coverage = Coverage()
    var digest: UInt64 = 14_695_981_039_346_656_037
    var crashesLeft = 0

    // What clients choose from.
    var pool: [Account] = []
    var unknown: [AccountID] = []
    var nextID: UInt128 = 1000
    var used: [Transfer] = []
    let whales: Bool
    let hot: Int

    final class LaneBox {
        let owner: LaneOwner
        init(_ cells: Int) { owner = LaneOwner(cells: cells) }
    }

    static let root: String = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()

    init(_ options: SimulationOptions) throws {
        self.options = options
        dice = Dice(seed: options.seed)
        let drawn = [1, 2, 2, 2, 3, 3, 5][dice.below(7)]
        shardCount = options.shards ?? drawn
        path = "\(Self.root)/suanpan-sim-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        directory = try DataDirectory(path: path, shards: shardCount, segmentBytes: 1 << 20)
        preparer = try SegmentPreparer(directory, segmentsAhead: 1)
        routing = Routing(key: HashKey(a: dice.next(), b: dice.next()), shardCount: shardCount)
        let slots = dice.chance(30) ? 8 : 64
        bounds = ShardBounds(
            slots: slots, openPerPeer: dice.chance(30) ? dice.between(1, 4) : slots,
            redoPerPeer: dice.chance(20) ? 6 : 64)
        isWild = dice.chance(20)
        isTimeSlow = dice.chance(30)
        isDiskSlow = dice.chance(15)
        whales = dice.chance(15)
        hot = dice.between(0, 80)
        journalOptions.smallWritesInFlightMax = dice.pick([1, 2, 4, 8])
        if dice.chance(30) { journalOptions.earlyWriteBytes = 400 }
        crashesLeft = options.crashes == false ? 0 : dice.pick([0, 1, 1, 2, 3])
    }

    deinit {
        nodes = []
        preparer.stop()
        try? FileManager.default.removeItem(atPath: path)
    }

    func shardDirectory(_ i: Int) -> ShardDirectory { directory.shard(ShardID(i)) }

    // MARK: Trace

    func trace(_ text: @autoclosure () -> String) {
        let line = text()
        for byte in line.utf8 { digest = (digest ^ UInt64(byte)) &* 1_099_511_628_211 }
        if options.isTracing { print("\(step): \(line)") }
    }

    func fail(_ text: String) -> Failure { Failure(description: "step \(step): \(text)") }

    func check(_ condition: Bool, _ text: @autoclosure () -> String) throws {
        if !condition { throw fail(text()) }
    }

    // MARK: The whole history

    func run() throws {
        coverage.seeds = 1
        try recover(isFirst: true)
        makePool()
        let base = try prepareAccounts()
        try fillSegments()
        let first = events.count
        try live()
        try drain()
        try checkQuiet()
        try checkHistory(from: first, base: base)
        try checkTimestamps()
        coverage.events = events.count
        for e in events { if case .result(let r)? = e.reply { coverage.codes[r.rawCode, default: 0] += 1 } }
    }

    /// Empty groups up to near the end of a segment, in some seeds: the log goes on in the next one soon.
    private func fillSegments() throws {
        guard dice.chance(8) else { return }
        let groups = dice.between(225, 254)
        for node in nodes {
            while node.shard.journal.counters.groups < groups {
                node.shard.journal.sealIdle()
                try writeLog(node)
                while !node.writes.isEmpty { try complete(node, 0) }
                if !node.shard.journal.hasRoom(records: 1) { break }
            }
        }
    }

    private func live() throws {
        let eventsMax = events.count + min(options.eventsMax ?? dice.between(6, 90), 110)
        var turns = 0
        while events.count < eventsMax {
            step += 1
            turns += 1
            try check(turns < 20_000, "clients cannot go on: \(stuck)")
            advanceTime()
            switch dice.below(100) {
            case 0..<30: ask()
            case 30..<32: if crashesLeft > 0, dice.chance(60) { try crash() }
            case 32..<34: preparer.step()
            default: try turn(dice.below(shardCount), isWhole: false)
            }
        }
    }

    private func advanceTime() { if !isTimeSlow || dice.chance(10) { time += UInt64(dice.between(0, 40)) } }

    /// Everything arrives and completes until nothing is left.
    func drain() throws {
        for round in 0..<2000 {
            step += 1
            time += 1000
            preparer.step()
            for i in dice.shuffled(Array(0..<shardCount)) { try turn(i, isWhole: true) }
            if crashesLeft > 0 && round < 20 && dice.chance(5) { try crash() }
            if isDone { return }
        }
        throw fail("stuck: \(stuck)")
    }

    private var isDone: Bool {
        for c in clients where !c.open.isEmpty || !c.backlog.isEmpty { return false }
        for node in nodes {
            guard node.shard.isQuiet, node.writes.isEmpty, node.shard.journal.durable == node.shard.journal.appended,
                !node.shard.hasWork
            else { return false }
        }
        for from in lanes { for lane in from { if let lane, !lane.isEmpty { return false } } }
        return true
    }

    private var stuck: String {
        let open = events.filter { $0.responded == nil && !$0.isLost }
        return "\(open.count) unanswered" + open.prefix(12).map { "\n  \($0)" }.joined()
            + nodes.enumerated().map { i, n in
                "\n  shard \(i): quiet \(n.shard.isQuiet), room \(n.shard.acceptsRequests), receives \(n.shard.canReceive), writes \(n.writes.count), durable \(n.shard.journal.durable.value) of \(n.shard.journal.appended.value)"
            }.joined()
    }

    // MARK: A core's turn

    func turn(_ i: Int, isWhole: Bool) throws {
        let node = nodes[i]
        func some(_ percent: Int) -> Bool { isWhole || dice.chance(percent) }
        node.shard.clock.observe(time)
        // 1 completions, in any order
        if some(isDiskSlow ? 4 : 70) {
            var left = isWhole ? node.writes.count : dice.between(0, node.writes.count)
            while left > 0 {
                try complete(node, dice.below(node.writes.count))
                left -= 1
            }
        }
        // 2 control lanes
        for from in dice.shuffled(Array(0..<shardCount)) where from != i && some(60) {
            guard let lane = lanes[from][i] else { continue }
            var left = isWhole ? 1000 : dice.pick([1, 1, 2, 3, 1000])
            while left > 0, let message = lane.peek(), node.shard.canReceive {
                let record = message.hasRecord ? lane.peekRecord() : Shard.readKey(AccountID(0))
                trace("shard \(i) gets \(message.kind.map { "\($0)" } ?? "?") of slot \(message.slot) from \(from)")
                node.shard.receive(message, record)
                lane.take(message)
                left -= 1
                if dice.chance(20) { try node.shard.settle() }
            }
            lane.release()
        }
        if !isWild || some(60) { try node.shard.settle() }
        // 3 what the log allows
        if !isWild || some(60) {
            node.shard.advance()
            if time >= node.shard.clock.now { release(node, i) }
        }
        // 4 requests
        if some(70) {
            for pipe in dice.shuffled(Array(queues[i].indices)) where !queues[i][pipe].isEmpty {
                var left = isWhole ? 1000 : dice.pick([1, 1, 2, 4, 1000])
                while left > 0, let event = queues[i][pipe].first {
                    guard try serve(event, node) else {
                        coverage.stalls += 1
                        break
                    }
                    queues[i][pipe].removeFirst()
                    left -= 1
                }
            }
        }
        // 5
        if !isWild || some(60) { try node.shard.settle() }
        // 6 log
        if some(70) { try writeLog(node) }
        if node.shard.journal.wantsIdleGroup && dice.chance(5) {
            node.shard.journal.sealIdle()
            try writeLog(node)
        }
        // 7
        if some(80) { node.shard.flush { _ in } }
        for c in clients.indices where clients[c].front == i { pump(c) }
    }

    private func writeLog(_ node: Node) throws {
        while let write = try node.shard.journal.nextWrite(clockCeiling: node.shard.clock.now) {
            node.writes.append(write)
        }
    }

    /// The disk finishes one write, or only the first blocks of it.
    private func complete(_ node: Node, _ index: Int) throws {
        let write = node.writes.remove(at: index)
        let blocks = write.length / 4096
        if blocks > 1 && dice.chance(50) {
            let some = dice.between(1, blocks - 1)
            for b in 0..<some { try put(write, block: b) }
            coverage.shortWrites += 1
            _ = try node.shard.journal.completed(token: write.token, result: Int32(some * 4096))
            try writeLog(node)
            return
        }
        try put(write)
        _ = try node.shard.journal.completed(token: write.token, result: Int32(write.length))
    }

    private func put(_ write: WriteCommand, block: Int? = nil) throws {
        let offset = (block ?? 0) * 4096
        let length = block == nil ? write.length : 4096
        let written = pwrite(write.fd, write.address + offset, length, off_t(write.offset) + off_t(offset))
        try check(written == length, "pwrite gave \(written), errno \(errno)")
    }

    private func release(_ node: Node, _ i: Int) {
        let acknowledged = node.shard.journal.acknowledged
        while !node.shard.answers.isEmpty, node.shard.answers.first.lsn <= acknowledged {
            let answer = node.shard.answers.first
            node.shard.answers.removeFirst()
            answered(Int(answer.origin.request), .result(answer.result))
        }
        while !node.shard.recordAnswers.isEmpty, node.shard.recordAnswers.first.lsn <= acknowledged {
            let answer = node.shard.recordAnswers.first
            node.shard.recordAnswers.removeFirst()
            let event = Int(answer.origin.request)
            if case .lookupAccount = events[event].question {
                answered(event, .account(answer.found ? Account(bits: answer.record) : nil))
            } else {
                answered(event, .transfer(answer.found ? answer.record : nil))
            }
        }
    }

    private func answered(_ event: Int, _ reply: Reply) {
        events[event].reply = reply
        events[event].responded = step
        let c = events[event].client
        clients[c].open.removeAll { $0 == event }
        trace("answer \(events[event])")
        guard case .result(let result) = reply, let code = result.code else { return }
        switch events[event].question {
        case .transfer(let t):
            if code == .created || code.isFinalRefusal {
                explained[Identity(debit: t.debitAccountID, id: t.id)] = event
            }
        case .account(let a): if code == .created { createdAccounts[a.id] = event }
        default: break
        }
        // A core's own requests wait for the log by themselves; the step after an answer is later than it.
        step += 1
    }

    /// As Front.serve does.
    private func serve(_ event: Int, _ node: Node) throws -> Bool {
        let e = events[event]
        let operation: UInt8 =
            switch e.question {
            case .transfer: 1
            case .account: 2
            case .lookupAccount: 3
            case .lookupTransfer: 4
            }
        let origin = Origin(
            core: UInt16(clients[e.client].front), operation: operation, request: UInt32(event), index: 0,
            stream: e.stream)
        let submission: Submission
        switch e.question {
        case .transfer(let t): submission = try node.shard.submit(t, origin)
        case .account(let a): submission = node.shard.submit(a, origin)
        case .lookupAccount(let id):
            switch node.shard.lookup(id, origin) {
            case .found(let account): node.shard.answerRecord(origin, account.bits)
            case .unknown: node.shard.answerRecord(origin, nil)
            case .deferred: break
            case .stalled: return false
            }
            trace("shard \(e.shard) takes \(e)")
            return true
        case .lookupTransfer(let debit, let id):
            if node.shard.isUndecided(debit, id, stream: e.stream) { return false }
            node.shard.answerRecord(origin, try node.shard.lookupTransfer(debit, id))
            trace("shard \(e.shard) takes \(e)")
            return true
        }
        switch submission {
        case .answered(let result):
            let early = options.harnessFault == .answerAtOnceBeforeDurable
            node.shard.answers.append(
                Answer(origin: origin, result: result, lsn: early ? .zero : node.shard.journal.appended))
        case .deferred: break
        case .stalled: return false
        }
        trace("shard \(e.shard) takes \(e)")
        return true
    }

    // MARK: Start, crash, recovery

    /// A replay that also keeps the records.
    fileprivate struct Collector: ~Copyable, RecordVisitor {
        var replay: LedgerReplay
        var records: [LogRecord] = []
        init(_ replay: consuming LedgerReplay) { self.replay = replay }
        mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
            try replay.visit(record, lsn: lsn, position: position)
            records.append(record)
        }
    }

    fileprivate final class Replayed {
        var collector: Collector?
        let summary: ReplaySummary
        let records: [LogRecord]
        let pairs: [PairNumbers]
        let decisions: [[Transfer]]
        init(_ collector: consuming Collector, _ summary: ReplaySummary) {
            records = collector.records
            pairs = collector.replay.pairs
            decisions = collector.replay.decisions
            self.collector = consume collector
            self.summary = summary
        }
        func takeLedger() -> Ledger { collector.take()!.intoLedger() }
    }

    /// The records alone.
    private struct Records: RecordVisitor {
        var records: [LogRecord] = []
        mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
            records.append(record)
        }
    }

    private func readLogs() throws -> [[LogRecord]] {
        try (0..<shardCount).map { i in
            var visitor = Records()
            _ = try Recovery.replay(shardDirectory(i), into: &visitor)
            return visitor.records
        }
    }

    fileprivate func replayAll() throws -> [Replayed] {
        try (0..<shardCount).map { i in
            var collector = Collector(
                LedgerReplay(id: ShardID(i), shardCount: shardCount, key: HashKey(a: 77, b: 99), memoryBytes: 1 << 20))
            let summary = try Recovery.replay(shardDirectory(i), into: &collector)
            try collector.replay.finish()
            return Replayed(collector, summary)
        }
    }

    func crash() throws {
        crashesLeft -= 1
        coverage.crashes += 1
        trace("CRASH")
        for node in nodes { try loseWrites(node.writes) }
        nodes = []
        for i in events.indices where events[i].responded == nil { events[i].isLost = true }
        step += 1
        let crashedAt = step
        try recover(isFirst: false)
        try resolve(crashedAt)
        step += 1
        for c in clients.indices {
            let lost = clients[c].open + clients[c].backlog
            clients[c].open = []
            clients[c].backlog = []
            clients[c].stream = clients[c].isStream ? takeStream() : 0
            clients[c].place = 0
            // What was not answered is asked again, most of it.
            for event in dice.shuffled(lost) where dice.chance(70) {
                if case .lookupAccount = events[event].question { continue }
                send(c, [events[event].question])
            }
        }
    }

    /// Each write that was not finished: kept, dropped, or torn at a block.
    private func loseWrites(_ writes: [WriteCommand]) throws {
        for write in dice.shuffled(writes) {
            switch dice.below(3) {
            case 0: try put(write)
            case 1: break
            default:
                coverage.torn += 1
                for b in 0..<write.length / 4096 where dice.chance(50) { try put(write, block: b) }
            }
        }
    }

    private func takeStream() -> UInt32 {
        nextStream += 1
        return nextStream
    }

    func recover(isFirst: Bool) throws {
        lanes = []
        laneOwners = []
        queues = Array(repeating: Array(repeating: [], count: shardCount + 16), count: shardCount)
        if isFirst {
            let count = dice.between(2, 5)
            for _ in 0..<count {
                let isStream = dice.chance(45)
                clients.append(
                    Client(isStream: isStream, front: dice.below(shardCount), stream: isStream ? takeStream() : 0))
            }
        }
        while true {
            let replayed = try replayAll()
            let logs = replayed.map { $0.records }
            let pairs = replayed.map { $0.pairs }
            let decisions = replayed.map { $0.decisions }
            let ceiling = replayed.map { $0.summary.clockCeiling }.max()!
            for c in 0..<shardCount {
                for d in 0..<shardCount where c != d {
                    try check(
                        pairs[c][d].applied <= pairs[d][c].decided,
                        "shard \(c) has applied decision \(pairs[c][d].applied) of \(d), whose log ends at \(pairs[d][c].decided)"
                    )
                }
            }
            for from in 0..<shardCount {
                for record in replayed[from].records {
                    try check(
                        record.timestamp.nanoseconds <= ceiling,
                        "a record's timestamp \(record.timestamp.nanoseconds) is above the ceiling \(ceiling)")
                }
            }
            // The clock may have stood still, or gone back, while nothing ran.
            time = isFirst || dice.chance(50) ? max(time, ceiling) : ceiling
            var made: [Node] = []
            var isAgain = false
            lanes = Array(repeating: Array(repeating: nil, count: shardCount), count: shardCount)
            laneOwners = []
            for from in 0..<shardCount {
                for to in 0..<shardCount where from != to {
                    let box = LaneBox(bounds.openPerPeer * 8 + 64)
                    laneOwners.append(box)
                    lanes[from][to] = box.owner.lane
                }
            }
            for i in 0..<shardCount {
                var journal = try Journal(
                    shardDirectory(i), after: replayed[i].summary, supply: preparer.supply(ShardID(i)),
                    options: journalOptions)
                preparer.step()
                var own = pairs[i]
                var missing = try replayed[i].collector!.replay.missingCredits(pairs: pairs, decisions: decisions)
                if options.harnessFault == .skipRedo { missing = [] }
                if options.harnessFault == .redoAgain {
                    missing = []
                    for d in 0..<shardCount where d != i {
                        for t in decisions[d][i] {
                            let next = own[d].applied + UInt64(missing.count { $0.peer.index == d }) + 1
                            missing.append(LogRecord(.credit, t, peer: ShardID(d), sequence: next))
                        }
                    }
                }
                var writes: [WriteCommand] = []
                for record in missing {
                    try check(journal.hasRoom(records: 1), "no room for redo")
                    journal.append(record)
                    let wrong = replayed[i].collector!.replay.ledger.replay(record, lsn: journal.appended, position: 0)
                    try check(wrong == nil, "redo: \(wrong ?? "")")
                    own[record.peer.index].applied = record.sequence
                    coverage.redone += 1
                    if dice.chance(30) {
                        while let write = try journal.nextWrite(clockCeiling: ceiling) { writes.append(write) }
                    }
                }
                while let write = try journal.nextWrite(clockCeiling: ceiling) { writes.append(write) }
                if !missing.isEmpty && dice.chance(25) {
                    // Once more, in the middle of redo.
                    try loseWrites(writes)
                    coverage.crashesInRedo += 1
                    trace("CRASH in redo of shard \(i)")
                    isAgain = true
                    break
                }
                while journal.durable < journal.appended {
                    if writes.isEmpty { throw fail("redo does not become durable") }
                    for write in writes {
                        try put(write)
                        _ = try journal.completed(token: write.token, result: Int32(write.length))
                    }
                    writes = []
                    while let write = try journal.nextWrite(clockCeiling: ceiling) { writes.append(write) }
                }
                let shard = Shard(
                    id: ShardID(i), routing: routing, ledger: replayed[i].takeLedger(), journal: journal,
                    clock: HybridClock(shard: ShardID(i), shardCount: shardCount, after: Timestamp(ceiling)),
                    lanes: lanes[i], pairs: own, bounds: bounds)
                let node = Node(shard)
                #if SUANPAN_FAILPOINTS
                    node.shard.fault = options.fault
                #endif
                made.append(node)
            }
            if isAgain { continue }
            nodes = made
            try checkBalances(logs, "after recovery")
            try checkAnswered(logs)
            lastRecords = logs
            return
        }
    }

    var lastRecords: [[LogRecord]] = []

    /// What the logs say was accepted and refused.
    private struct Told {
        var transfers: [Identity: Transfer] = [:]
        var refusals: [Identity: (Transfer, ResultCode)] = [:]
        var accounts: [AccountID: Account] = [:]
    }

    private func told(_ logs: [[LogRecord]]) throws -> Told {
        var told = Told()
        for (i, log) in logs.enumerated() {
            for record in log {
                let identity = Identity(debit: record.body.debitAccountID, id: record.body.id)
                switch record.kind {
                case .account:
                    try check(
                        told.accounts.updateValue(record.account, forKey: record.account.id) == nil, "created twice")
                    try check(routing.shard(of: record.account.id).index == i, "an account in a foreign log")
                case .transfer, .decision:
                    try check(
                        told.transfers.updateValue(record.body, forKey: identity) == nil
                            && told.refusals[identity] == nil,
                        "\(identity) is in the log twice")
                    try check(routing.shard(of: record.body.debitAccountID).index == i, "a transfer in a foreign log")
                case .refusal:
                    try check(
                        told.refusals.updateValue(
                            (record.body, ResultCode(rawValue: record.rawReason)!), forKey: identity) == nil
                            && told.transfers[identity] == nil, "\(identity) is in the log twice")
                case .credit, nil: break
                }
            }
        }
        return told
    }

    /// Every account's balance is the sum of the accepted transfers, on both sides; double entry over all shards.
    func checkBalances(_ logs: [[LogRecord]], _ when: String) throws {
        let told = try told(logs)
        var expected: [AccountID: Account] = told.accounts
        for t in told.transfers.values {
            try check(
                expected[t.debitAccountID] != nil && expected[t.creditAccountID] != nil,
                "\(when): an account is missing")
            expected[t.debitAccountID]?.debitsPosted.value &+= t.amount.value
            expected[t.creditAccountID]?.creditsPosted.value &+= t.amount.value
        }
        var count = 0
        var totals: [UInt32: (UInt128, UInt128)] = [:]
        for node in nodes {
            for a in 0..<node.shard.ledger.accountCount {
                let account = node.shard.ledger.account(AccountIndex(a))
                count += 1
                try check(
                    expected[account.id] == account,
                    "\(when): account \(account.id.value) holds debits \(account.debitsPosted.value) credits \(account.creditsPosted.value), its transfers say debits \(expected[account.id]?.debitsPosted.value ?? 0) credits \(expected[account.id]?.creditsPosted.value ?? 0)"
                )
            }
            for slot in 0..<node.shard.ledger.ledgerCount {
                let t = node.shard.ledger.totals(slot)
                totals[t.ledger, default: (0, 0)].0 &+= t.debitsPosted
                totals[t.ledger, default: (0, 0)].1 &+= t.creditsPosted
            }
        }
        try check(count == expected.count, "\(when): \(count) accounts, \(expected.count) in the log")
        for (ledger, sums) in totals {
            try check(sums.0 == sums.1, "\(when): ledger \(ledger) has debits \(sums.0) and credits \(sums.1)")
        }
    }

    /// Acknowledged: there. Refused for good: remembered.
    private func checkAnswered(_ logs: [[LogRecord]]) throws {
        let told = try told(logs)
        for (identity, event) in explained.sorted(by: { $0.value < $1.value }) {
            guard case .result(let result)? = events[event].reply, case .transfer(let asked) = events[event].question
            else {
                continue
            }
            if result.isCreated {
                var expected = asked
                expected.timestamp = result.timestamp
                try check(told.transfers[identity] == expected, "acknowledged, and not in the log: \(events[event])")
            } else {
                try check(told.refusals[identity]?.1 == result.code, "refused, and not remembered: \(events[event])")
            }
        }
        for (id, event) in createdAccounts.sorted(by: { $0.value < $1.value }) {
            guard case .result(let result)? = events[event].reply else { continue }
            try check(
                told.accounts[id]?.timestamp == result.timestamp, "acknowledged, and not in the log: \(events[event])")
        }
    }

    /// Lost answers whose records are in the log: they happened, before the crash.
    private func resolve(_ crashedAt: Int) throws {
        let told = try told(lastRecords)
        func settle(_ candidates: [Int], _ reply: Reply, _ what: String) throws -> Int {
            guard let first = candidates.first else { throw fail("a record that nobody asked for: \(what)") }
            events[first].reply = reply
            events[first].responded = crashedAt
            events[first].isUnordered = candidates.count > 1
            coverage.resolved += 1
            trace("resolved \(events[first])")
            return first
        }
        func isLostNow(_ e: Event) -> Bool { e.isLost && e.responded == nil && !e.isForgotten }
        func asked(_ t: Transfer) -> [Int] {
            var t = t
            t.timestamp = .zero
            return events.indices.filter { isLostNow(events[$0]) && events[$0].question == .transfer(t) }
        }
        for (identity, t) in told.transfers.sorted(by: { $0.value.timestamp < $1.value.timestamp })
        where explained[identity] == nil {
            explained[identity] = try settle(
                asked(t), .result(EventResult(.created, timestamp: t.timestamp)), "transfer \(identity)")
        }
        for (identity, r) in told.refusals.sorted(by: { $0.value.0.timestamp < $1.value.0.timestamp })
        where explained[identity] == nil {
            explained[identity] = try settle(asked(r.0), .result(EventResult(r.1)), "refusal \(identity)")
        }
        for (id, a) in told.accounts.sorted(by: { $0.key < $1.key }) where createdAccounts[id] == nil {
            var plain = a
            plain.timestamp = .zero
            let candidates = events.indices.filter { isLostNow(events[$0]) && events[$0].question == .account(plain) }
            createdAccounts[id] = try settle(
                candidates, .result(EventResult(.created, timestamp: a.timestamp)), "account \(id.value)")
        }
        for i in events.indices where isLostNow(events[i]) { events[i].isForgotten = true }
    }

    // MARK: Clients

    private func makePool() {
        let count = dice.between(2, 7)
        var next: UInt128 = 1
        func accountID(_ shard: Int) -> AccountID {
            while true {
                let id = AccountID(next)
                next += 1
                if routing.shard(of: id).index == shard { return id }
            }
        }
        for i in 0..<count {
            // The first two live apart, where there is more than one shard.
            let shard = i < 2 ? i % shardCount : dice.below(shardCount)
            let flags: AccountFlags =
                switch dice.below(20) {
                case 0..<8: []
                case 8..<13: .debitsMustNotExceedCredits
                case 13..<17: .creditsMustNotExceedDebits
                case 17: .closed
                case 18: .debitsFrozen
                default: .creditsFrozen
                }
            var account = Account(
                id: accountID(shard), ledger: dice.chance(6) ? 2 : 1, code: 1, flags: flags,
                userData64: UInt64(dice.below(2)))
            account.code = UInt16(dice.between(1, 2))
            pool.append(account)
        }
        for _ in 0..<2 { unknown.append(accountID(dice.below(shardCount))) }
    }

    /// Creates most accounts and gives them balances, one after the other. Returns the state then.
    private func prepareAccounts() throws -> Model {
        var bank = Account(id: AccountID(0), ledger: 1, code: 9)
        var id: UInt128 = 900_000
        while routing.shard(of: AccountID(id)).index != 0 { id += 1 }
        bank.id = AccountID(id)
        var model = Model()
        func one(_ question: Question) throws {
            let shard = shard(of: question)
            let event = events.count
            send(dice.below(clients.count), [question])
            _ = shard
            try drain()
            guard let reply = events[event].reply else { return }
            try check(model.agrees(question, reply), "while preparing: \(events[event])")
        }
        func rebuild() {
            model = Model()
            for e in events where e.reply != nil { model.apply(e.question, e.reply!) }
        }
        let saved = crashesLeft
        crashesLeft = 0
        try one(.account(bank))
        rebuild()
        for account in pool where dice.chance(85) {
            try one(.account(account))
            rebuild()
        }
        for account in pool where model.accounts[account.id] != nil && account.ledger == 1 {
            var amount = UInt128(dice.between(0, 10))
            if whales && dice.chance(50) { amount = .max - UInt128(dice.between(0, 6)) }
            if account.flags == .debitsMustNotExceedCredits || (amount > 100 && dice.chance(50)) {
                try one(.transfer(transfer(bank.id, account.id, amount)))
            } else if account.flags == .creditsMustNotExceedDebits || amount > 100 {
                try one(.transfer(transfer(account.id, bank.id, amount)))
            }
            rebuild()
        }
        crashesLeft = saved
        return model
    }

    private func transfer(_ debit: AccountID, _ credit: AccountID, _ amount: UInt128) -> Transfer {
        nextID += 1
        return Transfer(
            id: TransferID(nextID), debit: debit, credit: credit, amount: Amount(amount), ledger: 1, code: 1)
    }

    /// A client asks for something.
    private func ask() {
        let c = dice.below(clients.count)
        guard clients[c].open.count + clients[c].backlog.count < 4 else { return }
        if clients[c].isStream {
            for _ in 0..<dice.pick([1, 1, 2, 3]) { send(c, [question()]) }
        } else if dice.chance(70) {
            let debit = dice.chance(50) ? dice.pick(pool).id : nil
            send(c, (0..<dice.pick([1, 1, 2, 3])).map { _ in .transfer(someTransfer(debit: debit)) })
        } else {
            send(c, [question()])
        }
    }

    private func question() -> Question {
        switch dice.below(100) {
        case 0..<65: return .transfer(someTransfer(debit: nil))
        case 65..<72:
            var account = dice.pick(pool)
            if dice.chance(20) { account.code = 7 }
            if dice.chance(10) { account.flags.formUnion([.debitsMustNotExceedCredits, .creditsMustNotExceedDebits]) }
            return .account(account)
        case 72..<90: return .lookupAccount(someAccount())
        default:
            guard !used.isEmpty else { return .lookupAccount(someAccount()) }
            let t = dice.pick(used)
            return .lookupTransfer(t.debitAccountID, t.id)
        }
    }

    private func someAccount() -> AccountID {
        if dice.chance(hot) { return pool[dice.below(min(2, pool.count))].id }
        return dice.chance(4) ? dice.pick(unknown) : dice.pick(pool).id
    }

    private func someTransfer(debit: AccountID?) -> Transfer {
        if !used.isEmpty && dice.chance(18) {
            var again = dice.pick(used)
            if dice.chance(30) { again.amount.value ^= 1 }
            if dice.chance(10) { again.userData64 += 1 }
            if dice.chance(10) { again.creditAccountID = someAccount() }
            if dice.chance(10) { again.debitAccountID = someAccount() }
            return again
        }
        let from = debit ?? someAccount()
        var to = someAccount()
        while to == from && !dice.chance(3) { to = dice.chance(90) ? dice.pick(pool).id : dice.pick(unknown) }
        var t = transfer(from, to, UInt128(dice.pick([0, 1, 1, 2, 2, 3, 4, 5, 7, 12])))
        if whales && dice.chance(15) { t.amount = Amount(.max - UInt128(dice.below(12))) }
        if dice.chance(3) { t.ledger = 2 }
        if dice.chance(2) { t.code = 0 }
        used.append(t)
        return t
    }

    func shard(of question: Question) -> Int {
        switch question {
        case .transfer(let t): routing.shard(of: t.debitAccountID).index
        case .account(let a): routing.shard(of: a.id).index
        case .lookupAccount(let id): routing.shard(of: id).index
        case .lookupTransfer(let debit, _): routing.shard(of: debit).index
        }
    }

    /// Sends one request of a native client, or one command of a stream.
    func send(_ c: Int, _ questions: [Question]) {
        nextRequest += 1
        for question in questions {
            clients[c].place += 1
            let event = events.count
            events.append(
                Event(
                    question: question, reply: nil, client: c, stream: clients[c].stream, request: nextRequest,
                    shard: shard(of: question), invoked: step, responded: nil, place: clients[c].place))
            trace("ask \(events[event])")
            clients[c].backlog.append(event)
        }
        pump(c)
    }

    /// Hands in what the front may: a command of a stream waits while an earlier one, not yet answered, concerns one of
    /// its accounts on another shard.
    private func pump(_ c: Int) {
        while let event = clients[c].backlog.first {
            let e = events[event]
            if e.stream != 0 {
                let isHeld = clients[c].open.contains { earlier in
                    events[earlier].shard != e.shard && events[earlier].accounts.contains { e.accounts.contains($0) }
                }
                if isHeld { return }
            }
            clients[c].backlog.removeFirst()
            clients[c].open.append(event)
            // A core's own connections wait one by one; those of another core share its lane.
            let pipe = clients[c].front == e.shard ? shardCount + c : clients[c].front
            queues[e.shard][pipe].append(event)
        }
    }

    // MARK: At the end

    private func checkQuiet() throws {
        for (i, node) in nodes.enumerated() {
            try check(node.shard.isQuiet, "shard \(i) is not quiet")
            for a in 0..<node.shard.ledger.accountCount {
                try check(node.shard.ledger.undecided(AccountIndex(a)) == 0, "something stays undecided on shard \(i)")
            }
            for d in 0..<shardCount where d != i {
                try check(
                    node.shard.pair(d).applied == nodes[d].shard.pair(i).decided, "commits of \(d) are missing on \(i)")
            }
            let s = node.shard.statistics
            coverage.crossings += Int(s.crossings)
            coverage.waits += Int(s.waits)
            coverage.restarts += Int(s.restarts)
            coverage.segments += Int(node.shard.journal.counters.segments)
        }
        let logs = try readLogs()
        try checkBalances(logs, "at the end")
        try checkAnswered(logs)
        for e in events where e.responded == nil {
            try check(e.isLost, "no answer: \(e)")
        }
    }

    private func checkHistory(from first: Int, base: Model) throws {
        let answered = events[first...].filter { $0.reply != nil }
        // Retries after crashes can make it longer than the search can take.
        guard answered.count <= 128 else {
            coverage.undecided += 1
            return
        }
        var search = Serialization(Array(answered), from: base, rule: options.rule, stepsMax: 300_000)
        switch search.search() {
        case .explained: break
        case .undecided: coverage.undecided += 1
        case .unexplained:
            var freely = Serialization(Array(answered), from: base, rule: .none, stepsMax: 300_000)
            // Fewer events, and still none: those that change nothing can be left out one by one.
            var core = Array(answered)
            var at = 0
            while at < core.count {
                var fewer = core
                fewer.remove(at: at)
                var again = Serialization(fewer, from: base, rule: options.rule, stepsMax: 20_000)
                if core[at].isPure && again.search() == .unexplained { core = fewer } else { at += 1 }
            }
            search = Serialization(core, from: base, rule: options.rule, stepsMax: 300_000)
            _ = search.search()
            let broken = freely.search() == .explained ? "order within a connection" : "real time or answers"
            throw fail(
                "no sequential order explains the history (\(broken))\n\(Serialization.broken(core, from: base, rule: options.rule))\(accountsReport(base))\(search.report)"
            )
        }
    }

    private func accountsReport(_ base: Model) -> String {
        base.accounts.values.sorted { $0.id < $1.id }.map { a in
            "account \(a.id.value) on shard \(routing.shard(of: a.id).value): ledger \(a.ledger) flags \(a.flags.rawValue) debits \(a.debitsPosted.value) credits \(a.creditsPosted.value)\n"
        }.joined()
    }

    /// Unique; later than every answer before the question; no limit broken in their order.
    private func checkTimestamps() throws {
        var seen: [UInt64: Int] = [:]
        var created: [(Timestamp, Int)] = []
        for (i, e) in events.enumerated() {
            guard case .result(let r)? = e.reply, r.isCreated else { continue }
            if let other = seen.updateValue(i, forKey: r.timestamp.nanoseconds) {
                throw fail("two have one timestamp:\n\(events[other])\n\(e)")
            }
            created.append((r.timestamp, i))
        }
        for (t, i) in created {
            for (u, j) in created where events[i].responded! < events[j].invoked {
                try check(t < u, "a later request has an earlier timestamp:\n\(events[i])\n\(events[j])")
            }
        }
        var model = Model()
        for (_, i) in created.sorted(by: { $0.0 < $1.0 }) {
            try check(
                model.agrees(events[i].question, events[i].reply!),
                "in the order of their timestamps, this one cannot be: \(events[i])")
            model.apply(events[i].question, events[i].reply!)
        }
    }
}

extension Simulation.Collector {
    consuming func intoLedger() -> Ledger { replay.intoLedger() }
}
