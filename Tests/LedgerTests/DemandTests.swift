// Goal: what chains have reserved of an account fits: whichever of them are decided, in whatever order, none breaks the
// account's limit on its way. Method: random lists of debits and credits on one account, taken in while `Demand` says that
// they pass; then every subset in every order is applied event by event, with the checks of the ledger and no bounds.

import SuanpanCore
import SuanpanLedger
import Testing

@Suite struct DemandTests {
    private struct Event {
        var isDebit: Bool
        var effect: Effect
    }

    private func demand(_ account: Account, _ events: [Event], _ debits: UInt128, _ credits: UInt128) -> Demand? {
        var demand = Demand(account, reservedDebits: debits, reservedCredits: credits)
        for event in events {
            let passes =
                event.isDebit
                ? demand.debit(1, event.effect, now: Timestamp(1)) : demand.credit(1, event.effect)
            guard passes else { return nil }
        }
        return demand
    }

    /// False: some event is refused.
    private func apply(_ events: [Event], _ account: inout Account) -> Bool {
        for event in events {
            if event.isDebit {
                guard account.debitRefusal(1, event.effect, .none, now: Timestamp(1)) == .created else { return false }
                account.applyDebit(event.effect)
            } else {
                guard account.creditRefusal(1, event.effect, .none) == .created else { return false }
                account.applyCredit(event.effect)
            }
        }
        return true
    }

    private func everyOrder(of chains: [[Event]], _ account: Account) -> Bool {
        for i in chains.indices {
            var after = account
            guard apply(chains[i], &after) else { return false }
            var others = chains
            others.remove(at: i)
            // Those left out are the subsets: nothing more need be applied.
            guard everyOrder(of: others, after) else { return false }
        }
        return true
    }

    @Test(arguments: [AccountFlags.debitsMustNotExceedCredits, .creditsMustNotExceedDebits, []])
    func whateverIsDecidedFits(_ flags: AccountFlags) {
        var state: UInt64 = 7
        func below(_ n: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(n))
        }
        var taken = 0
        for _ in 0..<3000 {
            var account = Account(id: AccountID(1), ledger: 1, code: 1, flags: flags)
            account.creditsPosted = Amount(UInt128(below(5)))
            account.debitsPosted = Amount(UInt128(below(5)))
            // What earlier events hold: it may be posted or given back.
            account.debitsPending = Amount(4)
            account.creditsPending = Amount(4)
            if flags.contains(.debitsMustNotExceedCredits) { account.creditsPosted.value += 8 }
            if flags.contains(.creditsMustNotExceedDebits) { account.debitsPosted.value += 8 }
            var chains: [[Event]] = []
            var debits: UInt128 = 0
            var credits: UInt128 = 0
            var heldLeft = [4, 4]
            for _ in 0..<4 {
                let events = (0..<1 + below(4)).map { _ in
                    let isDebit = below(2) == 0
                    let amount = UInt128(below(4))
                    switch below(4) {
                    case 0: return Event(isDebit: isDebit, effect: Effect(pendingAdd: amount))
                    case 1 where heldLeft[isDebit ? 0 : 1] >= 2:
                        heldLeft[isDebit ? 0 : 1] -= 2
                        return Event(
                            isDebit: isDebit, effect: Effect(pendingRelease: 2, posted: min(amount, 2)))
                    default: return Event(isDebit: isDebit, effect: Effect(posted: amount))
                    }
                }
                guard let demand = demand(account, events, debits, credits) else { continue }
                debits += demand.debitsToReserve
                credits += demand.creditsToReserve
                chains.append(events)
            }
            if chains.count > 1 { taken += 1 }
            #expect(everyOrder(of: chains, account), "\(account) \(chains)")
        }
        #expect(taken > 300, "\(taken)")
    }

    /// A merchant is credited, and then pays the fee: that takes no room from others.
    @Test func whatAChainBringsItselfIsNoDip() throws {
        let empty = Account(id: AccountID(1), ledger: 1, code: 1, flags: .debitsMustNotExceedCredits)
        let purchase = [
            Event(isDebit: false, effect: .plain(Amount(100))), Event(isDebit: true, effect: .plain(Amount(3))),
        ]
        let demand = try #require(self.demand(empty, purchase, 0, 0))
        #expect(demand.debitsToReserve == 0 && demand.takesNothing && !demand.restsOnBalance)
        // The other way round it needs 3 at its moment, though its net is positive.
        #expect(self.demand(empty, purchase.reversed(), 0, 0) == nil)
        var funded = empty
        funded.creditsPosted = Amount(3)
        let reversed = try #require(self.demand(funded, purchase.reversed(), 0, 0))
        #expect(reversed.debitsToReserve == 3 && reversed.restsOnBalance)
    }
}
