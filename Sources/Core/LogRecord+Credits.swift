// Credits in the log of the credit account's shard: what their decisions, in other shards' logs, do not say twice. Up to four
// of one peer, with numbers that follow each other, in one record.
//
//     4   16 + 32 × (4 − count) …   account u128, amount u64, timestamp u64 each; the newest last, zeros before the oldest

/// One credit of such a record: 32 bytes.
@frozen public struct LoggedCredit: BitwiseCopyable, Equatable, Sendable {
    public var account: AccountID
    public var amount: UInt64
    /// Of the decision, in the peer's log: no other record of the engine has it.
    public var timestamp: Timestamp

    @inlinable public init(account: AccountID, amount: UInt64, timestamp: Timestamp) {
        self.account = account
        self.amount = amount
        self.timestamp = timestamp
    }

    /// The credit of a transfer for which `Transfer.isCreditedInShort`.
    @inlinable @inline(__always)
    public init(of t: borrowing Transfer) {
        self.init(
            account: t.creditAccountID, amount: UInt64(truncatingIfNeeded: t.amount.value), timestamp: t.timestamp)
    }

    @inlinable public static var none: LoggedCredit {
        LoggedCredit(account: AccountID(0), amount: 0, timestamp: .zero)
    }
}

/// The body of a record of credits: 128 bytes.
@frozen public struct CreditRun: BitwiseCopyable, Sendable {
    @usableFromInline var credits: (LoggedCredit, LoggedCredit, LoggedCredit, LoggedCredit)

    @inlinable public static var countMax: Int { 4 }

    @inlinable public init() { credits = (.none, .none, .none, .none) }

    /// By place: those of a record stand at the end.
    @inlinable public subscript(place: Int) -> LoggedCredit {
        get {
            switch place {
            case 0: credits.0
            case 1: credits.1
            case 2: credits.2
            default: credits.3
            }
        }
        set {
            switch place {
            case 0: credits.0 = newValue
            case 1: credits.1 = newValue
            case 2: credits.2 = newValue
            default: credits.3 = newValue
            }
        }
    }
}

extension Transfer {
    /// Whether its credit, where it crosses and goes singly, is logged as a `LoggedCredit`: it is plain, and its amount has
    /// 64 bits.
    @inlinable @inline(__always)
    public var isCreditedInShort: Bool { flags.isPlain && amount.value >> 64 == 0 }
}

extension LogRecord {
    /// A record of credits.
    /// - Parameters:
    ///   - run: Its last `count` places are filled, 1 to 4.
    ///   - sequence: The number of the first of them in its pair.
    @inlinable public init(credits run: CreditRun, _ count: Int, peer: ShardID, sequence: UInt64) {
        // SAFETY: both are plain bytes of the same size and alignment (asserted by a test).
        self.init(.credits, unsafe unsafeBitCast(run, to: Transfer.self), peer: peer, sequence: sequence)
        self.count = UInt16(truncatingIfNeeded: count)
    }

    /// The record of the credit of one decided transfer; its timestamp is set.
    @inlinable public init(creditOf t: Transfer, peer: ShardID, sequence: UInt64) {
        guard t.isCreditedInShort else {
            self.init(.credit, t, peer: peer, sequence: sequence)
            return
        }
        var run = CreditRun()
        run[CreditRun.countMax - 1] = LoggedCredit(of: t)
        self.init(credits: run, 1, peer: peer, sequence: sequence)
    }

    /// The credits of a record of kind `credits`.
    @inlinable public var creditCount: Int { min(Int(count), CreditRun.countMax) }

    /// One of them, in the order of their numbers.
    @inlinable public func credit(_ k: Int) -> LoggedCredit {
        // SAFETY: as above.
        unsafe unsafeBitCast(body, to: CreditRun.self)[CreditRun.countMax - creditCount + k]
    }

    /// Commits in a peer's numbering that the record stands for.
    @inlinable public var commits: UInt64 { rawKind == RecordKind.credits.rawValue ? UInt64(count) : 1 }
}
