// Goal: the records have the sizes and offsets that the formats promise. Method: MemoryLayout.

import SuanpanCore
import Testing

@Test func recordsHaveTheirDocumentedLayout() {
    #expect(MemoryLayout<Account>.size == 128 && MemoryLayout<Account>.stride == 128)
    #expect(MemoryLayout<Transfer>.size == 128 && MemoryLayout<Transfer>.stride == 128)
    #expect(MemoryLayout<LogRecord>.size == 144 && MemoryLayout<LogRecord>.stride == 144)
    #expect(MemoryLayout<EventResult>.size == 16)
    #expect(MemoryLayout<Account>.offset(of: \.timestamp) == 120)
    #expect(MemoryLayout<Account>.offset(of: \.ledger) == 112)
    #expect(MemoryLayout<Transfer>.offset(of: \.timestamp) == 120)
    #expect(MemoryLayout<Transfer>.offset(of: \.flags) == 118)
    #expect(MemoryLayout<LogRecord>.offset(of: \.body) == 16)
    #expect(MemoryLayout<QueryFilter>.size == 128 && MemoryLayout<QueryFilter>.stride == 128)
    #expect(MemoryLayout<QueryFilter>.offset(of: \.limit) == 52)
    #expect(MemoryLayout<QueryFilter>.offset(of: \.timestampMin) == 56)
    #expect(MemoryLayout<AccountBalance>.size == 80 && MemoryLayout<AccountBalance>.stride == 80)
    #expect(MemoryLayout<AccountBalance>.offset(of: \.timestamp) == 64)
    #expect(MemoryLayout<LedgerTotals>.size == 80 && MemoryLayout<LedgerTotals>.stride == 80)
    #expect(MemoryLayout<LedgerTotals>.offset(of: \.timestamp) == 8)
    #expect(MemoryLayout<LedgerTotals>.offset(of: \.debitsPending) == 16)
    #expect(MemoryLayout<LedgerTotals>.offset(of: \.creditsPosted) == 64)
}

@Test func namesAreThoseOfTheContract() {
    #expect(ResultCode.existsWithDifferentUserData128.name == "exists_with_different_user_data_128")
    #expect(ResultCode.debitAccountIDMustNotBeZero.name == "debit_account_id_must_not_be_zero")
    #expect(ResultCode.exceedsCredits.upperName == "EXCEEDS_CREDITS")
    #expect(ResultCode.idAlreadyFailed.name == "id_already_failed")
    #expect(
        ResultCode.pendingTransferHasDifferentCreditAccountID.name == "pending_transfer_has_different_credit_account_id"
    )
}
