// Looking ahead: before a run of transfers is decided one by one, their index lines and then their accounts are asked for
// together, so that the memory's latencies overlap instead of adding up. Changes nothing but a scratch table.
// The idea is that of batched hash joins (Chen et al., "Improving hash join performance through prefetching", 2004).

public import SuanpanCore
internal import SuanpanLedger

/// What looking ahead found for one transfer. Accounts never move and are never deleted, so what was found stays true.
struct Staged: BitwiseCopyable {
    var identityHash: UInt64
    var debitHash: UInt64
    var creditHash: UInt64
    /// Account index plus 1; 0: not found, or not looked for.
    var debit: UInt32
    var credit: UInt32
}

extension Shard {
    /// Transfers looked ahead at together.
    public static var stagedMax: Int { 32 }

    /// First look at the `k`-th transfer of a run: asks for the index lines.
    @inline(__always)
    public mutating func stage(_ k: Int, _ t: borrowing Transfer) {
        let identity = ledger.identityHash(t.debitAccountID, t.id)
        let debit = ledger.accountHash(t.debitAccountID)
        let credit = ledger.accountHash(t.creditAccountID)
        ledger.prefetchIdentity(hash: identity)
        ledger.prefetchAccount(hash: debit)
        ledger.prefetchAccount(hash: credit)
        staged[k] = Staged(identityHash: identity, debitHash: debit, creditHash: credit, debit: 0, credit: 0)
    }

    /// Second look: finds the accounts and asks for their records.
    @inline(__always)
    public mutating func stageAccounts(_ k: Int, _ t: borrowing Transfer) {
        if let debit = ledger.find(t.debitAccountID, hash: staged[k].debitHash) {
            ledger.prefetch(debit)
            staged[k].debit = debit.value + 1
        }
        if let credit = ledger.find(t.creditAccountID, hash: staged[k].creditHash) {
            ledger.prefetch(credit)
            staged[k].credit = credit.value + 1
        }
    }

    /// What staging found of an event that was not staged.
    func unstaged(_ t: borrowing Transfer) -> Staged {
        let debit = ledger.find(t.debitAccountID)
        let credit = ledger.find(t.creditAccountID)
        return Staged(
            identityHash: ledger.identityHash(t.debitAccountID, t.id), debitHash: 0, creditHash: 0,
            debit: debit.map { $0.value + 1 } ?? 0, credit: credit.map { $0.value + 1 } ?? 0)
    }
}
