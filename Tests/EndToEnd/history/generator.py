"""Random histories that collide: few accounts, few ids, every kind of operation, all from one seed.

A `World` is a fixed list of slots, each with the one transfer that has this slot's id (or its place in a chain). Clients
walk along the slots side by side and send what they find there, what was there a little earlier, something of it with
one field changed, whole chains again, parts of chains, and reads in between. No client needs to know what another did,
so a client's requests follow from the seed alone."""

import random

from .model import (
    BALANCING_CREDIT, BALANCING_DEBIT, CLOSED, CLOSING_CREDIT, CLOSING_DEBIT, CREDITS_FROZEN, CREDITS_LIMITED,
    DEBITS_FROZEN, DEBITS_LIMITED, LINKED, MAX, PENDING, POST, VOID)

FEATURES = ("pending", "expiry", "chains", "balancing", "closing", "freeze", "by_id", "of_account", "consistent", "totals",
            "account_chains")
ACCOUNT_ZERO = dict.fromkeys(
    ("id", "debits_pending", "debits_posted", "credits_pending", "credits_posted", "user_data_128", "user_data_64",
     "user_data_32", "reserved", "ledger", "code", "flags", "timestamp"), 0)
TRANSFER_ZERO = dict.fromkeys(
    ("id", "debit_account_id", "credit_account_id", "amount", "pending_id", "user_data_128", "user_data_64",
     "user_data_32", "timeout", "ledger", "code", "flags", "timestamp"), 0)


def parse_features(text):
    """`plain`, `all`, or names of FEATURES with commas between."""
    names = {name for name in text.split(",") if name not in ("", "plain", "all")}
    if "all" in text.split(","):
        names |= set(FEATURES)
    unknown = names - set(FEATURES)
    if unknown:
        raise ValueError(f"no such feature: {', '.join(sorted(unknown))}; there are {', '.join(FEATURES)}")
    if "expiry" in names or "closing" in names:
        names.add("pending")
    return names


def transfer_flags(features):
    """The transfer flags that a server with these features carries out."""
    flags = 0
    for feature, mask in (("chains", LINKED), ("pending", PENDING | POST | VOID),
                          ("balancing", BALANCING_DEBIT | BALANCING_CREDIT),
                          ("closing", CLOSING_DEBIT | CLOSING_CREDIT)):
        flags |= mask if feature in features else 0
    return flags


def account_flags(features):
    chained = 1 if "account_chains" in features else 0
    return chained | DEBITS_LIMITED | CREDITS_LIMITED | CLOSED | DEBITS_FROZEN | CREDITS_FROZEN


class Request:
    """One thing to send: `kind` and what it is about. `door` is "native" or "resp"."""

    def __init__(self, door, kind, body):
        self.door, self.kind, self.body = door, kind, body

    def __repr__(self):
        return f"{self.door} {self.kind} {self.body}"


