// The fixed tables of a shard: coordinator slots, participants, accounts with something undecided, waiters. All are
// allocated before the shard runs; links are indices plus one, 0 meaning none, so that zeroed memory is an empty table.

public import SuanpanCore
internal import SuanpanLanes
internal import SuanpanLedger

/// Where an answer goes: the front of a core, its request and the event's place in it.
@frozen public struct Origin: BitwiseCopyable, Sendable {
    public var core: UInt16
    /// What was asked; the front's own number.
    public var operation: UInt8
    public var request: UInt32
    public var index: UInt32
    /// A connection whose commands take effect in order; 0: none.
    public var stream: UInt32
    @inlinable public init(core: UInt16, operation: UInt8, request: UInt32, index: UInt32, stream: UInt32) {
        self.core = core
        self.operation = operation
        self.request = request
        self.index = index
        self.stream = stream
    }

    /// Of what the shard does by itself: it is answered to nobody.
    static var nobody: Origin { Origin(core: .max, operation: 0, request: 0, index: 0, stream: 0) }
    var isNobody: Bool { core == .max }
}

/// Where a transfer stands that could not be decided at once. See Docs/Architecture.md for the machine.
///
///     parked ──open──► preparing ──waiting──► waitingAtPeer
///       ▲ ▲               │  │ yes                 │ yes
///       │ │ again  let go │  └──────► voted ◄──────┘
///       │ suspended ◄─────┘             │ first of its debit account
///       │                               ▼
///       └── aborting ◄─ (behind one     decided ─durable: commit─ ─applied► answered
///        released        that waits)
enum SlotState: UInt8, BitwiseCopyable, CaseIterable {
    case free
    /// Holds nothing; queues at its debit account.
    case parked
    /// Holds the debit; `prepare` is on its way.
    case preparing
    /// Holds the debit; the peer waits for younger transfers.
    case waitingAtPeer
    /// Holds both sides; waits for those before it on its debit account.
    case voted
    /// Holds nothing; the peer will say when the older one has ended.
    case suspended
    /// Holds nothing here; the peer has been told to let go.
    case aborting
    /// In the log; when that is durable the commit leaves (and on a standing vote the answer), and the peer's `applied` ends it.
    case decided
}

/// A transfer that is being decided; the transfer itself stands at the same place of the shard's `TransferTable`.
struct Slot: BitwiseCopyable {
    var origin: Origin
    var identityHash: UInt64
    /// Arrival: the age of wait-die. Once decided, the timestamp.
    var age: UInt64
    /// Place among all that became undecided in this shard.
    var order: UInt64
    var debit: AccountIndex
    /// Links of the debit account's open or parked list.
    var next: UInt32
    var previous: UInt32
    /// Link of the table of open identities.
    var identityNext: UInt32
    /// The chain that it is a part of, plus 1, and that chain's next slot, plus 1; 0: a single plain transfer.
    var chain: UInt32
    var chainNext: UInt32
    /// First and last waiter to be submitted again when this slot ends.
    var afterHead: UInt32
    var afterTail: UInt32
    var peer: ShardID
    var state: SlotState
    /// Decided on a standing vote: answered as soon as that is durable and noted.
    var isAnnounced: Bool
    /// A pending transfer that was announced: one of the peer's `pendingsOut`.
    var isPendingOut: Bool
}

/// Where what is open between two shards stands in a table by peer and by the decision's number: so many are open at
/// most that no two meet.
struct PairPlaces: BitwiseCopyable {
    let perPeer: Int
    init(open: Int) {
        var places = 1
        while places < open { places *= 2 }
        perPeer = places
    }

    @inline(__always)
    func place(_ peer: Int, _ sequence: UInt64) -> Int {
        peer * perPeer + Int(truncatingIfNeeded: sequence) & (perPeer - 1)
    }
}

enum ParticipantState: UInt8, BitwiseCopyable {
    case free
    /// Holds the credit; the vote waits for its facts to be durable, or has been sent.
    case reserved
    /// Refuses; the vote waits for its facts to be durable.
    case refusing
    /// Waits for younger transfers, in the account's queue.
    case waiting
    /// Has been told to let go; gets `again` when what was undecided then has ended, or what was due has expired.
    case dying

    // Of a chain. What it is about is its accounts here, all of them.
    /// Has reserved what it needs of its accounts; the vote waits for what it read to be durable, or has been sent.
    case chainReserved
    /// Holds its accounts alone; the vote waits for what it read to be durable, or has been sent.
    case locked
    /// Waits for younger ones on its accounts, marked there: those that come later queue behind it.
    case lockWaiting
    /// Has been told to let go; gets `again` when what it would post or void has expired.
    case dyingBehindSlot
    /// Of a chain or a single transfer: has been told to let go; gets `again` when an account that it needs to know of has
    /// been created, or was not.
    case dyingBehindHold
}

