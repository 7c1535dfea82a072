// Goal: the machines of cuts do what their table says in each state at each message, and stop the process where protocol
// and lanes leave no such pair. Method: every pair, without a shard; those that must not be in a process of their own.

import SuanpanCore
import Testing

@testable import SuanpanShard

#if canImport(Glibc)
    import Glibc
#endif

/// What a row of a table expects.
private enum Expectation<State, Action> {
    case goes(State, Action)
    case illegal
}

private func cut(_ time: UInt64, shards: Int = 3) -> Cut {
    Cut(time: time, asksForTotals: true, accounts: Array(repeating: [], count: shards))
}

@Suite struct CutParticipantTests {
    /// Messages, as seen by a participant whose newest cut is the one at 100. Marker 1 of it is in where any is.
    enum Heard: CaseIterable {
        case newCut, cutPastItsClock, missingMarker, repeatedMarker, oldMarker, unseenMarker, applied, durable

        var message: CutParticipantMessage {
            switch self {
            case .newCut: .cut(cut(200), clock: 200)
            case .cutPastItsClock: .cut(cut(200), clock: 201)
            case .missingMarker: .marker(time: 100, from: 2, last: 7)
            case .repeatedMarker: .marker(time: 100, from: 1, last: 7)
            case .oldMarker: .marker(time: 50, from: 2, last: 7)
            case .unseenMarker: .marker(time: 300, from: 2, last: 7)
            case .applied: .applied(LSN(9))
            case .durable: .durable
            }
        }
    }

    private typealias Row = Expectation<CutParticipantState, CutParticipantAction>

    private static func row(_ state: CutParticipantState, _ heard: Heard) -> Row {
        switch (state, heard) {
        case (.idle, .newCut), (.late, .newCut), (.shared, .newCut), (.collecting, .newCut): .goes(.collecting, .copy)
        case (.idle, .cutPastItsClock), (.late, .cutPastItsClock), (.shared, .cutPastItsClock),
            (.collecting, .cutPastItsClock):
            .goes(.late, .sayLate)
        case (.late, .missingMarker), (.late, .repeatedMarker), (.late, .oldMarker): .goes(.late, .none)
        case (.collecting, .missingMarker): .goes(.applying, .none)
        case (.collecting, .oldMarker): .goes(.collecting, .none)
        case (.shared, .oldMarker): .goes(.shared, .none)
        case (.applying, .oldMarker): .goes(.applying, .none)
        case (.syncing, .oldMarker): .goes(.syncing, .none)
        case (.applying, .applied): .goes(.syncing, .none)
        case (.syncing, .durable): .goes(.shared, .share)
        default: .illegal
        }
    }

    /// One of three shards, told what brings it there.
    private static func participant(_ state: CutParticipantState) -> CutParticipant {
        var made = CutParticipant(shardCount: 3)
        if state == .idle { return made }
        _ = made.on(.cut(cut(100), clock: state == .late ? 101 : 100))
        if state == .late { return made }
        _ = made.on(.marker(time: 100, from: 1, last: 4))
        if state == .collecting { return made }
        _ = made.on(.marker(time: 100, from: 2, last: 0))
        if state == .applying { return made }
        _ = made.on(.applied(LSN(8)))
        if state == .syncing { return made }
        _ = made.on(.durable)
        made.give(CutShare(), of: ShardID(0))
        return made
    }

