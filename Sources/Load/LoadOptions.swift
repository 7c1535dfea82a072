// What a load is asked to do, and the plan that follows: options over profile over defaults, checked before anything is
// sent.

/// Bounds of the options, each with its reason.
public enum LoadLimits {
    /// Records of a native request.
    public static let batch = 1...8190
    public static let chain = 1...64
    /// Below the descriptors that a process may usually have.
    public static let connections = 1...65_000
    static let replyTimeoutSeconds = 1...3600
    /// Keeps a request's place in its connection within 16 bits.
    public static let inFlight = 1...65_536
    public static let accounts = 2...100_000_000
    public static let hotAccounts = 1...1_000_000
    public static let merchants = 1...1_000_000
    public static let feeAccounts = 1...1_000_000
    public static let threads = 1...64
    /// Above what a machine can send; keeps arithmetic on rates exact.
    public static let rateMax = 1e9
    public static let zipf = 0.0...5.0
    public static let percent = 0.0...100.0
    /// Seconds: 31 days.
    public static let durationMax = 31 * 86_400.0
    /// The password travels in a send slot, which holds one record.
    static let passwordBytesMax = 128
    /// Send slots of all connections together.
    static let sendBytesMax = 8 << 30
}

/// The protocol a load speaks.
public enum LoadProtocol: String, CaseIterable, Sendable {
    case native
    case resp
}

/// The options of `suanpan load`; nil: what the profile says, else the default.
public struct LoadOptions: Sendable {
    /// HOST:PORT, [V6]:PORT.
    public var target: String
    /// A standard profile's name, or a file.
    public var profile: String?
    /// Who pays whom; the profile's field of that name.
    public var kind: WorkloadKind?
    public var accounts: Int?
    public var connections: Int?
    public var batch: Int?
    public var inFlight: Int?
    /// Transfers/s: makes the load open loop.
    public var rate: Double?
    public var durationSeconds: Double?
    public var transfers: UInt64?
    /// Instead of `transfers` where the load makes purchases.
    public var purchases: UInt64?
    /// Percents.
    public var hotShare: Double?
    public var hotAccounts: Int?
    public var hotPayerShare: Double?
    /// Exponent of the payers' distribution.
    public var zipf: Double?
    /// Of a load of purchases.
    public var merchants: Int?
    public var feeAccounts: Int?
    public var hotFeeShare: Double?
    public var voids: Double?
    public var crossShard: Double?
    public var pending: Double?
    public var chain: Int?
    public var seed: UInt64?
    public var threads: Int?
    public var wire: LoadProtocol = .native
    public var password: String?
    /// A server that answers nothing for so long is lost.
    public var replyTimeoutSeconds = 30
    /// A run that ends by time waits so long for the answers to what it has sent.
    public var drainSeconds = 10

    public init(target: String) { self.target = target }

    /// SUANPAN_PASSWORD of the environment.
    public static var environmentPassword: String? { System.environment("SUANPAN_PASSWORD") }
}

/// A checked load.
struct LoadPlan: Sendable {
    var host: String
    var port: UInt16
    var target: String
    var wire: LoadProtocol
    var profileName: String?
    var kind: WorkloadKind
    /// What a load of purchases is made of; nil: it makes transfers.
    var sale: Sale?
    var accounts: Int
    var connections: Int
    var batch: Int
    var inFlight: Int
    var threads: Int
    /// Nil: closed loop.
    var schedule: Schedule?
    var durationSeconds: Double?
    /// Transfers, or purchases, that are sent.
    var countMax: UInt64?
    var zipf: Double
    /// 0 to 100.
    var hotShare: Double
    /// Of the merchants, in a load of purchases.
    var hotAccounts: Int
    var hotPayerShare: Double
    var crossShard: Double?
    var pending: Double
    /// Events that are linked into one; 1: none are.
    var chain: Int
    var seed: UInt64
    var password: String?
    var replyTimeoutSeconds: Int
    var drainSeconds: Int

