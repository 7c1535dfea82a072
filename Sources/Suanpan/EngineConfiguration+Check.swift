// What the values of a configuration may be: the one place that says so, for embedders and for the options of `serve`.

internal import SuanpanCore

extension EngineConfiguration {
    /// A field, by the option of `serve` that sets it.
    public enum Field: String, Sendable {
        case dataDirectory = "data"
        case shards
        case memoryBytes = "memory"
        case segmentBytes = "segment"
        case native
        case resp
        case password
        case connectionsMax = "connections-max"
        case timeoutSeconds = "timeout"
        case clockJumpMaxSeconds = "clock-jump-max"
    }

    /// What is allowed, each bound with its reason.
    public enum Bounds {
        /// Lanes grow with the square of it.
        public static let shards = 1...Limits.shardsMax
        /// Below the tables of a shard are too small for anything; above nothing is tested, and sums of sizes stay exact.
        public static let memoryBytes = 64 << 20...1 << 46
        /// A multiple of the least; a shard keeps two of them ready.
        public static let segmentBytes = 1 << 20...1 << 30
        public static let connectionsMax = 1...1_000_000
        /// Above, a dead client holds its place for longer than an operator waits.
        public static let timeoutSeconds = 1...3600
        /// Up to a century, which is any.
        public static let clockJumpMaxSeconds = 0...3_153_600_000
        /// What a client may send before it has given the password.
        public static let passwordBytes = 1...4096
    }

    /// What is wrong with it, the first thing found; nil: an engine takes it. Looks names of hosts up.
    public func problem() -> ConfigurationProblem? {
        if dataDirectory.isEmpty || dataDirectory.utf8.contains(0) {
            return .value(.dataDirectory, dataDirectory, "give the path of a directory")
        }
        let numbers: [(Field, Int?, ClosedRange<Int>)] = [
            (.shards, shards, Bounds.shards), (.connectionsMax, connectionsMax, Bounds.connectionsMax),
            (.timeoutSeconds, timeoutSeconds, Bounds.timeoutSeconds),
            (.clockJumpMaxSeconds, clockJumpMaxSeconds, Bounds.clockJumpMaxSeconds),
        ]
        for case (let field, let value?, let range) in numbers where !range.contains(value) {
            return .value(field, "\(value)", Self.advice(range))
        }
        let sizes: [(Field, Int?, ClosedRange<Int>)] = [
            (.memoryBytes, memoryBytes, Bounds.memoryBytes), (.segmentBytes, segmentBytes, Bounds.segmentBytes),
        ]
        for case (let field, let value?, let range) in sizes {
            if value < range.lowerBound {
                return .value(field, "\(value)", "is too small; give at least \(range.lowerBound >> 20)MiB")
            }
            if value > range.upperBound {
                return .value(field, "\(value)", "is too large; give at most \(range.upperBound >> 20)MiB")
            }
        }
        if segmentBytes % Bounds.segmentBytes.lowerBound != 0 {
            return .value(.segmentBytes, "\(segmentBytes)", "give a multiple of 1MiB, such as 128MiB")
        }
        if let password, !Bounds.passwordBytes.contains(password.utf8.count) { return .password }
        return doorsProblem()
    }

    private func doorsProblem() -> ConfigurationProblem? {
        if let native, let resp, native == resp, native.port != 0 { return .sameAddress(native) }
        for case (let field, let endpoint?) in [(Field.native, native), (Field.resp, resp)] {
            if endpoint.host.isEmpty || endpoint.host.utf8.contains(0) {
                return .value(field, "\(endpoint)", "has no host; give an address such as 127.0.0.1")
            }
            // A name that cannot be looked up is for the start to report: that may pass. What counts in the end is the address
            // that is listened on.
            if password == nil, let address = SocketAddress.find(endpoint), !address.isLoopback {
                return .beyondLoopback(field, endpoint)
            }
        }
        return nil
    }

    /// How a number is asked for.
    public static func advice(_ range: ClosedRange<Int>) -> String {
        "give a whole number from \(range.lowerBound) to \(range.upperBound)"
    }

    func check() throws(EngineError) { if let problem = problem() { throw .configuration("\(problem)") } }
}

/// Why an engine does not take a configuration.
public enum ConfigurationProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// A value out of its bounds, and what to give.
    case value(EngineConfiguration.Field, String, String)
    /// Empty or too long; it is never printed.
    case password
    case sameAddress(Endpoint)
    /// Everybody could connect, and there is no password.
    case beyondLoopback(EngineConfiguration.Field, Endpoint)

    public var description: String {
        switch self {
        case .value(let field, let value, let advice): "\(field) '\(value)': \(advice)"
        case .password: "password: \(Self.passwordAdvice)"
        case .sameAddress(let endpoint): "native and resp are both \(endpoint); give each a port of its own"
        case .beyondLoopback(let field, let endpoint):
            "\(field) \(endpoint) is beyond loopback and there is no password: set one, or listen on 127.0.0.1"
        }
    }

    public static var passwordAdvice: String {
        let range = EngineConfiguration.Bounds.passwordBytes
        return "must have \(range.lowerBound) to \(range.upperBound) bytes; leave it out where no client needs one"
    }
}
