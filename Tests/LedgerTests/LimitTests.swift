// Goal: Groups 6 and 7 of Docs/Semantics.md: ledger, closed, frozen, overflow and the limits of either side, with what is
// undecided counted in. Method: an account with chosen balances, asked at the last amount that fits and at the first that does not.

import SuanpanCore
import SuanpanLedger
import Testing

/// What one side answers for an account set up by `change`.
private func debit(
    _ amount: UInt128, reserved: UInt128 = 0, expected: UInt128 = 0, ledger: UInt32 = 1,
    _ change: (inout Account) -> Void = { _ in }
) -> ResultCode {
    var account = soundAccount
    change(&account)
    var state = makeLedger()
    state.apply(account: account, lsn: LSN(1))
    guard let index = state.find(account.id) else { return .busy }
    var transfer = soundTransfer
    transfer.amount = Amount(amount)
    transfer.ledger = ledger
    return state.debitRefusal(index, transfer, reservedDebits: reserved, expectedCredits: expected, now: .zero)
}

private func credit(
    _ amount: UInt128, reserved: UInt128 = 0, expected: UInt128 = 0, ledger: UInt32 = 1,
    _ change: (inout Account) -> Void = { _ in }
) -> ResultCode {
    var account = soundAccount
    account.id = soundTransfer.creditAccountID
    change(&account)
    var state = makeLedger()
    state.apply(account: account, lsn: LSN(1))
    guard let index = state.find(account.id) else { return .busy }
    var transfer = soundTransfer
    transfer.amount = Amount(amount)
    transfer.ledger = ledger
    return state.creditRefusal(index, transfer, reservedCredits: reserved, expectedDebits: expected)
}

private let most = UInt128.max

@Test func accountsWithoutLimitsTakeAnything() {
    #expect(debit(0) == .created)
    #expect(debit(most) == .created)
    #expect(credit(0) == .created)
    #expect(credit(most) == .created)
}

@Test func ledgerThenClosedThenFrozen() {
    let shut: AccountFlags = [.closed, .debitsFrozen, .creditsFrozen, .debitsMustNotExceedCredits]
    #expect(debit(1, ledger: 2) { $0.flags = shut } == .debitAccountHasDifferentLedger)
    #expect(debit(1) { $0.flags = shut } == .debitAccountClosed)
    #expect(debit(1) { $0.flags = [.debitsFrozen, .debitsMustNotExceedCredits] } == .debitAccountFrozen)
    #expect(debit(1) { $0.flags = .creditsFrozen } == .created)
    #expect(credit(1, ledger: 2) { $0.flags = shut } == .creditAccountHasDifferentLedger)
    #expect(credit(1) { $0.flags = shut } == .creditAccountClosed)
    #expect(credit(1) { $0.flags = [.creditsFrozen, .creditsMustNotExceedDebits] } == .creditAccountFrozen)
    #expect(credit(1) { $0.flags = .debitsFrozen } == .created)
}

@Test func debitsStopAtCredits() {
    let limited: (inout Account) -> Void = {
        $0.flags = .debitsMustNotExceedCredits
        $0.creditsPosted = Amount(100)
        $0.debitsPosted = Amount(30)
        $0.debitsPending = Amount(20)
        // Credits that are only pending do not count.
        $0.creditsPending = Amount(1000)
    }
    #expect(debit(50, limited) == .created)
    #expect(debit(51, limited) == .exceedsCredits)
    #expect(debit(40, reserved: 10, limited) == .created)
    #expect(debit(41, reserved: 10, limited) == .exceedsCredits)
    #expect(debit(57, expected: 7, limited) == .created)
    #expect(debit(58, expected: 7, limited) == .exceedsCredits)
    #expect(debit(47, reserved: 10, expected: 7, limited) == .created)
    #expect(debit(48, reserved: 10, expected: 7, limited) == .exceedsCredits)
    // A sum of credits beyond 2^128 is more than any debit.
    #expect(debit(51, expected: most, limited) == .created)
    #expect(credit(most - 1000 - 100, limited) == .created)
}

@Test func creditsStopAtDebits() {
    let limited: (inout Account) -> Void = {
        $0.flags = .creditsMustNotExceedDebits
        $0.debitsPosted = Amount(100)
        $0.creditsPosted = Amount(30)
        $0.creditsPending = Amount(20)
        $0.debitsPending = Amount(1000)
    }
    #expect(credit(50, limited) == .created)
    #expect(credit(51, limited) == .exceedsDebits)
    #expect(credit(40, reserved: 10, limited) == .created)
    #expect(credit(41, reserved: 10, limited) == .exceedsDebits)
    #expect(credit(57, expected: 7, limited) == .created)
    #expect(credit(58, expected: 7, limited) == .exceedsDebits)
    #expect(credit(47, reserved: 10, expected: 7, limited) == .created)
    #expect(credit(48, reserved: 10, expected: 7, limited) == .exceedsDebits)
    #expect(credit(51, expected: most, limited) == .created)
    #expect(debit(most - 1000 - 100, limited) == .created)
}

@Test func sumsStopAtTheEdgeOfTheirType() {
    #expect(debit(most - 9) { $0.debitsPosted = Amount(9) } == .created)
    #expect(debit(most - 8) { $0.debitsPosted = Amount(9) } == .overflowsDebitsPosted)
    #expect(debit(1, reserved: most) { $0.debitsPosted = Amount(9) } == .overflowsDebitsPosted)
    #expect(debit(most - 9) { $0.debitsPending = Amount(9) } == .created)
    #expect(debit(most - 8) { $0.debitsPending = Amount(9) } == .overflowsDebits)
    #expect(debit(most - 9, reserved: 4) { $0.debitsPending = Amount(6) } == .overflowsDebits)
    #expect(credit(most - 9) { $0.creditsPosted = Amount(9) } == .created)
    #expect(credit(most - 8) { $0.creditsPosted = Amount(9) } == .overflowsCreditsPosted)
    #expect(credit(1, reserved: most) { $0.creditsPosted = Amount(9) } == .overflowsCreditsPosted)
    #expect(credit(most - 9) { $0.creditsPending = Amount(9) } == .created)
    #expect(credit(most - 8) { $0.creditsPending = Amount(9) } == .overflowsCredits)
    #expect(credit(most - 9, reserved: 4) { $0.creditsPending = Amount(6) } == .overflowsCredits)
    // Overflow is found before the limit, which it would break too.
    #expect(
        debit(most) {
            $0.flags = .debitsMustNotExceedCredits
            $0.debitsPosted = Amount(1)
        } == .overflowsDebitsPosted)
    #expect(
        credit(most) {
            $0.flags = .creditsMustNotExceedDebits
            $0.creditsPending = Amount(1)
        } == .overflowsCredits)
}
