// The RESP error reply of every refusal, as literals: answering copies bytes. A test compares the names with
// `ResultCode.upperName`.

internal import SuanpanCore

extension ResultCode {
    /// `-NAME human text\r\n`.
    var errorReply: StaticString {
        rawValue < ResultCode.existsWithDifferentFlags.rawValue
            ? requestErrorReply
            : rawValue < ResultCode.debitAccountNotFound.rawValue ? existsErrorReply : stateErrorReply
    }

    /// Groups 1 to 4 of Docs/Semantics.md: told from the request alone.
    private var requestErrorReply: StaticString {
        switch self {
        case .linkedEventFailed: "-LINKED_EVENT_FAILED another event of the chain was refused\r\n"
        case .linkedEventChainOpen: "-LINKED_EVENT_CHAIN_OPEN the request ends inside a chain\r\n"
        case .chainTooLong: "-CHAIN_TOO_LONG a chain holds up to 64 events\r\n"
        case .timestampMustBeZero: "-TIMESTAMP_MUST_BE_ZERO the engine sets the timestamp\r\n"
        case .reservedField: "-RESERVED_FIELD a reserved field is not 0\r\n"
        case .reservedFlag: "-RESERVED_FLAG a flag is set that this release does not carry out\r\n"
        case .flagsAreMutuallyExclusive: "-FLAGS_ARE_MUTUALLY_EXCLUSIVE these flags exclude each other\r\n"
        case .idMustNotBeZero: "-ID_MUST_NOT_BE_ZERO the id is 0\r\n"
        case .idMustNotBeMax: "-ID_MUST_NOT_BE_MAX the id is 2^128-1, which is reserved\r\n"
        case .debitAccountIDMustNotBeZero: "-DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO the debit account is 0\r\n"
        case .debitAccountIDMustNotBeMax:
            "-DEBIT_ACCOUNT_ID_MUST_NOT_BE_MAX the debit account is 2^128-1, which is reserved\r\n"
        case .creditAccountIDMustNotBeZero: "-CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO the credit account is 0\r\n"
        case .creditAccountIDMustNotBeMax:
            "-CREDIT_ACCOUNT_ID_MUST_NOT_BE_MAX the credit account is 2^128-1, which is reserved\r\n"
        case .accountsMustBeDifferent: "-ACCOUNTS_MUST_BE_DIFFERENT debit and credit account are the same\r\n"
        case .pendingIDMustBeZero: "-PENDING_ID_MUST_BE_ZERO only posting and voiding name a pending transfer\r\n"
        case .pendingIDMustNotBeZero: "-PENDING_ID_MUST_NOT_BE_ZERO the pending transfer is not named\r\n"
        case .pendingIDMustNotBeMax: "-PENDING_ID_MUST_NOT_BE_MAX the pending id is 2^128-1, which is reserved\r\n"
        case .pendingIDMustBeDifferent: "-PENDING_ID_MUST_BE_DIFFERENT a transfer cannot post or void itself\r\n"
        case .timeoutReservedForPendingTransfer:
            "-TIMEOUT_RESERVED_FOR_PENDING_TRANSFER only a pending transfer has a timeout\r\n"
        case .closingTransferMustBePending:
            "-CLOSING_TRANSFER_MUST_BE_PENDING a transfer that closes an account must be pending\r\n"
        case .ledgerMustNotBeZero: "-LEDGER_MUST_NOT_BE_ZERO the ledger is 0\r\n"
        case .codeMustNotBeZero: "-CODE_MUST_NOT_BE_ZERO the code is 0\r\n"
        case .debitsPendingMustBeZero: "-DEBITS_PENDING_MUST_BE_ZERO a new account has no balance\r\n"
        case .debitsPostedMustBeZero: "-DEBITS_POSTED_MUST_BE_ZERO a new account has no balance\r\n"
        case .creditsPendingMustBeZero: "-CREDITS_PENDING_MUST_BE_ZERO a new account has no balance\r\n"
        case .creditsPostedMustBeZero: "-CREDITS_POSTED_MUST_BE_ZERO a new account has no balance\r\n"
        default: "-ERR created\r\n"
        }
    }

