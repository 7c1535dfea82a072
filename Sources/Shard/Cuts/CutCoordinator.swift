// What shard 0 keeps of the questions that cuts answer, and of the cut under way, as a machine: it is told what has happened
// and says what is to be done. `Shard+Cuts` has the protocol.
//
//     idle ──turn, a question waits──► collecting ──last share──► idle, answers ready
//                                       ▲     │ late
//                                       └─ late ◄┘
//                                 turn: a later moment

internal import SuanpanCore

enum CutCoordinatorState: UInt8, BitwiseCopyable, CaseIterable {
    /// No cut is under way.
    case idle
    /// Shares are missing.
    case collecting
    /// A shard was late: the cut has to begin again.
    case late
}

/// What the coordinator is told.
enum CutCoordinatorMessage {
    case question(CutRequest)
    /// A cut may begin; `now` is the engine's clock, or shard 0's where that is later.
    case turn(now: UInt64)
    /// A shard has put its share of the cut at `time` in.
    case share(time: UInt64, from: Int)
    /// A shard's clock was past it.
    case late(time: UInt64)
}

/// What shard 0 does then.
enum CutCoordinatorAction {
    case none
    /// Shows the cut on the board and takes part in it.
    case begin(Cut)
    /// Hands out the answers (`nextAnswer`).
    case answer
}

struct CutCoordinator: ~Copyable {
    private let routing: Routing
    /// Nanoseconds that a cut's moment lies ahead of the clock at the first try.
    private let leadMin: UInt64

    private(set) var state = CutCoordinatorState.idle
    /// The cut under way, its questions, and a bit for each shard whose share is missing.
    private var cut: Cut?
    private var taken: [CutRequest] = []
    private var missing: UInt64 = 0
    /// Doubles with each try.
    private var lead: UInt64 = 0
    private var waiting: [CutRequest] = []
    private var answered: [CutRequest] = []

    init(routing: Routing, lead: UInt64) {
        invariant(
            routing.shardCount <= UInt64.bitWidth, "\(routing.shardCount) shards: shares have a bit for each of 64")
        invariant(lead > 0, "a cut must lie ahead of the clock")
        self.routing = routing
        leadMin = lead
    }

    mutating func on(_ message: CutCoordinatorMessage) -> CutCoordinatorAction {
        switch (state, message) {
        case (.idle, .question(let request)), (.collecting, .question(let request)), (.late, .question(let request)):
            waiting.append(request)
            return .none

        case (.idle, .turn(let now)):
            guard !waiting.isEmpty else { return .none }
            takeQuestions()
            lead = leadMin
            return begin(now)
        case (.collecting, .turn): return .none
        case (.late, .turn(let now)):
            lead *= 2
            return begin(now)

        case (.collecting, .share(let time, let from)): return takeShare(time, from)
        case (.idle, .share): illegal("a share of a cut that is not under way")
        // A share needs the markers of all shards, and one that is late sends none.
        case (.late, .share): illegal("a share of a cut that a shard was late for")

        case (.collecting, .late(let time)):
            checkBegun(time)
            // Of one that has begun again.
            if time < self.time { return .none }
            if missing != allShards { illegal("a shard is late, and another has all markers") }
            state = .late
            return .none
        case (.late, .late(let time)):
            checkBegun(time)
            return .none
        // Each says so before it has a share of the next one, and a lane keeps the order.
        case (.idle, .late): illegal("a shard is late when no cut is under way")
        }
    }

    private var time: UInt64 { cut?.time ?? 0 }

    /// As many questions as one cut answers: its copy takes every shard's time.
    private mutating func takeQuestions() {
        var accounts = 0
        var count = 0
        while count < waiting.count {
            accounts += waiting[count].accounts.count
            if count > 0 && accounts > Limits.eventsPerRequestMax { break }
            count += 1
        }
        taken = Array(waiting.prefix(count))
        waiting.removeFirst(count)
    }

