// Real shards, lanes and journals on one thread. What is left to chance in an engine is left to a seeded generator here:
// which core has its turn, how much of its work it does, which writes have completed, which messages have arrived, when
// clients ask for what, when all memory is lost and what the disk has kept. A turn is one of the engine's (`Loop`).

import Foundation
import SuanpanCore
import SuanpanFront
import SuanpanJournal
import SuanpanLanes
import SuanpanLedgerModel
import SuanpanLoop
import SuanpanShard

#if canImport(Glibc)
    import Glibc
#endif

/// Rules of the harness's own part, where it stands for the engine, that a canary switches off.
enum HarnessFault: String, CaseIterable {
    /// Answers given at once leave before the log is durable.
    case answerAtOnceBeforeDurable
    case skipRedo
    /// Redo does not know what is applied.
    case redoAgain
    /// A shard whose disk has failed goes on.
    case ignoreFailedWrite
}

struct SimulationOptions {
    var seed: UInt64
    /// nil: by the seed; likewise below.
    var shards: Int?
    var rule = OrderRule.effects
    var harnessFault: HarnessFault?
    #if SUANPAN_FAILPOINTS
        var fault: Fault?
        var frontFault: FrontFault?
        var loopFault: LoopFault?
    #endif
    var isTracing = false
    /// Few accounts, nearly all of them limited, hardly anything but transfers between them.
    var isContended: Bool?
    /// Plain transfers only.
    var isPlain: Bool?
    /// Nearly all are plain credits to accounts that take any.
    var isSteady: Bool?
    /// Chains, many of them about the same few accounts.
    var isSelling: Bool?
    /// Long chains and requests.
    var isBulk: Bool?
    /// Percent of questions that look at accounts.
    var looks: Int?
    /// Percent of questions that freeze or unfreeze.
    var freezes: Int?
    /// The log comes to the end of a segment soon.
    var isSegmentShort: Bool?
    /// Writes may fail.
    var isDiskFaulty: Bool?
    /// Writes take many turns.
    var isDiskSlow: Bool?
    /// Messages take many turns.
    var isLaneSlow: Bool?
    /// See `ShardBounds`.
    var cutLead: UInt64?
    /// Percent of the turns in which a core does not see the newest cut.
    var cutMisses: Int?
    var crashes: Int?
    /// Clients talk to fronts, through sockets.
    var hasDoors: Bool?
    /// Connections that break, with doors.
    var breaks: Int?
    /// Connections that send what is no request, with doors.
    var hostiles: Int?
    /// What clients do.
    var eventsMax: Int?
    /// Turns until clients must have asked all.
    var turnsMax = 200_000
    /// States that one search may try.
    var visitsMax = 20_000
}

struct Client {
    let isStream: Bool
    let front: Int
    /// With doors.
    var connection: ClientConnection?
    /// Changes with every connection.
    var stream: UInt32
    var place = 0
    /// Commands sent that the front has not handed in.
    var backlog: [Int] = []
    var open: [Int] = []
}

