// Everything that is not a single plain transfer: chains, pending transfers, posts, voids, balancing, closing, freezing.

public import SuanpanCore
public import SuanpanJournal

extension Shard {
    /// Decides a chain whose first debit account hashes to this shard, or one event that is not plain. The events stand in
    /// `chainInput`, 0 ..< count; they are linked as a chain should be (the front has looked: see `ChainRun`).
    /// - Parameter origin: Of the first event; the others' indices follow it.
    /// - Returns: `deferred`: the answers come by `answers`, one for each event; `stalled`: nothing happened.
    public mutating func submitChain(_ count: Int, _ origin: Origin) throws(JournalError) -> Submission {
        .stalled
    }

    /// Freezes or unfreezes an account that hashes to this shard. The answer: `created` with its timestamp, or
    /// `debit_account_not_found`.
    /// - Parameter request: As from `Shard.freezeKey`.
    public mutating func submitFreeze(_ request: Transfer, _ origin: Origin) throws(JournalError) -> Submission {
        .stalled
    }

    /// What a freeze asks, as a record that lanes can carry.
    public static func freezeKey(_ account: AccountID, _ sides: AccountFlags, lifting: Bool) -> Transfer {
        Transfer(
            id: TransferID(0), debit: account, credit: AccountID(0), amount: .zero, ledger: 0, code: lifting ? 1 : 0,
            flags: TransferFlags(rawValue: sides.rawValue))
    }
}
