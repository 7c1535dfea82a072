"""Goal: whichever step of a crossing transfer the process dies at, nothing acknowledged is lost and nothing is half done.
Method: a debug binary that kills itself at each failpoint of Sources/Shard/Testing/Failpoint.swift, then a restart without it."""

import os
import re
import signal
import unittest

import native_client as native
import server as servers
from bad_input import DEBUG_BINARY, account, codes, shard_of, transfer, verify
from server import ROOT, Server


def failpoints():
    with open(os.path.join(ROOT, "Sources", "Shard", "Testing", "Failpoint.swift")) as file:
        return re.findall(r"^    case (\w+)$", file.read(), re.M)


@unittest.skipUnless(os.access(DEBUG_BINARY, os.X_OK), f"no debug binary: {DEBUG_BINARY}")
class FailpointTests(unittest.TestCase):
    def setUp(self):
        self.addCleanup(setattr, servers, "BINARY", servers.BINARY)
        servers.BINARY = DEBUG_BINARY

    def test_each_step(self):
        self.assertGreaterEqual(len(failpoints()), 10)
        for name in failpoints():
            with self.subTest(name):
                self.die_at(name)

    def die_at(self, name):
        server = Server(shards=2, environment={"SUANPAN_FAILPOINT": f"{name}:20"})
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        shard = shard_of(client)
        ids = range(1, 21)
        client.create_accounts([account(id) for id in ids])
        left = [id for id in ids if shard(id) == 0]
        right = [id for id in ids if shard(id) == 1]
        missing = [next(i for i in range(100, 1000) if shard(i) == s) for s in (0, 1)]
        first, sent = {}, {}
        try:
            for n in range(200):
                moves = []
                for k in range(10):
                    id, pair = 1000 + n * 10 + k, (left[k % len(left)], right[n % len(right)])
                    if k % 2:
                        pair = pair[::-1]
                    if name == "refused" and k < 4:
                        pair = (pair[0], missing[shard(pair[1])])
                    moves.append(transfer(id, *pair))
                sent.update((move["id"], move) for move in moves)
                for move, result in zip(moves, client.create_transfers(moves)):
                    first[move["id"]] = result
        except OSError:
            pass
        client.close()
        self.assertEqual(server.process.wait(60), -signal.SIGKILL, f"{name} was never passed")
        server.process.stdout.close()
        server.environment.pop("SUANPAN_FAILPOINT")
        self.assertEqual(verify(server.directory)[0], 0)
        server.start()
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        there = client.lookup_transfers([(m["debit_account_id"], m["id"]) for m in sent.values()])
        self.check_balances(client, ids, there)
        moves = [sent[id] for id in sorted(first)]
        for (code, timestamp, _), id in zip(client.create_transfers(moves), sorted(first)):
            if first[id][0] == native.CREATED:
                self.assertEqual((code, timestamp), (native.EXISTS, first[id][1]))
            else:
                self.assertEqual(code, native.ID_ALREADY_FAILED)
        self.check_balances(client, ids, there)
        self.assertEqual(server.terminate(), 0)
        self.assertEqual(verify(server.directory)[0], 0)

    def check_balances(self, client, ids, there):
        """Both sides of every transfer that is there are in the balances, and nothing else."""
        debits, credits = dict.fromkeys(ids, 0), dict.fromkeys(ids, 0)
        for move in there:
            debits[move["debit_account_id"]] += 1
            credits[move["credit_account_id"]] += 1
        for found in client.lookup_accounts(ids):
            self.assertEqual((found["debits_posted"], found["credits_posted"]),
                             (debits[found["id"]], credits[found["id"]]))


if __name__ == "__main__":
    unittest.main()
