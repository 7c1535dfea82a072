// One shard's accounts, balances and remembered ids: a deterministic state machine. Its inputs are log records and
// questions; it reads no clock, draws no random number and does no I/O. Deciding (which refusal, if any) and applying
// (what a record does) are separate, so that replay applies what was once decided and cannot decide otherwise.
//
// Owned by the shard's thread.

public import SuanpanCore

/// Where an account lives in this shard's memory. Stable for the life of the process.
@frozen public struct AccountIndex: Hashable, BitwiseCopyable, Sendable {
    public var value: UInt32
    @inlinable public init(_ value: UInt32) { self.value = value }
    @inlinable public init(_ value: Int) { self.value = UInt32(truncatingIfNeeded: value) }
    @inlinable public var index: Int { Int(value) }
}

/// What a shard keeps of an account beside the record, and does not need to decide.
@frozen public struct AccountState: BitwiseCopyable, Sendable {
    /// Bits 0–55: the LSN of the creation, or of a later change that opened the account or lifted a freeze; bits 56–58:
    /// closed, debits frozen, credits frozen at the creation; bits 59–63: of the shard, while it runs.
    @usableFromInline var packed: UInt64

    @inlinable public init(statusLSN: LSN, flags: AccountFlags) {
        packed = statusLSN.value & ((1 << 56) - 1) | UInt64(flags.intersection(.changing).rawValue) << 52
    }

    /// Where this shard's log says that the account exists and may be used: a vote waits until that is durable. Of what came
    /// before a restart, that of the creation.
    @inlinable public var statusLSN: LSN {
        get { LSN(packed & ((1 << 56) - 1)) }
        set { packed = packed & ~((1 << 56) - 1) | newValue.value & ((1 << 56) - 1) }
    }
    /// Those of the flags at the creation that may change later.
    @inlinable public var createdFlags: AccountFlags {
        AccountFlags(rawValue: UInt16(truncatingIfNeeded: packed >> 52)).intersection(.changing)
    }
    /// Five bits that are the shard's own; 0 at the creation and after a restart.
    @inlinable public var standing: UInt8 {
        get { UInt8(truncatingIfNeeded: packed >> 59) }
        set { packed = packed & ((1 << 59) - 1) | UInt64(newValue) << 59 }
    }
}

/// What a remembered id stands for: packed into the 64-bit value of an index entry.
///
///     bits 0–39   position of its record in the log, in units of 16 bytes
///     bits 40–55  the ResultCode of a refusal
///     bits 56–58  a created transfer's PendingState
///     bit  62     created
///     bit  63     refused
@frozen public struct RememberedID: BitwiseCopyable, Sendable {
    @usableFromInline var packed: UInt64
    @inlinable init(packed: UInt64) { self.packed = packed }

    @inlinable static func created(at position: UInt64, _ state: PendingState = .notPending) -> RememberedID {
        check(position)
        return RememberedID(packed: position | UInt64(state.rawValue) << 56 | 1 << 62)
    }
    @inlinable static func refused(_ reason: ResultCode, at position: UInt64) -> RememberedID {
        check(position)
        return RememberedID(packed: position | UInt64(reason.rawValue) << 40 | 1 << 63)
    }
    /// The journal takes no work that would be recorded beyond.
    @inlinable static func check(_ position: UInt64) {
        invariant(position <= Limits.logPositionMax, "log position \(position) is beyond what a remembered id holds")
    }

    /// Position of the record in units of 16 bytes.
    @inlinable public var position: UInt64 { packed & Limits.logPositionMax }
    /// The first refusal; nil: it was created.
    @inlinable public var refusal: ResultCode? {
        packed >> 63 == 1 ? ResultCode(rawValue: UInt16(truncatingIfNeeded: packed >> 40)) : nil
    }
    /// Where a created transfer stands.
    @inlinable public var state: PendingState {
        PendingState(rawValue: UInt8(truncatingIfNeeded: packed >> 56) & 7) ?? .notFound
    }
}

