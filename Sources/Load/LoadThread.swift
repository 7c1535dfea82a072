// One load thread: an io_uring, its share of the connections, and the loop that sends what is due and counts what
// comes back. Everything it touches while the load runs was allocated before.
//
// A request's way: a *credit* (a connection that may send one more) is taken from `credits`; the request is built in the
// connection's next send slot; `flush` sends all waiting slots of a connection at once; its reply gives the credit back.
// A due time without a credit waits for one, and its latency counts from the due time all the same.

internal import SuanpanCore
internal import SuanpanUring
internal import SuanpanWire

struct LoadThread: ~Copyable {
    struct Connection: BitwiseCopyable {
        enum Phase: UInt8, BitwiseCopyable { case connecting, authenticating, ready, lost }
        var fd: Int32 = -1
        var phase = Phase.connecting
        var isDirty = false
        /// Requests built and not yet answered.
        var outstanding = 0
        /// Send slots built, handed to the kernel whole, and of the send under way; slot = number % inFlight.
        var built = 0
        var sent = 0
        var sending = 0
        var sendingBytes = 0
        /// Credits that wait for a send slot.
        var starved = 0
        /// Free places of `requests`, as a list through `next`; RESP uses the places in turn instead.
        var firstFree = 0
        var oldest = 0
        var sequence: UInt64 = 0
        /// Of the reply being read: its request's place, and its events so far.
        var place = 0
        var created = 0
        var busy = 0
        var event = 0
        var native = NativeReplies()
        var resp = RespReplies()
    }

    struct Request: BitwiseCopyable {
        var id: UInt64 = 0
        /// Nanoseconds after the start at which it was due.
        var due: UInt64 = 0
        /// 0: the place is free.
        var count = 0
        var next = 0
    }

    struct Delayed: BitwiseCopyable {
        var until: UInt64
        var connection: Int
    }

    enum Token: UInt64 { case connect = 1, send, receive }

    static let group: UInt16 = 1
    static let connectsAtOnce = 256
    /// Requests built between two looks at the completions.
    static let issuesPerRound = 256
    /// Requests of this size are sent at once, so that the server works while the next is built.
    static let largeBytes = 1 << 16
    static let sendBytesMax = 1 << 30
    static let idleNanoseconds: UInt64 = 100_000_000
    /// A schedule that is over may still send what was due for this long.
    static let graceNanoseconds: UInt64 = 1_000_000_000

    let plan: LoadPlan
    let address: SocketAddress
    let control: RunControl
    let count: Int
    /// Transfers, or purchases, that this thread may send.
    let countMax: UInt64
    /// Send slots of a connection: a purchase may have its second step built before the kernel is done with the first.
    let slotsEach: Int

    var ring: Ring
    var buffers: ProvidedBuffers
    var arena: SendArena
    var connections: FixedArray<Connection>
    var requests: FixedArray<Request>
    var lengths: FixedArray<UInt32>
    var credits: Fifo<Int>
    var delayed: Fifo<Delayed>
    var dirty: Fifo<Int>
    var workload: Workload
    var reservations: Reservations
    var purchases: Purchases
    var recorder: Recorder

    var start: UInt64 = 0
    var outstanding = 0
    var armed = 0
    var ready = 0
    var lost = 0
    var lastHeard: UInt64 = 0
    var issued: UInt64 = 0
    var failure: LoadError?

