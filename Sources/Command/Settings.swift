// One value per option from four layers: command line, environment (SUANPAN_…), configuration file (JSON or YAML),
// default. Every layer is a swift-configuration snapshot; values are read as text, so that all layers share one parser
// and one message per option.

internal import Configuration
internal import Foundation
internal import SuanpanLoad
internal import Synchronization

struct Settings {
    /// Options that a configuration file may hold. One file may serve all commands.
    static let optionNames: Set<String> = [
        "data", "shards", "native", "resp", "durability", "memory", "password", "password-file", "segment",
        "connections-max", "timeout", "pin", "clock", "clock-jump-max",
        "target", "protocol", "profile", "accounts", "connections", "batch", "in-flight", "rate", "duration",
        "transfers", "hot-share", "hot-accounts", "cross-shard", "pending", "chain", "seed", "threads", "json",
        "format", "kind", "purchases", "merchants", "fee-accounts", "hot-fee-share", "voids", "hot-payer-share", "zipf",
    ]
    /// Never printed.
    static let secretNames: Set<String> = ["password"]

    /// A value and where it stands, for messages.
    struct Setting: Equatable {
        var text: String
        /// `--shards`, `SUANPAN_SHARDS` or `shards in suanpan.yaml`.
        var origin: String
        /// 0 is the command line; a lower layer wins.
        var layer: Int

        /// The message for a value that does not fit: what, the value, what to do.
        func wrong(_ advice: String) -> Failure { .usage("\(origin) '\(text)': \(advice)") }
    }

    private struct Layer {
        var snapshot: any ConfigSnapshot
        var keyPrefix: [String]
        var origin: @Sendable (String) -> String
    }
    private var layers: [Layer]

    /// - Parameters:
    ///   - arguments: What the command line gave, by option name; nil where it gave nothing.
    ///   - configFile: `--config`; nil: `SUANPAN_CONFIG`, else no file.
    init(
        arguments: [String: String?], configFile: String?,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(Failure) {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, value) in arguments {
            if let value { values[AbsoluteConfigKey([name])] = ConfigValue(.string(value), isSecret: false) }
        }
        layers = [
            Layer(
                snapshot: InMemoryProvider(name: "command line", values: values).snapshot(), keyPrefix: [],
                origin: { "--\($0)" }),
            Layer(
                snapshot: EnvironmentVariablesProvider(environmentVariables: environment).snapshot(),
                keyPrefix: ["suanpan"], origin: { Settings.environmentName($0) }),
        ]
        let fromEnvironment = environment[Settings.environmentName("config")].flatMap { $0.isEmpty ? nil : $0 }
        if let path = configFile ?? fromEnvironment {
            let snapshot = try Settings.read(path)
            layers.append(Layer(snapshot: snapshot, keyPrefix: [], origin: { "\($0) in \(path)" }))
        }
    }

    static func environmentName(_ option: String) -> String {
        "SUANPAN_" + option.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }

    /// The winning value of an option. An empty one counts as absent in the environment and the file.
    func setting(_ name: String) throws(Failure) -> Setting? {
        for (index, layer) in layers.enumerated() {
            guard let text = try Settings.text(name, in: layer) else { continue }
            let setting = Setting(text: text, origin: layer.origin(name), layer: index)
            if text.isEmpty {
                if index == 0 { throw setting.wrong("is empty; give a value or leave the option out") }
                continue
            }
            return setting
        }
        return nil
    }

    private static func text(_ name: String, in layer: Layer) throws(Failure) -> String? {
        let key = AbsoluteConfigKey(layer.keyPrefix + [name])
        // JSON knows types: a number or a boolean does not answer as text.
        for type in [ConfigType.string, .int, .double] {
            let content: ConfigContent?
            do {
                content = try layer.snapshot.value(forKey: key, type: type).value?.content
            } catch {
                continue  // The value is of another type: the next one is asked for.
            }
            switch content {
            case .string(let text): return text.trimmingSpaces()
            case .int(let number): return String(number)
            case .double(let number): return String(number)
            default: return nil
            }
        }
        throw .usage("\(layer.origin(name)) must be one value, not a list or an object")
    }

    // MARK: The file

    private static func read(_ path: String) throws(Failure) -> any ConfigSnapshot {
        let data: Data
        do {
            data = Data(try readSmallFile(path, bytesMax: 1 << 20))
        } catch {
            throw .usage(
                "--config '\(path)' cannot be read (\(error.reason)); name a JSON or YAML file that this user can read")
        }
        guard JSONKeys.isUTF8([UInt8](data)) else { throw .usage("--config '\(path)' is not UTF-8") }
        // The specifier is asked about each key of the file: the place where a misspelled one is noticed.
        let keys = Mutex<[String]>([])
        let isJSON = path.hasSuffix(".json") || data.first { !" \t\r\n".utf8.contains($0) } == UInt8(ascii: "{")
        let snapshot: any ConfigSnapshot
        do {
            if isJSON {
                snapshot = try JSONSnapshot(
                    data: data.bytes, providerName: path,
                    parsingOptions: .init(
                        secretsSpecifier: .dynamic { key, _ in
                            keys.withLock { $0.append(key) }
                            return secretNames.contains(key)
                        }))
            } else if data.allSatisfy({ " \t\r\n".utf8.contains($0) }) {
                snapshot = InMemoryProvider(name: path, values: [:]).snapshot()
            } else {
                snapshot = try YAMLSnapshot(
                    data: data.bytes, providerName: path,
                    parsingOptions: .init(
                        secretsSpecifier: .dynamic { key, _ in
                            keys.withLock { $0.append(key) }
                            return secretNames.contains(key)
                        }))
            }
        } catch {
            throw .usage("--config '\(path)' is not valid \(isJSON ? "JSON" : "YAML"): \(reason(error))")
        }
        if isJSON, let key = JSONKeys.firstTwice([UInt8](data)) {
            throw .usage("'\(key)' in \(path) is given twice; keep one of them")
        }
        let unknown = keys.withLock { $0 }.filter { !optionNames.contains($0) }.sorted()
        if let key = unknown.first {
            throw .usage(
                "'\(key)' in \(path) is not an option; keys are the names of options, such as data, shards, native, "
                    + "resp, durability, memory")
        }
        return snapshot
    }

    /// An error of Foundation or Yams in one line.
    private static func reason(_ error: any Error) -> String {
        let nsError = error as NSError
        let text = (nsError.userInfo["NSDebugDescription"] as? String) ?? "\(error)"
        return text.split(separator: "\n").map { $0.trimmingSpaces() }.joined(separator: " ")
    }
}
