// A native or RESP server of a thread per connection that acknowledges everything, or misbehaves as a test asks. It keeps
// what it saw and checks every frame as a real server would.

import Foundation
import Glibc
import SuanpanCore
import SuanpanWire
import Synchronization

final class FakeServer: Sendable {
    struct Behaviour: Sendable {
        var shards = 2
        var password: String?
        /// The number (from 0) of the transfer request at which the server stops for so long, once.
        var stall: (at: Int, seconds: Double)?
        /// Seconds that each transfer request takes.
        var pause = 0.0
        /// From this transfer request on nothing is answered.
        var hangAt: Int?
        /// At this transfer request the connection is closed.
        var closeAt: Int?
        /// The status is not told when so many transfers, the funding not counted, have been acknowledged: the connection is
        /// closed.
        var closeStatusAt: Int?
        /// Every so many transfer requests one is `busy`, with this pause.
        var busyEvery: Int?
        var busyMilliseconds: UInt32 = 5
        /// Replies to a connection's requests in the opposite order, as far as they arrived together.
        var reversed = false
        /// Full results even where timestamps would do.
        var fullResults = false
        /// Pending transfers are created, all but every so many; else `reserved_flag`.
        var refusesPendingEvery: Int?
        /// Every so many chains of a post and a fee are refused: the fee is at fault.
        var refusesChainEvery = Int.max
        /// Transfers that the server acknowledges and does not count.
        var forgets = 0
        /// Bytes per write of a reply; 0: all at once.
        var pieces = 0
        /// Keeps ids and pairs; a throughput check does without.
        var remembers = true
        /// Corrupts the body checksum of replies to ten transfers.
        var corrupts = false
    }

    struct Seen: Sendable {
        var problems: [String] = []
        var accounts: [UInt128: UInt16] = [:]
        var accountRequestsThatExisted = 0
        var ids: Set<UInt128> = []
        var transfers = 0
        var transferRequests = 0
        var fundings = 0
        var credits: [UInt128: Int] = [:]
        var debits: [UInt128: Int] = [:]
        var crossing = 0
        var pending = 0
        /// Debit accounts of the pending transfers that were created and not posted.
        var reserved: [UInt128: UInt128] = [:]
        var posted = 0
        /// Of purchases: what was reserved for whom, by the hold's id; holds of each customer under way; the most of one.
        var holds: [UInt128: Transfer] = [:]
        var buying: [UInt128: Int] = [:]
        var mostAtOnce = 0
        var voided = 0
        var fees: [UInt128: Int] = [:]
        var chains = 0
        /// All that was created, the funding too.
        var created = 0
        var linked = 0
        var connections = 0
        var stalled = false
    }

    /// The load's account that pays the funding.
    static let bank: UInt128 = 0x5350_4C4F_4144_0000 << 64 | 1
    static let salt: UInt128 = 0x0123_4567_89AB_CDEF_0011_2233_4455_6677
    let behaviour: Behaviour
    let port: UInt16
    let seen = Mutex(Seen())
    private let listener: CInt
    private let open = Mutex<[CInt]>([])
    private let stopped = Atomic<Bool>(false)
    var target: String { "127.0.0.1:\(port)" }

