// A naive ledger, written from SEMANTICS.md and nothing else: what one event answers in a given state. Arrays and a
// dictionary, no hashing tricks, no reservations, one shard.

import SuanpanCore

/// What an event asks for.
enum Question: Equatable {
    case transfer(Transfer)
    case account(Account)
    case lookupAccount(AccountID)
    case lookupTransfer(AccountID, TransferID)
    /// Several accounts, or the sums of all, as of one moment.
    case cut([AccountID])
}

/// What it was told.
enum Reply: Equatable {
    case result(EventResult)
    case account(Account?)
    case transfer(Transfer?)
    case cut([Account?], [LedgerTotals])
}

struct Identity: Hashable {
    var debit: AccountID
    var id: TransferID
}

/// Of an identity that the ledger remembers.
enum Remembered: Equatable {
    case created(Transfer)
    case refused(ResultCode)
}

struct Model {
    var accounts: [AccountID: Account] = [:]
    var remembered: [Identity: Remembered] = [:]

    /// The answer that SEMANTICS gives, but for the timestamp of something new (which the engine chooses).
    func answer(_ question: Question) -> Reply {
        switch question {
        case .transfer(let t): .result(answer(t))
        case .account(let a): .result(answer(a))
        case .lookupAccount(let id): .account(accounts[id])
        case .lookupTransfer(let debit, let id):
            if case .created(let t)? = remembered[Identity(debit: debit, id: id)] {
                .transfer(t)
            } else {
                .transfer(nil)
            }
        case .cut(let ids): .cut(ids.map { accounts[$0] }, ids.isEmpty ? totals : [])
        }
    }

    /// By ledger, without a timestamp.
    var totals: [LedgerTotals] {
        var sums: [UInt32: LedgerTotals] = [:]
        for a in accounts.values {
            sums[a.ledger, default: LedgerTotals(ledger: a.ledger)].debitsPosted &+= a.debitsPosted.value
            sums[a.ledger, default: LedgerTotals(ledger: a.ledger)].creditsPosted &+= a.creditsPosted.value
        }
        return sums.values.sorted { $0.ledger < $1.ledger }
    }

    private func answer(_ t: Transfer) -> EventResult {
        // 2
        if t.timestamp != .zero { return EventResult(.timestampMustBeZero) }
        if t.flags != [] { return EventResult(.reservedFlag) }
        if t.id.value == 0 { return EventResult(.idMustNotBeZero) }
        if t.id.value == .max { return EventResult(.idMustNotBeMax) }
        // 3
        if t.debitAccountID.value == 0 { return EventResult(.debitAccountIDMustNotBeZero) }
        if t.debitAccountID.value == .max { return EventResult(.debitAccountIDMustNotBeMax) }
        if t.creditAccountID.value == 0 { return EventResult(.creditAccountIDMustNotBeZero) }
        if t.creditAccountID.value == .max { return EventResult(.creditAccountIDMustNotBeMax) }
        if t.debitAccountID == t.creditAccountID { return EventResult(.accountsMustBeDifferent) }
        // 4
        if t.pendingID.value != 0 { return EventResult(.pendingIDMustBeZero) }
        if t.timeout != 0 { return EventResult(.timeoutReservedForPendingTransfer) }
        if t.ledger == 0 { return EventResult(.ledgerMustNotBeZero) }
        if t.code == 0 { return EventResult(.codeMustNotBeZero) }
        // 5
        switch remembered[Identity(debit: t.debitAccountID, id: t.id)] {
        case .refused(let reason)?: return EventResult(.idAlreadyFailed, reason: reason)
        case .created(let first)?:
            if t.flags != first.flags { return EventResult(.existsWithDifferentFlags) }
            if t.pendingID != first.pendingID { return EventResult(.existsWithDifferentPendingID) }
            if t.timeout != first.timeout { return EventResult(.existsWithDifferentTimeout) }
            if t.creditAccountID != first.creditAccountID { return EventResult(.existsWithDifferentCreditAccountID) }
            if t.amount != first.amount { return EventResult(.existsWithDifferentAmount) }
            if t.userData128 != first.userData128 { return EventResult(.existsWithDifferentUserData128) }
            if t.userData64 != first.userData64 { return EventResult(.existsWithDifferentUserData64) }
            if t.userData32 != first.userData32 { return EventResult(.existsWithDifferentUserData32) }
            if t.ledger != first.ledger { return EventResult(.existsWithDifferentLedger) }
            if t.code != first.code { return EventResult(.existsWithDifferentCode) }
            return EventResult(.exists, timestamp: first.timestamp)
        case nil: break
        }
        // 6
        guard let debit = accounts[t.debitAccountID] else { return EventResult(.debitAccountNotFound) }
        if debit.ledger != t.ledger { return EventResult(.debitAccountHasDifferentLedger) }
        if debit.flags.contains(.closed) { return EventResult(.debitAccountClosed) }
        if debit.flags.contains(.debitsFrozen) { return EventResult(.debitAccountFrozen) }
        let debits = debit.debitsPosted.value.addingReportingOverflow(t.amount.value)
        if debits.overflow { return EventResult(.overflowsDebitsPosted) }
        if debit.flags.contains(.debitsMustNotExceedCredits), debits.partialValue > debit.creditsPosted.value {
            return EventResult(.exceedsCredits)
        }
        // 7
        guard let credit = accounts[t.creditAccountID] else { return EventResult(.creditAccountNotFound) }
        if credit.ledger != t.ledger { return EventResult(.creditAccountHasDifferentLedger) }
        if credit.flags.contains(.closed) { return EventResult(.creditAccountClosed) }
        if credit.flags.contains(.creditsFrozen) { return EventResult(.creditAccountFrozen) }
        let credits = credit.creditsPosted.value.addingReportingOverflow(t.amount.value)
        if credits.overflow { return EventResult(.overflowsCreditsPosted) }
        if credit.flags.contains(.creditsMustNotExceedDebits), credits.partialValue > credit.debitsPosted.value {
            return EventResult(.exceedsDebits)
        }
        return EventResult(.created)
    }

