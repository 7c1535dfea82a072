"""Goal: the measurements of sales, hot accounts, crossing transfers and expiry can't rot, and measure what they say. Method:
each in its small size, which ends with 0 only if all counts add up, in the reports and in the files; figures are not judged."""

import os
import re
import subprocess
import unittest

from server import BINARY, ROOT

SECONDS_MAX = 180


class SmallSizeTests(unittest.TestCase):
    def small(self, script, *lines):
        done = subprocess.run(
            [os.path.join(ROOT, "Perf", script), "--small", BINARY], capture_output=True, text=True, timeout=SECONDS_MAX,
            env=dict(os.environ, SUANPAN_BINARY=BINARY))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for line in lines:
            self.assertRegex(done.stdout, line)
        self.assertNotIn("without a figure", done.stdout)
        return done.stdout

    def test_purchase(self):
        self.small("purchase", r"resp, 2 shards, 1 merchant and 1 fee account against 50 and 50: \S+ and \S+: [0-9.]+ ",
                   r"native, 1 merchant and 1 fee account, 2 shards against 1: \S+ and \S+: [0-9.]+ ")

    def test_hot(self):
        text = self.small("hot", r"chains of 2, hot credits against uniform: \S+ and \S+: [0-9.]+ ",
                          r"plain, hot debits against uniform: \S+ and \S+: [0-9.]+ ")
        self.assertEqual(len(re.findall(r"^  (?:chains|plain)\S*(?:, hot \w+)?: \d+", text, re.M)), 6)

    def test_crossing(self):
        text = self.small("crossing", r"chains of 2, 2 shards against 1, events/s: \S+ and \S+: [0-9.]+ ")
        # What crosses stands in two logs.
        found = re.search(r"log bytes a transfer, 2 shards, all crossing against none: (\S+) and (\S+):", text)
        self.assertGreater(float(found[1]), 1.1 * float(found[2]))

    def test_expiry(self):
        self.small("expiry", r"later: 500 holds made in \S+ s, released \S+ s after the last was due, 0 left")

    def test_a_wrong_command_line(self):
        for script in ("purchase", "hot", "crossing", "expiry"):
            for words in (["--smal"], ["/no/such/binary"]):
                done = subprocess.run([os.path.join(ROOT, "Perf", script), *words], capture_output=True, text=True, timeout=30)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertIn("usage: Perf/" + script, done.stderr)


if __name__ == "__main__":
    unittest.main()
