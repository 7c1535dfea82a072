"""Goal: what a connection pipelines over RESP is answered as if each command had been sent after the answer to the one
before it, whatever is worked on at the same time. Method: random histories of every kind of command over few accounts and
few ids (history/generator.py), sent in one piece or a few, against the naive ledger (history/model.py) that takes them one
by one: the same answers, at 1, 2 and 4 shards. And single cases in which a command would be answered otherwise if it
overtook the one before it, each many times."""

import contextlib
import os
import random
import unittest

from history.doors import Resp, commands_of, steps_of, take_resp
from history.generator import Client, Request, World, parse_features
from history.model import CREDITS_LIMITED, DEBITS_LIMITED, Model
from history.search import apply
from server import Server

SEEDS = int(os.environ.get("SUANPAN_PIPELINE_SEEDS", "6"))
FIRST_SEED = int(os.environ.get("SUANPAN_PIPELINE_FIRST_SEED", "1"))
# No expiry: what the clock does is no command.
FEATURES = "pending,chains,balancing,closing,freeze,by_id,of_account,consistent,totals,account_chains"


class PipelinesCase(unittest.TestCase):
    SHARDS = (1, 2, 4)

    @classmethod
    def setUpClass(cls):
        cls.servers = [Server(shards) for shards in cls.SHARDS]

    @classmethod
    def tearDownClass(cls):
        for server in cls.servers:
            server.close()

    def check(self, server, steps, pieces, model, label):
        """Sends all steps, reads all answers, and compares each with the model's."""
        connection = Resp(server.resp)
        try:
            for piece in pieces:
                connection.send([words for step in piece for words in commands_of(step)])
            for step in steps:
                take_resp(connection, step)
        finally:
            connection.close()
        for at, step in enumerate(steps):
            self.assertIsNotNone(step.answer, f"{label}: busy at {at}: {step}")
            fits, _, wanted = apply(model, step)
            if not fits:
                before = "\n".join(f"  {k} {other}" for k, other in enumerate(steps[max(0, at - 30):at], max(0, at - 30)))
                if isinstance(wanted, list):
                    wanted = " ; ".join(map(str, wanted))
                self.fail(f"{label}: command {at} {step}, and one by one: {wanted}; before it:\n{before}")


class HistoriesTests(PipelinesCase):
    def test_answers_are_those_of_one_by_one(self):
        for server in self.servers:
            for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
                self.history(server, seed)

    def history(self, server, seed):
        r = random.Random(f"pipeline {seed} {server.shards}")
        # A server keeps what other seeds have done: their accounts are others.
        world = World(f"{seed} {server.shards}", parse_features(FEATURES), 220)
        client = Client(world, seed, 0, operations=500)
        steps = [step for account in world.early for step in steps_of(Request("resp", "accounts", [account]))]
        while len(steps) < 500:
            request = client.request("resp")
            # Look-ups by id and sums see other seeds' too.
            if request.door == "resp" and request.kind not in ("totals", "by_id"):
                steps += steps_of(request)
        pieces, at = [], 0
        while at < len(steps):
            size = r.choice((1, 5, 40, len(steps)))
            pieces.append(steps[at:at + size])
            at += size
        self.check(server, steps, pieces, Model(), f"seed {seed}, {server.shards} shards")


