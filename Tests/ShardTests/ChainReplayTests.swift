// Goal: a chain in the log is applied whole or not at all, and what its other shards must be told again is known.
// Method: runs of records as the shards write them, cut at every place, fed to the replay of each shard.

import SuanpanCore
import SuanpanJournal
import SuanpanLedger
import Testing

@testable import SuanpanShard

struct ChainReplayTests {
    let routing = Routing(key: HashKey(a: 1, b: 2), shardCount: 3)

    private func account(on shard: Int, _ nth: Int = 0) -> Account {
        var seen = -1
        for id in UInt128(1)... where routing.shard(of: AccountID(id)).index == shard {
            seen += 1
            if seen == nth { return Account(id: AccountID(id), ledger: 1, code: 1) }
        }
        fatalError("no account")
    }

    func replay(_ shard: Int, _ records: [LogRecord]) throws -> LedgerReplay {
        var replay = LedgerReplay(
            id: ShardID(shard), routing: routing, key: HashKey(a: 3, b: 4), memoryBytes: 1 << 20)
        for (i, record) in records.enumerated() {
            try replay.visit(record, lsn: LSN(UInt64(i) + 1), position: LogPosition(UInt64(i) * 9 + 1))
        }
        try replay.finish()
        return replay
    }

    private func transfer(_ id: UInt128, _ debit: Account, _ credit: Account, _ amount: UInt128) -> Transfer {
        var t = Transfer(
            id: TransferID(id), debit: debit.id, credit: credit.id, amount: Amount(amount), ledger: 1, code: 1)
        t.timestamp = Timestamp(UInt64(id) * 10)
        return t
    }

    private func leg(_ t: Transfer, continues: Bool, peer: Int = 0, sequence: UInt64 = 0) -> LogRecord {
        var record = LogRecord(.leg, t, peer: ShardID(peer), sequence: sequence)
        if continues { record.flags.insert(.chainContinues) }
        return record
    }

    private func posted(_ replay: borrowing LedgerReplay, _ account: Account) -> [UInt128] {
        guard let index = replay.ledger.find(account.id) else { return [] }
        let a = replay.ledger.account(index)
        return [a.debitsPosted.value, a.creditsPosted.value]
    }

    /// 0 → 1, then 1 → 2, then 0 → 2: coordinated by shard 0.
    private var accounts: [Account] { (0..<3).map { account(on: $0) } }
    private func decision(_ a: [Account]) -> [LogRecord] {
        [
            LogRecord(chainPeer: ShardID(1), sequence: 1, timestamp: Timestamp(30)),
            LogRecord(chainPeer: ShardID(2), sequence: 1, timestamp: Timestamp(30)),
            leg(transfer(1, a[0], a[1], 5), continues: true), leg(transfer(2, a[1], a[2], 3), continues: true),
            leg(transfer(3, a[0], a[2], 1), continues: false),
        ]
    }

    @Test func aRunWithoutItsEndIsNotApplied() throws {
        let a = accounts
        let run = decision(a)
        for kept in 1..<run.count {
            let replay = try replay(0, [LogRecord(a[0])] + run.prefix(kept))
            #expect(replay.incompleteSince == LSN(2), "\(kept) of \(run.count)")
            #expect(posted(replay, a[0]) == [0, 0])
            #expect(replay.pairs.allSatisfy { $0 == PairNumbers() })
        }
        let whole = try replay(0, [LogRecord(a[0])] + run)
        #expect(whole.incompleteSince == nil)
        #expect(posted(whole, a[0]) == [6, 0])
    }

    @Test func theOtherShardsGetTheirLegsAgain() throws {
        let a = accounts
        let coordinator = try replay(0, [LogRecord(a[0])] + decision(a))
        let pairs = [coordinator.pairs, coordinator.pairs.map { _ in PairNumbers() }, []]
        let none: [[LogRecord]] = [[], [], []]
        let decisions = [coordinator.decisions, none, none]
        #expect(coordinator.pairs[1].decided == 1 && coordinator.pairs[2].decided == 1)
        for (shard, ids, balances) in [
            (1, [1, 2] as [UInt128], [3, 5] as [UInt128]), (2, [2, 3], [0, 4]),
        ] {
            var all = [pairs[0], pairs[1], pairs[1]]
            let before = try replay(shard, [LogRecord(a[shard])])
            let missing = try before.missingCredits(pairs: all, decisions: decisions)
            #expect(missing.map(\.body.id.value) == ids)
            #expect(missing.allSatisfy { $0.peer == ShardID(0) && $0.sequence == 1 && $0.kind == .leg })
            #expect(missing.map { $0.flags.contains(.chainContinues) } == [true, false])
            let after = try replay(shard, [LogRecord(a[shard])] + missing)
            #expect(posted(after, a[shard]) == balances)
            #expect(after.pairs[0].applied == 1 && after.incompleteSince == nil)
            // Once more: nothing is missing now.
            all[shard] = after.pairs
            let again = try after.missingCredits(pairs: all, decisions: decisions)
            #expect(again.isEmpty)
            // Redo that a crash has cut in two begins again.
            let half = try replay(shard, [LogRecord(a[shard])] + missing.prefix(1))
            #expect(half.incompleteSince == LSN(2) && half.pairs[0].applied == 0)
        }
    }

