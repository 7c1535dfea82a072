// Builds a JSON object in a stated order of keys, and writes reports.

internal import Glibc

struct JSONText {
    private var members: [String] = []

    mutating func add(_ key: String, _ text: String) { add(key, raw: JSONText.quote(text)) }
    /// `raw` is JSON already.
    mutating func add(_ key: String, raw: String) { members.append("\(JSONText.quote(key)):\(raw)") }
    var object: String { "{\(members.joined(separator: ","))}" }

    static func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case let control where control.value < 32:
                let hex = String(control.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

/// Writes a report with a final line break; `-` is standard output.
func writeReport(_ text: String, to path: String) throws(Failure) {
    if path == "-" {
        print(text)
        return
    }
    func failure() -> Failure {
        .run("--json '\(path)' cannot be written (\(unsafe String(cString: strerror(errno)))); choose another file")
    }
    // SAFETY: texts live for the calls, and the stream is closed once; nothing of it is used after that.
    guard let file = unsafe fopen(path, "w") else { throw failure() }
    let written = unsafe fputs(text + "\n", file)
    guard unsafe fclose(file) == 0, written >= 0 else { throw failure() }
}
