// Goal: timestamps are unique over all shards, rise within one, and come after all that was observed. Method: the
// clocks of several shards in random turns, some of them told what others showed.

import SuanpanCore
import Testing

@Test(arguments: [1, 2, 3, 7, 64]) func timestampsAreUniqueAndFollowWhatWasSeen(shardCount: Int) {
    var random = Seeded(UInt64(shardCount))
    var clocks = (0..<shardCount).map {
        HybridClock(shard: ShardID($0), shardCount: shardCount, after: Timestamp(1000))
    }
    var last = [UInt64](repeating: 1000, count: shardCount)
    var seen = Set<UInt64>()
    var time: UInt64 = 900
    for _ in 0..<50_000 {
        let i = random.below(shardCount)
        switch random.below(8) {
        case 0:
            // The engine's time, which may stand still or be behind.
            time += UInt64(random.below(50))
            clocks[i].observe(time)
            last[i] = max(last[i], time)
        case 1:
            let clock = clocks[random.below(shardCount)].now
            clocks[i].observe(clock)
            last[i] = max(last[i], clock)
        default:
            let t = clocks[i].next().nanoseconds
            #expect(t > last[i], "not later than what shard \(i) had seen")
            #expect(t % UInt64(shardCount) == UInt64(i))
            #expect(seen.insert(t).inserted, "\(t) twice")
            #expect(clocks[i].now == t)
            last[i] = t
        }
        #expect(clocks[i].now >= last[i])
    }
}

@Test func timestampsStayCloseToTheTimeObserved() {
    var clock = HybridClock(shard: ShardID(5), shardCount: 8, after: .zero)
    clock.observe(1_000_000)
    let first = clock.next().nanoseconds
    #expect(first > 1_000_000 && first <= 1_000_008)
    #expect(clock.next().nanoseconds == first + 8)
    clock.observe(10)
    #expect(clock.next().nanoseconds == first + 16)
}

/// SplitMix64.
private struct Seeded {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func below(_ bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((z ^ (z >> 31)) % UInt64(bound))
    }
}
