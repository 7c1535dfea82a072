// Open pending transfers of one shard, found by identity, and a wheel of seconds that says which have expired: a hashed
// timing wheel (Varghese and Lauck 1987), one list per second modulo its size, linked through the entries. An entry is
// in the debit account's shard, which decides on it, and in the credit account's, which needs the amount to release;
// once where both are the same. Only the debit side's entries are on the wheel.
//
// It reads no clock. A transfer is taken as due from the full second after its deadline on; a post or void that comes
// between the two is refused by the deadline itself.

public import SuanpanCore

/// Where an open pending transfer stands in the table; stable while it is open.
@frozen public struct PendingIndex: Hashable, BitwiseCopyable, Sendable {
    public var value: UInt32
    @inlinable public init(_ value: UInt32) { self.value = value }
    @inlinable public var index: Int { Int(value) }
}

/// An open pending transfer.
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
    /// Bits 0–39: of its record in the log, in units of 16 bytes (debit side). Bit 62: the debit account lives here;
    /// bit 63: the credit account does.
    @usableFromInline var place: UInt64
    @usableFromInline var debit: AccountIndex
    @usableFromInline var credit: AccountIndex
    /// The shard's own: its slot that is resolving this, plus 1; 0: none.
    public var busy: UInt32
    /// Place on the wheel, plus 1; 0: not on it.
    @usableFromInline var second: UInt32
    /// Links of the wheel's list, plus 1; of a free entry, `next` links the free ones.
    @usableFromInline var next: UInt32
    @usableFromInline var previous: UInt32

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
        second = 0
        next = 0
        previous = 0
    }

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

    /// By second modulo their number: the first entry due then, plus 1.
    private var wheel = FixedArray<UInt32>(count: PendingTable.seconds)
    /// The next second to look at: all that was due before has been handed out.
    private var hand: UInt64 = 0
    private var armedCount = 0

    private static var seconds: Int { 1 << 16 }
    private static var second: UInt64 { 1_000_000_000 }

    /// - Parameter bytesMax: Bound of entries and index together.
    public init(bytesMax: Int) {
        let entryBytes = MemoryLayout<PendingTransfer>.stride + 32
        let capacity = min(Int(UInt32.max) - 1, max(1 << 12, bytesMax / entryBytes))
        entries = ChunkedArray(capacity: capacity, chunkShift: 12)
        index = HashIndex(partBits: bytesMax < 64 << 20 ? 2 : 8, bytesMax: max(1 << 20, bytesMax / 4))
    }

    /// Transfers that may be open at most.
    public var capacity: Int { entries.capacity }
    /// False: the memory allowed is used; a new pending transfer answers `capacity_exhausted`.
    public var hasRoom: Bool { hasRoom(for: 1) }
    /// The same for several.
    public func hasRoom(for n: Int) -> Bool { openCount + n <= entries.capacity && index.hasRoom }
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

    /// Adds an open transfer; one with a deadline whose debit account lives here goes onto the wheel.
    /// - Complexity: O(1) amortised; allocates when the table grows by a chunk or a part of the index.
    /// - Returns: nil when the machine gave no memory (nothing changed).
    mutating func open(_ identityHash: UInt64, _ p: PendingTransfer) -> PendingIndex? {
        let i: Int
        if freeHead != 0 {
            i = Int(freeHead - 1)
            freeHead = entries[i].next
            entries[i] = p
        } else {
            i = entries.count
            guard entries.append(p) else { return nil }
        }
        guard index.insert(identityHash, UInt64(i) + 1) else {
            entries[i].next = freeHead
            freeHead = UInt32(i) + 1
            return nil
        }
        openCount += 1
        let added = PendingIndex(UInt32(i))
        if p.deadline != 0 && p.debitIndex != nil { arm(added, from: hand) }
        return added
    }

    /// Takes a resolved transfer out.
    mutating func close(_ identityHash: UInt64, _ i: PendingIndex) {
        if entries[i.index].second != 0 { disarm(i) }
        let isThere = index.remove(identityHash, UInt64(i.value) + 1)
        invariant(isThere, "an open pending transfer is not in its index")
        openCount -= 1
        entries[i.index].id = TransferID(0)
        entries[i.index].next = freeHead
        freeHead = i.value + 1
    }

    // MARK: The wheel

    /// The next transfer that is due, taken off the wheel; nil: none. Whoever asks expires it, or sees to it that what is
    /// resolving it does, or puts it back with `rearm`. Until then it stays open.
    /// - Complexity: O(1) a call beside the seconds passed, at most a turn of the wheel (18 hours, 65,536 places).
    public mutating func nextExpired(now: Timestamp) -> PendingIndex? {
        // No look at the wheel within the second that was looked at last.
        if now.nanoseconds < hand &* Self.second { return nil }
        let current = now.nanoseconds / Self.second
        if armedCount == 0 {
            hand = current + 1
            return nil
        }
        if current >= hand &+ UInt64(Self.seconds) { hand = current - UInt64(Self.seconds) + 1 }
        while hand <= current {
            var link = wheel[Int(truncatingIfNeeded: hand) & (Self.seconds - 1)]
            while link != 0 {
                let i = PendingIndex(link - 1)
                // The others are due a turn or more later.
                if entries[i.index].deadline <= current &* Self.second {
                    disarm(i)
                    return i
                }
                link = entries[i.index].next
            }
            hand += 1
        }
        return nil
    }

    /// The time from which `nextExpired` may have more to say; nil: nothing will expire.
    public var nextLook: Timestamp? { armedCount == 0 ? nil : Timestamp(hand &* Self.second) }

    /// Puts a transfer that `nextExpired` gave back: the next call gives it again.
    public mutating func rearm(_ i: PendingIndex) {
        if entries[i.index].second == 0 { arm(i, from: hand) }
    }

    private mutating func arm(_ i: PendingIndex, from first: UInt64) {
        let deadline = entries[i.index].deadline
        let (full, part) = deadline.quotientAndRemainder(dividingBy: Self.second)
        let due = max(part == 0 ? full : full + 1, first)
        let at = Int(truncatingIfNeeded: due) & (Self.seconds - 1)
        entries[i.index].second = UInt32(at) + 1
        entries[i.index].previous = 0
        entries[i.index].next = wheel[at]
        if wheel[at] != 0 { entries[Int(wheel[at] - 1)].previous = i.value + 1 }
        wheel[at] = i.value + 1
        armedCount += 1
    }

    private mutating func disarm(_ i: PendingIndex) {
        let next = entries[i.index].next
        let previous = entries[i.index].previous
        if next != 0 { entries[Int(next - 1)].previous = previous }
        if previous != 0 {
            entries[Int(previous - 1)].next = next
        } else {
            wheel[Int(entries[i.index].second - 1)] = next
        }
        entries[i.index].second = 0
        entries[i.index].next = 0
        entries[i.index].previous = 0
        armedCount -= 1
    }

    /// Calls `body` for every open transfer. For checks.
    public func forEach(_ body: (PendingTransfer) -> Void) {
        for i in 0..<entries.count where !entries[i].id.isZero { body(entries[i]) }
    }
}
