// A shard's part in the newest cut that it has seen, as a machine: it is told what has happened and says what is to be
// done; the shard does it. `Shard+Cuts` has the protocol and why its answer is exact.
//
//     idle, late, shared ──cut── clock past it ──► late
//             └────────────cut── clock up to it ──► collecting ──last marker──► applying ──applied──► syncing ──durable──► shared
//                                                     │    ▲
//                                                     └cut─┘ another shard was late: it has begun again

internal import SuanpanCore

/// Where a shard stands in the newest cut that it has seen.
enum CutParticipantState: UInt8, BitwiseCopyable, CaseIterable {
    /// It has seen none.
    case idle
    /// Its clock was past the cut's moment: there is no copy.
    case late
    /// Its share is given.
    case shared

    // From here on there is a copy, which later commits may belong to.
    /// Markers are missing.
    case collecting
    /// All markers are in; commits that they name are missing.
    case applying
    /// The copy is whole; what it rests on is not yet durable.
    case syncing
}

/// What a participant is told.
enum CutParticipantMessage {
    /// A newer cut stands on the board; `clock` is the shard's, before it takes the cut's moment over.
    case cut(Cut, clock: UInt64)
    /// Shard `from` has copied for the cut at `time`: its decisions for this shard up to `last` belong to it.
    case marker(time: UInt64, from: Int, last: UInt64)
    /// The commits that the markers name are applied; the log's last record is `lsn`.
    case applied(LSN)
    /// The log is durable up to what the share rests on.
    case durable
}

/// What the shard does then.
enum CutParticipantAction: Equatable {
    case none
    /// Says `late` to shard 0.
    case sayLate
    /// Takes the cut's moment over, copies, and sends a marker to every other shard.
    case copy
    /// Puts its share in, and says so to shard 0.
    case share
}

struct CutParticipant: ~Copyable {
    private let shardCount: Int
    private(set) var state = CutParticipantState.idle
    /// The newest cut's moment; 0: none seen yet.
    private(set) var time: UInt64 = 0
    /// The cut, while there is a copy for it.
    private(set) var cut: Cut?
    /// A bit for each shard whose marker is in.
    private var marked: UInt64 = 0
    /// By shard whose marker is in: number of its last decision for this shard that belongs to the cut.
    private var lastCommits: FixedArray<UInt64>
    /// While syncing: what the share rests on.
    private(set) var lsn: LSN?

    init(shardCount: Int) {
        invariant(shardCount <= UInt64.bitWidth, "\(shardCount) shards: markers have a bit for each of 64")
        self.shardCount = shardCount
        lastCommits = FixedArray(count: shardCount)
    }

    /// There is a copy, which later commits may belong to.
    @inline(__always)
    var hasCopy: Bool { state.rawValue >= CutParticipantState.collecting.rawValue }

    mutating func on(_ message: CutParticipantMessage) -> CutParticipantAction {
        switch (state, message) {
        case (.idle, .cut(let cut, let clock)), (.late, .cut(let cut, let clock)), (.shared, .cut(let cut, let clock)),
            // Another shard was late, so that its marker will never come.
            (.collecting, .cut(let cut, let clock)):
            return begin(cut, clock)
        // A cut begins again when a shard was late, which has sent no marker then.
        case (.applying, .cut), (.syncing, .cut): illegal("a cut begins though all shards have copied for the last one")

        case (.idle, .marker): illegal("a marker of a cut that was not seen")
        case (.late, .marker(let time, _, _)):
            checkSeen(time)
            return .none
        case (.collecting, .marker(let time, let from, let last)):
            checkSeen(time)
            // Of one that has begun again.
            if time < self.time { return .none }
            return take(from, last)
        case (.shared, .marker(let time, _, _)), (.applying, .marker(let time, _, _)),
            (.syncing, .marker(let time, _, _)):
            checkSeen(time)
            if time == self.time { illegal("a second marker") }
            return .none

        case (.applying, .applied(let lsn)):
            self.lsn = lsn
            state = .syncing
            return .none
        case (.idle, .applied), (.late, .applied), (.shared, .applied), (.collecting, .applied), (.syncing, .applied):
            illegal("nothing waits for commits")

        case (.syncing, .durable):
            state = .shared
            lsn = nil
            return .share
        case (.idle, .durable), (.late, .durable), (.shared, .durable), (.collecting, .durable), (.applying, .durable):
            illegal("nothing waits for the log")
        }
    }

    /// Gives the share; the participant is done with the cut.
    mutating func give(_ share: CutShare, of shard: ShardID) {
        invariant(state == .shared, "a share of a cut while \(state)")
        cut?.put(share, of: shard)
        cut = nil
    }

    private mutating func begin(_ new: Cut, _ clock: UInt64) -> CutParticipantAction {
        invariant(new.time > time, "a cut at \(new.time) after one at \(time)")
        time = new.time
        marked = 0
        guard clock <= time else {
            state = .late
            cut = nil
            return .sayLate
        }
        state = shardCount == 1 ? .applying : .collecting
        cut = new
        return .copy
    }

    private mutating func take(_ from: Int, _ last: UInt64) -> CutParticipantAction {
        if marked & Self.bit(from) != 0 { illegal("a second marker of shard \(from)") }
        marked |= Self.bit(from)
        lastCommits[from] = last
        if marked.nonzeroBitCount == shardCount - 1 { state = .applying }
        return .none
    }

    /// A marker's sender has seen the cut on the board, and so has this shard, which looks there first.
    private func checkSeen(_ time: UInt64) {
        if time > self.time { illegal("a marker of a cut that was not seen") }
    }

    private func illegal(_ text: String) -> Never { stop("cut at \(time), \(state): \(text)") }

    private static func bit(_ shard: Int) -> UInt64 { 1 << UInt64(shard) }

    // MARK: Commits after the copy

    /// The last decision of a shard that belongs to the cut; 0 where its marker is not in.
    func lastCommit(of shard: Int) -> UInt64 { marked & Self.bit(shard) != 0 ? lastCommits[shard] : 0 }

    /// Whether a decision of shard `from`, whose commit comes after the copy, belongs to the cut.
    /// - Parameter mayDisagree: Its marker may say something else: a rule is switched off.
    func includes(time: UInt64, _ sequence: UInt64, from: Int, mayDisagree: Bool) -> Bool {
        let isIn = time <= self.time
        if marked & Self.bit(from) != 0 {
            invariant(
                mayDisagree || isIn == (sequence <= lastCommits[from]),
                "commit \(sequence) and a marker at \(lastCommits[from]) disagree")
        }
        return isIn
    }

    // MARK: What always holds

    /// - Parameter id: The shard's own.
    func checkInvariants(_ id: ShardID) {
        invariant((time == 0) == (state == .idle), "cut at \(time): \(state)")
        invariant((cut != nil) == hasCopy, "cut at \(time), \(state): \(cut == nil ? "gone" : "kept")")
        invariant(cut.map { $0.time == time } ?? true, "a copy for another cut than that at \(time)")
        invariant((lsn != nil) == (state == .syncing), "cut at \(time), \(state): rests on \(lsn?.value ?? 0)")
        let others = (~0 >> UInt64(UInt64.bitWidth - shardCount)) & ~Self.bit(id.index)
        invariant(marked & ~others == 0, "cut at \(time): markers of no shard")
        switch state {
        case .idle, .late: invariant(marked == 0, "cut at \(time), \(state): markers without a copy")
        case .collecting: invariant(marked != others, "cut at \(time): waits for no marker")
        case .applying, .syncing, .shared: invariant(marked == others, "cut at \(time), \(state): markers are missing")
        }
    }
}
