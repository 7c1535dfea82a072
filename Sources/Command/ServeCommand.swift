// `suanpan serve`: settings to an EngineConfiguration, then the engine until SIGTERM, SIGINT or SIGHUP.

internal import ArgumentParser
internal import Suanpan
internal import SuanpanLoad

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the engine until SIGTERM, SIGINT or SIGHUP, which drain it.",
        discussion: """
            Prints one line when it serves. The password that network clients must give comes from SUANPAN_PASSWORD, \
            the configuration file or --password-file; it never stands on the command line. Listening beyond loopback \
            needs one.
            """)

    @Option(help: ArgumentHelp("Configuration file, JSON or YAML.", valueName: "file"))
    var config: String?
    @Option(help: ArgumentHelp("Data directory, made when missing. (default: ./data)", valueName: "dir"))
    var data: String?
    @Option(help: ArgumentHelp("Shards, 1 to 64. (default: what the directory holds, else the CPUs)", valueName: "n"))
    var shards: String?
    @Option(
        help: ArgumentHelp(
            "Native protocol; port 0 picks a free one, 'off' none. (default: 127.0.0.1:7420)", valueName: "host:port"))
    var native: String?
    @Option(
        help: ArgumentHelp(
            "Redis protocol; port 0 picks a free one, 'off' none. (default: 127.0.0.1:7421)", valueName: "host:port"))
    var resp: String?
    @Option(
        help: ArgumentHelp(
            "sync: an answer survives a power cut. async: it survives a killed process. (default: sync)",
            valueName: "sync|async"))
    var durability: String?
    @Option(help: ArgumentHelp("Memory for ledger tables. (default: half of what there is)", valueName: "size"))
    var memory: String?
    @Option(help: ArgumentHelp("File whose first line is the password of network clients.", valueName: "file"))
    var passwordFile: String?
    @Option(help: ArgumentHelp("Size of a log segment in a new directory. (default: 128MiB)", valueName: "size"))
    var segment: String?
    @Option(help: ArgumentHelp("Connections over all cores; one more is refused. (default: 16384)", valueName: "n"))
    var connectionsMax: String?
    @Option(
        help: ArgumentHelp(
            "Seconds after which a half-sent request or a reply not taken closes the connection. (default: 30)",
            valueName: "n"))
    var timeout: String?
    @Option(help: ArgumentHelp("Pin each shard's thread to a CPU of its own. (default: on)", valueName: "on|off"))
    var pin: String?
    @Option(
        help: ArgumentHelp(
            "check: don't start when the machine's clock is far ahead of the ledger. follow: it is right. (default: check)",
            valueName: "check|follow"))
    var clock: String?
    @Option(
        help: ArgumentHelp(
            "Seconds that the machine's clock may jump ahead and be followed. (default: 60)", valueName: "n"))
    var clockJumpMax: String?

    func run() throws {
        let settings = try Settings(
            arguments: [
                "data": data, "shards": shards, "native": native, "resp": resp, "durability": durability,
                "memory": memory, "password-file": passwordFile, "segment": segment,
                "connections-max": connectionsMax, "timeout": timeout, "pin": pin, "clock": clock,
                "clock-jump-max": clockJumpMax,
            ], configFile: config)
        let configuration = try EngineConfiguration(settings)
        let segment = try settings.setting("segment")
        var failure: Failure?
        let ended = try Server.run(configuration) { ready in
            for note in ready.notes { writeNote(note) }
            if let segment, configuration.segmentBytes != ready.segmentBytes {
                writeNote(
                    "\(segment.origin) \(segment.text) is not used: \(configuration.dataDirectory) was made with segments of "
                        + "\(ready.segmentBytes >> 20)MiB, and keeps them")
            }
            do throws(Failure) {
                try Output.standard.print(ready.line)
                try Output.standard.flush()
            } catch { failure = error }
            // Whoever waits for the line waits for ever: better no server than one that nobody knows of.
            return failure == nil
        }
        if let ended { writeNote("ended while it was starting: \(ended)% of the logs were replayed") }
        if let failure { throw failure }
    }
}

