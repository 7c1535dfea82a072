// Goal: chains about the same accounts stand side by side, hold what they need and no more, and let go of it. Method: two
// or three shards, message by message.

import SuanpanCore
import SuanpanLanes
import SuanpanShard
import Testing

@testable import SuanpanSimulator

@Suite struct ReservingTests {
    private func chain(_ transfers: Transfer...) -> Question {
        var events = transfers
        for k in events.indices.dropLast() { events[k].flags.insert(.linked) }
        return .transfers(events)
    }

    private func pending(_ stage: Stage, _ a: AccountID, _ b: AccountID, _ amount: UInt128) -> Transfer {
        var t = stage.transfer(a, b, amount)
        t.flags = .pending
        return t
    }

    private func resolve(_ stage: Stage, _ held: Transfer, _ flags: TransferFlags) -> Transfer {
        var t = stage.transfer(held.debitAccountID, AccountID(0), .max)
        t.pendingID = held.id
        t.flags = flags
        t.ledger = 0
        t.code = 0
        return t
    }

    /// A chain's yes stands for credits to come: the next chain that only credits the other shard is decided at once, and is
    /// whole or nothing, and refused, as any.
    @Test func aChainWithPromisedCreditsAsksNobody() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 10)
        let b = try stage.account(on: 1)
        let c = try stage.account(on: 1)
        func next(_ x: UInt128, _ y: UInt128) -> Question {
            chain(stage.transfer(a, b, x), stage.transfer(a, c, y))
        }
        let first = stage.ask(next(1, 2))
        try stage.settle(0)
        #expect(try stage.deliver(0, 1).contains(.lock))
        try stage.finish()
        let second = stage.ask(next(3, 1))
        let refused = stage.ask(next(1, 3))
        try stage.settle(0)
        #expect(try stage.deliver(0, 1).filter { $0 != .durable } == [.credit, .credit])
        let read = stage.ask(.lookupAccount(b))
        try stage.sync(1)
        // Not yet durable at shard 0.
        #expect(stage.codes(second).isEmpty && stage.codes(refused).isEmpty && stage.balances(read).isEmpty)
        try stage.finish()
        #expect(stage.codes(first) == [.created, .created] && stage.codes(second) == [.created, .created])
        #expect(stage.codes(refused) == [.linkedEventFailed, .exceedsCredits])
        #expect(stage.balances(read) == [0, 4])
        let reads = [a, b, c].map { stage.ask(.lookupAccount($0)) }
        try stage.finish()
        #expect(reads.map { stage.balances($0) } == [[7, 10], [0, 4], [0, 3]])
        #expect(stage.nodes[0].shard.statistics.announcedChains == 1 && stage.isQuiet)
    }

    /// What a request's own fields, or its other events, make wrong is answered alike by one shard, which judges all of it, and
    /// by two, which could each say yes to their part. (A last event without an id was taken for an expiry.)
    @Test func whatIsWrongInItselfIsRefusedOverShardsToo() throws {
        typealias Change = (inout Transfer, Transfer, Transfer) -> Void
        var changes: [Change] = []
        changes.append { t, _, _ in t.id = TransferID(0) }
        changes.append { t, _, _ in t.id = TransferID(.max) }
        changes.append { t, _, _ in t.code = 0 }
        changes.append { t, _, _ in t.ledger = 0 }
        changes.append { t, _, _ in t.creditAccountID = t.debitAccountID }
        changes.append { t, _, _ in t.creditAccountID = AccountID(0) }
        changes.append { t, _, _ in t.timeout = 1 }
        changes.append { t, _, held in t.pendingID = held.id }
        changes.append { t, _, _ in t.flags.formUnion([.postPending, .voidPending]) }
        changes.append { t, first, _ in t = first }
        changes.append { t, _, held in
            t.debitAccountID = held.debitAccountID
            t.pendingID = held.id
            t.flags = .voidPending
            t.id = TransferID(0)
        }
        changes.append { t, first, _ in
            t.debitAccountID = first.debitAccountID
            t.id = first.id
        }
        for (number, change) in changes.enumerated() {
            var answers: [[ResultCode?]] = []
            for shards in [1, 2] {
                let stage = try Stage(shards: shards)
                let (a, b) = (try stage.account(on: 0), try stage.account(on: shards - 1))
                let (c, d) = (try stage.account(on: shards - 1), try stage.account(on: 0))
                let held = pending(stage, c, d, 3)
                stage.ask(.transfer(held))
                try stage.finish()
                let first = stage.transfer(a, b, 1)
                var last = stage.transfer(c, d, 2)
                change(&last, first, held)
                let asked = stage.ask(chain(first, last))
                let twice = stage.ask(chain(resolve(stage, held, .postPending), resolve(stage, held, .voidPending)))
                try stage.finish()
                answers.append(stage.codes(asked) + stage.codes(twice))
                #expect(stage.isQuiet)
            }
            #expect(answers[0] == answers[1], "change \(number)")
            #expect(!answers[0].prefix(2).contains(.created), "change \(number)")
        }
    }

    /// Purchases of one merchant, who lives elsewhere and has nothing: all are held at once, and none waits for another.
    @Test func purchasesOfOneMerchantStandSideBySide() throws {
        let stage = try Stage()
        let merchant = try stage.account(on: 1, .debitsMustNotExceedCredits)
        let fees = try stage.account(on: 0)
        var holds: [Transfer] = []
        for _ in 0..<5 {
            let buyer = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 10)
            holds.append(pending(stage, buyer, merchant, 10))
            stage.ask(.transfer(holds[holds.count - 1]))
        }
        try stage.finish()
        let chains = holds.map {
            stage.ask(chain(resolve(stage, $0, .postPending), stage.transfer(merchant, fees, 1)))
        }
        try stage.settle(0)
        try stage.deliver(0, 1)
        try stage.sync(1)
        // All five have their yes, and nothing is decided yet.
        let votes = try stage.deliver(1, 0)
        #expect(votes.filter { $0 == .chainYes }.count == 5 && !votes.contains(.letGo))
        #expect(chains.allSatisfy { stage.codes($0).isEmpty })
        try stage.finish()
        for c in chains { #expect(stage.codes(c) == [.created, .created]) }
        let read = stage.ask(.lookupAccount(merchant))
        try stage.finish()
        #expect(stage.balances(read) == [5, 50])
        #expect(stage.isQuiet)
    }

    /// What two chains need together is not there: the second waits, and is refused when the first is decided.
    @Test func roomIsGivenOnce() throws {
        let stage = try Stage()
        let payer = try stage.account(on: 1, .debitsMustNotExceedCredits, credits: 5)
        let (a, b) = (try stage.account(on: 0), try stage.account(on: 0))
        let first = stage.ask(chain(stage.transfer(a, b, 1), stage.transfer(payer, a, 3)))
        let second = stage.ask(chain(stage.transfer(a, b, 1), stage.transfer(payer, b, 3)))
        let single = stage.ask(.transfer(stage.transfer(payer, b, 2)))
        try stage.finish()
        #expect(stage.codes(first) == [.created, .created])
        #expect(stage.codes(second) == [.linkedEventFailed, .exceedsCredits])
        #expect(stage.code(single) == .created)
        #expect(stage.isQuiet)
    }

    /// A void of what a chain is posting waits for the chain, and comes too late.
    @Test func aPendingTransferIsResolvedOnce() throws {
        let stage = try Stage()
        let (a, b, c) = (try stage.account(on: 0), try stage.account(on: 0), try stage.account(on: 1))
        let held = pending(stage, a, b, 4)
        stage.ask(.transfer(held))
        try stage.finish()
        let posting = stage.ask(chain(resolve(stage, held, .postPending), stage.transfer(b, c, 1)))
        try stage.settle(0)
        let void = stage.ask(.transfer(resolve(stage, held, .voidPending)))
        #expect(stage.code(void) == nil)
        try stage.finish()
        #expect(stage.codes(posting) == [.created, .created])
        #expect(stage.code(void) == .pendingTransferAlreadyPosted)
        #expect(stage.isQuiet)
    }

    /// A transfer with the id of an event that a chain is deciding waits for the chain.
    @Test func anIdIsDecidedOnce() throws {
        let stage = try Stage()
        let (a, b, c) = (try stage.account(on: 0), try stage.account(on: 1), try stage.account(on: 1))
        let event = stage.transfer(b, c, 1)
        let both = stage.ask(chain(stage.transfer(a, b, 1), event))
        try stage.settle(0)
        try stage.deliver(0, 1)
        var alone = event
        alone.flags = []
        let again = stage.ask(.transfer(alone))
        try stage.finish()
        #expect(stage.codes(both) == [.created, .created])
        #expect(stage.code(again) == .exists)
        #expect(stage.isQuiet)
    }

    /// A freeze waits for what has reserved, and gets through though more comes meanwhile.
    @Test func aLockWaitsForReservations() throws {
        let stage = try Stage()
        let (a, b, c) = (try stage.account(on: 0), try stage.account(on: 1), try stage.account(on: 1))
        func pay() -> Int { stage.ask(chain(stage.transfer(a, b, 1), stage.transfer(b, c, 1))) }
        let before = pay()
        try stage.settle(0)
        try stage.deliver(0, 1)
        let freeze = stage.ask(.freeze(b, .freezing, lifting: false))
        try stage.settle(1)
        let meanwhile = pay()
        #expect(stage.code(freeze) == nil)
        try stage.finish()
        let after = pay()
        try stage.finish()
        for chain in [before, meanwhile] { #expect(stage.codes(chain) == [.created, .created]) }
        #expect(stage.code(freeze) == .created)
        #expect(stage.codes(after) == [.creditAccountFrozen, .linkedEventFailed])
        #expect(stage.isQuiet)
    }
}
