// `suanpan load`: the options of the load generator, its report on standard output, its exit code.

public import ArgumentParser
public import SuanpanLoad

extension LoadProtocol: ExpressibleByArgument {}
extension WorkloadKind: ExpressibleByArgument {}

struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Drive transfers at a server and report what it took.",
        discussion: """
            Closed loop by default: every connection keeps --in-flight requests outstanding. With --rate or --profile an \
            open loop: requests are due at their own, Poisson-spaced times, and latency counts from the time due, so that \
            a stall of the server is not hidden. Exit code 0: done; 1: the run is bad; 2: the command line is wrong; by the signal: SIGINT or SIGTERM cut it short, \
            which the report says.
            """)

    @Option(help: "The server's native port, or its RESP port with --protocol resp; HOST:PORT.")
    var target: String
    @Option(help: "native or resp.")
    var `protocol`: LoadProtocol = .native
    @Option(help: "A profile: \(Profile.standardNames.joined(separator: ", ")), or a JSON file. Options win over it.")
    var profile: String?
    @Option(
        help: """
            transfer: customers pay each other; purchase: a hold each, then post and fee as one chain, or a void; settlement: \
            one pays many. (default: transfer, or the profile's)
            """)
    var kind: WorkloadKind?
    @Option(help: "Accounts that take part, made and funded first. (default: 10000)")
    var accounts: Int?
    @Option(help: "Connections. (default: 1)")
    var connections: Int?
    @Option(help: "Transfers per request, up to 8190. (default: 8190 in a closed loop, else 1)")
    var batch: Int?
    @Option(help: "Requests that a connection may have outstanding. (default: 4)")
    var inFlight: Int?
    @Option(help: "Transfers/s, or purchases/s, to offer: open loop. With --profile: its base rate.")
    var rate: Double?
    @Option(help: "Seconds. (default: 10, or the profile's)")
    var duration: Double?
    @Option(help: "Transfers to send, instead of --duration.")
    var transfers: UInt64?
    @Option(help: "Purchases to make, instead of --duration.")
    var purchases: UInt64?
    @Option(help: "Merchants of a load of purchases. (default: 50)")
    var merchants: Int?
    @Option(help: "Fee accounts of a load of purchases. (default: 10)")
    var feeAccounts: Int?
    @Option(help: "Percent of the fees that the first fee account gets; the others are dealt over all. (default: 0)")
    var hotFeeShare: Double?
    @Option(help: "Percent of the purchases that are voided. (default: 5)")
    var voids: Double?
    @Option(help: "Percent of the transfers, or purchases, that go to the hot accounts. (default: 0, of purchases 50)")
    var hotShare: Double?
    @Option(help: "Hot accounts: merchants in a load of purchases. (default: 5 with --hot-share)")
    var hotAccounts: Int?
    @Option(
        help: "Percent of the transfers, or purchases, that one customer pays, side by side: a pay-out. (default: 0)")
    var hotPayerShare: Double?
    @Option(help: "Exponent of the payers' Zipf distribution, 0 to 5; 0: all alike. (default: 0, of purchases 0.9)")
    var zipf: Double?
    @Option(help: "Percent of the transfers whose accounts live in two shards. (default: as it comes)")
    var crossShard: Double?
    @Option(
        help: "Percent of the transfers that reserve first; each is posted later by its connection, as a transfer more."
    )
    var pending: Double?
    @Option(help: "Events linked into one chain, all or nothing. (default: 1, no chains)")
    var chain: Int?
    @Option(help: "Of all choices, so that a run can be repeated. (default: new each time)")
    var seed: UInt64?
    @Option(help: "Load threads.")
    var threads: Int = 1
    @Option(help: "Better in the environment: SUANPAN_PASSWORD.")
    var password: String?
    @Option(help: "Writes the report as JSON too; the file is emptied first. - is standard output.")
    var json: String?

    func run() throws {
        if password == "" { throw Failure.usage("--password '': is empty; give a value or leave the option out") }
        var options = LoadOptions(target: target)
        options.wire = `protocol`
        options.profile = profile
        options.kind = kind
        options.accounts = accounts
        options.connections = connections
        options.batch = batch
        options.inFlight = inFlight
        options.rate = rate
        options.durationSeconds = duration
        options.transfers = transfers
        options.purchases = purchases
        options.merchants = merchants
        options.feeAccounts = feeAccounts
        options.hotFeeShare = hotFeeShare
        options.voids = voids
        options.hotShare = hotShare
        options.hotAccounts = hotAccounts
        options.hotPayerShare = hotPayerShare
        options.zipf = zipf
        options.crossShard = crossShard
        options.pending = pending
        options.chain = chain
        options.seed = seed
        options.threads = threads
        options.password = password ?? LoadOptions.environmentPassword
        let file: ReportFile? = if let json { try ReportFile(json) } else { nil }
        let report: LoadReport
        do throws(LoadError) {
            report = try Load.run(options)
        } catch { throw Failure(error) }
        if json != "-" { try Output.standard.write(report.text) }
        try file?.write(String(decoding: report.json().dropLast(), as: UTF8.self))
        if let failure = report.failure { throw Failure(failure) }
        if let signal = report.cutSignal {
            throw Failure(
                kind: .signal(signal),
                description: "the run was cut short by \(report.cut ?? ""): the report covers what was done until then")
        }
        if let failure = report.nothingAccepted { throw Failure(failure) }
    }
}

extension Failure {
    init(_ error: LoadError) { self.init(kind: error.exitCode == 2 ? .usage : .run, description: error.description) }
}
