// The order within a stream: what later commands of one connection must not pass, so that single transfers, creations and
// reads that one shard decides keep the order in which they came. Waiters do, which hold nothing; and slots that hold
// nothing yet, or will be decided within the shard. (Crossing ones in order are seen by their reservations.)
//
// It knows slots and waiters by their places only. Streams that share a place share a list, which few do.

internal import SuanpanCore

/// What a command of a stream must not pass.
enum StreamObstacle: Equatable {
    case waiter(Int)
    case slot(UInt32)
}

struct StreamOrder: ~Copyable {
    private var waiters: StreamList
    private var slots: StreamList

    /// - Parameters:
    ///   - waiters: Places of waiters, `slots` those of slots.
    init(waiters: Int, slots: Int) {
        self.waiters = StreamList(count: waiters)
        self.slots = StreamList(count: slots)
    }

    /// What the next command of the stream must wait for.
    /// - Complexity: O(1), whatever waits in other streams.
    func obstacle(_ stream: UInt32) -> StreamObstacle? {
        // Once one waits, all later ones do, for the same.
        if let waiter = waiters.newest(stream) { return .waiter(waiter) }
        return slots.newest(stream).map { .slot(UInt32(truncatingIfNeeded: $0)) }
    }

    mutating func add(waiter: Int, _ stream: UInt32) { waiters.add(waiter, stream) }
    mutating func remove(waiter: Int) { waiters.remove(waiter) }

    /// Does nothing when it is there.
    mutating func add(slot: UInt32, _ stream: UInt32) {
        if !slots.contains(Int(slot)) { slots.add(Int(slot), stream) }
    }

    /// Does nothing when it is not there.
    mutating func remove(slot: UInt32) { if slots.contains(Int(slot)) { slots.remove(Int(slot)) } }

    var isEmpty: Bool { waiters.count == 0 && slots.count == 0 }
    func contains(slot: UInt32) -> Bool { slots.contains(Int(slot)) }

    func checkInvariants() {
        waiters.checkInvariants()
        slots.checkInvariants()
    }
}
