// Goal: a record tells what came of a transfer and what was asked, whatever was left out of the request.
// Method: every kind of request, recorded and read back.

import SuanpanCore
import Testing

@Suite struct LogRecordTests {
    private let plain = Transfer(
        id: TransferID(1), debit: AccountID(2), credit: AccountID(3), amount: Amount(4), ledger: 5, code: 6,
        userData128: 7, userData64: 8, userData32: 9)

    private func check(_ asked: Transfer, _ final: Transfer, _ flags: LogRecordFlags) {
        for kind in [RecordKind.transfer, .decision, .leg] {
            var final = final
            final.timestamp = Timestamp(77)
            var expected = asked
            expected.timestamp = Timestamp(77)
            let record = LogRecord(kind, final: final, asked: asked, peer: ShardID(3), sequence: 9)
            #expect(record.asked == expected)
            #expect(record.transfer == final)
            #expect(record.flags == flags && record.peer == ShardID(3) && record.sequence == 9)
            #expect(record.timestamp == Timestamp(77) && record.kind == kind && record.isAccepted)
        }
    }

    @Test func plainAndPending() {
        check(plain, plain, [])
        var pending = plain
        pending.flags = [.pending, .linked]
        pending.timeout = 9
        check(pending, pending, [])
        var all = pending
        all.amount = Amount(.max)
        check(all, all, [])
    }

    @Test func balancingKeepsTheAmountAsked() {
        for flags: TransferFlags in [
            .balancingDebit, .balancingCredit, [.balancingDebit, .balancingCredit], [.balancingDebit, .pending],
        ] {
            var asked = plain
            asked.flags = flags
            asked.amount = Amount(.max)
            var final = asked
            final.amount = Amount(3)
            check(asked, final, [])
            let record = LogRecord(.transfer, final: final, asked: asked)
            #expect(record.body.pendingID == TransferID(.max))
        }
    }

    @Test func postAndVoidKeepWhatWasLeftOut() {
        for flags: TransferFlags in [.postPending, .voidPending] {
            var full = plain
            full.flags = flags
            full.pendingID = TransferID(50)
            check(full, full, [])
            for bits in 1..<16 {
                var asked = full
                var expected: LogRecordFlags = []
                if bits & 1 != 0 {
                    asked.creditAccountID = AccountID(0)
                    expected.insert(.creditAskedZero)
                }
                if bits & 2 != 0 {
                    asked.ledger = 0
                    expected.insert(.ledgerAskedZero)
                }
                if bits & 4 != 0 {
                    asked.code = 0
                    expected.insert(.codeAskedZero)
                }
                if bits & 8 != 0 {
                    asked.amount = Amount(.max)
                    expected.insert(.amountAskedAll)
                }
                check(asked, full, expected)
            }
        }
    }

    @Test func aRefusalIsAsAsked() {
        var asked = plain
        asked.flags = .balancingDebit
        let record = LogRecord(.refusal, asked, reason: .exceedsCredits)
        #expect(record.asked == asked && record.transfer == asked && !record.isAccepted)
    }

    @Test func expiryFreezeAndHeaders() {
        var pending = plain
        pending.flags = [.pending, .closingDebit]
        let expiry = LogRecord(
            expiryOf: pending, kind: .decision, timestamp: Timestamp(8), peer: ShardID(1), sequence: 2)
        #expect(expiry.flags == .expiry && expiry.body.flags == .voidPending && expiry.body.id == TransferID(0))
        #expect(expiry.body.pendingID == pending.id && expiry.body.creditAccountID == pending.creditAccountID)
        #expect(expiry.peer == ShardID(1) && expiry.sequence == 2 && expiry.timestamp == Timestamp(8))
        let freeze = LogRecord(freeze: AccountID(4), flags: [.debitsFrozen, .history], timestamp: Timestamp(9))
        #expect(freeze.kind == .freeze && freeze.accountFlags == [.debitsFrozen, .history])
        #expect(freeze.body.debitAccountID == AccountID(4) && !freeze.isAccepted)
        let header = LogRecord(chainPeer: ShardID(5), sequence: 6, timestamp: Timestamp(10))
        #expect(header.kind == .chainPeer && header.peer == ShardID(5) && header.sequence == 6)
        #expect(header.flags == .chainContinues)
    }

    /// Of a crossing transfer, its credit account's shard logs what the decision does not say: up to four in a record, the
    /// newest last.
    @Test(arguments: 1...4) func credits(count: Int) {
        var run = CreditRun()
        for k in 0..<count {
            run[4 - count + k] = LoggedCredit(
                account: AccountID(UInt128(k) << 100 | 7), amount: UInt64.max - UInt64(k),
                timestamp: Timestamp(UInt64(90 + k)))
        }
        let record = LogRecord(credits: run, count, peer: ShardID(3), sequence: 12)
        #expect(record.kind == .credits && record.peer == ShardID(3) && record.sequence == 12 && !record.isAccepted)
        #expect(record.creditCount == count && record.commits == UInt64(count))
        #expect(record.timestamp == Timestamp(UInt64(89 + count)))
        for k in 0..<count {
            #expect(record.credit(k).account == AccountID(UInt128(k) << 100 | 7))
            #expect(record.credit(k).amount == UInt64.max - UInt64(k))
            #expect(record.credit(k).timestamp == Timestamp(UInt64(90 + k)))
        }
        #expect(MemoryLayout<CreditRun>.size == MemoryLayout<Transfer>.size)
        #expect(MemoryLayout<LoggedCredit>.size == 32 && MemoryLayout<CreditRun>.alignment == 16)
    }

    @Test func theCreditOfADecision() {
        var t = plain
        t.timestamp = Timestamp(70)
        let short = LogRecord(creditOf: t, peer: ShardID(1), sequence: 5)
        #expect(short.kind == .credits && short.creditCount == 1 && short.timestamp == Timestamp(70))
        #expect(short.credit(0).account == t.creditAccountID && short.credit(0).amount == 4)
        for change in [{ $0.amount = Amount(1 << 64) }, { $0.flags = .pending }] as [(inout Transfer) -> Void] {
            var other = t
            change(&other)
            let whole = LogRecord(creditOf: other, peer: ShardID(1), sequence: 5)
            #expect(whole.kind == .credit && whole.body == other && whole.commits == 1)
        }
    }

    /// Numbers of the disk format.
    @Test func numbersStay() {
        #expect(RecordKind.accountLeg.rawValue == 9 && RecordKind.credits.rawValue == 10)
        #expect(MemoryLayout<LogRecord>.offset(of: \.count) == 6)
        #expect(RecordKind.freeze.rawValue == 6 && RecordKind.leg.rawValue == 7 && RecordKind.chainPeer.rawValue == 8)
        let flags: [LogRecordFlags] = [
            .chainContinues, .creditAskedZero, .ledgerAskedZero, .codeAskedZero, .amountAskedAll, .expiry,
        ]
        for (bit, flag) in flags.enumerated() { #expect(flag.rawValue == 1 << bit) }
        #expect(MemoryLayout<LogRecord>.offset(of: \.flags) == 1)
    }
}
