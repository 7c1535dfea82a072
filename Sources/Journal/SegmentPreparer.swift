// Keeps segments ready ahead of every shard's journal: one background thread for the engine, asleep on a bell that a
// journal rings once per segment. A full disk is published and tried again each second; any other failure is
// published once and ends the shard. Runs only for journals that are open: recovery sees the files as they were.

internal import Glibc
public import SuanpanCore
internal import Synchronization

/// Makes segments on its own thread (`start`), or step by step on the caller's (tests, simulation: `step`).
public final class SegmentPreparer: Sendable {
    private let shards: [ShardDirectory]
    private let table: SupplyTable
    private let ahead: UInt64
    private let stopping = Atomic<Bool>(false)
    private let thread: Mutex<pthread_t?> = Mutex(nil)
    /// See `failPreparations`.
    private let injectedErrno = Atomic<Int32>(0)

    /// - Parameter segmentsAhead: Ready segments behind the one in use. 2: one can be filled while the next is made.
    public init(_ directory: borrowing DataDirectory, segmentsAhead: Int = 2) throws(JournalError) {
        var shards: [ShardDirectory] = []
        for i in 0..<directory.shardCount { shards.append(directory.shard(ShardID(i))) }
        self.shards = shards
        table = try SupplyTable(count: shards.count)
        ahead = UInt64(max(1, segmentsAhead))
    }

    deinit { stop() }

    /// For tests and simulation: every preparation fails with this errno until it is 0 again.
    public func failPreparations(errno: Int32) { injectedErrno.store(errno, ordering: .relaxed) }

    /// The handle for a shard's journal. A journal that outlives the preparer gets no more segments.
    public func supply(_ shard: ShardID) -> SegmentSupply { table.supply(shard.index) }

    /// Starts the thread; `stop` or `deinit` ends it.
    public func start() throws(JournalError) {
        var created = pthread_t()
        // SAFETY: unretained: `stop` joins the thread before the preparer goes.
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        let result = unsafe pthread_create(
            &created, nil,
            { raw in
                unsafe Unmanaged<SegmentPreparer>.fromOpaque(raw.unsafelyUnwrapped).takeUnretainedValue().run()
                return nil
            }, context)
        if result != 0 { throw .io(.thread, errno: result, path: "segment preparer") }
        thread.withLock { $0 = created }
    }

    /// Ends the thread after the segment under way and waits for it.
    public func stop() {
        // Sequentially consistent, before the bell: the thread looks at it after every wait.
        stopping.store(true, ordering: .sequentiallyConsistent)
        System.ring(table.bell)
        let running = thread.withLock { held in
            let taken = held
            held = nil
            return taken
        }
        if let running { _ = pthread_join(running, nil) }
    }

    private func run() {
        System.nameThread("suanpan-prepare")
        while !stopping.load(ordering: .sequentiallyConsistent) {
            if !step() { System.waitForBell(table.bell, timeoutMilliseconds: isAnyDiskFull ? 1000 : nil) }
        }
    }

    private var isAnyDiskFull: Bool {
        for i in 0..<table.count where table.supply(i).isDiskFull { return true }
        return false
    }

    /// Prepares at most one segment for each shard that lacks one. Returns false when there was nothing it could do.
    @discardableResult
    public func step() -> Bool {
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
        guard System.isDiskFull(errno) else { return supply.publish(trouble: -errno) }
        supply.publish(trouble: errno)
        do throws(JournalError) {
            try System.remove(path + ".tmp")
        } catch {
            supply.publish(trouble: -System.inputOutput)
        }
    }
}
