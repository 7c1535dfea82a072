// One core of an engine: a pinned thread with one io_uring, its shard and its front. `Loop` has the order of a turn; here
// is what comes between turns: the kernel is entered, the core sleeps when nothing is left, says how it is, and stops.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanJournal
internal import SuanpanLanes
internal import SuanpanLoop
internal import SuanpanShard
internal import SuanpanUring

struct CoreLoop: ~Copyable {
    let id: ShardID
    let shared: CoreShared
    var loop: Loop<CoreHost>

    var publishedAt: UInt64 = 0
    var publishedTransfers: UInt64 = 0
    var ticks: UInt64 = 0
    var sleeps: UInt64 = 0
    /// A shortage was said and not yet its end.
    var saidShortage = false
    var saidMemory = false

    static var publishEvery: UInt64 { 200_000_000 }

    init(_ loop: consuming Loop<CoreHost>, _ shared: CoreShared) {
        id = loop.id
        self.shared = shared
        self.loop = loop
    }

    /// Runs until the engine stops or has failed; `leave` comes after. Throws what ends the engine.
    // Do not rename: Perf/ finds the loop by this symbol.
    @inline(never)
    mutating func run() throws(CoreError) {
        loop.host.armBell()
        while true {
            ticks += 1
            let before = loop.now
            let hadStalled = loop.host.front.hasStalled
            let progress = try loop.turn()
            if hadStalled { loop.host.backpressure += loop.now &- before }
            if loop.now > loop.host.acceptAgainAt { loop.host.acceptAgain() }
            if loop.now &- publishedAt > Self.publishEvery { publish() }
            if MemoryReserve.isUsed { try failForMemory() }
            if shared.control.isStopping, try stop() { return }
            if progress || loop.hasMore {
                try submit()
            } else {
                try sleep(owing: loop.isOwing || loop.host.acceptAgainAt != .max)
            }
        }
    }

    /// What was decided is applied, with memory of the reserve: there may be none for what comes next.
    private func failForMemory() throws(CoreError) {
        do throws(SystemError) { try MemoryReserve.check("what is decided") } catch { throw .system(error) }
    }

    static func say(_ message: String) {
        let text = "suanpan: \(message)\n"
        // SAFETY: the bytes live for the call.
        unsafe text.utf8.withContiguousStorageIfAvailable { _ = unsafe write(2, $0.baseAddress, $0.count) }
    }

    // MARK: The kernel

    private mutating func submit() throws(CoreError) {
        do throws(RingError) { try loop.host.ring.submit(poll: true) } catch { throw .ring(error) }
    }

    /// Waits in the kernel for a completion or the bell. Costs nothing while there is nothing to do.
    /// - Parameter owing: Something must be looked at again soon, whatever happens.
    private mutating func sleep(owing: Bool) throws(CoreError) {
        let bell = loop.host.bell
        bell.willSleep()
        // The second look: a message flushed before the flag was seen is found here; one after it rings.
        if loop.hasNews {
            bell.didWake()
            return try submit()
        }
        let timeout = wakeAfter(owing: owing)
        sleeps += 1
        do throws(RingError) { try loop.host.ring.submitAndWait(timeoutNanoseconds: timeout) } catch {
            throw .ring(error)
        }
        bell.didWake()
        if loop.host.requestsUnderWay >= Loop<CoreHost>.crowd {
            // Whoever shares this CPU goes first: what it sends us comes as one lot, and is woken for and written once.
            sched_yield()
            try submit()
        }
        let woke = suanpan_monotonic_ns()
        // The clock may have been set meanwhile.
        if woke &- loop.now > Self.publishEvery { followClock() }
        loop.endPause(at: woke)
    }

    /// How long the core may sleep; nil: until something comes in.
    private mutating func wakeAfter(owing: Bool) -> UInt64? {
        let now = loop.now
        var timeout = loop.pause()
        if timeout != nil {
            // Nothing else is as urgent, but what is due.
        } else if owing || shared.control.isStopping || loop.shard.ledger.isShort
            || loop.shard.journal.segmentTrouble != 0 || loop.shard.clock.now > shared.time.at(now)
        {
            timeout = shared.control.isStopping ? 1_000_000 : 100_000_000
        } else if owesAudit && publishedAt != 0 {
            timeout = Self.auditEvery
        } else if publishedAt != 0 {
            // Once more after the last activity, then no longer.
            publish()
            publishedAt = 0
        }
        if let expiry = loop.shard.nextExpiry {
            let wall = shared.time.at(now)
            let left = expiry.nanoseconds > wall ? expiry.nanoseconds - wall + 1_000_000 : 1_000_000
            timeout = min(timeout ?? left, left)
        }
        if let due = loop.host.front.nextAttempt {
            let left = due > now ? due - now : 1_000_000
            timeout = min(timeout ?? left, left)
        }
        return timeout
    }

    // MARK: Stopping

    /// Drains; true when every core has nothing left, the time for it is over, or the engine has failed.
    private mutating func stop() throws(CoreError) -> Bool {
        if shared.control.hasFailed { return true }
        // Calls under way may still be on their way to any core.
        let idle =
            loop.host.front.drainAll() && shared.control.gate.isEmpty && loop.shard.isQuiet
            && loop.shard.journal.durable == loop.shard.journal.appended
        shared.control.setQuiet(id.index, idle)
        guard shared.control.allQuiet || shared.control.isOverdue() else { return false }
        if loop.shard.journal.wantsIdleGroup {
            loop.shard.journal.sealIdle()
            try loop.writeLog()
        }
        while loop.shard.journal.writesInFlight > 0 && !shared.control.isOverdue(grace: Self.lastWritesWait) {
            do throws(RingError) { try loop.host.ring.submitAndWait(timeoutNanoseconds: 100_000_000) } catch {
                throw .ring(error)
            }
            _ = try loop.takeCompletions()
        }
        publish()
        return true
    }
}
