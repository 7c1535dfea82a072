// One shard: its ledger, its log, and the cross-shard protocol as a state machine of messages in and messages out.
// Built on its own thread and never leaves it. It does no I/O of its own: the journal says what to write, lanes carry
// what is said, and the loop that owns both (CoreLoop) drives it:
//
//     submit …      an event: answered, deferred (the answer comes by `answers`), or stalled (try again later)
//     receive …     a protocol message of another shard
//     settle        carries on whatever has become possible
//     advance       releases what the durable log allows: votes, commits
//
// The protocol is that of Docs/Architecture.md: volatile votes, one durable decision, numbered commits, waiting only for
// what is undecided, wait-die between shards. `peer == id` is allowed: a transfer within the shard that must wait or keep
// an order goes through the same machine with itself.

public import SuanpanCore
public import SuanpanJournal
public import SuanpanLanes
public import SuanpanLedger

public struct Shard: ~Copyable {
    private let addressOnly = AddressOnly()
    public let id: ShardID
    let shardCount: Int
    let routing: Routing
    public var ledger: Ledger
    public var journal: Journal
    public var clock: HybridClock
    /// Answers in the order in which they became known, each with the LSN it waits for.
    public var answers = Queue<Answer>(capacity: 1 << 14)
    public var recordAnswers = Queue<RecordAnswer>(capacity: 64)
    public internal(set) var statistics = ShardStatistics()
    #if SUANPAN_FAILPOINTS
        /// The rule that a test has switched off.
        public var fault: Fault?
    #endif

    /// Protocol lanes to the other shards, by shard; the own place is never used.
    let lanes: FixedArray<Lane>
    var peers: FixedArray<PeerState>
    /// Bounds of this shard's tables.
    let slotCount: Int
    let openPerPeerMax: Int
    let redoPerPeerMax: Int
    /// Pending transfers that may be announced to a peer and not be applied there.
    let pendingWindow: Int
    /// Places of pending transfers that are being decided, on either side.
    var pendingsUnderWay = 0

    var slots: FixedArray<Slot>
    /// By slot; participants read it in place.
    let transfers: TransferTable
    /// The same of all shards.
    let tables: FixedArray<TransferTable>
    var freeSlots: FreeList
    /// Heads of the chains of open identities, by hash.
    var identityHeads: FixedArray<UInt32>
    /// Slots and waiters that later commands of their stream must not pass.
    var streamOrder: StreamOrder
    /// Slots in the table of open identities.
    var openIdentityCount = 0

    /// Chains that this shard coordinates, their views, and how many accounts they touch together.
    var chains: FixedArray<Chain>
    var chainPool: ChainPool
    var chainPlaces = 0
    /// Of the chains, those that expire something.
    var expiriesUnderWay = 0
    /// For those that expire together: the events, and which they are.
    var expiryScratch = ChainView()
    var expiring = FixedArray<UInt32>(count: Limits.eventsPerChainMax)
    /// For what is decided at once.
    private let scratchPool = ChainPool(count: 1)
    var scratch: ChainReference { scratchPool[0] }
    /// For chains of accounts.
    var accountChain = AccountChain()
    /// Accounts that do not exist, chains under way for which that matters, and what waits for these to end. See
    /// `Shard+AccountChains`.
    var absentAccounts: AbsentAccounts

    /// By coordinator, then by its slot.
    var participants: FixedArray<Participant>
    var undecided: FixedArray<UndecidedAccount>
    /// By entry.
    var readGroups: FixedArray<ReadGroup>
    var freeUndecided: FreeList
    /// What chains have reserved, and the identities that they are deciding: see `Shard+Reserving`.
    var reservations: ReservationTable
    var chainIdentities: ChainIdentities
    var reserving = Reserving()
    var raises = RaiseLSNs()
    /// The last record of the newest chain that was decided here: see `factLSN`.
    var chainEnd = LSN.zero
    var waiters: FixedArray<Waiter>
    var freeWaiters: FreeList
    /// The place of the last reservation.
    var order: UInt64 = 0

    /// Standing votes of other shards.
    var standingVotes: StandingVotes
    /// By the peer and the number of the decision (`PairPlaces`): own slots whose commits the peer has not applied; `noSlot`
    /// where the decision has none.
    let pairPlaces: PairPlaces
    var decidedSlots: FixedArray<UInt32>
    /// What other shards have announced.
    var notedCredits: NotedCredits
    /// Of those that are being committed: the hashes of their accounts.
    var notedHashes = FixedArray<UInt64>(count: Shard.commitsMax)
    /// Own ones that are being taken back.
    var revocations = Revocations()

    /// The other shards' clocks, and who must have heard all that was decided up to a time.
    var clockBarrier: ClockBarrier

