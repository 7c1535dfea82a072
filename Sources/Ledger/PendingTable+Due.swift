// When open pending transfers are due. A hashed timing wheel (Varghese and Lauck 1987) has a list of them for each 2 ms,
// modulo its size, linked through the entries. Those whose time has come are taken off it and found by either account:
// whoever asks for an account as of a time learns in O(1) whether something holds money there that is due, and each of
// it. It reads no clock.
//
//     wheel ──due──► waiting ──nextExpired──► taken ──resolved──► gone      where the debit account lives
//                └──────────────────────────► taken ──resolved──► gone      where only the credit account does

public import SuanpanCore

struct ExpiryWheel: ~Copyable {
    /// By tick modulo their number: the first entry due then, plus 1.
    var heads = FixedArray<UInt32>(count: ExpiryWheel.tickCount)
    /// The tick that was looked at last. What was due before it has been taken off.
    var hand: UInt64 = 0
    /// The earliest deadline in the hand's list; only a look at the list knows better.
    var soonest = UInt64.max
    var armedCount = 0

    /// 2.1 ms: some hundred entries at a hundred thousand a second.
    static var tickShift: UInt64 { 21 }
    /// A turn takes four and a half minutes; later ones stay in their list for as many turns as they must.
    static var tickCount: Int { 1 << 17 }
    /// Ticks of a second: as far as `PendingTable.nextLook` looks ahead.
    static var ticksAhead: UInt64 { 477 }

    static func place(_ tick: UInt64) -> Int { Int(truncatingIfNeeded: tick) & (tickCount - 1) }
}

/// What is due and open, linked through the entries.
struct DueTransfers: ~Copyable {
    struct List: BitwiseCopyable {
        var head: UInt32 = 0
        var tail: UInt32 = 0
    }
    /// Those that this shard must expire and nobody has taken.
    var waiting = List()
    /// The others: somebody expires them, here or where the debit account lives.
    var taken = List()
    var count = 0
    /// By account, modulo their number: the first entry, plus 1, of those whose debit account it is, or credit account.
    var byDebit = FixedArray<UInt32>(count: DueTransfers.bucketCount)
    var byCredit = FixedArray<UInt32>(count: DueTransfers.bucketCount)

    static var bucketCount: Int { 1 << 14 }
    static func bucket(_ account: AccountIndex) -> Int { account.index & (bucketCount - 1) }
    /// In an entry's `listed`.
    static var isWaiting: UInt32 { .max }
    static var isTaken: UInt32 { .max - 1 }
}

/// Which of an account's balances what is due still holds.
@frozen public struct DueSides: OptionSet, BitwiseCopyable, Sendable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    @inlinable public static var debits: DueSides { DueSides(rawValue: 1) }
    @inlinable public static var credits: DueSides { DueSides(rawValue: 2) }
    /// It keeps the account closed.
    @inlinable public static var closing: DueSides { DueSides(rawValue: 4) }
}

extension PendingTable {
    // MARK: The wheel

    mutating func arm(_ i: PendingIndex) {
        let deadline = entries[i.index].deadline
        let tick = max(deadline >> ExpiryWheel.tickShift, wheel.hand)
        if tick == wheel.hand { wheel.soonest = min(wheel.soonest, deadline) }
        let at = ExpiryWheel.place(tick)
        let head = wheel.heads[at]
        entries[i.index].listed = UInt32(at) + 1
        entries[i.index].previous = 0
        entries[i.index].next = head
        if head != 0 { entries[Int(head - 1)].previous = i.value + 1 }
        wheel.heads[at] = i.value + 1
        wheel.armedCount += 1
    }

    private mutating func disarm(_ i: PendingIndex) {
        let next = entries[i.index].next
        let previous = entries[i.index].previous
        if next != 0 { entries[Int(next - 1)].previous = previous }
        if previous != 0 {
            entries[Int(previous - 1)].next = next
        } else {
            wheel.heads[Int(entries[i.index].listed - 1)] = next
        }
        wheel.armedCount -= 1
    }

