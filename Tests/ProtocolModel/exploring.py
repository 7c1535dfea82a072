"""What reservation_model.py is held against: a ledger written from the semantics, the search for an order that explains
a history, and the ways through all that may happen (every one, at random, round and round).
"""

EXISTS, FROZEN, DP, D, CP, C = range(6)
# Refusals that are not made final for their identity.
NOT_FINAL = ("exists", "nothing")


class Violated(Exception):
    pass


# MARK: The ledger, written from the semantics: what the checker believes


def evaluate(limits, holds, accounts, pending, ids, events):
    """(answer, accounts, pending, ids): "ok", or the number of the event at fault and its reason."""
    if all(ids.get(e[1]) == "ok" for e in events):
        return "ok", accounts, pending, ids
    first = accounts, pending, ids
    accounts, pending, ids = dict(accounts), dict(pending), dict(ids)
    for i, (kind, id, debit, credit, amount, named) in enumerate(events):
        a, b = list(accounts[debit]), list(accounts[credit])
        fault = None
        if kind != "E" and id in ids:
            fault = "exists" if ids[id] == "ok" else ids[id]
        elif not a[EXISTS]:
            fault = "no debit account"
        elif kind in "SVE" and pending.get(named) != "open":
            fault = "nothing" if kind == "E" else pending.get(named, "no pending")
        if not fault:
            if kind == "B":
                amount = min(amount, a[C] - a[D] - a[DP])
            if kind in "SVE":
                a[DP] -= holds[named]
                b[CP] -= holds[named]
                pending[named] = {"S": "posted", "V": "voided", "E": "expired"}[kind]
            if kind == "P":
                pending[id] = "open"
                a[DP] += amount
                b[CP] += amount
            if kind in "TSB":
                a[D] += amount
                b[C] += amount
            if kind in "TPSB" and limits[debit] == "D" and a[D] + a[DP] > a[C]:
                fault = "exceeds credits"
            elif not b[EXISTS]:
                fault = "no credit account"
            elif kind in "TPSB" and b[FROZEN]:
                fault = "frozen"
            elif kind in "TPSB" and limits[credit] == "C" and b[C] + b[CP] > b[D]:
                fault = "exceeds debits"
        if fault:
            accounts, pending, ids = first
            if fault not in NOT_FINAL and id not in ids:
                ids = {**ids, id: fault}
            return (i, fault), accounts, pending, ids
        accounts[debit], accounts[credit] = tuple(a), tuple(b)
        if kind != "E":
            ids[id] = "ok"
    return "ok", accounts, pending, ids


