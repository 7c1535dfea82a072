// Goal: a transfer or chain that is judged while a deadline passes is judged as of one moment, on all its accounts: the hold
// counts as over on both of them, or on neither. Method: message by message on a Stage, with the rule and without it.

#if SUANPAN_FAILPOINTS
    import SuanpanCore
    import SuanpanShard
    import Testing

    @testable import SuanpanSimulator

    @Suite struct OneMomentTests {
        private func stage(without rule: Fault?) throws -> Stage {
            let stage = try Stage(shards: 3)
            for node in stage.nodes { node.shard.fault = rule }
            return stage
        }

        /// Holds all of the payer's money for a second.
        private func hold(_ stage: Stage, _ payer: AccountID, _ payee: AccountID, _ flags: TransferFlags = []) throws {
            var t = stage.transfer(payer, payee, 5)
            t.flags = flags.union(.pending)
            t.timeout = 1
            let held = stage.ask(.transfer(t))
            try stage.finish()
            #expect(stage.code(held) == .created)
        }

        /// The hold's second passes; every shard knows it.
        private func pass(_ stage: Stage, _ account: AccountID) {
            stage.wait(seconds: 1)
            stage.ask(.lookupAccount(account))
        }

        private func finish(_ stage: Stage) throws {
            for _ in 0..<4 { try stage.finish() }
            #expect(stage.isQuiet)
        }

        /// It waits at the debit account while the deadline passes, finds the money free, and was refused by the credit account
        /// that the same hold closes. (Simulator, seed 961778.)
        @Test(arguments: [nil, Fault.closeByAge]) func aTransferThatWaitedFindsTheAccountOpen(_ rule: Fault?) throws {
            let stage = try stage(without: rule)
            let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 5)
            let b = try stage.account(on: 1)
            let other = try stage.account(on: 2)
            try hold(stage, a, b, .closingCredit)
            // A freeze waits for a credit that is under way, and the transfer behind it.
            stage.ask(.transfer(stage.transfer(other, a, 1)))
            try stage.settle(2)
            try stage.deliver(2, 0)
            stage.ask(.freeze(a, .debitsFrozen, lifting: true))
            try stage.settle(0)
            let paid = stage.ask(.transfer(stage.transfer(a, b, 5)))
            pass(stage, other)
            try finish(stage)
            #expect(stage.code(paid) == (rule == nil ? .created : .creditAccountClosed))
        }

        /// The same of a chain that one shard judges after the deadline, though it came before it.
        @Test(arguments: [nil, Fault.closeByAge]) func aChainFindsTheAccountOpen(_ rule: Fault?) throws {
            let stage = try stage(without: rule)
            let a = try stage.account(on: 1, .debitsMustNotExceedCredits, credits: 5)
            let b = try stage.account(on: 1)
            let (c, d) = (try stage.account(on: 0), try stage.account(on: 0))
            try hold(stage, a, b, .closingCredit)
            var first = stage.transfer(c, d, 1)
            first.flags = .linked
            let chain = stage.ask(.transfers([first, stage.transfer(a, b, 5)]))
            try stage.settle(0)
            pass(stage, d)
            // By itself the shard would look at its wheel at once.
            try stage.deliver(0, 1)
            try finish(stage)
            #expect(
                stage.codes(chain)
                    == (rule == nil ? [.created, .created] : [.linkedEventFailed, .creditAccountClosed]))
        }

        /// The credit account's shard speaks before the deadline, the debit account's after it.
        @Test(arguments: [nil, Fault.judgeManyMoments], [0, 1]) func shardsSpeakAsOfOneMoment(_ rule: Fault?, kind: Int)
            throws
        {
            let stage = try stage(without: rule)
            let isClosing = kind == 0
            let a = try stage.account(on: 1, .debitsMustNotExceedCredits, credits: 5)
            let b = try stage.account(on: 2, isClosing ? [] : .creditsMustNotExceedDebits, debits: isClosing ? 0 : 5)
            let (c, d) = (try stage.account(on: 0), try stage.account(on: 0))
            try hold(stage, a, b, isClosing ? .closingCredit : [])
            var first = stage.transfer(c, d, 1)
            // By locks everywhere.
            first.flags = [.linked, .balancingDebit]
            let chain = stage.ask(.transfers([first, stage.transfer(a, b, 5)]))
            try stage.settle(0)
            try stage.deliver(0, 2)
            pass(stage, d)
            try stage.deliver(0, 1)
            try finish(stage)
            let refused: ResultCode = isClosing ? .creditAccountClosed : .exceedsDebits
            #expect(stage.codes(chain) == (rule == nil ? [.created, .created] : [.linkedEventFailed, refused]))
        }
    }
#endif
