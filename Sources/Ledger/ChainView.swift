// All that the verdict on a chain rests on, in fixed memory that its owner uses again and again: the events, what is
// known of their identities and of the pending transfers they name, and the accounts they touch. Filled by the shard
// (or by each shard for its part), judged by `ChainView+Evaluate`, a function of nothing else.
//
//     begin ─► add(event)… ─► setIdentity, setPending, setAccount… ─► evaluate ─► record(i) of each, or the fault
//
// A single event is a chain of one: whatever is not plain may be decided this way.

public import SuanpanCore

/// One event of a chain: what every shard that takes part looks at. The rest stands in `ChainDetail`, which plain events
/// need not: a thousand chains are under way at a time, and what they touch comes from far away.
@frozen public struct ChainEvent: BitwiseCopyable, Sendable {
    /// As the client sent it.
    public var asked: Transfer
    /// Group 5 (Docs/Semantics.md) by the ledger: `exists…` or `id_already_failed`; `.created` for a new identity.
    public var known: EventResult
    /// After the evaluation.
    public var result: EventResult
    /// Hash of its identity, under the key that all shards share; the coordinator's to say.
    public var identityHash: UInt64
    /// Places of its accounts. The credit account of a post or void that leaves it out has one once `pending` is set, or
    /// the event was evaluated as created.
    public var debitPlace: UInt16
    public var creditPlace: UInt16
}

/// What else there is of an event that is not plain.
@frozen @usableFromInline struct ChainDetail: BitwiseCopyable {
    /// As it comes out, but for its timestamp; meaningful once the chain was evaluated as created.
    var final: Transfer
    /// Of a post or void: what is known of the transfer it names. One that is opened in the chain itself is not meant.
    var pending: PendingFact
    /// The same as its coordinator knew it before it asked the shards concerned, where it was open: theirs to read.
    var given: PendingFact
}

/// One account that a chain touches.
@frozen public struct ChainAccount: BitwiseCopyable, Sendable {
    public var id: AccountID
    /// Its hash, under the key that all shards share; the coordinator's to say.
    public var hash: UInt64
    /// The owner's: where it is in the shard's ledger.
    public var index: AccountIndex
    /// Where it lives; the coordinator's to say.
    public var owner: ShardID
    public var exists: Bool
}

/// The verdict on a chain.
public enum ChainOutcome: Equatable, Sendable {
    /// Every event is created: apply `record(i)` of each, in order.
    case created
    /// The chain was created before, unchanged: every result is `exists` with its first timestamp.
    case exists
    /// Nothing is done. The event at fault has this answer (and becomes final if the code `isFinalRefusal`), all others
    /// `linked_event_failed`.
    case refused(at: Int, EventResult)
}

public struct ChainView: ~Copyable {
    @usableFromInline var events: FixedArray<ChainEvent>
    @usableFromInline var accounts: FixedArray<ChainAccount>
    /// By event, where it is not plain.
    @usableFromInline var details: FixedArray<ChainDetail>
    /// By account: as it is before the chain, where its shard has said so; after `evaluate`, as it would be after the events
    /// that passed.
    @usableFromInline var records: FixedArray<Account>
    @usableFromInline var eventCount = 0
    @usableFromInline var placeCount = 0
    /// The events are accounts to be created, seen as transfers; `AccountChain` judges them.
    public private(set) var isOfAccounts = false
    /// The shards concerned may reserve what it needs: see `give`.
    public internal(set) var mayReserve = false

    static var noPlace: UInt16 { .max }

    /// For any chain, in memory of its own.
    public init() {
        events = FixedArray(count: Limits.eventsPerChainMax)
        accounts = FixedArray(count: Limits.accountsPerChainMax)
        details = FixedArray(count: Limits.eventsPerChainMax)
        records = FixedArray(count: Limits.accountsPerChainMax)
    }

    /// For chains of up to so many events, in `bytes` of a region that outlives it.
    public init(eventsMax: Int, in region: borrowing RawRegion, at offset: Int) {
        let accountsMax = eventsMax * Limits.accountsPerEvent
        var place = offset
        events = FixedArray(count: eventsMax, in: region, at: place)
        place += eventsMax * MemoryLayout<ChainEvent>.stride
        accounts = FixedArray(count: accountsMax, in: region, at: place)
        place += accountsMax * MemoryLayout<ChainAccount>.stride
        details = FixedArray(count: eventsMax, in: region, at: place)
        place += eventsMax * MemoryLayout<ChainDetail>.stride
        records = FixedArray(count: accountsMax, in: region, at: place)
    }

    /// What a view for so many events takes, in whole cache lines.
    public static func bytes(eventsMax: Int) -> Int {
        let perAccount = MemoryLayout<ChainAccount>.stride + MemoryLayout<Account>.stride
        let perEvent =
            MemoryLayout<ChainEvent>.stride + MemoryLayout<ChainDetail>.stride + Limits.accountsPerEvent * perAccount
        return (eventsMax * perEvent + 63) & ~63
    }

