// All that the verdict on a chain rests on, in fixed memory that its owner uses again and again: the events, what is
// known of their identities and of the pending transfers they name, and the accounts they touch. Filled by the shard
// (or by each shard for its part), judged by `ChainView+Evaluate`, a function of nothing else.
//
//     begin ─► add(event)… ─► setIdentity, setPending, setAccount… ─► evaluate ─► record(i) of each, or the fault
//
// A single event is a chain of one: whatever is not plain may be decided this way.

public import SuanpanCore

/// One event of a chain.
@frozen public struct ChainEvent: BitwiseCopyable, Sendable {
    /// As the client sent it.
    public var asked: Transfer
    /// As it comes out; meaningful once the chain was evaluated as created.
    public var final: Transfer
    /// Group 5 (Docs/Semantics.md) by the ledger: `exists…` or `id_already_failed`; `.created` for a new identity.
    public var known: EventResult
    /// Of a post or void: what is known of the transfer it names. One that is opened in the chain itself is not meant.
    public var pending: PendingFact
    /// The same as its coordinator knew it before it asked the shards concerned, where it was open: theirs to read.
    public var given: PendingFact
    /// Hash of its identity, as the debit account's shard has found it when it reserved.
    public var identityHash: UInt64
    /// After the evaluation.
    public var result: EventResult
    /// Places of its accounts. The credit account of a post or void that leaves it out has one once `pending` is set, or
    /// the event was evaluated as created.
    public var debitPlace: UInt16
    public var creditPlace: UInt16
}

/// One account that a chain touches.
@frozen public struct ChainAccount: BitwiseCopyable, Sendable {
    public var id: AccountID
    /// Where it lives; the coordinator's to say.
    public var owner: ShardID
    public var exists: Bool
    /// The owner's: where it is in the shard's ledger.
    public var index: AccountIndex
    /// As it is before the chain; after `evaluate`, as it would be after the events that passed.
    public var record: Account
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
    }

    /// For chains of up to so many events, in `bytes` of a region that outlives it.
    public init(eventsMax: Int, in region: borrowing RawRegion, at offset: Int) {
        events = FixedArray(count: eventsMax, in: region, at: offset)
        accounts = FixedArray(
            count: eventsMax * Limits.accountsPerEvent, in: region,
            at: offset + eventsMax * MemoryLayout<ChainEvent>.stride)
    }

    /// What a view for so many events takes, in whole cache lines.
    public static func bytes(eventsMax: Int) -> Int {
        let bytes =
            eventsMax
            * (MemoryLayout<ChainEvent>.stride + Limits.accountsPerEvent * MemoryLayout<ChainAccount>.stride)
        return (bytes + 63) & ~63
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
            let record = accounts[place].record
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

    /// Says where an account lives.
    public mutating func setOwner(_ place: Int, _ owner: ShardID) { accounts[place].owner = owner }

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
        events[i].final = t
        events[i].known = EventResult(.created)
        events[i].pending = PendingFact(.notFound)
        events[i].given = PendingFact(.notFound)
        events[i].result = EventResult(.created)
        events[i].debitPlace = place(of: isOfAccounts ? AccountID(t.id.value) : t.debitAccountID)
        let hasCredit = !isOfAccounts && !t.creditAccountID.isZero
        events[i].creditPlace = hasCredit ? place(of: t.creditAccountID) : Self.noPlace
    }

    /// Says that an event's identity was seen before.
    public mutating func setIdentity(_ i: Int, _ known: EventResult) { events[i].known = known }

    /// Says what is known of the transfer that a post or void names. May add a place for its credit account.
    public mutating func setPending(_ i: Int, _ fact: PendingFact) {
        events[i].pending = fact
        if fact.state == .open && events[i].creditPlace == Self.noPlace {
            events[i].creditPlace = place(of: fact.creditAccountID)
        }
    }

    /// The same, for a shard that is not the chain's owner: a place that is then missing is the owner's to add.
    public mutating func setFact(_ i: Int, _ fact: PendingFact) { events[i].pending = fact }

    /// Adds the places of credit accounts that `setFact` has told of. True when there was any.
    public mutating func addMissingPlaces() -> Bool {
        let before = placeCount
        for i in 0..<eventCount where events[i].pending.state == .open && events[i].creditPlace == Self.noPlace {
            events[i].creditPlace = place(of: events[i].pending.creditAccountID)
        }
        return placeCount > before
    }

    /// Says that there is no such account.
    public mutating func setAbsent(_ place: Int) { accounts[place].exists = false }

    /// Says that an account exists, and how it stands.
    public mutating func setAccount(_ place: Int, _ record: Account, index: AccountIndex = AccountIndex(0 as UInt32)) {
        accounts[place].exists = true
        accounts[place].record = record
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
        events[i].final.timestamp = timestamp
        events[i].result.timestamp = timestamp
    }

    /// The log record of an event of a created chain, which has its timestamp. All but the last continue the chain.
    public func record(
        _ i: Int, _ kind: RecordKind, peer: ShardID = ShardID(0), sequence: UInt64 = 0
    ) -> LogRecord {
        var record = LogRecord(kind, final: events[i].final, asked: events[i].asked, peer: peer, sequence: sequence)
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