    /// - Throws: `.usage` or `.profile`: what is wrong, and what to do.
    init(_ options: LoadOptions) throws(LoadError) {
        (host, port) = try Self.endpoint(options.target)
        target = options.target
        wire = options.wire
        let profile: Profile? = if let name = options.profile { try Profile.load(name) } else { nil }
        profileName = profile?.name
        kind = options.kind ?? profile?.kind ?? .transfer
        sale = try Sale(options, profile, kind)

        accounts = try Self.within("--accounts", options.accounts ?? profile?.accounts ?? 10_000, LoadLimits.accounts)
        connections = try Self.within(
            "--connections", options.connections ?? profile?.connections ?? 1, LoadLimits.connections)
        let open = options.rate != nil || profile != nil
        let batchDefault = wire == .native && !open && sale == nil ? 8190 : 1
        let asked = options.batch ?? (wire == .resp && profile?.batch != nil ? 1 : profile?.batch) ?? batchDefault
        batch = try Self.within("--batch", asked, LoadLimits.batch)
        if wire == .resp && batch != 1 {
            throw .usage("--batch \(batch): RESP carries one transfer per command; pipeline with --in-flight \(batch)")
        }
        if sale != nil && batch != 1 {
            throw .usage("--batch \(batch): a purchase goes by itself; make more of them at once with --in-flight")
        }
        inFlight = try Self.within("--in-flight", options.inFlight ?? profile?.inFlight ?? 4, LoadLimits.inFlight)
        threads = try Self.within("--threads", options.threads ?? 1, LoadLimits.threads)
        if threads > connections {
            throw .usage("--threads \(threads): more than --connections \(connections), a thread would have none")
        }
        // A purchase has two slots, of three commands in RESP.
        if connections * inFlight * (sale == nil ? 64 + 128 * batch : 1024) > LoadLimits.sendBytesMax {
            throw .usage(
                "--connections \(connections) with --in-flight \(inFlight) and --batch \(batch) need more than "
                    + "\(LoadLimits.sendBytesMax >> 30) GiB of send buffers; lower one of them")
        }

        hotShare = try Self.percent("--hot-share", options.hotShare ?? profile?.hotShare ?? (sale == nil ? 0 : 50))!
        hotAccounts = try Self.hotAccounts(options, profile, kind, sale, hotShare: hotShare)
        try Self.checkAccounts(accounts, hotAccounts, sale, threads: threads)
        hotPayerShare = try Self.percent("--hot-payer-share", options.hotPayerShare ?? profile?.hotPayerShare ?? 0)!
        if hotPayerShare > 0 && kind == .settlement {
            throw .usage("--hot-payer-share \(hotPayerShare): a settlement has one payer already; leave it out")
        }
        zipf = options.zipf ?? profile?.zipf ?? (sale == nil ? 0 : 0.9)
        if !LoadLimits.zipf.contains(zipf) {
            throw .usage("--zipf \(zipf): must be \(LoadLimits.zipf.lowerBound) to \(LoadLimits.zipf.upperBound)")
        }
        crossShard = try Self.percent("--cross-shard", options.crossShard)
        pending = try Self.percent("--pending", options.pending ?? 0)!
        chain = try Self.within("--chain", options.chain ?? 1, LoadLimits.chain)
        if chain > 1 && wire == .resp { throw .usage("--chain \(chain): needs --protocol native") }
        if sale != nil && (chain > 1 || pending > 0) {
            throw .usage("--\(chain > 1 ? "chain" : "pending"): a purchase has its hold and its chain; leave it out")
        }

        (countMax, durationSeconds) = try Self.extent(options, sale, hasProfile: profile != nil)
        if let rate = options.rate, !(rate > 0 && rate <= LoadLimits.rateMax) {
            throw .usage("--rate \(rate): must be above 0 and at most \(Int(LoadLimits.rateMax))")
        }
        schedule = try Self.schedule(options, profile, durationSeconds: durationSeconds)

        seed = options.seed ?? System.now
        password = options.password.flatMap { $0.isEmpty ? nil : $0 }
        if let password, password.utf8.count > LoadLimits.passwordBytesMax {
            throw .usage("--password: longer than \(LoadLimits.passwordBytesMax) bytes")
        }
        drainSeconds = try Self.within("drainSeconds", options.drainSeconds, LoadLimits.replyTimeoutSeconds)
        replyTimeoutSeconds = try Self.within(
            "replyTimeoutSeconds", options.replyTimeoutSeconds, LoadLimits.replyTimeoutSeconds)
    }

    /// Transfers, or purchases, that a run sends at most, about.
    var countExpected: Double {
        if let countMax { return Double(countMax) }
        // A closed loop: faster than any server is.
        return schedule?.transfers ?? (durationSeconds ?? 0) * 1e7
    }

