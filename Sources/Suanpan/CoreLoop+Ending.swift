// How a core leaves: of an engine that is closed when nothing is left to do, of one that has failed at once. In both
// cases nothing that the kernel or another core still uses goes away under it.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore
internal import SuanpanFront
internal import SuanpanLanes
internal import SuanpanLoop
internal import SuanpanUring

extension CoreLoop {
    /// A disk that does not answer may hold up the end for so long beyond the time for it.
    static var lastWritesWait: UInt64 { 5_000_000_000 }

    /// Waits, for a while, for the writes under way, whose results count no more, and ends connections and calls.
    /// - Returns: False when writes are left: the kernel may still read this core's memory.
    mutating func leave() -> Bool {
        var writes = loop.shard.journal.writesInFlight
        let end = suanpan_monotonic_ns() &+ Self.lastWritesWait
        do throws(RingError) {
            while writes > 0 && suanpan_monotonic_ns() < end {
                try loop.host.ring.submitAndWait(timeoutNanoseconds: 100_000_000)
                while let completion = loop.host.ring.nextCompletion() {
                    switch TokenKind.split(completion.token).0 {
                    case .journalWrite: writes -= 1
                    case .acceptNative, .acceptRESP: if completion.result >= 0 { close(completion.result) }
                    default: break
                    }
                }
            }
        } catch {
            // Without its ring the core learns no more of them.
        }
        loop.host.front.closeAll()
        return writes == 0
    }

    /// Makes what this core has sent visible, connections for others above all. When no core works any more.
    mutating func flushLast() { loop.shard.flush { _ in } }

    /// Closes the connections that were on their way to this core. When all cores have sent their last.
    mutating func closeAdopted() {
        for core in 0..<shared.coreCount where core != id.index {
            let lane = loop.controlIn[core]
            while let message = lane.peek() {
                if message.kind == .adopt { close(CInt(bitPattern: message.slot)) }
                lane.take(message)
            }
        }
    }
}
