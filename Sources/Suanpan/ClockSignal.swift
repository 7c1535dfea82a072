// SIGUSR1 of a server process: the machine's clock is right, says the operator.
//
// SAFETY: what the calls are given are locals that live for them.

internal import Glibc
internal import SuanpanCore
internal import Synchronization

/// Block it on the main thread before any other thread starts, as all of them inherit that.
final class ClockSignal: Sendable {
    private let followed = Mutex<EngineTime?>(nil)

    private static var set: sigset_t {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGUSR1)
        return signals
    }

    static func block() {
        var signals = set
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// - Throws: When the system has no thread left.
    init() throws(SystemError) {
        try SystemThread.start { [self] in
            var signals = Self.set
            var number: CInt = 0
            while true {
                unsafe sigwait(&signals, &number)
                // One that comes before the engine serves has nothing to follow.
                if let time = followed.withLock({ $0 }) { CoreLoop.say(Self.accept(time)) }
            }
        }.detach()
    }

    /// From now on the signal lets this engine's time follow.
    func serve(_ time: EngineTime?) { followed.withLock { $0 = time } }

    private static func accept(_ time: EngineTime) -> String {
        time.accept()
            ? "note: the engine follows the machine's clock, as it was told to"
            : "note: the machine's clock is not ahead of the engine's, or is beyond 2400: nothing to follow"
    }
}
