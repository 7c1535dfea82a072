// Answers questions about the past from the logs alone: passes over the durable part of the shards concerned, on a thread
// that is not a shard's. Shows what has a timestamp up to `time`, which whoever asks has made sure to be all there is.
//
// What changes an account is all in its own shard's log, not quite in the order of the timestamps, as credits decided
// elsewhere come in later. Of plain ones only account, amount and time are there: their transfers stand in the logs of their
// debit accounts' shards (`LoggedCredit`), which are read where there are such credits, and for their time only.
// Costs: one pass for transfers (records before the time asked for are skipped by segment where they can be), and one over
// each shard that has credited the account; two for balances and for accounts, whose second begins at the account's creation.

public import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger

public struct HistoryReader {
    private let routing: Routing
    private let time: Timestamp
    /// Of the shards that the question concerns; see `targets`.
    private let sources: [HistorySource]
    private let mustStop: () -> Bool

    /// - Parameters:
    ///   - time: Every accepted transfer up to it is in the sources, for every shard that it concerns.
    ///   - mustStop: Asked once per group of records.
    public init(routing: Routing, time: Timestamp, sources: [HistorySource], mustStop: @escaping () -> Bool) {
        self.routing = routing
        self.time = time
        self.sources = sources
        self.mustStop = mustStop
    }

    /// The shards whose logs a question needs, as bits.
    public static func targets(_ question: HistoryQuestion, _ routing: Routing) -> UInt64 {
        switch question {
        case .query(.accountBalances, let filter) where !filter.restsOnTransfer,
            .query(.accountTransfers, let filter) where filter.isOfDebits:
            1 << UInt64(routing.shard(of: filter.account).value)
        case .query, .transfers: routing.shardCount == 64 ? .max : (1 << UInt64(routing.shardCount)) - 1
        }
    }

    /// - Complexity: O(bytes of the logs concerned); memory O(results), and O(open pending transfers) for balances.
    public func answer(_ question: HistoryQuestion) throws(HistoryError) -> HistoryAnswer {
        switch question {
        case .query(.accountTransfers, let filter): .transfers(try accountTransfers(filter))
        case .query(.accountBalances, let filter): .balances(try accountBalances(filter))
        case .query(.transfers, let filter): .transfers(try transfers(filter))
        case .query(.accounts, let filter): .accounts(try accounts(filter))
        case .transfers(let keys): .transfers(try transfers(keys))
        }
    }

    // MARK: Passes

    /// Calls `body` for every record up to `time` of a source, in the order of its log.
    /// Records of credits are given one by one, as records of kind `credits` whose body says what is logged of them.
    /// - Parameter until: No later transfer that was decided there is wanted.
    private func scan(
        _ source: HistorySource, since: Timestamp, until: Timestamp = Timestamp(.max), _ body: (LogRecord) -> Void
    ) throws(HistoryError) {
        var isStopped = false
        do throws(JournalError) {
            let log = try LogScan(source.shard, through: source.bound, since: since)
            while let group = try log.nextGroup() {
                isStopped = mustStop()
                if isStopped { break }
                var isPast = false
                for i in 0..<group.count {
                    let record = group.record(i)
                    if record.kind == .credits {
                        for k in 0..<record.creditCount where record.credit(k).timestamp <= time {
                            body(Self.record(record.credit(k), record.peer))
                        }
                        continue
                    }
                    if record.kind == .decision && record.timestamp > until { isPast = true }
                    if record.timestamp <= time { body(record) }
                }
                // A shard decides in the order of its timestamps.
                if isPast { break }
            }
        } catch { throw .journal(error) }
        if isStopped { throw .stopped }
    }

    private static func record(_ credit: LoggedCredit, _ peer: ShardID) -> LogRecord {
        var t = Transfer(
            id: TransferID(0), debit: AccountID(0), credit: credit.account, amount: Amount(UInt128(credit.amount)),
            ledger: 0, code: 0)
        t.timestamp = credit.timestamp
        return LogRecord(.credits, t, peer: peer)
    }

    /// The sides of an accepted record whose accounts live in the shard whose log holds it.
    private func sides(_ record: borrowing LogRecord, in shard: ShardID) -> (debit: Bool, credit: Bool) {
        switch record.kind {
        case .transfer: (true, true)
        case .decision: (true, false)
        case .credit, .credits: (false, true)
        case .leg:
            (
                routing.shard(of: record.body.debitAccountID) == shard,
                routing.shard(of: record.body.creditAccountID) == shard
            )
        default: (false, false)
        }
    }

