// `suanpan verify`: every file of a data directory, read offline.

internal import ArgumentParser
internal import Suanpan
internal import SuanpanCore

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read every file offline: checksums, chains between groups, double entry per ledger.",
        discussion: "Exit code 0 with the totals, 1 with the first damage and where.")

    @Option(help: ArgumentHelp("Configuration file, JSON or YAML.", valueName: "file"))
    var config: String?
    @Option(help: ArgumentHelp("Data directory. (default: ./data)", valueName: "dir"))
    var data: String?
    @Option(
        help: ArgumentHelp(
            "Write the report as JSON too; the file is emptied first. - is standard output.", valueName: "file"))
    var json: String?

    func run() throws {
        let settings = try Settings(arguments: ["data": data, "json": json], configFile: config)
        let directory = try settings.setting("data")?.text ?? "./data"
        let jsonPath = try settings.setting("json")?.text
        let file: ReportFile? = if let jsonPath { try ReportFile(jsonPath) } else { nil }
        let report = try Verifier.verify(dataDirectory: directory)
        try file?.write(report.json)
        if jsonPath != "-" { try Output.standard.print(report.text(directory: directory)) }
        guard report.balanced else { throw Failure.run("\(directory): debits and credits differ, see the totals") }
    }
}

/// 1,234,567: for people; JSON has the digits alone.
func grouped(_ value: some CustomStringConvertible) -> String {
    let digits = Array(value.description)
    var text = ""
    for (i, digit) in digits.enumerated() {
        if i > 0 && digits[i - 1] != "-" && (digits.count - i) % 3 == 0 { text.append(",") }
        text.append(digit)
    }
    return text
}

/// `1,234,567 accounts`.
func grouped(_ count: UInt64, _ word: String) -> String { grouped(count) + counted(count, word).drop { $0 != " " } }

extension VerificationReport {
    func text(directory: String) -> String {
        var lines = [
            "\(directory): every file is intact; \(grouped(accounts, "account")), \(grouped(transfers, "transfer")), "
                + "\(counted(shards.count, "shard"))"
        ]
        for ledger in ledgers {
            lines.append(
                "ledger \(ledger.ledger): debits \(grouped(ledger.debitsPosted)) posted, "
                    + "\(grouped(ledger.debitsPending)) pending; credits \(grouped(ledger.creditsPosted)) posted, "
                    + "\(grouped(ledger.creditsPending)) pending: " + (ledger.isBalanced ? "balanced" : "NOT BALANCED"))
        }
        for (index, shard) in shards.enumerated() {
            lines.append(
                "shard \(index): LSN \(shard.firstLSN) to \(shard.lastLSN), \(grouped(shard.groups, "group")), "
                    + "\(grouped(shard.bytes, "byte"))")
        }
        return lines.joined(separator: "\n")
    }

    /// Money is text: a JSON number loses digits beyond 2^53 in most readers.
    var json: String {
        var object = JSONText()
        object.add("balanced", raw: balanced ? "true" : "false")
        object.add("as_of", "\(asOf)")
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
