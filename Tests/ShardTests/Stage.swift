// Two shards (or more) whose every step the test decides: for scenarios that are told one message at a time.

import Foundation
import SuanpanCore
import SuanpanJournal
import SuanpanLanes
import SuanpanLedger
import SuanpanShard

@testable import SuanpanSimulator

#if canImport(Glibc)
    import Glibc
#endif

/// One shard, without a loop: the test is the loop.
final class StagedShard {
    var shard: Shard
    init(_ shard: consuming Shard) { self.shard = shard }
}

final class Stage {
    private let path = "\(simulationRoot)/suanpan-stage-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    private let directory: DataDirectory
    private let preparer: SegmentPreparer
    private let cuts = CutBoard()
    private var owners: [LaneBox] = []
    private var tables: [TableBox] = []
    private var lanes: [[Lane?]] = []
    let routing: Routing
    private(set) var nodes: [StagedShard] = []
    private(set) var replies: [Int: Reply] = [:]
    /// Of chains: by event, then by place.
    private(set) var chainResults: [Int: [Int: EventResult]] = [:]
    private var questions: [Question] = []
    private var nextID: UInt128 = 1
    private var time: UInt64 = 1000

    init(shards: Int = 2, bounds: ShardBounds? = nil, segmentBytes: Int = 1 << 20) throws {
        directory = try DataDirectory(path: path, shards: shards, segmentBytes: segmentBytes)
        preparer = try SegmentPreparer(directory)
        routing = Routing(key: HashKey(a: 1, b: 2), shardCount: shards)
        lanes = Array(repeating: Array(repeating: nil, count: shards), count: shards)
        tables = try (0..<shards).map { _ in try TableBox(max(bounds?.slots ?? 0, Shard.slotCountDefault)) }
        for a in 0..<shards {
            for b in 0..<shards where a != b {
                let box = try LaneBox(1024)
                owners.append(box)
                lanes[a][b] = box.owner.lane
            }
        }
        for i in 0..<shards {
            var replay = LedgerReplay(
                id: ShardID(i), routing: routing, key: HashKey(a: 3, b: 4), memoryBytes: 1 << 20)
            let summary = try Recovery.replay(directory.shard(ShardID(i)), into: &replay)
            try replay.finish()
            let journal = try Journal(directory.shard(ShardID(i)), after: summary, supply: preparer.supply(ShardID(i)))
            nodes.append(
                StagedShard(
                    Shard(
                        id: ShardID(i), routing: routing, ledger: replay.intoLedger(), journal: journal,
                        clock: HybridClock(shard: ShardID(i), shardCount: shards, after: Timestamp(1000)),
                        lanes: lanes[i], tables: tables.map { $0.owner.table },
                        pairs: Array(repeating: PairNumbers(), count: shards), bounds: bounds, cuts: cuts)))
        }
    }

    deinit {
        nodes = []
        removeFolder(path)
    }

    /// Makes the segments ready that the logs may need next.
    func prepareSegments() { while preparer.step() {} }

    /// An unused account id that lives on a shard.
    func id(on shard: Int) -> AccountID {
        while true {
            nextID += 1
            if routing.shard(of: AccountID(nextID)).index == shard { return AccountID(nextID) }
        }
    }

    /// Creates an account and gives it balances.
    func account(on shard: Int, _ flags: AccountFlags = [], debits: UInt128 = 0, credits: UInt128 = 0) throws
        -> AccountID
    {
        let new = id(on: shard)
        ask(.account(Account(id: new, ledger: 1, code: 1, flags: flags)))
        if debits > 0 || credits > 0 {
            let other = try account(on: shard)
            if credits > 0 { ask(.transfer(transfer(other, new, credits))) }
            if debits > 0 { ask(.transfer(transfer(new, other, debits))) }
        }
        try finish()
        return new
    }

    func transfer(_ debit: AccountID, _ credit: AccountID, _ amount: UInt128) -> Transfer {
        nextID += 1
        return Transfer(
            id: TransferID(nextID), debit: debit, credit: credit, amount: Amount(amount), ledger: 1, code: 1)
    }

