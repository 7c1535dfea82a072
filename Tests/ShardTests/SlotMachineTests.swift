// Goal: the tables of what an answer does to a slot, in Docs/Architecture.md, are those of the code. Method: every pair of state
// and answer, compared with the page.

import Foundation
import Testing

@testable import SuanpanShard

struct SlotMachineTests {
    private static let page = URL(filePath: #filePath).deletingLastPathComponent().appending(
        path: "../../Docs/Architecture.md")

    /// The rows of the table whose first head is `name`, by state and then by answer.
    private func table(_ name: String) throws -> [String: [String: String]] {
        let page = try String(contentsOf: Self.page, encoding: .utf8)
        let lines = page.split(separator: "\n", omittingEmptySubsequences: false).map(cells)
        let head = try #require(lines.firstIndex { $0.first == name })
        var rows: [String: [String: String]] = [:]
        for row in lines[(head + 2)...].prefix(while: { $0.count == lines[head].count }) {
            rows[row[0]] = Dictionary(uniqueKeysWithValues: zip(lines[head].dropFirst(), row.dropFirst()))
        }
        return rows
    }

    private func cells(_ line: Substring) -> [String] {
        guard line.hasPrefix("|") else { return [] }
        return line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false).map {
            $0.trimmingCharacters(in: .whitespaces)
        }
    }

    @Test func thePageHasWhatTheCodeDoes() throws {
        let single = try table("slot")
        let chain = try table("slot of a chain")
        #expect(single.count == SlotState.allCases.count && chain.count == SlotState.allCases.count)
        for state in SlotState.allCases {
            for answer in PeerAnswerKind.allCases {
                let action = state.action(on: answer)
                let ofChain = state.chainAction(on: answer)
                #expect(
                    single["\(state)"]?[answer.rawValue] == (action == .never ? "" : action.rawValue),
                    "\(state), \(answer)")
                #expect(
                    chain["\(state)"]?[answer.rawValue] == (ofChain == .never ? "" : ofChain.rawValue),
                    "\(state), \(answer), of a chain")
            }
        }
    }
}
