// What must hold at quiet points: after each recovery and at the end.

import SuanpanCore
import SuanpanJournal
import SuanpanLanes
import SuanpanLedger
import SuanpanLedgerModel
import SuanpanShard

/// All that a shard's ledger knows, so that two can be compared.
struct LedgerState: Hashable {
    struct Remembered: Hashable {
        var positions: [UInt64] = []
        var states: [UInt8] = []
        var refusals: [UInt16?] = []
    }
    struct Pending: Hashable {
        var amount: Amount
        var credit: AccountID
        var deadline: UInt64
        var flags: UInt16
        var position: UInt64
    }
    var accounts: [Account] = []
    var created: [Account] = []
    var totals: [[UInt128]] = []
    var remembered: [Identity: Remembered] = [:]
    var pending: [Identity: Pending] = [:]
    var counts: [UInt64] = []

    init(_ ledger: borrowing Ledger, _ identities: [Identity]) {
        for a in 0..<ledger.accountCount {
            let index = AccountIndex(a)
            accounts.append(ledger.account(index))
            created.append(ledger.accountAsCreated(index))
        }
        for slot in 0..<ledger.ledgerCount {
            let t = ledger.totals(slot)
            totals.append([UInt128(t.ledger), t.debitsPending, t.debitsPosted, t.creditsPending, t.creditsPosted])
        }
        for identity in identities {
            var known = Remembered()
            var step = 0
            while let next = ledger.nextRemembered(ledger.identityHash(identity.debit, identity.id), &step) {
                known.positions.append(next.position)
                known.states.append(next.state.rawValue)
                known.refusals.append(next.refusal?.rawValue)
            }
            if !known.positions.isEmpty { remembered[identity] = known }
            if let i = ledger.findPending(identity.debit, identity.id) {
                let p = ledger.pending(i)
                pending[identity] = Pending(
                    amount: p.amount, credit: p.creditAccountID, deadline: p.deadline, flags: p.flags.rawValue,
                    position: p.position)
            }
        }
        counts = [ledger.transferCount, ledger.refusalCount]
    }
}

extension Simulation {
    /// Nothing is under way and everything is durable.
    /// - Parameter isLate: There was time for what is due to expire.
    func checkQuiet(isLate: Bool) throws {
        noteClocks()
        for (i, node) in nodes.enumerated() {
            try check(node.shard.isQuiet, "shard \(i) is not quiet")
            for a in 0..<node.shard.ledger.accountCount {
                try check(node.shard.ledger.undecided(AccountIndex(a)) == 0, "something stays undecided on shard \(i)")
            }
            for d in 0..<shardCount where d != i {
                try check(
                    node.shard.pair(d).applied == nodes[d].shard.pair(i).decided, "commits of \(d) are missing on \(i)")
            }
            noteStatistics(node)
        }
        for e in events where e.responded == nil { try check(e.isLost, "no answer: \(e)") }
        let replayed = try replayAll()
        let book = try LogBook(replayed.map { $0.records }, routing)
        try checkState("at the end", book)
        try book.checkTimestamps()
        try checkAnswerTimes()
        let identities = Array(book.transfers.keys) + Array(book.refusals.keys)
        for (i, node) in nodes.enumerated() {
            let live = LedgerState(node.shard.ledger, identities)
            try check(
                LedgerState(replayed[i].collector!.replay.ledger, identities) == live,
                "replay of shard \(i) gives another state than it is in")
            coverage.ledgerStates.insert(live.hashValue)
        }
        // There was time to record it.
        for (identity, t) in book.open where t.deadline != 0 && isLate {
            try check(
                t.deadline + 1_100_000_000 > time,
                "transfer \(identity.id.value) of \(identity.debit.value) was due at \(t.deadline) and is open at \(time)"
            )
        }
        coverage.chains += book.chains
        coverage.accountChains += book.accountChains
        coverage.expiries += book.expiries.count
        coverage.freezes += book.freezes.count
    }

    func noteStatistics(_ node: Node) {
        let s = node.shard.statistics
        coverage.crossings += Int(s.crossings)
        coverage.announced += Int(s.announced)
        coverage.announcedPending += Int(s.announcedPending)
        coverage.announcedChains += Int(s.announcedChains)
        coverage.reserved += Int(s.reserved)
        coverage.looks += Int(s.looks)
        coverage.revocations += Int(s.revocations)
        coverage.waits += Int(s.waits)
        coverage.restarts += Int(s.restarts)
        coverage.segments += Int(node.shard.journal.counters.segments)
    }

