// Goal: the index answers as a dictionary does, through growth of its parts, equal hashes and its bound.
// Method: random and clustered hashes, put in, changed and taken out, beside a dictionary of arrays.

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
            index.insert(hash, value)
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
            index.insert(n &* 0x9E37_79B9_7F4A_7C15, n)
        }
        #expect(n < 1_000_000)
        #expect(values(index, 0x9E37_79B9_7F4A_7C15) == [1])
    }

    @Test(arguments: [0, 2, 6]) func agreesWhileEntriesComeAndGo(partBits: Int) {
        var random = Seeded(UInt64(partBits) + 5)
        var index = HashIndex(partBits: partBits, bytesMax: 1 << 30)
        var expected: [UInt64: [UInt64]] = [:]
        var all: [(hash: UInt64, value: UInt64)] = []
        var wrong = 0
        for n: UInt64 in 1...60_000 {
            // It fills, empties, fills again.
            let isEmptying = n / 10_000 % 2 == 1
            if !all.isEmpty && random.below(10) < (isEmptying ? 7 : 3) {
                let k = random.below(all.count)
                let (hash, value) = all[k]
                if random.oneIn(4) {
                    if !index.replace(hash, value, with: n << 20) { wrong += 1 }
                    all[k].value = n << 20
                    expected[hash]?.removeAll { $0 == value }
                    expected[hash, default: []].append(n << 20)
                } else {
                    if !index.remove(hash, value) || index.remove(hash, value) { wrong += 1 }
                    all[k] = all[all.count - 1]
                    all.removeLast()
                    expected[hash]?.removeAll { $0 == value }
                }
            } else {
                // Half of them crowd at both ends of a part, across its wrap-around.
                let hash = random.oneIn(2) ? random.next() : UInt64(bitPattern: Int64(random.below(40) - 20))
                index.insert(hash, n)
                all.append((hash, n))
                expected[hash, default: []].append(n)
            }
            if n % 1000 == 0 {
                for (hash, found) in expected where values(index, hash) != found.sorted() { wrong += 1 }
                if index.count != all.count { wrong += 1 }
            }
        }
        #expect(wrong == 0)
        for (hash, value) in all where !index.remove(hash, value) { wrong += 1 }
        if index.remove(7, 7) || index.replace(7, 7, with: 8) { wrong += 1 }
        let count = index.count
        #expect(wrong == 0 && count == 0)
    }
}
