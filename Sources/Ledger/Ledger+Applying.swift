// What a decided event does. The caller has decided, or replays what was decided: nothing is refused here.

public import SuanpanCore

extension Ledger {
    // MARK: Accounts

    /// Adds an account.
    public mutating func apply(account: Account, lsn: LSN) {
        let index = accounts.count
        let isAdded = accounts.append(account) && states.append(AccountState(statusLSN: lsn, flags: account.flags))
        invariant(isAdded, "more accounts than there is room for")
        _ = totalsSlot(account.ledger)
        accountIndex.insert(key.hash(account.id.value), UInt64(index) + 1)
        lastStatusLSN = lsn
    }

    /// Sets an account's flags: `freeze` and `unfreeze`.
    public mutating func apply(freeze index: AccountIndex, flags: AccountFlags) {
        accounts[index.index].flags = flags
    }

    // MARK: One side of a transfer

    /// Debits a posted amount.
    @inlinable @inline(__always)
    public mutating func applyDebit(_ index: AccountIndex, _ amount: Amount) {
        accounts[index.index].debitsPosted.value &+= amount.value
        totalsTable[totals(accounts[index.index].ledger)].debitsPosted &+= amount.value
    }

    /// Credits a posted amount.
    @inlinable @inline(__always)
    public mutating func applyCredit(_ index: AccountIndex, _ amount: Amount) {
        accounts[index.index].creditsPosted.value &+= amount.value
        totalsTable[totals(accounts[index.index].ledger)].creditsPosted &+= amount.value
    }

    /// Does to the debit account what the effect says.
    @inlinable
    public mutating func applyDebit(_ index: AccountIndex, _ e: Effect) {
        accounts[index.index].applyDebit(e)
        let slot = totals(accounts[index.index].ledger)
        totalsTable[slot].debitsPending = totalsTable[slot].debitsPending &+ e.pendingAdd &- e.pendingRelease
        totalsTable[slot].debitsPosted &+= e.posted
    }

    /// Does to the credit account what the effect says.
    @inlinable
    public mutating func applyCredit(_ index: AccountIndex, _ e: Effect) {
        accounts[index.index].applyCredit(e)
        let slot = totals(accounts[index.index].ledger)
        totalsTable[slot].creditsPending = totalsTable[slot].creditsPending &+ e.pendingAdd &- e.pendingRelease
        totalsTable[slot].creditsPosted &+= e.posted
    }

    // MARK: A whole record

    /// Does what the record of an accepted transfer (or an expiry) says to its accounts that live here: balances and
    /// totals, closing, the table of pending transfers, remembered ids.
    /// - Parameters:
    ///   - record: Its body has its timestamp. Its kind is not looked at: what is nil below lives elsewhere.
    ///   - debit: The debit account, where it lives here; its shard remembers the ids. Likewise `credit`.
    ///   - position: Of the record, in units of 16 bytes.
    /// - Complexity: O(1) amortised; allocates when a table grows.
    public mutating func apply(
        _ record: borrowing LogRecord, debit: AccountIndex?, credit: AccountIndex?, position: UInt64
    ) {
        let t = record.body
        let isExpiry = record.flags.contains(.expiry)
        var state = PendingState.notPending
        if t.flags.isPlain {
            if let debit { applyDebit(debit, t.amount) }
            if let credit { applyCredit(credit, t.amount) }
        } else if t.flags.resolves {
            resolve(t, isExpiry: isExpiry, debit: debit, credit: credit)
        } else {
            if let debit { applyDebit(debit, Effect(debitOf: t)) }
            if let credit { applyCredit(credit, Effect(creditOf: t)) }
            if t.flags.contains(.pending) {
                state = .open
                if t.flags.closes { hasHeldClosing = true }
                let hash = identityHash(t.debitAccountID, t.id)
                let pending = PendingTransfer(t, debit: debit, credit: credit, position: position)
                pendingTable.open(hash, pending, now: t.timestamp)
            }
        }
        if debit != nil && !isExpiry {
            rememberCreated(identityHash(t.debitAccountID, t.id), position: position, state)
        }
    }

