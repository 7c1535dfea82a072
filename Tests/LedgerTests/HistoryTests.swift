// Goal: the ledger answers as Docs/Semantics.md says, event by event, and its log rebuilds it exactly.
// Method: random histories, with all flags, chains and expiry, on one ledger and on several that share out the accounts;
// the model answers beside; afterwards every balance, total, pending transfer and remembered id is compared, with the
// model and with a replay of the logs. SUANPAN_SEED=n replays one seed alone: swift test --filter HistoryTests.

import Foundation
import SuanpanCore
import SuanpanLedger
import SuanpanLedgerModel
import Testing

@Suite struct HistoryTests {
    static let transferFlags: TransferFlags = .specified
    static let accountFlags: AccountFlags = .specified.subtracting(.striped)
    static let seeds: [UInt64] = {
        if let seed = ProcessInfo.processInfo.environment["SUANPAN_SEED"].flatMap({ UInt64($0) }) { return [seed] }
        return Array(1...8)
    }()
    /// One, two that share every crossing, and more of them than many chains touch.
    static let shardCounts = [1, 2, 5]
    static let steps = 700

    @Test(arguments: seeds, shardCounts) func ledgersAgreeWithTheModel(seed: UInt64, shards: Int) throws {
        _ = try run(seed: seed, shards: shards)
    }

    /// Every answer of groups 1 to 7 is reached, but those that cannot be.
    @Test func everyRefusalIsReached() throws {
        var counts: [ResultCode: Int] = [:]
        for seed: UInt64 in 101...140 {
            let shards = Self.shardCounts[Int(seed) % Self.shardCounts.count]
            counts.merge(try run(seed: seed, shards: shards), uniquingKeysWith: +)
        }
        let seen = Set(counts.keys)
        if ProcessInfo.processInfo.environment["SUANPAN_SHOW"] != nil {
            for code in ResultCode.allCases { print(code.name, counts[code] ?? 0) }
        }
        let unreachable: [ResultCode] = [
            // Its debit account's ledger is the pending transfer's, and compared before.
            .pendingTransferHasDifferentLedger,
            // Not answers of the ledger.
            .busy, .capacityExhausted,
        ]
        let missing = ResultCode.allCases.filter { !seen.contains($0) && !unreachable.contains($0) }
        #expect(missing.isEmpty, "never reached: \(missing.map(\.name))")
        #expect(seen.isDisjoint(with: unreachable), "reached: \(unreachable.filter(seen.contains).map(\.name))")
    }

    // MARK: One history

    private struct Disagreement: Error, CustomStringConvertible {
        var description: String
    }

    private func run(seed: UInt64, shards: Int) throws -> [ResultCode: Int] {
        var events = RandomEvents(seed: seed)
        let engine = LedgerShards(
            count: shards, transferFlags: Self.transferFlags, accountFlags: Self.accountFlags)
        var model = ModelLedger(reservedTransferFlags: .imported, reservedAccountFlags: .striped)
        var seen: [ResultCode: Int] = [:]
        // Some histories run at the end of time.
        var now: UInt64 = events.random.oneIn(5) ? .max - 2_000_000_000_000 : 1_700_000_000_000_000_000
        for step in 0..<Self.steps {
            now += UInt64(events.random.below(events.random.oneIn(10) ? 2_000_000_000 : 200_000))
            func check(_ holds: Bool, _ what: @autoclosure () -> String) throws {
                if !holds {
                    throw Disagreement(
                        description: "seed \(seed), \(shards) shards, step \(step): \(what()); "
                            + "SUANPAN_SEED=\(seed) swift test --filter HistoryTests")
                }
            }
            try expire(engine, &model, now, &events.random, check)
            engine.evaluatesSingles = events.random.oneIn(2)
            let base = now
            func stamp(_ i: Int) -> Timestamp { Timestamp(base + 1 + UInt64(i)) }
            let pick = events.random.below(40)
            if step == 0 || pick == 0 {
                let request = step == 0 ? events.firstAccounts() : events.accountRequest()
                let answers = engine.createAccounts(request, stamp: stamp)
                let expected = model.createAccounts(request, stamp: stamp)
                for i in request.indices {
                    try check(
                        answers[i] == expected[i],
                        "account \(request[i]), event \(i) of \(request.count): \(say(answers[i])) for \(say(expected[i]))"
                    )
                }
                for case let code? in answers.map(\.code) { seen[code, default: 0] += 1 }
            } else if pick == 1 {
                let id = events.accountID()
                let debits = events.random.oneIn(10)
                let credits = events.random.oneIn(10)
                let answer = engine.freeze(id, debits: debits, credits: credits, timestamp: stamp(0))
                try check(answer == model.freeze(id, debits: debits, credits: credits), "freezing \(id)")
            } else {
                events.open = model.open.values.map(\.final).sorted { $0.timestamp < $1.timestamp }
                let request = events.transferRequest()
                let answers = engine.createTransfers(request, now: now, stamp: stamp)
                let expected = model.createTransfers(request, now: now, stamp: stamp)
                for i in request.indices {
                    try check(
                        answers[i] == expected[i],
                        "\(request[i]), event \(i) of \(request.count): \(say(answers[i])) for \(say(expected[i]))")
                }
                for case let code? in answers.map(\.code) { seen[code, default: 0] += 1 }
            }
            now += 100
            if step % 50 == 0 || step == Self.steps - 1 { try compare(engine, model, check) }
        }
        try compareReplay(engine, seed)
        return seen
    }

