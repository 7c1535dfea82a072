// What a front remembers of accounts and holds because it never changes: whether anything limits an account's credits and
// debits, and what a hold is about. Only for the order of a connection's commands (`CommandOrder`): what is not known costs
// time and nothing else. Fixed tables; a newer entry takes the place of an older one.

internal import SuanpanCore
internal import Synchronization

/// What happens seldom enough to be told to all fronts of an engine before it is handed in.
final class RareEvents: Sendable {
    private let vast = Atomic<UInt32>(0)
    private let closing = Atomic<Bool>(false)

    // Release and acquire: whoever was answered has its event noted, and what it asks next is looked at after that.

    /// A transfer may move so much that sums could soon overflow: what is known of accounts is asked again.
    func noteVast() { vast.wrappingAdd(1, ordering: .acquiringAndReleasing) }
    var vastCount: UInt32 { vast.load(ordering: .acquiring) }

    /// Some hold closes an account, now or since the engine has started.
    func noteClosing() { if !mayHoldClosing { closing.store(true, ordering: .releasing) } }
    var mayHoldClosing: Bool { closing.load(ordering: .acquiring) }
}

extension AccountFreedom {
    /// From sums below this no limit of 128 bits is reached by amounts that are not vast: it would take 2^46 of them.
    private static var sumMax: UInt128 { 1 << 126 }
    private static var vastAmount: UInt128 { 1 << 80 }

    /// What is known of an account for as long as no vast amount is moved.
    init(_ account: borrowing Account) {
        self = account.flags.contains(.history) ? [] : .unrecorded
        for sum in [account.creditsPosted, account.creditsPending, account.debitsPosted, account.debitsPending]
        where sum.value >= Self.sumMax { return }
        if !account.flags.contains(.creditsMustNotExceedDebits) { insert(.credits) }
        if !account.flags.contains(.debitsMustNotExceedCredits) { insert(.debits) }
    }

    /// A post moves what is held already.
    static func isVast(_ t: borrowing Transfer) -> Bool {
        let resolves = t.flags.resolves
        return t.amount.value >= vastAmount && !resolves
    }
}

/// Accounts of other shards.
struct KnownAccounts: ~Copyable {
    struct Entry: BitwiseCopyable {
        var account: AccountID
        /// `RareEvents.vastCount` before the account was looked at.
        var vast: UInt32
        var freedom: AccountFreedom
        var isUsed: Bool
    }
    private static var places: Int { 1 << 14 }
    private var entries = FixedArray<Entry>(count: KnownAccounts.places)

    private func place(_ account: AccountID, _ key: HashKey) -> Int {
        Int(truncatingIfNeeded: key.hash(account.value)) & (Self.places - 1)
    }

    func freedom(of account: AccountID, _ key: HashKey, vast: UInt32) -> AccountFreedom? {
        let entry = entries[place(account, key)]
        return entry.isUsed && entry.account == account && entry.vast == vast ? entry.freedom : nil
    }

    mutating func note(_ account: borrowing Account, _ key: HashKey, vast: UInt32) {
        entries[place(account.id, key)] = Entry(
            account: account.id, vast: vast, freedom: AccountFreedom(account), isUsed: true)
    }
}

/// What a post or void can be about.
struct KnownHold: BitwiseCopyable {
    var debit: AccountID
    var id: TransferID
    var credit: AccountID
    var amount: Amount
    var closes: Bool
}

struct KnownHolds: ~Copyable {
    private static var places: Int { 1 << 13 }
    private var entries = FixedArray<KnownHold>(count: KnownHolds.places)

    private func place(_ debit: AccountID, _ id: TransferID, _ key: HashKey) -> Int {
        Int(truncatingIfNeeded: key.hash(debit, id)) & (Self.places - 1)
    }

    func hold(_ debit: AccountID, _ id: TransferID, _ key: HashKey) -> KnownHold? {
        let entry = entries[place(debit, id, key)]
        return entry.id == id && entry.debit == debit && !id.isZero ? entry : nil
    }

    mutating func note(_ hold: KnownHold, _ key: HashKey) { entries[place(hold.debit, hold.id, key)] = hold }
}
