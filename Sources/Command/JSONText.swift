// Builds a JSON object in a stated order of keys.

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
