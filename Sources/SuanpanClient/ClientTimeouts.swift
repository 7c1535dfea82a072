// How long a client waits for what, and the moments that follow from it.

internal import CSuanpanSupport

/// How long a `LedgerClient` waits. A duration of years means for ever.
public struct ClientTimeouts: Sendable, Equatable {
    /// For `connect`: finding the name's addresses, TCP and the password together.
    public var connect: Duration
    /// For each reply, from the call on; `LedgerClient.waiting(atMost:)` makes an exception.
    public var call: Duration
    /// For the replies that are under way at `close`.
    public var close: Duration

    public init(connect: Duration = .seconds(10), call: Duration = .seconds(30), close: Duration = .seconds(5)) {
        self.connect = connect
        self.call = call
        self.close = close
    }
}

/// A moment of the monotonic clock: the wall clock may jump.
struct Deadline: Comparable, Sendable {
    static let never = Deadline(nanoseconds: .max)
    static var now: Deadline { Deadline(nanoseconds: suanpan_monotonic_ns()) }

    /// Since some moment in the past.
    let nanoseconds: UInt64

    private init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    init(after duration: Duration) {
        let (seconds, attoseconds) = duration.components
        // 136 years: beyond that the sum could overflow, and nobody waits.
        if seconds > Int64(UInt32.max) {
            self = .never
        } else if duration <= .zero {
            self = .now
        } else {
            nanoseconds =
                Deadline.now.nanoseconds + UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
        }
    }

    var isOver: Bool { self <= .now }

    /// What is left, for a poll: rounded up, so that it does not wake just before, and at most `bound`.
    func milliseconds(atMost bound: CInt) -> CInt {
        let now = Deadline.now.nanoseconds
        if nanoseconds <= now { return 0 }
        return CInt(min(UInt64(bound), (nanoseconds - now - 1) / 1_000_000 + 1))
    }

    /// What is left.
    var remaining: Duration {
        let now = Deadline.now.nanoseconds
        return nanoseconds <= now ? .zero : .nanoseconds(Int64(clamping: nanoseconds - now))
    }

    static func < (one: Deadline, other: Deadline) -> Bool { one.nanoseconds < other.nanoseconds }
}
