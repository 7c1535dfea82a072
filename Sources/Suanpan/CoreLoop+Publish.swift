// What a core says of itself on the board, a few times a second while it works and once before it sleeps.

internal import CSuanpanSupport
internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanJournal
internal import SuanpanLedger
internal import SuanpanLoop
internal import SuanpanShard

extension CoreLoop {
    mutating func publish() {
        let board = shared.board
        let core = id.index
        let elapsed = max(1, loop.now &- publishedAt)
        let transfers = loop.shard.ledger.transferCount
        if publishedAt != 0 {
            let rate = Double(transfers &- publishedTransfers) * 1e9 / Double(elapsed)
            board.set(core, .rate, UInt64(rate))
        }
        publishedAt = loop.now
        publishedTransfers = transfers
        followClock()
        if loop.shard.ledger.isShort {
            noteMemory()
            loop.shard.ledger.growAhead()
        }

        let f = loop.host.front.statistics
        board.set(core, .connections, f.connectionsOpen)
        board.set(core, .accepted, f.connectionsAccepted)
        board.set(core, .refusedConnections, f.connectionsRefused)
        board.set(core, .requests, f.requests)
        board.set(core, .commands, f.commands &- f.commandsRejected)
        board.set(core, .busy, f.busy)
        board.set(core, .malformed, f.malformed)
        board.set(core, .stalls, f.stalls)
        board.set(core, .timeouts, f.timeouts)
        board.set(core, .replyBytes, UInt64(max(0, loop.host.front.replyBytes)))

        board.set(core, .accounts, UInt64(loop.shard.ledger.accountCount))
        board.set(core, .transfers, transfers)
        board.set(core, .refusals, loop.shard.ledger.refusalCount)
        board.set(core, .ledgerBytes, UInt64(loop.shard.ledger.memoryBytes))
        let full = loop.shard.ledger.fullness
        board.set(core, .accountsFull, UInt64(full.accounts))
        board.set(core, .idsFull, UInt64(full.ids))
        board.set(core, .pendingsFull, UInt64(full.pendings))
        board.set(core, .crossings, loop.shard.statistics.crossings)
        board.set(core, .waits, loop.shard.statistics.waits)
        board.set(core, .restarts, loop.shard.statistics.restarts)
        board.set(core, .redone, loop.shard.statistics.redone)
        var depth = 0
        for other in 0..<shared.coreCount where other != core {
            depth += loop.requestsIn[other].depth + loop.controlIn[other].depth
        }
        board.set(core, .queueDepth, UInt64(depth))

        let counters = loop.shard.journal.counters
        board.set(core, .appendedLSN, loop.shard.journal.appended.value)
        board.set(core, .acknowledgedLSN, loop.shard.journal.acknowledged.value)
        board.set(core, .durableLSN, loop.shard.journal.durable.value)
        board.set(core, .groups, counters.groups)
        board.set(core, .journalBytes, counters.bytes)
        board.set(core, .records, counters.records)
        board.set(core, .diskFull, loop.shard.journal.isDiskFull ? 1 : 0)
        noteShortage()
        noteMemory()
        Self.publish(board, core, &loop.host.syncTimes, .syncP50, .syncP99, .syncMax)
        Self.publish(board, core, &loop.host.front.latency, .latencyP50, .latencyP99, .latencyMax)
        board.set(core, .backpressure, loop.host.backpressure)
        if !loop.host.queueing.isEmpty {
            board.set(core, .queueingP99, loop.host.queueing.percentile(99))
            loop.host.queueing.reset()
        }
        board.set(core, .cpuNanoseconds, suanpan_thread_cpu_ns())
        board.set(core, .ticks, ticks)
        board.set(core, .sleeps, sleeps)
        board.set(core, .cuts, loop.shard.statistics.cuts)
        audit()
    }

    /// Shows what keeps segments from being made; what the machine lacks for the moment is said once, and when it is over. A
    /// full disk shows by itself.
    private mutating func noteShortage() {
        let trouble = loop.shard.journal.segmentTrouble
        shared.board.set(id.index, .segmentErrno, UInt64(trouble))
        let isShort = trouble != 0 && !loop.shard.journal.isDiskFull
        guard isShort != saidShortage else { return }
        saidShortage = isShort
        Self.say(
            isShort
                ? "shard \(id.value): no log segment can be prepared at present: \(loop.shard.journal.segmentTroubleText) "
                    + "(errno \(trouble)); it is tried again, and new transfers are refused meanwhile when the room that is "
                    + "ready is used up"
                : "shard \(id.value): log segments can be prepared again")
    }

    /// Says once that the machine gives the ledger no memory, and that it does again.
    private mutating func noteMemory() {
        guard loop.shard.ledger.isShort != saidMemory else { return }
        saidMemory = loop.shard.ledger.isShort
        Self.say(
            saidMemory
                ? "shard \(id.value): the machine gives no more memory: what needs some is answered capacity_exhausted; it is "
                    + "tried again (ulimit -v, vm.overcommit_memory, vm.max_map_count)"
                : "shard \(id.value): the machine gives memory again")
    }

    private static func publish(
        _ board: StatusBoard, _ core: Int, _ times: inout DurationHistogram, _ p50: Metric, _ p99: Metric,
        _ most: Metric
    ) {
        // The last numbers stay while nothing new was measured.
        guard !times.isEmpty else { return }
        board.set(core, p50, times.percentile(50))
        board.set(core, p99, times.percentile(99))
        board.set(core, most, times.max)
        times.reset()
    }
}
