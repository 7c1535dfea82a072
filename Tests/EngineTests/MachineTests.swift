// Goal: an engine takes what its control group leaves it, and is refused where it cannot fit. Method: the files of control
// groups of both versions, as text; the sums of what shards take.

import SuanpanCore
import Testing

@testable import Suanpan

@Suite struct ControlGroupTests {
    private static let unified = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
    private static let split = """
        31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
        35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw

        """

    private func group(_ own: String, _ mounts: String, _ files: [String: String]) -> ControlGroup {
        let fixed = ["/proc/self/cgroup": own, "/proc/self/mountinfo": mounts]
        return ControlGroup { fixed[$0] ?? files["\($0)"] }
    }

    @Test func theLeastBoundUpThePathCounts() {
        let files = [
            "/sys/fs/cgroup/a/memory.max": "1073741824\n", "/sys/fs/cgroup/a/b/memory.max": "max\n",
            "/sys/fs/cgroup/a/b/memory.high": "2147483648\n", "/sys/fs/cgroup/a/cpu.max": "150000 100000\n",
            "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
        ]
        let found = group("0::/a/b\n", Self.unified, files)
        #expect(found.memoryBytes == 1 << 30 && found.cpus == 1.5)
        let high = group("0::/a/b\n", Self.unified, ["/sys/fs/cgroup/a/b/memory.high": "4096\n"])
        #expect(high.memoryBytes == 4096 && high.cpus == nil)
    }

    @Test func versionOne() {
        let files = [
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "251658240\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "-1\n",
            "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        ]
        let found = group("4:memory:/a\n2:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/\n", Self.split, files)
        #expect(found.memoryBytes == 240 << 20 && found.cpus == 0.5)
    }

    @Test func aContainerSeesItsOwnGroupAsTheRoot() {
        let mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        let files = ["/sys/fs/cgroup/memory/memory.limit_in_bytes": "1048576\n"]
        #expect(group("4:memory:/docker/abc\n", mounts, files).memoryBytes == 1 << 20)
        // Of a namespace whose root is elsewhere.
        let outside = group("0::/../other\n", Self.unified, ["/sys/fs/cgroup/memory.max": "4096"])
        #expect(outside.memoryBytes == 4096)
    }

    @Test func noGroupsAreNoBound() {
        #expect(ControlGroup { _ in nil } == ControlGroup { _ in "nonsense" })
        #expect(ControlGroup { _ in nil }.memoryBytes == nil)
    }
}

@Suite struct MemoryPlanTests {
    private func memory(_ bytes: Int, group: Int? = nil) -> Machine.Memory {
        var found = ControlGroup { _ in nil }
        found.memoryBytes = group
        return Machine.Memory(found, machineBytes: bytes)
    }

    private func refusal(_ asked: Int?, shards: Int, _ memory: Machine.Memory) -> String {
        do throws(EngineError) {
            _ = try MemoryPlan(asked, shards: shards, memory)
            return ""
        } catch {
            guard case .configuration(let what) = error else { return "another error" }
            return what
        }
    }

    @Test func theDefaultLeavesRoomForTheRest() throws {
        #expect(try MemoryPlan(nil, shards: 2, memory(16 << 30)).tableBytes == 8 << 30)
        #expect(try MemoryPlan(nil, shards: 2, memory(16 << 30, group: 2 << 30)).tableBytes == 1 << 30)
        let small = try MemoryPlan(nil, shards: 2, memory(16 << 30, group: 240 << 20))
        #expect(small.tableBytes >= 64 << 20 && small.tableBytes + small.fixedBytes <= 240 << 20)
    }

    @Test func whatCannotFitIsRefused() {
        let lanes = refusal(nil, shards: 64, memory(6 << 30))
        #expect(lanes.hasPrefix("64 shards take ") && lanes.contains("this machine has 6144 MiB; use fewer shards"))
        let asked = refusal(4 << 30, shards: 1, memory(16 << 30, group: 2 << 30))
        #expect(asked.hasPrefix("1 shard takes ") && asked.hasSuffix(" MiB)"))
        #expect(
            asked.contains("its tables up to 4096 MiB: its control group allows 2048 MiB; give less memory (at most "))
        #expect(refusal(nil, shards: 1, memory(100 << 20)).contains("give it more memory"))
        #expect(refusal(1 << 30, shards: 2, memory(2 << 30)) == "")
    }

    @Test func fewerShardsWhereMemoryIsSmall() {
        #expect(MemoryPlan.shardsDefault(cpus: 2, memory(16 << 30)) == 2)
        #expect(MemoryPlan.shardsDefault(cpus: 64, memory(4 << 30)) < 32)
        #expect(MemoryPlan.shardsDefault(cpus: 8, memory(128 << 20)) == 1)
        // The table of Docs/Operations.md.
        func fixed(_ tableBytes: Int) -> [Int] {
            [1, 2, 4, 8, 16, 32, 64].map { MemoryPlan.fixedBytes(shards: $0, tableBytes: tableBytes * $0) >> 20 }
        }
        #expect(fixed(256 << 20) == [129, 249, 570, 903, 1876, 4109, 9729])
        #expect(fixed(255 << 20) == [92, 174, 420, 603, 1276, 2909, 7329])
        #expect([1, 2, 8, 64].map { MemoryPlan.laneBytes(shards: $0) >> 20 } == [0, 24, 84, 756])
    }
}

/// Goal: two engines never pin to the same CPU. Method: claims side by side.
@Test func cpusAreClaimedOnce() {
    // Numbers that no machine has.
    let all = [9001, 9002, 9003]
    let first = CPUClaims(2, of: all)
    #expect(first.cpus == [9001, 9002])
    let tooMany = CPUClaims(2, of: all)
    #expect(tooMany.cpus.isEmpty)
    var second: CPUClaims? = CPUClaims(1, of: all)
    #expect(second?.cpus == [9003])
    #expect(CPUClaims(1, of: all).cpus.isEmpty)
    second = nil
    #expect(CPUClaims(1, of: all).cpus == [9003])
    withExtendedLifetime(first) {}
}
