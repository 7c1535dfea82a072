// Which transfers a load sends: the accounts it makes, and a draw of payer, payee and amount per transfer. One per load
// thread; allocates nothing per draw.

internal import SuanpanCore

/// The load's accounts, told apart by number: the hot ones first, or merchants and fee accounts, then the customers. Ids
/// depend on role and number alone, so that a later run finds them again.
struct AccountBook: Sendable {
    let hot: Int
    let merchants: Int
    let feeAccounts: Int
    let firstCustomer: Int
    let customers: Int
    /// What each customer is given at the start of a run: more than a run can spend, a power of ten for the reader.
    let funding: UInt128
    var count: Int { firstCustomer + customers }

    static let ledger: UInt32 = 1
    static let code: UInt16 = 10
    /// Amounts are drawn from 1 to this; prices, in yuan.
    static let amountMax = 128

    init(_ plan: LoadPlan) {
        hot = plan.sale == nil ? plan.hotAccounts : 0
        merchants = plan.sale?.merchants ?? 0
        feeAccounts = plan.sale?.feeAccounts ?? 0
        firstCustomer = hot + merchants + feeAccounts
        customers = plan.accounts - firstCustomer
        // Even if all of it came from one account; ten decimal digits more than enough is where it ends.
        let spent = plan.countExpected * Double(Self.amountMax) * (plan.sale == nil ? 1 : 100)
        var funding: UInt128 = 1_000_000
        while Double(funding) < spent && funding < 1_000_000_000_000_000_000 { funding *= 10 }
        self.funding = funding
    }

    /// Pays the funding; without a limit.
    static let bank = id(role: 0, 0)

    private static func id(role: UInt128, _ index: Int) -> UInt128 {
        // "SPLOAD" and the role above, the number from 1 below.
        ((0x5350_4C4F_4144_0000 | role) << 64) | UInt128(index + 1)
    }

    @inline(__always)
    func id(_ number: UInt32) -> UInt128 {
        let n = Int(number)
        if n >= firstCustomer { return Self.id(role: 2, n - firstCustomer) }
        if n < hot { return Self.id(role: 1, n) }
        return n < hot + merchants ? Self.id(role: 3, n - hot) : Self.id(role: 4, n - hot - merchants)
    }

    /// Hot accounts and fee accounts have no limit; customers and merchants must not overdraw.
    func account(_ number: UInt32) -> Account {
        let n = Int(number)
        let isLimited = n >= firstCustomer || (n >= hot && n < hot + merchants)
        return Account(
            id: AccountID(id(number)), ledger: Self.ledger, code: Self.code,
            flags: isLimited ? .debitsMustNotExceedCredits : [])
    }

    static var bankAccount: Account { Account(id: AccountID(bank), ledger: ledger, code: code) }

    func fundingTransfer(_ number: UInt32, id transfer: UInt128) -> Transfer {
        Transfer(
            id: TransferID(transfer), debit: AccountID(Self.bank), credit: AccountID(id(number)),
            amount: Amount(funding), ledger: Self.ledger, code: Self.code)
    }
}

/// Transfer ids as ULIDs are built: milliseconds since the epoch in the top 48 bits, 24 bits of the run, 8 of the
/// thread, then a counter.
struct IDSource: Sendable {
    private let base: UInt128
    private var counter: UInt64 = 0

    init(runMilliseconds: UInt64, run: UInt64, thread: UInt8) {
        base =
            (UInt128(runMilliseconds & 0xFFFF_FFFF_FFFF) << 80) | (UInt128(run & 0xFF_FFFF) << 56)
            | (UInt128(thread) << 48)
    }

    @inline(__always)
    mutating func next() -> UInt128 {
        counter &+= 1
        return base | UInt128(counter)
    }
}

/// One transfer to be sent.
struct Draw {
    var id: UInt128
    var debit: UInt128
    var credit: UInt128
    var amount: UInt64
    var pending: Bool
    /// The pending transfer that it posts; 0: none. Then there is no credit account and no amount.
    var posts: UInt128 = 0
}

/// Where accounts live, for loads that choose how many transfers cross.
struct ShardMap: Sendable {
    let shardOf: [UInt16]
    /// Customers of shard s: members[starts[s]..<starts[s+1]].
    let starts: [Int]
    let members: [UInt32]

    init(_ book: AccountBook, _ routing: Routing) {
        let shards = (0..<book.count).map { routing.shard(of: AccountID(book.id(UInt32($0)))).value }
        let customers = (book.firstCustomer..<book.count).sorted { (shards[$0], $0) < (shards[$1], $1) }
        shardOf = shards
        members = customers.map { UInt32($0) }
        starts = (0...routing.shardCount).map { shard in
            // The first customer of this shard or a later one.
            customers.partitioningIndex { Int(shards[$0]) >= shard }
        }
    }
}

