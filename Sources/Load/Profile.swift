// A load profile: how the offered rate changes over a run, and who pays whom. Read from JSON (Config/profiles/README.md
// lists the fields); the three standard ones are embedded from the same files. Runs on the main thread, before a load.

internal import FoundationEssentials

/// Who pays whom.
public enum WorkloadKind: String, CaseIterable, Sendable {
    /// Customers pay each other; hot accounts, if any, take their share.
    case transfer
    /// Customers buy: each purchase is a hold, and then one chain that posts it and takes the merchant's fee, or a void.
    case purchase
    /// One payer without a limit pays many customers.
    case settlement
}

/// How a phase gets from the rate before it to its own.
public enum Ramp: String, CaseIterable, Sendable {
    /// At its own rate from the start.
    case step
    case linear
    /// By a constant factor per second; both rates must be above 0.
    case exponential
}

/// One stretch of a profile.
public struct Phase: Sendable, Equatable {
    public var name: String
    public var seconds: Double
    /// Transfers/s at its end, absolute, or a multiple of the profile's base rate.
    public var rate: Double?
    public var times: Double?
    public var ramp: Ramp = .step
}

public struct Profile: Sendable, Equatable {
    public var name: String
    public var kind: WorkloadKind = .transfer
    /// Transfers/s, or purchases/s, that `times` multiplies; `--rate` replaces it.
    public var baseRate: Double
    public var batch: Int?
    public var connections: Int?
    public var inFlight: Int?
    public var accounts: Int?
    /// Exponent of the payers' Zipf distribution; 0: all alike.
    public var zipf: Double?
    /// Percent of the transfers, or purchases, that the hot accounts take.
    public var hotShare: Double?
    public var hotAccounts: Int?
    /// Percent of them that one customer pays.
    public var hotPayerShare: Double?
    /// Of purchases alone.
    public var merchants: Int?
    public var feeAccounts: Int?
    public var hotFeeShare: Double?
    public var voids: Double?
    public var phases: [Phase]

    /// - Parameter source: Names the profile in errors: a file, or `(built in)`.
    public init(json: [UInt8], source: String) throws(LoadError) {
        guard JSONKeys.isUTF8(json) else { throw .profile(file: source, problem: "is not UTF-8") }
        do {
            self = try JSONDecoder().decode(ProfileFile.self, from: Data(json)).profile
        } catch let error as DecodingError {
            throw .profile(file: source, problem: Self.describe(error))
        } catch {
            throw .profile(file: source, problem: "\(error)")
        }
        if let key = JSONKeys.firstTwice(json) {
            throw .profile(file: source, problem: "field '\(key)' is given twice; keep one of them")
        }
    }

    /// A profile by file, or by the name of a standard one.
    public static func load(_ nameOrFile: String) throws(LoadError) -> Profile {
        let looksLikeFile = nameOrFile.contains("/") || nameOrFile.hasSuffix(".json")
        if !looksLikeFile {
            guard let standard = standard[nameOrFile] else {
                throw .usage(
                    "profile '\(nameOrFile)': neither a standard one (\(standardNames.joined(separator: ", "))) "
                        + "nor a file (give its path, as in ./\(nameOrFile).json)")
            }
            return try Profile(json: standard, source: "\(nameOrFile) (built in)")
        }
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.read(nameOrFile)
        } catch {
            throw .usage(
                "profile \(nameOrFile): cannot be read (\(error.reason)); give an existing JSON file or one of "
                    + standardNames.joined(separator: ", "))
        }
        return try Profile(json: bytes, source: nameOrFile)
    }

    /// The files of Config/profiles, embedded at build time.
    static let standard: [String: [UInt8]] = [
        "daily": PackageResources.daily_json, "flash-sale": PackageResources.flash_sale_json,
        "settlement": PackageResources.settlement_json,
    ]
    public static let standardNames = standard.keys.sorted()

    private static func describe(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
            var out = ""
            for key in context.codingPath + (last.map { [$0] } ?? []) {
                if let index = key.intValue {
                    out += "[\(index)]"
                } else {
                    out += (out.isEmpty ? "" : ".") + key.stringValue
                }
            }
            return out.isEmpty ? "the file" : "field '\(out)'"
        }
        switch error {
        case .keyNotFound(let key, let context): return "\(path(context, key)) is missing"
        case .typeMismatch(let type, let context): return "\(path(context)) must be \(name(of: type))"
        case .valueNotFound(let type, let context): return "\(path(context)) is null, not \(name(of: type))"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty
                ? "is not valid JSON" : "\(path(context)) \(context.debugDescription)"
        @unknown default: return "\(error)"
        }
    }

    private static func name(of type: Any.Type) -> String {
        if type == String.self { return "a string" }
        if type == Double.self || type == Int.self { return "a number" }
        return type == [PhaseFile].self ? "a list" : "an object"
    }
}

// MARK: The file's fields

