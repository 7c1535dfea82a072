// Goal: a chain of accounts over several shards is created whole or not at all, and nobody sees a part of it. Method: a
// stage of shards, one message at a time, with everything that may meet a chain under way; the log's replay.

import SuanpanCore
import SuanpanJournal
import SuanpanLedger
import Testing

@testable import SuanpanShard
@testable import SuanpanSimulator

struct AccountChainTests {
    private func account(_ id: AccountID, _ code: UInt16 = 1) -> Account { Account(id: id, ledger: 1, code: code) }

    private func found(_ stage: Stage, _ ids: [AccountID]) throws -> [Bool] {
        let reads = ids.map { stage.ask(.lookupAccount($0)) }
        try stage.finish()
        return reads.map { if case .account(.some)? = stage.replies[$0] { true } else { false } }
    }

    @Test func aChainOverTwoShards() throws {
        let stage = try Stage()
        let (a, b, c) = (stage.id(on: 0), stage.id(on: 1), stage.id(on: 0))
        let chain = [account(a), account(b), account(c)]
        let first = try #require(try stage.ask(accounts: chain))
        try stage.finish()
        #expect(stage.codes(first) == [.created, .created, .created])
        #expect(try found(stage, [a, b, c]) == [true, true, true])
        // Again, unchanged: the first timestamps. With a new one: nothing of it.
        let again = try #require(try stage.ask(accounts: chain))
        let d = stage.id(on: 1)
        let mixed = try #require(try stage.ask(accounts: [account(d), account(a), account(b)]))
        try stage.finish()
        #expect(stage.codes(again) == [.exists, .exists, .exists])
        #expect(
            stage.chainResults[again]?.mapValues(\.timestamp) == stage.chainResults[first]?.mapValues(\.timestamp))
        #expect(stage.codes(mixed) == [.linkedEventFailed, .exists, .linkedEventFailed])
        #expect(try found(stage, [d]) == [false])
        for node in stage.nodes { #expect(node.shard.isQuiet && node.shard.absentAccounts.isEmpty) }
    }

    @Test func theFaultOfAnyShardRefusesAll() throws {
        let stage = try Stage(shards: 3)
        let there = try stage.account(on: 2)
        let (a, b) = (stage.id(on: 0), stage.id(on: 1))
        let event = try #require(try stage.ask(accounts: [account(a), account(b), account(there, 9)]))
        try stage.finish()
        #expect(stage.codes(event) == [.linkedEventFailed, .linkedEventFailed, .existsWithDifferentCode])
        #expect(try found(stage, [a, b]) == [false, false])
        let bad = try #require(try stage.ask(accounts: [account(a), account(b, 0), account(there)]))
        try stage.finish()
        #expect(stage.codes(bad) == [.linkedEventFailed, .codeMustNotBeZero, .linkedEventFailed])
    }

