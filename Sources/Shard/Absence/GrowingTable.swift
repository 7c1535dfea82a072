// A table of plain values whose places are taken and given back in any order; full, it doubles. A place keeps its number.

internal import SuanpanCore

struct GrowingTable<Element: BitwiseCopyable>: ~Copyable {
    private var places: FixedArray<Element>
    private var free: FreeList

    /// - Parameter capacity: A power of two.
    init(capacity: Int) {
        places = FixedArray(count: capacity)
        free = FreeList(count: capacity)
    }

    var capacity: Int { places.count }

    /// Places in use.
    @inline(__always)
    var count: Int { places.count - free.count }

    @inline(__always)
    subscript(place: Int) -> Element {
        get { places[place] }
        set { places[place] = newValue }
    }

    /// - Returns: The element's place.
    /// - Complexity: O(1), but for doubling.
    mutating func take(_ element: Element) -> UInt32 {
        if free.count == 0 { grow() }
        let place = free.take()
        places[Int(place)] = element
        return place
    }

    mutating func give(_ place: UInt32) { free.give(place) }

    private mutating func grow() {
        let used = places.count
        var larger = FixedArray<Element>(count: 2 * used)
        for place in 0..<used { larger[place] = places[place] }
        places = larger
        free = FreeList(count: 2 * used)
        // A free list hands its places out from the first on.
        for _ in 0..<used { _ = free.take() }
    }
}
