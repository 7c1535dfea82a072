// Goal: a load of purchases makes each one step after the other and each customer's one after the other, has its shares, and
// counts purchases, transfers and refusals as they were answered. Method: whole runs against a server in this process that
// knows what is reserved; it refuses, is busy or stalls on demand.

import SuanpanCore
import SuanpanLoad
import Testing

@Suite(.serialized) struct PurchaseTests {
    /// Both protocols; results in full, in pieces, in another order.
    static let doors: [(resp: Bool, behaviour: FakeServer.Behaviour)] = [
        (false, .init(refusesPendingEvery: .max)), (true, .init(refusesPendingEvery: .max)),
        (false, .init(reversed: true, fullResults: true, refusesPendingEvery: .max, pieces: 7)),
        (true, .init(password: "secret", refusesPendingEvery: .max, pieces: 5)),
    ]

    @Test func aPurchaseIsAHoldAndThenPostAndFeeOrAVoid() throws {
        for (resp, behaviour) in Self.doors {
            try withRun(behaviour, resp: resp) {
                $0.kind = .purchase
                $0.purchases = 2_000
                $0.connections = 5
                $0.threads = 2
                $0.inFlight = 3
                $0.voids = 20
                $0.password = behaviour.password
            } check: { report, seen in
                #expect(report.failure == nil && report.unit == "purchases" && report.accepted == 2_000)
                let purchases = try #require(report.purchases)
                #expect(Int(purchases.paid) == seen.posted && Int(purchases.voided) == seen.voided)
                #expect(purchases.paid + purchases.voided == 2_000 && (300...500).contains(seen.voided))
                #expect(report.transfers == 3 * purchases.paid + 2 * purchases.voided)
                #expect(seen.created == Int(report.transfers) + report.funding.transfers)
                #expect(seen.holds.isEmpty && seen.mostAtOnce == 1)
                #expect(seen.fees.count == 10 && report.funding.transfers == 200 - 50 - 10)
                #expect(report.seconds.reduce(0) { $0 + $1.accepted } == 2_000)
                #expect(report.text.contains("2,000 in") && report.text.contains("paid, with their fee, and"))
            }
        }
    }

    @Test func refusedAtEitherStepIsCountedByReason() throws {
        for resp in [false, true] {
            try withRun(.init(fullResults: true, refusesPendingEvery: 10, refusesChainEvery: 7), resp: resp) {
                $0.kind = .purchase
                $0.purchases = 1_000
                $0.voids = 0
                $0.connections = 4
            } check: { report, seen in
                // A purchase is refused once, for what was at fault.
                #expect(report.refused == ["exceeds_credits": 100, "credit_account_closed": 900 / 7])
                #expect(report.accepted == 1_000 - 100 - 900 / 7 && seen.posted == Int(report.accepted))
                #expect(report.transfers == 900 + 2 * report.accepted && report.failure == nil)
                #expect(seen.mostAtOnce == 1)
            }
        }
    }

    @Test func busyAtEitherStepEndsThePurchase() throws {
        for resp in [false, true] {
            try withRun(.init(busyEvery: 5, refusesPendingEvery: .max), resp: resp) {
                $0.kind = .purchase
                $0.purchases = 500
                $0.voids = 0
            } check: { report, seen in
                #expect(report.busy > 100 && report.accepted + report.busy == 500 && report.failure == nil)
                #expect(seen.posted == Int(report.accepted) && seen.holds.count > 20)
                #expect(report.transfers == UInt64(seen.holds.count) + 3 * report.accepted)
            }
        }
    }

    @Test func sharesAreAsAsked() throws {
        try withRun(.init(refusesPendingEvery: .max)) {
            $0.kind = .purchase
            $0.purchases = 10_000
            $0.voids = 0
            $0.merchants = 20
            $0.feeAccounts = 5
            $0.hotShare = 80
            $0.hotAccounts = 1
            $0.hotPayerShare = 40
            $0.hotFeeShare = 50
            $0.zipf = 0
            $0.connections = 4
            $0.threads = 2
        } check: { report, seen in
            // Of each account's figures, those of holds and fees. The first of all are among the others too.
            let merchants = seen.credits.filter { $0.key >> 64 & 0xFFFF == 3 }.values.sorted()
            #expect(merchants.count == 20 && (7_800...8_400).contains(merchants.last!))
            let buyers = seen.debits.filter { $0.key >> 64 & 0xFFFF == 2 }.values.sorted()
            #expect((3_800...4_300).contains(buyers.last!) && buyers[buyers.count - 2] < 200)
            let fees = seen.fees.values.sorted()
            #expect(fees.count == 5 && (5_700...6_300).contains(fees.last!))
            // The hot payer buys side by side.
            #expect(seen.mostAtOnce > 1 && report.failure == nil)
        }
    }

