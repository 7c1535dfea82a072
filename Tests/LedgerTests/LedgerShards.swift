// Ledgers that share out the accounts as shards do, driven one event or chain after the other: what a shard does with
// the Ledger module when nothing is undecided, without its messages. Each keeps its log, for replay.

import SuanpanCore
import SuanpanLedger

/// One ledger and its log.
final class LedgerShard {
    var ledger = makeLedger()
    var log: [LogRecord] = []

    /// A record's position: nothing but its place in the log.
    func append(_ record: LogRecord) -> UInt64 {
        log.append(record)
        return UInt64(log.count)
    }
    func record(at position: UInt64) -> LogRecord { log[Int(position) - 1] }
}

final class LedgerShards {
    let shards: [LedgerShard]
    var view = ChainView()
    var accountChain = AccountChain()
    let transferFlags: TransferFlags
    let accountFlags: AccountFlags
    /// Single events by `evaluate` too, or by the functions of one side.
    var evaluatesSingles = false
    var sequence: UInt64 = 0

    init(count: Int, transferFlags: TransferFlags, accountFlags: AccountFlags) {
        shards = (0..<count).map { _ in LedgerShard() }
        self.transferFlags = transferFlags
        self.accountFlags = accountFlags
    }

    func home(_ id: AccountID) -> LedgerShard { shards[Int(id.value % UInt128(shards.count))] }

    // MARK: Group 5 (Docs/Semantics.md) and pending transfers, with the log

    /// The remembered id and its record.
    func remembered(_ debit: AccountID, _ id: TransferID) -> (RememberedID, LogRecord)? {
        let shard = home(debit)
        var step = 0
        while let known = shard.ledger.nextRemembered(shard.ledger.identityHash(debit, id), &step) {
            let record = shard.record(at: known.position)
            if record.body.id == id && record.body.debitAccountID == debit { return (known, record) }
        }
        return nil
    }

    func seen(_ t: Transfer) -> EventResult? {
        guard let (known, record) = remembered(t.debitAccountID, t.id) else { return nil }
        if let reason = known.refusal { return EventResult(.idAlreadyFailed, reason: reason) }
        let code = t.comparedWithRecorded(record.asked)
        return EventResult(code, timestamp: code == .exists ? record.timestamp : .zero)
    }

    func pendingFact(_ t: Transfer) -> PendingFact {
        if let fact = home(t.debitAccountID).ledger.openPendingFact(t) { return fact }
        guard let (known, record) = remembered(t.debitAccountID, t.pendingID) else { return PendingFact(.notFound) }
        return PendingFact(known, record)
    }

    func refuse(_ t: Transfer, _ code: ResultCode, _ timestamp: Timestamp) {
        let shard = home(t.debitAccountID)
        var refused = t
        refused.timestamp = timestamp
        let position = shard.append(LogRecord(.refusal, refused, reason: code))
        shard.ledger.rememberRefused(
            shard.ledger.identityHash(t.debitAccountID, t.id), code, position: position)
    }

    // MARK: Requests

    func createTransfers(_ events: [Transfer], now: UInt64, stamp: (Int) -> Timestamp) -> [EventResult] {
        var results: [EventResult] = []
        while results.count < events.count {
            let run = ChainRun(from: results.count, of: events.count) { events[$0].flags.contains(.linked) }
            if run.fault != .created {
                for i in run.first..<run.end {
                    results.append(EventResult(i == run.faultAt ? run.fault : .linkedEventFailed))
                }
            } else if run.count == 1 && !evaluatesSingles {
                results.append(single(events[run.first], now, stamp(run.first)))
            } else {
                results += chain(Array(events[run.first..<run.end]), run.first, now, stamp)
            }
        }
        return results
    }

    private func single(_ t: Transfer, _ now: UInt64, _ timestamp: Timestamp) -> EventResult {
        let bad = t.refusalByRequest(supported: transferFlags)
        if bad != .created { return EventResult(bad) }
        if let known = seen(t) { return known }
        let now = Timestamp(now)
        let d = home(t.debitAccountID)
        func no(_ code: ResultCode) -> EventResult {
            refuse(t, code, timestamp)
            return EventResult(code)
        }
        guard let debit = d.ledger.find(t.debitAccountID) else { return no(.debitAccountNotFound) }
        var final = t
        var held = PendingFact(.notFound)
        if t.flags.resolves {
            let wrong = d.ledger.debitLedgerRefusal(debit, t)
            if wrong != .created { return no(wrong) }
            held = pendingFact(t)
            let code = t.pendingRefusal(held, now: now)
            if code != .created { return no(code) }
            final = t.completed(by: held)
        }
        if t.flags.contains(.balancingDebit) { final.amount = min(t.amount, d.ledger.account(debit).leftToDebit) }
        let effect = Effect(debitOf: final, held: held.amount, heldFlags: held.flags)
        var code = d.ledger.debitRefusal(debit, final, effect, .none, now: now)
        if code != .created { return no(code) }
        let c = home(final.creditAccountID)
        guard let credit = c.ledger.find(final.creditAccountID) else { return no(.creditAccountNotFound) }
        if t.flags.contains(.balancingCredit) {
            final.amount = min(final.amount, c.ledger.account(credit).leftToCredit)
        }
        code = c.ledger.creditRefusal(
            credit, final, Effect(creditOf: final, held: held.amount, heldFlags: held.flags), .none)
        if code != .created { return no(code) }
        final.timestamp = timestamp
        if c === d {
            let record = LogRecord(.transfer, final: final, asked: t)
            d.ledger.apply(record, debit: debit, credit: credit, position: d.append(record))
        } else {
            let decision = LogRecord(.decision, final: final, asked: t)
            d.ledger.apply(decision, debit: debit, credit: nil, position: d.append(decision))
            let record = LogRecord(.credit, final, sequence: 1)
            c.ledger.apply(record, debit: nil, credit: credit, position: c.append(record))
        }
        return EventResult(.created, timestamp: timestamp)
    }

