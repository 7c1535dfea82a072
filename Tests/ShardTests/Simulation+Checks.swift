// What must hold at the end of a history.

import Foundation
import SuanpanCore
import SuanpanJournal
import SuanpanLanes
import SuanpanLedger
import SuanpanShard

#if canImport(Glibc)
    import Glibc
#endif

extension Simulation {
    // MARK: At the end

    func checkQuiet() throws {
        for (i, node) in nodes.enumerated() {
            try check(node.shard.isQuiet, "shard \(i) is not quiet")
            for a in 0..<node.shard.ledger.accountCount {
                try check(node.shard.ledger.undecided(AccountIndex(a)) == 0, "something stays undecided on shard \(i)")
            }
            for d in 0..<shardCount where d != i {
                try check(
                    node.shard.pair(d).applied == nodes[d].shard.pair(i).decided, "commits of \(d) are missing on \(i)")
            }
            let s = node.shard.statistics
            coverage.crossings += Int(s.crossings)
            coverage.waits += Int(s.waits)
            coverage.restarts += Int(s.restarts)
            coverage.segments += Int(node.shard.journal.counters.segments)
        }
        let logs = try readLogs()
        try checkBalances(logs, "at the end")
        try checkAnswered(logs)
        for e in events where e.responded == nil {
            try check(e.isLost, "no answer: \(e)")
        }
    }

    func checkHistory(from first: Int, base: Model) throws {
        let told = try told(try readLogs())
        for i in events.indices {
            guard case .result(let r)? = events[i].reply, let identity = events[i].identity else { continue }
            if r.isCreated { events[i].guide = r.timestamp.nanoseconds }
            if events[i].isRefusal { events[i].guide = told.refusals[identity]?.0.timestamp.nanoseconds ?? 0 }
        }
        let answered = events[first...].filter { $0.reply != nil }
        // Retries after crashes can make it longer than the search can take.
        guard answered.count <= 128 else {
            coverage.undecided += 1
            return
        }
        var search = Serialization(Array(answered), from: base, rule: options.rule, stepsMax: 50_000)
        switch search.search() {
        case .explained: break
        case .undecided: coverage.undecided += 1
        case .unexplained:
            var freely = Serialization(Array(answered), from: base, rule: .none, stepsMax: 50_000)
            // Fewer events, and still none: those that change nothing can be left out one by one.
            var core = Array(answered)
            var at = 0
            while at < core.count {
                var fewer = core
                fewer.remove(at: at)
                var again = Serialization(fewer, from: base, rule: options.rule, stepsMax: 20_000)
                if core[at].isPure && again.search() == .unexplained { core = fewer } else { at += 1 }
            }
            search = Serialization(core, from: base, rule: options.rule, stepsMax: 50_000)
            _ = search.search()
            let broken = freely.search() == .explained ? "order within a connection" : "real time or answers"
            throw fail(
                "no sequential order explains the history (\(broken))\n\(Serialization.broken(core, from: base, rule: options.rule))\(accountsReport(base))\(search.report)"
            )
        }
    }

    func accountsReport(_ base: Model) -> String {
        base.accounts.values.sorted { $0.id < $1.id }.map { a in
            "account \(a.id.value) on shard \(routing.shard(of: a.id).value): ledger \(a.ledger) flags \(a.flags.rawValue) debits \(a.debitsPosted.value) credits \(a.creditsPosted.value)\n"
        }.joined()
    }

    /// Unique; later than every answer before the question; no limit broken in their order.
    func checkTimestamps() throws {
        var seen: [UInt64: Int] = [:]
        var created: [(Timestamp, Int)] = []
        for (i, e) in events.enumerated() {
            guard case .result(let r)? = e.reply, r.isCreated else { continue }
            if let other = seen.updateValue(i, forKey: r.timestamp.nanoseconds) {
                throw fail("two have one timestamp:\n\(events[other])\n\(e)")
            }
            created.append((r.timestamp, i))
        }
        for (t, i) in created {
            for (u, j) in created where events[i].responded! < events[j].invoked {
                try check(t < u, "a later request has an earlier timestamp:\n\(events[i])\n\(events[j])")
            }
        }
        var model = Model()
        for (_, i) in created.sorted(by: { $0.0 < $1.0 }) {
            try check(
                model.agrees(events[i].question, events[i].reply!),
                "in the order of their timestamps, this one cannot be: \(events[i])")
            model.apply(events[i].question, events[i].reply!)
        }
    }
}