    init(
        _ plan: LoadPlan, address: SocketAddress, control: RunControl, workload: consuming Workload,
        connections count: Int, countMax: UInt64
    ) throws(LoadError) {
        self.plan = plan
        self.address = address
        self.control = control
        self.count = count
        self.countMax = countMax
        let buys = plan.sale != nil
        purchases = Purchases(
            connections: buys ? count : 1, inFlight: buys ? plan.inFlight : 1,
            customers: buys ? workload.book.customers : 1)
        self.workload = workload
        recorder = Recorder(buys: buys)
        slotsEach = buys ? 2 * plan.inFlight : plan.inFlight
        let slots = count * slotsEach
        let replyBytes =
            plan.wire == .native
            ? plan.inFlight * (FrameHeader.bytes + 16 * plan.batch) : plan.inFlight * (buys ? 128 : 32)
        let bufferBytes = min(1 << 16, max(1 << 12, replyBytes.nextPowerOfTwo))
        let bufferCount = min(1 << 12, max(64, count.nextPowerOfTwo))
        do {
            var ring = try Ring(entries: 4096)
            buffers = try ring.provideBuffers(group: Self.group, count: bufferCount, size: bufferBytes)
            self.ring = ring
        } catch {
            throw .machine(error.description)
        }
        let slotBytes =
            switch plan.wire {
            case .native: SendArena.nativeSlotBytes(batch: buys ? PurchaseStep.post.count : plan.batch)
            case .resp where buys: SendArena.respPurchaseSlotBytes
            case .resp: plan.pending > 0 ? SendArena.respPendingSlotBytes : SendArena.respSlotBytes
            }
        arena = SendArena(slots: slots, slotBytes: slotBytes)
        reservations = Reservations(
            connections: count, inFlight: plan.inFlight, batch: plan.batch, isOn: plan.pending > 0)
        connections = FixedArray(count: count)
        requests = FixedArray(count: count * plan.inFlight)
        lengths = FixedArray(count: slots)
        credits = Fifo(capacity: count * plan.inFlight)
        delayed = Fifo(capacity: count * plan.inFlight)
        dirty = Fifo(capacity: count)
        for i in 0..<count {
            connections[i] = Connection()
            for place in 0..<plan.inFlight { requests[i * plan.inFlight + place] = Request(next: place + 1) }
        }
    }

    // MARK: The run

    /// Connects, waits for the common start, loads, and leaves its result with the control.
    mutating func run(_ schedule: Schedule?, seed: UInt64) {
        do {
            try connectAll()
            control.ready.add(1, ordering: .relaxed)
            try waitForStart()
            let cpu = System.threadCPU
            try load(schedule, seed: seed)
            recorder.result.cpuNanoseconds = System.threadCPU - cpu
        } catch {
            failure = error
            control.ready.add(1, ordering: .relaxed)
            control.raiseStop(to: 2)
        }
        hangUp()
        var result = recorder.finish(control)
        result.failure = failure
        result.connectionsLost = lost
        let done = result
        control.results.withLock { $0.append(done) }
    }

    // Do not rename: Perf/ finds the generator's loop by this symbol.
    @inline(never)
    private mutating func load(_ schedule: Schedule?, seed: UInt64) throws(LoadError) {
        var pace = Pace(schedule, plan: plan, seed: seed)
        giveCredits()
        lastHeard = start
        while true {
            var now = System.now - start
            if control.stopping == 2 { break }
            let goesOn = pace.isOpen(now) && issued < countMax && control.stopping == 0
            if goesOn { now = try issue(&pace, now) }
            try flush()
            if !goesOn && outstanding == 0 { break }
            // One that is silent may be slow beyond that: it has the time of any other.
            if !goesOn && pace.hasDrained(now) && !isSilent(for: plan.drainSeconds, now) { break }
            var patience = pace.patience(now, hasCredit: credits.count > 0 && goesOn)
            if let first = delayed.first { patience = min(patience, first.until - min(first.until, now)) }
            try wait(patience)
            while let completion = ring.nextCompletion() { try handle(completion) }
            now = System.now - start
            wakeDelayed(now)
            recorder.turn(now, control)
            if isSilent(for: plan.replyTimeoutSeconds, now) {
                throw .server(target: plan.target, problem: "no reply for \(plan.replyTimeoutSeconds) s")
            }
        }
        leaveUnanswered()
        leaveUnsent(&pace)
    }

    /// Something is outstanding, and nothing was heard for so long.
    private func isSilent(for seconds: Int, _ now: UInt64) -> Bool {
        outstanding > 0 && start + now > lastHeard + UInt64(seconds) * 1_000_000_000
    }

