// What clients saw, and whether one sequential order explains it: strict serializability, refusals and reads included.
// A search after Wing & Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of the sets already
// tried (2017). What a set of events has done does not depend on their order here, so the set is the whole state.

import SuanpanCore

struct Event {
    let question: Question
    var reply: Reply?
    let client: Int
    /// 0: a native client's.
    let stream: UInt32
    /// Events of one request share it.
    let request: Int
    let shard: Int
    let invoked: Int
    var responded: Int?
    /// Its answer was lost in a crash.
    var isLost = false
    /// Resolved from the log where several might have written the record: no order is claimed.
    var isUnordered = false
    /// Lost, and nothing in the log: it never happened.
    var isForgotten = false
    /// When the engine decided it, by its own account: where the search tries it first, no more.
    var guide: UInt64 = 0
    /// Place among the events of its stream.
    let place: Int

    func isSame(_ other: Event) -> Bool {
        client == other.client && stream == other.stream && request == other.request && place == other.place
    }

    /// The accounts it concerns.
    var accounts: [AccountID] {
        switch question {
        case .transfer(let t): [t.debitAccountID, t.creditAccountID]
        case .account(let a): [a.id]
        case .lookupAccount(let id): [id]
        case .lookupTransfer(let debit, _): [debit]
        case .cut(let ids): ids
        }
    }

    /// A refusal that rests on the request alone: it has no place in time.
    var isToldByRequest: Bool {
        guard case .result(let result)? = reply else { return false }
        return result.rawCode > 0 && result.rawCode < ResultCode.existsWithDifferentFlags.rawValue
    }

    var identity: Identity? {
        switch question {
        case .transfer(let t): Identity(debit: t.debitAccountID, id: t.id)
        case .lookupTransfer(let debit, let id): Identity(debit: debit, id: id)
        default: nil
        }
    }

    /// Refused on the ledger's state.
    var isRefusal: Bool {
        guard case .result(let result)? = reply else { return false }
        return result.code?.isFinalRefusal == true
    }

    var isToldByRecord: Bool {
        if case .lookupTransfer = question { return true }
        guard case .result(let result)? = reply else { return false }
        return result.rawCode >= ResultCode.existsWithDifferentFlags.rawValue
            && result.rawCode <= ResultCode.idAlreadyFailed.rawValue
    }

    /// It changes nothing but what it was told.
    var isPure: Bool {
        guard case .result(let result)? = reply, let code = result.code else { return true }
        return !(code == .created || code.isFinalRefusal)
    }
}

extension Event: CustomStringConvertible {
    var description: String {
        let what =
            switch question {
            case .transfer(let t):
                "transfer \(t.id.value) \(t.debitAccountID.value)→\(t.creditAccountID.value) amount \(t.amount.value) ledger \(t.ledger) data \(t.userData64)"
            case .account(let a): "account \(a.id.value) ledger \(a.ledger) flags \(a.flags.rawValue)"
            case .lookupAccount(let id): "get \(id.value)"
            case .lookupTransfer(let debit, let id): "get transfer \(debit.value)/\(id.value)"
            case .cut(let ids): ids.isEmpty ? "totals" : "cut \(ids.map(\.value))"
            }
        let told =
            switch reply {
            case .result(let r)?:
                "\(r.code?.name ?? "?")\(r.rawReason == 0 ? "" : " (\(r.reason?.name ?? "?"))")\(r.timestamp == .zero ? "" : " @\(r.timestamp.nanoseconds)")"
            case .account(let a?)?: "debits \(a.debitsPosted.value) credits \(a.creditsPosted.value)"
            case .transfer(let t?)?: "amount \(t.amount.value) @\(t.timestamp.nanoseconds)"
            case .account(nil)?, .transfer(nil)?: "unknown"
            case .cut(let accounts, let totals)?:
                accounts.map { a in a.map { "\($0.debitsPosted.value)/\($0.creditsPosted.value)" } ?? "unknown" }
                    .joined(
                        separator: " ")
                    + totals.map { "ledger \($0.ledger): \($0.debitsPosted)/\($0.creditsPosted)" }.joined(
                        separator: " ")
            case nil: "–"
            }
        return
            "[\(invoked)…\(responded.map(String.init) ?? "")] client \(client)\(stream == 0 ? "" : " stream \(stream)") shard \(shard): \(what) ⇒ \(told)\(isLost ? " (lost)" : "")"
    }
}

/// What the order within a connection (commands of a stream that share an account; events of one request that share the
/// debit account) asks for.
enum OrderRule {
    case none
    /// Each sees the effects of those before it and none of those after it: its answer would be the same with the former
    /// and without the latter. Accepted transfers of one debit account take effect in order.
    case effects
    /// All take effect in order, as everybody sees it: more than is promised.
    case strict
}

struct Serialization {
    enum Verdict: Equatable {
        case explained
        case unexplained
        /// The search reached its bound.
        case undecided
    }

    private let events: [Event]
    private let before: [UInt128]
    /// Those before it and those after it in its connection: see `OrderRule.effects`.
    private let earlier: [UInt128]
    private let later: [UInt128]
    private let isEager: [Bool]
    private var model: Model
    private var tried: Set<UInt128> = []
    private let stepsMax: Int
    private(set) var steps = 0
    /// The most that could be explained.
    private(set) var longest: UInt128 = 0

