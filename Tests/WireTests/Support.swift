// Helpers: text in, text out, and a seeded generator so that a failing seed can be run again.

import SuanpanCore
import SuanpanWire

struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        // SplitMix64 (Steele, Lea, Flood).
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// The command as an array of bulk strings.
func array(_ words: [String]) -> [UInt8] {
    var text = "*\(words.count)\r\n"
    for word in words { text += "$\(word.utf8.count)\r\n\(word)\r\n" }
    return Array(text.utf8)
}

func array(_ line: String) -> [UInt8] { array(line.split(separator: " ").map(String.init)) }

/// What a whole input gives: the words of each command, then how it ended.
struct ParsedStream: Equatable {
    var commands: [[String]] = []
    var error: RESPProtocolError?
    var left = 0
}

func text(_ bytes: Span<UInt8>) -> String {
    var all: [UInt8] = []
    for i in 0..<bytes.count { all.append(bytes[i]) }
    return String(decoding: all, as: UTF8.self)
}

/// Feeds `input` to one parser in the pieces that `cuts` (ascending positions) make of it.
func parse(_ input: [UInt8], cuts: [Int] = [], authenticated: Bool = true) -> ParsedStream {
    var result = ParsedStream()
    var parser = RESPParser()
    var arguments = RESPArguments()
    var start = 0
    for end in cuts + [input.count] {
        while true {
            let bytes = input.span.extracting(start..<end)
            switch parser.parse(bytes, into: &arguments, authenticated: authenticated) {
            case .needMore: break
            case .malformed(let error):
                result.error = error
                return result
            case .command(let consumed):
                var words: [String] = []
                for i in 0..<arguments.count {
                    words.append(arguments.withBytes(of: arguments[i], input: bytes) { text($0) })
                }
                result.commands.append(words)
                start += consumed
                continue
            }
            break
        }
    }
    result.left = input.count - start
    return result
}

/// The decoded command of one input, and what the encoder would answer where it is refused.
func decode(_ input: [UInt8]) -> (command: RESPCommand, reply: String) {
    var parser = RESPParser()
    var arguments = RESPArguments()
    guard case .command = parser.parse(input.span, into: &arguments) else { return (.nothing, "not a command") }
    let command = RESPCommand.decode(&arguments, input.span)
    guard case .refused(let error) = command else { return (command, "") }
    var out = OutputBuffer()
    RESPEncoder().error(error, of: arguments, input: input.span, into: &out)
    return (command, out.withBytes { text($0) })
}

func decode(_ line: String) -> RESPCommand { decode(array(line)).command }
func refusal(_ line: String) -> String { decode(array(line)).reply }

/// What `write` leaves in a buffer.
func written(_ version: RESPVersion = .two, _ write: (RESPEncoder, inout OutputBuffer) -> Void) -> String {
    var out = OutputBuffer()
    write(RESPEncoder(version: version), &out)
    return out.withBytes { text($0) }
}
