// Why a data directory cannot be opened, read or written. Every case names the file and says what to do.

internal import CSuanpanSupport
public import SuanpanCore

/// Why a group, or a file, is known to be damaged and not merely torn.
public enum DamageReason: Error, Equatable, Hashable, Sendable, CustomStringConvertible {
    /// Bytes that are no group header stand where a group was durable.
    case headerUnreadable
    /// Zeros stand where a group was durable.
    case groupMissing
    /// The records of a durable group do not have the checksum that its header promises.
    case payloadChecksum
    /// A sound header that does not continue the group before it.
    case chainBroken
    /// A sound header of this directory that belongs to another place.
    case misplacedGroup
    /// A group of an earlier opening stands where a newer one was durable.
    case staleGroup
    /// A group of an opening that the shard's `epochs` file does not know.
    case unknownEpoch
    case segmentMissing
    case segmentSize
    case segmentHeader
    case epochsFile
    /// A record whose kind no version has defined.
    case recordKind
    /// A sound record that is not the one written here.
    case otherRecord
    /// Another shard has applied decisions of this one that are not in this log any more: each was durable here first.
    case endsBeforeProof(decided: UInt64, applied: UInt64, peer: ShardID)

    public var description: String {
        switch self {
        case .headerUnreadable: "a group that was durable has an unreadable header"
        case .groupMissing: "a group that was durable is missing (zeros in its place)"
        case .payloadChecksum: "the records of a group that was durable fail their checksum"
        case .chainBroken: "a group does not continue the one before it"
        case .misplacedGroup: "a group of another place stands here"
        case .staleGroup: "an old group stands where a newer one was durable"
        case .unknownEpoch: "a group of an opening that the epochs file does not know"
        case .segmentMissing: "a segment file is missing"
        case .segmentSize: "a segment file has the wrong size"
        case .segmentHeader: "a segment file's header fails its checksum"
        case .epochsFile: "the epochs file is missing or fails its checksum"
        case .recordKind: "no record stands here"
        case .otherRecord: "another record stands here than was written"
        case .endsBeforeProof(let decided, let applied, let peer):
            "the log ends with decision \(decided) for shard \(peer.value), which has applied decision \(applied)"
        }
    }
}

/// What is damaged and where.
public struct Damage: Equatable, Sendable {
    public let reason: DamageReason
    public let path: String
    /// Byte offset in the file.
    public let offset: UInt64
    /// First log sequence number that cannot be read.
    public let lsn: LSN
    /// Checksum read from the disk, where there is one.
    public let stored: UInt64?
    /// Checksum of the bytes beside it.
    public let computed: UInt64?

    public init(
        _ reason: DamageReason, path: String, offset: UInt64 = 0, lsn: LSN = .zero, stored: UInt64? = nil,
        computed: UInt64? = nil
    ) {
        self.reason = reason
        self.path = path
        self.offset = offset
        self.lsn = lsn
        self.stored = stored
        self.computed = computed
    }
}

/// What the journal asked of the kernel.
public enum JournalOperation: String, Equatable, Sendable {
    case open, read, write, sync, rename, remove, list, lock
    case thread = "start a thread"
    case bell = "make an eventfd"
    case createDirectory = "create directory"
    case prepare = "prepare segment"
    case map = "get memory"
}

/// Why the journal cannot go on. During operation every case ends its shard.
public enum JournalError: Error, Equatable, Sendable, CustomStringConvertible {
    case io(JournalOperation, errno: CInt, path: String)
    /// Another process (0: unknown) holds the directory.
    case locked(path: String, holder: Int)
    /// `verify` or `dump` reads it.
    case beingRead(path: String)
    case notWritable(path: String, errno: CInt)
    /// A directory, a pipe, a device: something else than a file stands where one of ours must.
    case notAFile(path: String)
    case notFound(path: String)
    /// A directory that is empty, but for what a making that never ended has left.
    case holdsNoLedger(path: String)
    /// Not empty, and nothing of ours in it.
    case notADataDirectory(path: String, found: String)
    case superblockMissing(path: String)
    case superblockDamaged(path: String, stored: UInt64, computed: UInt64)
    case unsupportedVersion(UInt16, path: String)
    case shardCountMismatch(path: String, stored: Int, requested: Int)
    case invalidArgument(String)
    /// Sound files say what no shard ever wrote: where, and what.
    case unsound(String)
    /// A sound segment of another directory or shard.
    case foreignSegment(path: String, why: String)
    /// Asked to cut a log below what earlier openings have built upon.
    case cutBelowEpoch(path: String, limit: LSN, begin: LSN)
    indirect case damaged(Damage)
    /// `ReplayProgress.cancel` was called. The files are as a crash at this moment would leave them.
    case cancelled