    /// Sends what is due while there are credits, a bounded number of requests. Returns the time afterwards.
    private mutating func issue(_ pace: inout Pace, _ time: UInt64) throws(LoadError) -> UInt64 {
        var now = time
        var rounds = 0
        while rounds < Self.issuesPerRound && issued < countMax && pace.isDue(now) {
            guard let connection = credits.popFirst() else { break }
            if connections[connection].phase == .lost { continue }
            if connections[connection].built - connections[connection].sent == slotsEach {
                // Its reply overtook the completion of its send: the slot is not free yet.
                connections[connection].starved += 1
                continue
            }
            let count = Int(min(UInt64(plan.batch), countMax - issued))
            let due = pace.take(now)
            if plan.sale != nil {
                if pace.isClosed { now = System.now - start }
                beginPurchase(connection, due: pace.isClosed ? now : due, now)
                issued += 1
                recorder.offer(1, at: pace.isClosed ? now : due)
                rounds += 1
                continue
            }
            let bytes = build(connection, count: count)
            if pace.isClosed { now = System.now - start }
            enter(connection, count: count, due: pace.isClosed ? now : due)
            issued += UInt64(count)
            recorder.offer(count, at: pace.isClosed ? now : due)
            rounds += 1
            if bytes >= Self.largeBytes { try flush() }
        }
        return now
    }

    /// As many requests as may be outstanding at once, dealt to the connections in turn.
    private mutating func giveCredits() {
        // A customer buys one thing after the other: no more purchases than this thread has customers.
        var left =
            plan.sale == nil
            ? Int.max : (workload.book.customers + plan.threads - 1 - Int(workload.thread)) / plan.threads
        for _ in 0..<plan.inFlight {
            for i in 0..<count where left > 0 {
                credits.append(i)
                left -= 1
            }
        }
    }

    /// What was due and never sent, by the schedule: counted, with the time it waited so far.
    private mutating func leaveUnsent(_ pace: inout Pace) {
        // A closed loop has no due times: it owes nothing.
        if pace.isClosed { return }
        let now = System.now - start
        while issued < countMax, pace.isDue(now) {
            let due = pace.take(now)
            let count = Int(min(UInt64(plan.batch), countMax - issued))
            issued += UInt64(count)
            recorder.offer(count, at: due)
            recorder.leave(count, latency: now - due)
        }
    }

    /// What was sent and has no answer yet when the run ends: counted, with the time it waited so far.
    private mutating func leaveUnanswered() {
        if outstanding == 0 { return }
        let now = System.now - start
        for r in 0..<count * plan.inFlight where requests[r].count > 0 {
            recorder.abandon(plan.sale == nil ? requests[r].count : 1, latency: now - min(now, requests[r].due))
        }
    }

    // MARK: Requests

    @inline(__always)
    private mutating func build(_ i: Int, count: Int) -> Int {
        let slot = nextSlot(i)
        let length: Int
        switch plan.wire {
        case .native:
            connections[i].sequence += 1
            let id = connections[i].sequence << 16 | UInt64(connections[i].firstFree)
            length = arena.buildTransfers(
                slot, requestID: id, count: count, from: &workload, &reservations, connection: i,
                place: connections[i].firstFree)
        case .resp:
            length = arena.buildCommand(
                slot, from: &workload, &reservations, connection: i, place: nextPlace(i))
        }
        noteBuilt(i, slot, length)
        return length
    }

    @inline(__always)
    func nextSlot(_ i: Int) -> Int { i * slotsEach + connections[i].built % slotsEach }

    @inline(__always)
    mutating func noteBuilt(_ i: Int, _ slot: Int, _ length: Int) {
        lengths[slot] = UInt32(length)
        connections[i].built += 1
        markDirty(i)
    }

    /// The place of a RESP connection's next request.
    @inline(__always)
    private func nextPlace(_ i: Int) -> Int { (connections[i].oldest + connections[i].outstanding) % plan.inFlight }

    /// Notes a request just built as outstanding.
    @inline(__always)
    private mutating func enter(_ i: Int, count: Int, due: UInt64) {
        let place: Int
        if plan.wire == .native {
            place = connections[i].firstFree
            connections[i].firstFree = requests[i * plan.inFlight + place].next
        } else {
            place = nextPlace(i)
        }
        requests[i * plan.inFlight + place] = Request(
            id: connections[i].sequence << 16 | UInt64(place), due: due, count: count)
        connections[i].outstanding += 1
        outstanding += 1
    }

    @inline(__always)
    mutating func markDirty(_ i: Int) {
        if connections[i].isDirty { return }
        connections[i].isDirty = true
        dirty.append(i)
    }

