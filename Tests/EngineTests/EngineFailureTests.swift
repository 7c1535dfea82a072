// Goal: an engine that cannot start, or cannot go on, throws and leaves its process alone: everything is given back, other
// engines are untouched, and the next try works. Method: a preparation of a segment that fails as on a broken disk; starts
// with every number of descriptors and of threads that is too small, and with files that may not grow, each in a process of its
// own.

import Foundation
import SuanpanCore
import Synchronization
import Testing

@testable import Suanpan

private func configuration(_ path: String) -> EngineConfiguration {
    var configuration = EngineConfiguration(dataDirectory: path, shards: 2)
    configuration.segmentBytes = 1 << 20
    configuration.memoryBytes = 256 << 20
    configuration.pinThreads = false
    return configuration
}

private let accounts = (UInt128(1)...32).map { Account(id: AccountID($0), ledger: 1, code: 1) }

private func transfers(_ first: Int, _ count: Int) -> [Transfer] {
    (first..<first + count).map { (id: Int) -> Transfer in
        let debit = UInt128(1 + id % 16)
        return Transfer(
            id: TransferID(UInt128(id + 1)), debit: AccountID(debit), credit: AccountID(debit + 16),
            amount: Amount(1), ledger: 1, code: 1)
    }
}

/// What an error says, when it is `failed`.
private func reason(_ error: EngineError?) -> String {
    if case .failed(let why) = error { why } else { "not failed: \(String(describing: error))" }
}

/// A TCP connection to the engine; the descriptor.
private func connect(_ endpoint: Endpoint) -> CInt {
    let fd = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = endpoint.port.byteSwapped
    address.sin_addr.s_addr = inet_addr(endpoint.host)
    let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            Glibc.connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    return result == 0 ? fd : -1
}

/// An engine; the kernel may take a moment to free a port whose sockets are closed, as an accept was under way on its ring.
private func started(_ configuration: EngineConfiguration) throws(EngineError) -> Engine {
    for _ in 0..<1000 {
        do throws(EngineError) { return try Engine(configuration) } catch {
            guard "\(error)".contains("Address already in use") else { throw error }
            usleep(10_000)
        }
    }
    return try Engine(configuration)
}

