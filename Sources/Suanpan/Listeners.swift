// The sockets that the engine listens on. An address is taken by one engine only: no port sharing, so that a second
// server never gets half of the first one's clients.

internal import Glibc

struct Listeners: Sendable {
    private(set) var nativeFD: CInt = -1
    private(set) var respFD: CInt = -1
    private(set) var nativePort: UInt16 = 0
    private(set) var respPort: UInt16 = 0

    init(native: Endpoint?, resp: Endpoint?) throws(EngineError) {
        if let native { (nativeFD, nativePort) = try Self.listen(native) }
        if let resp {
            do throws(EngineError) { (respFD, respPort) = try Self.listen(resp) } catch {
                close()
                throw error
            }
        }
    }

    func close() {
        if nativeFD >= 0 { Glibc.close(nativeFD) }
        if respFD >= 0 { Glibc.close(respFD) }
    }

    private static func listen(_ endpoint: Endpoint) throws(EngineError) -> (CInt, UInt16) {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        // SAFETY: the list is freed below; its first entry is used before.
        let found = unsafe getaddrinfo(endpoint.host, "\(endpoint.port)", &hints, &list)
        guard found == 0, let first = unsafe list else {
            throw unsafe .listen(endpoint, String(cString: gai_strerror(found)))
        }
        defer { unsafe freeaddrinfo(list) }
        let fd = unsafe socket(first.pointee.ai_family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw .listen(endpoint, message(errno)) }
        var one: CInt = 1
        unsafe setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        guard unsafe bind(fd, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0, Glibc.listen(fd, 4096) == 0 else {
            let why = message(errno)
            Glibc.close(fd)
            throw .listen(endpoint, why + (endpoint.port == 0 ? "" : "; is another server running there?"))
        }
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // SAFETY: the storage is large and aligned enough for any address.
        let port = unsafe withUnsafeMutablePointer(to: &address) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = unsafe getsockname(fd, $0, &length) }
            return unsafe UnsafeRawPointer(storage).loadUnaligned(fromByteOffset: 2, as: UInt16.self).byteSwapped
        }
        return (fd, port)
    }

    private static func message(_ errno: CInt) -> String { unsafe String(cString: strerror(errno)) }
}
