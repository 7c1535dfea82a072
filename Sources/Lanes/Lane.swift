// A single-producer single-consumer ring between two cores: bounded, lock-free, never allocates after `init`.
// Cells of 64 bytes; a message takes one, or three when it carries a record. Each side keeps its index and a cached copy
// of the other's on a cache line of its own (after Lamport's queue with the caching of Giacomoni's FastForward and
// Rigtorp's SPSCQueue), so that a busy lane moves one line per message between the cores.

internal import CSuanpanSupport
public import SuanpanCore
public import Synchronization

/// What one side of a lane keeps to itself. Beside it, on the same cache line, stands the atomic that it publishes: apart,
/// since changing this must not count as changing what the other side reads.
@frozen @usableFromInline
struct LaneSide: BitwiseCopyable {
    /// This side's own position, ahead of what it has published until it is flushed.
    @usableFromInline var position: UInt64 = 0
    /// The other side's published position when last looked at.
    @usableFromInline var other: UInt64 = 0

    @usableFromInline init() {}
}

/// A handle of a lane: both cores hold one, the producer calls `push` and `flush`, the consumer the rest.
/// The memory is the `LaneOwner`'s.
@safe @frozen
public struct Lane: BitwiseCopyable, @unchecked Sendable {
    // SAFETY of Sendable: exactly one thread is the producer and one the consumer; each writes only its own side, and
    // cells pass from one to the other by the release and acquire of `tail` and `head`.
    @usableFromInline let producer: UnsafeMutablePointer<LaneSide>
    @usableFromInline let consumer: UnsafeMutablePointer<LaneSide>
    /// How far each side has come, in cells since the beginning: the producer's tail, the consumer's head.
    @usableFromInline let tail: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let head: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let cells: UnsafeMutableRawPointer
    @usableFromInline let mask: UInt64

    @usableFromInline static let cellBytes = 64
    /// Cells of a message without and with a record.
    public static let headCells = 1
    public static let recordCells = 3

    /// - Parameters:
    ///   - page: A zeroed page: each side's line, 128 bytes apart against the prefetcher of pairs.
    @usableFromInline
    init(page: UnsafeMutableRawPointer, cells: UnsafeMutableRawPointer, mask: UInt64) {
        unsafe tail = page.bindMemory(to: Atomic<UInt64>.self, capacity: 1)
        unsafe producer = (page + 8).bindMemory(to: LaneSide.self, capacity: 1)
        unsafe head = (page + 128).bindMemory(to: Atomic<UInt64>.self, capacity: 1)
        unsafe consumer = (page + 136).bindMemory(to: LaneSide.self, capacity: 1)
        unsafe tail.initialize(to: Atomic(0))
        unsafe producer.initialize(to: LaneSide())
        unsafe head.initialize(to: Atomic(0))
        unsafe consumer.initialize(to: LaneSide())
        unsafe self.cells = cells
        self.mask = mask
    }

    // SAFETY of the accesses below: positions are masked into the cells' memory, which lives as long as the owner.

    /// Cells that the producer can still fill without waiting.
    @inlinable
    public func room(atLeast wanted: Int) -> Bool {
        let used = unsafe producer.pointee.position &- producer.pointee.other
        if mask + 1 - used >= UInt64(wanted) { return true }
        // Acquire: pairs with the consumer's release in `release()`; the cells before it are free to be written.
        unsafe producer.pointee.other = head.pointee.load(ordering: .acquiring)
        return unsafe mask + 1 - (producer.pointee.position &- producer.pointee.other) >= UInt64(wanted)
    }

    /// Appends a message; it becomes visible with `flush`. The caller has made sure of `room`, by a credit.
    @inlinable @inline(__always)
    public func push(_ message: Message) {
        invariant(room(atLeast: 1), "a lane is full: a sender had no credit")
        unsafe cell(producer.pointee.position).storeBytes(of: message, as: Message.self)
        unsafe producer.pointee.position &+= 1
    }

    /// Appends a message and its record.
    @inlinable @inline(__always)
    public func push(_ message: Message, _ record: Transfer) {
        invariant(room(atLeast: 3), "a lane is full: a sender had no credit")
        let at = unsafe producer.pointee.position
        unsafe cell(at).storeBytes(of: message, as: Message.self)
        unsafe cell(at &+ 1).storeBytes(of: record, as: Transfer.self)
        unsafe producer.pointee.position &+= 3
    }

    /// Makes what was pushed visible to the consumer. Returns true when there was anything.
    @inlinable @discardableResult
    public func flush() -> Bool {
        let position = unsafe producer.pointee.position
        // Relaxed: only this side writes it.
        if unsafe tail.pointee.load(ordering: .relaxed) == position { return false }
        // Release: pairs with the consumer's acquire in `next`; the cells are written before.
        unsafe tail.pointee.store(position, ordering: .releasing)
        return true
    }

    /// The next message without taking it, or nil.
    @inlinable @inline(__always)
    public func peek() -> Message? {
        let position = unsafe consumer.pointee.position
        if unsafe position == consumer.pointee.other {
            // Acquire: pairs with `flush`.
            unsafe consumer.pointee.other = tail.pointee.load(ordering: .acquiring)
            if unsafe position == consumer.pointee.other { return nil }
        }
        return unsafe cell(position).load(as: Message.self)
    }

