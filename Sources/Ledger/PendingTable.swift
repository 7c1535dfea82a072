// Open pending transfers of one shard, found by identity. An entry is in the debit account's shard, which decides on it,
// and in the credit account's, which needs the amount to release; once where both are the same. Both know when it is due:
// `PendingTable+Due`.

public import SuanpanCore

/// Where an open pending transfer stands in the table; stable while it is open.
@frozen public struct PendingIndex: Hashable, BitwiseCopyable, Sendable {
    public var value: UInt32
    @inlinable public init(_ value: UInt32) { self.value = value }
    @inlinable public var index: Int { Int(value) }
}

/// Links of a list through entries: each is an entry plus 1; 0: none.
@frozen public struct DueLinks: BitwiseCopyable, Sendable {
    @usableFromInline var next: UInt32 = 0
    @usableFromInline var previous: UInt32 = 0
    @inlinable init(next: UInt32 = 0, previous: UInt32 = 0) {
        self.next = next
        self.previous = previous
    }
}

/// An open pending transfer: two cache lines.
@frozen public struct PendingTransfer: BitwiseCopyable, Sendable {
    public var id: TransferID
    public var debitAccountID: AccountID
    public var creditAccountID: AccountID
    /// What is held.
    public var amount: Amount
    public var ledger: UInt32
    public var code: UInt16
    public var flags: TransferFlags
    /// Nanoseconds since the Unix epoch; expired from then on. 0: never.
    public var deadline: UInt64
    /// Bits 0–39: of its record in the log, in units of 16 bytes (debit side). Bit 61: `isOpenedElsewhere`. Bit 62: the debit account lives here;
    /// bit 63: the credit account does.
    @usableFromInline var place: UInt64
    @usableFromInline var debit: AccountIndex
    @usableFromInline var credit: AccountIndex
    /// The shard's own: its slot that is resolving this, plus 1; 0: none.
    public var busy: UInt32
    /// Place on the wheel, plus 1; or one of `PendingTable`'s two lists of what is due; 0: it never is.
    @usableFromInline var listed: UInt32
    /// Links of that list, plus 1; of a free entry, `next` links the free ones.
    @usableFromInline var next: UInt32
    @usableFromInline var previous: UInt32
    /// When it is due: links among what is due of its debit account, plus 1; and of its credit account. See `DueTransfers`.
    @usableFromInline var ofDebit = DueLinks()
    @usableFromInline var ofCredit = DueLinks()

    /// - Parameters:
    ///   - t: As accepted, with its timestamp.
    ///   - debit: Its debit account, where that lives here; likewise `credit`.
    @inlinable
    public init(_ t: borrowing Transfer, debit: AccountIndex?, credit: AccountIndex?, position: UInt64) {
        id = t.id
        debitAccountID = t.debitAccountID
        creditAccountID = t.creditAccountID
        amount = t.amount
        ledger = t.ledger
        code = t.code
        flags = t.flags
        deadline = t.deadline
        place = position & ((1 << 40) - 1)
        if debit != nil { place |= 1 << 62 }
        if credit != nil { place |= 1 << 63 }
        self.debit = debit ?? AccountIndex(0 as UInt32)
        self.credit = credit ?? AccountIndex(0 as UInt32)
        busy = 0
        listed = 0
        next = 0
        previous = 0
    }

    /// Another shard has decided it: its credit account may not have heard of it yet.
    @inlinable public var isOpenedElsewhere: Bool { place >> 61 & 1 == 1 }
    @inlinable public var position: UInt64 { place & ((1 << 40) - 1) }
    /// The accounts, where they live here.
    @inlinable public var debitIndex: AccountIndex? { place >> 62 & 1 == 1 ? debit : nil }
    @inlinable public var creditIndex: AccountIndex? { place >> 63 == 1 ? credit : nil }
    /// What names it and its accounts, as a transfer: for `LogRecord(expiryOf:)`.
    @inlinable public var transfer: Transfer {
        Transfer(
            id: id, debit: debitAccountID, credit: creditAccountID, amount: amount, ledger: ledger, code: code,
            flags: flags)
    }
}

public struct PendingTable: ~Copyable {
    @usableFromInline var entries: ChunkedArray<PendingTransfer>
    @usableFromInline var index: HashIndex
    /// Head of the free entries, plus 1.
    @usableFromInline var freeHead: UInt32 = 0
    @usableFromInline var openCount = 0
    public var count: Int { openCount }

