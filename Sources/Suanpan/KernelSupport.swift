// Whether this kernel has what the engine needs. Stands here because a module that imports swift-configuration cannot
// import the ring: swift-system and liburing bring different copies of the kernel's io_uring.h.

internal import SuanpanUring

public enum KernelSupport {
    /// Whether a ring is to be had at all: asked before anything is made.
    static func check() throws(RingError) { _ = try Ring(entries: 8) }

    /// Asks the kernel by making a ring as the engine makes it: `yes (…)`, or `no: ` and what to do.
    public static func ringSupport() -> String {
        do {
            var ring = try Ring(entries: 8)
            _ = try ring.provideBuffers(group: 0, count: 2, size: 4096)
            return "yes (single issuer, deferred task run, buffer rings)"
        } catch {
            return "no: \(error)"
        }
    }
}
