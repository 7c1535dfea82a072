// Reads of history, from the question to the answer. The answer shows everything up to one moment T and nothing later, so
// that whoever pages forward by time misses nothing:
//
//     begin     a core: T = its clock, later than every answer given so far
//     settle    every shard: its clock passes T; done when all it has decided by now is applied at its peers
//     bound     every shard concerned: the end of its log; done when that is on the disk
//     read      the reader's thread, one question at a time: `HistoryReader`
//     done      the asking core, or the embedding caller
//
// A transfer with a timestamp up to T was decided before its coordinator settled, so it is applied, and in the log before
// the bound, in each of its shards. Steps travel as nodes of the lanes that embedding calls use.

internal import CSuanpanSupport
public import SuanpanCore
public import SuanpanHistory
public import SuanpanJournal
public import SuanpanLanes
internal import Synchronization

/// A question under way.
@safe
public final class HistoryCall: @unchecked Sendable {
    // SAFETY of Sendable: `time` is written by the core that begins, before anybody else gets a part, which the lanes order.
    // All else that changes is atomic, or behind a lock.
    public let question: HistoryQuestion
    let targets: UInt64
    /// Of a front's request; nil: an embedding caller's, told by `ended`.
    let asker: (core: ShardID, request: UInt32)?
    private let ended: @Sendable (HistoryCall) -> Void
    fileprivate(set) var time = Timestamp.zero
    /// By shard: the end of its log that counts. Cores set theirs at the same time.
    fileprivate let bounds: Mutex<[LSN]>
    private let given = Mutex<HistoryAnswer?>(nil)
    public var answer: HistoryAnswer? { given.withLock { $0 } }
    /// There was no memory to answer it; another time there may be.
    public var isRefused: Bool { refused.load(ordering: .acquiring) }
    private let refused = Atomic<Bool>(false)
    fileprivate let partsLeft = Atomic<Int>(0)
    private let hasEnded = Atomic<Bool>(false)

    fileprivate init(
        _ question: HistoryQuestion, _ routing: Routing, asker: (core: ShardID, request: UInt32)?,
        ended: @escaping @Sendable (HistoryCall) -> Void
    ) {
        self.question = question
        self.asker = asker
        self.ended = ended
        targets = HistoryReader.targets(question, routing)
        bounds = Mutex(Array(repeating: .zero, count: routing.shardCount))
    }

    fileprivate func isLastPart() -> Bool { partsLeft.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }

    /// True for the first to end it.
    fileprivate func end() -> Bool { !hasEnded.exchange(true, ordering: .acquiringAndReleasing) }
    fileprivate func tell() { ended(self) }
    fileprivate func refuse() { refused.store(true, ordering: .releasing) }
    fileprivate func give(_ answer: HistoryAnswer) { given.withLock { $0 = answer } }
}

/// A step of a call at one core.
public final class HistoryPart: CallerNode, @unchecked Sendable {
    // SAFETY of Sendable: `mark` is the core's own, once it has the node; the rest is immutable.
    enum Step { case begin, settle, bound, done }
    let call: HistoryCall
    let step: Step
    /// What the step waits for; nil: it has not begun.
    var mark: HistoryMark?

    init(_ call: HistoryCall, _ step: Step) {
        self.call = call
        self.step = step
        super.init()
    }
}

enum HistoryMark {
    /// By peer: decisions that are to be applied there.
    case decided([UInt64])
    case appended(LSN)
}