    /// Prepares a send for every connection that has something to send and none under way, and submits.
    mutating func flush() throws(LoadError) {
        if dirty.count == 0 { return }
        while let i = dirty.popFirst() {
            connections[i].isDirty = false
            send(i)
        }
        do { try ring.submit(poll: false) } catch { throw .machine(error.description) }
    }

    private mutating func send(_ i: Int) {
        let c = connections[i]
        if c.sending > 0 || c.built == c.sent || c.phase == .lost { return }
        let first = c.sent % slotsEach
        let base = i * slotsEach
        var last = first
        var bytes = Int(lengths[base + first])
        // Slots lie in a row, so whole ones are one piece; a shorter one ends it.
        while last + 1 < slotsEach, c.sent + last + 1 - first < c.built,
            Int(lengths[base + last]) == arena.slotBytes, bytes < Self.sendBytesMax
        {
            last += 1
            bytes += Int(lengths[base + last])
        }
        connections[i].sending = last - first + 1
        connections[i].sendingBytes = bytes
        // SAFETY: the slots stay as they are until this send's completion frees them (`built − sent` ≤ slotsEach).
        unsafe ring.send(c.fd, from: arena.address(base + first), length: bytes, token: token(.send, i))
        armed += 1
    }

    @inline(__always)
    func token(_ kind: Token, _ i: Int) -> UInt64 { kind.rawValue << 56 | UInt64(i) }

    private mutating func wakeDelayed(_ now: UInt64) {
        while let first = delayed.first, first.until <= now {
            _ = delayed.popFirst()
            credits.append(first.connection)
        }
    }

    /// Submits, and sleeps until a completion or for so long.
    mutating func wait(_ nanoseconds: UInt64) throws(LoadError) {
        do {
            if nanoseconds == 0 {
                try ring.submit(poll: true)
            } else {
                try ring.submitAndWait(timeoutNanoseconds: nanoseconds)
            }
        } catch { throw .machine(error.description) }
    }
}

/// When requests may go: at once in a closed loop, at their due times in an open one.
struct Pace {
    let isClosed: Bool
    private var arrivals: Arrivals?
    private var random: Random
    private var nextDue: UInt64?
    /// Nanoseconds after the start at which a closed loop, or an open loop's grace, ends.
    private let end: UInt64
    private let drain: UInt64

    init(_ schedule: Schedule?, plan: LoadPlan, seed: UInt64) {
        isClosed = schedule == nil
        random = Random(seed: seed ^ 0x5C4E_D01E)
        let seconds = schedule?.seconds ?? plan.durationSeconds ?? .infinity
        drain = UInt64(plan.drainSeconds) * 1_000_000_000
        end = seconds > 1e9 ? .max : UInt64(seconds * 1e9) + (schedule == nil ? 0 : LoadThread.graceNanoseconds)
        if let schedule {
            var arrivals = Arrivals(schedule, batch: plan.batch)
            nextDue = arrivals.next(&random)
            self.arrivals = arrivals
        }
    }

    /// A run that ends by time has waited long enough for its last answers.
    func hasDrained(_ now: UInt64) -> Bool { end < .max && now >= end &+ drain }

    /// More may become due.
    func isOpen(_ now: UInt64) -> Bool { now < end && (isClosed || nextDue != nil) }
    @inline(__always)
    func isDue(_ now: UInt64) -> Bool {
        if isClosed { return now < end }
        guard let nextDue else { return false }
        return nextDue <= now
    }

    /// The due time of the next request, which is taken.
    @inline(__always)
    mutating func take(_ now: UInt64) -> UInt64 {
        guard let due = nextDue else { return now }
        nextDue = arrivals?.next(&random)
        return due
    }

    /// How long to sleep for completions: not past the next due time when it could be sent.
    func patience(_ now: UInt64, hasCredit: Bool) -> UInt64 {
        if isClosed { return hasCredit ? 0 : LoadThread.idleNanoseconds }
        guard hasCredit, let nextDue else { return LoadThread.idleNanoseconds }
        return nextDue <= now ? 0 : min(nextDue - now, LoadThread.idleNanoseconds)
    }
}

extension Int {
    fileprivate var nextPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}
