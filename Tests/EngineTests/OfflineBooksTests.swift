// Goal: reading a directory offline takes no hash for an identity. Method: two transfers whose identities have equal hashes
// under the key that the reading is given.

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
}
