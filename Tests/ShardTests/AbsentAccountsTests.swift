import SuanpanCore
import Testing

@testable import SuanpanShard

/// Goal: what holds an absent account is found, and let go, in the same few steps however much else is held; whoever waits
/// goes on, in order. Method: the table alone, against a dictionary; steps are counted, not timed.
@Suite struct AbsentAccountsTests {
    private static let key = HashKey(a: 7, b: 9)
    private static func hash(_ id: AccountID) -> UInt64 { key.hash(id.value) }

    private func isHeld(_ table: borrowing AbsentAccounts, _ id: AccountID) -> Bool { table.isHeld(id, Self.hash(id)) }

    private func isBeingCreated(_ table: borrowing AbsentAccounts, _ id: AccountID) -> Bool {
        table.isBeingCreated(id, Self.hash(id))
    }

    private func kinds(_ table: borrowing AbsentAccounts, _ id: AccountID) -> [HoldKind] {
        var kinds: [HoldKind] = []
        var link = table.firstHold(id, Self.hash(id))
        while link != 0 {
            kinds.append(table[link].kind)
            link = table[link].next
        }
        return kinds
    }

    /// Of each place of the table, the accounts that a look-up which comes to it compares with at most.
    private func steps(_ table: borrowing AbsentAccounts) -> [Int] {
        var all: [Int] = []
        for head in 0..<table.heads.count {
            var steps = 0
            var link = table.heads[head]
            while link != 0 {
                steps += 1
                link = table.accounts[Int(link - 1)].next
            }
            all.append(steps)
        }
        return all
    }

    /// Ids one after the other, as clients choose them; a thousand chains of eight accounts, and one id that all want.
    @Test func aLookUpTakesAFewStepsWhateverIsHeld() {
        var table = AbsentAccounts(participants: 1000)
        let contended = AccountID(1)
        for p in 0..<1000 {
            table.hold(contended, Self.hash(contended), by: p, .awaited)
            for k in 0..<8 {
                let id = AccountID(UInt128(1000 + p * 8 + k))
                table.hold(id, Self.hash(id), by: p, .creating)
            }
        }
        #expect(table.count == 9000)
        let held = (0..<8000).map { AccountID(UInt128(1000 + $0)) } + [contended]
        let others = (0..<9000).map { AccountID(UInt128(100_000 + $0)) }
        let steps = self.steps(table)
        #expect(steps.reduce(0, +) == held.count)
        #expect(steps.count >= held.count && steps.max()! <= 12)
        #expect(held.allSatisfy { isHeld(table, $0) } && !others.contains { isHeld(table, $0) })
        table.checkInvariants()
        // Whatever the others hold, one lets go of its own.
        for p in 0..<1000 { #expect(table.endHolds(of: p) == true) }
        #expect(table.isEmpty && !held.contains { isHeld(table, $0) })
        table.checkInvariants()
    }

    @Test func everyHoldOfAnAccountCounts() {
        var table = AbsentAccounts(participants: 4)
        let id = AccountID(5)
        table.hold(id, Self.hash(id), by: 0, .absent)
        // A chain of transfers that rests on the absence creates nothing.
        #expect(isHeld(table, id) && !isBeingCreated(table, id))
        table.hold(id, Self.hash(id), by: 1, .awaited)
        table.hold(id, Self.hash(id), by: 2, .awaited)
        #expect(isBeingCreated(table, id) && kinds(table, id) == [.awaited, .awaited, .absent])
        #expect(table.endHolds(of: 1) == true)
        #expect(table.endHolds(of: 1) == false)
        #expect(isBeingCreated(table, id) && kinds(table, id) == [.awaited, .absent])
        #expect(table.endHolds(of: 2) == true)
        #expect(isHeld(table, id) && !isBeingCreated(table, id))
        #expect(table.endHolds(of: 0) == true)
        #expect(!isHeld(table, id) && table.isEmpty)
        table.checkInvariants()
    }

    @Test func equalHashesAreToldApart() {
        var table = AbsentAccounts(participants: 3)
        for p in 0..<3 { table.hold(AccountID(UInt128(p)), 77, by: p, p == 1 ? .absent : .creating) }
        table.checkInvariants()
        #expect(table.isHeld(AccountID(1), 77) && !table.isBeingCreated(AccountID(1), 77))
        #expect(table.isBeingCreated(AccountID(2), 77) && !table.isHeld(AccountID(3), 77))
        table.endHolds(of: 1)
        table.checkInvariants()
        #expect(!table.isHeld(AccountID(1), 77) && table.isHeld(AccountID(0), 77) && table.isHeld(AccountID(2), 77))
    }

    /// Random holds and ends, against a dictionary.
    @Test(arguments: 1...4) func itAgreesWithADictionary(seed: Int) {
        var table = AbsentAccounts(participants: 64)
        var model: [Int: [(UInt128, HoldKind)]] = [:]
        var state = UInt64(seed)
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0..<3000 {
            let p = next(64)
            if model[p] == nil {
                let kind = [HoldKind.absent, .creating, .awaited][next(3)]
                let ids = Set((0...next(6)).map { _ in UInt128(next(40)) })
                model[p] = ids.map { ($0, kind) }
                for id in ids { table.hold(AccountID(id), Self.hash(AccountID(id)), by: p, kind) }
            } else {
                model[p] = nil
                table.endHolds(of: p)
            }
            let all = model.values.flatMap { $0 }
            #expect(table.count == all.count)
            let id = UInt128(next(40))
            let expected = all.filter { $0.0 == id }.map(\.1.rawValue).sorted()
            #expect(kinds(table, AccountID(id)).map(\.rawValue).sorted() == expected)
            #expect(isBeingCreated(table, AccountID(id)) == expected.contains { $0 > 0 })
        }
        table.checkInvariants()
    }

    @Test func whoWaitsGoesOnInOrder() {
        var table = AbsentAccounts(participants: 8)
        table.hold(AccountID(1), Self.hash(AccountID(1)), by: 7, .creating)
        for p in [3, 1, 2, 5] { table.wait(p) }
        for waiter in [9, 8] { table.wait(event: UInt32(waiter)) }
        // It was told to let go; one that does not wait is let alone.
        table.endWait(1)
        table.endWait(1)
        table.checkInvariants()
        #expect(table.waitingCount == 3 && table.eventCount == 2)
        var waiting: [Int] = []
        while let p = table.nextWaiting() { waiting.append(p) }
        var events: [UInt32] = []
        while let waiter = table.nextEvent() { events.append(waiter) }
        #expect(waiting == [3, 2, 5] && events == [9, 8])
        table.wait(1)
        #expect(table.nextWaiting() == 1)
        table.checkInvariants()
    }
}
