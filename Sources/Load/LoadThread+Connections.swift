// Connecting, losing and hanging up; and what each completion of the ring means.

internal import SuanpanCore
internal import SuanpanUring
internal import SuanpanWire
internal import Synchronization

extension LoadThread {
    // MARK: Connecting

    /// Opens this thread's connections, many at once, and gives the password on each.
    mutating func connectAll() throws(LoadError) {
        let target = System.PlacedAddress(address)
        var begun = 0
        var deadline = System.now + UInt64(plan.replyTimeoutSeconds) * 1_000_000_000
        var before = 0
        var shortage: CInt = 0
        while ready < count {
            while begun < count && begun - ready < Self.connectsAtOnce {
                let fd = System.socket(address)
                if System.isShortage(-fd) {
                    // Others give descriptors back: tried again, as long as a connection may take.
                    shortage = -fd
                    break
                }
                shortage = 0
                guard fd >= 0 else { throw .connect(target: plan.target, problem: System.reason(-fd)) }
                connections[begun].fd = fd
                // SAFETY: `target` lives until all connections stand or the thread gives up.
                unsafe ring.connect(fd, to: target.pointer, length: target.length, token: token(.connect, begun))
                armed += 1
                begun += 1
            }
            try flush()
            try wait(Self.idleNanoseconds)
            while let completion = ring.nextCompletion() { try handle(completion) }
            if let failure { throw failure }
            if lost > 0 {
                throw .connect(target: plan.target, problem: recorder.result.firstError ?? "closed the connection")
            }
            if ready > before {
                before = ready
                deadline = System.now + UInt64(plan.replyTimeoutSeconds) * 1_000_000_000
            }
            if System.now > deadline {
                throw .connect(
                    target: plan.target,
                    problem:
                        "\(count - ready) of \(counted(count, "connection")) do not stand after \(plan.replyTimeoutSeconds) s"
                        + (shortage == 0 ? "" : ": \(System.reason(shortage))")
                )
            }
            if control.stopping == 2 { throw .connect(target: plan.target, problem: "given up") }
        }
    }

    /// Waits until all threads are connected and the main one has set the time.
    mutating func waitForStart() throws(LoadError) {
        while true {
            start = control.startAt.load(ordering: .relaxed)
            if start != 0 || control.stopping == 2 { break }
            try wait(1_000_000)
            while let completion = ring.nextCompletion() { try handle(completion) }
        }
        if start == 0 { start = System.now }
        while System.now < start { try wait(start - min(start - 1, System.now)) }
        lastHeard = start
    }

    private mutating func connected(_ i: Int, _ result: Int32) throws(LoadError) {
        guard result >= 0 else { throw .connect(target: plan.target, problem: System.reason(-result)) }
        receive(i)
        guard let password = plan.password else {
            connections[i].phase = .ready
            ready += 1
            return
        }
        connections[i].phase = .authenticating
        let slot = nextSlot(i)
        let length =
            switch plan.wire {
            case .native: arena.build(slot, .authenticate, body: Array(password.utf8))
            case .resp: arena.build(slot, bytes: Setup.command(["AUTH", password]))
            }
        noteBuilt(i, slot, length)
    }

    private mutating func receive(_ i: Int) {
        ring.receiveMultishot(connections[i].fd, group: Self.group, token: token(.receive, i))
        armed += 1
    }

    // MARK: Losing

    /// Gives a connection up: what it had outstanding are errors. The last one ends the run.
    mutating func lose(_ i: Int, _ problem: String) {
        if connections[i].phase == .lost { return }
        connections[i].phase = .lost
        System.hangUp(connections[i].fd)
        lost += 1
        if recorder.result.firstError == nil { recorder.result.firstError = problem }
        for place in 0..<plan.inFlight where requests[i * plan.inFlight + place].count > 0 {
            recorder.result.errors += plan.sale != nil ? 1 : UInt64(requests[i * plan.inFlight + place].count)
            requests[i * plan.inFlight + place].count = 0
        }
        outstanding -= connections[i].outstanding
        connections[i].outstanding = 0
        if lost == count && failure == nil { failure = .server(target: plan.target, problem: problem) }
    }

