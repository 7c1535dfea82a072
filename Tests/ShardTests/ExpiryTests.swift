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

    /// Holds of one account come due all the time, faster than their expiries can be recorded over two shards: who asks for
    /// the room of the first gets it in a few steps, and needs not wait for one moment without any.
    @Test(arguments: 0..<5) func whoAsksWhileHoldsComeDueIsAnswered(kind: Int) throws {
        let stage = try stage()
        let holds: UInt128 = 40
        let isCredit = kind < 3
        let a = try stage.account(on: 0, isCredit ? [] : .debitsMustNotExceedCredits, credits: isCredit ? 0 : holds)
        let c = try stage.account(on: 1, isCredit ? .creditsMustNotExceedDebits : [], debits: isCredit ? holds : 0)
        let (near, far) = (try stage.account(on: 1), try stage.account(on: 2))
        for k in 1...holds {
            var t = stage.transfer(a, c, 1)
            t.flags = .pending
            t.timeout = UInt32(k)
            stage.ask(.transfer(t))
        }
        try stage.finish()
        stage.wait(seconds: 1)
        var t = stage.transfer(isCredit ? far : a, isCredit ? c : far, 1)
        var events = [t]
        switch kind {
        case 1, 3:
            t.flags = .linked
            events = [t, stage.transfer(near, far, 1)]
        case 2, 4:
            t.flags = isCredit ? .balancingCredit : .balancingDebit
            events = [t]
        default: break
        }
        let asked = stage.ask(.transfers(events))
        // In each step another hold becomes due, and each message goes one way.
        var steps = 0
        while stage.code(asked) == nil && steps < 30 {
            steps += 1
            stage.wait(seconds: 1)
            stage.ask(.lookupAccount(near))
            for i in stage.nodes.indices {
                for j in stage.nodes.indices where i != j { try stage.deliver(j, i) }
                try stage.sync(i)
            }
        }
        #expect(stage.code(asked) == .created && steps < 10, "kind \(kind): \(steps) steps")
        let (debit, credit) = (stage.ask(.lookupAccount(a)), stage.ask(.lookupAccount(c)))
        stage.wait(seconds: Int(holds))
        for _ in 0..<4 { try stage.finish() }
        #expect(stage.balances(isCredit ? credit : debit) == (isCredit ? [holds, 1] : [1, holds]))
        #expect(stage.isQuiet)
    }

    /// Where the credit account's shard has promised to take all credits, it is told of expiries and not asked: by no chain,
    /// many a sync, and payments meanwhile keep their way.
    @Test(arguments: [false, true]) func expiriesAreAnnouncedWhereCreditsArePromised(isPromised: Bool) throws {
        let stage = try stage(shards: 2)
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1, isPromised ? [] : .creditsMustNotExceedDebits, debits: 1000)
        for k in 0..<200 {
            var t = stage.transfer(a, b, 1)
            t.flags = .pending
            t.timeout = 1
            stage.ask(.transfer(t))
            if k % 50 == 49 { try stage.finish() }
        }
        let before = stage.nodes[0].shard.statistics
        stage.wait(seconds: 2)
        let paid = stage.ask(.transfer(stage.transfer(a, b, 1)))
        for _ in 0..<8 { try stage.sync(0) }
        let after = stage.nodes[0].shard.statistics
        #expect(after.announcedPending - before.announcedPending == (isPromised ? 200 : 0))
        // All decided by shard 0 alone; its peer shows them over, and hears of them.
        #expect((stage.nodes[0].shard.ledger.openPendingCount == 0) == isPromised)
        #expect(stage.nodes[1].shard.ledger.openPendingCount == 200)
        for _ in 0..<8 { try stage.finish() }
        #expect(stage.code(paid) == .created)
        #expect(stage.isQuiet && stage.nodes.allSatisfy { $0.shard.ledger.openPendingCount == 0 })
        let read = stage.ask(.lookupAccount(b))
        try stage.finish()
        #expect(stage.balances(read) == [1000, 1])
    }

    /// An account that is closed by one of many that are due is open once that one has expired.
    @Test func whatClosesAnAccountGoesFirst() throws {
        let stage = try stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let other = try stage.account(on: 2)
        for k in 0..<300 {
            var t = stage.transfer(a, b, 1)
            t.flags = .pending
            t.timeout = 1
            stage.ask(.transfer(t))
            if k % 100 == 99 { try stage.finish() }
        }
        try hold(stage, a, b, 1, .closingDebit)
        stage.wait(seconds: 1)
        let paid = stage.ask(.transfer(stage.transfer(a, other, 1)))
        try stage.finish()
        #expect(stage.code(paid) == .created)
        for _ in 0..<8 { try stage.finish() }
        #expect(stage.isQuiet && stage.nodes[0].shard.ledger.openPendingCount == 0)
    }

    /// A post of another hold of the account, which holds more than it has while an expiry is not recorded.
    @Test(arguments: [0, 1]) func aPostPassesWhileAnExpiryIsNotRecorded(creditShard: Int) throws {
        let stage = try stage()
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 10)
        let (b, near) = (try stage.account(on: 1), try stage.account(on: creditShard))
        var kept = stage.transfer(a, near, 5)
        kept.flags = .pending
        stage.ask(.transfer(kept))
        try hold(stage, a, b, 5)
        let paid = stage.ask(.transfer(stage.transfer(a, near, 5)))
        var post = stage.transfer(a, near, 5)
        post.flags = .postPending
        post.pendingID = kept.id
        let posted = stage.ask(.transfer(post))
        let hopeless = stage.ask(.transfer(stage.transfer(a, near, 1)))
        try stage.finish()
        #expect([paid, posted, hopeless].map { stage.code($0) } == [.created, .created, .exceedsCredits])
        #expect(stage.isQuiet)
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
