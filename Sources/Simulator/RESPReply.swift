// Replies of the text protocol, as a strict client reads them. Written from Docs/Protocol.md; shares nothing with the
// encoder.

import SuanpanCore

/// One reply, both versions of the protocol.
enum RESPReply: Equatable {
    case simple(String)
    case error(String)
    case integer(UInt64)
    case bulk(String)
    case null
    case array([RESPReply])
    case map([RESPReply])

    /// The reply at the start of `bytes`, and how many bytes it takes; nil: it is not all there.
    static func read(_ bytes: ArraySlice<UInt8>) throws -> (RESPReply, Int)? {
        var reader = Reader(bytes: bytes, at: bytes.startIndex)
        guard let reply = try reader.reply() else { return nil }
        return (reply, reader.at - bytes.startIndex)
    }

    private struct Reader {
        let bytes: ArraySlice<UInt8>
        var at: Int

        /// Up to the next line's end; nil: it is not there.
        private mutating func line() throws -> String? {
            guard let end = bytes[at...].firstIndex(of: 13), end + 1 < bytes.endIndex else {
                if bytes[at...].contains(10) {
                    throw Failure(description: "a line of a reply ends in a bare line feed")
                }
                return nil
            }
            let text = bytes[at..<end]
            guard bytes[end + 1] == 10, !text.contains(10) else {
                throw Failure(description: "a line of a reply is broken: \(String(decoding: text, as: UTF8.self))")
            }
            at = end + 2
            return String(decoding: text, as: UTF8.self)
        }

        private func number(_ text: Substring) throws -> UInt64 {
            guard let number = UInt64(text), String(number) == text else {
                throw Failure(description: "not a number in a reply: \(text)")
            }
            return number
        }

        mutating func reply() throws -> RESPReply? {
            guard let head = try line() else { return nil }
            let rest = head.dropFirst()
            switch head.first {
            case "+": return .simple(String(rest))
            case "-": return .error(String(rest))
            case ":": return .integer(try number(rest))
            case "_" where rest.isEmpty: return .null
            case "$", "*":
                if rest == "-1" { return .null }
                return head.first == "$"
                    ? try bulk(Int(number(rest))) : try elements(Int(number(rest))).map { .array($0) }
            case "%": return try elements(Int(number(rest)) * 2).map { .map($0) }
            default: throw Failure(description: "not a reply: \(head)")
            }
        }

        private mutating func bulk(_ count: Int) throws -> RESPReply? {
            guard bytes.endIndex - at >= count + 2 else { return nil }
            guard bytes[at + count] == 13, bytes[at + count + 1] == 10 else {
                throw Failure(description: "a bulk string of a reply does not end where its length says")
            }
            let text = String(decoding: bytes[at..<at + count], as: UTF8.self)
            at += count + 2
            return .bulk(text)
        }

        private mutating func elements(_ count: Int) throws -> [RESPReply]? {
            var elements: [RESPReply] = []
            while elements.count < count {
                guard let element = try reply() else { return nil }
                elements.append(element)
            }
            return elements
        }
    }

    // MARK: What replies of the ledger say

    /// What was answered to a creation or a freeze. A success does not say whether it was the first one, and only that of a
    /// transfer says when.
    /// - Parameter hasTime: It is a transfer's.
    func result(hasTime: Bool) throws -> EventResult {
        switch self {
        case .bulk where hasTime: return EventResult(.created, timestamp: Timestamp(try time()))
        case .simple("OK") where !hasTime: return EventResult(.created)
        case .error(let text):
            let words = text.split(separator: " ")
            // EXISTS: since an event before it in its chain, which failed.
            guard let code = Self.codes[String(words[0])], code != .created else { break }
            guard code == .idAlreadyFailed else { return EventResult(code) }
            guard words.count > 1, let reason = Self.codes[words[1].uppercased()], reason.isFinalRefusal else { break }
            return EventResult(code, reason: reason)
        default: break
        }
        throw Failure(description: "not the answer to a creation: \(self)")
    }

    /// A timestamp stands in a reply as decimal text.
    private func time() throws -> UInt64 {
        guard case .bulk(let text) = self, let time = UInt64(text), String(time) == text else {
            throw Failure(description: "not a timestamp: \(self)")
        }
        return time
    }

    private static let codes = Dictionary(uniqueKeysWithValues: ResultCode.allCases.map { ($0.upperName, $0) })

