// What an engine is built from. Every field has a default that suits one machine of its own.

/// When an answer may leave.
public enum Durability: String, Sendable, CaseIterable {
    /// When its record is on the device: survives a power cut. The default.
    case sync
    /// When its record is with the kernel: survives a killed process; synced in the background.
    case async
}

/// A host and a port to listen on. Port 0 asks the kernel for a free one.
public struct Endpoint: Sendable, Equatable, CustomStringConvertible {
    public var host: String
    public var port: UInt16
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// `Bounds` says what the values may be; an engine refuses others, and `problem` says why.
public struct EngineConfiguration: Sendable {
    /// Made when missing. One engine at a time: a lock in it names the process that holds it.
    public var dataDirectory: String
    /// Nil: what the directory holds, else the CPUs this process may use. 1 to 64.
    public var shards: Int?
    public var durability: Durability = .sync
    /// Bound of the memory for ledger tables, a sixteenth of it for replies not taken; nil: half of the machine's or of its
    /// control group's, less where the shards need more beside them.
    public var memoryBytes: Int?
    /// Size of a log segment when the directory is made; a multiple of 1 MiB. A directory keeps its own.
    public var segmentBytes = 128 << 20
    /// Where to listen; nil: no such door.
    public var native: Endpoint?
    public var resp: Endpoint?
    /// Asked of every network client when set, 1 to 4096 bytes. Without one an engine does not listen beyond loopback.
    public var password: String?
    /// Connections over all cores; one more is refused.
    public var connectionsMax = 16_384
    /// A client that has begun a request and does not get on with it for so long, or takes no reply: closed. At least 1.
    public var timeoutSeconds = 30
    var progressTimeoutNanoseconds: UInt64 { UInt64(timeoutSeconds) * 1_000_000_000 }
    /// Whether a wall clock far ahead of the ledger's last timestamp is believed at this start.
    public var clock = ClockPolicy.check
    /// A step forward of the wall clock that a running engine follows, in seconds; a larger one is reported instead. Less
    /// than the holds that matter last: what it skips, they lose.
    public var clockJumpMaxSeconds = 60
    /// Pin each shard's thread to a CPU of its own that no other engine of the machine has pinned; none, where too few are
    /// free.
    public var pinThreads = true

    public init(dataDirectory: String, shards: Int? = nil) {
        self.dataDirectory = dataDirectory
        self.shards = shards
    }
}
