// Goal: what a directory is said to need is what a ledger of that memory takes; what the pages say an id costs is so.
// Method: an index is filled with random hashes and measured beside the estimate, at many sizes; a ledger's tables beside
// their bounds.

import SuanpanCore
import Testing

@testable import SuanpanLedger

@Suite struct LedgerBoundsTests {
    /// Of an index that is filled: 20 to 22 bytes an entry where its bound is a power of two, up to twice that just below the next.
    @Test(arguments: [(4, 8), (4, 12), (4, 15), (4, 16), (10, 31), (10, 32), (10, 48)])
    func anIndexFillsWhatItMayTake(partBits: Int, megabytes: Int) {
        let bound = megabytes << 20
        var index = HashIndex(partBits: partBits, bytesMax: bound)
        var random = Seeded(7)
        var count = 0
        while index.hasRoom {
            count += 1
            index.insert(random.next(), UInt64(count))
        }
        let bytes = index.bytes
        #expect(bytes <= bound)
        let isPower = megabytes & (megabytes - 1) == 0
        let each = Double(bound) / Double(count)
        #expect(each > 20 && each < (isPower ? 23 : 43), "\(each) bytes an entry")
        let said = index.countMax
        #expect(said < count + count / 25 && said > count - count / (isPower ? 25 : 6), "\(count), not \(said)")
        // What was decided before goes in all the same, and is found.
        for k in 1...count / 20 { index.insert(random.next(), UInt64(count + k)) }
        let (isFull, after) = (!index.hasRoom, index.bytes)
        #expect(isFull && after == bytes)
        var again = Seeded(7)
        var missing = 0
        for k in 1...index.count {
            var step = 0
            let hash = again.next()
            var isThere = false
            while let value = index.next(hash, &step) { isThere = isThere || value == UInt64(k) }
            if !isThere { missing += 1 }
        }
        #expect(missing == 0)
    }

    /// It has room again when enough of what filled it is gone, and only then.
    @Test func anIndexThatWasFullHasRoomAgain() {
        var index = HashIndex(partBits: 2, bytesMax: 1 << 20)
        var random = Seeded(9)
        var hashes: [UInt64] = []
        func add(_ index: inout HashIndex) {
            hashes.append(random.next())
            index.insert(hashes[hashes.count - 1], UInt64(hashes.count))
        }
        while index.hasRoom { add(&index) }
        let full = hashes.count
        for _ in 0..<full / 50 { add(&index) }
        while hashes.count > full * 9 / 10 {
            let isRemoved = index.remove(hashes[hashes.count - 1], UInt64(hashes.count))
            #expect(isRemoved)
            hashes.removeLast()
        }
        let hasRoom = index.hasRoom
        #expect(hasRoom)
        while index.hasRoom { add(&index) }
        let bytes = index.bytes
        #expect(abs(hashes.count - full) < full / 20 && bytes <= 1 << 20)
    }

    @Test(arguments: [8, 64, 100, 128, 1000]) func boundsAreThoseOfALedger(megabytes: Int) {
        let bytes = megabytes << 20
        let bounds = LedgerBounds(memoryBytes: bytes)
        let ledger = Ledger(key: HashKey(a: 11, b: 13), memoryBytes: bytes)
        #expect(ledger.hasRoomForAccount(bounds.accountsMax) && !ledger.hasRoomForAccount(bounds.accountsMax + 1))
        #expect(ledger.hasRoomForPending(bounds.pendingsMax) && !ledger.hasRoomForPending(bounds.pendingsMax + 1))
        #expect(bounds.hold(accounts: bounds.accountsMax, pendings: bounds.pendingsMax, ids: bounds.idBytesMax / 44))
        #expect(!bounds.hold(accounts: bounds.accountsMax + 1, pendings: 0, ids: 0))
        #expect(!bounds.hold(accounts: 0, pendings: bounds.pendingsMax + 1, ids: 0))
        #expect(!bounds.hold(accounts: 0, pendings: 0, ids: bounds.idBytesMax / 20))
    }
}
