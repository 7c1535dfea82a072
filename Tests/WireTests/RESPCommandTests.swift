// Goal: each command of Docs/Protocol.md becomes the value it says, and each mistake is named. Method: tables.

import SuanpanCore
import SuanpanWire
import Testing

private let big = "340282366920938463463374607431768211455"

private func transfer(_ line: String) -> Transfer? {
    guard case .transfer(let transfer) = decode(line) else { return nil }
    return transfer
}

@Test func transfersAreDecodedWithTheirOptions() {
    let plain = Transfer(
        id: TransferID(1), debit: AccountID(2), credit: AccountID(3), amount: Amount(4), ledger: 5, code: 6)
    #expect(transfer("TRANSFER 1 2 3 4 5 6") == plain)
    #expect(transfer("transfer 0x1 0X2 03 4 5 6") == plain)

    var full = Transfer(
        id: TransferID(.max), debit: AccountID(2), credit: AccountID(3), amount: Amount(UInt128(1) << 64), ledger: .max,
        code: .max, flags: [.pending, .balancingDebit, .balancingCredit, .closingDebit, .closingCredit], timeout: 60)
    full.userData128 = 7
    full.userData64 = .max
    full.userData32 = .max
    #expect(
        transfer(
            "TRANSFER \(big) 2 3 18446744073709551616 4294967295 65535 pending 60 BALANCING debit BALANCING CREDIT "
                + "CLOSING DEBIT CLOSING CREDIT DATA128 7 DATA64 18446744073709551615 DATA32 0xFFFFffff") == full)
    #expect(transfer("TRANSFER 1 2 3 4 5 6 PENDING DATA32 1")?.timeout == 0)
    #expect(transfer("TRANSFER 1 2 3 4 5 6 PENDING")?.flags == .pending)
}

@Test func resolutionsNameTheirPendingTransfer() {
    let post = transfer("TRANSFER.POST 9 2 8")
    #expect(post?.flags == .postPending && post?.pendingID == TransferID(8) && post?.amount == Amount(.max))
    #expect(post?.creditAccountID == AccountID(0) && post?.ledger == 0 && post?.code == 0)
    #expect(transfer("TRANSFER.POST 9 2 8 AMOUNT 5 DATA64 1")?.amount == Amount(5))
    let void = transfer("transfer.void 9 2 8 DATA128 1")
    #expect(void?.flags == .voidPending && void?.amount == .zero && void?.userData128 == 1)
    #expect(refusal("TRANSFER.VOID 9 2 8 AMOUNT 5") == "-ERR syntax error near 'AMOUNT'\r\n")
}

@Test func accountsAreDecoded() {
    guard
        case .accountCreate(let account) = decode(
            "ACCOUNT.CREATE 7 1 2 FLAGS debits_must_not_exceed_credits,history DATA128 3 DATA64 4 DATA32 5")
    else {
        Issue.record("not an account")
        return
    }
    #expect(
        account
            == Account(
                id: AccountID(7), ledger: 1, code: 2, flags: [.debitsMustNotExceedCredits, .history], userData128: 3,
                userData64: 4, userData32: 5))
    for (flag, name) in AccountFlags.names {
        guard case .accountCreate(let account) = decode("ACCOUNT.CREATE 7 1 2 FLAGS \(name)") else {
            Issue.record("flag \(name)")
            continue
        }
        #expect(account.flags == flag)
    }
    if case .accountFreeze(let id, let sides, let freezes) = decode("ACCOUNT.UNFREEZE 7 both") {
        #expect(id == AccountID(7) && sides == [.debitsFrozen, .creditsFrozen] && !freezes)
    } else {
        Issue.record("not a freeze")
    }
}

