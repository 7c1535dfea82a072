// Reads a file that a person wrote: a configuration, a password, a profile. Bounded, as a path may lead to a device that
// never ends.

internal import Glibc

/// What the kernel says, in its words.
public struct FileProblem: Error {
    public var reason: String
}

public enum SmallFile {
    /// Longer than anything that a person writes.
    public static let bytesMax = 1 << 20

    /// - Throws: Also where the file is longer than `bytesMax`.
    public static func read(_ path: String) throws(FileProblem) -> [UInt8] {
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw FileProblem(reason: System.reason(errno)) }
        defer { close(fd) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            // SAFETY: at most the array's own bytes.
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(fd, $0.baseAddress!, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw FileProblem(reason: System.reason(errno)) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            if bytes.count > bytesMax { throw FileProblem(reason: "it is longer than \(bytesMax) bytes") }
        }
    }
}
