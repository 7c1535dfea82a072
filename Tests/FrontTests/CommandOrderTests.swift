// Goal: commands of a connection are under way together where neither can be told from the other, and nowhere else.
// Method: every pair of kinds of command over the same and over other accounts, in the same lane and in others, against a
// list of the pairs that commute, written by hand from what the operations mean; and random commands that enter and leave,
// against a table of all uses that is looked through.

import SuanpanCore
import Testing

@testable import SuanpanFront

private let a = AccountID(1)
private let b = AccountID(2)
private let x = AccountID(3)
private let y = AccountID(4)

/// One use of a thing, as a test writes it.
private enum Touch {
    case account(AccountID, Use)
    case identity(AccountID, UInt128)
    case whole(Use)
}

/// Kinds of commands, about an account and another one.
private enum Kind: CaseIterable {
    case credit, debit, resolve, unnamed, read, chain, look

    /// - Parameters:
    ///   - account: What it shares with another command, or does not.
    ///   - other: Its other account.
    ///   - n: Tells its identities from those of others.
    func touches(_ account: AccountID, _ other: AccountID, _ n: UInt128) -> [Touch] {
        switch self {
        case .credit: [.account(other, .takes), .account(account, .gives), .identity(other, n), .whole(.named)]
        case .debit: [.account(account, .takes), .account(other, .gives), .identity(account, n), .whole(.named)]
        case .resolve:
            [
                .identity(other, n), .identity(other, n + 100), .account(other, .resolves),
                .account(account, .resolves), .whole(.resolvesKnown),
            ]
        case .unnamed: [.identity(other, n), .identity(other, n + 100), .account(other, .resolves), .whole(.unnamed)]
        case .read: [.account(account, .needs), .whole(.named)]
        // Credits the account, then debits it by less.
        case .chain:
            [
                .account(other, .takes), .account(account, .gives), .identity(other, n), .whole(.named),
                .identity(account, n + 200), .account(account, .gives), .account(AccountID(9), .gives),
            ]
        case .look: [.identity(account, n)]
        }
    }
}

extension CommandOrder {
    fileprivate mutating func look(_ touches: [Touch], stream: UInt64 = 1) {
        begin(stream: stream)
        for touch in touches {
            switch touch {
            case .account(let account, let use): self.use(account, use)
            case .identity(let debit, let id): useIdentity(debit, TransferID(id))
            case .whole(let use): useWhole(use)
            }
        }
    }

    fileprivate mutating func goes(
        _ touches: [Touch], behind first: [Touch], lanes: (UInt16, UInt16) = (0, 1), _ freedom: AccountFreedom?
    ) -> Bool {
        look(first)
        let entered = enter(lane: lanes.0)
        look(touches)
        let verdict = verdict(lane: lanes.1) { _ in freedom }
        leave(entered)
        return verdict == .goes
    }
}

@Test func pairsOfCommands() {
    var order = CommandOrder(uses: 64)
    let both: AccountFreedom = [.credits, .debits]
    /// Pairs that may be under way together though both concern one account, with what must be known of it; both ways round.
    let together: [(Kind, Kind, AccountFreedom)] = [
        (.credit, .credit, .credits), (.credit, .resolve, .credits), (.resolve, .resolve, .unrecorded),
        (.credit, .chain, .credits), (.chain, .chain, .credits), (.resolve, .chain, .credits),
        (.debit, .debit, .debits),
        (.debit, .credit, both), (.debit, .resolve, both), (.debit, .chain, both),
        // No account in common, as far as anybody knows.
        (.unnamed, .unnamed, []), (.unnamed, .resolve, []),
    ]
    let freedoms: [AccountFreedom] = [[], .unrecorded, [.credits, .unrecorded], [.debits, .unrecorded], .all, both]
    for first in Kind.allCases {
        for second in Kind.allCases {
            for freedom in freedoms {
                let one = first.touches(a, x, 1)
                let two = second.touches(a, y, 2)
                let needed = together.first { ($0.0, $0.1) == (first, second) || ($0.1, $0.0) == (first, second) }?.2
                // Where balances are recorded the order shows; what names no account is not known to share one.
                let isUnknown = first == .unnamed || second == .unnamed
                var expected =
                    needed.map { freedom.isSuperset(of: $0) && (isUnknown || freedom.contains(.unrecorded)) } ?? false
                // A look-up is about an identity, whatever else happens to its account.
                if first == .look || second == .look { expected = true }
                let goes = order.goes(two, behind: one, freedom)
                #expect(goes == expected, "\(second) behind \(first), free: \(freedom)")
                // Shards keep the order of a lane.
                let goesInLane = order.goes(two, behind: one, lanes: (3, 3), freedom)
                #expect(goesInLane, "\(second) behind \(first) in a lane")
                let goesUnordered = order.goes(
                    two, behind: one, lanes: (CommandOrder.unordered, CommandOrder.unordered), freedom)
                #expect(goesUnordered == expected, "\(second) behind \(first), in no lane")
                // Other accounts: only what may credit any account is in the way.
                let isApart =
                    (first == .unnamed) == (second == .unnamed) || first == .look || second == .look
                    || first == .resolve || second == .resolve
                let goesApart = order.goes(
                    second.touches(b, y, 2), behind: one, first == .chain ? [.credits, .unrecorded] : [])
                #expect(goesApart == isApart || first == .chain && second == .chain, "\(second) apart from \(first)")
            }
        }
    }
    let isEmpty = order.isEmpty
    #expect(isEmpty)
}

