// The coordinator's table: a place for each transfer, or part of a chain, that is under way at another shard. Of fixed size,
// allocated before the shard runs; links are indices plus one, 0 meaning none, so that zeroed memory is an empty table.

internal import SuanpanCore
internal import SuanpanLedger

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
