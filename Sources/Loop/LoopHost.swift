// What differs between an engine's core and a simulated one: the clock, the disk and the kernel, the front, and whether a
// step of a turn is taken at all. Everything else is `Loop`.

public import SuanpanCore
public import SuanpanFront
public import SuanpanJournal
public import SuanpanLanes
public import SuanpanShard
public import SuanpanUring

/// Where a core reads the time.
public protocol LoopClock: ~Copyable {
    /// Nanoseconds since some moment, whatever anybody sets; the same for all cores.
    func monotonicNow() -> UInt64
    /// The engine's clock at a monotonic moment.
    func time(at monotonic: UInt64) -> UInt64
}

/// What a turn asks before each of its steps. An engine takes all of them, in order: nothing is left of these calls in it.
/// A simulation leaves steps out, changes their order where there is none to keep, and ends turns early.
public protocol LoopGate: ~Copyable {
    /// False: this turn goes on without the step.
    mutating func opens(_ step: LoopStep) -> Bool
    /// How many messages to take at once, `most` at most. Of a run that is 1 at least.
    mutating func share(of most: Int, _ step: LoopStep) -> Int
    /// The lanes of which core are looked at as the `k`-th, of `count` cores.
    mutating func peer(_ k: Int, of count: Int) -> Int
    /// False: the message stays in its lane, and what is behind it.
    mutating func admits(_ message: Message) -> Bool
}

extension LoopGate where Self: ~Copyable {
    @inlinable @inline(__always) public mutating func opens(_ step: LoopStep) -> Bool { true }
    @inlinable @inline(__always) public mutating func share(of most: Int, _ step: LoopStep) -> Int { most }
    @inlinable @inline(__always) public mutating func peer(_ k: Int, of count: Int) -> Int { k }
    @inlinable @inline(__always) public mutating func admits(_ message: Message) -> Bool { true }
}

/// A step of a turn, as a gate is asked for it.
@frozen public enum LoopStep: Sendable {
    /// The look at the board for a cut that has begun.
    case joinCut
    /// A control lane, a request lane; a run of their messages; the looking ahead at it.
    case controlLane, requestLane, run, lookAhead
    case settle, advance, release
    /// What other threads have handed over.
    case callers
    case wakeStalled, work, cuts, log, flush
}

/// The disk and the kernel of a core.
public protocol LoopDisk: ~Copyable {
    /// What is done, in any order; `TokenKind` says what it was.
    mutating func nextCompletion() -> Completion?
    /// Begins to write; the completion bears `TokenKind.journalWrite`.
    mutating func write(_ write: WriteCommand)
    /// Begins to sync; the completion bears `TokenKind.journalSync`.
    mutating func sync(_ sync: SyncCommand)
    /// Nanoseconds for which records that nobody waits for may stay unwritten.
    var gatherTime: UInt64 { get }
    /// The engine is being closed: nothing is left to be written later.
    var isStopping: Bool { get }
}

/// Connections, calls and the other cores.
public protocol LoopFront: ~Copyable {
    /// The turn's time, before anything of the turn is handled.
    mutating func beginTurn(_ now: UInt64)
    /// What is neither a write of the log nor its sync.
    mutating func completed(_ completion: Completion, _ kind: TokenKind, _ number: UInt64)
    mutating func receiveResult(_ message: Message)
    mutating func receiveRecord(_ message: Message, _ record: Transfer)
    mutating func adopt(_ message: Message)
    /// Lets answers go that need not wait for the log any more.
    mutating func release(_ shard: inout Shard)
    func canRelease(_ shard: borrowing Shard) -> Bool
    /// Of callers, but for questions for a cut.
    mutating func take(_ node: CallerNode)
    /// The last of them is taken.
    mutating func endCallers()
    /// A request of another core was looked at so long after it was sent.
    mutating func noteQueueing(nanoseconds: UInt64)
    /// A write of the log took so long.
    mutating func noteWrite(nanoseconds: UInt64)
    var hasStalled: Bool { get }
    mutating func wakeStalled()
    /// Hands in what connections and callers ask, and sends what they are owed.
    mutating func work(_ shard: inout Shard, now: UInt64) throws(JournalError)
    var hasWork: Bool { get }
    var requestsUnderWay: Int { get }
    /// Replies wait for the log.
    var awaitsLog: Bool { get }
    /// Questions for a cut since the last call.
    mutating func takeCutRequests() -> [CutRequest]
    /// The answer to one of them.
    mutating func receive(_ answered: CutRequest)
    /// A cut is answered, at shard 0.
    mutating func note(_ answered: CutRequest)
    /// Hands something to the core of that number, and wakes it.
    func pass(_ node: CutRequest, to core: Int)
    /// Makes what was sent to other cores visible.
    mutating func flush()
    /// Another core has something new.
    func wake(_ core: Int)
    /// Ends connections that are late. True: some must be looked at again.
    mutating func sweep(now: UInt64) -> Bool
}

public typealias LoopHost = LoopClock & LoopDisk & LoopFront & LoopGate
