// Goal: an engine refuses by itself what it cannot run with, whoever made its configuration, and makes no directory for it.
// Method: each field out of its bounds, and addresses that everybody can reach, written in all ways that mean them.

import Foundation
import SuanpanCore
import Testing

@testable import Suanpan

@Suite struct ConfigurationTests {
    /// The refusal of a configuration that is right but for `change`; empty: none.
    private func refusal(_ change: (inout EngineConfiguration) -> Void) throws -> String {
        let folder = try Folder()
        var configuration = EngineConfiguration(dataDirectory: folder.path + "/data", shards: 1)
        configuration.segmentBytes = 1 << 20
        configuration.memoryBytes = 64 << 20
        configuration.pinThreads = false
        change(&configuration)
        do throws(EngineError) {
            try Engine(configuration).closeBlocking()
            return ""
        } catch {
            #expect(!FileManager.default.fileExists(atPath: folder.path + "/data"), "made a directory: \(error)")
            if case .configuration(let what) = error { return what }
            return "another error: \(error)"
        }
    }

    @Test func eachValueIsCheckedAsItsOption() throws {
        #expect(try refusal { _ in } == "")
        for bytes in [0, -5, 1, (64 << 20) - 1] {
            let what = try refusal { $0.memoryBytes = bytes }
            #expect(what == "memoryBytes '\(bytes)': is too small; give at least 64MiB")
        }
        #expect(try refusal { $0.memoryBytes = .max }.contains("memoryBytes '\(Int.max)': is too large"))
        for shards in [0, -1, 65, .max] {
            #expect(try refusal { $0.shards = shards } == "shards '\(shards)': give a whole number from 1 to 64")
        }
        for bytes in [0, -(1 << 20), 1 << 19] {
            #expect(try refusal { $0.segmentBytes = bytes }.hasPrefix("segmentBytes '\(bytes)': is too small"))
        }
        #expect(try refusal { $0.segmentBytes = 2 << 30 }.hasPrefix("segmentBytes '2147483648': is too large"))
        #expect(try refusal { $0.segmentBytes = 1_500_000 }.contains("give a multiple of 1MiB"))
        for seconds in [0, -1, 3601, Int.max] {
            #expect(try refusal { $0.timeoutSeconds = seconds }.hasPrefix("timeoutSeconds '\(seconds)': give a whole"))
        }
        for count in [0, -1, 1_000_001, Int.max] {
            #expect(try refusal { $0.connectionsMax = count }.hasPrefix("connectionsMax '\(count)': give a whole"))
        }
        for path in ["", "a\0b"] {
            #expect(try refusal { $0.dataDirectory = path }.contains("the path of a directory"))
        }
        for password in ["", String(repeating: "x", count: 4097)] {
            #expect(try refusal { $0.password = password }.hasPrefix("password: must have 1 to 4096 bytes"))
        }
        let port = Endpoint(host: "127.0.0.1", port: 9)
        #expect(
            try refusal {
                $0.native = port
                $0.resp = port
            }.contains("a port of its own"))
        #expect(try refusal { $0.native = Endpoint(host: "", port: 0) }.contains("has no host"))
    }

    @Test(arguments: ["0.0.0.0", "::", "0", "*", "::ffff:0.0.0.0"])
    func beyondLoopbackNeedsAPassword(host: String) throws {
        let endpoint = Endpoint(host: host, port: 0)
        let what = "\(endpoint) is beyond loopback and there is no password: set one, or listen on 127.0.0.1"
        #expect(try refusal { $0.native = endpoint } == "native \(what)")
        #expect(try refusal { $0.resp = endpoint } == "resp \(what)")
        #expect(
            try refusal {
                $0.resp = endpoint
                $0.password = ""
            }.hasPrefix("password: "))
        // With a password what can be listened on is.
        guard ["0.0.0.0", "0"].contains(host) else { return }
        #expect(
            try refusal {
                $0.native = endpoint
                $0.password = "secret"
            } == "")
    }

    /// It is no wrong configuration: a name server that cannot be reached now may be later.
    @Test(arguments: [nil, "secret"]) func aNameThatLeadsNowhereIsToldSo(password: String?) throws {
        let endpoint = Endpoint(host: "no-such-host.invalid", port: 1)
        for door in [\EngineConfiguration.native, \.resp] as [WritableKeyPath<EngineConfiguration, Endpoint?>] {
            let what = try refusal {
                $0[keyPath: door] = endpoint
                $0.password = password
            }
            #expect(what.hasPrefix("another error: cannot listen on \(endpoint): "), "\(what)")
            #expect(what.hasSuffix("; check the name, or give an address such as 127.0.0.1"), "\(what)")
        }
    }

    /// What a name led to when the configuration was checked may not be where the socket is.
    @Test func whatCountsIsWhereItListens() {
        var configuration = EngineConfiguration(dataDirectory: "none")
        configuration.resp = Endpoint(host: "0.0.0.0", port: 0)
        func refusal() -> String {
            do throws(EngineError) {
                try Listeners(configuration).close()
                return ""
            } catch { return "\(error)" }
        }
        #expect(refusal().hasPrefix("resp 0.0.0.0:0 is beyond loopback and there is no password"))
        configuration.password = "secret"
        #expect(refusal() == "")
    }

    @Test(arguments: ["127.0.0.1", "127.8.9.1", "127.1", "localhost"]) func loopbackNeedsNone(host: String) throws {
        #expect(try refusal { $0.native = Endpoint(host: host, port: 0) } == "")
    }
}

/// Goal: an embedder can end a start that is under way, and the directory is free and whole after it. Method: a cancelled
/// start of a new directory and of one that holds something, then a start that goes through.
@Test func aStartCanBeCancelled() async throws {
    let folder = try Folder()
    var configuration = EngineConfiguration(dataDirectory: folder.path + "/data", shards: 2)
    configuration.segmentBytes = 1 << 20
    configuration.memoryBytes = 64 << 20
    configuration.pinThreads = false
    func cancelledStart() {
        let progress = StartProgress()
        progress.cancel()
        do throws(EngineError) {
            try Engine(configuration, progress: progress).closeBlocking()
            Issue.record("it started")
        } catch {
            if case .cancelled = error {} else { Issue.record("\(error)") }
            #expect(progress.share < 1)
        }
    }
    cancelledStart()
    let progress = StartProgress()
    let engine = try Engine(configuration, progress: progress)
    #expect(progress.share == 1)
    let created = try await engine.createAccounts([Account(id: AccountID(7), ledger: 1, code: 1)])
    #expect(created[0].isCreated)
    progress.cancel()
    try await engine.close()
    cancelledStart()
    let again = try Engine(configuration)
    #expect(try await again.accounts([AccountID(7)])[0] != nil)
    try await again.close()
}
