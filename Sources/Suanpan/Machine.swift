// What the machine is, for reports: figures without their machine say nothing.

internal import CSuanpanSupport
internal import Glibc
internal import SuanpanFront

enum Machine {
    static var memoryBytes: Int { sysconf(CInt(_SC_PHYS_PAGES)) * sysconf(CInt(_SC_PAGESIZE)) }

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
            guard unsafe pwrite(fd, block, 4096, off_t(i % 4) * 4096) == 4096 else { return 0 }
            times.append(suanpan_monotonic_ns() - begun)
        }
        return Double(times.sorted()[8]) / 1e6
    }
}
