// Goal: an option's value comes from the right layer, and a wrong one is refused with a message that names the option,
// the value and what to do. Method: Settings and EngineConfiguration built from dictionaries and files, no engine.

import Foundation
import Suanpan
import Testing

@testable import SuanpanCommand

/// A file that lives as long as the test.
private func withFile<Result>(_ name: String, _ text: String, _ body: (String) throws -> Result) throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appending(path: "suanpan-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: directory) } }
    let path = directory.appending(path: name).path
    try text.write(toFile: path, atomically: false, encoding: .utf8)
    return try body(path)
}

private func configuration(
    _ arguments: [String: String?] = [:], _ environment: [String: String] = [:], file: String? = nil
) throws -> EngineConfiguration {
    try EngineConfiguration(Settings(arguments: arguments, configFile: file, environment: environment))
}

/// The message of the refusal, which must be one of usage.
private func refusal(_ body: () throws -> some Any) -> String {
    do {
        _ = try body()
        return "not refused"
    } catch let failure as Failure {
        return failure.kind == .usage ? failure.description : "not a refusal of usage: \(failure)"
    } catch {
        return "another error: \(error)"
    }
}

@Suite struct SettingsTests {
    @Test func defaultsAreThoseOfTheContract() throws {
        let found = try configuration()
        #expect(found.dataDirectory == "./data")
        #expect(found.native == Endpoint(host: "127.0.0.1", port: 7420))
        #expect(found.resp == Endpoint(host: "127.0.0.1", port: 7421))
        #expect(found.durability == .sync)
        #expect(found.shards == nil && found.memoryBytes == nil && found.password == nil)
        #expect(found.segmentBytes == 128 << 20 && found.connectionsMax == 16_384 && found.pinThreads)
    }

    @Test(arguments: ["suanpan.json", "suanpan.yaml"])
    func commandLineBeatsEnvironmentBeatsFileBeatsDefault(name: String) throws {
        let text =
            name.hasSuffix("json")
            ? #"{"shards": 3, "memory": "1GiB", "durability": "async", "pin": false, "resp": "off"}"#
            : "shards: 3\nmemory: 1GiB\ndurability: async\npin: false\nresp: off\n"
        try withFile(name, text) { path in
            let found = try configuration(
                ["shards": "5", "data": nil], ["SUANPAN_SHARDS": "4", "SUANPAN_MEMORY": "2GiB"], file: path)
            #expect(found.shards == 5)
            #expect(found.memoryBytes == 2 << 30)
            #expect(found.durability == .async)
            #expect(!found.pinThreads)
            #expect(found.resp == nil)
            #expect(found.dataDirectory == "./data")
        }
    }

    @Test func environmentNamesTheFileAndEmptyVariablesAreAbsent() throws {
        try withFile("c.yaml", "shards: 7\n") { path in
            let found = try configuration([:], ["SUANPAN_CONFIG": path, "SUANPAN_SHARDS": ""])
            #expect(found.shards == 7)
        }
        try withFile("empty.yaml", "\n") { path in
            let found = try configuration(file: path)
            #expect(found.shards == nil)
        }
    }

