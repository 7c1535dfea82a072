// One item of freeze_accounts and unfreeze_accounts, as it goes over the wire.

public import SuanpanCore

/// Which sides of an account are to be frozen, or no longer: 32 bytes, alignment 16.
@frozen public struct FreezeItem: BitwiseCopyable, Sendable {
    public static let bytes = 32
    public var account: AccountID
    /// `debitsFrozen`, `creditsFrozen` or both.
    public var sides: AccountFlags
    public var reserved0: UInt16
    public var reserved1: UInt32
    public var reserved2: UInt64

    public init(_ account: AccountID, _ sides: AccountFlags) {
        self.account = account
        self.sides = sides
        reserved0 = 0
        reserved1 = 0
        reserved2 = 0
    }

    /// The first refusal that the item's own fields give, in the order of an account's; `.created` when there is none.
    public func refusalByRequest() -> ResultCode {
        if reserved2 != 0 || reserved1 != 0 || reserved0 != 0 { return .reservedField }
        if sides.isEmpty || !sides.subtracting(.freezing).isEmpty { return .reservedFlag }
        if account.isZero { return .idMustNotBeZero }
        if account.isMax { return .idMustNotBeMax }
        return .created
    }
}