public struct Ledger: ~Copyable {
    @usableFromInline let addressOnly = AddressOnly()
    /// The records; while the shard runs, `reserved` holds its entry for what is undecided on the account (plus 1; 0:
    /// none), so that deciding touches no other line. `account(_:)` gives the record as it is.
    @usableFromInline var accounts: ChunkedArray<Account>
    @usableFromInline var states: ChunkedArray<AccountState>
    @usableFromInline var accountIndex: HashIndex
    @usableFromInline var identities: HashIndex
    @usableFromInline var totalsTable: ChunkedArray<LedgerTotals>
    var totalsIndex: HashIndex
    @usableFromInline var pendingTable: PendingTable
    @usableFromInline let key: HashKey
    /// The ledger whose totals were changed last, and their slot.
    @usableFromInline var lastLedger: UInt32 = 0
    @usableFromInline var lastTotals = 0
    /// Transfers accepted whose debit account lives here.
    public var transferCount: UInt64 { accepted }
    /// Remembered: of transfers, and of those that were refused for good.
    public var idCount: Int { identities.count }
    @usableFromInline var accepted: UInt64 = 0
    public internal(set) var refusalCount: UInt64 = 0
    /// The highest `statusLSN` of all accounts.
    public internal(set) var lastStatusLSN = LSN.zero
    /// Some pending transfer has closed an account that lives here, or the other account of that transfer does.
    public internal(set) var hasHeldClosing = false

    /// - Parameters:
    ///   - key: Key of the in-memory tables; not the routing's, so that no client can aim at a bucket.
    ///   - memoryBytes: Bound for accounts (5/16), pending transfers (1/8) and remembered ids (1/2); a sixteenth is for
    ///     replies that clients have not taken.
    ///   - stock: Of memory that is ready for the remembered ids; nil: it is mapped when it is needed.
    public init(key: HashKey, memoryBytes: Int, stock: PageStock? = nil) {
        self.key = key
        let bounds = LedgerBounds(memoryBytes: memoryBytes)
        let accountsMax = bounds.accountsMax
        accounts = ChunkedArray(capacity: accountsMax)
        states = ChunkedArray(capacity: accountsMax, chunkShift: 17)
        accountIndex = HashIndex(partBits: 6, bytesMax: max(1 << 20, memoryBytes / 8))
        identities = HashIndex(partBits: bounds.idPartBits, bytesMax: bounds.idBytesMax, stock: stock)
        totalsTable = ChunkedArray(capacity: accountsMax, chunkShift: 8)
        totalsIndex = HashIndex(partBits: 0, bytesMax: max(1 << 20, memoryBytes / 16))
        pendingTable = PendingTable(bytesMax: bounds.pendingBytesMax)
    }

    /// False: the memory allowed is used, or the machine gives no more; a new account or transfer answers `capacity_exhausted`.
    public var hasRoomForTransfer: Bool { identities.hasRoom }
    /// The same for `n` more pending transfers with an account here, on either side.
    public func hasRoomForPending(_ n: Int = 1) -> Bool { pendingTable.hasRoom(for: n) }
    /// Pending transfers that may be open at most.
    public var pendingsMax: Int { pendingTable.capacity }
    /// The same for `n` more accounts.
    public func hasRoomForAccount(_ n: Int = 1) -> Bool {
        accounts.count + n <= accounts.limit && !states.isShort && !totalsTable.isShort && accountIndex.hasRoom
            && totalsIndex.hasRoom
    }
    /// Bytes of tables in use.
    public var memoryBytes: Int {
        accounts.count * (MemoryLayout<Account>.stride + MemoryLayout<AccountState>.stride) + accountIndex.bytes
            + identities.bytes + totalsIndex.bytes + pendingTable.bytes
    }

    // MARK: Finding

    /// - Complexity: O(1); allocates nothing.
    @inlinable @inline(__always)
    public func find(_ id: AccountID) -> AccountIndex? { find(id, hash: accountHash(id)) }

    /// The account that probably has this hash: to be asked for ahead, and verified by `isAccount` when it is there.
    @inlinable @inline(__always)
    public func guess(hash: UInt64) -> AccountIndex? {
        var step = 0
        return accountIndex.next(hash, &step).map { AccountIndex(Int($0 - 1)) }
    }

    @inlinable @inline(__always)
    public func isAccount(_ index: AccountIndex, _ id: AccountID) -> Bool { accounts[index.index].id == id }

    @inlinable @inline(__always)
    public func accountHash(_ id: AccountID) -> UInt64 { key.hash(id.value) }

    /// The same where the hash is known.
    @inlinable @inline(__always)
    public func find(_ id: AccountID, hash: UInt64) -> AccountIndex? {
        var step = 0
        while let value = accountIndex.next(hash, &step) {
            let index = Int(value - 1)
            if accounts[index].id == id { return AccountIndex(index) }
        }
        return nil
    }

    @inlinable @inline(__always)
    public func identityHash(_ debit: AccountID, _ id: TransferID) -> UInt64 { key.hash(debit, id) }

