// A bounded queue of plain values for one thread: no allocation after it is made.

internal import SuanpanCore

struct Fifo<Element: BitwiseCopyable>: ~Copyable {
    private var items: FixedArray<Element>
    private var head = 0
    private(set) var count = 0

    init(capacity: Int) { items = FixedArray(count: capacity) }

    var first: Element? { count == 0 ? nil : items[head] }

    mutating func append(_ element: Element) {
        invariant(count < items.count, "queue of \(items.count) overflows")
        var tail = head + count
        if tail >= items.count { tail -= items.count }
        items[tail] = element
        count += 1
    }

    mutating func popFirst() -> Element? {
        if count == 0 { return nil }
        let element = items[head]
        head = head + 1 == items.count ? 0 : head + 1
        count -= 1
        return element
    }
}
