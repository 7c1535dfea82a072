// Goal: what is due counts as over from that moment on, wherever it is asked for, though its expiry is not recorded yet.
// Method: a hold on a Stage, whose deadline passes just before the next question; each with the rule and, where that is
// told by one answer, without it.

import SuanpanCore
import SuanpanLedger
import SuanpanShard
import Testing

@testable import SuanpanSimulator

@Suite struct ExpiryTests {
    private func stage(shards: Int = 3, isKept: Bool = true, bounds: ShardBounds? = nil) throws -> Stage {
        let stage = try Stage(shards: shards, bounds: bounds)
        #if SUANPAN_FAILPOINTS
            for node in stage.nodes where !isKept { node.shard.fault = .holdPastDeadline }
        #endif
        return stage
    }

    /// With the rule; and without it, where the build can do that.
    private static var rules: [Bool] {
        #if SUANPAN_FAILPOINTS
            [true, false]
        #else
            [true]
        #endif
    }

    /// A transfer with these flags that is held for a second, decided everywhere; then its time passes.
    @discardableResult
    private func hold(
        _ stage: Stage, _ debit: AccountID, _ credit: AccountID, _ amount: UInt128, _ flags: TransferFlags = []
    ) throws -> Transfer {
        var t = stage.transfer(debit, credit, amount)
        t.flags = flags.union(.pending)
        t.timeout = 1
        let event = stage.ask(.transfer(t))
        try stage.finish()
        #expect(stage.code(event) == .created)
        stage.wait(seconds: 1)
        return t
    }

    private func shown(_ stage: Stage, _ event: Int) -> Account? {
        if case .account(let a)? = stage.replies[event] { a } else { nil }
    }

