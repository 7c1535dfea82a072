"""The cases of reservation_model.py, small enough for all their interleavings, and random ones beyond.

An event is (kind, id, debit account, credit account, amount, pending transfer that it names). Kinds: T a transfer, P a
pending one, S its post, V its void, E its expiry, B a transfer of what the debit account has left, at most the amount.
"""


def T(id, debit, credit, amount):
    return ("T", id, debit, credit, amount, None)


def pend(id, debit, credit, amount):
    return ("P", id, debit, credit, amount, None)


def post(id, debit, credit, amount, pending):
    return ("S", id, debit, credit, amount, pending)


def void(id, debit, credit, pending):
    return ("V", id, debit, credit, 0, pending)


def expire(debit, credit, pending):
    return ("E", None, debit, credit, 0, pending)


def balance(id, debit, credit, amount):
    return ("B", id, debit, credit, amount, None)


def do(*events, after=(), behind=None):
    """A transfer or a chain. `after`: requests answered before it is sent; `behind`: the event before it in its
    request.
    """
    return ("x", events, tuple(after), behind)


def read(account, after=()):
    return ("r", account, tuple(after), None)


def freeze(account, after=()):
    return ("f", account, tuple(after), None)


def unfreeze(account, after=()):
    return ("u", account, tuple(after), None)


def cut(*accounts, after=()):
    """A look at several accounts at one moment; the first one's shard asks."""
    return ("c", accounts, tuple(after), None)


def create(account, after=()):
    return ("a", account, tuple(after), None)


# Rule, broken -> the cases that show it.
RULES = {
    "net_for_dip": ["a dip is room"],
    "hope": ["a hope is no money"],
    "deny": ["a dip is no refusal"],
    "ask_once": ["a no before a lower event was held"],
    "prefix_free": ["a no holds what is below it"],
    "last_word": ["a no holds what is below it"],
    "no_die": ["chains that cross"],
    "no_queue": ["in line: the oldest gets through", "in line: a lock"],
    "line_open": ["in line: no end of hopes"],
    "no_wake": ["chains that cross"],
    "read_undecided": ["reads across"],
    "vote_undurable": ["a vote on a fresh fact"],
    "no_undurable": ["a refusal on a fresh fact"],
    "ack_early": ["a vote on a fresh fact"],
    "no_dedup": ["a vote on a fresh fact"],
    "final_unawaited": ["a remote refusal is final"],
    "final_early": ["a remote refusal on a fresh fact"],
    "release_unnoted": [
        "granted: read the payer", "granted: refused behind it", "granted: votes behind it", "granted: chain, and read",
    ],
    "unheard": ["granted: reads that cross", "granted: refusals that cross", "granted: a read across a refusal"],
    "unheard_chain": ["granted: refusals that cross"],
    "given_late": ["granted: a no is given when it is asked for"],
    "listen_once": ["granted: debited while it listens"],
    "listen_unheld": ["granted: a no that listens holds what is below it"],
    "grant_stale": ["granted: taken back while others vote", "granted: taken back and given again"],
    "grant_unstamped": ["granted: taken back and given again"],
    "grant_undurable": ["granted: fresh account", "granted: unfreeze"],
    "freeze_granted": ["granted: freeze"],
    "hold_shared": ["a hold: posted twice", "a hold: expires while a chain posts it"],
    "post_blind": ["a hold: posted by a chain from elsewhere"],
    "grant_end": ["a hold: opened from elsewhere, its end granted"],
    "grant_post": ["a hold: granted, posted from elsewhere"],
    "identity_shared": ["an identity: sent again at once", "an identity: in two chains"],
    "forget_ids": ["an identity: sent again at once", "an identity: in two chains"],
    "ids_unasked": ["an identity: a part of it exists"],
    "ids_at_once": ["an identity: a chain sent again at once", "an identity: the rest of it is on its way"],
    "order_ignored": ["order of a request: to two shards"],
    "follow_held": ["order of a request: behind one that waits"],
    "cut_unmarked": ["a cut: and a granted chain", "a cut: and a chain"],
    "cut_undurable": ["a cut: of what is not durable"],
    "lock_ignored": ["a lock: chains behind it"],
    "lock_beside": ["a lock: behind what is reserved"],
    "lock_granted": ["a lock: of a granted account"],
    "lock_no_die": ["locks that cross"],
}

