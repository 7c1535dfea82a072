import SuanpanCore
import Testing

@testable import SuanpanShard

/// Goal: who listens for a time is woken when every other shard's clock is past it, no sooner, and each shard is asked once
/// at a time. Method: the barrier of one of four shards, alone.
@Suite struct ClockBarrierTests {
    private func barrier() -> ClockBarrier { ClockBarrier(id: ShardID(1), shardCount: 4) }

    private func takeAll(_ barrier: inout ClockBarrier) -> [Int] {
        var entries: [Int] = []
        while let entry = barrier.nextComplete() { entries.append(entry) }
        return entries
    }

    @Test func itIsCompleteWhenTheLastHasBeenHeard() {
        var barrier = barrier()
        #expect(barrier.isComplete(upTo: 0) && !barrier.isComplete(upTo: 1))
        for p in [0, 2] { barrier.hear(100, from: p) }
        #expect(barrier.isComplete(upTo: 1) == false)
        barrier.hear(50, from: 3)
        #expect(barrier.isComplete(upTo: 50) && !barrier.isComplete(upTo: 51))
        // What it says to itself is not heard.
        barrier.hear(10, from: 1)
        #expect(barrier.isComplete(upTo: 50) == true)
        barrier.checkInvariants(now: 100)
    }

    @Test func aloneItHasHeardAll() {
        let barrier = ClockBarrier(id: ShardID(0), shardCount: 1)
        #expect(barrier.isComplete(upTo: .max) == true)
        barrier.checkInvariants(now: 0)
    }

    @Test func onlyThoseAreAskedThatWereNotHeard() {
        var barrier = barrier()
        barrier.hear(100, from: 2)
        #expect(barrier.listen(7, upTo: 100) == 0b1001)
        // Asked already; but one more has to be, for a later time.
        #expect(barrier.listen(8, upTo: 110) == 0b0100)
        #expect(barrier.listen(9, upTo: 120) == 0)
        #expect(barrier.mustAsk(0, upTo: 130) == false)
        barrier.checkInvariants(now: 120)
        #expect(takeAll(&barrier) == [])
    }

    @Test func theyAreWokenInOrder() {
        var barrier = barrier()
        for (entry, time) in [(5, 10), (3, 10), (4, 20)] { _ = barrier.listen(entry, upTo: UInt64(time)) }
        for p in [0, 2] { barrier.hear(30, from: p) }
        #expect(barrier.isListening && takeAll(&barrier) == [])
        barrier.hear(19, from: 3)
        #expect(takeAll(&barrier) == [5, 3])
        barrier.checkInvariants(now: 30)
        barrier.hear(20, from: 3)
        #expect(takeAll(&barrier) == [4] && !barrier.isListening)
    }

    /// A shard that answered before the last one came to listen is asked again, and only then.
    @Test func anAnswerThatIsTooEarlyIsAskedForAgain() {
        var barrier = barrier()
        _ = barrier.listen(1, upTo: 10)
        _ = barrier.listen(2, upTo: 20)
        barrier.hear(15, from: 0)
        #expect(barrier.takeAnswer(of: 0) == true)
        barrier.checkInvariants(now: 20)
        barrier.hear(25, from: 0)
        #expect(barrier.takeAnswer(of: 0) == false)
        barrier.checkInvariants(now: 25)
        for p in [2, 3] { barrier.hear(25, from: p) }
        #expect(takeAll(&barrier) == [1, 2])
        // Nobody listens: nobody is asked again.
        #expect(barrier.takeAnswer(of: 2) == false)
        barrier.checkInvariants(now: 25)
    }
}
