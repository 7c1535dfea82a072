// Keeps segments ready ahead of every shard's journal: one background thread for the engine, asleep on a bell that a
// journal rings once per segment. A full disk, and a shortage of what the system gives (descriptors, memory), is
// published and tried again after a pause; any other failure is published once and ends the shard. Runs only for
// journals that are open: recovery sees the files as they were.

public import SuanpanCore
internal import Synchronization

/// Makes segments on its own thread (`start`), or step by step on the caller's (tests, simulation: `step`).
public final class SegmentPreparer: Sendable {
    private let work: SegmentWork
    private let thread: Mutex<SystemThread?> = Mutex(nil)

    /// - Parameter segmentsAhead: Ready segments behind the one in use. 2: one can be filled while the next is made.
    public init(_ directory: borrowing DataDirectory, segmentsAhead: Int = 2) throws(JournalError) {
        var shards: [ShardDirectory] = []
        for i in 0..<directory.shardCount { shards.append(directory.shard(ShardID(i))) }
        work = SegmentWork(
            shards, table: try SupplyTable(count: shards.count), ahead: UInt64(max(1, segmentsAhead)))
    }

    deinit { stop() }

    /// For tests and simulation: every preparation fails with this errno until it is 0 again.
    public func failPreparations(errno: Int32) { work.injectedErrno.store(errno, ordering: .relaxed) }

    /// The handle for a shard's journal. A journal that outlives the preparer gets no more segments.
    public func supply(_ shard: ShardID) -> SegmentSupply { work.table.supply(shard.index) }

    /// Starts the thread; `stop` or `deinit` ends it.
    public func start() throws(JournalError) {
        do throws(SystemError) {
            // Not of the preparer, which it would keep alive.
            let created = try SystemThread.start { [work] in work.run() }
            thread.withLock { $0 = created }
        } catch { throw .io(.thread, errno: error.errno, path: "segment preparer") }
    }

    /// Ends the thread after the segment under way and waits for it.
    public func stop() {
        work.stop()
        let running = thread.withLock { held in
            let taken = held
            held = nil
            return taken
        }
        running?.join()
    }

    /// Prepares at most one segment for each shard that lacks one. Returns false when there was nothing it could do.
    @discardableResult
    public func step() -> Bool { work.step() }
}

/// What the preparer's thread works on.
private final class SegmentWork: Sendable {
    private let shards: [ShardDirectory]
    let table: SupplyTable
    private let ahead: UInt64
    private let stopping = Atomic<Bool>(false)
    let injectedErrno = Atomic<Int32>(0)

    /// A full disk is looked at again so often.
    private static let fullDiskPause = 1000
    /// What the system is short of comes back sooner: a file is closed, a process ends.
    private static let shortagePause = 100

    init(_ shards: [ShardDirectory], table: SupplyTable, ahead: UInt64) {
        self.shards = shards
        self.table = table
        self.ahead = ahead
    }

    func stop() {
        // Sequentially consistent, before the bell: the thread looks at it after every wait.
        stopping.store(true, ordering: .sequentiallyConsistent)
        System.ring(table.bell)
    }

    func run() {
        System.nameThread("suanpan-prepare")
        while !stopping.load(ordering: .sequentiallyConsistent) {
            if !step() { System.waitForBell(table.bell, timeoutMilliseconds: pause) }
        }
    }

    /// Milliseconds until what could not be done is tried again; nil: there is nothing.
    private var pause: Int? {
        var shortest: Int?
        for i in 0..<table.count {
            let errno = table.supply(i).hindrance
            if errno == 0 { continue }
            shortest = min(
                shortest ?? .max, System.isDiskFull(errno) ? Self.fullDiskPause : Self.shortagePause)
        }
        return shortest
    }

    func step() -> Bool {
        var worked = false
        for (i, shard) in shards.enumerated() {
            let supply = table.supply(i)
            let used = supply.used
            let ready = supply.ready
            if used == 0 || supply.failure != 0 || ready >= used + ahead { continue }
            if stopping.load(ordering: .sequentiallyConsistent) { return false }
            do throws(JournalError) {
                let injected = injectedErrno.load(ordering: .relaxed)
                if injected != 0 { throw .io(.write, errno: injected, path: shard.segmentPath(ready + 1)) }
                try SegmentFile.create(shard, ready + 1)
                supply.publish(trouble: 0)
                supply.publish(ready: ready + 1)
                worked = true
            } catch {
                report(error, supply, shard.segmentPath(ready + 1))
            }
        }
        return worked
    }

    private func report(_ error: JournalError, _ supply: SegmentSupply, _ path: String) {
        guard case .io(_, let errno, _) = error else { return supply.publish(trouble: -System.inputOutput) }
        if System.isShortage(errno) { return supply.publish(trouble: errno) }
        guard System.isDiskFull(errno) else { return supply.publish(trouble: -errno) }
        supply.publish(trouble: errno)
        do throws(JournalError) {
            // It holds the last bytes of the disk, which others may need more.
            try System.remove(path + ".tmp")
        } catch {
            if case .io(_, let errno, _) = error, System.isShortage(errno) { return }
            supply.publish(trouble: -System.inputOutput)
        }
    }
}