    /// Fewer customers than places: the run goes on with as many purchases at once as there are customers.
    @Test func fewCustomersBuyOneThingAfterTheOther() throws {
        for resp in [false, true] {
            try withRun(.init(refusesPendingEvery: .max), resp: resp) {
                $0.kind = .purchase
                $0.accounts = 5
                $0.merchants = 1
                $0.feeAccounts = 1
                $0.purchases = 1_000
                $0.connections = 4
                $0.threads = 2
                $0.inFlight = 8
            } check: { report, seen in
                #expect(report.accepted == 1_000 && seen.mostAtOnce == 1 && seen.holds.isEmpty)
                #expect(report.failure == nil)
            }
        }
    }

    @Test func crossingIsAsAsked() throws {
        for (percent, expected) in [(0.0, 0), (100, 4_000)] {
            try withRun(.init(refusesPendingEvery: .max)) {
                $0.kind = .purchase
                $0.purchases = 2_000
                $0.voids = 0
                $0.crossShard = percent
            } check: { _, seen in
                // Holds and fees; an account of each kind is in each shard.
                #expect(seen.crossing == expected)
            }
        }
    }

    /// A stall of 0.3 s at 500/s: the purchases due in it carry their wait, of both steps.
    @Test func latencyCountsFromTheTimeDue() throws {
        try withRun(.init(stall: (at: 200, seconds: 0.3), refusesPendingEvery: .max)) {
            $0.kind = .purchase
            $0.rate = 500
            $0.durationSeconds = 1
            $0.inFlight = 2
        } check: { report, seen in
            #expect(report.failure == nil && (350...650).contains(report.accepted) && seen.holds.isEmpty)
            #expect(report.latencyMilliseconds.p90 > 150 && report.latencyMilliseconds.max >= 299)
            // A step that is sent late waits before it, not in it.
            let steps = try #require(report.purchases).latencyMilliseconds
            #expect(steps.hold.p90 < 150 && steps.post.p90 < 150)
        }
    }

    @Test func aServerThatHasLessThanItAcknowledgedIsFound() throws {
        for resp in [false, true] {
            try withRun(.init(refusesPendingEvery: .max, forgets: 1), resp: resp) {
                $0.kind = .purchase
                $0.purchases = 100
            } check: { report, seen in
                let failure = LoadError.lost(counted: UInt64(seen.created) - 1, acknowledged: UInt64(seen.created))
                #expect(report.failure == failure && failure.exitCode == 1)
            }
        }
    }

    /// A server that takes 0.2 s a request and has 16 of them: the run waits for its answers, but not for ever.
    @Test func whatIsNotAnsweredIsCounted() throws {
        for kind in [WorkloadKind.transfer, .purchase] {
            try withRun(.init(pause: 0.2, refusesPendingEvery: .max)) {
                $0.kind = kind
                $0.durationSeconds = 0.1
                $0.drainSeconds = 1
                $0.batch = 1
                $0.inFlight = 16
            } check: { report, seen in
                #expect(report.failure == nil && (6...16).contains(report.unanswered), "\(report.unanswered)")
                #expect(report.accepted + report.unanswered == 16 && report.latencyMilliseconds.max > 900)
                #expect(report.text.contains("had no answer when the run ended"))
            }
        }
    }

    @Test func aLostServerEndsTheRun() throws {
        try withRun(.init(closeAt: 5, refusesPendingEvery: .max)) {
            $0.kind = .purchase
            $0.purchases = 100
            $0.inFlight = 1
            $0.voids = 0
        } check: { report, _ in
            #expect(report.accepted == 2 && report.errors == 1)
            #expect(report.failure?.description.contains("closed the connection") == true)
        }
    }
}
