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
    /// All shards speak as of one moment.
    var isOfOneMoment: Bool
    /// Some shard has locked, some has reserved.
    var isLocked: Bool
    var isReserved: Bool
}

/// Names a chain's view to its participants.
@safe
struct ChainReference: BitwiseCopyable {
    // SAFETY: the view lives as long as its shard; who may touch which part, and when, is said above.
    private let address: UnsafeMutablePointer<ChainView>

    init(_ address: UnsafeMutablePointer<ChainView>) { unsafe self.address = address }
    /// The `index`-th view of a shard whose pool begins at `base`.
    init(base: UInt, index: UInt32) {
        guard let views = unsafe UnsafeMutablePointer<ChainView>(bitPattern: base) else { stop("a chain of nobody") }
        unsafe address = views + Int(index)
    }
    /// As a participant keeps it.
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

/// The places of a shard's chains and their views, each at its place for good. Most chains have few events: many small places
/// are for them, so that what is under way at a time lies close together; a few large ones are for any chain.
@safe
struct ChainPool: ~Copyable {
    /// Events of a chain that a small place holds.
    static let smallEventsMax = 4
    /// One place in so many is large, and at least two are: one is kept for expiries.
    private static let placesPerLarge = 8

    private let memory: RawRegion
    private let views: UnsafeMutablePointer<ChainView>
    let count: Int
    let largeCount: Int
    private var freeLarge: FreeList
    private var freeSmall: FreeList

    init(count: Int) {
        self.count = count
        largeCount = min(count, max(2, count / Self.placesPerLarge))
        freeLarge = FreeList(count: largeCount)
        freeSmall = FreeList(count: count - largeCount)
        let large = ChainView.bytes(eventsMax: Limits.eventsPerChainMax)
        let small = ChainView.bytes(eventsMax: Self.smallEventsMax)
        memory = RawRegion(count: largeCount * large + (count - largeCount) * small)
        unsafe views = .allocate(capacity: count)
        var offset = 0
        for i in 0..<count {
            let eventsMax = i < largeCount ? Limits.eventsPerChainMax : Self.smallEventsMax
            // SAFETY: allocated above, each initialised once; the region is freed after the views.
            unsafe (views + i).initialize(to: ChainView(eventsMax: eventsMax, in: memory, at: offset))
            offset += i < largeCount ? large : small
        }
    }

    deinit {
        unsafe views.deinitialize(count: count)
        unsafe views.deallocate()
    }

    subscript(i: Int) -> ChainReference {
        invariant(i >= 0 && i < count, "chain \(i) of \(count)")
        return unsafe ChainReference(views + i)
    }

    /// Where the views begin, for other shards.
    var base: UInt { unsafe UInt(bitPattern: views) }

    /// Places that any chain may take.
    var freeLargeCount: Int { freeLarge.count }

    /// A place for a chain of so many events; nil: none of its size is free.
    /// - Parameter kept: Large places that it must leave; 0: it may take one however small it is.
    mutating func take(events: Int, kept: Int) -> Int? {
        let isSmall = events <= Self.smallEventsMax && count > largeCount
        if isSmall && freeSmall.count > 0 { return largeCount + Int(freeSmall.take()) }
        if isSmall && kept > 0 { return nil }
        return freeLarge.count > kept ? Int(freeLarge.take()) : nil
    }

    mutating func give(_ c: Int) {
        if c < largeCount { freeLarge.give(UInt32(c)) } else { freeSmall.give(UInt32(c - largeCount)) }
    }
}

// SAFETY: owns its memory; moving the owner moves it.
extension ChainPool: @unchecked Sendable {}
