// What clients and tools of Redis read of a server when they connect, by Redis' names: a single primary that is ready.

internal import SuanpanCore

extension StatusBoard {
    static let redisSections = ["replication", "stats", "cluster"]

    func redisLines(of section: String) -> [String] {
        switch section {
        case "replication":
            return [
                "role:master", "connected_slaves:0", "master_failover_state:no-failover", "master_replid:\(runID)",
                "master_replid2:\(String(repeating: "0", count: 40))", "master_repl_offset:0", "second_repl_offset:-1",
                "repl_backlog_active:0",
            ]
        case "stats":
            return [
                "total_connections_received:\(sum(.accepted))", "total_commands_processed:\(sum(.commands))",
                "instantaneous_ops_per_sec:\(sum(.rate))", "rejected_connections:\(sum(.refusedConnections))",
                "acl_access_denied_auth:\(notices.count(.wrongPassword))",
            ]
        case "cluster": return ["cluster_enabled:0"]
        default: return []
        }
    }

    /// 40 hexadecimal digits that no other start of an engine has.
    var runID: String {
        let process = String(UInt32(truncatingIfNeeded: facts.processID), radix: 16)
        return Self.hex(facts.salt ^ UInt128(facts.startedAt)) + String(repeating: "0", count: 8 - process.count)
            + process
    }
}
