"""Goal: `make demo` speaks from its first second, its commands work as they stand, and it ends with what was shown.
Method: the demo with a short load; each command is typed while it runs; the sums at the end are done again."""

import os
import re
import shlex
import shutil
import subprocess
import threading
import unittest

from server import BINARY, ROOT


@unittest.skipUnless(shutil.which("redis-cli"), "redis-cli is not installed")
class DemoTests(unittest.TestCase):
    def test_the_demo(self):
        demo = subprocess.Popen(
            [os.path.join(ROOT, "Scripts", "demo")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=dict(os.environ, SUANPAN_BINARY=BINARY, LOAD_SECONDS="4"))
        # A demo that says nothing more is ended, so that reading cannot wait for ever.
        guard = threading.Timer(200, demo.terminate)
        guard.start()
        try:
            commands, lines = [], []
            for line in demo.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("  redis-cli "):
                    commands.append(shlex.split(line))
                if re.match(r" +1 s  offered [0-9,]+/s  accepted ", line):
                    answers = [self.typed(command) for command in commands + commands[1:2]]
            errors = demo.stderr.read()
            self.assertEqual(demo.wait(60), 0, errors)
        finally:
            guard.cancel()
            demo.terminate()
            demo.stdout.close()
            demo.stderr.close()
            demo.wait(60)
        self.assertEqual(len(commands), 3, lines)
        account, transfer, totals, again = answers
        self.assertIn("credits_posted", account)
        self.assertRegex(transfer, r"^[0-9]{19}\n$")
        self.assertEqual(again, transfer, "the same command again")
        self.assertRegex(totals, r"debits_posted")
        text = "\n".join(lines)
        self.assertRegex(text, r"making 100,000 accounts")
        counts = re.search(r"nothing lost +([0-9,]+) transfers were acknowledged .*, ([0-9,]+) funded the customers, "
                           r"([0-9]+) came by hand: ([0-9,]+) are there after it", text)
        self.assertTrue(counts, text)
        acknowledged, funded, by_hand, found = (int(n.replace(",", "")) for n in counts.groups())
        self.assertEqual((by_hand, acknowledged + funded + by_hand), (1, found))
        self.assertGreater(acknowledged, 0)
        self.assertRegex(text, rf"intact; 100,001 accounts, {counts.group(4)} transfers")
        self.assertRegex(text, r"books balance +debits and credits are [0-9,]{14,} each")
        self.assertRegex(text, r"fast +up to [0-9,]+ purchases a second")
        paid, voided = (int(n.replace(",", "")) for n in
                        re.search(r"purchases +([0-9,]+) paid and ([0-9,]+) voided", text).groups())
        self.assertGreater(paid, voided)
        self.assertEqual(3 * paid + 2 * voided, acknowledged, "each of them whole")
        self.assertRegex(text, r"all or nothing +merchants got [0-9,]+, their fees are [0-9,]+: 3% to the fen")

    def typed(self, command):
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


if __name__ == "__main__":
    unittest.main()