    /// Closes everything; returns when the kernel has let go of the buffers, or after a second.
    mutating func hangUp() {
        for i in 0..<count where connections[i].fd >= 0 {
            connections[i].phase = .lost
            System.hangUp(connections[i].fd)
        }
        let end = System.now + 1_000_000_000
        while armed > 0 && System.now < end {
            do {
                try ring.submitAndWait(timeoutNanoseconds: 10_000_000)
            } catch {
                // The ring is broken; closing it below ends all it had under way.
                break
            }
            while let completion = ring.nextCompletion() {
                if let id = completion.bufferID { buffers.recycle(id) }
                if !completion.hasMore { armed -= 1 }
            }
        }
        for i in 0..<count where connections[i].fd >= 0 {
            System.close(connections[i].fd)
            connections[i].fd = -1
        }
    }

    // MARK: Completions

    @inline(__always)
    mutating func handle(_ completion: Completion) throws(LoadError) {
        let i = Int(completion.token & 0xFFFF_FFFF)
        if !completion.hasMore { armed -= 1 }
        switch Token(rawValue: completion.token >> 56) {
        case .receive: received(i, completion)
        case .send: sent(i, completion.result)
        case .connect: try connected(i, completion.result)
        case nil: stop("completion with token \(completion.token)")
        }
        if let failure { throw failure }
    }

    private mutating func sent(_ i: Int, _ result: Int32) {
        if Int(result) != connections[i].sendingBytes {
            lose(
                i,
                result < 0 ? "sending failed: \(System.reason(-result))" : "closed the connection while it was sent to")
            return
        }
        connections[i].sent += connections[i].sending
        connections[i].sending = 0
        while connections[i].starved > 0 {
            connections[i].starved -= 1
            credits.append(i)
        }
        if connections[i].built > connections[i].sent { markDirty(i) }
    }

    private mutating func received(_ i: Int, _ completion: Completion) {
        if let id = completion.bufferID {
            if connections[i].phase != .lost && completion.result > 0 {
                lastHeard = System.now
                // SAFETY: the buffer is this thread's until it is recycled, after the span's last use.
                let bytes = unsafe buffers.bytes(id, length: Int(completion.result))
                let now = lastHeard &- start
                switch plan.wire {
                case .native: readNative(i, unsafe Span<UInt8>(_unsafeBytes: bytes), now)
                case .resp where plan.sale != nil: readPurchases(i, unsafe RawSpan(_unsafeBytes: bytes), now)
                case .resp: readResp(i, unsafe RawSpan(_unsafeBytes: bytes), now)
                }
            }
            buffers.recycle(id)
        }
        if connections[i].phase == .lost { return }
        switch completion.result {
        case 0: lose(i, "closed the connection")
        // -ENOBUFS: more arrived than there were free buffers; those read since are back.
        case ..<0 where completion.result != -105: lose(i, "receiving failed: \(System.reason(-completion.result))")
        default: if !completion.hasMore { receive(i) }
        }
    }

    // MARK: Replies

    private mutating func readNative(_ i: Int, _ bytes: Span<UInt8>, _ now: UInt64) {
        var offset = 0
        while true {
            switch connections[i].native.next(bytes, at: &offset) {
            case .more: return
            case .header:
                if let problem = headerProblem(i) { return lose(i, problem) }
                connections[i].created = 0
                connections[i].busy = 0
                connections[i].event = 0
            case .result(let result):
                if plan.sale != nil {
                    purchases.answered(i, connections[i].place, result.rawCode)
                    continue
                }
                recorder.count(code: result.rawCode)
                if result.isCreated { connections[i].created += 1 }
                if result.rawCode == ResultCode.busy.rawValue { connections[i].busy += 1 }
                if reservations.isOn {
                    reservations.answered(
                        i, connections[i].place, connections[i].event, isCreated: result.isCreated)
                }
                connections[i].event += 1
            case .end:
                if let problem = frameEnd(i, now) { return lose(i, problem) }
            case .bad(let problem): return lose(i, problem)
            }
        }
    }

    /// Finds the request that a reply's header answers; or says what is wrong with it.
    private mutating func headerProblem(_ i: Int) -> String? {
        let header = connections[i].native.header
        if connections[i].phase == .authenticating { return nil }
        let place = Int(header.requestID & 0xFFFF)
        guard place < plan.inFlight, requests[i * plan.inFlight + place].id == header.requestID,
            requests[i * plan.inFlight + place].count > 0
        else {
            if header.status != .ok && header.status != .busy { return statusText(header) }
            return "answered request \(header.requestID), which is not outstanding"
        }
        connections[i].place = place
        if header.status != .ok { return nil }
        let count = requests[i * plan.inFlight + place].count
        let size = header.flags & FrameHeader.timestampsOnly != 0 ? 8 : 16
        guard header.operation == .createTransfers, Int(header.count) == count, Int(header.bodyLength) == count * size
        else {
            return
                "answered \(counted(header.count, "result")) in \(counted(header.bodyLength, "byte")) to \(counted(count, "transfer"))"
        }
        return nil
    }

