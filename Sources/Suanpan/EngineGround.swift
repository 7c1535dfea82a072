// What an engine stands on before it has any core: room in memory, its directory, its doors, CPUs. Each step that fails gives
// back what those before it have taken. In the order: check, listen, make; a start that is refused leaves no new directory,
// whose shards would be fixed, and no mark in one that is there.

internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanJournal
internal import SuanpanUring

struct EngineGround {
    let box: DirectoryBox
    let preparer: SegmentPreparer
    let plan: MemoryPlan
    let sockets: Listeners
    let claims: CPUClaims
    let files: FilePlan
    private let available: Machine.Memory
    /// The CPUs that this process may run on.
    let allowed: [Int]
    var shards: Int { box.directory.shardCount }

    /// - Parameter fileLimit: Files that this process may open, where they are the engine's alone.
    init(
        _ configuration: EngineConfiguration, _ progress: ReplayProgress, fileLimit: Int?
    ) throws(EngineError) {
        try configuration.check()
        let group = ControlGroup.current()
        available = Machine.Memory(group)
        allowed = Machine.allowedCPUs()
        let shardsDefault = MemoryPlan.shardsDefault(cpus: Machine.parallelism(allowed, group), available)
        let held: Int?
        do throws(JournalError) { held = try DataDirectory.shardCount(at: configuration.dataDirectory) } catch {
            throw EngineError(starting: error)
        }
        func open() throws(JournalError) -> DataDirectory {
            try DataDirectory(
                path: configuration.dataDirectory, shards: configuration.shards, shardsDefault: shardsDefault,
                segmentBytes: configuration.segmentBytes, progress: progress)
        }
        var existing: DataDirectory?
        if held != nil {
            do throws(JournalError) { existing = try open() } catch { throw EngineError(starting: error) }
        } else {
            try EngineTime.checkFirstStart(configuration.clock)
            do throws(RingError) { try KernelSupport.check() } catch { throw .ring(error) }
        }
        let shards = existing?.shardCount ?? configuration.shards ?? shardsDefault
        plan = try MemoryPlan(configuration.memoryBytes, shards: shards, available)
        files = try FilePlan(configuration, shards: shards, limit: fileLimit)
        sockets = try Listeners(configuration)
        do throws(JournalError) {
            var directory: DataDirectory
            switch consume existing {
            case .some(let found): directory = found
            case .none: directory = try open()
            }
            if configuration.durability == .async { try directory.noteAsynchronous() }
            box = DirectoryBox(directory)
            preparer = try SegmentPreparer(box.directory)
            try preparer.start()
        } catch {
            sockets.close()
            throw EngineError(starting: error)
        }
        claims = CPUClaims(configuration.pinThreads ? shards : 0, of: allowed)
    }

    /// For INFO.
    /// - Parameter begun: When the start began, monotonic nanoseconds.
    func facts(_ configuration: EngineConfiguration, begun: UInt64) -> StatusFacts {
        var facts = Machine.facts(dataDirectory: configuration.dataDirectory)
        facts.version = Version.current
        facts.durability = configuration.durability.rawValue
        facts.shardCount = shards
        facts.salt = box.directory.salt
        facts.slots = box.directory.routing.slots
        facts.nativePort = sockets.nativePort
        facts.respPort = sockets.respPort
        facts.memoryLimitBytes = plan.tableBytes
        facts.memoryFixedBytes = plan.fixedBytes
        facts.memoryAvailableBytes = available.bytes
        facts.pinnedCPUs = claims.cpus
        facts.replyLimitBytes = plan.tableBytes / ReplyBudget.memoryShare
        facts.startedAt = begun
        return facts
    }

    /// What is not as it was asked for.
    func notes(_ configuration: EngineConfiguration) -> [String] {
        var notes = [files.note].compactMap(\.self)
        if configuration.pinThreads, claims.cpus.isEmpty, shards <= allowed.count {
            notes.append(
                "the threads of \(counted(shards, "shard")) are not pinned: other engines have pinned theirs to CPUs of this "
                    + "machine, and too few of \(allowed.count) are free")
        }
        return notes
    }

    /// What a start says whose tables were too small for the logs; nil where that was not it.
    func lackOfMemory(_ progress: ReplayProgress) -> EngineError? {
        do throws(SystemError) { try MemoryReserve.begin(MemoryPlan.reserveBytes(shards: 1), for: "the need") } catch {
            return nil
        }
        defer { MemoryReserve.end() }
        do throws(JournalError) {
            let need = try MemoryNeed.refusal(box.directory, given: plan.tableBytes, progress)
            return MemoryReserve.isUsed ? nil : need
        } catch {
            // The logs are damaged as well: that comes first.
            return EngineError(starting: error)
        }
    }
}

/// Keeps a data directory's lock.
final class DirectoryBox: Sendable {
    let directory: DataDirectory
    init(_ directory: consuming DataDirectory) { self.directory = directory }
}
