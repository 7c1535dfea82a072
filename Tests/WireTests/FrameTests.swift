// Goal: frames have the bytes that Docs/Protocol.md prints, and a liar's frame is refused with its reason. Method: known
// answers, one mutation at a time, every split point, seeded random bytes.

import SuanpanCore
import SuanpanWire
import Testing

private func frame(_ header: FrameHeader, body: [UInt8] = []) -> [UInt8] {
    var out = OutputBuffer()
    let open = out.beginFrame()
    out.append(body.span)
    out.endFrame(open, header)
    return out.withBytes { bytes in (0..<bytes.count).map { bytes[$0] } }
}

/// Decodes the first `end` bytes as a request. (`#expect` cannot take spans.)
private func request(_ bytes: [UInt8], end: Int? = nil) -> FrameParsed {
    FrameDecoder.request(bytes.span.extracting(0..<(end ?? bytes.count)))
}

@Test func headerHasItsDocumentedBytes() {
    #expect(MemoryLayout<FrameHeader>.size == 64)
    let ping = frame(FrameHeader(Operation.ping.rawValue, requestID: 0x0102_0304_0506_0708))
    #expect(Array(ping[0..<16]) == [0x53, 0x50, 0x4E, 0x31, 1, 0, 2, 0, 8, 7, 6, 5, 4, 3, 2, 1])
    #expect(Array(ping[16..<60]) == Array(repeating: 0, count: 44))
    // The check value of CRC-32C: "123456789" gives E3069283.
    let check: [UInt8] = Array("123456789".utf8)
    let checkValue = check.withUnsafeBytes { Checksum.crc32c($0) }
    #expect(checkValue == 0xE306_9283)
    let echo = frame(FrameHeader(1, requestID: 1), body: check)
    #expect(Array(echo[56..<60]) == [0x83, 0x92, 0x06, 0xE3])
    #expect(Array(echo[20..<24]) == [9, 0, 0, 0])
}

@Test func framesComeWholeFromEverySplit() {
    let bytes = frame(FrameHeader(Operation.lookupAccounts.rawValue, requestID: 9, count: 2), body: Array(0..<32))
    for end in 0..<bytes.count {
        let expected: FrameParsed = .needMore(atLeast: end < 64 ? 64 : 96)
        #expect(request(bytes, end: end) == expected, "cut at \(end)")
    }
    guard case .frame(let header, let consumed) = request(bytes) else {
        Issue.record("not a frame")
        return
    }
    #expect(consumed == 96 && header.requestID == 9 && header.operation == .lookupAccounts && header.count == 2)
}

@Test func liarsAreRefusedWithTheReason() {
    func refused(_ status: Status, id: UInt64 = 9, body: [UInt8] = [], _ change: (inout FrameHeader) -> Void) {
        let operation = id == 0 ? 0 : Operation.createTransfers.rawValue
        var header = FrameHeader(Operation.createTransfers.rawValue, requestID: 9)
        change(&header)
        let bytes = frame(header, body: body)
        #expect(request(bytes) == .refused(status, operation: operation, requestID: id))
    }
    refused(.malformed, id: 0) { $0.magic = 0x2A0A_0D31 }
    refused(.unsupportedVersion) { $0.version = 2 }
    refused(.malformed) { $0.reserved1 = 1 }
    refused(.malformed) { $0.rawStatus = 1 }
    refused(.malformed) { $0.count = 1 }
    refused(.tooLarge) { $0.count = 8191 }
    refused(.tooLarge, body: Array(repeating: 0, count: (1 << 20) + 1)) { _ in }
    var bytes = frame(
        FrameHeader(Operation.createTransfers.rawValue, requestID: 9, count: 1), body: Array(repeating: 1, count: 128))
    bytes[100] ^= 1
    #expect(request(bytes) == .refused(.checksumMismatch, operation: 17, requestID: 9))
    bytes[8] ^= 1
    #expect(request(bytes) == .refused(.checksumMismatch, operation: 0, requestID: 0))
    #expect(request(Array("PING\r\n".utf8)) == .refused(.malformed, operation: 0, requestID: 0))
    #expect(request(Array("S".utf8)) == .needMore(atLeast: 64))
    // An unknown operation is a whole frame: the connection survives it.
    if case .frame(let header, _) = FrameDecoder.request(frame(FrameHeader(99, requestID: 1), body: [1, 2]).span) {
        #expect(header.operation == nil)
    } else {
        Issue.record("not a frame")
    }
}

