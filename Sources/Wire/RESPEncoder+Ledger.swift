// Replies of the ledger's commands: results, accounts, transfers, totals.

public import SuanpanCore

/// What was to be created: decides how success is answered.
@frozen public enum Creation: BitwiseCopyable, Sendable {
    case account
    case transfer
}

extension RESPEncoder {
    /// The answer to a creation: the timestamp (`OK` for an account), where it exists already the same as the first
    /// time, or the refusal's name with a sentence.
    @inline(__always)
    public func encode(
        result: EventResult, of creation: Creation, retryAfterMilliseconds: UInt32 = 1, into out: inout OutputBuffer
    ) {
        if _fastPath(result.isCreated || result.rawCode == ResultCode.exists.rawValue) {
            if creation == .transfer { bulk(timestamp: result.timestamp, into: &out) } else { ok(into: &out) }
        } else {
            refusal(result, retryAfterMilliseconds: retryAfterMilliseconds, into: &out)
        }
    }

    /// The answer to EXEC: one reply for each creation. The others of a refused chain name the one at fault, as several
    /// clients show the first error of an array and no more.
    /// - Parameters:
    ///   - result: Of the event at a place in the chain.
    ///   - id: What it was to create: a transfer's id, an account's.
    public func encode(
        chain count: Int, of creation: Creation, retryAfterMilliseconds: UInt32 = 1, result: (Int) -> EventResult,
        id: (Int) -> UInt128, into out: inout OutputBuffer
    ) {
        array(count, into: &out)
        let failed = ResultCode.linkedEventFailed.rawValue
        let isRefused = (0..<count).contains { result($0).rawCode == failed }
        let fault = isRefused ? (0..<count).first { result($0).rawCode != failed } : nil
        for i in 0..<count {
            let own = result(i)
            if let fault, i != fault {
                out.append("-LINKED_EVENT_FAILED event ")
                out.append(decimal: UInt64(fault + 1))
                out.append(" of ")
                out.append(decimal: UInt64(count))
                out.append(", id ")
                out.append(decimal: id(fault))
                out.append(", was refused: ")
                let start = out.count
                refusal(ofChain: result(fault), retryAfterMilliseconds, into: &out)
                out.remove(at: start)
            } else if i == fault, !isKnown(own) {
                refusal(ofChain: own, retryAfterMilliseconds, into: &out)
            } else {
                encode(result: own, of: creation, retryAfterMilliseconds: retryAfterMilliseconds, into: &out)
            }
        }
    }

    /// It existed before the chain.
    private func isKnown(_ result: EventResult) -> Bool {
        result.rawCode == ResultCode.exists.rawValue && result.timestamp != .zero
    }

    private func refusal(
        ofChain result: EventResult, _ retryAfterMilliseconds: UInt32, into out: inout OutputBuffer
    ) {
        if result.rawCode == ResultCode.exists.rawValue && !isKnown(result) {
            // It exists since an event before it in the chain, and so no longer.
            return out.append("-EXISTS the chain holds this id twice\r\n")
        }
        refusal(result, retryAfterMilliseconds: retryAfterMilliseconds, into: &out)
    }

    private func refusal(_ result: EventResult, retryAfterMilliseconds: UInt32, into out: inout OutputBuffer) {
        guard let code = result.code else {
            out.append("-ERR unknown result ")
            out.append(decimal: UInt64(result.rawCode))
            out.appendLineEnd()
            return
        }
        if code == .busy { return busy(retryAfterMilliseconds: retryAfterMilliseconds, into: &out) }
        if code == .idAlreadyFailed, let reason = result.reason, reason.isFinalRefusal {
            // `-NAME text` of the reason becomes `-ID_ALREADY_FAILED name text`.
            out.append("-ID_ALREADY_FAILED ")
            out.append(refusal: reason.errorReply)
            return
        }
        out.append(code.errorReply)
    }

    /// A map with the field names of Docs/Semantics.md; numbers as decimal bulk strings, flags as names between commas.
    public func encode(account: Account, into out: inout OutputBuffer) {
        map(12, into: &out)
        field("id", account.id.value, into: &out)
        field("debits_pending", account.debitsPending.value, into: &out)
        field("debits_posted", account.debitsPosted.value, into: &out)
        field("credits_pending", account.creditsPending.value, into: &out)
        field("credits_posted", account.creditsPosted.value, into: &out)
        field("user_data_128", account.userData128, into: &out)
        field("user_data_64", UInt128(account.userData64), into: &out)
        field("user_data_32", UInt128(account.userData32), into: &out)
        field("ledger", UInt128(account.ledger), into: &out)
        field("code", UInt128(account.code), into: &out)
        out.append("$5\r\nflags\r\n")
        flags(account.flags.rawValue, Self.accountFlagName, into: &out)
        field("timestamp", UInt128(account.timestamp.nanoseconds), into: &out)
    }

