// Open pending transfers whose time has come: taken off the wheel (`ExpiryWheel`) and found by either account, so that
// whoever asks for an account as of a time learns what is due there without looking at what is not. It reads no clock.
//
//     wheel ──due──► waiting ──nextExpired──► taken ──resolved──► gone      where the debit account lives
//                └──────────────────────────► taken ──resolved──► gone      where only the credit account does
//
// Of the account that was asked for lately the sums are kept (`DueSums`): a storm on one account costs each of its holds
// once, however often it is asked for.

public import SuanpanCore

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
    /// The latest deadline among all that became due since there were none.
    var latest: UInt64 = 0
    var sums = DueSums()
    /// By account, modulo their number: the first of the accounts' leaders, plus 1, on either side. An account's leader is
    /// the first entry of its list; `previous` of a leader is the next account's, and marked.
    var byDebit = FixedArray<UInt32>(count: DueTransfers.bucketCount)
    var byCredit = FixedArray<UInt32>(count: DueTransfers.bucketCount)

    static var bucketCount: Int { 1 << 16 }
    static func bucket(_ account: AccountIndex) -> Int { account.index & (bucketCount - 1) }
    /// In an entry's `listed`.
    static var isWaiting: UInt32 { .max }
    static var isTaken: UInt32 { .max - 1 }
    /// In `DueLinks.previous`.
    static var isLeader: UInt32 { 1 << 31 }
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

/// The account on whose list an entry stands.
enum DueSide: CaseIterable {
    case debit
    case credit
}

extension PendingTable {
    /// Entries that one turn of the loop may take off the wheel, or move on it.
    private static var entriesPerTurn: Int { 512 }
    /// 2.1 ms: the loop expires what is due in steps of it, some together.
    static var tickShift: UInt64 { 21 }

    // MARK: The wheel

    /// Something may have become due since `collectDue`.
    @inline(__always)
    private func mayCollect(_ now: UInt64) -> Bool { wheel.bound <= now }

    /// Takes everything off the wheel that is due at `now`.
    private mutating func collectDue(_ now: UInt64) {
        var all = Int.max
        collectDue(now, budget: &all)
    }

    private mutating func collectDue(_ now: UInt64, budget: inout Int) {
        while let i = wheel.next(dueAt: now, &entries, budget: &budget) { becomeDue(i) }
    }

    /// Puts an entry onto the wheel; one that has come too late for that, as the credit side of a decision elsewhere may, is
    /// due at once: questions as of a moment before the wheel's hand must find it too.
    mutating func awaitDeadline(_ i: PendingIndex, now: UInt64) {
        if entries[i.index].deadline < wheel.hand { return becomeDue(i) }
        wheel.insert(i, &entries, now: now)
    }

    // MARK: What is due

    private mutating func becomeDue(_ i: PendingIndex) {
        if due.count == 0 { due.latest = 0 }
        due.count += 1
        due.latest = max(due.latest, entries[i.index].deadline)
        for side in DueSide.allCases {
            guard let account = account(i, side) else { continue }
            joinAccount(i, account, side)
            due.sums.add(entries[i.index], account, side)
        }
        append(i, isWaiting: entries[i.index].debitIndex != nil)
    }

