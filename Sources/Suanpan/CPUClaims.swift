// Which CPUs the engines of a machine have pinned threads to: two that take the same one halve each other while others
// idle. A claim is a socket with a name in Linux' abstract namespace: no file and no right is needed, every user sees it, and
// the kernel gives it back when the process ends, however it ends. Engines in other network namespaces are not seen.

internal import Glibc

final class CPUClaims: Sendable {
    /// In the order of the shards; empty: nothing is pinned.
    let cpus: [Int]
    private let sockets: [CInt]

    /// Claims CPUs for so many threads, all or none.
    /// - Parameter allowed: Those that this process may run on.
    init(_ count: Int, of allowed: [Int]) {
        var cpus: [Int] = []
        var sockets: [CInt] = []
        for cpu in allowed where cpus.count < count {
            guard let socket = Self.claim(cpu) else { continue }
            cpus.append(cpu)
            sockets.append(socket)
        }
        if cpus.count < count {
            for socket in sockets { close(socket) }
            cpus = []
            sockets = []
        }
        self.cpus = cpus
        self.sockets = sockets
    }

    deinit { for socket in sockets { close(socket) } }

    /// - Returns: Nil where somebody has it.
    private static func claim(_ cpu: Int) -> CInt? {
        let fd = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // A name that begins with a zero byte is no path.
        let name = [0] + Array("suanpan-cpu-\(cpu)".utf8)
        let length = MemoryLayout<sa_family_t>.size + name.count
        // SAFETY: the name is shorter than the path's 108 bytes; the address outlives the call.
        let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            let raw = unsafe UnsafeMutableRawPointer(pointer)
            for (i, byte) in name.enumerated() {
                unsafe raw.storeBytes(of: byte, toByteOffset: MemoryLayout<sa_family_t>.size + i, as: UInt8.self)
            }
            return unsafe bind(fd, raw.assumingMemoryBound(to: sockaddr.self), socklen_t(length))
        }
        if result == 0 { return fd }
        close(fd)
        return nil
    }
}
