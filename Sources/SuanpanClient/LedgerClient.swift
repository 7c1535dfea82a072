// The embedding API's calls over the native protocol: same names, same results, an engine in another process.

internal import FoundationEssentials
public import SuanpanCore
internal import SuanpanWire

/// A connection to an engine. Calls come from any thread or task at once, are pipelined, suspend, and never block a thread.
///
///     let ledger = try await LedgerClient.connect(host: "127.0.0.1", port: 7420)
///     let results = try await ledger.createTransfers([...])
///     await ledger.close()
///
/// No call waits for ever: it throws `timedOut` when its time is over (30 seconds, `ClientTimeouts` or `waiting(atMost:)` say
/// otherwise), `cancelled` when its task is cancelled, `disconnected` when the connection ends. In all three cases the
/// request may have been executed, may still be, or may never be. Send the same ids again: nothing is applied twice, and
/// the results say `exists` where it was (`TransferID`s are the caller's for this). After `timedOut` and `cancelled` the
/// connection goes on: replies carry their request's number, one that comes late is dropped. After `disconnected`, or when
/// calls time out again and again, connect anew.
public final class LedgerClient: Sendable {
    /// The connection ends with the last client that shares it.
    private final class Owner: Sendable {
        let connection: Connection
        let timeouts: ClientTimeouts
        init(_ connection: Connection, _ timeouts: ClientTimeouts) {
            self.connection = connection
            self.timeouts = timeouts
        }
        deinit { connection.end(.closed) }
    }

    private let owner: Owner
    private let callTimeout: Duration

    private init(_ owner: Owner, callTimeout: Duration) {
        self.owner = owner
        self.callTimeout = callTimeout
    }

    /// Connects to whichever of the name's addresses answers first, and gives the password where there is one.
    /// - Throws: `cannotConnect`, also when it has not come to an end in time; `cancelled`; `refused(.notAuthenticated)` for
    ///   a wrong password. Nothing is left open.
    public static func connect(
        host: String, port: UInt16, password: String? = nil, timeouts: ClientTimeouts = ClientTimeouts()
    ) async throws(ClientError) -> LedgerClient {
        let deadline = Deadline(after: timeouts.connect)
        let dialer = Dialer(host: host, port: port, timeout: timeouts.connect, deadline: deadline)
        let connection = Connection(try await dialer.connect())
        if let why = connection.start() { throw .cannotConnect(host: host, port: port, why) }
        let client = LedgerClient(Owner(connection, timeouts), callTimeout: timeouts.call)
        guard let password else { return client }
        do {
            _ = try await connection.call(.authenticate, timeout: deadline.remaining) { $0.append(text: password) }
        } catch .timedOut {
            throw .cannotConnect(
                host: host, port: port, "connected, but no answer to the password within \(timeouts.connect)")
        }
        return client
    }

    /// The same connection for calls that wait so long for their replies:
    /// `try await ledger.waiting(atMost: .seconds(2)).createTransfers([...])`.
    public func waiting(atMost timeout: Duration) -> LedgerClient { LedgerClient(owner, callTimeout: timeout) }

    /// Sends a request and suspends until its reply.
    func call(
        _ operation: Operation, count: Int = 0, flags: UInt32 = 0, body: (inout OutputBuffer) -> Void = { _ in }
    ) async throws(ClientError) -> Reply {
        try await owner.connection.call(operation, count: count, flags: flags, timeout: callTimeout, body: body)
    }

    /// Creates accounts; one result per event, in order.
    /// - Parameter accounts: Up to 8190.
    public func createAccounts(_ accounts: [Account]) async throws(ClientError) -> [EventResult] {
        let reply = try await call(.createAccounts, count: accounts.count) { body in
            for account in accounts { body.append(record: account) }
        }
        return try results(reply, count: accounts.count)
    }

    /// Creates transfers; one result per event, in order.
    /// - Parameter transfers: Up to 8190.
    public func createTransfers(_ transfers: [Transfer]) async throws(ClientError) -> [EventResult] {
        let reply = try await call(.createTransfers, count: transfers.count) { body in
            for transfer in transfers { body.append(record: transfer) }
        }
        return try results(reply, count: transfers.count)
    }

    /// Stops payments: refuses new debits, new credits or both of an account from now on, until `unfreeze`. Pending
    /// transfers can still be voided, and expire.
    /// - Returns: `created` with its timestamp, or why not.
    public func freeze(
        _ account: AccountID, debits: Bool = true, credits: Bool = true
    ) async throws(ClientError) -> EventResult {
        try await freeze(.freezeAccounts, account, debits, credits)
    }

