// Which commands of one RESP connection may be worked on at the same time: those whose answers and effects are the same
// in either order. Everything else keeps its order: a command is left unread while an earlier one that it does not commute
// with is undecided.
//
// A command **uses** things: accounts, identities (a debit account with a transfer id: what it creates, posts, voids or
// looks up), and the connection as a whole, for what cannot be named. Two commands commute when their uses of everything
// that both touch do:
//
//     of an account          gives   resolves   takes   needs
//     gives                  c       c          c d     never      a credit, posted or pending; a chain that takes no more
//     resolves               c       u          c d     never      of an account than it has given it before
//     takes                  c d     c d        d       never      a post or void of a hold on it; a debit
//     needs                  never   never      never   never      exactly what is there: reads, creations, freezing,
//                                                                  balancing, closing, sums above 2^64−1
//     c, d: if it is known that nothing limits the account's credits, its debits; u, and all others too: that its balances
//     after each change are not recorded (`AccountFreedom`)
//
//     of an identity         never
//
//     of the whole           named   unnamed    resolves          unnamed: a post or void whose credit account is not
//     named                  yes     no         yes               known here. It may credit whatever account another
//     unnamed                no      yes        yes               command names; two of them commute, as both resolve.
//     resolves               yes     yes        yes               resolves: a post or void of which all is known
//
// And `needs` of the whole, by what may open accounts that are not known, commutes with nothing.
//
// Two commands in a **lane** (the same shard decides them, and keeps the order of a stream) may be under way together
// whatever they use: `Shard` takes them in order. Plain and pending transfers, creations and reads have one; chains,
// posting, voiding and freezing have none, as they may take their locks in another order than they came.
//
// A command that was decided in one step as it was handed in, by this core's own shard, is not entered at all: whatever
// comes later finds what it did. Everything costs O(1) for each thing used, however much is under way.

internal import SuanpanCore

/// What a command does with a thing.
enum Use: UInt8, BitwiseCopyable, CaseIterable {
    case gives = 0
    case resolves = 1
    case takes = 2
    case needs = 3
}

extension Use {
    // Of the connection as a whole.
    static var named: Use { .gives }
    static var unnamed: Use { .resolves }
    static var resolvesKnown: Use { .takes }
}

/// Of what never changes with an account: why the order of its transfers makes no difference.
struct AccountFreedom: OptionSet, BitwiseCopyable {
    var rawValue: UInt8
    /// No credit breaks a limit or overflows.
    static var credits: AccountFreedom { AccountFreedom(rawValue: 1) }
    /// The same of debits.
    static var debits: AccountFreedom { AccountFreedom(rawValue: 2) }
    /// Its balances after each change are not to be read.
    static var unrecorded: AccountFreedom { AccountFreedom(rawValue: 4) }
    static var all: AccountFreedom { [.credits, .debits, .unrecorded] }
}

/// Uses by commands under way, of all RESP connections of a front. Fixed memory.
struct CommandOrder: ~Copyable {
    enum Thing: UInt8, BitwiseCopyable {
        case account
        case identity
        case whole
    }

    /// Something used by commands under way. Two things with the same hash are taken for one: their commands keep their order.
    struct Node: BitwiseCopyable {
        var hash: UInt64
        /// By use: how many, and the lane that all of them are in.
        var counts: SIMD4<UInt16>
        var lanes: SIMD4<UInt16>
        var next: UInt32
        var total: UInt32
    }
    /// One use by a command under way; links are indices plus 1.
    struct Entry: BitwiseCopyable {
        var node: UInt32
        var next: UInt32
        var use: Use
    }
    /// One use by the command that is being looked at.
    struct Wanted: BitwiseCopyable {
        var account: AccountID
        var hash: UInt64
        var thing: Thing
        var use: Use
    }

    enum Verdict: Equatable {
        case goes
        /// Not before an earlier one is decided.
        case waits
        /// It depends on what limits this account.
        case dependsOn(AccountID)
    }

    /// The lane of those that have none.
    static var unordered: UInt16 { .max }
    /// Five for each event of a chain: two accounts, its identity, what it posts, and the whole.
    static var usesMax: Int { Limits.eventsPerChainMax * 5 }

    private let key: HashKey
    private let mask: Int
    private var heads: FixedArray<UInt32>
    private var nodes: FixedArray<Node>
    private var freeNodes: FreeList
    private var entries: FixedArray<Entry>
    private var freeEntries: FreeList
    private var wanted = FixedArray<Wanted>(count: CommandOrder.usesMax)
    private var wantedCount = 0
    private var stream: UInt64 = 0

    /// - Parameter uses: By all commands under way; a power of two. What finds no room waits.
    init(uses: Int) {
        invariant(uses & (uses - 1) == 0, "\(uses) uses: not a power of two")
        key = HashKey(a: .random(in: .min ... .max), b: .random(in: .min ... .max))
        mask = uses - 1
        heads = FixedArray(count: uses)
        nodes = FixedArray(count: uses)
        freeNodes = FreeList(count: uses)
        entries = FixedArray(count: uses)
        freeEntries = FreeList(count: uses)
    }

    // MARK: The command that is looked at

