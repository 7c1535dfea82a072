// Goal: a load sends exactly what it says, counts what it is told, and ends in every case. Method: whole runs against a
// server in this process that checks each frame and misbehaves on demand.

import Dispatch
import Foundation
import Glibc
import SuanpanCore
import SuanpanLoad
import Synchronization
import Testing

/// Runs a load against a fake server and hands both sides' view to `check`.
func withRun(
    _ behaviour: FakeServer.Behaviour = .init(), resp: Bool = false, _ change: (inout LoadOptions) -> Void,
    check: (LoadReport, FakeServer.Seen) throws -> Void
) throws {
    let server = FakeServer(behaviour, resp: resp)
    defer { server.stop() }
    var options = LoadOptions(target: server.target)
    options.accounts = 200
    options.seed = 1
    options.wire = resp ? .resp : .native
    change(&options)
    let report = try Load.run(options, live: false)
    let seen = server.seen.withLock { $0 }
    #expect(seen.problems.isEmpty, "\(seen.problems.prefix(3))")
    try check(report, seen)
}

@Suite(.serialized) struct LoadRunTests {
    @Test func closedLoopSendsExactlyTheTransfersAsked() throws {
        try withRun {
            $0.transfers = 20_001
        } check: { report, seen in
            #expect(report.failure == nil)
            #expect(report.accepted == 20_001 && seen.transfers == 20_001)
            #expect(seen.ids.count == 20_001 + 200, "ids are unique, the fundings' too")
            #expect(report.funding.transfers == 200 && report.funding.amount == "10000000")
            #expect(seen.fundings == 200 && seen.accounts.count == 201)
            #expect(report.refused.isEmpty && report.busy == 0 && report.errors == 0)
            #expect(report.seconds.reduce(0) { $0 + $1.accepted } == 20_001)
            #expect(report.batch == 8190 && report.shards == 2 && report.durability == "sync")
            #expect(report.server.bytesPerTransfer == 144)
        }
    }

    /// The fields of the contract, read back by another parser than the writer's.
    @Test func jsonHasTheFieldsOfTheContract() throws {
        try withRun {
            $0.transfers = 10_000
        } check: { report, _ in
            let json = try JSONSerialization.jsonObject(with: Data(report.json()))
            let fields = try #require(json as? [String: Any])
            let names = [
                "tps", "offered_tps", "accepted", "refused", "busy", "errors", "duration_s", "latency_ms", "batch",
                "connections", "in_flight", "accounts", "durability", "shards", "seed", "machine", "version", "server",
                "seconds",
            ]
            for name in names { #expect(fields[name] != nil, "\(name)") }
            func keys(_ name: String) -> Set<String> { Set((fields[name] as? [String: Any] ?? [:]).keys) }
            #expect(keys("latency_ms") == ["p50", "p90", "p99", "p999", "max"])
            #expect(keys("machine") == ["cpu", "cores", "kernel", "filesystem", "sync_ms"])
            #expect(keys("server") == ["cpu_s", "bytes_per_transfer"])
            let first = try #require((fields["seconds"] as? [[String: Any]])?.first)
            #expect(Set(first.keys) == ["t", "offered", "accepted", "busy", "p50", "p99"])
        }
    }

    @Test func severalThreadsAndConnectionsShareTheWork() throws {
        try withRun(.init(password: "secret", reversed: true)) {
            $0.transfers = 5_003
            $0.connections = 7
            $0.threads = 2
            $0.batch = 3
            $0.inFlight = 5
            $0.password = "secret"
        } check: { report, seen in
            #expect(report.failure == nil && report.accepted == 5_003 && seen.transfers == 5_003)
            #expect(seen.connections == 8, "seven, and the setup's")
        }
    }

    @Test func aWrongPasswordIsSaid() {
        let server = FakeServer(.init(password: "secret"))
        defer { server.stop() }
        var options = LoadOptions(target: server.target)
        options.password = "guess"
        #expect(
            throws: LoadError.server(
                target: server.target,
                problem: "answered authenticate with not_authenticated; set SUANPAN_PASSWORD to the server's password")
        ) {
            try Load.run(options, live: false)
        }
    }

