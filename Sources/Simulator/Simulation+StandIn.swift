// Where cores have no doors, the simulation stands in for their fronts: it hands in what clients ask, as `Front.serve` does,
// and takes the answers.

import SuanpanCore
import SuanpanJournal
import SuanpanShard

extension Simulation {
    // MARK: Requests, as Front.serve hands them in

    /// Hands in what clients ask of a core.
    func serve(_ i: Int, _ shard: inout Shard, isWhole: Bool) throws(JournalError) {
        for pipe in dice.shuffled(Array(queues[i].indices)) where !queues[i][pipe].isEmpty {
            try serve(i, pipe, &shard, isWhole)
        }
    }

    private func serve(_ i: Int, _ pipe: Int, _ shard: inout Shard, _ isWhole: Bool) throws(JournalError) {
        var left = isWhole ? 1000 : dice.pick([1, 1, 2, 4, 1000])
        // A run of transfers is looked ahead at, as the loop does; an account may be created in between.
        var staged: [Int: Int] = [:]
        if dice.chance(60) {
            for event in queues[i][pipe].prefix(Shard.stagedMax) {
                guard let t = events[event].question.single, Shard.needsNoChain(t) else { continue }
                shard.stage(staged.count, t)
                staged[event] = staged.count
            }
            shard.lookAhead(staged: staged.count)
        }
        while left > 0, let event = queues[i][pipe].first {
            guard try serve(event, &shard, staged: staged[event]) else {
                coverage.stalls += 1
                break
            }
            trace("shard \(i) takes \(events[event])")
            queues[i][pipe].removeFirst()
            left -= 1
        }
    }

    /// Hands an event in. False: it must be tried again later.
    private func serve(_ event: Int, _ shard: inout Shard, staged: Int?) throws(JournalError) -> Bool {
        let e = events[event]
        let origin = Origin(
            core: UInt16(clients[e.client].front), operation: 1, request: UInt32(event), index: 0,
            stream: e.question.goesAlone ? 0 : e.stream)
        let submission: Submission
        switch e.question {
        case .transfers(let asked):
            if e.question.isChain || (e.question.goesAlone && e.stream != 0) {
                for (k, t) in asked.enumerated() { shard.chainInput[k] = t }
                submission = try shard.submitChain(asked.count, origin)
            } else if let staged {
                submission = try shard.submit(asked[0], origin, staged: staged)
            } else {
                submission = try shard.submit(asked[0], origin)
            }
        case .account(let a): submission = shard.submit(a, origin)
        case .accounts(let asked):
            for (k, a) in asked.enumerated() { shard.chainInput[k] = a.bits }
            submission = shard.submitAccountChain(asked.count, origin)
        case .freeze(let id, let sides, let lifting):
            submission = try shard.submitFreeze(Shard.freezeKey(id, sides, lifting: lifting), origin)
        case .lookupAccount(let id):
            switch shard.lookup(id, origin) {
            case .found(let account): shard.answerRecord(origin, account.bits)
            case .unknown: shard.answerRecord(origin, nil)
            case .deferred: break
            case .stalled: return false
            }
            return true
        case .lookupTransfer(let debit, let id):
            var key = Shard.readKey(debit)
            key.id = id
            switch try shard.lookup(transfer: key, origin) {
            case .found(let found): shard.answerRecord(origin, found)
            case .deferred: break
            case .stalled: return false
            }
            return true
        case .cut(let ids):
            shard.ask(CutRequest(core: shard.id, request: UInt32(event), accounts: ids))
            return true
        }
        switch submission {
        case .answered(let result):
            let early = options.harnessFault == .answerAtOnceBeforeDurable
            shard.answers.append(
                Answer(origin: origin, result: result, lsn: early ? .zero : shard.journal.appended))
        case .decided, .deferred: break
        case .stalled: return false
        }
        return true
    }

    // MARK: Answers

    func release(_ shard: inout Shard) {
        let released = shard.released
        while !shard.answers.isEmpty, shard.answers.first.lsn <= released {
            let answer = shard.answers.first
            shard.answers.removeFirst()
            let event = Int(answer.origin.request)
            events[event].results[Int(answer.origin.index)] = answer.result
            let results = events[event].results.compactMap { $0 }
            if results.count == events[event].results.count { answered(event, .results(results)) }
        }
        while !shard.recordAnswers.isEmpty, shard.recordAnswers.first.lsn <= released {
            let answer = shard.recordAnswers.first
            shard.recordAnswers.removeFirst()
            let event = Int(answer.origin.request)
            if case .lookupAccount = events[event].question {
                answered(event, .account(answer.found ? Account(bits: answer.record) : nil))
            } else {
                answered(event, .transfer(answer.found ? answer.record : nil))
            }
        }
    }

    func answered(_ event: Int, _ reply: Reply) {
        events[event].reply = reply.withoutMoment
        events[event].responded = step
        let c = events[event].client
        clients[c].open.removeAll { $0 == event }
        trace("answer \(events[event])")
        // The step after an answer is later than it.
        step += 1
    }
}
