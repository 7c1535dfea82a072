"""Goal: reads of history show what happened: all of it, in the order of time, no more, whatever the shards, also after
kill -9; whoever pages forward while money moves misses nothing. Method: native_client.py and redis-py against a real
server, compared with what the test itself was told."""

import itertools
import random
import threading
import unittest

import redis

import native_client as native
from bad_input import codes, info, wait_until
from native_client import (CREATED, CREDITS, DEBITS, GET_ACCOUNT_BALANCES, GET_ACCOUNT_TRANSFERS, HISTORY, LINKED, PENDING,
                           POST_PENDING, QUERY_ACCOUNTS, QUERY_TRANSFERS, REVERSED, VOID_PENDING)
from server import Server
from test_rules import RulesCase, resolution, transfer

BALANCES = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")


class ReadsCase(RulesCase):
    def transfers(self, account, **filter):
        return self.client.query(GET_ACCOUNT_TRANSFERS, account=account, **filter)

    def ids(self, account, **filter):
        return [t["id"] for t in self.transfers(account, **filter)]

    def move(self, *events):
        """Creates transfers one by one; returns their timestamps by id."""
        times = {}
        for event in events:
            (code, times[event["id"]], _), = self.create(event)
            self.assertEqual(code, CREATED)
        return times


class AccountTransfersTests(ReadsCase):
    def test_all_that_touch_it_in_order_of_time(self):
        for a, b in self.pairs():
            c, = self.accounts(0)
            p = self.new_id()
            times = self.move(
                transfer(self.new_id(), a, b, 10, user_data_64=7), transfer(self.new_id(), b, a, 3, code=2),
                transfer(self.new_id(), c, b, 1), transfer(p, a, b, 100, PENDING), transfer(self.new_id(), c, a, 0),
                resolution(self.new_id(), a, p, POST_PENDING, 60, user_data_64=7))
            funding, first, second, _, third, fourth, fifth = [None] + list(times)
            for account in (a, b):
                found = self.transfers(account)
                self.assertEqual(found, sorted(found, key=lambda t: t["timestamp"]))
                self.assertEqual(found, sorted(self.client.lookup_transfers(
                    [(t["debit_account_id"], t["id"]) for t in found]), key=lambda t: t["timestamp"]))
            ids = self.ids(a)[1:]
            self.assertEqual(ids, [first, second, third, fourth, fifth])
            self.assertEqual({t["id"]: t["timestamp"] for t in self.transfers(a)[1:]}.items() - times.items(), set())
            self.assertEqual(self.ids(a, flags=DEBITS), [first, third, fifth])
            self.assertEqual(self.ids(a, flags=CREDITS)[1:], [second, fourth])
            self.assertEqual(self.ids(a, flags=DEBITS | CREDITS | REVERSED)[:-1], ids[::-1])
            self.assertEqual(self.ids(a, user_data_64=7), [first, fifth])
            self.assertEqual(self.ids(a, code=2), [second])
            self.assertEqual(self.ids(a, code=2, user_data_64=7), [])
            self.assertEqual(self.ids(a, timestamp_min=times[second], timestamp_max=times[third]), [second, third])
            self.assertEqual(self.ids(a, timestamp_min=times[second], limit=2), [second, third])
            self.assertEqual(self.ids(a, limit=2, flags=REVERSED), [fifth, fourth])
            self.assertEqual(self.transfers(a)[-1]["amount"], 60)
        self.assertEqual(self.transfers(99_999_999), [])

    def test_resp_says_the_same(self):
        client = redis.Redis(*self.server.resp, decode_responses=True)
        self.addCleanup(client.close)

        def ask(*words):
            return [dict(zip(m[::2], m[1::2])) for m in client.execute_command(*words)]
        for a, b in self.pairs():
            times = self.move(*[transfer(self.new_id(), *pair, 5) for pair in ((a, b), (b, a), (a, b))])
            x, y, z = times
            whole = ask("ACCOUNT.TRANSFERS", a)
            self.assertEqual([int(m["id"]) for m in whole][1:], [x, y, z])
            self.assertEqual(whole[2], {n: str(v) if n != "flags" else "" for n, v in self.transfers(a)[2].items()})
            for words, ids in (
                    (("FROM", times[x]), [x, y, z]), (("FROM", times[x], "DEBITS"), [x, z]),
                    (("FROM", times[x], "CREDITS"), [y]), (("FROM", times[x], "TO", times[y]), [x, y]),
                    (("REV", "LIMIT", 2), [z, y]), (("from", times[z] + 1), [])):
                self.assertEqual([int(m["id"]) for m in ask("ACCOUNT.TRANSFERS", a, *words)], ids, words)
            found = ask("TRANSFER.GET", x)
            self.assertEqual([(int(m["debit_account_id"]), int(m["timestamp"])) for m in found], [(a, times[x])])
        self.assertEqual(ask("ACCOUNT.TRANSFERS", 99_999_999), [])
        self.assertEqual(ask("TRANSFER.GET", 99_999_999), [])
        # In order among the commands of its connection, pipelined.
        pipe = client.pipeline(transaction=False)
        ids = [self.new_id() for _ in range(20)]
        for id in ids:
            pipe.execute_command("TRANSFER", id, a, b, 1, 1, 1)
            pipe.execute_command("ACCOUNT.TRANSFERS", b, "REV", "LIMIT", 1)
        replies = pipe.execute()
        self.assertEqual([int(m[0][1]) for m in replies[1::2]], ids)

    def test_more_than_a_page(self):
        a, b = self.accounts(0, 1, amount=0, flags=0)
        all_ids = [self.new_id() for _ in range(20000)]
        for start in range(0, len(all_ids), 5000):
            self.create(*[transfer(id, a, b, 1) for id in all_ids[start:start + 5000]])
        for account in (a, b):
            found, since = [], 0
            while True:
                page = self.transfers(account, timestamp_min=since)
                found += [t["id"] for t in page]
                if len(page) < 8190:
                    break
                since = page[-1]["timestamp"] + 1
            self.assertEqual(found, all_ids)
        self.assertEqual(self.ids(b, flags=REVERSED), all_ids[:-8191:-1])

    def test_filters_that_are_none(self):
        a, = self.accounts(0)
        for operation, wrong, reason in (
                (GET_ACCOUNT_TRANSFERS, dict(), "account_id_must_not_be_zero"),
                (GET_ACCOUNT_BALANCES, dict(account=2 ** 128 - 1), "account_id_must_not_be_max"),
                (GET_ACCOUNT_TRANSFERS, dict(account=a, limit=0), "limit_must_be_1_to_8190"),
                (GET_ACCOUNT_TRANSFERS, dict(account=a, limit=8191), "limit_must_be_1_to_8190"),
                (GET_ACCOUNT_TRANSFERS, dict(account=a, flags=8), "reserved_flag"),
                (QUERY_TRANSFERS, dict(flags=DEBITS), "reserved_flag"),
                (GET_ACCOUNT_TRANSFERS, dict(account=a, reserved=1 << 440), "reserved_field"),
                (GET_ACCOUNT_TRANSFERS, dict(account=a, ledger=1), "ledger_must_be_zero"),
                (QUERY_ACCOUNTS, dict(account=a), "account_id_must_be_zero"),
                (QUERY_TRANSFERS, dict(timestamp_min=2, timestamp_max=1), "timestamp_range_is_empty")):
            with self.assertRaises(native.Refused) as refused:
                self.client.query(operation, **wrong)
            self.assertEqual((refused.exception.status, refused.exception.reason), (native.INVALID_FILTER, reason))
        self.assertEqual(self.client.call(GET_ACCOUNT_TRANSFERS), (0, 0, b""))
        self.assertEqual(len(self.transfers(a)), 1)
        client = redis.Redis(*self.server.resp)
        self.addCleanup(client.close)
        for words, message in (
                (("LIMIT", 0), "limit_must_be_1_to_8190"), (("LIMIT", 8191), "limit_must_be_1_to_8190"),
                (("FROM", 5, "TO", 4), "timestamp_range_is_empty"), (("DEBITS", "CREDITS"), "syntax"),
                (("FROM", "x"), "not an unsigned"), (("FROM",), "syntax"),
                (("TO", 0), "TO '0' must not be 0; leave it out for no bound")):
            with self.assertRaisesRegex(redis.ResponseError, message):
                client.execute_command("ACCOUNT.TRANSFERS", a, *words)
        with self.assertRaisesRegex(redis.ResponseError, "account_id_must_not_be_zero"):
            client.execute_command("ACCOUNT.TRANSFERS", 0)
        # Two filters are more than one request may hold.
        two = native.record(native.FILTER_FIELDS, dict(account=a, limit=1), native.FILTER_WIDTHS) * 2
        with self.assertRaises(native.Refused) as refused:
            self.client.call(GET_ACCOUNT_TRANSFERS, 2, two)
        self.assertEqual(refused.exception.status, native.TOO_LARGE)


