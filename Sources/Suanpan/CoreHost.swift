// What an engine gives a core's loop: io_uring, the machine's clock, the front with its connections and callers, bells.
// Owned by the core's thread. Steps are always taken, as the gate's defaults say.

internal import CSuanpanSupport
internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLoop
internal import SuanpanShard
internal import SuanpanUring

/// What all cores of an engine share. Immutable but for atomics.
struct CoreShared: Sendable {
    let coreCount: Int
    let time: EngineTime
    let board: StatusBoard
    let bells: [Doorbell]
    let callers: [CallerLane]
    let control: EngineControl
}

struct CoreHost: ~Copyable, LoopHost {
    let shared: CoreShared
    var ring: Ring
    var front: Front
    let bell: Doorbell
    var bellWord = RawRegion(count: 64)
    let nativeListener: CInt
    let respListener: CInt
    /// A door whose last accept failed is tried again at this time.
    var nativePaused = false
    var respPaused = false
    var acceptAgainAt: UInt64 = .max

    var syncTimes = DurationHistogram()
    /// From the turn in which another core pushed requests to theirs here.
    var queueing = DurationHistogram()
    /// Nanoseconds in which some connection waited for room.
    var backpressure: UInt64 = 0
    var now: UInt64 = 0

    static var acceptPause: UInt64 { 100_000_000 }

    init(
        shared: CoreShared, ring: consuming Ring, front: consuming Front, bell: Doorbell, nativeListener: CInt,
        respListener: CInt
    ) {
        self.shared = shared
        self.ring = ring
        self.front = front
        self.bell = bell
        self.nativeListener = nativeListener
        self.respListener = respListener
    }

    // MARK: Clock

    @inline(__always) func monotonicNow() -> UInt64 { suanpan_monotonic_ns() }
    @inline(__always) func time(at monotonic: UInt64) -> UInt64 { shared.time.at(monotonic) }

    @inline(__always)
    mutating func beginTurn(_ now: UInt64) {
        self.now = now
        front.beginTurn(now)
    }

    // MARK: Disk

    var isStopping: Bool { shared.control.isStopping }
    /// A flush of the device less.
    var gatherTime: UInt64 { 1_000_000 }

    @inline(__always) mutating func nextCompletion() -> Completion? { ring.nextCompletion() }

    @inline(__always)
    mutating func write(_ write: WriteCommand) {
        // SAFETY: the journal keeps the group in place until its completion.
        unsafe ring.write(
            write.fd, from: write.address, length: write.length, offset: write.offset,
            token: TokenKind.journalWrite.token(write.token))
    }

    mutating func sync(_ sync: SyncCommand) { ring.syncData(sync.fd, token: TokenKind.journalSync.token()) }

    @inline(__always) mutating func noteWrite(nanoseconds: UInt64) { syncTimes.record(nanoseconds) }
    @inline(__always) mutating func noteQueueing(nanoseconds: UInt64) { queueing.record(nanoseconds) }

    // MARK: Connections

    @inline(__always)
    mutating func completed(_ completion: Completion, _ kind: TokenKind, _ number: UInt64) {
        switch kind {
        case .acceptNative: accepted(completion, .native)
        case .acceptRESP: accepted(completion, .resp)
        case .receive: front.received(completion, connection: number, ring: &ring)
        case .send: front.sent(completion, connection: number)
        case .bell: armBell()
        case .cancel: break
        case .journalWrite, .journalSync: SuanpanCore.stop("a completion of the log came to the front")
        }
    }

    private mutating func accepted(_ completion: Completion, _ door: Door) {
        if completion.result >= 0 { front.accepted(completion.result, door, ring: &ring) }
        guard !completion.hasMore, !isStopping else { return }
        if completion.result >= 0 { return accept(door) }
        // Out of descriptors, for one: those who wait stay in the backlog; trying at once would spin.
        if door == .native { nativePaused = true } else { respPaused = true }
        acceptAgainAt = now &+ Self.acceptPause
    }

    /// The engine serves: connections are taken from now on.
    private mutating func openDoors() {
        if nativeListener >= 0 { accept(.native) }
        if respListener >= 0 { accept(.resp) }
    }

    private mutating func accept(_ door: Door) {
        let native = door == .native
        ring.acceptMultishot(
            native ? nativeListener : respListener, token: (native ? TokenKind.acceptNative : .acceptRESP).token())
    }

    mutating func acceptAgain() {
        if nativePaused { accept(.native) }
        if respPaused { accept(.resp) }
        nativePaused = false
        respPaused = false
        acceptAgainAt = .max
    }

    mutating func armBell() {
        // SAFETY: eight bytes of a region that lives as long as the ring.
        unsafe bellWord.withAddress { address in
            unsafe ring.read(bell.descriptor, into: address, length: 8, offset: .max, token: TokenKind.bell.token())
        }
    }

    @inline(__always) mutating func receiveResult(_ message: Message) { front.receiveResult(message) }

    @inline(__always)
    mutating func receiveRecord(_ message: Message, _ record: Transfer) { front.receiveRecord(message, record) }

    mutating func adopt(_ message: Message) {
        guard let door = Door(rawValue: message.operation) else { SuanpanCore.stop("door \(message.operation)") }
        front.adopt(CInt(bitPattern: message.slot), door, ring: &ring, isDealt: true)
    }

    mutating func take(_ node: CallerNode) {
        if !front.take(node), node is OpenDoors { openDoors() }
    }

    mutating func endCallers() { front.adoptArrivals(ring: &ring) }

    // MARK: The front's part of a turn

    @inline(__always) mutating func release(_ shard: inout Shard) { front.release(&shard) }
    @inline(__always) func canRelease(_ shard: borrowing Shard) -> Bool { front.canRelease(shard) }

    @inline(__always)
    mutating func work(_ shard: inout Shard, now: UInt64) throws(JournalError) {
        try front.work(&shard, ring: &ring, now: now, eventsMax: Front.eventsPerTurn)
    }

    var hasStalled: Bool { front.hasStalled }
    mutating func wakeStalled() { front.wakeStalled() }
    var hasWork: Bool { front.hasWork }
    var requestsUnderWay: Int { front.requestsUnderWay }
    var awaitsLog: Bool { front.awaitsLog }
    mutating func sweep(now: UInt64) -> Bool { front.sweep(now: now) }

    // MARK: Other cores

    @inline(__always) mutating func flush() { front.flush { shared.bells[$0].ring() } }
    @inline(__always) func wake(_ core: Int) { shared.bells[core].ring() }

    func pass(_ node: CutRequest, to core: Int) {
        shared.callers[core].push(node)
        shared.bells[core].ring()
    }

    // MARK: Cuts

    mutating func takeCutRequests() -> [CutRequest] { front.takeCutRequests() }
    mutating func receive(_ answered: CutRequest) { front.receive(answered) }

    mutating func note(_ answered: CutRequest) {
        if let answer = answered.answer, answered.accounts.isEmpty { note(answer) }
    }

    /// Shows the sums to whoever asks INFO, and stops taking writes when they are not balanced.
    private func note(_ answer: CutAnswer) {
        guard shared.board.setTotals(answer.totals, at: answer.time) else { return }
        for sum in answer.totals where !sum.isBalanced {
            CoreLoop.say(
                "debits and credits of ledger \(sum.ledger) differ at \(answer.time.nanoseconds): pending "
                    + "\(sum.debitsPending) and \(sum.creditsPending), posted \(sum.debitsPosted) and "
                    + "\(sum.creditsPosted); no more writes are taken: stop the server and run suanpan verify")
        }
    }
}
