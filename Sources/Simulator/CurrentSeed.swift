// Names the seed under way when an invariant ends the process.

import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

enum CurrentSeed {
    private static let seed = Atomic<UInt64>(0)
    private static let installed: Bool = {
        for number in [SIGABRT, SIGILL, SIGTRAP] { signal(number) { _ in CurrentSeed.tell() } }
        return true
    }()

    static func set(_ value: UInt64) {
        _ = installed
        seed.store(value, ordering: .relaxed)
    }

    /// Digit by digit: nothing here may allocate.
    private static func tell() {
        let value = seed.load(ordering: .relaxed)
        say("seed ")
        var unit: UInt64 = 1
        while value / unit >= 10 { unit *= 10 }
        while unit > 0 {
            // SAFETY: one byte of a local.
            var digit = UInt8(48 + value / unit % 10)
            _ = unsafe write(2, &digit, 1)
            unit /= 10
        }
        say(" ended the process; repeat: make sim SEEDS=1 FIRST_SEED=<seed>\n")
        _exit(134)
    }

    private static func say(_ text: StaticString) {
        // SAFETY: the bytes are in the program.
        _ = unsafe write(2, text.utf8Start, text.utf8CodeUnitCount)
    }
}
