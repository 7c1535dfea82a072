// What a shard has heard of the other shards' clocks, and the accounts that must be looked at again once it has heard all
// that was decided up to a time. It asks nobody itself: it says which shards must be asked. `Shard+Listening` says why.

internal import SuanpanCore

/// An account's entry of which all must be heard that was decided up to `time`.
struct ClockListener: BitwiseCopyable {
    var entry: UInt32
    var time: UInt64
}

struct ClockBarrier: ~Copyable {
    private let id: Int
    /// By shard: its clock in its last message. All that it has decided up to then and that concerns this shard was said
    /// before. The own place is never looked at.
    private var heard: FixedArray<UInt64>
    /// A bit for each shard that has been asked and has not answered.
    private var asked: UInt64 = 0
    /// By time, ascending.
    private var listeners = Queue<ClockListener>(capacity: 64)

    init(id: ShardID, shardCount: Int) {
        invariant(shardCount <= UInt64.bitWidth, "\(shardCount) shards: those asked have a bit for each of 64")
        self.id = id.index
        heard = FixedArray(count: shardCount)
    }

    /// A message of a shard has come; `clock` is its sender's.
    @inline(__always)
    mutating func hear(_ clock: UInt64, from p: Int) { heard[p] = clock }

    /// All is known here that other shards have decided up to `time`.
    /// - Complexity: O(shards).
    @inline(__always)
    func isComplete(upTo time: UInt64) -> Bool {
        for p in 0..<heard.count where p != id && heard[p] < time { return false }
        return true
    }

    /// Shard `p` is to be heard up to `time`, which is not later than now.
    /// - Returns: It must be asked: it has not been, or has answered since.
    mutating func mustAsk(_ p: Int, upTo time: UInt64) -> Bool {
        if heard[p] >= time || asked & Self.bit(p) != 0 { return false }
        asked |= Self.bit(p)
        return true
    }

    /// Shard `p` has answered; others may have come to listen since it was asked.
    /// - Returns: It must be asked again.
    mutating func takeAnswer(of p: Int) -> Bool {
        asked &= ~Self.bit(p)
        return !listeners.isEmpty && mustAsk(p, upTo: listeners.last.time)
    }

    /// The entry must be looked at again when all has been heard that was decided up to `time`, which is now.
    /// - Returns: A bit for each shard that must be asked.
    mutating func listen(_ entry: Int, upTo time: UInt64) -> UInt64 {
        listeners.append(ClockListener(entry: UInt32(truncatingIfNeeded: entry), time: time))
        var shards: UInt64 = 0
        for p in 0..<heard.count where p != id && mustAsk(p, upTo: time) { shards |= Self.bit(p) }
        return shards
    }

    @inline(__always)
    var isListening: Bool { !listeners.isEmpty }

    /// The next entry of which all has been heard; it listens no more.
    mutating func nextComplete() -> Int? {
        guard !listeners.isEmpty, isComplete(upTo: listeners.first.time) else { return nil }
        let entry = Int(listeners.first.entry)
        listeners.removeFirst()
        return entry
    }

    private static func bit(_ p: Int) -> UInt64 { 1 << UInt64(p) }

    // MARK: What always holds

    /// - Parameter now: The shard's clock.
    func checkInvariants(now: UInt64) {
        invariant(asked & Self.bit(id) == 0, "shard \(id) asks itself for its clock")
        invariant(asked >> UInt64(heard.count - 1) <= 1, "shards are asked that are none")
        guard !listeners.isEmpty else { return }
        for k in 1..<max(listeners.count, 1) {
            invariant(listeners[k - 1].time <= listeners[k].time, "listener \(k) waits for less than the one before it")
        }
        let last = listeners.last.time
        invariant(last <= now, "a listener waits for what is decided after now")
        // Or nobody would wake it.
        for p in 0..<heard.count where p != id && heard[p] < last {
            invariant(asked & Self.bit(p) != 0, "a listener waits for shard \(p), which nobody has asked")
        }
    }
}
