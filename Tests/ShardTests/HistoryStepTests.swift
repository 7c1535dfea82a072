// Goal: a read of history up to a moment finds everything that was decided up to it, and nothing is decided up to it
// later. Method: a stage of two shards with clocks apart, one message at a time.

import SuanpanCore
import Testing

@testable import SuanpanShard
@testable import SuanpanSimulator

struct HistoryStepTests {
    private func hasApplied(_ stage: Stage, _ decided: [UInt64]) -> Bool {
        stage.nodes[0].shard.hasApplied(decided)
    }

    @Test func nothingIsDecidedBeforeTheMomentAnyMore() throws {
        let stage = try Stage()
        let (a, b) = (try stage.account(on: 0), try stage.account(on: 1))
        let time = Timestamp(stage.nodes[0].shard.clock.now + 1_000_000)
        // One is reserved and not decided when the moment is closed, one comes afterwards.
        let first = stage.ask(.transfer(stage.transfer(a, b, 1)))
        try stage.settle(0)
        let decided = stage.nodes[0].shard.closeHistory(upTo: time)
        #expect(hasApplied(stage, decided))
        let second = stage.ask(.transfer(stage.transfer(a, b, 1)))
        try stage.finish()
        for event in [first, second] {
            guard case .results(let result)? = stage.replies[event] else {
                Issue.record("no answer")
                continue
            }
            #expect(result[0].isCreated && result[0].timestamp > time)
        }
    }

    @Test func whatWasDecidedIsWaitedFor() throws {
        let stage = try Stage()
        let (a, b) = (try stage.account(on: 0), try stage.account(on: 1))
        let payment = stage.ask(.transfer(stage.transfer(a, b, 1)))
        try stage.settle(0)
        try stage.deliver(0, 1)
        try stage.deliver(1, 0)
        // Decided, not yet durable, so not committed.
        let now = Timestamp(stage.nodes[0].shard.clock.now)
        let decided = stage.nodes[0].shard.closeHistory(upTo: now)
        #expect(!hasApplied(stage, decided))
        try stage.sync(0)
        try stage.deliver(0, 1)
        #expect(!hasApplied(stage, decided))
        try stage.deliver(1, 0)
        #expect(hasApplied(stage, decided))
        try stage.finish()
        #expect(stage.code(payment) == .created)
    }
}
