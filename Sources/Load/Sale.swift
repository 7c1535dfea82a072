// What a load of purchases is made of, and the purchases that a load thread has under way.
//
// A purchase as README shows it: a customer has the price reserved for a merchant (the hold); when that is answered, one
// chain posts it and takes the merchant's fee, or, for a share of the purchases, a void gives it back. Its customer buys
// nothing else meanwhile.

internal import SuanpanCore

/// The accounts of a sale beside its customers, and its shares.
struct Sale: Sendable {
    let merchants: Int
    let feeAccounts: Int
    /// Percent of the purchases that are voided.
    let voids: Double
    /// Percent of the fees that the first fee account gets; the others are dealt over all.
    let hotFeeShare: Double

    /// - Returns: Nil: the load makes no purchases.
    /// - Throws: What only purchases have, given to a load without any; or a value out of range.
    init?(_ options: LoadOptions, _ profile: Profile?, _ kind: WorkloadKind) throws(LoadError) {
        guard kind == .purchase else {
            let given: [(String, Bool)] = [
                ("merchants", options.merchants != nil), ("fee-accounts", options.feeAccounts != nil),
                ("hot-fee-share", options.hotFeeShare != nil), ("voids", options.voids != nil),
            ]
            if let name = given.first(where: \.1)?.0 {
                throw .usage("--\(name): is of purchases, and this load makes none; give --kind purchase too")
            }
            return nil
        }
        merchants = try LoadPlan.within(
            "--merchants", options.merchants ?? profile?.merchants ?? 50, LoadLimits.merchants)
        feeAccounts = try LoadPlan.within(
            "--fee-accounts", options.feeAccounts ?? profile?.feeAccounts ?? 10, LoadLimits.feeAccounts)
        voids = try LoadPlan.percent("--voids", options.voids ?? profile?.voids ?? 5)!
        hotFeeShare = try LoadPlan.percent("--hot-fee-share", options.hotFeeShare ?? profile?.hotFeeShare ?? 0)!
    }
}

/// Where a purchase is: what of it was sent and not yet answered.
enum PurchaseStep: UInt8, BitwiseCopyable, CaseIterable {
    case hold
    /// With the fee, as one chain.
    case post
    case void

    /// Transfers of the step.
    var count: Int { self == .post ? 2 : 1 }
}

/// A purchase under way. Amounts are in fen: whole yuan, so that the fee is three per cent to the fen.
struct Purchase: BitwiseCopyable {
    var customer: UInt32 = 0
    var isVoided = false
    var step = PurchaseStep.hold
    var yuan: UInt64 = 0
    var hold: UInt128 = 0
    var buyer: UInt128 = 0
    var merchant: UInt128 = 0
    var feeAccount: UInt128 = 0
    /// Nanoseconds after the start at which it was due, and at which its step was sent.
    var due: UInt64 = 0
    var began: UInt64 = 0
    /// Why it is refused, as far as its step is answered; 0: nothing speaks against it.
    var fault: UInt16 = 0

    var price: UInt64 { yuan * 100 }
    var fee: UInt64 { yuan * 3 }
}

/// One per load thread; allocates nothing while the load runs.
struct Purchases: ~Copyable {
    private let inFlight: Int
    /// By connection and place.
    private var underWay: FixedArray<Purchase>
    /// RESP answers in order: a ring by connection of the places whose requests are outstanding.
    private var order: FixedArray<UInt16>
    private var oldest: FixedArray<Int>
    private var expectedCounts: FixedArray<Int>
    /// By customer: has a purchase under way.
    private var isBuying: FixedArray<Bool>

    init(connections: Int, inFlight: Int, customers: Int) {
        self.inFlight = inFlight
        underWay = FixedArray(count: connections * inFlight)
        order = FixedArray(count: connections * inFlight)
        oldest = FixedArray(count: connections)
        expectedCounts = FixedArray(count: connections)
        isBuying = FixedArray(count: customers)
    }

    subscript(_ connection: Int, _ place: Int) -> Purchase {
        get { underWay[connection * inFlight + place] }
        set { underWay[connection * inFlight + place] = newValue }
    }

    /// Draws a purchase of a customer who has none under way.
    mutating func begin(_ connection: Int, _ place: Int, due: UInt64, _ workload: inout Workload) {
        var purchase = workload.purchase(isBuying)
        purchase.due = due
        if !workload.buysSideBySide(purchase.customer) { isBuying[Int(purchase.customer)] = true }
        self[connection, place] = purchase
    }

    /// A purchase is over: its customer may make another one.
    mutating func end(_ connection: Int, _ place: Int) { isBuying[Int(self[connection, place].customer)] = false }

    /// One of the step's transfers has its result. What refused the others is said of one of them.
    mutating func answered(_ connection: Int, _ place: Int, _ code: UInt16) {
        if code == 0 || code == ResultCode.linkedEventFailed.rawValue { return }
        if self[connection, place].fault == 0 { self[connection, place].fault = code }
    }

    // MARK: The order of RESP

    mutating func expect(_ connection: Int, _ place: Int) {
        invariant(expectedCounts[connection] < inFlight, "more requests than places")
        let turn = (oldest[connection] + expectedCounts[connection]) % inFlight
        order[connection * inFlight + turn] = UInt16(place)
        expectedCounts[connection] += 1
    }

    /// The place whose request is answered next; nil: none is outstanding.
    func expected(_ connection: Int) -> Int? {
        expectedCounts[connection] == 0 ? nil : Int(order[connection * inFlight + oldest[connection]])
    }

    /// The reply to that request was read to its end.
    mutating func taken(_ connection: Int) {
        oldest[connection] = (oldest[connection] + 1) % inFlight
        expectedCounts[connection] -= 1
    }
}
