// One value per option from four layers: command line, environment (SUANPAN_…), configuration file (JSON or YAML),
// default. Every layer is a swift-configuration snapshot; values are read as text, as it is written, so that all layers share
// one parser and one message per option.

internal import Configuration
internal import Foundation
internal import Glibc

struct Settings {
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
    ///   - environment: nil: the process's.
    init(
        arguments: [String: String?], configFile: String?,
        environment: [String: String]? = nil
    ) throws(Failure) {
        let environment = if let environment { environment } else { try Settings.processEnvironment() }
        layers = [
            Layer(
                snapshot: Settings.snapshot("command line", arguments.compactMapValues { $0 }), keyPrefix: [],
                origin: { "--\($0)" }),
            Layer(
                snapshot: EnvironmentVariablesProvider(environmentVariables: environment).snapshot(),
                keyPrefix: ["suanpan"], origin: { Settings.environmentName($0) }),
        ]
        let fromEnvironment = environment[Settings.environmentName("config")].flatMap { $0.isEmpty ? nil : $0 }
        if let path = configFile ?? fromEnvironment {
            let snapshot = Settings.snapshot(path, try SettingsFile.read(path))
            layers.append(Layer(snapshot: snapshot, keyPrefix: [], origin: { "\($0) in \(path)" }))
        }
    }

    private static func snapshot(_ name: String, _ texts: [String: String]) -> any ConfigSnapshot {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (name, text) in texts {
            let isSecret = OptionKind.of[name] == .password
            values[AbsoluteConfigKey([name])] = ConfigValue(.string(text), isSecret: isSecret)
        }
        return InMemoryProvider(name: name, values: values).snapshot()
    }

    /// Foundation mends what is not UTF-8: a password would be another than the one that was set.
    private static func processEnvironment() throws(Failure) -> [String: String] {
        let found = ProcessInfo.processInfo.environment
        for (name, value) in found where name.hasPrefix("SUANPAN_") && value.unicodeScalars.contains("\u{FFFD}") {
            // SAFETY: nothing in this process changes its environment.
            guard let bytes = unsafe getenv(name), unsafe String(validatingCString: bytes) != nil else {
                throw .usage("\(name) is not UTF-8; write it in UTF-8")
            }
        }
        return found
    }

    static func environmentName(_ option: String) -> String {
        "SUANPAN_" + option.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }

    /// The winning value of an option, as it is written. An empty one counts as absent in the environment and the file; one
    /// of white space alone is a mistake that must not pass for either.
    func setting(_ name: String) throws(Failure) -> Setting? {
        for (index, layer) in layers.enumerated() {
            guard let text = try Settings.text(name, in: layer) else { continue }
            let setting = Setting(text: text, origin: layer.origin(name), layer: index)
            if text.isEmpty {
                if index == 0 { throw setting.wrong("is empty; give a value or leave the option out") }
                continue
            }
            if text.isBlank { throw setting.wrong("is blank; give a value or leave the option out") }
            return setting
        }
        return nil
    }

    private static func text(_ name: String, in layer: Layer) throws(Failure) -> String? {
        let content: ConfigContent?
        do {
            content = try layer.snapshot.value(forKey: AbsoluteConfigKey(layer.keyPrefix + [name]), type: .string)
                .value?.content
        } catch {
            // All layers hold texts.
            throw .usage("\(layer.origin(name)): \(error)")
        }
        guard case .string(let text) = content else { return nil }
        return text
    }
}
