// What clients ask and what they are told.

import SuanpanCore
import SuanpanLedger
import SuanpanLedgerModel
import SuanpanShard

typealias Identity = ModelLedger.Identity

/// One request's event or chain, or one command.
enum Question: Equatable {
    /// One transfer, or a chain.
    case transfers([Transfer])
    case account(Account)
    /// A chain.
    case accounts([Account])
    case freeze(AccountID, AccountFlags, lifting: Bool)
    case lookupAccount(AccountID)
    case lookupTransfer(AccountID, TransferID)
    /// Several accounts as of one moment; none: the sums of all.
    case cut([AccountID])

    static func transfer(_ t: Transfer) -> Question { .transfers([t]) }
}

enum Reply: Equatable {
    /// One for each event.
    case results([EventResult])
    case account(Account?)
    case transfer(Transfer?)
    case cut([Account?], [LedgerTotals])
}

extension Reply {
    /// Of a cut, what it shows.
    var withoutMoment: Reply {
        guard case .cut(let accounts, var totals) = self else { return self }
        for i in totals.indices { totals[i].timestamp = .zero }
        return .cut(accounts, totals)
    }
}

extension Transfer {
    var identity: Identity { Identity(debitAccountID, id) }
    /// The identity that a post or void names.
    var pendingIdentity: Identity { Identity(debitAccountID, pendingID) }
}

extension Question {
    /// The account whose shard is asked; a cut asks shard 0.
    var home: AccountID {
        switch self {
        case .transfers(let events): events[0].debitAccountID
        case .account(let a): a.id
        case .accounts(let accounts): accounts[0].id
        case .freeze(let id, _, _), .lookupAccount(let id), .lookupTransfer(let id, _): id
        case .cut(let ids): ids.first ?? AccountID(0)
        }
    }

    /// The accounts it concerns.
    var accounts: [AccountID] {
        switch self {
        case .transfers(let events): events.flatMap { [$0.debitAccountID, $0.creditAccountID] }
        case .accounts(let accounts): accounts.map(\.id)
        case .cut(let ids): ids
        default: [home]
        }
    }

    /// The sums of all concern every account.
    func sharesAccount(with other: Question) -> Bool {
        if self == .cut([]) || other == .cut([]) { return true }
        return accounts.contains { other.accounts.contains($0) }
    }

    /// The single transfer, where it is one.
    var single: Transfer? {
        if case .transfers(let events) = self, events.count == 1 { events[0] } else { nil }
    }

    /// Identities of transfers that it asks for or about.
    var identities: [Identity] {
        switch self {
        case .transfers(let events): events.map(\.identity)
        case .lookupTransfer(let debit, let id): [Identity(debit, id)]
        default: []
        }
    }

    /// Several transfers, or one that goes the way of a chain.
    var isChain: Bool {
        guard case .transfers(let events) = self else { return false }
        return events.count > 1 || !Shard.needsNoChain(events[0])
    }

    /// A connection of a text protocol sends it after all replies before it and before all commands behind it.
    var goesAlone: Bool {
        switch self {
        case .transfers(let events): isChain || events[0].flags.resolves
        case .freeze, .accounts, .cut: true
        default: false
        }
    }

    /// Changes nothing, and means little when it is asked again.
    var isRead: Bool {
        switch self {
        case .lookupAccount, .cut: true
        default: false
        }
    }
}

/// A question on its way.
struct Event {
    let question: Question
    var reply: Reply?
    /// What has come of the reply, by event.
    var results: [EventResult?]
    let client: Int
    /// 0: a native client's.
    let stream: UInt32
    /// Events of one request share it.
    let request: Int
    /// Place among the events of its client.
    let place: Int
    let shard: Int
    /// Steps of the simulation.
    var invoked: Int
    var responded: Int?
    /// Its answer was lost in a crash, or with its connection.
    var isLost = false
    /// All of it has been sent, so that it may happen.
    var isWhole = true
    /// A success of which it's not known whether it is the first of its identity.
    var isVague = false

    /// The only result of a single event.
    var result: EventResult? {
        if case .results(let results)? = reply, results.count == 1 { results[0] } else { nil }
    }

