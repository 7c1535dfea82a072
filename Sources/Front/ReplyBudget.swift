// The memory for replies that clients have not taken, over all cores of an engine. Each connection may hold as much as is
// still free: n clients that take nothing come to rest at an equal share of it, and one share of n + 1 stays free for
// whoever comes next. Source of the idea: dynamic thresholds for shared switch buffers (Choudhury and Hahne, 1998).

internal import Synchronization

public final class ReplyBudget: Sendable {
    /// Its part of the memory that an engine may use; the ledger leaves it free.
    public static let memoryShare = 16

    public let bytesMax: Int
    private let used = Atomic<Int>(0)

    public init(bytesMax: Int) { self.bytesMax = bytesMax }

    // Relaxed: a number that stands for itself; a core that sees it late holds a little more.

    /// What no connection holds, as far as the cores have told.
    var freeBytes: Int { max(0, bytesMax - used.load(ordering: .relaxed)) }

    /// A core holds so much more, or less.
    func add(_ bytes: Int) { used.add(bytes, ordering: .relaxed) }
}
