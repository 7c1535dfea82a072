// `suanpan verify`: every file of a data directory, read offline.

internal import ArgumentParser
internal import Suanpan

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read every file offline: checksums, chains between groups, double entry per ledger.",
        discussion: "Exit code 0 with the totals, 1 with the first damage and where.")

    @Option(help: ArgumentHelp("Configuration file, JSON or YAML.", valueName: "file"))
    var config: String?
    @Option(help: ArgumentHelp("Data directory. (default: ./data)", valueName: "dir"))
    var data: String?
    @Option(help: ArgumentHelp("Write the report as JSON too; - is standard output.", valueName: "file"))
    var json: String?

    func run() throws {
        let settings = try Settings(arguments: ["data": data, "json": json], configFile: config)
        let directory = try settings.setting("data")?.text ?? "./data"
        let jsonPath = try settings.setting("json")?.text
        let report = try Verifier.verify(dataDirectory: directory)
        if let jsonPath { try writeReport(report.json, to: jsonPath) }
        if jsonPath != "-" { print(report.text(directory: directory)) }
        flushOutput()
        guard report.balanced else { throw Failure.run("\(directory): debits and credits differ, see the totals") }
    }
}

extension VerificationReport {
    func text(directory: String) -> String {
        var lines = ["\(directory): \(accounts) accounts, \(transfers) transfers, \(shards.count) shards"]
        for ledger in ledgers {
            lines.append(
                "ledger \(ledger.ledger): debits \(ledger.debitsPosted) posted, \(ledger.debitsPending) pending; "
                    + "credits \(ledger.creditsPosted) posted, \(ledger.creditsPending) pending: "
                    + (ledger.isBalanced ? "balanced" : "NOT BALANCED"))
        }
        for (index, shard) in shards.enumerated() {
            lines.append(
                "shard \(index): LSN \(shard.firstLSN) to \(shard.lastLSN), \(shard.groups) groups, \(shard.bytes) bytes"
            )
        }
        return lines.joined(separator: "\n")
    }

    /// Money is text: a JSON number loses digits beyond 2^53 in most readers.
    var json: String {
        var object = JSONText()
        object.add("balanced", raw: balanced ? "true" : "false")
        var byLedger = JSONText()
        for ledger in ledgers {
            var sums = JSONText()
            sums.add("debits_pending", "\(ledger.debitsPending)")
            sums.add("debits_posted", "\(ledger.debitsPosted)")
            sums.add("credits_pending", "\(ledger.creditsPending)")
            sums.add("credits_posted", "\(ledger.creditsPosted)")
            byLedger.add("\(ledger.ledger)", raw: sums.object)
        }
        object.add("ledgers", raw: byLedger.object)
        object.add("accounts", raw: "\(accounts)")
        object.add("transfers", raw: "\(transfers)")
        let items = shards.map { shard in
            var item = JSONText()
            item.add("first_lsn", raw: "\(shard.firstLSN)")
            item.add("last_lsn", raw: "\(shard.lastLSN)")
            item.add("groups", raw: "\(shard.groups)")
            item.add("bytes", raw: "\(shard.bytes)")
            return item.object
        }
        object.add("shards", raw: "[\(items.joined(separator: ","))]")
        return object.object
    }
}
