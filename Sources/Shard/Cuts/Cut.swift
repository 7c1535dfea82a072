// A consistent cut as the cores share it: what is asked of the shards, and what they put in.

internal import SuanpanCore
internal import Synchronization

/// A cut under way. Immutable but for the shares.
final class Cut: Sendable {
    let time: UInt64
    let asksForTotals: Bool
    /// By shard: the accounts asked for that live there.
    let accounts: [[AccountID]]
    /// By shard. Each takes the lock once, for a moment.
    private let shares: Mutex<[CutShare]>

    init(time: UInt64, asksForTotals: Bool, accounts: [[AccountID]]) {
        self.time = time
        self.asksForTotals = asksForTotals
        self.accounts = accounts
        shares = Mutex(Array(repeating: CutShare(), count: accounts.count))
    }

    func put(_ share: CutShare, of shard: ShardID) { shares.withLock { $0[shard.index] = share } }
    func takeShares() -> [CutShare] { shares.withLock { $0 } }
}

/// What one shard contributes.
struct CutShare: Sendable {
    /// In the order of the shard's own table; empty where not asked for.
    var totals: [LedgerTotals] = []
    /// In the order of `Cut.accounts`.
    var accounts: [Account?] = []
}
