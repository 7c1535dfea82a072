// Consistent cuts in the loop: questions go to core 0, which begins cuts and sends the answers back.

public import SuanpanCore
public import SuanpanShard

extension Loop where Host: ~Copyable {
    /// Passes questions and answers on.
    @inlinable
    mutating func workCuts() {
        for question in host.takeCutRequests() { ask(question) }
        guard shard.hasCutWork else { return }
        let clock = host.time(at: host.monotonicNow())
        shard.beginCut(now: clock)
        // An answer waits until the clock has passed its moment.
        guard clock >= shard.clock.now else { return }
        while let answered = shard.nextCutAnswer() {
            host.note(answered)
            if answered.core == id { host.receive(answered) } else { host.pass(answered, to: answered.core.index) }
        }
    }

    /// A question, or an answer, from another core.
    @inlinable
    mutating func receive(_ question: CutRequest) {
        if question.answer == nil { shard.ask(question) } else { host.receive(question) }
    }

    /// Has a question answered.
    @inlinable
    public mutating func ask(_ question: CutRequest) {
        if id.value == 0 { shard.ask(question) } else { host.pass(question, to: 0) }
    }
}