@Test(.timeLimit(.minutes(5)))
func aFailedEngineThrowsAndLeavesTheProcessAlone() async throws {
    let folder = try Folder()
    let untouched = try Engine(configuration(folder.path + "/other"))
    _ = try await untouched.createAccounts(accounts)

    var broken = configuration(folder.path + "/broken")
    broken.resp = Endpoint(host: "127.0.0.1", port: 0)
    let engine = try Engine(broken)
    _ = try await engine.createAccounts(accounts)
    let client = connect(try #require(engine.started.resp))
    #expect(client >= 0)
    let end = Task { await engine.waitForEnd() }
    let other = Task { await engine.waitForEnd() }
    other.cancel()
    #expect(await other.value == nil)

    // Many tasks, so that some calls are under way when it fails.
    engine.hold.preparer.failPreparations(errno: EIO)
    let reasons = await withTaskGroup(of: String.self) { group in
        for t in 0..<8 {
            group.addTask {
                for k in 0..<10_000 {
                    do throws(EngineError) {
                        _ = try await engine.createTransfers(transfers((t * 10_000 + k) * 100, 100))
                    } catch { return reason(error) }
                }
                return "went on"
            }
        }
        return await group.reduce(into: Set<String>()) { $0.insert($1) }
    }
    #expect(reasons.count == 1)
    let why = reasons.first ?? ""
    #expect(why.contains("shard") && why.contains("cannot prepare segment: Input/output error (errno 5)"))
    #expect(reason(await end.value) == why && reason(engine.failure) == why)
    #expect(reason(await engine.waitForEnd()) == why)

    // The network's clients are told by the end of their connections.
    var byte: UInt8 = 0
    #expect(recv(client, &byte, 1, 0) <= 0)
    close(client)
    // Every call of every kind.
    let isFailed = { (error: any Error) in reason(error as? EngineError) == why }
    await #expect(performing: { _ = try await engine.createAccounts(accounts) }, throws: isFailed)
    await #expect(performing: { _ = try await engine.accounts([AccountID(1)]) }, throws: isFailed)
    await #expect(performing: { _ = try await engine.totals() }, throws: isFailed)
    await #expect(performing: { _ = try await engine.transfers(id: TransferID(1)) }, throws: isFailed)

    // Its directory is free though it is not closed yet; what was answered is there, and the ids can be sent again.
    var next = configuration(folder.path + "/broken")
    // And so is its port.
    next.resp = engine.started.resp
    let again = try started(next)
    let results = try await again.createTransfers(transfers(0, 100))
    #expect(results.allSatisfy { $0.isCreated || $0.code == .exists })
    try await again.close()
    try await engine.close()
    #expect(reason(engine.failure) == why)

    _ = try await untouched.createTransfers(transfers(0, 100))
    #expect(untouched.failure == nil)
    try await untouched.close()
    #expect(await untouched.waitForEnd() == nil)
}

/// Goal: the first reason of a failure is the one that everybody is told, once. Method: an end of its own, failed twice, with
/// watchers from before and after.
@Test func theFirstReasonCounts() {
    let end = EngineEnd()
    let told = Mutex<[String]>([])
    end.whenFailed { error in told.withLock { $0.append("before: " + reason(error)) } }
    end.fail(.failed("a disk"))
    end.fail(.failed("a core that could not go on without it"))
    end.whenFailed { error in told.withLock { $0.append("after: " + reason(error)) } }
    #expect(reason(end.failure) == "a disk")
    #expect(told.withLock { $0 } == ["before: a disk", "after: a disk"])
    end.finish()
    end.fail(.failed("too late"))
    #expect(reason(end.failure) == "a disk" && end.isOver)
}

private func names(_ directory: String) -> [String] {
    do { return try FileManager.default.contentsOfDirectory(atPath: directory) } catch { return [] }
}

/// What this process has of what an engine takes. Threads by name: the runtime makes some of its own.
private struct Holdings: Equatable {
    var files = names("/proc/self/fd").count
    var threads = names("/proc/self/task").count { thread in
        let name = FileManager.default.contents(atPath: "/proc/self/task/\(thread)/comm") ?? Data()
        return String(decoding: name, as: UTF8.self).hasPrefix("suanpan-")
    }
}

/// ThreadSanitizer looks its suppressions up by a process that it starts at its first report, and it cannot with too few
/// descriptors or threads: it would report Swift's Mutex.
private let lacksSanitizer = getenv("TSAN_OPTIONS") == nil

/// Uses up the numbers below the highest descriptor: the limit is one of numbers, and what this process has inherited of the
/// tests' may leave gaps.
private func fillGaps() {
    let highest = names("/proc/self/fd").compactMap { CInt($0) }.max() ?? 2
    var fd: CInt = 0
    while fd >= 0 && fd <= highest { fd = open("/dev/null", O_RDONLY | O_CLOEXEC) }
    if fd >= 0 { close(fd) }
}

/// Starts with too little of `resource`: from nothing more than the process has, one more each time.
/// - Returns: How many failed before one could start.
private func startsUntilEnough(_ path: String, _ resource: __rlimit_resource, inUse: Int) throws -> Int {
    let kind = __rlimit_resource_t(resource.rawValue)
    var limits = rlimit()
    getrlimit(kind, &limits)
    // The engine before has ended but for threads that nobody waits for.
    var before = Holdings()
    while before.threads > 0 {
        usleep(1000)
        before = Holdings()
    }
    for more in 0..<64 {
        var low = limits
        low.rlim_cur = rlim_t(inUse + more)
        setrlimit(kind, &low)
        defer { setrlimit(kind, &limits) }
        do throws(EngineError) {
            let engine = try Engine(configuration(path))
            engine.closeBlocking()
            return more
        } catch {
            setrlimit(kind, &limits)
            let says = "\(error)"
            guard says.contains("Too many open files") || says.contains("cannot start a thread") else { throw error }
            // All is given back. A thread that nobody waits for may still be on its last steps.
            var turns = 0
            while Holdings() != before && turns < 1000 {
                usleep(1000)
                turns += 1
            }
            guard Holdings() == before else {
                throw EngineError.configuration("\(more) more: \(Holdings()), not \(before): \(error)")
            }
        }
    }
    throw EngineError.configuration("64 more are not enough")
}

@Test(.timeLimit(.minutes(5)), .enabled(if: lacksSanitizer))
func aStartWithTooFewDescriptorsThrowsAndIsUndone() async {
    await #expect(processExitsWith: .success) {
        let folder = try Folder()
        // Makes the directory, and opens what the runtime keeps open.
        try Engine(configuration(folder.path)).closeBlocking()
        fillGaps()
        let failed = try startsUntilEnough(folder.path, RLIMIT_NOFILE, inUse: names("/proc/self/fd").count)
        #expect(failed > 5, "\(failed)")
    }
}

@Test(.timeLimit(.minutes(5)), .enabled(if: lacksSanitizer))
func aStartWithTooFewThreadsThrowsAndIsUndone() async {
    await #expect(processExitsWith: .success) {
        // Root has no limit of threads: the folder is given to somebody else, who can delete it in the end.
        let path = "/var/tmp/suanpan-\(getpid())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        if getuid() == 0 {
            chown(path, 61_234, 61_234)
            setuid(61_234)
        }
        try Engine(configuration(path)).closeBlocking()
        let failed = try startsUntilEnough(path, __RLIMIT_NPROC, inUse: names("/proc/self/task").count)
        #expect(failed > 0, "\(failed)")
        try FileManager.default.removeItem(atPath: path)
    }
}

@Test(.timeLimit(.minutes(5)), .enabled(if: lacksSanitizer))
func aLimitOfFileSizesThrowsAndSendsTheHostNoSignal() async {
    await #expect(processExitsWith: .success) {
        let folder = try Folder()
        // A thread of the runtime's blocks all signals.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGXFSZ)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        let kind = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
        var limits = rlimit()
        getrlimit(kind, &limits)
        var low = limits
        low.rlim_cur = 512 << 10
        setrlimit(kind, &low)
        do throws(EngineError) {
            try Engine(configuration(folder.path)).closeBlocking()
            throw .configuration("it started")
        } catch {
            setrlimit(kind, &limits)
            let says = "\(error)"
            guard says.contains("File too large"), says.contains("ulimit -f") else { throw error }
        }
        // What the host does at the signal, and whether it takes it, is as it was; none waits for it.
        var action = sigaction()
        sigpending(&signals)
        #expect(sigismember(&signals, SIGXFSZ) == 0)
        pthread_sigmask(SIG_BLOCK, nil, &signals)
        #expect(sigismember(&signals, SIGXFSZ) == 0)
        sigaction(SIGXFSZ, nil, &action)
        #expect(action.__sigaction_handler.sa_handler == nil)
        try Engine(configuration(folder.path)).closeBlocking()
    }
}
