// What a load shows on stderr while it goes on: a line that is written over on a terminal; elsewhere a line a second, and
// after half a minute one every ten, so that a log of a long run stays short.

struct LiveLine {
    enum Kind { case off, terminal, lines }

    private static let everySecondUntil = 30
    private static let setupNanoseconds: UInt64 = 1_000_000_000

    private let kind: Kind
    private let schedule: Schedule?
    private var shown = 0
    private var nextSetup: UInt64 = 0

    /// - Parameter schedule: Of an open loop: what it offers is due, whether it could be sent or not.
    init(isOn: Bool, schedule: Schedule?) {
        self.schedule = schedule
        kind = !isOn ? .off : System.errorIsTerminal ? .terminal : .lines
    }

    private func show(_ text: String) {
        switch kind {
        case .off: break
        case .terminal: System.printError("\r\u{1B}[K" + text)
        case .lines: System.printError(text + "\n")
        }
    }

    /// Of the setup: at once, then once a second.
    mutating func show(setup text: @autoclosure () -> String) {
        if kind == .off { return }
        let now = System.now
        if now < nextSetup { return }
        nextSetup = now + Self.setupNanoseconds
        show(text())
    }

    /// The last whole second of the run, once.
    mutating func show(_ control: RunControl) {
        if kind == .off { return }
        let done = shown
        let row = control.rows.withLock { rows -> (Int, SecondRow)? in
            guard let last = rows.lastIndex(where: { $0.threads == control.threads }), last >= done else { return nil }
            return (last, rows[last])
        }
        guard let (index, row) = row else { return }
        shown = index + 1
        if kind == .lines && shown > Self.everySecondUntil && shown % 10 != 0 { return }
        let counts = row.counts
        let offered = schedule.map { $0.transfers(until: Double(shown)) - $0.transfers(until: Double(index)) }
        let second = String(repeating: " ", count: max(0, 4 - "\(shown)".count)) + "\(shown) s"
        show(
            "\(second)  offered \(Format.count(offered.map { UInt64($0) } ?? counts.offered))/s  accepted \(Format.count(counts.accepted))/s"
                + "  p50 \(Format.number(row.latencies.milliseconds(50))) ms"
                + "  p99 \(Format.number(row.latencies.milliseconds(99))) ms"
                + (counts.busy > 0 ? "  busy \(Format.count(counts.busy))/s" : ""))
    }

    func clear() { if kind == .terminal { System.printError("\r\u{1B}[K") } }
}
