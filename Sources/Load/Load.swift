// A load from beginning to end: ask the server, make accounts, start the threads, show a live line, collect, report.
// Runs on the caller's thread, which only waits while the load threads work.

internal import SuanpanCore
internal import Synchronization

public enum Load {
    /// Runs a load and returns its report; `report.failure` says why it is no measurement, where it is none.
    /// - Parameter live: Shows on stderr how it goes, and notes.
    /// - Throws: Why nothing could be measured at all.
    public static func run(_ options: LoadOptions, live: Bool = true) throws(LoadError) -> LoadReport {
        let plan = try LoadPlan(options)
        try System.allowDescriptors(plan.connections)
        var screen = LiveLine(isOn: live, schedule: plan.schedule)
        var setup = try Setup(plan)
        let status = try setup.greet()
        let book = AccountBook(plan)
        let map = try shardMap(plan, status, book, live: live)

        let runMilliseconds = System.realtime / 1_000_000
        var nonce = plan.seed ^ System.realtime
        let run = Random.splitmix(&nonce)
        func ids(_ thread: Int) -> IDSource {
            IDSource(runMilliseconds: runMilliseconds, run: run, thread: UInt8(thread))
        }
        // Threads are numbered from 0, at most 64: 255 is the setup's.
        var setupIDs = ids(255)
        try setup.prepare(book, ids: &setupIDs, screen: &screen)

        // Until here a signal ends the process; from here on the run, with a report. Before any thread starts: all of them
        // inherit the mask.
        var interrupts = System.Interrupts()
        let zipf = plan.zipf > 0 ? Zipf(count: book.customers, exponent: plan.zipf) : nil
        let control = RunControl(threads: plan.threads)
        let address = setup.address
        var threads: [System.Thread] = []
        for i in 0..<plan.threads {
            var seed = plan.seed &+ UInt64(i)
            let threadSeed = Random.splitmix(&seed)
            let workload = Workload(
                plan, book: book, map: map, zipf: zipf, ids: ids(i), seed: threadSeed, thread: i)
            let connections = share(of: plan.connections, i, plan.threads)
            let countMax = plan.countMax.map { UInt64(share(of: Int(clamping: $0), i, plan.threads)) } ?? .max
            // By connections, not by threads: each connection then carries the same.
            let schedule = plan.schedule?.scaled(Double(connections) / Double(plan.connections))
            threads.append(
                try System.spawn("load\(i)") {
                    do {
                        var thread = try LoadThread(
                            plan, address: address, control: control, workload: workload, connections: connections,
                            countMax: countMax)
                        thread.run(schedule, seed: threadSeed)
                    } catch {
                        let failed = ThreadResult(failure: error as? LoadError ?? .machine("\(error)"))
                        control.results.withLock { $0.append(failed) }
                        control.ready.add(1, ordering: .relaxed)
                        control.raiseStop(to: 2)
                    }
                })
        }
        var before = status
        var cut: CInt?
        let funded = (status.transfers ?? 0) + UInt64(book.customers)
        while control.ready.load(ordering: .relaxed) < plan.threads {
            if let signal = interrupts.wait(milliseconds: 2) {
                cut = signal
                control.raiseStop(to: 2)
            }
        }
        if control.stopping == 0 {
            before = try setup.status(counting: funded)
            control.startAt.store(System.now + 2_000_000, ordering: .relaxed)
        }
        while control.results.withLock({ $0.count }) < plan.threads {
            // The first signal ends the sending, the second the waiting.
            if let signal = interrupts.wait(milliseconds: 20) {
                cut = cut ?? signal
                control.raiseStop(to: control.stopping + 1)
            }
            screen.show(control)
        }
        for thread in threads { thread.join() }
        // From here on a signal ends the process again, whatever the server does.
        _ = consume interrupts
        screen.clear()
        let results = control.results.withLock { $0 }
        let rows = control.rows.withLock { $0 }
        // A lost server cannot say what it used.
        if results.contains(where: { $0.failure != nil }) {
            var report = LoadReport(plan, book, results, rows: rows, before: before, after: nil)
            if let cut { report.wasCut(by: cut) }
            return report
        }
        // Others may have sent it more.
        let least = funded + results.reduce(0) { $0 + $1.transfersCreated }
        var after: ServerStatus?
        var gone: LoadError?
        do throws(LoadError) { after = try setup.status(counting: least) } catch { gone = .gone(error.description) }
        var report = LoadReport(plan, book, results, rows: rows, before: before, after: after)
        if let cut { report.wasCut(by: cut) }
        if let counted = after?.transfers, counted < least {
            report.failure = report.failure ?? .lost(counted: counted, acknowledged: least)
        }
        // The run is worth its report all the same.
        report.failure = report.failure ?? gone
        return report
    }

    private static func shardMap(
        _ plan: LoadPlan, _ status: ServerStatus, _ book: AccountBook, live: Bool
    ) throws(LoadError) -> ShardMap? {
        guard let percent = plan.crossShard else { return nil }
        guard let routing = status.routing else {
            throw .server(
                target: plan.target,
                problem:
                    "--cross-shard needs to know where accounts live, and the server does not tell its salt and shards; "
                    + "leave the option out or use --protocol native")
        }
        if routing.shardCount == 1 {
            if live && percent > 0 { System.printError("note: the server has 1 shard, so nothing crosses\n") }
            return nil
        }
        return ShardMap(book, routing)
    }

    /// Part `i` of `whole` dealt to `parts` as evenly as can be.
    private static func share(of whole: Int, _ i: Int, _ parts: Int) -> Int {
        whole / parts + (i < whole % parts ? 1 : 0)
    }
}
