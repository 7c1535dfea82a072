// Goal: the table of pending transfers finds what is open and nothing else; hands out each that is due within a tick, however
// time jumps; and tells of an account, exactly, what is due at a time. Method: random openings, closings and looks beside a
// dictionary.

import SuanpanCore
import SuanpanLedger
import Testing

@Suite struct PendingTableTests {
    private static let second: UInt64 = 1_000_000_000

    /// A ledger with two accounts, 1 and 2.
    private func ledger() -> Ledger {
        var ledger = makeLedger()
        for id: UInt128 in [1, 2] {
            ledger.apply(account: Account(id: AccountID(id), ledger: 1, code: 1), lsn: LSN(1))
        }
        return ledger
    }

    private func pending(_ id: UInt128, at time: UInt64, timeout: UInt32) -> LogRecord {
        var t = Transfer(
            id: TransferID(id), debit: AccountID(1), credit: AccountID(2), amount: Amount(1), ledger: 1, code: 1,
            flags: .pending, timeout: timeout)
        t.timestamp = Timestamp(time)
        return LogRecord(.transfer, t)
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64]) func handsOutWhatIsDue(seed: UInt64) {
        var random = Seeded(seed)
        var ledger = ledger()
        let (a, b) = (AccountIndex(0), AccountIndex(1))
        var deadlines: [UInt128: UInt64] = [:]
        // Some tables live from before their clock starts: as replay leaves them.
        var now: UInt64 = seed % 2 == 0 ? 5 : 1_700_000_000 * Self.second + 17
        var id: UInt128 = 0
        var wrong = 0
        var expired = 0
        for _ in 0..<6000 {
            switch random.below(12) {
            case 0: now += UInt64(random.below(3)) * Self.second
            case 1: now += random.oneIn(40) ? 70_000 * Self.second : UInt64(random.below(Int(Self.second)))
            case 2 where !deadlines.isEmpty:
                // Resolved before its time.
                let done = deadlines.keys.sorted()[random.below(deadlines.count)]
                guard let i = ledger.findPending(AccountID(1), TransferID(done)) else {
                    wrong += 1
                    continue
                }
                resolve(&ledger, i, a, b)
                deadlines[done] = nil
            case 3...6:
                ledger.turn(now: Timestamp(now))
                while let i = ledger.nextExpired {
                    let p = ledger.pending(i)
                    let deadline = deadlines[p.id.value]
                    if deadline == nil || deadline == 0 || deadline! > now { wrong += 1 }
                    // It stays the next one until somebody takes it, or it is resolved.
                    ledger.turn(now: Timestamp(now))
                    if ledger.nextExpired != i { wrong += 1 }
                    if random.oneIn(4) {
                        ledger.take(i)
                        ledger.take(i)
                        if ledger.nextExpired == i { wrong += 1 }
                    }
                    resolve(&ledger, i, a, b)
                    deadlines[p.id.value] = nil
                    expired += 1
                }
                let late = deadlines.filter { $0.value != 0 && $0.value + 2_100_000 <= now }
                if !late.isEmpty { wrong += 1 }
            case 7:
                // By the account, to the nanosecond.
                let next = deadlines.values.filter { $0 > now }.min() ?? now
                if random.oneIn(8) { now = random.oneIn(2) ? next : max(now, next - 1) }
                let due = deadlines.values.count { $0 != 0 && $0 <= now }
                let shown = ledger.account(a, at: Timestamp(now)).debitsPending
                if shown != Amount(UInt128(deadlines.count - due)) { wrong += 1 }
                if ledger.isHeldByDue(a, .debits, by: Timestamp(now)) != (due > 0) { wrong += 1 }
                if ledger.isHeldByDue(b, .credits, by: Timestamp(now)) != (due > 0) { wrong += 1 }
                if ledger.totals(at: Timestamp(now)).map(\.creditsPending) != [shown.value] { wrong += 1 }
                let isWaiting = ledger.waitingDue(of: a, .debits, by: Timestamp(now)) != nil
                if isWaiting != (due > 0) || ledger.waitingDue(of: b, .closing, by: Timestamp(now)) != nil {
                    wrong += 1
                }
            default:
                id += 1
                let timeout = random.pick([0, 1, 1, 2, 3, 60, 65_535, 65_536, 65_537, 200_000] as [UInt32])
                ledger.apply(pending(id, at: now, timeout: timeout), debit: a, credit: b, position: UInt64(id))
                deadlines[id] = timeout == 0 ? 0 : now + UInt64(timeout) * Self.second
            }
            if ledger.openPendingCount != deadlines.count { wrong += 1 }
        }
        #expect(wrong == 0)
        #expect(expired > 100)
        var held: [UInt128: UInt64] = [:]
        ledger.forEachPending { held[$0.id.value] = $0.deadline }
        #expect(held == deadlines)
        let account = ledger.account(a)
        #expect(account.debitsPending == Amount(UInt128(deadlines.count)))
        if deadlines.allSatisfy({ $0.value == 0 }) { #expect(look(ledger) == nil) }
    }

    private func resolve(_ ledger: inout Ledger, _ i: PendingIndex, _ a: AccountIndex, _ b: AccountIndex) {
        let p = ledger.pending(i)
        let record = LogRecord(expiryOf: p.transfer, kind: .transfer, timestamp: Timestamp(1))
        ledger.apply(record, debit: a, credit: b, position: 1)
    }

    private func look(_ ledger: borrowing Ledger) -> Timestamp? { ledger.nextExpiryLook }
    private func expired(_ ledger: inout Ledger, _ now: UInt64) -> PendingIndex? {
        ledger.turn(now: Timestamp(now))
        return ledger.nextExpired
    }

    @Test func saysWhenToLookAgain() {
        var ledger = ledger()
        let now = 1000 * Self.second + 5
        #expect(look(ledger) == nil)
        #expect(expired(&ledger, now) == nil)
        ledger.apply(pending(1, at: now, timeout: 2), debit: AccountIndex(0), credit: AccountIndex(1), position: 1)
        // Once shortly before the deadline, when it is brought nearer; then not later than the tick after it.
        #expect(expired(&ledger, now + 1) == nil)
        let first = look(ledger)?.nanoseconds ?? 0
        #expect(first > now + 2 * Self.second - 20_000_000 && first < now + 2 * Self.second)
        #expect(expired(&ledger, first) == nil)
        let second = look(ledger)?.nanoseconds ?? 0
        #expect(second >= now + 2 * Self.second && second < now + 2 * Self.second + 5_000_000)
        let due = expired(&ledger, second)
        #expect(due != nil && look(ledger) == .zero)
        if let due { ledger.take(due) }
        #expect(expired(&ledger, second) == nil && look(ledger) == nil)
        // Only the credit side is held here: its debit side's shard expires it, this one knows that it is due.
        ledger.apply(pending(2, at: now, timeout: 2), debit: nil, credit: AccountIndex(1), position: 2)
        #expect(expired(&ledger, 5000 * Self.second) == nil)
        var elsewhere: [AccountID] = []
        let isHeld = ledger.isHeldByDue(AccountIndex(1), .credits, by: Timestamp(5000 * Self.second))
        ledger.forSomeDueElsewhere(of: AccountIndex(1)) { elsewhere.append($0) }
        #expect(isHeld && elsewhere == [AccountID(1)])
        let count = ledger.openPendingCount
        #expect(count == 2)
    }

    @Test func theShardsWordStaysWithTheEntry() {
        var ledger = ledger()
        ledger.apply(pending(1, at: 1, timeout: 0), debit: AccountIndex(0), credit: nil, position: 1)
        guard let i = ledger.findPending(AccountID(1), TransferID(1)) else {
            Issue.record("not found")
            return
        }
        ledger.setBusy(i, 77)
        let p = ledger.pending(i)
        #expect(p.busy == 77 && p.debitIndex == AccountIndex(0) && p.creditIndex == nil && p.position == 1)
        let other = ledger.findPending(AccountID(2), TransferID(1))
        #expect(other == nil)
    }

    @Test func roomEndsAtTheMemoryAllowed() {
        var ledger = ledger()
        var id: UInt128 = 0
        while ledger.hasRoomForPending() && id < 1_000_000 {
            id += 1
            ledger.apply(pending(id, at: 1, timeout: 1), debit: AccountIndex(0), credit: nil, position: 1)
        }
        #expect(id > 1000 && id < 1_000_000)
        let isFull = !ledger.hasRoomForPending(1)
        #expect(isFull)
        // What is resolved makes room again.
        let i = expired(&ledger, 10 * Self.second)
        if let i { resolve(&ledger, i, AccountIndex(0), AccountIndex(1)) }
        let room = (ledger.hasRoomForPending(), ledger.hasRoomForPending(2))
        #expect(i != nil && room.0 && !room.1)
    }
}