    /// Refused by the request alone: it has no place in time.
    var isToldByRequest: Bool {
        guard let code = result?.rawCode else { return false }
        return code > 0 && code < ResultCode.existsWithDifferentFlags.rawValue
    }

    /// Told from the record of its identity.
    var isToldByRecord: Bool {
        if case .lookupTransfer = question { return true }
        if isVague { return true }
        guard let code = result?.code else { return false }
        return code.isFromRecord
    }

    /// Refused, now or before, as its debit account does not exist.
    var lacksDebitAccount: Bool {
        guard let result else { return false }
        return [result.code, result.reason].contains(.debitAccountNotFound)
    }

    /// It changes nothing but what it was told.
    var isPure: Bool {
        guard case .results(let results)? = reply else { return true }
        return !results.contains { $0.isCreated || $0.code?.isFinalRefusal == true }
    }

    /// Not executed: nothing is said about the ledger.
    var isTurnedAway: Bool {
        guard case .results(let results)? = reply else { return false }
        return results.contains { $0.rawCode >= ResultCode.busy.rawValue }
    }
}

extension ResultCode {
    /// Group 5 of Docs/Semantics.md.
    var isFromRecord: Bool {
        rawValue >= Self.existsWithDifferentFlags.rawValue && rawValue <= Self.idAlreadyFailed.rawValue
    }
}

extension Transfer {
    var text: String {
        let names = TransferFlags.names.filter { flags.contains($0.0) }.map { " " + $0.1 }.joined()
        var text = "\(id.value) \(debitAccountID.value)→\(creditAccountID.value) amount "
        text += (amount.value > .max - 100 ? "max-\(UInt128.max - amount.value)" : "\(amount.value)") + names
        if pendingID.value != 0 { text += " of \(pendingID.value)" }
        if timeout != 0 { text += " timeout \(timeout)" }
        if ledger != 1 || code != 1 { text += " ledger \(ledger) code \(code)" }
        if userData128 != 0 || userData64 != 0 || userData32 != 0 {
            text += " data \(userData128)/\(userData64)/\(userData32)"
        }
        return text
    }
}

extension Account {
    var text: String {
        let names = AccountFlags.names.filter { flags.contains($0.0) }.map { " " + $0.1 }.joined()
        return
            "debits \(debitsPending.value)+\(debitsPosted.value) credits \(creditsPending.value)+\(creditsPosted.value)\(names)"
    }
}

extension Event: CustomStringConvertible {
    var description: String {
        let what =
            switch question {
            case .transfers(let events): "transfer " + events.map(\.text).joined(separator: "; ")
            case .account(let a): "account \(a.id.value) ledger \(a.ledger) flags \(a.flags.rawValue)"
            case .accounts(let accounts):
                "accounts " + accounts.map { "\($0.id.value) flags \($0.flags.rawValue)" }.joined(separator: "; ")
            case .freeze(let id, let sides, let lifting):
                "\(lifting ? "unfreeze" : "freeze") \(id.value) \(sides.rawValue)"
            case .lookupAccount(let id): "get \(id.value)"
            case .lookupTransfer(let debit, let id): "get transfer \(debit.value)/\(id.value)"
            case .cut(let ids): ids.isEmpty ? "totals" : "cut \(ids.map(\.value))"
            }
        let told =
            switch reply {
            case .results(let results)?:
                results.map {
                    "\($0.code?.name ?? "?")\($0.rawReason == 0 ? "" : " (\($0.reason?.name ?? "?"))")\($0.timestamp == .zero ? "" : " @\($0.timestamp.nanoseconds)")"
                }.joined(separator: "; ")
            case .account(let a?)?: a.text
            case .transfer(let t?)?: "\(t.text) @\(t.timestamp.nanoseconds)"
            case .account(nil)?, .transfer(nil)?: "unknown"
            case .cut(let accounts, let totals)?:
                (accounts.map { $0?.text ?? "unknown" } + totals.map { "\($0)" }).joined(separator: "; ")
            case nil: "–"
            }
        return
            "[\(invoked)…\(responded.map(String.init) ?? "")] client \(client)\(stream == 0 ? "" : " stream \(stream)") shard \(shard): \(what) ⇒ \(told)\(isLost ? isWhole ? " (lost)" : " (lost, not all sent)" : "")"
    }
}
