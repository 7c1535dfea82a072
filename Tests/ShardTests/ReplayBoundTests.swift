// Goal: a ledger that has grown beyond the memory it is now given is told from a damaged one, and ends no process. Method: the
// replay of more accounts, and of more open pending transfers, than fit.

import SuanpanCore
import SuanpanJournal
import Testing

@testable import SuanpanShard

private func refusal(_ records: [LogRecord]) -> String {
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
    for (records, wanted) in [(accounts, " and 0 open"), (Array(accounts[..<2]) + holds, "holds 2 accounts and ")] {
        let why = refusal(records)
        #expect(why.hasPrefix("shard 0: so little memory holds ") && why.contains(wanted), "\(why)")
        #expect(why.contains("give it more memory (--memory)"))
    }
    let fits = refusal(Array(accounts[..<1000]))
    #expect(fits == "none")
}