class ByIDTests(ReadsCase):
    def test_all_that_have_the_id(self):
        a, b, c, d = self.accounts(0, 1, 0, 1)
        x, y = self.new_id(), self.new_id()
        times = [self.move(transfer(x, *pair, 1))[x] for pair in ((a, b), (d, c), (c, a), (b, d))]
        self.move(transfer(y, b, a, 1))
        self.assertEqual(self.code(transfer(y, d, a, 9999)), native.EXCEEDS_CREDITS)
        found = self.client.lookup_transfers([(0, x)])
        self.assertEqual([t["debit_account_id"] for t in found], [a, d, c, b])
        self.assertEqual([t["timestamp"] for t in found], times)
        # In the order of the keys, with and without debit accounts; refused and unknown ones left out.
        keys = [(0, y), (0, self.new_id()), (c, x), (b, self.new_id()), (0, x)]
        self.assertEqual([(t["id"], t["debit_account_id"]) for t in self.client.lookup_transfers(keys)],
                         [(y, b), (x, c), (x, a), (x, d), (x, c), (x, b)])
        # The parts of a chain too.
        chain = [dict(transfer(self.new_id(), a, b, 1), flags=LINKED), transfer(self.new_id(), b, c, 1)]
        self.assertEqual(codes(self.create(*chain)), [CREATED, CREATED])
        self.assertEqual([t["id"] for t in self.client.lookup_transfers([(0, e["id"]) for e in chain])],
                         [e["id"] for e in chain])


