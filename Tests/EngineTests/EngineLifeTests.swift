// Goal: an engine ends in one way whoever ends it: every call gets its answer or a typed error, nothing that was
// answered is lost, nothing is left behind. Method: calls of many tasks against `close`, `deinit` and a close that does
// not wait; then the same directory is opened again.

import Foundation
import SuanpanCore
import SuanpanFront
import Synchronization
import Testing

@testable import Suanpan

extension Folder {
    fileprivate func engine() throws(EngineError) -> Engine {
        var configuration = EngineConfiguration(dataDirectory: path, shards: 2)
        configuration.segmentBytes = 4 << 20
        configuration.memoryBytes = 256 << 20
        configuration.pinThreads = false
        return try Engine(configuration)
    }
}

private func transfer(_ id: Int) -> Transfer {
    Transfer(
        id: TransferID(UInt128(id)), debit: AccountID(UInt128(1 + id % 16)), credit: AccountID(UInt128(17 + id % 16)),
        amount: Amount(1), ledger: 1, code: 1)
}

private let accounts = (UInt128(1)...32).map { Account(id: AccountID($0), ledger: 1, code: 1) }

/// Calls for cuts end with the engine too: each answered, or refused with a type.
@Test func cutsEndWithTheEngine() async throws {
    let folder = try Folder()
    let engine = try folder.engine()
    _ = try await engine.createAccounts(accounts)
    let shared = Shared()
    await withTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
            group.addTask {
                while true {
                    do throws(EngineError) {
                        let totals = try await engine.totals()
                        let areBalanced = totals.allSatisfy(\.isBalanced)
                        #expect(areBalanced)
                        let found = try await engine.accounts(accounts.map(\.id), consistent: true)
                        #expect(!found.contains(nil))
                        shared.outcomes.withLock { $0.answered += 1 }
                    } catch {
                        switch error {
                        case .closed, .interrupted: return
                        default: Issue.record("\(error)")
                        }
                        return
                    }
                }
            }
        }
        group.addTask {
            while shared.outcomes.withLock({ $0.answered }) < 50 { await Task.yield() }
            engine.closeBlocking()
        }
    }
    #expect(shared.outcomes.withLock { $0.answered } >= 50)
}

/// What became of calls that many tasks made until one was refused.
private struct Outcomes: Sendable {
    var created: Set<Int> = []
    var answered = 0
    var unknown = 0
    var closed = 0
    var others: [String] = []
}

private final class Shared: Sendable {
    let outcomes = Mutex(Outcomes())
}

/// Tasks that call until the engine is closed. `body` runs once some calls have been answered.
private func load(_ engine: Engine, tasks: Int, _ body: @escaping @Sendable () async throws -> Void) async throws
    -> Outcomes
{
    let shared = Shared()
    await withTaskGroup(of: Void.self) { group in
        for task in 0..<tasks { group.addTask { await callUntilClosed(engine, task, shared) } }
        group.addTask {
            while shared.outcomes.withLock({ $0.answered < tasks }) { await Task.yield() }
            do { try await body() } catch { shared.outcomes.withLock { $0.others.append("\(error)") } }
        }
    }
    return shared.outcomes.withLock { $0 }
}

private func callUntilClosed(_ engine: Engine, _ task: Int, _ shared: Shared) async {
    for round in 0... {
        let ids = (0..<4).map { task * 1_000_000 + round * 4 + $0 + 1 }
        do throws(EngineError) {
            let results = try await engine.createTransfers(ids.map(transfer))
            shared.outcomes.withLock {
                $0.created.formUnion(zip(ids, results).filter(\.1.isCreated).map(\.0))
                $0.answered += 1
            }
        } catch {
            shared.outcomes.withLock {
                switch error {
                case .closed: $0.closed += 1
                case .interrupted: $0.unknown += 1
                default: $0.others.append("\(error)")
                }
            }
            return
        }
    }
}

