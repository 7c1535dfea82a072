import CSuanpanSupport
import Foundation
import Testing

@testable import SuanpanLedger

@Suite struct PageStockTests {
    @Test func emptyUntilItIsFilledAndNoMoreThanFull() {
        let stock = PageStock(pages: 2)
        #expect(unsafe stock.take() == nil)
        #expect(stock.fill())
        #expect(stock.fill())
        #expect(!stock.fill())
        #expect(stock.ready == 2)
        let first = unsafe stock.take()
        let second = unsafe stock.take()
        #expect(unsafe first != nil && second != nil && first != second)
        #expect(unsafe stock.take() == nil)
        for page in unsafe [first, second] { unsafe suanpan_unmap(page, PageStock.pageBytes) }
    }

    /// Pages come zeroed, each once, while another thread fills.
    @Test func fillsWhileItIsTakenFrom() {
        let stock = PageStock(pages: 3)
        let filler = Thread { stock.run() }
        filler.start()
        var seen: Set<UInt> = []
        while seen.count < 20 {
            guard let page = unsafe stock.take() else { continue }
            #expect(unsafe page.load(fromByteOffset: 4096, as: UInt64.self) == 0)
            unsafe page.storeBytes(of: 1, toByteOffset: 4096, as: UInt64.self)
            #expect(seen.insert(UInt(bitPattern: page)).inserted)
        }
        stock.stop()
        while !filler.isFinished {}
        for page in seen { unsafe suanpan_unmap(UnsafeMutableRawPointer(bitPattern: page), PageStock.pageBytes) }
    }

    @Test func anIndexGrowsOutOfIt() {
        let stock = PageStock(pages: 4)
        while stock.fill() {}
        var index = HashIndex(partBits: 2, bytesMax: 64 << 20, stock: stock)
        for i in 1...100_000 {
            index.insert(UInt64(i) &* 0x9E37_79B9_7F4A_7C15, UInt64(i))
        }
        #expect(stock.ready < 4)
        for i in 1...100_000 {
            var step = 0
            let found = index.next(UInt64(i) &* 0x9E37_79B9_7F4A_7C15, &step)
            #expect(found == UInt64(i))
        }
    }
}
