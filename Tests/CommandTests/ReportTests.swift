// Goal: what scripts read — exit codes, the ready line, JSON and CSV — keeps its form. Method: values built here.

import Foundation
import Suanpan
import SuanpanCore
import Testing

@testable import SuanpanCommand

@Suite struct ReportTests {
    @Test func wrongCommandLinesEndWith2AndHelpWith0() {
        #expect(Program.run(["serve", "--bogus"]) == 2)
        #expect(Program.run(["nothing"]) == 2)
        #expect(Program.run(["serve", "--shards", "65"]) == 2)
        #expect(Program.run(["dump", "neither"]) == 2)
        #expect(Program.run(["serve", "--password", "x"]) == 2)
        for command in ["serve", "load", "verify", "dump", "version"] {
            for help in ["-h", "--help"] { #expect(Program.run([command, help]) == 0, "\(command) \(help)") }
        }
        for answer in [["version"], ["--version"], ["-h"], ["--help"], ["help"], ["help", "load"]] {
            #expect(Program.run(answer) == 0, "\(answer)")
        }
    }

    @Test func numbersForPeopleAreGrouped() {
        for (value, text): (Int64, String) in [
            (0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (-100, "-100"), (-1_000, "-1,000"),
            (.max, "9,223,372,036,854,775,807"),
        ] { #expect(grouped(value) == text) }
    }

    @Test func accountsAndTransfersKeepTheirColumns() {
        var account = Account(id: AccountID(.max - 1), ledger: 2, code: 3, flags: [.debitsFrozen, .closed])
        account.creditsPosted = Amount(1 << 100)
        account.timestamp = Timestamp(1_700_000_000_000_000_001)
        #expect(Account.fieldNames.count == account.fieldValues.count)
        #expect(
            account.fieldValues.map(\.text).joined(separator: ",")
                == "340282366920938463463374607431768211454,0,0,0,1267650600228229401496703205376,0,0,0,2,3,"
                + "closed|debits_frozen,1700000000000000001")
        let transfer = Transfer(
            id: TransferID(9), debit: AccountID(1), credit: AccountID(2), amount: Amount(5), ledger: 7, code: 8)
        #expect(Transfer.fieldNames.count == transfer.fieldValues.count)
        #expect(transfer.fieldValues.map(\.text).joined(separator: ",") == "9,1,2,5,0,0,0,0,0,7,8,,0")
        #expect(
            zip(Account.fieldNames, account.fieldValues).first { $0.0 == "flags" }?.1.json
                == #"["closed","debits_frozen"]"#)
    }

    @Test func jsonTextIsJSON() throws {
        var object = JSONText()
        object.add("plain", "quote \" backslash \\ tab \t line \n 算盘")
        object.add("number", raw: "5")
        let parsed = try #require(
            JSONSerialization.jsonObject(with: Data(object.object.utf8)) as? [String: Any])
        #expect(parsed["plain"] as? String == "quote \" backslash \\ tab \t line \n 算盘")
        #expect(parsed["number"] as? Int == 5)
    }
}
