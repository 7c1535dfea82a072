// Goal: a ledger that has grown beyond the memory it is now given is told from a damaged one, and ends no process. Method: the
// replay of more accounts, of more open pending transfers, and of more ids than fit.

import SuanpanCore
import SuanpanJournal
import Testing

@testable import SuanpanShard

private func refusal(_ records: some Sequence<LogRecord>) -> String {
    let routing = Routing(key: HashKey(a: 1, b: 2), shardCount: 1)
    var replay = LedgerReplay(id: ShardID(0), routing: routing, key: HashKey(a: 3, b: 4), memoryBytes: 1 << 20)
    do throws(JournalError) {
        for (i, record) in records.enumerated() {
            try replay.visit(record, lsn: LSN(UInt64(i) + 1), position: LogPosition(UInt64(i) * 9 + 1))
        }
        try replay.finish()
        return "none"
    } catch { return "\(error)" }
}

@Test func aLedgerOfMoreThanItsMemoryIsRefused() {
    let accounts = (UInt128(1)...20_000).map { LogRecord(Account(id: AccountID($0), ledger: 1, code: 1)) }
    let holds = (UInt128(1)...20_000).map { (id: UInt128) -> LogRecord in
        let hold = Transfer(
            id: TransferID(id), debit: AccountID(1), credit: AccountID(2), amount: Amount(1), ledger: 1, code: 1,
            flags: .pending)
        return LogRecord(.transfer, hold)
    }
    for (records, wanted) in [(accounts, ", 0 open"), (Array(accounts[..<2]) + holds, "holds 2 accounts, ")] {
        let why = refusal(records)
        #expect(why.hasPrefix("shard 0: so little memory holds ") && why.contains(wanted), "\(why)")
        #expect(why.contains("give it more memory (--memory)"))
    }
    let fits = refusal(Array(accounts[..<1000]))
    #expect(fits == "none")
}

/// What a ledger of that memory has taken itself it takes again, though the ids fall otherwise into its parts.
@Test func moreIDsThanTheMemoryTakesAreRefused() {
    func log(ids: UInt128) -> some Sequence<LogRecord> {
        let accounts = (UInt128(1)...2).lazy.map { LogRecord(Account(id: AccountID($0), ledger: 1, code: 1)) }
        let transfers = (UInt128(1)...ids).lazy.map { id in
            LogRecord(
                .transfer,
                Transfer(
                    id: TransferID(id), debit: AccountID(1), credit: AccountID(2), amount: Amount(1), ledger: 1, code: 1
                ))
        }
        return [AnySequence(accounts), AnySequence(transfers)].joined()
    }
    // 8 MiB of ids at a load of 0.78.
    #expect(refusal(log(ids: 409_600)) == "none")
    let why = refusal(log(ids: 524_000))
    #expect(why.hasPrefix("shard 0: so little memory holds 2 accounts, 0 open pending transfers and "), "\(why)")
    #expect(why.contains(" ids, and its log has more; give it more memory (--memory)"))
}
