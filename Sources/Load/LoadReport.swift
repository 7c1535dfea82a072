// What a load found: for people on standard output, and as JSON with the field names of the contract.

internal import FoundationEssentials
internal import SuanpanCore

/// The figures of one run. Counts and rates are of `unit`: transfers, or purchases; latencies cover answered ones (`busy`
/// ones not), in an open loop from the time they were due, and include those never sent and never answered, with
/// the time they had waited.
public struct LoadReport: Sendable, Encodable {
    public struct Latency: Sendable, Encodable {
        public var p50, p90, p99, p999, max: Double

        init(_ latencies: Latencies) {
            p50 = latencies.milliseconds(50)
            p90 = latencies.milliseconds(90)
            p99 = latencies.milliseconds(99)
            p999 = latencies.milliseconds(99.9)
            max = latencies.milliseconds(100)
        }
    }
    /// What became of the purchases, and of what they were made.
    public struct Purchases: Sendable, Encodable {
        public struct Steps: Sendable, Encodable {
            /// `post` is the chain of post and fee.
            public var hold, post, void: Latency
        }
        /// Posted, and the fee taken.
        public var paid: UInt64
        public var voided: UInt64
        public var merchants, feeAccounts: Int
        public var voids, hotFeeShare: Double
        /// Of each step, from its sending.
        public var latencyMilliseconds: Steps

        private enum CodingKeys: String, CodingKey {
            case paid, voided, merchants, voids
            case feeAccounts = "fee_accounts"
            case hotFeeShare = "hot_fee_share"
            case latencyMilliseconds = "latency_ms"
        }
    }
    public struct Machine: Sendable, Encodable {
        public var cpu: String
        public var cores: Int
        public var kernel: String
        /// Of the server's data directory, as the server saw it.
        public var filesystem: String?
        public var syncMilliseconds: Double?

        private enum CodingKeys: String, CodingKey {
            case cpu, cores, kernel, filesystem
            case syncMilliseconds = "sync_ms"
        }
    }
    public struct Server: Sendable, Encodable {
        public var cpuSeconds: Double?
        public var bytesPerTransfer: Double?

        private enum CodingKeys: String, CodingKey {
            case cpuSeconds = "cpu_s"
            case bytesPerTransfer = "bytes_per_transfer"
        }
    }
    public struct Second: Sendable, Encodable {
        public var t: Int
        public var offered, accepted, busy: UInt64
        public var p50, p99: Double
    }
    /// What the load paid its customers before it began: these transfers stand in the ledger and in no other figure.
    public struct Funding: Sendable, Encodable {
        public var transfers: Int
        /// Of each; text, as all amounts.
        public var amount: String
    }
    public struct Generator: Sendable, Encodable {
        public var cpuSeconds: Double
        public var cpuNanosecondsPerTransfer: Double
        public var threads: Int

        private enum CodingKeys: String, CodingKey {
            case threads
            case cpuSeconds = "cpu_s"
            case cpuNanosecondsPerTransfer = "cpu_ns_per_transfer"
        }
    }

    /// `transfers` or `purchases`.
    public var unit: String
    /// Accepted a second.
    public var tps: Double
    public var offeredTPS: Double
    public var accepted: UInt64
    /// Transfers that were created: of a purchase those of each of its steps.
    public var transfers: UInt64
    public var purchases: Purchases?
    public var exists: UInt64
    public var refused: [String: UInt64]
    public var busy: UInt64
    public var errors: UInt64
    /// Due, but still waiting for a free place when the run ended.
    public var unsent: UInt64
    /// Sent, but still without an answer then; each may have been executed or not.
    public var unanswered: UInt64
    public var durationSeconds: Double
    /// The signal that ended the run before its time; nil: none did.
    public var cut: String?
    public var latencyMilliseconds: Latency
    public var loop: String
    public var profile: String?
    public var `protocol`: String
    public var batch: Int
    public var connections: Int
    public var inFlight: Int
    public var accounts: Int
    public var funding: Funding
    public var hotShare: Double
    public var hotAccounts: Int
    public var hotPayerShare: Double
    public var zipf: Double
    public var crossShard: Double?
    public var durability: String?
    public var shards: Int?
    public var seed: UInt64
    public var machine: Machine
    public var version: String?
    public var server: Server
    public var generator: Generator
    public var seconds: [Second]
    /// The number of the signal `cut`.
    public private(set) var cutSignal: Int32?
    /// Why the run is no measurement; nil when it is one.
    public var failure: LoadError?
    private var target: String
    private var connectionsLost: Int