    /// Lifts the freeze of these sides.
    public func unfreeze(
        _ account: AccountID, debits: Bool = true, credits: Bool = true
    ) async throws(ClientError) -> EventResult {
        try await freeze(.unfreezeAccounts, account, debits, credits)
    }

    private func freeze(
        _ operation: Operation, _ account: AccountID, _ debits: Bool, _ credits: Bool
    ) async throws(ClientError) -> EventResult {
        let sides = (debits ? AccountFlags.debitsFrozen : []).union(credits ? .creditsFrozen : [])
        let reply = try await call(operation, count: 1) { $0.append(record: FreezeItem(account, sides)) }
        return try results(reply, count: 1)[0]
    }

    /// The accounts with these ids, in order; nil: unknown.
    /// - Parameter consistent: Asks for all of them as of one moment.
    public func accounts(_ ids: [AccountID], consistent: Bool = false) async throws(ClientError) -> [Account?] {
        let flags = consistent ? FrameHeader.consistent : 0
        let reply = try await call(.lookupAccounts, count: ids.count, flags: flags) { body in
            for id in ids { body.append(record: id) }
        }
        let found = try reply.records(Account.self)
        var next = 0
        return ids.map { id in
            guard next < found.count, found[next].id == id else { return nil }
            next += 1
            return found[next - 1]
        }
    }

    /// The sums over all accounts, by ledger, ascending: every transfer up to their timestamp, and no later one. Debits equal
    /// credits, or the engine takes no more writes (`refused(.unbalanced)`).
    /// - Parameter ledgers: Those asked for; empty: all, of which there may be 8190.
    public func totals(_ ledgers: [UInt32] = []) async throws(ClientError) -> [LedgerTotals] {
        let reply = try await call(.totals, count: ledgers.count) { body in
            for ledger in ledgers { body.append(record: ledger) }
        }
        return try reply.records(LedgerTotals.self)
    }

    /// The transfers with these debit accounts and ids, in order; nil: unknown. Debit account 0 is nobody's: by id alone ask
    /// `transfers(id:)`.
    public func transfers(_ ids: [(debit: AccountID, id: TransferID)]) async throws(ClientError) -> [Transfer?] {
        // The server would answer a key without one with all that have its id.
        let named = ids.filter { !$0.debit.isZero }
        let reply = try await call(.lookupTransfers, count: named.count) { body in
            for key in named {
                body.append(record: key.debit)
                body.append(record: key.id)
            }
        }
        let found = try reply.records(Transfer.self)
        var next = 0
        return ids.map { key in
            guard next < found.count, found[next].id == key.id, found[next].debitAccountID == key.debit else {
                return nil
            }
            next += 1
            return found[next - 1]
        }
    }

    /// A round trip that asks for nothing.
    public func ping() async throws(ClientError) { _ = try await call(.ping) }

    /// What the server says of itself.
    public func status() async throws(ClientError) -> ServerStatus {
        let reply = try await call(.status)
        do { return try JSONDecoder().decode(ServerStatus.self, from: Data(reply.body)) } catch {
            throw .disconnected("the status is not understood: \(error)")
        }
    }

    /// Takes no more calls (they throw `closed`), waits for the replies under way, then ends the connection, for all clients
    /// that share it. Always returns: after `ClientTimeouts.close`, or as soon as its task is cancelled, what is still under
    /// way throws `disconnected`.
    public func close() async { await owner.connection.close(within: owner.timeouts.close) }

    private func results(_ reply: Reply, count: Int) throws(ClientError) -> [EventResult] {
        guard Int(reply.header.count) == count else {
            throw .disconnected("\(counted(reply.header.count, "result")) for \(counted(count, "event"))")
        }
        if reply.header.flags & FrameHeader.timestampsOnly == 0 { return try reply.records(EventResult.self) }
        return try reply.records(UInt64.self).map { EventResult(.created, timestamp: Timestamp($0)) }
    }
}

/// What a server says of itself.
public struct ServerStatus: Decodable, Sendable {
    public var version: String
    /// `sync` or `async`.
    public var durability: String
    public var shards: Int
    /// Key of the routing hash, 32 hex digits.
    public var salt: String
    /// Shard of each of the 4096 slots.
    public var slotMap: [UInt16]

    private enum CodingKeys: String, CodingKey {
        case version, durability, shards, salt
        case slotMap = "slot_map"
    }

    /// Which shard decides an account's transfers; nil where the server's answer makes no sense.
    public var routing: Routing? {
        guard let salt = UInt128(salt, radix: 16), slotMap.count == Limits.slotCount else { return nil }
        return Routing(key: HashKey(salt), slots: slotMap, shardCount: shards)
    }
}
