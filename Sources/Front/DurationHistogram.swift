// Durations of one core since somebody last looked: an HDR histogram of two digits up to a minute.

internal import Histogram

public struct DurationHistogram {
    private var histogram = Histogram<UInt32>(
        lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: .two)
    private var maximum: UInt64 = 0

    public init() {}

    /// - Complexity: O(1); allocates nothing.
    @inline(__always)
    public mutating func record(_ nanoseconds: UInt64) {
        histogram.record(Swift.min(nanoseconds / 1000, 60_000_000))
        if nanoseconds > maximum { maximum = nanoseconds }
    }

    /// Nanoseconds below which `percentile` of the durations were; 0 when there were none.
    public func percentile(_ percentile: Double) -> UInt64 {
        histogram.totalCount == 0 ? 0 : histogram.valueAtPercentile(percentile) * 1000
    }
    public var max: UInt64 { maximum }
    public var isEmpty: Bool { histogram.totalCount == 0 }

    public mutating func reset() {
        histogram.reset()
        maximum = 0
    }
}
