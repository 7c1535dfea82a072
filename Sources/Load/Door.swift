// Which door a target is, for one that does not answer as asked: native and RESP port are easily mixed up, and so are
// ports of other servers. Found out by two questions over connections of their own; each kind of server answers one of
// them in its own way.

enum Door: Equatable {
    case native, resp, http, tls
    /// Closed, silent, or nothing that is known here.
    case other

    /// A request of a strange method for HTTP, two commands for RESP, a header's length of garbage for the native protocol.
    private static let question =
        Array("PING / HTTP/1.0\r\nUser-Agent: suanpan load, asking what answers here\r\n\r\n".utf8)
    /// The shortest ClientHello of TLS 1.2 with one suite: answered by a ServerHello or an alert, always.
    private static let clientHello: [UInt8] =
        [22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3] + [UInt8](repeating: 7, count: 32) + [0, 0, 2, 0xC0, 0x2F, 1, 0]

    static func identify(_ address: SocketAddress, target: String) -> Door {
        let answer = ask(question, address, target)
        if answer.starts(with: "SPN1".utf8) { return .native }
        if answer.starts(with: "HTTP/".utf8) { return .http }
        if let first = answer.first, first == UInt8(ascii: "+") || first == UInt8(ascii: "-") { return .resp }
        let isTLS = { (bytes: [UInt8]) in bytes.count > 2 && (bytes[0] == 21 || bytes[0] == 22) && bytes[1] == 3 }
        return isTLS(answer) || isTLS(ask(clientHello, address, target)) ? .tls : .other
    }

    /// The first bytes of the answer; empty where there is none within a second.
    private static func ask(_ question: [UInt8], _ address: SocketAddress, _ target: String) -> [UInt8] {
        do throws(LoadError) {
            var socket = try BlockingSocket([address], target: target, connectSeconds: 1, seconds: 1)
            try socket.send(question)
            return try socket.receive(exactly: 5)
        } catch {
            // No answer is an answer.
            return []
        }
    }

    /// What to tell somebody who wanted to speak `wire` here; nil: it is the door that was meant, or nobody knows.
    func advice(wanting wire: LoadProtocol) -> String? {
        let port = wire == .native ? "native" : "resp"
        let ready = "give the port that `suanpan serve` names as \(port)= when it is ready"
        switch (self, wire) {
        case (.native, .native), (.resp, .resp), (.other, _): return nil
        case (.native, .resp): return "this is a native port: \(ready), or leave --protocol resp out"
        case (.resp, .native):
            return "this is a RESP port (the protocol of Redis): \(ready), or say --protocol resp"
        case (.http, _): return "an HTTP server answers there, not suanpan: \(ready)"
        case (.tls, _): return "a TLS server answers there, and suanpan has no TLS: \(ready)"
        }
    }
}