    private static func hotAccounts(
        _ options: LoadOptions, _ profile: Profile?, _ kind: WorkloadKind, _ sale: Sale?, hotShare: Double
    ) throws(LoadError) -> Int {
        let byDefault = hotShare > 0 || kind == .settlement ? 5 : 0
        // One of few merchants is among the hot ones.
        let count = options.hotAccounts ?? min(profile?.hotAccounts ?? byDefault, sale?.merchants ?? .max)
        if count != 0 { _ = try within("--hot-accounts", count, LoadLimits.hotAccounts) }
        if hotShare > 0 && count == 0 { throw .usage("--hot-share \(hotShare) needs --hot-accounts of at least 1") }
        if let sale, count > sale.merchants {
            throw .usage("--hot-accounts \(count): hot ones are of the \(sale.merchants) merchants; see --merchants")
        }
        return count
    }

    private static func checkAccounts(
        _ accounts: Int, _ hot: Int, _ sale: Sale?, threads: Int
    ) throws(LoadError) {
        guard let sale else {
            if accounts >= hot + 2 { return }
            throw .usage("--accounts \(accounts): must be at least \(hot + 2), for \(hot) hot ones and two more")
        }
        // Each thread has customers of its own.
        let customers = max(2, threads)
        let least = sale.merchants + sale.feeAccounts + customers
        if accounts >= least { return }
        throw .usage(
            "--accounts \(accounts): must be at least \(least), for \(sale.merchants) merchants, \(sale.feeAccounts) fee "
                + "accounts and \(customers) customers")
    }

    /// How many are sent, and for how long; nil: until the other says, or the profile.
    private static func extent(
        _ options: LoadOptions, _ sale: Sale?, hasProfile: Bool
    ) throws(LoadError) -> (UInt64?, Double?) {
        let (name, other) = sale == nil ? ("--transfers", "--purchases") : ("--purchases", "--transfers")
        let (count, wrong) =
            sale == nil ? (options.transfers, options.purchases) : (options.purchases, options.transfers)
        if let wrong {
            throw .usage(
                "\(other) \(wrong): this load makes \(sale == nil ? "transfers" : "purchases"); give \(name)"
                    + (sale == nil ? ", or --kind purchase" : ""))
        }
        if options.durationSeconds != nil && count != nil {
            throw .usage("--duration and \(name) exclude each other; give one")
        }
        if let seconds = options.durationSeconds, !(seconds > 0 && seconds <= LoadLimits.durationMax) {
            throw .usage("--duration \(seconds): must be above 0 and at most 31 days in seconds")
        }
        if count == 0 { throw .usage("\(name) 0: must be at least 1") }
        return (count, options.durationSeconds ?? (count == nil && !hasProfile ? 10 : nil))
    }

    private static func schedule(
        _ options: LoadOptions, _ profile: Profile?, durationSeconds: Double?
    ) throws(LoadError) -> Schedule? {
        if let profile {
            let whole: Schedule
            do {
                whole = try Schedule(phases: profile.phases, baseRate: options.rate ?? profile.baseRate)
            } catch {
                throw .profile(file: options.profile!, problem: error.problem)
            }
            return durationSeconds.map { whole.lasting($0) } ?? whole
        }
        return options.rate.map { Schedule(rate: $0, seconds: durationSeconds ?? .infinity) }
    }

    static func within(_ option: String, _ value: Int, _ range: ClosedRange<Int>) throws(LoadError) -> Int {
        guard range.contains(value) else {
            throw .usage("\(option) \(value): must be \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    static func percent(_ option: String, _ value: Double?) throws(LoadError) -> Double? {
        guard let value else { return nil }
        guard LoadLimits.percent.contains(value) else {
            throw .usage("\(option) \(value): a percentage, must be 0 to 100")
        }
        return value
    }

    private static func endpoint(_ target: String) throws(LoadError) -> (String, UInt16) {
        guard let colon = target.lastIndex(of: ":"), let port = UInt16(target[target.index(after: colon)...]), port > 0
        else { throw .usage("--target \(target): must be HOST:PORT, as in 127.0.0.1:7420") }
        var host = target[..<colon]
        if host.first == "[" && host.last == "]" { host = host.dropFirst().dropLast() }
        if host.isEmpty { throw .usage("--target \(target): the host is missing") }
        return (String(host), port)
    }
}