    /// The next remembered id with this hash; the caller compares its record, as equal hashes may differ in id.
    @inlinable @inline(__always)
    public func nextRemembered(_ identityHash: UInt64, _ step: inout Int) -> RememberedID? {
        guard let packed = identities.next(identityHash, &step) else { return nil }
        return RememberedID(packed: packed)
    }

    /// Asks for the index lines that finding will touch; the records themselves by `prefetch(account)`. Worth it for
    /// batches: the latencies overlap.
    @inlinable @inline(__always)
    public func prefetchAccount(hash: UInt64) { accountIndex.prefetch(hash) }
    @inlinable @inline(__always)
    public func prefetchIdentity(hash: UInt64) { identities.prefetch(hash) }
    @inlinable @inline(__always)
    public func prefetch(_ index: AccountIndex) { accounts.prefetch(index.index) }

    /// Asks for the index line of an open pending transfer; then for the transfer, or for the place of a new one.
    @inlinable public func prefetchPending(hash: UInt64) { pendingTable.prefetch(hash) }
    @inlinable public func prefetchPendingEntry(hash: UInt64) { pendingTable.prefetchEntry(hash) }
    /// And for its credit account.
    public func prefetchNamed(hash: UInt64) {
        guard let named = pendingTable.guess(hash) else { return }
        prefetchAccount(hash: accountHash(pendingTable[named].creditAccountID))
        if let credit = pendingTable[named].creditIndex { prefetch(credit) }
    }

    /// Asks for the index lines that replaying a record will touch.
    public func prefetch(_ record: borrowing LogRecord) {
        if record.rawKind == RecordKind.credits.rawValue {
            for k in 0..<record.creditCount { prefetchAccount(hash: accountHash(record.credit(k).account)) }
            return
        }
        let debit = record.body.debitAccountID
        let id = record.body.id
        let credit = record.body.creditAccountID
        prefetchAccount(hash: accountHash(debit))
        prefetchAccount(hash: accountHash(credit))
        prefetchIdentity(hash: identityHash(debit, id))
    }

    /// Asks for the accounts of a record whose index lines have been asked for.
    public func prefetchAccounts(_ record: borrowing LogRecord) {
        if record.rawKind == RecordKind.account.rawValue { return }
        if record.rawKind == RecordKind.credits.rawValue {
            for k in 0..<record.creditCount {
                if let credit = guess(hash: accountHash(record.credit(k).account)) { prefetch(credit) }
            }
            return
        }
        if let debit = guess(hash: accountHash(record.body.debitAccountID)) { prefetch(debit) }
        if let credit = guess(hash: accountHash(record.body.creditAccountID)) { prefetch(credit) }
    }

    public var accountCount: Int { accounts.count }

    /// The record as it is.
    public func account(_ index: AccountIndex) -> Account {
        var account = accounts[index.index]
        account.reserved = 0
        return account
    }

    @inlinable public func flags(_ index: AccountIndex) -> AccountFlags { accounts[index.index].flags }
    @inlinable public func statusLSN(_ index: AccountIndex) -> LSN { states[index.index].statusLSN }
    /// The account's status has changed by the record with this LSN.
    public mutating func setStatusLSN(_ index: AccountIndex, _ lsn: LSN) {
        states[index.index].statusLSN = lsn
        lastStatusLSN = lsn
    }

    /// The shard's entry for what is undecided on the account, plus 1; 0: none.
    @inlinable @inline(__always)
    public func undecided(_ index: AccountIndex) -> UInt32 { accounts[index.index].reserved }
    @inlinable @inline(__always)
    public mutating func setUndecided(_ index: AccountIndex, _ value: UInt32) {
        accounts[index.index].reserved = value
    }

    /// True while no credit up to `Limits.standingAmountMax` can be refused, unless the account is frozen or closed, or so
    /// large a credit comes that 2^127 are passed.
    public func takesAnyCredit(_ index: AccountIndex) -> Bool {
        let refusing: AccountFlags = [.creditsMustNotExceedDebits, .closed, .creditsFrozen]
        guard flags(index).isDisjoint(with: refusing) else { return false }
        let account = accounts[index.index]
        let (credits, overflow) = account.creditsPosted.value.addingReportingOverflow(account.creditsPending.value)
        return !overflow && credits >> 127 == 0
    }

    /// What the shard has promised of the account: its own bits of the state.
    @inlinable public func standing(_ index: AccountIndex) -> UInt8 { states[index.index].standing }
    @inlinable public mutating func setStanding(_ index: AccountIndex, _ value: UInt8) {
        states[index.index].standing = value
    }

