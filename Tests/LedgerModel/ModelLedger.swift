// A naive ledger, written from Docs/Semantics.md and nothing else: dictionaries, copies, no code shared with the engine
// but the records. It has one shard, no log and no clock: time comes with each request.

public import SuanpanCore

public struct ModelLedger {
    public struct Identity: Hashable, Sendable {
        public var debit: AccountID
        public var id: TransferID
        public init(_ debit: AccountID, _ id: TransferID) {
            self.debit = debit
            self.id = id
        }
    }

    public enum Fate: Equatable, Sendable {
        /// Not a pending transfer.
        case settled
        case open
        case posted
        case voided
        case expired
    }

    public struct Accepted: Equatable, Sendable {
        /// As the client sent it.
        public var asked: Transfer
        /// As it came out, with its timestamp.
        public var final: Transfer
        public var fate: Fate
        /// Nanoseconds; nil: never.
        public var deadline: UInt64?
    }

    public enum Remembered: Equatable, Sendable {
        case accepted(Accepted)
        case refused(ResultCode)
    }

    /// As they are.
    public private(set) var accounts: [AccountID: Account] = [:]
    /// As they were created.
    private var created: [AccountID: Account] = [:]
    public private(set) var remembered: [Identity: Remembered] = [:]

    /// Flags that answer `reserved_flag`.
    public var reservedTransferFlags: TransferFlags
    public var reservedAccountFlags: AccountFlags

    public init(reservedTransferFlags: TransferFlags, reservedAccountFlags: AccountFlags = []) {
        self.reservedTransferFlags = reservedTransferFlags.union(TransferFlags(rawValue: 0xFE00))
        self.reservedAccountFlags = reservedAccountFlags.union(AccountFlags(rawValue: 0xFF00))
    }

    // MARK: Requests

    /// One result per event, in order.
    /// - Parameter stamp: The timestamp of the event at a place of the request, if it is created.
    public mutating func createTransfers(
        _ events: [Transfer], now: UInt64, stamp: (Int) -> Timestamp
    ) -> [EventResult] {
        var results: [EventResult] = []
        for run in Self.runs(events.map { $0.flags.contains(.linked) }) {
            results += transferRun(Array(events[run]), run, now, stamp)
        }
        return results
    }

    /// One transfer alone.
    public mutating func createTransfer(_ t: Transfer, now: UInt64, timestamp: Timestamp) -> EventResult {
        createTransfers([t], now: now) { _ in timestamp }[0]
    }

    public mutating func createAccounts(_ events: [Account], stamp: (Int) -> Timestamp) -> [EventResult] {
        var results: [EventResult] = []
        for run in Self.runs(events.map { $0.flags.contains(.linked) }) {
            results += accountRun(Array(events[run]), run, stamp)
        }
        return results
    }

    public mutating func createAccount(_ a: Account, timestamp: Timestamp) -> EventResult {
        createAccounts([a]) { _ in timestamp }[0]
    }

    /// Sets and lifts stop-payment. False: there is no such account.
    public mutating func freeze(_ id: AccountID, debits: Bool, credits: Bool) -> Bool {
        guard var a = accounts[id] else { return false }
        a.flags.remove([.debitsFrozen, .creditsFrozen])
        if debits { a.flags.insert(.debitsFrozen) }
        if credits { a.flags.insert(.creditsFrozen) }
        accounts[id] = a
        return true
    }

    /// Expires all pending transfers whose time has come, and says which.
    @discardableResult
    public mutating func expire(now: UInt64) -> [Identity] {
        let due = open.filter { ($0.value.deadline ?? .max) <= now }.map(\.key)
        for identity in due { _ = expire(identity, now: now) }
        return due
    }

    /// Expires one. False: it is not open, or its time has not come.
    public mutating func expire(_ identity: Identity, now: UInt64) -> Bool {
        guard case .accepted(let p)? = remembered[identity], p.fate == .open, let deadline = p.deadline,
            deadline <= now
        else { return false }
        release(p)
        settle(identity, .expired)
        return true
    }

    /// Pending transfers that are not resolved.
    public var open: [Identity: Accepted] {
        remembered.compactMapValues {
            if case .accepted(let p) = $0, p.fate == .open { p } else { nil }
        }
    }

    /// What a look-up returns.
    public func transfer(_ identity: Identity) -> Transfer? {
        if case .accepted(let t)? = remembered[identity] { t.final } else { nil }
    }

