// Places of a table by stream, the newest first. Its links are its own: a walk touches nothing else.

internal import SuanpanCore

/// A place's stream, 0 where it is in no list, and its neighbours in the list, plus 1.
struct StreamLink: BitwiseCopyable {
    var stream: UInt32
    var next: UInt32
    var previous: UInt32
}

/// Places by stream, the newest first.
struct StreamList: ~Copyable {
    private var heads: FixedArray<UInt32>
    private var links: FixedArray<StreamLink>
    private(set) var count = 0

    /// So many lists at most: a power of two.
    private static var headsMax: Int { 1 << 12 }

    /// - Parameter count: A power of two.
    init(count: Int) {
        heads = FixedArray(count: min(count, Self.headsMax))
        links = FixedArray(count: count)
    }

    @inline(__always)
    private func head(_ stream: UInt32) -> Int { Int(stream) & (heads.count - 1) }

    func contains(_ place: Int) -> Bool { links[place].stream != 0 }

    func newest(_ stream: UInt32) -> Int? {
        var link = heads[head(stream)]
        while link != 0 {
            let place = Int(link - 1)
            if links[place].stream == stream { return place }
            link = links[place].next
        }
        return nil
    }

    /// - Precondition: the stream is one, not 0; the place is in no list.
    mutating func add(_ place: Int, _ stream: UInt32) {
        invariant(stream != 0 && links[place].stream == 0, "place \(place) enters stream \(stream) twice")
        let first = heads[head(stream)]
        let link = UInt32(truncatingIfNeeded: place) + 1
        links[place] = StreamLink(stream: stream, next: first, previous: 0)
        if first != 0 { links[Int(first - 1)].previous = link }
        heads[head(stream)] = link
        count += 1
    }

    /// - Precondition: the place is in a list.
    mutating func remove(_ place: Int) {
        let link = links[place]
        invariant(link.stream != 0, "place \(place) leaves a stream that it is not in")
        if link.next != 0 { links[Int(link.next - 1)].previous = link.previous }
        if link.previous != 0 {
            links[Int(link.previous - 1)].next = link.next
        } else {
            heads[head(link.stream)] = link.next
        }
        links[place].stream = 0
        count -= 1
    }

    func checkInvariants() {
        // Most shards have nobody's order to keep.
        guard count > 0 else { return }
        var found = 0
        for first in 0..<heads.count {
            var (before, link) = (UInt32(0), heads[first])
            while link != 0 {
                let here = links[Int(link - 1)]
                invariant(here.stream != 0 && head(here.stream) == first, "stream \(here.stream) in list \(first)")
                invariant(here.previous == before, "stream \(here.stream): broken links")
                found += 1
                (before, link) = (link, here.next)
            }
        }
        invariant(found == count, "\(count) places of streams, \(found) in lists")
    }
}
