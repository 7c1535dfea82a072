// Goal: the bounds of what is undecided tell the truth: what passes at the worst passes whatever comes of it, what fails
// at the best fails whatever comes of it. Method: random accounts with a few undecided effects on both sides, each of
// which fitted when it was reserved; every combination of outcomes is applied to the record and asked again.

import SuanpanCore
import SuanpanLedger
import Testing

@Suite struct UndecidedTests {
    private struct Undecided {
        var effect: Effect
        var isDebit: Bool
    }

    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64]) func boundsHoldForEveryOutcome(seed: UInt64) {
        var random = Seeded(seed)
        var wrong = 0
        var certain = 0
        var open = 0
        for _ in 0..<3000 {
            var account = soundAccount
            account.flags = random.pick([[], .debitsMustNotExceedCredits, .creditsMustNotExceedDebits])
            // Near the top of the type, or near nothing.
            let isHuge = random.oneIn(4)
            func amount(_ random: inout Seeded, _ bound: Int) -> UInt128 {
                let small = UInt128(random.below(bound))
                return isHuge && random.oneIn(2) ? UInt128.max / 4 - small : small
            }
            var held: [(UInt128, Bool)] = []
            for _ in 0..<random.below(4) {
                let side = random.oneIn(2)
                let hold = amount(&random, 10)
                held.append((hold, side))
                if side { account.debitsPending.value += hold } else { account.creditsPending.value += hold }
            }
            if account.flags == .debitsMustNotExceedCredits || isHuge && random.oneIn(2) {
                let (sum, overflow) = account.debitsPending.value.addingReportingOverflow(amount(&random, 20))
                if overflow { continue }
                account.creditsPosted.value = sum
            }
            if account.flags == .creditsMustNotExceedDebits {
                account.debitsPosted.value = account.creditsPending.value
                account.creditsPosted = .zero
            }
            if account.debitsPending.value.addingReportingOverflow(account.debitsPosted.value).overflow { continue }
            if account.creditsPending.value.addingReportingOverflow(account.creditsPosted.value).overflow { continue }

            // Reserved one after the other, each at the worst.
            var debits = UndecidedSide()
            var credits = UndecidedSide()
            var undecided: [Undecided] = []
            for _ in 0..<random.below(5) {
                let isDebit = random.oneIn(2)
                let e = effect(&random, &held, isDebit, amount)
                let bounds = isDebit ? debits.worst : credits.worst
                guard refusal(account, e, bounds, isDebit) == .created else { continue }
                if isDebit { debits.add(e) } else { credits.add(e) }
                undecided.append(Undecided(effect: e, isDebit: isDebit))
            }

            let isDebit = random.oneIn(2)
            let e = effect(&random, &held, isDebit, amount)
            let (own, other) = isDebit ? (debits, credits) : (credits, debits)
            let worst = refusal(account, e, own.worst, isDebit)
            let best = refusal(account, e, own.best(other: other), isDebit)
            for outcome in 0..<1 << undecided.count {
                var after = account
                for (k, u) in undecided.enumerated() where outcome >> k & 1 == 1 {
                    if u.isDebit { after.applyDebit(u.effect) } else { after.applyCredit(u.effect) }
                }
                let code = refusal(after, e, .none, isDebit)
                if worst == .created && code != .created { wrong += 1 }
                if best != .created && code == .created { wrong += 1 }
            }
            if worst == .created || best != .created { certain += 1 } else { open += 1 }
            for u in undecided { if u.isDebit { debits.remove(u.effect) } else { credits.remove(u.effect) } }
            if !debits.isEmpty || !credits.isEmpty { wrong += 1 }
        }
        #expect(wrong == 0)
        #expect(certain > 500 && open > 50, "\(certain) certain, \(open) open")
    }

    private func effect(
        _ random: inout Seeded, _ held: inout [(UInt128, Bool)], _ isDebit: Bool,
        _ amount: (inout Seeded, Int) -> UInt128
    ) -> Effect {
        let k = held.firstIndex { $0.1 == isDebit }
        switch random.below(4) {
        case 0: return Effect(pendingAdd: amount(&random, 15))
        case 1:
            guard let k else { return Effect(posted: amount(&random, 15)) }
            let (hold, _) = held.remove(at: k)
            return Effect(pendingRelease: hold, posted: hold - hold / UInt128(1 + random.below(3)))
        case 2:
            guard let k else { return Effect(posted: amount(&random, 15)) }
            return Effect(pendingRelease: held.remove(at: k).0, passes: true)
        default: return Effect(posted: amount(&random, 15))
        }
    }

    private func refusal(_ a: Account, _ e: Effect, _ b: UndecidedBounds, _ isDebit: Bool) -> ResultCode {
        isDebit ? a.debitRefusal(1, e, b, now: Timestamp(1)) : a.creditRefusal(1, e, b)
    }

    @Test func balancingLeavesWhatIsThere() {
        var a = soundAccount
        a.creditsPosted = Amount(100)
        a.debitsPosted = Amount(30)
        a.debitsPending = Amount(20)
        #expect(a.leftToDebit == Amount(50) && a.leftToCredit == .zero)
        a.debitsPending = Amount(70)
        #expect(a.leftToDebit == .zero)
        a.debitsPending = Amount(.max)
        #expect(a.leftToDebit == .zero)
        a.debitsPosted = Amount(.max)
        a.creditsPending = Amount(5)
        #expect(a.leftToCredit == Amount(.max - 105))
    }

    @Test func timeoutsEndBeforeTimeDoes() {
        let e = Effect(pendingAdd: 1, timeout: 3)
        func refusal(_ now: UInt64) -> ResultCode { soundAccount.debitRefusal(1, e, .none, now: Timestamp(now)) }
        #expect(refusal(.max - 3_000_000_000) == .created)
        #expect(refusal(.max - 2_999_999_999) == .overflowsTimeout)
    }
}