    private func answer(_ a: Account) -> EventResult {
        if a.timestamp != .zero { return EventResult(.timestampMustBeZero) }
        if a.reserved != 0 { return EventResult(.reservedField) }
        if a.flags.contains(.linked) || a.flags.contains(.history) || a.flags.contains(.striped) {
            return EventResult(.reservedFlag)
        }
        if a.flags.contains(.debitsMustNotExceedCredits) && a.flags.contains(.creditsMustNotExceedDebits) {
            return EventResult(.flagsAreMutuallyExclusive)
        }
        if a.id.value == 0 { return EventResult(.idMustNotBeZero) }
        if a.id.value == .max { return EventResult(.idMustNotBeMax) }
        if a.debitsPending != .zero { return EventResult(.debitsPendingMustBeZero) }
        if a.debitsPosted != .zero { return EventResult(.debitsPostedMustBeZero) }
        if a.creditsPending != .zero { return EventResult(.creditsPendingMustBeZero) }
        if a.creditsPosted != .zero { return EventResult(.creditsPostedMustBeZero) }
        if a.ledger == 0 { return EventResult(.ledgerMustNotBeZero) }
        if a.code == 0 { return EventResult(.codeMustNotBeZero) }
        if let first = accounts[a.id] {
            if a.flags != first.flags { return EventResult(.existsWithDifferentFlags) }
            if a.userData128 != first.userData128 { return EventResult(.existsWithDifferentUserData128) }
            if a.userData64 != first.userData64 { return EventResult(.existsWithDifferentUserData64) }
            if a.userData32 != first.userData32 { return EventResult(.existsWithDifferentUserData32) }
            if a.ledger != first.ledger { return EventResult(.existsWithDifferentLedger) }
            if a.code != first.code { return EventResult(.existsWithDifferentCode) }
            return EventResult(.exists, timestamp: first.timestamp)
        }
        return EventResult(.created)
    }

    /// True when the reply is the model's in this state; a creation may have any timestamp.
    func agrees(_ question: Question, _ reply: Reply) -> Bool {
        if case .result(let result) = reply, result.isCreated {
            guard case .result(let own) = answer(question) else { return false }
            return own.isCreated
        }
        return answer(question) == reply
    }

    /// What an event changes, given what it was told.
    mutating func apply(_ question: Question, _ reply: Reply) {
        guard case .result(let result) = reply, let code = result.code else { return }
        switch question {
        case .transfer(var t):
            let identity = Identity(debit: t.debitAccountID, id: t.id)
            if code == .created {
                t.timestamp = result.timestamp
                accounts[t.debitAccountID]?.debitsPosted.value &+= t.amount.value
                accounts[t.creditAccountID]?.creditsPosted.value &+= t.amount.value
                remembered[identity] = .created(t)
            } else if code.isFinalRefusal {
                remembered[identity] = .refused(code)
            }
        case .account(var a):
            if code == .created {
                a.timestamp = result.timestamp
                accounts[a.id] = a
            }
        default: break
        }
    }

    /// Takes back what `apply` did.
    mutating func revert(_ question: Question, _ reply: Reply) {
        guard case .result(let result) = reply, let code = result.code else { return }
        switch question {
        case .transfer(let t):
            if code == .created {
                accounts[t.debitAccountID]?.debitsPosted.value &-= t.amount.value
                accounts[t.creditAccountID]?.creditsPosted.value &-= t.amount.value
            }
            if code == .created || code.isFinalRefusal {
                remembered[Identity(debit: t.debitAccountID, id: t.id)] = nil
            }
        case .account(let a):
            if code == .created { accounts[a.id] = nil }
        default: break
        }
    }
}
