"""Goal: sums and several accounts are always seen as of one moment, whatever is under way, and nothing that a client has
seen is lost. Method: threads that move money between a closed set of accounts, over one to four shards, while others ask
for totals and for all accounts every 10 ms; then a kill. SUANPAN_CUT_SECONDS makes it longer."""

import os
import random
import threading
import time
import unittest

import native_client as native
import server as servers
from bad_input import DEBUG_BINARY, account, codes, info, transfer, wait_until
from history.doors import Resp, parse_map
from server import Server

SECONDS = float(os.environ.get("SUANPAN_CUT_SECONDS", "2"))
IDS = range(1, 41)
SIDES = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")


class Mover(threading.Thread):
    """Moves money between the accounts until told to stop, or the server is gone."""

    def __init__(self, server, number):
        super().__init__(daemon=True)
        self.server, self.number, self.stopping = server, number, False
        self.moved = self.sent = 0

    def run(self):
        r = random.Random(self.number)
        client = native.Client(*self.server.native)
        pending = []
        try:
            while not self.stopping:
                moves = []
                for k in range(50):
                    self.sent += 1
                    id = self.number * 10 ** 9 + self.sent
                    debit, credit = r.sample(IDS, 2)
                    move = dict(transfer(id, debit, credit, r.randint(1, 9)), flags=0)
                    if k % 10 == 0:
                        move["flags"] = native.PENDING
                        pending.append((id, debit))
                    elif k % 10 == 5 and pending:
                        named, debit = pending.pop()
                        kind = r.choice((native.POST_PENDING, native.VOID_PENDING))
                        move = dict(id=id, debit_account_id=debit, pending_id=named, flags=kind,
                                    amount=native.ALL if kind == native.POST_PENDING else 0)
                    elif k in (21, 22):
                        move["flags"] = native.LINKED
                    moves.append(move)
                self.moved += sum(code == native.CREATED for code, _, _ in client.create_transfers(moves))
        except OSError:
            pass
        client.close()


