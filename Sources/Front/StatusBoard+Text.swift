// The board as people and tools read it: INFO's sections, what an operator woken at night looks at first standing first,
// and the JSON of the native `status` operation.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore

extension StatusBoard {
    /// Sections of INFO in order.
    static let sections =
        [
            "server", "persistence", "overload", "security", "journal", "shards", "latency", "clients", "memory",
            "totals",
        ]
        + redisSections

    /// INFO shows the sums of so many ledgers; TOTALS those of all.
    static let ledgersShown = 64

    /// The text of INFO.
    /// - Parameter sections: Of `sections`; none, or `all`, `default`, `everything`: all. Unknown ones are left out, as in
    ///   Redis.
    public func info(sections: [String]) -> String {
        let wanted = Set(sections.map { $0.lowercased() })
        let isAll = wanted.isEmpty || !wanted.isDisjoint(with: ["all", "default", "everything"])
        return Self.sections.filter { isAll || wanted.contains($0) }
            .map { "# \($0.prefix(1).uppercased() + $0.dropFirst())\r\n" + lines(of: $0).map { $0 + "\r\n" }.joined() }
            .joined(separator: "\r\n")
    }

    private func lines(of section: String) -> [String] {
        let cores = 0..<facts.shardCount
        switch section {
        case "server":
            let up = (suanpan_monotonic_ns() &- facts.startedAt) / 1_000_000_000
            return [
                "suanpan_version:\(facts.version)", "version:\(facts.version)", "redis_version:\(Version.redis)",
                "redis_mode:standalone", "process_id:\(facts.processID)", "uptime_in_seconds:\(up)",
                "durability:\(facts.durability)", "shards:\(facts.shardCount)", "salt:\(Self.hex(facts.salt))",
                "data_directory:\(facts.dataDirectory)", "filesystem:\(facts.filesystem)",
                "sync_ms:\(Self.three(facts.syncMilliseconds))", "recovered_ms:\(recoveredMilliseconds)",
                "accounts:\(sum(.accounts))", "transfers:\(sum(.transfers))", "refusals:\(sum(.refusals))",
                "clock_ahead_seconds:\(Self.seconds(clockAheadNanoseconds))",
                "clock_behind_seconds:\(Self.seconds(clockBehindNanoseconds))",
                "transfers_per_second:\(sum(.rate))", "used_cpu_seconds:\(Self.seconds(sum(.cpuNanoseconds)))",
                "native_port:\(facts.nativePort)", "resp_port:\(facts.respPort)", "tcp_port:\(facts.respPort)",
                "run_id:\(runID)",
                "pinned_cpus:\(facts.pinnedCPUs.map(String.init).joined(separator: ","))",
            ]
        case "persistence":
            // By the names that Redis has for them.
            let log = [
                "async_loading:0", "rdb_bgsave_in_progress:0", "aof_enabled:1", "aof_rewrite_in_progress:0",
                "aof_last_write_status:\(highest(.diskFull) == 0 ? "ok" : "err")",
            ]
            guard let percent = loadingPercent else { return ["loading:0"] + log }
            let bytes = loadingBytes
            return [
                "loading:1", "loading_total_bytes:\(bytes.total)", "loading_loaded_bytes:\(bytes.done)",
                "loading_loaded_perc:\(percent).00",
            ] + log
        case "overload":
            return [
                "writes_stopped:\(isBroken ? 1 : 0)", "busy_answers:\(sum(.busy))",
                "backpressure_stalls:\(sum(.stalls))",
                "backpressure_ms:\(highest(.backpressure) / 1_000_000)",
                "disk_full:\(highest(.diskFull))", "segment_errno:\(highest(.segmentErrno))",
                "connections_refused:\(sum(.refusedConnections))",
                "timeouts:\(sum(.timeouts) + notices.count(.late))", "malformed:\(sum(.malformed))",
            ]
        case "security":
            return [
                "auth_failures:\(notices.count(.wrongPassword))", "auth_delayed:\(notices.count(.passwordDelayed))",
                "http:\(notices.count(.http))", "foreign_protocols:\(notices.count(.foreignProtocol))",
            ]
        case "journal":
            return ["journal_bytes:\(sum(.journalBytes))"]
                + cores.map { core in
                    "shard\(core):appended_lsn=\(get(core, .appendedLSN)),acknowledged_lsn=\(get(core, .acknowledgedLSN)),"
                        + "durable_lsn=\(get(core, .durableLSN)),bytes=\(get(core, .journalBytes)),"
                        + "groups=\(get(core, .groups)),sync_p50_us=\(get(core, .syncP50) / 1000),"
                        + "sync_p99_us=\(get(core, .syncP99) / 1000),sync_max_us=\(get(core, .syncMax) / 1000)"
                }
        case "shards":
            return cores.map { core in
                let transfers = get(core, .transfers)
                let since = transfers &- get(core, .transfersBefore)
                let share = since == 0 ? 0 : Double(get(core, .crossings)) / Double(since)
                return "shard\(core):accounts=\(get(core, .accounts)),transfers=\(transfers),"
                    + "rate=\(get(core, .rate)),queue_depth=\(get(core, .queueDepth)),"
                    + "queueing_p99_us=\(get(core, .queueingP99) / 1000),crossing_share=\(Self.three(share)),"
                    + "waits=\(get(core, .waits)),restarts=\(get(core, .restarts)),redone=\(get(core, .redone)),"
                    + "cpu_seconds=\(Self.seconds(get(core, .cpuNanoseconds)))"
            }
        case "latency":
            return [
                "request_p50_us:\(highest(.latencyP50) / 1000)", "request_p99_us:\(highest(.latencyP99) / 1000)",
                "request_max_us:\(highest(.latencyMax) / 1000)",
            ]
        case "clients":
            return [
                "connected_clients:\(sum(.connections))", "blocked_clients:0",
                "connections_accepted:\(sum(.accepted))", "requests:\(sum(.requests))",
            ]
        case "memory":
            return [
                "ledger_bytes:\(sum(.ledgerBytes))", "memory_limit_bytes:\(facts.memoryLimitBytes)",
                "memory_fixed_bytes:\(facts.memoryFixedBytes)",
                "memory_available_bytes:\(facts.memoryAvailableBytes)",
                "reply_bytes:\(sum(.replyBytes))", "reply_limit_bytes:\(facts.replyLimitBytes)",
                "used_memory:\(Self.residentBytes)", "maxmemory:\(facts.memoryLimitBytes)",
                "maxmemory_policy:noeviction",
            ] + fullness
        case "totals":
            guard let books = lastTotals() else { return [] }
            return [
                "balanced:\(books.sums.allSatisfy(\.isBalanced) ? 1 : 0)", "timestamp:\(books.time.nanoseconds)",
                "ledgers:\(books.sums.count)",
            ]
                + books.sums.prefix(Self.ledgersShown).map { sum in
                    "ledger\(sum.ledger):debits_pending=\(sum.debitsPending),debits_posted=\(sum.debitsPosted),"
                        + "credits_pending=\(sum.creditsPending),credits_posted=\(sum.creditsPosted)"
                }
        default: return redisLines(of: section)
        }
    }

