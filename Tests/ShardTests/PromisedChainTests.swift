// Goal: chains that are decided at once because their credits in other shards are promised are as whole as those that ask, and
// leave nothing behind. Method: two or three shards, message by message.

import SuanpanCore
import SuanpanLanes
import SuanpanShard
import Testing

@testable import SuanpanSimulator

@Suite struct PromisedChainTests {
    private func linked(_ transfers: Transfer...) -> [Transfer] {
        var events = transfers
        for k in events.indices.dropLast() { events[k].flags.insert(.linked) }
        return events
    }

    private func promise(_ stage: Stage, _ from: AccountID, _ accounts: AccountID...) throws {
        for account in accounts { stage.ask(.transfer(stage.transfer(from, account, 1))) }
        try stage.finish()
    }

    /// A post or void that leaves its credit account out: it is the promised one too, and its shard must be asked to end the
    /// hold, not told of a plain credit.
    @Test(arguments: [TransferFlags.postPending, .voidPending])
    func whatEndsAHoldIsNoPromisedCredit(_ flags: TransferFlags) throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        try promise(stage, a, b)
        var held = stage.transfer(a, b, 7)
        held.flags = .pending
        stage.ask(.transfer(held))
        try stage.finish()
        var end = stage.transfer(a, AccountID(0), flags == .postPending ? 7 : 0)
        end.pendingID = held.id
        end.flags = flags
        end.ledger = 0
        end.code = 0
        let chain = stage.ask(.transfers(linked(stage.transfer(a, b, 2), end)))
        try stage.finish()
        #expect(stage.codes(chain) == [.created, .created])
        let posted: UInt128 = flags == .postPending ? 10 : 3
        for (shard, id) in [(0, a), (1, b)] {
            let found = stage.nodes[shard].shard.ledger.find(id)
            let index = try #require(found)
            let account = stage.nodes[shard].shard.ledger.account(index)
            #expect(account.debitsPending.value == 0 && account.creditsPending.value == 0)
            #expect((shard == 0 ? account.debitsPosted : account.creditsPosted).value == posted)
        }
        #expect(stage.isQuiet)
    }

    /// Its credits in two shards: none may be spent before both have noted theirs, however far the coordinator's clock is
    /// ahead. Else who has seen it spent, and then looks at the other, would not find it there.
    @Test func noPartOfAChainIsSpentBeforeAllShardsHaveNotedTheirs() throws {
        let stage = try Stage(shards: 3)
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1, .debitsMustNotExceedCredits)
        let c = try stage.account(on: 2)
        let d = try stage.account(on: 1)
        try promise(stage, a, b, c)
        stage.nodes[0].shard.clock.observe(stage.nodes[0].shard.clock.now + 1_000_000)
        let chain = stage.ask(.transfers(linked(stage.transfer(a, b, 4), stage.transfer(a, c, 2))))
        try stage.settle(0)
        try stage.deliver(0, 1)
        try stage.deliver(1, 0)
        try stage.sync(0)
        #expect(try !stage.deliver(0, 1).contains(.commits))
        let spent = stage.ask(.transfer(stage.transfer(b, d, 5)))
        try stage.sync(1)
        #expect(stage.code(spent) == nil && stage.codes(chain).isEmpty)
        let read = stage.ask(.lookupAccount(c))
        try stage.finish()
        #expect(stage.codes(chain) == [.created, .created] && stage.code(spent) == .created)
        // As of before the chain.
        #expect(stage.balances(read) == [0, 1])
        #expect(stage.isQuiet)
    }

    /// It was decided in one step, but its credits elsewhere are on their way: a later command of its connection, which may be
    /// another shard's, must not go on as if they were there.
    @Test func aChainThatCrossesIsNotOverInOneStep() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let c = try stage.account(on: 0)
        try promise(stage, a, b)
        for (credit, isOver) in [(b, false), (c, true)] {
            let events = linked(stage.transfer(a, credit, 1), stage.transfer(a, c, 1))
            for (k, t) in events.enumerated() { stage.nodes[0].shard.chainInput[k] = t }
            let origin = Origin(core: 0, operation: 1, request: 1000, index: 0, stream: 0)
            switch try stage.nodes[0].shard.submitChain(events.count, origin) {
            case .decided: #expect(isOver)
            case .deferred: #expect(!isOver)
            case .answered, .stalled: Issue.record("neither")
            }
        }
        #expect(stage.nodes[0].shard.statistics.announcedChains == 1)
        try stage.finish()
        #expect(stage.isQuiet)
    }
}