    /// Credits of one record count each, and what a log lacks of them is made up from the decisions, one by one.
    @Test func creditsAreCountedAndMadeUp() throws {
        let a = accounts
        let transfers = (UInt128(1)...6).map { transfer($0, a[0], a[1], $0 == 5 ? 1 << 64 : $0) }
        let decisions = transfers.enumerated().map { i, t in
            LogRecord(.decision, t, peer: ShardID(1), sequence: UInt64(i) + 1)
        }
        let debtor = try replay(0, [LogRecord(a[0])] + decisions)
        var run = CreditRun()
        for k in 0..<3 { run[1 + k] = LoggedCredit(of: transfers[k]) }
        let first = LogRecord(credits: run, 3, peer: ShardID(0), sequence: 1)
        let creditor = try replay(1, [LogRecord(a[1]), first])
        #expect(posted(creditor, a[1]) == [0, 6])
        #expect(creditor.pairs[0].applied == 3 && creditor.credits[0] == [LSN(2), LSN(2), LSN(2)])
        let missing = try creditor.missingCredits(
            pairs: [debtor.pairs, creditor.pairs, creditor.pairs],
            decisions: [debtor.decisions, [[], [], []], [[], [], []]])
        #expect(missing.map(\.kind) == [.credits, .credit, .credits] && missing.map(\.sequence) == [4, 5, 6])
        let after = try replay(1, [LogRecord(a[1]), first] + missing)
        let large: UInt128 = 1 << 64
        #expect(posted(after, a[1]) == [0, large + 16])
        #expect(after.pairs[0].applied == 6)
        for (count, sequence) in [(3, 2), (0, 1), (5, 1)] {
            #expect(throws: JournalError.self) {
                let wrong = LogRecord(credits: run, count, peer: ShardID(0), sequence: UInt64(sequence))
                _ = try replay(1, [LogRecord(a[1]), wrong])
            }
        }
    }

    /// A chain whose credits elsewhere are promised: each is a decision, and counts with the chain's last record only.
    @Test func promisedCreditsOfAChainCountWhenItIsWhole() throws {
        let a = accounts
        let b = account(on: 0, 1)
        var run = [
            LogRecord(.decision, transfer(1, a[0], a[1], 5), peer: ShardID(1), sequence: 1),
            LogRecord(.transfer, transfer(2, a[0], b, 2)),
            LogRecord(.decision, transfer(3, b, a[1], 1), peer: ShardID(1), sequence: 2),
        ]
        for i in 0..<2 { run[i].flags.insert(.chainContinues) }
        for kept in 1..<run.count {
            let replay = try replay(0, [LogRecord(a[0]), LogRecord(b)] + run.prefix(kept))
            #expect(replay.incompleteSince == LSN(3) && posted(replay, a[0]) == [0, 0])
            #expect(replay.pairs[1].decided == 0 && replay.decisions[1].isEmpty)
        }
        let debtor = try replay(0, [LogRecord(a[0]), LogRecord(b)] + run)
        #expect(posted(debtor, a[0]) == [7, 0] && posted(debtor, b) == [1, 2])
        let creditor = try replay(1, [LogRecord(a[1])])
        let missing = try creditor.missingCredits(
            pairs: [debtor.pairs, creditor.pairs, creditor.pairs],
            decisions: [debtor.decisions, [[], [], []], [[], [], []]])
        let after = try replay(1, [LogRecord(a[1])] + missing)
        #expect(posted(after, a[1]) == [0, 6] && after.incompleteSince == nil && after.pairs[0].applied == 2)
        // Redo that a crash has cut in two goes on.
        let half = try replay(1, [LogRecord(a[1])] + missing.prefix(1))
        #expect(posted(half, a[1]) == [0, 5] && half.pairs[0].applied == 1)
    }

    @Test func aCommitOutOfOrderIsDamage() throws {
        let a = accounts
        #expect(throws: JournalError.self) {
            _ = try replay(1, [LogRecord(a[1]), leg(transfer(1, a[0], a[1], 5), continues: false, sequence: 2)])
        }
        var run = decision(a)
        run[1].sequence = 2
        #expect(throws: JournalError.self) { _ = try replay(0, [LogRecord(a[0])] + run) }
    }

    /// Found by the recovery fuzzer: the side of an account that is not there was taken for one that lives elsewhere.
    @Test func aLegOfAnAccountThatIsNotThereIsDamage() throws {
        let a = accounts
        let gone = account(on: 1, 1)
        for t in [transfer(1, a[1], gone, 5), transfer(1, gone, a[1], 5)] {
            #expect(throws: JournalError.self) {
                _ = try replay(1, [LogRecord(a[1]), leg(t, continues: false, sequence: 1)])
            }
        }
        // Likewise in the redo.
        let t = transfer(1, a[0], gone, 5)
        let run = [
            LogRecord(chainPeer: ShardID(1), sequence: 1, timestamp: Timestamp(30)), leg(t, continues: false),
        ]
        let coordinator = try replay(0, [LogRecord(a[0])] + run)
        var other = try replay(1, [LogRecord(a[1])])
        let missing = try other.missingCredits(
            pairs: [coordinator.pairs, other.pairs, other.pairs],
            decisions: [coordinator.decisions, [[], [], []], [[], [], []]])
        let wrong = missing.map { other.apply($0, lsn: LSN(2), position: LogPosition(10)) }
        #expect(wrong.count == 1 && wrong.allSatisfy { $0 != nil })
    }
}
