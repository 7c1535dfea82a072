// Names the seed under way when an invariant ends the process.

import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

enum CurrentSeed {
    private static let seed = Atomic<UInt64>(0)
    private static let installed: Bool = {
        signal(SIGABRT) { _ in CurrentSeed.tell() }
        signal(SIGILL) { _ in CurrentSeed.tell() }
        signal(SIGTRAP) { _ in CurrentSeed.tell() }
        return true
    }()

    static func set(_ value: UInt64) {
        _ = installed
        seed.store(value, ordering: .relaxed)
    }

    /// Digits by hand: nothing here may allocate.
    private static func tell() {
        var text: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &text) { bytes in
            var value = seed.load(ordering: .relaxed)
            var at = bytes.count
            repeat {
                at -= 1
                bytes[at] = UInt8(48 + value % 10)
                value /= 10
            } while value > 0 && at > 1
            at -= 1
            bytes[at] = UInt8(ascii: " ")
            _ = write(2, "SUANPAN_SEED", 12)
            _ = write(2, bytes.baseAddress! + at, bytes.count - at)
            _ = write(2, "\n", 1)
        }
        _exit(134)
    }
}
