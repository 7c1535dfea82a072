// Accounts that do not exist and chains under way for which that matters, by id: a chain of transfers that rests on the
// absence, a chain of accounts that creates it or waits to. And what waits for such a chain to end: participants and events.
// It knows no ledger and no participant's age: it says what is held, and hands out who goes on.
//
//     heads[hash] ──► AbsentAccount ──► hold ──► hold …      of one id
//     participants[p] ────────────────► hold ──► hold …      of one chain
//
// Links are places plus one, 0 meaning none. The tables grow by doubling, up to what all chains under way can touch
// together (`Shard.chainPlacesMax` for each shard).

internal import SuanpanCore

/// Why a chain's participant holds an account's absence.
enum HoldKind: UInt8, BitwiseCopyable {
    /// A chain of transfers rests on it.
    case absent
    /// A chain of accounts creates the account, unless it is let go.
    case creating
    /// A chain of accounts waits to.
    case awaited
}

/// A participant's hold of an id.
struct Hold: BitwiseCopyable {
    /// Place of the account.
    var account: UInt32
    var participant: UInt32
    /// Links of the account's holds.
    var next: UInt32
    var previous: UInt32
    /// Link of the participant's.
    var nextOfParticipant: UInt32
    var kind: HoldKind
}

/// An id that something holds.
struct AbsentAccount: BitwiseCopyable {
    var id: AccountID
    var hash: UInt64
    /// Link of those with the same place in the table.
    var next: UInt32
    var firstHold: UInt32
    /// Of its holds, those of chains that create it or wait to.
    var creations: UInt32
}

/// What a participant has to do with holds.
struct HoldingParticipant: BitwiseCopyable {
    var firstHold: UInt32
    /// Links of the list of those that wait.
    var next: UInt32
    var previous: UInt32
    var isWaiting: Bool
}

struct AbsentAccounts: ~Copyable {
    /// By hash; as many as `accounts` has places.
    private(set) var heads: FixedArray<UInt32>
    private(set) var accounts: GrowingTable<AbsentAccount>
    private var holds: GrowingTable<Hold>
    private var participants: FixedArray<HoldingParticipant>
    /// First and last of the participants that wait for some hold to end.
    private var firstWaiting: UInt32 = 0
    private var lastWaiting: UInt32 = 0
    private(set) var waitingCount = 0
    /// Waiters that do, in order.
    private var events = Queue<UInt32>(capacity: 64)

    /// - Parameter participants: Places of the shard's table of participants.
    init(participants: Int) {
        accounts = GrowingTable(capacity: 64)
        holds = GrowingTable(capacity: 64)
        heads = FixedArray(count: accounts.capacity)
        // Few of them are used at a time.
        self.participants = FixedArray(count: participants, isSparse: true)
    }

    /// Holds there are.
    @inline(__always)
    var count: Int { holds.count }

    @inline(__always)
    var isEmpty: Bool { holds.count == 0 }

    // MARK: What is held

    /// Something holds the absence of the account, which so must not be created now.
    /// - Parameter hash: Of the id, under a key that clients do not know.
    /// - Complexity: O(1).
    func isHeld(_ id: AccountID, _ hash: UInt64) -> Bool { find(id, hash) != 0 }

    /// Whether the account exists is being decided.
    /// - Complexity: O(1).
    func isBeingCreated(_ id: AccountID, _ hash: UInt64) -> Bool {
        let account = find(id, hash)
        return account != 0 && accounts[Int(account - 1)].creations > 0
    }

    /// The account's first hold; 0: none. The others follow by `Hold.next`.
    func firstHold(_ id: AccountID, _ hash: UInt64) -> UInt32 {
        let account = find(id, hash)
        return account == 0 ? 0 : accounts[Int(account - 1)].firstHold
    }

    subscript(link: UInt32) -> Hold { holds[Int(link - 1)] }

    private func find(_ id: AccountID, _ hash: UInt64) -> UInt32 {
        var link = heads[place(hash)]
        while link != 0 {
            let i = Int(link - 1)
            if accounts[i].hash == hash && accounts[i].id == id { return link }
            link = accounts[i].next
        }
        return 0
    }

    private func place(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (heads.count - 1) }

    // MARK: Holding, and letting go

    /// - Complexity: O(1).
    mutating func hold(_ id: AccountID, _ hash: UInt64, by p: Int, _ kind: HoldKind) {
        var account = find(id, hash)
        if account == 0 {
            account = accounts.take(AbsentAccount(id: id, hash: hash, next: 0, firstHold: 0, creations: 0)) + 1
            if accounts.capacity > heads.count { rehash() } else { enter(account) }
        }
        let a = Int(account - 1)
        let first = accounts[a].firstHold
        let link =
            1
            + holds.take(
                Hold(
                    account: account - 1, participant: UInt32(truncatingIfNeeded: p), next: first, previous: 0,
                    nextOfParticipant: participants[p].firstHold, kind: kind))
        if first != 0 { holds[Int(first - 1)].previous = link }
        accounts[a].firstHold = link
        if kind != .absent { accounts[a].creations += 1 }
        participants[p].firstHold = link
    }

    private mutating func enter(_ account: UInt32) {
        let a = Int(account - 1)
        let head = place(accounts[a].hash)
        accounts[a].next = heads[head]
        heads[head] = account
    }

    /// The table of accounts was full and has grown: its places are in use from the first to the last.
    private mutating func rehash() {
        heads = FixedArray(count: accounts.capacity)
        for account in 0..<accounts.count { enter(UInt32(truncatingIfNeeded: account) + 1) }
    }

