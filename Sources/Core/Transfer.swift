// The 128-byte transfer record: the same bytes in memory, in the log and on the wire (little-endian).

/// What a transfer asks for. Bit positions are part of the wire and disk formats.
@frozen public struct TransferFlags: OptionSet, Hashable, BitwiseCopyable, Sendable {
    public var rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable public static var linked: TransferFlags { TransferFlags(rawValue: 1 << 0) }
    @inlinable public static var pending: TransferFlags { TransferFlags(rawValue: 1 << 1) }
    @inlinable public static var postPending: TransferFlags { TransferFlags(rawValue: 1 << 2) }
    @inlinable public static var voidPending: TransferFlags { TransferFlags(rawValue: 1 << 3) }
    @inlinable public static var balancingDebit: TransferFlags { TransferFlags(rawValue: 1 << 4) }
    @inlinable public static var balancingCredit: TransferFlags { TransferFlags(rawValue: 1 << 5) }
    @inlinable public static var closingDebit: TransferFlags { TransferFlags(rawValue: 1 << 6) }
    @inlinable public static var closingCredit: TransferFlags { TransferFlags(rawValue: 1 << 7) }
    @inlinable public static var imported: TransferFlags { TransferFlags(rawValue: 1 << 8) }

    /// Flags that this release carries out; any other answers `reserved_flag`. The one place that opens them.
    @inlinable public static var supported: TransferFlags { specified }

    /// Flags whose meaning is settled: all but `imported`, which stays reserved.
    @inlinable public static var specified: TransferFlags {
        [
            .linked, .pending, .postPending, .voidPending, .balancingDebit, .balancingCredit, .closingDebit,
            .closingCredit,
        ]
    }

    /// Moves money at once and nothing else, alone or in a chain.
    @inlinable @inline(__always) public var isPlain: Bool { rawValue & 0x1FE == 0 }
    /// Pending, a post or a void, and nothing else beside it.
    @inlinable @inline(__always) public var isSimplyPending: Bool {
        let flags = rawValue & 0x1FE
        return flags == Self.pending.rawValue || flags == Self.postPending.rawValue
            || flags == Self.voidPending.rawValue
    }
    /// Posts or voids a pending transfer.
    @inlinable @inline(__always) public var resolves: Bool { rawValue & 0x0C != 0 }
    /// Reduces its amount to what an account has left.
    @inlinable @inline(__always) public var balances: Bool { rawValue & 0x30 != 0 }
    /// Closes an account.
    @inlinable @inline(__always) public var closes: Bool { rawValue & 0xC0 != 0 }

    /// Flag names as text protocols write them, in bit order.
    public static let names: [(TransferFlags, String)] = [
        (.linked, "linked"), (.pending, "pending"), (.postPending, "post_pending"),
        (.voidPending, "void_pending"), (.balancingDebit, "balancing_debit"),
        (.balancingCredit, "balancing_credit"), (.closingDebit, "closing_debit"),
        (.closingCredit, "closing_credit"), (.imported, "imported"),
    ]
}

/// A movement of money from one account to another: 128 bytes, alignment 16.
@frozen public struct Transfer: Hashable, BitwiseCopyable, Sendable {
    public var id: TransferID
    public var debitAccountID: AccountID
    public var creditAccountID: AccountID
    public var amount: Amount
    /// The pending transfer that this one posts or voids, else 0.
    public var pendingID: TransferID
    public var userData128: UInt128
    public var userData64: UInt64
    public var userData32: UInt32
    /// Seconds until a pending transfer expires; 0 never.
    public var timeout: UInt32
    public var ledger: UInt32
    /// The kind of movement (pay, fee, refund …).
    public var code: UInt16
    public var flags: TransferFlags
    /// Set by the engine, 0 in a request.
    public var timestamp: Timestamp

    @inlinable public init(
        id: TransferID, debit: AccountID, credit: AccountID, amount: Amount, ledger: UInt32, code: UInt16,
        flags: TransferFlags = [], pendingID: TransferID = TransferID(0), timeout: UInt32 = 0,
        userData128: UInt128 = 0, userData64: UInt64 = 0, userData32: UInt32 = 0
    ) {
        self.id = id
        debitAccountID = debit
        creditAccountID = credit
        self.amount = amount
        self.pendingID = pendingID
        self.userData128 = userData128
        self.userData64 = userData64
        self.userData32 = userData32
        self.timeout = timeout
        self.ledger = ledger
        self.code = code
        self.flags = flags
        timestamp = .zero
    }
}