class World:
    def __init__(self, seed, features, slots):
        self.random = random.Random(f"world {seed}")
        self.features = features
        self._accounts()
        self.slots, self.chain_of = [], []
        self.closings = []  # Events that closed an account: soon voided, or little could happen any more.
        while len(self.slots) < slots:
            self._grow()

    # Accounts.

    def _accounts(self):
        r = self.random
        wide = r.random() < 0.5
        ids = r.sample(range(1, 1 << 40), 16)
        ids = [i << 80 | r.getrandbits(60) if wide and r.random() < 0.5 else i for i in ids]
        self.banks = [self._account(ids.pop(), 0) for _ in range(r.randint(1, 2))]
        self.customers = [self._account(ids.pop(), DEBITS_LIMITED) for _ in range(r.randint(2, 4))]
        self.mirrors = [self._account(ids.pop(), CREDITS_LIMITED) for _ in range(r.randint(1, 2))]
        self.foreign = [self._account(ids.pop(), 0, ledger=2)]
        # Created when half of the history is over.
        self.late = [self._account(ids.pop(), r.choice((0, DEBITS_LIMITED)))]
        self.stopped = [self._account(ids.pop(), r.choice((CLOSED, DEBITS_FROZEN, CREDITS_FROZEN)))]
        # Some that move sums near 2^128 between them, so that others stay clear of overflows.
        self.whales = [self._account(ids.pop(), 0) for _ in range(3)]
        self.ghost = ids.pop()
        self.early = self.banks + self.customers + self.mirrors + self.foreign + self.stopped + self.whales
        self.all = self.early + self.late
        self.busy = [a["id"] for a in self.banks + self.customers + self.mirrors]
        self.account_ids = {a["id"] for a in self.all} | {self.ghost}

    def _account(self, id, flags, ledger=1):
        r = self.random
        event = dict(ACCOUNT_ZERO, id=id, ledger=ledger, code=r.randint(1, 3), flags=flags)
        if r.random() < 0.5:
            event.update(user_data_128=r.getrandbits(128), user_data_64=r.getrandbits(64),
                         user_data_32=r.getrandbits(32))
        return event

    # Slots.

    def _grow(self):
        r = self.random
        length = 1
        if "chains" in self.features and r.random() < 0.12:
            length = r.choice((64, 65)) if r.random() < 0.01 else r.choice((2, 2, 3, 3, 4, 6))
        first = len(self.slots)
        for _ in range(length):
            self.slots.append(self._event(10 ** 6 + len(self.slots), calm=length > 1 and r.random() < 0.8))
            self.chain_of.append(range(first, first + length) if length > 1 else None)
        for slot in range(first, first + length - 1):
            self.slots[slot]["flags"] |= LINKED
        if length > 2 and r.random() < 0.15:
            self.slots[first + length - 1]["id"] = self.slots[first]["id"]  # an id twice in a chain

    def _event(self, id, calm):
        """A transfer; a calm one is likely to be accepted."""
        r = self.random
        if r.random() < 0.3:
            id |= 1 << 100
        kinds = {"plain": 50, "fund": 14, "odd": 6, "whale": 4}
        if "pending" in self.features:
            kinds.update(pending=16, post=9, void=6)
        if "balancing" in self.features:
            kinds.update(balancing=9)
        if "closing" in self.features:
            kinds.update(closing=2)
        if calm:
            kinds = {name: kinds[name] for name in kinds if name in ("plain", "fund", "pending", "post", "balancing")}
        kind = r.choices(list(kinds), list(kinds.values()))[0]
        undo = self.closings.pop() if self.closings and r.random() < 0.4 else None
        if undo is not None:
            kind = "void"
        debit, credit = r.sample(self.busy, 2)
        e = dict(TRANSFER_ZERO, id=id, debit_account_id=debit, credit_account_id=credit, ledger=1, code=r.randint(1, 3),
                 amount=r.choice((0, 1, 2, 3) if calm else (0, 1, 2, 3, 5, 8, 13, 20, 30)))
        if r.random() < 0.2:
            e.update(user_data_128=r.getrandbits(128), user_data_64=r.getrandbits(64), user_data_32=r.getrandbits(32))
        if kind == "fund":
            e.update(debit_account_id=r.choice(self.banks)["id"], amount=r.randint(5, 60))
            e["credit_account_id"] = r.choice([id for id in self.busy if id != e["debit_account_id"]])
        elif kind == "odd":
            self._make_odd(e)
        elif kind == "whale":
            a, b = r.sample([w["id"] for w in self.whales], 2)
            e.update(debit_account_id=a, credit_account_id=b)
            e["amount"] = r.choice((MAX, MAX - 1, 1 << 127, r.getrandbits(128), r.getrandbits(126), 1))
            if "pending" in self.features and r.random() < 0.4:
                e["flags"] = PENDING
        elif kind in ("pending", "closing"):
            e["flags"] = PENDING
            if "expiry" in self.features and r.random() < 0.3:
                e["timeout"] = r.choice((1, 1, 2, 2 ** 32 - 1))
            if kind == "closing":
                e["flags"] |= r.choice((CLOSING_DEBIT, CLOSING_CREDIT, CLOSING_DEBIT | CLOSING_CREDIT))
                self.closings.append(e)
        elif kind == "balancing":
            e["flags"] = r.choice((BALANCING_DEBIT, BALANCING_CREDIT, BALANCING_DEBIT | BALANCING_CREDIT))
            e["amount"] = r.choice((5, 20, 100, MAX))
            if "pending" in self.features and r.random() < 0.3:
                e["flags"] |= PENDING
        elif kind in ("post", "void"):
            self._make_resolution(e, POST if kind == "post" else VOID, undo)
        return e

    def _make_odd(self, e):
        """Accounts that are missing, late, stopped or of another ledger."""
        r = self.random
        odd = r.choice((self.ghost, self.late[0]["id"], self.late[0]["id"], self.stopped[0]["id"],
                        self.foreign[0]["id"]))
        e[r.choice(("debit_account_id", "credit_account_id"))] = odd
        if odd == self.foreign[0]["id"] and r.random() < 0.5:
            e["ledger"] = 2

    def _make_resolution(self, e, flag, target):
        r = self.random
        recent = [p for p in self.slots[-40:] if p["flags"] & PENDING]
        if target is not None:
            pass
        elif not recent or r.random() < 0.06:
            target = r.choice(self.slots) if self.slots and r.random() < 0.7 else dict(e, id=r.getrandbits(20) + 1)
        else:
            target = r.choice(recent)
        e.update(flags=flag, pending_id=target["id"], debit_account_id=target["debit_account_id"], credit_account_id=0,
                 ledger=0, code=0, amount=MAX if flag == POST and r.random() < 0.6 else 0)
        if flag == POST and e["amount"] == 0:
            e["amount"] = r.randint(0, min(target["amount"] + 3, MAX - 1))
        if flag == VOID and r.random() < 0.1:
            e["amount"] = r.choice((target["amount"], MAX))
        for name in ("credit_account_id", "ledger", "code"):
            if r.random() < 0.1:
                e[name] = target[name]
            elif r.random() < 0.03:
                e[name] = r.choice(self.busy) if name == "credit_account_id" else r.randint(1, 4)