    private func say(_ r: EventResult) -> String {
        "\(r.code?.name ?? "\(r.rawCode)")/\(r.reason?.name ?? "?")@\(r.timestamp.nanoseconds)"
    }

    /// What is due by the wheel expires in both; of the rest, none is overdue by a second or more, and some expire now,
    /// as for a post that names them.
    private func expire(
        _ engine: LedgerShards, _ model: inout ModelLedger, _ now: UInt64, _ random: inout Seeded,
        _ check: (Bool, @autoclosure () -> String) throws -> Void
    ) throws {
        for (debit, id) in engine.expireDue(now: now) {
            let agrees = model.expire(ModelLedger.Identity(debit, id), now: now)
            try check(agrees, "transfer \(id) of \(debit) expired and must not")
        }
        for p in engine.open() where p.deadline != 0 && p.deadline <= now {
            try check(now - p.deadline < 1_000_000_000, "transfer \(p.id) is open \(now - p.deadline) ns too long")
            if random.oneIn(3) {
                engine.expire(p, now)
                let agrees = model.expire(ModelLedger.Identity(p.debitAccountID, p.id), now: now)
                try check(agrees, "transfer \(p.id) of \(p.debitAccountID) expired and must not")
            }
        }
    }

    /// Accounts, totals, open pending transfers, remembered ids, look-ups.
    private func compare(
        _ engine: LedgerShards, _ model: ModelLedger, _ check: (Bool, @autoclosure () -> String) throws -> Void
    ) throws {
        var sums: [UInt32: [UInt128]] = [:]
        var count = 0
        for (id, expected) in model.accounts {
            let shard = engine.home(id)
            guard let index = shard.ledger.find(id) else {
                try check(false, "account \(id) is missing")
                continue
            }
            let account = shard.ledger.account(index)
            try check(account == expected, "account \(account) for \(expected)")
            for (i, amount) in [
                expected.debitsPending, expected.debitsPosted, expected.creditsPending, expected.creditsPosted,
            ].enumerated() {
                sums[expected.ledger, default: [0, 0, 0, 0]][i] &+= amount.value
            }
        }
        var totals: [UInt32: [UInt128]] = [:]
        for shard in engine.shards {
            count += shard.ledger.accountCount
            for slot in 0..<shard.ledger.ledgerCount {
                let t = shard.ledger.totals(slot)
                for (i, sum) in [t.debitsPending, t.debitsPosted, t.creditsPending, t.creditsPosted].enumerated() {
                    totals[t.ledger, default: [0, 0, 0, 0]][i] &+= sum
                }
            }
        }
        try check(count == model.accounts.count, "\(count) accounts for \(model.accounts.count)")
        try check(totals == sums, "totals \(totals) for \(sums)")
        for (ledger, t) in totals {
            try check(t[0] == t[2] && t[1] == t[3], "ledger \(ledger) does not balance: \(t)")
        }

        let open = engine.open()
        try check(open.count == model.open.count, "\(open.count) open for \(model.open.count)")
        for p in open {
            let expected = model.open[ModelLedger.Identity(p.debitAccountID, p.id)]
            try check(
                expected?.final.amount == p.amount && expected?.deadline ?? 0 == p.deadline
                    && expected?.final.creditAccountID == p.creditAccountID,
                "open \(p) for \(String(describing: expected))")
            let c = engine.home(p.creditAccountID)
            try check(c.ledger.findPending(p.debitAccountID, p.id) != nil, "the credit side does not hold \(p)")
        }
        for (identity, expected) in model.remembered {
            let found = engine.remembered(identity.debit, identity.id)
            switch expected {
            case .refused(let code):
                try check(found?.0.refusal == code, "\(identity) was refused with \(code)")
            case .accepted(let known):
                let state: PendingState =
                    switch known.fate {
                    case .settled: .notPending
                    case .open: .open
                    case .posted: .posted
                    case .voided: .voided
                    case .expired: .expired
                    }
                try check(
                    found?.0.state == state && found?.1.transfer == known.final,
                    "\(identity): \(String(describing: found)) for \(known)")
                var asked = known.asked
                asked.timestamp = known.final.timestamp
                try check(found?.1.asked == asked, "\(identity): asked \(String(describing: found?.1.asked))")
            }
        }
        let transfers = engine.shards.reduce(0) { $0 + $1.ledger.transferCount + $1.ledger.refusalCount }
        try check(transfers == UInt64(model.remembered.count), "\(transfers) remembered")
    }

