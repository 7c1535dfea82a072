#!/usr/bin/env python3
"""Explores chains that reserve (Docs/Reservation.md) exhaustively on small cases, and by seeds beyond.

usage: reservation_model.py [--case TEXT] [--crashes N] [--break RULE | --canaries | --seeds N [--first S]] [--long]

One machine decides single transfers and chains alike. A shard judges its own legs of a transaction against the worst
and the best case of what is undecided on their accounts, and says yes, no at an event, or waits. Docs/Reservation.md
has the rules by number; the comments here name them. reservation_cases.py has the cases, and which of them go wrong
without which rule; exploring.py what they are held against.

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

from exploring import C, CP, D, DP, EXISTS, FROZEN, NOT_FINAL, Explorer, Violated, evaluate
from reservation_cases import CASES, RULES, random_case

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


class Model(Explorer):
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

    # MARK: An account's room

    def room(self, account, state):
        return state[C] - state[D] - state[DP] if self.limits[account] == "D" else state[D] - state[C] - state[CP]

    def change(self, e, account):
        """What one side of an event does to its account's room."""
        kind, _, debit, _, amount, named = e
        held = self.holds.get(named, 0)
        if (account == debit) == (self.limits[account] == "D"):
            return {"T": -amount, "P": -amount, "S": held - amount, "V": held, "E": held}[kind]
        return amount if kind in "TS" else 0

    def reserved(self, op, s, limit):
        """Of the transaction's positions below the limit: limited account -> (dip, net)."""
        found = self.sums.get((op, s, limit))
        if found is None:
            found = {}
            for pos, e, account in self.sides[op].get(s, ()):
                if pos < limit and self.limits[account]:
                    dip, net = found.get(account, (0, 0))
                    net += self.change(e, account)
                    found[account] = (max(dip, -net), net)
            self.sums[op, s, limit] = found
        return found

    def bounds(self, shard, s, op, account):
        """Worst and best case of the room, and who makes the difference (rules 3 and 4)."""
        worst = best = self.room(account, shard["accounts"][account])
        who = set()
        for other, (upto, whole) in shard["parts"].items():
            if other == op or account not in self.reserved(other, s, upto):
                continue
            dip, net = self.reserved(other, s, upto)[account]
            if self.broken == "net_for_dip":
                dip = max(0, -net)
            hope = max(0, net) if whole else 0
            worst, best = worst - dip, best + hope
            if dip or hope:
                who.add(other)
        if self.broken == "hope":
            worst = best
        if self.broken == "deny":
            best = worst
        return worst, best, who

    # MARK: The verdict of a shard

    def busy(self, shard, s, op, id, identity):
        """Who else holds an identity, or a pending transfer (rule 6)."""
        if self.broken == ("identity_shared" if identity else "hold_shared"):
            return set()
        found = set()
        for other, (upto, _) in shard["parts"].items():
            for pos, e, _ in self.sides[other].get(s, ()) if other != op else ():
                # The event at fault holds its identity too.
                if pos % 2 == 0 and pos <= upto and e[0] != "E" and e[1] == id:
                    found.add(other)
                if not identity and pos % 2 == 0 and pos < upto and e[5] == id:
                    found.add(other)
        return found

    def hold_state(self, shard, op, pos, named):
        """What a post or void finds, the events of its own chain before it included."""
        state = shard["pending"].get(named)
        for kind, id, _, _, _, other in self.events(op)[: pos // 2]:
            if kind == "P" and id == named:
                state = "open"
            if kind in "SV" and other == named:
                state = "posted" if kind == "S" else "voided"
        return state

    def judge(self, w, s, op, limit):
        """("yes",), ("no", position, reason, account without room or None) or ("wait", holders, accounts in doubt)."""
        shard = w.shards[s]
        holders, doubt, sums, sure = set(), set(), {}, shard["announced"]
        for pos, e, account in self.sides[op].get(s, ()):
            if pos >= limit:
                break
            kind, id, debit, _, amount, named = e
            state, fault, mine, lacks = shard["accounts"][account], None, set(), None
            if shard["lock"].get(account, op) != op and self.broken != "lock_ignored":
                mine.add(shard["lock"][account])
            is_debit = pos % 2 == 0
            if is_debit and kind != "E":
                mine |= self.busy(shard, s, op, id, True)
                if id in shard["ids"] and self.broken != "forget_ids":
                    fault = "exists" if shard["ids"][id] == "ok" else shard["ids"][id]
            if not fault and not state[EXISTS]:
                fault = "no debit account" if is_debit else "no credit account"
            if not fault and is_debit and kind in "SVE":
                mine |= self.busy(shard, s, op, named, False)
                found = self.hold_state(shard, op, pos, named)
                if found != "open":
                    fault = "nothing" if kind == "E" else found or "no pending"
            if not fault and not is_debit and kind in "TPS" and state[FROZEN]:
                fault = "frozen"
            if not is_debit and kind in "SVE" and self.home[debit] != s:
                # What it resolves is decided, and its commit on the way (rule 8).
                coming = {o for o in shard["parts"] if o != op and any(x[1] == named for x in self.events(o))}
                mine, sure = mine | coming, sure | coming
            if not fault and self.limits[account]:
                change = self.change(e, account)
                sums[account] = sums.get(account, 0) + change
                if change < 0 and sums[account] < 0:
                    worst, best, who = self.bounds(shard, s, op, account)
                    if worst < -sums[account]:
                        if best < -sums[account]:
                            fault = "exceeds credits" if self.limits[account] == "D" else "exceeds debits"
                            lacks = account
                        else:
                            mine |= who
                            doubt.add(account)
            if mine:
                holders |= mine
            elif fault and not holders:
                return "no", pos, fault, lacks
            elif fault:
                break
        # Those who are decided end by themselves: nobody lets go before them.
        return ("wait", frozenset(holders - sure), frozenset(doubt)) if holders else ("yes",)

    def older_in_line(self, shard, s, op, limit):
        """Older ones that wait for what this one would take (rule 13); the accounts."""
        behind, doubt = set(), set()
        if self.broken == "no_queue":
            return behind, doubt
        taken = self.reserved(op, s, limit)
        for pos, _, account in self.sides[op].get(s, ()):
            for other, accounts in shard["doubt"].items():
                exclusive = self.ops[other][0] != "x" or self.locks(other)
                if pos < limit and other < op and account in accounts:
                    closed = shard["before"].get(other) == frozenset() and self.broken != "line_open"
                    if exclusive or closed or taken.get(account, (0, 0))[0] > 0:
                        behind.add(other)
                        doubt.add(account)
        return behind, doubt

    def facts(self, shard, s, op, verdict):
        """Length of the log that must be durable before the vote leaves (rule 20)."""
        if verdict == "no" or any(pos % 2 == 0 and e[0] in "SV" for pos, e, _ in self.sides[op][s]):
            return len(shard["log"])
        # Room that others have decided stands in their logs.
        dips = [a for a, (dip, _) in self.reserved(op, s, self.end[op]).items() if dip]
        raised = [shard["raised"].get(a, 0) for a in dips if self.broken != "vote_undurable"]
        return max([shard["status"].get(account, 0) for account in self.here(s, op)] + raised)

    # MARK: The participant

    def drop_part(self, w, s, op):
        """Nothing of the transaction is undecided here any longer."""
        shard = w.shards[s]
        if op not in shard["parts"] and op not in shard["lock"].values():
            return
        self.put(shard, "parts", op, None)
        shard["lock"] = {a: o for a, o in shard["lock"].items() if o != op}
        shard["before"] = {o: before - {op} for o, before in shard["before"].items()}
        shard["waiting"] = tuple(
            (o, kind, a[:2] + (a[2] - {op},), True) if kind == "read" and len(a) == 3 else (o, kind, a, ready)
            for o, kind, a, ready in shard["waiting"]
        )
        self.ended(w, s, op)

    def ended(self, w, s, op):
        """Something that others may wait for is over, here: applied, let go, or no longer in line."""
        shard = w.shards[s]
        self.wake(w, s, self.here(s, op))
        for other, outlives in shard["dead"].items():
            if op in outlives:
                self.put(shard, "dead", other, outlives - {op})
                if outlives == {op}:
                    self.put(shard, "dead", other, None)
                    if self.coordinator(other) == s:
                        self.came_back(w, s, other, ("again", s))
                    else:
                        self.send(w, s, self.coordinator(other), "again", other)

    def out_of_line(self, w, s, op):
        shard = w.shards[s]
        self.put(shard, "heard", op, None)
        self.put(shard, "before", op, None)
        if op in shard["doubt"]:
            self.put(shard, "doubt", op, None)
            self.ended(w, s, op)

    def prepare(self, w, s, op, limit, last):
        """Judges this shard's sides below the limit; False: it waits (its item stays)."""
        shard, d = w.shards[s], self.coordinator(op)
        if shard["heard"].get(op, (0, 0, ()))[2]:
            return False
        verdict = self.judge(w, s, op, limit)
        kind = verdict[0]
        if kind != "wait":
            upto = limit if kind == "yes" else verdict[1]
            behind, doubt = self.older_in_line(shard, s, op, upto)
            if behind:
                verdict, kind = ("wait", frozenset(behind), frozenset(doubt)), "wait"
        if kind == "wait":
            self.drop_part(w, s, op)
            older = {o for o in verdict[1] if o < op}
            stage, asked, votes = w.shards[d]["coord"][op] if s == d else (None, (), ())
            alone = s == d and not any(x != s for x in asked) and not any(v[1] != "granted" for v in votes)
            if older and not alone and self.broken != "no_die":
                self.out_of_line(w, s, op)
                if s == d:
                    self.let_go(w, s, op, None)
                else:
                    self.put(shard, "dead", op, frozenset(older))
                    self.send(w, s, d, "let go", op)
                return True
            if s != d and op not in shard["doubt"] and self.followers[op]:
                self.send(w, s, d, "waiting", op)
            if op not in shard["before"]:
                undecided = (o for o in shard["parts"] if self.here(s, o) & verdict[2])
                self.put(shard, "before", op, frozenset(undecided))
            if shard["doubt"].get(op) != verdict[2]:
                self.put(shard, "doubt", op, verdict[2])
            return False
        if kind == "no" and verdict[3] is not None and self.listens(w, s, op, verdict[3], verdict[1]):
            # The no will be given as of now, and so the events below it are held from now on (rule 17).
            self.put(shard, "parts", op, (0 if self.broken == "listen_unheld" else verdict[1], False))
            self.put(shard, "doubt", op, frozenset([verdict[3]]))
            return False
        if kind == "yes" or op not in shard["heard"] or self.broken == "given_late":
            self.stamp(w, op, s)
        self.out_of_line(w, s, op)
        facts = self.facts(shard, s, op, kind)
        early = kind == "no" and self.broken == "no_undurable"
        if kind == "yes":
            self.put(shard, "parts", op, (limit, limit == self.end[op]))
            vote = (s, "yes", limit, None)
        else:
            _, pos, reason, _ = verdict
            # Where this is the last word, and the identity lives elsewhere, nothing more will be asked of it (rule 10).
            ends = last and self.home[self.events(op)[pos // 2][2]] != s
            if ends:
                self.drop_part(w, s, op)
            elif self.broken == "prefix_free":
                self.put(shard, "parts", op, (0, False))
            else:
                self.put(shard, "parts", op, (pos, False))
                # Positions that a wider hold had, and this one has not.
                self.wake(w, s, self.here(s, op))
            vote = (s, "ended" if ends else "no", pos, reason)
        if s == d:
            self.voted(w, s, op, vote)
            if op in shard["parts"]:
                self.wake(w, s, {account for f in self.followers[op] for account in self.here(s, f)})
        else:
            self.when_durable(w, s, ("send", d, "vote", op, vote), facts, early)
        return True

    def lock(self, w, s, op):
        """Locks the accounts that are here, all at once, and says what they are; False: it waits (rules 22 and 23)."""
        shard, d, accounts = w.shards[s], self.coordinator(op), self.here(s, op)
        self.put(shard, "doubt", op, frozenset(accounts))
        holders = {o for o in shard["parts"] if self.here(s, o) & accounts} - shard["announced"]
        locked = {o for a, o in shard["lock"].items() if a in accounts}
        waits = any(self.here(s, o) & accounts for o in shard["parts"]) and self.broken != "lock_beside"
        if (waits and min(holders, default=op) < op) or min(locked, default=op) < op:
            if self.broken != "lock_no_die":
                self.out_of_line(w, s, op)
                if s == d:
                    self.let_go(w, s, op, s)
                else:
                    self.send(w, s, d, "let go", op)
                self.put(shard, "dead", op, frozenset(o for o in holders | locked if o < op))
                return True
        free = self.broken == "lock_granted" or all([self.revoked(w, s, a) for a in sorted(accounts)])
        if waits or locked or not free:
            return False
        self.out_of_line(w, s, op)
        for a in accounts:
            self.put(shard, "lock", a, op)
        events = self.events(op)
        here = [e for e in events if self.home[e[2]] == s]
        facts = (
            frozenset((a, shard["accounts"][a]) for a in accounts),
            frozenset((e[5], shard["pending"][e[5]]) for e in here if e[5] in shard["pending"]),
            frozenset((e[1], shard["ids"][e[1]]) for e in here if e[1] in shard["ids"]),
        )
        vote = (s, "facts", facts, None)
        if s == d:
            self.voted(w, s, op, vote)
        else:
            self.when_durable(w, s, ("send", d, "vote", op, vote))
        return True

    def receive(self, w, s, sender, message):
        shard = w.shards[s]
        kind, op = message[:2]
        if kind == "prepare":
            self.wait(w, s, op, "prepare", message[2:])
        elif kind == "lock":
            self.wait(w, s, op, "lock")
        elif kind == "vote":
            self.voted(w, s, op, message[2])
        elif kind == "ids":
            self.wait(w, s, op, "ids")
        elif kind == "ids are":
            if not message[2] and op in shard["coord"]:
                self.put(shard, "coord", op, None)
                self.when_durable(w, s, ("answer", op, (0, "exists")))
            elif op in shard["coord"]:
                self.came_back(w, s, op, ("ids", sender))
        elif kind == "waiting":
            if shard["coord"].get(op, ("",))[0] == "asking":
                shard["slow"] |= {op}
                self.followed(w, s, op, True)
        elif kind == "let go":
            if shard["coord"][op][0] == "asking":
                self.let_go(w, s, op, sender)
        elif kind == "again":
            self.came_back(w, s, op, ("again", sender))
        elif kind == "released":
            self.came_back(w, s, op, ("released", sender))
        elif kind == "release":
            self.let_go_here(w, s, op, *message[2:])
        elif kind == "commit":
            self.log(w, s, "R", op, message[2])
            self.commit_here(w, s, op, message[2])
        elif kind == "announce":
            self.put(shard, "parts", op, (self.end[op], True))
            shard["announced"] |= {op}
            self.send(w, s, sender, "noted", op)
        elif kind == "noted":
            unnoted = ((n, o, peers - {sender} if o == op else peers) for n, o, peers in shard["unnoted"])
            shard["unnoted"] = tuple(u for u in unnoted if u[2])
            self.release_out(w, s)
        elif kind == "hear":
            self.send(w, s, sender, "heard", op, message[2])
        elif kind == "heard":
            if op in shard["heard"]:
                asked, pos, missing = shard["heard"][op]
                if asked == message[2]:
                    self.put(shard, "heard", op, (asked, pos, missing - {sender}))
                    if missing == {sender}:
                        self.wake(w, s, self.here(s, op))
        elif kind == "share":
            self.shared(w, s, sender, op, message[2])
        elif kind == "grant":
            shard["held"] |= {op}
        elif kind == "revoke":
            shard["held"] -= {op}
            self.send(w, s, sender, "revoked", op)
            # Whoever has counted on it, and is not decided, must ask after all.
            for other, (stage, asked, votes) in shard["coord"].items():
                gone = {v for v in votes if stage == "asking" and v[:2] == (sender, "granted")}
                if gone and op in self.here(sender, other) and self.broken != "grant_stale":
                    self.put(shard, "coord", other, (stage, asked, votes - gone))
        elif kind == "revoked":
            shard["granted"] -= {(op, sender)}
            shard["revoking"] -= {(op, sender)}
            self.wake(w, s, {op})
        else:
            raise Violated(f"{kind} is unknown")

    def let_go_here(self, w, s, op, final, answer):
        """The coordinator lets go; `final`: the event at fault and why, where its identity lives here (rule 10)."""
        shard = w.shards[s]
        shard["waiting"] = tuple(i for i in shard["waiting"] if i[:2] not in ((op, "prepare"), (op, "lock")))
        shard["out"] = tuple(o for o in shard["out"] if o[1][2:4] != ("vote", op))
        self.put(shard, "dead", op, None)
        self.out_of_line(w, s, op)
        d = self.coordinator(op)
        if final:
            self.refused(w, s, op, *final)
            self.when_durable(w, s, ("send", d, "released", op))
        elif answer:
            self.send(w, s, d, "released", op)
        self.drop_part(w, s, op)

    def refused(self, w, s, op, k, reason):
        """Makes the refusal of an event final for its identity."""
        id = self.events(op)[k][1]
        if reason not in NOT_FINAL and id not in w.shards[s]["ids"] and op not in self.endless:
            self.log(w, s, "no", op, k, reason)
            self.put(w.shards[s], "ids", id, reason)

    def commit_here(self, w, s, op, balance=None):
        """Applies the sides of a decided transaction that live here."""
        shard = w.shards[s]
        before = shard["accounts"]
        self.book(shard, s, op, balance)
        shard["announced"] -= {op}
        for account in self.here(s, op) if shard["log"][-1][0] == "K" else ():
            if self.limits[account] and self.room(account, before[account]) < self.room(
                account, shard["accounts"][account]
            ):
                self.put(shard, "raised", account, len(shard["log"]))
        self.drop_part(w, s, op)
        self.wake(w, s, self.here(s, op))
        # What these accounts lack now is another question (rule 18).
        for other in shard["heard"]:
            if self.ops[other][0] == "x" and self.broken != "listen_once":
                pos = shard["heard"][other][1]
                lacks = next(account for at, _, account in self.sides[other][s] if at == pos)
                if self.room(lacks, shard["accounts"][lacks]) < self.room(lacks, before[lacks]):
                    self.put(shard, "heard", other, None)

    def book(self, shard, s, op, balance=None):
        for _, (kind, id, debit, _, amount, named), account in self.sides[op].get(s, ()):
            a = list(shard["accounts"][account])
            pending, posted = (DP, D) if account == debit else (CP, C)
            if kind in "SVE":
                a[pending] -= self.holds[named]
            if kind in "TSB":
                a[posted] += balance if kind == "B" else amount
            if kind == "P":
                a[pending] += amount
            if min(a) < 0:
                raise Violated(f"{op} takes more from {account} than is held there: {a}")
            self.put(shard, "accounts", account, tuple(a))
            if account == debit:
                if kind != "E":
                    self.put(shard, "ids", id, "ok")
                if kind in "PSVE":
                    state = {"P": "open", "S": "posted", "V": "voided", "E": "expired"}[kind]
                    self.put(shard, "pending", id if kind == "P" else named, state)
                    by = self.coordinator(op) if kind == "P" else None
                    self.put(shard, "opened", id if kind == "P" else named, by)

    # MARK: The coordinator

    def undone(self, shard, op):
        """Has come, and is neither decided nor refused."""
        asking = shard["coord"].get(op, ("",))[0] in ("asking", "letting go")
        return asking or any(i[:2] == (op, "op") for i in shard["waiting"])

    def must_follow(self, shard, op):
        """The event before it in its request, of the same debit account, must be decided first."""
        before = self.ops[op][3]
        return before is not None and self.undone(shard, before) and self.broken != "order_ignored"

    def followed(self, w, s, op, stops):
        """What has happened to an event concerns those behind it in its request (rule 25)."""
        shard = w.shards[s]
        for f in self.followers[op]:
            stage, asked, _ = shard["coord"].get(f, ("", (), ()))
            if stage == "asking" and stops:
                if self.broken != "follow_held":
                    self.let_go(w, s, f, None)
            elif stage == "asking" and not asked:
                self.advance(w, s, f)
        if self.followers[op]:
            self.wake(w, s, self.here(s, op))

    def begin(self, w, s, op):
        before = self.ops[op][3]
        if self.must_follow(w.shards[s], op) and (before not in w.shards[s]["parts"] or before in w.shards[s]["slow"]):
            return False
        shards = self.shards_of(op) if self.locks(op) else []
        self.put(w.shards[s], "coord", op, ("asking", frozenset(shards), frozenset()))
        for x in shards:
            if x == s:
                self.wait(w, s, op, "lock")
            else:
                self.send(w, s, x, "lock", op)
        self.advance(w, s, op)
        return True

    def judge_locked(self, w, s, op, votes):
        """Everything that the transaction rests on is known exactly."""
        accounts, pending, ids = (dict(p for v in votes for p in v[2][i]) for i in range(3))
        verdict, after, *_ = evaluate(self.limits, self.holds, accounts, pending, ids, self.events(op))
        if verdict == "ok" and self.events(op)[0][1] in ids:
            return self.refuse(w, s, op, (s, "no", 0, "exists"), "ok")
        if verdict == "ok":
            # Only the first event balances, and what it takes is known by now.
            debit = self.events(op)[0][2]
            return self.decide(w, s, op, (), after[debit][D] - accounts[debit][D])
        self.refuse(w, s, op, (s, "no", 2 * verdict[0], verdict[1]))

    def voted(self, w, s, op, vote):
        stage, asked, votes = w.shards[s]["coord"][op]
        if stage == "asking":
            votes = frozenset(v for v in votes if v[0] != vote[0]) | {vote}
            self.put(w.shards[s], "coord", op, (stage, asked - {vote[0]}, votes))
            self.advance(w, s, op)

    def advance(self, w, s, op):
        """Asks who has not yet said enough; decides or refuses when all have (rules 7 to 10)."""
        shard = w.shards[s]
        stage, asked, votes = shard["coord"][op]
        if asked:
            return
        if self.locks(op):
            return self.judge_locked(w, s, op, votes)
        limit = min([v[2] for v in votes if v[1] in ("no", "ended")], default=self.end[op])
        said = {v[0]: v for v in votes}
        need = [
            x for x in self.shards_of(op, limit)
            if x not in said or said[x][1] in ("yes", "granted") and said[x][2] < limit
        ]
        for x in need:
            # One that has voted holds something, and is asked further.
            if x != s and (x not in said or said[x][1] == "granted") and self.granted(shard, x, op, limit):
                # Its shard needs not be asked; from now on, for all that is known here (rules 15 and 16).
                self.stamp(w, op, x)
                if self.broken == "grant_unstamped":
                    w.order[op] = (x,) + w.order[op][:-1]
                votes = frozenset(v for v in votes if v[0] != x) | {(x, "granted", limit, None)}
                self.put(shard, "coord", op, (stage, asked, votes))
                return self.advance(w, s, op)
        if need:
            if s in need:
                need, last = [s], False
            elif any(self.resolves(x, op, limit) for x in need) and self.broken != "post_blind":
                # What a post finds is known where its hold was opened; the others are asked then (rule 8).
                need, last = [x for x in need if self.resolves(x, op, limit)], len(need) == 1
            else:
                last = len(need) == 1 or self.broken == "last_word"
            self.put(shard, "coord", op, (stage, frozenset(need), frozenset(v for v in votes if v[0] not in need)))
            for x in need:
                self.ask(w, s, x, op, limit, last)
            return
        if limit == self.end[op] and self.must_follow(shard, op):
            # All have said yes; decided in order.
            return
        if limit == self.end[op]:
            return self.decide(w, s, op, {v[0] for v in votes if v[1] == "granted"})
        first = next(v for v in votes if v[1] in ("no", "ended") and v[2] == limit)
        order = w.order[op]
        others = [x for x in self.shards_of(op, limit) if x != first[0]]
        if any(order.index(x) > order.index(first[0]) for x in others) and self.broken != "ask_once":
            # Given before a lower event was held: asked once more, by the limit that the others hold (rule 9).
            self.put(shard, "coord", op, (stage, frozenset([first[0]]), votes - {first}))
            later = min([v[2] for v in votes - {first} if v[1] == "no"], default=self.end[op])
            return self.ask(w, s, first[0], op, later, False)
        self.refuse(w, s, op, first)

    def ask(self, w, s, x, op, limit, last):
        if x == s:
            self.wait(w, s, op, "prepare", (limit, last))
        else:
            self.send(w, s, x, "prepare", op, limit, last)

    def resolves(self, x, op, limit):
        """The transaction posts or voids something that was opened in shard x."""
        return any(pos % 2 == 0 and pos < limit and e[0] in "SVE" for pos, e, _ in self.sides[op][x])

    def granted(self, shard, x, op, limit):
        """True when nothing of the transaction in shard x, below the limit, could be refused."""
        sides = [(pos, e, a) for pos, e, a in self.sides[op][x] if pos < limit]
        d = self.coordinator(op)
        mine = {e[1] for e in self.events(op) if e[0] == "P"}

        def follows(e):
            """The end of a hold goes the way of its beginning: else it could come before it (rule 8)."""
            if self.broken == "grant_post" or e[0] in "TP" or e[5] in mine:
                return True
            return self.home[e[2]] == d and (shard["opened"].get(e[5]) == d or self.broken == "grant_end")

        return all(pos % 2 and a in shard["held"] and follows(e) for pos, e, a in sides)

    def decide(self, w, s, op, granted, balance=None):
        """The record of the decision; all that follows leaves when it is durable, and noted where it was granted."""
        shard = w.shards[s]
        self.log(w, s, "K", op, balance)
        for x in sorted(granted):
            self.send(w, s, x, "announce", op)
        if granted:
            shard["unnoted"] += ((len(shard["log"]), op, frozenset(granted)),)
        self.put(shard, "coord", op, None)
        w.order.pop(op, None)
        self.commit_here(w, s, op, balance)
        early = self.broken == "ack_early"
        self.when_durable(w, s, ("answer", op, "ok"), early=early)
        for x in self.shards_of(op):
            if x != s:
                self.when_durable(w, s, ("send", x, "commit", op, balance), early=early)
        self.done(w, s, op)

    def done(self, w, s, op):
        w.shards[s]["slow"] -= {op}
        self.followed(w, s, op, False)

    def refuse(self, w, s, op, vote, answer=None):
        """The answer is this event; its identity is made final where it lives, before the answer leaves."""
        shard = w.shards[s]
        by, _, pos, reason = vote
        k = pos // 2
        if (k, reason) == (0, "exists") and not self.locks(op):
            return self.ask_ids(w, s, op)
        final_at = self.home[self.events(op)[k][2]]
        _, _, votes = shard["coord"][op]
        w.order.pop(op, None)
        answer = answer or (k, reason)
        remote = final_at != s and reason not in NOT_FINAL
        for x, kind, _, _ in votes:
            if x != s and kind not in ("ended", "granted"):
                final = (k, reason) if x == final_at and remote else None
                # Not before what the lower events rest on here is durable.
                length = len(shard["log"]) if final and self.broken != "final_early" else 0
                self.when_durable(w, s, ("send", x, "release", op, final, False), length)
        if final_at == s:
            self.refused(w, s, op, k, reason)
        self.put(shard, "coord", op, None)
        self.drop_part(w, s, op)
        if remote and self.broken != "final_unawaited":
            self.put(shard, "coord", op, ("refused", frozenset([("released", final_at)]), answer))
        else:
            self.when_durable(w, s, ("answer", op, answer))
        self.done(w, s, op)

    def ids_exist(self, shard, s, op):
        """Every identity of the transaction that belongs to this shard is there."""
        sides = self.sides[op].get(s, ())
        return all(shard["ids"].get(e[1]) == "ok" for pos, e, _ in sides if pos % 2 == 0)

    def ask_ids(self, w, s, op):
        """The first event exists: if all others do, this is a chain sent again, and nothing of it is held (rule 11)."""
        shard = w.shards[s]
        w.order.pop(op, None)
        for x, kind, _, _ in shard["coord"][op][2]:
            if x != s and kind not in ("ended", "granted"):
                self.send(w, s, x, "release", op, None, False)
        self.put(shard, "coord", op, None)
        self.drop_part(w, s, op)
        asked = {self.home[e[2]] for e in self.events(op)}
        if self.broken == "ids_unasked":
            asked = {s}
        self.put(shard, "coord", op, ("ids", frozenset(("ids", x) for x in asked), "ok"))
        for x in sorted(asked - {s}):
            self.send(w, s, x, "ids", op)
        self.wait(w, s, op, "ids")
        self.done(w, s, op)

    def say_ids(self, w, s, op):
        """Waits for whoever has one of these identities and is undecided; the coordinator holds nothing meanwhile."""
        shard = w.shards[s]
        sides = [e for pos, e, _ in self.sides[op][s] if pos % 2 == 0]
        if any(self.busy(shard, s, op, e[1], True) for e in sides) and self.broken != "ids_at_once":
            return False
        self.when_durable(w, s, ("send", self.coordinator(op), "ids are", op, self.ids_exist(shard, s, op)))
        return True

    def let_go(self, w, s, op, by):
        """Lets go of everything; begins again when all have said so, and the older one has ended where it was met."""
        shard = w.shards[s]
        _, asked, votes = shard["coord"][op]
        holding = {x for x in asked} | {v[0] for v in votes if v[1] not in ("ended", "granted")}
        missing = {("released", x) for x in holding if x not in (s, by)}
        if by is not None:
            missing.add(("again", by))
        for x in holding - {s, by}:
            self.send(w, s, x, "release", op, None, True)
        w.order.pop(op, None)
        shard["waiting"] = tuple(i for i in shard["waiting"] if i[:2] not in ((op, "prepare"), (op, "lock")))
        self.out_of_line(w, s, op)
        self.put(shard, "coord", op, ("letting go", frozenset(missing), frozenset()))
        self.drop_part(w, s, op)
        shard["slow"] -= {op}
        self.followed(w, s, op, True)
        if not missing:
            self.came_back(w, s, op, None)

    def came_back(self, w, s, op, what):
        stage, missing, answer = w.shards[s]["coord"][op]
        missing -= {what}
        self.put(w.shards[s], "coord", op, (stage, missing, answer))
        if missing:
            return
        self.put(w.shards[s], "coord", op, None)
        if stage in ("refused", "ids"):
            self.when_durable(w, s, ("answer", op, answer))
        else:
            self.wait(w, s, op, "op")

    # MARK: Reads and listening

    def listens(self, w, s, op, account, pos=None):
        """True while credits of the account, decided before the first such look, may be unknown here (rule 17)."""
        shard = w.shards[s]
        # Whoever hears all is not misled by what was released too early: release_unnoted goes wrong without this only.
        if self.broken in ("unheard", "release_unnoted") or self.limits[account] == "C":
            return False
        if self.broken == "unheard_chain" and self.ops[op][0] == "x":
            return False
        if not any(g[0] == account for g in shard["granted"]):
            return False
        if op in shard["heard"] and shard["heard"][op][1] != pos:
            self.put(shard, "heard", op, None)
        if op not in shard["heard"]:
            asked = len(shard["log"])
            peers = frozenset(g[1] for g in shard["granted"] if g[0] == account)
            self.put(shard, "heard", op, (asked, pos, peers))
            if self.ops[op][0] == "x":
                self.stamp(w, op, s)
            for peer in sorted(peers):
                self.send(w, s, peer, "hear", op, asked)
        return bool(shard["heard"][op][2])

    @staticmethod
    def applied(shard, op):
        return any(r[:2] == ("R", op) for r in shard["log"])

    def read(self, w, s, op, *found):
        """Shows what is decided now; waits for what may have been."""
        shard = w.shards[s]
        account = self.ops[op][1]
        if not found:
            if account in shard["lock"]:
                return False
            decided = self.on_the_way(w, s, {account})
            self.wait(w, s, op, "read", (shard["accounts"][account], decided))
            return True
        value, decided = found[:2]
        if len(found) == 2:
            if self.listens(w, s, op, account):
                return False
            self.put(shard, "heard", op, None)
            pending = frozenset(o for o in shard["parts"] if account in self.here(s, o))
            if self.broken == "read_undecided":
                pending = frozenset()
            decided = frozenset(o for o in decided if o in pending or self.applied(shard, o))
            self.wait(w, s, op, "read", (value, decided, pending))
            return True
        if found[2]:
            return False
        self.when_durable(w, s, ("answer", op, self.shown(shard, s, account, value, decided)))
        return True

    def on_the_way(self, w, s, accounts):
        """What others have decided on accounts of this shard, and is not applied."""
        shard = w.shards[s]
        return frozenset(
            r[1] for peer, other in enumerate(w.shards) for r in other["log"]
            if peer != s and r[0] == "K" and self.here(s, r[1]) & accounts and not self.applied(shard, r[1])
        )

    def shown(self, shard, s, account, value, decided):
        """A balance as it was, and what has been decided before that and came later."""
        value = list(value)
        for o in decided:
            balance = next((r[2] for r in shard["log"] if r[:2] == ("R", o)), None)
            for _, (kind, _, debit, _, amount, named), a in self.sides[o][s]:
                if a == account:
                    pending, posted = (DP, D) if a == debit else (CP, C)
                    value[pending] += (amount if kind == "P" else 0) - (self.holds[named] if kind in "SVE" else 0)
                    value[posted] += balance if kind == "B" else amount if kind in "TS" else 0
        return tuple(value[DP:])

    def cut(self, w, s, op):
        """All shards look at one moment; their markers tell what was decided before it (rule 24)."""
        shards = {self.home[account] for account in self.ops[op][1]}
        self.put(w.shards[s], "coord", op, ("cut", frozenset(shards), ()))
        for x in sorted(shards):
            shard, accounts = w.shards[x], self.here(x, op)
            values = tuple((a, shard["accounts"][a]) for a in sorted(accounts))
            peers = frozenset(p for p in range(self.count) if p != x)
            self.put(shard, "heard", op, (len(shard["log"]), None, peers))
            for p in sorted(peers):
                self.send(w, p, x, "heard", op, len(shard["log"]))
            self.wait(w, x, op, "share", (values, self.on_the_way(w, x, accounts)), ready=False)
        return True

    def share(self, w, s, op, values, decided):
        shard = w.shards[s]
        if shard["heard"].get(op, (0, 0, ()))[2] and self.broken != "cut_unmarked":
            return False
        if not all(self.applied(shard, o) for o in decided) and self.broken != "cut_unmarked":
            return False
        self.put(shard, "heard", op, None)
        decided = [o for o in decided if self.applied(shard, o)]
        share = tuple((a, self.shown(shard, s, a, value, decided)) for a, value in values)
        early = self.broken == "cut_undurable"
        self.when_durable(w, s, ("send", self.coordinator(op), "share", op, share), early=early)
        return True

    def shared(self, w, s, sender, op, share):
        stage, missing, shares = w.shards[s]["coord"][op]
        missing, shares = missing - {sender}, tuple(sorted(shares + share))
        self.put(w.shards[s], "coord", op, (stage, missing, shares) if missing else None)
        if not missing:
            w.answers[op] = tuple(dict(shares)[account] for account in self.ops[op][1])

    def freeze(self, w, s, op, account, on):
        """Waits until nothing is undecided on the account, and nothing is granted."""
        shard = w.shards[s]
        self.put(shard, "doubt", op, frozenset([account]))
        free = not any(account in self.here(s, o) for o in shard["parts"]) and account not in shard["lock"]
        if self.broken == "freeze_granted":
            self.put(shard, "doubt", op, None)
        if not (not on or self.broken == "freeze_granted" or self.revoked(w, s, account)) or not free:
            return False
        self.out_of_line(w, s, op)
        return self.change_status(w, s, op, account, True, on)

    def revoked(self, w, s, account):
        """True when no other shard holds a grant; else takes back those that do."""
        shard = w.shards[s]
        holders = {g for g in shard["granted"] if g[0] == account}
        for g in sorted(holders - shard["revoking"]):
            self.send(w, s, g[1], "revoke", account)
        shard["revoking"] |= holders
        return not holders

    def change_status(self, w, s, op, account, exists, frozen):
        shard = w.shards[s]
        self.log(w, s, "status", op, account, exists, frozen)
        self.put(shard, "accounts", account, (exists, frozen) + shard["accounts"][account][2:])
        self.put(shard, "status", account, len(shard["log"]))
        self.when_durable(w, s, ("answer", op, "ok"))
        self.wake(w, s, {account})
        return True

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
