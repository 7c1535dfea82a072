// Rules whose breach random histories seldom show: each told message by message, with the rule and without it.

#if SUANPAN_FAILPOINTS
    import SuanpanCore
    import SuanpanShard
    import Testing

    @testable import SuanpanSimulator

    @Suite struct RuleTests {
        private func stage(shards: Int, without rule: Fault?) throws -> Stage {
            let stage = try Stage(shards: shards)
            for node in stage.nodes { node.shard.fault = rule }
            return stage
        }

        /// Three wait for each other when those that reserved behind one that waits don't let go: X for what W may debit, W
        /// for what Y may credit, Y for its turn behind X.
        @Test(arguments: [nil, Fault.keepFollowers]) func whoReservedBehindOneThatWaitsLetsGo(_ rule: Fault?) throws {
            let stage = try stage(shards: 3, without: rule)
            let a = try stage.account(on: 0)
            let b = try stage.account(on: 1, .creditsMustNotExceedDebits)
            let c = try stage.account(on: 2, .creditsMustNotExceedDebits, debits: 1)
            let x = stage.ask(.transfer(stage.transfer(a, b, 1)))
            let w = stage.ask(.transfer(stage.transfer(b, c, 1)))
            let y = stage.ask(.transfer(stage.transfer(a, c, 1)))
            for i in 0..<3 { try stage.settle(i) }
            try stage.deliver(0, 2)
            try stage.deliver(1, 2)
            try stage.deliver(0, 1)
            try stage.finish()
            let codes = [x, w, y].map { stage.code($0) }
            #expect(codes == (rule == nil ? [.created, .created, .exceedsDebits] : [nil, nil, nil]))
        }

        /// A refusal that rests on a debit says that it was decided: its credit must be known by then.
        @Test(arguments: [nil, Fault.releaseBeforeNoted]) func nothingLeavesBeforeTheCreditIsNoted(_ rule: Fault?)
            throws
        {
            let stage = try stage(shards: 2, without: rule)
            let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 2)
            let b = try stage.account(on: 1)
            let c = try stage.account(on: 0)
            stage.ask(.transfer(stage.transfer(a, b, 1)))
            try stage.finish()
            let announced = stage.ask(.transfer(stage.transfer(a, b, 1)))
            let refused = stage.ask(.transfer(stage.transfer(a, c, 1)))
            try stage.sync(0)
            #expect(stage.code(announced) == nil)
            #expect(stage.code(refused) == (rule == nil ? nil : .exceedsCredits))
            try stage.finish()
            #expect(stage.code(announced) == .created && stage.code(refused) == .exceedsCredits)
        }
    }
#endif