    /// - Parameter events: Answered ones only, at most 128.
    ///   - ignoring: A pair of events (by their begin) whose order within the connection is not asked for.
    init(_ events: [Event], from model: Model, rule: OrderRule, stepsMax: Int, ignoring: (Event, Event)? = nil) {
        precondition(events.count <= 128, "a history of \(events.count)")
        let sorted = events.sorted { ($0.guide, $0.responded!, $0.invoked) < ($1.guide, $1.responded!, $1.invoked) }
        self.events = sorted
        self.model = model
        self.stepsMax = stepsMax
        var before = [UInt128](repeating: 0, count: sorted.count)
        var earlier = before
        var later = before
        for (j, b) in sorted.enumerated() {
            for (i, a) in sorted.enumerated() where i != j {
                if let ignoring, ignoring.0.isSame(a), ignoring.1.isSame(b) { continue }
                if a.responded! < b.invoked {
                    before[j] |= 1 << UInt128(i)
                } else if Self.isOrdered(a, b, rule) {
                    if rule == .strict || Self.areDecidedInOrder(a, b) {
                        before[j] |= 1 << UInt128(i)
                    } else {
                        earlier[j] |= 1 << UInt128(i)
                        later[i] |= 1 << UInt128(j)
                    }
                }
            }
        }
        self.before = before
        self.earlier = earlier
        self.later = later
        var uses: [Identity: Int] = [:]
        for e in sorted { if let i = e.identity { uses[i, default: 0] += 1 } }
        // What changes nothing that another event looks at loses nothing by coming as soon as it can.
        isEager = sorted.map { e in
            if e.isPure { return true }
            guard case .result(let r)? = e.reply, r.code?.isFinalRefusal == true, let i = e.identity else {
                return false
            }
            return uses[i] == 1
        }
    }

    private static func isOrdered(_ a: Event, _ b: Event, _ rule: OrderRule) -> Bool {
        guard rule != .none, a.client == b.client, a.stream == b.stream, !a.isUnordered, !b.isUnordered,
            a.place < b.place,
            !a.isToldByRequest, !b.isToldByRequest
        else { return false }
        // An answer out of the record of an identity takes no effect: it has an order with its own identity's events only.
        if a.isToldByRecord || b.isToldByRecord, a.identity == nil || a.identity != b.identity { return false }
        if a.stream == 0 {
            guard a.request == b.request, case .transfer(let x) = a.question, case .transfer(let y) = b.question else {
                return false
            }
            return x.debitAccountID == y.debitAccountID
        }
        return a.accounts.contains { b.accounts.contains($0) }
    }

    private static func areDecidedInOrder(_ a: Event, _ b: Event) -> Bool {
        guard case .transfer(let x) = a.question, case .transfer(let y) = b.question else { return false }
        return x.debitAccountID == y.debitAccountID && !a.isPure && !b.isPure && !a.isRefusal && !b.isRefusal
    }

    /// Pairs whose order within a connection is asked for, and without which the history would be explained.
    static func broken(_ events: [Event], from model: Model, rule: OrderRule) -> String {
        var text = ""
        for a in events {
            for b in events where isOrdered(a, b, rule) && a.responded! >= b.invoked {
                var search = Serialization(events, from: model, rule: rule, stepsMax: 20_000, ignoring: (a, b))
                if search.search() == .explained { text += "order not kept:\n    \(a)\n    \(b)\n" }
            }
        }
        return text
    }

    mutating func search() -> Verdict {
        let all: UInt128 = events.count == 128 ? .max : (1 << UInt128(events.count)) - 1
        return search(0, all)
    }

    private mutating func search(_ done: UInt128, _ all: UInt128) -> Verdict {
        if done.nonzeroBitCount > longest.nonzeroBitCount { longest = done }
        if done == all { return .explained }
        if !tried.insert(done).inserted { return .unexplained }
        steps += 1
        if steps > stepsMax { return .undecided }
        for i in 0..<events.count where isEager[i] && isCandidate(i, done) {
            let e = events[i]
            guard agrees(i, done) else { continue }
            model.apply(e.question, e.reply!)
            let verdict = search(done | 1 << UInt128(i), all)
            if verdict != .explained { model.revert(e.question, e.reply!) }
            return verdict
        }
        var undecided = false
        for i in 0..<events.count where !isEager[i] && isCandidate(i, done) {
            let e = events[i]
            guard agrees(i, done) else { continue }
            model.apply(e.question, e.reply!)
            switch search(done | 1 << UInt128(i), all) {
            case .explained: return .explained
            case .undecided: undecided = true
            case .unexplained: break
            }
            model.revert(e.question, e.reply!)
            if undecided { return .undecided }
        }
        return .unexplained
    }

    private mutating func agrees(_ i: Int, _ done: UInt128) -> Bool {
        let e = events[i]
        guard model.agrees(e.question, e.reply!) else { return false }
        let missing = earlier[i] & ~done
        let early = later[i] & done
        if missing == 0 && early == 0 { return true }
        let kept = model
        for j in events.indices.reversed() where early & (1 << UInt128(j)) != 0 {
            model.revert(events[j].question, events[j].reply!)
        }
        for j in events.indices where missing & (1 << UInt128(j)) != 0 {
            model.apply(events[j].question, events[j].reply!)
        }
        let stillAgrees = model.agrees(e.question, e.reply!)
        model = kept
        return stillAgrees
    }

    private func isCandidate(_ i: Int, _ done: UInt128) -> Bool {
        done & (1 << UInt128(i)) == 0 && before[i] & ~done == 0
    }

    /// The longest explanation found and what could not follow it.
    var report: String {
        var text = "events, explained ones marked with +:\n"
        for (i, e) in events.enumerated() {
            text += "\(longest & (1 << UInt128(i)) == 0 ? "  " : "+ ")\(e)"
            // What it must follow and had not.
            let missing = before[i] & ~longest
            if missing != 0 {
                text +=
                    " after "
                    + events.indices.filter { missing & (1 << UInt128($0)) != 0 }.prefix(4).map { "#\($0)" }.joined(
                        separator: " ")
            }
            text += " #\(i) place \(e.place)\n"
        }
        return text
    }
}
