// All that is left to chance in a simulation.

/// SplitMix64: the same numbers for the same seed, for ever.
struct Dice {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678 }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
    mutating func between(_ a: Int, _ b: Int) -> Int { a + below(b - a + 1) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<T>(_ items: [T]) -> T { items[below(items.count)] }
    mutating func shuffled<T>(_ items: [T]) -> [T] {
        var items = items
        var i = items.count
        while i > 1 {
            let j = below(i)
            i -= 1
            items.swapAt(i, j)
        }
        return items
    }
}
