// What is undecided on an account, and who waits there: a place for each account where there is any.

internal import SuanpanCore
internal import SuanpanLedger

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
