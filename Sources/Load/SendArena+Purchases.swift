// The requests of a purchase, in both protocols: the hold; the chain that posts it and takes the fee; the void.

internal import SuanpanCore
internal import SuanpanWire

extension SendArena {
    /// Of a hold, as in README. What a run leaves reserved goes back after so long.
    private static let holdSeconds: UInt32 = 900

    // MARK: Native

    /// Fills a slot with the request of a purchase's step. Returns its length.
    @inline(never)
    mutating func buildStep(_ slot: Int, requestID: UInt64, _ purchase: Purchase, from workload: inout Workload) -> Int
    {
        let frame = unsafe start(slot)
        let count = purchase.step.count
        let length = count * Limits.recordBytes
        invariant(FrameHeader.bytes + length <= slotBytes, "a purchase's step in a slot of \(slotBytes)")
        let records = unsafe (frame + FrameHeader.bytes).assumingMemoryBound(to: Transfer.self)
        let isHold = purchase.step == .hold
        var first = Transfer(
            id: TransferID(isHold ? purchase.hold : workload.nextID()), debit: AccountID(purchase.buyer),
            credit: AccountID(purchase.merchant), amount: Amount(UInt128(purchase.price)), ledger: AccountBook.ledger,
            code: AccountBook.code)
        switch purchase.step {
        case .hold:
            first.flags = .pending
            first.timeout = Self.holdSeconds
        case .post:
            first.flags = [.postPending, .linked]
            first.pendingID = TransferID(purchase.hold)
            first.amount = Amount(.max)
            let fee = Transfer(
                id: TransferID(workload.nextID()), debit: AccountID(purchase.merchant),
                credit: AccountID(purchase.feeAccount), amount: Amount(UInt128(purchase.fee)),
                ledger: AccountBook.ledger, code: AccountBook.code)
            // SAFETY: count is 2 here, and count records fit the slot.
            unsafe records[1] = fee
        case .void:
            first.flags = .voidPending
            first.pendingID = TransferID(purchase.hold)
            first.amount = Amount(.zero)
        }
        // SAFETY: at least one record fits the slot.
        unsafe records[0] = first
        unsafe seal(frame, .createTransfers, requestID: requestID, count: count, length: length)
        return FrameHeader.bytes + length
    }

    // MARK: RESP

    private static let number = "$34\r\n0x00000000000000000000000000000000\r\n"
    private static let holdTemplate = Array(("*9" + command + "$7\r\nPENDING\r\n$3\r\n\(holdSeconds)\r\n").utf8)
    private static let voidTemplate = Array(("*4\r\n$13\r\nTRANSFER.VOID\r\n" + number + number + number).utf8)
    private static let multi = "*1\r\n$5\r\nMULTI\r\n"
    private static let post = "*4\r\n$13\r\nTRANSFER.POST\r\n" + number + number + number
    private static let chainTemplate = Array((multi + post + "*7" + command + "*1\r\n$4\r\nEXEC\r\n").utf8)
    // A slot holds a password too.
    static let respPurchaseSlotBytes = max(chainTemplate.count, 256)

    /// Fills a slot with the commands of a purchase's step. Returns their length.
    @inline(never)
    mutating func buildStepCommands(_ slot: Int, _ purchase: Purchase, from workload: inout Workload) -> Int {
        let frame = unsafe start(slot)
        let template =
            switch purchase.step {
            case .hold: Self.holdTemplate
            case .post: Self.chainTemplate
            case .void: Self.voidTemplate
            }
        invariant(template.count <= slotBytes, "commands of \(template.count) bytes")
        unsafe frame.copyMemory(from: template, byteCount: template.count)
        switch purchase.step {
        case .hold:
            unsafe writeTransfer(
                id: purchase.hold, purchase.buyer, purchase.merchant, purchase.price, after: frame + Self.arrayHead)
        case .post:
            unsafe writeResolution(purchase, id: workload.nextID(), after: frame + Self.multi.utf8.count)
            unsafe writeTransfer(
                id: workload.nextID(), purchase.merchant, purchase.feeAccount, purchase.fee,
                after: frame + Self.multi.utf8.count + Self.post.utf8.count + Self.arrayHead)
        case .void: unsafe writeResolution(purchase, id: workload.nextID(), after: frame)
        }
        return template.count
    }

    /// Bytes of `*7` or `*9`.
    private static let arrayHead = 2

    /// The numbers of a TRANSFER: offsets of the digits, which follow "\r\n$8\r\nTRANSFER\r\n$34\r\n0x", then 41 further each.
    private func writeTransfer(
        id: UInt128, _ debit: UInt128, _ credit: UInt128, _ amount: UInt64, after command: UnsafeMutableRawPointer
    ) {
        unsafe writeHex(id, digits: 32, at: command + 23)
        unsafe writeHex(debit, digits: 32, at: command + 64)
        unsafe writeHex(credit, digits: 32, at: command + 105)
        unsafe writeHex(UInt128(amount), digits: 4, at: command + 145)
    }

    /// Those of a TRANSFER.POST or TRANSFER.VOID, likewise.
    private func writeResolution(_ purchase: Purchase, id: UInt128, after command: UnsafeMutableRawPointer) {
        unsafe writeHex(id, digits: 32, at: command + 31)
        unsafe writeHex(purchase.buyer, digits: 32, at: command + 72)
        unsafe writeHex(purchase.hold, digits: 32, at: command + 113)
    }
}