    /// Begins with a command of a connection.
    mutating func begin(stream: UInt64) {
        self.stream = stream
        wantedCount = 0
    }

    mutating func use(_ account: AccountID, _ use: Use) {
        want(.account, account, key.hash(account.value) ^ scrambled(1), use)
    }

    mutating func useIdentity(_ debit: AccountID, _ id: TransferID) {
        want(.identity, debit, key.hash(debit, id) ^ scrambled(2), .needs)
    }

    mutating func useWhole(_ use: Use) { want(.whole, AccountID(0), scrambled(3), use) }

    /// Things of different kinds, and of different connections, have different hashes.
    private func scrambled(_ kind: UInt64) -> UInt64 { (stream &* 4 &+ kind) &* 0x9E37_79B9_7F4A_7C15 }

    private mutating func want(_ thing: Thing, _ account: AccountID, _ hash: UInt64, _ use: Use) {
        wanted[wantedCount] = Wanted(account: account, hash: hash, thing: thing, use: use)
        wantedCount += 1
    }

    // MARK: The rule

    /// Whether two uses of a thing may be under way together, in whichever order they take effect.
    static func commute(_ a: Use, _ b: Use, of thing: Thing, _ freedom: AccountFreedom) -> Bool {
        if a == .needs || b == .needs { return false }
        switch thing {
        case .identity: return false
        case .whole: return a == b || a == .resolvesKnown || b == .resolvesKnown
        case .account:
            guard freedom.contains(.unrecorded) else { return false }
            if a == .resolves && b == .resolves { return true }
            guard a == .takes || b == .takes else { return freedom.contains(.credits) }
            return freedom.contains(a == b ? .debits : [.credits, .debits])
        }
    }

    /// What the command must wait for.
    /// - Parameter freedom: What is known of an account; nil: nothing.
    func verdict(lane: UInt16, _ freedom: (AccountID) -> AccountFreedom?) -> Verdict {
        for k in 0..<wantedCount {
            let it = wanted[k]
            let link = find(it.hash)
            if link == 0 { continue }
            let node = nodes[Int(link - 1)]
            for use in Use.allCases {
                let u = Int(use.rawValue)
                if node.counts[u] == 0 || (lane != Self.unordered && node.lanes[u] == lane) { continue }
                if Self.commute(it.use, use, of: it.thing, []) { continue }
                guard it.thing == .account, Self.commute(it.use, use, of: .account, .all) else { return .waits }
                guard let known = freedom(it.account) else { return .dependsOn(it.account) }
                guard Self.commute(it.use, use, of: .account, known) else { return .waits }
            }
        }
        return freeNodes.count >= wantedCount && freeEntries.count >= wantedCount ? .goes : .waits
    }

    // MARK: Commands under way

    /// True when the command's uses fit beside those of all others.
    var hasRoom: Bool { freeNodes.count >= wantedCount && freeEntries.count >= wantedCount }

    /// The command is under way. Returns its uses, for `leave`.
    mutating func enter(lane: UInt16) -> UInt32 {
        var head: UInt32 = 0
        for k in 0..<wantedCount {
            let it = wanted[k]
            var link = find(it.hash)
            if link == 0 {
                let bucket = Int(truncatingIfNeeded: it.hash) & mask
                link = freeNodes.take() + 1
                nodes[Int(link - 1)] = Node(
                    hash: it.hash, counts: .zero, lanes: .zero, next: heads[bucket], total: 0)
                heads[bucket] = link
            }
            let i = Int(link - 1)
            let u = Int(it.use.rawValue)
            if nodes[i].counts[u] == 0 {
                nodes[i].lanes[u] = lane
            } else if nodes[i].lanes[u] != lane {
                nodes[i].lanes[u] = Self.unordered
            }
            nodes[i].counts[u] += 1
            nodes[i].total += 1
            let entry = freeEntries.take()
            entries[Int(entry)] = Entry(node: link - 1, next: head, use: it.use)
            head = entry + 1
        }
        return head
    }

    /// The command is decided.
    mutating func leave(_ head: UInt32) {
        var link = head
        while link != 0 {
            let entry = entries[Int(link - 1)]
            freeEntries.give(link - 1)
            link = entry.next
            let i = Int(entry.node)
            nodes[i].counts[Int(entry.use.rawValue)] -= 1
            nodes[i].total -= 1
            if nodes[i].total == 0 { remove(entry.node) }
        }
    }

    /// Nothing is under way.
    var isEmpty: Bool { freeNodes.count == nodes.count && freeEntries.count == entries.count }

    private func find(_ hash: UInt64) -> UInt32 {
        var link = heads[Int(truncatingIfNeeded: hash) & mask]
        while link != 0 && nodes[Int(link - 1)].hash != hash { link = nodes[Int(link - 1)].next }
        return link
    }

    private mutating func remove(_ node: UInt32) {
        let bucket = Int(truncatingIfNeeded: nodes[Int(node)].hash) & mask
        var link = heads[bucket]
        if link == node + 1 {
            heads[bucket] = nodes[Int(node)].next
        } else {
            while nodes[Int(link - 1)].next != node + 1 { link = nodes[Int(link - 1)].next }
            nodes[Int(link - 1)].next = nodes[Int(node)].next
        }
        freeNodes.give(node)
    }
}
