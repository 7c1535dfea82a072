// What the system can refuse to give at any time, whatever this process did right: a thread, a descriptor, memory. It is
// thrown, never a reason to end the process: in a library that is the host's to decide.

internal import Glibc

/// Why the system did not give something.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was wanted, to be read after "cannot".
    public var operation: String
    public var errno: CInt

    public init(_ operation: String, errno: CInt) {
        self.operation = operation
        self.errno = errno
    }

    public var description: String {
        // SAFETY: strerror returns a NUL-terminated string or nil; it is copied at once.
        let reason = unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "unknown error"
        return "cannot \(operation): \(reason) (errno \(errno))" + Self.remedy(errno)
    }

    /// What helps against a shortage; empty for any other error.
    public static func remedy(_ errno: CInt) -> String {
        switch errno {
        case EAGAIN: "; raise the limit of threads (ulimit -u, pids.max of the control group), or of memory (ulimit -v)"
        case EMFILE, ENFILE: "; raise the limit of open files (ulimit -n, fs.file-max)"
        case ESTALE: "; somebody has renamed or replaced the directory while it was in use: give it its name back"
        case EFBIG: "; raise the limit of the size of files (ulimit -f), in bytes above that of a segment (--segment)"
        case ENOMEM:
            "; give the engine less (--memory), free some, or raise the limit (ulimit -v, vm.overcommit_memory, "
                + "vm.max_map_count)"
        default: ""
        }
    }
}