    /// The debit account's money: the hold within its shard, and to another one.
    @Test(arguments: rules, [0, 1]) func aDebitFindsTheMoneyFree(isKept: Bool, creditShard: Int) throws {
        let stage = try stage(isKept: isKept)
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 5)
        let b = try stage.account(on: creditShard)
        let c = try stage.account(on: 0)
        try hold(stage, a, b, 5)
        let paid = stage.ask(.transfer(stage.transfer(a, c, 5)))
        try stage.finish()
        #expect(stage.code(paid) == (isKept ? .created : .exceedsCredits))
        #expect(stage.isQuiet)
    }

    /// More than all that is there, what is due included: that waits for no other shard.
    @Test func aHopelessDebitWaitsForNoExpiry() throws {
        let stage = try stage()
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 5)
        let b = try stage.account(on: 1)
        try hold(stage, a, b, 5)
        let paid = stage.ask(.transfer(stage.transfer(a, b, 6)))
        try stage.settle(0)
        try stage.sync(0)
        #expect(stage.code(paid) == .exceedsCredits)
        try stage.finish()
        #expect(stage.isQuiet)
    }

    /// The same by everything that a debit can be.
    @Test(arguments: rules, 0..<5) func everyKindOfDebitFindsTheMoneyFree(isKept: Bool, kind: Int) throws {
        let stage = try stage(isKept: isKept)
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 5)
        let b = try stage.account(on: 1)
        let far = try stage.account(on: 2)
        // What credits it is promised.
        _ = stage.ask(.transfer(stage.transfer(far, b, 1)))
        _ = stage.ask(.transfer(stage.transfer(a, far, 0)))
        try stage.finish()
        try hold(stage, a, b, 5)
        var t = stage.transfer(a, kind == 1 ? b : far, 5)
        var events = [t]
        switch kind {
        case 2: t.flags = .pending
        case 3:
            t.flags = .balancingDebit
            t.amount = Amount(.max)
        case 4:
            t.flags = .linked
            events = [t, stage.transfer(far, b, 1)]
        default: break
        }
        events[0] = t
        let paid = stage.ask(.transfers(events))
        try stage.finish()
        if kind == 3 {
            let read = stage.ask(.lookupAccount(a))
            try stage.finish()
            #expect(shown(stage, read)?.debitsPosted == Amount(isKept ? 5 : 0))
        } else {
            #expect(stage.code(paid) == (isKept ? .created : .exceedsCredits))
        }
        #expect(stage.isQuiet)
    }

    /// The credit account's limit, whose shard only hears of the expiry.
    @Test(arguments: rules, [0, 1, 2]) func aCreditFindsTheLimitFree(isKept: Bool, payerShard: Int) throws {
        let stage = try stage(isKept: isKept)
        let a = try stage.account(on: 0)
        let c = try stage.account(on: 1, .creditsMustNotExceedDebits, debits: 5)
        let payer = try stage.account(on: payerShard)
        try hold(stage, a, c, 5)
        let paid = stage.ask(.transfer(stage.transfer(payer, c, 5)))
        var last = stage.transfer(payer, a, 1)
        last.flags = .linked
        let chain = stage.ask(.transfers([last, stage.transfer(payer, c, 0)]))
        try stage.finish()
        // From shard 2 it comes when the expiry is recorded anyway.
        #expect(stage.code(paid) == (isKept || payerShard == 2 ? .created : .exceedsDebits))
        #expect(stage.code(chain) == .created)
        #expect(stage.isQuiet)
    }

    /// One that waits at the credit account for somebody else lets go, as the expiry would wait for it.
    @Test func oneThatWaitsAtTheCreditAccountLetsGo() throws {
        let stage = try stage()
        let a = try stage.account(on: 0)
        let c = try stage.account(on: 1, .creditsMustNotExceedDebits, debits: 5)
        let limited = try stage.account(on: 2, .creditsMustNotExceedDebits)
        let payer = try stage.account(on: 2)
        try hold(stage, a, c, 5)
        // Would give c room, and is refused in the end.
        let other = stage.ask(.transfer(stage.transfer(c, limited, 5)))
        try stage.settle(1)
        let paid = stage.ask(.transfer(stage.transfer(payer, c, 5)))
        try stage.settle(2)
        try stage.deliver(2, 1)
        try stage.finish()
        #expect(stage.code(other) == .exceedsDebits)
        #expect(stage.code(paid) == .created)
        #expect(stage.isQuiet)
    }

    /// An account that what is due has closed is open: to debits, credits, and posts of others.
    @Test(arguments: rules, [0, 1]) func whatIsDueKeepsNothingClosed(isKept: Bool, creditShard: Int) throws {
        for flag in [TransferFlags.closingDebit, .closingCredit] {
            let stage = try stage(isKept: isKept)
            let a = try stage.account(on: 0)
            let b = try stage.account(on: creditShard)
            let other = try stage.account(on: 2)
            var held = stage.transfer(a, b, 3)
            held.flags = .pending
            stage.ask(.transfer(held))
            try stage.finish()
            try hold(stage, a, b, 0, flag)
            let closed = flag == .closingDebit ? a : b
            var post = stage.transfer(a, b, 3)
            post.flags = .postPending
            post.pendingID = held.id
            let read = stage.ask(.lookupAccount(closed))
            let events = [
                stage.ask(.transfer(post)), stage.ask(.transfer(stage.transfer(closed, other, 1))),
                stage.ask(.transfer(stage.transfer(other, closed, 1))),
            ]
            try stage.finish()
            #expect(shown(stage, read)?.flags.contains(.closed) == !isKept)
            let isDebit = flag == .closingDebit
            // The last is asked for by another shard, and comes when the expiry is recorded.
            let closing: ResultCode = isDebit ? .debitAccountClosed : .creditAccountClosed
            let codes: [ResultCode] = isKept ? [.created, .created] : [closing, .debitAccountClosed]
            #expect(events.map { stage.code($0) } == codes + [.created])
            #expect(stage.isQuiet)
        }
    }

    /// Reads of either account, and cuts.
    @Test(arguments: [0, 1]) func readsDontShowIt(creditShard: Int) throws {
        let stage = try stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: creditShard)
        try hold(stage, a, b, 5)
        let reads = [stage.ask(.lookupAccount(a)), stage.ask(.lookupAccount(b))]
        let cut = stage.ask(.cut([a, b]))
        let sums = stage.ask(.cut([]))
        // At once, before the expiry is recorded or anybody is asked, where no credit may be on its way.
        let early = answered(stage)
        #expect(early[reads[0]] != nil && (early[reads[1]] != nil || creditShard == 1))
        try stage.finish()
        for event in reads {
            let account = early[event] ?? shown(stage, event)
            #expect(account?.debitsPending == .zero && account?.creditsPending == .zero)
        }
        guard case .cut(let accounts, _)? = stage.replies[cut], case .cut(_, let totals)? = stage.replies[sums] else {
            throw Failure(description: "no cut")
        }
        for account in accounts { #expect(account?.debitsPending == .zero && account?.creditsPending == .zero) }
        #expect(totals.map(\.debitsPending) == [0] && totals.map(\.creditsPending) == [0])
    }

    /// Takes the answers that wait in their shards.
    private func answered(_ stage: Stage) -> [Int: Account] {
        var found: [Int: Account] = [:]
        for node in stage.nodes {
            while !node.shard.recordAnswers.isEmpty {
                let answer = node.shard.recordAnswers.first
                node.shard.recordAnswers.removeFirst()
                found[Int(answer.origin.request)] = Account(bits: answer.record)
            }
        }
        return found
    }

    /// A cut that begins while the expiry, or a post before the deadline, is decided and on its way.
    @Test(arguments: [false, true]) func aCutCountsWhatIsOnItsWayOnce(isPost: Bool) throws {
        let stage = try stage(shards: 2)
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        var t = stage.transfer(a, b, 5)
        t.flags = .pending
        t.timeout = 1
        stage.ask(.transfer(t))
        try stage.finish()
        var post = stage.transfer(a, b, 5)
        post.flags = .postPending
        post.pendingID = t.id
        if isPost { stage.ask(.transfer(post)) } else { stage.wait(seconds: 1) }
        // Decided at shard 0, not known at shard 1.
        stage.ask(.lookupAccount(a))
        try stage.settle(0)
        try stage.deliver(0, 1)
        try stage.sync(1)
        try stage.deliver(1, 0)
        try stage.sync(0)
        if isPost { stage.wait(seconds: 1) }
        let cut = stage.ask(.cut([a, b]))
        let sums = stage.ask(.cut([]))
        try stage.beginCut()
        stage.nodes[1].shard.joinCut()
        try stage.finish()
        guard case .cut(let accounts, _)? = stage.replies[cut], case .cut(_, let totals)? = stage.replies[sums] else {
            throw Failure(description: "no cut")
        }
        #expect(accounts.map { $0?.debitsPending } == [.zero, .zero])
        #expect(accounts.map { $0?.creditsPending } == [.zero, .zero])
        #expect(accounts.map { $0?.debitsPosted } == [Amount(isPost ? 5 : 0), .zero])
        #expect(totals.map { [$0.debitsPending, $0.creditsPending] } == [[0, 0]])
        let isBalanced = totals.allSatisfy(\.isBalanced)
        #expect(isBalanced)
    }

    /// More than one step expires, over all shards; whoever is asked meanwhile is answered as if all were over.
    @Test func aStormIsOverAtOnce() throws {
        let stage = try stage()
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 400)
        let b = try stage.account(on: 1, .creditsMustNotExceedDebits, debits: 400)
        let near = try stage.account(on: 0)
        var last = 0
        for i in 0..<400 {
            var t = stage.transfer(a, i % 2 == 0 ? near : b, 1)
            t.flags = .pending
            t.timeout = 1
            last = stage.ask(.transfer(t))
            if i % 50 == 49 { try stage.finish() }
        }
        #expect(stage.code(last) == .created)
        // The shards' clocks are a little ahead of the stage's by now.
        stage.wait(seconds: 2)
        let read = stage.ask(.lookupAccount(a))
        let paid = stage.ask(.transfer(stage.transfer(a, near, 200)))
        let crossing = stage.ask(.transfer(stage.transfer(a, b, 200)))
        let payer = try #require(stage.nodes[2].shard.ledger.accountCount == 0 ? stage.id(on: 2) : nil)
        stage.ask(.account(Account(id: payer, ledger: 1, code: 1)))
        let credited = stage.ask(.transfer(stage.transfer(payer, b, 200)))
        for _ in 0..<8 { try stage.finish() }
        #expect([paid, crossing, credited].map { stage.code($0) } == [.created, .created, .created])
        #expect(shown(stage, read)?.debitsPending == .zero)
        #expect(stage.isQuiet)
        #expect(stage.nodes[0].shard.ledger.openPendingCount == 0 && stage.nodes[1].shard.ledger.openPendingCount == 0)
    }

    /// The only credit with the peer is taken by what then waits for an expiry that needs one too: it has one of its own.
    @Test func whoWaitsForAnExpiryLeavesItRoom() throws {
        let stage = try stage(bounds: ShardBounds(slots: 8, openPerPeer: 1, redoPerPeer: 64))
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 10)
        let b = try stage.account(on: 1)
        let other = try stage.account(on: 2)
        try hold(stage, a, b, 5)
        // While the first is undecided it is open whether there is enough for the second.
        let events = [(other, 5), (b, 5)].map { stage.ask(.transfer(stage.transfer(a, $0.0, UInt128($0.1)))) }
        try stage.finish()
        #expect(events.map { stage.code($0) } == [.created, .created])
        #expect(stage.isQuiet)
    }
}
