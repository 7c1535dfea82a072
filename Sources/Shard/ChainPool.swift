// Chains under way at their coordinator: what each is doing, and the view that its participants fill in place. A view is
// shared by hand-over: the coordinator writes it before it sends `lock`, every participant writes the facts of its own
// accounts and events before its vote, the coordinator reads it when all have voted, and the participants read it again
// at `commit`. The lanes' release and acquire order these; no byte has two writers.

internal import SuanpanCore
internal import SuanpanLedger

/// Where a chain stands.
///
///     queued ──► locking ──all voted: evaluated──► committing ──all applied──► answered
///        ▲          │ one let go                      │ refused, exists
///        │          ▼                                 ▼
///        └────── releasing                         ending ──all released──► answered
enum ChainState: UInt8, BitwiseCopyable {
    case free
    /// Holds nothing; its primary slot waits its turn at the debit account.
    case queued
    /// `lock` was sent to every shard concerned.
    case locking
    /// An older one stands before, or more shards are concerned than was thought: lets go of everything, then locks again.
    case releasing
    /// Created: the decision is in the log.
    case committing
    /// Not created: lets go.
    case ending
}

enum ChainKind: UInt8, BitwiseCopyable {
    case transfers
    case accounts
    case freeze
    case expiry
}

/// A chain under way at its coordinator. Its slots, one per shard concerned, are linked by `chainNext`; the first is the
/// coordinator's own.
struct Chain: BitwiseCopyable {
    var origin: Origin
    /// Arrival: the age of wait-die.
    var age: UInt64
    /// Events asked for; the view may hold fewer, up to the first that its own fields refuse.
    var count: UInt32
    /// First slot.
    var slot: UInt32
    /// Answers of shards that it waits for.
    var outstanding: UInt32
    var state: ChainState
    var kind: ChainKind
    /// The first slot stands in the parked list of the first debit account.
    var isParked: Bool
    /// Answered already: nothing is left but letting go.
    var isAnswered: Bool
    /// Some shard has no room for what would be pending.
    var lacksRoom: Bool
    /// Has locked again for what was due to expire first.
    var wasDue: Bool
}

/// Names a chain's view to its participants.
@safe
struct ChainReference: BitwiseCopyable {
    // SAFETY: the view lives as long as its shard; who may touch which part, and when, is said above.
    private let address: UnsafeMutablePointer<ChainView>

    init(_ address: UnsafeMutablePointer<ChainView>) { unsafe self.address = address }
    /// As it came in a message.
    init?(bits: UInt64) {
        guard let address = unsafe UnsafeMutablePointer<ChainView>(bitPattern: UInt(bits)) else { return nil }
        unsafe self.address = address
    }
    var bits: UInt64 { unsafe UInt64(UInt(bitPattern: address)) }

    var view: ChainView {
        unsafeAddress { return unsafe UnsafePointer(address) }
        nonmutating unsafeMutableAddress { return unsafe address }
    }
}

/// The views of a shard's chains, each at its place for good.
@safe
struct ChainPool: ~Copyable {
    private let views: UnsafeMutablePointer<ChainView>
    let count: Int

    init(count: Int) {
        self.count = count
        unsafe views = .allocate(capacity: count)
        for i in 0..<count { unsafe (views + i).initialize(to: ChainView()) }
    }

    deinit {
        unsafe views.deinitialize(count: count)
        unsafe views.deallocate()
    }

    subscript(i: Int) -> ChainReference {
        invariant(i >= 0 && i < count, "chain \(i) of \(count)")
        return unsafe ChainReference(views + i)
    }
}

// SAFETY: owns its memory; moving the owner moves it.
extension ChainPool: @unchecked Sendable {}