# `begins`: the steps that come first, where all of them together are too many.
# Accounts: shard, limit ("D": debits within credits, "C": credits within debits), opening debits, credits, and perhaps
# "absent" or "frozen". `granted`: accounts that may be granted to others, each with these, () for all; `given`: they
# have it when the case begins, and are given no other but `grants`. `endless`: requests that come again and again.
CASES = {
    "one by one": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "C", 0, 0), "x": (1, "", 0, 0)},
        ops=[do(T(1, "b", "x", 1)), do(T(2, "a", "b", 1)), do(T(3, "a", "b", 2))],
    ),
    "spends in a row": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0), "c": (0, "D", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), do(T(2, "b", "c", 1)), do(T(3, "c", "b", 1))],
    ),
    "a dip is room": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0), "y": (0, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1), T(2, "b", "a", 1)), do(T(3, "a", "y", 1)), read("a", after=[1])],
    ),
    "credited first, there is no dip": dict(
        accounts={"m": (1, "D", 0, 1), "f": (0, "", 0, 0), "u": (0, "", 0, 0), "y": (1, "", 0, 0)},
        ops=[do(T(1, "u", "m", 2), T(2, "m", "f", 1)), do(T(3, "m", "y", 1)), read("m")],
    ),
    "a hope is no money": dict(
        accounts={"u": (0, "", 0, 0), "a": (1, "D", 0, 0), "z": (1, "", 0, 0), "c": (2, "D", 0, 0)},
        ops=[do(T(1, "u", "a", 1), T(2, "c", "u", 1)), do(T(3, "a", "z", 1))],
    ),
    "a dip is no refusal": dict(
        accounts={"a": (0, "D", 0, 1), "z": (0, "", 0, 0), "u": (1, "", 0, 0), "c": (2, "D", 0, 0)},
        ops=[do(T(1, "a", "u", 1), T(2, "c", "u", 1)), do(T(3, "a", "z", 1))],
    ),
    "a no before a lower event was held": dict(
        accounts={
            "u": (0, "", 0, 0), "b": (1, "D", 0, 0), "x": (1, "", 0, 0), "c": (2, "D", 0, 0), "y": (2, "", 0, 0)
        },
        ops=[
            do(T(1, "u", "x", 1), T(2, "b", "u", 1), T(3, "c", "u", 1)),
            do(T(4, "y", "c", 1)),
            do(T(5, "x", "b", 1), after=[1]),
        ],
        crashes=0,
    ),
    "a no holds what is below it": dict(
        accounts={
            "u": (0, "", 0, 0), "b": (1, "D", 0, 1), "x": (1, "", 0, 0),
            "c": (2, "D", 0, 1), "e": (2, "C", 0, 0), "y": (2, "", 0, 0),
        },
        ops=[
            do(T(1, "u", "x", 1), T(2, "c", "u", 1), T(3, "b", "u", 1), T(4, "u", "e", 1)),
            do(T(5, "c", "y", 1)),
            do(T(6, "b", "x", 1), after=[1]),
        ],
        crashes=0,
    ),
    "chains that cross": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 1), "u": (0, "", 0, 0), "v": (1, "", 0, 0)},
        ops=[do(T(1, "a", "u", 1), T(2, "b", "v", 1)), do(T(3, "b", "v", 1), T(4, "a", "u", 1))],
    ),
    "chains in a ring": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 1), "c": (2, "D", 0, 1)},
        ops=[
            do(T(1, "a", "b", 1), T(2, "b", "a", 2)),
            do(T(3, "b", "c", 1), T(4, "c", "b", 2)),
            do(T(5, "c", "a", 1), T(6, "a", "c", 2)),
        ],
        crashes=0,
    ),
    "in line: the oldest gets through": dict(
        accounts={
            "u": (0, "", 0, 0), "v": (0, "", 0, 0), "a": (1, "D", 0, 2), "x": (1, "", 0, 0), "c": (2, "D", 0, 0)
        },
        ops=[
            do(T(1, "a", "x", 2)), do(T(2, "u", "v", 1), T(3, "a", "u", 1), T(4, "c", "u", 1)),
            do(T(5, "u", "v", 1), T(6, "a", "u", 1), T(7, "c", "u", 1)),
        ],
        crashes=0, endless=(1, 2),
    ),
    "in line: no end of hopes": dict(
        accounts={
            "u": (0, "", 0, 0), "v": (0, "", 0, 0), "a": (1, "D", 0, 0), "x": (1, "", 0, 0), "c": (2, "D", 0, 0)
        },
        ops=[
            do(T(1, "a", "x", 1)), do(T(2, "u", "v", 1), T(3, "u", "a", 1), T(4, "c", "u", 1)),
            do(T(5, "u", "v", 1), T(6, "u", "a", 1), T(7, "c", "u", 1)),
        ],
        crashes=0, endless=(1, 2),
    ),
    "in line: a lock": dict(
        accounts={
            "u": (0, "", 0, 0), "v": (0, "", 0, 0), "a": (1, "D", 0, 2), "x": (1, "", 0, 0), "c": (2, "D", 0, 0)
        },
        ops=[
            do(balance(1, "a", "x", 2)), do(T(2, "u", "v", 1), T(3, "u", "a", 1), T(4, "c", "u", 1)),
            do(T(5, "u", "v", 1), T(6, "a", "u", 1), T(7, "c", "u", 1)),
        ],
        crashes=0, endless=(1, 2),
    ),
    "reads across": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), read("a"), read("b", after=[1])],
    ),
    "a chain and reads": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1), T(2, "b", "a", 1), T(3, "a", "b", 1)), read("b"), read("a", after=[1])],
    ),
    "a chain over three shards": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0), "c": (2, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1), T(2, "b", "c", 1)), do(T(3, "b", "c", 1))],
    ),
    "a vote on a fresh fact": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "D", 0, 0), "x": (1, "", 0, 0)},
        ops=[do(T(1, "x", "b", 1)), do(T(2, "a", "x", 1), T(3, "b", "a", 1))],
    ),
    "a refusal on a fresh fact": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "C", 1, 0), "x": (1, "", 0, 0)},
        ops=[do(T(1, "x", "b", 1)), do(T(2, "a", "b", 1))],
    ),
    "a remote refusal is final": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "D", 0, 0), "x": (1, "", 0, 0)},
        ops=[
            do(T(1, "a", "x", 1), T(2, "b", "a", 1)), do(T(3, "x", "b", 1), after=[0]),
            do(T(2, "b", "a", 1), after=[1]),
        ],
    ),
    "a remote refusal on a fresh fact": dict(
        accounts={"a": (0, "D", 0, 0), "b": (1, "D", 0, 0), "y": (0, "", 0, 0)},
        ops=[do(T(1, "y", "a", 1)), do(T(2, "a", "y", 1), T(3, "b", "a", 1))],
    ),
    "granted: two to one": dict(
        accounts={"a": (0, "D", 0, 2), "m": (1, "D", 0, 0), "x": (1, "", 0, 0)}, granted={"m": ()},
        ops=[do(T(1, "a", "m", 1)), do(T(2, "a", "m", 2)), do(T(3, "m", "x", 1))],
    ),
    "granted: read the payer": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "", 0, 0)}, granted={"m": ()},
        ops=[do(T(1, "a", "m", 1)), read("a"), read("m", after=[1])],
    ),
    "granted: read the payee": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "", 0, 0)}, granted={"m": ()},
        ops=[do(T(1, "a", "m", 1)), read("m"), read("a", after=[1])],
    ),
    "granted: refused behind it": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "", 0, 0), "y": (0, "", 0, 0)}, granted={"m": ()},
        ops=[do(T(1, "a", "m", 1)), do(T(2, "a", "y", 1)), read("m", after=[1])],
    ),
    "granted: votes behind it": dict(
        accounts={"a": (0, "D", 0, 3), "m": (1, "", 0, 0), "b": (1, "C", 2, 0), "y": (0, "", 0, 0)}, granted={"m": ()},
        ops=[
            do(T(1, "a", "m", 1)), do(T(2, "a", "b", 2), behind=0), do(T(3, "a", "y", 2)), read("m", after=[2]),
        ],
        crashes=0,
    ),
    "granted: chain, and read": dict(
        accounts={"a": (0, "D", 0, 2), "m": (1, "D", 0, 0), "n": (1, "", 0, 0)}, granted={"m": (), "n": ()}, given=True,
        ops=[do(T(1, "a", "m", 1), T(2, "a", "n", 1)), read("a"), read("m", after=[1]), do(T(3, "m", "n", 1))],
    ),
    "granted: a chain to two shards": dict(
        accounts={"a": (0, "D", 0, 2), "m": (1, "D", 0, 0), "n": (2, "", 0, 0)}, granted={"m": (), "n": ()}, given=True,
        ops=[do(T(1, "a", "m", 1), T(2, "a", "n", 1)), read("m"), read("n", after=[1])],
    ),
    "granted: one shard votes": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 1), "m": (2, "D", 0, 0), "x": (2, "", 0, 0)}, granted={"m": ()},
        ops=[do(T(1, "a", "m", 1), T(2, "b", "a", 1)), do(T(3, "m", "x", 1)), read("b")],
        crashes=0,
    ),
    "granted: freeze": dict(
        accounts={"a": (0, "D", 0, 2), "m": (1, "", 0, 0)}, granted={"m": ()},
        ops=[do(T(1, "a", "m", 1)), freeze("m"), do(T(2, "a", "m", 1), after=[1])],
    ),
    "granted: taken back while others vote": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 1), "m": (2, "", 0, 0)}, granted={"m": ()}, given=True,
        ops=[do(T(1, "a", "m", 1), T(2, "b", "a", 1)), freeze("m")],
    ),
    "granted: taken back and given again": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "D", 0, 1), "x": (1, "", 0, 0), "m": (2, "", 0, 0)},
        granted={"m": (0,)}, given=True, grants=1,
        ops=[
            do(T(1, "a", "m", 1), T(2, "b", "a", 1)), freeze("m"), do(T(3, "b", "x", 1), after=[1]),
            do(T(4, "x", "b", 1), after=[2]), unfreeze("m", after=[3]),
        ],
        crashes=0,
    ),
    "granted: fresh account": dict(
        accounts={"a": (0, "D", 0, 2), "m": (1, "", 0, 0, "absent")}, granted={"m": ()},
        ops=[create("m"), do(T(1, "a", "m", 1))],
    ),
    "granted: unfreeze": dict(
        accounts={"a": (0, "", 0, 0), "m": (1, "", 0, 0, "frozen")}, granted={"m": ()},
        ops=[unfreeze("m"), do(T(1, "a", "m", 1))],
    ),
    "granted: reads that cross": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "", 0, 0)}, granted={"a": (), "b": ()}, given=True,
        ops=[do(T(1, "a", "b", 1)), do(T(2, "b", "a", 1)), read("a"), read("b")],
        crashes=0,
    ),
    "granted: refusals that cross": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 1), "y": (0, "", 0, 0), "z": (1, "", 0, 0)},
        granted={"a": (), "b": ()}, given=True,
        ops=[
            do(T(1, "a", "b", 1)), do(T(2, "b", "a", 1)), do(T(3, "a", "y", 1), behind=0),
            do(T(4, "b", "z", 1), behind=1),
        ],
        crashes=0,
    ),
    "granted: a read across a refusal": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0), "y": (0, "", 0, 0)}, granted={"a": (), "b": ()}, given=True,
        ops=[do(T(1, "a", "b", 1)), do(T(2, "b", "a", 1)), do(T(3, "a", "y", 1), behind=0), read("b")],
        crashes=0,
    ),
    "granted: a no is given when it is asked for": dict(
        accounts={
            "y": (0, "", 0, 0), "u": (0, "", 0, 0), "p": (1, "C", 0, 0), "m": (2, "D", 0, 0),
        },
        granted={"m": (0,), "y": (1,)}, given=True,
        begins=[("send", 0), ("lane", (0, 2)), ("lane", (2, 0)), ("send", 1), ("send", 3), ("send", 2)],
        ops=[
            do(T(1, "u", "p", 1), T(2, "m", "u", 1)), do(T(3, "y", "m", 1)), do(T(4, "p", "y", 1)), read("y"),
        ],
        crashes=0,
    ),
    "granted: debited while it listens": dict(
        accounts={
            "y": (0, "", 0, 0), "w": (0, "", 0, 0), "p": (1, "C", 0, 0), "v": (1, "", 0, 0), "z": (1, "", 0, 0),
            "m": (2, "D", 0, 1),
        },
        granted={"m": (0, 1), "y": (1,)}, given=True,
        ops=[
            do(T(1, "w", "z", 1), T(2, "m", "w", 1)), do(T(3, "v", "p", 1), T(4, "m", "v", 2)),
            do(T(5, "y", "m", 1)), do(T(6, "p", "y", 1)), read("y"), do(T(7, "z", "m", 1)), read("z"),
        ],
        crashes=0,
        begins=[
            ("send", 0), ("lane", (0, 2)), ("lane", (0, 1)), ("send", 2), ("send", 4), ("send", 3), ("send", 1),
            ("lane", (1, 2)), ("lane", (2, 1)), ("send", 5), ("send", 6), ("lane", (2, 0)), ("lane", (1, 0)),
            ("sync", 0), ("sync", 1), ("lane", (0, 2)),
        ],
    ),
    "granted: a no that listens holds what is below it": dict(
        accounts={
            "u": (0, "", 0, 0), "b": (1, "D", 0, 1), "x": (1, "", 0, 0),
            "c": (2, "D", 0, 1), "m": (2, "D", 0, 0), "y": (2, "", 0, 0),
        },
        granted={"m": ()}, given=True,
        ops=[
            do(T(1, "u", "x", 1), T(2, "c", "u", 1), T(3, "b", "u", 1), T(4, "m", "u", 1)),
            do(T(5, "c", "y", 1)), do(T(6, "b", "x", 1), after=[1]), do(T(7, "x", "b", 1), after=[2]),
            do(T(8, "y", "c", 1), after=[3]),
        ],
        crashes=0,
    ),
    "a hold: post and void": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0)},
        ops=[do(pend(1, "a", "b", 1)), do(post(2, "a", "b", 1, 1)), do(void(3, "a", "b", 1))],
    ),
    "a hold: post and spend": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0), "x": (0, "", 0, 0)},
        ops=[do(pend(1, "a", "b", 1)), do(post(2, "a", "b", 1, 1), after=[0]), do(T(3, "b", "x", 1))],
    ),
    "a hold: posted in part": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "C", 2, 0), "x": (0, "", 0, 0), "y": (1, "", 0, 0)},
        ops=[do(pend(1, "a", "b", 2)), do(post(2, "a", "b", 1, 1)), do(T(3, "a", "x", 1)), do(T(4, "y", "b", 1))],
        crashes=0,
    ),
    "a hold: posted twice": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0), "c": (2, "D", 0, 1)},
        ops=[
            do(pend(1, "a", "b", 1)), do(post(2, "a", "b", 1, 1), T(3, "c", "a", 1), after=[0]),
            do(post(4, "a", "b", 1, 1), after=[0]),
        ],
        crashes=0,
    ),
    "a hold: expires while a chain posts it": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0), "x": (0, "", 0, 0)},
        ops=[
            do(pend(1, "a", "b", 1)), do(post(2, "a", "b", 1, 1), T(3, "b", "x", 1), after=[0]),
            do(expire("a", "b", 1), after=[0]), read("b"),
        ],
        crashes=0,
    ),
    "a hold: opened and posted by one chain": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "C", 1, 0), "y": (1, "", 0, 0)},
        ops=[do(pend(1, "a", "b", 1), post(2, "a", "b", 1, 1)), do(T(3, "y", "b", 1)), do(void(4, "a", "b", 1))],
    ),
    "a hold: posted by a chain from elsewhere": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0), "u": (2, "", 0, 0), "v": (2, "", 0, 0)},
        ops=[do(pend(1, "a", "b", 1)), do(T(2, "u", "v", 1), post(3, "a", "b", 1, 1)), read("b")],
    ),
    "a hold: granted, posted from elsewhere": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0), "u": (2, "", 0, 0), "v": (2, "", 0, 0)},
        granted={"b": ()}, given=True,
        ops=[do(pend(1, "a", "b", 1)), do(T(2, "u", "v", 1), post(3, "a", "b", 1, 1)), read("b")],
    ),
    "a hold: opened from elsewhere, its end granted": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "", 0, 0), "u": (2, "", 0, 0), "v": (2, "", 0, 0)},
        granted={"b": (0,)}, given=True,
        ops=[do(T(1, "u", "v", 1), pend(2, "a", "b", 1)), do(expire("a", "b", 2)), read("b")],
    ),
    "a hold: the purchase": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "D", 0, 0), "f": (0, "", 0, 0), "x": (1, "", 0, 0)},
        granted={"m": (0,), "f": (1,)}, given=True,
        ops=[
            do(pend(1, "a", "m", 1)), do(post(2, "a", "m", 1, 1), T(3, "m", "f", 1), after=[0]), do(T(4, "m", "x", 1)),
            read("m"),
        ],
        crashes=0,
    ),
    "a hold: given back in time": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "", 0, 0), "b": (1, "D", 0, 0), "y": (0, "", 0, 0)},
        granted={"m": (0,)}, given=True,
        ops=[do(pend(1, "a", "m", 1)), do(expire("a", "m", 1), after=[0]), do(T(2, "a", "b", 1), after=[0]), read("m")],
        crashes=0,
    ),
    "a lock: chains behind it": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "D", 0, 0), "y": (0, "", 0, 0), "x": (1, "", 0, 0)},
        ops=[do(balance(1, "a", "b", 2)), do(T(2, "a", "y", 1)), do(T(3, "b", "x", 1), T(4, "x", "b", 1))],
    ),
    "a lock: behind what is reserved": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "D", 0, 0), "c": (1, "D", 0, 0)},
        ops=[do(T(1, "a", "b", 1), T(2, "c", "a", 1)), do(balance(3, "a", "b", 2)), do(T(4, "a", "b", 1))],
    ),
    "a lock: of a granted account": dict(
        accounts={
            "a": (0, "", 0, 0), "q": (2, "D", 0, 0), "x": (2, "", 0, 0), "m": (1, "D", 0, 0), "z": (1, "", 0, 0)
        },
        granted={"m": (0,)}, given=True,
        ops=[
            do(T(1, "a", "m", 1)), do(T(2, "x", "q", 1), after=[0]),
            do(balance(3, "z", "x", 1), T(4, "q", "x", 1), T(5, "m", "x", 1)),
        ],
        crashes=0,
    ),
    "a lock: granted to two": dict(
        accounts={"a": (0, "D", 0, 1), "m": (1, "D", 0, 0), "x": (1, "", 0, 0), "b": (2, "", 0, 0)},
        granted={"m": ()}, given=True,
        ops=[do(T(1, "a", "m", 1)), do(balance(2, "m", "b", 2)), read("m")],
        crashes=0,
    ),
    "locks that cross": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 1)},
        ops=[do(balance(1, "a", "b", 1)), do(balance(2, "b", "a", 1)), do(T(3, "a", "b", 1), T(4, "b", "a", 2))],
    ),
    "a lock and a freeze": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "D", 0, 0)}, granted={"b": (0,)}, given=True,
        ops=[do(T(1, "a", "b", 1)), do(balance(2, "a", "b", 2)), freeze("b")],
    ),
    "an identity: sent again at once": dict(
        accounts={"a": (0, "D", 0, 2), "x": (1, "", 0, 0)},
        ops=[do(T(1, "a", "x", 1)), do(T(1, "a", "x", 1)), do(T(2, "a", "x", 2))],
    ),
    "an identity: of a refusal": dict(
        accounts={"a": (0, "D", 0, 0), "b": (1, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), do(T(2, "b", "a", 1)), do(T(1, "a", "b", 1))],
    ),
    "an identity: a chain sent again at once": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "D", 0, 2)},
        ops=[do(T(1, "a", "b", 1), T(2, "b", "a", 1)), do(T(1, "a", "b", 1), T(2, "b", "a", 1)), do(T(3, "b", "a", 3))],
    ),
    "an identity: in two chains": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "D", 0, 2), "u": (0, "", 0, 0)},
        ops=[do(T(1, "a", "u", 1), T(2, "b", "a", 1)), do(T(3, "a", "u", 1), T(2, "b", "a", 1))],
    ),
    "an identity: of the event at fault": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 0), "u": (0, "", 0, 0), "x": (1, "", 0, 0)},
        ops=[do(T(1, "a", "u", 1), T(2, "b", "a", 1)), do(T(2, "b", "a", 1)), do(T(3, "x", "b", 1))],
    ),
    "an identity: the rest of it is on its way": dict(
        accounts={"a": (0, "", 0, 0), "c": (0, "", 0, 0), "b": (1, "", 0, 0), "d": (1, "", 0, 0)},
        ops=[
            do(T(1, "b", "d", 1), T(2, "c", "a", 1)), do(T(3, "c", "a", 1), after=[0]),
            do(T(3, "c", "a", 1), T(2, "c", "a", 1), after=[1]),
        ],
    ),
    "an identity: a part of it exists": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "D", 0, 1)},
        ops=[do(T(1, "a", "b", 1)), do(T(1, "a", "b", 1), T(2, "b", "a", 2)), do(T(2, "b", "a", 2))],
    ),
    "order of a request: to two shards": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "", 0, 0), "c": (2, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), do(T(2, "a", "c", 1), behind=0), read("c"), read("b", after=[2])],
        crashes=0,
    ),
    "order of a request: behind one that waits": dict(
        accounts={"a": (0, "", 0, 0), "b": (1, "C", 1, 0), "y": (1, "", 0, 0), "c": (2, "C", 1, 0)},
        ops=[do(T(1, "a", "b", 1)), do(T(2, "y", "b", 1), T(3, "y", "c", 1)), do(T(4, "a", "c", 1), behind=0)],
        crashes=0,
    ),
    "order of a request: within a shard": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "C", 1, 0), "x": (0, "", 0, 0)},
        ops=[do(T(1, "a", "b", 1)), do(T(2, "a", "x", 1), behind=0), read("x"), read("b", after=[2])],
        crashes=0,
    ),
    "a cut: and a chain": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 1)},
        ops=[do(T(1, "a", "b", 1), T(2, "b", "a", 2)), cut("a", "b"), read("b")],
    ),
    "a cut: and a granted chain": dict(
        accounts={"a": (0, "D", 0, 2), "m": (1, "D", 0, 0), "n": (1, "", 0, 0)}, granted={"m": (), "n": ()}, given=True,
        ops=[do(T(1, "a", "m", 1), T(2, "a", "n", 1)), cut("a", "m"), read("m")],
    ),
    "a cut: and a lock": dict(
        accounts={"a": (0, "D", 0, 2), "b": (1, "D", 0, 0)},
        ops=[do(balance(1, "a", "b", 2)), cut("a", "b"), do(T(2, "b", "a", 1))],
    ),
    "a cut: of what is not durable": dict(
        accounts={"a": (0, "D", 0, 1), "b": (1, "D", 0, 1), "x": (1, "", 0, 0)},
        ops=[do(T(1, "b", "x", 1)), cut("a", "b"), do(T(2, "b", "a", 1))],
    ),
}


