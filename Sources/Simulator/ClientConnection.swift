// A client's connection to a front: real frames or commands out, in pieces that somebody else chooses, and replies in,
// parsed strictly. What is not a right reply to something asked is a failure.

import SuanpanCore
import SuanpanFront
import SuanpanWire

final class ClientConnection {
    let door: Door
    private let socket: ClientSocket
    /// Asked, and not in the socket.
    private var outgoing: [UInt8] = []
    private var incoming: [UInt8] = []
    /// Of the frame that is coming in, what was taken of `incoming`.
    private var reader = FrameReader()
    private var body: [UInt8] = []
    /// Bytes that the socket has taken since the beginning.
    private(set) var sent = 0
    /// Not answered, in the order in which they were asked.
    private(set) var inquiries: [Inquiry] = []
    /// Asks nothing more.
    var isLeaving = false
    private var hasEndedSending = false

    init(_ socket: ClientSocket, _ door: Door) {
        self.socket = socket
        self.door = door
    }

    /// Everything is sent and answered.
    var isSettled: Bool { outgoing.isEmpty && inquiries.isEmpty && hasUnderstoodAll && !isLeaving }
    private var hasUnderstoodAll: Bool { incoming.isEmpty && reader.isBetweenFrames }
    /// The socket holds the beginning of a frame or command and not its end.
    var isMidFrame: Bool { inquiries.contains { $0.range.contains(sent) && $0.range.lowerBound < sent } }

    // MARK: Asking

    /// - Parameter questions: Those of `inquiry`, all of one operation.
    func ask(_ inquiry: Inquiry, _ questions: [Question], _ dice: inout Dice) {
        var inquiry = inquiry
        var output = OutputBuffer()
        switch door {
        case .native:
            inquiry.operation = questions[0].operation
            let frame = output.beginFrame()
            var count = 0
            for question in questions { count += question.append(to: &output) }
            var header = FrameHeader(inquiry.operation.rawValue, requestID: inquiry.id, count: count)
            if case .cut(let ids) = questions[0], !ids.isEmpty { header.flags = FrameHeader.consistent }
            output.endFrame(frame, header)
        case .resp:
            let commands: [[String]] =
                switch inquiry.purpose {
                case .ask: questions[0].commands(&dice)
                case .hello: [["HELLO", "3"]]
                case .echo(let word): [["ECHO", word]]
                }
            inquiry.preludes = commands.count - 1
            for words in commands { Self.write(words, isTyped: dice.chance(15), to: &output) }
        }
        let bytes = output.withBytes { bytes in bytes.indices.map { bytes[$0] } }
        let begin = sent + outgoing.count
        inquiry.range = begin..<begin + bytes.count
        outgoing += bytes
        inquiries.append(inquiry)
    }

    private static func write(_ words: [String], isTyped: Bool, to output: inout OutputBuffer) {
        if isTyped { return output.append(text: words.joined(separator: " ") + "\r\n") }
        output.append(text: "*\(words.count)\r\n")
        for word in words { output.append(text: "$\(word.utf8.count)\r\n\(word)\r\n") }
    }

    // MARK: The network

    /// Hands some bytes to the socket. Returns how many it has taken.
    func write(_ countMax: Int) -> Int {
        let taken = socket.send(outgoing.prefix(countMax))
        outgoing.removeFirst(taken)
        sent += taken
        if isLeaving && outgoing.isEmpty && !hasEndedSending {
            socket.endSending()
            hasEndedSending = true
        }
        return taken
    }

    /// Takes some bytes from the socket.
    func read(_ countMax: Int) throws -> ClientSocket.Received {
        let received = socket.receive(countMax)
        switch received {
        case .bytes(let bytes): incoming += bytes
        case .nothing: break
        case .end:
            guard hasEndedSending, inquiries.isEmpty, hasUnderstoodAll else {
                throw Failure(description: "a connection is closed by the server: \(self)")
            }
        }
        return received
    }

    // MARK: Replies

    /// The next reply of those received; nil: none is there as a whole.
    /// - Parameter questions: By event.
    func nextReply(_ question: (Int) -> Question) throws -> (inquiry: Inquiry, replies: [Reply])? {
        switch door {
        case .native: try nextFrame(question)
        case .resp: try nextAnswer(question)
        }
    }

