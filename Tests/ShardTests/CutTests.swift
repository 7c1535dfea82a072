// Goal: a consistent cut shows exactly what was decided up to its moment, whatever was under way. Method: one message at a
// time on a Stage; the simulation does the same for any order.

import SuanpanCore
import SuanpanShard
import Testing

@testable import SuanpanSimulator

@Suite struct CutTests {
    /// Debits and credits posted of each account, by event of a cut.
    private static func shown(_ stage: Stage, _ event: Int) -> [[UInt128]]? {
        guard case .cut(let accounts, _)? = stage.replies[event] else { return nil }
        return accounts.map { a in a.map { [$0.debitsPosted.value, $0.creditsPosted.value] } ?? [] }
    }

    /// An account on either shard, and a transfer between them that shard 1 was asked for.
    private static func prepared(_ stage: Stage) throws -> (AccountID, AccountID) {
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        stage.ask(.transfer(stage.transfer(a, b, 5)))
        try stage.settle(0)
        try stage.deliver(0, 1)
        return (a, b)
    }

    /// The same, decided and durable at shard 0; its commit is under way.
    private static func committed(_ stage: Stage) throws -> (AccountID, AccountID) {
        let accounts = try prepared(stage)
        try stage.deliver(1, 0)
        try stage.sync(0)
        return accounts
    }

    @Test func commitsUnderWayAreInIt() throws {
        let stage = try Stage()
        let (a, b) = try Self.committed(stage)
        let cut = stage.ask(.cut([a, b]))
        let totals = stage.ask(.cut([]))
        try stage.beginCut()
        // Shard 1 copies before the commit arrives.
        stage.nodes[1].shard.joinCut()
        try stage.finish()
        #expect(Self.shown(stage, cut) == [[5, 0], [0, 5]])
        guard case .cut(_, let sums)? = stage.replies[totals] else { throw Failure(description: "no totals") }
        #expect(sums.map(\.debitsPosted) == [5] && sums.allSatisfy(\.isBalanced))
    }

    @Test func decisionsNotYetDurableAreInIt() throws {
        let stage = try Stage()
        let (a, b) = try Self.prepared(stage)
        try stage.deliver(1, 0)
        // Decided, not durable: no commit has left.
        let cut = stage.ask(.cut([b, a]))
        try stage.beginCut()
        try stage.deliver(0, 1)
        try stage.deliver(1, 0)
        #expect(stage.replies[cut] == nil)
        try stage.finish()
        #expect(Self.shown(stage, cut) == [[0, 5], [5, 0]])
    }

    @Test func whatIsDecidedLaterIsNot() throws {
        let stage = try Stage()
        let (a, b) = try Self.prepared(stage)
        let cut = stage.ask(.cut([a, b]))
        try stage.beginCut()
        try stage.finish()
        #expect(Self.shown(stage, cut) == [[0, 0], [0, 0]])
        let after = stage.ask(.cut([a, b]))
        try stage.beginCut()
        try stage.finish()
        #expect(Self.shown(stage, after) == [[5, 0], [0, 5]])
    }

    @Test func aLateShardMakesItBeginAgain() throws {
        let stage = try Stage()
        let (a, b) = try Self.committed(stage)
        try stage.finish()
        let c = try stage.account(on: 1)
        let cut = stage.ask(.cut([a, b, c, stage.id(on: 1)]))
        try stage.beginCut()
        // Shard 1's clock passes the moment before it learns of it, and a transfer with it.
        stage.nodes[1].shard.clock.observe(1_000_000)
        stage.ask(.transfer(stage.transfer(b, c, 1)))
        try stage.finish()
        #expect(stage.nodes[0].shard.statistics.cuts > 1)
        #expect(Self.shown(stage, cut) == [[5, 0], [1, 5], [0, 1], []])
    }

    /// What is pending, posted and closed by a chain of two shards is in it or not, as a whole.
    @Test func chainsAreWhole() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        var pending = stage.transfer(a, b, 7)
        pending.flags = [.pending, .closingCredit]
        stage.ask(.transfer(pending))
        try stage.settle(0)
        try stage.deliver(0, 1)
        try stage.deliver(1, 0)
        // Decided at shard 0; shard 1 holds its account locked.
        let cut = stage.ask(.cut([a, b]))
        try stage.beginCut()
        try stage.finish()
        guard case .cut(let accounts, _)? = stage.replies[cut] else { throw Failure(description: "no answer") }
        #expect(accounts.map { $0?.debitsPending.value } == [7, 0])
        #expect(accounts.map { $0?.creditsPending.value } == [0, 7])
        #expect(accounts.map { $0?.flags } == [[], .closed])
    }

    /// A chain of accounts is in it as a whole, with a ledger that the other shard has not seen before.
    @Test(arguments: [false, true]) func chainsOfAccountsAreWhole(isDecided: Bool) throws {
        let stage = try Stage()
        let new = [stage.id(on: 0), stage.id(on: 1)]
        _ = try stage.ask(accounts: new.map { Account(id: $0, ledger: 7, code: 1) })
        try stage.settle(0)
        try stage.deliver(0, 1)
        if isDecided {
            try stage.sync(1)
            try stage.deliver(1, 0)
        }
        let cut = stage.ask(.cut(new))
        let totals = stage.ask(.cut([]))
        try stage.beginCut()
        // Shard 1 copies while it holds the id.
        stage.nodes[1].shard.joinCut()
        try stage.finish()
        #expect(Self.shown(stage, cut) == (isDecided ? [[0, 0], [0, 0]] : [[], []]))
        guard case .cut(_, let sums)? = stage.replies[totals] else { throw Failure(description: "no totals") }
        #expect(sums.map(\.ledger) == (isDecided ? [7] : []))
    }

    @Test func oneShardAnswersWhenDurable() throws {
        let stage = try Stage(shards: 1)
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 0)
        stage.ask(.transfer(stage.transfer(a, b, 5)))
        let cut = stage.ask(.cut([a, b, a]))
        try stage.beginCut()
        #expect(stage.replies[cut] == nil)
        try stage.finish()
        #expect(Self.shown(stage, cut) == [[5, 0], [0, 5], [5, 0]])
    }
}
