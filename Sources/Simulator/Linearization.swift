// Whether one sequential order explains what clients saw: strict serializability, refusals and reads included. A search
// after Wing & Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of what was already tried
// (2017). The logs say what came of everything, so that the state after a set of steps depends on their order only in
// what freezing leaves, and in which event of a chain was at fault where the chain was asked for twice. The order of the engine's timestamps is tried first.

import SuanpanCore
import SuanpanLedger
import SuanpanLedgerModel

/// What the order within a connection (commands of a stream that share an account; single events of one request that
/// share the debit account) asks for.
enum OrderRule {
    case none
    /// Each sees the effects of those before it and none of those after it: its answer would be the same with the former
    /// and without the latter. Accepted transfers of one debit account take effect in order.
    case effects
}

/// Something that takes effect at one moment between its begin and its end.
enum Step {
    /// A client's question. Without an answer: it may have happened, where the logs hold what it did.
    case event(Event)
    /// What is over at its deadline, whenever the engine records that: at the latest at this step.
    case expiry(Identity, deadline: UInt64, by: Int)

    var invoked: Int { if case .event(let e) = self { e.invoked } else { 0 } }
    /// nil: it may take effect as late as it will, or not at all where it is a question.
    var responded: Int? {
        switch self {
        case .event(let e): e.responded
        case .expiry(_, _, let by): by
        }
    }
}

struct Linearization {
    enum Verdict {
        case explained(ModelLedger)
        case unexplained
        /// The search reached its bound.
        case undecided
    }

    private let steps: [Step]
    private let book: LogBook
    /// The state that all steps together must lead to.
    private let end: [AccountID: Account]
    private let stepsMax: Int

    /// By step: those it must follow; those before it and after it in its connection, see `OrderRule.effects`.
    private var before: [[Int]]
    private var earlier: [[Int]]
    private var later: [[Int]]
    /// What changes nothing that another step looks at loses nothing by coming as soon as it can.
    private var isEager: [Bool] = []
    /// When the engine decided it, by its own account.
    private var guide: [UInt64] = []
    private let isOptional: [Bool]
    /// Refused for good, as events of chains that were asked for more than once: each time another may have been at fault.
    private var contested: [Identity] = []

    // The path tried: steps in order, and the model before each.
    private var model: ModelLedger
    private var order: [Int] = []
    private var models: [ModelLedger] = []
    private var isDone: [Bool]
    private var first = 0
    private var left: Int
    private var doneKey: UInt128 = 0
    private var tried: Set<UInt128> = []
    private(set) var visits = 0
    private var longest: [Int] = []

    init(
        _ steps: [Step], from base: ModelLedger, to end: [AccountID: Account], _ book: LogBook, rule: OrderRule,
        stepsMax: Int
    ) {
        let sorted = steps.sorted { $0.invoked < $1.invoked }
        self.steps = sorted
        self.book = book
        self.end = end
        self.stepsMax = stepsMax
        model = base
        isDone = Array(repeating: false, count: sorted.count)
        isOptional = sorted.map { if case .event(let e) = $0 { e.reply == nil } else { false } }
        left = isOptional.count { !$0 }
        before = Array(repeating: [], count: sorted.count)
        earlier = before
        later = before
        var uses: [Identity: Int] = [:]
        for case .event(let e) in sorted { for i in e.question.identities { uses[i, default: 0] += 1 } }
        for case .event(let e) in sorted where e.question.identities.count > 1 {
            contested += e.question.identities.filter { uses[$0, default: 0] > 1 && book.refusals[$0] != nil }
        }
        contested = Array(Set(contested))
        for (j, step) in sorted.enumerated() {
            guard case .event(let b) = step else {
                if case .expiry(_, let deadline, _) = step { guide.append(deadline) }
                isEager.append(false)
                continue
            }
            guide.append(Self.guide(b, book))
            isEager.append(Self.isEager(b, uses))
            if rule == .none || b.reply == nil { continue }
            for (i, step) in sorted.enumerated() where i != j {
                guard case .event(let a) = step, a.reply != nil, Self.isOrdered(a, b) else { continue }
                if Self.areDecidedInOrder(a, b) {
                    before[j].append(i)
                } else {
                    earlier[j].append(i)
                    later[i].append(j)
                }
            }
        }
    }

    // MARK: What is known of a step

    private static func guide(_ e: Event, _ book: LogBook) -> UInt64 {
        if case .results(let results)? = e.reply, let first = results.first(where: \.isCreated) {
            return first.timestamp.nanoseconds
        }
        for identity in e.question.identities {
            if let record = book.transfers[identity] ?? book.refusals[identity] { return record.timestamp.nanoseconds }
        }
        return 0
    }

    private static func isEager(_ e: Event, _ uses: [Identity: Int]) -> Bool {
        if e.reply == nil { return false }
        if e.isPure { return true }
        guard case .results(let results)? = e.reply, !results.contains(where: \.isCreated),
            let at = results.firstIndex(where: { $0.code?.isFinalRefusal == true })
        else { return false }
        if case .freeze = e.question { return true }
        return uses[e.question.identities[at]] == 1
    }

