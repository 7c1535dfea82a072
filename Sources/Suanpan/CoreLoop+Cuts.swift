// Consistent cuts in the loop: questions go to core 0, which begins cuts and sends the answers back; and the books are
// looked at once a second while anything changes, so that broken double entry is noticed though nobody asks.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanShard

extension CoreLoop {
    /// While something changes, the books are looked at so often.
    static var auditEvery: UInt64 { 1_000_000_000 }

    /// Passes questions and answers on.
    mutating func workCuts() {
        for question in front.takeCutRequests() { ask(question) }
        guard shard.hasCutWork else { return }
        let clock = shared.time.at(suanpan_monotonic_ns())
        shard.beginCut(now: clock)
        // An answer waits until the clock has passed its moment.
        guard clock >= shard.clock.now else { return }
        while let answered = shard.nextCutAnswer() {
            if let answer = answered.answer, answered.accounts.isEmpty { note(answer) }
            if answered.core == id {
                front.receive(answered)
            } else {
                shared.callers[answered.core.index].push(answered)
                shared.bells[answered.core.index].ring()
            }
        }
    }

    /// A question, or an answer, from another core.
    mutating func receive(_ question: CutRequest) {
        if question.answer == nil { shard.ask(question) } else { front.receive(question) }
    }

    private mutating func ask(_ question: CutRequest) {
        if id.value == 0 { return shard.ask(question) }
        shared.callers[0].push(question)
        shared.bells[0].ring()
    }

    /// Shows the sums to whoever asks INFO, and stops taking writes when they are not balanced.
    private func note(_ answer: CutAnswer) {
        guard shared.board.setTotals(answer.totals, at: answer.time) else { return }
        for sum in answer.totals where !sum.isBalanced {
            Self.say(
                "debits and credits of ledger \(sum.ledger) differ at \(answer.time.nanoseconds): pending "
                    + "\(sum.debitsPending) and \(sum.creditsPending), posted \(sum.debitsPosted) and "
                    + "\(sum.creditsPosted); no more writes are taken: stop the server and run suanpan verify")
        }
    }

    static func say(_ message: String) {
        let text = "suanpan: \(message)\n"
        // SAFETY: the bytes live for the call.
        unsafe text.utf8.withContiguousStorageIfAvailable { _ = unsafe write(2, $0.baseAddress, $0.count) }
    }

    // MARK: The regular look

    /// Something was written here since anybody looked at the books.
    var owesAudit: Bool { shard.summedLSN != shard.journal.appended }

    /// Asks for a look at the books when one is due.
    mutating func audit() {
        guard owesAudit, shared.board.beginAudit(now: now, every: Self.auditEvery) else { return }
        ask(CutRequest(core: id, request: nil, accounts: []))
    }
}