class QueryTests(ReadsCase):
    def test_accounts(self):
        a, b, c = self.accounts(0, 1, 0)
        self.assertEqual(codes(self.client.create_accounts([
            dict(id=self.new_id() << 64, ledger=77, code=5 + i % 2, user_data_32=9, flags=LINKED if i % 4 == 0 else 0)
            for i in range(8)])), [CREATED] * 8)
        found = self.client.query(QUERY_ACCOUNTS, user_data_32=9)
        self.assertEqual(len(found), 8)
        self.assertEqual(found, sorted(found, key=lambda x: x["timestamp"]))
        self.assertEqual([x["code"] for x in self.client.query(QUERY_ACCOUNTS, ledger=77, code=6)], [6] * 4)
        self.assertEqual(self.client.query(QUERY_ACCOUNTS, ledger=78), [])
        self.assertEqual(self.client.query(QUERY_ACCOUNTS, ledger=77, limit=3, flags=REVERSED), found[:-4:-1])
        self.assertEqual(self.client.query(
            QUERY_ACCOUNTS, timestamp_min=found[2]["timestamp"], timestamp_max=found[5]["timestamp"]), found[2:6])
        # With the balances and flags of now, as look-ups show them.
        p, q = self.new_id(), self.new_id()
        self.move(transfer(p, a, b, 50, PENDING), transfer(q, b, c, 20, PENDING), transfer(self.new_id(), c, a, 7),
                  resolution(self.new_id(), a, p, POST_PENDING, 30), resolution(self.new_id(), b, q, VOID_PENDING),
                  transfer(self.new_id(), a, c, 3, PENDING),
                  transfer(self.new_id(), c, b, 0, PENDING | native.CLOSING_CREDIT))
        self.client.freeze([(a, native.DEBITS_FROZEN)])
        everything = self.client.query(QUERY_ACCOUNTS)
        self.assertEqual(everything, self.client.lookup_accounts([x["id"] for x in everything]))
        self.assertTrue({a, b, c} <= {x["id"] for x in everything})

    def test_transfers(self):
        a, b, c = self.accounts(0, 1, 1)
        order = self.new_id()
        times = self.move(*[
            transfer(self.new_id(), x, y, 1, user_data_128=order, user_data_64=i % 2 + 1, user_data_32=3, code=4 + i % 3)
            for i, (x, y) in enumerate([(a, b), (b, c), (c, a), (b, a), (c, b), (a, c)])])
        ids = list(times)

        def query(**filter):
            return [t["id"] for t in self.client.query(QUERY_TRANSFERS, **filter)]
        self.assertEqual(query(user_data_128=order), ids)
        self.assertEqual(query(user_data_128=order, user_data_64=2), ids[1::2])
        self.assertEqual(query(user_data_128=order, user_data_64=1, code=6, user_data_32=3, ledger=1), [ids[2]])
        self.assertEqual(query(user_data_128=order, ledger=2), [])
        self.assertEqual(query(user_data_128=order, flags=REVERSED, limit=4), ids[:1:-1])
        self.assertEqual(query(timestamp_min=times[ids[1]], timestamp_max=times[ids[4]]), ids[1:5])