    @Test func wrongValuesNameOptionValueAndRemedy() {
        #expect(
            refusal { try configuration(["shards": "0"]) } == "--shards '0': give a whole number from 1 to 64")
        #expect(
            refusal { try configuration([:], ["SUANPAN_SHARDS": "two"]) }
                == "SUANPAN_SHARDS 'two': give a whole number from 1 to 64")
        #expect(
            refusal { try configuration(["durability": "none"]) } == "--durability 'none': give one of sync, async")
        #expect(
            refusal { try configuration(["memory": "lots"]) }
                == "--memory 'lots': give a size such as 512MiB, 4GiB or a number of bytes")
        #expect(refusal { try configuration(["memory": "1MiB"]) }.contains("is too small; give at least 64MiB"))
        for size in ["0", "63MiB", "1"] {
            #expect(refusal { try configuration(["memory": size]) }.contains("is too small; give at least 64MiB"))
        }
        #expect(refusal { try configuration(["memory": "4000TiB"]) }.contains("is too large; give at most 67108864MiB"))
        #expect(refusal { try configuration(["segment": "1500000"]) }.contains("give a multiple of 1MiB"))
        #expect(
            refusal { try configuration(["segment": "2GiB"]) } == "--segment '2GiB': is too large; give at most 1024MiB"
        )
        #expect(refusal { try configuration(["segment": "0"]) }.contains("is too small; give at least 1MiB"))
        #expect(refusal { try configuration(["timeout": "9999999999"]) }.contains("from 1 to 3600"))
        #expect(refusal { try configuration(["pin": "maybe"]) } == "--pin 'maybe': give on or off")
        #expect(refusal { try configuration(["data": ""]) }.contains("--data '': is empty"))
        #expect(refusal { try configuration(["native": "off", "resp": "off"]) }.contains("no way in"))
        #expect(
            refusal { try configuration(["native": "127.0.0.1:9", "resp": "127.0.0.1:9"]) }.contains(
                "a port of its own"))
    }

    @Test func badFilesAreRefusedByName() throws {
        #expect(
            refusal { try configuration(file: "/nowhere/c.json") }.contains(
                "'/nowhere/c.json' cannot be read (No such file"))
        try withFile("c.json", #"{"shards": 2,"#) { path in
            #expect(refusal { try configuration(file: path) }.contains("'\(path)' is not valid JSON: "))
        }
        try withFile("c.yaml", "shards: [1, 2") { path in
            #expect(refusal { try configuration(file: path) }.contains("'\(path)' is not valid YAML: "))
        }
        try withFile("c.yaml", "shard: 2\n") { path in
            #expect(refusal { try configuration(file: path) }.hasPrefix("'shard' in \(path) is not an option"))
        }
        try withFile("c.yaml", "load:\n  accounts: 2\n") { path in
            #expect(refusal { try configuration(file: path) }.hasPrefix("'load.accounts' in \(path) is not an option"))
        }
        try withFile("c.json", #"{"shards": [1, 2]}"#) { path in
            #expect(
                refusal { try configuration(file: path) }
                    == "shards in \(path) must be one value, not a list or an object")
        }
    }

    @Test func aKeyGivenTwiceIsRefusedByName() throws {
        for text in [
            #"{"shards": 1, "memory": "1GiB", "shards": 2}"#, #"{"shards": 1, "sh\u0061rds": 1}"#,
            "\u{FEFF}" + #"{"data": "a\"{", "shards": 1, "shards": 2}"#,
        ] {
            try withFile("c.json", text) { path in
                #expect(
                    refusal { try configuration(file: path) } == "'shards' in \(path) is given twice; keep one of them")
            }
        }
        try withFile("c.json", #"{"data": "shards", "shards": 2, "native": "off"}"#) { path in
            let found = try configuration(file: path)
            #expect(found.shards == 2)
        }
        // A parser would take UTF-16 for its own, and find both keys.
        try withFile("c.json", #"{"shards": 1, "shards": 2}"#.map { "\($0)\0" }.joined()) { path in
            #expect(refusal { try configuration(file: path) } == "--config '\(path)' is not UTF-8")
        }
        try withFile("c.yaml", "shards: 1\nmemory: 1GiB\nshards: 2\n") { path in
            let message = refusal { try configuration(file: path) }
            #expect(
                message.hasPrefix("--config '\(path)' is not valid YAML") && message.contains("shards"), "\(message)")
        }
    }

    @Test func beyondLoopbackNeedsAPassword() throws {
        for (option, address) in [("native", "0.0.0.0:7420"), ("resp", "[::]:7421"), ("resp", "192.0.2.1:7421")] {
            let message = refusal { try configuration([option: address]) }
            #expect(message.hasPrefix("--\(option) \(address) is beyond loopback and there is no password"))
            let found = try configuration([option: address], ["SUANPAN_PASSWORD": "secret"])
            #expect(found.password == "secret")
        }
        #expect(try configuration(["native": "[::1]:1", "resp": "127.8.9.1:0"]).password == nil)
        // An empty password is none.
        #expect(
            refusal { try configuration(["native": "0.0.0.0:1"], ["SUANPAN_PASSWORD": ""]) }.contains("no password"))
    }

    @Test func passwordComesFromTheUpperLayer() throws {
        try withFile("password", "from file\nignored\n") { path in
            #expect(try configuration(["password-file": path]).password == "from file")
            #expect(try configuration(["password-file": path], ["SUANPAN_PASSWORD": "env"]).password == "from file")
            #expect(
                refusal { try configuration([:], ["SUANPAN_PASSWORD": "a", "SUANPAN_PASSWORD_FILE": path]) }
                    == "SUANPAN_PASSWORD and SUANPAN_PASSWORD_FILE are both given; keep one of them")
            try withFile("c.yaml", "password-file: \(path)\n") { config in
                let found = try configuration([:], ["SUANPAN_PASSWORD": "env"], file: config)
                #expect(found.password == "env")
            }
        }
        try withFile("password", "\n") { path in
            #expect(
                refusal { try configuration(["password-file": path]) }.contains("its first line must be the password"))
        }
        #expect(refusal { try configuration(["password-file": "/nowhere"]) }.contains("cannot be read (No such file"))
    }

    @Test func noMessagePrintsThePassword() throws {
        try withFile("c.yaml", "password: hunter2\nshards: x\n") { path in
            #expect(!refusal { try configuration(file: path) }.contains("hunter2"))
        }
    }
}