class Explorer:
    """Of a model: `start`, `settle`, `choices`, `take`, and the tables that `check` reads."""

    EMPTY_AT_END = ("parts", "lock", "waiting", "doubt", "before", "dead", "coord", "heard", "unnoted")

    # MARK: Judging

    def check(self, w):
        """The logs agree and the history has an explanation; call when nothing is under way."""
        decided = [r[1] for s in w.shards for r in s["log"] if r[0] == "K"]
        events = [e[1] for op in decided for e in self.events(op) if e[0] != "E"]
        if len(set(events)) != len(events):
            raise Violated("decided twice")
        for op in decided:
            copies = sum(r[:2] == ("R", op) for s in w.shards for r in s["log"])
            if copies != len(self.shards_of(op)) - 1:
                raise Violated(f"{op} is applied {copies} times elsewhere")
        known = {op: "ok" for op in decided}
        for s in w.shards:
            for r in s["log"]:
                if r[0] == "no":
                    known[r[1]] = r[2:]
                elif r[0] == "status":
                    known[r[1]] = "ok"
        final = frozenset((n, a) for s in w.shards for n, a in s["accounts"].items())
        for name, a in final:
            if self.limits[name] and self.room(name, a) < 0:
                raise Violated(f"the limit of {name} is broken: {a}")
        for op, r in enumerate(w.answers):
            if r is not None:
                if op in known and known[op] != r:
                    raise Violated(f"{op} was answered {r}, and its log says {known[op]}")
                known[op] = r
        # In the order of their request are those with an effect: not refusals, and not what was there before.
        ordered = frozenset(op for op in decided if self.ops[op][3] in decided)
        question = frozenset(known.items()), tuple(w.before), final, ordered
        if question not in self.explained:
            self.explained[question] = self.explain(known, w.before, dict(final), ordered)
        if not self.explained[question]:
            raise Violated(f"no order of the requests explains the answers {dict(sorted(known.items()))}")

    def explain(self, known, before, final, ordered):
        """True when some order of the known requests gives these answers and ends in these balances."""

        def place(left, accounts, pending, ids):
            if not left:
                return accounts == final
            for op in left:
                if any(u in before[op] or (op in ordered and u == self.ops[op][3]) for u in left - {op}):
                    continue
                kind, what = self.ops[op][:2]
                a, p, i = accounts, pending, ids
                if kind == "x":
                    verdict, a, p, i = evaluate(self.limits, self.holds, accounts, pending, ids, what)
                elif kind == "r":
                    verdict = accounts[what][DP:]
                elif kind == "c":
                    verdict = tuple(accounts[account][DP:] for account in what)
                else:
                    verdict, a = "ok", {**accounts, what: (True, kind == "f") + accounts[what][DP:]}
                if verdict == known[op] and place(left - {op}, a, p, i):
                    return True
            return False

        return place(frozenset(known), self.opening, {}, {})

    def end_check(self, w):
        self.check(w)
        if w.crashes == self.crashes and None in w.answers:
            raise Violated(f"no answer for {w.answers.index(None)}")
        for s, shard in enumerate(w.shards):
            left = [f for f in self.EMPTY_AT_END if shard[f]]
            if left and w.crashes == self.crashes:
                raise Violated(f"shard {s} keeps {left}")

    def explore(self, begins=()):
        """The number of states, of what may follow these steps. Throws Violated with the history that goes wrong."""
        start = self.settle(self.start())
        for choice in begins:
            start = self.take(start, choice)[1]
        # By state: the state and the step that led there first; and all states before it.
        origin = {start.key(): (None, "")}
        back, todo, ends = {}, [(start, start.key())], []

        def story(key, last):
            lines = [last]
            while key is not None:
                key, step = origin[key]
                lines.append(step)
            return "\n    ".join(reversed(lines[:-1]))

        while todo:
            w, key = todo.pop()
            calm = False
            for choice in self.choices(w):
                try:
                    name, n = self.take(w, choice)
                except Violated as problem:
                    raise Violated(f"{problem}\n    {story(key, str(choice))}") from None
                after = n.key()
                if choice[0] != "crash":
                    calm = True
                    back.setdefault(after, []).append(key)
                if after not in origin:
                    origin[after] = (key, name)
                    todo.append((n, after))
            if not calm:
                try:
                    self.end_check(w)
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

    def starve(self):
        """The number of states. Throws Violated with a ring of states in which all comes that may come always, and
        request 0, the oldest, is never answered.
        """
        start = self.settle(self.start())
        for op in self.endless:
            start.before[op] = frozenset()
            self.wait(start, self.coordinator(op), op, "op")
        start = self.settle(start)
        edges, todo = {}, [start]
        edges[start.key()] = {}
        while todo:
            w = todo.pop()
            out = edges[w.key()]
            for choice in self.choices(w):
                name, n = self.take(w, choice)
                # Who was answered before what does not matter here.
                n.before = [None if b is None else frozenset() for b in n.before]
                if choice[0] == "again":
                    n.before[choice[1]] = frozenset()
                    self.wait(n, self.coordinator(choice[1]), choice[1], "op")
                    self.settle(n)
                key = n.key()
                out[choice] = (key, name)
                # What comes after the answer does not matter.
                if n.answers[0] is None and key not in edges:
                    edges[key] = {}
                    todo.append(n)
        for ring in rings({k: {n for n, _ in out.values() if n in edges} for k, out in edges.items()}):
            always = set.intersection(*(set(edges[k]) for k in ring))
            taken = {c for k in ring for c, (n, _) in edges[k].items() if n in ring}
            if always <= taken:
                raise Violated(f"{len(ring)} states in a ring; in it: {sorted(map(str, taken))}")
        return len(edges)

    def walk(self, rnd):
        """One random history, to its end. Throws Violated with it."""
        w, story = self.settle(self.start()), []
        while True:
            choices = list(self.choices(w))
            calm = [c for c in choices if c[0] != "crash"]
            if not calm:
                break
            # A crash ends most of what is interesting: rarely.
            choice = rnd.choice(calm) if len(calm) == len(choices) or rnd.random() > 0.06 else choices[-1]
            try:
                name, w = self.take(w, choice)
            except Violated as problem:
                raise Violated("\n    ".join([str(problem)] + story + [str(choice)])) from None
            story.append(name)
            if len(story) > 2000:
                raise Violated("\n    ".join(["does not end"] + story[:60]))
        try:
            self.end_check(w)
        except Violated as problem:
            raise Violated("\n    ".join([str(problem)] + story)) from None
        return len(story)


def rings(graph):
    """The strongly connected components that hold a circle (Tarjan), each as a set."""
    index, low, on, stack, found = {}, {}, set(), [], []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on.add(root)
        while work:
            node, rest = work[-1]
            for next_node in rest:
                if next_node not in index:
                    index[next_node] = low[next_node] = len(index)
                    stack.append(next_node)
                    on.add(next_node)
                    work.append((next_node, iter(graph[next_node])))
                    break
                if next_node in on:
                    low[node] = min(low[node], index[next_node])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    ring = set()
                    while node not in ring:
                        ring.add(stack.pop())
                    on -= ring
                    if len(ring) > 1 or node in graph[node]:
                        found.append(ring)
    return found
