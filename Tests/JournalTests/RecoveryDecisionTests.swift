// Goal: every row of the table that tells torn from damaged. Method: the rows are written out once more, by hand.

import Testing

@testable import SuanpanJournal

@Test func everyRowOfTheDecisionTable() {
    // Columns: before a later epoch; newest epoch with no, unproven, proven later groups.
    let rows: [(GroupFinding, RecoveryVerdict, RecoveryVerdict, RecoveryVerdict, RecoveryVerdict)] = [
        (.sound, .accept, .accept, .accept, .accept),
        (.blank, .damaged(.groupMissing), .endOfLog, .cutTornTail, .damaged(.groupMissing)),
        (.stale, .damaged(.staleGroup), .endOfLog, .cutTornTail, .damaged(.staleGroup)),
        (
            .unreadableHeader, .damaged(.headerUnreadable), .cutTornTail, .cutTornTail,
            .damaged(.headerUnreadable)
        ),
        (.badPayload, .damaged(.payloadChecksum), .cutTornTail, .cutTornTail, .damaged(.payloadChecksum)),
        (
            .misplaced, .damaged(.misplacedGroup), .damaged(.misplacedGroup), .damaged(.misplacedGroup),
            .damaged(.misplacedGroup)
        ),
        (
            .brokenChain, .damaged(.chainBroken), .damaged(.chainBroken), .damaged(.chainBroken),
            .damaged(.chainBroken)
        ),
        (
            .unknownEpoch, .damaged(.unknownEpoch), .damaged(.unknownEpoch), .damaged(.unknownEpoch),
            .damaged(.unknownEpoch)
        ),
        (
            .segmentMissing, .damaged(.segmentMissing), .endOfLog, .damaged(.segmentMissing),
            .damaged(.segmentMissing)
        ),
    ]
    #expect(Set(rows.map(\.0)) == Set(GroupFinding.allCases))
    for (finding, before, none, unproven, proven) in rows {
        for later in LaterEvidence.allCases {
            #expect(RecoveryDecision.verdict(finding, .beforeLaterEpoch, later) == before, "\(finding) \(later)")
        }
        #expect(RecoveryDecision.verdict(finding, .inNewestEpoch, .none) == none, "\(finding)")
        #expect(RecoveryDecision.verdict(finding, .inNewestEpoch, .unproven) == unproven, "\(finding)")
        #expect(RecoveryDecision.verdict(finding, .inNewestEpoch, .proven) == proven, "\(finding)")
    }
}
