#!/usr/bin/env python3
"""Explores the cross-shard protocol of Docs/Architecture.md exhaustively on small cases.

usage: protocol_model.py [--case TEXT] [--crashes N] [--break RULE | --canaries]

Plain transfers (volatile votes, one durable decision, standing votes), chains and pending transfers (locks and one
judge), retries, reads, freezing, up to three shards. Every order of messages, syncs, requests and crashes is tried.
After every crash and at every end: what both logs hold agrees, the redo breaks no limit and meets no frozen account,
and one order of all requests explains every answer and every balance, where what was answered before something was sent
comes first, and events of one request with one debit account take effect in order. Every state can still reach an end:
no deadlock, no livelock.

A standing vote of shard C lets D decide a plain transfer to an account of C at once: D appends it and announces it, C
reserves the credit and says that it has noted it. Nothing that stands behind the decision in D's log leaves D before
that: no answer, no vote, no commit. Then its own answer leaves too, before C has applied it. C gives the vote on
durable facts only, and revokes it before it freezes the account or locks it for a chain; `revoked` comes behind the
announcements, and C waits for what it has reserved (the engine sends it behind the commits, which is more than is
needed). A read, or a refusal for lack of credits, of an account with such a vote asks every other shard (`hear`) and
waits until all have answered (`heard`): what they had decided when it asked stands before that in their lanes.

--break switches one rule off (RULES) in the cases that show it and must find a history that goes wrong in each, which
it prints; --canaries does so for every rule. standing_release goes off together with standing_unheard: where all is
heard, no case shows it. Exit 0: holds, or every break was found; 1: not.

What is simpler than the engine: a step of a shard is atomic; clocks are perfect, so that a read knows which credits
were decided before it; a shard has been heard from when it has answered that very question; at most one transfer of a
debit account waits for votes at a time; the refusal of a chain of several events is not remembered; the redo is one
step.
"""

import argparse
import sys
from functools import lru_cache

# Rule, broken -> the cases that show it.
RULES = {
    "vote_undurable": ["two-way limited"],
    "no_undurable": ["refusal undurable"],
    "status_undurable": ["unfreeze and credit"],
    "ack_early": ["two-way limited"],
    "no_wait": ["refusal depends"],
    "no_dedup": ["two-way limited"],
    "read_dirty": ["refusal sees"],
    "no_die": ["mutual wait"],
    "read_undecided": ["reads across"],
    "chain_unlocked": ["chain and spend"],
    "chain_no_die": ["crossing chains"],
    "chain_vote_undurable": ["chain on a fresh fact"],
    "forget_ids": ["retry"],
    "standing_release": [
        "standing: read the payer", "standing: refused behind it", "standing: retry", "standing: order of a request",
        "standing: votes behind it",
    ],
    "standing_freeze": ["standing: freeze"],
    "standing_created_undurable": ["standing: fresh account"],
    "standing_status_undurable": ["standing: unfreeze"],
    "standing_lock": ["standing: chain spends"],
    "standing_unheard": [
        "standing: reads that cross", "standing: refusals that cross", "standing: a read across a refusal",
    ],
}


def T(id, debit, credit, amount):
    return ("T", id, debit, credit, amount, None)


def pend(id, debit, credit, amount):
    return ("P", id, debit, credit, amount, None)


def post(id, debit, credit, amount, pending):
    return ("S", id, debit, credit, amount, pending)


def void(id, debit, credit, amount, pending):
    return ("V", id, debit, credit, amount, pending)


def do(*events, after=(), behind=None):
    """A transfer or a chain. `after`: requests answered before it is sent; `behind`: the event before it in its request."""
    return ("x", events, tuple(after), behind)


def read(account, after=()):
    return ("r", account, tuple(after), None)


def create(account, after=()):
    return ("a", account, tuple(after), None)


def freeze(account, after=()):
    return ("f", account, tuple(after), None)


def unfreeze(account, after=()):
    return ("u", account, tuple(after), None)


