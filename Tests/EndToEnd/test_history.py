"""Goal: whatever clients do at the same time, and whenever the server is killed, all answers have one explanation.
Method: random histories (history/run.py) against a model of the ledger; and broken histories that must be found out.
SUANPAN_HISTORY_MINUTES=n runs new seeds for so long, SUANPAN_HISTORY_FEATURES names what the server can do."""

import os
import random
import time
import unittest

from history import checks, search
from history.doors import Step
from history.generator import ACCOUNT_ZERO, TRANSFER_ZERO, parse_features
from history.model import DEBITS_LIMITED, Model, Result
from history.run import Run

FEATURES = parse_features(os.environ.get("SUANPAN_HISTORY_FEATURES", "plain"))
MINUTES = float(os.environ.get("SUANPAN_HISTORY_MINUTES", "0"))


class HistoryTests(unittest.TestCase):
    def run_one(self, seed, shards, mode, operations, kills):
        with self.subTest(seed=seed, shards=shards, mode=mode):
            run = Run(seed, FEATURES, shards, mode, operations, kills=kills)
            run.go()
            self.assertGreater(run.accepted, operations // 10, "too few transfers for the question")
            self.assertFalse(run.gave_up)

    def test_sequential(self):
        for shards in (1, 2, 4):
            self.run_one(1000 + shards, shards, "sequential", 250, kills=1)

    def test_concurrent(self):
        for shards in (1, 2, 4):
            self.run_one(2000 + shards, shards, "concurrent", 400, kills=1)

    @unittest.skipUnless(MINUTES, "SUANPAN_HISTORY_MINUTES")
    def test_new_seeds(self):
        until, seed = time.monotonic() + 60 * MINUTES, random.SystemRandom().randrange(1 << 32)
        while time.monotonic() < until:
            for mode in ("sequential", "concurrent"):
                self.run_one(seed, random.Random(seed).choice((1, 2, 3, 4)), mode, 1000, kills=2)
            seed += 1


def account(id, flags=0):
    return dict(ACCOUNT_ZERO, id=id, ledger=1, code=1, flags=flags)


def transfer(id, debit, credit, amount):
    return dict(TRANSFER_ZERO, id=id, debit_account_id=debit, credit_account_id=credit, amount=amount, ledger=1, code=1)


class CanaryTests(unittest.TestCase):
    """Histories that are wrong in one place: each must be found."""

    def setUp(self):
        self.model = Model(transfer_flags=0)
        for id in (1, 2, 3):
            self.model.create_account(account(id, DEBITS_LIMITED if id == 2 else 0), id)

    def step(self, kind, body, answer, start, end):
        step = Step(kind, body)
        step.answer, step.start, step.end, step.wall_end = answer, start, end, end
        return step

    def pay(self, id, debit, credit, amount, answer, start, end):
        return self.step("transfer", transfer(id, debit, credit, amount), [answer], start, end)

    def read(self, id, debits, credits, start, end):
        found = dict(self.model.accounts[id], debits_posted=debits, credits_posted=credits)
        del found["asked"]
        return self.step("read", id, found, start, end)

    def explained(self, *steps):
        return search.explain(self.model, list(steps)).done

    def test_a_right_history(self):
        self.assertTrue(self.explained(
            self.pay(10, 1, 2, 5, Result("created", 15), 10, 20),
            # Overlapping: refused before the funds came, read after.
            self.pay(11, 2, 3, 5, Result("exceeds_credits"), 11, 21),
            self.read(2, 0, 5, 12, 22),
            self.pay(12, 2, 3, 5, Result("created", 25), 23, 30)))

    def test_a_stale_read(self):
        self.assertFalse(self.explained(
            self.pay(10, 1, 2, 5, Result("created", 15), 10, 20), self.read(2, 0, 0, 21, 22)))

    def test_reads_that_disagree_on_the_order(self):
        self.assertFalse(self.explained(
            self.pay(10, 1, 2, 5, Result("created", 15), 10, 40), self.pay(11, 3, 2, 7, Result("created", 16), 10, 40),
            self.read(2, 0, 5, 11, 30), self.read(2, 0, 7, 12, 31)))

    def test_a_refusal_without_reason(self):
        self.assertFalse(self.explained(
            self.pay(10, 1, 2, 5, Result("created", 15), 10, 20),
            self.pay(11, 2, 3, 5, Result("exceeds_credits"), 21, 30)))

    def test_a_refusal_that_is_forgotten(self):
        self.assertFalse(self.explained(
            self.pay(11, 2, 3, 5, Result("exceeds_credits"), 10, 11),
            self.pay(10, 1, 2, 5, Result("created", 15), 12, 20),
            self.pay(11, 2, 3, 5, Result("created", 25), 21, 30)))

    def test_an_overdraft(self):
        self.assertFalse(self.explained(self.pay(11, 2, 3, 5, Result("created", 15), 10, 20)))

    def test_a_smaller_history_keeps_the_contradiction(self):
        steps = [self.pay(10, 1, 2, 5, Result("created", 15), 10, 20), self.read(3, 0, 0, 11, 12),
                 self.read(2, 0, 5, 21, 22), self.read(2, 0, 0, 23, 24), self.read(1, 5, 0, 25, 26)]
        kept, odd = search.smallest(self.model, steps)
        self.assertEqual([step.start for step in odd], [23])
        self.assertEqual([step.start for step in kept], [10, 23])

    def checked(self, *pays, accounts=None):
        """What the cheap checks say of accepted payments, which look-ups find as they were answered."""
        transfers, sums = {}, {id: [0, 0] for id in (1, 2, 3)}
        for pay in pays:
            if pay.answer[0].timestamp:
                e = pay.body
                transfers[e["debit_account_id"], e["id"]] = dict(e, timestamp=pay.answer[0].timestamp)
        for e in transfers.values():
            sums[e["debit_account_id"]][0] += e["amount"]
            sums[e["credit_account_id"]][1] += e["amount"]
        found = {id: dict(self.model.accounts[id], debits_posted=d, credits_posted=c) for id, (d, c) in sums.items()}
        return list(checks.problems(pays, {**found, **(accounts or {})}, transfers))

    def test_the_cheap_checks(self):
        fund = self.pay(10, 1, 2, 5, Result("created", 15), 10, 20)
        spend = self.pay(11, 2, 3, 5, Result("created", 25), 21, 30)
        self.assertEqual(self.checked(fund, spend), [])
        early = self.pay(11, 2, 3, 5, Result("created", 14), 21, 30)
        wrong = {
            "overdrawn": [fund, self.pay(11, 2, 3, 5, Result("created", 14), 9, 30)],
            "was answered before": [fund, self.pay(12, 1, 3, 1, Result("created", 12), 21, 30)],
            "two things": [fund, self.pay(12, 1, 3, 1, Result("created", 15), 10, 30)],
            "the timestamps": [fund, spend, self.pay(11, 2, 3, 5, Result("exists", 26), 31, 40)],
            "and accepted": [fund, spend, self.pay(11, 2, 3, 5, Result("exceeds_credits"), 31, 40)],
            "was refused for": [fund, self.pay(12, 2, 3, 9, Result("exceeds_credits"), 21, 30),
                                self.pay(12, 2, 3, 9, Result("id_already_failed", None, "exceeds_debits"), 31, 40)],
            "overdrawn by": [fund, early]}
        for words, pays in wrong.items():
            with self.subTest(words):
                self.assertIn(words, "\n".join(self.checked(*pays)))
        lost = dict(self.model.accounts[3], debits_posted=0, credits_posted=0)
        self.assertIn("the accepted transfers make", "\n".join(self.checked(fund, spend, accounts={3: lost})))


if __name__ == "__main__":
    unittest.main()
