// The sockets that the engine listens on. An address is taken by one engine only: no port sharing, so that a second
// server never gets half of the first one's clients.

internal import Glibc

struct Listeners: Sendable {
    private(set) var nativeFD: CInt = -1
    private(set) var respFD: CInt = -1
    private(set) var nativePort: UInt16 = 0
    private(set) var respPort: UInt16 = 0

    init(_ configuration: EngineConfiguration) throws(EngineError) {
        let hasPassword = configuration.password != nil
        if let native = configuration.native {
            (nativeFD, nativePort) = try Self.listen(.native, native, hasPassword: hasPassword)
        }
        if let resp = configuration.resp {
            do throws(EngineError) {
                (respFD, respPort) = try Self.listen(.resp, resp, hasPassword: hasPassword)
            } catch {
                close()
                throw error
            }
        }
    }

    func close() {
        if nativeFD >= 0 { Glibc.close(nativeFD) }
        if respFD >= 0 { Glibc.close(respFD) }
    }

    private static func listen(
        _ field: EngineConfiguration.Field, _ endpoint: Endpoint, hasPassword: Bool
    ) throws(EngineError) -> (CInt, UInt16) {
        let address = try SocketAddress(endpoint)
        let fd = socket(address.family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { throw .listen(endpoint, message(errno)) }
        var one: CInt = 1
        // SAFETY: an option of four bytes from a local.
        unsafe setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        func refused() -> EngineError {
            let why = message(errno)
            Glibc.close(fd)
            return .listen(endpoint, why + (endpoint.port == 0 ? "" : "; is another server running there?"))
        }
        guard unsafe address.withAddress({ unsafe bind(fd, $0, $1) }) == 0 else { throw refused() }
        // What counts is where it listens, not what a name meant when it was looked at.
        let bound = SocketAddress.bound(to: fd)
        guard hasPassword || bound.isLoopback else {
            Glibc.close(fd)
            throw .configuration("\(ConfigurationProblem.beyondLoopback(field, endpoint))")
        }
        guard Glibc.listen(fd, 4096) == 0 else { throw refused() }
        return (fd, bound.port)
    }

    private static func message(_ errno: CInt) -> String { unsafe String(cString: strerror(errno)) }
}
