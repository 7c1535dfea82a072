// Goal: commands come out of a byte stream the same however it is cut, and nothing that a stranger sends does more than
// close his connection. Method: every split point, a table of hostile inputs, seeded random bytes and mutations.

import SuanpanWire
import Testing

private let conversation: [UInt8] =
    array("TRANSFER 1 2 3 4 5 6") + array(["ECHO", "a\r\nb"]) + Array("PING\r\n".utf8) + array(["", "x"])
    + Array("echo \"a b\\x41\\n\" 'it\\'s'\n".utf8) + Array("*0\r\n\r\n*-1\r\n".utf8) + array("ACCOUNT.GET 1 2 3")
private let conversationWords: [[String]] = [
    ["TRANSFER", "1", "2", "3", "4", "5", "6"], ["ECHO", "a\r\nb"], ["PING"], ["", "x"], ["echo", "a bA\n", "it's"],
    [], [], [], ["ACCOUNT.GET", "1", "2", "3"],
]

@Test func everySplitPointGivesTheSameCommands() {
    let whole = parse(conversation)
    #expect(whole.commands == conversationWords)
    #expect(whole.error == nil && whole.left == 0)
    for first in 0...conversation.count {
        #expect(parse(conversation, cuts: [first]) == whole, "cut at \(first)")
        for second in first...conversation.count where second - first < 24 {
            #expect(parse(conversation, cuts: [first, second]) == whole, "cut at \(first) and \(second)")
        }
    }
    #expect(parse(conversation, cuts: Array(0..<conversation.count)) == whole, "byte by byte")
}

@Test func largestCommandsArriveByteByByteInLinearTime() {
    // 1024 arguments, one byte at a time: a parser that began anew each time would take minutes here.
    let words = (0..<1024).map { "\($0)" }
    let input = array(words)
    #expect(parse(input, cuts: Array(0..<input.count)).commands == [words])
    #expect(parse(array(words + ["one more"])).error == .tooManyArguments)
}

@Test(arguments: [
    ("*x\r\n", RESPProtocolError.invalidMultibulkLength), ("*\r\n", .invalidMultibulkLength),
    ("*--1\r\n", .invalidMultibulkLength), ("*+1\r\n", .invalidMultibulkLength), ("* 1\r\n", .invalidMultibulkLength),
    ("*1\rx", .invalidMultibulkLength), ("*01\r\n", .invalidMultibulkLength),
    ("*99999999999999999999\r\n", .invalidMultibulkLength), ("*4294967297\r\n", .tooManyArguments),
    ("*1025\r\n", .tooManyArguments), ("*2147483648\r\n", .tooManyArguments),
    ("*1\r\n:1\r\n", .expectedBulk(got: 0x3A)), ("*1\r\nPING\r\n", .expectedBulk(got: 0x50)),
    ("*1\r\n\u{0}", .expectedBulk(got: 0)), ("*1\r\n$-1\r\n", .invalidBulkLength), ("*1\r\n$x\r\n", .invalidBulkLength),
    ("*1\r\n$65537\r\n", .invalidBulkLength), ("*1\r\n$99999999999\r\n", .invalidBulkLength),
    ("*1\r\n$9223372036854775807\r\n", .invalidBulkLength), ("*1\r\n$4\r\nPINGxx", .invalidBulkEnd),
    ("*1\r\n$4\r\nPING\n\r", .invalidBulkEnd), ("\"abc\r\n", .unbalancedQuotes), ("'abc\n", .unbalancedQuotes),
    ("\"abc\"d\r\n", .unbalancedQuotes), ("'abc'd\r\n", .unbalancedQuotes), ("\"abc\\\"\r\n", .unbalancedQuotes),
])
func hostileInputIsNamed(input: String, error: RESPProtocolError) {
    let bytes = Array(input.utf8)
    #expect(parse(bytes).error == error)
    #expect(parse(bytes, cuts: Array(0..<bytes.count)).error == error, "byte by byte")
}

@Test func whatNeverEndsIsCutOff() {
    #expect(parse(Array(repeating: 0x61, count: RESPParser.inlineBytesMax + 1)).error == .tooBigInline)
    #expect(parse(Array(repeating: 0x61, count: RESPParser.inlineBytesMax)).error == nil)
    let words = Array(repeating: String(repeating: "a", count: 65_000), count: 17)
    #expect(parse(array(words)).error == .tooBigCommand)
    #expect(parse(array(Array(words.dropLast()))).commands.count == 1)
    #expect(parse(Array(repeating: 0x20, count: 5000) + [0x0A]).commands == [[]])
    let manyWords = Array(String(repeating: "a ", count: 1025).utf8) + [0x0A]
    #expect(parse(manyWords).error == .tooManyArguments)
}