    @Test func repliesMayComeInPiecesAndAsFullResults() throws {
        for pieces in [1, 7, 65, 1000] {
            try withRun(.init(fullResults: true, pieces: pieces)) {
                $0.transfers = 600
                $0.batch = 50
                $0.accounts = 20
            } check: { report, seen in
                #expect(report.failure == nil && report.accepted == 600 && seen.transfers == 600)
            }
        }
    }

    @Test func accountsOfAnEarlierRunAreFoundAgain() throws {
        let server = FakeServer()
        defer { server.stop() }
        var options = LoadOptions(target: server.target)
        options.accounts = 100
        options.transfers = 500
        for _ in 0..<2 { #expect(try Load.run(options, live: false).accepted == 500) }
        let seen = server.seen.withLock { $0 }
        #expect(seen.accountRequestsThatExisted == 101 && seen.accounts.count == 101)
        #expect(seen.ids.count == 2 * (500 + 100), "the second run's ids are its own")
        #expect(seen.problems.isEmpty)
    }

    @Test func chainsEndWithTheirRequest() throws {
        try withRun(resp: false) {
            $0.transfers = 1_004
            $0.batch = 50
            $0.chain = 3
        } check: { report, seen in
            // 20 requests of 16 chains of 3 and one of 2, and one request of 3 and 1.
            #expect(seen.linked == 20 * 33 + 2 && report.accepted == 1_004)
        }
    }

    @Test func pendingTransfersAreCountedAsRefused() throws {
        for resp in [false, true] {
            try withRun(resp: resp) {
                $0.transfers = 4_000
                $0.pending = 25
            } check: { report, seen in
                let refused = report.refused["reserved_flag"] ?? 0
                #expect(report.accepted + refused == 4_000 && (800...1200).contains(refused))
                #expect(report.failure == nil && report.text.contains("no pending transfers yet"))
            }
        }
    }

    @Test func pendingTransfersArePostedByTheirConnection() throws {
        for (resp, fullResults, reversed) in [
            (false, false, false), (false, true, true), (true, false, false),
        ] {
            let every = fullResults || resp ? 5 : Int.max
            try withRun(
                .init(reversed: reversed, fullResults: fullResults, refusesPendingEvery: every), resp: resp
            ) {
                $0.transfers = 8_000
                $0.pending = 25
                $0.connections = 3
                if !resp { $0.batch = 50 }
            } check: { report, seen in
                // A quarter of what is no post, and each post is a transfer more: a fifth, less what was refused.
                #expect((1400...1800).contains(seen.pending), "\(seen.pending)")
                let refused = Int(report.refused["exceeds_credits"] ?? 0)
                #expect(refused == seen.pending / every && Int(report.accepted) + refused == 8_000)
                #expect(seen.posted == seen.pending - refused - seen.reserved.count)
                // What the run's end leaves is no more than was under way.
                #expect(seen.reserved.count <= 3 * 4 * (resp ? 1 : 50) && seen.posted > 1000)
                #expect(report.failure == nil)
            }
        }
    }

    @Test func busyIsCountedAndNotAnAcceptance() throws {
        for resp in [false, true] {
            try withRun(.init(busyEvery: 4), resp: resp) {
                $0.transfers = 400
                $0.batch = 1
            } check: { report, seen in
                #expect(report.busy == 100 && report.accepted == 300 && seen.transfers == 300 && report.failure == nil)
            }
        }
    }

    @Test func respPipelinesAndCounts() throws {
        try withRun(.init(password: "secret"), resp: true) {
            $0.transfers = 3_000
            $0.connections = 3
            $0.inFlight = 16
            $0.password = "secret"
            $0.crossShard = 100
        } check: { report, seen in
            #expect(report.failure == nil && report.accepted == 3_000 && seen.transfers == 3_000)
            #expect(seen.ids.count == 3_200 && seen.crossing == 3_000)
        }
    }

    /// A stall of 0.3 s at 1,000/s leaves some 300 transfers due; each must carry its wait, although few were outstanding.
    @Test func aStallCountsForEveryTransferDueInIt() throws {
        try withRun(.init(stall: (at: 200, seconds: 0.3))) {
            $0.rate = 1_000
            $0.durationSeconds = 1
            $0.inFlight = 1
            $0.accounts = 20
        } check: { report, seen in
            #expect(report.failure == nil && report.unsent == 0)
            #expect(report.accepted == UInt64(seen.transfers) && (800...1200).contains(report.accepted))
            // 30% of the transfers fell into the stall: the slowest tenth waited at least half of it.
            #expect(report.latencyMilliseconds.p90 > 150 && report.latencyMilliseconds.max >= 299)
        }
    }

    @Test func whatIsDueButNeverSentIsCounted() throws {
        try withRun(.init(stall: (at: 10, seconds: 2.5))) {
            $0.rate = 500
            $0.durationSeconds = 1
            $0.inFlight = 1
            $0.accounts = 20
        } check: { report, seen in
            #expect(
                report.unsent > 300 && report.accepted + report.unsent == report.seconds.reduce(0) { $0 + $1.offered })
            #expect(report.latencyMilliseconds.p50 > 1_000, "the unsent count with the time they waited")
        }
    }

