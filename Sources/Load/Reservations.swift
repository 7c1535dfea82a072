// What `--pending` has reserved and not yet posted: each pending transfer that was created is posted, whole, by the
// connection that sent it. One per load thread; allocates nothing while the load runs.

internal import SuanpanCore

/// A pending transfer of the load.
struct Reservation: BitwiseCopyable {
    var id: UInt128
    var debit: UInt128
    /// Its place in the request that sends it.
    var event: Int
}

struct Reservations: ~Copyable {
    /// Some of the transfers are pending ones.
    let isOn: Bool
    private let inFlight: Int
    private let batch: Int
    /// By connection and request's place: the pending transfers sent and not yet answered, in order.
    private var sent: FixedArray<Reservation>
    private var sentCounts: FixedArray<Int>
    /// Of the reply being read, by connection and place: how many of them have their result.
    private var readCounts: FixedArray<Int>
    /// By connection: a ring of those created and not yet posted. Posts go first, so no more than fill every request.
    private var created: FixedArray<Reservation>
    private var heads: FixedArray<Int>
    private var counts: FixedArray<Int>

    init(connections: Int, inFlight: Int, batch: Int, isOn: Bool) {
        self.isOn = isOn
        self.inFlight = inFlight
        self.batch = batch
        let requests = isOn ? connections * inFlight : 1
        sent = FixedArray(count: isOn ? requests * batch : 1)
        sentCounts = FixedArray(count: requests)
        readCounts = FixedArray(count: requests)
        created = FixedArray(count: isOn ? requests * batch : 1)
        heads = FixedArray(count: connections)
        counts = FixedArray(count: connections)
    }

    /// The next transfer of a request that is being built: a post, while there is something to post.
    mutating func next(_ connection: Int, _ place: Int, _ event: Int, _ workload: inout Workload) -> Draw {
        let r = connection * inFlight + place
        if event == 0 {
            sentCounts[r] = 0
            readCounts[r] = 0
        }
        if counts[connection] > 0 {
            let room = inFlight * batch
            let first = created[connection * room + heads[connection]]
            heads[connection] = (heads[connection] + 1) % room
            counts[connection] -= 1
            return Draw(
                id: workload.nextID(), debit: first.debit, credit: 0, amount: 0, pending: false, posts: first.id)
        }
        let draw = workload.next()
        if draw.pending {
            sent[r * batch + sentCounts[r]] = Reservation(id: draw.id, debit: draw.debit, event: event)
            sentCounts[r] += 1
        }
        return draw
    }

    /// An event of a request has its result. In the order of the request.
    mutating func answered(_ connection: Int, _ place: Int, _ event: Int, isCreated: Bool) {
        let r = connection * inFlight + place
        guard readCounts[r] < sentCounts[r] else { return }
        let reservation = sent[r * batch + readCounts[r]]
        guard reservation.event == event else { return }
        readCounts[r] += 1
        if isCreated { keep(connection, reservation) }
    }

    /// Every event of a request was created.
    mutating func allCreated(_ connection: Int, _ place: Int) {
        let r = connection * inFlight + place
        for k in 0..<sentCounts[r] { keep(connection, sent[r * batch + k]) }
    }

    private mutating func keep(_ connection: Int, _ reservation: Reservation) {
        let room = inFlight * batch
        invariant(counts[connection] < room, "more to post than was under way")
        created[connection * room + (heads[connection] + counts[connection]) % room] = reservation
        counts[connection] += 1
    }
}
