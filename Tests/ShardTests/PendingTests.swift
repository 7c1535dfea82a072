// Pending transfers, posts and voids over two shards: which way each goes, and that none holds more than there is room for.

import SuanpanCore
import SuanpanLanes
import SuanpanShard
import Testing

@testable import SuanpanSimulator

@Suite struct PendingTests {
    private func pending(_ stage: Stage, _ a: AccountID, _ b: AccountID, _ amount: UInt128) -> Transfer {
        var t = stage.transfer(a, b, amount)
        t.flags = .pending
        return t
    }

    /// A post or void that leaves out what may be left out.
    private func resolve(_ stage: Stage, _ held: Transfer, _ flags: TransferFlags, _ amount: UInt128) -> Transfer {
        var t = stage.transfer(held.debitAccountID, AccountID(0), amount)
        t.flags = flags
        t.pendingID = held.id
        t.ledger = 0
        t.code = 0
        return t
    }

    /// The kinds of messages that a shard sends now.
    private func sent(_ stage: Stage, _ from: Int, _ to: Int) throws -> Set<MessageKind> {
        try stage.settle(from)
        return Set(try stage.deliver(from, to))
    }

    /// Pending and posted: debits of an account of shard 0, or credits of one of shard 1.
    private func sums(_ stage: Stage, _ shard: Int, _ id: AccountID) throws -> [UInt128] {
        let found = stage.nodes[shard].shard.ledger.find(id)
        let index = try #require(found)
        let account = stage.nodes[shard].shard.ledger.account(index)
        return shard == 0
            ? [account.debitsPending.value, account.debitsPosted.value]
            : [account.creditsPending.value, account.creditsPosted.value]
    }

    @Test func theFirstIsVotedOnAndTheOthersAreAnnounced() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let first = pending(stage, a, b, 3)
        let created = stage.ask(.transfer(first))
        #expect(try sent(stage, 0, 1).contains(.prepare))
        try stage.finish()
        let held = pending(stage, a, b, 4)
        let second = stage.ask(.transfer(held))
        #expect(try sent(stage, 0, 1).contains(.announce))
        // Before its credit is applied.
        let post = stage.ask(.transfer(resolve(stage, held, .postPending, 3)))
        #expect(try sent(stage, 0, 1).isDisjoint(with: [.prepare, .lock]))
        let void = stage.ask(.transfer(resolve(stage, first, .voidPending, 0)))
        #expect(try sent(stage, 0, 1).isDisjoint(with: [.prepare, .lock]))
        let late = stage.ask(.transfer(resolve(stage, held, .voidPending, 0)))
        try stage.finish()
        for event in [created, second, post, void] { #expect(stage.code(event) == .created) }
        #expect(stage.code(late) == .pendingTransferAlreadyPosted)
        #expect(try sums(stage, 0, a) == [0, 3])
        #expect(try sums(stage, 1, b) == [0, 3])
        let statistics = stage.nodes[0].shard.statistics
        #expect(statistics.announced == 3 && statistics.announcedPending == 3)
        #expect(stage.isQuiet)
    }

