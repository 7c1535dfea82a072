// Seeded randomness of the load: xoshiro256++ (Blackman and Vigna) seeded by splitmix64, and a Zipf sampler by Walker's
// alias table: O(1) a draw, whatever the number of accounts.

internal import Glibc

/// The same seed gives the same draws on every machine.
struct Random {
    private var a: UInt64
    private var b: UInt64
    private var c: UInt64
    private var d: UInt64

    init(seed: UInt64) {
        var state = seed
        a = Self.splitmix(&state)
        b = Self.splitmix(&state)
        c = Self.splitmix(&state)
        d = Self.splitmix(&state)
    }

    static func splitmix(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    @inline(__always)
    mutating func next() -> UInt64 {
        let sum = a &+ d
        let result = ((sum << 23) | (sum >> 41)) &+ a
        let t = b << 17
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= t
        d = (d << 45) | (d >> 19)
        return result
    }

    /// 0 to `bound`−1, by multiplication: the bias is below bound/2^32.
    @inline(__always)
    mutating func below(_ bound: UInt32) -> UInt32 { Self.scale(next(), bound) }

    /// The high 32 bits of `draw`, scaled to 0 to `bound`−1.
    @inline(__always)
    static func scale(_ draw: UInt64, _ bound: UInt32) -> UInt32 {
        UInt32(truncatingIfNeeded: ((draw >> 32) &* UInt64(bound)) >> 32)
    }

    /// Above 0, at most 1.
    mutating func unit() -> Double { Double((next() >> 11) + 1) * 0x1p-53 }

    /// Exponentially distributed with mean 1.
    mutating func exponential() -> Double { -log(unit()) }
}

/// Ranks 0 to n−1, rank r drawn in proportion to 1/(r+1)^exponent.
struct Zipf: Sendable {
    /// Threshold of 2^32 for staying, and the rank to go to otherwise.
    private let cells: [(threshold: UInt32, alias: UInt32)]
    var count: Int { cells.count }

    init(count: Int, exponent: Double) {
        var weights = (0..<count).map { pow(Double($0 + 1), -exponent) }
        let scale = Double(count) / weights.reduce(0, +)
        var small: [Int] = []
        var large: [Int] = []
        for i in weights.indices {
            weights[i] *= scale
            if weights[i] < 1 { small.append(i) } else { large.append(i) }
        }
        var cells = [(threshold: UInt32, alias: UInt32)](repeating: (.max, 0), count: count)
        for i in cells.indices { cells[i].alias = UInt32(i) }
        while let s = small.popLast(), let l = large.last {
            cells[s] = (UInt32(min(weights[s], 1) * 4_294_967_295), UInt32(l))
            weights[l] -= 1 - weights[s]
            if weights[l] < 1 {
                large.removeLast()
                small.append(l)
            }
        }
        self.cells = cells
    }

    @inline(__always)
    func draw(_ random: inout Random) -> UInt32 {
        let bits = random.next()
        let rank = Random.scale(bits, UInt32(truncatingIfNeeded: cells.count))
        let cell = cells[Int(rank)]
        return UInt32(truncatingIfNeeded: bits) <= cell.threshold ? rank : cell.alias
    }
}
