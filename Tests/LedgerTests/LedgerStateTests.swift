// Goal: limits, closing, freezing and overflow at the edges of 128 bits, on both sides, in the order of
// Docs/Semantics.md; replay. Method: one account in a chosen state, one transfer, the answer of one side.

import SuanpanCore
import SuanpanLedger
import Testing

@Suite struct LedgerStateTests {
    private struct Case {
        var flags: AccountFlags = []
        var debits: UInt128 = 0
        var credits: UInt128 = 0
        var amount: UInt128 = 1
        /// Undecided on the account.
        var reserved: UInt128 = 0
        var expected: UInt128 = 0
        var ledger: UInt32 = 1
    }

    private func side(_ c: Case, isDebit: Bool) -> ResultCode {
        var ledger = Ledger(key: HashKey(a: 1, b: 2), memoryBytes: 1 << 20)
        ledger.apply(account: Account(id: AccountID(7), ledger: 1, code: 1, flags: c.flags), lsn: LSN(1))
        guard let index = ledger.find(AccountID(7)) else { return .debitAccountNotFound }
        ledger.applyDebit(index, Amount(c.debits))
        ledger.applyCredit(index, Amount(c.credits))
        let t = Transfer(
            id: TransferID(1), debit: AccountID(7), credit: AccountID(8), amount: Amount(c.amount), ledger: c.ledger,
            code: 1)
        return isDebit
            ? ledger.debitRefusal(index, t, reservedDebits: c.reserved, expectedCredits: c.expected, now: .zero)
            : ledger.creditRefusal(index, t, reservedCredits: c.reserved, expectedDebits: c.expected)
    }

    @Test func debitLimitAtItsEdge() {
        let limited = AccountFlags.debitsMustNotExceedCredits
        #expect(side(Case(flags: limited, debits: 4, credits: 10, amount: 6), isDebit: true) == .created)
        #expect(side(Case(flags: limited, debits: 4, credits: 10, amount: 7), isDebit: true) == .exceedsCredits)
        #expect(side(Case(flags: limited, amount: 0), isDebit: true) == .created)
        #expect(side(Case(flags: limited, amount: 1), isDebit: true) == .exceedsCredits)
        #expect(side(Case(debits: 4, amount: 7), isDebit: true) == .created)
        // What is undecided counts where it is told to.
        #expect(side(Case(flags: limited, credits: 10, amount: 6, reserved: 5), isDebit: true) == .exceedsCredits)
        #expect(side(Case(flags: limited, credits: 10, amount: 6, reserved: 5, expected: 1), isDebit: true) == .created)
        // The limit binds the debits only.
        #expect(side(Case(flags: limited, debits: 4, credits: 4, amount: 9), isDebit: false) == .created)
    }

    @Test func creditLimitAtItsEdge() {
        let limited = AccountFlags.creditsMustNotExceedDebits
        #expect(side(Case(flags: limited, debits: 10, credits: 4, amount: 6), isDebit: false) == .created)
        #expect(side(Case(flags: limited, debits: 10, credits: 4, amount: 7), isDebit: false) == .exceedsDebits)
        #expect(side(Case(flags: limited, debits: 10, amount: 6, reserved: 5), isDebit: false) == .exceedsDebits)
        #expect(side(Case(flags: limited, debits: 10, amount: 6, reserved: 5, expected: 1), isDebit: false) == .created)
        #expect(side(Case(flags: limited, debits: 4, credits: 4, amount: 9), isDebit: true) == .created)
    }