    @Test(arguments: CutParticipantState.allCases, Heard.allCases)
    func everyPair(state: CutParticipantState, heard: Heard) async {
        switch Self.row(state, heard) {
        case .goes(let next, let action):
            var participant = Self.participant(state)
            #expect(participant.state == state)
            participant.checkInvariants(ShardID(0))
            #expect(participant.on(heard.message) == action)
            #expect(participant.state == next)
            if action == .share { participant.give(CutShare(), of: ShardID(0)) }
            participant.checkInvariants(ShardID(0))
        case .illegal:
            let (s, h) = (Int(state.rawValue), Heard.allCases.firstIndex(of: heard)!)
            await #expect(processExitsWith: .signal(SIGABRT)) { [s = s as Int, h = h as Int] in
                var participant = CutParticipantTests.participant(CutParticipantState(rawValue: UInt8(s))!)
                _ = participant.on(CutParticipantTests.Heard.allCases[h].message)
            }
        }
    }

    /// One shard has nobody to wait for.
    @Test func aloneItWaitsForTheLogOnly() {
        var participant = CutParticipant(shardCount: 1)
        #expect(participant.on(.cut(cut(100, shards: 1), clock: 0)) == .copy)
        #expect(participant.state == .applying)
        participant.checkInvariants(ShardID(0))
    }

    @Test func commitsBelongToItByTheirTime() {
        let participant = Self.participant(.collecting)
        #expect(participant.hasCopy == true)
        // By shard 1, whose marker is in, and by shard 2, whose marker is not.
        #expect(participant.includes(time: 100, 4, from: 1, mayDisagree: false) == true)
        #expect(participant.includes(time: 101, 5, from: 1, mayDisagree: false) == false)
        #expect(participant.includes(time: 99, 50, from: 2, mayDisagree: false) == true)
        #expect(participant.lastCommit(of: 1) == 4 && participant.lastCommit(of: 2) == 0)
        // A marker that says otherwise, where a rule is switched off.
        #expect(participant.includes(time: 101, 4, from: 1, mayDisagree: true) == false)
    }

    @Test func aMarkerAndACommitThatDisagreeEndTheProcess() async {
        await #expect(processExitsWith: .signal(SIGABRT)) {
            _ = CutParticipantTests.participant(.collecting).includes(time: 101, 4, from: 1, mayDisagree: false)
        }
    }

    @Test func onlyACopyKeepsItsCut() {
        for state in CutParticipantState.allCases {
            let participant = Self.participant(state)
            #expect((participant.cut != nil) == participant.hasCopy, "\(state)")
            #expect((participant.lsn != nil) == (state == .syncing), "\(state)")
        }
    }
}

@Suite struct CutCoordinatorTests {
    /// `idle`, and so on; `last`: collecting, one share is missing. A cut that has begun is the second try, at 1020.
    enum Place: Int, CaseIterable { case idle, collecting, last, late }

    enum Heard: CaseIterable {
        case question, turn, share, repeatedShare, oldShare, unseenShare, late, oldLate, unseenLate

        var message: CutCoordinatorMessage {
            switch self {
            case .question: .question(CutCoordinatorTests.question())
            case .turn: .turn(now: 2000)
            case .share: .share(time: 1020, from: 0)
            case .repeatedShare: .share(time: 1020, from: 1)
            case .oldShare: .share(time: 1010, from: 0)
            case .unseenShare: .share(time: 9999, from: 0)
            case .late: .late(time: 1020)
            case .oldLate: .late(time: 1010)
            case .unseenLate: .late(time: 9999)
            }
        }
    }

    private enum Action: Equatable {
        case none, answer
        case begin(UInt64)

        init(_ action: CutCoordinatorAction) {
            switch action {
            case .none: self = .none
            case .answer: self = .answer
            case .begin(let cut): self = .begin(cut.time)
            }
        }
    }

    private typealias Row = Expectation<CutCoordinatorState, Action>

    private static func row(_ place: Place, _ heard: Heard) -> Row {
        switch (place, heard) {
        case (.idle, .question), (.idle, .turn): .goes(.idle, .none)
        case (.collecting, .question), (.last, .question): .goes(.collecting, .none)
        case (.late, .question): .goes(.late, .none)
        case (.collecting, .turn), (.last, .turn): .goes(.collecting, .none)
        case (.late, .turn): .goes(.collecting, .begin(2040))
        // Where none is in, it is not the last one of two, whichever it is.
        case (.collecting, .share), (.collecting, .repeatedShare): .goes(.collecting, .none)
        case (.last, .share): .goes(.idle, .answer)
        case (.collecting, .late): .goes(.late, .none)
        case (.collecting, .oldLate), (.last, .oldLate): .goes(.collecting, .none)
        case (.late, .late), (.late, .oldLate): .goes(.late, .none)
        default: .illegal
        }
    }

