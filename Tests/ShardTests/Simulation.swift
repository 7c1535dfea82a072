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
    var cuts = 0, lateCuts = 0
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
        cuts += other.cuts
        lateCuts += other.lateCuts
        codes.merge(other.codes, uniquingKeysWith: +)
    }

    var summary: String {
        "seeds \(seeds), events \(events), crossings \(crossings), waits \(waits), restarts \(restarts), "
            + "crashes \(crashes) (\(crashesInRedo) in redo), redone \(redone), torn groups \(torn), "
            + "lost answers found in the log \(resolved), stalls \(stalls), short writes \(shortWrites), "
            + "segments begun \(segments), cuts \(cuts) (begun again \(lateCuts)), searches given up \(undecided)\n  answers: "
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
    var rule = OrderRule.effects
    var harnessFault: HarnessFault?
    #if SUANPAN_FAILPOINTS
        var fault: Fault?
    #endif
    var isTracing = false
    var crashes: Bool?
    /// Few accounts, nearly all of them limited, hardly anything but transfers between them; nil: by the seed.
    var isContended: Bool?
    /// What clients do; nil: by the seed.
    var eventsMax: Int?
    /// Writes take long; nil: by the seed.
    var isDiskSlow: Bool?
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
    var cuts = CutBoard()
    var cutsBegun = 0
    var isCutFresh = false
    /// Beside the history's own, so that this asks for nothing else.
    var cutDice: Dice
    /// Percent of the turns in which a core does not see the newest cut before its clock goes on: rarer in an engine.
    let cutMisses: Int
    /// Every answer of a cut, by its event.
    var cutAnswers: [Int: CutAnswer] = [:]
    /// What the logs held at the last start.
    var lastRecords: [[LogRecord]] = []

    // What clients choose from.
    var pool: [Account] = []
    var unknown: [AccountID] = []
    var nextID: UInt128 = 1000
    var used: [Transfer] = []
    let whales: Bool
    let isContended: Bool
    let hot: Int

    final class LaneBox {
        let owner: LaneOwner
        init(_ cells: Int) { owner = LaneOwner(cells: cells) }
    }
    /// A shard's transfers under way; kept until the end, as what names them may be left in a lane.
    final class TableBox {
        let owner: TransferTableOwner
        init(_ slots: Int) { owner = TransferTableOwner(count: slots) }
    }
    var tables: [TableBox] = []

    static let root: String = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()

    init(_ options: SimulationOptions) throws {
        self.options = options
        dice = Dice(seed: options.seed)
        cutDice = Dice(seed: options.seed &+ 1 << 32)
        cutMisses = cutDice.pick([0, 5, 60])
        let drawn = [1, 2, 2, 2, 3, 3, 5][dice.below(7)]
        shardCount = options.shards ?? drawn
        path = "\(Self.root)/suanpan-sim-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        directory = try DataDirectory(path: path, shards: shardCount, segmentBytes: 1 << 20)
        preparer = try SegmentPreparer(directory, segmentsAhead: 1)
        routing = Routing(key: HashKey(a: dice.next(), b: dice.next()), shardCount: shardCount)
        let slots = dice.chance(30) ? 8 : 64
        bounds = ShardBounds(
            slots: slots, openPerPeer: dice.chance(30) ? dice.between(1, 4) : slots,
            redoPerPeer: dice.chance(20) ? 6 : 64, cutLead: dice.pick([1, 1, 10, 40, 400]))
        isWild = dice.chance(20)
        isTimeSlow = dice.chance(30)
        let slow = dice.chance(15)
        isDiskSlow = options.isDiskSlow ?? slow
        let contended = dice.chance(20)
        isContended = options.isContended ?? contended
        whales = dice.chance(15) && !isContended
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
        try checkCuts()
        coverage.events = events.count
        for e in events { if case .result(let r)? = e.reply { coverage.codes[r.rawCode, default: 0] += 1 } }
    }

    /// Empty groups up to near the end of a segment, in some seeds: the log goes on in the next one soon.
    func fillSegments() throws {
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

    func live() throws {
        let eventsMax = events.count + min(options.eventsMax ?? dice.between(6, 90), 110)
        var turns = 0
        while events.count < eventsMax {
            step += 1
            turns += 1
            try check(turns < 200_000, "clients cannot go on: \(stuck)")
            advanceTime()
            if try crashAfterCut() { continue }
            switch dice.below(100) {
            case 0..<30: ask()
            case 30..<32: if crashesLeft > 0, dice.chance(60) { try crash() }
            case 32..<34: preparer.step()
            case 34..<38: askForCut()
            default: try turn(dice.below(shardCount), isWhole: false)
            }
        }
    }

    func advanceTime() { if !isTimeSlow || dice.chance(10) { time += UInt64(dice.between(0, 40)) } }

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
        lookAtCuts(node, mayMiss: !isWhole)
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
                trace("shard \(i) gets \(message.kind.map { "\($0)" } ?? "?") of slot \(message.slot) from \(from)")
                if dice.chance(30) {
                    node.shard.lookAhead(0, message)
                    node.shard.lookCloser(0)
                    node.shard.lookClosest(0)
                }
                node.shard.receive(message)
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
        if i == 0 { workCuts(node) }
        // 4 requests
        if some(70) {
            for pipe in dice.shuffled(Array(queues[i].indices)) where !queues[i][pipe].isEmpty {
                var left = isWhole ? 1000 : dice.pick([1, 1, 2, 4, 1000])
                // A run of transfers is looked ahead at, as the loop does; an account may be created in between.
                var staged: [Int: Int] = [:]
                if dice.chance(60) {
                    for event in queues[i][pipe].prefix(Shard.stagedMax) {
                        guard case .transfer(let t) = events[event].question else { continue }
                        node.shard.stage(staged.count, t)
                        staged[event] = staged.count
                    }
                    for k in 0..<staged.count { node.shard.stageAccounts(k) }
                }
                while left > 0, let event = queues[i][pipe].first {
                    guard try serve(event, node, staged: staged[event]) else {
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

    func writeLog(_ node: Node) throws {
        while let write = try node.shard.journal.nextWrite(clockCeiling: node.shard.clock.now) {
            node.writes.append(write)
        }
    }

    /// The disk finishes one write, or only the first blocks of it.
    func complete(_ node: Node, _ index: Int) throws {
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

    func put(_ write: WriteCommand, block: Int? = nil) throws {
        let offset = (block ?? 0) * 4096
        let length = block == nil ? write.length : 4096
        let written = pwrite(write.fd, write.address + offset, length, off_t(write.offset) + off_t(offset))
        try check(written == length, "pwrite gave \(written), errno \(errno)")
    }

    func release(_ node: Node, _ i: Int) {
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

    func answered(_ event: Int, _ reply: Reply) {
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
    func serve(_ event: Int, _ node: Node, staged: Int?) throws -> Bool {
        let e = events[event]
        let operation: UInt8 =
            switch e.question {
            case .transfer: 1
            case .account: 2
            case .lookupAccount: 3
            case .lookupTransfer: 4
            case .cut: 5
            }
        let origin = Origin(
            core: UInt16(clients[e.client].front), operation: operation, request: UInt32(event), index: 0,
            stream: e.stream)
        let submission: Submission
        switch e.question {
        case .transfer(let t):
            if let staged {
                submission = try node.shard.submit(t, origin, staged: staged)
            } else {
                submission = try node.shard.submit(t, origin)
            }
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
        case .cut(let ids):
            node.shard.ask(CutRequest(core: node.shard.id, request: UInt32(event), accounts: ids))
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

}
