// Goal: of many faults of a post or void, the first in the order of Docs/Semantics.md is the answer; expired means from
// the deadline on. Method: faults stacked from the last to the first; each, added to all later ones, must take over.

import SuanpanCore
import SuanpanLedger
import Testing

@Suite struct PendingFactTests {
    private let pending: PendingFact = {
        var t = soundTransfer
        t.flags = .pending
        t.timeout = 2
        t.timestamp = Timestamp(1_000_000_000)
        return PendingFact(t, .open)
    }()
    private var post: Transfer {
        var t = soundTransfer
        t.id = TransferID(101)
        t.pendingID = TransferID(100)
        t.flags = .postPending
        return t
    }

    @Test func transfersInOrder() {
        let early = Timestamp(1)
        #expect(post.pendingRefusal(pending, now: early) == .created)
        let faults: [(ResultCode, (inout Transfer, inout PendingFact) -> Void)] = [
            (.pendingTransferExpired, { $1.state = .expired }),
            (.pendingTransferAlreadyVoided, { $1.state = .voided }),
            (.pendingTransferAlreadyPosted, { $1.state = .posted }),
            (.exceedsPendingTransferAmount, { t, _ in t.amount = Amount(6) }),
            (.pendingTransferHasDifferentCode, { t, _ in t.code = 9 }),
            (.pendingTransferHasDifferentLedger, { t, _ in t.ledger = 9 }),
            (.pendingTransferHasDifferentCreditAccountID, { t, _ in t.creditAccountID = AccountID(9) }),
            (.pendingTransferNotPending, { $1.state = .notPending }),
            (.pendingTransferNotFound, { $1.state = .notFound }),
        ]
        var t = post
        var fact = pending
        for (code, fault) in faults {
            fault(&t, &fact)
            #expect(t.pendingRefusal(fact, now: early) == code)
        }
    }

    @Test func expiredFromTheDeadlineOn() {
        #expect(pending.deadline == 3_000_000_000)
        #expect(post.pendingRefusal(pending, now: Timestamp(2_999_999_999)) == .created)
        #expect(post.pendingRefusal(pending, now: Timestamp(3_000_000_000)) == .pendingTransferExpired)
        var lasting = pending
        lasting.deadline = 0
        #expect(post.pendingRefusal(lasting, now: Timestamp(.max)) == .created)
    }

    @Test func whatIsLeftOutIsFilledIn() {
        var t = post
        t.creditAccountID = AccountID(0)
        t.ledger = 0
        t.code = 0
        t.amount = Amount(.max)
        #expect(t.pendingRefusal(pending, now: Timestamp(1)) == .created)
        #expect(t.completed(by: pending) == post)
        t.amount = Amount(3)
        #expect(t.completed(by: pending).amount == Amount(3))
    }

    /// A transfer that was not pending stays so, whatever is said of it.
    @Test func factsOfOtherTransfers() {
        #expect(PendingFact(soundTransfer, .open).state == .notPending)
        #expect(PendingFact(soundTransfer, .notFound).state == .notFound)
    }
}