    /// Events added.
    @inlinable public var count: Int { eventCount }
    /// Accounts touched, each once, in order of first mention: places 0 ..< `accountCount`.
    @inlinable public var accountCount: Int { placeCount }
    @inlinable public subscript(i: Int) -> ChainEvent {
        @inline(__always) _read {
            invariant(i < eventCount, "event \(i) of \(eventCount)")
            yield events[i]
        }
    }
    /// Where an account that exists and lives here is in the shard's ledger.
    @inlinable public func index(_ place: UInt16) -> AccountIndex { accounts[Int(place)].index }
    @inlinable public func account(_ place: Int) -> ChainAccount {
        invariant(place < placeCount, "account \(place) of \(placeCount)")
        return accounts[place]
    }
    /// As `setAccount` has said.
    public func record(of place: Int) -> Account { records[place] }

    /// Its own fields say all of an event: it comes out as it was asked.
    @inline(__always)
    private func isWhole(_ i: Int) -> Bool { isOfAccounts || events[i].asked.flags.isPlain }

    /// An event as it comes out, with its timestamp; meaningful once the chain was evaluated as created, or completed.
    public func final(_ i: Int) -> Transfer {
        var t = isWhole(i) ? events[i].asked : details[i].final
        t.timestamp = events[i].result.timestamp
        return t
    }

    /// What is known of the transfer that a post or void names; of other events: that there is none.
    public func pending(_ i: Int) -> PendingFact {
        isWhole(i) ? PendingFact(.notFound) : details[i].pending
    }

    /// The same as the coordinator has told the others.
    public func given(_ i: Int) -> PendingFact { isWhole(i) ? PendingFact(.notFound) : details[i].given }

    /// Asks for the lines that every shard reads.
    public func prefetch() {
        for i in 0..<eventCount { events.prefetch(i) }
        for place in 0..<placeCount { accounts.prefetch(place) }
    }

    /// Some event may close an account, or credit so much that others, promised, might overflow.
    public var mayBreakPromises: Bool {
        for i in 0..<eventCount {
            let flags = events[i].asked.flags
            if flags.closes { return true }
            if !flags.resolves && events[i].asked.amount.value > Limits.standingAmountMax { return true }
        }
        return false
    }

    /// Some event takes what an account has left.
    public var balances: Bool {
        for i in 0..<eventCount where events[i].asked.flags.balances { return true }
        return false
    }

    /// Its amounts are too small to bring an account near to the end of its balances that is far from it.
    public var isModest: Bool {
        for i in 0..<eventCount {
            let t = events[i].asked
            if !t.flags.resolves && !t.flags.balances && t.amount.value >> 120 != 0 { return false }
        }
        return true
    }

    /// Events that open a pending transfer.
    public var opens: Int {
        var opens = 0
        for i in 0..<eventCount where events[i].asked.flags.contains(.pending) { opens += 1 }
        return opens
    }

    /// After the evaluation: more credits of its accounts might have changed it.
    public func restsOnCredits(_ outcome: ChainOutcome) -> Bool {
        if case .refused(_, let result) = outcome, result.code == .exceedsCredits { return true }
        return balances
    }

    /// After the evaluation: what was due a moment earlier or later on one of its accounts might have changed it.
    public func mayRestOnDeadlines(_ outcome: ChainOutcome) -> Bool {
        guard case .refused(_, let result) = outcome else { return balances && holdsSomething }
        return (balances || result.code?.restsOnHolds ?? false) && holdsSomething
    }

    private var holdsSomething: Bool {
        for place in 0..<placeCount where accounts[place].exists {
            let record = records[place]
            if record.debitsPending.value | record.creditsPending.value != 0 || record.flags.contains(.closed) {
                return true
            }
        }
        return false
    }

    @inlinable public func accountID(_ place: Int) -> AccountID {
        invariant(place < placeCount, "account \(place) of \(placeCount)")
        return accounts[place].id
    }
    /// The shard where the account at a place lives, as its coordinator has said.
    @inlinable public func owner(_ place: Int) -> ShardID {
        invariant(place < placeCount, "account \(place) of \(placeCount)")
        return accounts[place].owner
    }
    /// Where the account at an event's place is in the ledger of a shard that has said so by `setAccount`; nil: it lives
    /// elsewhere.
    @inlinable public func index(_ place: UInt16, in shard: ShardID) -> AccountIndex? {
        accounts[Int(place)].owner == shard ? accounts[Int(place)].index : nil
    }

    // MARK: Filling

    /// Says where an account lives, and its hash.
    public mutating func setOwner(_ place: Int, _ owner: ShardID, hash: UInt64 = 0) {
        accounts[place].owner = owner
        accounts[place].hash = hash
    }

    /// Remembers the hash of an event's identity.
    public mutating func setIdentityHash(_ i: Int, _ hash: UInt64) { events[i].identityHash = hash }

    /// Empties the view.
    public mutating func begin(ofAccounts: Bool = false) {
        isOfAccounts = ofAccounts
        eventCount = 0
        placeCount = 0
    }

