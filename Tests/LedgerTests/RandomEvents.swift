// Random requests over few accounts and ids that collide, with all flags, chains, and events sent again with a field
// changed. Amounts are small, or at the top of 128 bits.

import SuanpanCore

struct RandomEvents {
    var random: Seeded
    private var sent: [Transfer] = []
    private var chains: [[Transfer]] = []
    private var accounts: [Account] = []
    private let accountCount: Int
    /// Amounts at the top of 128 bits soon leave no room for any other.
    private let hasHugeAmounts: Bool
    private var freshID: UInt128 = 1000
    /// Pending transfers that a post or void would find, as asked.
    var open: [Transfer] = []

    init(seed: UInt64) {
        random = Seeded(seed)
        accountCount = 4 + random.below(5)
        hasHugeAmounts = random.oneIn(3)
    }

    // MARK: Accounts

    /// All accounts but the last: something is left to be not found.
    mutating func firstAccounts() -> [Account] {
        accounts = (1..<accountCount).map { i in
            var a = account()
            a.id = AccountID(UInt128(i))
            return a
        }
        return accounts
    }

    mutating func accountRequest() -> [Account] {
        if random.oneIn(150) { return (0..<66).map { i in linked(account(), i < 65) } }
        let n = 1 + random.below(3)
        return (0..<n).map { _ in
            var a = random.oneIn(3) && !accounts.isEmpty ? random.pick(accounts) : account()
            if random.oneIn(6) { change(&a) }
            a = linked(a, random.oneIn(4))
            accounts.append(a)
            return a
        }
    }

    private func linked(_ a: Account, _ isLinked: Bool) -> Account {
        var a = a
        if isLinked { a.flags.insert(.linked) } else { a.flags.remove(.linked) }
        return a
    }

    mutating func account() -> Account {
        var a = Account(id: accountID(), ledger: random.oneIn(15) ? 2 : 1, code: 1)
        switch random.below(8) {
        case 0, 1: a.flags = .debitsMustNotExceedCredits
        case 2: a.flags = .creditsMustNotExceedDebits
        default: break
        }
        if random.oneIn(40) { a.flags.formUnion(random.pick([.closed, .debitsFrozen, .creditsFrozen, .history])) }
        return a
    }

    private mutating func change(_ a: inout Account) {
        switch random.below(16) {
        case 0: a.timestamp = Timestamp(1)
        case 1: a.reserved = 1
        case 2: a.flags.insert(random.pick([AccountFlags(rawValue: 1 << 12), .striped]))
        case 3: a.flags = [.debitsMustNotExceedCredits, .creditsMustNotExceedDebits]
        case 4: a.id = AccountID(random.pick([0, .max]))
        case 5: a.debitsPending = Amount(1)
        case 6: a.debitsPosted = Amount(1)
        case 7: a.creditsPending = Amount(1)
        case 8: a.creditsPosted = Amount(1)
        case 9: a.ledger = UInt32(random.below(3))
        case 10: a.code = UInt16(random.below(3))
        case 11: a.userData128 = 1
        case 12: a.userData64 = 1
        case 13: a.userData32 = 1
        default: a.flags.insert(random.pick([.closed, .debitsFrozen, .creditsFrozen]))
        }
    }

    mutating func accountID() -> AccountID { AccountID(UInt128(1 + random.below(accountCount))) }

    // MARK: Transfers

    mutating func transferRequest() -> [Transfer] {
        if random.oneIn(12) && !chains.isEmpty {
            // A chain again: unchanged, one event changed, some left out or added.
            var chain = random.pick(chains)
            switch random.below(6) {
            case 0: change(&chain[random.below(chain.count)])
            case 1: if chain.count > 1 { chain.removeFirst() }
            case 2: chain.insert(linked(transfer(), true), at: random.below(chain.count))
            default: break
            }
            return chain
        }
        if random.oneIn(200) { return (0..<random.pick([64, 65, 66])).map { i in linked(transfer(), i < 63) } }
        if random.oneIn(100) { return (0..<70).map { i in linked(transfer(), i < 69) } }
        var request: [Transfer] = []
        for _ in 0..<1 + random.below(2) {
            let n = random.oneIn(3) ? 2 + random.below(4) : 1
            let chain = (0..<n).map { i in
                linked(random.oneIn(10) && !sent.isEmpty ? again() : transfer(request), i < n - 1 || random.oneIn(60))
            }
            sent += chain
            chains.append(chain)
            request += chain
        }
        return request
    }

