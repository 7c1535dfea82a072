// What a shard's journal and the thread that prepares segments tell each other: four words in shared memory and a
// bell. The journal reads and writes them without a lock; the table owns the memory, and both sides keep it alive.

internal import CSuanpanSupport
internal import SuanpanCore
internal import Synchronization

/// One shard's cell: a cache line each side would be wasted on words that change once per segment.
struct SupplyCell: ~Copyable {
    /// Highest segment number that exists under its name. Written by the preparer.
    let ready = Atomic<UInt64>(0)
    /// Segment that the journal fills; 0: not opened yet, prepare nothing. Written by the journal.
    let used = Atomic<UInt64>(0)
    /// 0: fine; positive: errno of what is tried again, a full disk or a shortage; negative: −errno of a failure that ends
    /// the shard. Written by the preparer.
    let trouble = Atomic<Int32>(0)
}

/// A journal's handle to its prepared segments. Keeps what it points to alive: a journal may end after its preparer.
@safe
public struct SegmentSupply: @unchecked Sendable {
    // SAFETY of Sendable and of all accesses: the cell holds atomics only; its memory lives as long as the table.
    private let table: SupplyTable
    private let cell: UnsafeMutablePointer<SupplyCell>

    fileprivate init(_ table: SupplyTable, cell: UnsafeMutablePointer<SupplyCell>) {
        self.table = table
        unsafe self.cell = cell
    }

    /// Highest segment that can be written. Acquire: pairs with the release of `publish`; the file is there before.
    var ready: UInt64 { unsafe cell.pointee.ready.load(ordering: .acquiring) }
    /// Errno of why no segment can be made at present, 0 when nothing is in the way: a full disk or a shortage.
    /// Relaxed: a hint that admission follows soon after, nothing is read behind it.
    var hindrance: CInt { unsafe max(0, cell.pointee.trouble.load(ordering: .relaxed)) }
    var isDiskFull: Bool { System.isDiskFull(hindrance) }
    /// Errno of a failed preparation, 0 when there was none. Relaxed: as above.
    var failure: CInt { unsafe max(0, -cell.pointee.trouble.load(ordering: .relaxed)) }

    /// The journal opened: it fills `segment`, and all up to `ready` exist.
    func begin(segment: UInt64, ready: UInt64) {
        // Release: pairs with the preparer's acquire of `used`, which comes before it reads `ready`.
        unsafe cell.pointee.ready.store(ready, ordering: .relaxed)
        unsafe cell.pointee.used.store(segment, ordering: .releasing)
        System.ring(table.bell)
    }

    /// The journal moved on to `segment`.
    func use(_ segment: UInt64) {
        unsafe cell.pointee.used.store(segment, ordering: .releasing)
        System.ring(table.bell)
    }

    /// The journal is gone: prepare no more.
    func end() { unsafe cell.pointee.used.store(0, ordering: .releasing) }

    // MARK: The preparer's side

    /// Acquire: pairs with `begin`.
    var used: UInt64 { unsafe cell.pointee.used.load(ordering: .acquiring) }
    func publish(ready: UInt64) { unsafe cell.pointee.ready.store(ready, ordering: .releasing) }
    func publish(trouble: Int32) { unsafe cell.pointee.trouble.store(trouble, ordering: .relaxed) }
}

/// Owns the cells of all shards and the preparer's bell, for whoever of both sides ends last.
@safe
final class SupplyTable: @unchecked Sendable {
    // SAFETY of Sendable: atomics only.
    private let cells: UnsafeMutablePointer<SupplyCell>
    let count: Int
    let bell: CInt

    init(count: Int) throws(JournalError) {
        bell = try System.makeBell()
        self.count = count
        unsafe cells = .allocate(capacity: max(1, count))
        for i in 0..<count { unsafe (cells + i).initialize(to: SupplyCell()) }
    }

    deinit {
        unsafe cells.deinitialize(count: count)
        unsafe cells.deallocate()
        System.close(bell)
    }

    func supply(_ index: Int) -> SegmentSupply {
        invariant(index >= 0 && index < count, "supply \(index) of \(count)")
        return unsafe SegmentSupply(self, cell: cells + index)
    }
}
