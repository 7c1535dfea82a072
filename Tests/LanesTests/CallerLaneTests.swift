// Goal: the callers' lane gives the oldest first and leaks nothing; a bell rings once for each sleep.
// Method: nodes that count their own ends; the bell's descriptor read without waiting.

import Glibc
import SuanpanLanes
import Synchronization
import Testing

private final class Ends: Sendable {
    let count = Atomic<Int>(0)
}

private final class Node: CallerNode, @unchecked Sendable {
    let number: Int
    let ends: Ends
    init(_ number: Int, _ ends: Ends) {
        self.number = number
        self.ends = ends
    }
    deinit { ends.count.add(1, ordering: .relaxed) }
}

@Test func oldestComesFirstAndNothingLeaks() {
    let ends = Ends()
    var lane: CallerLane? = CallerLane()
    #expect(lane?.isEmpty == true)
    for n in 0..<10 { lane?.push(Node(n, ends)) }
    #expect(lane?.isEmpty == false)
    var taken = lane?.takeAll() ?? []
    #expect(taken.compactMap { ($0 as? Node)?.number } == Array(0..<10))
    #expect(lane?.isEmpty == true)
    withExtendedLifetime(taken) { #expect(ends.count.load(ordering: .relaxed) == 0) }
    taken = []
    #expect(ends.count.load(ordering: .relaxed) == 10)
    // What nobody took goes with the lane.
    for n in 0..<5 { lane?.push(Node(n, ends)) }
    lane = nil
    #expect(ends.count.load(ordering: .relaxed) == 15)
}

private func rings(_ bell: Doorbell) -> UInt64 {
    var descriptor = pollfd(fd: bell.descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&descriptor, 1, 0) == 1 else { return 0 }
    var count: UInt64 = 0
    return read(bell.descriptor, &count, 8) == 8 ? count : 0
}

@Test func theBellRingsOnceForEachSleep() throws {
    let bell = try Doorbell()
    bell.ring()
    #expect(rings(bell) == 0, "nobody sleeps")
    bell.willSleep()
    bell.ring()
    bell.ring()
    #expect(rings(bell) == 1)
    bell.willSleep()
    bell.didWake()
    bell.ring()
    #expect(rings(bell) == 0)
}
