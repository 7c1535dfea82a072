// The books that the next start of a data directory would have, read without writing a byte: every file checked, every
// record replayed and audited, what was never decided cut off, both sides of every crossing transfer compared, and what was
// decided and not yet applied redone.

internal import SuanpanCore
internal import SuanpanJournal
internal import SuanpanLedger
internal import SuanpanShard

final class OfflineBooks {
    /// One shard's.
    final class Shard {
        fileprivate(set) var audit: Audit
        fileprivate(set) var facts: ReplayFacts
        /// The last LSN that counts; nil: the whole log does.
        fileprivate(set) var limit: LSN?
        /// What the next start appends: the parts here of what other shards have decided.
        fileprivate(set) var redone: [LogRecord] = []

        fileprivate init(_ audit: consuming Audit, _ facts: ReplayFacts, _ limit: LSN?) {
            self.audit = audit
            self.facts = facts
            self.limit = limit
        }

        /// Every account as of a time, in order of creation.
        func forEachAccount(at time: Timestamp, _ body: (Account) throws -> Void) rethrows {
            for i in 0..<audit.replay.ledger.accountCount {
                try body(audit.replay.ledger.account(AccountIndex(i), at: time))
            }
        }

        func totals(at time: Timestamp) -> [LedgerTotals] { audit.replay.ledger.totals(at: time) }
    }

    let box: DirectoryBox
    private(set) var shards: [Shard] = []
    /// As of when they are shown: the moment of the reading, as the next start would have it. What is due by then holds nothing.
    private(set) var moment = Timestamp.zero

    /// Takes the memory of all shards' tables.
    /// - Parameter key: Of the tables' hashes; nil: drawn at random.
    /// - Throws: The first damage, and where; what sound files say against the ledger's rules.
    init(_ path: String, key: HashKey? = nil, clocks: Clocks = .machine) throws(EngineError) {
        do throws(JournalError) { box = DirectoryBox(try DataDirectory(reading: path)) } catch { throw .journal(error) }
        do throws(SystemError) { try MemoryReserve.begin(MemoryPlan.reserveBytes(shards: 1), for: "reading") } catch {
            throw .system(error)
        }
        defer { MemoryReserve.end() }
        do throws(EngineError) {
            try read(key ?? .random())
            try redo()
            moment = Timestamp(
                EngineTime.offline(ceiling: shards.map(\.facts.summary.clockCeiling).max() ?? 0, clocks: clocks))
            for (i, shard) in shards.enumerated() {
                if let wrong = shard.audit.brokenLimit() { throw .unsound("shard \(i): \(wrong)") }
            }
        } catch { throw box.directory.explain(error) }
    }

    /// Replays all logs until they agree on where each must end.
    private func read(_ key: HashKey) throws(EngineError) {
        let all = 0..<box.directory.shardCount
        for i in all { shards.append(try replay(i, key, upTo: nil)) }
        while true {
            let facts = shards.map(\.facts)
            var limits: [(shard: Int, last: LSN)] = []
            for i in all {
                let last = try Agreement.lastLSN(
                    of: shards[i].audit.replay, ShardID(i), among: facts,
                    wasEverAsynchronous: box.directory.wasEverAsynchronous)
                if let last { limits.append((i, last)) }
            }
            if limits.isEmpty { return }
            for (i, last) in limits { shards[i] = try replay(i, key, upTo: last) }
        }
    }

    private func replay(_ i: Int, _ key: HashKey, upTo limit: LSN?) throws(EngineError) -> Shard {
        let directory = box.directory.shard(ShardID(i))
        do throws(JournalError) {
            var audit = try Audit(directory, routing: box.directory.routing, key: key)
            if MemoryReserve.isUsed { throw .noMemory(for: "shard \(i): its ledger") }
            let summary = try Recovery.replay(directory, upTo: limit, into: &audit)
            let facts = ReplayFacts(audit.replay, summary)
            return Shard(audit, facts, limit)
        } catch { throw .journal(error) }
    }

    /// Applies what the next start would.
    private func redo() throws(EngineError) {
        let facts = shards.map(\.facts)
        for (i, shard) in shards.enumerated() {
            do throws(JournalError) {
                shard.redone = try shard.audit.replay.missingCredits(
                    pairs: facts.map(\.pairs), decisions: facts.map(\.decisions))
            } catch { throw .journal(error) }
            for record in shard.redone {
                do throws(JournalError) { try shard.audit.replay.checkPlace(for: record) } catch {
                    throw .journal(error)
                }
                if let wrong = shard.audit.redo(record) {
                    throw .unsound("shard \(i), redo of decision \(record.sequence): \(wrong)")
                }
            }
        }
    }
}

extension DataDirectory {
    /// An error of a start, or of a reading, that is perhaps the copy's alone: files copied while a server wrote them are of
    /// different moments.
    func explain(_ error: EngineError) -> EngineError {
        guard isOfOpenCopy, let finding = error.finding else { return error }
        return .copiedWhileOpen(path: path, finding)
    }
}
