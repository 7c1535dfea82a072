// Goal: an event with many faults answers the one that Docs/Semantics.md checks first, whatever else is wrong.
// Method: faults stacked from the last group to the first; each, added to all later ones, must take over the answer.

import SuanpanCore
import SuanpanLedger
import Testing

@Suite struct ValidationTests {
    private let good = Transfer(
        id: TransferID(1), debit: AccountID(2), credit: AccountID(3), amount: Amount(4), ledger: 5, code: 6)

    @Test func transferInOrder() {
        #expect(good.refusalByRequest() == .created)
        // Last checked first.
        let faults: [(ResultCode, (inout Transfer) -> Void)] = [
            (.codeMustNotBeZero, { $0.code = 0 }),
            (.ledgerMustNotBeZero, { $0.ledger = 0 }),
            (.timeoutReservedForPendingTransfer, { $0.timeout = 1 }),
            (.pendingIDMustBeZero, { $0.pendingID = TransferID(9) }),
            (.accountsMustBeDifferent, { $0.creditAccountID = $0.debitAccountID }),
            (.creditAccountIDMustNotBeMax, { $0.creditAccountID = AccountID(.max) }),
            (.creditAccountIDMustNotBeZero, { $0.creditAccountID = AccountID(0) }),
            (.debitAccountIDMustNotBeMax, { $0.debitAccountID = AccountID(.max) }),
            (.debitAccountIDMustNotBeZero, { $0.debitAccountID = AccountID(0) }),
            (.idMustNotBeMax, { $0.id = TransferID(.max) }),
            (.idMustNotBeZero, { $0.id = TransferID(0) }),
            (.reservedFlag, { $0.flags = TransferFlags(rawValue: 1 << 12) }),
            (.timestampMustBeZero, { $0.timestamp = Timestamp(1) }),
        ]
        var t = good
        for (code, fault) in faults {
            fault(&t)
            #expect(t.refusalByRequest() == code)
            var alone = good
            fault(&alone)
            #expect(alone.refusalByRequest() == code)
        }
    }

    /// The same for a post and a void, which may leave credit account, ledger and code out.
    @Test(arguments: [TransferFlags.postPending, .voidPending]) func postAndVoidInOrder(kind: TransferFlags) {
        var sound = good
        sound.flags = kind
        sound.pendingID = TransferID(9)
        func answer(_ t: Transfer) -> ResultCode { t.refusalByRequest(supported: .specified) }
        #expect(answer(sound) == .created)
        sound.creditAccountID = AccountID(0)
        sound.ledger = 0
        sound.code = 0
        #expect(answer(sound) == .created)
        let faults: [(ResultCode, (inout Transfer) -> Void)] = [
            (.timeoutReservedForPendingTransfer, { $0.timeout = 1 }),
            (.pendingIDMustBeDifferent, { $0.pendingID = $0.id }),
            (.pendingIDMustNotBeMax, { $0.pendingID = TransferID(.max) }),
            (.pendingIDMustNotBeZero, { $0.pendingID = TransferID(0) }),
            (.accountsMustBeDifferent, { $0.creditAccountID = $0.debitAccountID }),
            (.creditAccountIDMustNotBeMax, { $0.creditAccountID = AccountID(.max) }),
            (.debitAccountIDMustNotBeMax, { $0.debitAccountID = AccountID(.max) }),
            (.debitAccountIDMustNotBeZero, { $0.debitAccountID = AccountID(0) }),
            (.idMustNotBeMax, { $0.id = TransferID(.max) }),
            (.idMustNotBeZero, { $0.id = TransferID(0) }),
            (.flagsAreMutuallyExclusive, { $0.flags.insert(.closingCredit) }),
            (.reservedFlag, { $0.flags.insert(.imported) }),
            (.timestampMustBeZero, { $0.timestamp = Timestamp(1) }),
        ]
        var t = sound
        for (code, fault) in faults {
            fault(&t)
            #expect(answer(t) == code)
        }
    }

    /// Every set of flags against the rules as Docs/Semantics.md words them.
    @Test func flagsThatExcludeEachOther() {
        for bits in 0..<UInt16(512) {
            var t = good
            t.flags = TransferFlags(rawValue: bits)
            let kinds = [TransferFlags.pending, .postPending, .voidPending].filter { t.flags.contains($0) }
            let resolves = t.flags.contains(.postPending) || t.flags.contains(.voidPending)
            if resolves { t.pendingID = TransferID(9) }
            let changes = [TransferFlags.balancingDebit, .balancingCredit, .closingDebit, .closingCredit].filter {
                t.flags.contains($0)
            }
            let closes = t.flags.contains(.closingDebit) || t.flags.contains(.closingCredit)
            let expected: ResultCode =
                t.flags.contains(.imported)
                ? .reservedFlag
                : kinds.count > 1 || (resolves && !changes.isEmpty)
                    ? .flagsAreMutuallyExclusive
                    : closes && !kinds.contains(.pending) ? .closingTransferMustBePending : .created
            #expect(t.refusalByRequest(supported: .specified) == expected, "flags \(bits)")
            if bits & 2 != 0 && expected == .created {
                t.timeout = 5
                #expect(t.refusalByRequest(supported: .specified) == .created)
            }
        }
    }

