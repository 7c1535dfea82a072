// Goal: reads of history agree with what the engine answered, at both doors, for every kind of event and over several
// shards. Method: a random history from a seed, a record of every answer, brute force over that record.

import Foundation
import SuanpanClient
import SuanpanCore
import Testing

@testable import Suanpan

private struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

private func withEngine(
    shards: Int, segmentBytes: Int = 1 << 20, _ body: (Engine, UInt16) async throws -> Void
) async throws {
    let folder = try Folder()
    var configuration = EngineConfiguration(dataDirectory: folder.path, shards: shards)
    configuration.segmentBytes = segmentBytes
    configuration.memoryBytes = 256 << 20
    configuration.pinThreads = false
    configuration.native = Endpoint(host: "127.0.0.1", port: 0)
    let engine = try Engine(configuration)
    try await body(engine, try #require(engine.started.native?.port))
    try await engine.close()
}

/// What was accepted, as it came out, and the balances that follow from it.
private struct Told {
    var accepted: [Transfer] = []
    var held: [TransferID: Transfer] = [:]

    mutating func note(_ transfers: [Transfer], _ results: [EventResult]) {
        for (asked, result) in zip(transfers, results) where result.isCreated {
            var t = asked
            t.timestamp = result.timestamp
            if let pending = held[t.pendingID], t.flags.contains(.postPending) || t.flags.contains(.voidPending) {
                t.creditAccountID = pending.creditAccountID
                t.ledger = pending.ledger
                t.code = pending.code
                if t.amount.value == .max { t.amount = pending.amount }
            }
            if t.flags.contains(.pending) { held[t.id] = t }
            accepted.append(t)
        }
    }

    func balances(of account: AccountID) -> [AccountBalance] {
        var last = AccountBalance(timestamp: .zero)
        return accepted.filter { $0.debitAccountID == account || $0.creditAccountID == account }
            .sorted { $0.timestamp < $1.timestamp }
            .map { t in
                let isDebit = t.debitAccountID == account
                let before = held[t.pendingID]?.amount.value ?? 0
                var pending = Int128(0)
                var posted = UInt128(0)
                if t.flags.contains(.pending) {
                    pending = Int128(t.amount.value)
                } else if t.flags.contains(.postPending) {
                    pending = -Int128(before)
                    posted = t.amount.value
                } else if t.flags.contains(.voidPending) {
                    pending = -Int128(before)
                } else {
                    posted = t.amount.value
                }
                if isDebit {
                    last.debitsPending.value = UInt128(Int128(last.debitsPending.value) + pending)
                    last.debitsPosted.value += posted
                } else {
                    last.creditsPending.value = UInt128(Int128(last.creditsPending.value) + pending)
                    last.creditsPosted.value += posted
                }
                last.timestamp = t.timestamp
                return last
            }
    }
}

/// A page by brute force.
private func page<Element>(
    _ all: [Element], _ filter: QueryFilter, _ time: (Element) -> Timestamp, _ matches: (Element) -> Bool
) -> [Element] {
    let end = filter.timestampMax == .zero ? Timestamp(.max) : filter.timestampMax
    var found = all.filter { time($0) >= filter.timestampMin && time($0) <= end && matches($0) }
        .sorted { time($0) < time($1) }
    if filter.isReversed { found.reverse() }
    return Array(found.prefix(Int(filter.limit)))
}

@Suite(.serialized) struct HistoryTests {
    private let accounts = (UInt64(1)...8).map { (n: UInt64) -> Account in
        let flags: AccountFlags = n % 2 == 0 ? .history : []
        return Account(
            id: AccountID(UInt128(n)), ledger: 1, code: UInt16(1 + n % 2), flags: flags, userData64: n % 3)
    }

    private func event(_ n: Int, _ told: Told, _ random: inout Seeded) -> Transfer {
        let ids = accounts.map(\.id).shuffled(using: &random)
        var t = Transfer(
            id: TransferID(UInt128(n)), debit: ids[0], credit: ids[1],
            // Some are too large for a record of credits.
            amount: Amount(UInt128.random(in: 0...50, using: &random) << (n % 7 == 0 ? 70 : 0)), ledger: 1,
            code: UInt16.random(in: 1...3, using: &random), userData64: UInt64.random(in: 0...2, using: &random))
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<3: t.flags = .pending
        case 3..<6:
            guard let open = told.held.values.min(by: { $0.id.value % 13 < $1.id.value % 13 }) else { break }
            t.debitAccountID = open.debitAccountID
            t.creditAccountID = AccountID(0)
            t.pendingID = open.id
            t.ledger = 0
            t.code = 0
            t.flags = Bool.random(using: &random) ? .postPending : .voidPending
            t.amount = t.flags == .postPending ? Amount(.max) : .zero
        default: break
        }
        return t
    }

    @Test(arguments: [1, 2, 4]) func agreesWithWhatWasAnswered(shards: Int) async throws {
        try await withEngine(shards: shards) { engine, port in
            var random = Seeded(state: UInt64(shards))
            var told = Told()
            let created = try await engine.createAccounts(accounts)
            var n = 0
            for _ in 0..<60 {
                var batch: [Transfer] = []
                for _ in 0..<Int.random(in: 1...20, using: &random) {
                    n += 1
                    batch.append(event(n, told, &random))
                }
                told.note(batch, try await engine.createTransfers(batch))
            }
            let client = try await LedgerClient.connect(host: "127.0.0.1", port: port)
            let times = told.accepted.map(\.timestamp).sorted()
            for round in 0..<40 {
                let account = accounts.randomElement(using: &random)!
                var filter = QueryFilter(
                    account: account.id, limit: [1, 7, 100, 8190].randomElement(using: &random)!)
                if Bool.random(using: &random) { filter.timestampMin = times.randomElement(using: &random)! }
                if Bool.random(using: &random) { filter.timestampMax = times.last! }
                if round % 3 == 0 { filter.userData64 = 1 }
                if round % 4 == 0 { filter.code = 2 }
                if Bool.random(using: &random) { filter.flags.insert(.reversed) }
                filter.flags.formUnion([[], .debits, .credits, [.debits, .credits]].randomElement(using: &random)!)
                let sides = filter.flags.intersection([.debits, .credits])
                let touches = { (t: Transfer) in
                    (t.debitAccountID == account.id && sides != .credits)
                        || (t.creditAccountID == account.id && sides != .debits)
                }
                let wanted = page(told.accepted, filter, \.timestamp) { touches($0) && filter.matches($0) }
                #expect(try await engine.accountTransfers(filter) == wanted)
                #expect(try await client.accountTransfers(filter) == wanted)
                let changes = Dictionary(uniqueKeysWithValues: told.accepted.map { ($0.timestamp, $0) })
                let balances =
                    account.flags.contains(.history)
                    ? page(told.balances(of: account.id), filter, \.timestamp) {
                        touches(changes[$0.timestamp]!) && filter.matches(changes[$0.timestamp]!)
                    } : []
                #expect(try await engine.accountBalances(filter) == balances)
                #expect(try await client.accountBalances(filter) == balances)

                filter.account = AccountID(0)
                filter.flags.remove([.debits, .credits])
                let all = page(told.accepted, filter, \.timestamp) { filter.matches($0) }
                #expect(try await engine.queryTransfers(filter) == all)
                #expect(try await client.queryTransfers(filter) == all)
                filter.timestampMin = round % 2 == 0 ? .zero : created[3].timestamp
                let now = try await engine.accounts(accounts.map(\.id)).compactMap(\.self)
                let found = page(now, filter, \.timestamp) { filter.matches($0) }
                #expect(try await engine.queryAccounts(filter) == found)
                #expect(try await client.queryAccounts(filter) == found)
            }
            let some = told.accepted.randomElement(using: &random)!
            #expect(try await engine.transfers(id: some.id) == [some])
            #expect(try await client.transfers(id: some.id) == [some])
            #expect(try await client.transfers(id: TransferID(99_999)) == [])
            await client.close()
        }
    }

    /// A hold that nobody resolves is over at its deadline, for whoever reads its past too, however late that is recorded:
    /// asked for as soon as the clock has passed it, and later.
    @Test(arguments: [1, 2, 4]) func whatExpiresDoesAtItsDeadline(shards: Int) async throws {
        try await withEngine(shards: shards) { engine, _ in
            _ = try await engine.createAccounts(accounts)
            var deadlines: [Timestamp] = []
            var holds: [Transfer] = []
            for n in 0..<6 {
                var t = Transfer(
                    id: TransferID(UInt128(n) + 1), debit: AccountID(2), credit: AccountID(n % 2 == 0 ? 4 : 6),
                    amount: Amount(10), ledger: 1, code: 3, flags: .pending, timeout: 1)
                t.timestamp = try await engine.createTransfers([t])[0].timestamp
                holds.append(t)
                deadlines.append(Timestamp(t.deadline))
            }
            let filter = QueryFilter(account: AccountID(2))
            var looks = 0
            // The first looks come before anything is recorded, the last ones after.
            while looks < 40 {
                let account = try await engine.accounts([AccountID(2)])[0]
                if try #require(account).debitsPending != .zero { continue }
                looks += 1
                for code in [0, 3] as [UInt16] {
                    var filter = filter
                    filter.code = code
                    let rows = try await engine.accountBalances(filter)
                    #expect(rows.map(\.timestamp) == holds.map(\.timestamp) + deadlines)
                    #expect(rows.map(\.debitsPending.value) == [10, 20, 30, 40, 50, 60, 50, 40, 30, 20, 10, 0])
                }
            }
            var last = filter
            last.flags = .reversed
            last.limit = 1
            last.timestampMax = deadlines[3]
            let row = try await engine.accountBalances(last)
            #expect(row.map(\.timestamp) == [deadlines[3]] && row.map(\.debitsPending) == [Amount(20)])
        }
    }

    @Test func filtersThatAreNone() async throws {
        try await withEngine(shards: 1) { engine, port in
            let client = try await LedgerClient.connect(host: "127.0.0.1", port: port)
            await #expect(throws: ClientError.invalidFilter("limit_must_be_1_to_8190")) {
                try await client.accountTransfers(QueryFilter(account: AccountID(1), limit: 0))
            }
            do {
                _ = try await engine.queryAccounts(QueryFilter(account: AccountID(1)))
                Issue.record("a query with an account was answered")
            } catch EngineError.invalidFilter(let refusal) { #expect(refusal == .accountIDMustBeZero) }
            await client.close()
        }
    }

    @Test func tooManyAtOnceAreBusyAndACloseWaits() async throws {
        try await withEngine(shards: 2) { engine, _ in
            _ = try await engine.createAccounts(accounts)
            for start in stride(from: 0, to: 40_000, by: 8000) {
                _ = try await engine.createTransfers(
                    (start..<start + 8000).map {
                        Transfer(
                            id: TransferID(UInt128($0 + 1)), debit: AccountID(1), credit: AccountID(2),
                            amount: Amount(1), ledger: 1, code: 1)
                    })
            }
            var (answered, busy) = (0, 0)
            await withTaskGroup(of: Bool?.self) { group in
                for _ in 0..<300 {
                    group.addTask {
                        do throws(EngineError) {
                            return try await engine.queryTransfers(QueryFilter(code: 9)).isEmpty
                        } catch {
                            if case .busy = error { return false }
                            return nil
                        }
                    }
                }
                for await outcome in group {
                    #expect(outcome != nil)
                    if outcome == true { answered += 1 } else { busy += 1 }
                }
            }
            #expect(answered >= 64 && busy > 0)
        }
    }
}