# Accounts: shard, limit ("D": debits within credits, "C": credits within debits), opening debits, credits, and perhaps
# "absent" or "frozen". `standing`: accounts for which the others may be given a standing vote; `given`: they all have
# it when the case begins, and are given no other.
CASES = {
    "two-way limited": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "C", 0, 0), "x": (1, "", 0, 0)},
        ops=[do(T(1, "b", "x", 1)), do(T(2, "a", "b", 1)), do(T(3, "a", "b", 2))],
    ),
    "chain of spends": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0), "c": (0, "D", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), do(T(2, "b", "c", 1)), do(T(3, "c", "b", 1))],
    ),
    "refusal depends": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "C", 0, 0), "x": (1, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), do(T(2, "a", "x", 1))],
    ),
    "refusal undurable": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "C", 1, 0), "x": (1, "", 0, 0)},
        ops=[do(T(1, "x", "b", 1)), do(T(2, "a", "b", 1))],
    ),
    "unfreeze and credit": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "", 0, 0, "frozen")},
        ops=[unfreeze("b"), do(T(1, "a", "b", 1))],
    ),
    "mutual wait": dict(
        accounts={"a": (0, "C", 0, 0), "b": (1, "C", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), do(T(2, "b", "a", 1))],
    ),
    "refusal sees": dict(
        accounts={"a": (0, "D", 0, 1), "x": (1, "", 0, 0), "y": (0, "", 0, 0)},
        ops=[do(T(1, "a", "x", 1)), do(T(2, "a", "y", 1))],
    ),
    "retry": dict(
        accounts={"a": (0, "D", 0, 2), "x": (1, "", 0, 0)},
        ops=[do(T(1, "a", "x", 1)), do(T(1, "a", "x", 1)), do(T(2, "a", "x", 2))],
    ),
    "retry of a refusal": dict(
        accounts={"a": (0, "D", 0, 0), "b": (1, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), do(T(2, "b", "a", 1)), do(T(1, "a", "b", 1))],
    ),
    "reads across": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), read("a"), read("b", after=[1])],
    ),
    "reads across, other way": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), read("b"), read("a", after=[1])],
    ),
    "three shards in a ring": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0), "c": (2, "D", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), do(T(2, "b", "c", 1)), do(T(3, "c", "a", 1))],
        crashes=0,
    ),
    "chain and spend": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0), "c": (0, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1), T(2, "b", "c", 1)), do(T(3, "a", "b", 1))],
    ),
    "chain and read": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1), T(2, "b", "a", 1), T(3, "a", "b", 1)), read("a"), read("b", after=[1])],
    ),
    "crossing chains": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 1)},
        ops=[do(T(1, "a", "b", 1), T(2, "b", "a", 2)), do(T(3, "b", "a", 1), T(4, "a", "b", 2))],
    ),
    "chain over three shards": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0), "c": (2, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1), T(2, "b", "c", 1)), do(T(3, "b", "c", 1))],
    ),
    "chain on a fresh fact": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "D", 0, 0), "x": (1, "", 0, 0)},
        ops=[do(T(1, "x", "b", 1)), do(T(2, "a", "x", 1), T(3, "b", "a", 1))],
    ),
    "post and void": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0)},
        ops=[do(pend(1, "a", "b", 1)), do(post(2, "a", "b", 1, 1)), do(void(3, "a", "b", 1, 1))],
    ),
    "post and spend": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0), "x": (0, "", 0, 0)},
        ops=[do(pend(1, "a", "b", 1)), do(post(2, "a", "b", 1, 1), after=[0]), do(T(3, "b", "x", 1))],
    ),
    "standing: two to one": dict(
        accounts={"a": (0, "D", 0, 2), "m": (1, "D", 0, 0), "x": (1, "", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), do(T(2, "a", "m", 2)), do(T(3, "m", "x", 1))],
    ),
    "standing: read the payer": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), read("a"), read("m", after=[1])],
    ),
    "standing: read the payee": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), read("m"), read("a", after=[1])],
    ),
    "standing: refused behind it": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "", 0, 0), "y": (0, "", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), do(T(2, "a", "y", 1)), read("m", after=[1])],
    ),
    "standing: makes room": dict(
        accounts={"a": (0, "C", 0, 0), "m": (1, "", 0, 0), "y": (0, "", 0, 0), "z": (1, "", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), do(T(2, "z", "a", 1)), read("m", after=[1])],
    ),
    "standing: retry": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), do(T(1, "a", "m", 1)), read("m", after=[1])],
    ),
    "standing: order of a request": dict(
        accounts={"a": (0, "", 0, 0), "m": (1, "", 0, 0), "y": (0, "", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), do(T(2, "a", "y", 1), behind=0), read("y"), read("m", after=[2])],
        crashes=0,
    ),
    "standing: order over three shards": dict(
        accounts={"a": (0, "", 0, 0), "m": (1, "", 0, 0), "y": (2, "", 0, 0)}, standing=["m", "y"],
        ops=[do(T(1, "a", "m", 1)), do(T(2, "a", "y", 1), behind=0), read("m", after=[1])],
        crashes=0,
    ),
    "standing: votes behind it": dict(
        accounts={"a": (0, "D", 0, 3), "m": (1, "", 0, 0), "b": (1, "C", 2, 0), "y": (0, "", 0, 0)}, standing=["m"],
        ops=[
            do(T(1, "a", "m", 1)),
            do(T(2, "a", "b", 2), behind=0),
            do(T(3, "a", "y", 2)),
            read("m", after=[2]),
        ],
        crashes=0,
    ),
    "standing: two holders": dict(
        accounts={"a": (0, "", 0, 0), "b": (2, "", 0, 0), "m": (1, "", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), do(T(2, "b", "m", 1)), freeze("m")],
    ),
    "standing: freeze": dict(
        accounts={"a": (0, "D", 0, 2), "m": (1, "", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), freeze("m"), do(T(2, "a", "m", 1), after=[1])],
    ),
    "standing: fresh account": dict(
        accounts={"a": (0, "D", 0, 2), "m": (1, "", 0, 0, "absent")}, standing=["m"],
        ops=[create("m"), do(T(1, "a", "m", 1))],
    ),
    "standing: unfreeze": dict(
        accounts={"a": (0, "", 0, 0), "m": (1, "", 0, 0, "frozen")}, standing=["m"],
        ops=[unfreeze("m"), do(T(1, "a", "m", 1))],
    ),
    "standing: chain pays": dict(
        accounts={"a": (0, "D", 0, 2), "b": (0, "D", 0, 1), "m": (1, "D", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), do(T(2, "b", "a", 1), T(3, "a", "m", 2)), read("m")],
    ),
    "standing: chain spends": dict(
        accounts={
            "a": (0, "", 0, 0), "q": (2, "D", 0, 0), "x": (2, "", 0, 0), "m": (1, "D", 0, 0), "z": (1, "", 0, 0)
        },
        standing=["m"],
        ops=[
            do(T(1, "a", "m", 1)),
            do(T(2, "x", "q", 1), after=[0]),
            do(T(3, "z", "x", 1), T(4, "q", "x", 1), T(5, "m", "x", 1)),
        ],
        crashes=0,
    ),
    "standing: pending from it": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "D", 0, 0)}, standing=["m"],
        ops=[do(T(1, "a", "m", 1)), do(pend(2, "m", "a", 1)), do(post(3, "m", "a", 1, 2))],
    ),
    "standing: reads that cross": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "", 0, 0)}, standing=["a", "b"], given=True,
        ops=[do(T(1, "a", "b", 1)), do(T(2, "b", "a", 1)), read("a"), read("b")],
    ),
    "standing: refusals that cross": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 1), "y": (0, "", 0, 0), "z": (1, "", 0, 0)},
        standing=["a", "b"], given=True,
        ops=[
            do(T(1, "a", "b", 1)),
            do(T(2, "b", "a", 1)),
            do(T(3, "a", "y", 1), behind=0),
            do(T(4, "b", "z", 1), behind=1),
        ],
    ),
    "standing: a read across a refusal": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0), "y": (0, "", 0, 0)}, standing=["a", "b"], given=True,
        ops=[do(T(1, "a", "b", 1)), do(T(2, "b", "a", 1)), do(T(3, "a", "y", 1), behind=0), read("b")],
    ),
}


