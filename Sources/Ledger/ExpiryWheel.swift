// When open pending transfers are due: a hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing
// Wheels", 1987) whose finest slots are nanoseconds, so that "due at T" is exact. A level's slot is 256 times as long as one
// of the level below; each level has two turns of them, so that the slot behind the current one can be brought down ahead
// of its time, some entries in each turn of the loop. The lists are doubly linked through the entries of `PendingTable`.
//
//     level   7      …   4           3            2           1          0
//     slot    2.3 y      4.3 s       16.8 ms      65.5 µs     256 ns     1 ns
//                 bring down ──►  bring down ──►  whole slots that have passed become due
//                                                 (of the one that `now` is in, only what a question needs is brought down)
//
// It reads no clock. An entry is moved once a level at most: insertion, removal and becoming due are O(1), whatever else has
// its deadline in the same slot.

internal import SuanpanCore

struct ExpiryWheel: ~Copyable {
    /// By level and slot: the first entry, plus 1; 0: none.
    private var heads = FixedArray<UInt32>(count: levelCount * slotCount)
    /// A bit for each: set where there is one.
    private var occupied = FixedArray<UInt64>(count: levelCount * wordsPerLevel)
    /// Every entry with an earlier deadline has been taken off.
    private(set) var hand: UInt64 = 0
    /// No entry is due before this; `.max`: there is none.
    private(set) var bound = UInt64.max
    private(set) var count = 0
    /// The slot that is being emptied, plus 1; 0: none. Nothing that comes goes before it.
    private var current = 0
    /// Times that an entry was put into a slot: what the wheel has cost.
    private(set) var insertions: UInt64 = 0

    private static var levelCount: Int { 8 }
    private static var levelShift: UInt64 { 8 }
    private static var slotCount: Int { 512 }
    private static var wordsPerLevel: Int { slotCount / 64 }
    /// Slots of this level and those below are too short to be brought down ahead.
    private static var finestAhead: Int { 3 }

    private static func shift(_ level: Int) -> UInt64 { UInt64(level) * levelShift }

    // MARK: Entries

    /// Adds an entry by its deadline, which is not before the hand.
    /// - Parameter now: Where the wheel is empty: a time that it may start from.
    mutating func insert(_ i: PendingIndex, _ entries: inout ChunkedArray<PendingTransfer>, now: UInt64) {
        if count == 0 { hand = max(hand, now) }
        count += 1
        put(i, &entries)
    }

    private mutating func put(_ i: PendingIndex, _ entries: inout ChunkedArray<PendingTransfer>) {
        let deadline = max(entries[i.index].deadline, hand)
        var level = 0
        while deadline >> Self.shift(level) - hand >> Self.shift(level) >= UInt64(Self.slotCount) { level += 1 }
        let slot = deadline >> Self.shift(level)
        let place = Self.place(level, slot)
        let head = heads[place]
        entries[i.index].listed = UInt32(place) + 1
        entries[i.index].previous = 0
        entries[i.index].next = head
        if head != 0 {
            entries[Int(head - 1)].previous = i.value + 1
        } else {
            occupied[place >> 6] |= 1 << UInt64(place & 63)
        }
        heads[place] = i.value + 1
        bound = min(bound, slot << Self.shift(level))
        insertions += 1
    }

    /// Takes an entry out before it is due.
    mutating func remove(_ i: PendingIndex, _ entries: inout ChunkedArray<PendingTransfer>) {
        let next = entries[i.index].next
        let previous = entries[i.index].previous
        if next != 0 { entries[Int(next - 1)].previous = previous }
        if previous != 0 {
            entries[Int(previous - 1)].next = next
        } else {
            let place = Int(entries[i.index].listed - 1)
            heads[place] = next
            if next == 0 { occupied[place >> 6] &= ~(1 << UInt64(place & 63)) }
        }
        count -= 1
        if count == 0 { bound = .max }
    }

    private static func place(_ level: Int, _ slot: UInt64) -> Int {
        level * slotCount + Int(truncatingIfNeeded: slot) & (slotCount - 1)
    }

    // MARK: Time

    /// Takes off the next entry that is due at a time; nil: none is, or the budget is used up.
    /// - Parameter budget: Entries that may be moved or taken.
    /// - Complexity: O(1) amortised over the entries' levels.
    mutating func next(
        dueAt now: UInt64, _ entries: inout ChunkedArray<PendingTransfer>, budget: inout Int
    ) -> PendingIndex? {
        while bound <= now && budget > 0 {
            if current == 0 || heads[current - 1] == 0 { findCurrent(now) }
            if current == 0 { break }
            let i = PendingIndex(heads[current - 1] - 1)
            budget -= 1
            remove(i, &entries)
            if entries[i.index].deadline <= now { return i }
            count += 1
            put(i, &entries)
        }
        if bound > now { hand = max(hand, now) }
        return nil
    }

    /// Looks for the slot that begins first; none when that is later than `now`.
    private mutating func findCurrent(_ now: UInt64) {
        current = 0
        guard let (level, slot) = earliest() else {
            bound = .max
            return
        }
        bound = slot << Self.shift(level)
        // Nothing lies between.
        hand = max(hand, min(bound, now))
        if bound <= now { current = Self.place(level, slot) + 1 }
    }

    /// Brings down the slots that are next, so that little is left to do when their time comes.
    mutating func prepare(_ entries: inout ChunkedArray<PendingTransfer>, budget: inout Int) {
        for level in (Self.finestAhead..<Self.levelCount).reversed() {
            let place = Self.place(level, hand >> Self.shift(level) &+ 1)
            while heads[place] != 0 && budget > 0 {
                budget -= 1
                let i = PendingIndex(heads[place] - 1)
                remove(i, &entries)
                count += 1
                put(i, &entries)
            }
        }
    }

    /// The slot that begins first, of several the longest.
    private func earliest() -> (level: Int, slot: UInt64)? {
        var found: (level: Int, slot: UInt64)?
        var least = UInt64.max
        for level in 0..<Self.levelCount {
            guard let slot = firstSlot(level) else { continue }
            let start = slot << Self.shift(level)
            if found == nil || start <= least {
                found = (level, slot)
                least = start
            }
        }
        return found
    }

    /// The first slot of a level, from the hand on, that has an entry.
    private func firstSlot(_ level: Int) -> UInt64? {
        let from = hand >> Self.shift(level)
        let start = Int(truncatingIfNeeded: from) & (Self.slotCount - 1)
        let words = level * Self.wordsPerLevel
        // The word that the hand is in comes twice: from the hand on, and at the end up to it.
        for k in 0...Self.wordsPerLevel {
            let word = (start >> 6 + k) & (Self.wordsPerLevel - 1)
            var bits = occupied[words + word]
            let below = (1 as UInt64) << UInt64(start & 63) &- 1
            if k == 0 { bits &= ~below }
            if k == Self.wordsPerLevel { bits &= below }
            if bits == 0 { continue }
            let slot = word << 6 + bits.trailingZeroBitCount
            return from &+ UInt64((slot - start) & (Self.slotCount - 1))
        }
        return nil
    }
}