    /// Posts, voids or expires: releases what was held, and takes the pending transfer out of the table.
    private mutating func resolve(_ t: Transfer, isExpiry: Bool, debit: AccountIndex?, credit: AccountIndex?) {
        let hash = identityHash(t.debitAccountID, t.pendingID)
        guard let i = pendingTable.find(hash, t.debitAccountID, t.pendingID) else {
            stop("a transfer resolves a pending one that is not open")
        }
        let pending = pendingTable[i]
        if let debit { applyDebit(debit, Effect(debitOf: t, held: pending.amount, heldFlags: pending.flags)) }
        if let credit { applyCredit(credit, Effect(creditOf: t, held: pending.amount, heldFlags: pending.flags)) }
        pendingTable.close(hash, i)
        guard debit != nil else { return }
        let new = PendingState(resolvedBy: t.flags, isExpiry: isExpiry)
        let isThere = identities.replace(
            hash, RememberedID.created(at: pending.position, .open).packed,
            with: RememberedID.created(at: pending.position, new).packed)
        invariant(isThere, "an open pending transfer is not remembered")
    }

    // MARK: Remembered ids

    /// Remembers an accepted transfer's id at its debit account's shard.
    /// - Parameter position: Of its record, in units of 16 bytes.
    @inlinable @inline(__always)
    public mutating func rememberCreated(
        _ identityHash: UInt64, position: UInt64, _ state: PendingState = .notPending
    ) {
        identities.insert(identityHash, RememberedID.created(at: position, state).packed)
        accepted += 1
    }

    /// Remembers that an id was refused for good.
    public mutating func rememberRefused(_ identityHash: UInt64, _ reason: ResultCode, position: UInt64) {
        identities.insert(identityHash, RememberedID.refused(reason, at: position).packed)
        refusalCount += 1
    }

    // MARK: Open pending transfers

    public var openPendingCount: Int { pendingTable.count }

    /// The open pending transfer with this identity, with an account here; nil: none. Where it is nil and the debit account
    /// lives here, the remembered id and its record say what became of it: `PendingFact(_:_:)`.
    @inlinable
    public func findPending(_ debit: AccountID, _ id: TransferID) -> PendingIndex? {
        pendingTable.find(identityHash(debit, id), debit, id)
    }

    @inlinable public func pending(_ i: PendingIndex) -> PendingTransfer { pendingTable[i] }
    /// The shard's own word on a pending transfer: its slot that is resolving it, plus 1; 0: none.
    /// See `PendingTransfer.isOpenedElsewhere`.
    public mutating func setOpenedElsewhere(_ i: PendingIndex) { pendingTable.setOpenedElsewhere(i) }
    @inlinable public mutating func setBusy(_ i: PendingIndex, _ value: UInt32) { pendingTable.setBusy(i, value) }

    /// See `PendingTable.turn`.
    @inline(__always)
    public mutating func turn(now: Timestamp) { pendingTable.turn(now: now) }
    /// See `PendingTable.nextExpired`.
    public var nextExpired: PendingIndex? { pendingTable.nextExpired }
    /// See `PendingTable.take`.
    public mutating func take(_ i: PendingIndex) { pendingTable.take(i) }
    /// See `PendingTable.giveBack`.
    public mutating func giveBack(_ i: PendingIndex) { pendingTable.giveBack(i) }
    /// See `PendingTable.waiting(after:)`.
    public func waiting(after i: PendingIndex) -> PendingIndex? { pendingTable.waiting(after: i) }
    /// See `PendingTable.nextLook`.
    public var nextExpiryLook: Timestamp? { pendingTable.nextLook }
    /// Calls `body` for every open pending transfer. For checks.
    public func forEachPending(_ body: (PendingTransfer) -> Void) { pendingTable.forEach(body) }
}
