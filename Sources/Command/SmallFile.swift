// Reads a file that a person wrote: a configuration or a password. The only reader of files in the commands.

internal import Glibc

/// What the kernel says, in its words.
struct FileProblem: Error {
    var reason: String
}

/// - Parameter bytesMax: A longer file is refused: what a person wrote is small.
func readSmallFile(_ path: String, bytesMax: Int) throws(FileProblem) -> [UInt8] {
    func kernelSays() -> FileProblem { FileProblem(reason: unsafe String(cString: strerror(errno))) }
    let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { throw kernelSays() }
    defer { close(fd) }
    var bytes = [UInt8](repeating: 0, count: bytesMax + 1)
    var length = 0
    while length < bytes.count {
        // SAFETY: at most what is left of the array.
        let count = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe read(fd, buffer.baseAddress! + length, buffer.count - length)
        }
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw kernelSays() }
        if count == 0 { break }
        length += count
    }
    guard length <= bytesMax else { throw FileProblem(reason: "it is longer than \(bytesMax) bytes") }
    return Array(bytes[..<length])
}
