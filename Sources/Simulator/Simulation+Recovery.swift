// Losing all memory, what the disk keeps of unfinished writes, replay and redo as CoreThread does them, and what must
// hold afterwards.

import SuanpanCore
import SuanpanFront
import SuanpanJournal
import SuanpanLanes
import SuanpanLedger
import SuanpanLoop
import SuanpanShard

extension Simulation {
    /// A replay that also keeps the records.
    struct Collector: ~Copyable, RecordVisitor {
        var replay: LedgerReplay
        var records: [LogRecord] = []
        init(_ replay: consuming LedgerReplay) { self.replay = replay }
        mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
            try replay.visit(record, lsn: lsn, position: position)
            records.append(record)
        }
        consuming func intoLedger() -> Ledger { replay.intoLedger() }
    }

    /// What replaying one shard's log gave.
    final class Replayed {
        var collector: Collector?
        let summary: ReplaySummary
        init(_ collector: consuming Collector, _ summary: ReplaySummary) {
            self.collector = consume collector
            self.summary = summary
        }

        var records: [LogRecord] { collector!.records }
        func takeLedger() -> Ledger { collector.take()!.intoLedger() }
    }

    static let ledgerKey = HashKey(a: 77, b: 99)

    func replayAll() throws -> [Replayed] {
        try (0..<shardCount).map { i in
            let whole = try replay(i, upTo: nil)
            guard let since = whole.collector!.replay.incompleteSince else { return whole }
            // A chain that a crash has cut in two was not decided.
            coverage.cutChains += 1
            return try replay(i, upTo: LSN(since.value - 1))
        }
    }

    private func replay(_ i: Int, upTo limit: LSN?) throws -> Replayed {
        var collector = Collector(
            LedgerReplay(id: ShardID(i), routing: routing, key: Self.ledgerKey, memoryBytes: 1 << 20))
        let summary = try Recovery.replay(shardDirectory(i), upTo: limit, into: &collector)
        try collector.replay.finish()
        return Replayed(collector, summary)
    }

    // MARK: Crash

    func crash() throws {
        crashesLeft -= 1
        coverage.crashes += 1
        trace("CRASH")
        for node in nodes { try loseWrites(node.writes) }
        for node in nodes { noteStatistics(node) }
        noteClocks()
        closeDoors()
        nodes = []
        for i in events.indices where events[i].responded == nil { events[i].isLost = true }
        step += 1
        try recover()
        step += 1
        for c in clients.indices {
            if hasDoors {
                try connect(c)
            } else {
                clients[c].stream = clients[c].isStream ? takeStream() : 0
                clients[c].place = 0
            }
            askAgain(c, clients[c].open + clients[c].backlog)
        }
    }

    func noteClocks() { for node in nodes { latestClock = max(latestClock, node.shard.clock.now) } }

    /// Each write that was not finished: kept, dropped, or torn at sectors.
    private func loseWrites(_ writes: [WriteCommand]) throws {
        for write in dice.shuffled(writes) {
            switch dice.below(3) {
            case 0: try put(write)
            case 1: break
            default:
                coverage.torn += 1
                let kept = dice.pick([10, 50, 90])
                for offset in stride(from: 0, to: write.length, by: Self.sectorBytes) where dice.chance(kept) {
                    try put(write, offset..<offset + Self.sectorBytes)
                }
            }
        }
    }

    /// What a disk writes whole or not at all.
    private static var sectorBytes: Int { 512 }

    // MARK: Recovery

    /// Starts the shards, as often as a crash comes in between, and checks what they have come back with.
    func recover() throws {
        while true {
            do {
                try start()
                return
            } catch is Crash {
                coverage.recoveryCrashes += 1
                trace("CRASH in recovery")
                nodes = []
            }
        }
    }

    private func mayCrashStarting() throws {
        if coverage.crashes > 0 && dice.chance(6) { throw Crash() }
    }

    private func start() throws {
        let replayed = try replayAll()
        let logs = replayed.map { $0.records }
        let pairs = replayed.map { $0.collector!.replay.pairs }
        let decisions = replayed.map { $0.collector!.replay.decisions }
        let ceiling = replayed.map { $0.summary.clockCeiling }.max() ?? 0
        try checkPairs(pairs)
        for record in logs.joined() {
            try check(
                record.timestamp.nanoseconds <= ceiling,
                "a record's timestamp \(record.timestamp.nanoseconds) is above the ceiling \(ceiling)")
        }
        try wireUp()
        // Every log is durable as far as it was read before any is built upon.
        var journals: [JournalBox] = []
        for i in 0..<shardCount {
            try mayCrashStarting()
            journals.append(
                JournalBox(
                    try Journal(
                        shardDirectory(i), after: replayed[i].summary, supply: preparer.supply(ShardID(i)),
                        options: journalOptions)))
            preparer.step()
        }
        try mayCrashStarting()
        var made: [Node] = []
        for i in 0..<shardCount {
            var own = pairs[i]
            let missing = try replayed[i].collector!.replay.missingCredits(pairs: pairs, decisions: decisions)
            let records = redo(missing, i, own, decisions)
            for record in records { own[record.peer.index].applied = record.sequence }
            try append(records, to: &journals[i].journal!, replayed[i], ceiling)
            let ledger = replayed[i].takeLedger()
            let shard = Shard(
                id: ShardID(i), routing: routing, ledger: ledger, journal: journals[i].take(),
                clock: HybridClock(shard: ShardID(i), shardCount: shardCount, after: Timestamp(ceiling)),
                lanes: lanes[i], tables: tables.map { $0.owner.table }, pairs: own, bounds: bounds,
                cuts: cuts)
            let entrance = hasDoors ? try makeEntrance(i) : nil
            entrance?.front.begin(shard)
            let node = Node(
                Loop(
                    id: ShardID(i), coreCount: shardCount, shard: shard, host: SimulatedCore(self, i, entrance),
                    controlIn: incoming(lanes, i), requestsIn: incoming(requestLanes, i), callers: callers[i]))
            #if SUANPAN_FAILPOINTS
                node.shard.fault = options.fault
                node.loop.fault = options.loopFault
            #endif
            made.append(node)
        }
        let book = coverage.crashes > 0 ? try LogBook(logs, routing) : nil
        // The clock may have stood still, or gone back, while nothing ran; but not behind a deadline that had passed, as
        // somebody may have been shown that.
        let passed = book?.open.values.map(\.deadline).filter { $0 <= max(time, latestClock) }.max() ?? 0
        let keeps = nodes.isEmpty && coverage.crashes == 0 || dice.chance(50)
        time = max(keeps ? time : 0, ceiling, passed)
        nodes = made
        if let book { try checkState("after recovery", book) }
    }

    func checkPairs(_ pairs: [[PairNumbers]]) throws {
        for c in 0..<shardCount {
            for d in 0..<shardCount where c != d {
                try check(
                    pairs[c][d].applied <= pairs[d][c].decided,
                    "shard \(c) has applied decision \(pairs[c][d].applied) of \(d), whose log ends at \(pairs[d][c].decided)"
                )
            }
        }
    }

    private func wireUp() throws {
        queues = Array(repeating: Array(repeating: [], count: shardCount + 16), count: shardCount)
        lanes = Array(repeating: Array(repeating: nil, count: shardCount), count: shardCount)
        requestLanes = lanes
        callers = (0..<shardCount).map { _ in CallerLane() }
        let cells =
            hasDoors
            ? Front.controlCells(
                shardCount: shardCount, openPerPeer: bounds.openPerPeer, eventsOut: network.bounds.eventsOut)
            : Shard.protocolCells(openPerPeer: bounds.openPerPeer)
        let requestCells = hasDoors ? Front.requestCells(eventsOut: network.bounds.eventsOut) : 0
        tables = try (0..<shardCount).map { _ in try TableBox(bounds.slots) }
        laneOwners = []
        cuts = CutBoard()
        board = StatusBoard(coreCount: shardCount, facts: StatusFacts())
        for from in 0..<shardCount {
            for to in 0..<shardCount where from != to {
                lanes[from][to] = try makeLane(cells)
                requestLanes[from][to] = try makeLane(requestCells)
            }
        }
        countConnectionsAnew()
    }

    private func makeLane(_ cells: Int) throws -> Lane {
        let box = try LaneBox(cells)
        laneOwners.append(box)
        return box.owner.lane
    }

    /// What a shard appends before it opens; a canary skips it, or does all of it again.
    private func redo(
        _ missing: [LogRecord], _ i: Int, _ own: [PairNumbers], _ decisions: [[[LogRecord]]]
    ) -> [LogRecord] {
        switch options.harnessFault {
        case .skipRedo: return []
        case .redoAgain:
            return (0..<shardCount).filter { $0 != i }.flatMap { d in
                var last = own[d].applied
                return decisions[d][i].map { decision in
                    var again = decision
                    if !decision.flags.contains(.chainContinues) { last += 1 }
                    again.sequence = decision.flags.contains(.chainContinues) ? last + 1 : last
                    return again
                }
            }
        default: return missing
        }
    }

    private func append(_ records: [LogRecord], to journal: inout Journal, _ replayed: Replayed, _ ceiling: UInt64)
        throws
    {
        var writes: [WriteCommand] = []
        func hand(_ journal: inout Journal) throws {
            while let write = try journal.nextWrite(clockCeiling: ceiling) { writes.append(write) }
        }
        func finish(_ journal: inout Journal) throws {
            while journal.durable < journal.appended {
                try hand(&journal)
                if writes.isEmpty { throw fail("redo does not become durable") }
                let write = writes.remove(at: dice.below(writes.count))
                try put(write)
                _ = try journal.completed(token: write.token, result: Int32(write.length))
            }
        }
        for record in records {
            if !journal.hasRoom(records: 1) { try finish(&journal) }
            let position = journal.append(record)
            let wrong = replayed.collector!.replay.apply(record, lsn: journal.appended, position: position)
            try check(wrong == nil, "redo: \(wrong ?? "")")
            coverage.redone += 1
            if dice.chance(30) { try hand(&journal) }
        }
        try hand(&journal)
        if !records.isEmpty && dice.chance(25) {
            try loseWrites(writes)
            throw Crash()
        }
        try finish(&journal)
    }
}

/// A journal on its way into a shard.
final class JournalBox {
    var journal: Journal?
    init(_ journal: consuming Journal) { self.journal = consume journal }
    func take() -> Journal { journal.take()! }
}