    private mutating func begin(_ now: UInt64) -> CutCoordinatorAction {
        var accounts = [[AccountID]](repeating: [], count: routing.shardCount)
        for request in taken { for account in request.accounts { accounts[home(account)].append(account) } }
        let asksForTotals = taken.contains { $0.asksForTotals }
        let new = Cut(time: now &+ lead, asksForTotals: asksForTotals, accounts: accounts)
        cut = new
        missing = allShards
        state = .collecting
        return .begin(new)
    }

    private var allShards: UInt64 { ~0 >> UInt64(UInt64.bitWidth - routing.shardCount) }

    private func home(_ account: AccountID) -> Int { routing.shard(of: account).index }

    private func checkBegun(_ time: UInt64) {
        if time > self.time { illegal("an answer to a cut at \(time), which has not begun") }
    }

    private func illegal(_ text: String) -> Never { stop("cut at \(time), \(state): \(text)") }

    // MARK: Answers

    private mutating func takeShare(_ time: UInt64, _ from: Int) -> CutCoordinatorAction {
        // One that began again had a shard that was late, and so no shares.
        if time != self.time { illegal("a share of the cut at \(time)") }
        if missing & 1 << UInt64(from) == 0 { illegal("a second share of shard \(from)") }
        missing &= ~(1 << UInt64(from))
        guard missing == 0 else { return .none }
        answerQuestions()
        cut = nil
        state = .idle
        return .answer
    }

    private mutating func answerQuestions() {
        guard let cut else { illegal("a cut ends that has not begun") }
        let shares = cut.takeShares()
        let time = Timestamp(cut.time)
        let totals = cut.asksForTotals ? Self.sum(shares, time) : []
        var next = [Int](repeating: 0, count: shares.count)
        for request in taken {
            var answer = CutAnswer(time: time)
            if request.asksForTotals { answer.totals = totals }
            answer.accounts.reserveCapacity(request.accounts.count)
            for account in request.accounts {
                let shard = home(account)
                answer.accounts.append(shares[shard].accounts[next[shard]])
                next[shard] += 1
            }
            request.answer = answer
        }
        answered += taken
        taken = []
    }

    private static func sum(_ shares: [CutShare], _ time: Timestamp) -> [LedgerTotals] {
        var sums: [UInt32: LedgerTotals] = [:]
        for share in shares {
            for part in share.totals { sums[part.ledger, default: LedgerTotals(ledger: part.ledger)].add(part) }
        }
        return sums.values.sorted { $0.ledger < $1.ledger }.map { sum in
            var sum = sum
            sum.timestamp = time
            return sum
        }
    }

    mutating func nextAnswer() -> CutRequest? { answered.isEmpty ? nil : answered.removeFirst() }

    /// A turn would begin a cut, or `nextAnswer` has one.
    var hasWork: Bool { !answered.isEmpty || state == .late || (state == .idle && !waiting.isEmpty) }

    /// No question is here.
    var isEmpty: Bool { waiting.isEmpty && taken.isEmpty && answered.isEmpty }

    // MARK: What always holds

    func checkInvariants() {
        invariant((state == .idle) == (cut == nil), "coordinator of cuts, \(state): a cut at \(time)")
        invariant((state == .idle) == taken.isEmpty, "coordinator of cuts, \(state): \(taken.count) questions")
        invariant(missing & ~allShards == 0, "cut at \(time): shares of no shard are missing")
        switch state {
        case .idle: invariant(missing == 0, "shares of no cut are missing")
        case .collecting: invariant(missing != 0, "cut at \(time): waits for no share")
        case .late: invariant(missing == allShards, "cut at \(time): a shard was late, and another gave its share")
        }
        invariant(lead % leadMin == 0, "a lead of \(lead), where the first is \(leadMin)")
        for request in waiting { invariant(request.answer == nil, "a question that waits is answered") }
        for request in taken { invariant(request.answer == nil, "a question is answered before its cut has ended") }
        for request in answered { invariant(request.answer != nil, "a question without its answer") }
    }
}
