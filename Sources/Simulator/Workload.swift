// What clients choose from: few accounts, few ids, small amounts, so that everything collides.

import SuanpanCore
import SuanpanShard

struct Workload {
    var isContended = false
    var isPlain = false
    /// Some balances are close to the largest there are.
    var hasWhales = false
    /// Long chains and requests, so that groups have many blocks.
    var isBulk = false
    /// Mostly plain credits to accounts that take any: standing votes are given, used, and now and then taken back.
    var isSteady = false
    /// Of these, a good part pending, and posted or voided.
    var isReserving = false
    /// Likewise a good part chains in which one account pays several.
    var isPaying = false
    /// A sale: holds, and chains that post one and take a fee, or pass money on; many of them about the same few accounts.
    var isSelling = false
    /// Chains of accounts are created too.
    var chainsAccounts = false
    /// Percent of choices that fall on the first two accounts.
    var hot = 0
    /// Percent of questions that look at accounts, beside those of the usual mix.
    var looks = 0
    /// Percent of questions that freeze or unfreeze, likewise.
    var freezes = 0

    private(set) var pool: [Account] = []
    private var unknown: [AccountID] = []
    /// Gives the others their balances.
    private(set) var bank = Account(id: AccountID(0), ledger: 1, code: 9)
    private var nextID: UInt128 = 1000
    private var used: [Transfer] = []
    private var usedChains: [[Transfer]] = []
    private var usedAccountChains: [[Account]] = []
    /// Asked to be pending.
    private var reserved: [Transfer] = []

    mutating func makePool(_ dice: inout Dice, _ routing: Routing) {
        var next: UInt128 = 1
        func accountID(_ shard: Int) -> AccountID {
            while true {
                let id = AccountID(next)
                next += 1
                if routing.shard(of: id).index == shard { return id }
            }
        }
        let count = isContended ? dice.between(2, 3) : isSteady ? dice.between(3, 5) : dice.between(2, 7)
        let limits = isSteady ? 10 : isBulk ? 8 : 20
        for i in 0..<count {
            // The first two live apart, where there is more than one shard.
            let shard = i < 2 || isSteady ? i % routing.shardCount : dice.below(routing.shardCount)
            let flags = isSelling ? sellersFlags(&dice) : flags(&dice, limits)
            var account = Account(
                id: accountID(shard), ledger: !isContended && !isSteady && !isBulk && dice.chance(6) ? 2 : 1, code: 1,
                flags: flags, userData64: UInt64(dice.below(2)))
            account.code = UInt16(dice.between(1, 2))
            pool.append(account)
        }
        for _ in 0..<(chainsAccounts ? 6 : 2) { unknown.append(accountID(dice.below(routing.shardCount))) }
        bank.id = AccountID(900_000)
        while routing.shard(of: bank.id).index != 0 { bank.id.value += 1 }
    }

    private func flags(_ dice: inout Dice, _ limits: Int) -> AccountFlags {
        switch isContended ? dice.between(6, 16) : dice.below(limits) {
        case 0..<8: []
        case 8..<(isContended ? 10 : 13): .debitsMustNotExceedCredits
        case 8..<17: .creditsMustNotExceedDebits
        case 17: .closed
        case 18: .debitsFrozen
        default: .creditsFrozen
        }
    }

    private func sellersFlags(_ dice: inout Dice) -> AccountFlags {
        dice.pick([[], .debitsMustNotExceedCredits, .debitsMustNotExceedCredits, .creditsMustNotExceedDebits])
    }

    // MARK: Questions

    mutating func question(_ dice: inout Dice) -> Question {
        if chainsAccounts && dice.chance(4) { return .accounts(accountChain(&dice)) }
        if dice.chance(looks) { return dice.chance(70) ? .lookupAccount(someAccount(&dice)) : cut(&dice) }
        if dice.chance(freezes) { return freeze(&dice) }
        if isSelling && dice.chance(80) { return .transfers(dice.chance(65) ? sale(&dice) : [hold(&dice)]) }
        if isPaying && dice.chance(30) { return .transfers(payOut(&dice)) }
        if isSteady && dice.chance(88) { return .transfers(transfers(&dice, debit: nil)) }
        switch dice.below(100) {
        case 0..<(isContended ? 85 : 55): return .transfers(transfers(&dice, debit: nil))
        case 55..<68:
            return .account(account(&dice))
        case 68..<75:
            return freeze(&dice)
        case 75..<89: return .lookupAccount(someAccount(&dice))
        case 89..<93: return cut(&dice)
        default:
            guard !used.isEmpty else { return .lookupAccount(someAccount(&dice)) }
            let t = dice.pick(used)
            return .lookupTransfer(t.debitAccountID, t.id)
        }
    }

