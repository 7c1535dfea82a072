// Goal: the network client gives what the engine gives, to many tasks at once, and says what happened when it cannot.
// Method: an engine in this process behind its native port, and a listener that misbehaves.

import Foundation
import Suanpan
import SuanpanClient
import SuanpanWire
import Testing

/// An engine on a throw-away directory, on disk and not under /tmp, which may be memory.
private func withEngine<Result>(
    password: String? = nil, _ body: (Engine, UInt16) async throws -> Result
) async throws -> Result {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    let directory = root.appendingPathComponent(".build/client-tests/\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    var configuration = EngineConfiguration(dataDirectory: directory.path, shards: 2)
    configuration.segmentBytes = 4 << 20
    configuration.memoryBytes = 256 << 20
    configuration.native = Endpoint(host: "127.0.0.1", port: 0)
    configuration.password = password
    let engine = try Engine(configuration)
    let port = try #require(engine.started.native?.port)
    let result = try await body(engine, port)
    try await engine.close()
    return result
}

private func transfer(_ id: UInt128, _ debit: UInt128, _ credit: UInt128, _ amount: UInt128) -> Transfer {
    Transfer(
        id: TransferID(id), debit: AccountID(debit), credit: AccountID(credit), amount: Amount(amount), ledger: 1,
        code: 1)
}

private let accounts = (UInt128(1)...20).map {
    Account(id: AccountID($0), ledger: 1, code: 1, flags: $0 == 1 ? [] : .debitsMustNotExceedCredits)
}

@Suite(.serialized) struct LedgerClientTests {
    /// Both calls of a cut, in process and over the network, while others move money between the same accounts.
    @Test func cutsAreBalanced() async throws {
        try await withEngine { engine, port in
            let client = try await LedgerClient.connect(host: "127.0.0.1", port: port)
            let none = try await client.totals()
            #expect(none == [])
            let free = (UInt128(1)...20).map { Account(id: AccountID($0), ledger: $0 == 20 ? 3 : 1, code: 1) }
            _ = try await client.createAccounts(free)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for task in 0..<4 {
                    group.addTask {
                        for i in 0..<50 {
                            let moves = (0..<20).map { k -> Transfer in
                                let id = UInt128(task * 10_000 + i * 20 + k + 1)
                                return transfer(id, 1 + id % 19, 1 + (id + 1 + id % 7) % 19, 1 + id % 5)
                            }
                            _ = try await engine.createTransfers(moves)
                        }
                    }
                }
                group.addTask {
                    let ids = free.map(\.id) + [AccountID(99), AccountID(1)]
                    for _ in 0..<50 {
                        for totals in [try await engine.totals(), try await client.totals()] {
                            let areBalanced = totals.allSatisfy(\.isBalanced)
                            #expect(totals.map(\.ledger) == [1, 3] && areBalanced)
                        }
                        for found in [
                            try await engine.accounts(ids, consistent: true),
                            try await client.accounts(ids, consistent: true),
                        ] {
                            #expect(found.map { $0?.id } == free.map(\.id) + [nil, AccountID(1)])
                            let debits = found[..<20].reduce(0) { $0 + ($1?.debitsPosted.value ?? 0) }
                            let credits = found[..<20].reduce(0) { $0 + ($1?.creditsPosted.value ?? 0) }
                            #expect(debits == credits)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let some = try await client.totals([3, 5])
            #expect(some.map(\.ledger) == [3])
            await client.close()
        }
    }

    @Test func callsGiveWhatTheEngineGives() async throws {
        try await withEngine { engine, port in
            let client = try await LedgerClient.connect(host: "127.0.0.1", port: port)
            let created = try await client.createAccounts(accounts)
            #expect(created.count == 20 && created.allSatisfy(\.isCreated))
            let funding = try await client.createTransfers((2...20).map { transfer($0, 1, $0, 1000) })
            #expect(Set(funding.map(\.timestamp)).count == 19 && funding.allSatisfy(\.isCreated))
            let mixed = try await client.createTransfers([
                transfer(100, 2, 3, 1), transfer(101, 2, 3, 5000), transfer(100, 2, 3, 1),
            ])
            #expect(mixed.map(\.code) == [.created, .exceedsCredits, .exists])
            #expect(mixed[2].timestamp == mixed[0].timestamp)

            let ids = [AccountID(3), AccountID(99), AccountID(2), AccountID(2)]
            let remote = try await client.accounts(ids)
            let local = try await engine.accounts(ids)
            #expect(remote == local && remote[1] == nil && remote[0]?.creditsPosted == Amount(1001))
            let keys = [
                (debit: AccountID(2), id: TransferID(101)), (debit: AccountID(2), id: TransferID(100)),
                (debit: AccountID(3), id: TransferID(100)),
            ]
            let transfers = try await client.transfers(keys)
            #expect(transfers[0] == nil && transfers[2] == nil)
            #expect(transfers[1]?.amount == Amount(1) && transfers[1]?.timestamp == mixed[0].timestamp)

            let status = try await client.status()
            #expect(status.shards == 2 && status.durability == "sync" && status.routing != nil)
            try await client.ping()
            #expect(try await client.createTransfers([]).isEmpty)
            await client.close()
        }
    }

    @Test func aPurchaseGivesTheSameAtBothDoors() async throws {
        try await withEngine { engine, port in
            let client = try await LedgerClient.connect(host: "127.0.0.1", port: port)
            _ = try await client.createAccounts(accounts)
            _ = try await client.createTransfers((2...20).map { transfer($0, 1, $0, 1000) })
            // By turns over the network and embedded, over accounts of both shards.
            for base in [UInt128(2), 5, 8, 11] {
                let isRemote = base % 2 == 0
                func create(_ transfers: [Transfer]) async throws -> [EventResult] {
                    isRemote
                        ? try await client.createTransfers(transfers) : try await engine.createTransfers(transfers)
                }
                let (buyer, merchant, fees) = (base, base + 1, base + 2)
                var reserve = transfer(base * 100, buyer, merchant, 500)
                reserve.flags = .pending
                #expect(try await create([reserve]).map(\.code) == [.created])
                var post = transfer(base * 100 + 1, buyer, merchant, .max)
                post.flags = [.postPending, .linked]
                post.pendingID = reserve.id
                let chain = [post, transfer(base * 100 + 2, merchant, fees, 1500)]
                let created = try await create(chain)
                #expect(created.map(\.code) == [.created, .created])
                #expect(try await create(chain).map(\.timestamp) == created.map(\.timestamp))
                var first = transfer(base * 100 + 3, buyer, merchant, 1)
                first.flags = .linked
                let refused = try await create([first, transfer(base * 100 + 4, merchant, fees, 2)])
                #expect(refused.map(\.code) == [.linkedEventFailed, .exceedsCredits])
                let ids = [buyer, merchant, fees].map { AccountID($0) }
                let found = try await client.accounts(ids)
                #expect(found.map { $0?.debitsPosted.value } == [500, 1500, 0])
                #expect(found.map { $0?.creditsPosted.value } == [1000, 1500, 2500])

                let frozen =
                    isRemote
                    ? try await client.freeze(AccountID(buyer), credits: false)
                    : try await engine.freeze(AccountID(buyer), credits: false)
                #expect(frozen.isCreated && frozen.timestamp > created[1].timestamp)
                #expect(
                    try await create([transfer(base * 100 + 5, buyer, fees, 1)]).map(\.code) == [.debitAccountFrozen])
                #expect(try await client.accounts(ids)[0]?.flags.contains(.debitsFrozen) == true)
                let lifted =
                    isRemote
                    ? try await client.unfreeze(AccountID(buyer)) : try await engine.unfreeze(AccountID(buyer))
                #expect(lifted.isCreated)
                #expect(try await create([transfer(base * 100 + 6, buyer, fees, 1)]).map(\.code) == [.created])
            }
            #expect(try await client.freeze(AccountID(99)).code == .debitAccountNotFound)
            #expect(try await client.freeze(AccountID(0)).code == .idMustNotBeZero)
            #expect(try await engine.freeze(AccountID(0)).code == .idMustNotBeZero)
            #expect(try await engine.freeze(AccountID(2), debits: false, credits: false).code == .reservedFlag)
            await client.close()
        }
    }

    /// What the request alone shows is told alike, whatever shards the events would go to.
    @Test func faultsOfChainsAreTheSameAtBothDoors() async throws {
        try await withEngine { engine, port in
            let client = try await LedgerClient.connect(host: "127.0.0.1", port: port)
            _ = try await client.createAccounts(accounts)
            func events(_ count: Int, from first: UInt128, linked: (Int) -> Bool) -> [Transfer] {
                (0..<count).map { i in
                    let n = UInt128(i)
                    var event = transfer(first + n, 1 + n % 7, 8 + n % 7, 0)
                    if linked(i) { event.flags = .linked }
                    return event
                }
            }
            // A plain one, an open chain; a chain too long, a plain one; a chain of 64 behind 31 plain ones.
            let open = events(4, from: 1000) { $0 > 0 }
            let long = events(67, from: 2000) { $0 < 65 }
            let whole = events(95, from: 3000) { $0 >= 31 && $0 < 94 }
            let expected: [[ResultCode?]] = [
                [.created, .linkedEventFailed, .linkedEventFailed, .linkedEventChainOpen],
                Array(repeating: .linkedEventFailed, count: 64) + [.chainTooLong, .linkedEventFailed, .created],
                Array(repeating: .created, count: 95),
            ]
            for (n, request) in [open, long, whole].enumerated() {
                #expect(try await engine.createTransfers(request).map(\.code) == expected[n])
                let again = try await client.createTransfers(request).map(\.code)
                #expect(again == expected[n].map { $0 == .created ? .exists : $0 })
            }
            await client.close()
        }
    }

    @Test func manyTasksShareOneConnection() async throws {
        try await withEngine { engine, port in
            let client = try await LedgerClient.connect(host: "localhost", port: port)
            _ = try await client.createAccounts(accounts)
            let timestamps = try await withThrowingTaskGroup(of: Timestamp.self) { group in
                for i in UInt128(0)..<400 {
                    group.addTask {
                        let result = try await client.createTransfers([transfer(1000 + i, 1, 2 + i % 19, 7)])
                        #expect(result.map(\.code) == [.created])
                        return result[0].timestamp
                    }
                }
                return try await group.reduce(into: Set<Timestamp>()) { $0.insert($1) }
            }
            #expect(timestamps.count == 400)
            let sum = try await client.accounts(accounts.map(\.id)).reduce(0) { $0 + ($1?.creditsPosted.value ?? 0) }
            #expect(sum == 2800)
            await client.close()
        }
    }

    @Test func passwordsAreGiven() async throws {
        try await withEngine(password: "secret") { _, port in
            await #expect(throws: ClientError.refused(.notAuthenticated)) {
                _ = try await LedgerClient.connect(host: "127.0.0.1", port: port, password: "wrong")
            }
            let stranger = try await LedgerClient.connect(host: "127.0.0.1", port: port)
            await #expect(throws: ClientError.refused(.notAuthenticated)) { try await stranger.ping() }
            let client = try await LedgerClient.connect(host: "127.0.0.1", port: port, password: "secret")
            try await client.ping()
        }
    }

    @Test func failuresAreNamed() async throws {
        try await withEngine { _, port in
            let client = try await LedgerClient.connect(host: "127.0.0.1", port: port)
            await #expect(throws: ClientError.tooManyEvents(8191)) {
                _ = try await client.accounts((0..<8191).map { AccountID($0) })
            }
            await client.close()
            await #expect(throws: ClientError.closed) { try await client.ping() }
        }
        // Bound, and nobody listens: a port that was given back may be another test's already.
        let (silent, port) = try bound()
        defer { close(silent) }
        do {
            _ = try await LedgerClient.connect(host: "127.0.0.1", port: port)
            Issue.record("connected to nobody")
        } catch { if case .cannotConnect = error {} else { Issue.record("\(error)") } }
    }

    /// What a server may do instead of answering, and what the client says.
    @Test(arguments: [
        ([UInt8](), "the server closed the connection"), (Array("HTTP/1.1 400 Bad Request\r\n".utf8), "server closed"),
        (Array(repeating: 0x41, count: 64), "not a reply of this protocol: malformed"),
    ])
    func aServerThatDoesNotAnswerIsNamed(answer: [UInt8], why: String) async throws {
        let port = try oneAnswer(answer)
        let client = try await LedgerClient.connect(host: "127.0.0.1", port: port)
        for _ in 0..<2 {
            do {
                try await client.ping()
                Issue.record("a ping without a server")
            } catch {
                if case .disconnected(let text) = error {
                    #expect(text.contains(why))
                } else {
                    Issue.record("\(error)")
                }
            }
        }
    }

    @Test func aReplyMayComeInPieces() async throws {
        var out = OutputBuffer()
        out.appendFrame(FrameHeader(Operation.ping.rawValue, status: .busy, requestID: 1, retryAfterMilliseconds: 25))
        let port = try oneAnswer(out.withBytes { bytes in (0..<bytes.count).map { bytes[$0] } }, piece: 7)
        let client = try await LedgerClient.connect(host: "127.0.0.1", port: port)
        await #expect(throws: ClientError.busy(retryAfterMilliseconds: 25)) { try await client.ping() }
    }
}

/// Listens for one connection, waits for a request's first bytes, writes `answer` in pieces and closes.
private func oneAnswer(_ answer: [UInt8], piece: Int = 64) throws -> UInt16 {
    let (listener, port) = try bound()
    try #require(listen(listener, 1) == 0)
    let thread = Thread {
        let connection = accept(listener, nil, nil)
        var request = [UInt8](repeating: 0, count: 64)
        _ = recv(connection, &request, 64, CInt(MSG_WAITALL))
        for start in stride(from: 0, to: answer.count, by: piece) {
            let bytes = Array(answer[start..<min(answer.count, start + piece)])
            _ = send(connection, bytes, bytes.count, 0)
        }
        close(connection)
        close(listener)
    }
    thread.start()
    return port
}