    private mutating func again() -> Transfer {
        var t = random.pick(sent)
        if random.oneIn(2) { change(&t) }
        return t
    }

    private func linked(_ t: Transfer, _ isLinked: Bool) -> Transfer {
        var t = t
        if isLinked { t.flags.insert(.linked) } else { t.flags.remove(.linked) }
        return t
    }

    mutating func transfer(_ before: [Transfer] = []) -> Transfer {
        var t = Transfer(
            id: id(), debit: accountID(), credit: accountID(), amount: amount(), ledger: random.oneIn(25) ? 2 : 1,
            code: random.oneIn(6) ? 2 : 1)
        while t.creditAccountID == t.debitAccountID { t.creditAccountID = accountID() }
        switch random.below(10) {
        case 0, 1, 2:
            t.flags = .pending
            if random.oneIn(2) { t.timeout = random.pick([1, 1, 2, 3, 7, 70_000, .max]) }
            if random.oneIn(30) {
                t.flags.formUnion(random.pick([.closingDebit, .closingCredit]))
                t.timeout = 1
            }
            if random.oneIn(8) { t.flags.formUnion(random.pick([.balancingDebit, .balancingCredit])) }
        case 3, 4, 5:
            t.flags = random.oneIn(3) ? .voidPending : .postPending
            // Mostly one that is there.
            let candidates =
                random.oneIn(3) || open.isEmpty
                ? (before + sent.suffix(60)).filter { $0.flags.contains(.pending) } : open
            if let p = candidates.randomElement(using: &random), !random.oneIn(8) {
                t.debitAccountID = p.debitAccountID
                t.pendingID = p.id
                t.creditAccountID = random.oneIn(2) ? AccountID(0) : p.creditAccountID
                t.ledger = random.oneIn(2) ? 0 : p.ledger
                t.code = random.oneIn(2) ? 0 : p.code
                if random.oneIn(2) { t.amount = p.amount }
                if random.oneIn(3) { t.amount = Amount(.max) }
            } else {
                t.pendingID = id()
            }
        case 6:
            t.flags = random.pick([.balancingDebit, .balancingCredit, [.balancingDebit, .balancingCredit]])
            if random.oneIn(2) { t.amount = Amount(.max) }
        default: break
        }
        if random.oneIn(25) { change(&t) }
        return t
    }

    private mutating func id() -> TransferID {
        if random.oneIn(10) { return TransferID(UInt128(1 + random.below(20))) }
        freshID += 1
        return TransferID(freshID)
    }

    private mutating func amount() -> Amount {
        switch hasHugeAmounts ? random.below(25) : 25 {
        case 0: Amount(.max)
        case 1: Amount(.max - UInt128(random.below(10)))
        case 2, 3: Amount(1 << 127)
        default: Amount(UInt128(random.below(20)))
        }
    }

    private mutating func change(_ t: inout Transfer) {
        switch random.below(22) {
        case 0: t.timestamp = Timestamp(1)
        case 1: t.flags.insert(random.pick([.imported, TransferFlags(rawValue: 1 << 12)]))
        case 2: t.flags.formUnion(random.pick([[.pending, .postPending], [.postPending, .voidPending]]))
        case 3: t.flags.formUnion(random.pick([.pending, .voidPending, .balancingDebit, .closingDebit]))
        case 4: t.id = TransferID(random.pick([0, .max]))
        case 5: t.debitAccountID = AccountID(random.pick([0, .max]))
        case 6: t.creditAccountID = AccountID(random.pick([0, .max]))
        case 7: t.creditAccountID = t.debitAccountID
        case 8: t.pendingID = TransferID(random.pick([0, .max, t.id.value, 3]))
        case 9: t.timeout = 1 + UInt32(random.below(3))
        case 10: t.timeout = 0
        case 11: t.ledger = UInt32(random.below(4))
        case 12: t.code = UInt16(random.below(4))
        case 13: t.userData128 = 1
        case 14: t.userData64 = 1
        case 15: t.userData32 = 1
        case 16: t.amount = amount()
        case 17: t.creditAccountID = AccountID(UInt128(1 + random.below(accountCount + 2)))
        case 18: t.debitAccountID = AccountID(UInt128(1 + random.below(accountCount + 2)))
        case 19: t.flags = []
        case 20: t.pendingID = id()
        default: t.amount = Amount(.max)
        }
    }
}
