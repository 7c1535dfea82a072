// Goal: what one thread pushes, another gets, whole, once and in order; nothing wakes too late. ThreadSanitizer's
// subject: swift test --sanitize=thread --filter LanesTests.
// Method: real threads, small rings that wrap often, contents that name their place; bounded counts, no sleeps.

import Foundation
import SuanpanCore
import SuanpanLanes
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Runs bodies on threads of their own and waits for all.
private func together(_ bodies: [@Sendable () -> Void]) {
    let left = DispatchGroup()
    for body in bodies {
        left.enter()
        let thread = Thread {
            body()
            left.leave()
        }
        thread.start()
    }
    left.wait()
}

/// What a core does when it has nothing to do: sleeps until the bell rings, unless something has come; at most ten
/// seconds, which count as a wake lost.
private func sleep(
    _ bell: Doorbell, unless hasWork: () -> Bool, _ sleeps: borrowing Atomic<Int>, _ lost: borrowing Atomic<Int>
) {
    bell.willSleep()
    if !hasWork() {
        var descriptor = pollfd(fd: bell.descriptor, events: Int16(POLLIN), revents: 0)
        sleeps.add(1, ordering: .relaxed)
        if poll(&descriptor, 1, 10_000) == 0 { lost.add(1, ordering: .relaxed) }
        var word: UInt64 = 0
        if descriptor.revents != 0 { _ = read(bell.descriptor, &word, 8) }
    }
    bell.didWake()
}

private final class LaneBox: Sendable {
    let owner: LaneOwner
    init(_ cells: Int) throws { owner = try LaneOwner(cells: cells) }
}

@Suite struct LaneTests {
    private static func record(_ n: UInt64) -> Transfer {
        var t = Transfer(
            id: TransferID(UInt128(n)), debit: AccountID(UInt128(n) << 64 | 1), credit: AccountID(~UInt128(n)),
            amount: Amount(UInt128(n) &* 0x1234_5678_9ABC), ledger: UInt32(truncatingIfNeeded: n), code: 3,
            userData128: UInt128(n) << 3, userData64: n &* 31, userData32: UInt32(truncatingIfNeeded: n >> 3))
        t.timestamp = Timestamp(n ^ 0xFFFF)
        return t
    }

    @Test(arguments: [64, 128, 1024]) func wholeAndInOrderThroughManyWraps(cells: Int) throws {
        let box = try LaneBox(cells)
        let count: UInt64 = 200_000
        let wrong = Atomic<Int>(0)
        let received = Atomic<UInt64>(0)
        withExtendedLifetime(box) {
            let lane = box.owner.lane
            together([
                {
                    for n in 0..<count {
                        // Every third has a record of three cells: they begin at every place of the ring.
                        let hasRecord = n % 3 == 0
                        while !lane.room(atLeast: hasRecord ? 3 : 1) {
                            lane.flush()
                            sched_yield()
                        }
                        var message = Message(
                            hasRecord ? .request : .commit, from: ShardID(1), slot: UInt32(truncatingIfNeeded: n))
                        message.sequence = n
                        message.clock = n &* 7
                        if hasRecord { lane.push(message, Self.record(n)) } else { lane.push(message) }
                        if n % 5 == 0 { lane.flush() }
                    }
                    lane.flush()
                },
                {
                    var n: UInt64 = 0
                    while n < count {
                        guard let message = lane.peek() else {
                            lane.release()
                            sched_yield()
                            continue
                        }
                        if message.sequence != n || message.clock != n &* 7 || message.hasRecord != (n % 3 == 0) {
                            wrong.add(1, ordering: .relaxed)
                        }
                        if message.hasRecord, lane.peekRecord().value != Self.record(n) {
                            wrong.add(1, ordering: .relaxed)
                        }
                        lane.take(message)
                        n += 1
                        if n % 4 == 0 { lane.release() }
                    }
                    lane.release()
                    received.store(n, ordering: .relaxed)
                },
            ])
            #expect(lane.isEmpty)
            #expect(lane.depth == 0)
        }
        #expect(received.load(ordering: .relaxed) == count)
        #expect(wrong.load(ordering: .relaxed) == 0)
    }

