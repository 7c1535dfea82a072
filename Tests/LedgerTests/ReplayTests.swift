// Goal: a log that cannot be is named, by its first wrong record, for every kind; what is remembered of an id is exact.
// Method: records replayed one by one into a small ledger; each wrong one is the only fault. (That a sound log rebuilds
// its ledger is HistoryTests' matter.)

import SuanpanCore
import SuanpanLedger
import Testing

@Test func recordsThatCannotBeAreNamed() {
    var state = makeLedger()
    var credit = soundAccount
    credit.id = soundTransfer.creditAccountID
    func replay(_ record: LogRecord) -> String? { state.replay(record, lsn: LSN(1), position: 1) }
    #expect(replay(LogRecord(.transfer, soundTransfer)) == "debit account 7 does not exist")
    #expect(replay(LogRecord(.decision, soundTransfer)) == "debit account 7 does not exist")
    #expect(replay(LogRecord(.credit, soundTransfer)) == "credit account 8 does not exist")
    #expect(replay(LogRecord(soundAccount)) == nil)
    #expect(replay(LogRecord(.transfer, soundTransfer)) == "credit account 8 does not exist")
    #expect(replay(LogRecord(soundAccount)) == "account 7 is created twice")
    #expect(replay(LogRecord(credit)) == nil)
    #expect(replay(LogRecord(.transfer, soundTransfer)) == nil)
    var unknown = LogRecord(.refusal, soundTransfer, reason: .exceedsCredits)
    unknown.rawReason = 9999
    #expect(replay(unknown) == "refusal reason 9999 is unknown")
    unknown.rawReason = ResultCode.busy.rawValue
    #expect(replay(unknown) == "refusal reason 200 is unknown")
    unknown.rawKind = 200
    #expect(replay(unknown) == "record kind 200 is unknown")
}

@Test func wrongPendingRecordsAreNamed() {
    var state = makeLedger()
    func replay(_ record: LogRecord) -> String? { state.replay(record, lsn: LSN(1), position: 1) }
    for id: UInt128 in [7, 8, 9] {
        #expect(replay(LogRecord(Account(id: AccountID(id), ledger: 1, code: 1))) == nil)
    }
    var pending = soundTransfer
    pending.flags = .pending
    pending.timestamp = Timestamp(10)
    var post = soundTransfer
    post.id = TransferID(101)
    post.pendingID = pending.id
    post.flags = .postPending
    let name = "pending transfer 100 of account 7"
    #expect(replay(LogRecord(.transfer, post)) == "\(name) is resolved and not open")
    #expect(replay(LogRecord(.transfer, pending)) == nil)
    #expect(replay(LogRecord(.transfer, pending)) == "pending transfer 100 of account 7 is there twice")
    var wrong = post
    wrong.amount = Amount(6)
    #expect(replay(LogRecord(.transfer, wrong)) == "\(name) is posted with more than it holds")
    wrong = post
    wrong.creditAccountID = AccountID(9)
    let accounts = "\(name) is resolved with other accounts than it was opened with"
    #expect(replay(LogRecord(.transfer, wrong)) == accounts)
    #expect(replay(LogRecord(.decision, post)) == accounts)
    #expect(replay(LogRecord(.credit, post)) == accounts)
    var record = LogRecord(.transfer, post)
    record.flags = .expiry
    #expect(replay(record) == "transfer 101 of account 7 is marked as an expiry and is none")
    record.flags = LogRecordFlags(rawValue: 0x80)
    #expect(replay(record) == "record flags 128 are of a later release, or damaged")
    wrong = post
    wrong.flags = [.postPending, .imported]
    #expect(replay(LogRecord(.transfer, wrong)) == "transfer 101 of account 7 has unknown flags 260")
    #expect(replay(LogRecord(.transfer, post)) == nil)
    #expect(replay(LogRecord(.transfer, post)) == "\(name) is resolved and not open")
    #expect(
        replay(LogRecord(expiryOf: pending, kind: .transfer, timestamp: Timestamp(20)))
            == "\(name) is resolved and not open")

    var elsewhere = soundTransfer
    elsewhere.debitAccountID = AccountID(70)
    #expect(replay(LogRecord(.leg, elsewhere)) == nil)
    elsewhere.creditAccountID = AccountID(80)
    #expect(replay(LogRecord(.leg, elsewhere)) == "neither account 70 nor account 80 exists")
    #expect(replay(LogRecord(chainPeer: ShardID(1), sequence: 1, timestamp: Timestamp(1))) == nil)

    func credits(_ count: Int, _ account: UInt128) -> String? {
        var run = CreditRun()
        for place in 0..<4 {
            run[place] = LoggedCredit(account: AccountID(account), amount: 5, timestamp: Timestamp(25))
        }
        return replay(LogRecord(credits: run, count, peer: ShardID(1), sequence: 1))
    }
    let before = state.account(AccountIndex(0)).creditsPosted
    #expect(credits(3, 7) == nil)
    let after = state.account(AccountIndex(0)).creditsPosted
    #expect(after.value - before.value == 15)
    #expect(credits(1, 70) == "credit account 70 does not exist")
    #expect(credits(0, 7) == "a record of 0 credits")
    #expect(credits(5, 7) == "a record of 5 credits")

    func freeze(_ id: UInt128, _ flags: AccountFlags) -> String? {
        replay(LogRecord(freeze: AccountID(id), flags: flags, timestamp: Timestamp(30)))
    }
    #expect(freeze(7, .debitsFrozen) == nil)
    let frozen = state.account(AccountIndex(0)).flags
    #expect(frozen == .debitsFrozen)
    #expect(freeze(7, [.debitsFrozen, .closed]) == "freezing account 7 would change flags 16")
    #expect(freeze(70, []) == "account 70, to be frozen or not, does not exist")
    let created = state.accountAsCreated(AccountIndex(0)).flags
    #expect(created == [])
}

@Test func rememberedIDsAreOfTheirDebitAccount() {
    var state = makeLedger()
    let id = TransferID(55)
    let here = state.identityHash(AccountID(1), id)
    let there = state.identityHash(AccountID(2), id)
    #expect(here != there)
    let last = Limits.logPositionMax
    state.rememberCreated(here, position: last)
    var step = 0
    let first = state.nextRemembered(here, &step)
    let more = state.nextRemembered(here, &step)
    #expect(first?.position == last && first?.refusal == nil)
    #expect(more == nil)
    step = 0
    let other = state.nextRemembered(there, &step)
    #expect(other == nil, "the id of another debit account is another transfer")
    for (n, code) in ResultCode.allCases.filter(\.isFinalRefusal).enumerated() {
        let hash = state.identityHash(AccountID(3), TransferID(UInt128(n) + 1))
        state.rememberRefused(hash, code, position: last - UInt64(n))
        step = 0
        let known = state.nextRemembered(hash, &step)
        #expect(known?.refusal == code && known?.position == last - UInt64(n))
    }
}

@Test func aPositionThatARememberedIDCannotHoldIsNeverCutShort() async {
    await #expect(processExitsWith: .failure) {
        var state = makeLedger()
        state.rememberCreated(state.identityHash(AccountID(1), TransferID(1)), position: Limits.logPositionMax + 1)
    }
}

@Test func whatIsUndecidedDoesNotShowInTheRecord() {
    var state = makeLedger()
    state.apply(account: soundAccount, lsn: LSN(3))
    state.setUndecided(AccountIndex(0), 12)
    let mark = state.undecided(AccountIndex(0))
    let shown = state.account(AccountIndex(0))
    #expect(mark == 12 && shown == soundAccount)
}