    /// Takes an entry that is resolved out of wherever its deadline has brought it.
    mutating func forgetDeadline(_ i: PendingIndex) {
        guard entries[i.index].listed >= DueTransfers.isTaken else { return wheel.remove(i, &entries) }
        due.count -= 1
        removeFromList(i)
        for side in DueSide.allCases {
            guard let account = account(i, side) else { continue }
            leaveAccount(i, account, side)
            due.sums.remove(entries[i.index], account, side)
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

    /// Takes what is due off the wheel, and brings nearer what is due soon, as far as one turn of the loop may take. Of what
    /// has become due within this tick, or with very many others, some may be left: it is found by its account.
    /// - Complexity: O(1) amortised for each transfer, and bounded.
    @inline(__always)
    public mutating func turn(now: Timestamp) {
        if now.nanoseconds >> Self.tickShift != lastTurn { turnWheel(now.nanoseconds) }
    }

    private mutating func turnWheel(_ now: UInt64) {
        var budget = Self.entriesPerTurn
        collectDue(now, budget: &budget)
        wheel.prepare(&entries, budget: &budget)
        isTurning = budget == 0
        if !isTurning { lastTurn = now >> Self.tickShift }
    }

    /// The transfer that has been due for longest, of those that this shard must expire and that have been taken off the
    /// wheel; nil: none. Stays the next one until it is taken or resolved.
    public var nextExpired: PendingIndex? { due.waiting.head == 0 ? nil : PendingIndex(due.waiting.head - 1) }

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

    /// The time of the next turn that may do something; nil: nothing will expire.
    public var nextLook: Timestamp? {
        if due.waiting.head != 0 || isTurning { return .zero }
        if wheel.count == 0 { return nil }
        return Timestamp((max(wheel.bound, wheel.hand) >> Self.tickShift &+ 1) << Self.tickShift)
    }

    // MARK: One account's list

    private func account(_ i: PendingIndex, _ side: DueSide) -> AccountIndex? {
        side == .debit ? entries[i.index].debitIndex : entries[i.index].creditIndex
    }

    private func links(_ i: Int, _ side: DueSide) -> DueLinks {
        side == .debit ? entries[i].ofDebit : entries[i].ofCredit
    }

    private mutating func setLinks(_ i: Int, _ side: DueSide, _ new: DueLinks) {
        if side == .debit { entries[i].ofDebit = new } else { entries[i].ofCredit = new }
    }

    private mutating func setNext(_ i: Int, _ side: DueSide, _ next: UInt32) {
        if side == .debit { entries[i].ofDebit.next = next } else { entries[i].ofCredit.next = next }
    }

    private mutating func setPrevious(_ i: Int, _ side: DueSide, _ previous: UInt32) {
        if side == .debit { entries[i].ofDebit.previous = previous } else { entries[i].ofCredit.previous = previous }
    }

    private func firstLeader(_ bucket: Int, _ side: DueSide) -> UInt32 {
        side == .debit ? due.byDebit[bucket] : due.byCredit[bucket]
    }

    /// The first entry of an account's list, plus 1; 0: it has none.
    private func leader(_ account: AccountIndex, _ side: DueSide) -> UInt32 {
        var link = firstLeader(DueTransfers.bucket(account), side)
        while link != 0, self.account(PendingIndex(link - 1), side) != account {
            link = links(Int(link - 1), side).previous & ~DueTransfers.isLeader
        }
        return link
    }

    /// Puts another entry, or none, in the place of a leader among its bucket's.
    private mutating func replaceLeader(_ old: UInt32, _ bucket: Int, _ side: DueSide, by new: UInt32) {
        var link = firstLeader(bucket, side)
        if link == old {
            if side == .debit { due.byDebit[bucket] = new } else { due.byCredit[bucket] = new }
            return
        }
        while links(Int(link - 1), side).previous & ~DueTransfers.isLeader != old {
            link = links(Int(link - 1), side).previous & ~DueTransfers.isLeader
        }
        setPrevious(Int(link - 1), side, new | DueTransfers.isLeader)
    }

    /// Adds an entry behind the leader; one that closes the account becomes that. (An account that is closed gets no other.)
    private mutating func joinAccount(_ i: PendingIndex, _ account: AccountIndex, _ side: DueSide) {
        let bucket = DueTransfers.bucket(account)
        let own = i.value + 1
        let leader = leader(account, side)
        if leader == 0 {
            let others = firstLeader(bucket, side)
            setLinks(i.index, side, DueLinks(next: 0, previous: others | DueTransfers.isLeader))
            if side == .debit { due.byDebit[bucket] = own } else { due.byCredit[bucket] = own }
            return
        }
        let first = links(Int(leader - 1), side)
        if Self.holds(entries[i.index], side).contains(.closing) {
            replaceLeader(leader, bucket, side, by: own)
            setLinks(i.index, side, DueLinks(next: leader, previous: first.previous))
            setPrevious(Int(leader - 1), side, own)
        } else {
            setLinks(i.index, side, DueLinks(next: first.next, previous: leader))
            if first.next != 0 { setPrevious(Int(first.next - 1), side, own) }
            setNext(Int(leader - 1), side, own)
        }
    }

    private mutating func leaveAccount(_ i: PendingIndex, _ account: AccountIndex, _ side: DueSide) {
        let own = links(i.index, side)
        if own.previous & DueTransfers.isLeader == 0 {
            setNext(Int(own.previous - 1), side, own.next)
            if own.next != 0 { setPrevious(Int(own.next - 1), side, own.previous) }
            return
        }
        let bucket = DueTransfers.bucket(account)
        if own.next != 0 {
            replaceLeader(i.value + 1, bucket, side, by: own.next)
            setPrevious(Int(own.next - 1), side, own.previous)
        } else {
            replaceLeader(i.value + 1, bucket, side, by: own.previous & ~DueTransfers.isLeader)
        }
    }

    /// The first entry of an account's list for which `body` is true; nil: there is none.
    private func first(of account: AccountIndex, _ side: DueSide, where body: (Int) -> Bool) -> PendingIndex? {
        var link = leader(account, side)
        while link != 0 {
            let i = Int(link - 1)
            if body(i) { return PendingIndex(link - 1) }
            link = links(i, side).next
        }
        return nil
    }

    // MARK: One account

    /// The first transfer for which `isMeant` is true of those that are due at a time and hold something of the account on
    /// these sides; nil: none.
    /// - Complexity: what is due of the account; O(1) where only `closing` is asked for.
    private func firstDue(
        of account: AccountIndex, _ sides: DueSides, by now: Timestamp, where isMeant: (PendingTransfer) -> Bool
    ) -> PendingIndex? {
        for side in DueSide.allCases where !sides.isDisjoint(with: [side == .debit ? .debits : .credits, .closing]) {
            var isOver = false
            let found = first(of: account, side) { i in
                let held = Self.holds(entries[i], side)
                // What closes stands first.
                isOver = sides == .closing && !held.contains(.closing)
                return isOver
                    || (entries[i].deadline <= now.nanoseconds && !held.isDisjoint(with: sides) && isMeant(entries[i]))
            }
            if let found, !isOver { return found }
        }
        return nil
    }

    /// Something that is due at a time holds something of the account on these sides.
    /// - Complexity: O(1) where nothing is due in this shard; else as `firstDue`.
    mutating func isHeldByDue(_ account: AccountIndex, _ sides: DueSides, by now: Timestamp) -> Bool {
        if mayCollect(now.nanoseconds) { collectDue(now.nanoseconds) }
        if due.count == 0 { return false }
        return firstDue(of: account, sides, by: now) { _ in true } != nil
    }

    /// Such a transfer, of those that this shard must expire and nobody has taken; nil: none.
    func waitingDue(of account: AccountIndex, _ sides: DueSides, by now: Timestamp) -> PendingIndex? {
        firstDue(of: account, sides, by: now) { $0.listed == DueTransfers.isWaiting }
    }

    /// What a transfer does to one of its accounts.
    static func holds(_ p: PendingTransfer, _ side: DueSide) -> DueSides {
        var sides: DueSides = p.amount.value == 0 ? [] : side == .debit ? .debits : .credits
        if p.flags.contains(side == .debit ? .closingDebit : .closingCredit) { sides.insert(.closing) }
        return sides
    }

    /// Calls `body` with the debit accounts of some transfers that are due of a credit account here and that another shard
    /// must expire.
    /// - Complexity: O(1).
    func forSomeDueElsewhere(of account: AccountIndex, _ body: (AccountID) -> Void) {
        var left = Self.lookedAtElsewhere
        _ = first(of: account, .credit) { i in
            if entries[i].debitIndex == nil { body(entries[i].debitAccountID) }
            left -= 1
            return left == 0
        }
    }

    private static var lookedAtElsewhere: Int { 64 }

    /// Takes out of an account's record what is due at a time: it holds nothing, and keeps nothing closed.
    /// - Complexity: O(1) where nothing is due in this shard, or the account's sums are kept; else what is due of the account.
    mutating func removeDue(_ record: inout Account, _ account: AccountIndex, at now: Timestamp) {
        if mayCollect(now.nanoseconds) { collectDue(now.nanoseconds) }
        if due.count == 0 { return }
        let sum = sum(of: account, by: now.nanoseconds)
        record.debitsPending.value &-= sum.debits
        record.creditsPending.value &-= sum.credits
        if sum.closing > 0 { record.flags.remove(.closed) }
    }

    private mutating func sum(of account: AccountIndex, by now: UInt64) -> DueSums.Sum {
        let isAll = due.latest <= now
        if isAll, let known = due.sums[account] { return known }
        var sum = DueSums.Sum(account)
        for side in DueSide.allCases {
            _ = first(of: account, side) { i in
                if entries[i].deadline <= now { sum.add(entries[i], side) }
                return false
            }
        }
        if isAll { due.sums.keep(sum) }
        return sum
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
