// Purchases: a place of a connection holds one from its hold to the answer to its second step, which is sent as soon as the
// hold is answered, before anything new. Counted when it is over, from the time it was due; each step from its sending.

internal import SuanpanCore
internal import SuanpanWire

extension LoadThread {
    /// Takes a free place and sends the hold.
    mutating func beginPurchase(_ i: Int, due: UInt64, _ now: UInt64) {
        let place = connections[i].firstFree
        connections[i].firstFree = requests[i * plan.inFlight + place].next
        purchases.begin(i, place, due: due, &workload)
        sendStep(i, place, .hold, now)
        connections[i].outstanding += 1
        outstanding += 1
    }

    private mutating func sendStep(_ i: Int, _ place: Int, _ step: PurchaseStep, _ now: UInt64) {
        var purchase = purchases[i, place]
        purchase.step = step
        purchase.began = now
        purchase.fault = 0
        purchases[i, place] = purchase
        connections[i].sequence += 1
        let id = connections[i].sequence << 16 | UInt64(place)
        // A place has at most two slots that the kernel is not done with: its second step is sent when the first one's send
        // is complete.
        let slot = nextSlot(i)
        invariant(connections[i].built - connections[i].sent < slotsEach, "no send slot for a purchase's step")
        let length =
            switch plan.wire {
            case .native: arena.buildStep(slot, requestID: id, purchase, from: &workload)
            case .resp: arena.buildStepCommands(slot, purchase, from: &workload)
            }
        noteBuilt(i, slot, length)
        requests[i * plan.inFlight + place] = Request(id: id, due: purchase.due, count: step.count)
        if plan.wire == .resp { purchases.expect(i, place) }
    }

    /// The step at `place` has its answer: the next one is sent, or the purchase is over.
    /// - Parameter pause: Of a closed loop, before its connection sends something new.
    private mutating func stepAnswered(_ i: Int, _ place: Int, _ now: UInt64, pause: UInt64 = 0) {
        let purchase = purchases[i, place]
        let isBusy = purchase.fault == ResultCode.busy.rawValue
        if !isBusy { recorder.answer(purchase.step, latency: now &- purchase.began, isCreated: purchase.fault == 0) }
        if purchase.fault == 0 && purchase.step == .hold {
            return sendStep(i, place, purchase.isVoided ? .void : .post, now)
        }
        recorder.count(code: purchase.fault)
        recorder.answer(
            1, accepted: purchase.fault == 0 ? 1 : 0, busy: isBusy ? 1 : 0, latency: now &- purchase.due, at: now)
        endPurchase(i, place, now, pause: pause)
    }

    private mutating func endPurchase(_ i: Int, _ place: Int, _ now: UInt64, pause: UInt64) {
        purchases.end(i, place)
        give(i, back: place, now, pause: pause)
    }

    /// An answer that is none of the ledger: the purchase ends, without a result.
    private mutating func failPurchase(_ i: Int, _ place: Int, _ problem: String, _ now: UInt64) {
        recorder.result.errors += 1
        if recorder.result.firstError == nil { recorder.result.firstError = problem }
        endPurchase(i, place, now, pause: 1_000_000)
    }

    // MARK: Native

    /// A reply's frame is complete; the results that it had are noted.
    mutating func purchaseFrameEnd(_ i: Int, _ now: UInt64) -> String? {
        let header = connections[i].native.header
        let place = connections[i].place
        var pause: UInt64 = 0
        switch header.status {
        case .ok: break
        case .busy:
            purchases.answered(i, place, ResultCode.busy.rawValue)
            pause = UInt64(header.retryAfterMilliseconds) * 1_000_000
        default:
            if header.status?.closesConnection ?? true { return statusText(header) }
            failPurchase(i, place, statusText(header), now)
            return nil
        }
        stepAnswered(i, place, now, pause: pause)
        return nil
    }

    // MARK: RESP

    mutating func readPurchases(_ i: Int, _ bytes: borrowing RawSpan, _ now: UInt64) {
        var offset = 0
        while true {
            let event = connections[i].resp.next(bytes, at: &offset)
            if case .more = event { return }
            if connections[i].phase == .authenticating {
                if let problem = authenticated(i, event) { return lose(i, problem) }
                continue
            }
            guard let place = purchases.expected(i) else { return lose(i, "answered more than it was asked") }
            let isOver: Bool
            switch event {
            case .bad(let problem): return lose(i, problem)
            case .error(let text):
                // What follows an EXEC that was aborted is nothing; the reason came before.
                let purchase = purchases[i, place]
                if purchase.step == .post && connections[i].event < Self.execReply {
                    if recorder.result.firstError == nil { recorder.result.firstError = "answered \(text)" }
                    connections[i].event += 1
                    continue
                }
                finishReply(i)
                if purchase.fault != 0 {
                    stepAnswered(i, place, now)
                } else {
                    failPurchase(i, place, "answered \(text)", now)
                }
                continue
            default:
                if let found = note(event, i, place) {
                    isOver = found
                } else {
                    return lose(i, "answered \(event) to a purchase's \(purchases[i, place].step)")
                }
            }
            if !isOver { continue }
            finishReply(i)
            stepAnswered(i, place, now)
        }
    }

    /// Replies to MULTI and to the two commands that it queues come first.
    private static let execReply = 3

    /// Takes one reply of those to a step. Returns whether it was the last; nil: it cannot be one of them.
    private mutating func note(_ event: RespReplies.Event, _ i: Int, _ place: Int) -> Bool? {
        let number = connections[i].event
        connections[i].event += 1
        let isChain = purchases[i, place].step == .post
        switch event {
        case .created where !isChain: return true
        case .refused(let code):
            purchases.answered(i, place, code)
            // A refusal instead of the array ends it.
            return !isChain || number == Self.execReply || number == Self.execReply + PurchaseStep.post.count
        case .ok where isChain && number == 0: return false
        case .queued where isChain && number > 0 && number < Self.execReply: return false
        case .array(PurchaseStep.post.count) where isChain && number == Self.execReply: return false
        case .created where number > Self.execReply: return number == Self.execReply + PurchaseStep.post.count
        default: return nil
        }
    }

    private mutating func finishReply(_ i: Int) {
        connections[i].event = 0
        purchases.taken(i)
    }
}
