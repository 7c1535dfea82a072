// `suanpan dump accounts|transfers`: offline export to standard output.

internal import ArgumentParser
internal import Suanpan
internal import SuanpanCore

struct DumpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Export accounts or transfers offline, to standard output.")

    enum Content: String, CaseIterable, ExpressibleByArgument {
        case accounts, transfers
    }
    enum Format: String, CaseIterable {
        case csv, jsonl
    }

    @Argument(help: "What to export: accounts or transfers.")
    var content: Content
    @Option(help: ArgumentHelp("Configuration file, JSON or YAML.", valueName: "file"))
    var config: String?
    @Option(help: ArgumentHelp("Data directory. (default: ./data)", valueName: "dir"))
    var data: String?
    @Option(
        help: ArgumentHelp("csv with a header, or a JSON object a line. (default: csv)", valueName: "csv|jsonl"))
    var format: String?

    func run() throws {
        let settings = try Settings(arguments: ["data": data, "format": format], configFile: config)
        let directory = try settings.setting("data")?.text ?? "./data"
        let format = try settings.choice("format", Format.self) ?? .csv
        // Says nothing before all is read: what cannot be exported leaves no header behind.
        let export = try Export(dataDirectory: directory)
        let names = content == .accounts ? Account.fieldNames : Transfer.fieldNames
        if format == .csv { try Output.standard.print(names.joined(separator: ",")) }
        switch content {
        case .accounts: try export.accounts { try emit($0.fieldValues, names, format) }
        case .transfers: try export.transfers { try emit($0.fieldValues, names, format) }
        }
    }

    private func emit(_ values: [FieldValue], _ names: [String], _ format: Format) throws(Failure) {
        switch format {
        case .csv: try Output.standard.print(values.map(\.text).joined(separator: ","))
        case .jsonl:
            var object = JSONText()
            for (name, value) in zip(names, values) { object.add(name, raw: value.json) }
            try Output.standard.print(object.object)
        }
    }
}

/// One field of a record. Flags are joined with `|`, so that no value of a line needs quotes.
enum FieldValue: Equatable {
    /// Ids, money and nanoseconds: text in JSON, as most readers lose digits beyond 2^53.
    case wide(UInt128)
    case narrow(UInt64)
    case flags([String])

    var text: String {
        switch self {
        case .wide(let value): "\(value)"
        case .narrow(let value): "\(value)"
        case .flags(let names): names.joined(separator: "|")
        }
    }
    var json: String {
        switch self {
        case .wide(let value): "\"\(value)\""
        case .narrow(let value): "\(value)"
        case .flags(let names): "[\(names.map(JSONText.quote).joined(separator: ","))]"
        }
    }
}

extension Account {
    static let fieldNames = [
        "id", "debits_pending", "debits_posted", "credits_pending", "credits_posted", "user_data_128", "user_data_64",
        "user_data_32", "ledger", "code", "flags", "timestamp",
    ]
    var fieldValues: [FieldValue] {
        [
            .wide(id.value), .wide(debitsPending.value), .wide(debitsPosted.value), .wide(creditsPending.value),
            .wide(creditsPosted.value), .wide(userData128), .wide(UInt128(userData64)), .narrow(UInt64(userData32)),
            .narrow(UInt64(ledger)), .narrow(UInt64(code)),
            .flags(AccountFlags.names.filter { flags.contains($0.0) }.map(\.1)), .wide(UInt128(timestamp.nanoseconds)),
        ]
    }
}

extension Transfer {
    static let fieldNames = [
        "id", "debit_account_id", "credit_account_id", "amount", "pending_id", "user_data_128", "user_data_64",
        "user_data_32", "timeout", "ledger", "code", "flags", "timestamp",
    ]
    var fieldValues: [FieldValue] {
        [
            .wide(id.value), .wide(debitAccountID.value), .wide(creditAccountID.value), .wide(amount.value),
            .wide(pendingID.value), .wide(userData128), .wide(UInt128(userData64)), .narrow(UInt64(userData32)),
            .narrow(UInt64(timeout)), .narrow(UInt64(ledger)), .narrow(UInt64(code)),
            .flags(TransferFlags.names.filter { flags.contains($0.0) }.map(\.1)),
            .wide(UInt128(timestamp.nanoseconds)),
        ]
    }
}