@Test func readsAreDecoded() {
    var arguments = RESPArguments()
    var parser = RESPParser()
    let input = Array("ACCOUNT.GET 1 0x2 \(big)\r\n".utf8)
    _ = parser.parse(input.span, into: &arguments)
    guard case .accountGet(let count) = RESPCommand.decode(&arguments, input.span) else {
        Issue.record("not a read")
        return
    }
    let ids = (0..<count).map { arguments.accountID($0).value }
    #expect(ids == [1, 2, .max])

    if case .accountHistory(.accountTransfers, let filter) = decode(
        "ACCOUNT.TRANSFERS 7 FROM 1 TO 2 LIMIT 3 DEBITS REV")
    {
        #expect(
            filter
                == QueryFilter(
                    account: AccountID(7), flags: [.debits, .reversed], limit: 3, timestampMin: Timestamp(1),
                    timestampMax: Timestamp(2)))
    } else {
        Issue.record("not a filter")
    }
    if case .accountHistory(.accountBalances, let filter) = decode("account.balances 7 credits") {
        #expect(filter == QueryFilter(account: AccountID(7), flags: .credits, limit: 100))
    } else {
        Issue.record("not a filter")
    }
    if case .transferGet(let id, let debit) = decode("TRANSFER.GET 1 2") {
        #expect(id == TransferID(1) && debit == AccountID(2))
    } else {
        Issue.record("not a read")
    }
    if case .transferGet(_, let debit) = decode("TRANSFER.GET 1") { #expect(debit == nil) } else { Issue.record("no") }
}

@Test func connectionCommandsAreDecoded() {
    if case .hello(let hello) = decode("HELLO 3 AUTH default secret SETNAME me") {
        #expect(hello.version == .three && hello.user != nil && hello.password?.length == 6)
        #expect(hello.clientName != nil)
    } else {
        Issue.record("not a hello")
    }
    for line in [
        "PING", "ping hi", "ECHO a", "AUTH p", "AUTH u p", "QUIT", "RESET", "INFO", "INFO shards", "SELECT 0",
        "COMMAND", "COMMAND COUNT", "COMMAND DOCS ping", "COMMAND INFO ping", "COMMAND LIST", "CLIENT ID",
        "CLIENT LIST",
        "CLIENT LIST TYPE normal", "CLIENT LIST type PUBSUB", "CLIENT LIST ID 1 2", "CLIENT NO-EVICT on",
        "COMMAND LIST FILTERBY PATTERN acc*", "COMMAND LIST FILTERBY MODULE m", "CLIENT SETINFO LIB-VER 1.0",
        "CLIENT SETINFO LIB-NAME x", "CLIENT SETNAME x", "CLIENT GETNAME", "CONFIG GET save appendonly", "MULTI",
        "EXEC",
        "DISCARD", "TOTALS", "HELLO", "HELLO 2",
    ] {
        #expect(refusal(line) == "", "\(line)")
    }
}

