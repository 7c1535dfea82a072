// Goal: replies are the bytes that Redis clients expect. Method: known answers, for both versions.

import SuanpanCore
import SuanpanWire
import Testing

@Test func elementsOfBothVersions() {
    #expect(written { $0.integer(0, into: &$1) } == ":0\r\n")
    #expect(written { $0.integer(.max, into: &$1) } == ":18446744073709551615\r\n")
    #expect(written { $0.bulk(decimal: 0, into: &$1) } == "$1\r\n0\r\n")
    #expect(written { $0.bulk(decimal: .max, into: &$1) } == "$39\r\n340282366920938463463374607431768211455\r\n")
    #expect(written { $0.bulk(decimal: 10_000_000_000_000_000_000, into: &$1) } == "$20\r\n10000000000000000000\r\n")
    #expect(written { $0.null(into: &$1) } == "$-1\r\n")
    #expect(written(.three) { $0.null(into: &$1) } == "_\r\n")
    #expect(written { $0.map(3, into: &$1) } == "*6\r\n")
    #expect(written(.three) { $0.map(3, into: &$1) } == "%3\r\n")
    #expect(written(.three) { $0.verbatim(text: "ab", into: &$1) } == "=6\r\ntxt:ab\r\n")
}

@Test func decimalsAreExact() {
    var random = SeededGenerator(seed: 1)
    for _ in 0..<5000 {
        let value = UInt128.random(in: 0...UInt128.max, using: &random) >> UInt128.random(in: 0...127, using: &random)
        let text = "\(value)"
        #expect(written { $0.bulk(decimal: value, into: &$1) } == "$\(text.count)\r\n\(text)\r\n")
        guard case .transfer(let transfer) = decode("TRANSFER 1 2 3 \(value) 5 6") else {
            Issue.record("\(value) is not a number")
            continue
        }
        #expect(transfer.amount.value == value)
    }
}

@Test func creationsAreAnswered() {
    let created = EventResult(.created, timestamp: Timestamp(1_763_712_345_678_901_234))
    let exists = EventResult(.exists, timestamp: Timestamp(5))
    #expect(written { $0.encode(result: created, of: .transfer, into: &$1) } == "$19\r\n1763712345678901234\r\n")
    #expect(written { $0.encode(result: created, of: .account, into: &$1) } == "+OK\r\n")
    #expect(written { $0.encode(result: exists, of: .transfer, into: &$1) } == "$1\r\n5\r\n")
    #expect(written { $0.encode(result: exists, of: .account, into: &$1) } == "+OK\r\n")
    #expect(
        written { $0.encode(result: EventResult(.busy), of: .transfer, retryAfterMilliseconds: 12, into: &$1) }
            == "-BUSY retry after 12 ms\r\n")
    #expect(
        written {
            $0.encode(result: EventResult(.idAlreadyFailed, reason: .exceedsCredits), of: .transfer, into: &$1)
        } == "-ID_ALREADY_FAILED exceeds_credits the debit account has not so much left\r\n")
}

/// Every refusal, quoted in one line by the other events of its chain.
@Test func theOthersOfAChainNameTheEventAtFault() {
    for code in ResultCode.allCases where code != .created && code != .linkedEventFailed {
        let reply = written { encoder, out in
            encoder.encode(
                chain: 3, of: .account,
                result: { $0 == 1 ? EventResult(code, timestamp: Timestamp(5)) : EventResult(.linkedEventFailed) },
                id: { UInt128($0) + 70 }, into: &out)
        }
        let lines = reply.split(separator: "\r\n")
        let quoted = "-LINKED_EVENT_FAILED event 2 of 3, id 71, was refused: \(code.upperName) "
        #expect(lines.count == 4 && lines[0] == "*3" && lines[1] == lines[3] && lines[1].hasPrefix(quoted), "\(code)")
        #expect(code == .exists ? lines[2] == "+OK" : lines[1].hasSuffix(lines[2].dropFirst()), "\(code)")
    }
}

@Test func everyRefusalHasItsNameAndOneLine() {
    for code in ResultCode.allCases where code != .created && code != .exists {
        let reply = written { $0.encode(result: EventResult(code), of: .transfer, into: &$1) }
        #expect(reply.hasPrefix("-\(code.upperName) "), "\(code): \(reply)")
        #expect(reply.hasSuffix("\r\n") && reply.dropLast().contains("\r") == false, "\(code)")
        #expect(reply.utf8.count > code.upperName.utf8.count + 10, "\(code) has no sentence")
    }
    for code in ResultCode.allCases where code.isFinalRefusal {
        let reply = written {
            $0.encode(result: EventResult(.idAlreadyFailed, reason: code), of: .transfer, into: &$1)
        }
        #expect(reply.hasPrefix("-ID_ALREADY_FAILED \(code.name) "), "\(code): \(reply)")
    }
}

