// One keyed 64-bit hash for ids: where an account lives, and where a table looks for it.
// Source of the idea: wyhash's folded 64×64→128 multiplication (Wang Yi), one multiplication per 128-bit id.

/// Keys of the hash. Those of tables are drawn at each start and told to nobody, so that no client can aim ids at one
/// bucket; those of routing are the directory's salt, which clients may know: they can aim accounts at one shard.
@frozen public struct HashKey: Hashable, BitwiseCopyable, Sendable {
    public var a: UInt64
    public var b: UInt64
    @inlinable public init(a: UInt64, b: UInt64) {
        self.a = a
        self.b = b
    }
    @inlinable public init(_ salt: UInt128) {
        a = UInt64(truncatingIfNeeded: salt)
        b = UInt64(truncatingIfNeeded: salt >> 64)
    }
    /// Nobody can choose values whose hashes are equal under it.
    public static func random() -> HashKey { HashKey(a: .random(in: 0 ... .max), b: .random(in: 0 ... .max)) }

    /// Product of the two words, high half xor low half.
    @inlinable @inline(__always)
    static func fold(_ x: UInt64, _ y: UInt64) -> UInt64 {
        let p = x.multipliedFullWidth(by: y)
        return p.high ^ p.low
    }

    /// Hash of one id. The same for the same key on every machine: it decides the shard of an account.
    @inlinable @inline(__always)
    public func hash(_ id: UInt128) -> UInt64 {
        let low = UInt64(truncatingIfNeeded: id)
        let high = UInt64(truncatingIfNeeded: id >> 64)
        let h = Self.fold(low ^ a ^ 0x2D35_8DCC_AA6C_78A5, high ^ b ^ 0x8BB8_4B93_962E_ACC9)
        return Self.fold(h ^ a, 0x9E37_79B9_7F4A_7C15)
    }

    /// Hash of a transfer's identity: its debit account and its id.
    @inlinable @inline(__always)
    public func hash(_ account: AccountID, _ id: TransferID) -> UInt64 {
        let h = hash(account.value)
        let low = UInt64(truncatingIfNeeded: id.value)
        let high = UInt64(truncatingIfNeeded: id.value >> 64)
        let g = Self.fold(low ^ h ^ 0x4B33_A62E_D433_D4A3, high ^ b ^ 0x4D5A_2DA5_1DE1_AA47)
        return Self.fold(g ^ a, 0x9E37_79B9_7F4A_7C15)
    }
}

/// Which shard owns an account: account id → keyed hash → slot (its top 12 bits) → shard.
public struct Routing: Sendable, Equatable {
    public let key: HashKey
    /// Shard of each of the `Limits.slotCount` slots.
    public let slots: [UInt16]
    public let shardCount: Int

    public init(key: HashKey, slots: [UInt16], shardCount: Int) {
        invariant(slots.count == Limits.slotCount, "slot map has \(slots.count) entries")
        self.key = key
        self.slots = slots
        self.shardCount = shardCount
    }

    /// The slot map of a new data directory: slots dealt round-robin.
    public init(key: HashKey, shardCount: Int) {
        self.init(
            key: key, slots: (0..<Limits.slotCount).map { UInt16($0 % shardCount) }, shardCount: shardCount)
    }

    @inlinable public static func slot(ofHash hash: UInt64) -> Int { Int(hash >> 52) }

    @inlinable public func shard(of account: AccountID) -> ShardID {
        ShardID(slots[Self.slot(ofHash: key.hash(account.value))])
    }
}