@Test func strangersGetNarrowerLimits() {
    #expect(parse(array("AUTH secret"), authenticated: false).commands == [["AUTH", "secret"]])
    #expect(parse(Array("*11\r\n".utf8), authenticated: false).error == .unauthenticatedMultibulkLength)
    #expect(parse(Array("*1\r\n$16385\r\n".utf8), authenticated: false).error == .unauthenticatedBulkLength)
}

@Test func needMoreSaysHowMuch() {
    var parser = RESPParser()
    var arguments = RESPArguments()
    let input = Array("*1\r\n$100\r\nabc".utf8)
    let parsed = parser.parse(input.span, into: &arguments)
    #expect(parsed == .needMore(atLeast: 10 + 100 + 2))
    #expect(!parser.isIdle)
}

/// Replay one with `SUANPAN_SEED=n swift test --filter randomBytes`.
@Test func randomBytesNeverTrapAndCutsNeverMatter() {
    let alphabet = Array("*$0123456789-\r\n\"'\\x aPINGTRANSFER".utf8)
    for seed in UInt64(1)...3000 {
        var random = SeededGenerator(seed: seed)
        var input: [UInt8]
        if seed % 2 == 0 {
            input = conversation
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                input[Int.random(in: 0..<input.count, using: &random)] = alphabet.randomElement(using: &random)!
            }
        } else {
            input = (0..<Int.random(in: 1...80, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
        }
        var cuts: [Int] = []
        for i in 0..<input.count where UInt8.random(in: 0...7, using: &random) == 0 { cuts.append(i) }
        #expect(parse(input, cuts: cuts) == parse(input), "seed \(seed)")
        _ = decode(input)
    }
}

/// Goal: other protocols are known by their first bytes, and our own commands are never taken for them. Method: lines.
@Test(arguments: [
    "POST / HTTP/1.1", "post /", "GET / HTTP/1.0", "  PUT\t/x y  HTTP/1.1 ", "BREW /pot HTTP/9", "Host: x", "a:",
    "GET /", "put /x y", "GET http://x/", "HEAD /", "DELETE /x", "GET  HTTP/1.1", "GET / HTTP/1.1 x",
    "OPTIONS * RTSP/1.0",
    "INVITE sip:x SIP/2.0", "REQMOD icap://x ICAP/1.0", "HTTP/1.1 200 OK",
])
func linesOfHTTPEndTheStream(line: String) {
    #expect(parse(Array((line + "\r\nPING\r\n").utf8)).error == .foreign(.http))
}

@Test(arguments: [
    "GET x", "GET", "PUT", "PUT 1 /x", "GETS /", "ECHO /", "CLIENT SETNAME a/1.0", "ECHO HTTP/1.1",
    "ECHO 'GET / HTTP/1.1'", "PING", "ACCOUNT.GET 1", ":", "TRANSFER 1 2 3 4 5 6",
    "POSTS / x",
    "ECHO a HTTP/", "ECHO a HTTP/x",
])
func otherLinesAreCommands(line: String) { #expect(parse(Array((line + "\r\n").utf8)).error == nil) }

/// As Redis: the words end the stream however they are framed.
@Test(arguments: ["*1\r\n$4\r\nPost\r\n", "*2\r\n$5\r\nhost:\r\n$1\r\nx\r\n"])
func wordsOfHTTPEndTheStreamAsArraysToo(input: String) {
    #expect(parse(Array((input + "PING\r\n").utf8)).error == .foreign(.http))
}

@Test func otherProtocolsAreKnownByTheirFirstBytes() {
    #expect(parse([0x16, 3, 1, 0, 0x0A]).error == .foreign(.tls))
    #expect(parse(Array("SPN1".utf8)).error == .foreign(.native))
    func atNative(_ text: String) -> ForeignProtocol? { ForeignProtocol.beginning(ofFrame: Array(text.utf8).span) }
    #expect(atNative("GET /") == .http && atNative("*1\r\n$4") == .resp && atNative("\u{16}\u{3}\u{1}\u{0}") == .tls)
    #expect(atNative("SPN2") == nil && atNative("GE") == nil)
}