class Violated(Exception):
    pass


# MARK: The ledger, written from the semantics

EXISTS, FROZEN, DP, D, CP, C = range(6)


def judge(limits, accounts, pending, ids, events):
    """(answer, accounts, pending): "ok", or the number of the event at fault and its reason."""
    if all(ids.get(e[1]) == "ok" for e in events):
        return "ok", None, None
    accounts, pending = dict(accounts), dict(pending)
    for i, (kind, id, debit, credit, amount, named) in enumerate(events):
        if id in ids:
            return ids[id] if ids[id] != "ok" else (i, "exists"), None, None
        fault = None
        a, b = list(accounts[debit]), list(accounts[credit])
        if kind in "TP":
            a[D if kind == "T" else DP] += amount
            b[C if kind == "T" else CP] += amount
            if not a[EXISTS]:
                fault = "no debit account"
            elif limits[debit] == "D" and a[DP] + a[D] > a[C]:
                fault = "exceeds credits"
            elif not b[EXISTS]:
                fault = "no credit account"
            elif b[FROZEN]:
                fault = "frozen"
            elif limits[credit] == "C" and b[CP] + b[C] > b[D]:
                fault = "exceeds debits"
            if kind == "P":
                pending[id] = "open"
        else:
            state = pending.get(named)
            if state != "open":
                fault = state or "no pending"
            elif kind == "S" and b[FROZEN]:
                fault = "frozen"
            a[DP] -= amount
            b[CP] -= amount
            if kind == "S":
                a[D] += amount
                b[C] += amount
            pending[named] = "posted" if kind == "S" else "voided"
        if fault:
            return (i, fault), None, None
        accounts[debit], accounts[credit] = tuple(a), tuple(b)
    return "ok", accounts, pending


def remembers(answer, events):
    """A refusal that is final for its id."""
    return len(events) == 1 and answer != "ok" and answer[1] != "exists"


# MARK: The model of the engine


class World:
    """Every shard's memory and log, the lanes, and what the clients know."""

    __slots__ = ("shards", "lanes", "answers", "before", "crashes", "grants")

    def copy(self):
        w = World()
        w.shards = [dict(s) for s in self.shards]
        w.lanes, w.answers, w.before = dict(self.lanes), list(self.answers), list(self.before)
        w.crashes, w.grants = self.crashes, self.grants
        return w

    def key(self):
        shards = tuple(
            tuple(frozenset(v.items()) if type(v) is dict else v for v in s.values()) for s in self.shards
        )
        return (
            shards, frozenset(self.lanes.items()), tuple(self.answers), tuple(self.before), self.crashes, self.grants
        )


