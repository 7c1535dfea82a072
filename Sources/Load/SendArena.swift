// Where requests are built and stay while the kernel sends them: one slot of equal size per request that a connection
// may have outstanding, a connection's slots in a row so that one send covers several. The generator's hot path and its
// only raw memory.

internal import CSuanpanSupport
internal import SuanpanCore
internal import SuanpanWire

@safe
struct SendArena: ~Copyable {
    private let base: UnsafeMutableRawPointer
    private let bytes: Int
    private let slots: Int
    let slotBytes: Int

    /// - Parameter slotBytes: Size of the largest request.
    init(slots: Int, slotBytes: Int) {
        bytes = slots * slotBytes
        guard let memory = unsafe suanpan_map(bytes, bytes >= 4 << 20 ? 1 : 0) else {
            stop("out of memory: \(bytes) bytes of send buffers")
        }
        unsafe base = memory
        self.slots = slots
        self.slotBytes = slotBytes
    }

    deinit { unsafe suanpan_unmap(base, bytes) }

    /// The address of a slot, for the ring to send from.
    @inline(__always)
    func address(_ slot: Int) -> UnsafeRawPointer { unsafe UnsafeRawPointer(start(slot)) }

    @inline(__always)
    func start(_ slot: Int) -> UnsafeMutableRawPointer {
        invariant(UInt(bitPattern: slot) < UInt(bitPattern: slots), "send slot \(slot) of \(slots)")
        // SAFETY: slot < slots, so the whole slot lies in the mapping; a multiple of 64 from a page's start.
        return unsafe base + slot * slotBytes
    }

    // MARK: Native

    static func nativeSlotBytes(batch: Int) -> Int { FrameHeader.bytes + batch * Limits.recordBytes }

    /// Fills a slot with a request of `count` transfers. Returns its length.
    // Do not rename: Perf/ finds the generator's cost by this symbol.
    @inline(never)
    mutating func buildTransfers(
        _ slot: Int, requestID: UInt64, count: Int, from workload: inout Workload, _ reservations: inout Reservations,
        connection: Int, place: Int
    ) -> Int {
        let frame = unsafe start(slot)
        let length = count * Limits.recordBytes
        invariant(FrameHeader.bytes + length <= slotBytes, "request of \(count) transfers in a slot of \(slotBytes)")
        let records = unsafe (frame + FrameHeader.bytes).assumingMemoryBound(to: Transfer.self)
        for i in 0..<count {
            let draw = reservations.isOn ? reservations.next(connection, place, i, &workload) : workload.next()
            var transfer = Transfer(
                id: TransferID(draw.id), debit: AccountID(draw.debit), credit: AccountID(draw.credit),
                amount: Amount(UInt128(draw.amount)), ledger: AccountBook.ledger, code: AccountBook.code)
            if draw.pending {
                transfer.flags = .pending
                transfer.timeout = Self.pendingSeconds
            } else if draw.posts != 0 {
                transfer.flags = .postPending
                transfer.pendingID = TransferID(draw.posts)
                transfer.amount = Amount(.max)
            }
            // The last chain of a request ends with it.
            if (i + 1) % workload.chain != 0 && i + 1 < count { transfer.flags.insert(.linked) }
            // SAFETY: i < count, and count records fit the slot.
            unsafe records[i] = transfer
        }
        unsafe seal(frame, .createTransfers, requestID: requestID, count: count, length: length)
        return FrameHeader.bytes + length
    }

    /// Fills a slot with a request whose body is `body`: the password.
    mutating func build(_ slot: Int, _ operation: Operation, body: [UInt8]) -> Int {
        let frame = unsafe start(slot)
        invariant(FrameHeader.bytes + body.count <= slotBytes, "body of \(body.count) bytes")
        unsafe (frame + FrameHeader.bytes).copyMemory(from: body, byteCount: body.count)
        unsafe seal(frame, operation, requestID: 0, count: 0, length: body.count)
        return FrameHeader.bytes + body.count
    }