    /// The account as it was created, balances aside: what a creation sent again is compared with.
    public func accountAsCreated(_ index: AccountIndex) -> Account {
        var created = account(index)
        created.flags = created.flags.subtracting(.changing).union(states[index.index].createdFlags)
        return created
    }

    // MARK: Deciding. Groups 6 and 7 of Docs/Semantics.md; see `Account+Deciding`.

    /// The debit side's refusal, or `.created`.
    /// - Parameters:
    ///   - t: A post or void as `completed`.
    ///   - bounds: What is undecided on the account: the worst or the best that may come of it.
    ///   - now: The transfer's timestamp, or a time close to it.
    @inlinable @inline(__always)
    public func debitRefusal(
        _ index: AccountIndex, _ t: borrowing Transfer, _ e: Effect, _ bounds: UndecidedBounds, now: Timestamp
    ) -> ResultCode {
        accounts[index.index].debitRefusal(t.ledger, e, bounds, now: now)
    }

    /// The credit side's refusal, or `.created`; the mirror of the debit side's.
    @inlinable @inline(__always)
    public func creditRefusal(
        _ index: AccountIndex, _ t: borrowing Transfer, _ e: Effect, _ bounds: UndecidedBounds
    ) -> ResultCode {
        accounts[index.index].creditRefusal(t.ledger, e, bounds)
    }

    /// The same for a transfer that is plain or pending.
    /// - Parameters:
    ///   - reservedDebits: Undecided debits assumed to be accepted.
    ///   - expectedCredits: Undecided credits assumed to be accepted.
    @inlinable @inline(__always)
    public func debitRefusal(
        _ index: AccountIndex, _ t: borrowing Transfer, reservedDebits: UInt128, expectedCredits: UInt128,
        now: Timestamp
    ) -> ResultCode {
        let bounds = UndecidedBounds(added: reservedDebits, otherPosted: expectedCredits)
        if !t.flags.isPlain { return debitRefusal(index, t, Effect(debitOf: t), bounds, now: now) }
        return debitRefusal(index, t, .plain(t.amount), bounds, now: .zero)
    }

    @inlinable @inline(__always)
    public func creditRefusal(
        _ index: AccountIndex, _ t: borrowing Transfer, reservedCredits: UInt128, expectedDebits: UInt128
    ) -> ResultCode {
        let bounds = UndecidedBounds(added: reservedCredits, otherPosted: expectedDebits)
        if !t.flags.isPlain { return creditRefusal(index, t, Effect(creditOf: t), bounds) }
        return creditRefusal(index, t, .plain(t.amount), bounds)
    }

    /// Whether a post or void with this ledger (0: not given) may be one of the account: group 6, before the pending
    /// transfer is looked at.
    @inlinable
    public func debitLedgerRefusal(_ index: AccountIndex, _ t: borrowing Transfer) -> ResultCode {
        if t.ledger == 0 { return .created }
        return accounts[index.index].ledger == t.ledger ? .created : .debitAccountHasDifferentLedger
    }

    // MARK: Totals

    @inlinable @inline(__always)
    mutating func totals(_ ledger: UInt32) -> Int {
        if _fastPath(ledger == lastLedger) { return lastTotals }
        return findTotals(ledger)
    }

    @usableFromInline
    mutating func findTotals(_ ledger: UInt32) -> Int {
        let slot = totalsSlot(ledger)
        lastLedger = ledger
        lastTotals = slot
        return slot
    }

    mutating func totalsSlot(_ ledger: UInt32) -> Int {
        let hash = key.hash(UInt128(ledger))
        var step = 0
        while let value = totalsIndex.next(hash, &step) {
            if totalsTable[Int(value - 1)].ledger == ledger { return Int(value - 1) }
        }
        let slot = totalsTable.count
        let isAdded = totalsTable.append(LedgerTotals(ledger: ledger))
        invariant(isAdded, "more ledgers than accounts")
        totalsIndex.insert(hash, UInt64(slot) + 1)
        return slot
    }

    public var ledgerCount: Int { totalsTable.count }
    /// Running totals of one of this shard's ledgers, 0 ..< `ledgerCount`, in order of first use.
    public func totals(_ slot: Int) -> LedgerTotals { totalsTable[slot] }
    /// Which of them are those of the account's ledger.
    public mutating func totalsSlot(of account: AccountIndex) -> Int { totals(accounts[account.index].ledger) }
}