    // `failure`, `cutSignal`, `target` and `connectionsLost` are for people: the exit code and `errors` say it to programs.
    private enum CodingKeys: String, CodingKey {
        case unanswered, unit, tps, accepted, transfers, purchases, zipf, exists, refused, busy, errors, unsent, cut,
            loop
        case profile, `protocol`, batch, connections
        case accounts, funding, durability, shards, seed, machine, version, server, generator, seconds
        case offeredTPS = "offered_tps"
        case durationSeconds = "duration_s"
        case latencyMilliseconds = "latency_ms"
        case inFlight = "in_flight"
        case hotShare = "hot_share"
        case hotAccounts = "hot_accounts"
        case hotPayerShare = "hot_payer_share"
        case crossShard = "cross_shard"
    }

    init(
        _ plan: LoadPlan, _ book: AccountBook, _ results: [ThreadResult], rows: [SecondRow], before: ServerStatus,
        after: ServerStatus?
    ) {
        var latencies = Latencies(digits: .three)
        var codes = [UInt64](repeating: 0, count: 257)
        var counts: [SecondCounts] = []
        for result in results {
            latencies.add(result.latencies)
            for i in codes.indices { codes[i] += result.codes[i] }
            for (i, second) in result.seconds.enumerated() {
                if counts.count == i { counts.append(SecondCounts()) }
                counts[i] += second
            }
        }
        func sum(_ value: (ThreadResult) -> UInt64) -> UInt64 { results.reduce(0) { $0 + value($1) } }
        let offered = sum(\.offered)
        let lastReply = Double(results.map(\.lastReply).max() ?? 0) / 1e9
        let duration = max(lastReply, 1e-9)
        durationSeconds = duration
        unit = plan.sale == nil ? "transfers" : "purchases"
        accepted = codes[Int(ResultCode.created.rawValue)]
        purchases = plan.sale.map { Self.purchases($0, results) }
        let created = sum(\.transfersCreated)
        transfers = created
        exists = codes[Int(ResultCode.exists.rawValue)]
        busy = codes[Int(ResultCode.busy.rawValue)]
        errors = sum(\.errors)
        unsent = sum(\.unsent)
        unanswered = sum(\.unanswered)
        refused = [:]
        for (number, count) in codes.enumerated() where count > 0 {
            let code = ResultCode(rawValue: UInt16(number))
            if code == .created || code == .exists || code == .busy { continue }
            refused[code?.name ?? "unknown_code", default: 0] += count
        }
        tps = Double(accepted) / durationSeconds
        let scheduled = plan.schedule.map { min($0.seconds, max(duration, Double(counts.count))) } ?? duration
        offeredTPS = Double(offered) / max(scheduled, 1e-9)
        latencyMilliseconds = Latency(latencies)
        loop = plan.schedule == nil ? "closed" : "open, Poisson"
        profile = plan.profileName
        `protocol` = plan.wire.rawValue
        batch = plan.batch
        connections = plan.connections
        inFlight = plan.inFlight
        accounts = plan.accounts
        funding = Funding(transfers: book.customers, amount: "\(book.funding)")
        hotShare = plan.hotShare
        hotAccounts = plan.hotAccounts
        hotPayerShare = plan.hotPayerShare
        zipf = plan.zipf
        crossShard = plan.crossShard
        durability = before.durability
        shards = before.shards
        seed = plan.seed
        version = before.version
        machine = Machine(
            cpu: System.cpuModel, cores: System.cores, kernel: System.kernel, filesystem: before.filesystem,
            syncMilliseconds: before.syncMilliseconds)
        func used(_ value: (ServerStatus) -> Double?) -> Double? {
            guard let after, let a = value(before), let b = value(after) else { return nil }
            return b - a
        }
        let bytes = used(\.journalBytes)
        server = Server(
            cpuSeconds: used(\.cpuSeconds), bytesPerTransfer: created > 0 ? bytes.map { $0 / Double(created) } : nil)
        let cpu = Double(sum(\.cpuNanoseconds))
        let sent = Double(max(1, plan.sale == nil ? offered - unsent : created))
        generator = Generator(cpuSeconds: cpu / 1e9, cpuNanosecondsPerTransfer: cpu / sent, threads: plan.threads)
        seconds = counts.enumerated().map { i, second in
            let row = i < rows.count ? rows[i].latencies : Latencies(digits: .two)
            return Second(
                t: i, offered: second.offered, accepted: second.accepted, busy: second.busy, p50: row.milliseconds(50),
                p99: row.milliseconds(99))
        }
        // Whole seconds only at the end: an empty last row says nothing.
        while let last = seconds.last, last.offered == 0 && last.accepted == 0 && last.busy == 0 {
            seconds.removeLast()
        }
        target = plan.target
        connectionsLost = results.reduce(0) { $0 + $1.connectionsLost }
        failure = results.lazy.compactMap(\.failure).first
        if failure == nil, errors > 0 || connectionsLost > 0 {
            failure = .errors(
                count: errors, first: results.lazy.compactMap(\.firstError).first ?? "a connection was closed")
        }
    }