    /// Something may have become due since `collectDue`.
    @inline(__always)
    private func mayCollect(_ now: UInt64) -> Bool {
        wheel.armedCount > 0 && (now >> ExpiryWheel.tickShift > wheel.hand || now >= wheel.soonest)
    }

    /// Takes everything off the wheel that is due at `now`.
    /// - Complexity: O(1) for each beside the ticks passed, at most a turn of the wheel, and those of later turns that are
    ///   met, once a turn each; and the entries of the current tick, when one of them is due.
    private mutating func collectDue(_ now: UInt64) {
        let current = now >> ExpiryWheel.tickShift
        if current > wheel.hand {
            let turn = UInt64(ExpiryWheel.tickCount)
            if current - wheel.hand >= turn { wheel.hand = current - turn + 1 }
            while wheel.hand < current {
                _ = collect(at: ExpiryWheel.place(wheel.hand), now)
                wheel.hand += 1
            }
            wheel.soonest = 0
        }
        if now >= wheel.soonest { wheel.soonest = collect(at: ExpiryWheel.place(wheel.hand), now) }
    }

    /// Takes what is due out of one list. Returns the earliest deadline of those that stay.
    private mutating func collect(at place: Int, _ now: UInt64) -> UInt64 {
        var soonest = UInt64.max
        var link = wheel.heads[place]
        while link != 0 {
            let i = PendingIndex(link - 1)
            link = entries[i.index].next
            let deadline = entries[i.index].deadline
            guard deadline <= now else {
                soonest = min(soonest, deadline)
                continue
            }
            disarm(i)
            becomeDue(i)
        }
        return soonest
    }

    // MARK: What is due

    private mutating func becomeDue(_ i: PendingIndex) {
        due.count += 1
        if let debit = entries[i.index].debitIndex {
            let head = due.byDebit[DueTransfers.bucket(debit)]
            entries[i.index].ofDebit.next = head
            entries[i.index].ofDebit.previous = 0
            if head != 0 { entries[Int(head - 1)].ofDebit.previous = i.value + 1 }
            due.byDebit[DueTransfers.bucket(debit)] = i.value + 1
        }
        if let credit = entries[i.index].creditIndex {
            let head = due.byCredit[DueTransfers.bucket(credit)]
            entries[i.index].ofCredit.next = head
            entries[i.index].ofCredit.previous = 0
            if head != 0 { entries[Int(head - 1)].ofCredit.previous = i.value + 1 }
            due.byCredit[DueTransfers.bucket(credit)] = i.value + 1
        }
        append(i, isWaiting: entries[i.index].debitIndex != nil)
    }

    /// Takes an entry that is resolved out of wherever its deadline has brought it.
    mutating func forgetDeadline(_ i: PendingIndex) {
        let p = entries[i.index]
        guard p.listed >= DueTransfers.isTaken else { return disarm(i) }
        due.count -= 1
        removeFromList(i)
        if let debit = p.debitIndex {
            if p.ofDebit.next != 0 { entries[Int(p.ofDebit.next - 1)].ofDebit.previous = p.ofDebit.previous }
            if p.ofDebit.previous != 0 {
                entries[Int(p.ofDebit.previous - 1)].ofDebit.next = p.ofDebit.next
            } else {
                due.byDebit[DueTransfers.bucket(debit)] = p.ofDebit.next
            }
        }
        if let credit = p.creditIndex {
            if p.ofCredit.next != 0 { entries[Int(p.ofCredit.next - 1)].ofCredit.previous = p.ofCredit.previous }
            if p.ofCredit.previous != 0 {
                entries[Int(p.ofCredit.previous - 1)].ofCredit.next = p.ofCredit.next
            } else {
                due.byCredit[DueTransfers.bucket(credit)] = p.ofCredit.next
            }
        }
    }