class BalancesTests(ReadsCase):
    def test_after_each_change(self):
        for a, b in self.pairs(flags=HISTORY):
            p, q, r = self.new_id(), self.new_id(), self.new_id()
            events = [transfer(p, a, b, 100, PENDING), transfer(self.new_id(), b, a, 5, code=3),
                      resolution(self.new_id(), a, p, POST_PENDING, 60), transfer(q, b, a, 8, PENDING),
                      resolution(self.new_id(), b, q, VOID_PENDING), transfer(r, a, b, 9, PENDING, timeout=1)]
            shown = {a: [], b: []}
            for event in events:
                times = self.move(event)
                for account in (a, b):
                    shown[account].append(self.balances(account) + tuple(times.values()))
            wait_until(lambda: self.balances(a)[0] == 0, "the expiry")
            for account in (a, b):
                found = self.client.query(GET_ACCOUNT_BALANCES, account=account)
                plain = [tuple(x[name] for name in BALANCES) + (x["timestamp"],) for x in found]
                self.assertEqual(plain[0][:4], (0, 0, 0, 1000))
                self.assertEqual(plain[1:-1], shown[account])
                self.assertEqual(plain[-1][:4], self.balances(account))
                self.assertGreater(plain[-1][4], plain[-2][4])
                # Pages and filters choose from these.
                for filter, wanted in (
                        (dict(limit=3), found[:3]), (dict(limit=3, flags=REVERSED), found[:-4:-1]),
                        (dict(timestamp_min=found[2]["timestamp"], limit=2), found[2:4]), (dict(code=3), found[2:3]),
                        (dict(timestamp_max=found[4]["timestamp"], flags=REVERSED), found[4::-1])):
                    self.assertEqual(self.client.query(GET_ACCOUNT_BALANCES, account=account, **filter), wanted)
                # The expiry is a change, not a transfer.
                self.assertEqual(len(self.transfers(account)), len(found) - 1)
            client = redis.Redis(*self.server.resp, decode_responses=True)
            self.addCleanup(client.close)
            told = [dict(zip(m[::2], map(int, m[1::2]))) for m in client.execute_command("ACCOUNT.BALANCES", b)]
            self.assertEqual(told, [{n: x[n] for n in x if n != "reserved"} for x in found])
        a, = self.accounts(0)
        self.assertEqual(self.client.query(GET_ACCOUNT_BALANCES, account=a), [])
        self.assertEqual(self.client.query(GET_ACCOUNT_BALANCES, account=99_999_999), [])


