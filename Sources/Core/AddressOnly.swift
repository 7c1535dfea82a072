// Keeps a large struct where it is. Swift 6.3 passes a large struct whose layout is plain (`loadable`) to a method that
// does not mutate it by copying all of it onto the stack, unless the call is inlined: of a shard, 2.4 KB for each look into
// a table. A field of unknown layout makes the struct one that is only ever passed by its address.

public import Synchronization

/// A field of no meaning: whatever holds one is passed by address, never copied for a call.
@frozen public struct AddressOnly: ~Copyable, Sendable {
    // An `Atomic` is of raw layout, which the compiler takes no value of.
    @usableFromInline let layout = Atomic<UInt8>(0)
    @inlinable public init() {}
}
