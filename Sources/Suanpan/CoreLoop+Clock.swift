// The wall clock, now and then: followed by small steps, reported where it stands too far from the engine's.

internal import SuanpanCore
internal import SuanpanFront

extension CoreLoop {
    func followClock() {
        let report = shared.time.follow()
        shared.board.setClock(ahead: report.ahead, behind: report.behind)
        guard report.isNews else { return }
        if report.ahead > 0 {
            Self.say(
                "note: the machine's clock has jumped to \(report.ahead / 1_000_000_000) s ahead of the engine's, which does "
                    + "not follow: timestamps and deadlines go by the time that has passed. Set it right; or if it is right, "
                    + "send SIGUSR1 and the engine follows")
        } else {
            Self.say("note: the machine's clock and the engine's agree again")
        }
    }
}