@Suite struct LoadDefaultsTests {
    @Test func lowerLayersFillWhatTheCommandLineLeavesOut() throws {
        try withFile("c.yaml", "target: 127.0.0.1:1\nbatch: 5\nrate: 100.5\nshards: 2\n") { path in
            let found = try Program.withDefaults(
                ["load", "--config", path, "--batch=7"], environment: ["SUANPAN_RATE": "9", "SUANPAN_SHARDS": "1"])
            #expect(found == ["load", "--batch=7", "--target", "127.0.0.1:1", "--rate", "9"])
        }
        let other = try Program.withDefaults(["serve", "--config", "x"], environment: ["SUANPAN_RATE": "9"])
        #expect(other == ["serve", "--config", "x"])
    }

    @Test func durationAndTransfersHideEachOther() throws {
        let environment = ["SUANPAN_DURATION": "9"]
        let given = try Program.withDefaults(["load", "--transfers", "5"], environment: environment)
        #expect(given == ["load", "--transfers", "5"])
        try withFile("c.yaml", "transfers: 3\n") { path in
            let found = try Program.withDefaults(["load", "--config=\(path)"], environment: environment)
            #expect(found == ["load", "--duration", "9"])
        }
    }

    /// As for every option, the last counts.
    @Test func theLastOfTwoFilesCounts() throws {
        try withFile("c.yaml", "batch: 5\n") { path in
            let words = ["load", "--config", "/nowhere.yaml", "--config=\(path)"]
            let found = try Program.withDefaults(words, environment: [:])
            #expect(found == ["load", "--batch", "5"])
        }
    }

    @Test func configNeedsAFile() {
        #expect(
            refusal { try Program.withDefaults(["load", "--config"], environment: [:]) }.hasPrefix("--config needs"))
    }
}

@Suite struct SizeTests {
    @Test(arguments: [
        ("0", 0), ("4096", 4096), ("4GiB", 4 << 30), ("512MiB", 512 << 20), ("64KiB", 64 << 10), ("1TiB", 1 << 40),
        ("1GB", 1_000_000_000), ("2 MB", 2_000_000), ("1.5GiB", 3 << 29), ("8g", 8 << 30), ("7B", 7),
    ]) func reads(text: String, bytes: Int) {
        #expect(parseSize(text) == bytes)
    }

    @Test(arguments: [
        "", "GiB", "-1", "4XiB", "1e9", "0x10", "9999999999TiB", "99999999999999999999", "1..5GiB", "1.5",
    ])
    func refuses(text: String) {
        #expect(parseSize(text) == nil)
    }
}

@Suite struct EndpointTests {
    @Test(arguments: [
        ("127.0.0.1:7420", "127.0.0.1", 7420), ("[::1]:7420", "::1", 7420), ("localhost:0", "localhost", 0),
        ("bank-1.example.com:65535", "bank-1.example.com", 65535),
    ]) func reads(text: String, host: String, port: Int) throws {
        let endpoint = try parseEndpoint(text).get()
        #expect(endpoint == Endpoint(host: host, port: UInt16(port)))
        #expect("\(endpoint)" == text)
    }

    @Test(arguments: [
        "", "7420", ":7420", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "::1:7420",
        "[::1]", "[::1]7420", "[::1:7420", "[localhost]:1", "127.0.0:1", "127.evil.example:1", "a b:1", "host:7x",
    ]) func refuses(text: String) {
        switch parseEndpoint(text) {
        case .success(let endpoint): Issue.record("read as \(endpoint)")
        case .failure(let problem):
            #expect(problem.advice.hasSuffix("write HOST:PORT, such as 127.0.0.1:7420 or [::1]:7420"))
        }
    }
}