class Client:
    """An endless stream of bursts of requests from (world, seed, number). `native` bursts are in flight together;
    a burst over RESP is a pipeline."""

    def __init__(self, world, seed, number, clients=1, operations=1000):
        self.world, self.features = world, world.features
        self.random = random.Random(f"client {seed} {number}")
        self.number, self.clients = number, clients
        self.operations, self.made = operations, 0
        self.position = 0.0

    def burst(self, requests_max):
        r = self.random
        count = 1 if requests_max == 1 or r.random() < 0.6 else r.randint(2, requests_max)
        door = r.choice(("native", "resp"))
        requests = [self.request(door) for _ in range(count)]
        # Some things can only be said over one door.
        return [request for request in requests if request.door == requests[0].door]

    def request(self, door):
        r = self.random
        self.made += 1
        # All clients pass the slots in step, so that they meet at the same ids.
        self.position = min(len(self.world.slots) - 1, len(self.world.slots) * self.made / self.operations)
        kinds = {"send": 60, "again": 22, "batch": 8, "read": 14, "look": 8, "account": 4}
        if "freeze" in self.features:
            kinds["freeze"] = 5
        if "totals" in self.features:
            kinds["totals"] = 2
        if "by_id" in self.features:
            kinds["by_id"] = 3
        if "of_account" in self.features:
            kinds["of_account"] = 3
        if "chains" in self.features:
            kinds["chain"] = 5
        kind = r.choices(list(kinds), list(kinds.values()))[0]
        return getattr(self, f"_{kind}")(door)

    def slot(self, spread):
        back = int(self.random.expovariate(1 / spread))
        return max(0, int(self.position) - back)

    # Transfers.

    def _found(self, slot):
        """The events to send for a slot: its own, or the whole chain it is in."""
        chain = self.world.chain_of[slot]
        return [dict(self.world.slots[i]) for i in chain] if chain else [dict(self.world.slots[slot])]

    def _send(self, door, spread=2):
        return self._transfers(door, self._found(self.slot(spread)))

    def _again(self, door):
        r = self.random
        events = self._found(self.slot(25))
        if r.random() < 0.6:
            self._change(r.choice(events))
        return self._transfers(door, events)

    def _batch(self, door):
        r = self.random
        slots = [self.slot(6) for _ in range(r.randint(2, 6))]
        if r.random() < 0.4:
            slots.sort()
        events = []
        for slot in slots:
            events += self._found(slot)
        if r.random() < 0.3:
            self._change(r.choice(events))
        return Request("native", "transfers", events[:200])

    def _chain(self, door):
        """Chains that are not those of the world: parts, mixtures, open ends."""
        r = self.random
        near = [slot for slot in range(max(0, int(self.position) - 60), int(self.position) + 1)
                if self.world.chain_of[slot]]
        events = self._found(r.choice(near)) if near else self._found(self.slot(3))
        what = r.randint(0, 4)
        if what == 0:
            events = events[1:] or events
        elif what == 1:
            events[-1]["flags"] |= LINKED
            more = dict(self.world.slots[self.slot(10)])
            more["flags"] &= ~LINKED
            events.append(more)
        elif what == 2:
            events = events[:-1] or events
            if r.random() < 0.7:
                events[-1]["flags"] &= ~LINKED
        elif what == 3:
            events = [dict(self.world.slots[self.slot(6)]) for _ in range(r.randint(2, 4))]
            for event in events[:-1]:
                event["flags"] |= LINKED
            events[-1]["flags"] &= ~LINKED
        elif r.random() < 0.5:
            self._change(r.choice(events))
        return self._transfers(door, events)

    def _transfers(self, door, events):
        if door == "resp":
            closed = all(e["flags"] & LINKED for e in events[:-1]) and not events[-1]["flags"] & LINKED
            if all(speakable(e) for e in events) and closed:
                return Request("resp", "multi" if len(events) > 1 else "transfers", events)
        return Request("native", "transfers", events)

    def _change(self, e):
        """Changes one field."""
        r, world = self.random, self.world
        field = r.choice(("id", "debit_account_id", "credit_account_id", "amount", "amount", "pending_id",
                          "user_data_128", "user_data_64", "user_data_32", "timeout", "ledger", "code", "flags",
                          "timestamp", "same"))
        if r.random() < 0.3 and e["flags"] & (POST | VOID | PENDING):
            field = "timeout" if e["flags"] & PENDING else "pending_id"
        if field == "same":
            e["credit_account_id"] = e["debit_account_id"]
        elif field.endswith("account_id"):
            e[field] = r.choice([0, MAX, world.ghost] + world.busy)
        elif field == "id":
            e[field] = r.choice((0, MAX, world.slots[self.slot(10)]["id"]))
        elif field == "amount":
            e[field] = r.choice((0, max(0, e["amount"] - 1), min(MAX, e["amount"] + 1), 40))
        elif field == "pending_id":
            e[field] = r.choice((0, MAX, e["id"], world.slots[self.slot(10)]["id"]))
        elif field == "flags":
            e[field] ^= 1 << r.choice((1, 2, 3, 4, 5, 6, 7, 8, 15))
        elif field in ("timeout", "ledger", "code"):
            e[field] = r.choice((0, 1, 2, 3))
        elif field == "timestamp":
            e[field] = r.choice((1, 2 ** 63))
        else:
            e[field] ^= 1

    # Accounts.

    def _account(self, door):
        r, world = self.random, self.world
        candidates = world.all if self.position > len(world.slots) / 2 else world.early
        events = [dict(a) for a in r.sample(candidates, r.randint(1, 3))]
        if "account_chains" in self.features and r.random() < 0.3:
            for event in events[:-1]:
                event["flags"] |= LINKED
        if r.random() < 0.6:
            e = r.choice(events)
            field = r.choice([name for name in ACCOUNT_ZERO if name != "id"])
            if field == "flags":
                # Not to another limit where it would be a new account: the world counts on these.
                e[field] ^= 1 << r.choice((1, 2, 4, 5, 6, 8, 15))
            elif field in ("ledger", "code"):
                e[field] = r.choice((0, 1, 2, 3))
            else:
                e[field] ^= 1
        elif r.random() < 0.1:
            r.choice(events)["id"] = r.choice((0, MAX))
        if events[0]["flags"] & LINKED and "account_chains" not in self.features:
            events[0]["flags"] &= ~LINKED
        if door == "resp" and len(events) > 1:
            events = events[:1]
        if door == "resp" and any(events[0][name] for name in (
                "debits_pending", "debits_posted", "credits_pending", "credits_posted", "reserved", "timestamp")):
            door = "native"
        if door == "resp" and events[0]["flags"] & ~0x7E:
            door = "native"
        return Request(door, "accounts", events)

    def _freeze(self, door):
        r, world = self.random, self.world
        id = r.choice(world.busy + [world.stopped[0]["id"]]) if r.random() < 0.95 else world.ghost
        # Lifted more often than set, so that money goes on moving.
        if r.random() < 0.2:
            return Request("resp", "freeze", (id, r.choice(("DEBITS", "CREDITS", "BOTH")), True))
        return Request("resp", "freeze", (id, r.choice(("DEBITS", "CREDITS", "BOTH", "BOTH", "BOTH")), False))

    # Reads.

    def _read(self, door):
        r, world = self.random, self.world
        ids = [a["id"] for a in world.all] + [world.ghost]
        if "consistent" in self.features and r.random() < 0.4:
            return Request(door, "cut", r.sample(ids, r.randint(2, len(ids))))
        if r.random() < 0.8:
            ids = world.busy
        return Request(door, "read", r.sample(ids, r.randint(1, min(3, len(ids)))))

    def _look(self, door):
        slots = [self.world.slots[self.slot(15)] for _ in range(self.random.randint(1, 3))]
        keys = list(dict.fromkeys((e["debit_account_id"], e["id"]) for e in slots))
        return Request(door, "look", keys[:1] if door == "resp" else keys)

    def _by_id(self, door):
        return Request(door, "by_id", self.world.slots[self.slot(15)]["id"])

    def _of_account(self, door):
        return Request(door, "of_account", self.random.choice(self.world.busy + [self.world.late[0]["id"]]))

    def _totals(self, door):
        return Request(door, "totals", None)


def speakable(e):
    """Whether RESP has words for a transfer (its `linked` aside)."""
    flags = e["flags"] & ~LINKED
    if e["timestamp"]:
        return False
    if flags in (POST, VOID):
        bare = not (e["credit_account_id"] or e["ledger"] or e["code"] or e["timeout"])
        return bare and (flags == POST or e["amount"] == 0)
    new = PENDING | BALANCING_DEBIT | BALANCING_CREDIT | CLOSING_DEBIT | CLOSING_CREDIT
    both = (BALANCING_DEBIT | BALANCING_CREDIT, CLOSING_DEBIT | CLOSING_CREDIT)
    return not (flags & ~new or e["pending_id"] or e["timeout"] and not flags & PENDING
                or any(flags & mask == mask for mask in both))
