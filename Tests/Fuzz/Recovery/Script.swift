// Reads the fuzzer's bytes as a script of what two shards write to their logs, and of damage.
//
//     byte 0      bit 0: damage allowed (what is then accepted need not balance); bits 1–3 are 1: `verify` too
//     commands    a byte (bit 0: the shard; the rest: which command), then the bytes that it takes; 0 where they end

import SuanpanCore

struct Script {
    let isHonest: Bool
    let isVerified: Bool
    private let routing: Routing
    /// Four accounts of each shard.
    private let accounts: [[AccountID]]
    private var position = 1
    private var images = [LogImage(shard: 0), LogImage(shard: 1)]
    private var timestamp: UInt64 = 1000
    /// By shard: decisions for the other one.
    private var decided: [UInt64] = [0, 0]
    /// By shard: what it must append for them, and has not; each a run of records.
    private var undelivered: [[[LogRecord]]] = [[], []]

    init(_ input: Span<UInt8>, _ routing: Routing) {
        isHonest = input.isEmpty || input[0] & 1 == 0
        isVerified = !input.isEmpty && input[0] & 0xE == 2
        self.routing = routing
        accounts = (0..<2).map { shard in
            let ids = (1...64).lazy.map { AccountID(UInt128($0)) }
            return Array(ids.filter { routing.shard(of: $0).index == shard }.prefix(4))
        }
    }

    mutating func run(_ input: Span<UInt8>) -> [LogImage] {
        while position < input.count { command(input) }
        for shard in 0..<2 { images[shard].flush() }
        return images
    }

    private mutating func next(_ input: Span<UInt8>) -> Int {
        guard position < input.count else { return 0 }
        position += 1
        return Int(input[position - 1])
    }

    private mutating func command(_ input: Span<UInt8>) {
        let code = next(input)
        let shard = code & 1
        switch (code >> 1) % 16 {
        case 0:
            var account = Account(id: accounts[shard][next(input) & 3], ledger: 1, code: 1)
            account.flags = AccountFlags(rawValue: UInt16(next(input)) & 0x76)
            account.timestamp = tick()
            images[shard].append(LogRecord(account))
        case 1, 2: appendRun(shard, [record(input, .transfer, shard, shard)])
        case 3:
            var run: [LogRecord] = []
            for _ in 0...(next(input) & 3) { run.append(record(input, .transfer, shard, shard)) }
            appendRun(shard, run)
        case 4, 5: decide(input, shard)
        case 6: decideChain(input, shard)
        case 7, 8: deliver(shard)
        case 9:
            var refusal = record(input, .refusal, shard, next(input) & 1)
            refusal.rawReason = ResultCode.exceedsCredits.rawValue
            images[shard].append(refusal)
        case 10:
            let flags = AccountFlags(rawValue: UInt16(next(input)) & 0x76)
            images[shard].append(LogRecord(freeze: accounts[shard][next(input) & 3], flags: flags, timestamp: tick()))
        case 11: images[shard].flush(fillsSegment: next(input) == 255)
        case 12: images[shard].beginEpoch(firstLSN: images[shard].firstLSN)
        default: if !isHonest { damage(input, shard) }
        }
    }

    private mutating func damage(_ input: Span<UInt8>, _ shard: Int) {
        switch next(input) % 8 {
        case 0: images[shard].change(next(input) % 128, by: UInt8(next(input)))
        case 1: images[shard].change(128 + next(input) << 2 + next(input), by: UInt8(next(input)))
        case 2: images[shard].spoil(next(input) << 8 + next(input), by: UInt8(next(input)))
        case 3: images[shard].changeEpochs(next(input), by: UInt8(next(input)))
        case 4: images[shard].tear(after: next(input) << 4)
        case 5: images[shard].beginEpoch(firstLSN: UInt64(next(input)))
        case 6: images[shard].flush(durable: UInt64(next(input)))
        default:
            // A record of any kind, number, peer and flags.
            var any = record(input, .transfer, next(input) & 1, next(input) & 1)
            any.rawKind = UInt8(next(input)) % 12
            any.flags = LogRecordFlags(rawValue: UInt8(next(input)))
            any.peer = ShardID(next(input) % 4)
            any.sequence = UInt64(next(input))
            any.rawReason = UInt16(next(input))
            any.count = UInt16(next(input) & 7)
            if next(input) == 0 { any.body.amount = Amount(UInt128.max - UInt128(next(input))) }
            images[shard].append(any)
        }
    }

