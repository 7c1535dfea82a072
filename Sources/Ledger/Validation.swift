// Groups 2 to 4 of the refusals (Docs/Semantics.md): what can be told from the request alone. Pure; the same at every
// door and never remembered. And Group 5: what sent again is compared by.

public import SuanpanCore

extension Transfer {
    /// The first refusal that the event's own fields give, or `.created` when there is none.
    /// - Parameter supported: The flags that are open at this door.
    public func refusalByRequest(supported: TransferFlags = .supported) -> ResultCode {
        if timestamp.nanoseconds != 0 { return .timestampMustBeZero }
        if !flags.subtracting(supported).isEmpty { return .reservedFlag }
        if !flags.isPlain && hasExclusiveFlags { return .flagsAreMutuallyExclusive }
        if id.isZero { return .idMustNotBeZero }
        if id.isMax { return .idMustNotBeMax }
        if debitAccountID.isZero { return .debitAccountIDMustNotBeZero }
        if debitAccountID.isMax { return .debitAccountIDMustNotBeMax }
        if creditAccountID.isZero && !flags.resolves { return .creditAccountIDMustNotBeZero }
        if creditAccountID.isMax { return .creditAccountIDMustNotBeMax }
        if debitAccountID == creditAccountID { return .accountsMustBeDifferent }
        if flags.resolves {
            if pendingID.isZero { return .pendingIDMustNotBeZero }
            if pendingID.isMax { return .pendingIDMustNotBeMax }
            if pendingID == id { return .pendingIDMustBeDifferent }
        } else if !pendingID.isZero {
            return .pendingIDMustBeZero
        }
        if timeout != 0 && !flags.contains(.pending) { return .timeoutReservedForPendingTransfer }
        if flags.closes && !flags.contains(.pending) { return .closingTransferMustBePending }
        if ledger == 0 && !flags.resolves { return .ledgerMustNotBeZero }
        if code == 0 && !flags.resolves { return .codeMustNotBeZero }
        return .created
    }

    /// Two of pending, post and void; or a post or void that would balance or close.
    private var hasExclusiveFlags: Bool {
        let kinds = flags.rawValue & 0x0E
        return kinds.nonzeroBitCount > 1 || (flags.resolves && (flags.balances || flags.closes))
    }

    /// Compares a transfer sent again with what was recorded: the first field that differs, or `.exists`.
    /// `linked` says how a request was grouped, not what was paid: a chain's member sent again alone is the same.
    /// - Parameter recorded: As it was asked: `LogRecord.asked`.
    public func comparedWithRecorded(_ recorded: Transfer) -> ResultCode {
        if !flags.symmetricDifference(recorded.flags).isSubset(of: .linked) { return .existsWithDifferentFlags }
        if pendingID != recorded.pendingID { return .existsWithDifferentPendingID }
        if timeout != recorded.timeout { return .existsWithDifferentTimeout }
        if creditAccountID != recorded.creditAccountID { return .existsWithDifferentCreditAccountID }
        if amount != recorded.amount { return .existsWithDifferentAmount }
        if userData128 != recorded.userData128 { return .existsWithDifferentUserData128 }
        if userData64 != recorded.userData64 { return .existsWithDifferentUserData64 }
        if userData32 != recorded.userData32 { return .existsWithDifferentUserData32 }
        if ledger != recorded.ledger { return .existsWithDifferentLedger }
        if code != recorded.code { return .existsWithDifferentCode }
        return .exists
    }
}

extension Account {
    /// The first refusal that the account's own fields give, or `.created` when there is none.
    /// - Parameter supported: The flags that are open at this door.
    public func refusalByRequest(supported: AccountFlags = .supported) -> ResultCode {
        if timestamp.nanoseconds != 0 { return .timestampMustBeZero }
        if reserved != 0 { return .reservedField }
        if !flags.subtracting(supported).isEmpty { return .reservedFlag }
        if flags.contains([.debitsMustNotExceedCredits, .creditsMustNotExceedDebits]) {
            return .flagsAreMutuallyExclusive
        }
        if id.isZero { return .idMustNotBeZero }
        if id.isMax { return .idMustNotBeMax }
        if debitsPending != .zero { return .debitsPendingMustBeZero }
        if debitsPosted != .zero { return .debitsPostedMustBeZero }
        if creditsPending != .zero { return .creditsPendingMustBeZero }
        if creditsPosted != .zero { return .creditsPostedMustBeZero }
        if ledger == 0 { return .ledgerMustNotBeZero }
        if code == 0 { return .codeMustNotBeZero }
        return .created
    }

    /// Compares an account sent again with the one that exists, `linked` not, as for transfers.
    /// - Parameter existing: As it was created: `Ledger.accountAsCreated`.
    public func comparedWithExisting(_ existing: Account) -> ResultCode {
        if !flags.symmetricDifference(existing.flags).isSubset(of: .linked) { return .existsWithDifferentFlags }
        if userData128 != existing.userData128 { return .existsWithDifferentUserData128 }
        if userData64 != existing.userData64 { return .existsWithDifferentUserData64 }
        if userData32 != existing.userData32 { return .existsWithDifferentUserData32 }
        if ledger != existing.ledger { return .existsWithDifferentLedger }
        if code != existing.code { return .existsWithDifferentCode }
        return .exists
    }
}
