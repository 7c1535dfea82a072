// Goal: the wheel hands out what is due, exactly, whatever deadlines share a slot and however time jumps; and each entry
// costs it a move a level at most. Method: random deadlines, removals and times beside a plain dictionary; then the
// deadlines that share slots, with the moves counted.

import SuanpanCore
import Testing

@testable import SuanpanLedger

@Suite struct ExpiryWheelTests {
    private static let second: UInt64 = 1_000_000_000

    private func entry(_ deadline: UInt64) -> PendingTransfer {
        var t = Transfer(
            id: TransferID(1), debit: AccountID(1), credit: AccountID(2), amount: Amount(1), ledger: 1, code: 1,
            flags: .pending)
        t.timestamp = Timestamp(0)
        var p = PendingTransfer(t, debit: nil, credit: nil, position: 0)
        p.deadline = deadline
        return p
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>) func agreesWithADictionary(seed: UInt64) {
        var random = Seeded(seed)
        var entries = ChunkedArray<PendingTransfer>(capacity: 1 << 14)
        var wheel = ExpiryWheel()
        var deadlines: [UInt32: UInt64] = [:]
        var now: UInt64 = seed % 3 == 0 ? 0 : 1_700_000_000 * Self.second + seed
        var wrong = 0
        var taken = 0
        for _ in 0..<9000 {
            switch random.below(10) {
            case 0...3:
                // Some share what is above or below a level's border.
                var ahead = random.next() >> UInt64(5 + random.below(59))
                if random.oneIn(3) { ahead &= ~255 }
                let deadline = random.oneIn(20) ? now : now &+ ahead < now ? UInt64.max : now + ahead
                let i = UInt32(entries.count)
                guard entries.append(entry(deadline)) else { continue }
                wheel.insert(PendingIndex(i), &entries, now: now)
                deadlines[i] = deadline
            case 4:
                guard let i = deadlines.keys.sorted().last else { continue }
                let one = random.oneIn(2) ? i : deadlines.keys.sorted()[random.below(deadlines.count)]
                wheel.remove(PendingIndex(one), &entries)
                deadlines[one] = nil
            case 5: now += random.next() >> UInt64(random.oneIn(30) ? 16 : 30 + random.below(34))
            case 6: now = max(now, (deadlines.values.min() ?? now) &- UInt64(random.below(2)))
            case 7:
                var budget = random.below(4)
                wheel.prepare(&entries, budget: &budget)
            default:
                // Sometimes a little at a time.
                var budget = random.oneIn(3) ? random.below(6) : Int.max
                let isWhole = budget == .max
                while let i = wheel.next(dueAt: now, &entries, budget: &budget) {
                    if deadlines[i.value].map({ $0 > now }) ?? true { wrong += 1 }
                    deadlines[i.value] = nil
                    taken += 1
                }
                if isWhole && deadlines.values.contains(where: { $0 <= now }) { wrong += 1 }
            }
            if wheel.count != deadlines.count || wheel.bound > deadlines.values.min() ?? .max { wrong += 1 }
        }
        #expect(wrong == 0)
        #expect(taken > 500)
    }

    /// As many holds again, later by what puts them into the same slot of some level, are not touched while the first expire
    /// one after the other, or are posted.
    @Test(arguments: [512, 512 << 8, 512 << 16, 512 << 24, 512 << 32, 512 << 40, 65_536 * Self.second, 1 << 38])
    func laterOnesCostNothing(apart: UInt64) {
        let n = 2000
        var entries = ChunkedArray<PendingTransfer>(capacity: 1 << 14)
        var wheel = ExpiryWheel()
        let start = 1_700_000_000 * Self.second
        for k in 0..<2 * n {
            let deadline = start + 10 * Self.second + UInt64(k % n) * 1000 + (k < n ? 0 : apart)
            _ = entries.append(entry(deadline))
            wheel.insert(PendingIndex(UInt32(k)), &entries, now: start)
        }
        var wrong = 0
        for k in 0..<n {
            if k % 2 == 0 { wheel.remove(PendingIndex(UInt32(n - 1 - k)), &entries) }
            var budget = Int.max
            let now = start + 10 * Self.second + UInt64(k) * 1000
            while let i = wheel.next(dueAt: now, &entries, budget: &budget) {
                if entries[i.index].deadline > now { wrong += 1 }
            }
        }
        #expect(wrong == 0)
        // Once each at its insertion, and a move for each level but the last.
        #expect(wheel.insertions <= UInt64(2 * n * 8))
    }

    /// Ten thousand in one slot are brought down while the one before passes, some in each turn: none has much to do.
    @Test func turnsAreBounded() {
        let n = 10_000
        let budgetMax = 64
        var entries = ChunkedArray<PendingTransfer>(capacity: 1 << 14)
        var wheel = ExpiryWheel()
        let start = 1_700_000_000 * Self.second
        let due = start + 3600 * Self.second
        for k in 0..<n {
            _ = entries.append(entry(due + UInt64(k)))
            wheel.insert(PendingIndex(UInt32(k)), &entries, now: start)
        }
        var now = start
        var taken = 0
        var most: UInt64 = 0
        // 50 ms a turn; at the end 1 ms.
        while now < due + Self.second {
            now += now + Self.second < due ? 50_000_000 : 1_000_000
            var budget = budgetMax
            let before = wheel.insertions
            while wheel.next(dueAt: now, &entries, budget: &budget) != nil { taken += 1 }
            wheel.prepare(&entries, budget: &budget)
            most = max(most, wheel.insertions - before)
        }
        #expect(taken == n)
        #expect(most <= UInt64(budgetMax))
    }
}