def random_case(rnd):
    """A case too large for all its interleavings: few accounts on up to three shards, and what concerns them."""
    count = rnd.choice((2, 2, 3))
    accounts = {}
    for i in range(rnd.choice((2, 3, 3, 4, 5))):
        limit = rnd.choice("DDDDC") if rnd.random() < 0.75 else ""
        room = rnd.choice((0, 1, 1, 2))
        accounts["abcde"[i]] = (i % count, limit, room if limit == "C" else 0, room if limit == "D" else 0)
    names, ops, ids = list(accounts), [], 0
    for n in range(rnd.choice((3, 4, 5))):
        after = (rnd.randrange(n),) if n and rnd.random() < 0.3 else ()
        if rnd.random() < 0.06:
            ops.append(rnd.choice((freeze, unfreeze))(rnd.choice(names), after))
            continue
        if rnd.random() < 0.25:
            pair = rnd.sample(names, 2)
            ops.append(read(pair[0], after) if rnd.random() < 0.7 else cut(*pair, after=after))
            continue
        sent = [op for op in ops if op[0] == "x"]
        if sent and rnd.random() < 0.1:
            ops.append(("x", rnd.choice(sent)[1], after, None))
            continue
        pending = [e for op in sent for e in op[1] if e[0] == "P"]
        if pending and rnd.random() < 0.15:
            _, id, debit, credit, _, _ = rnd.choice(pending)
            ops.append(do(expire(debit, credit, id), after=after))
            continue
        events = []
        for _ in range(rnd.choice((1, 1, 2, 2, 3))):
            ids += 1
            debit, credit = rnd.sample(names, 2)
            amount, dice = rnd.choice((1, 1, 2)), rnd.random()
            old = [e for op in sent for e in op[1] if e[0] == "T" and e not in events]
            if pending and dice < 0.4:
                _, id, debit, credit, held, _ = rnd.choice(pending)
                posts = rnd.random() < 0.5
                events.append(
                    post(ids, debit, credit, rnd.randint(1, held), id) if posts else void(ids, debit, credit, id))
            elif dice < 0.55:
                events.append(pend(ids, debit, credit, amount))
                pending = pending + events[-1:]
            elif dice < 0.6 and old:
                events.append(rnd.choice(old))
            elif dice < 0.65 and not events and accounts[debit][1] == "D":
                events.append(balance(ids, debit, credit, amount))
            else:
                events.append(T(ids, debit, credit, amount))
        follows = sent and len(sent[-1][1]) == len(events) == 1 and sent[-1][1][0][0] in "TP"
        if follows and events[0][0] in "TP" and events[0][1] == ids:
            # Behind the one before it in one request, of the same debit account.
            before, (kind, id, _, credit, amount, _) = sent[-1], events[0]
            if credit != before[1][0][2] and rnd.random() < 0.5:
                events = [(kind, id, before[1][0][2], credit, amount, None)]
                at = max(i for i, op in enumerate(ops) if op is before)
                if all(op[3] != at for op in ops):
                    ops.append(do(*events, behind=at))
                    continue
        if events[0][0] == "B":
            events = [e for e in events if e[0] in "BT" and (e[0] == "B" or events[0][2] not in e[2:4])]
        ops.append(do(*events, after=after))
    granted = {name: () for name, a in accounts.items() if a[1] != "C"} if rnd.random() < 0.6 else {}
    return dict(accounts=accounts, ops=ops, granted=granted, given=rnd.random() < 0.7)
