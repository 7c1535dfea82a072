// Variables that look like options and are none. A note and no refusal, unlike a key of the configuration file: some are not
// of the operator's making, as those that Kubernetes sets for a service of the name suanpan (SUANPAN_PORT, …).

extension Settings {
    /// Not options, and read all the same: by the program's failpoints, and by the tests that start it.
    private static let otherVariables: Set<String> = [
        "SUANPAN_CONFIG", "SUANPAN_FAILPOINT", "SUANPAN_FAULT", "SUANPAN_REPLAY_PAUSE", "SUANPAN_BINARY",
        "SUANPAN_DEBUG_BINARY", "SUANPAN_TEST_DATA",
    ]

    /// What is to be said of variables that name no option; nil: there are none. Empty ones count as absent.
    static func noteOfUnknownVariables(_ environment: [String: String]) -> String? {
        let known = otherVariables.union(OptionKind.of.keys.map(environmentName))
        let unknown = environment.filter {
            $0.key.hasPrefix("SUANPAN_") && !$0.value.isEmpty && !known.contains($0.key)
        }
        guard !unknown.isEmpty else { return nil }
        let names = unknown.keys.sorted().joined(separator: ", ")
        return "\(names): read by nothing; variables are SUANPAN_ and the name of an option, such as SUANPAN_SHARDS"
    }
}
