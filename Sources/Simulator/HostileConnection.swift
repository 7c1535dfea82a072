// A connection that sends what is no request: it is told so and closed, and nobody else notices.

import SuanpanCore
import SuanpanFront
import SuanpanWire

final class HostileConnection {
    /// What is to come before the end.
    private enum Expected {
        case status(Status)
        /// An error reply that begins so.
        case error(String)
    }

    private let socket: ClientSocket
    let door: Door
    private var outgoing: [UInt8] = []
    private let expected: Expected
    private var incoming: [UInt8] = []
    private(set) var isOpen = true
    /// It begins something and does not end it: the front must wait for as long as it would for anybody.
    let stops: Bool

    /// - Parameter transfer: One that nobody else asks for, and that must not happen.
    init(_ socket: ClientSocket, _ door: Door, _ transfer: Transfer, _ dice: inout Dice) {
        self.socket = socket
        self.door = door
        switch door {
        case .native: (outgoing, expected, stops) = Self.frame(transfer, &dice)
        case .resp:
            stops = dice.chance(30)
            let text =
                stops
                ? "*7\r\n$8\r\nTRANSFER\r\n$3\r\n10"
                : dice.pick([
                    "*2000\r\n", "*x\r\n", "*1\r\n$-5\r\n", "*1\r\n+PING\r\n", "*2\r\n$4\r\nECHO\r\n$99999999\r\n",
                    "*1\r\n$4\r\nPINGxx\r\n", "ECHO \"half\r\n",
                ])
            outgoing = Array(text.utf8)
            expected = .error(stops ? "-TIMEOUT " : "-ERR Protocol error: ")
        }
    }

    private static func frame(_ transfer: Transfer, _ dice: inout Dice) -> ([UInt8], Expected, stops: Bool) {
        func bytes(_ change: (inout FrameHeader) -> Void) -> [UInt8] {
            var body = OutputBuffer()
            body.append(record: transfer)
            var header = FrameHeader(Operation.createTransfers.rawValue, requestID: 1, count: 1, bodyLength: 128)
            // SAFETY: the buffer does not change while it is read.
            unsafe header.seal(body: body.unsafeBytes)
            change(&header)
            header.headerChecksum = header.computedHeaderChecksum
            var frame = OutputBuffer()
            frame.append(record: header)
            body.withBytes { frame.append($0) }
            return frame.withBytes { bytes in bytes.indices.map { bytes[$0] } }
        }
        var whole = bytes { _ in }
        switch dice.below(9) {
        case 0: return ((0..<dice.between(4, 200)).map { _ in UInt8(dice.below(83)) }, .status(.malformed), false)
        case 1:
            whole[dice.below(4)] ^= 1 << UInt8(dice.below(8))
            return (whole, .status(.malformed), false)
        case 2:
            whole[dice.between(4, 63)] ^= 1 << UInt8(dice.below(8))
            return (whole, .status(.checksumMismatch), false)
        case 3:
            whole[dice.between(64, whole.count - 1)] ^= 1 << UInt8(dice.below(8))
            return (whole, .status(.checksumMismatch), false)
        case 4: return (bytes { $0.version = 2 }, .status(.unsupportedVersion), false)
        case 5: return (bytes { $0.bodyLength = 1 << 20 + 1 }, .status(.tooLarge), false)
        case 6: return (bytes { $0.count = 2 }, .status(.malformed), false)
        default: return (Array(whole.prefix(dice.between(1, whole.count - 1))), .status(.timeout), true)
        }
    }

    /// Some bytes out, and in.
    func exchange(_ countMax: Int) throws {
        guard isOpen else { return }
        outgoing.removeFirst(socket.send(outgoing.prefix(countMax)))
        switch socket.receive(countMax) {
        case .nothing: break
        case .bytes(let bytes): incoming += bytes
        case .end:
            isOpen = false
            if !isTold { throw Failure(description: "what is no request was answered by \(incoming)") }
        }
    }

    private var isTold: Bool {
        switch expected {
        case .error(let begin):
            let text = String(decoding: incoming, as: UTF8.self)
            return text.hasPrefix(begin) && text.hasSuffix("\r\n") && text.split(separator: "\r\n").count == 1
        case .status(let status):
            var reader = FrameReader()
            var offset = 0
            while true {
                switch reader.next(incoming.span, at: &offset) {
                case .header, .body: break
                case .end: return reader.header.status == status && offset == incoming.count
                case .more, .refused: return false
                }
            }
        }
    }
}
