// Gives the parser what environment and file say about options that the command line leaves out. For `load`, whose
// options are typed where they are declared; `serve` and the others read Settings themselves. And the numbers in a form that it
// takes, or refuses with what to give.

extension Program {
    /// Options of `load` that may stand in the lower layers.
    private static let loadOptions = [
        "target", "protocol", "profile", "accounts", "connections", "batch", "in-flight", "rate", "hot-share",
        "hot-accounts", "cross-shard", "pending", "chain", "seed", "threads", "json", "duration", "transfers",
        "kind", "purchases", "merchants", "fee-accounts", "hot-fee-share", "voids", "hot-payer-share", "zipf",
    ]
    /// Ways to say the same: one on the command line hides the others in a lower layer.
    private static let alternatives = ["duration", "transfers", "purchases"]

    static func withDefaults(_ arguments: [String], environment: [String: String]? = nil) throws(Failure) -> [String] {
        guard arguments.first == "load" else { return arguments }
        var given = arguments
        let file = try takeConfigOption(from: &given)
        try checkNumbers(given)
        let settings = try Settings(arguments: [:], configFile: file, environment: environment)
        let isGiven = { (name: String) in given.contains { $0 == "--\(name)" || $0.hasPrefix("--\(name)=") } }
        var added: [String] = []
        var addedLayers: [String: Int] = [:]
        for name in loadOptions where !isGiven(name) {
            guard let setting = try settings.setting(name) else { continue }
            if alternatives.contains(name) {
                let others = alternatives.filter { $0 != name }
                if others.contains(where: isGiven) { continue }
                if others.contains(where: { addedLayers[$0] ?? .max < setting.layer }) { continue }
            }
            addedLayers[name] = setting.layer
            guard let kind = OptionKind.of[name], kind.takes(setting.text) else {
                throw setting.wrong(OptionKind.of[name]?.advice ?? "")
            }
            let text = kind == .text ? setting.text : setting.text.trimmingSpaces()
            added += text.hasPrefix("-") ? ["--\(name)=\(text)"] : ["--\(name)", text]
        }
        return given + added
    }

    /// `--shards -1` as `--shards=-1`: the parser would take the number for an option, and say that one has no value.
    static func joiningNegatives(_ arguments: [String]) -> [String] {
        var joined: [String] = []
        for argument in arguments {
            let digits = argument.drop { $0 == "-" || $0 == "." }
            if argument.hasPrefix("-"), let first = digits.first, first.isNumber, let option = joined.last,
                option.hasPrefix("--"), OptionKind.of[String(option.dropFirst(2))] != nil
            {
                joined[joined.count - 1] = "\(option)=\(argument)"
            } else {
                joined.append(argument)
            }
        }
        return joined
    }

    /// What is no number at all is refused here, in one way for all options; what is out of bounds by whoever knows them.
    private static func checkNumbers(_ arguments: [String]) throws(Failure) {
        for (index, argument) in arguments.enumerated() where argument.hasPrefix("--") {
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first, let kind = OptionKind.of[String(name)] else { continue }
            let next = index + 1 < arguments.count ? arguments[index + 1] : nil
            guard let text = parts.count == 2 ? String(parts[1]) : next, !kind.reads(text) else { continue }
            throw .usage("--\(name) '\(text)': \(kind.advice)")
        }
    }

    /// Removes `--config FILE` and `--config=FILE`. Of several the last counts, as for every option.
    private static func takeConfigOption(from arguments: inout [String]) throws(Failure) -> String? {
        var file: String?
        while let index = arguments.firstIndex(where: { $0 == "--config" || $0.hasPrefix("--config=") }) {
            let argument = arguments.remove(at: index)
            if argument != "--config" {
                file = String(argument.dropFirst("--config=".count))
            } else {
                guard index < arguments.count else { throw .usage("--config needs a file; name a JSON or YAML file") }
                file = arguments.remove(at: index)
            }
        }
        return file
    }
}
