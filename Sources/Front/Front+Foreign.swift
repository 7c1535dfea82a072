// Connections that speak another protocol than their door's: counted, told to the operator, and closed by whoever has read
// their first bytes (`ForeignProtocol`).

internal import SuanpanCore
internal import SuanpanWire

extension Front {
    /// The bytes of a native connection are no frame: another protocol that is known?
    func noteForeign(_ c: Int) {
        guard let other = connections[c].input.withBytes({ ForeignProtocol.beginning(ofFrame: $0) }) else { return }
        Self.noteForeign(other, connections[c].fd, connections[c].door, configuration.board, now)
    }

    static func noteForeign(_ other: ForeignProtocol, _ fd: CInt, _ door: Door, _ board: StatusBoard, _ now: UInt64) {
        board.notices.say(other == .http ? .http : .foreignProtocol, now: now) {
            "\(other.name) at the \(door.name) port from \(Peer.name(fd, ofPeer: true)): connection closed, nothing of it "
                + "executed"
        }
    }
}
