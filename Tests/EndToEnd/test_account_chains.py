"""Goal: accounts created as a chain are all there or none, on one shard and across several, through both protocols, and
after kill -9. Method: native_client.py and redis-py against a real server, killed while chains are under way."""

import random
import threading
import unittest

import redis

import native_client as native
from bad_input import codes, shard_of, verify
from native_client import CREATED, EXISTS, LINKED
from server import Server
from test_rules import CHAIN_OPEN, CHAIN_TOO_LONG, LINKED_EVENT_FAILED, RulesCase, transfer

CODE_ZERO, DIFFERENT_CODE = 37, 59


def chain(*accounts):
    return [dict(a, flags=a.get("flags", 0) | LINKED) for a in accounts[:-1]] + [accounts[-1]]


class AccountChainTests(RulesCase):
    def fresh(self, *shards):
        shard = shard_of(self.client)
        return [dict(id=next(i for i in iter(self.new_id, None) if shard(i) == wanted), ledger=1, code=1)
                for wanted in shards]

    def found(self, accounts):
        return [a["id"] for a in self.client.lookup_accounts([a["id"] for a in accounts])]

    def test_all_or_nothing(self):
        for shards in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)):
            with self.subTest(shards):
                new = self.fresh(*shards)
                first = self.client.create_accounts(chain(*new))
                self.assertEqual(codes(first), [CREATED] * 3)
                self.assertEqual(len({timestamp for _, timestamp, _ in first}), 3)
                self.assertEqual(self.found(new), [a["id"] for a in new])
                again = self.client.create_accounts(chain(*new))
                self.assertEqual(again, [(EXISTS, timestamp, 0) for _, timestamp, _ in first])
                self.assertEqual(self.client.lookup_accounts([new[0]["id"]])[0]["flags"], LINKED)
                # Whichever is at fault, nothing of the others is there, and they can be created afterwards.
                others = self.fresh(*shards)
                for i in range(3):
                    wrong = list(others)
                    wrong[i] = dict(others[i], code=0)
                    expected = [LINKED_EVENT_FAILED] * 3
                    expected[i] = CODE_ZERO
                    self.assertEqual(codes(self.client.create_accounts(chain(*wrong))), expected)
                    wrong[i] = dict(new[2], code=9)
                    expected[i] = DIFFERENT_CODE
                    self.assertEqual(codes(self.client.create_accounts(chain(*wrong))), expected)
                self.assertEqual(self.found(others), [])
                self.assertEqual(codes(self.client.create_accounts(others)), [CREATED] * 3)

    def test_chains_within_a_request(self):
        new = self.fresh(*[0, 1] * 5)
        events = [new[0]] + chain(*new[1:4]) + chain(dict(new[4], code=0), new[5]) + [new[6]]
        events += [dict(new[7], flags=LINKED), dict(new[8], flags=LINKED)]
        self.assertEqual(
            codes(self.client.create_accounts(events)),
            [CREATED] * 4 + [CODE_ZERO, LINKED_EVENT_FAILED, CREATED, LINKED_EVENT_FAILED, CHAIN_OPEN])
        long = chain(*self.fresh(*[0, 1] * 32, 0))
        expected = [LINKED_EVENT_FAILED] * 65
        expected[64] = CHAIN_TOO_LONG
        self.assertEqual(codes(self.client.create_accounts(long)), expected)
        self.assertEqual(codes(self.client.create_accounts(chain(*long[:63], long[64]))), [CREATED] * 64)

    def test_a_chain_can_be_paid_at_once(self):
        for shards in ((0, 1), (1, 0), (0, 0)):
            new = self.fresh(*shards)
            request = self.client.send(native.CREATE_ACCOUNTS, 2, b"".join(
                native.record(native.ACCOUNT_FIELDS, a) for a in chain(*new)))
            self.client.wait(request)
            self.assertEqual(self.code(transfer(self.new_id(), new[0]["id"], new[1]["id"], 5)), CREATED)

    def test_how_a_request_was_grouped_is_not_compared(self):
        for shards in ((0, 0), (0, 1)):
            new = self.fresh(*shards)
            first = [(EXISTS, timestamp, 0) for _, timestamp, _ in self.client.create_accounts(chain(*new))]
            alone, = self.fresh(0)
            first += [(EXISTS, timestamp, 0) for _, timestamp, _ in self.client.create_accounts([alone])]
            new.append(alone)
            self.assertEqual([self.client.create_accounts([a])[0] for a in new], first)
            self.assertEqual(self.client.create_accounts(chain(*new[::-1])), first[::-1])

    def test_multi(self):
        client = redis.Redis(*self.server.resp, decode_responses=True)
        self.addCleanup(client.close)
        for shards in ((0, 0), (0, 1), (1, 0)):
            new = self.fresh(*shards)
            for _ in range(2):
                pipe = client.pipeline(transaction=True)
                for a in new:
                    pipe.execute_command("ACCOUNT.CREATE", a["id"], 1, 1, "DATA64", 7)
                self.assertEqual(pipe.execute(), ["OK", "OK"])
            others = self.fresh(*shards)
            pipe = client.pipeline(transaction=True)
            pipe.execute_command("ACCOUNT.CREATE", others[0]["id"], 1, 1)
            pipe.execute_command("ACCOUNT.CREATE", new[1]["id"], 1, 2, "DATA64", 7)
            refused = pipe.execute(raise_on_error=False)
            self.assertEqual([str(r).split()[0] for r in refused], ["LINKED_EVENT_FAILED", "EXISTS_WITH_DIFFERENT_CODE"])
            self.assertIn(f"event 2 of 2, id {new[1]['id']}, was refused: EXISTS_WITH_DIFFERENT_CODE ", str(refused[0]))
            self.assertEqual(self.found(others), [])
            self.assertEqual(client.execute_command("ACCOUNT.CREATE", new[0]["id"], 1, 1, "DATA64", 7), "OK")
            # One alone is no chain.
            pipe = client.pipeline(transaction=True)
            pipe.execute_command("ACCOUNT.CREATE", others[0]["id"], 1, 1)
            self.assertEqual(pipe.execute(), ["OK"])
            self.assertEqual(self.client.lookup_accounts([others[0]["id"]])[0]["flags"], 0)

    def test_what_multi_does_not_mix(self):
        client = redis.Redis(*self.server.resp, decode_responses=True)
        self.addCleanup(client.close)
        a, b = self.accounts(0, 1)
        new, = self.fresh(0)
        create, move = ("ACCOUNT.CREATE", new["id"], 1, 1), ("TRANSFER", self.new_id(), a, b, 1, 1, 1)
        for commands in ((create, move), (move, create)):
            self.assertEqual(client.execute_command("MULTI"), "OK")
            self.assertEqual(client.execute_command(*commands[0]), "QUEUED")
            with self.assertRaisesRegex(redis.ResponseError, "either transfers or accounts"):
                client.execute_command(*commands[1])
            with self.assertRaises(redis.exceptions.ExecAbortError):
                client.execute_command("EXEC")
        self.assertEqual(self.found([new]), [])
        with self.assertRaisesRegex(redis.ResponseError, "LINKED_EVENT_CHAIN_OPEN|the request ends"):
            client.execute_command(*create, "FLAGS", "linked")

    def test_one_more_than_a_chain_holds_is_told_in_its_own_words(self):
        client = redis.Redis(*self.server.resp, decode_responses=True)
        self.addCleanup(client.close)
        a, b = self.accounts(0, 1)
        for word, command in (("transfers", lambda: ("TRANSFER", self.new_id(), a, b, 1, 1, 1)),
                              ("accounts", lambda: ("ACCOUNT.CREATE", self.new_id(), 1, 1))):
            self.assertEqual(client.execute_command("MULTI"), "OK")
            for _ in range(64):
                self.assertEqual(client.execute_command(*command()), "QUEUED")
            with self.assertRaisesRegex(redis.ResponseError, f"MULTI queues up to 64 {word}$"):
                client.execute_command(*command())
            with self.assertRaises(redis.exceptions.ExecAbortError):
                client.execute_command("EXEC")


