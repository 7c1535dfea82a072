// What fronts ask of a cut, and what they get. Questions go to shard 0, over the lane of embedding callers.

public import SuanpanCore
public import SuanpanLanes

/// A question that one moment of the whole ledger answers. It goes to shard 0 and comes back with its answer.
@safe
public final class CutRequest: CallerNode, @unchecked Sendable {
    // SAFETY of Sendable: handed over, from the front to shard 0 and back, by lanes that order what was written before.
    /// The front that asks, and its own number for what it asks; nil: it only wants the sums to be looked at.
    public let core: ShardID
    public let request: UInt32?
    /// To be looked up, any number of times each; empty: the sums are asked for.
    public let accounts: [AccountID]
    public internal(set) var answer: CutAnswer?

    public init(core: ShardID, request: UInt32?, accounts: [AccountID]) {
        self.core = core
        self.request = request
        self.accounts = accounts
        super.init()
    }

    var asksForTotals: Bool { accounts.isEmpty }
}

/// The ledger as of one moment: the effects of every transfer with a timestamp up to `time`, and of no other. All of it is
/// in the logs of every shard that it concerns, durable. (A restart with the wall clock set back begins above every
/// timestamp handed out, but maybe not above `time`.)
public struct CutAnswer: Sendable {
    public var time: Timestamp
    /// By ledger, ascending; empty where accounts were asked for.
    public var totals: [LedgerTotals] = []
    /// In the order of the question; nil: unknown.
    public var accounts: [Account?] = []
}