    init(_ behaviour: Behaviour = Behaviour(), resp: Bool = false) {
        self.behaviour = behaviour
        let (listener, bound) = Self.bound()
        precondition(listen(listener, 4096) == 0)
        self.listener = listener
        port = bound
        Thread { [self] in
            while true {
                let fd = accept(listener, nil, nil)
                if fd < 0 {
                    // Closed by the thread that uses it: its number would serve another test's socket at once.
                    close(listener)
                    return
                }
                var on: CInt = 1
                setsockopt(fd, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
                open.withLock { $0.append(fd) }
                seen.withLock { $0.connections += 1 }
                let thread = Thread { [self] in resp ? serveResp(fd) : serveNative(fd) }
                thread.stackSize = 1 << 18
                thread.start()
            }
        }.start()
    }

    /// A TCP socket with a port of its own; until it listens, connecting there is refused.
    static func bound() -> (fd: CInt, port: UInt16) {
        let fd = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                precondition(bind(fd, $0, length) == 0 && getsockname(fd, $0, &length) == 0)
            }
        }
        return (fd, UInt16(bigEndian: address.sin_port))
    }

    /// Once: afterwards the listener's number may be another file's.
    func stop() {
        guard !stopped.exchange(true, ordering: .relaxed) else { return }
        shutdown(listener, CInt(SHUT_RDWR))
        open.withLock { for fd in $0 { shutdown(fd, CInt(SHUT_RDWR)) } }
    }

    private func send(_ fd: CInt, _ bytes: [UInt8]) {
        var done = 0
        while done < bytes.count {
            let size = behaviour.pieces == 0 ? bytes.count - done : min(behaviour.pieces, bytes.count - done)
            let n = bytes.withUnsafeBytes { Glibc.send(fd, $0.baseAddress! + done, size, CInt(MSG_NOSIGNAL)) }
            if n <= 0 { return }
            done += n
        }
    }

    private func problem(_ text: String) { seen.withLock { $0.problems.append(text) } }

    // MARK: Native

    private func serveNative(_ fd: CInt) {
        var buffer = [UInt8](repeating: 0, count: 2 << 20)
        var have = 0
        var authenticated = behaviour.password == nil
        let routing = Routing(key: HashKey(Self.salt), shardCount: behaviour.shards)
        while true {
            let n = buffer.withUnsafeMutableBytes { recv(fd, $0.baseAddress! + have, $0.count - have, 0) }
            if n <= 0 { return }
            have += n
            var offset = 0
            var replies: [[UInt8]] = []
            var ends = false
            buffer.withUnsafeBytes { bytes in
                while have - offset >= FrameHeader.bytes {
                    let header = bytes.loadUnaligned(fromByteOffset: offset, as: FrameHeader.self)
                    if let refusal = header.requestRefusal() {
                        problem("refused a request: \(refusal)")
                        ends = true
                        return
                    }
                    let end = offset + FrameHeader.bytes + Int(header.bodyLength)
                    if end > have { return }
                    let body = UnsafeRawBufferPointer(rebasing: bytes[offset + FrameHeader.bytes..<end])
                    if behaviour.remembers && Checksum.crc32c(body) != header.bodyChecksum { problem("wrong checksum") }
                    offset = end
                    switch header.operation {
                    case .authenticate:
                        authenticated = String(decoding: body, as: UTF8.self) == behaviour.password
                        replies.append(frame(header, authenticated ? .ok : .notAuthenticated, []))
                    case _ where !authenticated: replies.append(frame(header, .notAuthenticated, []))
                    case .status:
                        ends = seen.withLock { $0.transfers >= behaviour.closeStatusAt ?? .max }
                        if ends { return }
                        replies.append(frame(header, .ok, statusJSON()))
                    case .createAccounts: replies.append(accounts(header, body))
                    case .createTransfers:
                        guard let reply = transfers(header, body, routing) else {
                            ends = true
                            return
                        }
                        // A slow one answers each as it is done.
                        if behaviour.pause > 0 { send(fd, reply) } else { replies.append(reply) }
                    default: problem("operation \(header.rawOperation)")
                    }
                }
            }
            if behaviour.reversed { replies.reverse() }
            send(fd, Array(replies.joined()))
            if ends {
                shutdown(fd, CInt(SHUT_RDWR))
                return
            }
            buffer.withUnsafeMutableBytes {
                if offset > 0 && have > offset { memmove($0.baseAddress!, $0.baseAddress! + offset, have - offset) }
            }
            have -= offset
        }
    }

    private func frame(
        _ request: FrameHeader, _ status: Status, _ body: [UInt8], count: Int = 0, flags: UInt32 = 0, retry: UInt32 = 0
    ) -> [UInt8] {
        var header = FrameHeader(
            request.rawOperation, status: status, requestID: request.requestID, count: count, bodyLength: body.count,
            flags: flags, retryAfterMilliseconds: retry)
        body.withUnsafeBytes { header.seal(body: $0) }
        if behaviour.corrupts && request.operation == .createTransfers && request.count == 10 {
            header.bodyChecksum ^= 1
            header.headerChecksum = header.computedHeaderChecksum
        }
        return withUnsafeBytes(of: header) { Array($0) } + body
    }

    /// What the server says that it has.
    private var counted: Int {
        seen.withLock { $0.created == $0.fundings ? $0.created : $0.created - behaviour.forgets }
    }

    private func statusJSON() -> [UInt8] {
        let slots = (0..<Limits.slotCount).map { String($0 % behaviour.shards) }.joined(separator: ",")
        let transfers = seen.withLock { $0.transfers }
        let text = """
            {"version":"0.0-fake","durability":"sync","shards":\(behaviour.shards),\
            "salt":"0123456789abcdef0011223344556677","slot_map":[\(slots)],"filesystem":"ext4","sync_ms":0.07,\
            "cpu_s":1.5,"journal_bytes":\(transfers * 144),"transfers":\(counted),"accounts":1}
            """
        return Array(text.utf8)
    }

    private func results(_ header: FrameHeader, _ results: [EventResult]) -> [UInt8] {
        if results.allSatisfy(\.isCreated) && !behaviour.fullResults {
            let stamps = [UInt64](repeating: 7, count: results.count)
            return frame(
                header, .ok, stamps.withUnsafeBytes { Array($0) }, count: results.count,
                flags: FrameHeader.timestampsOnly)
        }
        return frame(header, .ok, results.withUnsafeBytes { Array($0) }, count: results.count)
    }

    private func accounts(_ header: FrameHeader, _ body: UnsafeRawBufferPointer) -> [UInt8] {
        var out: [EventResult] = []
        seen.withLock { seen in
            for i in 0..<Int(header.count) {
                let account = body.loadUnaligned(fromByteOffset: i * 128, as: Account.self)
                if account.ledger != 1 || account.code != 10 { seen.problems.append("account \(account)") }
                let code: ResultCode
                switch seen.accounts[account.id.value] {
                case nil: code = .created
                case account.flags.rawValue: code = .exists
                default: code = .existsWithDifferentFlags
                }
                if code == .exists { seen.accountRequestsThatExisted += 1 }
                seen.accounts[account.id.value] = account.flags.rawValue
                out.append(EventResult(code, timestamp: Timestamp(7)))
            }
        }
        return results(header, out)
    }

    /// Nil: the connection ends here.
    private func transfers(_ header: FrameHeader, _ body: UnsafeRawBufferPointer, _ routing: Routing) -> [UInt8]? {
        let count = Int(header.count)
        if !behaviour.remembers {
            seen.withLock { $0.created += count }
            return results(header, [EventResult](repeating: EventResult(.created), count: count))
        }
        let first = body.loadUnaligned(as: Transfer.self)
        let isFunding = first.debitAccountID.value == Self.bank
        var number = -1
        var out: [EventResult] = []
        if !isFunding {
            number = seen.withLock {
                $0.transferRequests += 1
                return $0.transferRequests - 1
            }
            if let stall = behaviour.stall, number >= stall.at,
                seen.withLock({ s in
                    defer { s.stalled = true }; return !s.stalled
                })
            {
                Thread.sleep(forTimeInterval: stall.seconds)
            }
            if behaviour.pause > 0 { Thread.sleep(forTimeInterval: behaviour.pause) }
            if let at = behaviour.hangAt, number >= at { while true { Thread.sleep(forTimeInterval: 10) } }
            if let at = behaviour.closeAt, number >= at { return nil }
            if let every = behaviour.busyEvery, number % every == every - 1 {
                return frame(header, .busy, [], retry: behaviour.busyMilliseconds)
            }
        }
        seen.withLock { seen in
            let events = (0..<count).map { body.loadUnaligned(fromByteOffset: $0 * 128, as: Transfer.self) }
            if count == 2, events[0].flags == [.postPending, .linked] {
                out = chain(events[0], events[1], routing, &seen).map { EventResult($0, timestamp: Timestamp(7)) }
            } else {
                out = events.map { EventResult(note($0, isFunding, routing, &seen), timestamp: Timestamp(7)) }
            }
        }
        return results(header, out)
    }

    /// The second step of a purchase.
    private func chain(_ post: Transfer, _ fee: Transfer, _ routing: Routing, _ seen: inout Seen) -> [ResultCode] {
        seen.chains += 1
        guard let hold = seen.holds[post.pendingID.value] else {
            seen.problems.append("posts what is not reserved: \(post)")
            return [.pendingTransferNotFound, .linkedEventFailed]
        }
        if fee.debitAccountID != hold.creditAccountID || fee.amount.value * 100 != hold.amount.value * 3 {
            seen.problems.append("odd fee \(fee) of \(hold)")
        }
        if post.amount.value != .max || post.debitAccountID != hold.debitAccountID || !fee.flags.isEmpty {
            seen.problems.append("odd chain \(post) \(fee)")
        }
        if seen.chains % behaviour.refusesChainEvery == 0 {
            for id in [post.id.value, fee.id.value] where !seen.ids.insert(id).inserted {
                seen.problems.append("id \(id) twice")
            }
            // The money stays reserved, and its customer goes on.
            seen.buying[hold.debitAccountID.value, default: 0] -= 1
            return [.linkedEventFailed, .creditAccountClosed]
        }
        seen.fees[fee.creditAccountID.value, default: 0] += 1
        seen.posted += 1
        resolve(post, &seen)
        if note(fee, false, routing, &seen) != .created { seen.problems.append("refused \(fee)") }
        return [.created, .created]
    }

    /// A post or void of a purchase's hold.
    private func resolve(_ t: Transfer, _ seen: inout Seen) {
        if !seen.ids.insert(t.id.value).inserted { seen.problems.append("id \(t.id) twice") }
        guard let hold = seen.holds.removeValue(forKey: t.pendingID.value), hold.debitAccountID == t.debitAccountID
        else {
            return seen.problems.append("resolves what is not reserved: \(t)")
        }
        seen.reserved[t.pendingID.value] = nil
        seen.buying[t.debitAccountID.value, default: 0] -= 1
        seen.created += 1
    }

    private func note(_ t: Transfer, _ isFunding: Bool, _ routing: Routing, _ seen: inout Seen) -> ResultCode {
        if t.flags == .voidPending {
            if t.amount != .zero { seen.problems.append("odd void \(t)") }
            seen.voided += 1
            resolve(t, &seen)
            return .created
        }
        if !seen.ids.insert(t.id.value).inserted { seen.problems.append("id \(t.id) twice") }
        if t.flags == .postPending {
            if t.amount.value != .max || t.creditAccountID.value != 0 || t.timeout != 0 {
                seen.problems.append("odd post \(t)")
            }
            if seen.reserved.removeValue(forKey: t.pendingID.value) != t.debitAccountID.value {
                seen.problems.append("posts what is not reserved: \(t)")
            }
            seen.posted += 1
            seen.created += 1
            return .created
        }
        if t.debitAccountID == t.creditAccountID { seen.problems.append("pays itself") }
        if t.flags.contains(.linked) { seen.linked += 1 }
        if t.ledger != 1 || t.code != 10 || t.timestamp != .zero || t.pendingID.value != 0 || t.userData128 != 0 {
            seen.problems.append("odd transfer \(t)")
        }
        for id in [t.debitAccountID, t.creditAccountID] where seen.accounts[id.value] == nil {
            seen.problems.append("account \(id) was not made")
        }
        if isFunding {
            seen.fundings += 1
            seen.created += 1
            return .created
        }
        if t.flags == .pending {
            if t.timeout == 0 { seen.problems.append("reserves for ever: \(t)") }
            guard let every = behaviour.refusesPendingEvery else { return .reservedFlag }
            seen.pending += 1
            if seen.pending % every == 0 { return .exceedsCredits }
            seen.reserved[t.id.value] = t.debitAccountID.value
            seen.holds[t.id.value] = t
            seen.created += 1
            let buyer = t.debitAccountID.value
            seen.buying[buyer, default: 0] += 1
            seen.mostAtOnce = max(seen.mostAtOnce, seen.buying[buyer]!)
            tell(t, routing, &seen)
            return .created
        }
        seen.transfers += 1
        seen.created += 1
        tell(t, routing, &seen)
        return .created
    }

    /// Who pays whom, and whether it crosses.
    private func tell(_ t: Transfer, _ routing: Routing, _ seen: inout Seen) {
        seen.debits[t.debitAccountID.value, default: 0] += 1
        seen.credits[t.creditAccountID.value, default: 0] += 1
        if routing.shard(of: t.debitAccountID) != routing.shard(of: t.creditAccountID) { seen.crossing += 1 }
    }

    // MARK: RESP

    private func serveResp(_ fd: CInt) {
        var buffer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        var queued: [Transfer]?
        let routing = Routing(key: HashKey(Self.salt), shardCount: behaviour.shards)
        while true {
            let n = recv(fd, &chunk, chunk.count, 0)
            if n <= 0 { return }
            buffer += chunk[..<n]
            var position = 0
            var out = ""
            while let (words, end) = command(buffer, position) {
                position = end
                out += answer(words, routing, &queued)
            }
            buffer.removeFirst(position)
            send(fd, Array(out.utf8))
        }
    }

    private func command(_ bytes: [UInt8], _ start: Int) -> ([String], Int)? {
        var at = start
        func line() -> String? {
            guard let end = bytes[at...].firstIndex(of: 10) else { return nil }
            defer { at = end + 1 }
            return String(decoding: bytes[at..<end - 1], as: UTF8.self)
        }
        guard let head = line(), head.first == "*", let count = Int(head.dropFirst()) else { return nil }
        var words: [String] = []
        for _ in 0..<count {
            guard let head = line(), let length = Int(head.dropFirst()), at + length + 2 <= bytes.count else {
                return nil
            }
            words.append(String(decoding: bytes[at..<at + length], as: UTF8.self))
            if bytes[at + length] != 13 || bytes[at + length + 1] != 10 { problem("bulk string of a wrong length") }
            at += length + 2
        }
        return (words, at)
    }

    private func number(_ text: String) -> UInt128 {
        (text.hasPrefix("0x") ? UInt128(text.dropFirst(2), radix: 16) : UInt128(text)) ?? 0
    }

    private func answer(_ words: [String], _ routing: Routing, _ queued: inout [Transfer]?) -> String {
        switch words[0] {
        case "MULTI":
            queued = []
            return "+OK\r\n"
        case "EXEC":
            let events = queued ?? []
            queued = nil
            guard events.count == 2 else { return "-EXECABORT\r\n" }
            if isBusy() { return "-BUSY retry after 5 ms\r\n" }
            let codes = seen.withLock { chain(events[0], events[1], routing, &$0) }
            return "*2\r\n" + codes.map { $0 == .created ? "$1\r\n7\r\n" : "-\($0.upperName) no\r\n" }.joined()
        case "TRANSFER.VOID":
            let code = seen.withLock { note(resolution(words, .voidPending), false, routing, &$0) }
            return code == .created ? "$1\r\n7\r\n" : "-\(code.upperName) no\r\n"
        case "TRANSFER.POST" where queued != nil:
            queued?.append(resolution(words, .postPending))
            return "+QUEUED\r\n"
        case "AUTH": return words[1] == behaviour.password ? "+OK\r\n" : "-WRONGPASS no\r\n"
        case "INFO":
            let text =
                "# Server\r\nversion:0.0-fake\r\ndurability:sync\r\nshards:\(behaviour.shards)\r\n"
                + "transfers:\(counted)\r\n"
                + "salt:0123456789abcdef0011223344556677\r\n"
            return "$\(text.utf8.count)\r\n\(text)\r\n"
        case "ACCOUNT.CREATE":
            let flags: UInt16 = words.count > 4 ? 2 : 0
            return seen.withLock {
                $0.accounts.updateValue(flags, forKey: number(words[1])) == nil ? "+OK\r\n" : "-EXISTS was there\r\n"
            }
        case "TRANSFER":
            let t = Transfer(
                id: TransferID(number(words[1])), debit: AccountID(number(words[2])),
                credit: AccountID(number(words[3])),
                amount: Amount(number(words[4])), ledger: UInt32(words[5])!, code: UInt16(words[6])!,
                flags: words.count > 7 ? .pending : [], timeout: words.count > 8 ? UInt32(words[8])! : 0)
            if queued != nil {
                queued?.append(t)
                return "+QUEUED\r\n"
            }
            let isFunding = t.debitAccountID.value == Self.bank
            if !isFunding && isBusy() { return "-BUSY retry after 5 ms\r\n" }
            let code = seen.withLock { note(t, isFunding, routing, &$0) }
            return code == .created ? "$1\r\n7\r\n" : "-\(code.upperName) no\r\n"
        case "TRANSFER.POST":
            let code = seen.withLock { note(resolution(words, .postPending), false, routing, &$0) }
            return code == .created ? "$1\r\n7\r\n" : "-\(code.upperName) no\r\n"
        default: return "-ERR unknown command\r\n"
        }
    }

    private func resolution(_ words: [String], _ flag: TransferFlags) -> Transfer {
        Transfer(
            id: TransferID(number(words[1])), debit: AccountID(number(words[2])), credit: AccountID(0),
            amount: flag == .postPending ? Amount(.max) : .zero, ledger: 0, code: 0, flags: flag,
            pendingID: TransferID(number(words[3])))
    }

    /// The turn of a request that is answered `busy`.
    private func isBusy() -> Bool {
        guard let every = behaviour.busyEvery else { return false }
        return seen.withLock { seen in
            seen.transferRequests += 1
            return seen.transferRequests % every == 0
        }
    }
}
