// Goal: the engine's clock follows a wall clock by small steps, never a large one unless it is told to, and begins nowhere
// that can't be believed. Method: EngineTime with clocks that the test sets.

import SuanpanCore
import Synchronization
import Testing

@testable import Suanpan

private final class Hands: Sendable {
    let wall: Atomic<UInt64>
    let monotonic = Atomic<UInt64>(5_000_000_000)
    init(_ wall: UInt64) { self.wall = Atomic(wall) }

    var clocks: Clocks {
        Clocks(
            wall: { self.wall.load(ordering: .relaxed) }, monotonic: { self.monotonic.load(ordering: .relaxed) })
    }
    /// Time passes.
    func pass(_ nanoseconds: UInt64) {
        wall.add(nanoseconds, ordering: .relaxed)
        monotonic.add(nanoseconds, ordering: .relaxed)
    }
    func set(_ time: UInt64) { wall.store(time, ordering: .relaxed) }
    func now(_ time: EngineTime) -> UInt64 { time.at(monotonic.load(ordering: .relaxed)) }
}

@Suite struct EngineTimeTests {
    private static let second: UInt64 = 1_000_000_000
    private static let day = 86_400 * second
    /// In 2026.
    private static let today: UInt64 = 1_795_000_000 * second

    private func make(_ hands: Hands, ceiling: UInt64 = 0, _ policy: ClockPolicy = .check, jumpMax: Int = 60) throws
        -> EngineTime
    {
        try EngineTime(ceiling: ceiling, policy: policy, jumpMaxSeconds: jumpMax, clocks: hands.clocks)
    }

    private func refusal(_ wall: UInt64, ceiling: UInt64 = 0, _ policy: ClockPolicy = .check) -> String? {
        do {
            _ = try make(Hands(wall), ceiling: ceiling, policy)
            return nil
        } catch EngineError.clock(let what) { return what } catch { return "another error: \(error)" }
    }

    @Test func aSmallStepIsFollowed() throws {
        let hands = Hands(Self.today)
        let time = try make(hands)
        hands.pass(Self.second)
        hands.set(Self.today + 61 * Self.second)
        #expect(time.follow() == ClockReport())
        #expect(hands.now(time) == Self.today + 61 * Self.second)
    }

    @Test(arguments: [61 * second, 30 * day, UInt64.max - today - 10 * second]) func aLargeJumpIsReportedAndNotFollowed(
        _ jump: UInt64
    )
        throws
    {
        let hands = Hands(Self.today)
        let time = try make(hands)
        hands.set(Self.today + jump)
        #expect(time.follow() == ClockReport(ahead: jump, isNews: true))
        #expect(hands.now(time) == Self.today)
        // Said once. The engine's clock goes on meanwhile.
        hands.pass(Self.second)
        #expect(!time.follow().isNews)
        #expect(hands.now(time) == Self.today + Self.second)
        hands.set(Self.today + Self.second)
        #expect(time.follow() == ClockReport(isNews: true))
        #expect(time.follow() == ClockReport())
    }

    @Test func anOperatorMayFollow() throws {
        let hands = Hands(Self.today)
        let time = try make(hands)
        #expect(!time.accept())
        hands.set(Self.today + 30 * Self.day)
        #expect(time.follow().ahead == 30 * Self.day)
        #expect(time.accept())
        #expect(hands.now(time) == Self.today + 30 * Self.day)
        #expect(time.follow() == ClockReport(isNews: true))
        // 64 bits end in 2554: nobody can ask for that.
        hands.set(.max - 5)
        #expect(!time.accept())
        #expect(hands.now(time) == Self.today + 30 * Self.day)
    }

    @Test func aClockSetBackChangesNothing() throws {
        let hands = Hands(Self.today)
        let time = try make(hands, ceiling: Self.today + 9 * Self.second)
        #expect(hands.now(time) == Self.today + 9 * Self.second + 1)
        #expect(time.secondsAhead() == 9 && time.awaySeconds == 0)
        hands.set(0)
        #expect(time.follow() == ClockReport(behind: Self.today + 9 * Self.second + 1))
        #expect(hands.now(time) == Self.today + 9 * Self.second + 1)
    }

    @Test func jumpsOfAnySizeAreFollowedWhereThatIsAllowed() throws {
        for jumpMax in [Int.max, 3_153_600_000] {
            let hands = Hands(Self.today)
            let time = try make(hands, jumpMax: jumpMax)
            hands.set(Self.today + 400 * Self.day)
            #expect(time.follow() == ClockReport())
            #expect(hands.now(time) == Self.today + 400 * Self.day)
            // But not to where deadlines can't be told.
            hands.set(EngineTime.end)
            #expect(time.follow().ahead > 0)
        }
    }

    @Test func aNewDirectoryWantsAClockThatIsSet() throws {
        #expect(refusal(Self.today) == nil)
        for wall in [0, 1, 946_684_800 * Self.second, EngineTime.latestFirst] {
            #expect(refusal(wall)?.contains("the machine's clock says") == true, "\(wall)")
            #expect(refusal(wall, .follow) == nil, "\(wall)")
        }
        #expect(refusal(0)?.contains("1970-01-01") == true)
        for policy in ClockPolicy.allCases {
            #expect(refusal(.max, policy)?.contains("2554-07-21") == true)
            #expect(refusal(EngineTime.end, policy) != nil)
        }
    }

    @Test func aStartLongAfterTheLogAsksFirst() throws {
        let hands = Hands(Self.today)
        let away = try make(hands, ceiling: Self.today - 90 * Self.day)
        #expect(away.awaySeconds == 90 * 86_400 && hands.now(away) == Self.today)
        let wrong = try #require(refusal(Self.today, ceiling: Self.today - 91 * Self.day))
        #expect(wrong.contains("91 days after") && wrong.contains("--clock follow"))
        #expect(refusal(Self.today, ceiling: Self.today - 91 * Self.day, .follow) == nil)
        // A log from beyond: no time is left.
        for policy in ClockPolicy.allCases {
            #expect(refusal(Self.today, ceiling: .max, policy)?.contains("the ledger's last timestamp") == true)
        }
    }

    /// Up to the end that is allowed, the longest timeout can be told, and the shard's clock goes on rising.
    @Test func arithmeticHoldsAtTheEnd() {
        #expect(!EngineTime.end.addingReportingOverflow(UInt64(UInt32.max) * Self.second).overflow)
        var clock = HybridClock(shard: ShardID(1), shardCount: 3, after: Timestamp(EngineTime.end))
        let first = clock.next()
        #expect(first.nanoseconds > EngineTime.end && clock.next() > first)
    }
}
