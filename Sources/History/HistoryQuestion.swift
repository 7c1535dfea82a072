// What the logs are asked, and what they answer.

public import SuanpanCore
public import SuanpanJournal

public enum HistoryQuestion: Sendable {
    /// A page by time.
    case query(QueryKind, QueryFilter)
    /// Accepted transfers by id; a debit account of 0: whichever it is.
    case transfers([(debit: AccountID, id: TransferID)])
}

/// The number of results is at most 8190.
public enum HistoryAnswer: Sendable {
    case transfers([Transfer])
    case accounts([Account])
    case balances([AccountBalance])

    public var count: Int {
        switch self {
        case .transfers(let list): list.count
        case .accounts(let list): list.count
        case .balances(let list): list.count
        }
    }
}

/// A shard's log as far as it is to be read.
public struct HistorySource: Sendable {
    public var shard: ShardDirectory
    /// Durable.
    public var bound: LSN

    public init(_ shard: ShardDirectory, through bound: LSN) {
        self.shard = shard
        self.bound = bound
    }
}

public enum HistoryError: Error, Sendable {
    case journal(JournalError)
    /// The reader was told to stop.
    case stopped
}