/// A JSON object whose unknown fields are errors: a misspelt field must not pass for an absent one.
private struct Fields {
    let container: KeyedDecodingContainer<Name>

    struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }

    init(_ decoder: any Decoder, known: Set<String>) throws {
        container = try decoder.container(keyedBy: Name.self)
        for key in container.allKeys where !known.contains(key.stringValue) {
            throw bad(key.stringValue, "is unknown; known are " + known.sorted().joined(separator: ", "))
        }
    }

    func bad(_ field: String, _ problem: String) -> DecodingError {
        .dataCorruptedError(forKey: Name(field), in: container, debugDescription: problem)
    }

    func required<T: Decodable>(_ field: String, _ type: T.Type = T.self) throws -> T {
        try container.decode(T.self, forKey: Name(field))
    }

    func has(_ field: String) -> Bool { container.contains(Name(field)) }

    func number(_ field: String, _ range: ClosedRange<Double>) throws -> Double? {
        guard let value = try container.decodeIfPresent(Double.self, forKey: Name(field)) else { return nil }
        guard range.contains(value) else {
            throw bad(field, "is \(value), must be \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func count(_ field: String, _ range: ClosedRange<Int>) throws -> Int? {
        guard let value = try container.decodeIfPresent(Int.self, forKey: Name(field)) else { return nil }
        guard range.contains(value) else {
            throw bad(field, "is \(value), must be \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func choice<T: RawRepresentable & CaseIterable>(_ field: String, _ type: T.Type) throws -> T?
    where T.RawValue == String {
        guard let text = try container.decodeIfPresent(String.self, forKey: Name(field)) else { return nil }
        guard let value = T(rawValue: text) else {
            throw bad(field, "is '\(text)', must be one of " + T.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return value
    }
}

private struct PhaseFile: Decodable {
    let phase: Phase

    init(from decoder: any Decoder) throws {
        let fields = try Fields(decoder, known: ["name", "seconds", "rate", "times", "ramp"])
        let rates = 0...LoadLimits.rateMax
        guard let seconds = try fields.number("seconds", 0.001...86_400) else {
            throw fields.bad("seconds", "is missing")
        }
        let phase = Phase(
            name: try fields.required("name"), seconds: seconds, rate: try fields.number("rate", rates),
            times: try fields.number("times", rates), ramp: try fields.choice("ramp", Ramp.self) ?? .step)
        guard (phase.rate == nil) != (phase.times == nil) else {
            throw fields.bad("rate", "or 'times' (a multiple of base_rate) must be given, and not both")
        }
        self.phase = phase
    }
}

private struct ProfileFile: Decodable {
    let profile: Profile

    init(from decoder: any Decoder) throws {
        let fields = try Fields(
            decoder,
            known: [
                "name", "about", "kind", "base_rate", "batch", "connections", "in_flight", "accounts", "zipf",
                "hot_share", "hot_accounts", "hot_payer_share", "merchants", "fee_accounts", "hot_fee_share", "voids",
                "phases",
            ])
        guard let baseRate = try fields.number("base_rate", 0...LoadLimits.rateMax) else {
            throw fields.bad("base_rate", "is missing")
        }
        var profile = Profile(
            name: try fields.required("name"), baseRate: baseRate,
            phases: try fields.required("phases", [PhaseFile].self).map(\.phase))
        profile.kind = try fields.choice("kind", WorkloadKind.self) ?? .transfer
        profile.batch = try fields.count("batch", LoadLimits.batch)
        profile.connections = try fields.count("connections", LoadLimits.connections)
        profile.inFlight = try fields.count("in_flight", LoadLimits.inFlight)
        profile.accounts = try fields.count("accounts", LoadLimits.accounts)
        profile.zipf = try fields.number("zipf", LoadLimits.zipf)
        profile.hotShare = try fields.number("hot_share", 0...100)
        profile.hotAccounts = try fields.count("hot_accounts", LoadLimits.hotAccounts)
        profile.hotPayerShare = try fields.number("hot_payer_share", 0...100)
        profile.merchants = try fields.count("merchants", LoadLimits.merchants)
        profile.feeAccounts = try fields.count("fee_accounts", LoadLimits.feeAccounts)
        profile.hotFeeShare = try fields.number("hot_fee_share", 0...100)
        profile.voids = try fields.number("voids", 0...100)
        for name in ["merchants", "fee_accounts", "hot_fee_share", "voids"]
        where profile.kind != .purchase && fields.has(name) {
            throw fields.bad(name, "is of purchases; 'kind' must be purchase")
        }
        guard !profile.phases.isEmpty else { throw fields.bad("phases", "is empty") }
        do {
            _ = try Schedule(phases: profile.phases, baseRate: profile.baseRate)
        } catch {
            throw fields.bad("phases", error.problem)
        }
        self.profile = profile
    }
}

extension Profile {
    init(name: String, baseRate: Double, phases: [Phase]) {
        self.name = name
        self.baseRate = baseRate
        self.phases = phases
    }
}
