// The lane of embedding callers: many producers on any thread, one consumer core. A stack that producers push onto by
// compare-and-swap and the consumer takes whole (Treiber, "Coping with Parallelism", 1986), so that there is no ABA.
// Bounded by the callers' admission, not by the stack.

internal import Synchronization

/// What a caller hands to a core. The node is the message: pushing allocates nothing.
@safe
open class CallerNode: @unchecked Sendable {
    // SAFETY of Sendable: `next` is the producer's until the push and the consumer's after it.
    fileprivate final var next: Unmanaged<CallerNode>?
    public init() { unsafe next = nil }
}

public final class CallerLane: Sendable {
    /// Address of the newest node, retained; 0: empty.
    private let top = Atomic<UInt>(0)

    public init() {}

    deinit { _ = takeAll() }

    /// Hands a node over; the caller then rings the core's doorbell. Any thread.
    public func push(_ node: CallerNode) {
        let retained = unsafe Unmanaged.passRetained(node)
        let address = unsafe UInt(bitPattern: retained.toOpaque())
        var seen = top.load(ordering: .relaxed)
        while true {
            // SAFETY: `seen` is an address that a push retained, or 0.
            unsafe node.next = Self.node(seen)
            // Release: pairs with the consumer's acquire; the node's fields are written before.
            let (done, now) = top.compareExchange(
                expected: seen, desired: address, successOrdering: .releasing, failureOrdering: .relaxed)
            if done { return }
            seen = now
        }
    }

    /// True when the consumer would find nothing; asked before it sleeps (the doorbell's second look).
    public var isEmpty: Bool { top.load(ordering: .sequentiallyConsistent) == 0 }

    /// All nodes, oldest first. The consumer only.
    public func takeAll() -> [CallerNode] {
        // Acquire: pairs with `push`.
        var link = unsafe Self.node(top.exchange(0, ordering: .acquiring))
        var nodes: [CallerNode] = []
        while let current = unsafe link {
            let node = unsafe current.takeRetainedValue()
            unsafe link = node.next
            unsafe node.next = nil
            nodes.append(node)
        }
        nodes.reverse()
        return nodes
    }

    private static func node(_ address: UInt) -> Unmanaged<CallerNode>? {
        // SAFETY: the address came from `toOpaque` of a retained node.
        unsafe UnsafeRawPointer(bitPattern: address).map { unsafe Unmanaged<CallerNode>.fromOpaque($0) }
    }
}
