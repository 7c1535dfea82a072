// What of an account is held by what is due, added up: kept for the accounts that were asked for lately, so that who asks
// again while a storm lasts, or reads, does not add up everything again.

internal import SuanpanCore

struct DueSums: ~Copyable {
    struct Sum: BitwiseCopyable {
        var debits: UInt128 = 0
        var credits: UInt128 = 0
        /// Transfers that keep the account closed.
        var closing: UInt32 = 0
        /// The account, plus 1; 0: none.
        fileprivate var account: UInt32

        init(_ account: AccountIndex) { self.account = account.value &+ 1 }

        mutating func add(_ p: PendingTransfer, _ side: DueSide) {
            if side == .debit { debits &+= p.amount.value } else { credits &+= p.amount.value }
            if PendingTable.holds(p, side).contains(.closing) { closing += 1 }
        }

        mutating func remove(_ p: PendingTransfer, _ side: DueSide) {
            if side == .debit { debits &-= p.amount.value } else { credits &-= p.amount.value }
            if PendingTable.holds(p, side).contains(.closing) { closing -= 1 }
        }
    }

    private var sums = FixedArray<Sum>(count: DueSums.count)

    private static var count: Int { 1 << 10 }
    private static func place(_ account: AccountIndex) -> Int { account.index & (count - 1) }

    private func isKept(_ account: AccountIndex) -> Bool { sums[Self.place(account)].account == account.value &+ 1 }

    /// The account's; nil: it is not kept.
    subscript(account: AccountIndex) -> Sum? { isKept(account) ? sums[Self.place(account)] : nil }

    /// Keeps a sum, in the place of another account's.
    mutating func keep(_ sum: Sum) { sums[Self.place(AccountIndex(sum.account - 1))] = sum }

    mutating func add(_ p: PendingTransfer, _ account: AccountIndex, _ side: DueSide) {
        if isKept(account) { sums[Self.place(account)].add(p, side) }
    }

    mutating func remove(_ p: PendingTransfer, _ account: AccountIndex, _ side: DueSide) {
        if isKept(account) { sums[Self.place(account)].remove(p, side) }
    }
}