    /// Adds an entry to one of the two lists of what is due, as its last.
    private mutating func append(_ i: PendingIndex, isWaiting: Bool) {
        var list = isWaiting ? due.waiting : due.taken
        entries[i.index].listed = isWaiting ? DueTransfers.isWaiting : DueTransfers.isTaken
        entries[i.index].next = 0
        entries[i.index].previous = list.tail
        if list.tail != 0 { entries[Int(list.tail - 1)].next = i.value + 1 } else { list.head = i.value + 1 }
        list.tail = i.value + 1
        if isWaiting { due.waiting = list } else { due.taken = list }
    }

    /// Takes an entry out of the one that it is in.
    private mutating func removeFromList(_ i: PendingIndex) {
        let isWaiting = entries[i.index].listed == DueTransfers.isWaiting
        var list = isWaiting ? due.waiting : due.taken
        let next = entries[i.index].next
        let previous = entries[i.index].previous
        if next != 0 { entries[Int(next - 1)].previous = previous } else { list.tail = previous }
        if previous != 0 { entries[Int(previous - 1)].next = next } else { list.head = next }
        if isWaiting { due.waiting = list } else { due.taken = list }
    }

    // MARK: Expiring

    /// The transfer that has been due for longest, of those that this shard must expire; nil: none. Stays the next one until
    /// it is taken or resolved. One that has become due within this tick may be missed: it is found by its account.
    @inline(__always)
    public mutating func nextExpired(now: Timestamp) -> PendingIndex? {
        if now.nanoseconds >> ExpiryWheel.tickShift > wheel.hand { turn(now.nanoseconds) }
        return due.waiting.head == 0 ? nil : PendingIndex(due.waiting.head - 1)
    }

    private mutating func turn(_ now: UInt64) {
        if wheel.armedCount > 0 { return collectDue(now) }
        wheel.hand = now >> ExpiryWheel.tickShift
        wheel.soonest = .max
    }

    /// Somebody expires it now.
    public mutating func take(_ i: PendingIndex) {
        guard entries[i.index].listed == DueTransfers.isWaiting else { return }
        removeFromList(i)
        append(i, isWaiting: false)
    }

    /// Nobody does any more.
    public mutating func giveBack(_ i: PendingIndex) {
        guard entries[i.index].listed == DueTransfers.isTaken else { return }
        removeFromList(i)
        append(i, isWaiting: true)
    }

    /// The one behind it, of those that wait.
    public func waiting(after i: PendingIndex) -> PendingIndex? {
        let next = entries[i.index].next
        return next == 0 ? nil : PendingIndex(next - 1)
    }

    /// The time from which `nextExpired` may have something; nil: nothing will expire.
    /// - Complexity: a look at the lists of one second.
    public var nextLook: Timestamp? {
        if due.waiting.head != 0 { return .zero }
        if wheel.armedCount == 0 { return nil }
        var tick = wheel.hand
        while tick < wheel.hand &+ ExpiryWheel.ticksAhead && wheel.heads[ExpiryWheel.place(tick)] == 0 { tick &+= 1 }
        return Timestamp((tick &+ 1) << ExpiryWheel.tickShift)
    }

    // MARK: One account

    /// What of an account is still held, at a time, by what is due then.
    /// - Complexity: O(1) where nothing is due in this shard, else what is due of the account.
    @inline(__always)
    mutating func due(of account: AccountIndex, by now: Timestamp) -> DueSides {
        if due.count == 0 && !mayCollect(now.nanoseconds) { return [] }
        return findDue(account, now.nanoseconds)
    }

    @inline(never)
    private mutating func findDue(_ account: AccountIndex, _ now: UInt64) -> DueSides {
        if mayCollect(now) { collectDue(now) }
        var sides: DueSides = []
        forEachDue(of: account, by: now) { p, side in
            sides.formUnion(Self.holds(p, side))
        }
        return sides
    }