    /// How full the engine is: a table of any shard that is full refuses what needs it, whatever the others have left.
    private var fullness: [String] {
        let tables: [(name: String, percent: UInt64)] = [
            ("accounts", highest(.accountsFull)), ("ids", highest(.idsFull)), ("pending", highest(.pendingsFull)),
        ]
        let first = tables.reduce(tables[0]) { $1.percent > $0.percent ? $1 : $0 }
        return ["memory_full_percent:\(first.percent)", "fills_first:\(first.name)"]
            + tables.map { "\($0.name)_full_percent:\($0.percent)" }
    }

    /// The reply of the native `status` operation.
    public func statusJSON() -> String {
        let slots = facts.slots.map(String.init).joined(separator: ",")
        func quoted(_ text: String) -> String {
            "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
        }
        let fields: [(String, String)] = [
            ("version", quoted(facts.version)), ("durability", quoted(facts.durability)),
            ("shards", "\(facts.shardCount)"), ("salt", quoted(Self.hex(facts.salt))), ("slot_map", "[\(slots)]"),
            ("filesystem", quoted(facts.filesystem)), ("sync_ms", Self.three(facts.syncMilliseconds)),
            ("cpu_s", Self.seconds(sum(.cpuNanoseconds))), ("journal_bytes", "\(sum(.journalBytes))"),
            ("accounts", "\(sum(.accounts))"), ("transfers", "\(sum(.transfers))"),
            ("refusals", "\(sum(.refusals))"), ("busy", "\(sum(.busy))"), ("crossings", "\(sum(.crossings))"),
            ("ledger_bytes", "\(sum(.ledgerBytes))"),
        ]
        return "{" + fields.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
    }

    /// Of this process.
    private static var residentBytes: Int {
        let fd = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return 0 }
        defer { close(fd) }
        var text = [UInt8](repeating: 0, count: 128)
        // SAFETY: at most so many bytes into an array of as many.
        let length = unsafe text.withUnsafeMutableBytes { unsafe read(fd, $0.baseAddress, $0.count) }
        let pages = String(decoding: text.prefix(max(0, length)), as: UTF8.self).split(separator: " ")
        return pages.count > 1 ? (Int(pages[1]) ?? 0) * Int(getpagesize()) : 0
    }

    static func hex(_ value: UInt128) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }
    /// Three decimals without Foundation.
    static func three(_ value: Double) -> String {
        let thousandths = Int((value * 1000).rounded())
        let rest = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
    }
    static func seconds(_ nanoseconds: UInt64) -> String { three(Double(nanoseconds) / 1e9) }
}
