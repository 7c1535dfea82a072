// The address that an endpoint means, as the kernel takes it.

internal import Glibc

struct SocketAddress: Sendable {
    private var storage = sockaddr_storage()
    private(set) var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

    var family: CInt { CInt(storage.ss_family) }

    private init() {}

    /// Looks a host up; nil where it is not known.
    static func find(_ endpoint: Endpoint) -> SocketAddress? {
        if case .success(let address) = look(endpoint) { return address }
        return nil
    }

    init(_ endpoint: Endpoint) throws(EngineError) {
        switch Self.look(endpoint) {
        case .success(let address): self = address
        case .failure(let error): throw error
        }
    }

    private static func look(_ endpoint: Endpoint) -> Result<SocketAddress, EngineError> {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        // SAFETY: the list is freed below; its first entry is copied before.
        let found = unsafe getaddrinfo(endpoint.host, "\(endpoint.port)", &hints, &list)
        guard found == 0, let first = unsafe list else {
            let why = unsafe String(cString: gai_strerror(found))
            return .failure(.listen(endpoint, "\(why); check the name, or give an address such as 127.0.0.1"))
        }
        defer { unsafe freeaddrinfo(list) }
        var address = SocketAddress()
        address.length = unsafe first.pointee.ai_addrlen
        // SAFETY: the storage is large and aligned enough for any address.
        unsafe withUnsafeMutableBytes(of: &address.storage) {
            unsafe $0.copyMemory(
                from: UnsafeRawBufferPointer(start: first.pointee.ai_addr, count: Int(first.pointee.ai_addrlen)))
        }
        return .success(address)
    }

    /// What a socket is bound to.
    static func bound(to fd: CInt) -> SocketAddress {
        var address = SocketAddress()
        // SAFETY: as above.
        unsafe withUnsafeMutablePointer(to: &address.storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = unsafe getsockname(fd, $0, &address.length)
            }
        }
        return address
    }

    /// As `bind` takes it.
    func withAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        // SAFETY: as above.
        unsafe withUnsafePointer(to: storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, length) }
        }
    }

    /// The port stands at the same place in both families.
    var port: UInt16 {
        unsafe withUnsafeBytes(of: storage) { unsafe $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self) }.byteSwapped
    }

    /// True where only processes of this machine can connect: 127.0.0.0/8, ::1, and the former as an IPv6 address.
    var isLoopback: Bool {
        unsafe withUnsafeBytes(of: storage) { bytes in
            if family == AF_INET { return unsafe bytes[4] == 127 }
            guard family == AF_INET6 else { return false }
            let address = unsafe bytes[8..<24].map { $0 }
            if address[..<15].allSatisfy({ $0 == 0 }) { return address[15] == 1 }
            return address[..<10].allSatisfy { $0 == 0 } && address[10] == 255 && address[11] == 255
                && address[12] == 127
        }
    }
}