    var decidedQueue = Queue<DecidedItem>(capacity: 1 << 13)
    /// Votes whose facts are not yet durable.
    var voteQueue = Queue<DelayedVote>(capacity: 1 << 10)
    /// Messages to this shard itself.
    var selfQueue = Queue<Message>(capacity: 1 << 10)
    /// `released` of refusals that are not yet durable.
    var releaseQueue = Queue<DelayedRelease>(capacity: 64)
    /// Chains refused for good by an event of another shard, whose reason here is not yet durable.
    var refusalQueue = Queue<DelayedRefusal>(capacity: 64)
    var dirtyQueue = Queue<UInt32>(capacity: 1 << 10)
    /// Waiters to be submitted again.
    var againQueue = Queue<UInt32>(capacity: 1 << 8)
    /// The first of them stalled when it was last tried: it is tried again after a message or a completion, as only these
    /// give back what it lacks.
    var isAgainStalled = false

    /// The newest consistent cut: see `Shard+Cuts`.
    let cutBoard: CutBoard
    var cutParticipant: CutParticipant
    var cutCopy = CutCopy()
    /// At shard 0 only anything is asked of it.
    var cutCoordinator: CutCoordinator
    /// What was in the log when a cut last copied the sums; nil: none has.
    public internal(set) var summedLSN: LSN?

    /// Events looked ahead at: see `Shard+Stage`.
    var staged = FixedArray<Staged>(count: Shard.stagedMax)
    /// The events of the chain that is being submitted.
    public var chainInput = FixedArray<Transfer>(count: 64)
    var stagedMessages = FixedArray<StagedMessage>(count: Shard.stagedMax)

    /// Records that one step of the machine may append before it asks again: a chain of 64 and its headers.
    static var recordsPerStep: Int { Limits.eventsPerChainMax + Limits.shardsMax }
    /// Chains under way that one shard coordinates, as many as its log takes in the time of two or three syncs: what they
    /// rest on in other shards must be durable before they are decided.
    static var chainsMax: Int { 1024 }
    /// The accounts that they touch together: each may need an entry in a participant's table.
    static var chainPlacesMax: Int { 4096 }
    /// Stands for the slot of a decision that needs none: a plain credit on a standing vote.
    static var noSlot: UInt32 { .max }
    /// Slots of an engine's shard.
    public static var slotCountDefault: Int { 1 << 13 }

    /// Credits between two shards. Among many each pair has its part of what a shard has slots for: lanes grow with the
    /// number of pairs.
    public static func openPerPeerMax(shardCount: Int) -> Int {
        // With what is kept beside it a power of two: so many places do the tables by peer have.
        (shardCount <= 4 ? Limits.openPerPeerMax : (5 << 10) / shardCount) - keptForExpiry
    }

    /// Cells that the protocol lane from one shard to another needs so that a send never waits: per transfer that the
    /// sender coordinates a prepare and a release, per transfer that the receiver coordinates `waiting`, `letGo` or a
    /// vote, `again` and `released`; `revoke` and `revoked`; `hear` and `heard`; some for `durable`, and for a marker and an
    /// answer of each time that a cut begins again, which doubles its lead: fewer than 64 times.
    public static func protocolCells(openPerPeer: Int) -> Int {
        (openPerPeer + keptForExpiry) * 8 + 2 * Revocations.countMax + 64 + 128
    }

