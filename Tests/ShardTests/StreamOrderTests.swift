import SuanpanCore
import Testing

@testable import SuanpanShard

/// Goal: the next command of a stream is told of the newest thing of its own that it must not pass, and of no other
/// stream's. Method: the lists alone; a seeded history against arrays.
@Suite struct StreamOrderTests {
    private func obstacle(_ order: borrowing StreamOrder, _ stream: UInt32) -> StreamObstacle? {
        order.obstacle(stream)
    }

    @Test func waitersComeBeforeSlots() {
        var order = StreamOrder(waiters: 8, slots: 8)
        #expect(obstacle(order, 5) == nil)
        order.add(slot: 2, 5)
        #expect(obstacle(order, 5) == .slot(2))
        order.add(waiter: 3, 5)
        #expect(obstacle(order, 5) == .waiter(3))
        order.checkInvariants()
        order.remove(waiter: 3)
        #expect(obstacle(order, 5) == .slot(2))
        order.remove(slot: 2)
        #expect(obstacle(order, 5) == nil)
        order.checkInvariants()
    }

    @Test func theNewestIsTheObstacle() {
        var order = StreamOrder(waiters: 8, slots: 8)
        for waiter in [1, 6, 4] { order.add(waiter: waiter, 9) }
        #expect(obstacle(order, 9) == .waiter(4))
        // One between the others goes.
        order.remove(waiter: 6)
        order.checkInvariants()
        order.remove(waiter: 4)
        #expect(obstacle(order, 9) == .waiter(1))
    }

    /// Streams that share a list are told apart.
    @Test func otherStreamsAreNoObstacle() {
        var order = StreamOrder(waiters: 8, slots: 8)
        order.add(waiter: 0, 3)
        order.add(slot: 0, 3 + 8)
        #expect(obstacle(order, 3 + 16) == nil)
        #expect(obstacle(order, 3) == .waiter(0) && obstacle(order, 3 + 8) == .slot(0))
        order.checkInvariants()
    }

    /// A slot may be told twice to keep an order, or to keep it no more.
    @Test func aSlotIsInOnce() {
        var order = StreamOrder(waiters: 8, slots: 8)
        order.add(slot: 7, 1)
        order.add(slot: 7, 1)
        order.checkInvariants()
        order.remove(slot: 7)
        order.remove(slot: 7)
        order.checkInvariants()
        #expect(obstacle(order, 1) == nil)
    }

    @Test(arguments: 1...4) func itAgreesWithArrays(seed: Int) {
        var order = StreamOrder(waiters: 16, slots: 16)
        var waiting: [(place: Int, stream: UInt32)] = []
        var slots: [(place: Int, stream: UInt32)] = []
        var state = UInt64(seed)
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0..<4000 {
            let (place, stream) = (next(16), UInt32(next(40) + 1))
            if next(2) == 0 {
                if let i = waiting.firstIndex(where: { $0.place == place }) {
                    waiting.remove(at: i)
                    order.remove(waiter: place)
                } else {
                    waiting.append((place, stream))
                    order.add(waiter: place, stream)
                }
            } else {
                if let i = slots.firstIndex(where: { $0.place == place }) {
                    slots.remove(at: i)
                    order.remove(slot: UInt32(place))
                } else {
                    slots.append((place, stream))
                    order.add(slot: UInt32(place), stream)
                }
            }
            let asked = UInt32(next(40) + 1)
            let waiter = waiting.last { $0.stream == asked }.map { StreamObstacle.waiter($0.place) }
            let slot = slots.last { $0.stream == asked }.map { StreamObstacle.slot(UInt32($0.place)) }
            #expect(obstacle(order, asked) == waiter ?? slot)
            order.checkInvariants()
        }
    }
}
