// What the control groups of this process allow it: less than the machine has, in a container or under systemd. Read once,
// at the start. Both versions of control groups, and every group up the path, as each bounds all below it.

internal import Glibc

struct ControlGroup: Sendable, Equatable {
    /// Beyond it the kernel kills, or reclaims so hard that nothing goes on; nil: no bound.
    var memoryBytes: Int?
    /// CPU time per time; nil: no bound.
    var cpus: Double?

    /// Of this process.
    static func current() -> ControlGroup { ControlGroup(read: SmallTextFile.read) }

    /// - Parameter read: The text of a file; nil: there is none.
    init(read: (String) -> String?) {
        guard let groups = read("/proc/self/cgroup"), let mounts = read("/proc/self/mountinfo") else { return }
        for line in groups.split(separator: "\n") {
            // 4:memory:/path, or 0::/path of version 2.
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let controllers = parts[1].split(separator: ",")
            let isUnified = parts[1].isEmpty
            guard isUnified || controllers.contains("memory") || controllers.contains("cpu") else { continue }
            guard let mount = Self.mount(of: controllers, in: mounts) else { continue }
            for folder in mount.folders(of: String(parts[2])) {
                let names = isUnified ? ["memory.max", "memory.high"] : ["memory.limit_in_bytes"]
                for name in names {
                    guard let bytes = read("\(folder)/\(name)").flatMap(Self.bytes) else { continue }
                    memoryBytes = min(memoryBytes ?? bytes, bytes)
                }
                guard let share = Self.cpus(folder, isUnified: isUnified, read) else { continue }
                cpus = min(cpus ?? share, share)
            }
        }
    }

    /// `max`, or a number so large that it means the same.
    private static func bytes(_ text: String) -> Int? {
        guard let bytes = Int(text.filter { $0 != "\n" }), bytes > 0, bytes < 1 << 60 else { return nil }
        return bytes
    }

    private static func cpus(_ folder: String, isUnified: Bool, _ read: (String) -> String?) -> Double? {
        func numbers(_ name: String) -> [Double?] {
            (read("\(folder)/\(name)") ?? "").split { $0 == " " || $0 == "\n" }.map { Double($0) }
        }
        let found =
            isUnified ? numbers("cpu.max") : numbers("cpu.cfs_quota_us").prefix(1) + numbers("cpu.cfs_period_us")
        guard found.count == 2, let quota = found[0], let period = found[1], quota > 0, period > 0 else { return nil }
        return quota / period
    }

    /// Where a hierarchy is mounted, and which of its groups is seen there as the root.
    private struct Mount {
        var root: String
        var point: String

        /// The folder of a group and of all above it that are seen here.
        func folders(of path: String) -> [String] {
            // In a container without a namespace of its own the path is the host's and the mount shows a part of it.
            var rest = path
            if root != "/" { rest = path.hasPrefix(root) ? String(path.dropFirst(root.count)) : "" }
            var names = rest.split(separator: "/").filter { $0 != ".." }
            var folders = [point]
            while !names.isEmpty {
                folders.append(point + "/" + names.joined(separator: "/"))
                names.removeLast()
            }
            return folders
        }
    }

    private static func mount(of controllers: [Substring], in mounts: String) -> Mount? {
        for line in mounts.split(separator: "\n") {
            // 35 31 0:32 /root /point rw,relatime - cgroup cgroup rw,memory
            let words = line.split(separator: " ")
            guard let dash = words.firstIndex(of: "-"), dash >= 5, words.count > dash + 3 else { continue }
            let type = words[dash + 1]
            let options = words[dash + 3].split(separator: ",")
            let isWanted =
                controllers.isEmpty
                ? type == "cgroup2" : type == "cgroup" && controllers.allSatisfy { options.contains($0) }
            if isWanted { return Mount(root: String(words[3]), point: String(words[4])) }
        }
        return nil
    }
}

/// Files that the kernel makes when they are read.
enum SmallTextFile {
    static func read(_ path: String) -> String? {
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var text: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            // SAFETY: at most so many bytes into an array of as many.
            let count = unsafe piece.withUnsafeMutableBytes { unsafe Glibc.read(fd, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return String(decoding: text, as: UTF8.self) }
            text += piece[..<count]
        }
    }
}
