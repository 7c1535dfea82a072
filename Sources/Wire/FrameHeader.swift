// The 64-byte header of a native frame, requests and replies alike (little-endian); Docs/Protocol.md is its
// specification. Bytes in, values out: no I/O here.
//
//     0  magic          u32   0x314E5053, the bytes "SPN1"
//     4  version        u16   1
//     6  operation      u8    Operation
//     7  status         u8    0 in a request; in a reply: Status
//     8  request id     u64   the client's, returned in the reply
//    16  count          u32   events, ids or records in the body
//    20  body length    u32   bytes after the header
//    24  flags          u32   by operation; in a reply bit 0: the body holds timestamps alone
//    28  retry after    u32   milliseconds, in a reply of status busy
//    32  reserved       24 bytes, 0
//    56  body checksum  u32   CRC-32C of the body
//    60  header checksum u32  CRC-32C of bytes 0 to 59

internal import CSuanpanSupport
public import SuanpanCore

/// What a request asks for. Numbers are never reused.
public enum Operation: UInt8, BitwiseCopyable, Sendable {
    case authenticate = 1
    case ping = 2
    case status = 3
    case createAccounts = 16
    case createTransfers = 17
    case lookupAccounts = 18
    case lookupTransfers = 19
    case freezeAccounts = 20
    case unfreezeAccounts = 21
    case totals = 22
    case getAccountTransfers = 23
    case getAccountBalances = 24
    case queryAccounts = 25
    case queryTransfers = 26

    /// Items of a request's body.
    @inlinable public var requestCountMax: Int {
        switch self {
        case .getAccountTransfers, .getAccountBalances, .queryAccounts, .queryTransfers: 1
        default: Limits.eventsPerRequestMax
        }
    }

    /// Bytes of one event, id or record of a request's body; nil where the body is not an array.
    @inlinable public var requestItemBytes: Int? {
        switch self {
        case .createAccounts, .createTransfers: 128
        case .getAccountTransfers, .getAccountBalances, .queryAccounts, .queryTransfers: QueryFilter.bytes
        case .lookupAccounts: 16
        case .lookupTransfers, .freezeAccounts, .unfreezeAccounts: 32
        case .totals: 4
        case .authenticate, .ping, .status: nil
        }
    }
}

/// How a request fared as a whole. From `malformed` on the server closes the connection after the reply.
public enum Status: UInt8, BitwiseCopyable, Sendable {
    case ok = 0
    /// Nothing was executed; try again after the milliseconds given.
    case busy = 1
    /// Accepted nothing: a password is needed, or was wrong.
    case notAuthenticated = 2
    case unknownOperation = 3
    case shuttingDown = 4
    /// Not executed, nor will any write be: debits and credits were found to differ.
    case unbalanced = 5
    /// The filter of a read is not one; the body names what is wrong.
    case invalidFilter = 6
    /// Not executed: the server is starting and replays its logs. Try again after the milliseconds given; the body says how
    /// far it is.
    case loading = 7
    case malformed = 16
    case unsupportedVersion = 17
    case tooLarge = 18
    case checksumMismatch = 19
    /// The client was too slow to complete a frame or to take its replies.
    case timeout = 20

    @inlinable public var closesConnection: Bool { rawValue >= 16 }
    public var name: String {
        switch self {
        case .ok: "ok"
        case .busy: "busy"
        case .notAuthenticated: "not_authenticated"
        case .unknownOperation: "unknown_operation"
        case .shuttingDown: "shutting_down"
        case .unbalanced: "unbalanced"
        case .invalidFilter: "invalid_filter"
        case .loading: "loading"
        case .malformed: "malformed"
        case .unsupportedVersion: "unsupported_version"
        case .tooLarge: "too_large"
        case .checksumMismatch: "checksum_mismatch"
        case .timeout: "timeout"
        }
    }
}