    /// An account or a chain of some.
    mutating func accountQuestion(_ dice: inout Dice) -> Question {
        dice.chance(50) ? .account(account(&dice)) : .accounts(accountChain(&dice))
    }

    private func account(_ dice: inout Dice) -> Account {
        if dice.chance(15) { return Account(id: dice.pick(unknown), ledger: 1, code: 1) }
        var account = dice.pick(pool)
        if dice.chance(20) { account.userData64 ^= 1 }
        if dice.chance(10) { account.code += 1 }
        if dice.chance(5) { account.flags.formUnion([.debitsMustNotExceedCredits, .creditsMustNotExceedDebits]) }
        return account
    }

    /// Accounts that mostly do not exist yet, now and then the same again.
    private mutating func accountChain(_ dice: inout Dice) -> [Account] {
        if !usedAccountChains.isEmpty && dice.chance(30) {
            var again = dice.pick(usedAccountChains)
            if dice.chance(30) { again[dice.below(again.count)].userData64 ^= 1 }
            return again
        }
        var chain = dice.shuffled(unknown).prefix(dice.pick([2, 2, 3, 4])).map { id in
            Account(id: id, ledger: 1, code: 1, flags: dice.chance(20) ? .creditsMustNotExceedDebits : [])
        }
        if dice.chance(10) { chain.insert(dice.pick(pool), at: dice.below(chain.count + 1)) }
        if dice.chance(5) { chain[chain.count - 1].code = 0 }
        if dice.chance(5) { chain[chain.count - 1].id = chain[0].id }
        for k in chain.indices.dropLast() { chain[k].flags.insert(.linked) }
        usedAccountChains.append(chain)
        return chain
    }

    private func freeze(_ dice: inout Dice) -> Question {
        guard !isPlain else { return .lookupAccount(someAccount(&dice)) }
        let sides: AccountFlags = dice.pick([.debitsFrozen, .creditsFrozen, .freezing])
        return .freeze(someAccount(&dice), sides, lifting: dice.chance(60))
    }

    private func cut(_ dice: inout Dice) -> Question {
        .cut((0..<dice.between(0, 4)).map { _ in someAccount(&dice) })
    }

    /// One transfer, or a chain of some.
    mutating func transfers(_ dice: inout Dice, debit: AccountID?) -> [Transfer] {
        if isPlain || dice.chance(isSteady ? 99 : 80) { return [someTransfer(&dice, debit: debit)] }
        if !usedChains.isEmpty && dice.chance(20) {
            var again = dice.pick(usedChains)
            if dice.chance(40) {
                let k = dice.below(again.count)
                again[k] = changed(&dice, again[k])
            }
            return again
        }
        var chain: [Transfer] = []
        let count = dice.pick(isBulk ? [9, 20, 40, 64] : [2, 2, 2, 3, 3, 4, 9])
        let isSound = isBulk || dice.chance(70)
        for k in 0..<count {
            var t = someTransfer(&dice, debit: dice.chance(30) ? debit : nil, isSound: isSound)
            // What the events before it bring is passed on, or posted at once.
            if let last = chain.last {
                if last.flags.contains(.pending) && dice.chance(isSound ? 10 : 30) {
                    t = resolving(&dice, last)
                } else if t.flags.isPlain && !last.flags.resolves && dice.chance(40)
                    && last.creditAccountID != t.creditAccountID
                {
                    t.debitAccountID = last.creditAccountID
                }
            }
            if k + 1 < count { t.flags.insert(.linked) }
            chain.append(t)
        }
        usedChains.append(chain)
        return chain
    }

    func someAccount(_ dice: inout Dice, isSound: Bool = false) -> AccountID {
        if dice.chance(hot) { return pool[dice.below(min(2, pool.count))].id }
        return !isSound && dice.chance(isContended ? 1 : 4) ? dice.pick(unknown) : dice.pick(pool).id
    }

    mutating func transfer(_ debit: AccountID, _ credit: AccountID, _ amount: UInt128) -> Transfer {
        nextID += 1
        return Transfer(
            id: TransferID(nextID), debit: debit, credit: credit, amount: Amount(amount), ledger: 1, code: 1)
    }