    /// Group 5: seen before.
    private var existsErrorReply: StaticString {
        switch self {
        case .existsWithDifferentFlags: "-EXISTS_WITH_DIFFERENT_FLAGS the id was used with other flags\r\n"
        case .existsWithDifferentPendingID:
            "-EXISTS_WITH_DIFFERENT_PENDING_ID the id was used with another pending id\r\n"
        case .existsWithDifferentTimeout: "-EXISTS_WITH_DIFFERENT_TIMEOUT the id was used with another timeout\r\n"
        case .existsWithDifferentCreditAccountID:
            "-EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID the id was used with another credit account\r\n"
        case .existsWithDifferentAmount: "-EXISTS_WITH_DIFFERENT_AMOUNT the id was used with another amount\r\n"
        case .existsWithDifferentUserData128:
            "-EXISTS_WITH_DIFFERENT_USER_DATA_128 the id was used with other 128-bit user data\r\n"
        case .existsWithDifferentUserData64:
            "-EXISTS_WITH_DIFFERENT_USER_DATA_64 the id was used with other 64-bit user data\r\n"
        case .existsWithDifferentUserData32:
            "-EXISTS_WITH_DIFFERENT_USER_DATA_32 the id was used with other 32-bit user data\r\n"
        case .existsWithDifferentLedger: "-EXISTS_WITH_DIFFERENT_LEDGER the id was used with another ledger\r\n"
        case .existsWithDifferentCode: "-EXISTS_WITH_DIFFERENT_CODE the id was used with another code\r\n"
        case .exists: "-EXISTS the same was created before\r\n"
        default: "-ID_ALREADY_FAILED the id was refused for good before; use a new id\r\n"
        }
    }

    /// Groups 6 and 7, and what was not decided.
    private var stateErrorReply: StaticString {
        switch self {
        case .debitAccountNotFound: "-DEBIT_ACCOUNT_NOT_FOUND there is no such debit account\r\n"
        case .debitAccountHasDifferentLedger:
            "-DEBIT_ACCOUNT_HAS_DIFFERENT_LEDGER the debit account is of another ledger\r\n"
        case .pendingTransferNotFound: "-PENDING_TRANSFER_NOT_FOUND there is no such pending transfer\r\n"
        case .pendingTransferNotPending: "-PENDING_TRANSFER_NOT_PENDING that transfer was not a pending one\r\n"
        case .pendingTransferHasDifferentCreditAccountID:
            "-PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT_ID the pending transfer credits another account\r\n"
        case .pendingTransferHasDifferentLedger:
            "-PENDING_TRANSFER_HAS_DIFFERENT_LEDGER the pending transfer is of another ledger\r\n"
        case .pendingTransferHasDifferentCode:
            "-PENDING_TRANSFER_HAS_DIFFERENT_CODE the pending transfer has another code\r\n"
        case .exceedsPendingTransferAmount:
            "-EXCEEDS_PENDING_TRANSFER_AMOUNT the amount is more than was reserved\r\n"
        case .pendingTransferAlreadyPosted: "-PENDING_TRANSFER_ALREADY_POSTED the pending transfer was posted\r\n"
        case .pendingTransferAlreadyVoided: "-PENDING_TRANSFER_ALREADY_VOIDED the pending transfer was voided\r\n"
        case .pendingTransferExpired: "-PENDING_TRANSFER_EXPIRED the pending transfer has expired\r\n"
        case .debitAccountClosed: "-DEBIT_ACCOUNT_CLOSED the debit account is closed\r\n"
        case .debitAccountFrozen: "-DEBIT_ACCOUNT_FROZEN the debit account's debits are frozen\r\n"
        case .overflowsTimeout: "-OVERFLOWS_TIMEOUT the timeout lies beyond all timestamps\r\n"
        case .overflowsDebitsPending: "-OVERFLOWS_DEBITS_PENDING the debit account's sum would overflow\r\n"
        case .overflowsDebitsPosted: "-OVERFLOWS_DEBITS_POSTED the debit account's sum would overflow\r\n"
        case .overflowsDebits: "-OVERFLOWS_DEBITS the debit account's sum would overflow\r\n"
        case .exceedsCredits: "-EXCEEDS_CREDITS the debit account has not so much left\r\n"
        case .creditAccountNotFound: "-CREDIT_ACCOUNT_NOT_FOUND there is no such credit account\r\n"
        case .creditAccountHasDifferentLedger:
            "-CREDIT_ACCOUNT_HAS_DIFFERENT_LEDGER the credit account is of another ledger\r\n"
        case .creditAccountClosed: "-CREDIT_ACCOUNT_CLOSED the credit account is closed\r\n"
        case .creditAccountFrozen: "-CREDIT_ACCOUNT_FROZEN the credit account's credits are frozen\r\n"
        case .overflowsCreditsPending: "-OVERFLOWS_CREDITS_PENDING the credit account's sum would overflow\r\n"
        case .overflowsCreditsPosted: "-OVERFLOWS_CREDITS_POSTED the credit account's sum would overflow\r\n"
        case .overflowsCredits: "-OVERFLOWS_CREDITS the credit account's sum would overflow\r\n"
        case .exceedsDebits: "-EXCEEDS_DEBITS the credit account may not receive so much\r\n"
        case .capacityExhausted:
            "-CAPACITY_EXHAUSTED the engine has no room left for more; nothing was executed\r\n"
        default: "-BUSY retry later; nothing was executed\r\n"
        }
    }
}
