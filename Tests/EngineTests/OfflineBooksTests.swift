// Goal: reading a directory offline takes no hash for an identity, and shows what the next start would have now. Method: two
// transfers whose identities have equal hashes under the key that the reading is given; holds, read by clocks of several
// times.

import SuanpanCore
import Testing

@testable import Suanpan

struct OfflineBooksTests {
    private static let key = HashKey(a: 0x5EED, b: 0xF00D)
    private static let ids = [TransferID(25_535_628_922_199_697_821), TransferID(43_982_372_995_909_249_437)]

    @Test func equalHashesAreTwoTransfers() async throws {
        #expect(Self.key.hash(AccountID(1), Self.ids[0]) == Self.key.hash(AccountID(1), Self.ids[1]))
        let folder = try Folder()
        var configuration = EngineConfiguration(dataDirectory: folder.path, shards: 1)
        configuration.segmentBytes = 1 << 20
        configuration.memoryBytes = 64 << 20
        configuration.pinThreads = false
        let engine = try Engine(configuration)
        _ = try await engine.createAccounts([1, 2].map { Account(id: AccountID($0), ledger: 1, code: 1) })
        for id in Self.ids {
            let result = try await engine.createTransfers([
                Transfer(
                    id: id, debit: AccountID(1), credit: AccountID(2), amount: Amount(1), ledger: 1, code: 1)
            ])
            #expect(result[0].code == .created)
        }
        try await engine.close()
        let books = try OfflineBooks(folder.path, key: Self.key)
        #expect(books.shards[0].audit.replay.ledger.transferCount == 2)
    }

    @Test func whatIsOverByNowIsNotHeld() async throws {
        let folder = try Folder()
        var configuration = EngineConfiguration(dataDirectory: folder.path, shards: 2)
        configuration.segmentBytes = 1 << 20
        configuration.memoryBytes = 64 << 20
        configuration.pinThreads = false
        let engine = try Engine(configuration)
        _ = try await engine.createAccounts((1...20).map { Account(id: AccountID($0), ledger: 1, code: 1) })
        var holds = (1...20).map {
            Transfer(
                id: TransferID($0), debit: AccountID($0), credit: AccountID($0 % 20 + 1), amount: Amount(10),
                ledger: 1, code: 1, flags: .pending)
        }
        for i in holds.indices where i % 2 == 0 { holds[i].timeout = 600 }
        let results = try await engine.createTransfers(holds)
        #expect(results.allSatisfy { $0.code == .created })
        let last = results.map(\.timestamp.nanoseconds).max() ?? 0
        try await engine.close()
        let second: UInt64 = 1_000_000_000
        // What a start refuses moves nothing: it would not go on from there.
        for (now, held) in [
            (last + 1, 200), (last + 599 * second, 200), (last + 601 * second, 100),
            (last + 80 * 86_400 * second, 100), (last + 100 * 86_400 * second, 200), (last - 3600 * second, 200),
            (0, 200), (.max, 200),
        ] as [(UInt64, UInt128)] {
            let books = try OfflineBooks(folder.path, clocks: Clocks(wall: { now }, monotonic: { 0 }))
            var debits: UInt128 = 0
            var credits: UInt128 = 0
            for shard in books.shards {
                shard.forEachAccount(at: books.moment) {
                    debits += $0.debitsPending.value
                    credits += $0.creditsPending.value
                }
            }
            let totals = books.shards.flatMap { $0.totals(at: books.moment) }
            #expect(debits == held && credits == held, "\(now)")
            #expect(totals.reduce(0) { $0 + $1.debitsPending } == held, "\(now)")
            #expect(totals.reduce(0) { $0 + $1.creditsPending } == held, "\(now)")
        }
    }
}
