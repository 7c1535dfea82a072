// Goal: what the kernel refuses is an error with its number, and leaves nothing behind. Method: rings and buffers of sizes
// that it cannot give; the sanitizers watch what is freed.

import SuanpanUring
import Testing

@Test func aRingThatIsRefusedThrows() {
    // EINVAL: no entries.
    #expect(throws: RingError.unavailable(errno: 22)) { _ = try Ring(entries: 0) }
}

@Test func buffersThatAreRefusedThrow() throws {
    var ring = try Ring(entries: 8)
    // EINVAL: not a power of two.
    do throws(RingError) {
        _ = try ring.provideBuffers(group: 1, count: 3, size: 4096)
        Issue.record("three buffers")
    } catch { #expect(error == .failed(operation: "buffer registration", errno: 22)) }
    // Another size may be tried: the group is free.
    _ = try ring.provideBuffers(group: 1, count: 4, size: 4096)
}