    /// What the shards hold is what their logs say, double entry holds over all of them, every answer given is kept, and
    /// one order of all since the last quiet point explains it.
    func checkState(_ when: String, _ book: LogBook) throws {
        let expected = try book.balances()
        var state: [AccountID: Account] = [:]
        var totals: [UInt32: (pending: (UInt128, UInt128), posted: (UInt128, UInt128))] = [:]
        for node in nodes {
            for a in 0..<node.shard.ledger.accountCount {
                let account = node.shard.ledger.account(AccountIndex(a))
                state[account.id] = account
                var sums = expected[account.id]
                sums?.flags = account.flags
                try check(
                    sums == account,
                    "\(when): account \(account.id.value) holds \(account.text), its transfers say \(sums?.text ?? "nothing")"
                )
            }
            for slot in 0..<node.shard.ledger.ledgerCount {
                let t = node.shard.ledger.totals(slot)
                totals[t.ledger, default: ((0, 0), (0, 0))].pending.0 &+= t.debitsPending
                totals[t.ledger, default: ((0, 0), (0, 0))].pending.1 &+= t.creditsPending
                totals[t.ledger, default: ((0, 0), (0, 0))].posted.0 &+= t.debitsPosted
                totals[t.ledger, default: ((0, 0), (0, 0))].posted.1 &+= t.creditsPosted
            }
        }
        try check(state.count == expected.count, "\(when): \(state.count) accounts, \(expected.count) in the log")
        for (ledger, sums) in totals {
            try check(
                sums.pending.0 == sums.pending.1 && sums.posted.0 == sums.posted.1,
                "\(when): ledger \(ledger) has debits and credits \(sums)")
        }
        try checkAnswered(book)
        try explain(when, state, book)
    }

    /// Acknowledged: there, as it was asked. Refused for good: remembered, and not there.
    private func checkAnswered(_ book: LogBook) throws {
        let freezes = Set(book.freezes.map(\.timestamp))
        for event in events {
            guard case .results(let results)? = event.reply else { continue }
            for (k, result) in results.enumerated() {
                guard let code = result.code else { throw fail("an unknown answer: \(event)") }
                let isThere: Bool
                switch event.question {
                case .transfers(let asked):
                    let identity = asked[k].identity
                    var first = book.transfers[identity]?.asked
                    first?.timestamp = .zero
                    // How a request was grouped is not compared.
                    if asked[k].flags.contains(.linked) {
                        first?.flags.insert(.linked)
                    } else {
                        first?.flags.remove(.linked)
                    }
                    switch code {
                    case .created, .exists:
                        // What exists only since an event before it, in a chain that failed, has no timestamp.
                        isThere =
                            result.timestamp == .zero
                            || first == asked[k] && book.transfers[identity]?.timestamp == result.timestamp
                    case .idAlreadyFailed: isThere = book.refusals[identity]?.rawReason == result.rawReason
                    default: isThere = !code.isFinalRefusal || book.refusals[identity]?.rawReason == code.rawValue
                    }
                case .account(let a): isThere = isKnown(a.id, result, event, book)
                case .accounts(let asked): isThere = isKnown(asked[k].id, result, event, book)
                case .freeze(let id, _, _):
                    isThere =
                        code != .created || freezes.contains(result.timestamp)
                        || event.isVague && book.freezes.contains { $0.body.debitAccountID == id }
                default: isThere = true
                }
                try check(isThere, "answered, and not in the log: \(event)")
            }
        }
    }

    /// Created, or there: then the log has it, since when it was told.
    private func isKnown(_ account: AccountID, _ result: EventResult, _ event: Event, _ book: LogBook) -> Bool {
        guard result.code == .created || result.code == .exists else { return true }
        // What exists only since an event before it, in a chain that failed, has no timestamp.
        if result.code == .exists && result.timestamp == .zero { return true }
        guard let known = book.accounts[account]?.timestamp else { return false }
        return known == result.timestamp || event.isVague
    }

    /// Later than every answer before the question.
    private func checkAnswerTimes() throws {
        var known: [(responded: Int, last: Timestamp)] = []
        for e in events {
            guard let responded = e.responded, case .results(let results)? = e.reply else { continue }
            let last = results.filter(\.isCreated).map(\.timestamp).max()
            if let last { known.append((responded, last)) }
        }
        known.sort { $0.responded < $1.responded }
        var latest = Timestamp.zero
        for i in known.indices {
            latest = max(latest, known[i].last)
            known[i].last = latest
        }
        var at = 0
        for e in events.sorted(by: { $0.invoked < $1.invoked }) {
            while at < known.count && known[at].responded < e.invoked { at += 1 }
            guard at > 0, case .results(let results)? = e.reply else { continue }
            for result in results where result.isCreated && !(e.isVague && isRepeated(e, result)) {
                try check(known[at - 1].last < result.timestamp, "a later request has an earlier timestamp: \(e)")
            }
        }
    }