    @inline(__always)
    func seal(
        _ frame: UnsafeMutableRawPointer, _ operation: Operation, requestID: UInt64, count: Int, length: Int
    ) {
        var header = FrameHeader(operation.rawValue, requestID: requestID, count: count, bodyLength: length)
        // SAFETY: the caller has checked that header and body fit the slot.
        unsafe header.seal(body: UnsafeRawBufferPointer(start: frame + FrameHeader.bytes, count: length))
        unsafe frame.storeBytes(of: header, as: FrameHeader.self)
    }

    // MARK: RESP

    // Numbers travel in hexadecimal at full width, so that every command has the same length and is a template with
    // four numbers in it.
    static let command =
        "\r\n$8\r\nTRANSFER\r\n$34\r\n0x00000000000000000000000000000000\r\n$34\r\n0x00000000000000000000000000000000\r\n"
        + "$34\r\n0x00000000000000000000000000000000\r\n$6\r\n0x0000\r\n$1\r\n\(AccountBook.ledger)\r\n$2\r\n\(AccountBook.code)\r\n"
    private static let template = Array(("*7" + command).utf8)
    /// What a run leaves reserved at its end goes back after so long.
    private static let pendingSeconds: UInt32 = 60
    private static let pendingTemplate = Array(("*9" + command + "$7\r\nPENDING\r\n$2\r\n\(pendingSeconds)\r\n").utf8)
    private static let postTemplate = Array(
        ("*4\r\n$13\r\nTRANSFER.POST\r\n"
            + String(repeating: "$34\r\n0x00000000000000000000000000000000\r\n", count: 3)).utf8)
    private static let hexDigits = Array("0123456789abcdef".utf8)

    // A slot holds a password too.
    static let respSlotBytes = max(template.count, 256)
    static let respPendingSlotBytes = max(pendingTemplate.count, 256)

    /// Fills a slot with one TRANSFER or TRANSFER.POST command. Returns its length.
    @inline(never)
    mutating func buildCommand(
        _ slot: Int, from workload: inout Workload, _ reservations: inout Reservations, connection: Int, place: Int
    ) -> Int {
        let frame = unsafe start(slot)
        let draw = reservations.isOn ? reservations.next(connection, place, 0, &workload) : workload.next()
        if draw.posts != 0 {
            let template = Self.postTemplate
            invariant(template.count <= slotBytes, "command of \(template.count) bytes")
            unsafe frame.copyMemory(from: template, byteCount: template.count)
            // As below; the name is five bytes longer, its length one.
            unsafe writeHex(draw.id, digits: 32, at: frame + 31)
            unsafe writeHex(draw.debit, digits: 32, at: frame + 72)
            unsafe writeHex(draw.posts, digits: 32, at: frame + 113)
            return template.count
        }
        let template = draw.pending ? Self.pendingTemplate : Self.template
        invariant(template.count <= slotBytes, "command of \(template.count) bytes")
        unsafe frame.copyMemory(from: template, byteCount: template.count)
        // Offsets of the digits, which follow "…$34\r\n0x": 18 + 7 = 25, then 41 further each.
        unsafe writeHex(draw.id, digits: 32, at: frame + 25)
        unsafe writeHex(draw.debit, digits: 32, at: frame + 66)
        unsafe writeHex(draw.credit, digits: 32, at: frame + 107)
        unsafe writeHex(UInt128(draw.amount), digits: 4, at: frame + 147)
        return template.count
    }

    @inline(__always)
    func writeHex(_ value: UInt128, digits: Int, at address: UnsafeMutableRawPointer) {
        var rest = value
        var i = digits - 1
        while i >= 0 {
            let digit = Self.hexDigits[Int(truncatingIfNeeded: rest & 15)]
            // SAFETY: the digits lie inside the template just copied.
            unsafe address.storeBytes(of: digit, toByteOffset: i, as: UInt8.self)
            rest >>= 4
            i -= 1
        }
    }

    /// Fills a slot with given bytes: AUTH.
    mutating func build(_ slot: Int, bytes: [UInt8]) -> Int {
        let frame = unsafe start(slot)
        invariant(bytes.count <= slotBytes, "command of \(bytes.count) bytes")
        unsafe frame.copyMemory(from: bytes, byteCount: bytes.count)
        return bytes.count
    }
}