@Test func freezeItemsHaveTheirDocumentedBytes() {
    #expect(MemoryLayout<FreezeItem>.size == 32 && MemoryLayout<FreezeItem>.stride == FreezeItem.bytes)
    #expect(Operation.freezeAccounts.rawValue == 20 && Operation.unfreezeAccounts.rawValue == 21)
    var body = OutputBuffer()
    body.append(record: FreezeItem(AccountID(0x0102_0304), [.debitsFrozen, .creditsFrozen]))
    let bytes = body.withBytes { bytes in (0..<bytes.count).map { bytes[$0] } }
    #expect(bytes == [4, 3, 2, 1] + Array(repeating: 0, count: 12) + [0x60] + Array(repeating: 0, count: 15))
    for operation in [Operation.freezeAccounts, .unfreezeAccounts] {
        let whole = frame(FrameHeader(operation.rawValue, requestID: 9, count: 1), body: bytes)
        if case .frame(let header, let consumed) = request(whole) {
            #expect(header.operation == operation && consumed == 96)
        } else {
            Issue.record("not a frame")
        }
        let short = frame(FrameHeader(operation.rawValue, requestID: 9, count: 2), body: bytes)
        #expect(request(short) == .refused(.malformed, operation: operation.rawValue, requestID: 9))
    }
}

@Test func freezeItemsAreRefusedInOrder() {
    func code(_ account: UInt128, _ sides: AccountFlags, _ change: (inout FreezeItem) -> Void = { _ in }) -> ResultCode
    {
        var item = FreezeItem(AccountID(account), sides)
        change(&item)
        return item.refusalByRequest()
    }
    #expect(code(1, .debitsFrozen) == .created && code(1, .creditsFrozen) == .created)
    #expect(code(0, []) { $0.reserved0 = 1 } == .reservedField)
    #expect(code(0, []) { $0.reserved1 = 1 } == .reservedField)
    #expect(code(0, []) { $0.reserved2 = 1 } == .reservedField)
    #expect(code(0, []) == .reservedFlag && code(0, .closed) == .reservedFlag)
    #expect(code(1, [.debitsFrozen, .linked]) == .reservedFlag)
    #expect(code(0, .debitsFrozen) == .idMustNotBeZero && code(.max, .debitsFrozen) == .idMustNotBeMax)
}

@Test func everyFlippedBitIsNoticed() {
    let bytes = frame(FrameHeader(Operation.lookupAccounts.rawValue, requestID: 9, count: 2), body: Array(0..<32))
    for bit in 0..<(bytes.count * 8) {
        var damaged = bytes
        damaged[bit / 8] ^= 1 << (bit % 8)
        if case .frame = FrameDecoder.request(damaged.span) { Issue.record("bit \(bit) went unnoticed") }
    }
}

@Test func strangersAreToldBeforeTheirBodyComes() {
    let header = frame(
        FrameHeader(Operation.createTransfers.rawValue, requestID: 9, count: 33),
        body: [UInt8](repeating: 0, count: 4224)
    ).prefix(64)
    let accepted = FrameDecoder.request(Array(header).span)
    #expect(accepted == .needMore(atLeast: 64 + 4224))
    let refused = FrameDecoder.request(Array(header).span, bodyBytesMax: 4096)
    #expect(refused == .refused(.tooLarge, operation: 17, requestID: 9))
}

@Test func resultsShrinkToTimestampsWhereAllWereCreated() {
    let results = [EventResult(.created, timestamp: Timestamp(1)), EventResult(.created, timestamp: Timestamp(2))]
    var out = OutputBuffer()
    out.appendReply(FrameHeader(17, requestID: 1), results: results.span, allCreated: true)
    let shortCount = out.count
    #expect(shortCount == 64 + 16)
    let mixed = results + [EventResult(.exceedsCredits)]
    out.appendReply(FrameHeader(17, requestID: 2), results: mixed.span, allCreated: false)
    let bytes = out.withBytes { bytes in (0..<bytes.count).map { bytes[$0] } }
    let replies = Replies(bytes, cuts: [])
    #expect(replies.refusal == nil && replies.headers.count == 2)
    #expect(replies.headers.map(\.count) == [2, 3] && replies.headers.map(\.flags) == [1, 0])
    #expect(replies.bodies.map(\.count) == [16, 48] && replies.bodies[1][32 + 8] == 87)
}