    /// The logs rebuild the same ledgers.
    private func compareReplay(_ engine: LedgerShards, _ seed: UInt64) throws {
        for shard in engine.shards {
            let replayed = LedgerShard()
            for record in shard.log {
                let position = replayed.append(record)
                let wrong = replayed.ledger.replay(record, lsn: LSN(position), position: position)
                if let wrong { throw Disagreement(description: "seed \(seed): replay says: \(wrong)") }
            }
            func differs(_ what: String) -> Disagreement {
                Disagreement(description: "seed \(seed): replay differs in \(what)")
            }
            guard replayed.ledger.accountCount == shard.ledger.accountCount,
                replayed.ledger.transferCount == shard.ledger.transferCount,
                replayed.ledger.refusalCount == shard.ledger.refusalCount,
                replayed.ledger.ledgerCount == shard.ledger.ledgerCount
            else { throw differs("counts") }
            for i in 0..<shard.ledger.accountCount {
                let index = AccountIndex(i)
                guard replayed.ledger.account(index) == shard.ledger.account(index),
                    replayed.ledger.statusLSN(index) == shard.ledger.statusLSN(index),
                    replayed.ledger.accountAsCreated(index) == shard.ledger.accountAsCreated(index)
                else { throw differs("account \(i)") }
            }
            for i in 0..<shard.ledger.ledgerCount {
                guard replayed.ledger.totals(i) == shard.ledger.totals(i) else { throw differs("totals \(i)") }
            }
            guard pending(replayed) == pending(shard) else { throw differs("pending transfers") }
            for record in shard.log where record.kind != .freeze && record.kind != .account {
                let hash = shard.ledger.identityHash(record.body.debitAccountID, record.body.id)
                guard ids(replayed, hash) == ids(shard, hash) else { throw differs("remembered ids") }
            }
        }
    }

    private func pending(_ shard: LedgerShard) -> [String] {
        var all: [String] = []
        shard.ledger.forEachPending { p in
            all.append(
                "\(p.debitAccountID.value) \(p.id.value) \(p.creditAccountID.value) \(p.amount.value) \(p.deadline) "
                    + "\(p.ledger) \(p.code) \(p.flags.rawValue) \(p.position) "
                    + "\(String(describing: p.debitIndex)) \(String(describing: p.creditIndex))")
        }
        return all.sorted()
    }

    private func ids(_ shard: LedgerShard, _ hash: UInt64) -> [String] {
        var all: [String] = []
        var step = 0
        while let known = shard.ledger.nextRemembered(hash, &step) {
            all.append("\(known.position) \(String(describing: known.refusal)) \(known.state)")
        }
        return all.sorted()
    }
}