    /// From the lock to the end nobody learns whether the account exists.
    @Test func whoeverMeetsAChainUnderWayWaits() throws {
        let stage = try Stage()
        let payer = try stage.account(on: 0)
        let (a, b) = (stage.id(on: 0), stage.id(on: 1))
        let chain = try #require(try stage.ask(accounts: [account(a), account(b)]))
        try stage.settle(0)
        try stage.deliver(0, 1)
        // Shard 1 holds b. A payment to it, crossing; a read and a creation of it.
        let payment = stage.ask(.transfer(stage.transfer(payer, b, 5)))
        try stage.settle(0)
        try stage.deliver(0, 1)
        #expect(stage.nodes[1].shard.absentAccounts.waitingCount == 1)
        // None of these is turned away: whatever comes behind them in their lane goes on.
        let read = stage.ask(.lookupAccount(b))
        let creation = stage.ask(.account(account(b)))
        let spending = stage.ask(.transfer(stage.transfer(b, payer, 1)))
        let freezing = stage.ask(.freeze(b, [.creditsFrozen], lifting: false))
        let again = try #require(try stage.ask(accounts: [account(b), account(stage.id(on: 1))]))
        let other = stage.id(on: 1)
        let free = stage.ask(.account(account(other)))
        let held = stage.nodes[1].shard.absentAccounts.eventCount
        #expect(held == 4 && stage.replies[read] == nil)
        try stage.finish()
        #expect(stage.codes(chain) == [.created, .created])
        #expect([.created, .creditAccountFrozen].contains(stage.code(payment)))
        #expect(stage.code(creation) == .exists && stage.code(spending) == .created && stage.code(freezing) == .created)
        #expect(stage.codes(again) == [.exists, .linkedEventFailed])
        if case .account(.some(let found))? = stage.replies[read] {
            #expect(found.id == b)
        } else {
            Issue.record("no read")
        }
        #expect(stage.code(free) == .created)
        #expect(try found(stage, [other]) == [true])
        for node in stage.nodes { #expect(node.shard.isQuiet && node.shard.absentAccounts.waitingCount == 0) }
    }

    /// Two chains want the same two ids and begin at opposite shards: one is created, the other is told that they exist.
    @Test(arguments: [[0, 1], [1, 0]]) func chainsThatCrossEachOther(order: [Int]) throws {
        let stage = try Stage()
        let ids = [stage.id(on: 0), stage.id(on: 1)]
        let events = try order.map { first in
            try #require(try stage.ask(accounts: [account(ids[first]), account(ids[1 - first])]))
        }
        for i in 0..<2 { try stage.settle(i) }
        try stage.finish()
        let codes = events.map { stage.codes($0) }
        #expect(codes.filter { $0 == [.created, .created] }.count == 1)
        // The other account is the last, and `linked` not compared.
        #expect(codes.filter { $0 == [.exists, .exists] }.count == 1)
        for node in stage.nodes { #expect(node.shard.isQuiet && node.shard.absentAccounts.waitingCount == 0) }
    }

    /// A chain of transfers that rests on an absence is answered before the account comes.
    @Test func aCreationWaitsForWhoeverRestsOnTheAbsence() throws {
        let stage = try Stage()
        let payer = try stage.account(on: 0)
        let (a, b) = (stage.id(on: 0), stage.id(on: 1))
        var reserve = stage.transfer(payer, b, 5)
        reserve.flags = [.pending, .balancingDebit]
        let transfer = stage.ask(.transfer(reserve))
        try stage.settle(0)
        try stage.deliver(0, 1)
        let chain = try #require(try stage.ask(accounts: [account(a), account(b)]))
        try stage.settle(0)
        try stage.deliver(0, 1)
        let hash = stage.nodes[1].shard.ledger.accountHash(b)
        let second = stage.nodes[1].shard.absentAccounts.firstHold(b, hash)
        let last = stage.nodes[1].shard.absentAccounts[second]
        let first = stage.nodes[1].shard.absentAccounts[last.next]
        #expect(first.kind == .absent && last.kind == .awaited && first.next == 0)
        try stage.finish()
        #expect(stage.code(transfer) == .creditAccountNotFound)
        #expect(stage.codes(chain) == [.created, .created])
    }

    // MARK: The log

    @Test func theOtherShardsGetTheirAccountsAgain() throws {
        let logs = ChainReplayTests()
        let routing = logs.routing
        let ids = (0..<3).map { shard in
            (UInt128(1)...).first { routing.shard(of: AccountID($0)).index == shard }.map { AccountID($0) }!
        }
        var run = [1, 2].map { LogRecord(chainPeer: ShardID($0), sequence: 1, timestamp: Timestamp(30)) }
        for (i, id) in ids.enumerated() {
            var record = LogRecord(accountLeg: account(id), peer: ShardID(0), sequence: 0)
            if i < 2 { record.flags.insert(.chainContinues) }
            run.append(record)
        }
        for kept in 1..<run.count {
            let part = try logs.replay(0, Array(run.prefix(kept)))
            #expect(part.incompleteSince == LSN(1) && part.ledger.accountCount == 0)
        }
        let coordinator = try logs.replay(0, run)
        #expect(coordinator.ledger.accountCount == 1 && coordinator.ledger.find(ids[0]) != nil)
        let none: [[LogRecord]] = [[], [], []]
        for shard in 1...2 {
            let empty = try logs.replay(shard, [])
            let pairs = [coordinator.pairs, empty.pairs, empty.pairs]
            let missing = try empty.missingCredits(pairs: pairs, decisions: [coordinator.decisions, none, none])
            #expect(missing.map(\.account.id) == [ids[shard]])
            let after = try logs.replay(shard, missing)
            #expect(after.ledger.find(ids[shard]) != nil && after.pairs[0].applied == 1)
        }
    }
}
