// Slows down who guesses passwords, and nobody else. An attempt waits before it is judged, right or wrong, so that hanging
// up early gains nothing; it waits by itself, not in a line behind others, so that nobody can keep the right client out: it
// waits a second at worst, at the address that guesses come from, and not at all elsewhere.

internal import Synchronization

/// The failed attempts of late, by the site they came from. One for all cores; touched by attempts only.
public final class PasswordGuard: Sendable {
    private struct Site: Sendable {
        var failures: UInt32 = 0
        /// Of the last failure, monotonic nanoseconds.
        var at: UInt64 = 0
    }

    private let sites = Mutex<[UInt64: Site]>([:])
    /// More sites than these push out the one that has failed the longest ago.
    private static var sitesMax: Int { 4096 }
    /// A person's mistakes cost nothing.
    private static var failuresFree: UInt32 { 3 }
    private static var waitMin: UInt64 { 10_000_000 }
    static var waitMax: UInt64 { 1_000_000_000 }
    private static var failuresMax: UInt32 { 16 }
    /// In such a time without a failure half of them are forgotten.
    private static var halfLife: UInt64 { 10_000_000_000 }

    public init() {}

    /// Nanoseconds that an attempt has to wait now.
    func wait(_ site: UInt64, now: UInt64) -> UInt64 {
        let failures = sites.withLock { Self.failures($0[site], now) }
        guard failures >= Self.failuresFree else { return 0 }
        // Doubled with each: a second from the tenth on.
        return min(Self.waitMax, Self.waitMin << UInt64(failures - Self.failuresFree))
    }

    func failed(_ site: UInt64, now: UInt64) {
        sites.withLock { sites in
            let failures = min(Self.failuresMax, Self.failures(sites[site], now) + 1)
            if sites[site] == nil, sites.count >= Self.sitesMax,
                let oldest = sites.min(by: { $0.value.at < $1.value.at })?.key
            {
                sites[oldest] = nil
            }
            sites[site] = Site(failures: failures, at: now)
        }
    }

    private static func failures(_ site: Site?, _ now: UInt64) -> UInt32 {
        guard let site else { return 0 }
        let halvings = now > site.at ? (now - site.at) / halfLife : 0
        return halvings < 32 ? site.failures >> UInt32(halvings) : 0
    }
}
