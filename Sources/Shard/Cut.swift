// A consistent cut as the cores share it: what fronts ask, what the shards put in, and where a shard sees that one has
// begun. `Shard+Cuts` is the machine. The hot path touches one word of it, `CutBoard.time`, once a turn.

public import SuanpanCore
public import SuanpanLanes
internal import Synchronization

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

/// A cut under way. Immutable but for the shares.
public final class Cut: Sendable {
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

/// Where the shards of an engine see that a cut has begun.
public final class CutBoard: Sendable {
    /// The newest cut's moment; 0: none yet. Grows.
    private let moment = Atomic<UInt64>(0)
    private let cut = Mutex<Cut?>(nil)

    public init() {}

    // Acquire: pairs with the release of `begin`. Who reads the engine's clock and then finds no cut here has read a time
    // before that of any cut that begins.
    @inline(__always)
    var time: UInt64 { moment.load(ordering: .acquiring) }

    /// In one step: whoever has the cut from `newest`, and whoever gets its marker, sees its time.
    func begin(_ new: Cut) {
        cut.withLock {
            $0 = new
            moment.store(new.time, ordering: .releasing)
        }
    }

    /// The newest cut. For the shard that has seen `time` change.
    func newest() -> Cut? { cut.withLock { $0 } }
}
