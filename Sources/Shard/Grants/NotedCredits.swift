// Plain credits that other shards have decided on this one's standing votes, from their announcement to their commit. They
// are certain: nothing can refuse them, and nobody here must decide anything about them. So they take no participant and no
// entry at their account, only a place in a ring by the shard that has decided them, 32 bytes, and a count by the hash of
// the account, which tells in the first-level cache that there is none, as there usually is not.
//
// Who says what an account does not have, or reads it, as of a time T, waits until those decided up to T are applied (`has`).
// What passes without them need not know of them.

internal import SuanpanCore
internal import SuanpanLedger

struct NotedCredits: ~Copyable {
    /// By peer and by number among those that it has announced. Of what is announced and no plain credit, only the timestamp
    /// and, as the amount, the participant.
    private var ring: FixedArray<LoggedCredit>
    private let places: PairPlaces
    /// By peer: how many it has announced, and how many of these are applied.
    private var noted: FixedArray<UInt64>
    private var applied: FixedArray<UInt64>
    /// Credits by the hash of the account.
    private var counts = FixedArray<UInt16>(count: NotedCredits.countPlaces)
    private var credits = 0
    private static var countPlaces: Int { 1 << 14 }

    /// - Parameter places: As many as may be open with each peer.
    init(peers: Int, places: PairPlaces) {
        ring = FixedArray(count: places.perPeer * peers)
        self.places = places
        noted = FixedArray(count: peers)
        applied = FixedArray(count: peers)
    }

    @inline(__always)
    private func place(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (Self.countPlaces - 1) }

    /// The next credit that a peer has announced.
    @inline(__always)
    mutating func note(_ credit: LoggedCredit, _ hash: UInt64, from peer: Int) {
        append(credit, peer)
        counts[place(hash)] += 1
        credits += 1
    }

    /// The next one of another kind.
    mutating func note(participant: Int, _ timestamp: Timestamp, from peer: Int) {
        append(LoggedCredit(account: AccountID(0), amount: UInt64(participant), timestamp: timestamp), peer)
    }

    @inline(__always)
    private mutating func append(_ credit: LoggedCredit, _ peer: Int) {
        noted[peer] += 1
        invariant(noted[peer] - applied[peer] <= UInt64(places.perPeer), "more is announced than may be open")
        ring[places.place(peer, noted[peer])] = credit
    }

    /// The `k`-th announcement of a peer that is not applied.
    @inline(__always)
    func next(_ k: Int, from peer: Int) -> LoggedCredit {
        ring[places.place(peer, applied[peer] &+ 1 &+ UInt64(truncatingIfNeeded: k))]
    }

    /// How many of a peer's announcements are not applied.
    func count(from peer: Int) -> Int { Int(noted[peer] - applied[peer]) }

    /// The first of a peer's is applied; it was a credit of an account with this hash.
    @inline(__always)
    mutating func end(_ hash: UInt64, from peer: Int) {
        applied[peer] += 1
        counts[place(hash)] -= 1
        credits -= 1
    }

    /// The same for one of another kind.
    mutating func endOther(from peer: Int) { applied[peer] += 1 }

    /// True where a credit of the account that was decided up to a time is noted and not applied.
    /// - Complexity: O(1) where no account of its hash has any; else up to all that are noted.
    @inline(__always)
    func has(_ account: AccountID, _ hash: UInt64, upTo time: UInt64) -> Bool {
        counts[place(hash)] != 0 && find(account, upTo: time)
    }

    private func find(_ account: AccountID, upTo time: UInt64) -> Bool {
        for peer in 0..<noted.count {
            for k in 0..<count(from: peer) {
                let credit = next(k, from: peer)
                // In the order in which they were decided.
                if credit.timestamp.nanoseconds > time { break }
                if credit.account == account { return true }
            }
        }
        return false
    }

    // MARK: What always holds

    func checkInvariants() {
        var credits = 0
        for peer in 0..<noted.count {
            invariant(noted[peer] >= applied[peer], "more is applied of shard \(peer) than it has announced")
            invariant(count(from: peer) <= places.perPeer, "more is noted of shard \(peer) than may be open")
            var last = Timestamp.zero
            for k in 0..<count(from: peer) {
                let credit = next(k, from: peer)
                invariant(credit.timestamp > last, "announcement \(k) of shard \(peer) is out of order")
                last = credit.timestamp
                if credit.participant == nil { credits += 1 }
            }
        }
        invariant(self.credits == credits, "\(self.credits) noted credits are counted, and there are \(credits)")
    }
}

extension LoggedCredit {
    /// The participant of an announcement that is no plain credit; nil: it is one.
    @inline(__always)
    var participant: Int? { account == AccountID(0) ? Int(amount) : nil }
}
