// A core's turn, in CoreLoop's order, and its disk. Any step of it may be the last before a crash.

import SuanpanCore
import SuanpanJournal
import SuanpanLanes
import SuanpanShard

#if canImport(Glibc)
    import Glibc
#endif

extension Simulation {
    func turn(_ i: Int, isWhole: Bool) throws {
        let node = nodes[i]
        func some(_ percent: Int) -> Bool { isWhole || dice.chance(percent) }
        lookAtCuts(node, mayMiss: !isWhole)
        node.shard.clock.observe(time)
        // 1 completions, in any order
        if !isWhole && dice.chance(1) { node.diskWakes = step + dice.between(20, 200) }
        if isWhole || (step >= node.diskWakes && dice.chance(isDiskSlow ? 4 : 70)) {
            var left = isWhole ? node.writes.count : dice.between(0, node.writes.count)
            while left > 0 {
                try complete(node, dice.below(node.writes.count), mayFail: isDiskFaulty && !isWhole)
                left -= 1
            }
        }
        if let entrance = node.entrance { takeCompletions(entrance, isWhole: isWhole) }
        // 2 control lanes
        for from in dice.shuffled(Array(0..<shardCount)) where from != i && some(isLaneSlow ? 5 : 60) {
            try drain(from, i, isWhole)
        }
        try mayCrash()
        if !isWild || some(60) { try node.shard.settle() }
        // 3 what the log allows
        if !isWild || some(60) {
            node.shard.advance()
            if time >= node.shard.clock.now { release(node) }
        }
        if i == 0 && !hasDoors { workCuts(node) }
        // 4 requests
        if some(70) {
            if let entrance = node.entrance { try serveDoors(i, entrance, isWhole: isWhole) }
            for pipe in dice.shuffled(Array(queues[i].indices)) where !queues[i][pipe].isEmpty {
                try serve(i, pipe, isWhole)
            }
        }
        try mayCrash()
        // 5
        if !isWild || some(60) { try node.shard.settle() }
        if let entrance = node.entrance {
            passCutRequests(i, entrance)
            if node.shard.hasCutWork { workCuts(node) }
        }
        // 6 log
        if some(70) { try writeLog(node) }
        try mayCrash()
        if node.shard.journal.wantsIdleGroup && dice.chance(5) {
            node.shard.journal.sealIdle()
            try writeLog(node)
        }
        // 7
        if some(80) {
            node.shard.flush { _ in }
            node.entrance?.front.flush { _ in }
        }
        if let entrance = node.entrance {
            _ = entrance.front.sweep(now: time)
            try entrance.ring.submit(poll: true)
        }
        for c in clients.indices where clients[c].front == i { pump(c) }
        node.shard.checkInvariants()
        notePlace()
    }

    func mayCrash() throws {
        if crashesLeft > 0 && dice.below(1500) == 0 { throw Crash() }
    }

    private func drain(_ from: Int, _ i: Int, _ isWhole: Bool) throws {
        let node = nodes[i]
        guard let lane = lanes[from][i] else { return }
        var left = isWhole ? 1000 : dice.pick([1, 1, 2, 3, 1000])
        while left > 0, let message = lane.peek() {
            if node.entrance?.take(message, lane) == true {
                lane.take(message)
                left -= 1
                continue
            }
            guard node.shard.canReceive else { break }
            trace("shard \(i) gets \(message.kind) of slot \(message.slot) from \(from)")
            if dice.chance(30) {
                node.shard.lookAhead(0, message)
                node.shard.lookCloser(0)
                node.shard.lookClosest(0)
            }
            node.shard.receive(message)
            lane.take(message)
            left -= 1
            if dice.chance(20) { try node.shard.settle() }
            try mayCrash()
        }
        lane.release()
    }

    // MARK: Requests, as Front.serve hands them in