class CutTests(unittest.TestCase):
    def watch(self, server, until, resp):
        """Asks for sums and accounts over one door; returns how often, and the last sums."""
        client, connection = native.Client(*server.native), Resp(server.resp)
        rounds, last = 0, dict.fromkeys(SIDES, 0)
        try:
            while time.monotonic() < until:
                if resp:
                    connection.send([["TOTALS"], ["ACCOUNT.GET", *IDS]])
                    totals = {t["ledger"]: t for t in (parse_map(item, ()) for item in connection.reply())}
                    accounts = [parse_map(item, ()) for item in connection.reply()]
                else:
                    totals, accounts = client.totals(), client.lookup_accounts(IDS, consistent=True)
                self.assertEqual(list(totals), [1])
                self.assertEqual([a["id"] for a in accounts], list(IDS))
                for sums in (totals[1], {name: sum(a[name] for a in accounts) for name in SIDES}):
                    self.assertEqual(sums["debits_pending"], sums["credits_pending"])
                    self.assertEqual(sums["debits_posted"], sums["credits_posted"])
                    self.assertGreaterEqual(sums["debits_posted"], last["debits_posted"])
                    last = sums
                rounds += 1
                time.sleep(0.01)
        except OSError:
            pass
        client.close()
        connection.close()
        return rounds, last

    def test_balanced_at_every_moment(self):
        for shards in (1, 2, 4):
            for resp in (False, True):
                with self.subTest(shards=shards, resp=resp):
                    self.under_load(shards, resp, dies=False)

    def test_nothing_seen_is_lost(self):
        for shards in (1, 2, 4):
            with self.subTest(shards=shards):
                self.under_load(shards, False, dies=True)

    def under_load(self, shards, resp, dies):
        server = Server(shards=shards)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        client.create_accounts([account(id) for id in IDS])
        client.close()
        movers = [Mover(server, number) for number in (1, 2)]
        for mover in movers:
            mover.start()
        if dies:
            threading.Timer(SECONDS / 2, server.process.kill).start()
        rounds, last = self.watch(server, time.monotonic() + SECONDS, resp)
        for mover in movers:
            mover.stopping = True
            mover.join()
        self.assertGreater(rounds, 5)
        self.assertGreater(min(mover.moved for mover in movers), 100)
        if dies:
            server.process.wait(60)
            server.process.stdout.close()
            server.errors.close()
            server.start()
            rounds, after = self.watch(server, time.monotonic() + 0.2, resp)
            self.assertGreater(rounds, 0)
            self.assertGreaterEqual(after["debits_posted"], last["debits_posted"])
        self.assertEqual(server.terminate(), 0)
        self.assertEqual(server.verify().returncode, 0)
        server.close()

    def test_words(self):
        server = Server(shards=2)
        self.addCleanup(server.close)
        client, connection = native.Client(*server.native), Resp(server.resp)
        self.assertEqual(client.totals(), {})
        client.create_accounts([account(id) for id in (1, 2, 3)] + [dict(account(4), ledger=7)])
        connection.send([["TRANSFER", 1, 1, 2, 5, 1, 1], ["ACCOUNT.GET", 2, 9, 1], ["TRANSFER", 2, 2, 1, 1, 1, 1], ["TOTALS"]])
        first, accounts, second, totals = [connection.reply() for _ in range(4)]
        # In the order of the pipeline: after the first transfer, before the second.
        self.assertIsNone(accounts[1])
        self.assertEqual([parse_map(a, ())["credits_posted"] for a in (accounts[0], accounts[2])], [5, 0])
        totals = [parse_map(item, ()) for item in totals]
        self.assertEqual([t["ledger"] for t in totals], [1, 7])
        self.assertEqual([t["debits_posted"] for t in totals], [6, 0])
        self.assertTrue(int(first) < int(second) <= totals[0]["timestamp"] == totals[1]["timestamp"])
        self.assertEqual(list(client.totals([7, 8])), [7])
        self.assertEqual(len(client.lookup_accounts([3, 9, 4, 3], consistent=True)), 3)
        wait_until(lambda: info(server, "totals").get("ledgers") == "2", "INFO tells the sums")
        self.assertEqual(info(server, "totals")["balanced"], "1")
        client.close()
        connection.close()

    @unittest.skipUnless(os.access(DEBUG_BINARY, os.X_OK), f"no debug binary: {DEBUG_BINARY}")
    def test_broken_books_stop_writes(self):
        self.addCleanup(setattr, servers, "BINARY", servers.BINARY)
        servers.BINARY = DEBUG_BINARY
        server = Server(shards=2, environment={"SUANPAN_FAULT": "loseCredits"})
        self.addCleanup(server.close)
        client, connection = native.Client(*server.native), Resp(server.resp)
        client.create_accounts([account(id) for id in IDS])
        self.assertEqual(codes(client.create_transfers([transfer(1, 1, 2, 665)])), [native.CREATED])
        self.assertEqual(info(server, "overload")["writes_stopped"], "0")
        self.assertEqual(codes(client.create_transfers([transfer(2, 1, 2, 666)])), [native.CREATED])
        # Nobody asks: the engine looks by itself.
        wait_until(lambda: info(server, "overload")["writes_stopped"] == "1", "writes stop")
        self.assertEqual(info(server, "totals")["balanced"], "0")
        for operation, body in ((native.CREATE_TRANSFERS, bytes(128)), (native.CREATE_ACCOUNTS, bytes(128)),
                                (native.FREEZE_ACCOUNTS, bytes(32))):
            with self.assertRaises(native.Refused) as refused:
                client.call(operation, 1, body)
            self.assertEqual(refused.exception.status, native.UNBALANCED)
        connection.send([["TRANSFER", 3, 1, 2, 1, 1, 1], ["TRANSFER", 3, 1, 2, 1, 1, 1, "PENDING"],
                         ["ACCOUNT.CREATE", 99, 1, 1], ["ACCOUNT.FREEZE", 1, "BOTH"]])
        for _ in range(4):
            self.assertTrue(str(connection.reply()).startswith("UNBALANCED "))
        # Reads go on, and say what is wrong.
        sums = client.totals()[1]
        self.assertEqual((sums["debits_posted"], sums["credits_posted"]), (1331, 665))
        self.assertEqual(len(client.lookup_accounts([1, 2])), 2)
        client.close()
        connection.close()
        server.process.terminate()
        self.assertEqual(server.process.wait(60), 0)
        self.assertIn("debits and credits of ledger 1 differ", server.error_text())
        server.process.stdout.close()


if __name__ == "__main__":
    unittest.main()