    /// - Parameter isSound: Likely to be accepted.
    private mutating func someTransfer(_ dice: inout Dice, debit: AccountID?, isSound: Bool = false) -> Transfer {
        if !used.isEmpty && !isSound && dice.chance(isContended || isSteady ? 6 : 14) {
            var again = dice.pick(used)
            again.flags.remove(.linked)
            return dice.chance(50) ? again : changed(&dice, again)
        }
        if !isPlain && !reserved.isEmpty && dice.chance(isReserving ? 25 : isSteady ? 1 : isSound ? 3 : 30) {
            let t = resolving(&dice, dice.pick(isReserving ? Array(reserved.suffix(12)) : reserved))
            used.append(t)
            return t
        }
        let from = debit ?? someAccount(&dice, isSound: isSound)
        var to = someAccount(&dice, isSound: isSound)
        while to == from && !dice.chance(3) {
            to = isSound || dice.chance(90) ? dice.pick(pool).id : dice.pick(unknown)
        }
        if isContended && to == from { to = pool[(pool.firstIndex { $0.id == from } ?? 0) == 0 ? 1 : 0].id }
        var t = transfer(
            from, to, UInt128(dice.pick(isContended ? [0, 1, 1, 1, 2, 2, 3] : [0, 1, 1, 2, 2, 3, 4, 5, 7, 12])))
        if hasWhales && dice.chance(15) { t.amount = Amount(.max - UInt128(dice.below(12))) }
        // Just too large for a standing vote.
        if isSteady && dice.chance(1) { t.amount = Amount(Limits.standingAmountMax + UInt128(dice.between(0, 1))) }
        if !isSound && dice.chance(2) { t.ledger = 2 }
        if !isSound && dice.chance(1) { t.code = 0 }
        if isReserving && dice.chance(40) {
            t.flags = .pending
            if dice.chance(10) { t.timeout = 1 }
            reserved.append(t)
        } else if !isPlain && dice.chance(isSteady ? 1 : isBulk ? 10 : 45) {
            shape(&dice, &t)
        }
        used.append(t)
        return t
    }

    /// Makes it pending, balancing or closing.
    private mutating func shape(_ dice: inout Dice, _ t: inout Transfer) {
        if dice.chance(70) {
            t.flags.insert(.pending)
            t.timeout = dice.pick([0, 0, 1, 1, 1, 2])
            if dice.chance(10) { t.flags.insert(dice.pick([.closingDebit, .closingCredit])) }
        }
        if t.flags.isPlain || dice.chance(15) {
            t.flags.formUnion(dice.pick([.balancingDebit, .balancingCredit, [.balancingDebit, .balancingCredit]]))
            if dice.chance(60) { t.amount = Amount(dice.pick([3, 20, .max])) }
        }
        if t.flags.contains(.pending) { reserved.append(t) }
        if dice.chance(1) { t.flags.insert(.imported) }
    }

    /// A post or void of what was asked to be pending.
    private mutating func resolving(_ dice: inout Dice, _ held: Transfer) -> Transfer {
        var t = transfer(held.debitAccountID, AccountID(0), .max)
        t.pendingID = held.id
        t.flags = dice.chance(60) ? .postPending : .voidPending
        t.ledger = dice.chance(70) ? 0 : held.ledger
        t.code = dice.chance(70) ? 0 : dice.chance(80) ? held.code : held.code + 1
        if dice.chance(40) { t.creditAccountID = dice.chance(90) ? held.creditAccountID : someAccount(&dice) }
        if dice.chance(60) {
            t.amount = dice.chance(85) ? Amount(held.amount.value / UInt128(dice.between(1, 2))) : Amount(9)
        }
        if dice.chance(3) { t.debitAccountID = someAccount(&dice) }
        return t
    }

    /// A transfer of a sale, often pending, now and then the same again.
    private mutating func hold(_ dice: inout Dice) -> Transfer {
        if !used.isEmpty && dice.chance(12) {
            let again = dice.pick(Array(used.suffix(6)))
            return dice.chance(70) ? again : changed(&dice, again)
        }
        var t = transfer(pool[0].id, pool[0].id, UInt128(dice.pick([1, 2, 3, 5])))
        t.debitAccountID = someAccount(&dice, isSound: true)
        repeat { t.creditAccountID = dice.pick(pool).id } while t.creditAccountID == t.debitAccountID
        if dice.chance(60) {
            t.flags = .pending
            t.timeout = dice.pick([0, 0, 0, 1])
            reserved.append(t)
        }
        used.append(t)
        return t
    }

