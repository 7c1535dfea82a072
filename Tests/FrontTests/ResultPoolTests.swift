// Goal: requests under way never share a place for their results, and those of one size leave the others theirs; the memory
// plan counts all of it. Method: a small pool, taken until it is empty, with something written to every place.

import SuanpanCore
import Testing

@testable import SuanpanFront

private func tiny() -> FrontBounds {
    FrontBounds(
        requests: 3, largeRequests: 2, largeLookups: 2, requestsPerConnection: 8, outputBytes: 1 << 20, eventsOut: 128)
}

@Test func placesOfAllSizesAreApart() throws {
    var pool = try ResultPool(tiny())
    let full = Limits.eventsPerRequestMax
    let sizes: [(bytes: Int, results: Int, places: Int)] = [
        (ResultPool.smallBytes, 64, 3), (full * 16, full, 2), (full * ResultPool.recordStride, full, 2),
    ]
    for turn in 0..<2 {
        var taken: [(buffer: UInt32, results: Int)] = []
        // The largest first: a smaller request never takes a larger one's place.
        for size in sizes.reversed() {
            for _ in 0..<size.places {
                let buffer = pool.take(bytes: size.bytes)
                taken.append((try #require(buffer), size.results))
            }
            let another = pool.take(bytes: size.bytes)
            #expect(another == nil)
        }
        for (i, place) in taken.enumerated() {
            for k in [0, place.results - 1] {
                pool.store(EventResult(.created, timestamp: Timestamp(UInt64(1000 * i + k))), place.buffer, k)
            }
        }
        for (i, place) in taken.enumerated() {
            for k in [0, place.results - 1] {
                let found = pool.result(place.buffer, k).timestamp
                #expect(found == Timestamp(UInt64(1000 * i + k)), "turn \(turn), place \(i)")
            }
        }
        for place in taken { pool.give(place.buffer) }
    }
}

@Test func aFrontCountsWhatItMaps() {
    let bounds = FrontBounds(shardCount: 1)
    let results = 16384 * 1024 + 128 * 8190 * 16 + 16 * 8190 * 144
    #expect(bounds.memoryBytes == 64 * 64 << 10 + results)
    #expect(FrontBounds(shardCount: 1, isSmall: true).memoryBytes < bounds.memoryBytes / 3)
}
