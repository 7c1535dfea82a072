// What a shard has copied for a cut: the sums of its ledgers and the accounts asked for, as of the cut's moment. What
// commits afterwards and belongs to the cut is added: by taking out what the accounts hold before it and putting in what
// they hold after it.

internal import SuanpanCore
internal import SuanpanLedger

struct CutCopy: ~Copyable {
    private(set) var time = Timestamp.zero
    /// Asked for, in the order of the question.
    private var ids: [AccountID] = []
    private var asksForTotals = false
    /// By the ledger's slots; empty where not asked for.
    private var totals: [LedgerTotals] = []
    private var accounts: [Account] = []
    /// Places in `accounts`, by account index.
    private var places: [UInt32: Int] = [:]
    /// Of each of `ids`; nil: unknown.
    private var asked: [Int?] = []

    /// So many accounts are looked ahead at together.
    private static var runMax: Int { Shard.stagedMax }

    /// Copies; what was copied before is gone.
    mutating func take(_ ids: [AccountID], asksForTotals: Bool, at time: Timestamp, from ledger: inout Ledger) {
        clear()
        self.time = time
        self.ids = ids
        self.asksForTotals = asksForTotals
        if asksForTotals { totals = ledger.totals(at: time) }
        asked.reserveCapacity(ids.count)
        var first = 0
        while first < ids.count {
            // In runs, so that the memory's latencies overlap.
            let run = ids[first..<min(first + Self.runMax, ids.count)]
            for account in run { ledger.prefetchAccount(hash: ledger.accountHash(account)) }
            for account in run {
                if let index = ledger.guess(hash: ledger.accountHash(account)) { ledger.prefetch(index) }
            }
            for account in run {
                if let index = ledger.find(account) {
                    asked.append(copyAccount(index, &ledger))
                } else {
                    asked.append(nil)
                }
            }
            first += run.count
        }
    }

    private mutating func copyAccount(_ index: AccountIndex, _ ledger: inout Ledger) -> Int {
        if let place = places[index.value] { return place }
        places[index.value] = accounts.count
        accounts.append(ledger.account(index, at: time))
        return accounts.count - 1
    }

    mutating func clear() {
        ids = []
        asksForTotals = false
        totals = []
        accounts = []
        places = [:]
        asked = []
    }

    var share: CutShare { CutShare(totals: totals, accounts: asked.map { place in place.map { accounts[$0] } }) }

    // MARK: What belongs to the cut

    /// Call before the accounts change by something that belongs to the cut: takes out what they hold.
    mutating func takeOut(_ debit: AccountIndex?, _ credit: AccountIndex?, _ ledger: inout Ledger) {
        change(debit, credit, &ledger) { copy, account in
            copy.debitsPending.value &-= account.debitsPending.value
            copy.debitsPosted.value &-= account.debitsPosted.value
            copy.creditsPending.value &-= account.creditsPending.value
            copy.creditsPosted.value &-= account.creditsPosted.value
            copy.flags.formSymmetricDifference(account.flags)
        } totals: {
            $0.subtract($1)
        }
    }

    /// And after it: puts in what they hold now.
    mutating func putIn(_ debit: AccountIndex?, _ credit: AccountIndex?, _ ledger: inout Ledger) {
        change(debit, credit, &ledger) { copy, account in
            copy.debitsPending.value &+= account.debitsPending.value
            copy.debitsPosted.value &+= account.debitsPosted.value
            copy.creditsPending.value &+= account.creditsPending.value
            copy.creditsPosted.value &+= account.creditsPosted.value
            copy.flags.formSymmetricDifference(account.flags)
        } totals: {
            $0.add($1)
        }
    }

    /// A transfer that belongs to the cut holds, or releases, what is over by the cut's time: of the sums that is no part.
    mutating func takeOut(
        _ over: (amount: Amount, isOpening: Bool), _ debit: AccountIndex?, _ credit: AccountIndex?,
        _ ledger: inout Ledger
    ) {
        guard let either = debit ?? credit, !totals.isEmpty else { return }
        let slot = ledger.totalsSlot(of: either)
        let change = over.isOpening ? 0 &- over.amount.value : over.amount.value
        if debit != nil { totals[slot].debitsPending &+= change }
        if credit != nil { totals[slot].creditsPending &+= change }
    }

    /// An account has been created that belongs to the cut.
    mutating func putIn(created account: AccountID, _ ledger: inout Ledger) {
        guard let index = ledger.find(account) else { return }
        for (i, id) in ids.enumerated() where id == account { asked[i] = copyAccount(index, &ledger) }
        guard asksForTotals else { return }
        while totals.count < ledger.ledgerCount {
            totals.append(LedgerTotals(ledger: ledger.totals(totals.count).ledger))
        }
    }

    private mutating func change(
        _ debit: AccountIndex?, _ credit: AccountIndex?, _ ledger: inout Ledger,
        account: (inout Account, Account) -> Void, totals change: (inout LedgerTotals, LedgerTotals) -> Void
    ) {
        for side in [debit, credit] {
            guard let side, let place = places[side.value] else { continue }
            account(&accounts[place], ledger.account(side, at: time))
        }
        // Both accounts share their ledger, and so its sums.
        guard let either = debit ?? credit, !totals.isEmpty else { return }
        let slot = ledger.totalsSlot(of: either)
        change(&totals[slot], ledger.totals(slot))
    }

    // MARK: What always holds

    /// - Parameter isTaken: The shard has a copy for a cut under way; else there is nothing.
    func checkInvariants(isTaken: Bool, _ ledger: borrowing Ledger) {
        guard isTaken else {
            return invariant(
                ids.isEmpty && totals.isEmpty && accounts.isEmpty && places.isEmpty && asked.isEmpty,
                "a copy is kept for no cut")
        }
        invariant(asked.count == ids.count, "\(asked.count) accounts copied of \(ids.count)")
        invariant(places.count == accounts.count, "\(accounts.count) copies of \(places.count) accounts")
        for place in asked { invariant(place ?? 0 < max(accounts.count, 1), "copy \(place ?? 0) of \(accounts.count)") }
        for (index, place) in places {
            invariant(
                accounts[place].id == ledger.account(AccountIndex(Int(index))).id,
                "copy \(place) is not of account \(index)")
        }
        invariant(asksForTotals || totals.isEmpty, "sums that nobody asked for")
        invariant(totals.count <= ledger.ledgerCount, "sums of \(totals.count) ledgers of \(ledger.ledgerCount)")
        for (slot, sums) in totals.enumerated() {
            invariant(sums.ledger == ledger.totals(slot).ledger, "sums of another ledger in place \(slot)")
        }
    }
}
