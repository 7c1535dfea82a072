// Reads of history over the native protocol; what they mean stands at the engine's calls of the same names.

public import SuanpanCore
internal import SuanpanWire

extension LedgerClient {
    /// The accepted transfers with this id, of whichever debit accounts, oldest first; at most 8190.
    /// - Throws: `busy` when too many reads of history are under way; else as every call.
    public func transfers(id: TransferID) async throws(ClientError) -> [Transfer] {
        let reply = try await call(.lookupTransfers, count: 1) { body in
            body.append(record: AccountID(0))
            body.append(record: id)
        }
        return try reply.records(Transfer.self)
    }

    /// The transfers that debit or credit an account, by time.
    /// - Throws: `invalidFilter`; else as above.
    public func accountTransfers(_ filter: QueryFilter) async throws(ClientError) -> [Transfer] {
        try await query(.getAccountTransfers, filter)
    }

    /// The balances after each change of an account with `history`.
    public func accountBalances(_ filter: QueryFilter) async throws(ClientError) -> [AccountBalance] {
        try await query(.getAccountBalances, filter)
    }

    /// Accounts that match, by time of creation.
    public func queryAccounts(_ filter: QueryFilter) async throws(ClientError) -> [Account] {
        try await query(.queryAccounts, filter)
    }

    /// Transfers of any accounts that match, by time.
    public func queryTransfers(_ filter: QueryFilter) async throws(ClientError) -> [Transfer] {
        try await query(.queryTransfers, filter)
    }

    private func query<Record: BitwiseCopyable>(
        _ operation: Operation, _ filter: QueryFilter
    ) async throws(ClientError) -> [Record] {
        try await call(operation, count: 1) { $0.append(record: filter) }.records(Record.self)
    }
}
