// What is known of the transfer that a post or void names: enough to refuse it, or to say what it does.

public import SuanpanCore

/// Where a remembered transfer stands. Kept in three bits of its index entry.
public enum PendingState: UInt8, BitwiseCopyable, Sendable {
    /// It moved its money at once.
    case notPending = 0
    case open = 1
    case posted = 2
    case voided = 3
    case expired = 4
    /// There is none: never asked for, or refused.
    case notFound = 7

    /// How a transfer with these flags leaves the one that it names.
    @inlinable init(resolvedBy flags: TransferFlags, isExpiry: Bool) {
        self = isExpiry ? .expired : flags.contains(.postPending) ? .posted : .voided
    }
}

/// The transfer named by a post or void, as its debit account's shard knows it.
@frozen public struct PendingFact: BitwiseCopyable, Sendable {
    public var creditAccountID: AccountID
    /// The amount held.
    public var amount: Amount
    /// Nanoseconds since the Unix epoch; expired from then on. 0: never.
    public var deadline: UInt64
    public var ledger: UInt32
    public var code: UInt16
    public var flags: TransferFlags
    public var state: PendingState

    @inlinable public init(_ state: PendingState) {
        creditAccountID = AccountID(0)
        amount = .zero
        deadline = 0
        ledger = 0
        code = 0
        flags = []
        self.state = state
    }

    /// Of a transfer in the log (or about to be) that stands as said.
    @inlinable public init(_ t: borrowing Transfer, _ state: PendingState) {
        creditAccountID = t.creditAccountID
        amount = t.amount
        deadline = t.deadline
        ledger = t.ledger
        code = t.code
        flags = t.flags
        self.state = t.flags.contains(.pending) || state == .notFound ? state : .notPending
    }

    /// Of one that is open.
    @inlinable public init(_ p: borrowing PendingTransfer) {
        creditAccountID = p.creditAccountID
        amount = p.amount
        deadline = p.deadline
        ledger = p.ledger
        code = p.code
        flags = p.flags
        state = .open
    }

    /// Of a remembered id and its record.
    @inlinable public init(_ known: RememberedID, _ record: borrowing LogRecord) {
        self.init(record.body, known.refusal == nil ? known.state : .notFound)
    }

    @inlinable public func isExpired(at now: Timestamp) -> Bool { deadline != 0 && deadline <= now.nanoseconds }
}

extension Transfer {
    /// When a pending transfer expires, by its timestamp; 0: never. Not later than the end of time: it was compared with an
    /// earlier timestamp.
    @inlinable public var deadline: UInt64 {
        if timeout == 0 { return 0 }
        let (deadline, overflow) = timestamp.nanoseconds.addingReportingOverflow(UInt64(timeout) &* 1_000_000_000)
        return overflow ? .max : deadline
    }

    /// Group 6 (Docs/Semantics.md), the part about the pending transfer: the refusal of a post or void, or `.created`.
    /// - Parameter now: The transfer's timestamp, or one that is not later; expired from the deadline on.
    public func pendingRefusal(_ pending: PendingFact, now: Timestamp) -> ResultCode {
        if pending.state == .notFound { return .pendingTransferNotFound }
        if pending.state == .notPending { return .pendingTransferNotPending }
        if !creditAccountID.isZero && creditAccountID != pending.creditAccountID {
            return .pendingTransferHasDifferentCreditAccountID
        }
        if ledger != 0 && ledger != pending.ledger { return .pendingTransferHasDifferentLedger }
        if code != 0 && code != pending.code { return .pendingTransferHasDifferentCode }
        if amount.value != .max && amount > pending.amount { return .exceedsPendingTransferAmount }
        switch pending.state {
        case .posted: return .pendingTransferAlreadyPosted
        case .voided: return .pendingTransferAlreadyVoided
        case .expired: return .pendingTransferExpired
        default: return pending.isExpired(at: now) ? .pendingTransferExpired : .created
        }
    }

    /// A post or void as it comes out: the pending transfer's credit account, ledger and code, and all of its amount
    /// where that was asked.
    @inlinable public func completed(by pending: PendingFact) -> Transfer {
        var t = self
        t.creditAccountID = pending.creditAccountID
        t.ledger = pending.ledger
        t.code = pending.code
        if amount.value == .max { t.amount = pending.amount }
        return t
    }
}
