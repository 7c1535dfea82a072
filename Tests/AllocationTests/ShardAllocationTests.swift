// Goal: a warmed shard allocates nothing from the heap: submitting, settling, writing its log and releasing what is
// durable. Method: jemalloc's count of this thread's bytes around each step of a real shard with a real journal on disk.
// Tables grow by mapped memory, which this does not count; their bookkeeping on the heap would show.

import CSuanpanJemalloc
import Foundation
import SuanpanCore
import SuanpanJournal
import SuanpanLanes
import SuanpanLedger
import SuanpanShard
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Bytes that this thread has ever allocated, as `thread.allocated` tells; read through its address, so that asking
/// allocates nothing.
struct ThreadBytes {
    private let address: UnsafePointer<UInt64>

    init() {
        var address: UnsafePointer<UInt64>?
        var size = MemoryLayout<UnsafePointer<UInt64>?>.size
        let result = mallctl("thread.allocatedp", &address, &size, nil, 0)
        precondition(result == 0 && address != nil, "jemalloc counts nothing: \(result)")
        self.address = address!
    }

    var now: UInt64 { address.pointee }
}

/// What the steps of a round have allocated, in bytes.
private struct Growth: Equatable, CustomStringConvertible {
    var submit: UInt64 = 0
    var settle: UInt64 = 0
    var write: UInt64 = 0
    var completed: UInt64 = 0
    var advance: UInt64 = 0
    var sum: UInt64 { submit + settle + write + completed + advance }
    var description: String {
        "submit \(submit), settle \(settle), nextWrite \(write), completed \(completed), advance \(advance)"
    }
    static func + (a: Growth, b: Growth) -> Growth {
        Growth(
            submit: a.submit + b.submit, settle: a.settle + b.settle, write: a.write + b.write,
            completed: a.completed + b.completed, advance: a.advance + b.advance)
    }
}

/// One shard over 8 MiB segments, its writes done by pwrite.
private final class Bench {
    static let accounts = 1000
    static let perRound = 32
    private let path: String
    private let preparer: SegmentPreparer
    private let table: TransferTableOwner
    private var shard: Shard
    private let bytes = ThreadBytes()
    private var transfers: [Transfer] = []
    private var nextID: UInt128 = 1
    private var time: UInt64 = 1000
    private(set) var created = 0
    private(set) var refused = 0
    var segments: UInt64 { shard.journal.counters.segments }

    init() throws {
        table = try TransferTableOwner(count: Shard.slotCountDefault)
        // Not /tmp, which may be memory.
        path = "/var/tmp/suanpan-allocations-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let directory = try DataDirectory(path: path, shards: 1, segmentBytes: 8 << 20)
        preparer = try SegmentPreparer(directory, segmentsAhead: 2)
        let data = directory.shard(ShardID(0))
        var replay = LedgerReplay(
            id: ShardID(0), routing: directory.routing, key: HashKey(a: 3, b: 5), memoryBytes: 256 << 20)
        let summary = try Recovery.replay(data, into: &replay)
        try replay.finish()
        let journal = try Journal(data, after: summary, supply: preparer.supply(ShardID(0)))
        shard = Shard(
            id: ShardID(0), routing: directory.routing, ledger: replay.intoLedger(), journal: journal,
            clock: HybridClock(shard: ShardID(0), shardCount: 1, after: Timestamp(time)), lanes: [nil],
            tables: [table.table], pairs: [PairNumbers()])
        transfers.reserveCapacity(Self.perRound)
        _ = prepare()
    }

