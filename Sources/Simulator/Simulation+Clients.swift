// Clients: when they ask, and how a front hands it in.

import SuanpanCore
import SuanpanShard

extension Simulation {
    /// Creates most accounts and gives them balances, one after the other.
    func prepareAccounts() throws {
        workload.makePool(&dice, routing)
        let bank = workload.bank
        func one(_ question: Question) throws {
            send(dice.below(clients.count), [question])
            try drain(crashing: false)
        }
        let saved = crashesLeft
        crashesLeft = 0
        try one(.account(bank))
        for account in workload.pool where workload.isContended || dice.chance(85) { try one(.account(account)) }
        for account in workload.pool where account.ledger == 1 {
            var amount = UInt128(dice.between(0, workload.isContended ? 3 : 10))
            if workload.isSteady { amount *= 20 }
            if workload.hasWhales && dice.chance(50) { amount = .max - UInt128(dice.between(0, 6)) }
            if account.flags == .debitsMustNotExceedCredits || (amount > 100 && dice.chance(50)) {
                try one(.transfer(workload.transfer(bank.id, account.id, amount)))
            } else if account.flags == .creditsMustNotExceedDebits || amount > 100 {
                try one(.transfer(workload.transfer(account.id, bank.id, amount)))
            }
        }
        crashesLeft = saved
    }

    /// A client asks for something.
    func ask() {
        let c = dice.below(clients.count)
        if clients[c].connection?.isLeaving == true { return }
        guard clients[c].open.count + clients[c].backlog.count < (workload.isBulk ? 40 : 4) else { return }
        if clients[c].isStream {
            for _ in 0..<dice.pick([1, 1, 2, 3]) { send(c, [workload.question(&dice)]) }
        } else if dice.chance(70) {
            let debit = dice.chance(50) ? dice.pick(workload.pool).id : nil
            let count = workload.isBulk ? dice.between(1, 30) : dice.pick([1, 1, 2, 3])
            send(c, (0..<count).map { _ in .transfers(workload.transfers(&dice, debit: debit)) })
        } else {
            var questions = [workload.question(&dice)]
            // Creations of accounts share a frame.
            while hasDoors && questions[0].operation == .createAccounts && dice.chance(40) {
                questions.append(workload.accountQuestion(&dice))
            }
            send(c, questions)
        }
    }

    /// Sends one request of a native client, or one command of a stream.
    func send(_ c: Int, _ questions: [Question]) {
        nextRequest += 1
        let first = events.count
        for question in questions {
            clients[c].place += 1
            let question = !hasDoors ? question : clients[c].isStream ? question.sayable : question.sayableByFrame
            let results = [EventResult?](repeating: nil, count: question.count)
            events.append(
                Event(
                    question: question, reply: nil, results: results, client: c,
                    stream: clients[c].stream, request: nextRequest, place: clients[c].place,
                    shard: shard(of: question), invoked: step, responded: nil))
            for identity in question.identities { timesAsked[identity, default: 0] += 1 }
            trace("ask \(events[events.count - 1])")
        }
        let asked = Array(first..<events.count)
        if hasDoors {
            clients[c].open += asked
            say(c, asked)
        } else {
            clients[c].backlog += asked
            pump(c)
        }
    }

    /// What was not answered is asked again, most of it.
    func askAgain(_ c: Int, _ lost: [Int]) {
        coverage.lost += lost.count
        clients[c].open = []
        clients[c].backlog = []
        for event in dice.shuffled(lost) where dice.chance(70) {
            if events[event].question.isRead { continue }
            send(c, [events[event].question])
        }
    }

    private func shard(of question: Question) -> Int {
        if case .cut = question { 0 } else { routing.shard(of: question.home).index }
    }

    /// Hands in what the front may. A command of a stream waits while an earlier one, not yet answered, concerns one of
    /// its accounts on another shard, and before and after everything that goes alone.
    func pump(_ c: Int) {
        while let event = clients[c].backlog.first {
            let e = events[event]
            if e.stream != 0 {
                let isHeld = clients[c].open.contains { earlier in
                    e.question.goesAlone || events[earlier].question.goesAlone
                        || (events[earlier].shard != e.shard
                            && events[earlier].question.accounts.contains { e.question.accounts.contains($0) })
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