    @Test func everyTransferFlagOfALaterReleaseIsReserved() {
        for bit in 0..<16 {
            var t = good
            t.flags = TransferFlags(rawValue: 1 << bit)
            let isReserved = t.refusalByRequest() == .reservedFlag
            #expect(isReserved == !TransferFlags.supported.contains(t.flags), "bit \(bit)")
        }
    }

    @Test func accountInOrder() {
        let good = Account(id: AccountID(1), ledger: 2, code: 3)
        #expect(good.refusalByRequest() == .created)
        let faults: [(ResultCode, (inout Account) -> Void)] = [
            (.codeMustNotBeZero, { $0.code = 0 }),
            (.ledgerMustNotBeZero, { $0.ledger = 0 }),
            (.creditsPostedMustBeZero, { $0.creditsPosted = Amount(1) }),
            (.creditsPendingMustBeZero, { $0.creditsPending = Amount(1) }),
            (.debitsPostedMustBeZero, { $0.debitsPosted = Amount(1) }),
            (.debitsPendingMustBeZero, { $0.debitsPending = Amount(1) }),
            (.idMustNotBeMax, { $0.id = AccountID(.max) }),
            (.idMustNotBeZero, { $0.id = AccountID(0) }),
            (.flagsAreMutuallyExclusive, { $0.flags = [.debitsMustNotExceedCredits, .creditsMustNotExceedDebits] }),
            (.reservedFlag, { $0.flags = AccountFlags(rawValue: 1 << 12) }),
            (.reservedField, { $0.reserved = 1 }),
            (.timestampMustBeZero, { $0.timestamp = Timestamp(1) }),
        ]
        var account = good
        for (code, fault) in faults {
            fault(&account)
            #expect(account.refusalByRequest() == code)
        }
    }

    /// Each field alone names itself; of two that differ, the first in the order of Docs/Semantics.md.
    @Test func existsNamesTheFirstFieldThatDiffers() {
        let fields: [(ResultCode, (inout Transfer) -> Void)] = [
            (.existsWithDifferentFlags, { $0.flags = .pending }),
            (.existsWithDifferentPendingID, { $0.pendingID = TransferID(8) }),
            (.existsWithDifferentTimeout, { $0.timeout = 8 }),
            (.existsWithDifferentCreditAccountID, { $0.creditAccountID = AccountID(8) }),
            (.existsWithDifferentAmount, { $0.amount = Amount(8) }),
            (.existsWithDifferentUserData128, { $0.userData128 = 8 }),
            (.existsWithDifferentUserData64, { $0.userData64 = 8 }),
            (.existsWithDifferentUserData32, { $0.userData32 = 8 }),
            (.existsWithDifferentLedger, { $0.ledger = 8 }),
            (.existsWithDifferentCode, { $0.code = 8 }),
        ]
        var recorded = good
        recorded.timestamp = Timestamp(77)
        var grouped = good
        grouped.flags.insert(.linked)
        #expect(good.comparedWithRecorded(recorded) == .exists)
        #expect(grouped.comparedWithRecorded(recorded) == .exists && recorded.comparedWithRecorded(grouped) == .exists)
        for (i, first) in fields.enumerated() {
            var t = good
            first.1(&t)
            #expect(t.comparedWithRecorded(recorded) == first.0)
            for later in fields[(i + 1)...] {
                var both = t
                later.1(&both)
                #expect(both.comparedWithRecorded(recorded) == first.0)
            }
        }
    }

    @Test func existingAccountNamesTheFirstFieldThatDiffers() {
        let good = Account(id: AccountID(1), ledger: 2, code: 3)
        var existing = good
        existing.timestamp = Timestamp(9)
        existing.debitsPosted = Amount(5)
        let fields: [(ResultCode, (inout Account) -> Void)] = [
            (.existsWithDifferentFlags, { $0.flags = .closed }),
            (.existsWithDifferentUserData128, { $0.userData128 = 8 }),
            (.existsWithDifferentUserData64, { $0.userData64 = 8 }),
            (.existsWithDifferentUserData32, { $0.userData32 = 8 }),
            (.existsWithDifferentLedger, { $0.ledger = 8 }),
            (.existsWithDifferentCode, { $0.code = 8 }),
        ]
        #expect(good.comparedWithExisting(existing) == .exists)
        var grouped = good
        grouped.flags.insert(.linked)
        #expect(grouped.comparedWithExisting(existing) == .exists && existing.comparedWithExisting(grouped) == .exists)
        for (i, first) in fields.enumerated() {
            var a = good
            first.1(&a)
            for later in fields[(i + 1)...] { later.1(&a) }
            #expect(a.comparedWithExisting(existing) == first.0)
        }
    }
}
