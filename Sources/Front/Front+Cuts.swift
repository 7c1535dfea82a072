// Questions that a consistent cut answers, from every door: TOTALS, and several accounts as of one moment. A front hands
// them to shard 0's core, over the lane of embedding callers, and gets them back the same way (`CutRequest`).

internal import SuanpanCore
public import SuanpanShard
internal import SuanpanWire

extension Front {
    /// Accounts asked for by the questions of one front under way; a question counts as one at least. More are `busy`.
    static var cutAccountsMax: Int { 2 * Limits.eventsPerRequestMax }

    func hasRoomForCut(_ accounts: Int) -> Bool { cutAccountsOut + max(1, accounts) <= Self.cutAccountsMax }

    /// - Parameter accounts: None: the sums are asked for.
    mutating func askForCut(_ r: UInt32, _ accounts: [AccountID]) {
        cutAccountsOut += max(1, accounts.count)
        cutRequests.append(CutRequest(core: core, request: r, accounts: accounts))
    }

    /// Questions since the last call: for shard 0.
    public mutating func takeCutRequests() -> [CutRequest] {
        if cutRequests.isEmpty { return [] }
        defer { cutRequests = [] }
        return cutRequests
    }

    /// An answer has come back.
    public mutating func receive(_ question: CutRequest) {
        guard let r = question.request, let answer = question.answer else { return }
        cutAccountsOut -= max(1, question.accounts.count)
        let i = Int(r)
        guard question.accounts.isEmpty else {
            for (index, account) in answer.accounts.enumerated() { completeRecord(i, index, account?.bits, lsn: 0) }
            return
        }
        if requests[i].kind == .embedded {
            partRequests[r]?.call.setTotals(answer.totals)
        } else if let asked = ledgersAsked.removeValue(forKey: r) {
            totals[r] = answer.totals.filter { asked.contains($0.ledger) }
        } else {
            totals[r] = answer.totals
        }
        complete(i, 0, EventResult(.created), lsn: 0)
    }

    // MARK: Native

    /// Asks what the body of the frame just received asks for: accounts, or the sums of some ledgers, of all where it names
    /// none.
    mutating func askForCut(_ c: Int, _ r: UInt32, _ count: Int, isConsistent: Bool) {
        let body = FrameHeader.bytes
        if isConsistent {
            return askForCut(
                r, (0..<count).map { AccountID(connections[c].input.load(UInt128.self, at: body + $0 * 16)) })
        }
        if count > 0 {
            ledgersAsked[r] = Set((0..<count).map { connections[c].input.load(UInt32.self, at: body + $0 * 4) })
        }
        askForCut(r, [])
    }

    /// The sums that a `totals` request asks for: of all ledgers, or of those it names.
    mutating func replyTotals(_ c: Int, _ r: Int, _ header: FrameHeader) {
        var header = header
        let found = totals.removeValue(forKey: UInt32(r)) ?? []
        guard found.count <= Limits.eventsPerRequestMax else {
            refuseFrame(c, .tooLarge, operation: header.rawOperation, requestID: header.requestID)
            return
        }
        let frame = connections[c].output.beginFrame()
        header.count = UInt32(found.count)
        for sum in found { connections[c].output.append(record: sum) }
        connections[c].output.endFrame(frame, header)
    }

    // MARK: RESP

    /// TOTALS, or ACCOUNT.GET of several accounts (the arguments of the command just parsed). They go alone: after all
    /// commands before them, before all behind them.
    mutating func startCut(_ c: Int, _ kind: RequestKind, accounts count: Int) -> Bool {
        if isDraining { return shuttingDown(c) }
        guard connections[c].openRequests == 0 else { return false }
        guard hasRoomForCut(count),
            let r = makeRequest(
                kind, connection: c, count: max(1, count), bytes: max(1, count) * ResultPool.recordStride)
        else { return busy(c) }
        askForCut(r, (0..<count).map { arguments.accountID($0) })
        goAlone(c, r)
        return true
    }
}