/// All memory is lost.
struct Crash: Error {}

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
    let isLaneSlow: Bool
    /// A write may fail.
    let isDiskFaulty: Bool
    /// The disk has no room for another segment, until clients have asked all.
    let isDiskFull: Bool
    let isSegmentShort: Bool
    /// See `LoopDisk`.
    let gatherTime: UInt64
    /// The messages of a lane may be taken in shorter runs than an engine's, settled after each.
    var cutsRuns = true
    /// Fronts say that they have many requests under way, whatever they have.
    let isCrowded: Bool
    /// Cores have real fronts. If not, this simulation hands in what clients ask, as a front would.
    let hasDoors: Bool

    var nodes: [Node] = []
    var laneOwners: [LaneBox] = []
    var lanes: [[Lane?]] = []
    var tables: [TableBox] = []
    /// Empty without doors; likewise the next.
    var requestLanes: [[Lane?]] = []
    var callers: [CallerLane] = []
    var network: Network
    var connectionCounts = ConnectionCounts(coreCount: 1, connectionsMax: 1)
    var hostiles: [HostileConnection] = []
    /// Nanoseconds.
    var time: UInt64 = 1000 {
        didSet {
            while let last = moments.last, last.time > time { moments.removeLast() }
            if time > moments.last?.time ?? 0 { moments.append((time, step)) }
        }
    }
    /// When it came to be how late.
    var moments: [(time: UInt64, step: Int)] = []
    /// The latest clock of any shard at the last quiet point.
    var latestClock: UInt64 = 0
    var step = 0
    var events: [Event] = []
    /// By the identity of a transfer.
    var timesAsked: [Identity: Int] = [:]
    var clients: [Client] = []
    /// By shard, then by the pipe they come through: handed in, not yet taken.
    var queues: [[[Int]]] = []
    var nextStream: UInt32 = 1
    var nextRequest = 0
    var coverage = Coverage()
    var crashesLeft = 0
    var cuts = CutBoard()
    /// Of the fronts of all cores.
    var board = StatusBoard(coreCount: 1, facts: StatusFacts())
    /// Percent of the turns in which a core does not see the newest cut before its clock goes on: rarer in an engine.
    let cutMisses: Int

    /// The state at the last quiet point; nil: no search could tell.
    var base: ModelLedger?
    /// The first event, and the expiries, behind that point.
    var chunkStart = 0
    var expiriesExplained: Set<Identity> = []

    var workload = Workload()

    init(_ options: SimulationOptions) throws {
        // What can fail comes first: the optimizer does not survive a class that is half made.
        var dice = Dice(seed: options.seed)
        let steady = options.isSteady ?? dice.chance(33)
        let drawn = steady ? dice.between(2, 5) : [1, 2, 2, 2, 3, 3, 4, 5][dice.below(8)]
        let shardCount = options.shards ?? drawn
        let path = "\(simulationRoot)/suanpan-sim-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let directory = try DataDirectory(path: path, shards: shardCount, segmentBytes: 1 << 20)
        preparer = try SegmentPreparer(directory, segmentsAhead: 1)
        self.options = options
        self.directory = directory
        self.shardCount = shardCount
        self.path = path
        routing = Routing(key: HashKey(a: dice.next(), b: dice.next()), shardCount: shardCount)
        let slots = dice.chance(30) ? 8 : 64
        let misses = dice.pick([0, 5, 60])
        cutMisses = options.cutMisses ?? misses
        let lead = dice.pick([1, 1, 10, 40, 400] as [UInt64])
        bounds = ShardBounds(
            slots: slots, openPerPeer: dice.chance(30) ? dice.between(1, 4) : slots,
            redoPerPeer: dice.chance(20) ? 6 : 64, standingVotes: dice.pick(steady ? [4, 64] : [2, 4, 64]),
            cutLead: options.cutLead ?? lead)
        isWild = dice.chance(20)
        isTimeSlow = dice.chance(30)
        let slowDisk = dice.chance(15)
        isDiskSlow = options.isDiskSlow ?? slowDisk
        let slowLane = dice.chance(15)
        isLaneSlow = options.isLaneSlow ?? slowLane
        let faulty = dice.chance(10)
        isDiskFaulty = options.isDiskFaulty ?? faulty
        let isNearEnd = dice.chance(8)
        isSegmentShort = options.isSegmentShort ?? isNearEnd
        isDiskFull = isNearEnd && dice.chance(50)
        if isDiskFull { journalOptions.reserveRecords = dice.between(2, 40) }
        let bulk = dice.chance(10)
        workload.isBulk = options.isBulk ?? bulk
        let contended = dice.chance(20)
        let plain = dice.chance(25)
        workload.isSteady = steady
        workload.isContended = options.isContended ?? (contended && !steady)
        workload.isPlain = options.isPlain ?? plain
        // Canaries, which choose whether it is steady, are seen by seeds without.
        workload.isSelling = options.isSelling ?? (options.seed % 5 == 3 && !workload.isPlain && !steady)
        workload.isPaying = steady && options.isSteady == nil && !workload.isPlain && options.seed & 3 == 1
        workload.isReserving = steady && options.isSteady == nil && !workload.isPlain && options.seed & 1 == 0
        workload.hasWhales = dice.chance(15) && !workload.isContended && !steady
        workload.hot = dice.between(0, 80)
        let looks = dice.pick([0, 0, 0, 30])
        workload.looks = options.looks ?? looks
        let freezes = dice.pick([0, 0, 0, 4])
        workload.freezes = options.freezes ?? freezes
        journalOptions.smallWritesInFlightMax = dice.pick([1, 1, 2, 4, 8])
        if dice.chance(30) { journalOptions.earlyWriteBytes = 400 }
        let crashes = dice.pick(steady ? [0, 0, 1, 2] : [0, 1, 1, 2, 3, 5])
        crashesLeft = options.crashes ?? crashes
        // With dice of their own: histories without doors are what they were before there were any.
        var doorDice = Dice(seed: options.seed ^ 0xD00_12345)
        let doors = doorDice.chance(30)
        hasDoors = options.hasDoors ?? doors
        network = Network(&doorDice)
        network.breaksLeft = options.breaks ?? network.breaksLeft
        network.hostilesLeft = options.hostiles ?? network.hostilesLeft
        workload.chainsAccounts = hasDoors
        var loopDice = Dice(seed: options.seed ^ 0x100B)
        gatherTime = loopDice.pick([0, 0, 200, 3000])
        isCrowded = loopDice.chance(50)
        base = ModelLedger(
            reservedTransferFlags: TransferFlags(rawValue: ~TransferFlags.supported.rawValue),
            reservedAccountFlags: AccountFlags(rawValue: ~AccountFlags.supported.rawValue))
        self.dice = dice
    }

    deinit {
        closeDoors()
        nodes = []
        preparer.stop()
        removeFolder(path)
    }

    func shardDirectory(_ i: Int) -> ShardDirectory { directory.shard(ShardID(i)) }

    /// Of all that clients saw and when: the same for the same seed.
    var digest: Int { events.map(\.description).hashValue }

    // MARK: Trace

    func trace(_ text: @autoclosure () -> String) {
        if options.isTracing { print("\(step): \(text())") }
    }

    func fail(_ text: String) -> Failure { Failure(description: "step \(step): \(text)") }

    func check(_ condition: Bool, _ text: @autoclosure () -> String) throws {
        if !condition { throw fail(text()) }
    }

    // MARK: The whole history

    func run() throws {
        coverage.seeds = 1
        coverage.doors = hasDoors ? 1 : 0
        let count = dice.between(2, 5)
        for _ in 0..<count {
            let isStream = dice.chance(45)
            clients.append(
                Client(isStream: isStream, front: dice.below(shardCount), stream: isStream ? takeStream() : 0))
        }
        try recover()
        if hasDoors { for c in clients.indices { try connect(c) } }
        try prepareAccounts()
        try fillSegments()
        try live()
        for c in clients.indices where hasDoors && dice.chance(50) { clients[c].connection?.isLeaving = true }
        try drain()
        try waitForHostiles()
        // Reservations run out, in half of the seeds. What lacks room is looked at again a second later.
        let isLate = dice.chance(50)
        for _ in 0..<(isLate ? 6 : 0) {
            time += 1_000_000_000
            try drain()
        }
        try checkQuiet(isLate: isLate)
        if dice.chance(30) { try flipBit() }
        coverage.steps = step
        coverage.events = events.count
        for e in events {
            if case .results(let results)? = e.reply {
                for r in results { coverage.codes[r.rawCode, default: 0] += 1 }
            }
        }
    }

    /// Empty groups up to near the end of a segment, in some seeds: the log goes on in the next one soon.
    func fillSegments() throws {
        guard isSegmentShort else { return }
        if isDiskFull {
            preparer.failPreparations(errno: ENOSPC)
            coverage.fullDisks += 1
        }
        let groups = dice.between(225, 254)
        for node in nodes {
            while node.shard.journal.counters.groups < groups {
                try writeIdleGroup(node)
                if !node.shard.journal.hasRoom(records: 1) { break }
            }
        }
    }

    func live() throws {
        let most = workload.isBulk || workload.isSteady ? 250 : 90
        let eventsMax = events.count + (options.eventsMax ?? dice.between(6, most))
        var turns = 0
        while events.count < eventsMax {
            step += 1
            turns += 1
            if turns == 20_000 { preparer.failPreparations(errno: 0) }
            try check(turns < options.turnsMax, "clients cannot go on: \(stuck)")
            advanceTime()
            do {
                switch dice.below(100) {
                case 0..<30: ask()
                case 30..<32: if crashesLeft > 0, dice.chance(50) { throw Crash() }
                case 32..<34: preparer.step()
                default: try turn(dice.below(shardCount), isWhole: false)
                }
                if hasDoors { try runNetwork() }
            } catch is Crash { try crash() }
        }
    }

    func advanceTime() {
        if isTimeSlow && !dice.chance(10) { return }
        time += UInt64(dice.chance(2) ? dice.between(100, 1500) * 1_000_000 : dice.between(0, 40))
    }

    /// Everything arrives and completes until nothing is left: in step, as engines are that run at one speed.
    func drain(crashing: Bool = true) throws {
        preparer.failPreparations(errno: 0)
        cutsRuns = false
        defer { cutsRuns = true }
        for round in 0..<2000 {
            step += 1
            time += 1000
            preparer.step()
            do {
                for i in dice.shuffled(Array(0..<shardCount)) { try turn(i, isWhole: true) }
                if hasDoors { try finishNetwork() }
                if crashing && crashesLeft > 0 && round < 20 && dice.chance(5) { throw Crash() }
            } catch is Crash { try crash() }
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
        return areDoorsQuiet
    }

    private var stuck: String {
        let open = events.filter { $0.responded == nil && !$0.isLost }
        return "\(open.count) unanswered" + open.prefix(12).map { "\n  \($0)" }.joined()
            + nodes.enumerated().map { i, n in
                "\n  shard \(i): quiet \(n.shard.isQuiet), room \(n.shard.acceptsRequests), receives \(n.shard.canReceive), writes \(n.writes.count), durable \(n.shard.journal.durable.value) of \(n.shard.journal.appended.value)\(n.shard.underWay)"
            }.joined() + stuckDoors
    }

    func takeStream() -> UInt32 {
        nextStream += 1
        return nextStream
    }
}