    private func nextFrame(_ question: (Int) -> Question) throws -> (Inquiry, [Reply])? {
        var offset = 0
        defer { incoming.removeFirst(offset) }
        while true {
            switch reader.next(incoming.span, at: &offset) {
            case .more: return nil
            case .header: body = []
            case .body(let piece): body += incoming[piece]
            case .refused(let status): throw Failure(description: "a reply is \(status.name): \(reader.header)")
            case .end: return try answer(reader.header, question)
            }
        }
    }

    /// What a whole frame, its body in `body`, says to what was asked.
    private func answer(_ header: FrameHeader, _ question: (Int) -> Question) throws -> (Inquiry, [Reply]) {
        guard let at = inquiries.firstIndex(where: { $0.id == header.requestID }) else {
            throw Failure(description: "a reply to request \(header.requestID), which was not asked: \(self)")
        }
        let inquiry = inquiries.remove(at: at)
        guard inquiry.range.upperBound <= sent, header.operation == inquiry.operation else {
            throw Failure(description: "a reply to request \(header.requestID) of another kind: \(header)")
        }
        return (inquiry, try Self.replies(header, body, inquiry.events.map(question)))
    }

    private static func replies(_ header: FrameHeader, _ body: [UInt8], _ questions: [Question]) throws -> [Reply] {
        if header.status == .busy && body.isEmpty && header.count == 0 && header.retryAfterMilliseconds > 0 {
            return questions.map { .results(Array(repeating: EventResult(.busy), count: $0.count)) }
        }
        guard header.status == .ok, header.retryAfterMilliseconds == 0, header.flags & ~1 == 0 else {
            throw Failure(description: "not the header of a reply: \(header)")
        }
        switch questions[0] {
        case .transfers, .account, .accounts, .freeze:
            var results = try results(header, body, questions.reduce(0) { $0 + $1.count })[...]
            return questions.map { question in
                defer { results.removeFirst(question.count) }
                return .results(Array(results.prefix(question.count)))
            }
        case .lookupAccount, .lookupTransfer, .cut:
            guard header.flags == 0 else {
                throw Failure(description: "flags of a look-up: \(header)")
            }
            return [try questions[0].reply(body, count: Int(header.count))]
        }
    }

    private static func results(_ header: FrameHeader, _ body: [UInt8], _ count: Int) throws -> [EventResult] {
        let isShort = header.flags == FrameHeader.timestampsOnly
        guard header.count == count, body.count == count * (isShort ? 8 : 16) else {
            throw Failure(description: "\(body.count) bytes for \(count) results: \(header)")
        }
        var buffer = OutputBuffer()
        buffer.append(body.span)
        let results = (0..<count).map { i in
            isShort
                ? EventResult(.created, timestamp: Timestamp(buffer.load(UInt64.self, at: i * 8)))
                : buffer.load(EventResult.self, at: i * 16)
        }
        guard isShort || results.contains(where: { !$0.isCreated }), results.allSatisfy({ $0.reserved == 0 }) else {
            throw Failure(description: "results of another form: \(results)")
        }
        return results
    }

    private func nextAnswer(_ question: (Int) -> Question) throws -> (Inquiry, [Reply])? {
        while let (told, consumed) = try RESPReply.read(incoming[...]) {
            incoming.removeFirst(consumed)
            guard let inquiry = inquiries.first, inquiry.range.lowerBound < sent else {
                throw Failure(description: "a reply to nothing: \(told)")
            }
            if inquiry.preludes > 0 {
                let isFirst = inquiry.preludes == inquiry.events.reduce(1) { $0 + question($1).count }
                guard told == .simple(isFirst ? "OK" : "QUEUED") else {
                    throw Failure(description: "not what MULTI and its commands are told: \(told)")
                }
                inquiries[0].preludes -= 1
                continue
            }
            inquiries.removeFirst()
            guard inquiry.range.upperBound <= sent else { throw Failure(description: "answered before asked: \(told)") }
            switch inquiry.purpose {
            case .ask(let events): return (inquiry, [try question(events[0]).reply(told)])
            case .echo(let word):
                guard told == .bulk(word) else { throw Failure(description: "not the echo of \(word): \(told)") }
            case .hello:
                guard case .map(let fields) = told, fields.contains(.bulk("proto")), fields.contains(.integer(3)) else {
                    throw Failure(description: "not the reply to HELLO: \(told)")
                }
            }
        }
        return nil
    }
}

extension ClientConnection: CustomStringConvertible {
    var description: String {
        "\(door), \(outgoing.count) bytes unsent, \(incoming.count) not understood, \(inquiries.count) unanswered "
            + "\(inquiries.map(\.id))\(isLeaving ? ", leaving" : "")"
    }
}
