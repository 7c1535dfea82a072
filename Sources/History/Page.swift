// The first results by time of all that are offered, in any order, in bounded memory.

internal import SuanpanCore

struct Page<Element> {
    private let limit: Int
    private let isReversed: Bool
    /// Of several with one time, one is enough.
    private let isDistinct: Bool
    private var entries: [(time: UInt64, element: Element)] = []
    /// Full: what comes behind this need not be kept.
    private var last: UInt64?

    init(limit: Int, isReversed: Bool, isDistinct: Bool = false) {
        self.limit = limit
        self.isReversed = isReversed
        self.isDistinct = isDistinct
    }

    /// - Complexity: O(log limit) amortised; keeps up to twice the limit.
    mutating func offer(_ time: Timestamp, _ element: @autoclosure () -> Element) {
        let time = time.nanoseconds
        if let last, isReversed ? time < last : time > last { return }
        entries.append((time, element()))
        if entries.count >= 2 * limit { trim() }
    }

    private mutating func trim() {
        if isReversed { entries.sort { $0.time > $1.time } } else { entries.sort { $0.time < $1.time } }
        if isDistinct {
            var last: UInt64?
            entries.removeAll { entry in
                defer { last = entry.time }
                return entry.time == last
            }
        }
        if entries.count > limit { entries.removeSubrange(limit...) }
        if entries.count == limit { last = entries.last?.time }
    }

    /// In order of time, the latest first where reversed.
    mutating func take() -> [Element] {
        trim()
        return entries.map(\.element)
    }
}
