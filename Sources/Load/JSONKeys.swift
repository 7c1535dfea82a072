// What JSON parsers hide: a key that stands twice in one object, of which they keep one; how a value is written, as `1e3` and
// 1000 are one number to them, and `true` and 1 to some. Files that people write only, so clarity goes before speed.

internal import FoundationEssentials

public enum JSONKeys {
    /// Where a walk through the text is.
    private enum Place {
        /// - Parameter last: The key whose value comes next, or was read.
        case object(keys: Set<String>, last: String, wantsKey: Bool)
        case array(index: Int)
    }

    /// False for UTF-16 too, which parsers of JSON take as well: the walk below would find nothing in it.
    public static func isUTF8(_ text: [UInt8]) -> Bool {
        !text.contains(0) && String(validating: text, as: UTF8.self) != nil
    }

    /// The first key that an object has twice, as a path such as `phases[0].rate`; nil: none has.
    /// - Parameter json: Valid JSON in UTF-8: a parser has taken it.
    /// - Complexity: O(bytes).
    public static func firstTwice(_ json: [UInt8]) -> String? {
        var places: [Place] = []
        var i = 0
        while i < json.count {
            switch json[i] {
            case UInt8(ascii: "{"): places.append(.object(keys: [], last: "", wantsKey: true))
            case UInt8(ascii: "["): places.append(.array(index: 0))
            case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = places.popLast()
            case UInt8(ascii: ","):
                switch places.popLast() {
                case .object(let keys, let last, _): places.append(.object(keys: keys, last: last, wantsKey: true))
                case .array(let index): places.append(.array(index: index + 1))
                case nil: break
                }
            case UInt8(ascii: "\""):
                let end = endOfString(json, from: i)
                if case .object(var keys, _, true) = places.last {
                    let key = text(json[i..<end])
                    let isNew = keys.insert(key).inserted
                    places[places.count - 1] = .object(keys: keys, last: key, wantsKey: false)
                    if !isNew { return path(places) }
                }
                i = end - 1
            default: break
            }
            i += 1
        }
        return nil
    }

    /// The members of the object that the text is, in their order: each key, and its value as it is written.
    /// - Parameter json: Valid JSON in UTF-8.
    /// - Complexity: O(bytes).
    public static func members(_ json: [UInt8]) -> [(key: String, value: ArraySlice<UInt8>)] {
        var members: [(key: String, value: ArraySlice<UInt8>)] = []
        var key: String?
        var begin = 0
        var depth = 0
        var i = 0
        while i < json.count {
            switch json[i] {
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: ":") where depth == 1: begin = i + 1
            case UInt8(ascii: "\""):
                let end = endOfString(json, from: i)
                if depth == 1 && key == nil { key = text(json[i..<end]) }
                i = end - 1
            default: break
            }
            let isEnd = depth == 0 || depth == 1 && json[i] == UInt8(ascii: ",")
            if let name = key, isEnd {
                members.append((name, trimmed(json[begin..<i])))
                key = nil
            }
            i += 1
        }
        return members
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let isSpace = { (byte: UInt8) in byte == 32 || (9...13).contains(byte) }
        guard let last = text.lastIndex(where: { !isSpace($0) }) else { return [] }
        return text[...last].drop(while: isSpace)
    }

    /// Behind the closing quote of the string that begins here.
    private static func endOfString(_ json: [UInt8], from begin: Int) -> Int {
        var i = begin + 1
        while i < json.count && json[i] != UInt8(ascii: "\"") { i += json[i] == UInt8(ascii: "\\") ? 2 : 1 }
        return min(i + 1, json.count)
    }

    /// A string without its quotes; `"\u0061"` is `a`.
    public static func text(_ quoted: ArraySlice<UInt8>) -> String {
        if quoted.contains(UInt8(ascii: "\\")) {
            do { return try JSONDecoder().decode(String.self, from: Data(quoted)) } catch {
                // Not JSON after all: the bytes tell keys apart as well.
            }
        }
        return String(decoding: quoted.dropFirst().dropLast(), as: UTF8.self)
    }

    private static func path(_ places: [Place]) -> String {
        var path = ""
        for place in places {
            switch place {
            case .object(_, let last, _): path += (path.isEmpty ? "" : ".") + last
            case .array(let index): path += "[\(index)]"
            }
        }
        return path
    }
}
