// A core's turn: the loop of the engine itself (`Loop`), with dice for its host (`SimulatedCore`). Any step of it may be the
// last before a crash.

import SuanpanCore
import SuanpanJournal
import SuanpanLanes
import SuanpanLoop
import SuanpanShard

#if canImport(Glibc)
    import Glibc
#endif

extension Simulation {
    func turn(_ i: Int, isWhole: Bool) throws {
        let node = nodes[i]
        node.loop.host.begin(isWhole: isWhole)
        var progress = false
        do throws(CoreError) { progress = try node.loop.turn() } catch {
            guard let write = node.loop.host.failedWrite else { throw error }
            try endFailed(node, write)
        }
        if node.loop.host.failedWrite != nil { throw fail("a write failed, and the journal goes on") }
        if let interruption = node.loop.host.interruption { throw interruption }
        for from in 0..<shardCount where node.loop.requestsStalled[from] { coverage.stalls += 1 }
        if !progress && !node.loop.hasMore { _ = node.loop.pause() }
        if node.shard.journal.wantsIdleGroup && dice.chance(5) {
            node.shard.journal.sealIdle()
            try node.loop.writeLog()
        }
        try node.loop.host.submit()
        for c in clients.indices where clients[c].front == i { pump(c) }
        node.shard.checkInvariants()
        notePlace()
    }

    /// A write has failed: from then on the journal acknowledges nothing more, whatever else completes, and the process ends.
    private func endFailed(_ node: Node, _ write: WriteCommand) throws {
        // Others may still complete: those before it count, what is in it and behind it does not.
        for other in node.writes {
            _ = try node.shard.journal.completed(token: other.token, result: Int32(other.length))
        }
        do {
            _ = try node.shard.journal.nextWrite(clockCeiling: node.shard.clock.now)
            throw fail("a journal that has failed goes on writing")
        } catch let error as Failure { throw error } catch {}
        let isAcknowledged = node.shard.journal.acknowledged == node.shard.journal.appended
        try check(!isAcknowledged || write.records == 0, "a write that failed is acknowledged")
        node.writes.append(write)
        throw Crash()
    }

    // MARK: The disk

    /// Writes an empty group, which proves the last ones durable.
    func writeIdleGroup(_ node: Node) throws {
        node.shard.journal.sealIdle()
        try node.loop.writeLog()
        while !node.writes.isEmpty {
            node.loop.host.completeWrites()
            _ = try node.loop.takeCompletions()
            if let interruption = node.loop.host.interruption { throw interruption }
            try node.loop.writeLog()
        }
    }

    /// Puts a write, or a part of it, on the disk.
    func put(_ write: WriteCommand, _ part: Range<Int>? = nil) throws {
        let part = part ?? 0..<write.length
        let at = off_t(write.offset) + off_t(part.lowerBound)
        // SAFETY: the journal keeps the group in place until its completion.
        let written = unsafe pwrite(write.fd, write.address + part.lowerBound, part.count, at)
        try check(written == part.count, "pwrite gave \(written), errno \(errno)")
    }

    // MARK: Coverage

    /// Counts where the protocol stands: what is in the lanes, what disks and shards have under way.
    private func notePlace() {
        var hasher = Hasher()
        for from in 0..<shardCount {
            for to in 0..<shardCount {
                guard let lane = lanes[from][to] else { continue }
                var ahead = 0
                while let message = lane.peek(ahead: ahead) {
                    hasher.combine(message.kind)
                    ahead += message.hasRecord ? Lane.recordCells : Lane.headCells
                }
                hasher.combine(255 as UInt8)
            }
        }
        for (i, node) in nodes.enumerated() {
            hasher.combine(node.writes.count)
            hasher.combine(node.shard.journal.appended.value - node.shard.journal.durable.value)
            hasher.combine(node.shard.answers.isEmpty)
            hasher.combine(node.shard.isQuiet)
            hasher.combine(node.shard.hasWork)
            for d in 0..<shardCount where d != i {
                hasher.combine(nodes[d].shard.pair(i).decided - node.shard.pair(d).applied)
            }
        }
        coverage.protocolStates.insert(hasher.finalize())
    }
}