@Test(arguments: [
    ("NOPE 1", "-ERR unknown command 'NOPE'; COMMAND DOCS lists those there are\r\n"),
    ("TRANSFERS 1", "-ERR unknown command 'TRANSFERS'; COMMAND DOCS lists those there are\r\n"),
    ("TRANSFER 1 2", "-ERR wrong number of arguments for 'transfer' command\r\n"),
    ("TRANSFER 1 2 3 -4 5 6", "-ERR amount '-4' is not an unsigned 128-bit integer\r\n"),
    ("TRANSFER 1 2 3 4.5 5 6", "-ERR amount '4.5' is not an unsigned 128-bit integer\r\n"),
    ("TRANSFER 0x 2 3 4 5 6", "-ERR id '0x' is not an unsigned 128-bit integer\r\n"),
    (
        "TRANSFER 1 340282366920938463463374607431768211456 3 4 5 6",
        "-ERR debit account '340282366920938463463374607431768211456' is not an unsigned 128-bit integer\r\n"
    ),
    (
        "TRANSFER 1 2 0x100000000000000000000000000000000 4 5 6",
        "-ERR credit account '0x100000000000000000000000000000000' is not an unsigned 128-bit integer\r\n"
    ),
    ("TRANSFER 1 2 3 4 4294967296 6", "-ERR ledger '4294967296' is not an unsigned 32-bit integer\r\n"),
    ("TRANSFER 1 2 3 4 5 65536", "-ERR code '65536' is not an unsigned 16-bit integer\r\n"),
    ("TRANSFER 1 2 3 4 5 6 WHAT", "-ERR syntax error near 'WHAT'\r\n"),
    ("TRANSFER 1 2 3 4 5 6 DATA64", "-ERR syntax error near 'DATA64'\r\n"),
    ("TRANSFER 1 2 3 4 5 6 DATA64 1 DATA64 2", "-ERR syntax error near 'DATA64'\r\n"),
    ("TRANSFER 1 2 3 4 5 6 BALANCING BOTH", "-ERR syntax error near 'BOTH'\r\n"),
    ("ACCOUNT.CREATE 1 2 3 FLAGS a,b", "-ERR flag 'a' is not known\r\n"),
    ("ACCOUNT.CREATE 1 2 3 FLAGS closed,", "-ERR flag '' is not known\r\n"),
    ("ACCOUNT.FREEZE 1 ALL", "-ERR syntax error near 'ALL'\r\n"),
    ("ACCOUNT.GET", "-ERR wrong number of arguments for 'account.get' command\r\n"),
    (
        "WATCH a b",
        "-ERR WATCH is not supported: EXEC applies all or nothing and checks the limits itself\r\n"
    ),
    ("unwatch", "-ERR unwatch is not supported: EXEC applies all or nothing and checks the limits itself\r\n"),
    ("MULTI 1", "-ERR wrong number of arguments for 'multi' command\r\n"),
    ("EXEC 1", "-ERR wrong number of arguments for 'exec' command\r\n"),
    ("TRANSFER.POST 1 2", "-ERR wrong number of arguments for 'transfer.post' command\r\n"),
    ("TRANSFER.VOID 1 2 x", "-ERR pending_id 'x' is not an unsigned 128-bit integer\r\n"),
    ("TRANSFER 1 2 3 4 5 6 PENDING -5", "-ERR timeout '-5' is not an unsigned 32-bit integer\r\n"),
    ("TRANSFER 1 2 3 4 5 6 PENDING .5", "-ERR timeout '.5' is not an unsigned 32-bit integer\r\n"),
    ("ACCOUNT.TRANSFERS 200 TO 0", "-ERR TO '0' must not be 0; leave it out for no bound\r\n"),
    ("ACCOUNT.BALANCES 200 TO 0x0 REV", "-ERR TO '0x0' must not be 0; leave it out for no bound\r\n"),
    ("TRANSFER 1 2 3 4 5 6 PENDING 4294967296", "-ERR timeout '4294967296' is not an unsigned 32-bit integer\r\n"),
    ("TRANSFER 1 2 3 4 5 6 CLOSING DEBIT CLOSING DEBIT", "-ERR syntax error near 'CLOSING'\r\n"),
    ("TRANSFER 1 2 3 4 5 6 BALANCING", "-ERR syntax error near 'BALANCING'\r\n"),
    ("ACCOUNT.FREEZE 1", "-ERR wrong number of arguments for 'account.freeze' command\r\n"),
    ("SELECT 1", "-ERR DB index is out of range\r\n"), ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
    ("HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"),
    ("CLIENT KILL", "-ERR unknown subcommand or wrong number of arguments for 'KILL'\r\n"),
    ("CLIENT SETINFO COLOUR x", "-ERR Unrecognized option 'COLOUR'\r\n"),
    ("CLIENT NO-EVICT perhaps", "-ERR syntax error near 'perhaps'\r\n"),
    ("CLIENT LIST ID", "-ERR syntax error near 'ID'\r\n"),
    ("CLIENT LIST ID 1 x", "-ERR Invalid client ID\r\n"),
    ("CLIENT LIST TYPE friends", "-ERR Unknown client type 'friends'\r\n"),
    ("CLIENT LIST TYPE normal ID 1", "-ERR syntax error near 'TYPE'\r\n"),
    ("COMMAND COUNT 1", "-ERR unknown subcommand or wrong number of arguments for 'COUNT'\r\n"),
    ("COMMAND LIST FILTERBY", "-ERR syntax error near 'FILTERBY'\r\n"),
    ("COMMAND LIST FILTERBY COLOUR x", "-ERR syntax error near 'COLOUR'\r\n"),
    ("CONFIG SET a b", "-ERR unknown subcommand or wrong number of arguments for 'SET'\r\n"),
])
func mistakesAreNamed(line: String, reply: String) { #expect(refusal(line) == reply) }

@Test func whatIsRepeatedCannotBreakTheReply() {
    #expect(
        decode(array(["a\r\n+OK\r\n"])).reply
            == "-ERR unknown command 'a??+OK??'; COMMAND DOCS lists those there are\r\n")
    let long = String(repeating: "z", count: 100)
    #expect(decode(array([long])).reply.count < 150)
}