    private func serve(_ i: Int, _ pipe: Int, _ isWhole: Bool) throws {
        let node = nodes[i]
        var left = isWhole ? 1000 : dice.pick([1, 1, 2, 4, 1000])
        // A run of transfers is looked ahead at, as the loop does; an account may be created in between.
        var staged: [Int: Int] = [:]
        if dice.chance(60) {
            for event in queues[i][pipe].prefix(Shard.stagedMax) {
                guard let t = events[event].question.single, Shard.needsNoChain(t) else { continue }
                node.shard.stage(staged.count, t)
                staged[event] = staged.count
            }
            node.shard.lookAhead(staged: staged.count)
        }
        while left > 0, let event = queues[i][pipe].first {
            guard try serve(event, node, staged: staged[event]) else {
                coverage.stalls += 1
                break
            }
            trace("shard \(i) takes \(events[event])")
            queues[i][pipe].removeFirst()
            left -= 1
        }
    }

    /// Hands an event in. False: it must be tried again later.
    private func serve(_ event: Int, _ node: Node, staged: Int?) throws -> Bool {
        let e = events[event]
        let origin = Origin(
            core: UInt16(clients[e.client].front), operation: 1, request: UInt32(event), index: 0,
            stream: e.question.goesAlone ? 0 : e.stream)
        let submission: Submission
        switch e.question {
        case .transfers(let asked):
            if e.question.isChain || (e.question.goesAlone && e.stream != 0) {
                for (k, t) in asked.enumerated() { node.shard.chainInput[k] = t }
                submission = try node.shard.submitChain(asked.count, origin)
            } else if let staged {
                submission = try node.shard.submit(asked[0], origin, staged: staged)
            } else {
                submission = try node.shard.submit(asked[0], origin)
            }
        case .account(let a): submission = node.shard.submit(a, origin)
        case .accounts(let asked):
            for (k, a) in asked.enumerated() { node.shard.chainInput[k] = a.bits }
            submission = node.shard.submitAccountChain(asked.count, origin)
        case .freeze(let id, let sides, let lifting):
            submission = try node.shard.submitFreeze(Shard.freezeKey(id, sides, lifting: lifting), origin)
        case .lookupAccount(let id):
            switch node.shard.lookup(id, origin) {
            case .found(let account): node.shard.answerRecord(origin, account.bits)
            case .unknown: node.shard.answerRecord(origin, nil)
            case .deferred: break
            case .stalled: return false
            }
            return true
        case .lookupTransfer(let debit, let id):
            var key = Shard.readKey(debit)
            key.id = id
            switch try node.shard.lookup(transfer: key, origin) {
            case .found(let found): node.shard.answerRecord(origin, found)
            case .deferred: break
            case .stalled: return false
            }
            return true
        case .cut(let ids):
            node.shard.ask(CutRequest(core: node.shard.id, request: UInt32(event), accounts: ids))
            return true
        }
        switch submission {
        case .answered(let result):
            let early = options.harnessFault == .answerAtOnceBeforeDurable
            node.shard.answers.append(
                Answer(origin: origin, result: result, lsn: early ? .zero : node.shard.journal.appended))
        case .decided, .deferred: break
        case .stalled: return false
        }
        return true
    }

    // MARK: Answers

