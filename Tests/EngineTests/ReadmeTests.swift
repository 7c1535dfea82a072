// Goal: the Swift blocks of README compile and do what they say there. Method: they stand here, in one function, with
// checks between them; `Tests/EndToEnd/test_readme.py` compares the two texts.

import Suanpan
import Testing

@Test func theSwiftOfTheReadmeRuns() async throws {
    let folder = try Folder()
    let engine = try Engine(.init(dataDirectory: folder.path, shards: 2))
    let cny: UInt32 = 156
    _ = try await engine.createAccounts([
        Account(id: AccountID(1), ledger: cny, code: 10),
        Account(id: AccountID(2), ledger: cny, code: 20, flags: .debitsMustNotExceedCredits),
    ])
    let results = try await engine.createTransfers([
        Transfer(
            id: TransferID(1001), debit: AccountID(1), credit: AccountID(2), amount: Amount(500), ledger: cny, code: 1)
    ])
    print(results[0])  // one result per event: created with its timestamp, or why not
    #expect(results[0].isCreated)
    let accounts = try await engine.accounts([AccountID(1), AccountID(2)])
    print(accounts[1]!.creditsPosted)
    #expect(accounts[1]?.creditsPosted == Amount(500))

    let bank = AccountID(10), buyer = AccountID(20), merchant = AccountID(30), fees = AccountID(40)
    _ = try await engine.createAccounts([
        Account(id: bank, ledger: cny, code: 10),
        Account(id: buyer, ledger: cny, code: 20, flags: .debitsMustNotExceedCredits),
        Account(id: merchant, ledger: cny, code: 30, flags: .debitsMustNotExceedCredits),
        Account(id: fees, ledger: cny, code: 40),
    ])
    _ = try await engine.createTransfers([
        Transfer(id: TransferID(5000), debit: bank, credit: buyer, amount: Amount(20000), ledger: cny, code: 9)
    ])
    _ = try await engine.createTransfers([
        Transfer(
            id: TransferID(5001), debit: buyer, credit: merchant, amount: Amount(10000), ledger: cny, code: 1,
            flags: .pending, timeout: 900)
    ])
    let split = try await engine.createTransfers([
        Transfer(
            id: TransferID(5002), debit: buyer, credit: merchant, amount: Amount(.max), ledger: cny, code: 1,
            flags: [.postPending, .linked], pendingID: TransferID(5001)),
        Transfer(id: TransferID(5003), debit: merchant, credit: fees, amount: Amount(300), ledger: cny, code: 2),
    ])
    print(split)  // both created with their timestamps; or why not, at the transfer at fault
    #expect(split.filter(\.isCreated).count == 2)
    _ = try await engine.createTransfers([
        Transfer(id: TransferID(5004), debit: merchant, credit: buyer, amount: Amount(2500), ledger: cny, code: 3)
    ])
    // Each of the calls whose result the page drops was answered as meant, or this would not be left.
    let left = try await engine.accounts([bank, buyer, merchant, fees])
    #expect(left.map { $0?.creditsPosted } == [Amount(0), Amount(22500), Amount(10000), Amount(300)])
    #expect(left.map { $0?.debitsPosted } == [Amount(20000), Amount(10000), Amount(2800), Amount(0)])
    _ = try await engine.freeze(merchant, debits: true, credits: false)  // stop-payment, until `unfreeze`
    let frozen = try await engine.accounts([merchant])
    #expect(frozen[0]?.flags.contains(.debitsFrozen) == true)
    _ = try await engine.unfreeze(merchant, debits: true, credits: false)
    try await engine.close()
}
