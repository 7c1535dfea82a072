// Replay: records of this shard's own log, checked and applied by the functions that applied them first.

public import SuanpanCore

extension Ledger {
    /// The bounds of this ledger's memory, which may be less than what wrote the log had, leave no place for what the record
    /// adds: it must not be applied.
    public func lacksPlace(for record: borrowing LogRecord) -> Bool {
        // Its parts would have to grow beyond the bound: of what was written with as much memory they never have to.
        if identities.bytes > identities.bytesMax { return true }
        return switch record.kind {
        case .account, .accountLeg: accounts.count == accounts.capacity
        case .transfer, .decision, .credit, .leg:
            record.body.flags.contains(.pending) && pendingTable.count == pendingTable.capacity
        default: false
        }
    }

    /// Applies one record of this shard's own log.
    /// - Returns: What is wrong with the record, or nil. A sound log never gives anything but nil.
    public mutating func replay(_ record: borrowing LogRecord, lsn: LSN, position: UInt64) -> String? {
        if !record.flags.isSubset(of: .known) {
            return "record flags \(record.flags.rawValue) are of a later release, or damaged"
        }
        let t = record.body
        switch record.kind {
        case .account, .accountLeg:
            if find(record.account.id) != nil { return "account \(record.account.id.value) is created twice" }
            apply(account: record.account, lsn: lsn)
        case .transfer, .decision, .credit, .leg:
            return replay(transfer: copy record, position: position)
        case .refusal:
            guard let reason = ResultCode(rawValue: record.rawReason), reason.isFinalRefusal else {
                return "refusal reason \(record.rawReason) is unknown"
            }
            rememberRefused(identityHash(t.debitAccountID, t.id), reason, position: position)
        case .freeze:
            guard let index = find(t.debitAccountID) else {
                return "account \(t.debitAccountID.value), to be frozen or not, does not exist"
            }
            let new = AccountFlags(rawValue: t.flags.rawValue)
            let changed = new.symmetricDifference(flags(index))
            if !changed.isSubset(of: .freezing) {
                return "freezing account \(t.debitAccountID.value) would change flags \(changed.rawValue)"
            }
            apply(freeze: index, flags: new)
        case .credits: return replay(credits: record)
        case .chainPeer: break
        case nil:
            return "record kind \(record.rawKind) is unknown"
        }
        return nil
    }

    private mutating func replay(credits record: borrowing LogRecord) -> String? {
        guard record.count > 0, record.count <= CreditRun.countMax else {
            return "a record of \(record.count) credits"
        }
        for k in 0..<record.creditCount {
            let credit = record.credit(k)
            guard let index = find(credit.account) else {
                return "credit account \(credit.account.value) does not exist"
            }
            applyCredit(index, Amount(UInt128(credit.amount)))
        }
        return nil
    }

    private mutating func replay(transfer record: LogRecord, position: UInt64) -> String? {
        let t = record.body
        var debit: AccountIndex?
        var credit: AccountIndex?
        if record.rawKind != RecordKind.credit.rawValue {
            debit = find(t.debitAccountID)
            if debit == nil && record.rawKind != RecordKind.leg.rawValue {
                return "debit account \(t.debitAccountID.value) does not exist"
            }
        }
        if record.rawKind != RecordKind.decision.rawValue {
            credit = find(t.creditAccountID)
            if credit == nil && record.rawKind != RecordKind.leg.rawValue {
                return "credit account \(t.creditAccountID.value) does not exist"
            }
        }
        if debit == nil && credit == nil {
            return "neither account \(t.debitAccountID.value) nor account \(t.creditAccountID.value) exists"
        }
        if !t.flags.isPlain, let wrong = flaw(record, debit, credit) { return wrong }
        apply(record, debit: debit, credit: credit, position: position)
        return nil
    }

    /// What is wrong with a record of a transfer that is not plain, or nil.
    private func flaw(_ record: LogRecord, _ debit: AccountIndex?, _ credit: AccountIndex?) -> String? {
        let t = record.body
        let name = "transfer \(t.id.value) of account \(t.debitAccountID.value)"
        if !t.flags.isSubset(of: .specified) { return "\(name) has unknown flags \(t.flags.rawValue)" }
        if record.flags.contains(.expiry) && (t.flags != .voidPending || !t.id.isZero) {
            return "\(name) is marked as an expiry and is none"
        }
        if t.flags.contains(.pending) && findPending(t.debitAccountID, t.id) != nil {
            return "pending \(name) is there twice"
        }
        guard t.flags.resolves else { return nil }
        let held = "pending transfer \(t.pendingID.value) of account \(t.debitAccountID.value)"
        guard let i = findPending(t.debitAccountID, t.pendingID) else { return "\(held) is resolved and not open" }
        let p = pending(i)
        if p.debitIndex != debit || p.creditIndex != credit || p.creditAccountID != t.creditAccountID {
            return "\(held) is resolved with other accounts than it was opened with"
        }
        if t.flags.contains(.postPending) && t.amount > p.amount {
            return "\(held) is posted with more than it holds"
        }
        return nil
    }
}
