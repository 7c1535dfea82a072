// What clients ask for, and how a front hands it in.

import Foundation
import SuanpanCore
import SuanpanJournal
import SuanpanLanes
import SuanpanLedger
import SuanpanShard

#if canImport(Glibc)
    import Glibc
#endif

extension Simulation {
    // MARK: Clients

    func makePool() {
        let count = isContended ? dice.between(2, 3) : dice.between(2, 7)
        var next: UInt128 = 1
        func accountID(_ shard: Int) -> AccountID {
            while true {
                let id = AccountID(next)
                next += 1
                if routing.shard(of: id).index == shard { return id }
            }
        }
        for i in 0..<count {
            // The first two live apart, where there is more than one shard.
            let shard = i < 2 ? i % shardCount : dice.below(shardCount)
            let flags: AccountFlags =
                switch isContended ? dice.between(6, 16) : dice.below(20) {
                case 0..<8: []
                case 8..<(isContended ? 10 : 13): .debitsMustNotExceedCredits
                case 8..<17: .creditsMustNotExceedDebits
                case 17: .closed
                case 18: .debitsFrozen
                default: .creditsFrozen
                }
            var account = Account(
                id: accountID(shard), ledger: !isContended && dice.chance(6) ? 2 : 1, code: 1, flags: flags,
                userData64: UInt64(dice.below(2)))
            account.code = UInt16(dice.between(1, 2))
            pool.append(account)
        }
        for _ in 0..<2 { unknown.append(accountID(dice.below(shardCount))) }
    }

    /// Creates most accounts and gives them balances, one after the other. Returns the state then.
    func prepareAccounts() throws -> Model {
        var bank = Account(id: AccountID(0), ledger: 1, code: 9)
        var id: UInt128 = 900_000
        while routing.shard(of: AccountID(id)).index != 0 { id += 1 }
        bank.id = AccountID(id)
        var model = Model()
        func one(_ question: Question) throws {
            let shard = shard(of: question)
            let event = events.count
            send(dice.below(clients.count), [question])
            _ = shard
            try drain()
            guard let reply = events[event].reply else { return }
            try check(model.agrees(question, reply), "while preparing: \(events[event])")
        }
        func rebuild() {
            model = Model()
            for e in events where e.reply != nil { model.apply(e.question, e.reply!) }
        }
        let saved = crashesLeft
        crashesLeft = 0
        try one(.account(bank))
        rebuild()
        for account in pool where isContended || dice.chance(85) {
            try one(.account(account))
            rebuild()
        }
        for account in pool where model.accounts[account.id] != nil && account.ledger == 1 {
            var amount = UInt128(dice.between(0, isContended ? 3 : 10))
            if whales && dice.chance(50) { amount = .max - UInt128(dice.between(0, 6)) }
            if account.flags == .debitsMustNotExceedCredits || (amount > 100 && dice.chance(50)) {
                try one(.transfer(transfer(bank.id, account.id, amount)))
            } else if account.flags == .creditsMustNotExceedDebits || amount > 100 {
                try one(.transfer(transfer(account.id, bank.id, amount)))
            }
            rebuild()
        }
        crashesLeft = saved
        return model
    }

    func transfer(_ debit: AccountID, _ credit: AccountID, _ amount: UInt128) -> Transfer {
        nextID += 1
        return Transfer(
            id: TransferID(nextID), debit: debit, credit: credit, amount: Amount(amount), ledger: 1, code: 1)
    }

    /// A client asks for something.
    func ask() {
        let c = dice.below(clients.count)
        guard clients[c].open.count + clients[c].backlog.count < 4 else { return }
        if clients[c].isStream {
            for _ in 0..<dice.pick([1, 1, 2, 3]) { send(c, [question()]) }
        } else if dice.chance(70) {
            let debit = dice.chance(50) ? dice.pick(pool).id : nil
            send(c, (0..<dice.pick([1, 1, 2, 3])).map { _ in .transfer(someTransfer(debit: debit)) })
        } else {
            send(c, [question()])
        }
    }

