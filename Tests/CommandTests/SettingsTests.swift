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

    /// Each kind of option, given each kind of value that is not its own.
    @Test func valuesOfTheWrongTypeAreRefusedByName() throws {
        func check(_ file: String, _ text: String, _ key: String, _ says: String) throws {
            try withFile(file, text) { path in
                #expect(refusal { try configuration(file: path) } == "\(key) in \(path)\(says)", "\(text)")
            }
        }
        let whole = "give a whole number from 1 to 3600"
        for value in ["true", "1.5", "2.0", "1e1", "-1", "99999999999999999999"] {
            try check("c.json", #"{"timeout": \#(value)}"#, "timeout", " '\(value)': \(whole)")
        }
        let size = "give a size such as 512MiB, 4GiB or a number of bytes"
        for value in ["true", "100000000.5", "1e9", "-1"] {
            try check("c.json", #"{"memory": \#(value)}"#, "memory", " '\(value)': \(size)")
        }
        for value in ["0", "1", "2.5"] {
            try check("c.json", #"{"pin": \#(value)}"#, "pin", " '\(value)': give on or off")
        }
        for key in ["data", "native", "durability", "clock", "password-file", "json"] {
            for value in ["5", "true", "0.10"] {
                try check("c.json", #"{"\#(key)": \#(value)}"#, key, " '\(value)': give a text, in quotes")
            }
        }
        // Also of what another command takes.
        try check("c.json", #"{"rate": true}"#, "rate", " 'true': give a number above 0, at most 1000000000")
        try check("c.json", #"{"voids": 101}"#, "voids", " '101': give a number from 0 to 100")
        try check("c.yaml", "accounts: yes\n", "accounts", " 'yes': give a whole number from 2 to 100000000")
        try check("c.yaml", "seed: -1\n", "seed", " '-1': give a whole number of at least 0")
        for key in ["shards", "memory", "pin", "data", "rate", "seed", "password"] {
            for value in ["[]", "[1]", "{}", #"{"a": 1}"#] {
                try check(
                    "c.json", #"{"\#(key)": \#(value)}"#, key, " must be one value, not a list or an object")
            }
            for value in ["[]", "[1]", "{}", "{a: 1}", "{ }  # none", "&x []", "{\n}", "\n- 1"] {
                try withFile("c.yaml", "---\n# all\nbatch: 2\n\"\(key)\": \(value)\n") { path in
                    let message = refusal { try configuration(file: path) }
                    let isNone = message == "\(key) in \(path) must be one value, not a list or an object"
                    #expect(isNone || message.hasPrefix("'\(key).a' in \(path) is not an option"), "\(value)")
                }
            }
            try withFile("c.json", #"{"\#(key)": null}"#) { path in
                let message = refusal { try configuration(file: path) }
                #expect(message.hasPrefix("\(key) in \(path) is null: give ") && message.hasSuffix("leave the key out"))
            }
            for null in ["~", "null"] {
                try withFile("c.yaml", "\(key): \(null)\n") { path in
                    #expect(refusal { try configuration(file: path) }.hasPrefix("\(key) in \(path) is null: give "))
                }
            }
        }
        try withFile("c.json", #"{"pin": true, "shards": 2, "memory": 100000000, "rate": 1e3, "data": "a\u0062"}"#) {
            let found = try configuration(file: $0)
            #expect(found.pinThreads && found.shards == 2 && found.memoryBytes == 100_000_000)
            #expect(found.dataDirectory == "ab")
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

    /// Not a byte of it is another than the one that was written.
    @Test func passwordsAreTakenAsTheyAreWritten() throws {
        for password in [" a ", "a\t", "0.10", "1e3", "0123", "true", "\u{3000}a", "a b", "-1", "e\u{301}"] {
            let utf8 = Array(password.utf8)
            func expect(_ found: EngineConfiguration, _ where: String) {
                #expect(found.password.map { Array($0.utf8) } == utf8, "\(`where`) '\(password)'")
            }
            expect(try configuration([:], ["SUANPAN_PASSWORD": password]), "environment")
            let json = String(decoding: try JSONEncoder().encode(["password": password]), as: UTF8.self)
            try withFile("c.json", json) { expect(try configuration(file: $0), "JSON") }
            if !password.contains("\t") {
                try withFile("c.yaml", "password: '\(password)'\n") { expect(try configuration(file: $0), "YAML") }
            }
            for end in ["", "\n", "\r\n", "\nsecond line"] {
                try withFile("password", password + end) { path in
                    expect(try configuration(["password-file": path]), "file")
                }
            }
        }
        try withFile("c.yaml", "password: 0123\n") { path in
            let found = try configuration(file: path)
            #expect(found.password == "0123")
        }
        try withFile("password", "a\rb\n") { path in
            let found = try configuration(["password-file": path])
            #expect(found.password == "a\rb")
        }
        let long = String(repeating: "x", count: 4096)
        try withFile("password", long + "\n") { path in
            let found = try configuration(["password-file": path])
            #expect(found.password == long)
        }
    }

    @Test func aPasswordThatIsNoneIsRefusedNotLeftOut() throws {
        for value in ["123", "0.10", "1e3", "true", "false"] {
            try withFile("c.json", #"{"password": \#(value)}"#) { path in
                #expect(refusal { try configuration(file: path) } == "password in \(path): give a text, in quotes")
            }
        }
        for blank in [" ", "  ", "\t", "\u{A0}"] {
            #expect(
                refusal { try configuration([:], ["SUANPAN_PASSWORD": blank]) }
                    == "SUANPAN_PASSWORD '\(blank)': is blank; give a value or leave the option out")
            let json = String(decoding: try JSONEncoder().encode(["password": blank]), as: UTF8.self)
            try withFile("c.json", json) { path in
                #expect(
                    refusal { try configuration(file: path) }.hasPrefix("password in \(path) '\(blank)': is blank;"))
            }
            try withFile("password", blank + "\n") { path in
                #expect(
                    refusal { try configuration(["password-file": path]) }.contains(
                        "its first line must be the password"))
            }
        }
        for (file, text) in [("c.json", #"{"password": ""}"#), ("c.yaml", "password: ''\n")] {
            try withFile(file, text) { path in
                let found = try configuration(file: path)
                #expect(found.password == nil)
            }
        }
    }

    /// Paths too: another directory would be another ledger.
    @Test func textsAreTakenAsTheyAreWritten() throws {
        #expect(try configuration([:], ["SUANPAN_DATA": " ./a "]).dataDirectory == " ./a ")
        #expect(try configuration(["data": "./a "]).dataDirectory == "./a ")
        #expect(try configuration([:], ["SUANPAN_SHARDS": " 2 "]).shards == 2)
        #expect(
            refusal { try configuration([:], ["SUANPAN_SHARDS": " "]) }
                == "SUANPAN_SHARDS ' ': is blank; give a value or leave the option out")
    }

    @Test func noMessagePrintsThePassword() throws {
        for text in ["password: 'hunter2\n", "password: [hunter2\n", "data: [\npassword: hunter2\n"] {
            try withFile("c.yaml", text) { path in
                let message = refusal { try configuration(file: path) }
                #expect(message.contains("is not valid YAML") && !message.contains("hunter2"), "\(message)")
            }
        }
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

    @Test func lowerLayersAreCheckedByName() throws {
        for (name, value, says) in [
            ("ACCOUNTS", "many", "give a whole number from 2 to 100000000"),
            ("BATCH", "9000", "give a whole number from 1 to 8190"), ("RATE", "-1", "give a number above 0"),
            ("SEED", "1.5", "give a whole number of at least 0"), ("ZIPF", "nan", "give a number from 0 to 5"),
        ] {
            let message = refusal { try Program.withDefaults(["load"], environment: ["SUANPAN_\(name)": value]) }
            #expect(message.hasPrefix("SUANPAN_\(name) '\(value)': \(says)"), "\(message)")
        }
        let found = try Program.withDefaults(["load"], environment: ["SUANPAN_SEED": " 5 ", "SUANPAN_JSON": "-"])
        #expect(found == ["load", "--seed", "5", "--json=-"])
    }

    @Test func negativeNumbersAreValues() throws {
        #expect(Program.joiningNegatives(["serve", "--shards", "-1", "-h"]) == ["serve", "--shards=-1", "-h"])
        #expect(
            Program.joiningNegatives(["load", "--rate", "-.5", "--json", "-"]) == ["load", "--rate=-.5", "--json", "-"])
        #expect(Program.joiningNegatives(["dump", "-1", "--nope", "-1"]) == ["dump", "-1", "--nope", "-1"])
        for (option, value, says) in [
            ("transfers", "-1", "give a whole number of at least 1"),
            ("seed", "-5", "give a whole number of at least 0"),
            ("accounts", "99999999999999999999", "give a whole number from 2 to 100000000"),
            ("chain", "two", "give a whole number from 1 to 64"), ("rate", "fast", "give a number above 0"),
        ] {
            for words in [["--\(option)", value], ["--\(option)=\(value)"]] {
                let message = refusal { try Program.withDefaults(["load"] + words, environment: [:]) }
                #expect(message.hasPrefix("--\(option) '\(value)': \(says)"), "\(message)")
            }
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
