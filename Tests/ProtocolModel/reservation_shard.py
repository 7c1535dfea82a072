"""What one shard does with its sides of a transaction (reservation_model.py): what is reserved on an account, the
verdict, and the participant.
"""

from exploring import C, CP, D, DP, EXISTS, FROZEN, NOT_FINAL, Violated


class Participant:
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
