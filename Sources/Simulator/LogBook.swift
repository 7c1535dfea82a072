// What the logs of all shards say happened: the truth that answers, balances and explanations are compared with.

import SuanpanCore
import SuanpanJournal
import SuanpanLedgerModel
import SuanpanShard

/// What went wrong in a seed.
struct Failure: Error, CustomStringConvertible {
    let description: String
}

struct LogBook {
    /// Accepted, by identity: the record of its coordinator.
    private(set) var transfers: [Identity: LogRecord] = [:]
    /// Refused for good.
    private(set) var refusals: [Identity: LogRecord] = [:]
    private(set) var accounts: [AccountID: Account] = [:]
    /// By the identity of what was pending.
    private(set) var expiries: [Identity: Timestamp] = [:]
    private(set) var freezes: [LogRecord] = []
    /// Runs of records, in whichever log.
    private(set) var chains = 0
    private(set) var accountChains = 0

    /// - Throws: `Failure` when the logs contradict each other or themselves.
    /// - Complexity: O(records).
    init(_ logs: [[LogRecord]], _ routing: Routing) throws {
        /// Bodies of what other shards are to apply, by place and number; and what they have applied.
        var decided: [Pair: [Transfer]] = [:]
        var applied: [Pair: [Transfer]] = [:]
        for (i, log) in logs.enumerated() {
            var peers: [(peer: Int, sequence: UInt64)] = []
            var isChain = false
            for record in log {
                switch record.kind {
                case .account:
                    try create(record.account)
                    guard routing.shard(of: record.account.id).index == i else {
                        throw Failure(description: "account \(record.account.id.value) is in a foreign log")
                    }
                case .transfer: try accept(record)
                case .decision:
                    try accept(record)
                    let pair = Pair(i, record.peer.index, record.sequence)
                    decided[pair, default: []].append(Self.credit(record.body))
                case .leg where record.peer.index == i:
                    try accept(record)
                    for (peer, sequence) in peers
                    where [record.body.debitAccountID, record.body.creditAccountID].contains(where: {
                        routing.shard(of: $0).index == peer
                    }) {
                        decided[Pair(i, peer, sequence), default: []].append(record.body)
                    }
                case .accountLeg where record.peer.index == i:
                    try create(record.account)
                    for (peer, sequence) in peers where routing.shard(of: record.account.id).index == peer {
                        decided[Pair(i, peer, sequence), default: []].append(record.body)
                    }
                case .credit:
                    applied[Pair(record.peer.index, i, record.sequence), default: []].append(Self.credit(record.body))
                case .leg, .accountLeg:
                    applied[Pair(record.peer.index, i, record.sequence), default: []].append(record.body)
                case .credits:
                    for k in 0..<record.creditCount {
                        let pair = Pair(record.peer.index, i, record.sequence + UInt64(k))
                        applied[pair, default: []].append(Self.body(record.credit(k)))
                    }
                case .refusal:
                    let identity = record.body.identity
                    guard refusals.updateValue(record, forKey: identity) == nil, transfers[identity] == nil else {
                        throw Failure(description: "transfer \(record.body.text) is in the log twice")
                    }
                    guard routing.shard(of: identity.debit).index == i else {
                        throw Failure(description: "a refusal in a foreign log: \(record.body.text)")
                    }
                case .freeze: freezes.append(record)
                case .chainPeer: peers.append((record.peer.index, record.sequence))
                case nil: throw Failure(description: "a record of kind \(record.rawKind)")
                }
                let continues = record.flags.contains(.chainContinues)
                if isChain && !continues { chains += 1 }
                if isChain && !continues && [.account, .accountLeg].contains(record.kind) { accountChains += 1 }
                isChain = continues
                if !continues { peers = [] }
            }
        }
        for (pair, bodies) in applied where decided[pair] != bodies {
            throw Failure(
                description:
                    "shard \(pair.to) has applied \(bodies.map(\.text)) as commit \(pair.sequence) of shard \(pair.from), which decided \(decided[pair]?.map(\.text) ?? [])"
            )
        }
    }

    /// What is logged of a single transfer's credit, at least.
    private static func credit(_ t: Transfer) -> Transfer { t.isCreditedInShort ? body(LoggedCredit(of: t)) : t }

    /// What is logged of a credit, as far as a transfer has it.
    private static func body(_ credit: LoggedCredit) -> Transfer {
        var t = Transfer(
            id: TransferID(0), debit: AccountID(0), credit: credit.account, amount: Amount(UInt128(credit.amount)),
            ledger: 0, code: 0)
        t.timestamp = credit.timestamp
        return t
    }

    private struct Pair: Hashable {
        var from: Int
        var to: Int
        var sequence: UInt64
        init(_ from: Int, _ to: Int, _ sequence: UInt64) {
            self.from = from
            self.to = to
            self.sequence = sequence
        }
    }

    private mutating func create(_ account: Account) throws {
        guard accounts.updateValue(account, forKey: account.id) == nil else {
            throw Failure(description: "account \(account.id.value) is in the log twice")
        }
    }