    /// A chain of a sale: a hold is posted, or voided, and a fee taken; or money goes on, or comes back.
    private mutating func sale(_ dice: inout Dice) -> [Transfer] {
        if !usedChains.isEmpty && dice.chance(8) { return dice.pick(usedChains) }
        var chain: [Transfer] = []
        if !reserved.isEmpty && dice.chance(60) {
            let held = dice.pick(Array(reserved.suffix(8)))
            chain.append(dice.chance(90) ? resolvingSoundly(&dice, held) : resolving(&dice, held))
            chain.append(passingOn(&dice, held.creditAccountID))
        } else {
            for _ in 0..<dice.pick([2, 2, 3, 4]) {
                let from = chain.last.map { dice.chance(60) ? $0.creditAccountID : $0.debitAccountID }
                chain.append(passingOn(&dice, from ?? someAccount(&dice, isSound: true)))
            }
            // One of its ids was seen before, or is another's.
            if !used.isEmpty && dice.chance(6) { chain[dice.below(chain.count)].id = dice.pick(used).id }
        }
        for k in chain.indices.dropLast() { chain[k].flags.insert(.linked) }
        for t in chain where dice.chance(30) {
            used.append(t)
            used[used.count - 1].flags.remove(.linked)
        }
        usedChains.append(chain)
        return chain
    }

    /// One account pays several, now and then another as well, or ends a hold beside a payment to the same account.
    private mutating func payOut(_ dice: inout Dice) -> [Transfer] {
        if !usedChains.isEmpty && dice.chance(8) { return dice.pick(usedChains) }
        if dice.chance(10) { return [hold(&dice)] }
        let held = reserved.isEmpty || dice.chance(75) ? nil : dice.pick(Array(reserved.suffix(8)))
        let payer = held?.debitAccountID ?? someAccount(&dice, isSound: true)
        var chain: [Transfer] = []
        if let held {
            chain.append(resolvingSoundly(&dice, held))
            chain.append(transfer(payer, held.creditAccountID, 1))
            for k in 0..<2 { chain[k].flags.insert(.linked) }
        }
        for _ in 0..<dice.pick([2, 2, 3, 5]) {
            let from = dice.chance(85) ? payer : someAccount(&dice, isSound: true)
            var t = transfer(from, from, UInt128(dice.pick([1, 1, 2, 3])))
            repeat { t.creditAccountID = dice.pick(pool).id } while t.creditAccountID == from
            t.flags = .linked
            chain.append(t)
        }
        chain[chain.count - 1].flags = []
        // Its own fields refuse the last, or its id was seen before.
        switch dice.below(40) {
        case 0: chain[chain.count - 1].id = TransferID(0)
        case 1: chain[chain.count - 1].code = 0
        case 2: chain[chain.count - 1].amount = Amount(Limits.standingAmountMax + 1)
        case 3 where !used.isEmpty: chain[dice.below(chain.count)].id = dice.pick(used).id
        default: break
        }
        usedChains.append(chain)
        return chain
    }

    private mutating func passingOn(_ dice: inout Dice, _ from: AccountID) -> Transfer {
        var t = transfer(from, from, UInt128(dice.pick([1, 1, 2, 3])))
        repeat { t.creditAccountID = dice.pick(pool).id } while t.creditAccountID == from
        if dice.chance(10) {
            t.flags = .pending
            reserved.append(t)
        }
        return t
    }

    private mutating func resolvingSoundly(_ dice: inout Dice, _ held: Transfer) -> Transfer {
        var t = transfer(held.debitAccountID, held.creditAccountID, .max)
        if dice.chance(50) { t.creditAccountID = AccountID(0) }
        t.pendingID = held.id
        t.flags = dice.chance(75) ? .postPending : .voidPending
        t.ledger = 0
        t.code = 0
        if dice.chance(30) { t.amount = Amount(held.amount.value / UInt128(dice.between(1, 2))) }
        return t
    }

    /// The same with one field changed.
    private func changed(_ dice: inout Dice, _ t: Transfer) -> Transfer {
        var t = t
        switch dice.below(12) {
        case 0..<3: t.amount.value ^= 1
        case 3: t.creditAccountID = someAccount(&dice)
        case 4: t.debitAccountID = someAccount(&dice)
        case 5: t.userData128 += 1
        case 6: t.userData64 += 1
        case 7: t.userData32 += 1
        case 8: t.timeout += 1
        case 9: t.code += 1
        case 10: t.ledger ^= 3
        default: t.flags.formSymmetricDifference(isPlain ? [] : .pending)
        }
        return t
    }
}
