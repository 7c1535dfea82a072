// What the seeds have visited: a simulation that visits nothing proves nothing.

import SuanpanCore

struct Coverage {
    var seeds = 0, steps = 0, events = 0, crossings = 0, announced = 0, announcedPending = 0,
        announcedChains = 0, reserved = 0,
        looks = 0, revocations = 0, waits = 0, restarts = 0, crashes = 0, recoveryCrashes = 0
    var redone = 0, torn = 0, cutChains = 0, lost = 0, stalls = 0, segments = 0, cuts = 0, lateCuts = 0, chains = 0,
        expiries = 0, freezes = 0
    var diskErrors = 0, shortWrites = 0, fullDisks = 0, flips = 0, flipsRefused = 0, flipsCut = 0
    var connections = 0, breaks = 0, breaksMidFrame = 0, splits = 0, hostiles = 0, busy = 0, accountChains = 0,
        doors = 0
    var searches = 0, undecided = 0, visits = 0
    var codes: [UInt16: Int] = [:]
    /// Of the protocol: what lanes and disks hold and what shards have under way; and of the ledger at rest.
    var protocolStates: Set<Int> = []
    var ledgerStates: Set<Int> = []

    static func += (sum: inout Coverage, other: Coverage) {
        for path in Self.counts { sum[keyPath: path] += other[keyPath: path] }
        sum.codes.merge(other.codes, uniquingKeysWith: +)
        sum.protocolStates.formUnion(other.protocolStates)
        sum.ledgerStates.formUnion(other.ledgerStates)
    }

    private static var counts: [WritableKeyPath<Coverage, Int>] {
        [
            \.seeds, \.steps, \.events, \.crossings, \.announced, \.announcedPending, \.announcedChains,
            \.reserved, \.looks,
            \.revocations, \.waits, \.restarts, \.crashes, \.recoveryCrashes, \.redone, \.torn, \.cutChains, \.lost,
            \.stalls, \.segments, \.cuts, \.lateCuts, \.chains, \.expiries, \.freezes,
            \.diskErrors, \.shortWrites,
            \.fullDisks, \.flips, \.flipsRefused, \.flipsCut, \.searches, \.undecided, \.visits,
            \.connections, \.breaks, \.breaksMidFrame, \.splits, \.hostiles, \.busy, \.accountChains, \.doors,
        ]
    }

    func count(_ code: ResultCode) -> Int { codes[code.rawValue, default: 0] }

    var summary: String {
        """
        seeds \(seeds), steps \(steps), questions \(events)
          crossing \(crossings) (\(announced) on standing votes, \(announcedPending) of these not plain, of \(announcedChains) chains; \(revocations) votes revoked), waits \(waits), restarts \(restarts), stalls \(stalls), chains \(chains) (\(reserved) votes by reservation, \(looks) looked at again), \
        cuts \(cuts) (\(lateCuts) begun again), expiries \(expiries), freezes \(freezes)
          crashes \(crashes + recoveryCrashes) (\(recoveryCrashes) of them in recovery), torn writes \(torn), \
        redone commits \(redone), chains cut \(cutChains), answers lost \(lost), segments begun \(segments)
          disk errors \(diskErrors), short writes \(shortWrites), full disks \(fullDisks), flipped bits \(flips): \
        refused \(flipsRefused), cut \(flipsCut)
          seeds with doors \(doors): connections \(connections), broken \(breaks) (\(breaksMidFrame) in the middle of a frame), \
        frames split \(splits), hostile connections \(hostiles), busy answers \(busy), chains of accounts \(accountChains)
          searches \(searches) (\(undecided) given up), states tried \(visits); distinct states of the protocol \
        \(protocolStates.count), of the ledger \(ledgerStates.count)
          answers: \(answers)
        """
    }

    private var answers: String {
        codes.sorted { $0.key < $1.key }.map { "\(ResultCode(rawValue: $0.key)?.name ?? "?") \($0.value)" }
            .joined(separator: ", ")
    }
}