    private static func isOrdered(_ a: Event, _ b: Event) -> Bool {
        guard a.client == b.client, a.stream == b.stream, a.place < b.place, !a.isToldByRequest, !b.isToldByRequest,
            !a.isTurnedAway, !b.isTurnedAway
        else { return false }
        // An answer out of the record of an identity takes no effect: it has an order with its own identity's events only.
        if a.isToldByRecord || b.isToldByRecord, a.question.identities != b.question.identities { return false }
        if a.stream == 0 {
            guard a.request == b.request, let x = a.question.single, let y = b.question.single else { return false }
            // An account that does not exist has no queue.
            return x.debitAccountID == y.debitAccountID && !a.lacksDebitAccount && !b.lacksDebitAccount
        }
        return a.question.sharesAccount(with: b.question)
    }

    private static func areDecidedInOrder(_ a: Event, _ b: Event) -> Bool {
        guard let x = a.question.single, let y = b.question.single, x.debitAccountID == y.debitAccountID else {
            return false
        }
        return a.result?.isCreated == true && b.result?.isCreated == true
    }

    // MARK: The search

    mutating func search() -> Verdict {
        switch visit() {
        case true?: .explained(model)
        case false?: .unexplained
        case nil: .undecided
        }
    }

    /// nil: the bound was reached.
    private mutating func visit() -> Bool? {
        let mark = order.count
        takeEager()
        if order.count > longest.count { longest = order }
        if left == 0 && isEnd { return true }
        if !tried.insert(doneKey ^ stateKey).inserted {
            back(to: mark)
            return false
        }
        visits += 1
        if visits > stepsMax { return nil }
        let after = order.count
        for i in window().sorted(by: { guide[$0] < guide[$1] }) where !isEager[i] {
            guard let next = outcome(i) else { continue }
            push(i, next)
            let verdict = visit()
            if verdict != false { return verdict }
            back(to: after)
        }
        back(to: mark)
        return false
    }

    private mutating func takeEager() {
        var again = true
        while again {
            again = false
            for i in window() where isEager[i] {
                guard let next = outcome(i) else { continue }
                push(i, next)
                again = true
            }
        }
    }

    /// Steps that may be next: nothing that is not done had ended before they began.
    private func window() -> [Int] {
        var found: [Int] = []
        var end = Int.max
        var i = first
        while i < steps.count && steps[i].invoked <= end {
            if !isDone[i] {
                found.append(i)
                end = min(end, steps[i].responded ?? .max)
            }
            i += 1
        }
        return found.filter { i in steps[i].invoked <= end && before[i].allSatisfy { isDone[$0] } }
    }

    private var isEnd: Bool {
        model.accounts == end && model.remembered.count == book.transfers.count + book.refusals.count
    }

    private mutating func push(_ i: Int, _ next: ModelLedger) {
        order.append(i)
        models.append(model)
        model = next
        isDone[i] = true
        doneKey ^= Self.key(UInt64(i))
        if !isOptional[i] { left -= 1 }
        while first < steps.count && isDone[first] { first += 1 }
    }

    private mutating func back(to mark: Int) {
        while order.count > mark {
            let i = order.removeLast()
            model = models.removeLast()
            isDone[i] = false
            doneKey ^= Self.key(UInt64(i))
            if !isOptional[i] { left += 1 }
            first = min(first, i)
        }
    }

    private static func key(_ i: UInt64) -> UInt128 {
        var dice = Dice(seed: i &+ 1)
        return UInt128(dice.next()) << 64 | UInt128(dice.next())
    }

    private var stateKey: UInt128 {
        var key: UInt128 = 0
        for account in model.accounts.values {
            key ^= Self.key(UInt64(truncatingIfNeeded: account.id.value) << 16 | UInt64(account.flags.rawValue))
        }
        for identity in contested where model.remembered[identity] != nil {
            key ^= Self.key(UInt64(truncatingIfNeeded: identity.id.value << 32 ^ identity.debit.value ^ .max))
        }
        return key
    }

    // MARK: One step

    /// The state after a step, when its answer is the model's; nil: it cannot be next.
    private func outcome(_ i: Int) -> ModelLedger? {
        var next = model
        guard attempt(steps[i], on: &next) else { return nil }
        let missing = earlier[i].filter { !isDone[$0] }
        let early = Set(later[i].filter { isDone[$0] })
        if missing.isEmpty && early.isEmpty { return next }
        // Again as its connection sees it. Where the others would not have been told what they were, that says nothing.
        let from = order.firstIndex { early.contains($0) } ?? order.count
        var seen = from < order.count ? models[from] : model
        for k in order[from...] where !early.contains(k) && !attempt(steps[k], on: &seen) { return next }
        for k in missing.sorted() where !attempt(steps[k], on: &seen) { return next }
        return attempt(steps[i], on: &seen) ? next : nil
    }

