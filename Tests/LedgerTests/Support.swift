// What the ledger's tests share: a seeded generator, an account and a transfer that nothing is wrong with.

import SuanpanCore
import SuanpanLedger

/// SplitMix64: the same numbers for the same seed, for ever.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    /// True once in `n` times.
    mutating func oneIn(_ n: Int) -> Bool { below(n) == 0 }
    mutating func pick<T>(_ items: [T]) -> T { items[below(items.count)] }
}

let soundAccount = Account(id: AccountID(7), ledger: 1, code: 10)
let soundTransfer = Transfer(
    id: TransferID(100), debit: AccountID(7), credit: AccountID(8), amount: Amount(5), ledger: 1, code: 3)

func makeLedger() -> Ledger { Ledger(key: HashKey(a: 11, b: 13), memoryBytes: 4 << 20) }
