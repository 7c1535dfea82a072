// The thread beside each core that keeps memory ready for its ledger: see PageStock.

internal import CSuanpanNuma
internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCore
internal import SuanpanLedger

/// A core's stock of pages and the thread that fills it.
struct PageThread {
    let stock: PageStock

    /// Pages kept ready for a ledger: 32 MiB, what it takes in half a second at its fastest, and no more than a thirty-second
    /// of what it may use.
    private static var pagesMax: Int { 16 }
    /// It does not compete with those who serve; when it comes too late they map for themselves.
    private static var niceness: CInt { 10 }

    /// Starts the thread on the CPUs near `cpu` (nil: on any). Call it before the own thread is pinned, which it would inherit.
    /// - Returns: Nil where the ledger is too small to need a stock, or the system has no thread for it.
    init?(cpu: Int?, memoryBytes: Int) {
        let pages = min(Self.pagesMax, memoryBytes / 32 / PageStock.pageBytes)
        guard pages > 0 else { return nil }
        let stock = PageStock(pages: pages)
        self.stock = stock
        let body: @Sendable () -> Void = {
            // SAFETY: a literal of fewer than 16 bytes.
            unsafe suanpan_name_thread("suanpan-pages")
            // On Linux the niceness is the thread's own.
            setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.niceness)
            // First touched on the node of the core, memory lies there.
            if let cpu, numa_available() >= 0 { numa_run_on_node(numa_node_of_cpu(CInt(cpu))) }
            stock.run()
        }
        // Without the thread, as without a page that is ready, the ledger maps for itself.
        do throws(SystemError) { try SystemThread.start(body).detach() } catch { return nil }
    }

    /// Ends the thread after the page under way. Nobody waits for it: it owns the stock as long as it needs it.
    func stop() { stock.stop() }
}