    /// Lets time pass.
    func wait(seconds: Int) { time += UInt64(seconds) * 1_000_000_000 }

    /// Hands an event to its shard. Returns its number; nil in `stalled` cases ends the test.
    @discardableResult
    func ask(_ question: Question, stream: UInt32 = 0) -> Int {
        // Later ones are younger, wherever they are.
        time += 100
        for node in nodes { node.shard.clock.observe(time) }
        let event = questions.count
        questions.append(question)
        let origin = Origin(core: 0, operation: 1, request: UInt32(event), index: 0, stream: stream)
        let accepted: Bool
        do {
            switch question {
            case .transfers(let asked):
                let node = nodes[routing.shard(of: asked[0].debitAccountID).index]
                if question.goesAlone {
                    for (k, t) in asked.enumerated() { node.shard.chainInput[k] = t }
                    accepted = take(try node.shard.submitChain(asked.count, origin), node, origin)
                } else {
                    accepted = take(try node.shard.submit(asked[0], origin), node, origin)
                }
            case .freeze(let id, let sides, let lifting):
                let node = nodes[routing.shard(of: id).index]
                let key = Shard.freezeKey(id, sides, lifting: lifting)
                accepted = take(try node.shard.submitFreeze(key, origin), node, origin)
            case .account(let a):
                let node = nodes[routing.shard(of: a.id).index]
                accepted = take(node.shard.submit(a, origin), node, origin)
            case .accounts(let asked):
                let node = nodes[routing.shard(of: asked[0].id).index]
                for (k, a) in asked.enumerated() { node.shard.chainInput[k] = a.bits }
                accepted = take(node.shard.submitAccountChain(asked.count, origin), node, origin)
            case .lookupAccount(let id):
                let node = nodes[routing.shard(of: id).index]
                switch node.shard.lookup(id, origin) {
                case .found(let account): node.shard.answerRecord(origin, account.bits)
                case .unknown: node.shard.answerRecord(origin, nil)
                case .deferred: break
                case .stalled: preconditionFailure("stalled")
                }
                accepted = true
            case .lookupTransfer(let debit, let id):
                let node = nodes[routing.shard(of: debit).index]
                var key = Shard.readKey(debit)
                key.id = id
                switch try node.shard.lookup(transfer: key, origin) {
                case .found(let found): node.shard.answerRecord(origin, found)
                case .deferred: break
                case .stalled: preconditionFailure("stalled")
                }
                accepted = true
            case .cut(let ids):
                nodes[0].shard.ask(CutRequest(core: ShardID(0), request: UInt32(event), accounts: ids))
                accepted = true
            }
        } catch { preconditionFailure("\(error)") }
        precondition(accepted, "stalled")
        return event
    }

    /// Hands a chain of accounts to the shard of the first; nil: it stalled.
    func ask(accounts: [Account]) throws -> Int? {
        time += 100
        for node in nodes { node.shard.clock.observe(time) }
        let event = questions.count
        questions.append(.account(accounts[0]))
        let node = nodes[routing.shard(of: accounts[0].id).index]
        for (i, account) in accounts.enumerated() {
            var linked = account
            if i + 1 < accounts.count { linked.flags.insert(.linked) }
            node.shard.chainInput[i] = linked.bits
        }
        let origin = Origin(core: 0, operation: 1, request: UInt32(event), index: 0, stream: 0)
        guard take(node.shard.submitAccountChain(accounts.count, origin), node, origin) else { return nil }
        return event
    }

    private func take(_ submission: Submission, _ node: StagedShard, _ origin: Origin) -> Bool {
        switch submission {
        case .answered(let result):
            node.shard.answers.append(Answer(origin: origin, result: result, lsn: node.shard.journal.appended))
            return true
        case .decided, .deferred: return true
        case .stalled: return false
        }
    }

    /// Settles a shard and makes its messages visible.
    func settle(_ i: Int) throws {
        try nodes[i].shard.settle()
        nodes[i].shard.advance()
        nodes[i].shard.flush { _ in }
        nodes[i].shard.checkInvariants()
    }