/// What a reader makes of bytes that come in pieces.
private struct Replies: Equatable {
    var headers: [FrameHeader] = []
    var bodies: [[UInt8]] = []
    var refusal: Status?
    var isWhole = true

    init(_ bytes: [UInt8], cuts: [Int]) {
        var reader = FrameReader()
        var body: [UInt8] = []
        for (start, end) in zip([0] + cuts, cuts + [bytes.count]) {
            let piece = Array(bytes[start..<end])
            var offset = 0
            reading: while true {
                switch reader.next(piece.span, at: &offset) {
                case .more: break reading
                case .header: body = []
                case .body(let range): body += piece[range]
                case .end:
                    headers.append(reader.header)
                    bodies.append(body)
                case .refused(let status):
                    refusal = status
                    return
                }
            }
        }
        isWhole = reader.isBetweenFrames
    }
}

@Test func repliesComeWholeFromEveryCut() {
    var out = OutputBuffer()
    out.appendFrame(FrameHeader(Operation.ping.rawValue, requestID: 1))
    out.appendFrame(FrameHeader(Operation.status.rawValue, requestID: 2), text: "{\"shards\":1}")
    let bytes = out.withBytes { bytes in (0..<bytes.count).map { bytes[$0] } }
    let whole = Replies(bytes, cuts: [])
    #expect(whole.headers.map(\.requestID) == [1, 2] && whole.refusal == nil && whole.isWhole)
    #expect(whole.bodies == [[], Array("{\"shards\":1}".utf8)])
    for cut in 0...bytes.count { #expect(Replies(bytes, cuts: [cut]) == whole, "cut at \(cut)") }
    #expect(Replies(bytes, cuts: Array(1..<bytes.count)) == whole)
    #expect(!Replies(Array(bytes.dropLast()), cuts: []).isWhole)
}

@Test func whatIsNoReplyIsRefused() {
    #expect(Replies(Array("-ERR".utf8), cuts: [1]).refusal == .malformed)
    let bytes = frame(FrameHeader(Operation.lookupAccounts.rawValue, requestID: 9, count: 1), body: [1, 2, 3])
    for bit in 0..<(bytes.count * 8) {
        var damaged = bytes
        damaged[bit / 8] ^= 1 << (bit % 8)
        let replies = Replies(damaged, cuts: [bit % damaged.count])
        // A longer body would still be coming: only the header's checksum can tell, and does.
        #expect(replies.refusal != nil && replies.headers.isEmpty, "bit \(bit) went unnoticed")
    }
}

@Test func randomFramesNeverTrap() {
    for seed in UInt64(1)...3000 {
        var random = SeededGenerator(seed: seed)
        var bytes = frame(FrameHeader(UInt8.random(in: 0...20, using: &random), requestID: 1), body: Array(0..<16))
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        let end = Int.random(in: 0...bytes.count, using: &random)
        _ = FrameDecoder.request(bytes.span.extracting(0..<end))
        _ = Replies(Array(bytes[0..<end]), cuts: [end / 2])
    }
}

@Test func routingHasTheVectorsOfTheSpecification() {
    let key = HashKey(0x0001_0203_0405_0607_0809_0A0B_0C0D_0E0F)
    for (id, slot) in [(1, 1206), (2, 3785), (3, 910), (0xDEAD_BEEF_0000_0000_0000_0005, 998)] as [(UInt128, Int)] {
        #expect(Routing.slot(ofHash: key.hash(id)) == slot)
    }
}

@Test func pingHasTheBytesOfTheSpecification() {
    let ping = frame(FrameHeader(Operation.ping.rawValue, requestID: 7))
    #expect(Array(ping[60...]) == [0x8B, 0x92, 0xFA, 0x20])
}