    private func chain(
        _ events: [Transfer], _ first: Int, _ now: UInt64, _ stamp: (Int) -> Timestamp
    ) -> [EventResult] {
        view.begin()
        for t in events {
            view.add(t)
            // No further than it will come.
            if t.refusalByRequest(supported: transferFlags) != .created { break }
        }
        for i in 0..<view.count {
            let t = view[i].asked
            if t.refusalByRequest(supported: transferFlags) != .created { continue }
            if let known = seen(t) { view.setIdentity(i, known) }
            if t.flags.resolves && view.openedInChain(i) == nil { view.setPending(i, pendingFact(t)) }
        }
        for place in 0..<view.accountCount {
            let shard = home(view.account(place).id)
            if let index = shard.ledger.find(view.account(place).id) {
                view.setAccount(place, shard.ledger.account(index), index: index)
            }
        }
        switch view.evaluate(now: Timestamp(now), supported: transferFlags) {
        case .exists: break
        case .refused(let i, let result):
            if let code = result.code, code.isFinalRefusal { refuse(events[i], code, stamp(first + i)) }
            return events.indices.map { $0 < view.count ? view[$0].result : EventResult(.linkedEventFailed) }
        case .created:
            let here = shards.filter { shard in
                (0..<view.accountCount).contains { home(view.account($0).id) === shard }
            }
            for i in events.indices { view.setTimestamp(i, stamp(first + i)) }
            sequence += 1
            if here.count > 1 {
                for k in 1..<here.count {
                    _ = here[0].append(
                        LogRecord(chainPeer: ShardID(k), sequence: sequence, timestamp: stamp(first)))
                }
            }
            for shard in here { for i in events.indices { apply(i, at: shard, alone: here.count == 1) } }
        }
        return events.indices.map { view[$0].result }
    }

    private func apply(_ i: Int, at shard: LedgerShard, alone: Bool) {
        let record = view.record(i, alone ? .transfer : .leg, sequence: alone ? 0 : sequence)
        let debit = shard.ledger.find(record.body.debitAccountID)
        let credit = shard.ledger.find(record.body.creditAccountID)
        if debit == nil && credit == nil { return }
        shard.ledger.apply(record, debit: debit, credit: credit, position: shard.append(record))
    }

    func createAccounts(_ events: [Account], stamp: (Int) -> Timestamp) -> [EventResult] {
        var results: [EventResult] = []
        while results.count < events.count {
            let run = ChainRun(from: results.count, of: events.count) { events[$0].flags.contains(.linked) }
            if run.fault != .created {
                for i in run.first..<run.end {
                    results.append(EventResult(i == run.faultAt ? run.fault : .linkedEventFailed))
                }
                continue
            }
            accountChain.begin()
            for i in run.first..<run.end {
                let shard = home(events[i].id)
                let existing = shard.ledger.find(events[i].id).map { shard.ledger.accountAsCreated($0) }
                accountChain.add(events[i], existing: existing)
            }
            let outcome = accountChain.evaluateAccounts(supported: accountFlags)
            for i in run.first..<run.end {
                var result = accountChain.result(i - run.first)
                if outcome == .created {
                    var new = events[i]
                    new.timestamp = stamp(i)
                    result.timestamp = new.timestamp
                    let shard = home(new.id)
                    let position = shard.append(LogRecord(new))
                    shard.ledger.apply(account: new, lsn: LSN(position))
                }
                results.append(result)
            }
        }
        return results
    }

    func freeze(_ id: AccountID, debits: Bool, credits: Bool, timestamp: Timestamp) -> Bool {
        let shard = home(id)
        guard let index = shard.ledger.find(id) else { return false }
        var flags = shard.ledger.flags(index).subtracting(.freezing)
        if debits { flags.insert(.debitsFrozen) }
        if credits { flags.insert(.creditsFrozen) }
        _ = shard.append(LogRecord(freeze: id, flags: flags, timestamp: timestamp))
        shard.ledger.apply(freeze: index, flags: flags)
        return true
    }

    // MARK: Expiry

    /// Expires what the wheels say; returns the identities.
    func expireDue(now: UInt64) -> [(AccountID, TransferID)] {
        var expired: [(AccountID, TransferID)] = []
        for shard in shards {
            shard.ledger.turn(now: Timestamp(now))
            while let i = shard.ledger.nextExpired {
                let p = shard.ledger.pending(i)
                expire(p, now)
                expired.append((p.debitAccountID, p.id))
            }
        }
        return expired
    }

    func expire(_ p: PendingTransfer, _ now: UInt64) {
        let d = home(p.debitAccountID)
        let c = home(p.creditAccountID)
        let kind = c === d ? RecordKind.transfer : .decision
        let record = LogRecord(expiryOf: p.transfer, kind: kind, timestamp: Timestamp(now))
        d.ledger.apply(
            record, debit: p.debitIndex, credit: c === d ? p.creditIndex : nil, position: d.append(record))
        if c !== d {
            let credit = LogRecord(expiryOf: p.transfer, kind: .credit, timestamp: Timestamp(now))
            c.ledger.apply(
                credit, debit: nil, credit: c.ledger.find(p.creditAccountID), position: c.append(credit))
        }
    }

    /// All open pending transfers, once each, from the debit side.
    func open() -> [PendingTransfer] {
        var found: [PendingTransfer] = []
        for shard in shards { shard.ledger.forEachPending { if $0.debitIndex != nil { found.append($0) } } }
        return found
    }
}
