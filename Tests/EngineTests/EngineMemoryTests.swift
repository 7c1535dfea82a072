// Goal: an engine that the kernel gives no memory throws, or refuses what would need some, and leaves its process alone.
// Method: starts under limits of address space that are too low; starts whose n-th mapping and all later ones are refused,
// for n that lie closer the smaller they are; accounts until the tables cannot grow; reads that find a queue full. Each in a
// process of its own.

import Foundation
import SuanpanCore
import Testing

@testable import Suanpan

private func configuration(_ path: String) -> EngineConfiguration {
    var configuration = EngineConfiguration(dataDirectory: path, shards: 2)
    configuration.segmentBytes = 1 << 20
    configuration.memoryBytes = 256 << 20
    configuration.pinThreads = false
    configuration.resp = Endpoint(host: "127.0.0.1", port: 0)
    return configuration
}

private func names(_ directory: String) -> [String] {
    do { return try FileManager.default.contentsOfDirectory(atPath: directory) } catch { return [] }
}

/// Bytes of address space that this process has.
private func mappedBytes() -> Int {
    let text = String(decoding: FileManager.default.contents(atPath: "/proc/self/statm") ?? Data(), as: UTF8.self)
    return (text.split(separator: " ").first.flatMap { Int($0) } ?? 0) * 4096
}

/// Descriptors, and threads of an engine: a thread that nobody waits for may still be on its last steps.
private func leftBehind(_ files: Int) -> String? {
    var what = ""
    for _ in 0..<2000 {
        let threads = names("/proc/self/task").filter { thread in
            let name = FileManager.default.contents(atPath: "/proc/self/task/\(thread)/comm") ?? Data()
            return String(decoding: name, as: UTF8.self).hasPrefix("suanpan-")
        }
        let now = names("/proc/self/fd").count
        if threads.isEmpty && now <= files { return nil }
        what = "\(threads.count) threads, \(now) files instead of \(files)"
        usleep(1000)
    }
    return what
}

/// - Returns: Why it could not start; nil: it could, and was closed.
private func start(_ path: String) throws -> String? {
    do throws(EngineError) { try Engine(configuration(path)).closeBlocking() } catch {
        let says = "\(error)"
        guard says.contains("memory") && says.contains("errno 12") || says.contains("start a thread") else {
            throw error
        }
        return says
    }
    return nil
}

/// A sanitizer maps terabytes, and memory of its own at any time.
private let lacksSanitizer = getenv("TSAN_OPTIONS") == nil

@Test(.timeLimit(.minutes(5)), .enabled(if: lacksSanitizer))
func aStartWithTooLittleAddressSpaceThrowsAndIsUndone() async {
    await #expect(processExitsWith: .success) {
        let folder = try Folder()
        #expect(try start(folder.path) == nil)
        #expect(leftBehind(64) == nil)
        let files = names("/proc/self/fd").count
        let kind = __rlimit_resource_t(RLIMIT_AS.rawValue)
        var limits = rlimit()
        getrlimit(kind, &limits)
        var failed = 0
        while failed < 64 {
            var low = limits
            low.rlim_cur = rlim_t(mappedBytes() + (failed + 1) * (24 << 20))
            setrlimit(kind, &low)
            defer { setrlimit(kind, &limits) }
            guard let why = try start(folder.path) else { break }
            #expect(why.contains("--memory"))
            #expect(leftBehind(files) == nil)
            failed += 1
        }
        #expect(failed > 5 && failed < 64, "\(failed)")
    }
}

