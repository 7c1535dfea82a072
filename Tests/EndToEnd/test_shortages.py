"""Goal: what the machine lacks for a moment is waited for, what a disk says is final. Method: the limit of open files of a
running server lowered to what it has open, in the middle of what needs one more, and raised again; a shard's folder taken away
as a disk that fails."""

import os
import resource
import time
import unittest

import native_client as native
from bad_input import HANG_SECONDS, Resp, account, codes, transfer, wait_until
from server import Server

CAPACITY_EXHAUSTED = 201


class ShortageTests(unittest.TestCase):
    def setUp(self):
        self.server = Server(shards=1, options=["--segment", "1MiB"])
        self.addCleanup(self.server.close)
        self.client = native.Client(*self.server.native)
        self.addCleanup(self.client.close)
        self.client.create_accounts([account(1), account(2)])
        self.next_id = 1000

    def pay(self, count=1000):
        """The codes of a batch of new transfers."""
        first, self.next_id = self.next_id, self.next_id + count
        return set(codes(self.client.create_transfers([transfer(first + i, 1, 2) for i in range(count)])))

    def pay_until(self, condition, what):
        for _ in range(200):
            if condition(self.pay()):
                return
        self.fail(f"never: {what}")

    def allow_no_more_files(self, not_even_in_turn=False):
        """No further file can be opened; returns what takes the limit back. The limit is one of numbers: those below it are
        used up.

        `not_even_in_turn`: a log segment's number that becomes free lies above the limit, and is of no use to the next."""
        folder = f"/proc/{self.server.process.pid}/fd"

        def opened():
            return {int(name): os.path.realpath(os.path.join(folder, name)) for name in os.listdir(folder)}

        def settled():
            # A file that is open for a moment only would leave its number behind.
            before = opened()
            for _ in range(10):
                time.sleep(0.05)
                if opened() != before:
                    return {}
            return before
        while True:
            files = settled()
            segments = [number for number, path in files.items() if path.endswith(".log")]
            limit = min(segments, default=0) if not_even_in_turn else max(files, default=-1) + 1
            if limit and all(number in files for number in range(limit)):
                break
            if files:
                self.addCleanup(Resp(self.server.resp).close)
                self.client.ping()
        pid = self.server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
        return lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    def test_segments_wanted_while_no_file_can_be_opened(self):
        watcher = Resp(self.server.resp)
        self.addCleanup(watcher.close)

        def trouble():
            text = watcher.ask("INFO", "overload")
            return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        self.assertEqual(self.pay(), {native.CREATED})
        self.assertEqual(trouble()["segment_errno"], "0")
        allow = self.allow_no_more_files(not_even_in_turn=True)
        # What is ready is used, then new transfers are refused; nobody hangs, and reads go on.
        self.pay_until(lambda said: said == {CAPACITY_EXHAUSTED}, "transfers are refused")
        wait_until(lambda: trouble()["segment_errno"] == "24", "INFO shows EMFILE")
        self.assertEqual(trouble()["disk_full"], "0")
        self.assertEqual(len(self.client.lookup_accounts([1, 2])), 2)
        self.assertEqual(watcher.ask("PING"), "+PONG")
        allow()
        self.pay_until(lambda said: said == {native.CREATED}, "transfers are taken again")
        wait_until(lambda: trouble()["segment_errno"] == "0", "INFO shows that it is over")
        self.assertIn("no log segment can be prepared at present: Too many open files", self.server.error_text())
        self.assertEqual(self.server.terminate(), 0)
        self.assertEqual(self.server.verify().returncode, 0)

    def test_old_records_wanted_while_no_file_can_be_opened(self):
        # Old enough to have left memory, in a segment that nobody has open.
        for _ in range(30):
            self.assertEqual(self.pay(), {native.CREATED})
        asker = Resp(self.server.resp)
        reader = Resp(self.server.resp)
        self.addCleanup(asker.close)
        self.addCleanup(reader.close)
        allow = self.allow_no_more_files()
        reader.send(b"TRANSFER.GET 1001\r\n")  # By id alone: reads the log.
        again = transfer(1002, 1, 2)
        # The same id again: its record decides whether it is the same.
        for id in (1002, 8000, 15000, 22000):
            self.assertEqual(codes(self.client.create_transfers([dict(again, id=id)])), [native.EXISTS])
        self.assertEqual(asker.ask("PING"), "+PONG")
        allow()
        self.assertIn("1001", str(reader.reply()))
        self.assertEqual(self.pay(), {native.CREATED})
        self.assertEqual(self.server.terminate(), 0)

    def test_address_space_that_ends_while_it_serves(self):
        server = Server(shards=1, options=["--segment", "64MiB", "--memory", "256MiB"])
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        pid = server.process.pid
        client.create_accounts([account(1), account(2)])
        with open(f"/proc/{pid}/statm") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        before = resource.prlimit(pid, resource.RLIMIT_AS)
        resource.prlimit(pid, resource.RLIMIT_AS, (mapped + (24 << 20), before[1]))

        def create(first):
            return set(codes(client.create_accounts([account(id) for id in range(first, first + 8000)])))
        said = set()
        for batch in range(40):
            said |= create(10 + batch * 8000)
            if CAPACITY_EXHAUSTED in said:
                break
        self.assertEqual(said, {native.CREATED, CAPACITY_EXHAUSTED})
        # The accounts that there are can be paid from.
        paid = codes(client.create_transfers([transfer(1 + i, 1, 2) for i in range(4000)]))
        self.assertEqual(set(paid), {native.CREATED})
        resource.prlimit(pid, resource.RLIMIT_AS, before)
        wait_until(lambda: create(1_000_000) <= {native.CREATED, native.EXISTS}, "accounts are taken again")
        self.assertIn("the machine gives no more memory", server.error_text())
        self.assertEqual(server.terminate(), 0)
        self.assertEqual(server.verify().returncode, 0)

    def test_a_failing_disk_ends_the_server(self):
        folder = os.path.join(self.server.directory, "shard-000")
        pid = self.server.process.pid

        def segments_open():
            # The one in use and the two that are ready: what the shard has open it does not miss.
            self.pay(1)
            links = [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
            return sum(os.path.realpath(link).endswith(".log") for link in links) == 3
        wait_until(segments_open, "the shard has opened all segments that are ready")
        os.rename(folder, folder + ".gone")
        process, errors = self.server.process, self.server.errors
        with self.assertRaises((ConnectionError, OSError)):
            for _ in range(200):
                self.pay()
        self.assertEqual(process.wait(HANG_SECONDS), 1)
        last = self.server.error_text().strip().splitlines()[-1]
        self.assertIn("the engine has failed: shard 0: ", last)
        self.assertIn("cannot prepare segment: No such file or directory (errno 2)", last)
        os.rename(folder + ".gone", folder)
        process.stdout.close()
        errors.close()
        self.assertEqual(self.server.verify().returncode, 0)


if __name__ == "__main__":
    unittest.main()