    /// A map as for accounts.
    public func encode(balance: AccountBalance, into out: inout OutputBuffer) {
        map(5, into: &out)
        field("timestamp", UInt128(balance.timestamp.nanoseconds), into: &out)
        field("debits_pending", balance.debitsPending.value, into: &out)
        field("debits_posted", balance.debitsPosted.value, into: &out)
        field("credits_pending", balance.creditsPending.value, into: &out)
        field("credits_posted", balance.creditsPosted.value, into: &out)
    }

    public func invalidFilter(_ refusal: FilterRefusal, into out: inout OutputBuffer) {
        out.append("-INVALID_FILTER ")
        out.append(text: refusal.rawValue)
        out.append("\r\n")
    }

    /// A map as for accounts.
    public func encode(transfer: Transfer, into out: inout OutputBuffer) {
        map(13, into: &out)
        field("id", transfer.id.value, into: &out)
        field("debit_account_id", transfer.debitAccountID.value, into: &out)
        field("credit_account_id", transfer.creditAccountID.value, into: &out)
        field("amount", transfer.amount.value, into: &out)
        field("pending_id", transfer.pendingID.value, into: &out)
        field("user_data_128", transfer.userData128, into: &out)
        field("user_data_64", UInt128(transfer.userData64), into: &out)
        field("user_data_32", UInt128(transfer.userData32), into: &out)
        field("timeout", UInt128(transfer.timeout), into: &out)
        field("ledger", UInt128(transfer.ledger), into: &out)
        field("code", UInt128(transfer.code), into: &out)
        out.append("$5\r\nflags\r\n")
        flags(transfer.flags.rawValue, Self.transferFlagName, into: &out)
        field("timestamp", UInt128(transfer.timestamp.nanoseconds), into: &out)
    }

    /// One element of TOTALS, whose reply is an array of them.
    public func encode(totals: LedgerTotals, into out: inout OutputBuffer) {
        map(6, into: &out)
        field("ledger", UInt128(totals.ledger), into: &out)
        field("debits_pending", totals.debitsPending, into: &out)
        field("debits_posted", totals.debitsPosted, into: &out)
        field("credits_pending", totals.creditsPending, into: &out)
        field("credits_posted", totals.creditsPosted, into: &out)
        field("timestamp", UInt128(totals.timestamp.nanoseconds), into: &out)
    }

    private func field(_ name: StaticString, _ value: UInt128, into out: inout OutputBuffer) {
        bulk(name, into: &out)
        bulk(decimal: value, into: &out)
    }

    private func flags(_ bits: UInt16, _ name: (Int) -> StaticString, into out: inout OutputBuffer) {
        var count = 0
        for bit in 0..<16 where bits & (1 << bit) != 0 { count += name(bit).utf8CodeUnitCount + (count == 0 ? 0 : 1) }
        bulkHeader(count, into: &out)
        var isFirst = true
        for bit in 0..<16 where bits & (1 << bit) != 0 {
            if !isFirst { out.append(UInt8(ascii: ",")) }
            out.append(name(bit))
            isFirst = false
        }
        out.appendLineEnd()
    }

    /// As `AccountFlags.names`, without the array.
    static func accountFlagName(_ bit: Int) -> StaticString {
        switch bit {
        case 0: "linked"
        case 1: "debits_must_not_exceed_credits"
        case 2: "credits_must_not_exceed_debits"
        case 3: "history"
        case 4: "closed"
        case 5: "debits_frozen"
        case 6: "credits_frozen"
        case 7: "striped"
        default: "unknown"
        }
    }

    /// As `TransferFlags.names`, without the array.
    static func transferFlagName(_ bit: Int) -> StaticString {
        switch bit {
        case 0: "linked"
        case 1: "pending"
        case 2: "post_pending"
        case 3: "void_pending"
        case 4: "balancing_debit"
        case 5: "balancing_credit"
        case 6: "closing_debit"
        case 7: "closing_credit"
        case 8: "imported"
        default: "unknown"
        }
    }
}

extension OutputBuffer {
    /// Appends `-NAME text\r\n` as `name text\r\n`.
    fileprivate mutating func append(refusal reply: StaticString) {
        let first = count
        append(reply)
        remove(at: first)
        withMutableBytes { bytes in
            var i = first
            while i < bytes.count, bytes[i] != 0x20 {
                if bytes[i] >= 0x41, bytes[i] <= 0x5A { bytes[i] += 0x20 }
                i += 1
            }
        }
    }

    /// Takes one byte of the last few away: the `-` of an error that another one quotes.
    fileprivate mutating func remove(at offset: Int) {
        withMutableBytes { bytes in
            for i in offset..<(bytes.count - 1) { bytes[i] = bytes[i + 1] }
        }
        truncate(to: count - 1)
    }
}
