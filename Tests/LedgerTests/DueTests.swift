// Goal: what is due of an account is left out of its record as of any time, exactly, and found when it must expire first,
// whatever accounts meet in the tables. Method: random holds over few accounts, some of which share a bucket, beside a list
// of them; each look at a random time. Then a storm on one account, whose looks are counted.

import SuanpanCore
import Testing

@testable import SuanpanLedger

@Suite struct DueTests {
    private static let second: UInt64 = 1_000_000_000
    /// Indices in the ledger: three share a bucket, and their sums one place.
    private static let places = [0, 1, 65_536, 65_537, 131_072]

    private struct Hold {
        var id: UInt128
        var debit: Int? = nil
        var credit: Int?
        var amount: UInt128
        var deadline: UInt64
        var flags: TransferFlags
    }

    /// Accounts 1, 2, …; account 1 is the first.
    private static func ledger() -> Ledger {
        var ledger = Ledger(key: HashKey(a: 1, b: 2), memoryBytes: 128 << 20)
        for id in 1...131_073 {
            ledger.apply(account: Account(id: AccountID(UInt128(id)), ledger: 1, code: 1), lsn: LSN(1))
        }
        return ledger
    }

    private static func account(_ place: Int?, elsewhere: UInt128) -> AccountID {
        AccountID(place.map { UInt128(places[$0] + 1) } ?? elsewhere)
    }

    private func open(_ ledger: inout Ledger, _ hold: Hold, at now: UInt64) {
        var t = Transfer(
            id: TransferID(hold.id), debit: Self.account(hold.debit, elsewhere: 1_000_000),
            credit: Self.account(hold.credit, elsewhere: 2_000_000), amount: Amount(hold.amount), ledger: 1, code: 1,
            flags: hold.flags.union(.pending), timeout: UInt32((hold.deadline - now) / Self.second))
        t.timestamp = Timestamp(now)
        ledger.apply(
            LogRecord(.transfer, t), debit: hold.debit.map { AccountIndex(Self.places[$0]) },
            credit: hold.credit.map { AccountIndex(Self.places[$0]) }, position: UInt64(hold.id))
    }

    private func expire(_ ledger: inout Ledger, _ hold: Hold) {
        let debit = Self.account(hold.debit, elsewhere: 1_000_000)
        guard let i = ledger.findPending(debit, TransferID(hold.id)) else {
            Issue.record("not found")
            return
        }
        let p = ledger.pending(i)
        let record = LogRecord(expiryOf: p.transfer, kind: .transfer, timestamp: Timestamp(1))
        ledger.apply(record, debit: p.debitIndex, credit: p.creditIndex, position: 1)
    }

    /// A cut's moment lies behind the wheel's hand when a credit that belongs to it comes in, with a hold that was over by
    /// that moment: it holds nothing in the cut. (Simulator, seed 930094.)
    @Test func whatComesLateIsOverAsOfAMomentThatHasPassed() {
        let start = 1_700_000_000 * Self.second
        for isOther in [false, true] {
            var ledger = Self.ledger()
            let other = Hold(id: 2, credit: 1, amount: 7, deadline: start + 9 * Self.second, flags: [])
            if isOther { open(&ledger, other, at: start) }
            ledger.turn(now: Timestamp(start + 5 * Self.second))
            open(&ledger, Hold(id: 1, credit: 0, amount: 3, deadline: start + Self.second, flags: []), at: start)
            let account = AccountIndex(Self.places[0])
            let credits = [0, 1, 2, 5].map { seconds in
                ledger.account(account, at: Timestamp(start + seconds * Self.second)).creditsPending.value
            }
            #expect(credits == [3, 0, 0, 0])
        }
    }

