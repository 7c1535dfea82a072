// The `suanpan` executable: the allocator and the exit code. Everything else is in SuanpanCommand, which tests link
// without jemalloc (it aborts under ThreadSanitizer).

internal import CSuanpanJemalloc
internal import CSuanpanSupport
internal import Glibc
internal import SuanpanCommand

@main
enum Main {
    static func main() {
        suanpan_die_of_fatal_signals()
        suanpan_end_as_first_process()
        if let wrong = firstArgumentNotUTF8() {
            exit(Program.refuse("argument \(wrong) is not UTF-8; write it in UTF-8"))
        }
        let arguments = Array(CommandLine.arguments.dropFirst())
        // An operator's word about the clock (`ClockSignal`): before somebody listens it must not end the server.
        if arguments.first == "serve" { signal(SIGUSR1, SIG_IGN) }
        let code = Allocator.$version.withValue("jemalloc \(jemallocVersion())") { Program.run(arguments) }
        if code > Program.signalCodes { end(by: code - Program.signalCodes) }
        exit(code)
    }

    /// Swift mends what is not UTF-8: a directory or a password would be another than the one that was given.
    private static func firstArgumentNotUTF8() -> Int? {
        // SAFETY: the arguments live as long as the process.
        (1..<max(1, Int(CommandLine.argc))).first { i in
            unsafe CommandLine.unsafeArgv[i].map { unsafe String(validatingCString: $0) == nil } ?? false
        }
    }

    /// A command that has told what a signal cut short ends by that signal, so that a shell and systemd see it. Returns in the
    /// first process of a container, which the kernel does not end so.
    private static func end(by number: CInt) {
        signal(number, SIG_DFL)
        raise(number)
    }

    /// Also the reference that makes the linker keep jemalloc, which then serves every malloc of the process.
    private static func jemallocVersion() -> String {
        var version: UnsafePointer<CChar>? = nil
        var size = unsafe MemoryLayout<UnsafePointer<CChar>?>.size
        // SAFETY: "version" is a read-only `const char *` of `size` bytes that lives as long as the process.
        let result = unsafe mallctl("version", &version, &size, nil, 0)
        guard result == 0, let text = unsafe version else { return "of unknown version" }
        return unsafe String(cString: text)
    }
}
