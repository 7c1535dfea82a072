// Owns a data directory: its lock, its superblock, the folders of its shards. One owner per process and directory.
//
//     <path>/LOCK         locked while open, see DirectoryLock
//     <path>/CREATING     only while a directory is being made
//     <path>/superblock   what the directory is (Superblock.swift)
//     <path>/shard-000/   epochs, 0000000000000001.log, …

public import SuanpanCore

/// An open data directory. The lock is held until the owner is destroyed.
public struct DataDirectory: ~Copyable, Sendable {
    public let path: String
    private var superblock: Superblock
    private let lock: DirectoryLock
    /// Nothing was there before this opening.
    public let isNew: Bool

    public static let segmentBytesDefault = 128 << 20
    static let creatingName = "CREATING"

    /// Opens a data directory, making it first when there is none, or completing one whose making was interrupted.
    /// - Parameters:
    ///   - shards: Must be what the directory holds; nil: whatever it holds, `shardsDefault` when new.
    ///   - segmentBytes: Of a new directory: a multiple of 1 MiB; nil: 128 MiB. An existing one keeps its own.
    ///   - create: false: only an existing one.
    ///   - progress: May cancel the making of a new one; the next opening completes it.
    /// - Throws: Any case but those of recovery; nothing is changed in a directory that is refused, but the LOCK file.
    public init(
        path: String, shards: Int? = nil, shardsDefault: Int = 1, segmentBytes: Int? = nil, create: Bool = true,
        progress: ReplayProgress? = nil
    ) throws(JournalError) {
        let wanted = shards ?? shardsDefault
        let bytes = segmentBytes ?? Self.segmentBytesDefault
        if wanted < 1 || wanted > Limits.shardsMax {
            throw .invalidArgument("\(counted(wanted, "shard")): must be 1 to \(Limits.shardsMax)")
        }
        if bytes < 1 << 20 || bytes % (1 << 20) != 0 || bytes > 1 << 30 {
            throw .invalidArgument("segment size of \(bytes) bytes: must be a multiple of 1 MiB, at most 1 GiB")
        }
        if !System.exists(path) {
            if !create { throw .notFound(path: path) }
            try System.createDirectory(path)
        }
        if try !Self.survey(path) && !create {
            try Self.refuseUsed(path)
            throw .holdsNoLedger(path: path)
        }
        let lock = try DirectoryLock.writing(path)
        // Again, now that no other process can be at it.
        let exists = try Self.survey(path)
        if !exists {
            try Self.refuseUsed(path, progress)
            try Self.make(path, Superblock(shardCount: wanted, segmentBytes: bytes), progress)
        }
        let superblock = try Self.superblock(path)
        if let shards, shards != Int(superblock.head.shardCount) {
            throw .shardCountMismatch(path: path, stored: Int(superblock.head.shardCount), requested: shards)
        }
        try System.remove("\(path)/\(Self.creatingName)")
        self.path = path
        self.superblock = superblock
        self.lock = lock
        isNew = !exists
    }

    /// Opens an existing directory to read it, and writes nothing: it may be a snapshot that is mounted read-only. Any number
    /// of readers share it; no server can open it meanwhile.
    /// - Throws: `locked` while a server has it open, where that can be seen.
    public init(reading path: String) throws(JournalError) {
        guard System.exists(path) else { throw .notFound(path: path) }
        if try !Self.survey(path) {
            try Self.refuseUsed(path)
            throw .holdsNoLedger(path: path)
        }
        let lock = try DirectoryLock.reading(path)
        let superblock = try Self.superblock(path)
        self.path = path
        self.superblock = superblock
        self.lock = lock
        isNew = false
    }

    /// Of the directory there; nil: it is still to be made. Nothing is locked or written.
    /// - Throws: Why there can be none.
    public static func shardCount(at path: String) throws(JournalError) -> Int? {
        guard System.exists(path), try survey(path) else { return nil }
        return Int(try superblock(path).head.shardCount)
    }

    private static func superblock(_ path: String) throws(JournalError) -> Superblock {
        let name = "\(path)/\(Superblock.name)"
        guard let stored = try System.readSmallFile(name, bytesMax: Superblock.bytes + 1) else {
            throw .superblockMissing(path: name)
        }
        return try Superblock(decoding: stored, path: name)
    }