    @Test func looksAreExact() {
        var random = Seeded(7)
        var ledger = Self.ledger()
        var holds: [Hold] = []
        var now = 1_700_000_000 * Self.second
        var wrong = 0
        var found = 0
        var id: UInt128 = 0
        for _ in 0..<12_000 {
            switch random.below(8) {
            case 0...2:
                id += 1
                let debit = random.oneIn(4) ? nil : random.below(Self.places.count)
                var credit: Int? = random.oneIn(4) ? nil : random.below(Self.places.count)
                if debit == nil && credit == nil || debit == credit { credit = ((debit ?? 0) + 1) % Self.places.count }
                var flags: TransferFlags = []
                if random.oneIn(6), let debit, !closes(holds, debit) { flags.insert(.closingDebit) }
                if random.oneIn(6), let credit, !closes(holds, credit) { flags.insert(.closingCredit) }
                // Many are due within a few nanoseconds.
                now += UInt64(random.below(3))
                let seconds = UInt64(random.pick([1, 1, 1, 2, 3, 300, 70_000]))
                // A credit decided elsewhere may come late, even when it is due already.
                let isLate = debit == nil && random.oneIn(3)
                let opened = isLate ? now - UInt64(random.below(4)) * Self.second / 2 : now
                let hold = Hold(
                    id: id, debit: debit, credit: credit, amount: UInt128(random.below(3)),
                    deadline: opened + seconds * Self.second, flags: flags)
                open(&ledger, hold, at: opened)
                holds.append(hold)
            case 3:
                // As of the very moment, or just before, some of them.
                let next = holds.map(\.deadline).filter { $0 > now }.min() ?? now
                now = random.oneIn(2) ? max(now, next - UInt64(random.below(2))) : now + UInt64(random.below(4))
            case 4 where random.oneIn(20): now += UInt64(random.below(2)) * Self.second + UInt64(random.below(9))
            case 5 where !holds.isEmpty:
                let k = random.below(holds.count)
                expire(&ledger, holds[k])
                holds.remove(at: k)
            case 6:
                ledger.turn(now: Timestamp(now))
                guard let i = ledger.nextExpired else { continue }
                if random.oneIn(2) { ledger.take(i) }
                if random.oneIn(4) { ledger.giveBack(i) }
            default:
                let place = random.below(Self.places.count)
                let index = AccountIndex(Self.places[place])
                // Sometimes as of earlier than what was seen to be due: a cut is, while credits for it come in.
                let time = now - (random.oneIn(4) ? UInt64(random.below(9)) * Self.second / 4 : UInt64(random.below(3)))
                let due = holds.filter { $0.deadline <= time }
                let shown = ledger.account(index, at: Timestamp(time))
                let raw = ledger.account(index)
                let debits = due.filter { $0.debit == place }
                let credits = due.filter { $0.credit == place }
                found += debits.count + credits.count
                if raw.debitsPending.value - shown.debitsPending.value != debits.reduce(0, { $0 + $1.amount })
                    || raw.creditsPending.value - shown.creditsPending.value != credits.reduce(0, { $0 + $1.amount })
                {
                    wrong += 1
                }
                let isClosed = closes(holds, place) && !closes(due, place)
                if shown.flags.contains(.closed) != isClosed { wrong += 1 }
                let sides: [(DueSides, Bool)] = [
                    (.debits, debits.contains { $0.amount > 0 }), (.credits, credits.contains { $0.amount > 0 }),
                    (.closing, closes(due, place)), ([], false),
                ]
                for (side, isHeld) in sides
                where ledger.isHeldByDue(index, side, by: Timestamp(time)) != isHeld {
                    wrong += 1
                }
                if let i = ledger.waitingDue(of: index, .closing, by: Timestamp(time)) {
                    let p = ledger.pending(i)
                    if !closes(due.filter { $0.id == p.id.value }, place) || p.debitIndex == nil { wrong += 1 }
                }
            }
        }
        #expect(wrong == 0)
        #expect(found > 3000)
    }

    private func closes(_ holds: [Hold], _ place: Int) -> Bool {
        holds.contains {
            $0.debit == place && $0.flags.contains(.closingDebit)
                || $0.credit == place && $0.flags.contains(.closingCredit)
        }
    }
}