    /// The participant holds nothing any more.
    /// - Returns: It has held something.
    /// - Complexity: O(its own holds).
    @discardableResult
    mutating func endHolds(of p: Int) -> Bool {
        var link = participants[p].firstHold
        participants[p].firstHold = 0
        guard link != 0 else { return false }
        while link != 0 {
            let hold = holds[Int(link - 1)]
            remove(hold)
            holds.give(link - 1)
            link = hold.nextOfParticipant
        }
        return true
    }

    /// Takes a hold out of its account's, and the account out of the table with the last of them.
    private mutating func remove(_ hold: Hold) {
        let a = Int(hold.account)
        if hold.next != 0 { holds[Int(hold.next - 1)].previous = hold.previous }
        if hold.previous != 0 {
            holds[Int(hold.previous - 1)].next = hold.next
        } else {
            accounts[a].firstHold = hold.next
        }
        if hold.kind != .absent { accounts[a].creations -= 1 }
        guard accounts[a].firstHold == 0 else { return }
        let head = place(accounts[a].hash)
        var before: UInt32 = 0
        var link = heads[head]
        while link != hold.account + 1 {
            invariant(link != 0, "an absent account is not where its hash says")
            before = link
            link = accounts[Int(link - 1)].next
        }
        if before == 0 { heads[head] = accounts[a].next } else { accounts[Int(before - 1)].next = accounts[a].next }
        accounts.give(hold.account)
    }

    // MARK: Waiting for an end

    /// The participant goes on when some hold has ended.
    mutating func wait(_ p: Int) {
        invariant(!participants[p].isWaiting, "participant \(p) waits twice for the end of a hold")
        let link = UInt32(truncatingIfNeeded: p) + 1
        participants[p].isWaiting = true
        participants[p].next = 0
        participants[p].previous = lastWaiting
        if lastWaiting != 0 { participants[Int(lastWaiting - 1)].next = link } else { firstWaiting = link }
        lastWaiting = link
        waitingCount += 1
    }

    /// The participant waits for no hold any more.
    mutating func endWait(_ p: Int) {
        guard participants[p].isWaiting else { return }
        let (next, previous) = (participants[p].next, participants[p].previous)
        if next != 0 { participants[Int(next - 1)].previous = previous } else { lastWaiting = previous }
        if previous != 0 { participants[Int(previous - 1)].next = next } else { firstWaiting = next }
        participants[p].isWaiting = false
        waitingCount -= 1
    }

    /// The first that waits, which then waits no more.
    mutating func nextWaiting() -> Int? {
        guard firstWaiting != 0 else { return nil }
        let p = Int(firstWaiting - 1)
        endWait(p)
        return p
    }

    /// The event of a waiter goes on when some hold has ended.
    mutating func wait(event waiter: UInt32) { events.append(waiter) }

    mutating func nextEvent() -> UInt32? {
        guard !events.isEmpty else { return nil }
        let waiter = events.first
        events.removeFirst()
        return waiter
    }

    var eventCount: Int { events.count }

    // MARK: What always holds

    func isHolding(_ p: Int) -> Bool { participants[p].firstHold != 0 }
    func isWaiting(_ p: Int) -> Bool { participants[p].isWaiting }

    func checkInvariants() {
        var held = 0
        var found = 0
        if count > 0 {
            for head in 0..<heads.count {
                var link = heads[head]
                while link != 0 {
                    let account = accounts[Int(link - 1)]
                    invariant(place(account.hash) == head, "absent account \(account.id.value) has another's place")
                    held += checkHolds(of: account, link - 1)
                    found += 1
                    link = account.next
                }
            }
        }
        invariant(held == count, "\(count) holds, and \(held) of accounts")
        invariant(found == accounts.count, "\(accounts.count) absent accounts, and \(found) of them in the table")
        invariant(heads.count == accounts.capacity, "a table of \(heads.count) for \(accounts.capacity) accounts")
        var waiting = 0
        var (before, link) = (UInt32(0), firstWaiting)
        while link != 0 {
            let participant = participants[Int(link - 1)]
            invariant(participant.isWaiting && participant.previous == before, "participants that wait: broken links")
            waiting += 1
            (before, link) = (link, participant.next)
        }
        invariant(before == lastWaiting && waiting == waitingCount, "\(waiting) participants wait of \(waitingCount)")
        // Or nobody would wake them.
        invariant(count > 0 || (waiting == 0 && eventCount == 0), "something waits for the end of no hold")
    }

    /// Returns how many there are.
    private func checkHolds(of account: AbsentAccount, _ place: UInt32) -> Int {
        invariant(account.firstHold != 0, "absent account \(account.id.value) that nothing holds")
        var (held, creations) = (0, 0)
        var (before, link) = (UInt32(0), account.firstHold)
        while link != 0 {
            let hold = holds[Int(link - 1)]
            invariant(hold.account == place && hold.previous == before, "holds of \(account.id.value): broken links")
            var own = participants[Int(hold.participant)].firstHold
            while own != 0 && own != link { own = holds[Int(own - 1)].nextOfParticipant }
            invariant(own == link, "participant \(hold.participant) does not know what it holds")
            held += 1
            if hold.kind != .absent { creations += 1 }
            (before, link) = (link, hold.next)
        }
        invariant(creations == Int(account.creations), "\(account.creations) creations of \(account.id.value)")
        return held
    }
}