    /// Not executed, as too much is under way.
    var isBusy: Bool {
        if case .error(let text) = self { text.hasPrefix("BUSY retry after ") && text.hasSuffix(" ms") } else { false }
    }

    /// nil: it was not found.
    func account() throws -> Account? {
        if self == .null { return nil }
        let fields = try fields([
            "id", "debits_pending", "debits_posted", "credits_pending", "credits_posted", "user_data_128",
            "user_data_64", "user_data_32", "ledger", "code", "flags", "timestamp",
        ])
        var a = Account(
            id: AccountID(try fields.number(0)), ledger: try fields.number(8), code: try fields.number(9))
        a.debitsPending = Amount(try fields.number(1))
        a.debitsPosted = Amount(try fields.number(2))
        a.creditsPending = Amount(try fields.number(3))
        a.creditsPosted = Amount(try fields.number(4))
        a.userData128 = try fields.number(5)
        a.userData64 = try fields.number(6)
        a.userData32 = try fields.number(7)
        a.flags = try fields.flags(10, AccountFlags.names)
        a.timestamp = Timestamp(try fields.number(11))
        return a
    }

    /// nil: it was not found.
    func transfer() throws -> Transfer? {
        if self == .null { return nil }
        let fields = try fields([
            "id", "debit_account_id", "credit_account_id", "amount", "pending_id", "user_data_128", "user_data_64",
            "user_data_32", "timeout", "ledger", "code", "flags", "timestamp",
        ])
        var t = Transfer(
            id: TransferID(try fields.number(0)), debit: AccountID(try fields.number(1)),
            credit: AccountID(try fields.number(2)), amount: Amount(try fields.number(3)),
            ledger: try fields.number(9), code: try fields.number(10), pendingID: TransferID(try fields.number(4)),
            timeout: try fields.number(8), userData128: try fields.number(5), userData64: try fields.number(6),
            userData32: try fields.number(7))
        t.flags = try fields.flags(11, TransferFlags.names)
        t.timestamp = Timestamp(try fields.number(12))
        return t
    }

    /// The sums of all ledgers.
    func totals() throws -> [LedgerTotals] {
        guard case .array(let ledgers) = self else { throw Failure(description: "not sums: \(self)") }
        return try ledgers.map { ledger in
            let fields = try ledger.fields([
                "ledger", "debits_pending", "debits_posted", "credits_pending", "credits_posted", "timestamp",
            ])
            var sums = LedgerTotals(ledger: try fields.number(0))
            sums.debitsPending = try fields.number(1)
            sums.debitsPosted = try fields.number(2)
            sums.creditsPending = try fields.number(3)
            sums.creditsPosted = try fields.number(4)
            sums.timestamp = Timestamp(try fields.number(5))
            return sums
        }
    }

    func elements(_ count: Int) throws -> [RESPReply] {
        guard case .array(let elements) = self, elements.count == count else {
            throw Failure(description: "not an array of \(count): \(self)")
        }
        return elements
    }

    /// The values of a map with these names, in this order.
    private func fields(_ names: [String]) throws -> [String] {
        let flat: [RESPReply]
        switch self {
        case .array(let elements), .map(let elements): flat = elements
        default: throw Failure(description: "not a map: \(self)")
        }
        guard flat.count == 2 * names.count else { throw Failure(description: "a map of other fields: \(self)") }
        return try names.indices.map { k in
            guard flat[2 * k] == .bulk(names[k]), case .bulk(let value) = flat[2 * k + 1] else {
                throw Failure(description: "a map of other fields: \(self)")
            }
            return value
        }
    }
}

extension [String] {
    fileprivate func number<Number: FixedWidthInteger>(_ k: Int) throws -> Number {
        guard let number = Number(self[k]), String(number) == self[k] else {
            throw Failure(description: "not a number of the field's width: \(self[k])")
        }
        return number
    }

    /// The flags whose names stand between commas.
    fileprivate func flags<Flags: OptionSet>(_ k: Int, _ names: [(Flags, String)]) throws -> Flags {
        var flags = Flags()
        for word in self[k].split(separator: ",") {
            guard let flag = names.first(where: { $0.1 == word })?.0 else {
                throw Failure(description: "an unknown flag: \(word)")
            }
            flags.formUnion(flag)
        }
        return flags
    }
}
