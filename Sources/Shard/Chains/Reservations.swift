// What chains have reserved: of accounts, by account and by chain; and the identities that they are deciding.

internal import SuanpanCore
internal import SuanpanLedger

/// What a chain has reserved of one account: its `Demand`.
struct Reservation: BitwiseCopyable {
    var debits: UInt128
    var credits: UInt128
    /// Place among all that became undecided in this shard.
    var order: UInt64
    /// The account's entry, and the chain's participant.
    var entry: UInt32
    var participant: UInt32
    /// Links of the account's list.
    var next: UInt32
    var previous: UInt32
    /// Link of the chain's list, plus 1; of its last one 0.
    var nextOfChain: UInt32
}

/// First and last of an account's reservations, plus 1, in their order; 0: none.
struct ReservationList: BitwiseCopyable {
    var head: UInt32
    var tail: UInt32
}

/// The places of a shard's reservations.
struct ReservationTable: ~Copyable {
    private var places: FixedArray<Reservation>
    private var free: FreeList

    init(count: Int) {
        places = FixedArray(count: count)
        free = FreeList(count: count)
    }

    var room: Int { free.count }

    @inline(__always)
    subscript(link: UInt32) -> Reservation { places[Int(link - 1)] }

    /// Appends one to an account's list, and puts it before the others of its chain.
    mutating func add(_ reservation: Reservation, to list: inout ReservationList) -> UInt32 {
        let place = free.take()
        let link = place + 1
        places[Int(place)] = reservation
        places[Int(place)].next = 0
        places[Int(place)].previous = list.tail
        if list.tail != 0 { places[Int(list.tail - 1)].next = link } else { list.head = link }
        list.tail = link
        return link
    }

    /// Takes one out of its account's list and gives its place back.
    mutating func remove(_ link: UInt32, from list: inout ReservationList) {
        let next = places[Int(link - 1)].next
        let previous = places[Int(link - 1)].previous
        if next != 0 { places[Int(next - 1)].previous = previous } else { list.tail = previous }
        if previous != 0 { places[Int(previous - 1)].next = next } else { list.head = next }
        free.give(link - 1)
    }
}

/// Identities of transfers that reserved chains are deciding, by hash: who meets one of them waits.
struct ChainIdentities: ~Copyable {
    struct Identity: BitwiseCopyable {
        var hash: UInt64
        var next: UInt32
    }
    private var heads: FixedArray<UInt32>
    private var places: FixedArray<Identity>
    private var free: FreeList
    private let mask: Int
    private(set) var count = 0

    /// - Parameter count: A power of two.
    init(count: Int) {
        heads = FixedArray(count: count)
        places = FixedArray(count: count)
        free = FreeList(count: count)
        mask = count - 1
    }

    var room: Int { free.count }

    /// - Complexity: O(1), and one comparison where none is under way.
    @inline(__always)
    func contains(_ hash: UInt64) -> Bool { count > 0 && find(hash) }

    private func find(_ hash: UInt64) -> Bool {
        var link = heads[Int(truncatingIfNeeded: hash) & mask]
        while link != 0 {
            if places[Int(link - 1)].hash == hash { return true }
            link = places[Int(link - 1)].next
        }
        return false
    }

    mutating func add(_ hash: UInt64) {
        let place = free.take()
        let bucket = Int(truncatingIfNeeded: hash) & mask
        places[Int(place)] = Identity(hash: hash, next: heads[bucket])
        heads[bucket] = place + 1
        count += 1
    }

    mutating func remove(_ hash: UInt64) {
        let bucket = Int(truncatingIfNeeded: hash) & mask
        var before: UInt32 = 0
        var link = heads[bucket]
        while link != 0, places[Int(link - 1)].hash != hash {
            before = link
            link = places[Int(link - 1)].next
        }
        invariant(link != 0, "a reserved chain's identity is not there")
        let next = places[Int(link - 1)].next
        if before == 0 { heads[bucket] = next } else { places[Int(before - 1)].next = next }
        free.give(link - 1)
        count -= 1
    }
}

/// Where the log has what last raised an account's room: a credit, or the end of a hold. A yes that rests on a balance waits
/// until that is durable, not until all is that the log has. Many accounts share a place, so it may be later than theirs.
struct RaiseLSNs: ~Copyable {
    private static var places: Int { 1 << 14 }
    private var lsns = FixedArray<LSN>(count: RaiseLSNs.places)

    @inline(__always)
    subscript(account: AccountIndex) -> LSN {
        get { lsns[account.index & (Self.places - 1)] }
        set { lsns[account.index & (Self.places - 1)] = newValue }
    }
}