/// Where questions wait for the reader. Shared by all cores and threads.
public final class HistoryDesk: Sendable {
    private let routing: Routing
    private let shards: [ShardDirectory]
    private let callers: [CallerLane]
    private let bells: [Doorbell]
    private let bell: Doorbell
    private let queue = Mutex<[HistoryCall]>([])
    private let underWay = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)

    /// Questions under way in the engine; one more is `busy`. Each reads whole logs: a few wait a long time already.
    public static let callsMax = 64
    /// Microseconds until a read that lacked a descriptor begins again.
    private static let shortagePause: UInt64 = 50_000
    /// So often a read that lacked memory is tried before it is refused.
    private static let memoryTries = 10

    /// - Throws: When there is no descriptor left for its bell.
    public init(
        routing: Routing, shards: [ShardDirectory], callers: [CallerLane], bells: [Doorbell]
    ) throws(SystemError) {
        bell = try Doorbell()
        self.routing = routing
        self.shards = shards
        self.callers = callers
        self.bells = bells
    }

    // MARK: Steps. Any thread.

    /// Takes in a question; false: too many are under way. Answered or not, it ends, once, on any thread: without an answer
    /// the engine has stopped.
    public func ask(_ question: HistoryQuestion, ended: @escaping @Sendable (HistoryCall) -> Void) -> Bool {
        ask(question, asker: nil, ended: ended) != nil
    }

    /// The same for a request of a front, which gets a part with the step `done`; nil: too many are under way.
    func ask(
        _ question: HistoryQuestion, asker: (core: ShardID, request: UInt32)?,
        ended: @escaping @Sendable (HistoryCall) -> Void = { _ in }
    ) -> HistoryCall? {
        if underWay.add(1, ordering: .relaxed).newValue > Self.callsMax {
            underWay.subtract(1, ordering: .relaxed)
            return nil
        }
        let call = HistoryCall(question, routing, asker: asker, ended: ended)
        push(.begin, of: call, to: asker?.core.index ?? 0)
        return call
    }

    private func push(_ step: HistoryPart.Step, of call: HistoryCall, to core: Int) {
        callers[core].push(HistoryPart(call, step))
        bells[core].ring()
    }

    /// - Parameter time: Later than every answer given, by the clock of some core.
    func begin(_ call: HistoryCall, _ time: Timestamp) {
        call.time = time
        call.partsLeft.store(routing.shardCount, ordering: .relaxed)
        for core in 0..<routing.shardCount { push(.settle, of: call, to: core) }
    }

    /// Everything decided in a shard up to the call's time is applied everywhere.
    func settled(_ call: HistoryCall) {
        guard call.isLastPart() else { return }
        call.partsLeft.store(call.targets.nonzeroBitCount, ordering: .relaxed)
        for core in 0..<routing.shardCount where call.targets >> UInt64(core) & 1 == 1 {
            push(.bound, of: call, to: core)
        }
    }

    /// A shard's log is durable up to here, with everything in it that the call may show.
    func bounded(_ call: HistoryCall, _ shard: ShardID, _ lsn: LSN) {
        call.bounds.withLock { $0[shard.index] = lsn }
        guard call.isLastPart() else { return }
        queue.withLock { $0.append(call) }
        bell.ring()
    }

    /// Ends a call, with its answer where it has one. Whoever comes second does nothing.
    func end(_ call: HistoryCall) {
        guard call.end() else { return }
        underWay.subtract(1, ordering: .relaxed)
        if let asker = call.asker { push(.done, of: call, to: asker.core.index) }
        call.tell()
    }

    /// Ends a part's call without an answer: the engine ends.
    public func abandon(_ part: HistoryPart) { if part.step != .done { end(part.call) } }

    // MARK: The reader's thread

    /// Answers questions until `stop`.
    /// - Throws: What is wrong with a log; the engine must end, as when a shard finds it.
    public func run() throws(JournalError) {
        while !stopping.load(ordering: .acquiring) {
            let next = queue.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            guard let next else {
                waitForBell()
                continue
            }
            try answer(next)
        }
        endAll()
    }

    /// Ends what comes without an answer, until `stop`: after `run` has thrown.
    public func runWithoutAnswers() {
        while !stopping.load(ordering: .acquiring) {
            endAll()
            waitForBell()
        }
        endAll()
    }

    private func endAll() {
        let waiting = queue.withLock { queue in
            let taken = queue
            queue = []
            return taken
        }
        for call in waiting { end(call) }
    }

    private func answer(_ call: HistoryCall) throws(JournalError) {
        let bounds = call.bounds.withLock { $0 }
        let sources = shards.indices.filter { call.targets >> UInt64($0) & 1 == 1 }
            .map { HistorySource(shards[$0], through: bounds[$0]) }
        let reader = HistoryReader(routing: routing, time: call.time, sources: sources) {
            self.stopping.load(ordering: .relaxed)
        }
        var triesLeft = Self.memoryTries
        while true {
            do throws(HistoryError) {
                call.give(try reader.answer(call.question))
                return end(call)
            } catch {
                guard case .journal(let error) = error else { return end(call) }
                guard error.isShortage else {
                    end(call)
                    throw error
                }
                // A descriptor is closed soon: the question waits. Memory may be wanted for long.
                if error.isMemory { triesLeft -= 1 }
                if triesLeft == 0 { call.refuse() }
                if triesLeft == 0 || stopping.load(ordering: .relaxed) { return end(call) }
                suanpan_sleep_microseconds(Self.shortagePause)
            }
        }
    }

    private func waitForBell() {
        bell.willSleep()
        // The second look: what came before the flag was seen is found here; what comes after it rings.
        if queue.withLock({ $0.isEmpty }) && !stopping.load(ordering: .acquiring) { bell.wait() }
        bell.didWake()
    }

    /// Ends `run` after the group of records under way. What is not answered then ends without an answer.
    public func stop() {
        stopping.store(true, ordering: .releasing)
        bell.ring()
    }
}
