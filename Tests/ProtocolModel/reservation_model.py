#!/usr/bin/env python3
"""Explores chains that reserve (Docs/Reservation.md) exhaustively on small cases, and by seeds beyond.

usage: reservation_model.py [--case TEXT] [--crashes N] [--break RULE | --canaries | --seeds N [--first S]] [--long]

One machine decides single transfers and chains alike. A shard judges its own legs of a transaction against the worst
and the best case of what is undecided on their accounts, and says yes, no at an event, or waits. Docs/Reservation.md
has the rules by number; the comments here name them. reservation_cases.py has the cases, and which of them go wrong
without which rule; exploring.py what they are held against. The machine itself: reservation_shard.py,
reservation_coordinator.py, reservation_reads.py.

Every order of messages, syncs, requests and crashes is tried. After every crash and at every end: the logs agree, no
limit is broken, and one order of all requests explains every answer (refusals with their event and reason), every read
and every balance, where what was answered before something was sent comes first. Every state can still reach an end.
In cases with endless requests the oldest is answered, whatever the others do.

What is simpler than the engine: a step of a shard is atomic; clocks are perfect, so that a read knows what was decided
before it, and which of two votes was given first; the redo is one step; numbers of commits are not modelled (the
lanes keep their order). Exit 0: holds, or every break was found; 1: not.
"""

import argparse
import random
import sys
import time

from exploring import EXISTS, FROZEN, Explorer, Violated
from reservation_cases import CASES, RULES, random_case
from reservation_coordinator import Coordinator
from reservation_reads import Reads
from reservation_shard import Participant

# MARK: The model of the engine


class World:
    """Every shard's memory and log, the lanes, and what the clients know."""

    __slots__ = ("shards", "lanes", "answers", "before", "crashes", "grants", "order")

    def copy(self):
        w = World()
        w.shards = [dict(s) for s in self.shards]
        w.lanes, w.answers, w.before = dict(self.lanes), list(self.answers), list(self.before)
        w.crashes, w.grants, w.order = self.crashes, self.grants, dict(self.order)
        return w

    def key(self):
        shards = tuple(
            tuple(frozenset(v.items()) if type(v) is dict else v for v in s.values()) for s in self.shards
        )
        lanes, order = frozenset(self.lanes.items()), frozenset(self.order.items())
        return shards, lanes, order, tuple(self.answers), tuple(self.before), self.crashes, self.grants


