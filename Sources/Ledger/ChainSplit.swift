// Group 1 of the refusals (Docs/Semantics.md): what a request's `linked` flags make of its events.

public import SuanpanCore

/// A run of a request's events that is applied whole or refused whole: a chain, or one event alone.
@frozen public struct ChainRun: Hashable, Sendable {
    /// Place of the first event in the request.
    public var first: Int
    public var count: Int
    /// The fault that the request itself shows, and its place in the request: `linked_event_chain_open` at the last event,
    /// else `chain_too_long` at the first that is too many. All other events of the run say `linked_event_failed`.
    public var fault: ResultCode
    public var faultAt: Int

    /// The run that begins at `first`.
    /// - Parameters:
    ///   - count: Events of the request.
    ///   - isLinked: Whether an event's flag `linked` is set.
    @inlinable
    public init(from first: Int, of count: Int, isLinked: (Int) -> Bool) {
        var last = first
        while last < count - 1 && isLinked(last) { last += 1 }
        self.first = first
        self.count = last - first + 1
        fault = .created
        faultAt = last
        if isLinked(last) {
            fault = .linkedEventChainOpen
        } else if self.count > Limits.eventsPerChainMax {
            fault = .chainTooLong
            faultAt = first + Limits.eventsPerChainMax
        }
    }

    /// The place after the run.
    @inlinable public var end: Int { first + count }
}
