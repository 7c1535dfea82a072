// The participant's table, by coordinator and its slot. Links are indices plus one, as everywhere.

internal import SuanpanCore
internal import SuanpanLanes
internal import SuanpanLedger

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