    private static func question() -> CutRequest { CutRequest(core: ShardID(0), request: nil, accounts: []) }

    private static func coordinator() -> CutCoordinator {
        CutCoordinator(routing: Routing(key: HashKey(a: 1, b: 2), shardCount: 2), lead: 10)
    }

    private static func coordinator(_ place: Place) -> CutCoordinator {
        var made = coordinator()
        if place == .idle { return made }
        _ = made.on(.question(question()))
        _ = made.on(.turn(now: 1000))
        _ = made.on(.late(time: 1010))
        _ = made.on(.turn(now: 1000))
        if place == .late { _ = made.on(.late(time: 1020)) }
        if place == .last { _ = made.on(.share(time: 1020, from: 1)) }
        return made
    }

    @Test(arguments: Place.allCases, Heard.allCases)
    func everyPair(place: Place, heard: Heard) async {
        switch Self.row(place, heard) {
        case .goes(let next, let action):
            var coordinator = Self.coordinator(place)
            coordinator.checkInvariants()
            #expect(Action(coordinator.on(heard.message)) == action)
            #expect(coordinator.state == next)
            coordinator.checkInvariants()
        case .illegal:
            let (p, h) = (place.rawValue, Heard.allCases.firstIndex(of: heard)!)
            await #expect(processExitsWith: .signal(SIGABRT)) { [p = p as Int, h = h as Int] in
                var coordinator = CutCoordinatorTests.coordinator(Place(rawValue: p)!)
                _ = coordinator.on(CutCoordinatorTests.Heard.allCases[h].message)
            }
        }
    }

    /// The first try lies ahead of the clock by the lead, and each by twice the one before it; the next cut begins anew.
    @Test func eachTryLiesFurtherAhead() throws {
        var coordinator = Self.coordinator()
        for _ in 0..<2 {
            _ = coordinator.on(.question(Self.question()))
            var leads: [UInt64] = []
            for _ in 0..<4 {
                guard case .begin(let cut) = coordinator.on(.turn(now: 1000)) else { break }
                leads.append(cut.time - 1000)
                if leads.count < 4 { _ = coordinator.on(.late(time: cut.time)) }
            }
            #expect(leads == [10, 20, 40, 80])
            _ = coordinator.on(.share(time: 1080, from: 0))
            #expect(Action(coordinator.on(.share(time: 1080, from: 1))) == .answer)
        }
    }

    /// Questions that come while a cut is under way share the next one; sums are added up over the shards.
    @Test func questionsAreAnsweredInTheirOrder() throws {
        var coordinator = Self.coordinator()
        let questions = (0..<3).map { _ in Self.question() }
        _ = coordinator.on(.question(questions[0]))
        for round in 0..<2 {
            guard case .begin(let cut) = coordinator.on(.turn(now: 1000)) else { throw MissingCut() }
            if round == 0 { for q in questions[1...] { _ = coordinator.on(.question(q)) } }
            for shard in 0..<2 {
                var sums = LedgerTotals(ledger: 3)
                sums.debitsPosted = UInt128(shard + 1)
                cut.put(CutShare(totals: [sums], accounts: []), of: ShardID(shard))
                _ = coordinator.on(.share(time: cut.time, from: shard))
            }
            #expect(coordinator.hasWork == true)
            var answered: [CutRequest] = []
            while let next = coordinator.nextAnswer() { answered.append(next) }
            #expect(
                answered.map(ObjectIdentifier.init)
                    == questions[(round == 0 ? 0..<1 : 1..<3)].map(ObjectIdentifier.init))
            for q in answered { #expect(q.answer?.totals.map(\.debitsPosted) == [3]) }
            coordinator.checkInvariants()
        }
        #expect(coordinator.isEmpty && !coordinator.hasWork)
    }

    private struct MissingCut: Error {}
}