    func question() -> Question {
        switch isContended ? dice.between(0, 80) : dice.below(100) {
        case 0..<65: return .transfer(someTransfer(debit: nil))
        case 65..<72:
            var account = dice.pick(pool)
            if dice.chance(20) { account.code = 7 }
            if dice.chance(10) { account.flags.formUnion([.debitsMustNotExceedCredits, .creditsMustNotExceedDebits]) }
            return .account(account)
        case 72..<90: return .lookupAccount(someAccount())
        default:
            guard !used.isEmpty else { return .lookupAccount(someAccount()) }
            let t = dice.pick(used)
            return .lookupTransfer(t.debitAccountID, t.id)
        }
    }

    func someAccount() -> AccountID {
        if dice.chance(hot) { return pool[dice.below(min(2, pool.count))].id }
        return dice.chance(isContended ? 1 : 4) ? dice.pick(unknown) : dice.pick(pool).id
    }

    func someTransfer(debit: AccountID?) -> Transfer {
        if !used.isEmpty && dice.chance(isContended ? 6 : 18) {
            var again = dice.pick(used)
            if dice.chance(30) { again.amount.value ^= 1 }
            if dice.chance(10) { again.userData64 += 1 }
            if dice.chance(10) { again.creditAccountID = someAccount() }
            if dice.chance(10) { again.debitAccountID = someAccount() }
            return again
        }
        let from = debit ?? someAccount()
        var to = someAccount()
        while to == from && !dice.chance(3) { to = dice.chance(90) ? dice.pick(pool).id : dice.pick(unknown) }
        if isContended && to == from { to = pool[(pool.firstIndex { $0.id == from } ?? 0) == 0 ? 1 : 0].id }
        var t = transfer(
            from, to, UInt128(dice.pick(isContended ? [0, 1, 1, 1, 2, 2, 3] : [0, 1, 1, 2, 2, 3, 4, 5, 7, 12])))
        if whales && dice.chance(15) { t.amount = Amount(.max - UInt128(dice.below(12))) }
        if dice.chance(3) { t.ledger = 2 }
        if dice.chance(2) { t.code = 0 }
        used.append(t)
        return t
    }

    func shard(of question: Question) -> Int {
        switch question {
        case .transfer(let t): routing.shard(of: t.debitAccountID).index
        case .account(let a): routing.shard(of: a.id).index
        case .lookupAccount(let id): routing.shard(of: id).index
        case .lookupTransfer(let debit, _): routing.shard(of: debit).index
        case .cut: 0
        }
    }

    /// Sends one request of a native client, or one command of a stream.
    func send(_ c: Int, _ questions: [Question]) {
        nextRequest += 1
        for question in questions {
            clients[c].place += 1
            let event = events.count
            events.append(
                Event(
                    question: question, reply: nil, client: c, stream: clients[c].stream, request: nextRequest,
                    shard: shard(of: question), invoked: step, responded: nil, place: clients[c].place))
            trace("ask \(events[event])")
            clients[c].backlog.append(event)
        }
        pump(c)
    }

    /// Hands in what the front may: a command of a stream waits while an earlier one, not yet answered, concerns one of
    /// its accounts on another shard.
    func pump(_ c: Int) {
        while let event = clients[c].backlog.first {
            let e = events[event]
            if e.stream != 0 {
                let isHeld = clients[c].open.contains { earlier in
                    events[earlier].shard != e.shard && events[earlier].accounts.contains { e.accounts.contains($0) }
                }
                if isHeld { return }
            }
            clients[c].backlog.removeFirst()
            clients[c].open.append(event)
            // A core's own connections wait one by one; those of another core share its lane.
            let pipe = clients[c].front == e.shard ? shardCount + c : clients[c].front
            queues[e.shard][pipe].append(event)
        }
    }
}
