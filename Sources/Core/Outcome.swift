// Every answer that an event can get, with its stable number on the wire and its name in text protocols.
// Grouped and ordered as they are checked: Docs/Semantics.md. Numbers are never reused.

/// The outcome of one event: created, or why it was refused.
public enum ResultCode: UInt16, CaseIterable, BitwiseCopyable, Sendable {
    case created = 0

    // 1: the chain
    case linkedEventFailed = 1
    case linkedEventChainOpen = 2
    case chainTooLong = 3

    // 2: the request alone
    case timestampMustBeZero = 10
    case reservedField = 11
    case reservedFlag = 12
    case flagsAreMutuallyExclusive = 13
    case idMustNotBeZero = 14
    case idMustNotBeMax = 15

    // 3
    case debitAccountIDMustNotBeZero = 20
    case debitAccountIDMustNotBeMax = 21
    case creditAccountIDMustNotBeZero = 22
    case creditAccountIDMustNotBeMax = 23
    case accountsMustBeDifferent = 24

    // 4
    case pendingIDMustBeZero = 30
    case pendingIDMustNotBeZero = 31
    case pendingIDMustNotBeMax = 32
    case pendingIDMustBeDifferent = 33
    case timeoutReservedForPendingTransfer = 34
    case closingTransferMustBePending = 35
    case ledgerMustNotBeZero = 36
    case codeMustNotBeZero = 37
    case debitsPendingMustBeZero = 38
    case debitsPostedMustBeZero = 39
    case creditsPendingMustBeZero = 40
    case creditsPostedMustBeZero = 41

    // 5: seen before
    case existsWithDifferentFlags = 50
    case existsWithDifferentPendingID = 51
    case existsWithDifferentTimeout = 52
    case existsWithDifferentCreditAccountID = 53
    case existsWithDifferentAmount = 54
    case existsWithDifferentUserData128 = 55
    case existsWithDifferentUserData64 = 56
    case existsWithDifferentUserData32 = 57
    case existsWithDifferentLedger = 58
    case existsWithDifferentCode = 59
    case exists = 60
    case idAlreadyFailed = 61

    // 6: debit side
    case debitAccountNotFound = 70
    case debitAccountHasDifferentLedger = 71
    case pendingTransferNotFound = 72
    case pendingTransferNotPending = 73
    case pendingTransferHasDifferentCreditAccountID = 74
    case pendingTransferHasDifferentLedger = 75
    case pendingTransferHasDifferentCode = 76
    case exceedsPendingTransferAmount = 77
    case pendingTransferAlreadyPosted = 78
    case pendingTransferAlreadyVoided = 79
    case pendingTransferExpired = 80
    case debitAccountClosed = 81
    case debitAccountFrozen = 82
    case overflowsTimeout = 83
    case overflowsDebitsPending = 84
    case overflowsDebitsPosted = 85
    case overflowsDebits = 86
    case exceedsCredits = 87

    // 7: credit side
    case creditAccountNotFound = 100
    case creditAccountHasDifferentLedger = 101
    case creditAccountClosed = 102
    case creditAccountFrozen = 103
    case overflowsCreditsPending = 104
    case overflowsCreditsPosted = 105
    case overflowsCredits = 106
    case exceedsDebits = 107

    // Not decided: nothing was executed and nothing is final.
    case busy = 200
    case capacityExhausted = 201
}

extension ResultCode {
    /// True for a refusal that rests on the ledger's state: it is final for its debit account and id.
    @inlinable public var isFinalRefusal: Bool { rawValue >= 70 && rawValue < 200 }

    /// The name as Docs/Semantics.md writes it: `exceeds_credits`.
    public var name: String { Self.table[Int(rawValue)].name }
    /// The name as RESP errors write it: `EXCEEDS_CREDITS`.
    public var upperName: String { Self.table[Int(rawValue)].upperName }

    /// Names by number, made once from the case names; numbers without a case are empty.
    private static let table: [(name: String, upperName: String)] = {
        var table = [(name: String, upperName: String)](repeating: ("", ""), count: 256)
        for code in allCases {
            let name = snakeCase("\(code)")
            table[Int(code.rawValue)] = (name, name.uppercased())
        }
        return table
    }()

    /// `idMustNotBeZero` → `id_must_not_be_zero`, `accountIDMust` → `account_id_must`: a word begins at a capital after
    /// a small letter, at the last capital of a run before a small letter, and at the first digit of a number.
    private static func snakeCase(_ camel: String) -> String {
        let letters = Array(camel)
        var out = ""
        for (i, letter) in letters.enumerated() {
            if i > 0 {
                let previous = letters[i - 1]
                let endsRun = i + 1 < letters.count && letters[i + 1].isLowercase && previous.isUppercase
                if letter.isUppercase && (!previous.isUppercase || endsRun) { out.append("_") }
                if letter.isNumber && !previous.isNumber { out.append("_") }
            }
            out.append(Character(letter.lowercased()))
        }
        return out
    }
}

/// The answer to one event: 16 bytes, the same in memory and on the wire.
@frozen public struct EventResult: Hashable, BitwiseCopyable, Sendable {
    /// Of the creation; for `exists`, of the first one; 0 for a refusal.
    public var timestamp: Timestamp
    public var rawCode: UInt16
    /// For `id_already_failed`: the number of the first refusal, else 0.
    public var rawReason: UInt16
    public var reserved: UInt32

    @inlinable public init(_ code: ResultCode, timestamp: Timestamp = .zero, reason: ResultCode = .created) {
        self.timestamp = timestamp
        rawCode = code.rawValue
        rawReason = reason.rawValue
        reserved = 0
    }

    @inlinable public var isCreated: Bool { rawCode == 0 }
    public var code: ResultCode? { ResultCode(rawValue: rawCode) }
    public var reason: ResultCode? { ResultCode(rawValue: rawReason) }
}

extension EventResult: CustomStringConvertible {
    /// `created at 1795298673205296775`, `exceeds_credits`, `id_already_failed (exceeds_credits)`.
    public var description: String {
        let name = code?.name ?? "code \(rawCode)"
        if timestamp != .zero { return "\(name) at \(timestamp.nanoseconds)" }
        guard let reason, reason != .created else { return name }
        return "\(name) (\(reason.name))"
    }
}