    /// Last timestamp to be shown.
    private func end(_ filter: QueryFilter) -> Timestamp {
        filter.timestampMax == .zero ? time : min(time, filter.timestampMax)
    }

    private func isInTime(_ timestamp: Timestamp, _ filter: QueryFilter) -> Bool {
        timestamp >= filter.timestampMin && timestamp <= end(filter)
    }

    // MARK: Transfers

    /// True for the sides of the filter's account that it asks for.
    private func touches(_ record: borrowing LogRecord, _ filter: QueryFilter) -> Bool { touches(record.body, filter) }

    private func touches(_ t: borrowing Transfer, _ filter: QueryFilter) -> Bool {
        let wanted = filter.flags.intersection([.debits, .credits])
        if t.debitAccountID == filter.account { return wanted != .credits }
        return t.creditAccountID == filter.account && wanted != .debits
    }

    private func accountTransfers(_ filter: QueryFilter) throws(HistoryError) -> [Transfer] {
        var page = Page<Transfer>(limit: Int(filter.limit), isReversed: filter.isReversed)
        var elsewhere = CreditsElsewhere()
        for source in sources where source.shard.shard == routing.shard(of: filter.account) {
            try scan(source, since: filter.timestampMin) { record in
                guard isInTime(record.timestamp, filter), touches(record, filter) else { return }
                if elsewhere.note(record) || record.flags.contains(.expiry) { return }
                if record.isAccepted, filter.matches(record.body) { page.offer(record.timestamp, record.transfer) }
            }
        }
        try each(elsewhere, filter) { page.offer($0.timestamp, $0.transfer) }
        return page.take()
    }

    /// Calls `body` for the decisions of what has credited an account in short.
    private func each(
        _ elsewhere: CreditsElsewhere, _ filter: QueryFilter, _ body: (LogRecord) -> Void
    ) throws(HistoryError) {
        for source in sources {
            guard let times = elsewhere.times[source.shard.shard] else { continue }
            try scan(source, since: times.lowerBound, until: times.upperBound) { record in
                guard record.kind == .decision, record.body.isCreditedInShort,
                    record.body.creditAccountID == filter.account, isInTime(record.timestamp, filter),
                    filter.matches(record.body)
                else { return }
                body(record)
            }
        }
    }

    /// Of all accounts: each transfer by its debit account's shard.
    private func transfers(_ filter: QueryFilter) throws(HistoryError) -> [Transfer] {
        var page = Page<Transfer>(limit: Int(filter.limit), isReversed: filter.isReversed)
        for source in sources {
            try scan(source, since: filter.timestampMin) { record in
                guard isInTime(record.timestamp, filter), filter.matches(record.body),
                    !record.flags.contains(.expiry), sides(record, in: source.shard.shard).debit
                else { return }
                page.offer(record.timestamp, record.transfer)
            }
        }
        return page.take()
    }

    /// In the order of the keys, of each the oldest first.
    private func transfers(_ keys: [(debit: AccountID, id: TransferID)]) throws(HistoryError) -> [Transfer] {
        let wanted = Set(keys.map(\.id))
        var page = Page<Transfer>(limit: Limits.eventsPerRequestMax, isReversed: false)
        for source in sources {
            try scan(source, since: .zero) { record in
                guard wanted.contains(record.body.id), sides(record, in: source.shard.shard).debit,
                    !record.flags.contains(.expiry)
                else { return }
                page.offer(record.timestamp, record.transfer)
            }
        }
        let found = Dictionary(grouping: page.take(), by: \.id)
        let all = keys.lazy.flatMap { key in
            (found[key.id] ?? []).filter { key.debit.isZero || key.debit == $0.debitAccountID }
        }
        return Array(all.prefix(Limits.eventsPerRequestMax))
    }

    // MARK: Accounts and balances

