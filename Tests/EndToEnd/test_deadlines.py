"""Goal: from its deadline on a hold is over wherever one asks, and no payment is refused for the money that it kept. Method:
holds of one second on a server of three shards; the moment their time has passed, by the timestamps that the server gave,
one question each, through both doors."""

import time
import unittest

import native_client as native
from bad_input import Resp, account, codes, transfer
from server import Server

AFTER = 5_000_000  # ns: more than the clocks' readings differ
LIMITED = native.DEBITS_MUST_NOT_EXCEED_CREDITS
CREDITS_LIMITED = 1 << 2


class DeadlineTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=3, options=["--segment", "1MiB"])
        cls.addClassCleanup(cls.server.close)
        cls.next_id = 1000

    def setUp(self):
        self.client = native.Client(*self.server.native)
        self.addCleanup(self.client.close)

    def id(self):
        type(self).next_id += 1
        return type(self).next_id

    def accounts(self, *flags):
        """One on each shard for each: with these flags, as ids by shard."""
        status = self.client.status()
        found = []
        for flag in flags:
            row = {}
            while len(row) < 3:
                new = self.id()
                row.setdefault(status["slot_map"][native.slot_of(new, int(status["salt"], 16))], new)
            found.append([row[shard] for shard in range(3)])
            self.assertEqual(codes(self.client.create_accounts([account(a, flag) for a in found[-1]])), [0] * 3)
        return found

    def move(self, debit, credit, amount, **more):
        (code, timestamp, reason), = self.client.create_transfers(
            [dict(transfer(self.id(), debit, credit, amount), **more)])
        return code, timestamp

    def created(self, *arguments, **more):
        code, timestamp = self.move(*arguments, **more)
        self.assertEqual(code, native.CREATED)
        return timestamp

    def pass_deadline(self, held, seconds=1):
        """Just behind it: within the first half of a second, whatever the wall clock's own seconds are."""
        deadline = held + seconds * 10 ** 9 + AFTER
        while time.time_ns() < deadline:
            time.sleep(max(0, (deadline - time.time_ns()) / 1e9))

    def shown(self, *ids, **more):
        return [(a["debits_pending"], a["credits_pending"]) for a in self.client.lookup_accounts(ids, **more)]

    def test_money_of_a_hold_is_free_at_its_deadline(self):
        banks, buyers, shops = self.accounts(0, LIMITED, 0)
        for b in buyers:
            self.created(banks[0], b, 100)
        for kind in ("plain", "pending", "balancing", "chain", "promised"):
            for buyer in buyers:
                for shop in shops:
                    # Promises made, so that single payments are announced.
                    if kind == "promised":
                        self.created(banks[1], shop, 1)
                held = max(self.created(buyer, shop, 30, flags=native.PENDING, timeout=1) for shop in shops)
                self.pass_deadline(held)
                if kind == "pending":
                    self.created(buyer, shops[2], 100, flags=native.PENDING, timeout=1)
                    code, _ = self.move(buyer, shops[2], 1)
                    self.assertEqual(code, native.EXCEEDS_CREDITS)
                    self.pass_deadline(time.time_ns())
                elif kind == "balancing":
                    paid = self.id()
                    got = self.client.create_transfers(
                        [dict(transfer(paid, buyer, shops[0], native.ALL), flags=native.BALANCING_DEBIT)])
                    self.assertEqual(codes(got), [native.CREATED])
                    self.assertEqual(self.client.lookup_transfers([(buyer, paid)])[0]["amount"], 100)
                    self.created(banks[0], buyer, 100)
                    continue
                elif kind == "chain":
                    got = self.client.create_transfers([
                        dict(transfer(self.id(), shops[1], banks[1], 1), flags=native.LINKED),
                        transfer(self.id(), buyer, shops[2], 100)])
                    self.assertEqual(codes(got), [native.CREATED] * 2)
                    self.created(banks[0], buyer, 100)
                    continue
                self.created(buyer, shops[1], 100)
                self.created(banks[0], buyer, 100)

    def test_the_credit_sides_limit_is_free_at_the_deadline(self):
        payers, limited, others = self.accounts(0, CREDITS_LIMITED, 0)
        for account_id in limited:
            self.created(account_id, others[0], 10)
        for account_id in limited:
            held = max(self.created(payer, account_id, 3, flags=native.PENDING, timeout=1) for payer in payers)
            self.pass_deadline(held)
            self.created(payers[1], account_id, 10)

    def test_reads_show_nothing_of_it(self):
        buyers, shops = self.accounts(0, 0)
        for consistent in (False, True):
            held = max(self.created(b, s, 7, flags=native.PENDING, timeout=1) for b in buyers for s in shops)
            self.assertEqual(self.shown(*buyers, *shops), [(21, 0)] * 3 + [(0, 21)] * 3)
            self.pass_deadline(held)
            self.assertEqual(self.shown(*buyers, *shops, consistent=consistent), [(0, 0)] * 6)
        held = self.created(buyers[0], shops[1], 7, flags=native.PENDING, timeout=1, ledger=1)
        self.pass_deadline(held)
        sums = self.client.totals([1])[1]
        self.assertEqual((sums["debits_pending"], sums["credits_pending"]), (0, 0))

    def test_what_it_closed_is_open_at_its_deadline(self):
        buyers, shops = self.accounts(0, 0)
        for flag, closed in ((native.CLOSING_DEBIT, buyers), (native.CLOSING_CREDIT, shops)):
            for b, s in ((buyers[0], shops[0]), (buyers[1], shops[2])):
                held = self.created(b, s, 0, flags=native.PENDING | flag, timeout=1)
                account_id = b if closed is buyers else s
                self.assertEqual(self.client.lookup_accounts([account_id])[0]["flags"], native.CLOSED)
                self.pass_deadline(held)
                self.created(account_id, shops[1], 1)
                self.assertEqual(self.client.lookup_accounts([account_id])[0]["flags"], 0)

    def test_a_kill_before_the_expiries_are_recorded(self):
        """Room of two thousand holds is used at their deadline, before their expiries are in the log: that breaks no limit."""
        holds = 2000
        server = Server(shards=3, options=["--segment", "1MiB"])
        self.addCleanup(server.close)
        self.client = native.Client(*server.native)
        self.addCleanup(self.client.close)
        banks, buyers, shops = self.accounts(0, LIMITED, 0)
        self.created(banks[0], buyers[0], holds)
        got = self.client.create_transfers([
            dict(transfer(self.id(), buyers[0], shops[1], 1), flags=native.PENDING, timeout=1)
            for _ in range(holds)])
        self.assertEqual(codes(got), [native.CREATED] * holds)
        self.pass_deadline(max(timestamp for _, timestamp, _ in got))
        self.created(buyers[0], shops[2], holds)
        server.kill()
        found = server.verify()
        self.assertEqual(found.returncode, 0, found.stderr)
        server.start()
        self.client = native.Client(*server.native)
        self.addCleanup(self.client.close)
        self.assertEqual(self.move(buyers[0], shops[0], 1)[0], native.EXCEEDS_CREDITS)
        self.assertEqual(self.shown(buyers[0], shops[1]), [(0, 0)] * 2)

    def test_commands_find_it_over_too(self):
        banks, buyers, shops = self.accounts(0, LIMITED, 0)
        resp = Resp(self.server.resp)
        self.addCleanup(resp.close)
        self.created(banks[0], buyers[0], 100)
        held = int(resp.ask("TRANSFER", self.id(), buyers[0], shops[1], 100, 1, 1, "PENDING", 1).lstrip(":"))
        self.pass_deadline(held)
        got = resp.ask("ACCOUNT.GET", buyers[0])
        self.assertEqual(dict(zip(got[::2], got[1::2]))["debits_pending"], "0")
        self.assertNotIn("EXCEEDS", str(resp.ask("TRANSFER", self.id(), buyers[0], shops[2], 100, 1, 1)))

    def test_many_that_are_due_at_once(self):
        """What is due is over for whoever asks meanwhile, and a refused payment's id is not lost."""
        banks, buyers, shops = self.accounts(0, LIMITED, 0)
        many = 8000
        self.created(banks[0], buyers[0], many)
        sent = [dict(transfer(self.id(), buyers[0], shops[i % 3]), flags=native.PENDING, timeout=1) for i in range(many)]
        got = self.client.create_transfers(sent)
        self.assertEqual(set(codes(got)), {native.CREATED})
        others = native.Client(*self.server.native)
        self.addCleanup(others.close)
        self.pass_deadline(max(timestamp for _, timestamp, _ in got))
        read = others.send(native.LOOKUP_ACCOUNTS, 1, buyers[0].to_bytes(16, "little"))
        self.created(buyers[0], shops[1], many)
        shown, = native.records(native.ACCOUNT_FIELDS, others.wait(read)[2])
        self.assertEqual(shown["debits_pending"], 0)
        self.assertEqual(self.shown(*shops, consistent=True), [(0, 0)] * 3)


if __name__ == "__main__":
    unittest.main()
