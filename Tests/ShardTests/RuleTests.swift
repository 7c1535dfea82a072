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

        /// A chain's first event passes by a credit that is not durable, its second is refused elsewhere: a crash could take the
        /// credit back, and with it the reason why the refusal was the second's.
        @Test(arguments: [nil, Fault.refuseBeforeDurable]) func noRefusalOutlivesWhatItRestsOn(_ rule: Fault?) throws {
            let stage = try stage(shards: 2, without: rule)
            let a = try stage.account(on: 0, .debitsMustNotExceedCredits)
            let b = try stage.account(on: 0)
            let c = try stage.account(on: 1, .debitsMustNotExceedCredits)
            let d = try stage.account(on: 1)
            stage.ask(.transfer(stage.transfer(b, a, 1)))
            var first = stage.transfer(a, b, 1)
            first.flags = .linked
            let chain = stage.ask(.transfers([first, stage.transfer(c, d, 1)]))
            try stage.settle(0)
            try stage.deliver(0, 1)
            try stage.sync(1)
            try stage.deliver(1, 0)
            // Its first event's shard has reserved: all say how their accounts stand.
            #expect(try stage.deliver(0, 1) == [.look])
            try stage.deliver(1, 0)
            #expect(try stage.deliver(0, 1).contains(.release) == (rule != nil))
            try stage.finish()
            #expect(stage.codes(chain) == [.linkedEventFailed, .exceedsCredits])
            #expect(stage.isQuiet)
        }

        /// A shard says yes to a chain for money that has come there: not before that is durable. What else its log has, and
        /// what has left the account, is not waited for.
        @Test(arguments: [nil, Fault.forgetRaises]) func aYesWaitsForTheCreditItRestsOn(_ rule: Fault?) throws {
            for isOld in [false, true] {
                let stage = try stage(shards: 2, without: rule)
                let a = try stage.account(on: 0)
                let b = try stage.account(on: 0)
                let c = try stage.account(on: 1, .debitsMustNotExceedCredits)
                let d = try stage.account(on: 1)
                stage.ask(.transfer(stage.transfer(d, c, 2)))
                if isOld { try stage.finish() }
                stage.ask(.transfer(stage.transfer(c, d, 1)))
                var first = stage.transfer(a, b, 1)
                first.flags = .linked
                let chain = stage.ask(.transfers([first, stage.transfer(c, d, 1)]))
                try stage.settle(0)
                try stage.deliver(0, 1)
                try stage.settle(1)
                #expect(try stage.deliver(1, 0).contains(.chainYes) == (isOld || rule != nil))
                try stage.sync(1)
                #expect(try stage.deliver(1, 0).contains(.chainYes) == (!isOld && rule == nil))
                try stage.finish()
                #expect(stage.codes(chain) == [.created, .created])
                #expect(stage.isQuiet)
            }
        }

        /// An event of a chain is sent again alone while its shard has reserved for the chain, and nobody has decided.
        @Test(arguments: [nil, Fault.forgetChainIDs]) func anIDThatAChainIsDecidingIsFound(_ rule: Fault?) throws {
            let stage = try stage(shards: 2, without: rule)
            let a = try stage.account(on: 0)
            let b = try stage.account(on: 0)
            let c = try stage.account(on: 1)
            let alone = stage.transfer(a, b, 1)
            var first = alone
            first.flags = .linked
            let chain = stage.ask(.transfers([first, stage.transfer(a, c, 2)]))
            try stage.settle(0)
            let again = stage.ask(.transfer(alone))
            // Without the rule it pays twice.
            if rule == nil { try stage.finish() } else { try stage.sync(0) }
            #expect(stage.code(again) == (rule == nil ? .exists : .created))
            if rule == nil { #expect(stage.codes(chain) == [.created, .created] && stage.isQuiet) }
        }

        /// A chain is decided, and a read of one account shows it: a read of the other waits until it is applied there.
        @Test(arguments: [nil, Fault.readReserved]) func aReadWaitsForWhatIsReserved(_ rule: Fault?) throws {
            let stage = try stage(shards: 2, without: rule)
            let a = try stage.account(on: 0)
            // No credit is promised to it.
            let b = try stage.account(on: 1, .creditsMustNotExceedDebits, debits: 9)
            let c = try stage.account(on: 0)
            var first = stage.transfer(a, b, 1)
            first.flags = .linked
            stage.ask(.transfers([first, stage.transfer(b, c, 3)]))
            try stage.settle(0)
            try stage.deliver(0, 1)
            try stage.sync(1)
            try stage.deliver(1, 0)
            try stage.sync(0)
            let early = stage.ask(.lookupAccount(a))
            try stage.sync(0)
            #expect(stage.balances(early) == [1, 0])
            let late = stage.ask(.lookupAccount(b))
            try stage.sync(1)
            #expect(stage.balances(late) == (rule == nil ? [] : [9, 0]))
            try stage.finish()
            if rule == nil { #expect(stage.balances(late) == [12, 1]) }
        }

        /// Two transfers under way against each other, each decided on a standing vote and not yet known at the other's shard:
        /// two reads each saw the one that begins at their shard, and missed the other.
        @Test(arguments: [nil, Fault.lookUnheard]) func noTwoReadsEachMissWhatTheOtherSees(_ rule: Fault?) throws {
            let stage = try stage(shards: 2, without: rule)
            let a = try stage.account(on: 0)
            let b = try stage.account(on: 1)
            for (from, to) in [(a, b), (b, a), (a, b), (b, a)] {
                stage.ask(.transfer(stage.transfer(from, to, 1)))
                // The second two are under way.
                if to == a && stage.nodes[0].shard.statistics.announced == 0 { try stage.finish() }
            }
            #expect(stage.nodes[0].shard.statistics.announced == 1 && stage.nodes[1].shard.statistics.announced == 1)
            let reads = [stage.ask(.lookupAccount(a)), stage.ask(.lookupAccount(b))]
            try stage.finish()
            let both: [UInt128] = rule == nil ? [2, 2] : [2, 1]
            #expect(reads.map { stage.balances($0) } == [both, both])
        }

        /// A credit is noted, and all that was decided up to now is heard, before it is applied: who asks must find it.
        @Test(arguments: [nil, Fault.lookUnapplied]) func whatIsNotedIsWaitedFor(_ rule: Fault?) throws {
            let stage = try stage(shards: 2, without: rule)
            let a = try stage.account(on: 0)
            let b = try stage.account(on: 1, .debitsMustNotExceedCredits)
            let c = try stage.account(on: 1)
            stage.ask(.transfer(stage.transfer(a, b, 1)))
            try stage.finish()
            let credit = stage.ask(.transfer(stage.transfer(a, b, 2)))
            try stage.settle(0)
            #expect(try stage.deliver(0, 1).contains(.credit))
            let read = stage.ask(.lookupAccount(b))
            let spent = stage.ask(.transfer(stage.transfer(b, c, 3)))
            let more = stage.ask(.transfer(stage.transfer(b, c, 1)))
            for _ in 0..<2 {
                try stage.settle(1)
                try stage.deliver(1, 0)
                try stage.settle(0)
                #expect(try stage.deliver(0, 1).contains(.heard))
                try stage.sync(1)
            }
            #expect(stage.balances(read) == (rule == nil ? [] : [0, 1]))
            #expect(stage.code(spent) == (rule == nil ? nil : .exceedsCredits))
            try stage.finish()
            #expect(stage.code(credit) == .created)
            #expect(stage.balances(read) == (rule == nil ? [0, 3] : [0, 1]))
            #expect(stage.code(spent) == (rule == nil ? .created : .exceedsCredits))
            #expect(stage.code(more) == (rule == nil ? .exceedsCredits : .created))
            #expect(stage.isQuiet)
        }

        /// The same with two transfers that the other's credit would have made possible: one of them at least is created.
        @Test(arguments: [nil, Fault.lookUnheard]) func noTwoRefusalsEachMissWhatTheOtherSees(_ rule: Fault?) throws {
            let stage = try stage(shards: 2, without: rule)
            let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 2)
            let b = try stage.account(on: 1, .debitsMustNotExceedCredits, credits: 2)
            let c = try stage.account(on: 0)
            let d = try stage.account(on: 1)
            for (from, to) in [(a, b), (b, a)] { stage.ask(.transfer(stage.transfer(from, to, 1))) }
            try stage.finish()
            for (from, to) in [(a, b), (b, a)] { stage.ask(.transfer(stage.transfer(from, to, 2))) }
            let events = [
                stage.ask(.transfer(stage.transfer(a, c, 1))), stage.ask(.transfer(stage.transfer(b, d, 1))),
            ]
            try stage.finish()
            let code: ResultCode = rule == nil ? .created : .exceedsCredits
            #expect(events.map { stage.code($0) } == [code, code])
            #expect(stage.isQuiet)
        }
    }
#endif