    private func accounts(_ filter: QueryFilter) throws(HistoryError) -> [Account] {
        var page = Page<Account>(limit: Int(filter.limit), isReversed: filter.isReversed)
        for source in sources {
            try scan(source, since: filter.timestampMin) { record in
                guard let account = created(record, in: source.shard.shard), filter.matches(account),
                    isInTime(account.timestamp, filter)
                else { return }
                page.offer(account.timestamp, account)
            }
        }
        var found = page.take()
        // An account that the log creates twice is damage that a start names; here it must not end the process.
        let places = Dictionary(found.enumerated().map { ($1.id, $0) }, uniquingKeysWith: { first, _ in first })
        for source in sources {
            let here = found.filter { routing.shard(of: $0.id) == source.shard.shard }
            guard let first = here.map(\.timestamp).min() else { continue }
            var held = HeldAmounts()
            try scan(source, since: first) { record in
                if record.kind == .freeze, let place = places[record.body.debitAccountID] {
                    found[place].flags = record.accountFlags
                }
                let sides = sides(record, in: source.shard.shard)
                let debit = sides.debit ? places[record.body.debitAccountID] : nil
                let credit = sides.credit ? places[record.body.creditAccountID] : nil
                if debit == nil && credit == nil { return }
                let (debitEffect, creditEffect, _) = held.effects(record.body)
                if let debit { found[debit].applyDebit(debitEffect) }
                if let credit { found[credit].applyCredit(creditEffect) }
            }
            // Over by now, though the log does not say so yet.
            for expiry in held.over(by: time) {
                let (debit, credit, _) = held.effects(expiry)
                for place in here.compactMap({ places[$0.id] }) {
                    if found[place].id == expiry.debitAccountID { found[place].applyDebit(debit) }
                    if found[place].id == expiry.creditAccountID { found[place].applyCredit(credit) }
                }
            }
        }
        return found
    }

    /// The account that a record creates in this shard.
    private func created(_ record: borrowing LogRecord, in shard: ShardID) -> Account? {
        switch record.kind {
        case .account: record.account
        case .accountLeg: routing.shard(of: record.account.id) == shard ? record.account : nil
        default: nil
        }
    }

    /// When an account's balances change as the filter asks, in order: what expires does at its deadline, whenever that is
    /// recorded.
    private func timesOfChanges(_ filter: QueryFilter) throws(HistoryError) -> [Timestamp] {
        var page = Page<Timestamp>(limit: Int(filter.limit), isReversed: filter.isReversed, isDistinct: true)
        var elsewhere = CreditsElsewhere()
        func offer(_ t: Transfer, at timestamp: Timestamp) {
            if isInTime(timestamp, filter) && filter.matches(t) { page.offer(timestamp, timestamp) }
        }
        for source in sources where source.shard.shard == routing.shard(of: filter.account) {
            var held = HeldAmounts()
            try scan(source, since: .zero) { record in
                let t = record.body
                guard changes(record), t.debitAccountID == filter.account || t.creditAccountID == filter.account
                else { return }
                let timestamp = held.effects(t).deadline ?? record.timestamp
                guard touches(record, filter) else { return }
                if filter.restsOnTransfer && elsewhere.note(record) { return }
                offer(t, at: timestamp)
            }
            for expiry in held.over(by: time) where touches(expiry, filter) {
                guard let deadline = held.effects(expiry).deadline else { continue }
                offer(expiry, at: deadline)
            }
        }
        try each(elsewhere, filter) { offer($0.body, at: $0.timestamp) }
        return page.take().sorted()
    }

    /// Whether a record changes balances.
    private func changes(_ record: borrowing LogRecord) -> Bool { record.kind == .credits ? true : record.isAccepted }

    /// The balances after each change of an account with `history`, expiries included. First the changes of the page are
    /// found, then what lies before and between them is added up.
    private func accountBalances(_ filter: QueryFilter) throws(HistoryError) -> [AccountBalance] {
        let times = try timesOfChanges(filter)
        var balances = times.map { AccountBalance(timestamp: $0) }
        var hasHistory = false
        func change(_ t: Transfer, at timestamp: Timestamp, _ held: inout HeldAmounts) {
            let isDebit = t.debitAccountID == filter.account
            let (debit, credit, deadline) = held.effects(t)
            // In the first balance that shows it: what has expired, from its deadline on.
            let from = deadline.map { min($0, timestamp) } ?? timestamp
            let place = times.partitioningIndex { $0 >= from }
            if place < times.count { balances[place].add(isDebit ? debit : credit, isDebit: isDebit) }
        }
        let home = routing.shard(of: filter.account)
        for source in sources where source.shard.shard == home {
            var held = HeldAmounts()
            try scan(source, since: .zero) { record in
                if let account = created(record, in: source.shard.shard), account.id == filter.account {
                    hasHistory = account.flags.contains(.history)
                }
                let isDebit = record.body.debitAccountID == filter.account
                guard changes(record), isDebit || record.body.creditAccountID == filter.account else { return }
                change(record.body, at: record.timestamp, &held)
            }
            for expiry in held.over(by: time) { change(expiry, at: time, &held) }
        }
        if !hasHistory { return [] }
        for i in balances.indices.dropFirst() { balances[i].add(balances[i - 1]) }
        return filter.isReversed ? balances.reversed() : balances
    }
}

