// Goal: Docs/Protocol.md lists what the engine answers. Method: its tables are read and compared with the enums.

import Foundation
import SuanpanCore
import SuanpanWire
import Testing

private func rows(_ file: StaticString = #filePath) throws -> [[String]] {
    let root = URL(fileURLWithPath: "\(file)").deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    let text = try String(contentsOf: root.appendingPathComponent("Docs/Protocol.md"), encoding: .utf8)
    return text.split(separator: "\n").filter { $0.hasPrefix("| ") }
        .map { $0.split(separator: "|").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " `")) } }
}

@Test func everyResultCodeIsSpecified() throws {
    let rows = try rows()
    for code in ResultCode.allCases {
        let row = rows.first { $0.count == 4 && $0[0] == "\(code.rawValue)" && $0[1] == code.name }
        #expect(row != nil, "\(code.name) is not in Docs/Protocol.md")
        #expect((row?.last == "yes") == code.isFinalRefusal, "\(code.name): final?")
    }
}

@Test func everyStatusAndOperationIsSpecified() throws {
    let rows = try rows()
    for raw in UInt8.min...UInt8.max {
        if let status = Status(rawValue: raw) {
            let row = rows.first { $0.count == 4 && $0[0] == "\(raw)" && $0[1] == status.name }
            #expect((row?.last == "closed") == status.closesConnection, "status \(status.name)")
            #expect(row != nil, "status \(status.name) is not in Docs/Protocol.md")
        }
        if let operation = Operation(rawValue: raw) {
            let name = "\(operation)".reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
            #expect(rows.contains { $0.count == 5 && $0[0] == "\(raw)" && $0[1] == name }, "operation \(name)")
        }
    }
}
