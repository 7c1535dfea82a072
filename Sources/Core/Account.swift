// The 128-byte account record: the same bytes in memory, in the log and on the wire (little-endian).

/// What an account may do. Bit positions are part of the wire and disk formats.
@frozen public struct AccountFlags: OptionSet, Hashable, BitwiseCopyable, Sendable {
    public var rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable public static var linked: AccountFlags { AccountFlags(rawValue: 1 << 0) }
    @inlinable public static var debitsMustNotExceedCredits: AccountFlags { AccountFlags(rawValue: 1 << 1) }
    @inlinable public static var creditsMustNotExceedDebits: AccountFlags { AccountFlags(rawValue: 1 << 2) }
    @inlinable public static var history: AccountFlags { AccountFlags(rawValue: 1 << 3) }
    @inlinable public static var closed: AccountFlags { AccountFlags(rawValue: 1 << 4) }
    @inlinable public static var debitsFrozen: AccountFlags { AccountFlags(rawValue: 1 << 5) }
    @inlinable public static var creditsFrozen: AccountFlags { AccountFlags(rawValue: 1 << 6) }
    @inlinable public static var striped: AccountFlags { AccountFlags(rawValue: 1 << 7) }

    /// Flags that this release carries out; any other answers `reserved_flag`. The one place that opens them.
    @inlinable public static var supported: AccountFlags {
        [
            .linked, .debitsMustNotExceedCredits, .creditsMustNotExceedDebits, .history, .closed, .debitsFrozen,
            .creditsFrozen,
        ]
    }

    /// Flags whose meaning is settled.
    @inlinable public static var specified: AccountFlags {
        [
            .linked, .debitsMustNotExceedCredits, .creditsMustNotExceedDebits, .history, .closed, .debitsFrozen,
            .creditsFrozen, .striped,
        ]
    }
    /// Flags that operations set and lift after the creation.
    @inlinable public static var changing: AccountFlags { AccountFlags(rawValue: 0x70) }
    /// Flags that `freeze` and `unfreeze` set and lift.
    @inlinable public static var freezing: AccountFlags { AccountFlags(rawValue: 0x60) }

    /// Flag names as text protocols write them, in bit order.
    public static let names: [(AccountFlags, String)] = [
        (.linked, "linked"), (.debitsMustNotExceedCredits, "debits_must_not_exceed_credits"),
        (.creditsMustNotExceedDebits, "credits_must_not_exceed_debits"), (.history, "history"),
        (.closed, "closed"), (.debitsFrozen, "debits_frozen"), (.creditsFrozen, "credits_frozen"),
        (.striped, "striped"),
    ]
}

/// An account: 128 bytes, alignment 16. Balances change only through transfers.
@frozen public struct Account: Hashable, BitwiseCopyable, Sendable {
    public var id: AccountID
    public var debitsPending: Amount
    public var debitsPosted: Amount
    public var creditsPending: Amount
    public var creditsPosted: Amount
    /// The platform's own references; not interpreted.
    public var userData128: UInt128
    public var userData64: UInt64
    public var userData32: UInt32
    public var reserved: UInt32
    /// The currency or asset.
    public var ledger: UInt32
    /// The account's kind in the chart of accounts.
    public var code: UInt16
    public var flags: AccountFlags
    /// Creation; set by the engine, 0 in a request.
    public var timestamp: Timestamp

    @inlinable public init(
        id: AccountID, ledger: UInt32, code: UInt16, flags: AccountFlags = [], userData128: UInt128 = 0,
        userData64: UInt64 = 0, userData32: UInt32 = 0
    ) {
        self.id = id
        debitsPending = .zero
        debitsPosted = .zero
        creditsPending = .zero
        creditsPosted = .zero
        self.userData128 = userData128
        self.userData64 = userData64
        self.userData32 = userData32
        reserved = 0
        self.ledger = ledger
        self.code = code
        self.flags = flags
        timestamp = .zero
    }
}
