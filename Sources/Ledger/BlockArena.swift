// Memory for tables that grow by doubling: blocks of a power of two between 4 KiB and 1 MiB are cut out of 2 MiB huge
// pages and joined again when both halves are free (a binary buddy allocator, Knowlton 1965), larger ones are mapped on
// their own. Huge pages matter: a look-up in a table of gigabytes would otherwise miss the TLB every time.

internal import CSuanpanSupport

@safe
struct BlockArena: ~Copyable {
    private static var pageShift: Int { 21 }
    private static var smallestShift: Int { 12 }
    /// Addresses of the huge pages cut into blocks.
    private var pages: [UInt] = []
    /// By shift: addresses of free blocks.
    private var free: [Set<UInt>] = Array(repeating: [], count: 22)
    private let stock: PageStock?

    /// - Parameter stock: Where pages come from while it has some.
    init(_ stock: PageStock?) { self.stock = stock }

    deinit {
        // SAFETY: pages that `allocate` mapped.
        for page in pages { unsafe suanpan_unmap(UnsafeMutableRawPointer(bitPattern: page), 1 << 21) }
    }

    private static func shift(_ bytes: Int) -> Int {
        max(smallestShift, Int.bitWidth - (bytes - 1).leadingZeroBitCount)
    }

    /// A zero-filled block of at least `bytes`; nil when the machine has none. See `MemoryReserve`.
    /// - Parameter isNeeded: The thread's reserve may give it; nil when that is used up.
    mutating func allocate(_ bytes: Int, isNeeded: Bool) -> UnsafeMutableRawPointer? {
        let map = unsafe isNeeded ? suanpan_map_needed : suanpan_map_ahead
        let wanted = Self.shift(bytes)
        if wanted >= Self.pageShift { return unsafe map(1 << wanted, 1) }
        var shift = wanted
        while shift < Self.pageShift && free[shift].isEmpty { shift += 1 }
        let block: UInt
        var isFresh = false
        if shift == Self.pageShift {
            guard let page = unsafe stock?.take() ?? map(PageStock.pageBytes, 1) else { return nil }
            block = UInt(bitPattern: page)
            pages.append(block)
            isFresh = true
        } else {
            block = free[shift].removeFirst()
        }
        while shift > wanted {
            shift -= 1
            free[shift].insert(block + (1 << UInt(shift)))
        }
        // SAFETY: an address of one of our pages, of 2^wanted bytes that nobody else uses.
        let memory = unsafe UnsafeMutableRawPointer(bitPattern: block)
        // What is left of a fresh page is still zero, but nobody keeps track of that below its first block.
        if !isFresh { unsafe memory?.initializeMemory(as: UInt8.self, repeating: 0, count: 1 << wanted) }
        return unsafe memory
    }

    /// Ends a block whose arena ends too.
    static func abandon(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {
        if shift(bytes) >= pageShift { unsafe suanpan_unmap(memory, 1 << shift(bytes)) }
    }

    /// Takes back a block of `bytes`.
    mutating func deallocate(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {
        var shift = Self.shift(bytes)
        if shift >= Self.pageShift {
            unsafe suanpan_unmap(memory, 1 << shift)
            return
        }
        var block = UInt(bitPattern: memory)
        while shift < Self.pageShift - 1, free[shift].remove(block ^ (1 << UInt(shift))) != nil {
            block &= ~(1 << UInt(shift))
            shift += 1
        }
        free[shift].insert(block)
    }
}