    /// Why the run is bad, though it is a measurement: nothing of it was accepted. Nil: something was, or nothing was due.
    public var nothingAccepted: LoadError? {
        let others = refused.merging(["busy": busy, "unsent": unsent, "unanswered": unanswered]) { $0 + $1 }
        let count = others.values.reduce(0, +)
        let most = others.max { ($0.value, $1.key) < ($1.value, $0.key) }
        guard accepted == 0 && exists == 0 && count > 0, let most else { return nil }
        return .nothingAccepted(of: count, unit: unit, most: most.key)
    }

    /// A part of a run must not pass for the whole.
    mutating func wasCut(by signal: CInt) {
        cut = System.signalName(signal)
        cutSignal = signal
        // Not all connections stood.
        if case .connect = failure { failure = nil }
    }

    private static func purchases(_ sale: Sale, _ results: [ThreadResult]) -> Purchases {
        func latency(_ step: PurchaseStep) -> Latency {
            var all = Latencies(digits: .three)
            for result in results where !result.steps.isEmpty { all.add(result.steps[Int(step.rawValue)]) }
            return Latency(all)
        }
        /// Purchases of which that step was done.
        func done(_ step: PurchaseStep) -> UInt64 {
            results.reduce(0) { $0 + $1.created[Int(step.rawValue)] } / UInt64(step.count)
        }
        return Purchases(
            paid: done(.post), voided: done(.void), merchants: sale.merchants, feeAccounts: sale.feeAccounts,
            voids: sale.voids, hotFeeShare: sale.hotFeeShare,
            latencyMilliseconds: .init(hold: latency(.hold), post: latency(.post), void: latency(.void)))
    }

    // MARK: JSON