class Model(Participant, Coordinator, Reads, Explorer):
    def __init__(self, case, broken, crashes):
        self.ops = case["ops"]
        self.home = {name: a[0] for name, a in case["accounts"].items()}
        self.limits = {name: a[1] for name, a in case["accounts"].items()}
        self.opening = {
            name: ("absent" not in a[4:], "frozen" in a[4:], 0, a[2], 0, a[3]) for name, a in case["accounts"].items()
        }
        self.count = max(self.home.values()) + 1
        self.standing = [
            (name, shard) for name, shards in case.get("granted", {}).items() for shard in shards or range(self.count)
            if shard != self.home[name]
        ]
        self.given = case.get("given", False)
        self.grants = case.get("grants", 0 if self.given else 2)
        self.broken = broken
        self.crashes = min(crashes, case.get("crashes", crashes))
        self.explained = {}
        self.sums = {}
        self.holds = {e[1]: e[4] for op in self.ops if op[0] == "x" for e in op[1] if e[0] == "P"}
        # Of each transaction: its end, and the sides (position, event, account) that live in each shard. The debit side
        # of event k stands at 2k, its credit side at 2k + 1: the order in which faults are answered.
        self.end, self.sides = {}, {}
        for op in range(len(self.ops)):
            if self.ops[op][0] == "x":
                self.end[op] = 2 * len(self.ops[op][1])
                self.sides[op] = {}
                for k, e in enumerate(self.ops[op][1]):
                    for pos, account in ((2 * k, e[2]), (2 * k + 1, e[3])):
                        self.sides[op].setdefault(self.home[account], []).append((pos, e, account))

        # Requests that come again as soon as they are refused, without end and each time as new.
        self.endless = case.get("endless", ())
        self.followers = {op: [f for f, o in enumerate(self.ops) if o[3] == op] for op in range(len(self.ops))}

    def start(self):
        w = World()
        w.shards = [self.empty_shard(i) for i in range(self.count)]
        w.lanes, w.order = {}, {}
        w.answers, w.before = [None] * len(self.ops), [None] * len(self.ops)
        w.crashes, w.grants = self.crashes, self.grants
        for account, s in self.standing if self.given else ():
            w.shards[self.home[account]]["granted"] |= {(account, s)}
            w.shards[s]["held"] |= {account}
        return w

    def empty_shard(self, i):
        return dict(
            accounts={name: a for name, a in self.opening.items() if self.home[name] == i},
            status={},  # account -> length of the log that explains its existence and freezing
            raised={},  # account -> length of the log with the last decision of this shard that gave it room
            pending={}, ids={}, log=(), durable=0,
            opened={},  # pending transfer -> the shard that has coordinated it: its commits bring it to the other side
            parts={},  # op -> (positions below this are held here, all of it is: others may hope for its net)
            lock={},  # account -> op
            waiting=(),  # (op, kind, arguments, ready), the oldest first
            doubt={},  # op that waits -> accounts on which younger ones queue behind it
            before={},  # op in that line -> those undecided there when it came; none left: the line is closed
            dead={},  # op that was told to let go -> those it must outlive
            coord={},  # coordinated: op -> (stage, asked, votes)
            unnoted=(),  # (length of the log with a decision, op, shards that must note it), in order
            out=(),  # (length of the log it waits for, what), in the order of decision
            announced=frozenset(),  # parts that others have decided on a grant
            heard={},  # op that asked the others -> (length of the log then, its position, shards not heard from)
            slow=frozenset(),  # coordinated: a peer has said that it waits there
            held=frozenset(), granted=frozenset(), revoking=frozenset(),
        )

    # MARK: Small things

    def events(self, op):
        return self.ops[op][1]

    def coordinator(self, op):
        kind, what = self.ops[op][:2]
        return self.home[what[0][2] if kind == "x" else what[0] if kind == "c" else what]

    def shards_of(self, op, limit=None):
        limit = self.end[op] if limit is None else limit
        return [s for s, sides in sorted(self.sides[op].items()) if sides[0][0] < limit]

    def here(self, s, op):
        """The accounts of a request that live in a shard."""
        if self.ops[op][0] == "c":
            return {account for account in self.ops[op][1] if self.home[account] == s}
        if self.ops[op][0] != "x":
            return {self.ops[op][1]}
        return {account for _, _, account in self.sides[op].get(s, ())}

    def locks(self, op):
        return self.ops[op][0] == "x" and any(e[0] == "B" for e in self.events(op))

    @staticmethod
    def put(shard, field, key, value):
        table = dict(shard[field])
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
        shard[field] = table

    def send(self, w, s, to, *message):
        w.lanes[s, to] = w.lanes.get((s, to), ()) + (message,)

    def log(self, w, s, *record):
        w.shards[s]["log"] += (record,)

    def stamp(self, w, op, s):
        """What a shard says of a transaction is given now: after all that the others have said."""
        w.order[op] = tuple(x for x in w.order.get(op, ()) if x != s) + (s,)

    def when_durable(self, w, s, what, length=None, early=False):
        shard = w.shards[s]
        length = len(shard["log"]) if length is None else length
        if early:
            return self.release(w, s, what)
        shard["out"] += ((length, what),)
        self.release_out(w, s)

    def release_out(self, w, s):
        """Lets go of what the durable log explains, up to the first decision that some peer has not noted (rule 19)."""
        shard = w.shards[s]
        until = shard["durable"]
        if shard["unnoted"] and self.broken != "release_unnoted":
            until = min(until, shard["unnoted"][0][0] - 1)
        going = [what for length, what in shard["out"] if length <= until]
        shard["out"] = tuple(o for o in shard["out"] if o[0] > until)
        for what in going:
            self.release(w, s, what)

    def release(self, w, s, what):
        if what[0] == "answer":
            w.answers[what[1]] = what[2]
        elif what[1] == s:
            self.receive(w, s, s, what[2:])
        else:
            self.send(w, s, what[1], *what[2:])

    def wait(self, w, s, op, kind, arguments=(), ready=True):
        """Puts an item into the shard's list; the oldest is looked at first."""
        items = w.shards[s]["waiting"] + ((op, kind, arguments, ready),)
        w.shards[s]["waiting"] = tuple(sorted(items, key=lambda i: i[0]))

    def wake(self, w, s, accounts):
        """Something has ended on these accounts: whoever waits there is looked at again (rule 14)."""
        shard = w.shards[s]
        if self.broken == "no_wake":
            return
        shard["waiting"] = tuple(
            (op, kind, arguments, ready or bool(self.here(s, op) & accounts))
            for op, kind, arguments, ready in shard["waiting"]
        )

    # MARK: Steps

    def request(self, w, s, op):
        """Handles what a client sent; False: it must wait."""
        kind, what = self.ops[op][:2]
        if kind == "r":
            return self.read(w, s, op)
        if kind == "a":
            return self.change_status(w, s, op, what, True, False)
        if kind == "c":
            return self.cut(w, s, op)
        if kind in "fu":
            return self.freeze(w, s, op, what, kind == "f")
        return self.begin(w, s, op)

    def settle(self, w):
        """Carries on with all that has become possible, the oldest first."""
        again = True
        while again:
            again = False
            for s in range(self.count):
                shard = w.shards[s]
                item = next((i for i in shard["waiting"] if i[3]), None)
                if item is None:
                    continue
                again = True
                op, kind, arguments, _ = item
                items = list(shard["waiting"])
                items.remove(item)
                shard["waiting"] = tuple(items)
                handler = {
                    "op": self.request, "prepare": self.prepare, "lock": self.lock, "read": self.read,
                    "ids": self.say_ids, "share": self.share,
                }[kind]
                if not handler(w, s, op, *arguments):
                    self.wait(w, s, op, kind, arguments, ready=False)
        return w

    def may_send(self, w, op):
        after, behind = self.ops[op][2:]
        if w.before[op] is not None or any(w.answers[u] is None for u in after):
            return False
        return behind is None or w.before[behind] is not None

    def choices(self, w):
        """Names of all that can happen next, crashes last."""
        for op in range(len(self.ops)):
            if self.may_send(w, op):
                yield "send", op
        for op in self.endless:
            if w.answers[op] is not None and not self.is_about(w, op):
                yield "again", op
        for lane in w.lanes:
            yield "lane", lane
        for s in range(self.count):
            shard = w.shards[s]
            # A sync that nobody waits for makes a difference to a crash only.
            if shard["durable"] < len(shard["log"]) and (shard["out"] or w.crashes):
                yield "sync", s
        for account, s in self.standing if w.grants else ():
            if self.may_grant(w, account, s):
                yield "grant", (account, s)
        if w.crashes and any(b is not None for b in w.before):
            yield "crash", None

    def is_about(self, w, op):
        """Something of the transaction is still somewhere."""
        tables = ("parts", "doubt", "dead", "coord", "heard")
        return any(m[1] == op for lane in w.lanes.values() for m in lane) or any(
            any(op in shard[t] for t in tables) or any(i[0] == op for i in shard["waiting"]) for shard in w.shards
        )

    def may_grant(self, w, account, s):
        """A grant is a durable fact, as every vote, and given to nobody while something waits to be alone (rule 15)."""
        shard = w.shards[self.home[account]]
        state = shard["accounts"][account]
        durable = shard["status"].get(account, 0) <= shard["durable"] or self.broken == "grant_undurable"
        alone = any(account in d and (self.ops[o][0] != "x" or self.locks(o)) for o, d in shard["doubt"].items())
        return (
            state[EXISTS] and not state[FROZEN] and self.limits[account] != "C" and durable and not alone
            and account not in shard["lock"] and (account, s) not in shard["granted"]
        )

    def take(self, w, choice):
        """(what has happened, in words; the world after it)"""
        what, which = choice
        if what == "crash":
            return "crash", self.crash(w)
        n = w.copy()
        if what == "send":
            n.before[which] = frozenset(u for u, r in enumerate(w.answers) if r is not None)
            s = self.coordinator(which)
            self.wait(n, s, which, "op")
            text = f"client sends {which}: {self.ops[which][1]}"
        elif what == "lane":
            a, b = which
            lane = w.lanes[which]
            n.lanes[which] = lane[1:]
            if not n.lanes[which]:
                del n.lanes[which]
            self.receive(n, b, a, lane[0])
            text = f"shard {b} receives {' '.join(map(str, lane[0]))} from {a}"
        elif what == "again":
            n.answers[which] = n.before[which] = None
            text = f"{which} comes again"
        elif what == "sync":
            shard = n.shards[which]
            shard["durable"] = len(shard["log"])
            self.release_out(n, which)
            text = f"shard {which} syncs"
        elif what == "grant":
            n.grants -= 1
            n.shards[self.home[which[0]]]["granted"] |= {which}
            self.send(n, self.home[which[0]], which[1], "grant", which[0])
            text = f"shard {self.home[which[0]]} grants {which[0]} to {which[1]}"
        self.settle(n)
        answered = [f"{u} is answered {r}" for u, r in enumerate(n.answers) if r is not None and w.answers[u] is None]
        return "; ".join([text] + answered), n

    def crash(self, w):
        """Memory and what was not synced are gone; the redo; every request without an answer stays without one."""
        n = w.copy()
        n.crashes -= 1
        n.lanes, n.order = {}, {}
        for s in range(self.count):
            log = w.shards[s]["log"][: w.shards[s]["durable"]]
            n.shards[s] = self.empty_shard(s)
            for record in log:
                self.replay(n.shards[s], s, record)
        left = [
            (record, peer) for shard in n.shards for record in shard["log"] if record[0] == "K"
            for peer in self.shards_of(record[1]) if ("K", *record[1:]) not in n.shards[peer]["log"]
        ]
        while left:
            # The engine goes by timestamps: no hold ends before it begins.
            record, peer = next((r for r in left if self.may_redo(n.shards[r[1]], *r[0][1:2], r[1])), left[0])
            left.remove((record, peer))
            other = n.shards[peer]
            op, redone = record[1], ("R", *record[1:])
            if redone in other["log"] and self.broken != "no_dedup":
                continue
            for _, e, account in self.sides[op][peer]:
                state = other["accounts"][account]
                if account == e[3] and e[0] in "TPS" and (not state[EXISTS] or state[FROZEN]):
                    raise Violated(f"the redo of {op} credits {account}, absent or frozen")
            self.replay(other, peer, redone)
        for shard in n.shards:
            shard["durable"] = len(shard["log"])
        self.check(n)
        return n

    def may_redo(self, shard, op, s):
        """What the transaction ends here has begun here."""
        begun = {e[1] for r in shard["log"] if r[0] in "KR" for e in self.events(r[1]) if e[0] == "P"}
        return all(e[5] in begun | {x[1] for x in self.events(op)} for _, e, _ in self.sides[op][s] if e[0] in "SVE")

    def replay(self, shard, s, record):
        shard["log"] += (record,)
        kind, op = record[:2]
        if kind == "status":
            account, exists, frozen = record[2:]
            self.put(shard, "accounts", account, (exists, frozen) + shard["accounts"][account][2:])
        elif kind == "no":
            self.put(shard, "ids", self.events(op)[record[2]][1], record[3])
        else:
            self.book(shard, s, op, record[2])