class Model:
    def __init__(self, case, broken, crashes):
        self.ops = case["ops"]
        self.home = {name: a[0] for name, a in case["accounts"].items()}
        self.limits = {name: a[1] for name, a in case["accounts"].items()}
        self.opening = {
            name: ("absent" not in a[4:], "frozen" in a[4:], 0, a[2], 0, a[3]) for name, a in case["accounts"].items()
        }
        self.count = max(self.home.values()) + 1
        self.standing = [
            (name, shard) for name in case.get("standing", ()) for shard in range(self.count)
            if shard != self.home[name]
        ]
        self.given = case.get("given", False)
        self.broken = broken
        self.crashes = min(crashes, case.get("crashes", crashes))
        self.explained = lru_cache(maxsize=None)(self.explain)

    def start(self):
        w = World()
        w.shards = [self.empty_shard(i) for i in range(self.count)]
        w.lanes = {}
        w.answers, w.before = [None] * len(self.ops), [None] * len(self.ops)
        w.crashes, w.grants = self.crashes, 0 if self.given else 2
        for account, s in self.standing if self.given else ():
            w.shards[self.home[account]]["granted"] |= {(account, s)}
            w.shards[s]["held"] |= {account}
        return w

    def empty_shard(self, i):
        return dict(
            accounts={name: a for name, a in self.opening.items() if self.home[name] == i},
            status={},  # account -> length of the log that explains its existence and freezing
            pending={}, ids={}, log=(), durable=0,
            open={},  # debit account -> (op, ...) that have asked for their vote
            unnoted=(),  # length of the log with a decision by a standing vote that the peer has not noted, in order
            reserved={},  # credit account -> (op, ...)
            lock={},  # account -> op
            waiting=(),  # in the order of arrival
            out=(),  # (length of the log it waits for, what), in the order of decision
            chains={},  # coordinated: op -> (stage, shards, facts)
            heard={},  # op that asked the others -> (length of the log then, shards heard from, itself among them)
            held=frozenset(), granted=frozenset(), revoking=frozenset(),
        )

    # MARK: Small things

    def events(self, op):
        return self.ops[op][1]

    def plain(self, op):
        return self.ops[op][0] == "x" and len(self.events(op)) == 1 and self.events(op)[0][0] == "T"

    def debits(self, item, account):
        """True for a transfer or chain, not yet begun, whose first debit account is `account`."""
        return item[0] == "op" and self.ops[item[1]][0] == "x" and self.events(item[1])[0][2] == account

    def amount(self, op):
        return self.events(op)[0][4]

    def coordinator(self, op):
        what = self.ops[op][1]
        return self.home[what if self.ops[op][0] != "x" else what[0][2]]

    def shards_of(self, op):
        return sorted({self.home[a] for e in self.events(op) for a in (e[2], e[3])})

    def here(self, s, op):
        return [a for a in {a for e in self.events(op) for a in (e[2], e[3])} if self.home[a] == s]

    @staticmethod
    def put(shard, field, key, value):
        table = dict(shard[field])
        if value or value == 0:
            table[key] = value
        else:
            table.pop(key, None)
        shard[field] = table

    def send(self, w, s, to, *message):
        w.lanes[s, to] = w.lanes.get((s, to), ()) + (message,)

    def log(self, w, s, *record):
        w.shards[s]["log"] += (record,)

    def answer(self, w, s, op, answer):
        """Releases the answer when all that it saw is durable."""
        self.when_durable(w, s, ("answer", op, answer), early=self.broken in ("ack_early", "read_dirty"))

    def when_durable(self, w, s, what, length=None, early=False):
        shard = w.shards[s]
        length = len(shard["log"]) if length is None else length
        if early:
            self.release(w, s, what)
        else:
            shard["out"] += ((length, what),)
            self.release_out(w, s)

    def release_out(self, w, s):
        """Lets go of what the durable log explains, up to the first decision that its peer has not noted."""
        shard = w.shards[s]
        until = shard["durable"]
        if shard["unnoted"] and self.broken != "standing_release":
            until = min(until, shard["unnoted"][0] - 1)
        going = [what for length, what in shard["out"] if length <= until]
        shard["out"] = tuple(o for o in shard["out"] if o[0] > until)
        for what in going:
            self.release(w, s, what)

    def release(self, w, s, what):
        if what[0] == "answer":
            w.answers[what[1]] = what[2]
        else:
            self.send(w, s, what[1], *what[2:])

    def book(self, shard, s, event):
        """Applies the sides of an accepted event that live here."""
        kind, id, debit, credit, amount, named = event
        for account, pending, posted in ((debit, DP, D), (credit, CP, C)):
            if self.home[account] != s:
                continue
            a = list(shard["accounts"][account])
            if kind in "SV":
                a[pending] -= amount
            if kind in "TS":
                a[posted] += amount
            if kind == "P":
                a[pending] += amount
            self.put(shard, "accounts", account, tuple(a))
        if self.home[debit] == s:
            self.put(shard, "ids", id, "ok")
            if kind != "T":
                state = {"P": "open", "S": "posted", "V": "voided"}[kind]
                self.put(shard, "pending", named if kind in "SV" else id, state)

    def sums(self, shard, account):
        """Reserved debits, and reserved credits."""
        debits = sum(self.amount(t) for t in shard["open"].get(account, ()))
        return debits, sum(self.amount(t) for t in shard["reserved"].get(account, ()))

    def debit_fault(self, account, state, extra_debits, extra_credits, amount):
        if not state[EXISTS]:
            return "no debit account"
        if self.limits[account] == "D" and state[DP] + state[D] + extra_debits + amount > state[C] + extra_credits:
            return "exceeds credits"
        return None

    def credit_fault(self, account, state, extra_credits, extra_debits, amount):
        if not state[EXISTS]:
            return "no credit account"
        if state[FROZEN]:
            return "frozen"
        if self.limits[account] == "C" and state[CP] + state[C] + extra_credits + amount > state[D] + extra_debits:
            return "exceeds debits"
        return None

    def refuse(self, w, s, op, fault):
        self.log(w, s, "no", op, (0, fault))
        self.put(w.shards[s], "ids", self.events(op)[0][1], (0, fault))
        self.answer(w, s, op, (0, fault))

    # MARK: Requests

    def request(self, w, s, op):
        """Handles what a client sent; False: it must wait."""
        kind, what = self.ops[op][:2]
        if kind == "r":
            return self.begin_read(w, s, op, what)
        if kind == "a":
            return self.change_status(w, s, op, what, True, False)
        if kind in "fu":
            return self.freeze(w, s, op, what, kind == "f")
        return self.submit(w, s, op) if self.plain(op) else self.begin_chain(w, s, op)

    def listens(self, w, s, op, account):
        """True while credits of the account, decided before the first such look at it, may be unknown here."""
        shard = w.shards[s]
        # Whoever hears all is not misled by what was released too early: standing_release goes wrong without this only.
        if self.broken in ("standing_unheard", "standing_release"):
            return False
        if not any(g[0] == account for g in shard["granted"]):
            return False
        if op not in shard["heard"]:
            asked = len(shard["log"])
            self.put(shard, "heard", op, (asked, frozenset([s])))
            for peer in range(self.count):
                if peer != s:
                    self.send(w, s, peer, "hear", op, asked)
        return len(shard["heard"][op][1]) < self.count

    def begin_read(self, w, s, op, account):
        """Shows what is decided now; hears first what that is."""
        shard = w.shards[s]
        if account in shard["lock"] and self.broken != "chain_unlocked":
            return False
        decided = frozenset(
            r[1] for peer, other in enumerate(w.shards) for r in other["log"]
            if peer != s and r[0] == "T" and self.events(r[1])[0][3] == account and ("R", r[1]) not in shard["log"]
        )
        self.listens(w, s, op, account)
        shard["waiting"] += (("listen", op, account, shard["accounts"][account][DP:], decided),)
        return True

    def go_on_reading(self, w, s, op, account, value, decided):
        """When all have been heard, or need not be: waits for the credits that are undecided then."""
        shard = w.shards[s]
        if op in shard["heard"] and len(shard["heard"][op][1]) < self.count:
            return False
        self.put(shard, "heard", op, None)
        pending = frozenset(shard["reserved"].get(account, ()))
        known = [t for t in decided if t in pending or ("R", t) in shard["log"]]
        if self.broken == "read_undecided":
            pending, known = frozenset(), []
        debits_pending, debits, credits_pending, credits = value
        value = (debits_pending, debits, credits_pending, credits + sum(self.amount(t) for t in known))
        shard["waiting"] += (("read", op, account, value, pending),)
        return True

    def end_read(self, w, s, op, account, value, pending):
        shard = w.shards[s]
        if pending & set(shard["reserved"].get(account, ())):
            return False
        self.answer(w, s, op, value)
        return True

    def change_status(self, w, s, op, account, exists, frozen):
        shard = w.shards[s]
        self.log(w, s, "status", op, account, exists, frozen)
        self.put(shard, "accounts", account, (exists, frozen) + shard["accounts"][account][2:])
        self.put(shard, "status", account, len(shard["log"]))
        self.answer(w, s, op, "ok")
        return True

    def freeze(self, w, s, op, account, on):
        shard = w.shards[s]
        if account in shard["open"] or account in shard["reserved"] or account in shard["lock"]:
            return False
        if on and self.broken != "standing_freeze" and not self.revoked(w, s, account):
            return False
        return self.change_status(w, s, op, account, True, on)

    def revoked(self, w, s, account):
        """True when no other shard holds a standing vote; else asks for those that do."""
        shard = w.shards[s]
        holders = {g for g in shard["granted"] if g[0] == account}
        for g in sorted(holders - shard["revoking"]):
            self.send(w, s, g[1], "revoke", account)
        shard["revoking"] |= holders
        return not holders

    def submit(self, w, s, op):
        """A plain transfer at its debit account's shard."""
        shard = w.shards[s]
        _, id, debit, credit, amount, _ = self.events(op)[0]
        held = shard["open"].get(debit, ())
        if any(self.events(t)[0][1] == id for t in held):
            return False
        if id in shard["ids"] and self.broken != "forget_ids":
            self.answer(w, s, op, shard["ids"][id])
            return True
        if debit in shard["lock"] and self.broken != "chain_unlocked":
            return False
        if held and self.broken != "no_wait":
            return False
        state = shard["accounts"][debit]
        reserved, expected = self.sums(shard, debit)
        fault = self.debit_fault(debit, state, reserved, 0, amount)
        if fault:
            hope = self.debit_fault(debit, state, 0, expected, amount) is None
            if hope and self.broken != "no_wait":
                return False
            if fault == "exceeds credits" and self.listens(w, s, op, debit):
                return False
            self.put(shard, "heard", op, None)
            self.refuse(w, s, op, fault)
            return True
        self.put(shard, "heard", op, None)
        peer = self.home[credit]
        if peer != s:
            if credit in shard["held"]:
                self.log(w, s, "T", op)
                self.book(shard, s, self.events(op)[0])
                shard["unnoted"] += (len(shard["log"]),)
                self.send(w, s, peer, "announce", op)
                self.answer(w, s, op, "ok")
                self.when_durable(w, s, ("send", peer, "commit", op))
            else:
                self.put(shard, "open", debit, held + (op,))
                self.send(w, s, peer, "prepare", op)
            return True
        if credit in shard["lock"] and self.broken != "chain_unlocked":
            return False
        state = shard["accounts"][credit]
        expected, reserved = self.sums(shard, credit)
        fault = self.credit_fault(credit, state, reserved, 0, amount)
        if fault:
            if self.credit_fault(credit, state, 0, expected, amount) is None and self.broken != "no_wait":
                return False
            self.refuse(w, s, op, fault)
            return True
        self.log(w, s, "T", op)
        self.book(shard, s, self.events(op)[0])
        self.answer(w, s, op, "ok")
        return True

    # MARK: Plain transfers between shards

    def prepare(self, w, s, op):
        """At the credit account's shard; False: it waits."""
        shard = w.shards[s]
        _, _, debit, credit, amount, _ = self.events(op)[0]
        d = self.home[debit]
        lock = shard["lock"].get(credit)
        if lock is not None and self.broken != "chain_unlocked":
            if lock > op:
                return False
            self.send(w, s, d, "retry", op)
            return True
        state = shard["accounts"][credit]
        expected, reserved = self.sums(shard, credit)
        fault = self.credit_fault(credit, state, reserved, 0, amount)
        everything = len(shard["log"])
        if not fault:
            facts = everything if self.limits[credit] == "C" else shard["status"].get(credit, 0)
            if self.broken == "status_undurable" and state[EXISTS]:
                facts = 0
            self.put(shard, "reserved", credit, shard["reserved"].get(credit, ()) + (op,))
            self.when_durable(w, s, ("send", d, "yes", op), facts, early=self.broken == "vote_undurable")
            return True
        if self.credit_fault(credit, state, 0, expected, amount) is None and self.broken != "no_wait":
            holders = shard["open"].get(credit, ()) + shard["reserved"].get(credit, ())
            if all(t > op for t in holders) or self.broken == "no_die":
                return False
            self.send(w, s, d, "retry", op)
            return True
        self.when_durable(w, s, ("send", d, "no", op, fault), everything, early=self.broken == "no_undurable")
        return True

    def receive(self, w, s, sender, message):
        shard = w.shards[s]
        kind, op = message[:2]
        if kind == "grant":
            shard["held"] |= {op}
        elif kind == "revoke":
            shard["held"] -= {op}
            self.send(w, s, sender, "revoked", op)
        elif kind == "revoked":
            shard["granted"] -= {(op, sender)}
            shard["revoking"] -= {(op, sender)}
        elif kind == "hear":
            self.send(w, s, sender, "heard", op, message[2])
        elif kind == "heard":
            asked, heard = shard["heard"].get(op, (None, None))
            if asked == message[2]:
                self.put(shard, "heard", op, (asked, heard | {sender}))
        elif kind in ("prepare", "lock"):
            shard["waiting"] += ((kind, op),)
        elif kind in ("yes", "no", "retry"):
            debit = self.events(op)[0][2]
            self.put(shard, "open", debit, tuple(t for t in shard["open"][debit] if t != op))
            if kind == "yes":
                self.log(w, s, "T", op)
                self.book(shard, s, self.events(op)[0])
                self.when_durable(w, s, ("send", sender, "commit", op), early=self.broken == "ack_early")
            elif kind == "no":
                self.refuse(w, s, op, message[2])
            else:
                # Behind what waits for it to let go, before later transfers of its debit account.
                waiting = shard["waiting"]
                at = next((i for i, item in enumerate(waiting) if self.debits(item, debit)), len(waiting))
                shard["waiting"] = waiting[:at] + (("op", op),) + waiting[at:]
        elif kind == "announce":
            credit = self.events(op)[0][3]
            self.put(shard, "reserved", credit, shard["reserved"].get(credit, ()) + (op,))
            self.send(w, s, sender, "noted", op)
        elif kind == "noted":
            # The lanes keep the order of one peer; with several the decision is looked for.
            at = shard["log"].index(("T", op)) + 1
            shard["unnoted"] = tuple(n for n in shard["unnoted"] if n != at)
            self.release_out(w, s)
        elif kind == "commit":
            if self.plain(op):
                credit = self.events(op)[0][3]
                self.put(
                    shard, "reserved", credit, tuple(t for t in shard["reserved"].get(credit, ()) if t != op))
                self.log(w, s, "R", op)
                self.book(shard, s, self.events(op)[0])
            else:
                self.log(w, s, "R", op)
                self.end_chain(shard, s, op, True)
            self.send(w, s, sender, "applied", op)
        elif kind == "applied":
            if self.plain(op):
                # Known already of one that was announced.
                w.answers[op] = "ok"
            else:
                self.chain_applied(w, s, op, sender)
        elif kind == "release":
            shard["waiting"] = tuple(i for i in shard["waiting"] if i[:2] != ("lock", op))
            shard["out"] = tuple(o for o in shard["out"] if o[1][2:4] != ("facts", op))
            self.end_chain(shard, s, op, False)
            self.send(w, s, sender, "released", op)
        else:
            self.chain_answer(w, s, sender, message)

    # MARK: Chains, and whatever is not plain

    def begin_chain(self, w, s, op):
        shards = self.shards_of(op)
        self.put(w.shards[s], "chains", op, ("locking", frozenset(shards), frozenset()))
        for peer in shards:
            self.send(w, s, peer, "lock", op)
        return True

    def lock(self, w, s, op):
        """Locks all accounts of a chain that live here and says what they are; False: it waits."""
        shard = w.shards[s]
        accounts = self.here(s, op)
        holders = []
        for a in accounts:
            holders += shard["open"].get(a, ()) + shard["reserved"].get(a, ())
            holders += [shard["lock"][a]] if a in shard["lock"] else []
        if self.broken == "chain_unlocked":
            holders = []
        if holders:
            if min(holders) > op or self.broken == "chain_no_die":
                return False
            self.send(w, s, self.coordinator(op), "let go", op)
            return True
        if self.broken != "standing_lock" and not all([self.revoked(w, s, a) for a in accounts]):
            return False
        for a in accounts:
            self.put(shard, "lock", a, op)
        here = [e for e in self.events(op) if self.home[e[2]] == s]
        facts = (
            frozenset((a, shard["accounts"][a]) for a in accounts),
            frozenset((e[5], shard["pending"][e[5]]) for e in here if e[5] in shard["pending"]),
            frozenset((e[1], shard["ids"][e[1]]) for e in here if e[1] in shard["ids"]),
        )
        early = self.broken == "chain_vote_undurable"
        self.when_durable(w, s, ("send", self.coordinator(op), "facts", op, facts), early=early)
        return True

    def chain_answer(self, w, s, sender, message):
        shard = w.shards[s]
        kind, op = message[:2]
        stage, missing, facts = shard["chains"][op]
        if kind == "let go" and stage == "locking":
            shards = self.shards_of(op)
            self.put(shard, "chains", op, ("letting go", frozenset(shards), frozenset()))
            for peer in shards:
                self.send(w, s, peer, "release", op)
        elif kind == "released":
            missing -= {sender}
            self.put(shard, "chains", op, (stage, missing, facts))
            if not missing:
                self.put(shard, "chains", op, None)
                if stage == "letting go":
                    self.begin_chain(w, s, op)
        elif kind == "facts" and stage == "locking":
            missing -= {sender}
            facts |= {message[2]}
            self.put(shard, "chains", op, (stage, missing, facts))
            if not missing:
                self.judge_chain(w, s, op, facts)

    def judge_chain(self, w, s, op, facts):
        shard = w.shards[s]
        accounts, pending, ids = (dict(p for f in facts for p in f[i]) for i in range(3))
        verdict, after, _ = judge(self.limits, accounts, pending, ids, self.events(op))
        peers = frozenset(self.shards_of(op))
        if after is None:
            if remembers(verdict, self.events(op)) and self.events(op)[0][1] not in ids:
                self.log(w, s, "no", op, verdict)
                self.put(shard, "ids", self.events(op)[0][1], verdict)
            self.answer(w, s, op, verdict)
            self.put(shard, "chains", op, ("refused", peers, frozenset()))
            for peer in peers:
                self.send(w, s, peer, "release", op)
            return
        self.log(w, s, "K", op)
        self.end_chain(shard, s, op, True)
        others = peers - {s}
        if not others:
            self.put(shard, "chains", op, None)
            self.answer(w, s, op, "ok")
            return
        self.put(shard, "chains", op, ("decided", others, frozenset()))
        for peer in sorted(others):
            self.when_durable(w, s, ("send", peer, "commit", op), early=self.broken == "ack_early")

    def chain_applied(self, w, s, op, sender):
        stage, missing, facts = w.shards[s]["chains"][op]
        missing -= {sender}
        self.put(w.shards[s], "chains", op, (stage, missing, facts) if missing else None)
        if not missing:
            w.answers[op] = "ok"

    def end_chain(self, shard, s, op, applied):
        for a in self.here(s, op):
            if shard["lock"].get(a) == op:
                self.put(shard, "lock", a, None)
        if applied:
            for e in self.events(op):
                self.book(shard, s, e)
            # What these accounts lack now is another question.
            for other in shard["heard"]:
                if self.ops[other][0] == "x" and self.events(other)[0][2] in self.here(s, op):
                    self.put(shard, "heard", other, None)

    # MARK: Steps

    def settle(self, w):
        """Carries on with all that has become possible, in the order of arrival."""
        again = True
        while again:
            again = False
            for s in range(self.count):
                while w.lanes.get((s, s)):
                    message, w.lanes[s, s] = w.lanes[s, s][0], w.lanes[s, s][1:]
                    self.receive(w, s, s, message)
                    again = True
                w.lanes.pop((s, s), None)
                shard = w.shards[s]
                for i, item in enumerate(shard["waiting"]):
                    rest = shard["waiting"]
                    kind, op = item[:2]
                    # A later transfer of a debit account does not pass one that waits.
                    if kind == "op" and self.ops[op][0] == "x":
                        debit = self.events(op)[0][2]
                        if any(self.debits(earlier, debit) for earlier in rest[:i]):
                            continue
                    shard["waiting"] = rest[:i] + rest[i + 1:]
                    handler = {
                        "op": self.request, "prepare": self.prepare, "lock": self.lock, "listen": self.go_on_reading,
                        "read": self.end_read,
                    }
                    if handler[kind](w, s, *item[1:]):
                        again = True
                        break
                    # Back to its place; a handler that makes others wait adds them behind.
                    shard["waiting"] = shard["waiting"][:i] + (item,) + shard["waiting"][i:]
        return w

    def may_send(self, w, op):
        after, behind = self.ops[op][2:]
        if w.before[op] is not None or any(w.answers[u] is None for u in after):
            return False
        return behind is None or w.before[behind] is not None

    def steps(self, w):
        """All that can happen next: (name, world), crashes last."""
        for op in range(len(self.ops)):
            if self.may_send(w, op):
                n = w.copy()
                n.before[op] = frozenset(u for u, r in enumerate(w.answers) if r is not None)
                s = self.coordinator(op)
                n.shards[s]["waiting"] += (("op", op),)
                yield f"client sends {op}", n
        for (a, b), lane in w.lanes.items():
            n = w.copy()
            n.lanes[a, b] = lane[1:]
            if not n.lanes[a, b]:
                del n.lanes[a, b]
            self.receive(n, b, a, lane[0])
            yield f"shard {b} receives {' '.join(map(str, lane[0][:2]))} from {a}", n
        for s in range(self.count):
            if w.shards[s]["durable"] < len(w.shards[s]["log"]):
                n = w.copy()
                shard = n.shards[s]
                shard["durable"] = len(shard["log"])
                self.release_out(n, s)
                yield f"shard {s} syncs", n
        if w.grants:
            for account, s in self.standing:
                home = self.home[account]
                shard = w.shards[home]
                state, rules = shard["accounts"][account], self.broken
                created_only = rules == "standing_status_undurable" and self.opening[account][EXISTS]
                durable = shard["status"].get(account, 0) <= shard["durable"] or created_only
                asked = any(i[0] == "op" and self.ops[i[1]][1] == account for i in shard["waiting"])
                if (
                    state[EXISTS] and not state[FROZEN] and self.limits[account] != "C" and not asked
                    and (durable or rules == "standing_created_undurable")
                    and account not in shard["lock"] and (account, s) not in shard["granted"]
                ):
                    n = w.copy()
                    n.grants -= 1
                    n.shards[home]["granted"] |= {(account, s)}
                    self.send(n, home, s, "grant", account)
                    yield f"shard {home} grants {account} to {s}", n
        if w.crashes and any(b is not None for b in w.before):
            yield "crash", None

    def crash(self, w):
        """Memory and what was not synced are gone; the redo; every request without an answer stays without one."""
        n = w.copy()
        n.crashes -= 1
        n.lanes = {}
        for s in range(self.count):
            log = w.shards[s]["log"][: w.shards[s]["durable"]]
            n.shards[s] = self.empty_shard(s)
            for record in log:
                self.replay(n.shards[s], s, record)
        for s in range(self.count):
            for record in n.shards[s]["log"]:
                if record[0] not in "TK":
                    continue
                op = record[1]
                for peer in self.shards_of(op):
                    other = n.shards[peer]
                    if peer == s or (("R", op) in other["log"] and self.broken != "no_dedup"):
                        continue
                    for e in self.events(op):
                        if self.home[e[3]] == peer and e[0] != "V":
                            state = other["accounts"][e[3]]
                            if not state[EXISTS] or state[FROZEN]:
                                raise Violated(f"the redo of {op} credits {e[3]}, absent or frozen")
                    self.replay(other, peer, ("R", op))
        for shard in n.shards:
            shard["durable"] = len(shard["log"])
        return n

    def replay(self, shard, s, record):
        shard["log"] += (record,)
        kind, op = record[:2]
        if kind == "status":
            account, exists, frozen = record[2:]
            self.put(shard, "accounts", account, (exists, frozen) + shard["accounts"][account][2:])
        elif kind == "no":
            self.put(shard, "ids", self.events(op)[0][1], record[2])
        else:
            for e in self.events(op):
                self.book(shard, s, e)

    # MARK: Judging

    def check(self, w):
        """The logs agree and the history has an explanation; call when nothing is under way."""
        decided = [r[1] for s in w.shards for r in s["log"] if r[0] in "TK"]
        if len(set(decided)) != len(decided):
            raise Violated("decided twice")
        for op in decided:
            copies = sum(r == ("R", op) for s in w.shards for r in s["log"])
            if copies != len(self.shards_of(op)) - 1:
                raise Violated(f"{op} is applied {copies} times elsewhere")
        effects = {op: "ok" for op in decided}
        for s in w.shards:
            for r in s["log"]:
                if r[0] in ("no", "status"):
                    effects[r[1]] = r[2] if r[0] == "no" else "ok"
        final = frozenset((n, a) for s in w.shards for n, a in s["accounts"].items())
        for name, a in final:
            if self.limits[name] == "D" and a[DP] + a[D] > a[C] or self.limits[name] == "C" and a[CP] + a[C] > a[D]:
                raise Violated(f"the limit of {name} is broken: {a}")
        known = dict(effects)
        known.update((op, r) for op, r in enumerate(w.answers) if r is not None)
        if not self.explained(frozenset(known.items()), tuple(w.before), final):
            raise Violated(f"no order of the requests explains the answers {dict(sorted(known.items()))}")

    def explain(self, known, before, final):
        """True when some order of the known requests gives these answers and ends in these balances."""
        known = dict(known)

        def place(left, accounts, pending, ids):
            if not left:
                return frozenset(accounts.items()) == final
            for op in left:
                # A refusal has no effect whose order could matter.
                if any(
                    u in before[op] or (u == self.ops[op][3] and known[u] == known[op] == "ok") for u in left - {op}
                ):
                    continue
                kind, what = self.ops[op][:2]
                a, p, i = accounts, pending, ids
                if kind == "x":
                    verdict, changed, state = judge(self.limits, accounts, pending, ids, what)
                    if changed is not None:
                        a, p, i = changed, state, {**ids, **{e[1]: "ok" for e in what}}
                    elif remembers(verdict, what):
                        i = {**ids, what[0][1]: verdict}
                elif kind == "r":
                    verdict = accounts[what][DP:]
                else:
                    verdict, a = "ok", {**accounts, what: (True, kind == "f") + accounts[what][DP:]}
                if verdict == known[op] and place(left - {op}, a, p, i):
                    return True
            return False

        return place(frozenset(known), self.opening, {}, {})

    def explore(self):
        """The number of states. Throws Violated with the history that goes wrong."""
        start = self.settle(self.start())
        # By state: the state and the step that led there first; and all states before it.
        origin = {start.key(): (None, "")}
        back = {}
        todo, ends = [start], []

        def story(key, last):
            lines = [last]
            while key is not None:
                key, step = origin[key]
                lines.append(step)
            return "\n    ".join(reversed(lines[:-1]))

        while todo:
            w = todo.pop()
            key = w.key()
            calm = False
            for name, n in self.steps(w):
                try:
                    if n is None:
                        n = self.crash(w)
                        self.check(n)
                    else:
                        calm = True
                        self.settle(n)
                except Violated as problem:
                    raise Violated(f"{problem}\n    {story(key, name)}") from None
                after = n.key()
                if name != "crash":
                    back.setdefault(after, []).append(key)
                if after not in origin:
                    origin[after] = (key, name)
                    todo.append(n)
            if not calm:
                try:
                    self.check(w)
                    if w.crashes == self.crashes and None in w.answers:
                        raise Violated(f"no answer for {w.answers.index(None)}")
                except Violated as problem:
                    raise Violated(f"{problem}\n    {story(key, 'the end')}") from None
                ends.append(key)
        live = set()
        while ends:
            key = ends.pop()
            if key not in live:
                live.add(key)
                ends += back.get(key, ())
        for key in origin:
            if key not in live:
                raise Violated(f"no way to an end\n    {story(key, '…')}")
        return len(origin)


def run(name, broken, crashes):
    """(what goes wrong or None, what to print)"""
    try:
        return None, f"{name}: {Model(CASES[name], broken, crashes).explore()} states, holds"
    except Violated as problem:
        return problem, f"{name}: VIOLATED: {problem}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", default="", help="only cases whose name holds this text")
    parser.add_argument("--crashes", type=int, default=1)
    parser.add_argument("--break", dest="broken", choices=RULES)
    parser.add_argument("--canaries", action="store_true", help="break every rule in turn: each must be found")
    arguments = parser.parse_args()
    good = True
    if arguments.canaries:
        for rule, names in RULES.items():
            found = all([run(name, rule, arguments.crashes)[0] for name in names])
            print(f"without {rule}: {'found' if found else 'NOT FOUND'}")
            good = good and found
    else:
        broken = arguments.broken
        for name in RULES[broken] if broken else [name for name in CASES if arguments.case in name]:
            problem, text = run(name, broken, arguments.crashes)
            print(text, flush=True)
            good = good and (problem is None) != bool(broken)
    return 0 if good else 1


sys.exit(main())
