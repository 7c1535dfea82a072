"""Goal: Perf/one-connection measures what it says: everything that it pipelines is answered, and the ledger holds the sum of
it. Method: the script at a small size; it checks replies and balances itself and ends with another status where they are
wrong. Its times are not looked at."""

import os
import subprocess
import unittest

from server import BINARY, ROOT


class OneConnectionTests(unittest.TestCase):
    def test_a_small_run_is_right(self):
        environment = dict(os.environ, SUANPAN_BINARY=BINARY, ROUNDS="1", COMMANDS="600", ACCOUNTS="40")
        run = subprocess.run([os.path.join(ROOT, "Perf", "one-connection")], env=environment, capture_output=True, text=True,
                             timeout=300)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        for shards in (1, 2):
            for name in ("many", "one", "pending", "post", "void", "exec", "freeze"):
                self.assertRegex(run.stdout, rf"round 1, {shards} shard.*\b{name} [0-9]+ ")


if __name__ == "__main__":
    unittest.main()
