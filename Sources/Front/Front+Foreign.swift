// Connections that speak another protocol than their door's: counted, told to the operator, and closed by whoever has read
// their first bytes (`ForeignProtocol`).

internal import SuanpanCore
internal import SuanpanWire

extension Front {
    /// Counts a protocol that is not the door's, and tells the operator.
    mutating func noteForeign(_ c: Int, _ other: ForeignProtocol) {
        statistics.foreignProtocols += 1
        if other == .http { statistics.http += 1 }
        let fd = connections[c].fd
        let door = connections[c].door
        configuration.board.notices.say(.foreignProtocol, now: now) {
            "\(other.name) at the \(door.name) port from \(Peer.name(fd, ofPeer: true)): connection closed, nothing of it "
                + "executed"
        }
    }
}
