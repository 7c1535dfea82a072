// Goal: judging and applying chains, and opening, posting, voiding and expiring pending transfers, allocate nothing once
// the tables have grown. Method: jemalloc's count of this thread's bytes around rounds of chains on a bare ledger.

import CSuanpanJemalloc
import SuanpanCore
import SuanpanLedger
import Testing

/// A ledger of two accounts, and a view that is used again and again.
private final class Bench {
    private var ledger = Ledger(key: HashKey(a: 1, b: 2), memoryBytes: 256 << 20)
    private var view = ChainView()
    private var nextID: UInt128 = 1
    private var time: UInt64 = 1_000_000_000_000
    private(set) var created = 0
    private(set) var expired = 0
    // A literal of several flags is an array in a debug build.
    private let linkedPending: TransferFlags = [.pending, .linked]
    private let linkedPost: TransferFlags = [.postPending, .linked]
    private let linkedVoid: TransferFlags = [.voidPending, .linked]
    var open: Int { ledger.openPendingCount }

    init() {
        for id: UInt128 in [1, 2] {
            ledger.apply(account: Account(id: AccountID(id), ledger: 1, code: 1), lsn: LSN(1))
        }
    }

    private func add(_ flags: TransferFlags, pending: UInt128 = 0, timeout: UInt32 = 0) {
        view.add(
            Transfer(
                id: TransferID(nextID), debit: AccountID(1), credit: AccountID(2), amount: Amount(1), ledger: 1,
                code: 1,
                flags: flags, pendingID: TransferID(pending), timeout: timeout))
        nextID += 1
    }

    /// Four events: one pending transfer is posted, one voided, one left to expire, by way of a chain; then time passes.
    func round() {
        let first = nextID
        view.begin()
        add(linkedPending, timeout: 1)
        add(linkedPending, timeout: 1)
        add(.pending, timeout: 1)
        apply()
        view.begin()
        add(linkedPost, pending: first)
        add(linkedVoid, pending: first + 1)
        add(.balancingDebit)
        for i in 0..<2 { if let fact = ledger.openPendingFact(view[i].asked) { view.setPending(i, fact) } }
        apply()
        time += 100_000_000
        ledger.turn(now: Timestamp(time))
        while let i = ledger.nextExpired {
            let p = ledger.pending(i)
            let record = LogRecord(expiryOf: p.transfer, kind: .transfer, timestamp: Timestamp(time))
            ledger.apply(record, debit: p.debitIndex, credit: p.creditIndex, position: UInt64(nextID))
            expired += 1
        }
    }

    private func apply() {
        for place in 0..<view.accountCount {
            guard let index = ledger.find(view.account(place).id) else { continue }
            view.setAccount(place, ledger.account(index), index: index)
        }
        guard view.evaluate(now: Timestamp(time), supported: .specified) == .created else { return }
        for i in 0..<view.count {
            time += 1
            view.setTimestamp(i, Timestamp(time))
            let record = view.record(i, .transfer)
            ledger.apply(
                record, debit: view.account(Int(view[i].debitPlace)).index,
                credit: view.account(Int(view[i].creditPlace)).index, position: UInt64(nextID))
            created += 1
        }
    }
}

@Test func aWarmedLedgerAllocatesNothingForChains() {
    let bench = Bench()
    for _ in 0..<2000 { bench.round() }
    let bytes = ThreadBytes()
    var largest: UInt64 = 0
    var rounds = 0
    for _ in 0..<2000 {
        let before = bytes.now
        bench.round()
        let grown = bytes.now - before
        // The index of remembered ids grows by a part now and then: the bookkeeping of its memory.
        if grown > 0 { rounds += 1 }
        largest = max(largest, grown)
    }
    print("allocated in \(rounds) of 2000 rounds, at most \(largest) bytes")
    #expect(bench.created == 4000 * 6 && bench.expired > 3900 && bench.open < 30)
    #expect(rounds <= 20 && largest <= 4096)
}