    @Test func nothingIsSeenBeforeFlushAndNoRoomBeforeRelease() throws {
        let box = try LaneBox(64)
        withExtendedLifetime(box) {
            let lane = box.owner.lane
            for n: UInt32 in 0..<64 {
                #expect(lane.room(atLeast: 1))
                lane.push(Message(.commit, from: ShardID(0), slot: n))
            }
            #expect(!lane.room(atLeast: 1))
            #expect(lane.peek() == nil && lane.isEmpty)
            #expect(lane.flush())
            #expect(!lane.flush())
            for n: UInt32 in 0..<64 {
                let message = lane.peek()
                #expect(message?.slot == n)
                if let message { lane.take(message) }
                #expect(!lane.room(atLeast: 1))
            }
            lane.release()
            #expect(lane.room(atLeast: 64))
            #expect(!lane.room(atLeast: 65))
        }
    }

    private final class Node: CallerNode, @unchecked Sendable {
        // SAFETY of Sendable: constants.
        let producer: Int
        let number: Int
        init(_ producer: Int, _ number: Int) {
            self.producer = producer
            self.number = number
        }
    }

    @Test func callerLaneKeepsEachProducersOrder() {
        let lane = CallerLane()
        let producers = 6
        let each = 20_000
        let wrong = Atomic<Int>(0)
        let total = Atomic<Int>(0)
        var bodies: [@Sendable () -> Void] = (0..<producers).map { p in
            { for n in 0..<each { lane.push(Node(p, n)) } }
        }
        bodies.append {
            var next = Array(repeating: 0, count: producers)
            var count = 0
            while count < producers * each {
                let nodes = lane.takeAll()
                if nodes.isEmpty { sched_yield() }
                for node in nodes {
                    guard let node = node as? Node else { continue }
                    if next[node.producer] != node.number { wrong.add(1, ordering: .relaxed) }
                    next[node.producer] += 1
                    count += 1
                }
            }
            total.store(count, ordering: .relaxed)
        }
        together(bodies)
        #expect(total.load(ordering: .relaxed) == producers * each)
        #expect(wrong.load(ordering: .relaxed) == 0)
        #expect(lane.isEmpty && lane.takeAll().isEmpty)
    }

    /// The consumer sleeps in `poll` whenever its lane is empty; a wake that is lost would leave it there: the test's
    /// bound of ten seconds per sleep stands for "for ever".
    @Test func doorbellLosesNoWake() throws {
        let box = try LaneBox(64)
        let bell = try Doorbell()
        let count: UInt64 = 30_000
        let lost = Atomic<Int>(0)
        let sleeps = Atomic<Int>(0)
        withExtendedLifetime(box) {
            let lane = box.owner.lane
            together([
                {
                    while sleeps.load(ordering: .relaxed) == 0 { sched_yield() }
                    for n in 0..<count {
                        while !lane.room(atLeast: 1) { sched_yield() }
                        lane.push(Message(.commit, from: ShardID(0), slot: UInt32(truncatingIfNeeded: n)))
                        lane.flush()
                        bell.ring()
                        // Now and then the consumer is left to fall asleep.
                        if n % 64 == 0 { sched_yield() }
                    }
                },
                {
                    var n: UInt64 = 0
                    while n < count {
                        while let message = lane.peek() {
                            lane.take(message)
                            n += 1
                        }
                        lane.release()
                        if n == count { break }
                        sleep(bell, unless: { !lane.isEmpty }, sleeps, lost)
                    }
                },
            ])
        }
        #expect(lost.load(ordering: .relaxed) == 0)
        #expect(sleeps.load(ordering: .relaxed) > 0)
    }

    /// The same with callers on many threads, who ring after each push.
    @Test func manyCallersLoseNoWake() throws {
        let lane = CallerLane()
        let bell = try Doorbell()
        let producers = 6
        let each = 5_000
        let lost = Atomic<Int>(0)
        let sleeps = Atomic<Int>(0)
        let wrong = Atomic<Int>(0)
        var bodies: [@Sendable () -> Void] = (0..<producers).map { p in
            {
                // However the threads are scheduled, the consumer sleeps once.
                while sleeps.load(ordering: .relaxed) == 0 { sched_yield() }
                for n in 0..<each {
                    lane.push(Node(p, n))
                    bell.ring()
                    if n % 64 == p { sched_yield() }
                }
            }
        }
        bodies.append {
            var next = Array(repeating: 0, count: producers)
            while next.contains(where: { $0 < each }) {
                for case let node as Node in lane.takeAll() {
                    if next[node.producer] != node.number { wrong.add(1, ordering: .relaxed) }
                    next[node.producer] += 1
                }
                if next.contains(where: { $0 < each }) { sleep(bell, unless: { !lane.isEmpty }, sleeps, lost) }
            }
        }
        together(bodies)
        #expect(lost.load(ordering: .relaxed) == 0 && wrong.load(ordering: .relaxed) == 0)
        #expect(sleeps.load(ordering: .relaxed) > 0)
    }
}
