// How a client puts its questions to a door, in either protocol, and what it makes of the replies. After Docs/Protocol.md.

import SuanpanCore
import SuanpanFront
import SuanpanWire

/// One frame, or one command, in the text protocol also a chain from MULTI to EXEC.
struct Inquiry {
    enum Purpose {
        /// Events of the simulation; of a frame, all of one operation.
        case ask([Int])
        /// Changes to the newer version of the text protocol.
        case hello
        /// Comes back as it is, after all replies before it.
        case echo(String)
    }
    let purpose: Purpose
    /// Of a native request, unique.
    let id: UInt64
    var operation = Operation.ping
    /// Replies that come before the one that counts: of MULTI and of what it queues.
    var preludes = 0
    /// Where its bytes stand among all that the connection has to send.
    var range = 0..<0

    var events: [Int] { if case .ask(let events) = purpose { events } else { [] } }
}

extension Question {
    var operation: Operation {
        switch self {
        case .transfers: .createTransfers
        case .account, .accounts: .createAccounts
        case .freeze(_, _, let lifting): lifting ? .unfreezeAccounts : .freezeAccounts
        case .lookupAccount: .lookupAccounts
        case .lookupTransfer: .lookupTransfers
        case .cut(let ids): ids.isEmpty ? .totals : .lookupAccounts
        }
    }

    /// How many results it gets.
    var count: Int {
        switch self {
        case .transfers(let events): events.count
        case .accounts(let accounts): accounts.count
        default: 1
        }
    }

    /// The same as the text protocol can say it.
    var sayable: Question {
        switch self {
        case .transfers(let events): .transfers(events.map(\.sayable))
        default: sayableByFrame
        }
    }

    /// One account as of one moment is a look-up.
    var sayableByFrame: Question {
        if case .cut(let ids) = self, ids.count == 1 { .lookupAccount(ids[0]) } else { self }
    }

    // MARK: Native

    /// Appends what a frame's body holds for it. Returns how many items.
    func append(to body: inout OutputBuffer) -> Int {
        switch self {
        case .transfers(let events): for t in events { body.append(record: t) }
        case .account(let a): body.append(record: a)
        case .accounts(let accounts): for a in accounts { body.append(record: a) }
        case .freeze(let id, let sides, _): body.append(record: FreezeItem(id, sides))
        case .lookupAccount(let id): body.append(record: id)
        case .lookupTransfer(let debit, let id):
            body.append(record: debit)
            body.append(record: id)
        case .cut(let ids):
            for id in ids { body.append(record: id) }
            return ids.count
        }
        return count
    }

    /// The reply to a look-up, whose frame may leave out what is unknown.
    /// - Parameter body: Of the `count` records that were found.
    func reply(_ body: [UInt8], count: Int) throws -> Reply {
        func record<Record: BitwiseCopyable>(_ type: Record.Type, _ i: Int) -> Record {
            var buffer = OutputBuffer()
            buffer.append(body.span)
            return buffer.load(type, at: i * MemoryLayout<Record>.size)
        }
        func isWhole(_ record: Int) -> Bool { body.count == count * record }
        switch self {
        case .lookupAccount where count <= 1 && isWhole(128):
            return .account(count == 0 ? nil : record(Account.self, 0))
        case .lookupTransfer where count <= 1 && isWhole(128):
            return .transfer(count == 0 ? nil : record(Transfer.self, 0))
        case .cut([]) where isWhole(80): return .cut([], (0..<count).map { record(LedgerTotals.self, $0) })
        case .cut(let ids) where !ids.isEmpty && isWhole(128):
            var found = (0..<count).map { record(Account.self, $0) }[...]
            let accounts = ids.map { id in found.first?.id == id ? found.removeFirst() : nil }
            guard found.isEmpty else { throw Failure(description: "accounts that were not asked for: \(found)") }
            return .cut(accounts, [])
        default: throw Failure(description: "\(body.count) bytes for \(count) records of a look-up")
        }
    }

    // MARK: RESP

    /// The commands that ask for it.
    func commands(_ dice: inout Dice) -> [[String]] {
        func chain(_ commands: [[String]]) -> [[String]] {
            commands.count == 1 ? commands : [["MULTI"]] + commands + [["EXEC"]]
        }
        switch self {
        case .transfers(let events): return chain(events.map { $0.command(&dice) })
        case .account(let a): return [a.command]
        case .accounts(let accounts): return chain(accounts.map(\.command))
        case .freeze(let id, let sides, let lifting):
            let word = sides == .debitsFrozen ? "DEBITS" : sides == .creditsFrozen ? "CREDITS" : "BOTH"
            return [[lifting ? "ACCOUNT.UNFREEZE" : "ACCOUNT.FREEZE", "\(id.value)", word]]
        case .lookupAccount(let id): return [["ACCOUNT.GET", "\(id.value)"]]
        case .lookupTransfer(let debit, let id): return [["TRANSFER.GET", "\(id.value)", "\(debit.value)"]]
        case .cut(let ids): return [ids.isEmpty ? ["TOTALS"] : ["ACCOUNT.GET"] + ids.map { "\($0.value)" }]
        }
    }