def run(name, broken, crashes, long=False):
    """(what goes wrong or None, what to print)"""
    began = time.monotonic()
    try:
        model = Model(CASES[name], broken, crashes)
        states = model.starve() if model.endless else model.explore(() if long else CASES[name].get("begins", ()))
        return None, f"{name}: {states} states, holds ({time.monotonic() - began:.1f} s)"
    except Violated as problem:
        return problem, f"{name}: VIOLATED: {problem}"


def run_seeds(count, first, broken, crashes):
    """The first seed that goes wrong, or None."""
    steps = 0
    for seed in range(first, first + count):
        rnd = random.Random(seed)
        case = random_case(rnd)
        try:
            steps += Model(case, broken, crashes if rnd.random() < 0.5 else 0).walk(rnd)
        except Violated as problem:
            return seed, f"seed {seed}: VIOLATED: {problem}\n  {case}"
    return None, f"{count} seeds from {first}: {steps} steps, holds"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", default="", help="only cases whose name holds this text")
    parser.add_argument("--crashes", type=int, default=1)
    parser.add_argument("--break", dest="broken", choices=RULES)
    parser.add_argument("--canaries", action="store_true", help="break every rule in turn: each must be found")
    parser.add_argument("--seeds", type=int, default=0, help="random histories, larger than the cases")
    parser.add_argument("--long", action="store_true", help="from the start also where that takes minutes")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    arguments = parser.parse_args()
    good = True
    if arguments.seeds:
        seed, text = run_seeds(arguments.seeds, arguments.first, arguments.broken, arguments.crashes)
        print(text)
        good = (seed is None) != bool(arguments.broken)
    elif arguments.canaries:
        for rule, names in RULES.items():
            found = all([run(name, rule, arguments.crashes, arguments.long)[0] for name in names])
            print(f"without {rule}: {'found' if found else 'NOT FOUND'}", flush=True)
            good = good and found
    else:
        broken = arguments.broken
        for name in RULES[broken] if broken else [name for name in CASES if arguments.case in name]:
            problem, text = run(name, broken, arguments.crashes, arguments.long)
            print(text, flush=True)
            good = good and (problem is None) != bool(broken)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