    // MARK: Records

    private mutating func tick() -> Timestamp {
        timestamp += 1
        return Timestamp(timestamp)
    }

    /// The record of an accepted transfer, plain or not.
    private mutating func record(_ input: Span<UInt8>, _ kind: RecordKind, _ debit: Int, _ credit: Int) -> LogRecord {
        let places = next(input)
        let kinds: [TransferFlags] = [
            [], [], .pending, .postPending, .voidPending, [.pending, .closingDebit], [.pending, .closingCredit],
            .balancingDebit,
        ]
        let flags = kinds[places >> 4 & 7]
        var t = Transfer(
            id: TransferID(UInt128(next(input) & 31) + 1), debit: accounts[debit][places & 3],
            credit: accounts[credit][places >> 2 & 3], amount: Amount(UInt128(next(input))), ledger: 1, code: 1,
            flags: flags)
        if flags.resolves { t.pendingID = TransferID(UInt128(next(input) & 31) + 1) }
        if flags.contains(.pending) { t.timeout = UInt32(next(input)) << 24 }
        t.timestamp = tick()
        var record = LogRecord(kind, t)
        // An expiry: a void without an id.
        if flags == .voidPending && places >> 7 == 1 {
            record.body.id = TransferID(0)
            record.flags = .expiry
        }
        return record
    }

    /// Appends records that are applied together.
    private mutating func appendRun(_ shard: Int, _ run: [LogRecord]) {
        for (i, record) in run.enumerated() {
            var record = record
            if i < run.count - 1 { record.flags.insert(.chainContinues) } else { record.flags.remove(.chainContinues) }
            images[shard].append(record)
        }
    }

    /// A transfer to the other shard.
    private mutating func decide(_ input: Span<UInt8>, _ shard: Int) {
        decided[shard] += 1
        var decision = record(input, .decision, shard, 1 - shard)
        decision.sequence = decided[shard]
        decision.peer = ShardID(1 - shard)
        images[shard].append(decision)
        var credit = LogRecord(creditOf: decision.body, peer: ShardID(shard), sequence: decided[shard])
        credit.flags = decision.flags
        undelivered[shard].append([credit])
    }

    /// A chain over both shards.
    private mutating func decideChain(_ input: Span<UInt8>, _ shard: Int) {
        var legs: [LogRecord] = []
        for _ in 0...(next(input) & 3) {
            let sides = next(input)
            legs.append(record(input, .leg, sides & 1, sides >> 1 & 1))
            legs[legs.count - 1].peer = ShardID(shard)
        }
        let others = legs.filter { concerns($0, 1 - shard) }
        var run = legs
        if !others.isEmpty {
            decided[shard] += 1
            run.insert(
                LogRecord(chainPeer: ShardID(1 - shard), sequence: decided[shard], timestamp: tick()), at: 0)
            undelivered[shard].append(
                others.map {
                    var leg = $0
                    leg.sequence = decided[shard]
                    return leg
                })
        }
        appendRun(shard, run)
    }

    private func concerns(_ record: LogRecord, _ shard: Int) -> Bool {
        routing.shard(of: record.body.debitAccountID).index == shard
            || routing.shard(of: record.body.creditAccountID).index == shard
    }

    /// The shard applies the next decision of the other one.
    private mutating func deliver(_ shard: Int) {
        guard !undelivered[1 - shard].isEmpty else { return }
        appendRun(shard, undelivered[1 - shard].removeFirst())
    }
}
