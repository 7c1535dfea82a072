// `suanpan version`: what runs here, and whether the kernel has what the engine needs.

internal import ArgumentParser
internal import Glibc
internal import Suanpan
internal import SuanpanCore

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Version, build, kernel features found.")

    /// What `suanpan --version` prints.
    static var line: String { "suanpan \(Version.current) (\(Version.build) build)" }

    func run() throws {
        let out = Output.standard
        try out.print(Self.line)
        try out.print("allocator: \(Allocator.version)")
        try out.print("kernel: \(kernelName())")
        try out.print("io_uring: \(KernelSupport.ringSupport())")
    }
}

/// `Linux 6.1.0-13-amd64 x86_64`.
func kernelName() -> String {
    var names = utsname()
    guard unsafe uname(&names) == 0 else { return "unknown" }
    func text<Field>(_ field: Field) -> String {
        // SAFETY: uname(2) ends every field with a zero byte.
        unsafe withUnsafeBytes(of: field) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
    return "\(text(names.sysname)) \(text(names.release)) \(text(names.machine))"
}
