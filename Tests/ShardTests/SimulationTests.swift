// Goal: no history of clients, whatever the order of messages and writes and whenever memory is lost, shows anything but
// SEMANTICS. Method: seeds of Simulation, each checked in full; canaries prove that it can see.
//
//     SUANPAN_SEED=n swift test --filter SimulationTests      one seed, with its trace
//     SUANPAN_SEEDS=a-b swift test --filter SimulationTests   many

import Foundation
import SuanpanCore
import SuanpanShard
import Testing

@Suite(.serialized) struct SimulationTests {
    static let environment = ProcessInfo.processInfo.environment

    /// Runs one seed; a failure names the command that repeats it.
    static func run(_ options: SimulationOptions) throws -> (Coverage, UInt64) {
        CurrentSeed.set(options.seed)
        do {
            let simulation = try Simulation(options)
            try simulation.run()
            return (simulation.coverage, simulation.digest)
        } catch {
            throw Failure(
                description: "\(error)\nrepeat: SUANPAN_SEED=\(options.seed) swift test --filter SimulationTests")
        }
    }

    @Test func seedsAreExplained() throws {
        if let one = Self.environment["SUANPAN_SEED"].flatMap(UInt64.init) {
            var options = SimulationOptions(seed: one)
            options.isTracing = true
            print(try Self.run(options).0.summary)
            return
        }
        var range: ClosedRange<UInt64> = 1...150
        if let many = Self.environment["SUANPAN_SEEDS"]?.split(separator: "-"), many.count == 2,
            let a = UInt64(many[0]), let b = UInt64(many[1])
        {
            range = a...b
        }
        var coverage = Coverage()
        var failures: [String] = []
        let began = Date()
        for seed in range {
            let start = Date()
            defer {
                if Date().timeIntervalSince(start) > 2 {
                    print("seed \(seed) took \(Date().timeIntervalSince(start)) s")
                }
            }
            do { coverage.add(try Self.run(SimulationOptions(seed: seed)).0) } catch { failures.append("\(error)") }
            if failures.count >= 40 { break }
        }
        print("\(coverage.summary)\n  \(Int(Date().timeIntervalSince(began) * 1000)) ms")
        if !failures.isEmpty {
            print("failed: \(failures.count)")
            for f in failures.map({
                $0.split(separator: "\n").filter { $0.hasPrefix("step") || $0.hasPrefix("repeat") }.joined(
                    separator: " ")
            }) { print("  \(f)") }
        }
        #expect(failures.isEmpty, "\(failures.first ?? "")")
        // It cannot have gone blind.
        #expect(coverage.crossings > 0)
        #expect(coverage.waits > 0)
        #expect(coverage.restarts > 0)
        #expect(coverage.crashes > 0)
        #expect(coverage.redone > 0)
        #expect(coverage.torn > 0)
        #expect(coverage.resolved > 0)
        #expect(coverage.stalls > 0)
        #expect(coverage.crashesInRedo > 0)
        #expect(coverage.cuts > 0)
        #expect(coverage.lateCuts > 0)
        for code: ResultCode in [
            .created, .exists, .idAlreadyFailed, .existsWithDifferentAmount, .exceedsCredits, .exceedsDebits,
        ] {
            #expect(coverage.codes[code.rawValue, default: 0] > 0, "\(code)")
        }
        #expect(coverage.undecided * 20 < coverage.seeds, "too many searches given up")
    }

    @Test func sameSeedSameTrace() throws {
        for seed: UInt64 in 1...6 {
            let a = try Self.run(SimulationOptions(seed: seed)).1
            let b = try Self.run(SimulationOptions(seed: seed)).1
            #expect(a == b, "seed \(seed)")
        }
    }
}

/// Each rule of the protocol is switched off once: the simulation must notice within a stated number of seeds.
@Suite(.serialized) struct CanaryTests {
    /// The number of the first seed that notices; nil: none up to `seedsMax`.
    static func caught(_ seedsMax: UInt64, _ change: (inout SimulationOptions) -> Void) -> UInt64? {
        for seed in 1...seedsMax {
            var options = SimulationOptions(seed: seed)
            change(&options)
            do { _ = try SimulationTests.run(options) } catch { return seed }
        }
        return nil
    }

    @Test(arguments: [
        (HarnessFault.answerAtOnceBeforeDurable, 20 as UInt64), (.skipRedo, 60), (.redoAgain, 60),
    ])
    func harness(_ fault: HarnessFault, _ seedsMax: UInt64) {
        let seed = Self.caught(seedsMax) { $0.harnessFault = fault }
        print("canary \(fault): seed \(seed.map(String.init) ?? "none")")
        #expect(seed != nil, "\(fault) went unnoticed for \(seedsMax) seeds")
    }

    /// The control: with every rule in force nothing is caught in the histories that the canaries see.
    @Test func nothing() throws {
        for seed: UInt64 in 1...40 {
            var options = SimulationOptions(seed: seed)
            options.shards = 2
            options.isContended = true
            _ = try SimulationTests.run(options)
        }
    }

    #if SUANPAN_FAILPOINTS
        @Test(arguments: [
            (Fault.answerBeforeDurable, 400 as UInt64), (.commitBeforeDurable, 400), (.voteBeforeDurable, 2000),
            (.refuseInsteadOfWait, 400), (.readUndecided, 400), (.waitWithoutDying, 400), (.keepFollowers, 400),
            (.forgetIDs, 20), (.forgetOpenIDs, 100), (.cutThoughLate, 100), (.cutWithoutLanes, 100),
            (.cutWithLaterCommits, 100), (.cutBeforeDurable, 200),
        ])
        func shard(_ fault: Fault, _ seedsMax: UInt64) {
            let seed = Self.caught(seedsMax) {
                $0.fault = fault
                $0.shards = 2
                $0.isContended = true
                if fault == .cutBeforeDurable { $0.isDiskSlow = true }
            }
            print("canary \(fault): seed \(seed.map(String.init) ?? "none")")
            #expect(seed != nil, "\(fault) went unnoticed for \(seedsMax) seeds")
        }
    #endif
}
