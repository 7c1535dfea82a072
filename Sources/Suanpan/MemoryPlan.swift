// What an engine takes of memory, and whether the machine has it: the bound of its tables, and beside it what shards need
// whatever they hold. An engine that cannot fit is refused before it starts; one that fits answers `capacity_exhausted` when
// its tables are full, and is never killed for what it was promised.

internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanShard

struct MemoryPlan {
    /// Bound of the ledgers' tables.
    private(set) var tableBytes: Int
    /// Everything else, when it is busy.
    let fixedBytes: Int
    /// What a core's front may have under way.
    let frontBounds: FrontBounds

    /// The program, its threads, the start.
    private static let processBytes = 40 << 20
    /// Of a shard: buffers of its log and its connections, tables of what is undecided. Measured under a load of full
    /// batches: 36 to 44 MiB, with the buffers that its front receives into.
    private static let shardBytes = 36 << 20
    /// A shard with less for its tables has fewer requests under way.
    private static let smallShardBytes = 256 << 20

    /// - Parameter tableBytes: Of all shards.
    static func frontBounds(shards: Int, tableBytes: Int) -> FrontBounds {
        FrontBounds(shardCount: shards, isSmall: tableBytes / shards < smallShardBytes)
    }

    /// What so many shards take beside their tables. The lanes between them grow with the square of their number.
    static func fixedBytes(shards: Int, tableBytes: Int) -> Int {
        let front = frontBounds(shards: shards, tableBytes: tableBytes).memoryBytes
        return processBytes + shards * (shardBytes + front + Shard.peerTableBytes(shardCount: shards))
            + laneBytes(shards: shards)
    }

    static func laneBytes(shards: Int) -> Int { shards * (shards - 1) * Front.laneBytes(shardCount: shards) }

    /// Shards of a new directory where nobody says how many: as many as `cpus`, or as few as leave half of the memory.
    static func shardsDefault(cpus: Int, _ memory: Machine.Memory) -> Int {
        var shards = min(cpus, EngineConfiguration.Bounds.shards.upperBound)
        while shards > 1 && fixedBytes(shards: shards, tableBytes: memory.bytes / 2) > memory.bytes / 2 { shards -= 1 }
        return shards
    }

    /// A core's reserve while it starts: see `MemoryReserve`. More than any stage of its start takes.
    static func reserveBytes(shards: Int) -> Int { (64 << 20) + Shard.peerTableBytes(shardCount: shards) }

    /// - Parameters:
    ///   - asked: The bound that was given; nil: half of the memory, less where the rest of the engine needs more, or where this
    ///     process may not map so much.
    ///   - canMap: Whether the machine gives this process so many bytes now: it knows of all its limits.
    /// - Throws: Where it cannot fit: what takes how much, and what to do.
    init(
        _ asked: Int?, shards: Int, _ memory: Machine.Memory, canMap: (Int) -> Bool = MemoryReserve.canMap
    ) throws(EngineError) {
        let least = EngineConfiguration.Bounds.memoryBytes.lowerBound
        frontBounds = Self.frontBounds(shards: shards, tableBytes: asked ?? memory.bytes / 2)
        fixedBytes = Self.fixedBytes(shards: shards, tableBytes: asked ?? memory.bytes / 2)
        tableBytes = asked ?? max(least, Self.wholeMegabytes(min(memory.bytes / 2, memory.bytes - fixedBytes)))
        guard fixedBytes + tableBytes > memory.bytes else {
            while !canMap(fixedBytes + tableBytes) {
                guard asked == nil, tableBytes > least else {
                    throw .system(
                        MemoryReserve.refused(fixedBytes + tableBytes, "\(counted(shards, "shard")) and the tables"))
                }
                tableBytes = max(least, Self.wholeMegabytes(tableBytes / 2))
            }
            return
        }
        let isTooFew = fixedBytes + least > memory.bytes
        var remedies = [
            isTooFew ? "give it more memory" : "give less memory (at most \(Self.text(memory.bytes - fixedBytes)))"
        ]
        if shards > 1 { remedies.insert("use fewer shards", at: isTooFew ? 0 : 1) }
        let (fixed, lanes) = (Self.text(fixedBytes), Self.text(Self.laneBytes(shards: shards)))
        let who =
            shards == 1
            ? "1 shard takes \(fixed) of memory and its"
            : "\(shards) shards take \(fixed) of memory (\(lanes) of it for the lanes between them) and their"
        throw .configuration(
            "\(who) tables up to \(Self.text(tableBytes)): \(memory.source) \(Self.text(memory.bytes)); "
                + remedies.joined(separator: ", or "))
    }

    private static func wholeMegabytes(_ bytes: Int) -> Int { bytes & ~((1 << 20) - 1) }
    static func text(_ bytes: Int) -> String { "\(max(0, bytes) >> 20) MiB" }
}