#if SUANPAN_FAILPOINTS
    @Test(.timeLimit(.minutes(5)), .enabled(if: lacksSanitizer))
    func aStartThatIsRefusedAnyMappingThrowsAndIsUndone() async {
        await #expect(processExitsWith: .success) {
            let folder = try Folder()
            #expect(try start(folder.path) == nil)
            #expect(leftBehind(64) == nil)
            let files = names("/proc/self/fd").count
            var reasons: Set<String> = []
            var before = 0
            var given = 0
            while given < 2000 {
                MemoryReserve.refuseMappings(after: given)
                let why = try start(folder.path)
                MemoryReserve.refuseMappings(after: nil)
                #expect(leftBehind(files) == nil)
                guard let why else { break }
                reasons.insert(String(why.filter { !$0.isNumber }))
                // What the runtime keeps (stacks, arenas) is there after some.
                if before == 0 && given > 16 { before = mappedBytes() }
                given += 1 + given / 12
            }
            #expect(given > 40 && given < 2000, "\(given)")
            #expect(reasons.count > 5, "\(reasons)")
            #expect(mappedBytes() - before < 192 << 20, "\(mappedBytes() - before) bytes more than after 16 starts")
            // The next one goes on from where the last one was.
            #expect(try start(folder.path) == nil)
        }
    }

    private func accounts(_ first: Int, _ count: Int) -> [Account] {
        (first..<first + count).map { Account(id: AccountID(UInt128($0)), ledger: 1, code: 1) }
    }

    private func history(_ engine: Engine) async -> String {
        do throws(EngineError) { return "\(try await engine.transfers(id: TransferID(7)).count)" } catch {
            return "\(error)"
        }
    }

    private func transfers(_ count: Int, from first: Int = 0) -> [Transfer] {
        (first + 1...first + count).map { (n: Int) -> Transfer in
            let debit = UInt128(1 + n % 999)
            return Transfer(
                id: TransferID(UInt128(n)), debit: AccountID(debit), credit: AccountID(debit + 1), amount: Amount(1),
                ledger: 1, code: 1)
        }
    }

    /// Creates one account after the other until the engine takes one, for some seconds.
    private func createUntilTaken(_ engine: Engine) async throws -> Bool {
        for turn in 0..<300 {
            let results = try await engine.createAccounts(accounts(2_000_000 + turn, 1))
            if results[0].isCreated { return true }
            usleep(20_000)
        }
        return false
    }

    private func growUntilRefused(_ path: String) async throws {
        var configuration = configuration(path)
        // Room for all of it, as preparing a segment takes memory too.
        configuration.segmentBytes = 16 << 20
        let engine = try Engine(configuration)
        let first = try await engine.createAccounts(accounts(1, 1000))
        #expect(first.allSatisfy { $0.isCreated })
        MemoryReserve.refuseMappings(after: 0)
        var created = 1000
        var refused = 0
        for batch in 0..<50 where refused == 0 {
            let results = try await engine.createAccounts(accounts(1001 + batch * 8000, 8000))
            created += results.count { $0.isCreated }
            refused = results.count { $0.code == .capacityExhausted }
            #expect(results.count { $0.isCreated } + refused == 8000)
        }
        #expect(refused > 0)
        // Between shards and within them; history, and sums.
        let paid = try await engine.createTransfers(transfers(4000))
        #expect(paid.allSatisfy { $0.isCreated })
        let answer = await history(engine)
        #expect(answer.hasPrefix("busy"), "\(answer)")
        let totals = try await engine.totals()
        #expect(totals.first?.debitsPosted == 4000)
        #expect(engine.failure == nil)
        // The machine gives memory again: so does the engine, without being asked.
        MemoryReserve.refuseMappings(after: nil)
        let isTaken = try await createUntilTaken(engine)
        #expect(isTaken)
        let found = await history(engine)
        #expect(found == "1")
        try await engine.close()
        let report = try Verifier.verify(dataDirectory: path)
        #expect(report.balanced && report.accounts == UInt64(created + 1) && report.transfers == 4000)
    }

    @Test(.timeLimit(.minutes(5)))
    func anEngineThatCannotGrowRefusesAndGoesOn() async {
        await #expect(processExitsWith: .success) {
            let folder = try Folder()
            try await growUntilRefused(folder.path)
        }
    }

    private func look(_ engine: Engine, _ turn: Int) async -> String {
        do throws(EngineError) {
            _ = try await engine.accounts((0..<1000).map { AccountID(UInt128(1 + (turn + $0) % 1000)) })
            return ""
        } catch { return "\(error)" }
    }

    private func pay(_ engine: Engine, _ turn: Int) async -> String {
        do throws(EngineError) {
            _ = try await engine.createTransfers(transfers(1000, from: turn * 1000))
            return ""
        } catch { return "\(error)" }
    }

    private func decideWithoutMemory(_ path: String) async throws {
        let engine = try Engine(configuration(path))
        _ = try await engine.createAccounts(accounts(1, 1000))
        MemoryReserve.refuseMappings(after: 0)
        // More reads that wait for what is undecided than a queue has places for.
        var reasons: Set<String> = []
        for turn in 0..<100 where engine.failure == nil {
            await withTaskGroup(of: String.self) { group in
                for t in 0..<8 {
                    group.addTask { await pay(engine, turn * 8 + t) }
                    group.addTask { await look(engine, turn * 8 + t) }
                }
                for await reason in group where !reason.isEmpty { reasons.insert(reason) }
            }
        }
        MemoryReserve.refuseMappings(after: nil)
        let why = engine.failure.map { "\($0)" } ?? "none"
        #expect(why.contains("bytes of memory for what is decided"), "\(why)")
        #expect(reasons == [why], "\(reasons)")
        try await engine.close()

        // What was answered is there, and the ids can be sent again.
        let again = try Engine(configuration(path))
        let results = try await again.createTransfers(transfers(1000))
        #expect(results.allSatisfy { $0.isCreated || $0.code == .exists })
        try await again.close()
        let report = try Verifier.verify(dataDirectory: path)
        #expect(report.balanced && report.accounts == 1000)
    }

    @Test(.timeLimit(.minutes(5)))
    func whatIsDecidedAndFindsNoMemoryFailsTheEngine() async {
        await #expect(processExitsWith: .success) {
            let folder = try Folder()
            try await decideWithoutMemory(folder.path)
        }
    }
#endif
