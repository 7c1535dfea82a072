// Losing all memory, what the disk keeps of unfinished writes, replay and redo as CoreThread does them, and what must
// hold afterwards.

import Foundation
import SuanpanCore
import SuanpanJournal
import SuanpanLanes
import SuanpanLedger
import SuanpanShard

#if canImport(Glibc)
    import Glibc
#endif

extension Simulation {
    // MARK: Start, crash, recovery

    /// A replay that also keeps the records.
    struct Collector: ~Copyable, RecordVisitor {
        var replay: LedgerReplay
        var records: [LogRecord] = []
        init(_ replay: consuming LedgerReplay) { self.replay = replay }
        mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
            try replay.visit(record, lsn: lsn, position: position)
            records.append(record)
        }
    }

    final class Replayed {
        var collector: Collector?
        let summary: ReplaySummary
        let records: [LogRecord]
        let pairs: [PairNumbers]
        let decisions: [[LogRecord]]
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
    struct Records: RecordVisitor {
        var records: [LogRecord] = []
        mutating func visit(_ record: LogRecord, lsn: LSN, position: LogPosition) throws(JournalError) {
            records.append(record)
        }
    }

    func readLogs() throws -> [[LogRecord]] {
        try (0..<shardCount).map { i in
            var visitor = Records()
            _ = try Recovery.replay(shardDirectory(i), into: &visitor)
            return visitor.records
        }
    }

    func replayAll() throws -> [Replayed] {
        try (0..<shardCount).map { i in
            var collector = Collector(
                LedgerReplay(id: ShardID(i), routing: routing, key: HashKey(a: 77, b: 99), memoryBytes: 1 << 20))
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
        try checkCuts()
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
                if case .cut = events[event].question { continue }
                send(c, [events[event].question])
            }
        }
    }

    /// Each write that was not finished: kept, dropped, or torn at a block.
    func loseWrites(_ writes: [WriteCommand]) throws {
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

    func takeStream() -> UInt32 {
        nextStream += 1
        return nextStream
    }

    func recover(isFirst: Bool) throws {
        lanes = []
        laneOwners = []
        cuts = CutBoard()
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
            tables = (0..<shardCount).map { _ in TableBox(bounds.slots) }
            laneOwners = []
            for from in 0..<shardCount {
                for to in 0..<shardCount where from != to {
                    let box = LaneBox(bounds.openPerPeer * 8 + 64 + 128)
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
                            var again = t
                            again.sequence = next
                            missing.append(again)
                        }
                    }
                }
                var writes: [WriteCommand] = []
                for record in missing {
                    try check(journal.hasRoom(records: 1), "no room for redo")
                    let position = journal.append(record)
                    let wrong = replayed[i].collector!.replay.ledger.replay(
                        record, lsn: journal.appended, position: position.value)
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
                    lanes: lanes[i], transfers: tables[i].owner.table, pairs: own, bounds: bounds,
                    cuts: cuts)
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

    /// What the logs say was accepted and refused.
    struct Told {
        var transfers: [Identity: Transfer] = [:]
        var refusals: [Identity: (Transfer, ResultCode)] = [:]
        var accounts: [AccountID: Account] = [:]
    }

    func told(_ logs: [[LogRecord]]) throws -> Told {
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
                case .credit, .freeze, .leg, .chainPeer, .accountLeg, nil: break
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
    func checkAnswered(_ logs: [[LogRecord]]) throws {
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
    func resolve(_ crashedAt: Int) throws {
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
}

extension Simulation.Collector {
    consuming func intoLedger() -> Ledger { replay.intoLedger() }
}
