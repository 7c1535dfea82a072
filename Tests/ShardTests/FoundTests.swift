// What the simulation has found, one test each: scenarios told message by message. Each failed before its fix.

import SuanpanCore
import SuanpanShard
import Testing

@testable import SuanpanSimulator

@Suite struct FoundTests {
    /// More duplicates of an undecided transfer than there are places for waiters: all used to wait for a free one.
    @Test func asManyDuplicatesAsPlacesAreAnswered() throws {
        let stage = try Stage(bounds: ShardBounds(slots: 8, openPerPeer: 8, redoPerPeer: 64))
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let t = stage.transfer(a, b, 1)
        let events = (0..<9).map { _ in stage.ask(.transfer(t)) }
        try stage.finish()
        #expect(stage.code(events[0]) == .created)
        for e in events.dropFirst() { #expect(stage.code(e) == .exists) }
        let isQuiet = stage.nodes[0].shard.isQuiet
        #expect(isQuiet)
    }

    /// A read used to show a debit decided while it waited, and not the credit that the debit followed from.
    @Test func readShowsNoDebitWithoutItsCause() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1, .creditsMustNotExceedDebits)
        // X needs a debit of b; it is undecided when the read comes.
        let x = stage.ask(.transfer(stage.transfer(a, b, 1)))
        let read = stage.ask(.lookupAccount(a))
        // Y is that debit, and credits a.
        let y = stage.ask(.transfer(stage.transfer(b, a, 1)))
        try stage.settle(0)
        try stage.settle(1)
        #expect(try stage.deliver(0, 1) == [.prepare])
        #expect(try stage.deliver(1, 0, 1) == [.prepare])
        #expect(try stage.deliver(0, 1) == [.voteYes])
        try stage.sync(1)
        // Y is decided, and so is X with its vote.
        #expect(try stage.deliver(1, 0, 3) == [.waiting, .commit, .voteYes])
        try stage.sync(0)
        if !stage.balances(read).isEmpty { #expect(stage.balances(read) == [0, 0]) }
        try stage.finish()
        #expect(stage.code(x) == .created)
        #expect(stage.code(y) == .created)
        #expect(stage.balances(read) == [0, 0])
    }

