// Who is at the other end of a connection: for people, and as a key.

internal import Glibc
internal import SuanpanCore

enum Peer {
    /// HOST:PORT of one end of a connection; empty where it has none.
    static func name(_ fd: CInt, ofPeer: Bool) -> String {
        var host = [CChar](repeating: 0, count: 64)
        var port = [CChar](repeating: 0, count: 8)
        let isFound = unsafe withAddress(fd, ofPeer: ofPeer) { address, length in
            // SAFETY: the texts have room for any address and port.
            unsafe getnameinfo(address, length, &host, 64, &port, 8, NI_NUMERICHOST | NI_NUMERICSERV) == 0
        }
        func text(_ bytes: [CChar]) -> String {
            String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        return isFound == true ? "\(text(host)):\(text(port))" : ""
    }

    /// A key of the peer's machine or site: an IPv4 address, the first half of an IPv6 one, 0 where there is neither.
    static func site(_ fd: CInt) -> UInt64 {
        let key: UInt64? = unsafe withAddress(fd, ofPeer: true) { address, length in
            // SAFETY: the kernel has filled in a structure of the family that it names.
            if unsafe Int32(address.pointee.sa_family) == AF_INET {
                return unsafe address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    unsafe UInt64(UInt32(bigEndian: $0.pointee.sin_addr.s_addr))
                }
            }
            guard unsafe Int32(address.pointee.sa_family) == AF_INET6 else { return 0 }
            return unsafe address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                // SAFETY: an IPv6 address has 16 bytes.
                unsafe withUnsafeBytes(of: $0.pointee.sin6_addr) { bytes in
                    let high = unsafe bytes.loadUnaligned(as: UInt64.self)
                    // ::ffff:a.b.c.d is an IPv4 address.
                    let low = unsafe bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                    let isMapped = high == 0 && UInt64(bigEndian: low) >> 32 == 0xFFFF
                    return isMapped ? UInt64(bigEndian: low) & 0xFFFF_FFFF : UInt64(bigEndian: high)
                }
            }
        }
        return key ?? 0
    }

    private static func withAddress<Result>(
        _ fd: CInt, ofPeer: Bool, _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Result
    ) -> Result? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // SAFETY: the kernel writes at most `length` bytes of the local, which lives for the call.
        return unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            let address = unsafe UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
            let result = unsafe ofPeer ? getpeername(fd, address, &length) : getsockname(fd, address, &length)
            return result == 0 ? unsafe body(address, length) : nil
        }
    }
}
