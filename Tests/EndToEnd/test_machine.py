"""Goal: a server takes what its machine, or its control group, leaves it: CPUs that no other server has pinned, memory that
is there; and INFO says how full it is. Method: servers side by side, in a control group where that can be made, and one
that is filled."""

import os
import subprocess
import unittest

import native_client as native
import server as servers
from bad_input import Resp, account, codes, info, run, serve, transfer, wait_until
from server import Server

LIMIT = 240 << 20


def pinned(server):
    """The CPUs of the shards' threads, as the kernel has them: {shard: set of CPUs}."""
    found = {}
    folder = f"/proc/{server.process.pid}/task"
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/comm") as file:
            name = file.read().strip()
        if name.startswith("suanpan-") and name[8:].isdigit():
            found[int(name[8:])] = os.sched_getaffinity(int(task))
    return found


class PinningTests(unittest.TestCase):
    def start(self, **more):
        server = Server(**more)
        self.addCleanup(server.close)
        return server

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one CPU")
    def test_two_servers_pin_to_two_cpus(self):
        # Others on this machine may have pinned theirs.
        first, second = self.start(shards=1), self.start(shards=1)
        if "are not pinned" in first.error_text() + second.error_text():
            self.skipTest("another server has pinned its threads here")
        one, other = pinned(first)[0], pinned(second)[0]
        self.assertEqual((len(one), len(other)), (1, 1))
        self.assertNotEqual(one, other)
        self.assertEqual(info(first, "server")["pinned_cpus"], str(*one))
        self.assertEqual(info(second, "server")["pinned_cpus"], str(*other))
        # As many as there are CPUs: somebody has taken one of them.
        late = self.start(shards=len(os.sched_getaffinity(0)))
        self.assertIn("are not pinned: other engines have pinned theirs", late.error_text())
        self.assertEqual(info(late, "server")["pinned_cpus"], "")
        self.assertTrue(all(len(cpus) > 1 for cpus in pinned(late).values()))
        late.close()
        # A killed server's CPU is free at once.
        first.kill()
        first.start()
        self.assertEqual(pinned(first)[0], one)


class MemoryTests(unittest.TestCase):
    def test_a_full_engine_says_by_what(self):
        server = Server(shards=1, options=["--memory", "64MiB", "--segment", "1MiB"])
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        refused = 0
        next_id = 1
        while not refused:
            self.assertLess(next_id, 400_000)
            results = codes(client.create_accounts([account(id) for id in range(next_id, next_id + 8000)]))
            refused = sum(code == 201 for code in results)
            next_id += 8000
        connection = Resp(server.resp)
        self.addCleanup(connection.close)
        wait_until(lambda: "memory_full_percent:100" in connection.ask("INFO", "memory"), "INFO shows that it is full")
        text = connection.ask("INFO", "memory")
        for line in ("memory_full_percent:100", "fills_first:accounts", "accounts_full_percent:100"):
            self.assertIn(line, text)

    def test_shards_that_cannot_fit_are_refused(self):
        directory = os.path.join(servers.DATA_PARENT, "too-many-shards")
        with open("/proc/meminfo") as file:
            total = int(file.readline().split()[1]) * 1024
        code, last, _ = serve(directory, "--shards", "2", "--memory", str(total))
        self.assertEqual(code, 2)
        self.assertRegex(last, r"2 shards take \d+ MiB of memory \(\d+ MiB of it for the lanes between them\) and their "
                               r"tables up to \d+ MiB: .* \d+ MiB; give less memory \(at most \d+ MiB\), or use fewer")
        self.assertFalse(os.path.exists(directory))

    def test_memory_too_small_for_the_directory_names_what_suffices(self):
        server = Server(shards=2, options=["--memory", "256MiB", "--segment", "1MiB"])
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        # 64 MiB have room for about 62,000 in each shard.
        for first in range(1, 144_001, 8000):
            client.create_accounts([account(id) for id in range(first, first + 8000)])
        server.terminate()
        code, last, _ = serve(server.directory, "--memory", "64MiB")
        self.assertEqual(code, 2, last)
        self.assertRegex(last, r": its 144000 accounts, up to 0 open pending transfers and 0 ids do not fit into --memory 64MiB; "
                               r"start with --memory \d+MiB or more; nothing was changed")
        said = last.split("start with --memory ")[1].split()[0]
        # It is the least: the same from near below as from far.
        less = f"{int(said.removesuffix('MiB')) - 1}MiB"
        code, last, _ = serve(server.directory, "--memory", less)
        self.assertEqual(code, 2, last)
        self.assertIn(f"do not fit into --memory {less}; start with --memory {said} or more", last)
        server.options = ["--memory", said]
        server.start()
        self.assertIn(" accounts=144000 ", server.ready)

    def test_the_bound_comes_from_the_control_group(self):
        group = self.make_group()
        command = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        server = Server(shards=2, prefix=["sh", "-c", command, "sh"])
        self.addCleanup(server.close)
        memory = {name: int(value) for name, value in info(server, "memory").items() if name.endswith("bytes")}
        self.assertEqual(memory["memory_available_bytes"], LIMIT)
        self.assertLessEqual(memory["memory_limit_bytes"] + memory["memory_fixed_bytes"], LIMIT)
        code, last, _ = run("serve", "--data", server.directory + "-too-much", "--native", "127.0.0.1:0", "--resp", "off",
                            "--shards", "2", "--memory", "1GiB", prefix=["sh", "-c", command, "sh"])
        self.assertEqual(code, 2)
        self.assertIn("its control group allows 240 MiB", last)

    def make_group(self):
        for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
            group = os.path.join(root, f"suanpan-test-{os.getpid()}")
            try:
                os.mkdir(group)
                with open(os.path.join(group, limit), "w") as file:
                    file.write(str(LIMIT))
                self.addCleanup(subprocess.run, ["sh", "-c", f"sleep 0.2; rmdir {group}"])
                return group
            except OSError:
                if os.path.isdir(group):
                    os.rmdir(group)
        self.skipTest("no memory controller to write to")


if __name__ == "__main__":
    unittest.main()