class KillTests(unittest.TestCase):
    def test_chains_are_whole_after_kill_9(self):
        server = Server(shards=3, options=["--segment", "2MiB"])
        self.addCleanup(server.close)
        sure, sent = [], []
        for round in range(6):
            stop = threading.Event()
            threads = [threading.Thread(target=self.create, args=(server, round * 100 + k, stop, sure, sent))
                       for k in range(4)]
            for thread in threads:
                thread.start()
            stop.wait(0.3 + 0.1 * round)
            server.kill()
            stop.set()
            for thread in threads:
                thread.join()
            code, output = verify(server.directory)[:2]
            self.assertEqual(code, 0, output)
            server.start()
            client = native.Client(*server.native)
            for ids in sent:
                there = len(client.lookup_accounts(ids))
                self.assertIn(there, (len(ids),) if ids in sure else (0, len(ids)), f"{ids}: {there} are there")
            client.close()
            self.assertGreater(len(sure), round * 10)
        self.assertEqual(server.terminate(), 0)

    def create(self, server, seed, stop, sure, sent):
        numbers = random.Random(seed)
        client = native.Client(*server.native)
        try:
            while not stop.is_set():
                ids = [numbers.getrandbits(64) + 1 for _ in range(numbers.randint(2, 6))]
                sent.append(ids)
                results = client.create_accounts(chain(*[dict(id=i, ledger=1, code=1) for i in ids]))
                self.assertEqual(set(codes(results)), {CREATED})
                sure.append(ids)
        except OSError:
            pass
        finally:
            client.close()


if __name__ == "__main__":
    unittest.main()
