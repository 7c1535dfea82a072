// The engine in the caller's process, without a network: one shard against two, each on a core of its own, transfers that
// don't cross. Interleaved, median of rounds. Prints transfers/s, how much both logs grew, and the CPU time of each shard.
//
// usage: suanpan-benchmarks [--rounds 3] [--transfers 4000000] [--accounts 10000] [--directory DIR]

import Foundation
import Suanpan
import SuanpanCore

struct Options {
    var rounds = 3
    var transfers = 4_000_000
    var accounts = 10_000
    var directory = ".build/benchmark-data"
}

extension Options {
    init(_ arguments: [String]) {
        var words = arguments
        while words.count >= 2 {
            switch words[0] {
            case "--rounds": rounds = Int(words[1]) ?? rounds
            case "--transfers": transfers = Int(words[1]) ?? transfers
            case "--accounts": accounts = Int(words[1]) ?? accounts
            case "--directory": directory = words[1]
            default: break
            }
            words.removeFirst(2)
        }
    }
}

/// One run: batches prepared before the clock starts, a few calls under way at a time for each shard.
func run(_ options: Options, shards: Int) async throws -> Double {
    try? FileManager.default.removeItem(atPath: options.directory)
    let engine = try Engine(EngineConfiguration(dataDirectory: options.directory, shards: shards))
    let ids = (1...options.accounts).map { AccountID(UInt128($0)) }
    for first in stride(from: 0, to: ids.count, by: 8000) {
        let slice = ids[first..<min(first + 8000, ids.count)]
        let results = try await engine.createAccounts(slice.map { Account(id: $0, ledger: 1, code: 10) })
        precondition(results.allSatisfy(\.isCreated))
    }
    // Accounts by shard, so that no transfer crosses.
    let byShard = (0..<shards).map { shard in ids.filter { engine.shard(of: $0).index == shard } }
    var random = SystemRandomNumberGenerator()
    let perBatch = 8190
    let batchesPerShard = options.transfers / perBatch / shards
    var next: UInt128 = 1 << 64
    let batches = (0..<shards).map { shard in
        (0..<batchesPerShard).map { _ in
            (0..<perBatch).map { _ in
                let debit = byShard[shard].randomElement(using: &random)!
                var credit = byShard[shard].randomElement(using: &random)!
                while credit == debit { credit = byShard[shard].randomElement(using: &random)! }
                next += 1
                return Transfer(id: TransferID(next), debit: debit, credit: credit, amount: Amount(1), ledger: 1, code: 1)
            }
        }
    }
    let begun = ContinuousClock.now
    try await withThrowingTaskGroup(of: Void.self) { group in
        for shard in 0..<shards {
            // Two callers a shard: one call is decided while the next is being handed over.
            for caller in 0..<2 {
                let mine = batches[shard]
                group.addTask {
                    for (i, batch) in mine.enumerated() where i % 2 == caller {
                        let results = try await engine.createTransfers(batch)
                        precondition(results.allSatisfy(\.isCreated))
                    }
                }
            }
        }
        try await group.waitForAll()
    }
    let elapsed = begun.duration(to: .now) / .seconds(1)
    let rate = Double(batchesPerShard * shards * perBatch) / elapsed
    print("  \(shards) shard(s): \(Int(rate)) transfers/s")
    print(engine.info(section: "shards").split(separator: "\r\n").dropFirst().map { "    \($0)" }.joined(separator: "\n"))
    try await engine.close()
    try? FileManager.default.removeItem(atPath: options.directory)
    return rate
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

let options = Options(Array(CommandLine.arguments.dropFirst()))
var rates: [Int: [Double]] = [1: [], 2: []]
for round in 1...options.rounds {
    print("round \(round)")
    for shards in [1, 2] { rates[shards]!.append(try await run(options, shards: shards)) }
}
let one = median(rates[1]!)
let two = median(rates[2]!)
print("in process, sync, batches of 8190, \(options.accounts) accounts, no crossing, median of \(options.rounds)")
print("1 shard  \(Int(one))/s")
print("2 shards \(Int(two))/s, \((two / one * 100).rounded() / 100) of 1 (target 1.5)")