    private mutating func accept(_ record: LogRecord) throws {
        if record.flags.contains(.expiry) {
            guard expiries.updateValue(record.timestamp, forKey: record.body.pendingIdentity) == nil else {
                throw Failure(description: "transfer \(record.body.pendingID.value) has expired twice")
            }
            return
        }
        let identity = record.body.identity
        guard transfers.updateValue(record, forKey: identity) == nil, refusals[identity] == nil else {
            throw Failure(description: "transfer \(record.body.text) is in the log twice")
        }
    }

    /// Reserved, and neither posted, voided nor expired.
    var open: [Identity: Transfer] {
        var open: [Identity: Transfer] = [:]
        for (identity, record) in transfers where record.body.flags.contains(.pending) {
            if expiries[identity] == nil { open[identity] = record.transfer }
        }
        for record in transfers.values where record.body.flags.resolves { open[record.body.pendingIdentity] = nil }
        return open
    }

    /// Balances as the sums of what was accepted; flags as at the creation.
    func balances() throws -> [AccountID: Account] {
        var accounts = accounts
        func move(_ t: Transfer, _ amount: Amount, pending: Bool) throws {
            guard var debit = accounts[t.debitAccountID], var credit = accounts[t.creditAccountID] else {
                throw Failure(description: "an account is missing: \(t.text)")
            }
            if pending {
                debit.debitsPending.value &+= amount.value
                credit.creditsPending.value &+= amount.value
            } else {
                debit.debitsPosted.value &+= amount.value
                credit.creditsPosted.value &+= amount.value
            }
            accounts[t.debitAccountID] = debit
            accounts[t.creditAccountID] = credit
        }
        for t in open.values { try move(t, t.amount, pending: true) }
        for record in transfers.values
        where !record.body.flags.contains(.pending) && !record.body.flags.contains(.voidPending) {
            try move(record.body, record.body.amount, pending: false)
        }
        return accounts
    }

    /// In the order of their timestamps: unique, and none breaks a limit. What has expired, or is to, holds nothing from its
    /// deadline on, whenever that was recorded.
    func checkTimestamps() throws {
        enum Deed {
            case transfer(Transfer)
            case expiry(Identity)
            case account(Account)
        }
        var deeds: [(Timestamp, Deed)] = transfers.values.map { ($0.timestamp, .transfer($0.transfer)) }
        deeds += accounts.values.map { ($0.timestamp, .account($0)) }
        for identity in Set(expiries.keys).union(self.open.keys) {
            guard let held = transfers[identity]?.transfer, held.deadline != 0 else { continue }
            if let recorded = expiries[identity], recorded.nanoseconds < held.deadline {
                throw Failure(description: "transfer \(identity.id.value) has expired too early")
            }
            deeds.append((Timestamp(held.deadline), .expiry(identity)))
        }
        deeds.sort {
            if $0.0 != $1.0 { return $0.0 < $1.0 }
            if case .expiry = $0.1 { return true }
            return false
        }
        var seen: Set<Timestamp> = []
        for timestamp in freezes.map(\.timestamp) + expiries.values where !seen.insert(timestamp).inserted {
            throw Failure(description: "two have the timestamp \(timestamp.nanoseconds)")
        }
        var state: [AccountID: Account] = [:]
        var open: [Identity: Transfer] = [:]
        for (timestamp, deed) in deeds {
            let t: Transfer
            switch deed {
            case .account(let a):
                if !seen.insert(timestamp).inserted {
                    throw Failure(description: "two have the timestamp \(timestamp.nanoseconds)")
                }
                state[a.id] = a
                continue
            case .expiry(let identity):
                guard let held = open.removeValue(forKey: identity) else {
                    throw Failure(description: "transfer \(identity.id.value) is over before it is there")
                }
                state[held.debitAccountID]?.debitsPending.value -= held.amount.value
                state[held.creditAccountID]?.creditsPending.value -= held.amount.value
                continue
            case .transfer(let accepted):
                if !seen.insert(timestamp).inserted {
                    throw Failure(description: "two have the timestamp \(timestamp.nanoseconds)")
                }
                t = accepted
                if t.flags.resolves {
                    guard let held = open.removeValue(forKey: t.pendingIdentity) else {
                        throw Failure(description: "it resolves what is not open: \(t.text)")
                    }
                    state[held.debitAccountID]?.debitsPending.value -= held.amount.value
                    state[held.creditAccountID]?.creditsPending.value -= held.amount.value
                }
            }
            if t.flags.contains(.voidPending) { continue }
            if t.flags.contains(.pending) {
                open[t.identity] = t
                state[t.debitAccountID]?.debitsPending.value += t.amount.value
                state[t.creditAccountID]?.creditsPending.value += t.amount.value
            } else {
                state[t.debitAccountID]?.debitsPosted.value += t.amount.value
                state[t.creditAccountID]?.creditsPosted.value += t.amount.value
            }
            guard let debit = state[t.debitAccountID], let credit = state[t.creditAccountID] else {
                throw Failure(description: "its account was created later: \(t.text)")
            }
            let isWithin =
                (!debit.flags.contains(.debitsMustNotExceedCredits)
                    || debit.debitsPending.value + debit.debitsPosted.value <= debit.creditsPosted.value)
                && (!credit.flags.contains(.creditsMustNotExceedDebits)
                    || credit.creditsPending.value + credit.creditsPosted.value <= credit.debitsPosted.value)
            if !isWithin {
                throw Failure(description: "in the order of their timestamps this one breaks a limit: \(t.text)")
            }
        }
    }
}
