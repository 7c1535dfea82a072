// What a record's body holds beside a plain transfer, and how the request is told from what came of it.

extension LogRecord {
    /// The record of an accepted transfer.
    /// - Parameters:
    ///   - final: As it came out: actual amount; of a post or void, the pending transfer's credit account, ledger, code.
    ///   - asked: As the client sent it.
    @inlinable public init(
        _ kind: RecordKind, final: Transfer, asked: Transfer, peer: ShardID = ShardID(0), sequence: UInt64 = 0
    ) {
        self.init(kind, final, peer: peer, sequence: sequence)
        if final.flags.isPlain { return }
        if final.flags.resolves {
            if asked.creditAccountID.isZero { flags.insert(.creditAskedZero) }
            if asked.ledger == 0 { flags.insert(.ledgerAskedZero) }
            if asked.code == 0 { flags.insert(.codeAskedZero) }
            if asked.amount.value == .max { flags.insert(.amountAskedAll) }
        } else if final.flags.balances {
            // A request's is 0 there.
            body.pendingID = TransferID(asked.amount.value)
        }
    }

    /// The record of a pending transfer's expiry: of the kind and in the shards of a void, but with id 0, and remembered
    /// by no id.
    /// - Parameter pending: The pending transfer; of it, only what names it and its accounts is kept.
    @inlinable public init(
        expiryOf pending: Transfer, kind: RecordKind, timestamp: Timestamp, peer: ShardID = ShardID(0),
        sequence: UInt64 = 0
    ) {
        var body = Transfer(
            id: TransferID(0), debit: pending.debitAccountID, credit: pending.creditAccountID, amount: .zero,
            ledger: pending.ledger, code: pending.code, flags: .voidPending, pendingID: pending.id)
        body.timestamp = timestamp
        self.init(kind, body, peer: peer, sequence: sequence)
        flags = .expiry
    }

    /// The record of an account's new flags: the account's id as debit account, its flags as flags.
    @inlinable public init(freeze account: AccountID, flags: AccountFlags, timestamp: Timestamp) {
        var body = Transfer(
            id: TransferID(0), debit: account, credit: AccountID(0), amount: .zero, ledger: 0, code: 0,
            flags: TransferFlags(rawValue: flags.rawValue))
        body.timestamp = timestamp
        self.init(.freeze, body)
    }

    /// A header before a chain's legs at its coordinator; the chain goes on.
    @inlinable public init(chainPeer peer: ShardID, sequence: UInt64, timestamp: Timestamp) {
        var body = Transfer(
            id: TransferID(0), debit: AccountID(0), credit: AccountID(0), amount: .zero, ledger: 0, code: 0)
        body.timestamp = timestamp
        self.init(.chainPeer, body, peer: peer, sequence: sequence)
        flags = .chainContinues
    }

    /// The record of an account of a chain over several shards.
    @inlinable public init(accountLeg account: Account, peer: ShardID, sequence: UInt64) {
        self.init(.accountLeg, account.bits, peer: peer, sequence: sequence)
    }

    /// The new flags of a record of kind `freeze`.
    @inlinable public var accountFlags: AccountFlags { AccountFlags(rawValue: body.flags.rawValue) }

    /// True when the record is of an accepted transfer, by any of its shards.
    @inlinable public var isAccepted: Bool {
        switch kind {
        case .transfer, .decision, .credit, .leg: true
        default: false
        }
    }

    /// The transfer as a look-up returns it: as it came out, and for a refusal as it was asked.
    @inlinable public var transfer: Transfer {
        var t = body
        if isAccepted && t.flags.balances { t.pendingID = TransferID(0) }
        return t
    }

    /// The transfer as it was asked, for comparison with one sent again; its timestamp is the record's.
    @inlinable public var asked: Transfer {
        var t = body
        if t.flags.isPlain || !isAccepted { return t }
        if t.flags.balances {
            t.amount = Amount(t.pendingID.value)
            t.pendingID = TransferID(0)
        }
        if flags.contains(.creditAskedZero) { t.creditAccountID = AccountID(0) }
        if flags.contains(.ledgerAskedZero) { t.ledger = 0 }
        if flags.contains(.codeAskedZero) { t.code = 0 }
        if flags.contains(.amountAskedAll) { t.amount = Amount(.max) }
        return t
    }
}
