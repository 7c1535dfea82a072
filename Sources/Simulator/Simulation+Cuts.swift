// Consistent cuts: as other reads, one order of all must explain them.

import SuanpanCore
import SuanpanShard

extension Simulation {
    func lookAtCuts(_ node: Node, mayMiss: Bool) {
        if !mayMiss || !dice.chance(cutMisses) { node.shard.joinCut() }
    }

    /// What shard 0 does for cuts in its turn: begins them and answers.
    func workCuts(_ node: Node) {
        node.shard.beginCut(now: time)
        guard time >= node.shard.clock.now else { return }
        while let request = node.shard.nextCutAnswer() {
            coverage.cuts += 1
            if hasDoors {
                passCutAnswer(request)
                continue
            }
            guard let event = request.request.map(Int.init), let answer = request.answer else { continue }
            answered(event, .cut(answer.accounts, answer.totals))
        }
    }
}