class PagingTests(unittest.TestCase):
    """Pages that go on behind the last timestamp seen, while transfers cross shards."""

    def test_nothing_is_missed(self):
        server = Server(shards=3, options=["--segment", "1MiB"])
        self.addCleanup(server.close)
        setup = native.Client(*server.native)
        self.addCleanup(setup.close)
        accounts = list(range(1, 13))
        setup.create_accounts([dict(id=i, ledger=1, code=1, flags=HISTORY if i < 4 else 0) for i in accounts])
        counter, stop = itertools.count(1000), threading.Event()
        told, failures = {}, []

        def pay(seed):
            numbers = random.Random(seed)
            client = native.Client(*server.native)
            try:
                while not stop.is_set():
                    moves = [transfer(next(counter), *numbers.sample(accounts, 2), 1) for _ in range(20)]
                    for move, (code, timestamp, _) in zip(moves, client.create_transfers(moves)):
                        if code != CREATED:
                            raise AssertionError(f"{move}: {code}")
                        told[move["id"]] = (timestamp, move["debit_account_id"], move["credit_account_id"])
            except Exception as error:
                failures.append(error)
            finally:
                client.close()

        pages = {account: [] for account in (1, 2, 5)}

        def page(account):
            client = native.Client(*server.native)
            since, done = 0, False
            try:
                while not done:
                    done = stop.is_set()
                    before = dict(told)
                    found = client.query(GET_ACCOUNT_TRANSFERS, account=account, timestamp_min=since, limit=500)
                    times = [t["timestamp"] for t in found]
                    if times != sorted(times) or any(t < since for t in times):
                        raise AssertionError("a page out of order")
                    shown = {t["id"] for t in pages[account] + found}
                    if len(found) < 500:
                        # Whatever was acknowledged before the question is there.
                        missed = [i for i, (_, d, c) in before.items() if account in (d, c) and i not in shown]
                        if missed:
                            raise AssertionError(f"acknowledged and not shown: {missed}")
                    else:
                        done = False
                    pages[account] += found
                    since = times[-1] + 1 if times else since
            except Exception as error:
                failures.append(error)
            finally:
                client.close()

        payers = [threading.Thread(target=pay, args=(seed,)) for seed in range(3)]
        pagers = [threading.Thread(target=page, args=(account,)) for account in pages]
        for thread in payers + pagers:
            thread.start()
        stop.wait(6)
        stop.set()
        for thread in payers + pagers:
            thread.join()
        self.assertEqual(failures, [])
        for restarted in (False, True):
            client = native.Client(*server.native)
            for account in pages:
                wanted = sorted((time, id) for id, (time, d, c) in told.items() if account in (d, c))
                self.assertEqual([(t["timestamp"], t["id"]) for t in pages[account]], wanted)
                again = []
                for first, *rest in [wanted[i:i + 5000] for i in range(0, len(wanted), 5000)]:
                    again += client.query(GET_ACCOUNT_TRANSFERS, account=account, timestamp_min=first[0], limit=5000)
                self.assertEqual(again, pages[account])
            last, = client.query(GET_ACCOUNT_BALANCES, account=1, limit=1, flags=REVERSED)
            found, = client.lookup_accounts([1])
            self.assertEqual({n: last[n] for n in BALANCES}, {n: found[n] for n in BALANCES})
            client.close()
            if not restarted:
                server.restart()

    def test_too_many_at_once_are_busy(self):
        server = Server(shards=2)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        client.create_accounts([dict(id=i, ledger=1, code=1) for i in (1, 2)])
        for start in range(1, 80_000, 8000):
            client.create_transfers([transfer(i, 1, 2, 1) for i in range(start, start + 8000)])
        wanted = native.record(native.FILTER_FIELDS, dict(limit=1, code=9), native.FILTER_WIDTHS)
        asked = [client.send(QUERY_TRANSFERS, 1, wanted) for _ in range(500)]
        busy = 0
        for request in asked:
            try:
                self.assertEqual(client.wait(request)[0], 0)
            except native.Refused as refused:
                self.assertEqual((refused.status, refused.retry_after_ms > 0), (native.BUSY, True))
                busy += 1
        self.assertGreater(busy, 0)
        self.assertLessEqual(busy, 500 - 64)
        self.assertEqual(server.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