    /// When each is due.
    var wheel = ExpiryWheel()
    /// What is due, and open.
    var due = DueTransfers()
    /// The tick up to which the wheel has been turned; and whether the last turn left something to do.
    var lastTurn: UInt64 = 0
    var isTurning = false

    /// - Parameter bytesMax: Bound of entries and index together.
    public init(bytesMax: Int) {
        entries = ChunkedArray(capacity: Self.capacity(bytesMax: bytesMax), chunkShift: 12)
        index = HashIndex(partBits: bytesMax < 64 << 20 ? 2 : 8, bytesMax: max(1 << 20, bytesMax / 4))
    }

    static func capacity(bytesMax: Int) -> Int {
        let entryBytes = MemoryLayout<PendingTransfer>.stride + 32
        // A link has a bit to spare.
        return min(Int(Int32.max) - 1, max(1 << 12, bytesMax / entryBytes))
    }

    /// Transfers that may be open at most.
    public var capacity: Int { entries.capacity }
    /// False: the memory allowed is used; a new pending transfer answers `capacity_exhausted`.
    public var hasRoom: Bool { hasRoom(for: 1) }
    /// The same for several.
    public func hasRoom(for n: Int) -> Bool { openCount + n <= entries.limit && index.hasRoom }
    /// See `Ledger.isShort`.
    var isShort: Bool { entries.isShort || index.isShort }
    mutating func growAhead() {
        entries.growAhead()
        index.growAhead()
    }
    public var bytes: Int { entries.count * MemoryLayout<PendingTransfer>.stride + index.bytes }

    /// - Complexity: O(1); allocates nothing.
    @inlinable
    public func find(_ identityHash: UInt64, _ debit: AccountID, _ id: TransferID) -> PendingIndex? {
        if openCount == 0 { return nil }
        var step = 0
        while let value = index.next(identityHash, &step) {
            let i = Int(value - 1)
            if entries[i].id == id && entries[i].debitAccountID == debit {
                return PendingIndex(UInt32(truncatingIfNeeded: i))
            }
        }
        return nil
    }

    @inlinable public subscript(i: PendingIndex) -> PendingTransfer { entries[i.index] }

    public mutating func setOpenedElsewhere(_ i: PendingIndex) { entries[i.index].place |= 1 << 61 }

    @inlinable public mutating func setBusy(_ i: PendingIndex, _ value: UInt32) { entries[i.index].busy = value }

    /// Asks for the lines that finding an identity will touch.
    @inlinable public func prefetch(_ identityHash: UInt64) { index.prefetch(identityHash) }

    /// The transfer that probably has this hash.
    @inlinable
    public func guess(_ identityHash: UInt64) -> PendingIndex? {
        var step = 0
        return index.next(identityHash, &step).map { PendingIndex(UInt32(truncatingIfNeeded: $0 - 1)) }
    }

    /// The same for the entry itself, or for the next free one.
    @inlinable
    public func prefetchEntry(_ identityHash: UInt64) {
        if let known = guess(identityHash) {
            entries.prefetch(known.index)
        } else if freeHead != 0 {
            entries.prefetch(Int(freeHead - 1))
        }
    }

    /// Adds an open transfer; one with a deadline goes onto the wheel.
    /// - Parameter now: Its timestamp.
    /// - Complexity: O(1) amortised; allocates when the table grows by a chunk or a part of the index.
    mutating func open(_ identityHash: UInt64, _ p: PendingTransfer, now: Timestamp) {
        let i: Int
        if freeHead != 0 {
            i = Int(freeHead - 1)
            freeHead = entries[i].next
            entries[i] = p
        } else {
            i = entries.count
            let isAdded = entries.append(p)
            invariant(isAdded, "more pending transfers than there is room for")
        }
        index.insert(identityHash, UInt64(i) + 1)
        openCount += 1
        if p.deadline != 0 { awaitDeadline(PendingIndex(UInt32(i)), now: now.nanoseconds) }
    }

    /// Takes a resolved transfer out.
    mutating func close(_ identityHash: UInt64, _ i: PendingIndex) {
        if entries[i.index].listed != 0 { forgetDeadline(i) }
        let isThere = index.remove(identityHash, UInt64(i.value) + 1)
        invariant(isThere, "an open pending transfer is not in its index")
        openCount -= 1
        entries[i.index].id = TransferID(0)
        entries[i.index].next = freeHead
        freeHead = i.value + 1
    }

    /// Calls `body` for every open transfer. For checks.
    public func forEach(_ body: (PendingTransfer) -> Void) {
        for i in 0..<entries.count where !entries[i].id.isZero { body(entries[i]) }
    }
}