@frozen public struct FrameHeader: BitwiseCopyable, Sendable, Equatable {
    public static let bytes = 64
    public static let magic: UInt32 = 0x314E_5053
    public static let version: UInt16 = 1
    /// Flag of a reply: 8-byte timestamps, since every event was created.
    public static let timestampsOnly: UInt32 = 1
    /// Flag of `lookup_accounts`: all accounts as of one moment.
    public static let consistent: UInt32 = 1

    public var magic: UInt32
    public var version: UInt16
    public var rawOperation: UInt8
    public var rawStatus: UInt8
    public var requestID: UInt64
    public var count: UInt32
    public var bodyLength: UInt32
    public var flags: UInt32
    public var retryAfterMilliseconds: UInt32
    public var reserved0: UInt64
    public var reserved1: UInt64
    public var reserved2: UInt64
    public var bodyChecksum: UInt32
    public var headerChecksum: UInt32

    /// A header whose checksums are still 0: `seal` sets them.
    @inlinable public init(
        _ operation: UInt8, status: Status = .ok, requestID: UInt64, count: Int = 0, bodyLength: Int = 0,
        flags: UInt32 = 0, retryAfterMilliseconds: UInt32 = 0
    ) {
        magic = Self.magic
        version = Self.version
        rawOperation = operation
        rawStatus = status.rawValue
        self.requestID = requestID
        self.count = UInt32(count)
        self.bodyLength = UInt32(bodyLength)
        self.flags = flags
        self.retryAfterMilliseconds = retryAfterMilliseconds
        reserved0 = 0
        reserved1 = 0
        reserved2 = 0
        bodyChecksum = 0
        headerChecksum = 0
    }

    public var operation: Operation? { Operation(rawValue: rawOperation) }
    public var status: Status? { Status(rawValue: rawStatus) }

    /// Sets both checksums; `body` is what follows the header.
    public mutating func seal(body: UnsafeRawBufferPointer) {
        bodyChecksum = unsafe Checksum.crc32c(body)
        headerChecksum = computedHeaderChecksum
    }

    public var computedHeaderChecksum: UInt32 {
        // SAFETY: reads the first 60 of this value's own 64 bytes.
        unsafe withUnsafeBytes(of: self) { unsafe Checksum.crc32c(UnsafeRawBufferPointer(rebasing: $0[..<60])) }
    }

    /// Why the header cannot be accepted, or nil. Looks at the header alone, so a liar is told before its body is read.
    public func refusal(bodyBytesMax: Int = Limits.messageBodyBytesMax) -> Status? {
        if magic != Self.magic { return .malformed }
        if headerChecksum != computedHeaderChecksum { return .checksumMismatch }
        if version != Self.version { return .unsupportedVersion }
        if reserved0 | reserved1 | reserved2 != 0 { return .malformed }
        if Int(bodyLength) > bodyBytesMax { return .tooLarge }
        return nil
    }

    /// Why a request's header cannot be accepted, or nil: besides the above, count and length must agree, and
    /// what the operation does not use must be 0.
    public func requestRefusal(bodyBytesMax: Int = Limits.messageBodyBytesMax) -> Status? {
        if let status = refusal(bodyBytesMax: bodyBytesMax) { return status }
        if rawStatus != 0 || retryAfterMilliseconds != 0 { return .malformed }
        guard let operation else { return nil }
        if flags & ~(operation == .lookupAccounts ? Self.consistent : 0) != 0 { return .malformed }
        guard let item = operation.requestItemBytes else {
            let isEmpty = count == 0 && bodyLength == 0
            return operation == .authenticate || isEmpty ? nil : .malformed
        }
        if count > UInt32(operation.requestCountMax) { return .tooLarge }
        if Int(bodyLength) != Int(count) * item { return .malformed }
        return nil
    }
}

public enum Checksum {
    /// CRC-32C (Castagnoli), as in RFC 3720: initial value and final xor of all ones.
    @inline(__always)
    public static func crc32c(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0) -> UInt32 {
        // SAFETY: the buffer is readable for its count.
        unsafe suanpan_crc32c(crc, bytes.baseAddress, bytes.count)
    }
}
