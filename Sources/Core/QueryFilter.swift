// What reads of history ask for: a filter of 128 bytes, the same in memory and on the wire (little-endian).
//
//     0    account         u128  whose transfers or balances; 0 in a query over all accounts
//    16    userData128     u128  these three and the next two: 0: any
//    32    userData64      u64
//    40    userData32      u32
//    44    ledger          u32   queries over all accounts only
//    48    code            u16
//    50    flags           u16   QueryFlags
//    52    limit           u32   results at most, 1 to 8190
//    56    timestampMin    u64   included
//    64    timestampMax    u64   included; 0: no bound
//    72    reserved        56 bytes, 0

/// Which of the reads a filter is for.
public enum QueryKind: UInt8, BitwiseCopyable, Sendable {
    case accountTransfers
    case accountBalances
    case accounts
    case transfers

    /// About one account.
    @inlinable public var isOfAccount: Bool { self == .accountTransfers || self == .accountBalances }
}

/// Bit positions are part of the wire format.
@frozen public struct QueryFlags: OptionSet, Hashable, BitwiseCopyable, Sendable {
    public var rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Of one account: only what debits it, only what credits it; neither or both: all.
    @inlinable public static var debits: QueryFlags { QueryFlags(rawValue: 1 << 0) }
    @inlinable public static var credits: QueryFlags { QueryFlags(rawValue: 1 << 1) }
    /// Latest first.
    @inlinable public static var reversed: QueryFlags { QueryFlags(rawValue: 1 << 2) }
}

/// Why a filter is not one.
public enum FilterRefusal: String, Error, CaseIterable, Sendable {
    case reservedField = "reserved_field"
    case reservedFlag = "reserved_flag"
    case accountIDMustNotBeZero = "account_id_must_not_be_zero"
    case accountIDMustNotBeMax = "account_id_must_not_be_max"
    case accountIDMustBeZero = "account_id_must_be_zero"
    case ledgerMustBeZero = "ledger_must_be_zero"
    case limitMustBe1To8190 = "limit_must_be_1_to_8190"
    case timestampRangeIsEmpty = "timestamp_range_is_empty"
}

/// What must hold of a result: all of it (the parts are ANDed). 128 bytes, alignment 16.
@frozen public struct QueryFilter: Hashable, BitwiseCopyable, Sendable {
    @inlinable public static var bytes: Int { 128 }
    public var account: AccountID
    public var userData128: UInt128
    public var userData64: UInt64
    public var userData32: UInt32
    public var ledger: UInt32
    public var code: UInt16
    public var flags: QueryFlags
    public var limit: UInt32
    public var timestampMin: Timestamp
    public var timestampMax: Timestamp
    public var reserved0: UInt64
    public var reserved1: UInt128
    public var reserved2: UInt128
    public var reserved3: UInt128

    /// - Parameters:
    ///   - account: Whose transfers or balances; left out in a query over all accounts.
    ///   - limit: 1 to 8190.
    @inlinable public init(
        account: AccountID = AccountID(0), userData128: UInt128 = 0, userData64: UInt64 = 0, userData32: UInt32 = 0,
        ledger: UInt32 = 0, code: UInt16 = 0, flags: QueryFlags = [],
        limit: UInt32 = UInt32(Limits.eventsPerRequestMax), timestampMin: Timestamp = .zero,
        timestampMax: Timestamp = .zero
    ) {
        self.account = account
        self.userData128 = userData128
        self.userData64 = userData64
        self.userData32 = userData32
        self.ledger = ledger
        self.code = code
        self.flags = flags
        self.limit = limit
        self.timestampMin = timestampMin
        self.timestampMax = timestampMax
        reserved0 = 0
        reserved1 = 0
        reserved2 = 0
        reserved3 = 0
    }

    /// The first thing that is wrong with it, or nil.
    public func refusal(_ kind: QueryKind) -> FilterRefusal? {
        if reserved0 != 0 || reserved1 | reserved2 | reserved3 != 0 { return .reservedField }
        let known: QueryFlags = kind.isOfAccount ? [.debits, .credits, .reversed] : .reversed
        if !flags.isSubset(of: known) { return .reservedFlag }
        if kind.isOfAccount {
            if account.isZero { return .accountIDMustNotBeZero }
            if account.isMax { return .accountIDMustNotBeMax }
            if ledger != 0 { return .ledgerMustBeZero }
        } else if !account.isZero {
            return .accountIDMustBeZero
        }
        if limit == 0 || limit > UInt32(Limits.eventsPerRequestMax) { return .limitMustBe1To8190 }
        if timestampMax != .zero && timestampMax < timestampMin { return .timestampRangeIsEmpty }
        return nil
    }

    @inlinable public var isReversed: Bool { flags.contains(.reversed) }

    /// Whether a transfer's own fields match, time aside.
    @inlinable public func matches(_ t: Transfer) -> Bool {
        matches(t.userData128, t.userData64, t.userData32, t.ledger, t.code)
    }

    /// The same for an account.
    @inlinable public func matches(_ a: Account) -> Bool {
        matches(a.userData128, a.userData64, a.userData32, a.ledger, a.code)
    }

    @inlinable @inline(__always)
    func matches(_ data128: UInt128, _ data64: UInt64, _ data32: UInt32, _ ledger: UInt32, _ code: UInt16) -> Bool {
        if userData128 != 0 && userData128 != data128 || userData64 != 0 && userData64 != data64 { return false }
        if userData32 != 0 && userData32 != data32 || self.ledger != 0 && self.ledger != ledger { return false }
        return self.code == 0 || self.code == code
    }
}

/// The balances of an account after one of its changes: 80 bytes, alignment 16, as on the wire.
@frozen public struct AccountBalance: Hashable, BitwiseCopyable, Sendable {
    public var debitsPending: Amount
    public var debitsPosted: Amount
    public var creditsPending: Amount
    public var creditsPosted: Amount
    /// Of the change.
    public var timestamp: Timestamp
    public var reserved: UInt64

    @inlinable public init(timestamp: Timestamp) {
        debitsPending = .zero
        debitsPosted = .zero
        creditsPending = .zero
        creditsPosted = .zero
        self.timestamp = timestamp
        reserved = 0
    }
}
