// What the machine is, for reports: figures without their machine say nothing.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanFront

enum Machine {
    static var memoryBytes: Int { sysconf(CInt(_SC_PHYS_PAGES)) * sysconf(CInt(_SC_PAGESIZE)) }

    /// The memory that this process may use, and who says so.
    struct Memory {
        var bytes: Int
        var source: String

        init(_ group: ControlGroup, machineBytes: Int = Machine.memoryBytes) {
            bytes = machineBytes
            source = "this machine has"
            if let limit = group.memoryBytes, limit < bytes {
                bytes = limit
                source = "its control group allows"
            }
        }
    }

    /// The CPUs that this process may run on.
    static func allowedCPUs() -> [Int] {
        var cpus = [CInt](repeating: 0, count: 1024)
        // SAFETY: the call fills at most as many places as it is told, of an array that lives for it.
        let count = unsafe Int(suanpan_allowed_cpus(&cpus, 1024))
        return count > 0 ? cpus.prefix(count).map(Int.init) : [0]
    }

    /// So many threads can run at a time: a quota of CPU time counts as the whole CPUs that it is worth.
    static func parallelism(_ allowed: [Int], _ group: ControlGroup) -> Int {
        group.cpus.map { max(1, min(allowed.count, Int($0))) } ?? allowed.count
    }

    static func facts(dataDirectory: String) -> StatusFacts {
        var facts = StatusFacts()
        facts.dataDirectory = dataDirectory
        facts.filesystem = filesystem(dataDirectory)
        facts.syncMilliseconds = syncMilliseconds(dataDirectory)
        facts.processID = Int(getpid())
        return facts
    }

    static func filesystem(_ path: String) -> String {
        // SAFETY: the path lives for the call; likewise below.
        switch unsafe suanpan_filesystem_type(path) {
        case 0xEF53: "ext4"
        case 0x5846_5342: "xfs"
        case 0x9123_683E: "btrfs"
        case 0x0102_1994: "tmpfs"
        case 0x794C_7630: "overlayfs"
        case 0x6969: "nfs"
        case 0x2FC1_2FC1: "zfs"
        case let other: "0x" + String(other, radix: 16)
        }
    }

    /// Median of a few synced 4 KiB writes into a file of the directory; 0 where that cannot be measured.
    static func syncMilliseconds(_ directory: String) -> Double {
        let path = "\(directory)/.sync-probe"
        let fd = unsafe suanpan_open(path, 1, 0, 1, 1, 0)
        guard fd >= 0 else { return 0 }
        defer {
            close(fd)
            unsafe unlink(path)
        }
        let block = [UInt8](repeating: 0, count: 4096)
        var times: [UInt64] = []
        for i in 0..<17 {
            let begun = suanpan_monotonic_ns()
            // SAFETY: the block is of this length, and lives for the call.
            guard unsafe suanpan_write_at(fd, block, 4096, Int64(i % 4) * 4096) == 4096 else { return 0 }
            times.append(suanpan_monotonic_ns() - begun)
        }
        return Double(times.sorted()[8]) / 1e6
    }
}