    /// How many messages are under way from one shard to another.
    func waiting(_ from: Int, _ to: Int) -> Int {
        guard let lane = lanes[from][to], lane.peek() != nil else { return 0 }
        var (count, cells) = (0, 0)
        while let message = lane.peek(ahead: cells) {
            cells += message.hasRecord ? Lane.recordCells : Lane.headCells
            count += 1
        }
        return count
    }

    /// Delivers up to `count` messages from one shard to another; returns their kinds.
    @discardableResult
    func deliver(_ from: Int, _ to: Int, _ count: Int = 1000) throws -> [MessageKind] {
        guard let lane = lanes[from][to] else { return [] }
        var kinds: [MessageKind] = []
        while kinds.count < count, let message = lane.peek() {
            nodes[to].shard.receive(message)
            lane.take(message)
            kinds.append(message.kind)
        }
        lane.release()
        try settle(to)
        return kinds
    }

    /// Makes a shard's log durable, all of it or so many groups, and says what follows.
    func sync(_ i: Int, groups: Int = .max) throws {
        let node = nodes[i]
        var left = groups
        while left > 0, let write = try node.shard.journal.nextWrite(clockCeiling: node.shard.clock.now) {
            precondition(unsafe pwrite(write.fd, write.address, write.length, off_t(write.offset)) == write.length)
            _ = try node.shard.journal.completed(token: write.token, result: Int32(write.length))
            left -= 1
        }
        try settle(i)
        while !node.shard.answers.isEmpty, node.shard.answers.first.lsn <= node.shard.released {
            let answer = node.shard.answers.first
            // Of a chain, the first event's.
            if answer.origin.index == 0 { replies[Int(answer.origin.request)] = .results([answer.result]) }
            chainResults[Int(answer.origin.request), default: [:]][Int(answer.origin.index)] = answer.result
            node.shard.answers.removeFirst()
        }
        while !node.shard.recordAnswers.isEmpty, node.shard.recordAnswers.first.lsn <= node.shard.released {
            let answer = node.shard.recordAnswers.first
            node.shard.recordAnswers.removeFirst()
            let event = Int(answer.origin.request)
            if case .lookupAccount = questions[event] {
                replies[event] = .account(answer.found ? Account(bits: answer.record) : nil)
            } else {
                replies[event] = .transfer(answer.found ? answer.record : nil)
            }
        }
    }

    /// Everything arrives and becomes durable.
    func finish() throws {
        for _ in 0..<60 {
            for i in nodes.indices {
                for j in nodes.indices where i != j { try deliver(j, i) }
                try settle(i)
                try sync(i)
            }
            workCuts()
        }
    }

    // MARK: Cuts

    /// Shard 0 begins the cut that was asked for.
    func beginCut() throws {
        nodes[0].shard.beginCut(now: nodes[0].shard.clock.now)
        try settle(0)
    }

    /// Takes what cuts have answered, and begins again what was late.
    private func workCuts() {
        nodes[0].shard.beginCut(now: nodes[0].shard.clock.now)
        while let request = nodes[0].shard.nextCutAnswer() {
            guard let event = request.request, let answer = request.answer else { continue }
            replies[Int(event)] = .cut(answer.accounts, answer.totals)
        }
    }

    // MARK: Answers

    /// Nothing is under way anywhere.
    var isQuiet: Bool { nodes.allSatisfy { $0.shard.isQuiet } }

    func code(_ event: Int) -> ResultCode? {
        if case .results(let r)? = replies[event] { r[0].code } else { nil }
    }

    /// The answers to a chain, in order; fewer while they are not all there.
    func codes(_ event: Int) -> [ResultCode?] {
        (chainResults[event] ?? [:]).sorted { $0.key < $1.key }.map(\.value.code)
    }

    func balances(_ event: Int) -> [UInt128] {
        if case .account(let a?)? = replies[event] { [a.debitsPosted.value, a.creditsPosted.value] } else { [] }
    }
}
