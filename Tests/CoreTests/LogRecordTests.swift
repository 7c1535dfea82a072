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

    /// Numbers of the disk format.
    @Test func numbersStay() {
        #expect(RecordKind.freeze.rawValue == 6 && RecordKind.leg.rawValue == 7 && RecordKind.chainPeer.rawValue == 8)
        let flags: [LogRecordFlags] = [
            .chainContinues, .creditAskedZero, .ledgerAskedZero, .codeAskedZero, .amountAskedAll, .expiry,
        ]
        for (bit, flag) in flags.enumerated() { #expect(flag.rawValue == 1 << bit) }
        #expect(MemoryLayout<LogRecord>.offset(of: \.flags) == 1)
    }
}