/// Everything that was answered is there, and in the balances.
private func check(_ outcomes: Outcomes, in folder: Folder) async throws {
    let engine = try folder.engine()
    let ids = outcomes.created.sorted()
    for start in stride(from: 0, to: ids.count, by: 4000) {
        let part = ids[start..<min(ids.count, start + 4000)].map(transfer)
        let found = try await engine.transfers(part.map { (debit: $0.debitAccountID, id: $0.id) })
        #expect(found.allSatisfy { $0 != nil }, "an answered transfer is lost")
    }
    try await engine.close()
}

@Suite(.serialized) struct EngineLifeTests {
    @Test func closeWaitsForCallsUnderWayAndRefusesLaterOnes() async throws {
        let folder = try Folder()
        for _ in 0..<5 {
            let engine = try folder.engine()
            _ = try await engine.createAccounts(accounts)
            let outcomes = try await load(engine, tasks: 32) { try await engine.close() }
            #expect(outcomes.others.isEmpty && outcomes.unknown == 0)
            #expect(outcomes.closed == 32)
            try await check(outcomes, in: folder)
            await #expect(throws: EngineError.self) { try await engine.createAccounts(accounts) }
        }
    }

    /// A call that has been let in is decided, even where every core has nothing to do when the engine begins to close.
    @Test func aCallOnItsWayKeepsTheCores() async throws {
        let folder = try Folder()
        let engine = try folder.engine()
        _ = try await engine.createAccounts(accounts)
        try engine.control.gate.enter()
        async let closing: Void = engine.close()
        while !engine.control.gate.isClosed { await Task.yield() }
        // Time for the cores to end, were they to end: what follows holds however long it takes.
        try await Task.sleep(nanoseconds: 50_000_000)
        let event = transfer(1)
        var indices = [[UInt32]](repeating: [], count: 2)
        indices[engine.shard(of: event.debitAccountID).index] = [0]
        let call = await engine.decide(.createTransfers, [event], indices, parts: 1)
        #expect(!call.isAbandoned && call.result(0).isCreated)
        try await closing
    }

    /// A call whose task is cancelled, before or while it runs, is finished and answered like any other.
    @Test func cancellationEndsNoCall() async throws {
        let folder = try Folder()
        let engine = try folder.engine()
        _ = try await engine.createAccounts(accounts)
        let tasks = (1...64).map { i in
            Task {
                if i % 2 == 0 { while !Task.isCancelled { await Task.yield() } }
                return try await engine.createTransfers([transfer(i)]).map(\.code)
            }
        }
        for task in tasks { task.cancel() }
        for task in tasks { #expect(try await task.value == [.created]) }
        let close = Task { try await engine.close() }
        close.cancel()
        try await close.value
    }

    /// Whoever closes second waits for the first: afterwards the directory is free.
    @Test func twoMayClose() async throws {
        let folder = try Folder()
        for _ in 0..<5 {
            let engine = try folder.engine()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await engine.close() } }
                try await group.next()
                try await folder.engine().close()
                try await group.waitForAll()
            }
        }
    }

    @Test func aCloseThatCannotWaitTellsThoseLeftBehind() async throws {
        let folder = try Folder()
        for _ in 0..<5 {
            let engine = try folder.engine()
            _ = try await engine.createAccounts(accounts)
            let outcomes = try await load(engine, tasks: 64) { engine.closeBlocking(withinSeconds: 0) }
            #expect(outcomes.others.isEmpty)
            #expect(outcomes.closed + outcomes.unknown == 64)
            try await check(outcomes, in: folder)
        }
    }

    @Test func anEngineThatIsDroppedCloses() async throws {
        let folder = try Folder()
        for round in 0..<5 {
            do {
                let engine = try folder.engine()
                _ = try await engine.createAccounts(accounts)
                let results = try await engine.createTransfers([transfer(round + 1)])
                #expect(results.map(\.code) == [.created])
            }
            // The lock is free, so the cores have ended.
            let engine = try folder.engine()
            let key = transfer(round + 1)
            #expect(try await engine.transfers([(debit: key.debitAccountID, id: key.id)])[0] != nil)
            try await engine.close()
        }
    }
}
