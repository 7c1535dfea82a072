// Goal: what a part of a chain says of an account holds only when the whole chain is durable, as a crash that comes before
// takes all of it back. Method: fills a segment of a log up to a few records, so that a chain stands in two groups, and makes
// only the first of them durable.

import SuanpanCore
import SuanpanLanes
import SuanpanShard
import Testing

@testable import SuanpanSimulator

@Suite struct ChainInTwoGroupsTests {
    /// A stage of which shard 1's log has room for two records in its first segment, and its accounts.
    private func stage() throws -> (Stage, a: AccountID, payee: AccountID, payer: AccountID) {
        func made() throws -> (Stage, a: AccountID, payee: AccountID, payer: AccountID) {
            let stage = try Stage()
            stage.prepareSegments()
            return (
                stage, try stage.account(on: 0), try stage.account(on: 1, .debitsMustNotExceedCredits),
                try stage.account(on: 1)
            )
        }
        func fill(_ stage: (Stage, a: AccountID, payee: AccountID, payer: AccountID), _ count: Int) -> Int {
            let shard = stage.0.nodes[1]
            let segments = shard.shard.journal.counters.segments
            var done = 0
            while done < count, shard.shard.journal.counters.segments == segments {
                stage.0.ask(.transfer(stage.0.transfer(stage.payer, stage.payee, 0)))
                done += 1
            }
            return done
        }
        let count = fill(try made(), .max)
        let ready = try made()
        _ = fill(ready, count - 3)
        #expect(ready.0.nodes[1].shard.journal.counters.segments == 0)
        return ready
    }

    private func linked(_ transfers: Transfer...) -> Question {
        var events = transfers
        for k in events.indices.dropLast() { events[k].flags.insert(.linked) }
        return .transfers(events)
    }

    /// A yes to a chain that spends what another has brought: not before that one is whole.
    @Test func moneyOfAChainIsThereWhenItIsWhole() throws {
        let (stage, a, payee, payer) = try stage()
        let brought = stage.ask(
            linked(
                stage.transfer(payer, payee, 8), stage.transfer(payee, payer, 1), stage.transfer(payee, payer, 1),
                stage.transfer(payee, payer, 1)))
        let spent = stage.ask(linked(stage.transfer(a, payer, 1), stage.transfer(payee, payer, 5)))
        try stage.settle(0)
        try stage.deliver(0, 1)
        try stage.sync(1, groups: 1)
        #expect(stage.nodes[1].shard.journal.durable < stage.nodes[1].shard.journal.appended)
        #expect(try !stage.deliver(1, 0).contains(.chainYes))
        try stage.sync(1)
        #expect(try stage.deliver(1, 0).contains(.chainYes))
        try stage.finish()
        #expect(stage.codes(brought) + stage.codes(spent) == [ResultCode?](repeating: .created, count: 6))
        #expect(stage.isQuiet)
    }

    /// A yes to a credit of an account that a chain has created.
    @Test func anAccountOfAChainIsThereWhenItIsWhole() throws {
        let (stage, a, _, _) = try stage()
        let accounts = (0..<4).map { _ in Account(id: stage.id(on: 1), ledger: 1, code: 1) }
        let created = try #require(try stage.ask(accounts: accounts))
        let paid = stage.ask(.transfer(stage.transfer(a, accounts[0].id, 1)))
        try stage.settle(0)
        try stage.deliver(0, 1)
        try stage.sync(1, groups: 1)
        #expect(stage.nodes[1].shard.journal.durable < stage.nodes[1].shard.journal.appended)
        #expect(try !stage.deliver(1, 0).contains(.voteYes))
        try stage.sync(1)
        #expect(try stage.deliver(1, 0).contains(.voteYes))
        try stage.finish()
        #expect(stage.codes(created).count == 4 && stage.code(paid) == .created)
        #expect(stage.isQuiet)
    }
}