class OvertakingTests(PipelinesCase):
    """Where one overtakes the other the answers differ; accounts lie on whatever shards their ids fall on."""

    SHARDS = (2, 4)
    ROUNDS = 40

    def each(self, limits, commands, before=None):
        """Runs rounds of commands over fresh accounts, all in one pipeline. `limits`: of the accounts a, b, c …;
        `commands` makes the steps of a round from these and a source of new ids. `before` does likewise what another
        connection sends first, and these come with its results."""
        for server in self.servers:
            r = random.Random(f"{self.id()} {server.shards}")
            model, first, steps = Model(), [], []
            for _ in range(self.ROUNDS):
                accounts = [r.getrandbits(100) + 1 for _ in limits]
                creations = [self.step("account", id=id, ledger=1, code=1, flags=flags)
                             for id, flags in zip(accounts, limits)]
                if before is None:
                    steps += creations + commands(*accounts, lambda: r.getrandbits(100) + 1)
                else:
                    earlier, ids = before(*accounts, lambda: r.getrandbits(100) + 1)
                    first += creations + earlier
                    steps += commands(*accounts, *ids, lambda: r.getrandbits(100) + 1)
            self.check(server, first, [first], model, f"{server.shards} shards, first")
            self.check(server, steps, [steps], model, f"{server.shards} shards")

    @staticmethod
    def step(kind, **fields):
        from history.generator import ACCOUNT_ZERO, TRANSFER_ZERO
        zero = ACCOUNT_ZERO if kind == "account" else TRANSFER_ZERO
        request = Request("resp", "accounts" if kind == "account" else "transfers", [dict(zero, **fields)])
        return steps_of(request)[0]

    def move(self, id, debit, credit, amount, flags=0, **more):
        return self.step("transfer", id=id, debit_account_id=debit, credit_account_id=credit, amount=amount, ledger=1,
                         code=1, flags=flags, **more)

    def resolve(self, id, debit, pending, flags, amount=0):
        return self.step("transfer", id=id, debit_account_id=debit, pending_id=pending, flags=flags, amount=amount)

    @staticmethod
    def freeze(account, on, sides="BOTH"):
        return steps_of(Request("resp", "freeze", (account, sides, on)))[0]

    @staticmethod
    def chain(*steps):
        events = [dict(step.body, flags=step.body["flags"] | 1) for step in steps]
        events[-1]["flags"] &= ~1
        return steps_of(Request("resp", "multi", events))[0]

    def test_a_debit_spends_the_credit_before_it(self):
        self.each((0, DEBITS_LIMITED, 0), lambda bank, a, c, new: [
            self.move(new(), a, c, 5), self.move(new(), bank, a, 5), self.move(new(), a, c, 5), self.move(new(), a, c, 1)])

    def test_credits_of_a_limited_account_keep_their_order(self):
        self.each((0, 0, CREDITS_LIMITED), lambda a, b, m, new: [
            self.move(new(), m, a, 10), self.move(new(), a, m, 8), self.move(new(), b, m, 8), self.move(new(), a, m, 2)])

    def test_a_post_pays_the_next(self):
        from history.model import MAX, PENDING, POST, VOID

        def commands(bank, a, c, d, new):
            p, q = new(), new()
            return [
                self.move(new(), bank, a, 10), self.move(p, a, c, 7, PENDING), self.move(q, a, c, 3, PENDING),
                self.move(new(), c, d, 4), self.resolve(new(), a, p, POST, 4), self.move(new(), c, d, 4),
                self.move(new(), a, d, 6), self.resolve(new(), a, q, VOID), self.move(new(), a, d, 6),
                self.resolve(new(), a, q, POST, MAX), self.resolve(new(), a, p, POST, MAX)]
        self.each((0, DEBITS_LIMITED, DEBITS_LIMITED, 0), commands)

    def test_posts_and_voids_of_holds_that_others_made(self):
        from history.model import CLOSING_CREDIT, MAX, PENDING, POST, VOID

        def before(bank, a, c, d, m, new):
            p, q, hold, late = new(), new(), new(), new()
            return [self.move(new(), bank, a, 10), self.move(p, a, c, 7, PENDING), self.move(q, a, d, 3, PENDING),
                    self.move(late, bank, m, 1, PENDING), self.move(hold, d, m, 0, PENDING | CLOSING_CREDIT)
                    ], (p, q, hold, late)

        def commands(bank, a, c, d, m, p, q, hold, late, new):
            return [
                self.move(new(), c, bank, 4), self.resolve(new(), a, p, POST, 4), self.move(new(), c, bank, 4),
                self.move(new(), bank, m, 1), self.resolve(new(), bank, late, POST, MAX), self.resolve(new(), d, hold, VOID),
                self.resolve(new(), bank, late, POST, MAX), self.move(new(), bank, m, 1),
                self.resolve(new(), a, q, POST, MAX), self.move(new(), d, a, 3), self.move(new(), a, bank, 6)]
        self.each((0, DEBITS_LIMITED, DEBITS_LIMITED, DEBITS_LIMITED, 0), commands, before)

    def test_freezing_is_seen_by_what_follows(self):
        from history.model import MAX, PENDING, POST

        def commands(a, b, c, new):
            p = new()
            return [
                self.move(p, a, b, 1, PENDING), self.move(new(), a, b, 1), self.freeze(b, True, "CREDITS"),
                self.move(new(), c, b, 1), self.move(new(), a, b, 1), self.resolve(new(), a, p, POST, MAX),
                self.freeze(b, False), self.move(new(), c, b, 1), self.freeze(a, True), self.resolve(new(), a, p, POST, MAX),
                self.freeze(a, False), self.resolve(new(), a, p, POST, MAX)]
        self.each((0, 0, 0), commands)

    def test_a_void_opens_what_the_hold_has_closed(self):
        from history.model import CLOSING_CREDIT, MAX, PENDING, POST, VOID

        def commands(a, b, m, new):
            p, hold = new(), new()
            return [
                self.move(p, b, m, 1, PENDING), self.move(hold, a, m, 0, PENDING | CLOSING_CREDIT),
                self.move(new(), b, m, 1), self.resolve(new(), b, p, POST, MAX), self.resolve(new(), a, hold, VOID),
                self.resolve(new(), b, p, POST, MAX), self.move(new(), b, m, 1)]
        self.each((0, 0, 0), commands)

    def test_chains_see_what_came_before_and_are_seen(self):
        def commands(bank, a, m, fee, new):
            twice = new()
            return [
                self.move(new(), bank, a, 20),
                self.chain(self.move(new(), a, m, 10), self.move(new(), m, fee, 1)),
                self.move(new(), m, fee, 9),
                self.chain(self.move(twice, a, m, 10), self.move(new(), m, fee, 11)),
                self.chain(self.move(twice, a, m, 10), self.move(new(), m, fee, 10)),
                self.move(new(), m, fee, 1), self.move(twice, a, m, 10), self.move(new(), a, m, 1)]
        self.each((0, DEBITS_LIMITED, DEBITS_LIMITED, 0), commands)

    def test_chains_over_many_accounts_of_one_shard(self):
        """What a front remembers of so many accounts does not find room side by side: it must not look for ever."""
        for server in self.servers:
            r = random.Random(f"{self.id()} {server.shards}")
            model, homes = Model(), {}
            accounts = [r.getrandbits(100) + 1 for _ in range(2000)]
            creations = [self.step("account", id=id, ledger=1, code=1) for id in accounts]
            self.check(server, creations, [creations], model, f"{server.shards} shards, creations")
            for id in accounts:  # A shard's timestamps leave the remainder that is its number.
                homes.setdefault(self.timestamp(server, id) % server.shards, []).append(id)
            self.assertEqual(len(homes), server.shards)
            for round in range(20 * server.shards):
                home, away = r.sample(list(homes.values()), 2)
                near, far = r.sample(home, 126), r.sample(away, 2)
                pairs = [far, *zip(near[::2], near[1::2])]
                steps = [self.chain(*(self.move(r.getrandbits(100) + 1, a, b, 1) for a, b in pairs)) for _ in range(4)]
                self.check(server, steps, [steps], model, f"{server.shards} shards, round {round}")

    @staticmethod
    def timestamp(server, account):
        with contextlib.closing(Resp(server.resp)) as connection:
            connection.send([("ACCOUNT.GET", account)])
            reply = connection.reply()
            return int(reply[reply.index("timestamp") + 1])

    def test_sums_near_the_end_keep_their_order(self):
        from history.model import MAX
        self.each((0, 0, 0, 0), lambda a, b, c, m, new: [
            self.move(new(), a, m, 5), self.move(new(), b, m, 5), self.move(new(), c, m, MAX - 20),
            self.move(new(), a, m, 8), self.move(new(), b, m, 4), self.move(new(), c, m, 1)])

    def test_an_identity_is_used_once(self):
        from history.model import PENDING, POST, MAX

        def commands(a, b, m, new):
            p, q, x = new(), new(), new()
            return [
                self.move(p, a, m, 1, PENDING), self.move(q, a, m, 1, PENDING), self.resolve(x, a, p, POST, MAX),
                self.resolve(x, a, q, POST, MAX), self.resolve(new(), a, p, POST, MAX),
                self.chain(self.move(new(), b, m, 1), self.resolve(x, a, p, POST, MAX)),
                steps_of(Request("resp", "look", [(a, x)]))[0]]
        self.each((0, 0, 0), commands)


if __name__ == "__main__":
    unittest.main()