    /// Ends with a line break.
    public func json() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(self)) + [10]
        } catch {
            // Every number is finite and every key a string: nothing in a report can fail to encode.
            stop("the report cannot be encoded: \(error)")
        }
    }

    // MARK: Text

    private static func text(_ latency: Latency) -> String {
        func ms(_ value: Double) -> String { Format.number(value) }
        return
            "p50 \(ms(latency.p50))  p90 \(ms(latency.p90))  p99 \(ms(latency.p99))  p99.9 \(ms(latency.p999))  max \(ms(latency.max)) ms"
    }

    public var text: String {
        var out = ""
        func line(_ name: String, _ value: String) {
            out += name + String(repeating: " ", count: max(1, 12 - name.count)) + value + "\n"
        }
        func ms(_ value: Double) -> String { Format.number(value) }
        line(
            "target",
            "\(target)  \(`protocol`)  version \(version ?? "?")  shards \(shards.map(String.init) ?? "?")"
                + "  durability \(durability ?? "?")")
        line(
            "load",
            "\(loop == "closed" ? "closed loop" : "open loop, Poisson arrivals")\(profile.map { ", profile \($0)" } ?? "")  \(counted(connections, "connection"))  batch \(batch)"
                + "  in flight \(inFlight)  accounts \(Format.grouped(UInt64(accounts)))  seed \(seed)"
                + (purchases.map { "  merchants \($0.merchants)  fee accounts \($0.feeAccounts)" } ?? "")
                + (hotShare > 0 ? "  hot \(Format.number(hotShare))% to \(hotAccounts)" : "")
                + (hotPayerShare > 0 ? "  hot payer \(Format.number(hotPayerShare))%" : "")
                + (zipf > 0 ? "  Zipf \(Format.number(zipf))" : "")
                + (crossShard.map { "  crossing \(Format.number($0))%" } ?? ""))
        line(
            "machine",
            "\(machine.cpu), \(machine.cores) cores, Linux \(machine.kernel), \(machine.filesystem ?? "?")"
                + (machine.syncMilliseconds.map { ", sync \(Format.number($0)) ms" } ?? ""))
        line(
            "funding",
            "\(Format.grouped(UInt64(funding.transfers))) transfers of \(Format.grouped(UInt64(funding.amount) ?? 0))"
                + " before it, one to each customer; not in the figures below")
        if let cut { line("cut", "by \(cut): what follows is of a part of the run that was asked for") }
        line(
            "result",
            "\(Format.count(UInt64(tps))) \(unit)/s accepted of \(Format.count(UInt64(offeredTPS)))/s offered,"
                + " \(Format.grouped(accepted)) in \(Format.number(durationSeconds)) s")
        if let purchases {
            line(
                "",
                "\(Format.grouped(purchases.paid)) paid, with their fee, and \(Format.grouped(purchases.voided)) voided: "
                    + "\(Format.grouped(transfers)) transfers")
        }
        line(
            "latency",
            Self.text(latencyMilliseconds) + (loop == "closed" ? "" : ", from the time due"))
        if let steps = purchases?.latencyMilliseconds {
            line("  hold", Self.text(steps.hold) + ", from its sending, as the next two")
            line("  post, fee", Self.text(steps.post))
            line("  void", Self.text(steps.void))
        }
        for (name, count) in refused.sorted(by: { $0.key < $1.key }) {
            line("refused", "\(Format.grouped(count)) \(name)")
        }
        if refused["reserved_flag"] != nil {
            line("", "reserved_flag: this server has no pending transfers yet (--pending)")
        }
        if exists > 0 { line("exists", Format.grouped(exists)) }
        if busy > 0 {
            line("busy", "\(Format.grouped(busy)) (not executed\(loop == "closed" ? "" : ", not repeated"))")
        }
        if unsent > 0 {
            line("unsent", "\(Format.grouped(unsent)) were due but found no free place; latency counts their waiting")
        }
        if unanswered > 0 {
            line(
                "unanswered",
                "\(Format.grouped(unanswered)) had no answer when the run ended; latency counts their waiting")
        }
        if errors > 0 { line("errors", Format.grouped(errors)) }
        if connectionsLost > 0 { line("lost", "\(connectionsLost) of \(counted(connections, "connection"))") }
        line(
            "cost",
            "server "
                + (server.cpuSeconds.map { "\(Format.number($0)) s CPU" } ?? "? CPU")
                + (server.bytesPerTransfer.map { ", \(Format.number($0)) journal bytes/transfer" } ?? "")
                + "; generator \(Format.number(generator.cpuNanosecondsPerTransfer)) ns CPU/transfer")
        out += "\n     t     offered/s    accepted/s        busy/s     p50 ms     p99 ms\n"
        for second in seconds {
            let columns: [(String, Int)] = [
                ("\(second.t)", 6), (Format.grouped(second.offered), 14), (Format.grouped(second.accepted), 14),
                (Format.grouped(second.busy), 14), (ms(second.p50), 11), (ms(second.p99), 11),
            ]
            for (text, width) in columns { out += String(repeating: " ", count: max(0, width - text.count)) + text }
            out += "\n"
        }
        return out
    }
}

/// Numbers for people.
enum Format {
    /// Three significant digits or so: 12345, 123.4, 12.34, 0.123.
    static func number(_ value: Double) -> String {
        if !value.isFinite { return "\(value)" }
        let decimals = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 1 ? 2 : 3
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let whole = Int64((abs(value) * scale).rounded())
        var digits = String(whole)
        while digits.count <= decimals { digits = "0" + digits }
        if decimals > 0 { digits.insert(".", at: digits.index(digits.endIndex, offsetBy: -decimals)) }
        return value < 0 && whole > 0 ? "-" + digits : digits
    }

    /// 1,234,567
    static func grouped(_ value: UInt64) -> String {
        var out = ""
        for (i, digit) in String(value).reversed().enumerated() {
            if i > 0 && i % 3 == 0 { out.append(",") }
            out.append(digit)
        }
        return String(out.reversed())
    }

    static func count(_ value: UInt64) -> String { grouped(value) }
}
