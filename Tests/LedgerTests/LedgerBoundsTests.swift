// Goal: what a directory is said to need is what a ledger of that memory takes; what the pages say an id costs is so.
// Method: an index is filled with random hashes and measured beside the estimate, at many sizes; a ledger's tables beside
// their bounds.

import SuanpanCore
import Testing

@testable import SuanpanLedger

@Suite struct LedgerBoundsTests {
    @Test(arguments: [4, 10]) func anIDTakes32To40Bytes(partBits: Int) {
        var index = HashIndex(partBits: partBits, bytesMax: 1 << 30)
        var random = Seeded(7)
        var (least, most) = (Double.infinity, 0.0)
        for count in 1...1_200_000 {
            index.insert(random.next(), UInt64(count))
            // Before the parts have grown at all, their first places count.
            guard count % 9973 == 0, count > 300_000 else { continue }
            let each = Double(index.bytes) / Double(count)
            (least, most) = (min(least, each), max(most, each))
            let estimate = HashIndex.bytes(entries: count, partBits: partBits)
            // Sixteen parts are unequal enough for one or two of them to grow early or late.
            #expect(abs(estimate - index.bytes) <= index.bytes / (partBits == 10 ? 30 : 6), "\(count) entries")
        }
        #expect(least > 30 && least < 34 && most > 36 && most < 42, "\(least) to \(most)")
    }

    @Test(arguments: [8, 64, 100, 128, 1000]) func boundsAreThoseOfALedger(megabytes: Int) {
        let bytes = megabytes << 20
        let bounds = LedgerBounds(memoryBytes: bytes)
        let ledger = Ledger(key: HashKey(a: 11, b: 13), memoryBytes: bytes)
        #expect(ledger.hasRoomForAccount(bounds.accountsMax) && !ledger.hasRoomForAccount(bounds.accountsMax + 1))
        #expect(ledger.hasRoomForPending(bounds.pendingsMax) && !ledger.hasRoomForPending(bounds.pendingsMax + 1))
        #expect(bounds.hold(accounts: bounds.accountsMax, pendings: bounds.pendingsMax, ids: bounds.idBytesMax / 42))
        #expect(!bounds.hold(accounts: bounds.accountsMax + 1, pendings: 0, ids: 0))
        #expect(!bounds.hold(accounts: 0, pendings: bounds.pendingsMax + 1, ids: 0))
        #expect(!bounds.hold(accounts: 0, pendings: 0, ids: bounds.idBytesMax / 30))
    }
}