    /// Calls `body` for what is due of an account, once for each side, which is `debits` or `credits`.
    private func forEachDue(of account: AccountIndex, by now: UInt64, _ body: (PendingTransfer, DueSides) -> Void) {
        var link = due.byDebit[DueTransfers.bucket(account)]
        while link != 0 {
            let i = Int(link - 1)
            if entries[i].debitIndex == account && entries[i].deadline <= now { body(entries[i], .debits) }
            link = entries[i].ofDebit.next
        }
        link = due.byCredit[DueTransfers.bucket(account)]
        while link != 0 {
            let i = Int(link - 1)
            if entries[i].creditIndex == account && entries[i].deadline <= now { body(entries[i], .credits) }
            link = entries[i].ofCredit.next
        }
    }

    /// A transfer that is due and holds something of the account on these sides, of those that this shard must expire and
    /// nobody has taken; nil: none.
    /// - Parameter isMeant: Of its credit account.
    func waitingDue(
        of account: AccountIndex, _ sides: DueSides, by now: Timestamp, where isMeant: (AccountID) -> Bool
    ) -> PendingIndex? {
        var link = due.byDebit[DueTransfers.bucket(account)]
        while link != 0 {
            let i = Int(link - 1)
            if entries[i].debitIndex == account && isWaiting(i, .debits, sides, now)
                && isMeant(entries[i].creditAccountID)
            {
                return PendingIndex(link - 1)
            }
            link = entries[i].ofDebit.next
        }
        link = due.byCredit[DueTransfers.bucket(account)]
        while link != 0 {
            let i = Int(link - 1)
            if entries[i].creditIndex == account && isWaiting(i, .credits, sides, now)
                && isMeant(entries[i].creditAccountID)
            {
                return PendingIndex(link - 1)
            }
            link = entries[i].ofCredit.next
        }
        return nil
    }

    private func isWaiting(_ i: Int, _ side: DueSides, _ sides: DueSides, _ now: Timestamp) -> Bool {
        entries[i].listed == DueTransfers.isWaiting && entries[i].deadline <= now.nanoseconds
            && !Self.holds(entries[i], side).isDisjoint(with: sides)
    }

    /// What a transfer does to one of its accounts.
    private static func holds(_ p: PendingTransfer, _ side: DueSides) -> DueSides {
        var sides: DueSides = p.amount.value == 0 ? [] : side
        if p.flags.contains(side == .debits ? .closingDebit : .closingCredit) { sides.insert(.closing) }
        return sides
    }

    /// Calls `body` with the debit account of each transfer that is due of a credit account here and that another shard must
    /// expire.
    func forEachDueElsewhere(of account: AccountIndex, _ body: (AccountID) -> Void) {
        var link = due.byCredit[DueTransfers.bucket(account)]
        while link != 0 {
            let i = Int(link - 1)
            if entries[i].creditIndex == account && entries[i].debitIndex == nil { body(entries[i].debitAccountID) }
            link = entries[i].ofCredit.next
        }
    }

    /// Takes out of an account's record what is due at a time: it holds nothing, and keeps nothing closed.
    mutating func removeDue(_ record: inout Account, _ account: AccountIndex, at now: Timestamp) {
        if due.count == 0 && !mayCollect(now.nanoseconds) { return }
        if mayCollect(now.nanoseconds) { collectDue(now.nanoseconds) }
        var clean = record
        forEachDue(of: account, by: now.nanoseconds) { p, side in
            if side == .debits { clean.debitsPending.value &-= p.amount.value }
            if side == .credits { clean.creditsPending.value &-= p.amount.value }
            if Self.holds(p, side).contains(.closing) { clean.flags.remove(.closed) }
        }
        record = clean
    }

    /// Calls `body` for everything that is due at a time, and open.
    mutating func forEachDue(by now: Timestamp, _ body: (PendingTransfer) -> Void) {
        if mayCollect(now.nanoseconds) { collectDue(now.nanoseconds) }
        for list in [due.waiting, due.taken] {
            var link = list.head
            while link != 0 {
                let i = Int(link - 1)
                if entries[i].deadline <= now.nanoseconds { body(entries[i]) }
                link = entries[i].next
            }
        }
    }
}
