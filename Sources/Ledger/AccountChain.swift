// Chains of account creations: the same idea as for transfers, with one fact per event.

public import SuanpanCore

public struct AccountChain: ~Copyable {
    private var events = FixedArray<Event>(count: Limits.eventsPerChainMax)
    public private(set) var count = 0

    struct Event: BitwiseCopyable {
        var asked: Account
        var existing: Account
        var exists: Bool
        var result: EventResult
    }

    public init() {}

    /// Empties the chain.
    public mutating func begin() { count = 0 }

    /// Appends a creation.
    /// - Parameter existing: The account with this id as it was created (`Ledger.accountAsCreated`); nil: there is none.
    /// - Precondition: fewer than `Limits.eventsPerChainMax` events.
    public mutating func add(_ account: Account, existing: Account?) {
        invariant(count < Limits.eventsPerChainMax, "a chain of more than \(Limits.eventsPerChainMax) events")
        events[count].asked = account
        events[count].exists = existing != nil
        if let existing { events[count].existing = existing }
        count += 1
    }

    /// The account asked for.
    public subscript(i: Int) -> Account { events[i].asked }
    /// After the evaluation. A created one's timestamp is the caller's to set.
    public func result(_ i: Int) -> EventResult { events[i].result }

    /// Judges the chain: see `ChainView.evaluate`.
    /// - Complexity: O(events²), at most 64²; allocates nothing.
    public mutating func evaluateAccounts(supported: AccountFlags = .supported) -> ChainOutcome {
        var existCount = 0
        for i in 0..<count {
            events[i].result = judge(i, supported)
            if events[i].result.rawCode == ResultCode.exists.rawValue && events[i].exists { existCount += 1 }
        }
        if existCount == count && count > 0 { return .exists }
        for i in 0..<count where !events[i].result.isCreated {
            let result = events[i].result
            for k in 0..<count { events[k].result = EventResult(.linkedEventFailed) }
            events[i].result = result
            return .refused(at: i, result)
        }
        return .created
    }

    /// Judges the chain of a view whose accounts are filled in as they were created; sets its results.
    public mutating func judge(_ view: inout ChainView) -> ChainOutcome {
        invariant(view.isOfAccounts, "a chain of transfers is judged as one of accounts")
        begin()
        for i in 0..<view.count {
            let place = view.account(Int(view[i].debitPlace))
            add(Account(bits: view[i].asked), existing: place.exists ? view.record(of: Int(view[i].debitPlace)) : nil)
        }
        let outcome = evaluateAccounts()
        for i in 0..<count { view.setResult(i, events[i].result) }
        return outcome
    }

    private func judge(_ i: Int, _ supported: AccountFlags) -> EventResult {
        let a = events[i].asked
        let bad = a.refusalByRequest(supported: supported)
        if bad != .created { return EventResult(bad) }
        if events[i].exists {
            let code = a.comparedWithExisting(events[i].existing)
            return EventResult(code, timestamp: code == .exists ? events[i].existing.timestamp : .zero)
        }
        for k in 0..<i where events[k].asked.id == a.id { return EventResult(a.comparedWithExisting(events[k].asked)) }
        return EventResult(.created)
    }
}
