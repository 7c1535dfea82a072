// What the tables of a ledger may take of its memory, and whether so many things fit: for the ledger that is made with it,
// and for whoever must say how much memory a directory needs.

internal import SuanpanCore

/// Shares of the memory: accounts 5/16, remembered ids 1/2, open pending transfers 1/8; a sixteenth is for replies that
/// clients have not taken.
public struct LedgerBounds: Equatable, Sendable {
    public let accountsMax: Int
    public let pendingsMax: Int
    let pendingBytesMax: Int
    let idBytesMax: Int
    let idPartBits: Int

    public init(memoryBytes: Int) {
        let accountBytes = MemoryLayout<Account>.stride + MemoryLayout<AccountState>.stride + 32
        accountsMax = min(Int(UInt32.max) - 1, max(1024, memoryBytes * 5 / 16 / accountBytes))
        pendingBytesMax = max(1 << 20, memoryBytes / 8)
        pendingsMax = PendingTable.capacity(bytesMax: pendingBytesMax)
        idBytesMax = max(8 << 20, memoryBytes / 2)
        // A thousand parts make growth smooth; a ledger of a few megabytes has no growth to feel.
        idPartBits = memoryBytes < 64 << 20 ? 4 : 10
    }

    /// Whether a replay of so many fits: accounts and pending transfers to the last one, ids as hashes fall on average.
    public func hold(accounts: Int, pendings: Int, ids: Int) -> Bool {
        accounts <= accountsMax && pendings <= pendingsMax
            && ids <= HashIndex.countMax(partBits: idPartBits, bytesMax: idBytesMax)
    }
}