@Test func recordsAreMaps() {
    var account = Account(
        id: AccountID(7), ledger: 1, code: 2, flags: [.debitsMustNotExceedCredits, .creditsFrozen], userData64: 9)
    account.creditsPosted = Amount(100)
    account.timestamp = Timestamp(3)
    let words: [String] = [
        "id", "7", "debits_pending", "0", "debits_posted", "0", "credits_pending", "0", "credits_posted", "100",
        "user_data_128", "0", "user_data_64", "9", "user_data_32", "0", "ledger", "1", "code", "2", "flags",
        "debits_must_not_exceed_credits,credits_frozen", "timestamp", "3",
    ]
    let flat = String(decoding: array(words), as: UTF8.self)
    #expect(written { $0.encode(account: account, into: &$1) } == flat)
    #expect(written(.three) { $0.encode(account: account, into: &$1) } == "%12\r\n" + flat.dropFirst(4))

    var transfer = Transfer(
        id: TransferID(1), debit: AccountID(2), credit: AccountID(3), amount: Amount(4), ledger: 5, code: 6)
    transfer.timestamp = Timestamp(8)
    let transferWords: [String] = [
        "id", "1", "debit_account_id", "2", "credit_account_id", "3", "amount", "4", "pending_id", "0", "user_data_128",
        "0", "user_data_64", "0", "user_data_32", "0", "timeout", "0", "ledger", "5", "code", "6", "flags", "",
        "timestamp", "8",
    ]
    #expect(
        written { $0.encode(transfer: transfer, into: &$1) } == String(decoding: array(transferWords), as: UTF8.self))
}

@Test func flagNamesAreThoseOfCore() {
    for (flag, name) in AccountFlags.names {
        let account = Account(id: AccountID(1), ledger: 1, code: 1, flags: flag)
        #expect(
            written { $0.encode(account: account, into: &$1) }.contains("flags\r\n$\(name.utf8.count)\r\n\(name)\r\n"))
    }
    for (flag, name) in TransferFlags.names {
        let transfer = Transfer(
            id: TransferID(1), debit: AccountID(2), credit: AccountID(3), amount: Amount(4), ledger: 5, code: 6,
            flags: flag)
        #expect(
            written { $0.encode(transfer: transfer, into: &$1) }.contains("flags\r\n$\(name.utf8.count)\r\n\(name)\r\n")
        )
    }
}

@Test func protocolErrorsAreWordedAsRedisDoes() {
    #expect(
        written { $0.error(.invalidBulkLength, into: &$1) } == "-ERR Protocol error: invalid bulk length\r\n")
    #expect(
        written { $0.error(.expectedBulk(got: 0x0A), into: &$1) } == "-ERR Protocol error: expected '$', got '?'\r\n")
}

@Test func connectionRepliesAreWhole() {
    // Counts the elements of each reply by reading it back.
    let x = array("COMMAND x")
    for version in [RESPVersion.two, .three] {
        for command in [RESPCommandCommand.all, .count, .docs, .info, .list(.all), .list(.none), .list(.pattern)] {
            expectOneValue(
                written(version) { encoder, out in
                    encoder.command(command, arguments(of: "COMMAND x"), input: x.span, into: &out)
                }, "\(command)")
        }
        expectOneValue(written(version) { $0.hello(connectionID: 1, serverVersion: "1", into: &$1) }, "HELLO")
        for command in [RESPClientCommand.id, .info, .list(.all), .list(.none), .getName, .accepted] {
            expectOneValue(
                written(version) { encoder, out in
                    encoder.client(
                        command, RESPClientFacts(connectionID: 1), arguments(of: "COMMAND x"), input: x.span, into: &out
                    )
                },
                "\(command)")
        }
    }
    #expect(
        written { encoder, out in
            let input = array("CONFIG GET appendonly")
            encoder.configGet(arguments(of: "CONFIG GET appendonly"), input: input.span, isSynced: true, into: &out)
        } == "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n")
}

private func arguments(of line: String) -> RESPArguments {
    var arguments = RESPArguments()
    var parser = RESPParser()
    _ = parser.parse(array(line).span, into: &arguments)
    return arguments
}

/// Reads one RESP value of any type and expects the reply to end there.
private func expectOneValue(_ reply: String, _ what: String) {
    let bytes = Array(reply.utf8)
    #expect(endOfValue(bytes, at: 0) == bytes.count, "\(what): \(reply)")
}

private func endOfValue(_ bytes: [UInt8], at start: Int) -> Int? {
    guard start < bytes.count, let lineEnd = bytes[start...].firstIndex(of: 0x0D) else { return nil }
    let count = Int(String(decoding: bytes[(start + 1)..<lineEnd], as: UTF8.self))
    var next = lineEnd + 2
    switch bytes[start] {
    case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "_"): return next
    case UInt8(ascii: "$"), UInt8(ascii: "="): return count.map { $0 < 0 ? next : next + $0 + 2 }
    case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: "%"):
        guard let count else { return nil }
        for _ in 0..<(bytes[start] == UInt8(ascii: "%") ? count * 2 : max(0, count)) {
            guard let end = endOfValue(bytes, at: next) else { return nil }
            next = end
        }
        return next
    default: return nil
    }
}