    /// What was told of it may be of an earlier time.
    private func isRepeated(_ e: Event, _ result: EventResult) -> Bool {
        result.timestamp == .zero || e.question.identities.contains { timesAsked[$0, default: 0] > 1 }
    }

    // MARK: What the text protocol leaves open

    /// The same event with what is known of its success: that it was the first of its identity, that it was not, or, where
    /// neither can be told from what was asked, still vague. The log tells since when accounts exist.
    private func clarified(_ e: Event, _ base: ModelLedger, _ book: LogBook) -> Event {
        guard e.isVague, case .results(var results)? = e.reply else { return e }
        var e = e
        var exists = results.contains { !$0.isCreated }
        switch e.question {
        case .transfers(let asked):
            exists = exists || asked.contains { base.remembered[$0.identity] != nil }
            e.isVague = !exists && asked.contains { timesAsked[$0.identity, default: 0] > 1 }
        case .account(let a): clarify([a])
        case .accounts(let asked): clarify(asked)
        default: e.isVague = false
        }
        func clarify(_ asked: [Account]) {
            exists = exists || asked.contains { base.accounts[$0.id] != nil }
            e.isVague = !exists
            for k in results.indices where results[k].isCreated {
                results[k].timestamp = book.accounts[asked[k].id]?.timestamp ?? .zero
            }
        }
        if exists {
            for k in results.indices where results[k].isCreated { results[k].rawCode = ResultCode.exists.rawValue }
        }
        e.reply = .results(results)
        return e
    }

    // MARK: Strict serializability

    /// The first step at which an engine's clock was there for certain.
    private func stepOf(_ moment: UInt64) -> Int { moments.first { $0.time >= moment }?.step ?? step }

    private func explain(_ when: String, _ state: [AccountID: Account], _ book: LogBook) throws {
        defer { chunkStart = events.count }
        guard let base else { return }
        let due = book.open.filter { $0.value.deadline != 0 && $0.value.deadline <= max(time, latestClock) }
        var state = state
        for held in due.values { Self.release(held, in: &state) }
        var steps: [Step] = []
        for e in events[chunkStart...] where e.reply != nil || mayHaveHappened(e, base, book) {
            steps.append(.event(clarified(e, base, book)))
        }
        // Nothing is refused for money whose hold is over, and nothing shows it: whatever is asked for after the deadline
        // comes after the expiry, though the log has it later.
        let over = Set(book.expiries.keys).union(due.keys).compactMap { book.transfers[$0]?.transfer }
        for held in over.sorted(by: { ($0.deadline, $0.timestamp) < ($1.deadline, $1.timestamp) }) {
            let identity = held.identity
            guard expiriesExplained.insert(identity).inserted else { continue }
            steps.append(.expiry(identity, deadline: held.deadline, by: stepOf(held.deadline)))
        }
        var search = Linearization(
            steps, from: base, to: state, book, rule: options.rule, stepsMax: visitsMax)
        let verdict = search.search()
        coverage.searches += 1
        coverage.visits += search.visits
        switch verdict {
        case .explained(let model): self.base = model
        case .undecided:
            coverage.undecided += 1
            self.base = nil
        case .unexplained:
            var freely = Linearization(steps, from: base, to: state, book, rule: .none, stepsMax: visitsMax)
            let broken =
                if case .explained = freely.search() { "order within a connection" } else { "real time or answers" }
            throw fail("\(when): no sequential order explains the history (\(broken))\n\(search.report)")
        }
    }

    private static func release(_ held: Transfer, in state: inout [AccountID: Account]) {
        state[held.debitAccountID]?.debitsPending.value -= held.amount.value
        state[held.creditAccountID]?.creditsPending.value -= held.amount.value
        if held.flags.contains(.closingDebit) { state[held.debitAccountID]?.flags.remove(.closed) }
        if held.flags.contains(.closingCredit) { state[held.creditAccountID]?.flags.remove(.closed) }
    }

    /// What text leaves open, and what connections lose, is more to try: a search with doors that is long is given up sooner.
    private var visitsMax: Int { hasDoors ? min(options.visitsMax, 4_000) : options.visitsMax }

    /// Its answer was lost, and the logs hold something new that it may have done.
    private func mayHaveHappened(_ e: Event, _ base: ModelLedger, _ book: LogBook) -> Bool {
        guard e.isWhole else { return false }
        return switch e.question {
        case .transfers(let asked):
            asked.contains {
                base.remembered[$0.identity] == nil
                    && (book.transfers[$0.identity] != nil || book.refusals[$0.identity] != nil)
            }
        case .account(let a): base.accounts[a.id] == nil && book.accounts[a.id] != nil
        case .accounts(let asked):
            asked.contains { base.accounts[$0.id] == nil && book.accounts[$0.id] != nil }
        case .freeze: true
        default: false
        }
    }
}
