// What an engine has taken from the system and gives back when its cores have ended, however they ended: a close joins
// them and then comes here, of a failed engine the core that ends last does.

internal import CSuanpanSupport
internal import SuanpanFront
internal import SuanpanJournal
internal import SuanpanLanes
internal import Synchronization

final class EngineHold: Sendable {
    private let directory: Mutex<DirectoryBox?>
    let preparer: SegmentPreparer
    private let sockets: Listeners
    private let hasClosedSockets = Atomic<Bool>(false)
    private let callers: [CallerLane]
    private let history: HistoryDesk
    private let control: EngineControl
    private let claims: Mutex<CPUClaims?>

    init(
        _ ground: EngineGround, callers: [CallerLane], history: HistoryDesk, control: EngineControl
    ) {
        claims = Mutex(ground.claims)
        directory = Mutex(ground.box)
        preparer = ground.preparer
        sockets = ground.sockets
        self.callers = callers
        self.history = history
        self.control = control
    }

    /// Closes the doors, ends the threads that work for cores, frees the directory and ends the calls that no core has
    /// taken. All cores have ended, and the gate is closed. May be called again, on any thread.
    func release() {
        history.stop()
        // Core 0 accepts on them until it ends.
        if !hasClosedSockets.exchange(true, ordering: .acquiringAndReleasing) { sockets.close() }
        preparer.stop()
        claims.withLock { $0 = nil }
        // A write that the disk has not answered may still reach a file, so nobody else may write there.
        if !control.hasWritesLeft { directory.withLock { $0 = nil } }
        // Calls may only now be being handed over; those that the reader of history has end with it.
        while !control.gate.isEmpty {
            for caller in callers { for node in caller.takeAll() { abandon(node) } }
            suanpan_sleep_microseconds(100)
        }
        control.end.finish()
    }

    private func abandon(_ node: CallerNode) {
        (node as? CallPart)?.abandon()
        if let part = node as? HistoryPart { history.abandon(part) }
    }
}
