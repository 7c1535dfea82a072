public import SuanpanCore

public enum EngineError: Error, Equatable, Sendable, CustomStringConvertible {
    case unsupported(String)
    public var description: String {
        switch self {
        case .unsupported(let what): "\(what) is not built yet"
        }
    }
}

public struct ServerReady: Sendable {
    public var nativeEndpoint: Endpoint?
    public var respEndpoint: Endpoint?
    public var shards: Int
    public var accounts: UInt64
    public var transfers: UInt64
    public var recoveredMilliseconds: Int
}

public enum Server {
    public static func run(
        _ configuration: EngineConfiguration, ready: (ServerReady) -> Void
    ) throws(EngineError) {
        throw .unsupported("the server")
    }
}

public struct VerificationReport: Sendable {
    public struct Ledger: Sendable {
        public var ledger: UInt32
        public var debitsPending, debitsPosted, creditsPending, creditsPosted: UInt128
        public var isBalanced: Bool { debitsPending == creditsPending && debitsPosted == creditsPosted }
    }
    public struct Shard: Sendable {
        public var firstLSN, lastLSN, groups, bytes: UInt64
    }
    public var balanced: Bool
    public var ledgers: [Ledger]
    public var accounts: UInt64
    public var transfers: UInt64
    public var shards: [Shard]
}

public enum Verifier {
    public static func verify(dataDirectory: String) throws(EngineError) -> VerificationReport {
        throw .unsupported("verify")
    }
}

public enum Export {
    public static func accounts(dataDirectory: String, each: (Account) -> Void) throws(EngineError) {
        throw .unsupported("dump")
    }
    public static func transfers(dataDirectory: String, each: (Transfer) -> Void) throws(EngineError) {
        throw .unsupported("dump")
    }
}
