"""Reads, cuts, freezing, and who must have heard what (reservation_model.py)."""

from exploring import C, CP, D, DP


class Reads:
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
