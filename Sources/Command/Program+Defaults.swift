// Gives the parser what environment and file say about options that the command line leaves out. For `load`, whose
// options are typed where they are declared; `serve` and the others read Settings themselves.

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
        let settings =
            if let environment {
                try Settings(arguments: [:], configFile: file, environment: environment)
            } else {
                try Settings(arguments: [:], configFile: file)
            }
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
            added += ["--\(name)", setting.text]
        }
        return given + added
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
