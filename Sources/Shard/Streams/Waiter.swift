// Events that will be looked at again, and what they wait for.

internal import SuanpanCore

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