struct Participant: BitwiseCopyable {
    /// Of a single transfer.
    var transfer: TransferReference
    /// Of a chain: its view, as a `ChainReference`'s bits; 0: a single transfer.
    var chain: UInt64
    var age: UInt64
    var order: UInt64
    var barrier: UInt64
    var account: AccountIndex
    var slot: UInt32
    var next: UInt32
    var previous: UInt32
    var coordinator: ShardID
    var state: ParticipantState
    var voteSent: Bool
    /// Of the record that D has written.
    var recordFlags: LogRecordFlags
    /// Its amount is in the account's `reservedCredits`.
    var isExpected: Bool
    /// Of a chain that holds its accounts: pending transfers that it may open.
    var opens: UInt8
    /// Of a chain that has reserved: the first of its reservations, plus 1.
    var reservations: UInt32
    /// Of one that let go: what must not be held by anything that was due at that time before it begins again.
    var awaited: DueSides
    var dueBy: UInt64
}

/// First and last of a doubly linked list of participants.
struct ParticipantList: BitwiseCopyable {
    var head: UInt32
    var tail: UInt32
}

/// An account on which something is undecided, or waits.
struct UndecidedAccount: BitwiseCopyable {
    /// Debits and credits reserved and not decided; of credits, those that are expected.
    var reservedDebits: UInt128
    var reservedCredits: UInt128
    var account: AccountIndex
    /// What chains have reserved.
    var reservations: ReservationList
    /// Slots that hold a debit, in the order of reservation.
    var openHead: UInt32
    var openTail: UInt32
    /// Slots that wait to begin, in order.
    var parkedHead: UInt32
    var parkedTail: UInt32
    /// Participants that hold a credit, in the order of reservation.
    var creditList: ParticipantList
    /// Participants that wait, in order; and those told to let go.
    var waitList: ParticipantList
    var dyingList: ParticipantList
    /// The chain's participant that holds the account alone, plus 1; the oldest that waits for that, plus 1.
    var lock: UInt32
    var mark: UInt32
    /// Reads that wait, in order. Those up to `readGroupTail` (0: none) are the entry's `ReadGroup`.
    var readHead: UInt32
    var readTail: UInt32
    var readGroupTail: UInt32
    var isDirty: Bool
    var isUsed: Bool
    /// Somebody listens for what was decided up to then; 0: nobody does.
    var listensUpTo: UInt64
    /// When the first parked transfer would first have been refused for lack of credits, since the last debit; 0: it would not.
    var doubtedAt: UInt64
}

/// Reads that will be answered with `account`, as it stood at `time`, once all credits that were undecided then (before
/// `barrier`; `.max`: not all of them are known here) have ended. Beside its entry, which everybody touches.
struct ReadGroup: BitwiseCopyable {
    var account: Account
    var time: UInt64
    var barrier: UInt64
}

enum WaiterKind: UInt8, BitwiseCopyable {
    case transfer
    case account
    case accountRead
    case transferRead
    case freeze
    /// A chain's participant, told to let go until the slot has ended.
    case chain
}

/// What an event waits for, or a later command of its stream with it.
enum Obstacle {
    /// Until it ends.
    case slot(UInt32)
    /// Until the reads that wait at this entry begin, which is not before its account's lock has ended.
    case reads(Int)
    /// Until a chain has ended that creates accounts, or rests on their absence.
    case holds
}

/// An event that will be looked at again when its obstacle is gone, or a read that its account's group answers. Holds
/// nothing.
struct Waiter: BitwiseCopyable {
    /// The transfer, or the account seen as one; of a read, the account is its debit account.
    var transfer: Transfer
    var origin: Origin
    var next: UInt32
    /// The slot, or the entry with reads, that it waits for, plus 1; neither: the end of some hold.
    var slot: UInt32
    var entry: UInt32
    var kind: WaiterKind
    /// Among the reads of an entry: not one of them, but behind one of its stream.
    var isFollower: Bool
}

/// An answer that may leave when the log is acknowledged up to `lsn`.
@frozen public struct Answer: BitwiseCopyable, Sendable {
    public var origin: Origin
    public var result: EventResult
    public var lsn: LSN

    public init(origin: Origin, result: EventResult, lsn: LSN) {
        self.origin = origin
        self.result = result
        self.lsn = lsn
    }
}

/// An answer of a look-up that had to wait.
@frozen public struct RecordAnswer: BitwiseCopyable, Sendable {
    public var origin: Origin
    public var found: Bool
    /// The account or transfer, as 128 plain bytes.
    public var record: Transfer
    public var lsn: LSN

    public init(origin: Origin, found: Bool, record: Transfer, lsn: LSN) {
        self.origin = origin
        self.found = found
        self.record = record
        self.lsn = lsn
    }
}
