import SuanpanCore
import SuanpanLedger
import Testing

@testable import SuanpanShard

/// Goal: whatever else is under way, a chain of many events and an expiry find a place. Method: the pool, filled.
@Suite struct ChainPoolTests {
    private func takeAll(_ pool: inout ChainPool, events: Int, kept: Int) -> [Int] {
        var taken: [Int] = []
        while let c = pool.take(events: events, kept: kept) { taken.append(c) }
        return taken
    }

    @Test(arguments: [2, 3, 8, 1024]) func manySmallChainsLeaveThePlacesOfLargeOnes(count: Int) {
        var pool = ChainPool(count: count)
        let small = takeAll(&pool, events: 4, kept: 1)
        // Where all places are large, a small chain takes one of them.
        #expect(small.count == (pool.largeCount == count ? count - 1 : count - pool.largeCount))
        let large = takeAll(&pool, events: 5, kept: 1)
        #expect(large.count == (pool.largeCount == count ? 0 : pool.largeCount - 1))
        // What is kept is an expiry's, of one hold or of many.
        let expiry = takeAll(&pool, events: 1, kept: 0)
        #expect(expiry.count == 1)
        #expect(Set(small + large + expiry).count == count)
        for c in small + large + expiry { pool.give(c) }
        #expect(takeAll(&pool, events: 64, kept: 0).count == pool.largeCount)
    }

    @Test func eachViewHoldsWhatItsPlaceIsFor() {
        var pool = ChainPool(count: 64)
        let places = takeAll(&pool, events: 64, kept: 0) + takeAll(&pool, events: 4, kept: 1)
        #expect(places.count == 64)
        func id(_ c: Int, _ i: Int) -> UInt128 { UInt128(c * 64 + i + 1) }
        for c in places {
            pool[c].view.begin()
            // No two events share an account: as many as a view has to hold.
            for i in 0..<(c < pool.largeCount ? 64 : 4) {
                let accounts = (AccountID(2 * id(c, i)), AccountID(2 * id(c, i) + 1))
                pool[c].view.add(
                    Transfer(
                        id: TransferID(id(c, i)), debit: accounts.0, credit: accounts.1, amount: Amount(1), ledger: 1,
                        code: 1))
            }
        }
        for c in places {
            for i in 0..<pool[c].view.count { #expect(pool[c].view[i].asked.id.value == id(c, i)) }
            for place in 0..<pool[c].view.accountCount {
                #expect(pool[c].view.account(place).id.value == 2 * id(c, place / 2) + UInt128(place % 2))
            }
        }
    }
}