@Test func identitiesKeepTheirOrder() {
    var order = CommandOrder(uses: 64)
    let free = AccountFreedom.all
    // The same transfer again, by a chain; a hold and its post; two posts of a hold; a look-up of what a chain creates.
    var goes = order.goes(
        Kind.debit.touches(a, x, 1), behind: [.identity(a, 1), .account(a, .takes)], free)
    #expect(!goes)
    goes = order.goes(
        [.identity(a, 7), .identity(a, 1), .account(a, .resolves)], behind: Kind.debit.touches(a, x, 1), free)
    #expect(!goes)
    goes = order.goes(Kind.look.touches(a, x, 1), behind: [.identity(a, 1)], free)
    #expect(!goes)
    // The same id of another debit account is another transfer.
    goes = order.goes([.identity(b, 1)], behind: [.identity(a, 1)], free)
    #expect(goes)
    // Nothing but looks passes what may open an account that nobody knows.
    for kind in Kind.allCases {
        goes = order.goes(kind.touches(b, y, 2), behind: [.whole(.needs)], free)
        #expect(goes == (kind == .look), "\(kind)")
    }
}

@Test func otherConnectionsAreNotLookedAt() {
    var order = CommandOrder(uses: 64)
    order.look(Kind.read.touches(a, x, 1), stream: 1)
    let entered = order.enter(lane: 0)
    order.look(Kind.read.touches(a, x, 1), stream: 2)
    var verdict = order.verdict(lane: 1) { _ in [] }
    #expect(verdict == .goes)
    // What is not known of an account is asked.
    order.look(Kind.credit.touches(a, x, 1), stream: 2)
    let credit = order.enter(lane: 0)
    order.look(Kind.credit.touches(a, y, 2), stream: 2)
    verdict = order.verdict(lane: 1) { _ in nil }
    #expect(verdict == .dependsOn(a))
    order.leave(credit)
    order.leave(entered)
    let isEmpty = order.isEmpty
    #expect(isEmpty)
}

@Test func aFullTableHoldsBack() {
    var order = CommandOrder(uses: 8)
    order.look(Kind.resolve.touches(a, x, 1))
    let entered = order.enter(lane: 0)
    order.look(Kind.resolve.touches(b, y, 2))
    var verdict = order.verdict(lane: 0) { _ in .all }
    var hasRoom = order.hasRoom
    #expect(verdict == .waits && !hasRoom)
    order.leave(entered)
    verdict = order.verdict(lane: 0) { _ in .all }
    hasRoom = order.hasRoom
    let isEmpty = order.isEmpty
    #expect(verdict == .goes && hasRoom && isEmpty)
}

/// Random commands enter and leave; a table of all of them says the same.
@Test(arguments: 1...8) func agreesWithATableOfAll(_ seed: Int) {
    var random = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
    func below(_ n: Int) -> Int {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((random >> 33) % UInt64(n))
    }
    let freedoms: [AccountFreedom?] = [nil, [], .unrecorded, [.credits, .unrecorded], [.debits, .unrecorded], .all]
    let freedom = (0..<8).map { _ in freedoms[below(5)] }
    var order = CommandOrder(uses: 512)
    var underWay: [(head: UInt32, lane: UInt16, touches: [Touch])] = []
    for n in 0..<800 {
        if !underWay.isEmpty && below(3) == 0 {
            order.leave(underWay.remove(at: below(underWay.count)).head)
            continue
        }
        let kind = Kind.allCases[below(Kind.allCases.count)]
        let touches = kind.touches(AccountID(UInt128(below(4))), AccountID(UInt128(4 + below(4))), UInt128(n / 2))
        let lane = below(4) == 0 ? CommandOrder.unordered : UInt16(below(2))
        order.look(touches)
        let verdict = order.verdict(lane: lane) { freedom[Int($0.value) & 7] }
        /// Under way, and not to be told from the command in either order.
        func commutes(_ first: [Touch]) -> Bool {
            first.allSatisfy { old in touches.allSatisfy { commute(old, $0) { freedom[Int($0.value) & 7] ?? [] } } }
        }
        if verdict == .goes {
            let isRight = underWay.allSatisfy {
                $0.lane == lane && lane != CommandOrder.unordered || commutes($0.touches)
            }
            #expect(isRight, "seed \(seed), step \(n): \(kind)")
            if underWay.count < 40 { underWay.append((order.enter(lane: lane), lane, touches)) }
        } else {
            // A lane that was mixed stays so while anything of that use is under way.
            let isRight = underWay.contains { !commutes($0.touches) } || !order.hasRoom
            #expect(isRight, "seed \(seed), step \(n): \(kind) \(verdict)")
        }
    }
    for command in underWay { order.leave(command.head) }
    let isEmpty = order.isEmpty
    #expect(isEmpty)
}

private func commute(_ one: Touch, _ two: Touch, _ freedom: (AccountID) -> AccountFreedom) -> Bool {
    switch (one, two) {
    case (.account(let x, let u), .account(let y, let v)):
        x != y || CommandOrder.commute(u, v, of: .account, freedom(x))
    case (.identity(let x, let u), .identity(let y, let v)): x != y || u != v
    case (.whole(let u), .whole(let v)): CommandOrder.commute(u, v, of: .whole, [])
    default: true
    }
}