    /// Takes a step in the model. True when what it was told, and what the logs say came of it, is the model's answer.
    private func attempt(_ step: Step, on model: inout ModelLedger) -> Bool {
        guard case .event(let event) = step else {
            guard case .expiry(let identity, _, _) = step else { return false }
            return model.expire(identity, now: .max)
        }
        if event.isTurnedAway { return true }
        switch (event.question, event.reply) {
        case (.transfers(let asked), let reply):
            // What is due has expired by a step of its own: no time passes here.
            let results = model.createTransfers(asked, now: 0) { k in
                book.transfers[asked[k].identity]?.timestamp ?? .zero
            }
            for (t, result) in zip(asked, results) {
                guard agreesWithLog(t, result, model) else { return false }
            }
            if case .results(let told)? = reply { return Self.agrees(told, results, isVague: event.isVague) }
            return results.contains { $0.isCreated || $0.code?.isFinalRefusal == true }
        case (.account(let a), let reply): return attempt([a], told: reply, isVague: event.isVague, on: &model)
        case (.accounts(let asked), let reply):
            return attempt(asked, told: reply, isVague: event.isVague, on: &model)
        case (.freeze(let id, let sides, let lifting), let reply):
            let flags = model.accounts[id]?.flags ?? []
            let new = lifting ? flags.subtracting(sides) : flags.union(sides)
            let exists = model.freeze(
                id, debits: new.contains(.debitsFrozen), credits: new.contains(.creditsFrozen))
            guard case .results(let told)? = reply else { return exists }
            return told.first?.code == (exists ? .created : .debitAccountNotFound)
        case (.lookupAccount(let id), .account(let told)?): return model.accounts[id] == told
        case (.lookupTransfer(let debit, let id), .transfer(let told)?):
            return model.transfer(Identity(debit, id)) == told
        case (.cut(let ids), .cut(let accounts, let totals)?):
            return accounts == ids.map { model.accounts[$0] } && (!ids.isEmpty || totals == Self.totals(model))
        default: return false
        }
    }

    private func attempt(
        _ asked: [Account], told reply: Reply?, isVague: Bool, on model: inout ModelLedger
    ) -> Bool {
        let results = model.createAccounts(asked) { book.accounts[asked[$0].id]?.timestamp ?? .zero }
        if case .results(let told)? = reply { return Self.agrees(told, results, isVague: isVague) }
        return results.contains(where: \.isCreated)
    }

    /// - Parameter isVague: What was told to be created may have existed.
    private static func agrees(_ told: [EventResult], _ results: [EventResult], isVague: Bool) -> Bool {
        if told == results { return true }
        guard isVague && told.count == results.count else { return false }
        return zip(told, results).allSatisfy { told, result in
            told == result || (told.isCreated && result.code == .exists && told.timestamp == result.timestamp)
        }
    }

    /// Of the model's accounts, without the moment of a cut.
    private static func totals(_ model: ModelLedger) -> [LedgerTotals] {
        var sums: [UInt32: LedgerTotals] = [:]
        for a in model.accounts.values {
            sums[a.ledger, default: LedgerTotals(ledger: a.ledger)].debitsPending &+= a.debitsPending.value
            sums[a.ledger, default: LedgerTotals(ledger: a.ledger)].debitsPosted &+= a.debitsPosted.value
            sums[a.ledger, default: LedgerTotals(ledger: a.ledger)].creditsPending &+= a.creditsPending.value
            sums[a.ledger, default: LedgerTotals(ledger: a.ledger)].creditsPosted &+= a.creditsPosted.value
        }
        return sums.values.sorted { $0.ledger < $1.ledger }
    }

    private func agreesWithLog(_ t: Transfer, _ result: EventResult, _ model: ModelLedger) -> Bool {
        if result.isCreated {
            // Of two that come to the same, the logs tell which one it was.
            var asked = book.transfers[t.identity]?.asked
            asked?.timestamp = .zero
            return asked == t && book.transfers[t.identity]?.transfer == model.transfer(t.identity)
        }
        guard let code = result.code, code.isFinalRefusal else { return true }
        return book.refusals[t.identity]?.rawReason == code.rawValue
    }

    // MARK: Report

    /// The longest explanation found, and what could not follow it.
    var report: String {
        let done = Set(longest)
        var text = "in the order of the longest explanation:\n"
        for i in longest { text += "  \(line(i))\n" }
        text += "and then none of:\n"
        for i in steps.indices where !done.contains(i) { text += "  \(line(i))\(isOptional[i] ? " (perhaps)" : "")\n" }
        text += "which must end with:\n"
        for (id, account) in end.sorted(by: { $0.key < $1.key }) { text += "  account \(id.value): \(account.text)\n" }
        return text
    }

    private func line(_ i: Int) -> String {
        switch steps[i] {
        case .event(let e): "\(e)"
        case .expiry(let identity, let deadline, let by):
            "expiry of \(identity.debit.value)/\(identity.id.value) @\(deadline), by step \(by)"
        }
    }
}
