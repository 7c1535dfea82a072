// What the tests of the client share: loopback sockets.

import Foundation
import Testing

func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    address.sin_port = port.bigEndian
    return address
}

/// A TCP socket with a port of its own.
func bound() throws -> (CInt, UInt16) {
    let fd = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    var address = loopback(0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let port = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> UInt16? in
            guard bind(fd, generic, length) == 0, getsockname(fd, generic, &length) == 0 else { return nil }
            return UInt16(bigEndian: pointer.pointee.sin_port)
        }
    }
    return (fd, try #require(port))
}
