// Huge pages mapped and touched ahead of need. The kernel zeroes a page of 2 MiB when it is first touched, which takes a
// shard 0.1 ms on bare metal and several where a hypervisor must find the memory first: a growing table would stop
// every few thousand transfers. A thread beside the shard keeps some ready.

internal import CSuanpanSupport
internal import Dispatch
internal import Synchronization

/// A stock of zeroed huge pages between one thread that fills it and one that takes: a ring of addresses.
@safe
public final class PageStock: Sendable {
    public static let pageBytes = 1 << 21

    // SAFETY: a place is written by the filler before it is counted in `filled`, and read by the taker after that.
    nonisolated(unsafe) private let places: UnsafeMutablePointer<UInt>
    private let count: Int
    private let filled = Atomic<Int>(0)
    private let taken = Atomic<Int>(0)
    private let isAsleep = Atomic<Bool>(false)
    private let isStopped = Atomic<Bool>(false)
    private let bell = DispatchSemaphore(value: 0)

    /// - Parameter pages: Kept ready; at least 1. None is until `fill` has run.
    public init(pages: Int) {
        count = max(1, pages)
        unsafe places = .allocate(capacity: count)
        unsafe places.initialize(repeating: 0, count: count)
    }

    deinit {
        while let page = unsafe take() { unsafe suanpan_unmap(page, Self.pageBytes) }
        unsafe places.deallocate()
    }

    /// Pages that are ready.
    public var ready: Int { filled.load(ordering: .relaxed) - taken.load(ordering: .relaxed) }

    /// A page, the caller's from now on; nil: none is ready. Wakes the filler when a quarter is gone.
    /// - Complexity: O(1); waits for nothing.
    func take() -> UnsafeMutableRawPointer? {
        let next = taken.load(ordering: .relaxed)
        // Acquire: pairs with the release in `fill`; the place is written before.
        let left = filled.load(ordering: .acquiring) - next
        guard left > 0 else {
            wake()
            return nil
        }
        let page = unsafe places[next % count]
        // Release: pairs with the acquire in `fill`; the place was read before it is written again.
        taken.store(next + 1, ordering: .releasing)
        if (left - 1) * 4 <= count * 3 { wake() }
        return unsafe UnsafeMutableRawPointer(bitPattern: page)
    }

    private func wake() {
        if isAsleep.exchange(false, ordering: .sequentiallyConsistent) { bell.signal() }
    }

    /// Adds one page. Returns false when the stock is full, or the machine gives no more.
    public func fill() -> Bool {
        let next = filled.load(ordering: .relaxed)
        guard next - taken.load(ordering: .acquiring) < count, let page = unsafe suanpan_map_ahead(Self.pageBytes, 1)
        else { return false }
        // One write suffices where the kernel has a huge page; else every small one needs its own.
        for offset in stride(from: 0, to: Self.pageBytes, by: 4096) {
            unsafe page.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
        }
        unsafe places[next % count] = UInt(bitPattern: page)
        filled.store(next + 1, ordering: .releasing)
        return true
    }

    /// Keeps the stock full until `stop`: the body of the filler's thread.
    public func run() {
        while !isStopped.load(ordering: .sequentiallyConsistent) {
            if fill() { continue }
            isAsleep.store(true, ordering: .sequentiallyConsistent)
            // Once more: some may have been taken between the look and the word that it sleeps.
            if !fill() {
                if ready == count {
                    bell.wait()
                } else {
                    // The machine gives no more at present.
                    _ = bell.wait(timeout: .now() + .seconds(1))
                }
            }
            isAsleep.store(false, ordering: .sequentiallyConsistent)
        }
    }

    /// Ends `run` after the page under way.
    public func stop() {
        isStopped.store(true, ordering: .sequentiallyConsistent)
        bell.signal()
    }
}