    private func release(_ node: Node) {
        if let entrance = node.entrance { return entrance.front.release(&node.shard) }
        let released = node.shard.released
        while !node.shard.answers.isEmpty, node.shard.answers.first.lsn <= released {
            let answer = node.shard.answers.first
            node.shard.answers.removeFirst()
            let event = Int(answer.origin.request)
            events[event].results[Int(answer.origin.index)] = answer.result
            let results = events[event].results.compactMap { $0 }
            if results.count == events[event].results.count { answered(event, .results(results)) }
        }
        while !node.shard.recordAnswers.isEmpty, node.shard.recordAnswers.first.lsn <= released {
            let answer = node.shard.recordAnswers.first
            node.shard.recordAnswers.removeFirst()
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

    // MARK: The disk

    func writeLog(_ node: Node) throws {
        while let write = try node.shard.journal.nextWrite(clockCeiling: node.shard.clock.now) {
            node.writes.append(write)
        }
    }

    /// The disk finishes one write, or only the first blocks of it, or fails.
    func complete(_ node: Node, _ index: Int, mayFail: Bool = false) throws {
        if mayFail && dice.below(150) == 0 { return try failWrite(node, index) }
        let write = node.writes.remove(at: index)
        let blocks = write.length / 4096
        if blocks > 1 && dice.chance(50) {
            let some = dice.between(1, blocks - 1)
            try put(write, 0..<some * 4096)
            coverage.shortWrites += 1
            _ = try node.shard.journal.completed(token: write.token, result: Int32(some * 4096))
            try writeLog(node)
            return
        }
        try put(write)
        _ = try node.shard.journal.completed(token: write.token, result: Int32(write.length))
    }

    /// A write fails: from then on the journal acknowledges nothing more, whatever else completes, and the process ends.
    private func failWrite(_ node: Node, _ index: Int) throws {
        let write = node.writes.remove(at: index)
        coverage.diskErrors += 1
        let result = dice.pick([-EIO, -ENOSPC, Int32(dice.below(4096))])
        trace("a write of \(write.length) bytes gives \(result)")
        if options.harnessFault == .ignoreFailedWrite {
            _ = try node.shard.journal.completed(token: write.token, result: Int32(write.length))
            return
        }
        do {
            _ = try node.shard.journal.completed(token: write.token, result: result)
            throw fail("a write gave \(result), and the journal goes on")
        } catch let error as Failure { throw error } catch {}
        // Others may still complete: those before it count, what is in it and behind it does not.
        for other in node.writes {
            _ = try node.shard.journal.completed(token: other.token, result: Int32(other.length))
        }
        do {
            _ = try node.shard.journal.nextWrite(clockCeiling: node.shard.clock.now)
            throw fail("a journal that has failed goes on writing")
        } catch let error as Failure { throw error } catch {}
        let isAcknowledged = node.shard.journal.acknowledged == node.shard.journal.appended
        try check(!isAcknowledged || write.records == 0, "a write that failed is acknowledged")
        node.writes.append(write)
        throw Crash()
    }

    /// Puts a write, or a part of it, on the disk.
    func put(_ write: WriteCommand, _ part: Range<Int>? = nil) throws {
        let part = part ?? 0..<write.length
        let at = off_t(write.offset) + off_t(part.lowerBound)
        // SAFETY: the journal keeps the group in place until its completion.
        let written = unsafe pwrite(write.fd, write.address + part.lowerBound, part.count, at)
        try check(written == part.count, "pwrite gave \(written), errno \(errno)")
    }

    // MARK: Coverage

    /// Counts where the protocol stands: what is in the lanes, what disks and shards have under way.
    private func notePlace() {
        var hasher = Hasher()
        for from in 0..<shardCount {
            for to in 0..<shardCount {
                guard let lane = lanes[from][to] else { continue }
                var ahead = 0
                while let message = lane.peek(ahead: ahead) {
                    hasher.combine(message.kind)
                    ahead += message.hasRecord ? Lane.recordCells : Lane.headCells
                }
                hasher.combine(255 as UInt8)
            }
        }
        for (i, node) in nodes.enumerated() {
            hasher.combine(node.writes.count)
            hasher.combine(node.shard.journal.appended.value - node.shard.journal.durable.value)
            hasher.combine(node.shard.answers.isEmpty)
            hasher.combine(node.shard.isQuiet)
            hasher.combine(node.shard.hasWork)
            for d in 0..<shardCount where d != i {
                hasher.combine(nodes[d].shard.pair(i).decided - node.shard.pair(d).applied)
            }
        }
        coverage.protocolStates.insert(hasher.finalize())
    }
}