extension ServerReady {
    /// The one line that says that it serves.
    var line: String {
        let native = nativeEndpoint.map { "\($0)" } ?? "off"
        let resp = respEndpoint.map { "\($0)" } ?? "off"
        return "ready native=\(native) resp=\(resp) shards=\(shards) accounts=\(accounts) transfers=\(transfers) "
            + "recovered_ms=\(recoveredMilliseconds)"
    }
}

extension EngineConfiguration {
    /// - Throws: `Failure` of kind `usage` naming the option, its value and what to do.
    init(_ settings: Settings) throws(Failure) {
        self.init(dataDirectory: try settings.setting("data")?.text ?? "./data")
        shards = try settings.int("shards", Bounds.shards)
        native = try settings.endpoint("native") ?? Endpoint(host: "127.0.0.1", port: 7420)
        resp = try settings.endpoint("resp") ?? Endpoint(host: "127.0.0.1", port: 7421)
        durability = try settings.choice("durability", Durability.self) ?? durability
        memoryBytes = try settings.size("memory")
        connectionsMax = try settings.int("connections-max", Bounds.connectionsMax) ?? connectionsMax
        timeoutSeconds = try settings.int("timeout", Bounds.timeoutSeconds) ?? timeoutSeconds
        pinThreads = try settings.bool("pin") ?? pinThreads
        segmentBytes = try settings.size("segment") ?? segmentBytes
        clock = try settings.choice("clock", ClockPolicy.self) ?? clock
        clockJumpMaxSeconds = try settings.int("clock-jump-max", Bounds.clockJumpMaxSeconds) ?? clockJumpMaxSeconds
        password = try EngineConfiguration.password(settings)
        guard native != nil || resp != nil else {
            throw .usage("--native off and --resp off leave no way in; open one of them")
        }
        if let problem = problem() { throw try Self.failure(problem, settings) }
    }

    /// The engine's refusal in the words of the command line.
    private static func failure(_ problem: ConfigurationProblem, _ settings: Settings) throws(Failure) -> Failure {
        switch problem {
        case .value(let field, _, let advice):
            guard let setting = try settings.setting(field.rawValue) else { return .usage("\(problem)") }
            return setting.wrong(advice)
        case .password:
            let file = try settings.setting("password-file")
            let direct = try settings.setting("password")
            return .usage("\((file ?? direct)?.origin ?? "password"): \(ConfigurationProblem.passwordAdvice)")
        case .sameAddress(let endpoint):
            return .usage("--native and --resp are both \(endpoint); give each a port of its own")
        case .beyondLoopback(let field, let endpoint):
            return .usage(
                "--\(field.rawValue) \(endpoint) is beyond loopback and there is no password: set SUANPAN_PASSWORD or "
                    + "--password-file, or listen on 127.0.0.1")
        }
    }

    /// The upper layer wins, whether it gives the password or a file that holds it.
    private static func password(_ settings: Settings) throws(Failure) -> String? {
        let direct = try settings.setting("password")
        let file = try settings.setting("password-file")
        if let direct, let file, direct.layer == file.layer {
            throw .usage("\(direct.origin) and \(file.origin) are both given; keep one of them")
        }
        if let direct, direct.layer < file?.layer ?? .max { return direct.text }
        guard let file else { return nil }
        return try readPassword(file)
    }

    private static func readPassword(_ setting: Settings.Setting) throws(Failure) -> String {
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.read(setting.text)
        } catch {
            throw setting.wrong("cannot be read (\(error.reason)); name a file that this user can read")
        }
        // As it is written, but for the line's end, which Windows writes as CR LF.
        var line = bytes.prefix { $0 != UInt8(ascii: "\n") }
        if line.count < bytes.count && line.last == UInt8(ascii: "\r") { line.removeLast() }
        guard let password = String(validating: line, as: UTF8.self), !password.isBlank else {
            throw setting.wrong("its first line must be the password, in UTF-8")
        }
        return password
    }
}
