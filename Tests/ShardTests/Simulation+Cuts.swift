// Consistent cuts in the simulation: clients ask for them, and what they show is compared with the logs, to the nanosecond.

import SuanpanCore
import SuanpanShard

extension Simulation {
    /// A native client asks for the sums, or for several accounts as of one moment.
    func askForCut() {
        guard let c = clients.indices.first(where: { !clients[$0].isStream }), clients[c].open.count < 4 else { return }
        let ids = dice.chance(30) ? [] : (0..<dice.between(1, 4)).map { _ in someAccount() }
        send(c, [.cut(ids)])
    }

    func lookAtCuts(_ node: Node, mayMiss: Bool) {
        if !mayMiss || !cutDice.chance(cutMisses) { node.shard.joinCut() }
    }

    /// Losing all memory right after an answer shows whether it rested on anything that was not durable.
    func crashAfterCut() throws -> Bool {
        guard isCutFresh else { return false }
        isCutFresh = false
        guard crashesLeft > 0, options.harnessFault == nil, cutDice.chance(70) else { return false }
        try crash()
        return true
    }

    /// What a core does for cuts in its turn: shard 0 begins them and answers.
    func workCuts(_ node: Node) {
        let before = node.shard.statistics.cuts
        node.shard.beginCut(now: time)
        if node.shard.statistics.cuts > before {
            cutsBegun += 1
            trace("shard 0 begins a cut")
        }
        guard time >= node.shard.clock.now else { return }
        while let request = node.shard.nextCutAnswer() {
            guard let event = request.request.map(Int.init), let answer = request.answer else { continue }
            cutAnswers[event] = answer
            coverage.cuts += 1
            isCutFresh = true
            let totals = answer.totals.map { sum in
                var sum = sum
                sum.timestamp = .zero
                return sum
            }
            answered(event, .cut(answer.accounts, totals))
        }
    }

    /// Every cut since the last crash showed exactly what the logs hold with timestamps up to its moment, and its sums were
    /// balanced. (After a crash the clock may begin again below a cut's moment, though not below any transfer.)
    func checkCuts() throws {
        defer {
            cutAnswers = [:]
            cutsBegun = 0
        }
        // One of them may have been lost in the crash.
        coverage.lateCuts += max(0, cutsBegun - Set(cutAnswers.values.map(\.time)).count - 1)
        let told = try told(try readLogs())
        for (event, answer) in cutAnswers.sorted(by: { $0.key < $1.key }) {
            var model = Model()
            for a in told.accounts.values where a.timestamp <= answer.time { model.accounts[a.id] = a }
            for t in told.transfers.values where t.timestamp <= answer.time {
                model.accounts[t.debitAccountID]?.debitsPosted.value &+= t.amount.value
                model.accounts[t.creditAccountID]?.creditsPosted.value &+= t.amount.value
            }
            try check(
                events[event].reply == model.answer(events[event].question),
                "the cut at \(answer.time.nanoseconds) is not what the logs hold: \(events[event])\nthe logs: \(model.answer(events[event].question))"
            )
            for sum in answer.totals {
                try check(sum.isBalanced && sum.timestamp == answer.time, "a cut is not balanced: \(events[event])")
            }
        }
    }
}
