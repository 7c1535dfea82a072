// The configuration file, JSON or YAML: its values as they are written, by option, each checked against what its option
// takes. JSON has types, and a value must be of the right one; a string, and all of YAML, is read as on the command line.

internal import Configuration
internal import Foundation
internal import SuanpanLoad
internal import Synchronization

enum SettingsFile {
    private enum Value {
        case text(String)
        case number(String)
        case boolean(String)
        case null
        /// A list or an object.
        case several
    }

    /// Of every key of the file, also of those that the command at hand has no use for.
    static func read(_ path: String) throws(Failure) -> [String: String] {
        let data: [UInt8]
        do {
            data = try SmallFile.read(path)
        } catch {
            throw .usage(
                "--config '\(path)' cannot be read (\(error.reason)); name a JSON or YAML file that this user can read")
        }
        guard JSONKeys.isUTF8(data) else { throw .usage("--config '\(path)' is not UTF-8") }
        let isJSON = path.hasSuffix(".json") || data.first { !isSpace($0) } == UInt8(ascii: "{")
        let values = isJSON ? try json(data, path) : data.allSatisfy(isSpace) ? [:] : try yaml(data, path)
        if let key = values.keys.sorted().first(where: { OptionKind.of[$0] == nil }) {
            throw .usage(
                "'\(key)' in \(path) is not an option; keys are the names of options, such as data, shards, native, "
                    + "resp, durability, memory")
        }
        var texts: [String: String] = [:]
        for (key, value) in values.sorted(by: { $0.key < $1.key }) {
            texts[key] = try text(value, OptionKind.of[key] ?? .text, "\(key) in \(path)")
        }
        return texts
    }

    private static func isSpace(_ byte: UInt8) -> Bool { " \t\r\n".utf8.contains(byte) }

    /// The value of a key, where it is of the kind that its option takes.
    private static func text(_ value: Value, _ kind: OptionKind, _ origin: String) throws(Failure) -> String {
        switch value {
        case .text(let text) where text.isEmpty || kind.takes(text): return text
        case .number(let text) where kind.isNumber && kind.takes(text): return text
        case .boolean(let text) where kind.isBoolean: return text
        case .null: throw .usage("\(origin) is null: \(kind.advice), or leave the key out")
        case .several: throw .usage("\(origin) must be one value, not a list or an object")
        case .text(let text), .number(let text), .boolean(let text):
            if kind == .password { throw .usage("\(origin): \(kind.advice)") }
            throw Settings.Setting(text: text, origin: origin, layer: 2).wrong(kind.advice)
        }
    }

    private static func json(_ data: [UInt8], _ path: String) throws(Failure) -> [String: Value] {
        let isObject: Bool
        do {
            isObject = try JSONSerialization.jsonObject(with: Data(data), options: .fragmentsAllowed) is [String: Any]
        } catch {
            throw .usage("--config '\(path)' is not valid JSON: \(reason(error))")
        }
        guard isObject else { throw .usage("--config '\(path)' is not valid JSON: it must be an object") }
        if let key = JSONKeys.firstTwice(data) {
            throw .usage("'\(key)' in \(path) is given twice; keep one of them")
        }
        var values: [String: Value] = [:]
        for (key, written) in JSONKeys.members(data) {
            let plain = String(decoding: written, as: UTF8.self)
            values[key] =
                switch written.first {
                case UInt8(ascii: "\""): .text(JSONKeys.text(written))
                case UInt8(ascii: "t"), UInt8(ascii: "f"): .boolean(plain)
                case UInt8(ascii: "n"): .null
                case UInt8(ascii: "{"), UInt8(ascii: "["): .several
                default: .number(plain)
                }
        }
        return values
    }

    /// What YAML reads as null where it stands without quotes. Our parser does not tell whether it does: as a password it is
    /// refused either way, better than one that is none.
    private static let nulls: Set<String> = ["~", "null", "Null", "NULL"]

    private static func yaml(_ data: [UInt8], _ path: String) throws(Failure) -> [String: Value] {
        // The specifier is asked about each key of the file.
        let keys = Mutex<[String]>([])
        let bytes = Data(data)
        let snapshot: YAMLSnapshot
        do {
            snapshot = try YAMLSnapshot(
                data: bytes.bytes, providerName: path,
                parsingOptions: .init(
                    secretsSpecifier: .dynamic { key, _ in
                        keys.withLock { $0.append(key) }
                        return OptionKind.of[key] == .password
                    }))
        } catch {
            throw .usage("--config '\(path)' is not valid YAML: \(reason(error))")
        }
        let told = keys.withLock { $0 }
        var values: [String: Value] = [:]
        // Of an empty list or map nothing is told.
        for key in YAMLKeys.top(String(decoding: data, as: UTF8.self))
        where !told.contains(where: { $0 == key || $0.hasPrefix(key + ".") }) {
            values[key] = .several
        }
        for key in told {
            values[key] = .several
            do {
                let found = try snapshot.value(forKey: AbsoluteConfigKey([key]), type: .string)
                if case .string(let text) = found.value?.content {
                    values[key] = nulls.contains(text) ? .null : .text(text)
                }
            } catch {
                continue  // It is no scalar.
            }
        }
        return values
    }

    /// An error of Foundation or Yams in one line, without those of the file's that could show the password.
    private static func reason(_ error: any Error) -> String {
        let nsError = error as NSError
        let text = (nsError.userInfo["NSDebugDescription"] as? String) ?? "\(error)"
        return text.split(separator: "\n").filter { !$0.contains("password") }.map { $0.trimmingSpaces() }
            .joined(separator: " ")
    }
}