    /// The record of the message just peeked, in place: until `release`.
    @inlinable @inline(__always)
    public func peekRecord() -> TransferReference {
        unsafe record(consumer.pointee.position &+ 1)
    }

    /// A record that begins in the ring's last cell ends in the one behind it: see `LaneOwner`.
    @inlinable @inline(__always)
    func record(_ at: UInt64) -> TransferReference {
        unsafe TransferReference(UnsafePointer(cell(at).assumingMemoryBound(to: Transfer.self)))
    }

    /// The record of the `k`-th message from the front of a lane on which every message carries one; nil: not there yet.
    /// For looking ahead only: nothing is taken.
    @inlinable @inline(__always)
    public func peekRecord(ahead k: Int) -> TransferReference? {
        let at = unsafe consumer.pointee.position &+ UInt64(k * Self.recordCells)
        guard unsafe consumer.pointee.other &- consumer.pointee.position > UInt64(k * Self.recordCells) else {
            return nil
        }
        return record(at &+ 1)
    }

    /// The message `cells` behind the front, for looking ahead; nil: not there yet. Its record follows it.
    @inlinable @inline(__always)
    public func peek(ahead cells: Int) -> Message? {
        let at = unsafe consumer.pointee.position &+ UInt64(cells)
        guard unsafe consumer.pointee.other &- consumer.pointee.position > UInt64(cells) else { return nil }
        return unsafe cell(at).load(as: Message.self)
    }

    /// The record of the message `cells` behind the front.
    @inlinable @inline(__always)
    public func record(ahead cells: Int) -> TransferReference {
        unsafe record(consumer.pointee.position &+ UInt64(cells + 1))
    }

    /// Takes the message just peeked. Its cells go back to the producer with `release`.
    @inlinable @inline(__always)
    public func take(_ message: Message) {
        unsafe consumer.pointee.position &+= message.hasRecord ? 3 : 1
    }

    /// Gives the cells of taken messages back to the producer.
    @inlinable
    public func release() {
        let position = unsafe consumer.pointee.position
        // Relaxed: only this side writes it.
        if unsafe head.pointee.load(ordering: .relaxed) != position {
            // Release: pairs with the producer's acquire in `room`; the cells were read before.
            unsafe head.pointee.store(position, ordering: .releasing)
        }
    }

    /// True when the consumer would find nothing; asked before it goes to sleep.
    @inlinable
    public var isEmpty: Bool {
        // Sequentially consistent: pairs with the producer's flush-then-look-at-the-sleeper (Doorbell).
        unsafe tail.pointee.load(ordering: .sequentiallyConsistent) == consumer.pointee.position
    }

    /// All cells of the ring.
    @inlinable public var capacity: Int { Int(mask + 1) }

    /// Cells waiting, as the consumer sees them.
    @inlinable public var depth: Int {
        unsafe Int(
            tail.pointee.load(ordering: .relaxed) &- head.pointee.load(ordering: .relaxed))
    }

    @inlinable @inline(__always)
    func cell(_ position: UInt64) -> UnsafeMutableRawPointer {
        unsafe cells + Int(position & mask) * Self.cellBytes
    }
}

/// Owns a lane's memory; outlives both cores' handles.
@safe
public struct LaneOwner: ~Copyable {
    public let lane: Lane
    private let bytes: Int
    private let page: UnsafeMutableRawPointer

    /// One more cell stands behind the ring, so that the two of a record are always side by side. The first one is then
    /// left out: its position in the sequence is the one behind.
    /// - Parameter cells: Rounded up to a power of two.
    /// - Throws: When the machine does not give the memory.
    public init(cells: Int) throws(SystemError) {
        let capacity = Self.capacity(cells: cells)
        let bytes = Self.bytes(cells: cells)
        guard let memory = unsafe suanpan_map(bytes, bytes >= 2 << 20 ? 1 : 0) else {
            throw MemoryReserve.refused(bytes, "a lane between shards")
        }
        // A page of its own: both sides start on cache lines that nothing else shares.
        guard let page = unsafe suanpan_map(4096, 0) else {
            unsafe suanpan_unmap(memory, bytes)
            throw MemoryReserve.refused(4096, "a lane between shards")
        }
        self.bytes = bytes
        unsafe self.page = page
        lane = unsafe Lane(page: page, cells: memory, mask: UInt64(capacity - 1))
    }

    private static func capacity(cells: Int) -> Int {
        var capacity = 64
        while capacity < cells { capacity *= 2 }
        return capacity
    }

    /// What a lane of so many cells takes.
    public static func bytes(cells: Int) -> Int { (capacity(cells: cells) + 1) * Lane.cellBytes }

    deinit {
        unsafe suanpan_unmap(lane.cells, bytes)
        unsafe suanpan_unmap(page, 4096)
    }
}

// SAFETY: owns memory only; who may touch it is the lane's contract.
extension LaneOwner: @unchecked Sendable {}