extension Array {
    fileprivate func partitioningIndex(_ belongsAfter: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if belongsAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

struct Workload: Sendable {
    let book: AccountBook
    /// Events of a chain; 1: no chains.
    let chain: Int
    private let kind: WorkloadKind
    /// This thread of so many: customers who buy are dealt to them.
    let thread: UInt32
    let threads: UInt32
    /// Shares as thresholds of 2^32.
    let hotThreshold: UInt64
    private let hotPayerThreshold: UInt64
    private let crossThreshold: UInt64
    private let pendingThreshold: UInt64
    let hotFeeThreshold: UInt64
    let voidThreshold: UInt64
    /// Merchants that are hot.
    let hotMerchants: UInt32
    let map: ShardMap?
    private let zipf: Zipf?
    private let plain: Bool
    var ids: IDSource
    var random: Random

    /// Draws before a constraint on shards is met by the shard's list, or given up where the list has none.
    static let attemptsMax = 64

    init(
        _ plan: LoadPlan, book: AccountBook, map: ShardMap?, zipf: Zipf?, ids: IDSource, seed: UInt64, thread: Int
    ) {
        func threshold(_ percent: Double) -> UInt64 { UInt64(percent / 100 * 4_294_967_296) }
        self.book = book
        self.thread = UInt32(thread)
        threads = UInt32(plan.threads)
        chain = plan.chain
        kind = plan.kind
        hotThreshold = threshold(plan.hotShare)
        hotPayerThreshold = threshold(plan.hotPayerShare)
        hotFeeThreshold = threshold(plan.sale?.hotFeeShare ?? 0)
        voidThreshold = threshold(plan.sale?.voids ?? 0)
        hotMerchants = UInt32(plan.hotAccounts)
        crossThreshold = threshold(plan.crossShard ?? 0)
        pendingThreshold = threshold(plan.pending)
        self.map = map
        self.zipf = zipf
        plain = kind != .settlement && hotThreshold == 0 && hotPayerThreshold == 0 && map == nil && zipf == nil
        self.ids = ids
        random = Random(seed: seed)
    }

    mutating func nextID() -> UInt128 { ids.next() }

    @inline(__always)
    mutating func next() -> Draw {
        let bits = random.next()
        let debit: UInt32
        let credit: UInt32
        if plain {
            (debit, credit) = plainPair()
        } else {
            (debit, credit) = pair()
        }
        return Draw(
            id: ids.next(), debit: book.id(debit), credit: book.id(credit), amount: 1 + (bits & 127),
            pending: bits >> 32 < pendingThreshold)
    }

    /// Two different customers, all alike.
    @inline(__always)
    private mutating func plainPair() -> (UInt32, UInt32) {
        let count = UInt32(truncatingIfNeeded: book.customers)
        let hot = UInt32(truncatingIfNeeded: book.hot)
        let bits = random.next()
        let debit = Random.scale(bits, count)
        var credit = Random.scale(bits << 32, count &- 1)
        if credit >= debit { credit &+= 1 }
        return (hot &+ debit, hot &+ credit)
    }

    private mutating func pair() -> (UInt32, UInt32) {
        if kind == .settlement {
            // The payer is fixed, so the payee meets the constraint.
            return (0, partner(of: 0, payee: true))
        }
        let isHot = random.next() >> 32 < hotThreshold
        if isHotPayersTurn() {
            return (hotPayer, isHot ? random.below(UInt32(book.hot)) : partner(of: hotPayer, payee: true))
        }
        let credit: UInt32 = isHot ? random.below(UInt32(book.hot)) : uniformCustomer()
        return (partner(of: credit, payee: false), credit)
    }

    /// The customer who pays the share of a hot payer.
    var hotPayer: UInt32 { UInt32(book.firstCustomer) }
    var hasHotPayer: Bool { hotPayerThreshold > 0 }

    mutating func isHotPayersTurn() -> Bool { hasHotPayer && random.next() >> 32 < hotPayerThreshold }

    /// Whether the next transfer goes to another shard, where `--cross-shard` is given.
    mutating func crosses() -> Bool { random.next() >> 32 < crossThreshold }

    private mutating func uniformCustomer() -> UInt32 {
        UInt32(book.firstCustomer) &+ random.below(UInt32(book.customers))
    }

    mutating func customer(payee: Bool) -> UInt32 {
        if let zipf, !payee { return UInt32(book.firstCustomer) &+ zipf.draw(&random) }
        return uniformCustomer()
    }

    /// A customer other than `other`; in another shard, or the same, as `--cross-shard` has it.
    private mutating func partner(of other: UInt32, payee: Bool) -> UInt32 {
        guard let map else {
            while true {
                let found = customer(payee: payee)
                if found != other { return found }
            }
        }
        let crosses = crosses()
        let shard = map.shardOf[Int(other)]
        for _ in 0..<Self.attemptsMax {
            let found = customer(payee: payee)
            if found != other && (map.shardOf[Int(found)] != shard) == crosses { return found }
        }
        if !crosses {
            let start = map.starts[Int(shard)]
            let count = map.starts[Int(shard) + 1] - start
            for _ in 0..<Self.attemptsMax where count > 0 {
                let found = map.members[start + Int(random.below(UInt32(count)))]
                if found != other { return found }
            }
        }
        // No such customer: one shard only, or a single account in it.
        while true {
            let found = uniformCustomer()
            if found != other { return found }
        }
    }
}