/// The shards that have credited an account in short, and between when: their logs have the transfers.
private struct CreditsElsewhere {
    private(set) var times: [ShardID: ClosedRange<Timestamp>] = [:]

    /// Notes a record that is such a credit; false: it is none.
    mutating func note(_ record: borrowing LogRecord) -> Bool {
        let timestamp = record.timestamp
        switch record.kind {
        case .credits: break
        // Earlier builds logged all of it.
        case .credit where record.body.isCreditedInShort: break
        default: return false
        }
        let known = times[record.peer] ?? timestamp...timestamp
        times[record.peer] = min(known.lowerBound, timestamp)...max(known.upperBound, timestamp)
        return true
    }
}

/// The open pending transfers of some accounts, while their records pass by.
private struct HeldAmounts {
    private struct Identity: Hashable {
        var debit: AccountID
        var id: TransferID
    }
    private var held: [Identity: Transfer] = [:]

    /// What an accepted transfer or an expiry does to its two accounts; of an expiry, its deadline.
    mutating func effects(_ t: Transfer) -> (debit: Effect, credit: Effect, deadline: Timestamp?) {
        var before: Transfer?
        if t.flags.contains(.pending) {
            held[Identity(debit: t.debitAccountID, id: t.id)] = t
        } else if t.flags.resolves {
            before = held.removeValue(forKey: Identity(debit: t.debitAccountID, id: t.pendingID))
        }
        let (amount, flags) = (before?.amount ?? .zero, before?.flags ?? [])
        return (
            Effect(debitOf: t, held: amount, heldFlags: flags), Effect(creditOf: t, held: amount, heldFlags: flags),
            t.id.isZero ? before.map { Timestamp($0.deadline) } : nil
        )
    }

    /// The expiries of what is still held though its deadline has passed, each to be taken by `effects`.
    func over(by time: Timestamp) -> [Transfer] {
        held.values.filter { $0.deadline != 0 && $0.deadline <= time.nanoseconds }.map {
            LogRecord(expiryOf: $0, kind: .transfer, timestamp: time).body
        }
    }
}

extension QueryFilter {
    /// It asks for more of a transfer than its account and time.
    fileprivate var restsOnTransfer: Bool {
        userData128 != 0 || userData64 != 0 || userData32 != 0 || ledger != 0 || code != 0
    }

    /// It asks for no credits.
    fileprivate var isOfDebits: Bool { flags.intersection([.debits, .credits]) == .debits }
}

extension AccountBalance {
    /// A part of the sum may be below zero, so it wraps; the whole sum is not.
    fileprivate mutating func add(_ e: Effect, isDebit: Bool) {
        let pending = e.pendingAdd &- e.pendingRelease
        if isDebit {
            debitsPending.value &+= pending
            debitsPosted.value &+= e.posted
        } else {
            creditsPending.value &+= pending
            creditsPosted.value &+= e.posted
        }
    }

    fileprivate mutating func add(_ before: AccountBalance) {
        debitsPending.value &+= before.debitsPending.value
        debitsPosted.value &+= before.debitsPosted.value
        creditsPending.value &+= before.creditsPending.value
        creditsPosted.value &+= before.creditsPosted.value
    }
}

extension Array {
    /// First place from which on `holds`, which holds for all elements behind one for which it does.
    fileprivate func partitioningIndex(_ holds: (Element) -> Bool) -> Int {
        var first = 0
        var behind = count
        while first < behind {
            let middle = first + (behind - first) / 2
            if holds(self[middle]) { behind = middle } else { first = middle + 1 }
        }
        return first
    }
}
