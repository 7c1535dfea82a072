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
                return isHuge && random.oneIn(2) ? UInt128.max / UInt128(2 + random.below(3)) - small : small
            }
            for _ in 0..<random.below(4) {
                let side = random.oneIn(2)
                let hold = amount(&random, 10)
                let before = side ? account.debitsPending.value : account.creditsPending.value
                if before.addingReportingOverflow(hold).overflow { continue }
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

            // Reserved one after the other, each at the worst, summed up as the shard does.
            var debits: UInt128 = 0
            var credits: UInt128 = 0
            var undecided: [Undecided] = []
            for _ in 0..<random.below(5) {
                let isDebit = random.oneIn(2)
                let e = effect(&random, amount)
                let bounds = UndecidedBounds(added: isDebit ? debits : credits)
                guard refusal(account, e, bounds, isDebit) == .created else { continue }
                if isDebit { debits += e.pendingAdd + e.posted } else { credits += e.pendingAdd + e.posted }
                undecided.append(Undecided(effect: e, isDebit: isDebit))
            }

            let isDebit = random.oneIn(2)
            let e = effect(&random, amount)
            let (own, other) = isDebit ? (debits, credits) : (credits, debits)
            let worst = refusal(account, e, UndecidedBounds(added: own), isDebit)
            let best = refusal(account, e, UndecidedBounds(otherPosted: other), isDebit)
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
        }
        #expect(wrong == 0)
        #expect(certain > 500 && open > 50, "\(certain) certain, \(open) open")
    }

    /// Of a plain or a pending transfer: what may be undecided beside others.
    private func effect(_ random: inout Seeded, _ amount: (inout Seeded, Int) -> UInt128) -> Effect {
        random.oneIn(2) ? Effect(pendingAdd: amount(&random, 15)) : Effect(posted: amount(&random, 15))
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
