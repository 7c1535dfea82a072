// Who buys from whom: the draws of a load of purchases.

internal import SuanpanCore

extension Workload {
    /// A purchase that nothing has been sent of yet.
    /// - Parameter isBuying: By customer: has a purchase under way. At least one of this thread's has none.
    mutating func purchase(_ isBuying: borrowing FixedArray<Bool>) -> Purchase {
        let bits = random.next()
        let merchant = self.merchant()
        let buyer = isHotPayersTurn() ? hotPayer : freeCustomer(buyingFrom: merchant, isBuying)
        return Purchase(
            customer: buyer - UInt32(book.firstCustomer), isVoided: bits >> 32 < voidThreshold,
            yuan: 1 + (bits & 127), hold: ids.next(), buyer: book.id(buyer), merchant: book.id(merchant),
            feeAccount: book.id(feeAccount(of: merchant)))
    }

    /// A company's purchases go side by side: the hot payer is many people.
    func buysSideBySide(_ customer: UInt32) -> Bool { hasHotPayer && customer == 0 }

    private mutating func merchant() -> UInt32 {
        let isHot = hotThreshold > 0 && random.next() >> 32 < hotThreshold
        return random.below(isHot ? hotMerchants : UInt32(book.merchants))
    }

    private mutating func feeAccount(of merchant: UInt32) -> UInt32 {
        let first = UInt32(book.merchants)
        if hotFeeThreshold > 0 && random.next() >> 32 < hotFeeThreshold { return first }
        guard let map else { return first &+ random.below(UInt32(book.feeAccounts)) }
        let wanted = crosses()
        var found = first
        for _ in 0..<Self.attemptsMax {
            found = first &+ random.below(UInt32(book.feeAccounts))
            if (map.shardOf[Int(found)] != map.shardOf[Int(merchant)]) == wanted { break }
        }
        return found
    }

    /// A customer of this thread who buys nothing at present; where `--cross-shard` is given, of a shard as it has it.
    private mutating func freeCustomer(
        buyingFrom merchant: UInt32, _ isBuying: borrowing FixedArray<Bool>
    ) -> UInt32 {
        let first = UInt32(book.firstCustomer)
        let wanted = map == nil ? false : crosses()
        func suits(_ index: UInt32) -> Bool {
            guard let map else { return true }
            return (map.shardOf[Int(first &+ index)] != map.shardOf[Int(merchant)]) == wanted
        }
        var index: UInt32 = 0
        for _ in 0..<Self.attemptsMax {
            index = own(customer(payee: false) &- first)
            if isAvailable(index, isBuying) && suits(index) { return first &+ index }
        }
        // Nearly all buy, or few are where they should be: the next one who fits, else the next one who is free.
        let customers = UInt32(book.customers)
        var free: UInt32?
        for _ in 0..<(customers + threads - 1 - thread) / threads {
            index = index &+ threads < customers ? index &+ threads : thread
            guard isAvailable(index, isBuying) else { continue }
            if suits(index) { return first &+ index }
            free = free ?? index
        }
        guard let free else { stop("no customer of thread \(thread) is free to buy") }
        return first &+ free
    }

    private func isAvailable(_ index: UInt32, _ isBuying: borrowing FixedArray<Bool>) -> Bool {
        buysSideBySide(index) || !isBuying[Int(index)]
    }

    /// The customer of this thread who is nearest to one drawn among all.
    private func own(_ index: UInt32) -> UInt32 {
        let mine = index - index % threads + thread
        return mine < book.customers ? mine : mine - threads
    }
}