    @Test func overflowAt128Bits() {
        #expect(side(Case(debits: .max - 1, amount: 1), isDebit: true) == .created)
        #expect(side(Case(debits: .max, amount: 0), isDebit: true) == .created)
        #expect(side(Case(debits: .max, amount: 1), isDebit: true) == .overflowsDebitsPosted)
        #expect(side(Case(debits: .max - 1, amount: 1, reserved: 1), isDebit: true) == .overflowsDebitsPosted)
        #expect(side(Case(debits: 1, amount: 1, reserved: .max), isDebit: true) == .overflowsDebitsPosted)
        #expect(side(Case(credits: .max - 1, amount: 1), isDebit: false) == .created)
        #expect(side(Case(credits: .max, amount: 1), isDebit: false) == .overflowsCreditsPosted)
        #expect(side(Case(credits: .max - 1, amount: 1, reserved: 1), isDebit: false) == .overflowsCreditsPosted)
        // Overflow comes before the limit.
        #expect(
            side(Case(flags: .debitsMustNotExceedCredits, debits: 5, credits: 5, amount: .max), isDebit: true)
                == .overflowsDebitsPosted)
        // Expected credits beyond the top allow anything.
        #expect(
            side(Case(flags: .debitsMustNotExceedCredits, credits: .max, amount: .max, expected: 1), isDebit: true)
                == .created)
    }

    @Test func orderOfStateRefusals() {
        let all: AccountFlags = [.closed, .debitsFrozen, .creditsFrozen, .debitsMustNotExceedCredits]
        #expect(side(Case(flags: all, ledger: 2), isDebit: true) == .debitAccountHasDifferentLedger)
        #expect(side(Case(flags: all), isDebit: true) == .debitAccountClosed)
        #expect(side(Case(flags: all.subtracting(.closed)), isDebit: true) == .debitAccountFrozen)
        #expect(side(Case(flags: .creditsFrozen), isDebit: true) == .created)
        #expect(side(Case(flags: all, ledger: 2), isDebit: false) == .creditAccountHasDifferentLedger)
        #expect(side(Case(flags: all), isDebit: false) == .creditAccountClosed)
        #expect(side(Case(flags: all.subtracting(.closed)), isDebit: false) == .creditAccountFrozen)
        #expect(side(Case(flags: .debitsFrozen), isDebit: false) == .created)
    }

    @Test func replayGivesTheSameStateAndNamesWhatIsWrong() {
        var ledger = Ledger(key: HashKey(a: 1, b: 2), memoryBytes: 1 << 20)
        func record(_ kind: RecordKind, _ debit: UInt128, _ credit: UInt128, _ amount: UInt128, _ id: UInt128)
            -> LogRecord
        {
            LogRecord(
                kind,
                Transfer(
                    id: TransferID(id), debit: AccountID(debit), credit: AccountID(credit), amount: Amount(amount),
                    ledger: 1,
                    code: 1), reason: kind == .refusal ? .exceedsCredits : .created)
        }
        func replay(_ record: LogRecord) -> String? { ledger.replay(record, lsn: LSN(1), position: 5) }
        for id: UInt128 in [1, 2] { #expect(replay(LogRecord(Account(id: AccountID(id), ledger: 1, code: 1))) == nil) }
        #expect(replay(LogRecord(Account(id: AccountID(1), ledger: 1, code: 1))) != nil)
        #expect(replay(record(.transfer, 1, 2, 5, 1)) == nil)
        #expect(replay(record(.decision, 1, 9, 3, 2)) == nil)
        #expect(replay(record(.credit, 9, 2, 4, 3)) == nil)
        #expect(replay(record(.refusal, 1, 2, 4, 4)) == nil)
        #expect(replay(record(.transfer, 1, 9, 5, 5)) != nil)
        #expect(replay(record(.decision, 9, 1, 5, 6)) != nil)
        #expect(replay(record(.credit, 1, 9, 5, 7)) != nil)
        let a = ledger.account(ledger.find(AccountID(1))!)
        let b = ledger.account(ledger.find(AccountID(2))!)
        #expect(a.debitsPosted == Amount(8) && a.creditsPosted == .zero)
        #expect(b.creditsPosted == Amount(9) && b.debitsPosted == .zero)
        #expect(ledger.transferCount == 2 && ledger.refusalCount == 1)
        #expect(ledger.totals(0).debitsPosted == 8 && ledger.totals(0).creditsPosted == 9)
        var step = 0
        let refused = ledger.nextRemembered(ledger.identityHash(AccountID(1), TransferID(4)), &step)
        #expect(refused?.refusal == .exceedsCredits)
        #expect(refused?.position == 5)
        step = 0
        let created = ledger.nextRemembered(ledger.identityHash(AccountID(1), TransferID(1)), &step)
        #expect(created != nil && created?.refusal == nil)
    }
}