    deinit {
        preparer.stop()
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Segments are another thread's work in an engine. Returns whether there is a new one, whose file the next write opens.
    private func prepare() -> Bool {
        var isNew = false
        while preparer.step() { isNew = true }
        return isNew
    }

    private let origin = Origin(core: 0, operation: 0, request: 0, index: 0, stream: 0)

    func createAccounts() throws {
        for i in 1...Self.accounts {
            let account = Account(id: AccountID(UInt128(i)), ledger: 1, code: 1)
            guard case .answered(let result) = shard.submit(account, origin), result.isCreated else {
                throw Unexpected(what: "account \(i) is not created")
            }
            if i % 50 == 0 { _ = try write() }
        }
    }

    /// `count` transfers in rounds; what each round has grown, and whether it began a segment or opened the file of one.
    func run(_ count: Int, each: (Growth, Bool) -> Void) throws {
        var done = 0
        while done < count {
            transfers.removeAll(keepingCapacity: true)
            for k in 0..<Self.perRound {
                let debit = 1 + nextID % UInt128(Self.accounts)
                // One in sixteen is refused: its credit account does not exist.
                let credit = k % 16 == 7 ? UInt128(5000) : 1 + (nextID * 7 + 3) % UInt128(Self.accounts)
                transfers.append(
                    Transfer(
                        id: TransferID(nextID), debit: AccountID(debit),
                        credit: AccountID(credit == debit ? credit % UInt128(Self.accounts) + 1 : credit),
                        amount: Amount(nextID % 97 + 1), ledger: 1, code: 1))
                nextID += 1
            }
            let opensFile = prepare()
            let segment = shard.journal.counters.segments
            let growth = try round()
            each(growth, opensFile || shard.journal.counters.segments != segment)
            done += Self.perRound
        }
    }

    private func round() throws -> Growth {
        var growth = Growth()
        time += 1000
        var before = bytes.now
        shard.clock.observe(time)
        for k in 0..<Self.perRound { shard.stage(k, transfers[k]) }
        shard.lookAhead(staged: Self.perRound)
        for k in 0..<Self.perRound {
            switch try shard.submit(transfers[k], origin, staged: k) {
            case .answered(let result): if result.isCreated { created += 1 } else { refused += 1 }
            case .decided, .deferred, .stalled:
                throw Unexpected(what: "transfer \(transfers[k].id.value) is not answered")
            }
        }
        growth.submit = bytes.now - before
        before = bytes.now
        try shard.settle()
        growth.settle = bytes.now - before
        let written = try write()
        growth.write = written.write
        growth.completed = written.completed
        before = bytes.now
        shard.advance()
        shard.flush { _ in }
        growth.advance = bytes.now - before
        guard shard.journal.durable == shard.journal.appended else { throw Unexpected(what: "a round is not durable") }
        return growth
    }

    private func write() throws -> Growth {
        var growth = Growth()
        while true {
            var before = bytes.now
            guard let write = try shard.journal.nextWrite(clockCeiling: shard.clock.now) else {
                growth.write += bytes.now - before
                return growth
            }
            growth.write += bytes.now - before
            let n = pwrite(write.fd, write.address, write.length, off_t(write.offset))
            before = bytes.now
            try shard.journal.completed(token: write.token, result: Int32(n))
            growth.completed += bytes.now - before
        }
    }
}

private struct Unexpected: Error {
    let what: String
}

@Suite(.serialized) struct ShardAllocationTests {
    /// The canary: a count that never moves would prove nothing.
    @Test func theCounterSeesSwift() {
        let bytes = ThreadBytes()
        let before = bytes.now
        let array = [UInt64](repeating: 1, count: 1000)
        #expect(bytes.now - before >= 8000)
        withExtendedLifetime(array) {}
    }

    /// Opening the file of a new segment makes its path, and may need the system's help.
    private static let bytesPerSegmentMax: UInt64 = 4096

    @Test func aWarmedShardAllocatesNothing() throws {
        let bench = try Bench()
        try bench.createAccounts()
        try bench.run(20_000) { _, _ in }
        var growth = Growth()
        var segmentGrowth = Growth()
        var rounds = 0
        let segments = bench.segments
        try bench.run(20_000) { round, isOfSegment in
            if isOfSegment { segmentGrowth = segmentGrowth + round } else { growth = growth + round }
            if round.sum > 0 && !isOfSegment { rounds += 1 }
        }
        let begun = bench.segments - segments
        print(
            "allocated: \(growth), in \(rounds) of \(20_000 / 32) rounds; with \(begun) new segments: \(segmentGrowth)")
        #expect(growth == Growth(), "in \(rounds) rounds")
        #expect(begun >= 1, "the log did not come to a new segment")
        #expect(segmentGrowth.sum <= begun * Self.bytesPerSegmentMax)
        #expect(bench.created == 37_500 && bench.refused == 2500)
    }
}
