// The keys at the top of a YAML file, as they are written. Our parser gives values only, and so says nothing of a key whose
// value is an empty list or map.

enum YAMLKeys {
    /// Of a file that the parser has accepted, in order: lines as far left as the first one. Whatever else belongs to a value
    /// stands further right, but for the entries of a list.
    static func top(_ text: String) -> [String] {
        var keys: [String] = []
        var margin: Int?
        for line in text.split(whereSeparator: \.isNewline) {
            let content = line.drop { $0 == " " }
            let isMark = ["#", "%", "---", "..."].contains { content.hasPrefix($0) }
            if content.isEmpty || isMark { continue }
            let indent = line.count - content.count
            if margin == nil { margin = indent }
            guard indent == margin, let key = key(content) else { continue }
            keys.append(key)
        }
        return keys
    }

    private static func key(_ line: Substring) -> String? {
        if let quote = line.first, quote == "\"" || quote == "'" {
            let inner = line.dropFirst()
            return inner.firstIndex(of: quote).map { String(inner[..<$0]) }
        }
        if line.hasPrefix("- ") || line == "-" || line.hasPrefix("? ") { return nil }
        var end = line.firstIndex(of: ":")
        while let colon = end {
            let after = line[line.index(after: colon)...]
            if after.isEmpty || after.first == " " || after.first == "\t" {
                return line[..<colon].trimmingSpaces()
            }
            end = after.firstIndex(of: ":")
        }
        return nil
    }
}