    // MARK: Chains

    /// Ranges of events that succeed or fail together.
    private static func runs(_ linked: [Bool]) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var first = 0
        for i in linked.indices where !linked[i] || i == linked.count - 1 {
            runs.append(first..<i + 1)
            first = i + 1
        }
        return runs
    }

    /// Group 1, or nil.
    private static func structuralFault(_ isOpen: Bool, _ count: Int) -> (at: Int, ResultCode)? {
        if isOpen { return (count - 1, .linkedEventChainOpen) }
        if count > 64 { return (64, .chainTooLong) }
        return nil
    }

    private static func failed(_ count: Int, at i: Int, _ result: EventResult) -> [EventResult] {
        var results = [EventResult](repeating: EventResult(.linkedEventFailed), count: count)
        results[i] = result
        return results
    }

    private mutating func transferRun(
        _ events: [Transfer], _ run: Range<Int>, _ now: UInt64, _ stamp: (Int) -> Timestamp
    ) -> [EventResult] {
        if let fault = Self.structuralFault(events.last!.flags.contains(.linked), events.count) {
            return Self.failed(events.count, at: fault.at, EventResult(fault.1))
        }
        // Sent again whole and unchanged.
        let first = events.map { requestFault($0) ?? seen($0) }
        if first.allSatisfy({ $0?.code == .exists }) { return first.map { $0! } }

        var trial = self
        var results: [EventResult] = []
        for (i, t) in events.enumerated() {
            let result = trial.one(t, now, stamp(run.lowerBound + i))
            if result.code != .created {
                if let code = result.code, Self.isFinal(code) {
                    remembered[Identity(t.debitAccountID, t.id)] = .refused(code)
                }
                // What exists only since the event before it, in a chain that fails, has no timestamp.
                let isKnown = result.code != .exists || first[i] != nil
                return Self.failed(events.count, at: i, isKnown ? result : EventResult(.exists))
            }
            results.append(result)
        }
        self = trial
        return results
    }

    private mutating func accountRun(
        _ events: [Account], _ run: Range<Int>, _ stamp: (Int) -> Timestamp
    ) -> [EventResult] {
        if let fault = Self.structuralFault(events.last!.flags.contains(.linked), events.count) {
            return Self.failed(events.count, at: fault.at, EventResult(fault.1))
        }
        let first = events.map { requestFault($0) ?? seen($0) }
        if first.allSatisfy({ $0?.code == .exists }) { return first.map { $0! } }
        var trial = self
        var results: [EventResult] = []
        for (i, a) in events.enumerated() {
            if var fault = trial.requestFault(a) ?? trial.seen(a) {
                if fault.code == .exists && first[i] == nil { fault.timestamp = .zero }
                return Self.failed(events.count, at: i, fault)
            }
            var new = a
            new.timestamp = stamp(run.lowerBound + i)
            trial.accounts[a.id] = new
            trial.created[a.id] = new
            results.append(EventResult(.created, timestamp: new.timestamp))
        }
        self = trial
        return results
    }

    /// Refusals that depend on state.
    private static func isFinal(_ code: ResultCode) -> Bool {
        switch code {
        case .debitAccountNotFound, .debitAccountHasDifferentLedger, .pendingTransferNotFound,
            .pendingTransferNotPending, .pendingTransferHasDifferentCreditAccountID,
            .pendingTransferHasDifferentLedger, .pendingTransferHasDifferentCode, .exceedsPendingTransferAmount,
            .pendingTransferAlreadyPosted, .pendingTransferAlreadyVoided, .pendingTransferExpired,
            .debitAccountClosed, .debitAccountFrozen, .overflowsTimeout, .overflowsDebitsPending,
            .overflowsDebitsPosted, .overflowsDebits, .exceedsCredits, .creditAccountNotFound,
            .creditAccountHasDifferentLedger, .creditAccountClosed, .creditAccountFrozen, .overflowsCreditsPending,
            .overflowsCreditsPosted, .overflowsCredits, .exceedsDebits:
            true
        default: false
        }
    }

    // MARK: One transfer

    private mutating func one(_ t: Transfer, _ now: UInt64, _ timestamp: Timestamp) -> EventResult {
        if let result = requestFault(t) ?? seen(t) { return result }
        let identity = Identity(t.debitAccountID, t.id)
        let isPending = t.flags.contains(.pending)
        let isPost = t.flags.contains(.postPending)
        let isVoid = t.flags.contains(.voidPending)

        // 6
        guard var debit = accounts[t.debitAccountID] else { return EventResult(.debitAccountNotFound) }
        if t.ledger != debit.ledger && !((isPost || isVoid) && t.ledger == 0) {
            return EventResult(.debitAccountHasDifferentLedger)
        }
        var final = t
        final.timestamp = timestamp
        var pending: Accepted?
        if isPost || isVoid {
            let named = Identity(t.debitAccountID, t.pendingID)
            guard case .accepted(let p)? = remembered[named] else { return EventResult(.pendingTransferNotFound) }
            if p.fate == .settled { return EventResult(.pendingTransferNotPending) }
            if t.creditAccountID.value != 0 && t.creditAccountID != p.final.creditAccountID {
                return EventResult(.pendingTransferHasDifferentCreditAccountID)
            }
            if t.ledger != 0 && t.ledger != p.final.ledger { return EventResult(.pendingTransferHasDifferentLedger) }
            if t.code != 0 && t.code != p.final.code { return EventResult(.pendingTransferHasDifferentCode) }
            let isAll = t.amount.value == .max
            if !isAll && t.amount.value > p.final.amount.value { return EventResult(.exceedsPendingTransferAmount) }
            if p.fate == .posted { return EventResult(.pendingTransferAlreadyPosted) }
            if p.fate == .voided { return EventResult(.pendingTransferAlreadyVoided) }
            if p.fate == .expired { return EventResult(.pendingTransferExpired) }
            if let deadline = p.deadline, deadline <= now { return EventResult(.pendingTransferExpired) }
            final.creditAccountID = p.final.creditAccountID
            final.ledger = p.final.ledger
            final.code = p.final.code
            if isAll { final.amount = p.final.amount }
            pending = p
        }

        // A void always goes through.
        if isVoid, let pending {
            release(pending)
            settle(Identity(t.debitAccountID, t.pendingID), .voided)
            return accept(identity, t, final, .settled, nil)
        }

        if debit.flags.contains(.closed) { return EventResult(.debitAccountClosed) }
        if debit.flags.contains(.debitsFrozen) { return EventResult(.debitAccountFrozen) }
        var deadline: UInt64?
        if isPending && t.timeout > 0 {
            let nanoseconds = UInt64(t.timeout) * 1_000_000_000
            if now > UInt64.max - nanoseconds { return EventResult(.overflowsTimeout) }
            deadline = timestamp.nanoseconds &+ nanoseconds
        }
        if t.flags.contains(.balancingDebit) {
            let left = Self.less(debit.creditsPosted, debit.debitsPosted, debit.debitsPending)
            final.amount = Amount(min(final.amount.value, left))
        }
        if let pending { debit.debitsPending.value -= pending.final.amount.value }
        if let code = Self.debit(&debit, final.amount.value, isPending) { return EventResult(code) }

        // 7
        guard var credit = accounts[final.creditAccountID] else { return EventResult(.creditAccountNotFound) }
        if credit.ledger != final.ledger { return EventResult(.creditAccountHasDifferentLedger) }
        if credit.flags.contains(.closed) { return EventResult(.creditAccountClosed) }
        if credit.flags.contains(.creditsFrozen) { return EventResult(.creditAccountFrozen) }
        if t.flags.contains(.balancingCredit) {
            let left = Self.less(credit.debitsPosted, credit.creditsPosted, credit.creditsPending)
            if left < final.amount.value {
                final.amount = Amount(left)
                debit = accounts[t.debitAccountID]!
                if let code = Self.debit(&debit, left, isPending) { return EventResult(code) }
            }
        }
        if let pending { credit.creditsPending.value -= pending.final.amount.value }
        if let code = Self.credit(&credit, final.amount.value, isPending) { return EventResult(code) }

        if t.flags.contains(.closingDebit) { debit.flags.insert(.closed) }
        if t.flags.contains(.closingCredit) { credit.flags.insert(.closed) }
        accounts[debit.id] = debit
        accounts[credit.id] = credit
        if pending != nil { settle(Identity(t.debitAccountID, t.pendingID), .posted) }
        return accept(identity, t, final, isPending ? .open : .settled, deadline)
    }

    private mutating func accept(
        _ identity: Identity, _ asked: Transfer, _ final: Transfer, _ fate: Fate, _ deadline: UInt64?
    ) -> EventResult {
        remembered[identity] = .accepted(Accepted(asked: asked, final: final, fate: fate, deadline: deadline))
        return EventResult(.created, timestamp: final.timestamp)
    }

    /// Takes back what a pending transfer holds; a closed account is opened again.
    private mutating func release(_ p: Accepted) {
        accounts[p.final.debitAccountID]!.debitsPending.value -= p.final.amount.value
        accounts[p.final.creditAccountID]!.creditsPending.value -= p.final.amount.value
        if p.final.flags.contains(.closingDebit) { accounts[p.final.debitAccountID]!.flags.remove(.closed) }
        if p.final.flags.contains(.closingCredit) { accounts[p.final.creditAccountID]!.flags.remove(.closed) }
    }

    private mutating func settle(_ identity: Identity, _ fate: Fate) {
        guard case .accepted(var p)? = remembered[identity] else { return }
        p.fate = fate
        remembered[identity] = .accepted(p)
    }

    /// a − b − c, at least 0.
    private static func less(_ a: Amount, _ b: Amount, _ c: Amount) -> UInt128 {
        let first = a.value > b.value ? a.value - b.value : 0
        return first > c.value ? first - c.value : 0
    }

    private static func debit(_ a: inout Account, _ amount: UInt128, _ isPending: Bool) -> ResultCode? {
        if isPending {
            if a.debitsPending.value > .max - amount { return .overflowsDebitsPending }
            a.debitsPending.value += amount
        } else {
            if a.debitsPosted.value > .max - amount { return .overflowsDebitsPosted }
            a.debitsPosted.value += amount
        }
        if a.debitsPending.value > .max - a.debitsPosted.value { return .overflowsDebits }
        if a.flags.contains(.debitsMustNotExceedCredits),
            a.debitsPending.value + a.debitsPosted.value > a.creditsPosted.value
        {
            return .exceedsCredits
        }
        return nil
    }

    private static func credit(_ a: inout Account, _ amount: UInt128, _ isPending: Bool) -> ResultCode? {
        if isPending {
            if a.creditsPending.value > .max - amount { return .overflowsCreditsPending }
            a.creditsPending.value += amount
        } else {
            if a.creditsPosted.value > .max - amount { return .overflowsCreditsPosted }
            a.creditsPosted.value += amount
        }
        if a.creditsPending.value > .max - a.creditsPosted.value { return .overflowsCredits }
        if a.flags.contains(.creditsMustNotExceedDebits),
            a.creditsPending.value + a.creditsPosted.value > a.debitsPosted.value
        {
            return .exceedsDebits
        }
        return nil
    }

    // MARK: Groups 2 to 5

    private func requestFault(_ t: Transfer) -> EventResult? {
        let isPending = t.flags.contains(.pending)
        let resolves = t.flags.contains(.postPending) || t.flags.contains(.voidPending)
        let balances = t.flags.contains(.balancingDebit) || t.flags.contains(.balancingCredit)
        let closes = t.flags.contains(.closingDebit) || t.flags.contains(.closingCredit)
        // 2
        if t.timestamp.nanoseconds != 0 { return EventResult(.timestampMustBeZero) }
        if !t.flags.isDisjoint(with: reservedTransferFlags) { return EventResult(.reservedFlag) }
        if isPending && resolves { return EventResult(.flagsAreMutuallyExclusive) }
        if t.flags.contains(.postPending) && t.flags.contains(.voidPending) {
            return EventResult(.flagsAreMutuallyExclusive)
        }
        if resolves && (balances || closes) { return EventResult(.flagsAreMutuallyExclusive) }
        if t.id.value == 0 { return EventResult(.idMustNotBeZero) }
        if t.id.value == .max { return EventResult(.idMustNotBeMax) }
        // 3
        if t.debitAccountID.value == 0 { return EventResult(.debitAccountIDMustNotBeZero) }
        if t.debitAccountID.value == .max { return EventResult(.debitAccountIDMustNotBeMax) }
        if t.creditAccountID.value == 0 && !resolves { return EventResult(.creditAccountIDMustNotBeZero) }
        if t.creditAccountID.value == .max { return EventResult(.creditAccountIDMustNotBeMax) }
        if t.creditAccountID == t.debitAccountID { return EventResult(.accountsMustBeDifferent) }
        // 4
        if resolves {
            if t.pendingID.value == 0 { return EventResult(.pendingIDMustNotBeZero) }
            if t.pendingID.value == .max { return EventResult(.pendingIDMustNotBeMax) }
            if t.pendingID == t.id { return EventResult(.pendingIDMustBeDifferent) }
        } else if t.pendingID.value != 0 {
            return EventResult(.pendingIDMustBeZero)
        }
        if t.timeout > 0 && !isPending { return EventResult(.timeoutReservedForPendingTransfer) }
        if closes && !isPending { return EventResult(.closingTransferMustBePending) }
        if t.ledger == 0 && !resolves { return EventResult(.ledgerMustNotBeZero) }
        if t.code == 0 && !resolves { return EventResult(.codeMustNotBeZero) }
        return nil
    }

    private func seen(_ t: Transfer) -> EventResult? {
        switch remembered[Identity(t.debitAccountID, t.id)] {
        case nil: return nil
        case .refused(let reason)?: return EventResult(.idAlreadyFailed, reason: reason)
        case .accepted(let known)?:
            let a = known.asked
            // How a request was grouped is not what was paid.
            if t.flags.union(.linked) != a.flags.union(.linked) { return EventResult(.existsWithDifferentFlags) }
            if t.pendingID != a.pendingID { return EventResult(.existsWithDifferentPendingID) }
            if t.timeout != a.timeout { return EventResult(.existsWithDifferentTimeout) }
            if t.creditAccountID != a.creditAccountID { return EventResult(.existsWithDifferentCreditAccountID) }
            if t.amount != a.amount { return EventResult(.existsWithDifferentAmount) }
            if t.userData128 != a.userData128 { return EventResult(.existsWithDifferentUserData128) }
            if t.userData64 != a.userData64 { return EventResult(.existsWithDifferentUserData64) }
            if t.userData32 != a.userData32 { return EventResult(.existsWithDifferentUserData32) }
            if t.ledger != a.ledger { return EventResult(.existsWithDifferentLedger) }
            if t.code != a.code { return EventResult(.existsWithDifferentCode) }
            return EventResult(.exists, timestamp: known.final.timestamp)
        }
    }

    // MARK: Accounts

    private func requestFault(_ a: Account) -> EventResult? {
        if a.timestamp.nanoseconds != 0 { return EventResult(.timestampMustBeZero) }
        if a.reserved != 0 { return EventResult(.reservedField) }
        if !a.flags.isDisjoint(with: reservedAccountFlags) { return EventResult(.reservedFlag) }
        if a.flags.contains(.debitsMustNotExceedCredits) && a.flags.contains(.creditsMustNotExceedDebits) {
            return EventResult(.flagsAreMutuallyExclusive)
        }
        if a.id.value == 0 { return EventResult(.idMustNotBeZero) }
        if a.id.value == .max { return EventResult(.idMustNotBeMax) }
        if a.debitsPending.value != 0 { return EventResult(.debitsPendingMustBeZero) }
        if a.debitsPosted.value != 0 { return EventResult(.debitsPostedMustBeZero) }
        if a.creditsPending.value != 0 { return EventResult(.creditsPendingMustBeZero) }
        if a.creditsPosted.value != 0 { return EventResult(.creditsPostedMustBeZero) }
        if a.ledger == 0 { return EventResult(.ledgerMustNotBeZero) }
        if a.code == 0 { return EventResult(.codeMustNotBeZero) }
        return nil
    }

    private func seen(_ a: Account) -> EventResult? {
        guard let first = created[a.id] else { return nil }
        if a.flags.union(.linked) != first.flags.union(.linked) { return EventResult(.existsWithDifferentFlags) }
        if a.userData128 != first.userData128 { return EventResult(.existsWithDifferentUserData128) }
        if a.userData64 != first.userData64 { return EventResult(.existsWithDifferentUserData64) }
        if a.userData32 != first.userData32 { return EventResult(.existsWithDifferentUserData32) }
        if a.ledger != first.ledger { return EventResult(.existsWithDifferentLedger) }
        if a.code != first.code { return EventResult(.existsWithDifferentCode) }
        return EventResult(.exists, timestamp: first.timestamp)
    }
}
