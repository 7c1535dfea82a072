"""Goal: whatever the machine's clock is set to, while the engine runs, before a start, before the first: no hold expires by it,
no timestamp jumps, no write hangs, unless the operator says that the clock is right. Method: a preloaded clock_gettime that
adds what a file says."""

import mmap
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

import native_client as native
from bad_input import account, info, serve, transfer, verify, wait_until
from server import DATA_PARENT, Server

DAY = 86400
LIBRARY = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile int64_t *ahead;
__attribute__((constructor)) static void begin(void) {
  int fd = open(getenv("CLOCK_AHEAD"), O_RDONLY);
  if (fd >= 0) ahead = mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
}
int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME && ahead) time->tv_sec += *ahead;
  return result;
}
"""


class ClockTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.makedirs(DATA_PARENT, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="clock-", dir=DATA_PARENT)
        cls.addClassCleanup(folder.cleanup)
        cls.library, cls.file = os.path.join(folder.name, "clock.so"), os.path.join(folder.name, "ahead")
        done = subprocess.run(["clang", "-shared", "-fPIC", "-x", "c", "-", "-o", cls.library], input=LIBRARY,
                              text=True, capture_output=True)
        if done.returncode:
            raise unittest.SkipTest(f"no preload library: {done.stderr}")
        with open(cls.file, "wb") as file:
            file.write(bytes(8))
        cls.environment = dict(LD_PRELOAD=cls.library, CLOCK_AHEAD=cls.file)

    def setUp(self):
        file = open(self.file, "r+b")
        self.addCleanup(file.close)
        self.memory = mmap.mmap(file.fileno(), 8)
        self.addCleanup(self.memory.close)
        self.set_clock(0)
        self.next_id = 0

    def set_clock(self, ahead):
        self.memory[:] = struct.pack("<q", int(ahead))

    def server(self, **more):
        server = Server(shards=2, environment=self.environment, options=["--segment", "1MiB"], **more)
        self.addCleanup(server.close)
        return server

    def client(self, server, create=True):
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        client.socket.settimeout(20)
        if create:
            client.create_accounts([account(a) for a in range(1, 9)])
        return client

    def pay(self, client, **more):
        self.next_id += 1
        (code, timestamp, _), = client.create_transfers([dict(transfer(self.next_id, 1, 2), **more)])
        self.assertEqual(code, native.CREATED)
        return timestamp

    def held(self, client):
        return client.lookup_accounts([1])[0]["debits_pending"]

    def seen(self, server, client, field, condition):
        """INFO's field, once it says so: while something is written."""
        def found():
            self.pay(client)
            return condition(float(info(server, "server")[field]))
        wait_until(found, field)

    def assert_today(self, timestamp):
        self.assertLess(abs(timestamp / 1e9 - time.time()), 3600)

    def jumped(self, ahead):
        server = self.server()
        client = self.client(server)
        self.assert_today(self.pay(client, flags=native.PENDING, timeout=3600))
        self.set_clock(ahead)
        return server, client

    def test_a_month_ahead_is_reported_and_not_followed(self):
        server, client = self.jumped(30 * DAY)
        self.seen(server, client, "clock_ahead_seconds", lambda s: abs(s - 30 * DAY) < 10)
        self.assertEqual(self.held(client), 1)
        self.assert_today(self.pay(client))
        self.set_clock(0)
        self.seen(server, client, "clock_ahead_seconds", lambda s: s == 0)
        self.assertEqual(self.held(client), 1)
        text = server.error_text()
        self.assertEqual(text.count("has jumped"), 1, text)
        self.assertEqual(text.count("agree again"), 1, text)

    def test_the_operator_lets_it_follow(self):
        server, client = self.jumped(30 * DAY)
        self.seen(server, client, "clock_ahead_seconds", lambda s: s > 29 * DAY)
        server.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.pay(client) / 1e9 > time.time() + 29 * DAY, "followed")
        self.assertEqual(self.held(client), 0)
        self.seen(server, client, "clock_ahead_seconds", lambda s: s == 0)
        self.assertIn("as it was told to", server.error_text())

    def test_a_small_step_is_followed(self):
        server, client = self.jumped(50)
        wait_until(lambda: self.pay(client) / 1e9 > time.time() + 45, "followed")
        self.assertNotIn("note: the machine's clock", server.error_text())

    def test_what_is_small_is_the_operators_to_say(self):
        server = Server(shards=1, environment=self.environment, options=["--segment", "1MiB", "--clock-jump-max", "10"])
        self.addCleanup(server.close)
        client = self.client(server)
        self.set_clock(50)
        self.seen(server, client, "clock_ahead_seconds", lambda s: s > 40)
        self.assert_today(self.pay(client))

    def test_the_end_of_time_hangs_nothing(self):
        """2554 is the end of 64 bits of nanoseconds; beyond it they begin again."""
        for year in (2500, 2554, 2700, 290_000_000):
            ahead = (year - 1970) * 365.2425 * DAY - time.time()
            with self.subTest(year=year):
                server, client = self.jumped(ahead)
                self.seen(server, client, "clock_ahead_seconds", lambda s: s > 400 * 365 * DAY)
                server.process.send_signal(signal.SIGUSR1)
                wait_until(lambda: "nothing to follow" in server.error_text(), "answered")
                self.assertEqual(self.held(client), 1)
                self.assert_today(self.pay(client))
                # Nor does it after a restart: it ends with a message, and goes on when the clock is set.
                server.kill()
                for options in ([], ["--clock", "follow"]):
                    code, last, _ = serve(server.directory, *options, environment=self.environment)
                    self.assertEqual(code, 1, last)
                    self.assertIn("the machine's clock says", last)
                self.set_clock(0)
                server.start()
                client = self.client(server, create=False)
                self.assertEqual(self.held(client), 1)
                self.assert_today(self.pay(client))
                server.close()
                self.next_id = 0

    def test_a_start_far_ahead_of_the_log_asks_first(self):
        server, client = self.jumped(0)
        server.kill()
        self.set_clock(91 * DAY)
        code, last, _ = serve(server.directory, environment=self.environment)
        self.assertEqual(code, 1)
        self.assertRegex(last, r"the machine's clock says 20\d\d-\d\d-\d\d, 9[01] days after the ledger's last timestamp .*"
                               "start with --clock follow")
        self.assertEqual(verify(server.directory)[0], 0)
        server.options += ["--clock", "follow"]
        server.start()
        self.assertIn("ahead of the ledger's last timestamp", server.error_text())
        client = self.client(server, create=False)
        self.assertGreater(self.pay(client) / 1e9, time.time() + 90 * DAY)
        self.assertEqual(self.held(client), 0)

    def test_weeks_off_are_believed_and_told(self):
        server, client = self.jumped(0)
        server.kill()
        self.set_clock(60 * DAY)
        server.start()
        self.assertIn("holds whose time is over expire now", server.error_text())
        self.assertEqual(self.held(self.client(server, create=False)), 0)

    def test_a_first_start_wants_a_clock_that_is_set(self):
        for said, ahead in (("1970-", -time.time() + 5), ("2000-", 30 * 365.2425 * DAY - time.time() + 5 * DAY),
                            ("2554-", 584 * 365.2425 * DAY - time.time() + 5 * DAY), ("1970-", -2 * time.time())):
            directory = tempfile.mkdtemp(prefix="clock-", dir=DATA_PARENT)
            self.addCleanup(subprocess.run, ["rm", "-rf", directory])
            self.set_clock(ahead)
            code, last, _ = serve(directory, "--segment", "1MiB", "--shards", "2", environment=self.environment)
            self.assertEqual(code, 1, last)
            self.assertIn(f"the machine's clock says {said}", last)
            self.assertEqual(os.listdir(directory), [], "a directory was made")
        # Set right, it starts there.
        self.set_clock(0)
        server = self.server()
        server.kill()
        shutil.rmtree(server.directory)
        os.rename(directory, server.directory)
        server.start()
        self.assert_today(self.pay(self.client(server)))


if __name__ == "__main__":
    unittest.main()