    /// The machine gives no memory for something.
    public static func noMemory(for what: String) -> JournalError { .io(.map, errno: System.noMemory, path: what) }

    /// As above.
    public var isMemory: Bool { if case .io(.map, _, _) = self { true } else { false } }

    /// It may go well a moment later: the system lacked a descriptor or memory, or a signal came in between.
    public var isShortage: Bool {
        if case .io(_, let errno, _) = self { System.isShortage(errno) } else { false }
    }

    public var description: String {
        switch self {
        case .io(let operation, let errno, let path):
            "\(path): cannot \(operation.rawValue): \(System.message(errno)) (errno \(errno))"
                + (errno == System.noSpace ? "; free some disk space and start again" : SystemError.remedy(errno))
        case .locked(let path, let holder):
            "\(path): in use by " + (holder > 0 ? "process \(holder)" : "another process")
                + "; stop it first, or use another data directory"
        case .beingRead(let path):
            "\(path): being read by verify or dump; wait for their end, or use another data directory"
        case .notWritable(let path, let errno):
            "\(path): not writable: \(System.message(errno)); check owner, permissions and mount of the data directory"
        case .notAFile(let path):
            "\(path): not a file; move it away, or put the file that belongs there back; nothing was changed"
        case .notFound(let path): "\(path): no such data directory; check the path or create one"
        case .holdsNoLedger(let path):
            "\(path): an empty directory, no data directory yet; check the path, or let `suanpan serve` make one there"
        case .notADataDirectory(let path, let found):
            "\(path): not a suanpan data directory, and not empty (it holds \(found)); choose an empty or new one"
        case .superblockMissing(let path):
            "\(path): missing, while the directory holds shards; restore it from a backup; nothing was changed"
        case .superblockDamaged(let path, let stored, let computed):
            "\(path): checksum \(hex(stored)) stored, \(hex(computed)) computed; restore it from a backup; "
                + "nothing was changed"
        case .unsupportedVersion(let version, let path):
            "\(path): format version \(version); this build reads version \(FormatVersion.current); "
                + "use the release that wrote it"
        case .shardCountMismatch(let path, let stored, let requested):
            "\(path): holds \(counted(stored, "shard")), \(requested) \(requested == 1 ? "was" : "were") asked for; open it with \(stored)"
        case .invalidArgument(let what): what
        case .unsound(let what): "\(what); restore the data directory from a backup; nothing was changed"
        case .foreignSegment(let path, let why):
            "\(path): \(why); put the shard's own files back from a backup; nothing was changed"
        case .cutBelowEpoch(let path, let limit, let begin):
            "\(path): cannot be cut back to LSN \(limit.value): an earlier opening has built upon all below "
                + "\(begin.value); restore the directory from a backup"
        case .damaged(let damage):
            "\(damage); restore the data directory from a backup; nothing was changed"
        case .cancelled: "the start was cancelled"
        }
    }

    /// What is wrong with the files, without what to do about it; nil: something else is.
    public var finding: String? {
        switch self {
        case .damaged(let damage): "\(damage)"
        case .unsound(let what): what
        case .foreignSegment(let path, let why): "\(path): \(why)"
        case .superblockMissing(let path): "\(path): missing, while the directory holds shards"
        case .superblockDamaged(let path, _, _): "\(path): fails its checksum"
        case .cutBelowEpoch(let path, let limit, let begin):
            "\(path): LSN \(limit.value) is the last that counts, below \(begin.value), which an opening has built upon"
        default: nil
        }
    }
}

extension Damage: CustomStringConvertible {
    public var description: String {
        var text = "\(path): damaged at offset \(offset), LSN \(lsn.value): \(reason)"
        if let stored, let computed { text += " (checksum \(hex(stored)) stored, \(hex(computed)) computed)" }
        return text
    }
}

private func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: 16 - digits.count) + digits
}

/// Version of every file of a data directory. A build reads its own version and refuses all others.
enum FormatVersion {
    static let current: UInt16 = 1
}