    /// A transfer that had to wait used to be refused though a credit that came meanwhile was decided already, before
    /// what it waited for: no order of the answers explained that.
    @Test func lateCreditCounts() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 10)
        let c = try stage.account(on: 0)
        let b = try stage.account(on: 1, .creditsMustNotExceedDebits)
        let x = stage.ask(.transfer(stage.transfer(a, b, 5)))
        let t = stage.ask(.transfer(stage.transfer(a, c, 10)))
        let k = stage.ask(.transfer(stage.transfer(b, a, 5)))
        try stage.settle(0)
        try stage.settle(1)
        // X waits for K at b; K gets its vote and is decided; X, which could not be without K, is next.
        #expect(try stage.deliver(0, 1) == [.prepare])
        #expect(try stage.deliver(1, 0, 1) == [.prepare])
        #expect(try stage.deliver(0, 1) == [.voteYes])
        try stage.sync(1)
        #expect(try stage.deliver(1, 0, 3) == [.waiting, .commit, .voteYes])
        try stage.finish()
        #expect(stage.code(x) == .created)
        #expect(stage.code(k) == .created)
        #expect(stage.code(t) == .created)
    }

    /// The creation of an account used to pass an earlier transfer of its connection that waited.
    @Test func creationDoesNotPassEarlierTransfer() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 5)
        let unknown = stage.id(on: 1)
        let new = stage.id(on: 0)
        let x = stage.ask(.transfer(stage.transfer(a, unknown, 5)))
        let t = stage.ask(.transfer(stage.transfer(a, new, 1)), stream: 7)
        let creation = stage.ask(.account(Account(id: new, ledger: 1, code: 1)), stream: 7)
        try stage.finish()
        #expect(stage.code(x) == .creditAccountNotFound)
        #expect(stage.code(t) == .creditAccountNotFound)
        #expect(stage.code(creation) == .created)
    }

    /// A look-up that waits used to show what later commands of its connection did.
    @Test func readShowsNothingLaterOfItsConnection() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let c = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let k = stage.ask(.transfer(stage.transfer(b, a, 3)))
        try stage.settle(1)
        #expect(try stage.deliver(1, 0) == [.prepare])
        let read = stage.ask(.lookupAccount(a), stream: 7)
        let later = stage.ask(.transfer(stage.transfer(a, c, 1)), stream: 7)
        // A second one, which comes while the first waits, and what follows that.
        let second = stage.ask(.lookupAccount(a), stream: 7)
        let last = stage.ask(.transfer(stage.transfer(c, a, 1)), stream: 7)
        try stage.finish()
        #expect(stage.code(k) == .created)
        #expect(stage.code(later) == .created)
        #expect(stage.code(last) == .created)
        #expect(stage.balances(read) == [0, 0] || stage.balances(read) == [0, 3])
        #expect(stage.balances(second).first == 1)
        #expect(stage.balances(second).last != 4)
    }

    /// A command that waited for an earlier one used to be passed by the next, once the first had got a place.
    @Test func waitingCommandIsNotPassed() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 5)
        let c = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let unknown = stage.id(on: 1)
        _ = stage.ask(.transfer(stage.transfer(a, unknown, 5)))
        // Waits for the one before; then crosses.
        let first = stage.ask(.transfer(stage.transfer(a, b, 5)), stream: 7)
        let second = stage.ask(.transfer(stage.transfer(c, a, 2)), stream: 7)
        try stage.settle(0)
        try stage.deliver(0, 1)
        try stage.sync(1)
        try stage.deliver(1, 0)
        let third = stage.ask(.lookupAccount(c), stream: 7)
        try stage.finish()
        #expect(stage.code(first) == .created)
        #expect(stage.code(second) == .created)
        #expect(stage.balances(third) == [2, 0])
    }

    /// A transfer that no outcome could let pass used to be refused at once, though the reason depended on the outcome.
    @Test func refusalWaitsForItsReason() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 10)
        let c = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let x = stage.ask(.transfer(stage.transfer(a, b, 5)))
        let all = stage.ask(.transfer(stage.transfer(a, c, .max)))
        try stage.finish()
        #expect(stage.code(x) == .created)
        #expect(stage.code(all) == .overflowsDebitsPosted)
    }

    @Test func creditRefusalWaitsForItsReason() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1, .creditsMustNotExceedDebits, debits: 10)
        let c = try stage.account(on: 1)
        let x = stage.ask(.transfer(stage.transfer(a, b, 5)))
        try stage.settle(0)
        try stage.deliver(0, 1)
        let all = stage.ask(.transfer(stage.transfer(c, b, .max)))
        try stage.finish()
        #expect(stage.code(x) == .created)
        #expect(stage.code(all) == .overflowsCreditsPosted)
    }

    /// A core used to turn at full speed while an event that had waited could not go on for lack of a peer's credit.
    @Test func whatWaitsForAPeersCreditIsNoWork() throws {
        let stage = try Stage(bounds: ShardBounds(slots: 8, openPerPeer: 1, redoPerPeer: 64))
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits)
        let b = try stage.account(on: 0)
        let c = try stage.account(on: 1)
        // X's credit is undecided, so Y may pass or not and waits; Z follows it in its stream.
        stage.ask(.transfer(stage.transfer(c, a, 1)))
        try stage.settle(1)
        try stage.deliver(1, 0)
        let y = stage.ask(.transfer(stage.transfer(a, b, 1)), stream: 7)
        let z = stage.ask(.transfer(stage.transfer(b, c, 1)), stream: 7)
        try stage.sync(0)
        try stage.deliver(0, 1)
        try stage.sync(1)
        // W takes the only credit towards shard 1 before Y ends.
        let w = stage.ask(.transfer(stage.transfer(b, c, 1)))
        try stage.deliver(1, 0)
        try stage.sync(0)
        try stage.sync(0)
        #expect(stage.code(y) == .created && stage.code(z) == nil && stage.code(w) == nil)
        var hasWork = stage.nodes[0].shard.hasWork
        #expect(!hasWork)
        let isWaiting = !stage.nodes[0].shard.isQuiet
        #expect(isWaiting)
        try stage.finish()
        #expect(stage.code(z) == .created && stage.code(w) == .created)
        hasWork = stage.nodes[0].shard.hasWork
        #expect(!hasWork)
    }

    /// A reservation waited for a plain transfer of its id that was parked behind it, which waited for the reservation.
    @Test func anIDAskedForInTwoWaysAtOnceIsDecided() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        var reserve = stage.transfer(a, b, 5)
        let plain = reserve
        reserve.flags = .pending
        let first = stage.ask(.transfer(reserve))
        let second = stage.ask(.transfer(plain))
        try stage.finish()
        #expect(stage.code(first) == .created)
        #expect(stage.code(second) == .existsWithDifferentFlags)
        #expect(stage.isQuiet)
    }

    /// Reserved, posted in part and voided between two shards, each waiting for the one before.
    @Test func whatIsReservedAcrossShardsIsPostedOnce() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 10)
        let b = try stage.account(on: 1)
        var reserve = stage.transfer(a, b, 8)
        reserve.flags = .pending
        var post = stage.transfer(a, AccountID(0), 3)
        post.flags = .postPending
        post.pendingID = reserve.id
        post.ledger = 0
        post.code = 0
        var void = stage.transfer(a, AccountID(0), 0)
        void.flags = .voidPending
        void.pendingID = reserve.id
        void.ledger = 0
        void.code = 0
        let reserved = stage.ask(.transfer(reserve))
        let early = stage.ask(.transfer(stage.transfer(a, b, 3)))
        let posted = stage.ask(.transfer(post))
        let voided = stage.ask(.transfer(void))
        let late = stage.ask(.transfer(stage.transfer(a, b, 7)))
        try stage.finish()
        let debit = stage.ask(.lookupAccount(a))
        let credit = stage.ask(.lookupAccount(b))
        try stage.finish()
        #expect(stage.code(reserved) == .created && stage.code(early) == .exceedsCredits)
        #expect(stage.code(posted) == .created && stage.code(voided) == .pendingTransferAlreadyPosted)
        #expect(stage.code(late) == .created)
        #expect(stage.balances(debit) == [10, 10] && stage.balances(credit) == [0, 10])
        #expect(stage.isQuiet)
    }

    /// Two chains that rest on the absence of one account and meet at another shard too let go for each other as long as both
    /// shards went in step.
    @Test func twoChainsThatRestOnAnAbsenceDoNotLetGoForEver() throws {
        let stage = try Stage()
        let near = try stage.account(on: 0, .debitsMustNotExceedCredits, credits: 9)
        let far = try stage.account(on: 1, .debitsMustNotExceedCredits, credits: 9)
        let absent = stage.id(on: 0)
        func chain(_ from: AccountID, _ to: AccountID) -> Question {
            var first = stage.transfer(from, to, 1)
            // By locks.
            first.flags = [.linked, .balancingDebit]
            return .transfers([first, stage.transfer(absent, to, 1)])
        }
        let older = stage.ask(chain(far, near))
        let younger = stage.ask(chain(near, far))
        for _ in 0..<100 {
            for i in 0..<2 { try stage.settle(i) }
            // Both get what was under way, and nothing that the other says to it.
            let counts = (stage.waiting(0, 1), stage.waiting(1, 0))
            try stage.deliver(0, 1, counts.0)
            try stage.deliver(1, 0, counts.1)
            for i in 0..<2 { try stage.sync(i) }
        }
        #expect(stage.codes(older) == [.linkedEventFailed, .debitAccountNotFound])
        #expect(stage.codes(younger) == [.linkedEventFailed, .debitAccountNotFound])
        #expect(stage.isQuiet)
    }

    /// Two that name the same id of an account that does not exist were both refused as if each were the first.
    @Test func anIDOfAnAbsentAccountIsRefusedOnce() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let unknown = stage.id(on: 0)
        var linked = stage.transfer(unknown, b, 1)
        linked.flags = .linked
        var reserve = linked
        reserve.creditAccountID = try stage.account(on: 1)
        reserve.flags = [.pending, .balancingDebit]
        var plain = linked
        plain.flags = []
        let chain = stage.ask(.transfers([linked, stage.transfer(a, b, 1)]))
        let single = stage.ask(.transfer(reserve))
        try stage.finish()
        #expect(stage.code(chain) == .debitAccountNotFound)
        #expect(stage.code(single) == .idAlreadyFailed)
        let late = stage.ask(.transfer(plain))
        try stage.finish()
        #expect(stage.code(late) == .idAlreadyFailed)
    }

    /// A post of what was due held the last credit that its expiry needed, and asked for it without end. The expiry has one
    /// of its own.
    @Test func aPostOfWhatIsDueDoesNotHoldUpItsExpiry() throws {
        let stage = try Stage(bounds: ShardBounds(slots: 8, openPerPeer: 1, redoPerPeer: 64))
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let reserve = try dueReservation(stage, a, b)
        var post = stage.transfer(a, AccountID(0), .max)
        post.flags = .postPending
        post.pendingID = reserve.id
        post.ledger = 0
        post.code = 0
        let first = stage.ask(.transfer(post))
        try stage.finish()
        #expect(stage.code(first) == .pendingTransferExpired)
        let held = stage.ask(.lookupAccount(a))
        try stage.finish()
        let second = stage.ask(.transfer(post))
        try stage.finish()
        #expect(stage.code(second) == .idAlreadyFailed)
        #expect(stage.balances(held) == [0, 0])
    }

    /// Of those due together only as many as there were credits used to expire each second.
    @Test func allThatIsDueExpiresInItsSecond() throws {
        let stage = try Stage(bounds: ShardBounds(slots: 8, openPerPeer: 1, redoPerPeer: 64))
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        for _ in 0..<8 { _ = try reservation(stage, a, b) }
        stage.wait(seconds: 3)
        stage.ask(.lookupAccount(a))
        try stage.finish()
        let open = stage.nodes[0].shard.ledger.openPendingCount
        #expect(open == 0)
    }

    /// A shard whose log was empty ended the process when it was told to forget a standing vote.
    @Test func anEmptyLogForgetsStandingVotes() throws {
        let stage = try Stage(shards: 3)
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let c = try stage.account(on: 1)
        stage.ask(.transfer(stage.transfer(a, b, 1)))
        try stage.finish()
        let freeze = stage.ask(.freeze(b, .creditsFrozen, lifting: false))
        try stage.settle(1)
        let unknown = stage.ask(.transfer(stage.transfer(c, stage.id(on: 2), 1)))
        try stage.settle(1)
        #expect(try stage.deliver(1, 2) == [.revoke, .prepare])
        try stage.finish()
        #expect(stage.code(freeze) == .created)
        #expect(stage.code(unknown) == .creditAccountNotFound)
    }

    /// What was due used to expire within one shard when a void named a credit account there that was not its own.
    @Test func whatIsDueExpiresOnBothSides() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        let c = try stage.account(on: 0)
        let reserve = try dueReservation(stage, a, b)
        var void = stage.transfer(a, c, 0)
        void.flags = .voidPending
        void.pendingID = reserve.id
        let wrong = stage.ask(.transfer(void))
        try stage.finish()
        #expect(stage.code(wrong) == .pendingTransferHasDifferentCreditAccountID)
        for (shard, account) in [(0, a), (1, b)] {
            let node = stage.nodes[shard]
            guard let index = node.shard.ledger.find(account) else { fatalError("no account") }
            let held = node.shard.ledger.account(index)
            #expect(held.debitsPending == .zero && held.creditsPending == .zero)
        }
    }

    /// A pending transfer that has a second.
    private func reservation(_ stage: Stage, _ debit: AccountID, _ credit: AccountID) throws -> Transfer {
        var reserve = stage.transfer(debit, credit, 5)
        reserve.flags = .pending
        reserve.timeout = 1
        stage.ask(.transfer(reserve))
        try stage.finish()
        return reserve
    }

    /// One whose time has run out, unknown to its shard as yet.
    private func dueReservation(_ stage: Stage, _ debit: AccountID, _ credit: AccountID) throws -> Transfer {
        let reserve = try reservation(stage, debit, credit)
        stage.wait(seconds: 3)
        return reserve
    }

    /// A void in one chain with what it voids, its credit account left out: the place of that account was not known when
    /// the chain was applied, and the process ended.
    @Test func aChainVoidsWhatItHasReserved() throws {
        for shards in [1, 2] {
            let stage = try Stage(shards: shards)
            let a = try stage.account(on: 0)
            let b = try stage.account(on: shards - 1)
            var reserve = stage.transfer(a, b, 3)
            reserve.flags = [.linked, .pending]
            var void = stage.transfer(a, AccountID(0), .max)
            void.flags = .voidPending
            void.pendingID = reserve.id
            let chain = stage.ask(.transfers([reserve, void]))
            try stage.finish()
            #expect(stage.codes(chain) == [.created, .created])
        }
    }

    /// A chain that waited for its lock was told of what it waited for, but not of an account of its that was created
    /// meanwhile and taken at once: nobody woke it again.
    @Test func aChainLearnsOfAnAccountThatIsCreatedWhileItWaits() throws {
        let stage = try Stage(shards: 3)
        let a = try stage.account(on: 0)
        let c = try stage.account(on: 2)
        let d = try stage.account(on: 0)
        // Limited, so that each credit is voted on.
        let b = try stage.account(on: 1, .creditsMustNotExceedDebits, debits: 9)
        let other = try stage.account(on: 1)
        let new = stage.id(on: 1)
        var first = stage.transfer(a, b, 1)
        first.flags = .linked
        let chain = stage.ask(.transfers([first, stage.transfer(a, new, 1)]))
        let younger = stage.ask(.transfer(stage.transfer(c, b, 1)))
        try stage.settle(0)
        try stage.settle(2)
        #expect(try stage.deliver(2, 1) == [.prepare])
        #expect(try stage.deliver(0, 1) == [.lock])
        #expect(try stage.deliver(1, 2) == [.voteYes])
        stage.ask(.account(Account(id: new, ledger: 1, code: 1, flags: .creditsMustNotExceedDebits)))
        stage.ask(.transfer(stage.transfer(new, other, 5)))
        let youngest = stage.ask(.transfer(stage.transfer(d, new, 1)))
        try stage.settle(1)
        try stage.settle(0)
        #expect(try stage.deliver(0, 1) == [.prepare])
        // What it waited for has ended, and what was created meanwhile is taken.
        try stage.sync(2)
        #expect(try stage.deliver(2, 1) == [.commit])
        try stage.finish()
        #expect(stage.codes(chain) == [.created, .created])
        for event in [younger, youngest] { #expect(stage.code(event) != nil) }
        #expect(stage.isQuiet)
    }

    /// A yes to a credit used to leave though what made it possible, the end of a freeze, was not in the log for good.
    @Test func aVoteRestsOnADurableUnfreeze() throws {
        let stage = try Stage()
        let a = try stage.account(on: 0)
        let b = try stage.account(on: 1)
        stage.ask(.freeze(b, .creditsFrozen, lifting: false))
        try stage.finish()
        stage.ask(.freeze(b, .creditsFrozen, lifting: true))
        let event = stage.ask(.transfer(stage.transfer(a, b, 1)))
        try stage.settle(0)
        try stage.settle(1)
        #expect(try stage.deliver(0, 1) == [.prepare])
        #expect(try !stage.deliver(1, 0).contains(.voteYes))
        try stage.sync(1)
        #expect(try stage.deliver(1, 0).contains(.voteYes))
        try stage.finish()
        #expect(stage.code(event) == .created)
    }
}