    /// A copy of a directory that was open, or that a killed process had left: its files may be of different moments. Until
    /// `settle`.
    public var isOfOpenCopy: Bool { lock.isOfOpenCopy }

    /// The shards' logs were found sound and agree: a copy stands for itself from now on.
    public func settle() { lock.settle() }

    public var salt: UInt128 { superblock.head.salt }
    public var shardCount: Int { Int(superblock.head.shardCount) }
    public var segmentBytes: Int { Int(superblock.head.segmentBytes) }
    /// Nanoseconds since the Unix epoch.
    public var routing: Routing {
        Routing(key: HashKey(salt), slots: superblock.slots, shardCount: shardCount)
    }
    /// Some group in the directory may have been written without a sync.
    public var wasEverAsynchronous: Bool { superblock.head.flags & Superblock.asynchronousFlag != 0 }

    /// Notes durably that asynchronous writes follow. Call before a journal is opened in async mode.
    public mutating func noteAsynchronous() throws(JournalError) {
        if wasEverAsynchronous { return }
        var changed = superblock
        changed.head.flags |= Superblock.asynchronousFlag
        try System.replaceSmallFile(path, Superblock.name, changed.encoded())
        superblock = changed
    }

    public func shard(_ shard: ShardID) -> ShardDirectory {
        invariant(shard.index < shardCount, "shard \(shard.index) of \(shardCount)")
        return ShardDirectory(
            shard: shard, path: "\(path)/\(Self.shardName(shard.index))", salt: salt, segmentBytes: segmentBytes,
            place: lock.place)
    }

    static func shardName(_ index: Int) -> String {
        let digits = String(index)
        return "shard-" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits
    }

    /// True when the directory has a superblock, false when one can be made here; throws when neither.
    private static func survey(_ path: String) throws(JournalError) -> Bool {
        let names = try System.list(path)
        if names.contains(Superblock.name) { return true }
        let ours = [DirectoryLock.name, creatingName, "\(Superblock.name).tmp", "\(creatingName).tmp", "lost+found"]
        if let stranger = names.first(where: { !ours.contains($0) && !$0.hasPrefix("shard-") }) {
            throw .notADataDirectory(path: path, found: stranger)
        }
        if !names.contains(creatingName), names.contains(where: { $0.hasPrefix("shard-") }) {
            throw .superblockMissing(path: "\(path)/\(Superblock.name)")
        }
        return false
    }

    /// A making that was interrupted has left segments of zeros at most. Where one has a group there was a superblock, whatever
    /// CREATING says.
    /// - Complexity: Reads all segments: no more than the making has written.
    private static func refuseUsed(_ path: String, _ progress: ReplayProgress? = nil) throws(JournalError) {
        for name in try System.list(path) where name.hasPrefix("shard-") {
            for file in try System.list("\(path)/\(name)") where ShardDirectory.segmentNumber(file) != nil {
                if try SegmentFile.hasGroups("\(path)/\(name)/\(file)", progress) {
                    throw .superblockMissing(path: "\(path)/\(Superblock.name)")
                }
            }
        }
    }

    /// Makes all files, the superblock last: until it is there, nothing was ever acknowledged here.
    private static func make(
        _ path: String, _ superblock: Superblock, _ progress: ReplayProgress?
    ) throws(JournalError) {
        try System.replaceSmallFile(path, creatingName, [])
        // What an interrupted making left: files of a salt that no superblock carries.
        for name in try System.list(path) where name.hasPrefix("shard-") {
            for file in try System.list("\(path)/\(name)") { try System.remove("\(path)/\(name)/\(file)") }
            try System.remove("\(path)/\(name)")
        }
        for index in 0..<Int(superblock.head.shardCount) {
            let shard = ShardDirectory(
                shard: ShardID(index), path: "\(path)/\(shardName(index))", salt: superblock.head.salt,
                segmentBytes: Int(superblock.head.segmentBytes))
            try System.createDirectory(shard.path)
            try SegmentFile.create(shard, 1, progress: progress)
            try EpochFile.write(shard, [])
        }
        try System.syncDirectory(path)
        try System.replaceSmallFile(path, Superblock.name, superblock.encoded())
    }
}