    @Test func aSilentServerEndsTheRun() throws {
        try withRun(.init(hangAt: 3)) {
            $0.transfers = 1_000
            $0.batch = 1
            $0.inFlight = 1
            $0.replyTimeoutSeconds = 1
        } check: { report, _ in
            #expect(report.accepted == 3)
            guard case .server(_, "no reply for 1 s") = report.failure else {
                Issue.record("\(String(describing: report.failure))")
                return
            }
            #expect(report.failure?.exitCode == 1)
        }
    }

    /// A signal ends the sending, in a closed loop and in an open one, and the report is of what was sent until then.
    @Test func aSignalEndsTheRunWithAReport() throws {
        for rate in [nil, 2_000.0] {
            let server = FakeServer()
            defer { server.stop() }
            let runner = Mutex<pthread_t?>(nil)
            let report = Mutex<LoadReport?>(nil)
            let done = DispatchSemaphore(value: 0)
            var options = LoadOptions(target: server.target)
            options.accounts = 20
            options.batch = 1
            options.durationSeconds = 60
            options.rate = rate
            let asked = options
            Thread {
                runner.withLock { $0 = pthread_self() }
                do {
                    let result = try Load.run(asked, live: false)
                    report.withLock { $0 = result }
                } catch { Issue.record("\(error)") }
                done.signal()
            }.start()
            while server.seen.withLock({ $0.transfers }) < 100 { usleep(1_000) }
            // To the waiting thread itself: the other threads of this process do not hold the signal back.
            pthread_kill(try #require(runner.withLock { $0 }), SIGTERM)
            try #require(done.wait(timeout: .now() + 10) == .success, "the run goes on")
            let result = try #require(report.withLock { $0 })
            let transfers = server.seen.withLock { $0.transfers }
            #expect(result.failure == nil && result.accepted == UInt64(transfers) && transfers >= 100)
            #expect(result.cut == "SIGTERM" && result.cutSignal == SIGTERM)
            #expect(result.text.contains("\ncut         by SIGTERM: what follows is of a part of the run"))
        }
    }

    @Test func aRunOfWhichNothingIsAcceptedIsBad() throws {
        try withRun {
            $0.transfers = 40
            $0.pending = 100
        } check: { report, seen in
            #expect(
                report.nothingAccepted == .nothingAccepted(of: 40, unit: "transfers", most: "reserved_flag")
                    && report.nothingAccepted?.exitCode == 1)
            #expect(
                report.nothingAccepted?.description == "none of 40 transfers was accepted; most were: reserved_flag")
        }
    }

    @Test func aLostServerEndsTheRun() throws {
        try withRun(.init(closeAt: 5)) {
            $0.transfers = 1_000
            $0.batch = 1
            $0.inFlight = 1
        } check: { report, _ in
            #expect(report.accepted == 5 && report.errors == 1)
            #expect(report.failure?.description.contains("closed the connection") == true)
        }
    }

    /// All is sent and answered, and the server ends before it is asked what that took.
    @Test func aServerThatEndsJustAfterTheRunLeavesTheReport() throws {
        try withRun(.init(closeStatusAt: 5_000)) {
            $0.transfers = 5_000
        } check: { report, _ in
            #expect(report.accepted == 5_000 && report.errors == 0)
            #expect(report.server.bytesPerTransfer == nil)
            #expect(report.failure?.description.hasPrefix("the server is gone since the run ended") == true)
            #expect(report.failure?.exitCode == 1)
        }
    }

    @Test func aCorruptReplyIsNoAcceptance() throws {
        try withRun(.init(corrupts: true)) {
            $0.transfers = 100
            $0.accounts = 2
            $0.batch = 10
        } check: { report, _ in
            #expect(report.accepted == 0 && report.errors > 0)
            #expect(report.failure?.description.contains("wrong checksum") == true)
        }
    }

    @Test func crossingIsAsAsked() throws {
        for percent in [0.0, 50, 100] {
            try withRun {
                $0.transfers = 10_000
                $0.crossShard = percent
            } check: { report, seen in
                let crossing = Double(seen.crossing) / 100
                #expect(abs(crossing - percent) < (percent == 50 ? 3 : 0.001), "\(crossing)% cross")
            }
        }
    }

    @Test func hotAccountsTakeTheirShare() throws {
        try withRun {
            $0.transfers = 10_000
            $0.hotShare = 50
            $0.hotAccounts = 4
        } check: { _, seen in
            let busiest = seen.credits.values.sorted(by: >).prefix(4)
            #expect((4_700...5_300).contains(busiest.reduce(0, +)) && busiest.allSatisfy { $0 > 1_000 })
        }
    }

    /// A pay-out: one customer pays, plain and in chains.
    @Test func aHotPayerPaysItsShare() throws {
        for (chain, cross) in [(1, nil), (2, nil), (1, 100.0)] {
            try withRun {
                $0.transfers = 10_000
                $0.hotPayerShare = 90
                $0.chain = chain
                $0.crossShard = cross
            } check: { report, seen in
                let payers = seen.debits.values.sorted(by: >)
                #expect(
                    (8_800...9_200).contains(payers[0]) && payers[1] < 100
                        && seen.credits.count > 150 / (cross == nil ? 1 : 3))
                #expect(cross == nil || seen.crossing == 10_000)
                #expect(report.hotPayerShare == 90 && report.failure == nil)
            }
        }
    }

    @Test func settlementHasOnePayer() throws {
        try withRun {
            $0.profile = "settlement"
            $0.accounts = 100
            $0.rate = 100_000
            $0.batch = 100
            $0.transfers = 5_000
        } check: { report, seen in
            #expect(report.accepted == 5_000 && seen.debits.count == 1 && seen.credits.count > 50)
        }
    }

    @Test func nobodyListens() {
        // Kept while it is tried: a port that was given back may be another test's already.
        let (fd, port) = FakeServer.bound()
        defer { close(fd) }
        let why = "Connection refused: nothing listens there; `suanpan serve` names its ports when it is ready"
        #expect(throws: LoadError.connect(target: "127.0.0.1:\(port)", problem: why)) {
            try Load.run(LoadOptions(target: "127.0.0.1:\(port)"), live: false)
        }
    }

    /// A small size of the check that the generator is not the bottleneck; SUANPAN_LOAD_BENCH=seconds, in a release
    /// build, prints figures.
    @Test func throughputAgainstASink() throws {
        let seconds = ProcessInfo.processInfo.environment["SUANPAN_LOAD_BENCH"].flatMap { Double($0) }
        for batch in [8190, 1] {
            let server = FakeServer(.init(remembers: false))
            defer { server.stop() }
            var options = LoadOptions(target: server.target)
            options.batch = batch
            options.inFlight = batch == 1 ? 64 : 4
            options.durationSeconds = seconds
            options.transfers = seconds == nil ? 20_000 : nil
            let report = try Load.run(options, live: false)
            #expect(report.failure == nil && report.accepted > 0)
            if seconds != nil { print("batch \(batch)\n\(report.text)") }
        }
    }
}
