// Goal: the index answers as a dictionary does, through growth of its parts, equal hashes and its bound.
// Method: random and clustered hashes beside a dictionary of arrays.

import SuanpanLedger
import Testing

@Suite struct HashIndexTests {
    private func values(_ index: borrowing HashIndex, _ hash: UInt64) -> [UInt64] {
        var step = 0
        var found: [UInt64] = []
        while let value = index.next(hash, &step) { found.append(value) }
        return found.sorted()
    }

    @Test(arguments: [0, 3, 10]) func agreesWithADictionary(partBits: Int) {
        var index = HashIndex(partBits: partBits, bytesMax: 1 << 30)
        var expected: [UInt64: [UInt64]] = [:]
        var state: UInt64 = 42
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29) &* 0x9E37_79B9_7F4A_7C15
        }
        for value: UInt64 in 1...40_000 {
            // Some of them equal, some side by side in one table.
            let hash =
                value % 10 == 0 ? (next() & 0xFF) | 0xFFFF_0000_0000_0000 : value % 7 == 0 ? next() & 0x3FF : next()
            let added = index.insert(hash, value)
            #expect(added)
            expected[hash, default: []].append(value)
        }
        #expect(index.count == 40_000)
        var wrong = 0
        for (hash, found) in expected where values(index, hash) != found.sorted() { wrong += 1 }
        for _ in 0..<10_000 {
            let hash = next()
            if values(index, hash) != expected[hash, default: []].sorted() { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    @Test func saysWhenItIsFull() {
        var index = HashIndex(partBits: 0, bytesMax: 64 << 10)
        var n: UInt64 = 0
        while index.hasRoom && n < 1_000_000 {
            n += 1
            let added = index.insert(n &* 0x9E37_79B9_7F4A_7C15, n)
            #expect(added)
        }
        #expect(n < 1_000_000)
        #expect(values(index, 0x9E37_79B9_7F4A_7C15) == [1])
    }
}