    func reply(_ told: RESPReply) throws -> Reply {
        if told.isBusy { return .results(Array(repeating: EventResult(.busy), count: count)) }
        switch self {
        case .transfers, .accounts:
            let isTransfers = operation == .createTransfers
            let parts = count == 1 ? [told] : try told.elements(count)
            let results = try parts.map { try $0.result(hasTime: isTransfers) }
            try checkFaultIsNamed(parts, results)
            return .results(results)
        case .account, .freeze: return .results([try told.result(hasTime: false)])
        case .lookupAccount(let id):
            let account = try told.account()
            guard account == nil || account?.id == id else { throw Failure(description: "another account: \(told)") }
            return .account(account)
        case .lookupTransfer(let debit, let id):
            let transfer = try told.transfer()
            guard transfer == nil || transfer?.identity == Identity(debit, id) else {
                throw Failure(description: "another transfer: \(told)")
            }
            return .transfer(transfer)
        case .cut([]): return .cut([], try told.totals())
        case .cut(let ids): return .cut(try told.elements(ids.count).map { try $0.account() }, [])
        }
    }
}

extension Question {
    /// The others of a refused chain say which event is at fault, and why.
    private func checkFaultIsNamed(_ parts: [RESPReply], _ results: [EventResult]) throws {
        guard results.contains(where: { $0.code == .linkedEventFailed }),
            let fault = results.firstIndex(where: { $0.code != .linkedEventFailed }), let code = results[fault].code
        else { return }
        let id: UInt128 =
            switch self {
            case .transfers(let events): events[fault].id.value
            case .accounts(let accounts): accounts[fault].id.value
            default: 0
            }
        let name = code == .created ? ResultCode.exists.upperName : code.upperName
        let words = "LINKED_EVENT_FAILED event \(fault + 1) of \(parts.count), id \(id), was refused: \(name) "
        for (i, part) in parts.enumerated() where i != fault {
            guard case .error(let text) = part, text.hasPrefix(words) else {
                throw Failure(description: "the event at fault is not named: \(part), not \(words)")
            }
        }
    }
}

extension Transfer {
    /// A post or void names nothing but what it resolves; other commands have no flag for what is reserved.
    fileprivate var sayable: Transfer {
        var t = self
        if flags.resolves {
            t.flags.formIntersection([.linked, .postPending, .voidPending])
            if t.flags.contains(.postPending) { t.flags.remove(.voidPending) } else { t.amount = .zero }
            t.creditAccountID = AccountID(0)
            t.ledger = 0
            t.code = 0
            t.timeout = 0
        } else {
            t.flags.remove(.imported)
            t.pendingID = TransferID(0)
            if !t.flags.contains(.pending) { t.timeout = 0 }
        }
        return t
    }

    fileprivate func command(_ dice: inout Dice) -> [String] {
        var words: [String]
        if flags.resolves {
            let posts = flags.contains(.postPending)
            words = [posts ? "TRANSFER.POST" : "TRANSFER.VOID", "\(id.value)", "\(debitAccountID.value)"]
            words += ["\(pendingID.value)"]
            if posts && (amount.value != .max || dice.chance(20)) { words += ["AMOUNT", "\(amount.value)"] }
        } else {
            words = ["TRANSFER", "\(id.value)", "\(debitAccountID.value)", "\(creditAccountID.value)"]
            words += [dice.chance(10) ? "0x" + String(amount.value, radix: 16) : "\(amount.value)"]
            words += ["\(ledger)", "\(code)"]
            var options: [[String]] = []
            if flags.contains(.pending) {
                options.append(timeout == 0 && dice.chance(50) ? ["PENDING"] : ["PENDING", "\(timeout)"])
            }
            if flags.contains(.balancingDebit) { options.append(["BALANCING", "DEBIT"]) }
            if flags.contains(.balancingCredit) { options.append(["BALANCING", "CREDIT"]) }
            if flags.contains(.closingDebit) { options.append(["CLOSING", "DEBIT"]) }
            if flags.contains(.closingCredit) { options.append(["CLOSING", "CREDIT"]) }
            words += dice.shuffled(options).joined()
        }
        return words + data(userData128, userData64, userData32)
    }
}

extension Account {
    fileprivate var command: [String] {
        var words = ["ACCOUNT.CREATE", "\(id.value)", "\(ledger)", "\(code)"]
        // EXEC links what MULTI has queued.
        let names = AccountFlags.names.filter { flags.subtracting(.linked).contains($0.0) }.map(\.1)
        if !names.isEmpty { words += ["FLAGS", names.joined(separator: ",")] }
        return words + data(userData128, userData64, userData32)
    }
}

private func data(_ a: UInt128, _ b: UInt64, _ c: UInt32) -> [String] {
    (a == 0 ? [] : ["DATA128", "\(a)"]) + (b == 0 ? [] : ["DATA64", "\(b)"]) + (c == 0 ? [] : ["DATA32", "\(c)"])
}