    func statusText(_ header: FrameHeader) -> String {
        "answered \(header.status?.name ?? "status \(header.rawStatus)")"
    }

    private mutating func frameEnd(_ i: Int, _ now: UInt64) -> String? {
        let header = connections[i].native.header
        if connections[i].phase == .authenticating {
            return authenticated(i, header.status == .ok ? nil : statusText(header))
        }
        if plan.sale != nil { return purchaseFrameEnd(i, now) }
        let place = connections[i].place
        let request = requests[i * plan.inFlight + place]
        var pause: UInt64 = 0
        switch header.status {
        case .ok:
            if header.flags & FrameHeader.timestampsOnly != 0 {
                connections[i].created = request.count
                recorder.result.codes[0] += UInt64(request.count)
                if reservations.isOn { reservations.allCreated(i, place) }
            }
        case .busy:
            connections[i].busy = request.count
            recorder.result.codes[Int(ResultCode.busy.rawValue)] += UInt64(request.count)
            pause = UInt64(header.retryAfterMilliseconds) * 1_000_000
        default:
            if header.status?.closesConnection ?? true { return statusText(header) }
            recorder.result.errors += UInt64(request.count)
            if recorder.result.firstError == nil { recorder.result.firstError = statusText(header) }
            give(i, back: place, now, pause: 1_000_000)
            return nil
        }
        recorder.answer(
            request.count, accepted: connections[i].created, busy: connections[i].busy, latency: now &- request.due,
            at: now)
        give(i, back: place, now, pause: pause)
        return nil
    }

    private mutating func readResp(_ i: Int, _ bytes: borrowing RawSpan, _ now: UInt64) {
        var offset = 0
        while true {
            let event = connections[i].resp.next(bytes, at: &offset)
            if case .more = event { return }
            if connections[i].phase == .authenticating {
                if let problem = authenticated(i, event) { return lose(i, problem) }
                continue
            }
            guard connections[i].outstanding > 0 else { return lose(i, "answered more than it was asked") }
            let place = connections[i].oldest
            let due = requests[i * plan.inFlight + place].due
            switch event {
            case .created:
                recorder.result.codes[0] += 1
                if reservations.isOn { reservations.allCreated(i, place) }
                recorder.answer(1, accepted: 1, busy: 0, latency: now &- due, at: now)
            case .refused(let code):
                recorder.count(code: code)
                let busy = code == ResultCode.busy.rawValue
                recorder.answer(1, accepted: 0, busy: busy ? 1 : 0, latency: now &- due, at: now)
            case .error(let text):
                recorder.result.errors += 1
                if recorder.result.firstError == nil { recorder.result.firstError = "answered \(text)" }
            case .ok, .queued, .array: return lose(i, "answered \(event) to a transfer")
            case .bad(let problem): return lose(i, problem)
            case .more: return
            }
            connections[i].oldest = place + 1 == plan.inFlight ? 0 : place + 1
            give(i, back: place, now, pause: 0)
        }
    }

    mutating func authenticated(_ i: Int, _ event: RespReplies.Event) -> String? {
        switch event {
        case .ok: authenticated(i, nil)
        case .error(let text), .bad(let text): "AUTH was answered \(text)"
        default: "AUTH was answered with what is not OK"
        }
    }

    private mutating func authenticated(_ i: Int, _ problem: String?) -> String? {
        if let problem { return problem }
        connections[i].phase = .ready
        ready += 1
        return nil
    }

    /// A request is answered: its place is free, and its connection may send again (a closed loop after `pause`; an open
    /// one does not repeat what was busy, so there is nothing to wait for).
    @inline(__always)
    mutating func give(_ i: Int, back place: Int, _ now: UInt64, pause: UInt64) {
        requests[i * plan.inFlight + place] = Request(next: connections[i].firstFree)
        connections[i].firstFree = place
        connections[i].outstanding -= 1
        outstanding -= 1
        if pause > 0 && plan.schedule == nil {
            delayed.append(Delayed(until: now + pause, connection: i))
        } else {
            credits.append(i)
        }
    }
}
