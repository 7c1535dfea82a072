"""Goal: a command whose output could not be written to its last byte says so and ends with 1, whatever the command and whatever
the output; one whose reader has gone away ends without a word. Method: /dev/full, closed descriptors, a pipe that nobody reads."""

import os
import subprocess
import unittest

import native_client as native
from bad_input import Resp, account, transfer
from server import BINARY, Server


class OutputTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=1, options=["--segment", "1MiB"])
        cls.addClassCleanup(cls.server.close)
        client = native.Client(*cls.server.native)
        client.create_accounts([account(1), account(2)])
        client.create_transfers([transfer(1000 + i, 1, 2) for i in range(3000)])
        client.close()
        cls.stopped = Server(shards=1, options=["--segment", "1MiB"])
        cls.addClassCleanup(cls.stopped.close)
        client = native.Client(*cls.stopped.native)
        client.create_accounts([account(1), account(2)])
        client.create_transfers([transfer(1000 + i, 1, 2) for i in range(3000)])
        client.close()
        cls.stopped.terminate()

    def commands(self):
        data = ["--data", self.stopped.directory]
        load = ["load", "--target", "%s:%d" % self.server.native, "--transfers", "10", "--accounts", "10", "--batch", "10"]
        yield ["dump", "accounts", *data]
        yield ["dump", "transfers", *data]
        yield ["dump", "transfers", "--format", "jsonl", *data]
        yield ["verify", *data]
        yield ["verify", "--json", "-", *data]
        yield ["version"]
        yield ["--help"]
        yield ["serve", "--help"]
        yield load
        yield [*load, "--json", "-"]
        yield ["serve", "--native", "127.0.0.1:0", "--resp", "off", *data]

    def test_a_full_disk_as_standard_output(self):
        for words in self.commands():
            with self.subTest(" ".join(words[:4])), open("/dev/full", "w") as full:
                done = subprocess.run([BINARY, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertEqual(done.stderr.splitlines()[-1],
                                 "suanpan: standard output could not be written to its end: No space left on device")

    def test_a_closed_standard_output(self):
        # No file that the command opens may take its place.
        before = open(os.path.join(self.stopped.directory, "LOCK"), "rb").read()
        for words in self.commands():
            with self.subTest(" ".join(words[:4])):
                done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", BINARY, *words], stderr=subprocess.PIPE, text=True,
                                      timeout=60)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("standard output could not be written to its end: Bad file descriptor", done.stderr)
        self.assertEqual(open(os.path.join(self.stopped.directory, "LOCK"), "rb").read(), before)

    def test_a_reader_that_goes_away(self):
        for words in self.commands():
            with self.subTest(" ".join(words[:4])):
                reading, writing = os.pipe()
                os.close(reading)
                done = subprocess.run([BINARY, *words], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
                os.close(writing)
                self.assertEqual(done.returncode, 1)
                self.assertNotIn("suanpan:", done.stderr.replace("suanpan: note:", ""))

    def test_a_report_that_cannot_be_written(self):
        data = ["--data", self.stopped.directory]
        load = ["load", "--target", "%s:%d" % self.server.native, "--transfers", "10", "--accounts", "10", "--batch", "10"]
        for words in (["verify", *data], load):
            done = subprocess.run([BINARY, *words, "--json", "/dev/full"], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertEqual(done.stderr.splitlines()[-1],
                             "suanpan: --json '/dev/full' could not be written to its end: No space left on device")

    def test_a_report_with_no_way_to_it_is_told_before_the_work(self):
        def transfers():
            client = native.Client(*self.server.native)
            try:
                return client.status()["transfers"]
            finally:
                client.close()
        before = transfers()
        load = ["load", "--target", "%s:%d" % self.server.native, "--transfers", "10", "--accounts", "10", "--batch", "10"]
        for words in (["verify", "--data", self.stopped.directory], load):
            done = subprocess.run([BINARY, *words, "--json", "/nowhere/x"], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertEqual(done.stderr, "suanpan: --json '/nowhere/x' cannot be opened: No such file or directory; "
                             "choose another file\n")
        self.assertEqual(transfers(), before)

    def test_an_earlier_report_does_not_pass_for_that_of_a_run_that_failed(self):
        path = os.path.join(self.stopped.directory, "..", f"earlier-{os.getpid()}.json")
        self.addCleanup(os.remove, path)
        for words in (["verify", "--data", "/nowhere"], ["load", "--target", "127.0.0.1:1"]):
            with open(path, "w") as file:
                file.write('{"balanced":true}\n')
            done = subprocess.run([BINARY, *words, "--json", path], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 1, done.stderr)
            with open(path) as file:
                self.assertEqual(file.read(), "", words)

    def test_a_load_of_which_nothing_is_accepted(self):
        server = Server(shards=1, options=["--segment", "1MiB"])
        self.addCleanup(server.close)
        load = ["load", "--target", "%s:%d" % server.native, "--transfers", "10", "--accounts", "10", "--batch", "10",
                "--hot-share", "100", "--hot-accounts", "1"]
        done = subprocess.run([BINARY, *load], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        # All that the load pays it is refused from here on (Docs/Operations.md has its id).
        connection = Resp(server.resp)
        self.addCleanup(connection.close)
        self.assertEqual(connection.ask("ACCOUNT.FREEZE", "0x53504c4f414400010000000000000001", "CREDITS"), "+OK")
        done = subprocess.run([BINARY, *load], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^refused +10 ")
        self.assertRegex(done.stderr.splitlines()[-1], r"^suanpan: none of 10 transfers was accepted; most were: credit")

    def test_what_is_written_whole(self):
        for words in self.commands():
            if words[0] != "serve" or "--help" in words:
                with self.subTest(" ".join(words[:4])):
                    done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=60)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertTrue(done.stdout.endswith("\n"), words)
        done = subprocess.run([BINARY, "dump", "transfers", "--data", self.stopped.directory], capture_output=True, text=True)
        self.assertEqual(done.stdout.count("\n"), 3001)


if __name__ == "__main__":
    unittest.main()
