"""The coordinator of a transaction (reservation_model.py): whom it asks, when it decides, refuses, or lets go."""

from exploring import D, NOT_FINAL, evaluate


class Coordinator:
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