    /// - Parameters:
    ///   - lanes: By shard, the protocol lane from this shard to it; this shard is the producer.
    ///   - tables: By shard, the transfers that each coordinates; of this one, of as many places as it has slots.
    ///   - pairs: Numbers of the commits between this shard and each other, as recovery found them.
    ///   - bounds: Of the tables; nil: what an engine uses. Tests come to the bounds with small ones.
    ///   - cuts: The engine's; nil: one of its own, for a shard that takes part in no cut.
    public init(
        id: ShardID, routing: Routing, ledger: consuming Ledger, journal: consuming Journal, clock: HybridClock,
        lanes: [Lane?], tables: [TransferTable], pairs: [PairNumbers], bounds: ShardBounds? = nil,
        cuts: CutBoard? = nil
    ) {
        // Everything is made before the first field is set: Swift 6.3 takes a shard that is read while half of its fields are
        // set for a whole one, and destroys the other half.
        let bounds = bounds ?? ShardBounds(shardCount: routing.shardCount)
        invariant(bounds.slots & (bounds.slots - 1) == 0, "\(bounds.slots) slots: not a power of two")
        let transfers = tables[id.index]
        invariant(
            transfers.count >= bounds.slots, "\(bounds.slots) slots and room for \(transfers.count) transfers")
        let count = routing.shardCount
        let chainCount = min(Self.chainsMax, bounds.slots)
        let chainEntries = min(2 * Self.chainPlacesMax, chainCount * Limits.accountsPerChainMax)
        let open = bounds.openPerPeer + Self.keptForExpiry
        // Of each own slot both accounts, of each peer's the credit account.
        let entries = bounds.slots * 2 + open * (count - 1) + chainEntries * count
        let places = PairPlaces(open: open)
        var laneTable = FixedArray<Lane>(count: count)
        for (i, lane) in lanes.enumerated() { if let lane { laneTable[i] = lane } }
        var allTables = FixedArray<TransferTable>(count: count)
        for (i, table) in tables.enumerated() { allTables[i] = table }
        let pool = ChainPool(count: chainCount)
        transfers.chainViews = pool.base
        var peerTable = FixedArray<PeerState>(count: count)
        for (i, pair) in pairs.enumerated() { peerTable[i] = PeerState(pair) }

        let window = min(bounds.openPerPeer, ledger.pendingsMax / (16 * count))

        self.id = id
        self.routing = routing
        shardCount = count
        self.ledger = ledger
        self.journal = journal
        self.clock = clock
        cutBoard = cuts ?? CutBoard()
        absentAccounts = AbsentAccounts(participants: bounds.slots * count)
        clockBarrier = ClockBarrier(id: id, shardCount: count)
        cutParticipant = CutParticipant(shardCount: count)
        cutCoordinator = CutCoordinator(routing: routing, lead: bounds.cutLead)
        pendingWindow = window
        slotCount = bounds.slots
        openPerPeerMax = bounds.openPerPeer + Self.keptForExpiry
        redoPerPeerMax = bounds.redoPerPeer
        self.lanes = laneTable
        peers = peerTable
        slots = FixedArray(count: bounds.slots)
        self.transfers = transfers
        self.tables = allTables
        freeSlots = FreeList(count: bounds.slots)
        identityHeads = FixedArray(count: bounds.slots)
        streamOrder = StreamOrder(waiters: bounds.slots, slots: bounds.slots)
        // A place for each slot of each peer, of which a peer may use `open` at a time.
        participants = FixedArray(count: bounds.slots * count, isSparse: count > 4)
        chains = FixedArray(count: chainCount)
        chainPool = pool
        undecided = FixedArray(count: entries)
        readGroups = FixedArray(count: entries)
        freeUndecided = FreeList(count: entries)
        reservations = ReservationTable(count: entries)
        chainIdentities = ChainIdentities(count: 1 << 13)
        standingVotes = StandingVotes(count: bounds.standingVotes)
        pairPlaces = places
        decidedSlots = FixedArray(count: places.perPeer * count)
        notedCredits = NotedCredits(peers: count, places: places)
        waiters = FixedArray(count: bounds.slots)
        freeWaiters = FreeList(count: bounds.slots)
    }

    /// True when an event may be handed in: the log, slots and waiters have room for what it can cause at most.
    @inline(__always)
    var hasRoom: Bool {
        hasRoomAgain && freeWaiters.count > 0
    }

    /// The same for an event that has a waiter already.
    var hasRoomAgain: Bool {
        journal.hasRoom(records: Self.recordsPerStep) && freeSlots.count > Self.slotsKeptForExpiry
            && freeUndecided.count > 2
    }

    /// So many commits were applied at the start that a crash had left over.
    public mutating func noteRedone(_ count: Int) { statistics.redone = UInt64(count) }

    /// Something can go on at once: `settle` would find it.
    public var hasWork: Bool {
        canReceive && !(selfQueue.isEmpty && dirtyQueue.isEmpty)
            || (hasRoomAgain && !againQueue.isEmpty && !isAgainStalled)
    }

    /// A request of another core would not be turned away for lack of room.
    public var acceptsRequests: Bool { hasRoom && againQueue.isEmpty }

    /// Somebody waits for what is in the log to be durable: an answer, a vote, a commit, a cut. Nobody does for credits of
    /// other shards' decisions, which stand in their logs.
    public var awaitsLog: Bool {
        !(answers.isEmpty && recordAnswers.isEmpty && decidedQueue.isEmpty && voteQueue.isEmpty && releaseQueue.isEmpty
            && refusalQueue.isEmpty)
            || cutParticipant.hasCopy || !cutCoordinator.isEmpty
    }

    /// Nothing is under way: every slot is free and nothing waits.
    public var isQuiet: Bool {
        freeSlots.count == slotCount && nothingIsOpen && freeWaiters.count == slotCount && answers.isEmpty
            && recordAnswers.isEmpty && voteQueue.isEmpty && releaseQueue.isEmpty && cutCoordinator.isEmpty
    }

    /// Every decision for another shard is applied there.
    private var nothingIsOpen: Bool {
        for p in 0..<shardCount where peers[p].open != 0 { return false }
        return true
    }

    public func pair(_ peer: Int) -> PairNumbers {
        PairNumbers(decided: peers[peer].decided, applied: peers[peer].applied)
    }
}