    /// Appends an event: a new identity, its accounts absent, what it posts or voids not found, until said otherwise.
    /// Those after one that `refusalByRequest` refuses may be left out: it is as far as the evaluation comes.
    /// - Precondition: fewer events than the view is for.
    public mutating func add(_ t: Transfer) {
        invariant(eventCount < events.count, "a chain of more than \(events.count) events")
        let i = eventCount
        eventCount += 1
        events[i].asked = t
        events[i].known = EventResult(.created)
        events[i].result = EventResult(.created)
        if !isWhole(i) {
            details[i].final = t
            details[i].pending = PendingFact(.notFound)
            details[i].given = PendingFact(.notFound)
        }
        events[i].debitPlace = place(of: isOfAccounts ? AccountID(t.id.value) : t.debitAccountID)
        let hasCredit = !isOfAccounts && !t.creditAccountID.isZero
        events[i].creditPlace = hasCredit ? place(of: t.creditAccountID) : Self.noPlace
    }

    /// Says that an event's identity was seen before.
    public mutating func setIdentity(_ i: Int, _ known: EventResult) { events[i].known = known }

    /// Says what is known of the transfer that a post or void names. May add a place for its credit account.
    public mutating func setPending(_ i: Int, _ fact: PendingFact) {
        details[i].pending = fact
        if fact.state == .open && events[i].creditPlace == Self.noPlace {
            events[i].creditPlace = place(of: fact.creditAccountID)
        }
    }

    /// The same, for a shard that is not the chain's owner: a place that is then missing is the owner's to add.
    public mutating func setFact(_ i: Int, _ fact: PendingFact) { details[i].pending = fact }

    /// Adds the places of credit accounts that `setFact` has told of. True when there was any.
    public mutating func addMissingPlaces() -> Bool {
        let before = placeCount
        for i in 0..<eventCount where events[i].creditPlace == Self.noPlace {
            let fact = pending(i)
            if fact.state == .open { events[i].creditPlace = place(of: fact.creditAccountID) }
        }
        return placeCount > before
    }

    /// Says that there is no such account.
    public mutating func setAbsent(_ place: Int) { accounts[place].exists = false }

    /// Says that an account exists, and how it stands.
    public mutating func setAccount(_ place: Int, _ record: Account, index: AccountIndex = AccountIndex(0 as UInt32)) {
        accounts[place].exists = true
        accounts[place].index = index
        records[place] = record
    }

    /// Says that an account exists, and where it is in its shard's ledger; how it stands is left open.
    public mutating func setIndex(_ place: Int, _ index: AccountIndex) {
        accounts[place].exists = true
        accounts[place].index = index
    }

    /// The event before `i` in this chain whose identity a post or void names; nil: none.
    public func openedInChain(_ i: Int) -> Int? {
        let t = events[i].asked
        for k in 0..<i where events[k].asked.id == t.pendingID && events[k].asked.debitAccountID == t.debitAccountID {
            return k
        }
        return nil
    }

    private mutating func place(of id: AccountID) -> UInt16 {
        if let found = findPlace(id) { return UInt16(found) }
        accounts[placeCount].id = id
        accounts[placeCount].exists = false
        placeCount += 1
        return UInt16(placeCount - 1)
    }

    func findPlace(_ id: AccountID) -> Int? {
        for place in 0..<placeCount where accounts[place].id == id { return place }
        return nil
    }

    // MARK: After the evaluation

    mutating func setResult(_ i: Int, _ result: EventResult) { events[i].result = result }

    /// Gives an event of a created chain its timestamp.
    public mutating func setTimestamp(_ i: Int, _ timestamp: Timestamp) {
        events[i].result.timestamp = timestamp
    }

    /// The log record of an event of a created chain, which has its timestamp. All but the last continue the chain.
    public func record(
        _ i: Int, _ kind: RecordKind, peer: ShardID = ShardID(0), sequence: UInt64 = 0
    ) -> LogRecord {
        var record = LogRecord(kind, final: final(i), asked: events[i].asked, peer: peer, sequence: sequence)
        if i + 1 < eventCount { record.flags.insert(.chainContinues) }
        return record
    }
}

extension Ledger {
    /// What this ledger's table of open pending transfers says about the one that event `i` names; nil: not open here,
    /// the remembered id and its record know more.
    public func openPendingFact(_ t: borrowing Transfer) -> PendingFact? {
        openPendingFact(t, hash: identityHash(t.debitAccountID, t.pendingID))
    }

    /// The same where the hash of that identity is known.
    public func openPendingFact(_ t: borrowing Transfer, hash: UInt64) -> PendingFact? {
        findPending(t, hash: hash).map { PendingFact(pending($0)) }
    }

    /// Where this ledger has the open pending transfer that a post or void names, whose identity has this hash.
    public func findPending(_ t: borrowing Transfer, hash: UInt64) -> PendingIndex? {
        pendingTable.find(hash, t.debitAccountID, t.pendingID)
    }
}
