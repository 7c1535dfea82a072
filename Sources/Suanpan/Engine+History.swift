// The embedding API's reads of history, and the thread that answers those of all doors.

internal import CSuanpanSupport
public import SuanpanCore
internal import SuanpanFront
internal import SuanpanHistory
internal import SuanpanJournal

extension Engine {
    /// The accepted transfers with this id, of whichever debit accounts, oldest first; at most 8190.
    /// - Throws: `busy` when 64 reads of history are under way, `closed`, `interrupted`.
    /// - Complexity: O(bytes of all logs), off the shards' threads. With the debit account use `transfers(_:)`.
    public func transfers(id: TransferID) async throws(EngineError) -> [Transfer] {
        try await transfers(.transfers([(AccountID(0), id)]))
    }

    /// The transfers that debit or credit an account, by time: a page shows all that match, up to the moment of the call,
    /// so that whoever goes on behind the last timestamp misses nothing. Expiries are not shown. Empty for an unknown one.
    /// - Throws: `invalidFilter`; else as above.
    /// - Complexity: O(bytes of the account's shard's log since `timestampMin`).
    public func accountTransfers(_ filter: QueryFilter) async throws(EngineError) -> [Transfer] {
        try await transfers(.query(.accountTransfers, try checked(filter, .accountTransfers)))
    }

    /// The balances after each change of an account with `history`, expiries included; empty for any other.
    /// - Complexity: O(bytes of the account's shard's log), twice.
    public func accountBalances(_ filter: QueryFilter) async throws(EngineError) -> [AccountBalance] {
        guard
            case .balances(let found) = try await ask(.query(.accountBalances, try checked(filter, .accountBalances)))
        else { return [] }
        return found
    }

    /// Accounts that match, by time of creation, with their balances as of one moment.
    /// - Complexity: O(bytes of all logs), twice.
    public func queryAccounts(_ filter: QueryFilter) async throws(EngineError) -> [Account] {
        guard case .accounts(let found) = try await ask(.query(.accounts, try checked(filter, .accounts))) else {
            return []
        }
        return found
    }

    /// Transfers of any accounts that match, by time.
    /// - Complexity: O(bytes of all logs since `timestampMin`).
    public func queryTransfers(_ filter: QueryFilter) async throws(EngineError) -> [Transfer] {
        try await transfers(.query(.transfers, try checked(filter, .transfers)))
    }

    private func checked(_ filter: QueryFilter, _ kind: QueryKind) throws(EngineError) -> QueryFilter {
        if let refusal = filter.refusal(kind) { throw .invalidFilter(refusal) }
        return filter
    }

    private func transfers(_ question: HistoryQuestion) async throws(EngineError) -> [Transfer] {
        guard case .transfers(let found) = try await ask(question) else { return [] }
        return found
    }

    private func ask(_ question: HistoryQuestion) async throws(EngineError) -> HistoryAnswer {
        try control.enter()
        let gate = control.gate
        let history = history
        let call: HistoryCall? = await withCheckedContinuation { continuation in
            let isTaken = history.ask(question) { call in
                gate.leave()
                continuation.resume(returning: call)
            }
            if !isTaken {
                gate.leave()
                continuation.resume(returning: nil)
            }
        }
        guard let call else { throw .busy }
        if call.isRefused { throw .busy }
        guard let answer = call.answer else { throw control.outcomeUnknown }
        return answer
    }
}

/// Answers questions, one after the other, until the engine ends.
enum HistoryThread {
    /// - Parameter fail: Fails the engine, for this reason.
    static func run(_ desk: HistoryDesk, fail: (String) -> Void) {
        // SAFETY: a literal of fewer than 16 bytes.
        unsafe suanpan_name_thread("suanpan-history")
        do throws(JournalError) { try desk.run() } catch {
            fail("history: \(error)")
            desk.runWithoutAnswers()
        }
    }
}