    @Test func anAnnouncedPostSentAgainComparesAsItWasAsked() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let held = pending(stage, a, b, 4)
        stage.ask(.transfer(held))
        try stage.finish()
        let post = resolve(stage, held, .postPending, .max)
        #expect(stage.code(try finished(stage, post)) == .created)
        #expect(stage.code(try finished(stage, post)) == .exists)
        var other = post
        other.creditAccountID = b
        #expect(stage.code(try finished(stage, other)) == .existsWithDifferentCreditAccountID)
        other = post
        other.amount = Amount(4)
        #expect(stage.code(try finished(stage, other)) == .existsWithDifferentAmount)
    }

    private func finished(_ stage: Stage, _ t: Transfer) throws -> Int {
        let event = stage.ask(.transfer(t))
        try stage.finish()
        return event
    }

    /// What is held can be posted or voided beside undecided debits of its account, but not before them.
    @Test func aPostQueuesBehindUndecidedDebits() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let c = try stage.account(on: 1, .creditsMustNotExceedDebits)
        let held = pending(stage, a, b, 4)
        stage.ask(.transfer(held))
        try stage.finish()
        // Waits for c's shard to refuse it.
        let refused = stage.ask(.transfer(stage.transfer(a, c, 1)))
        let post = stage.ask(.transfer(resolve(stage, held, .postPending, 4)))
        try stage.settle(0)
        #expect(stage.code(post) == nil)
        try stage.finish()
        #expect(stage.code(refused) == .exceedsDebits && stage.code(post) == .created)
        #expect(try sums(stage, 1, b) == [0, 4])
    }

    /// A post that goes by locks, as nobody has promised its credit, takes no promise of others back.
    @Test func aPostByLocksLeavesPromisesAlone() throws {
        let stage = try Stage(shards: 3)
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let held = pending(stage, a, b, 4)
        stage.ask(.transfer(held))
        try stage.finish()
        // Frozen and unfrozen, the account has no promise left; shard 2 gets a new one.
        for lifting in [false, true] {
            stage.ask(.freeze(b, .creditsFrozen, lifting: lifting))
            try stage.finish()
        }
        let payer = try stage.account(on: 2)
        for _ in 0..<10 { _ = try finished(stage, stage.transfer(payer, b, 1)) }
        let before = stage.nodes[1].shard.statistics.revocations
        let announced = stage.nodes[2].shard.statistics.announced
        #expect(announced > 0)
        let post = stage.ask(.transfer(resolve(stage, held, .postPending, 4)))
        #expect(try sent(stage, 0, 1).contains(.lock))
        // Beneath the lock.
        let plain = stage.ask(.transfer(stage.transfer(payer, b, 1)))
        #expect(try sent(stage, 2, 1).contains(.credit))
        try stage.finish()
        #expect(stage.code(post) == .created && stage.code(plain) == .created)
        #expect(try sums(stage, 1, b) == [0, 15])
        #expect(stage.nodes[1].shard.statistics.revocations == before)
    }

    /// Other shards announce no more than the credit's shard has room for, whose own stop before.
    @Test func aFullTableTakesNoMore() throws {
        let stage = try Stage(segmentBytes: 8 << 20)
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let local = try stage.account(on: 1)
        let max = stage.nodes[1].shard.ledger.pendingsMax
        var codes: [Int] = []
        // Promises its credits.
        _ = try finished(stage, pending(stage, a, b, 1))
        // Full but for what is kept for the other shard.
        while true {
            for _ in 0..<64 { codes.append(stage.ask(.transfer(pending(stage, local, b, 1)))) }
            try stage.sync(1)
            if stage.code(codes[codes.count - 1]) == .capacityExhausted { break }
        }
        let own = codes.filter { stage.code($0) == .created }.count
        #expect(own < max && own > max * 3 / 4)
        var held: [Transfer] = []
        codes = []
        for _ in 0..<20 {
            for _ in 0..<64 {
                held.append(pending(stage, a, b, 1))
                codes.append(stage.ask(.transfer(held[held.count - 1])))
            }
            try stage.finish()
        }
        let created = codes.indices.filter { stage.code(codes[$0]) == .created }
        #expect(codes.allSatisfy { [.created, .capacityExhausted].contains(stage.code($0)) })
        #expect(!created.isEmpty && created.count < codes.count && own + created.count < max)
        // Room again, and nothing remembered of those that found none.
        for i in created { stage.ask(.transfer(resolve(stage, held[i], .voidPending, 0))) }
        for i in created.prefix(1) { #expect(stage.code(try finished(stage, held[i])) == .exists) }
        let again = try finished(stage, held[held.count - 1])
        #expect(try sums(stage, 1, b)[0] == UInt128(own + 1) + (stage.code(again) == .created ? 1 : 0))
    }

    /// Those that queue at their debit account hold no place: they ask again when their turn comes, and more of them than
    /// there were places ended the process.
    @Test func thoseThatQueueAskForRoomAgain() throws {
        let stage = try Stage(segmentBytes: 8 << 20)
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 0)
        let far = try stage.account(on: 1)
        var held: [(Transfer, Int)] = []
        repeat {
            for _ in 0..<64 {
                let t = pending(stage, a, b, 1)
                held.append((t, stage.ask(.transfer(t))))
            }
            try stage.sync(0)
        } while stage.code(held[held.count - 1].1) == .created
        _ = try finished(stage, resolve(stage, held[0].0, .voidPending, 0))
        // Goes by locks; the others queue behind it.
        var first = stage.transfer(a, far, 1)
        first.flags = .balancingDebit
        stage.ask(.transfer(first))
        let events = (0..<600).map { _ in stage.ask(.transfer(pending(stage, a, b, 1))) }
        try stage.finish()
        let created = events.filter { stage.code($0) == .created }.count
        #expect(created == 1)
        #expect(events.allSatisfy { [.created, .capacityExhausted].contains(stage.code($0)) })
    }

    /// What is pending brings an account nothing to spend: a refusal does not wait for it, of which there may always be some.
    @Test func aRefusalDoesNotWaitForPendingCredits() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1, .debitsMustNotExceedCredits, credits: 5)
        let c = try stage.account(on: 1)
        _ = try finished(stage, pending(stage, a, b, 10))
        stage.ask(.transfer(pending(stage, a, b, 10)))
        #expect(try sent(stage, 0, 1).contains(.announce))
        let refused = stage.ask(.transfer(stage.transfer(b, c, 6)))
        #expect(try sent(stage, 1, 0).contains(.hear))
        #expect(try sent(stage, 0, 1).contains(.heard))
        try stage.sync(1)
        #expect(stage.code(refused) == .exceedsCredits)
        try stage.finish()
        #expect(try sums(stage, 1, b) == [20, 5])
    }
}
