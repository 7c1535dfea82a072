// The transfers that one shard coordinates, by slot, where their participants read them in place: a message names the slot,
// and each shard has the others' tables. Written by the owning shard alone, before the message that names it; unchanged, but
// for the timestamp that is set before the commit, until the participant has ended. Beside them, where the views of the
// shard's chains are.

public import CSuanpanSupport
public import SuanpanCore

/// Names a transfer of another shard's table. Read it only between the message that brought it and the one that ends it.
@safe @frozen
public struct TransferReference: BitwiseCopyable, @unchecked Sendable {
    // SAFETY of Sendable: what it points to was written before it was sent, and outlives all shards' threads.
    @usableFromInline let address: UnsafePointer<Transfer>
    @inlinable init(_ address: UnsafePointer<Transfer>) { unsafe self.address = address }

    @inlinable @inline(__always)
    public var value: Transfer {
        unsafeAddress { unsafe address }
    }
    /// Asks for its cache lines ahead.
    @inlinable @inline(__always)
    public func prefetch() { unsafe suanpan_prefetch(address); unsafe suanpan_prefetch(UnsafeRawPointer(address) + 64) }
}

/// A handle of a table; the memory is the `TransferTableOwner`'s.
@safe @frozen
public struct TransferTable: BitwiseCopyable, @unchecked Sendable {
    // SAFETY of Sendable: one shard writes; others read by references that it has sent.
    @usableFromInline let base: UnsafeMutablePointer<Transfer>
    public let count: Int

    /// Where the owning shard keeps the views of its chains, as bits: it says so once, before its first message.
    @inlinable public var chainViews: UInt {
        get { unsafe UnsafeRawPointer(base + count).load(as: UInt.self) }
        nonmutating set { unsafe UnsafeMutableRawPointer(base + count).storeBytes(of: newValue, as: UInt.self) }
    }

    @inlinable @inline(__always)
    public subscript(slot: Int) -> Transfer {
        unsafeAddress {
            invariant(UInt(bitPattern: slot) < UInt(bitPattern: count), "slot \(slot) of \(count)")
            return unsafe UnsafePointer(base + slot)
        }
        nonmutating unsafeMutableAddress {
            invariant(UInt(bitPattern: slot) < UInt(bitPattern: count), "slot \(slot) of \(count)")
            return unsafe base + slot
        }
    }

    @inlinable @inline(__always)
    public func reference(_ slot: Int) -> TransferReference {
        invariant(UInt(bitPattern: slot) < UInt(bitPattern: count), "slot \(slot) of \(count)")
        return unsafe TransferReference(UnsafePointer(base + slot))
    }

    @inlinable @inline(__always)
    public func prefetch(_ slot: Int) {
        if UInt(bitPattern: slot) < UInt(bitPattern: count) { reference(slot).prefetch() }
    }

    /// Asks for the place's cache lines before it is written.
    @inlinable @inline(__always)
    public func prefetchForWriting(_ slot: Int) {
        guard UInt(bitPattern: slot) < UInt(bitPattern: count) else { return }
        unsafe suanpan_prefetch_write(base + slot)
        unsafe suanpan_prefetch_write(UnsafeRawPointer(base + slot) + 64)
    }

    @usableFromInline
    init(_ base: UnsafeMutablePointer<Transfer>, count: Int) {
        unsafe self.base = base
        self.count = count
    }
}

/// Owns a table's memory; outlives all shards.
@safe
public struct TransferTableOwner: ~Copyable {
    public let table: TransferTable
    private let bytes: Int

    /// - Throws: When the machine does not give the memory.
    public init(count: Int) throws(SystemError) {
        // One more place for what else is shared.
        let bytes = (count + 1) * MemoryLayout<Transfer>.stride
        guard let memory = unsafe suanpan_map(bytes, bytes >= 512 << 10 ? 1 : 0) else {
            throw MemoryReserve.refused(bytes, "the transfers under way of a shard")
        }
        self.bytes = bytes
        table = unsafe TransferTable(memory.bindMemory(to: Transfer.self, capacity: count + 1), count: count)
    }

    deinit { unsafe suanpan_unmap(table.base, bytes) }
}

// SAFETY: owns memory only; who may touch it is the table's contract.
extension TransferTableOwner: @unchecked Sendable {}
