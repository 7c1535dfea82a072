"""A naive ledger: what every operation answers when operations happen one after another.

It is written from the description of the ledger's operations alone, shares nothing with the engine, and prefers the
obvious to the fast. Everything that changes goes through `_set`, so that a search can take steps back (`mark`, `undo`).

Readings, where the description leaves a choice:
 1. Fields are compared as they were asked, the flags without `linked`, 0 for "not given" in a post or void too.
 2. An account's flags are compared as they were at its creation: freezing or closing it does not spoil a retry.
 3. Post and void exclude each other, pending, and the balancing and closing flags (`flags_are_mutually_exclusive`).
    Both balancing flags, and both closing flags, may stand together.
 4. A post or void that names a ledger other than the debit account's says `debit_account_has_different_ledger`.
 5. A void's amount may be up to the reserved one (or 2^128-1) and has no effect; a look-up may show it as asked, as
    reserved or as 0. A look-up of a post or void may show credit account, ledger and code as asked or as filled in.
 6. A balancing transfer that finds nothing left is created and moves 0.
 7. What is left for a balancing transfer follows from the balances, whether or not the account has a limit.
 8. Only sums that would grow can overflow: a pending transfer the pending and the total one, any other the posted and
    the total one. Posting what is reserved can neither overflow nor break a limit.
 9. A pending transfer that closed an account opens it again when it expires, as when it is voided; it cannot be posted
    meanwhile, as the account is closed.
10. From its deadline (timestamp + timeout) on a pending transfer can be neither posted nor voided. Its reservation is
    released some time after; the model is told when (`expire`).
11. Chains. Groups 1 to 5 (Docs/Semantics.md) are judged for all events before groups 6 and 7 for any (CHAIN_GROUPS_FIRST): without this a
    chain sent again could be refused for another event than the first time. The lowest event of these is at fault.
    Where every event exists with the same fields each answers `exists`. An id twice in a chain: the second one exists.
12. A chain that is open or too long: at least one event says so, the others that or `linked_event_failed`. Open first.
13. Freezing what is frozen, and lifting what is not, is done and changes nothing; a closed account can be frozen. An
    unknown account is refused by an error whose name is not checked.
14. `id_already_failed` does not look at the other fields: debit account and id decide.
"""

from collections import namedtuple

MAX = 2 ** 128 - 1
LINKED, PENDING, POST, VOID, BALANCING_DEBIT, BALANCING_CREDIT, CLOSING_DEBIT, CLOSING_CREDIT, IMPORTED = (
    1 << bit for bit in range(9))
ACCOUNT_LINKED, DEBITS_LIMITED, CREDITS_LIMITED, HISTORY, CLOSED, DEBITS_FROZEN, CREDITS_FROZEN, STRIPED = (
    1 << bit for bit in range(8))
CHAIN_MAX = 64
CHAIN_GROUPS_FIRST = False
READS = ("read", "look", "by_id", "of_account", "cut", "totals")
BALANCES = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
USER_DATA = ("user_data_128", "user_data_64", "user_data_32")
TRANSFER_COMPARED = ("flags", "pending_id", "timeout", "credit_account_id", "amount", *USER_DATA, "ledger", "code")
ACCOUNT_COMPARED = ("flags", *USER_DATA, "ledger", "code")
SECOND = 10 ** 9
ABSENT = object()


class Result(namedtuple("Result", "code timestamp reason", defaults=(None, None))):
    """What one event answers; `timestamp` None where it cannot be told."""

    def __str__(self):
        return " ".join(str(part) for part in self if part is not None)


LINKED_FAILED = Result("linked_event_failed")


class Model:
    def __init__(self, transfer_flags=0x0FF, account_flags=0x077):
        """The flags that the engine carries out; others are `reserved_flag`."""
        self.transfer_flags, self.account_flags = transfer_flags, account_flags
        self.accounts = {}  # id -> record with the balances, "asked"
        self.transfers = {}  # (debit account, id) -> record, "asked", "state"
        self.failed = {}  # (debit account, id) -> the refusal that is final
        self.trail = []

    # Going back.

    def _set(self, table, key, value):
        self.trail.append((table, key, table.get(key, ABSENT)))
        table[key] = value

    def mark(self):
        return len(self.trail)

    def undo(self, mark):
        while len(self.trail) > mark:
            table, key, old = self.trail.pop()
            if old is ABSENT:
                del table[key]
            else:
                table[key] = old

    # Accounts.

    def create_account(self, event, timestamp=None):
        code = self._account_fault(event)
        if code is not None:
            return Result(code)
        there = self.accounts.get(event["id"])
        if there is not None:
            return self._compare("exists", event, there, ACCOUNT_COMPARED)
        record = dict(event, timestamp=timestamp, asked=event)
        self._set(self.accounts, event["id"], record)
        return Result("created", timestamp)

    def _account_fault(self, e):
        limits = DEBITS_LIMITED | CREDITS_LIMITED
        rules = [
            (e["timestamp"] != 0, "timestamp_must_be_zero"),
            (e["reserved"] != 0, "reserved_field"),
            (e["flags"] & ~self.account_flags != 0, "reserved_flag"),
            (e["flags"] & limits == limits, "flags_are_mutually_exclusive"),
            (e["id"] == 0, "id_must_not_be_zero"),
            (e["id"] == MAX, "id_must_not_be_max"),
            *((e[name] != 0, f"{name}_must_be_zero") for name in BALANCES),
            (e["ledger"] == 0, "ledger_must_not_be_zero"),
            (e["code"] == 0, "code_must_not_be_zero")]
        return next((code for broken, code in rules if broken), None)

    def freeze(self, id, flags, on):
        """Sets or lifts DEBITS_FROZEN, CREDITS_FROZEN or both. False for an unknown account."""
        if id not in self.accounts:
            return False
        account = self.accounts[id]
        self._set(account, "flags", account["flags"] | flags if on else account["flags"] & ~flags)
        return True

    # Transfers.

    def transfer(self, event, timestamp=None):
        """One unlinked transfer."""
        answer = self._before_state(event)
        return answer if answer is not None else self._by_state(event, timestamp)

    def _before_state(self, event):
        """Groups 2 to 5: the answer, or None where the state decides."""
        code = self._request_fault(event)
        if code is not None:
            return Result(code)
        identity = event["debit_account_id"], event["id"]
        if identity in self.transfers:
            return self._compare("exists", event, self.transfers[identity], TRANSFER_COMPARED)
        if identity in self.failed:
            return Result("id_already_failed", reason=self.failed[identity])
        return None

    def _by_state(self, event, timestamp):
        """Groups 6 and 7: applies the event, or makes its refusal final."""
        resolves = event["flags"] & (POST | VOID)
        code, amount = self._resolution_fault(event, timestamp) if resolves else self._new_fault(event, timestamp)
        if code is not None:
            self._set(self.failed, (event["debit_account_id"], event["id"]), code)
            return Result(code)
        self._apply(event, amount, timestamp)
        return Result("created", timestamp)

    @staticmethod
    def _compare(word, event, there, names):
        for name in names:
            # LINKED and ACCOUNT_LINKED are the same bit.
            if event[name] != there["asked"][name] and (name != "flags" or (event[name] ^ there["asked"][name]) & ~LINKED):
                return Result(f"{word}_with_different_{name}")
        return Result(word, there["timestamp"])

    def _request_fault(self, e):
        """Groups 2 to 4."""
        flags, posts_or_voids = e["flags"], e["flags"] & (POST | VOID) != 0
        alone = PENDING | BALANCING_DEBIT | BALANCING_CREDIT | CLOSING_DEBIT | CLOSING_CREDIT
        exclusive = flags & (POST | VOID) == POST | VOID or posts_or_voids and flags & alone != 0
        closes = flags & (CLOSING_DEBIT | CLOSING_CREDIT) != 0
        rules = [
            (e["timestamp"] != 0, "timestamp_must_be_zero"),
            (flags & ~self.transfer_flags != 0, "reserved_flag"),
            (exclusive, "flags_are_mutually_exclusive"),
            (e["id"] == 0, "id_must_not_be_zero"),
            (e["id"] == MAX, "id_must_not_be_max"),
            (e["debit_account_id"] == 0, "debit_account_id_must_not_be_zero"),
            (e["debit_account_id"] == MAX, "debit_account_id_must_not_be_max"),
            (e["credit_account_id"] == 0 and not posts_or_voids, "credit_account_id_must_not_be_zero"),
            (e["credit_account_id"] == MAX, "credit_account_id_must_not_be_max"),
            (e["debit_account_id"] == e["credit_account_id"], "accounts_must_be_different"),
            (e["pending_id"] != 0 and not posts_or_voids, "pending_id_must_be_zero"),
            (e["pending_id"] == 0 and posts_or_voids, "pending_id_must_not_be_zero"),
            (e["pending_id"] == MAX and posts_or_voids, "pending_id_must_not_be_max"),
            (e["pending_id"] == e["id"] and posts_or_voids, "pending_id_must_be_different"),
            (e["timeout"] != 0 and not flags & PENDING, "timeout_reserved_for_pending_transfer"),
            (closes and not flags & PENDING, "closing_transfer_must_be_pending"),
            (e["ledger"] == 0 and not posts_or_voids, "ledger_must_not_be_zero"),
            (e["code"] == 0 and not posts_or_voids, "code_must_not_be_zero")]
        return next((code for broken, code in rules if broken), None)

    def _new_fault(self, e, timestamp):
        """Groups 6 and 7 for all but post and void: (refusal, None) or (None, the amount that moves)."""
        flags, amount, pending = e["flags"], e["amount"], e["flags"] & PENDING != 0
        debit = self.accounts.get(e["debit_account_id"])
        if debit is None:
            return "debit_account_not_found", None
        if debit["ledger"] != e["ledger"]:
            return "debit_account_has_different_ledger", None
        if debit["flags"] & CLOSED:
            return "debit_account_closed", None
        if debit["flags"] & DEBITS_FROZEN:
            return "debit_account_frozen", None
        if timestamp is not None and timestamp + e["timeout"] * SECOND >= 2 ** 64:
            return "overflows_timeout", None
        debits, credits = debit["debits_pending"] + debit["debits_posted"], debit["credits_posted"]
        if flags & BALANCING_DEBIT:
            amount = min(amount, max(0, credits - debits))
        if pending and debit["debits_pending"] + amount > MAX:
            return "overflows_debits_pending", None
        if not pending and debit["debits_posted"] + amount > MAX:
            return "overflows_debits_posted", None
        if debits + amount > MAX:
            return "overflows_debits", None
        if debit["flags"] & DEBITS_LIMITED and debits + amount > credits:
            return "exceeds_credits", None
        credit = self.accounts.get(e["credit_account_id"])
        if credit is None:
            return "credit_account_not_found", None
        if credit["ledger"] != e["ledger"]:
            return "credit_account_has_different_ledger", None
        if credit["flags"] & CLOSED:
            return "credit_account_closed", None
        if credit["flags"] & CREDITS_FROZEN:
            return "credit_account_frozen", None
        credits, debits = credit["credits_pending"] + credit["credits_posted"], credit["debits_posted"]
        if flags & BALANCING_CREDIT:
            amount = min(amount, max(0, debits - credits))
        if pending and credit["credits_pending"] + amount > MAX:
            return "overflows_credits_pending", None
        if not pending and credit["credits_posted"] + amount > MAX:
            return "overflows_credits_posted", None
        if credits + amount > MAX:
            return "overflows_credits", None
        if credit["flags"] & CREDITS_LIMITED and credits + amount > debits:
            return "exceeds_debits", None
        return None, amount

    def _resolution_fault(self, e, timestamp):
        """Groups 6 and 7 for post and void."""
        posts = e["flags"] & POST != 0
        debit = self.accounts.get(e["debit_account_id"])
        if debit is None:
            return "debit_account_not_found", None
        if e["ledger"] != 0 and debit["ledger"] != e["ledger"]:
            return "debit_account_has_different_ledger", None
        p = self.transfers.get((e["debit_account_id"], e["pending_id"]))
        if p is None:
            return "pending_transfer_not_found", None
        if not p["flags"] & PENDING:
            return "pending_transfer_not_pending", None
        for name in ("credit_account_id", "ledger", "code"):
            if e[name] != 0 and e[name] != p[name]:
                return f"pending_transfer_has_different_{name}", None
        if e["amount"] != MAX and e["amount"] > p["amount"]:
            return "exceeds_pending_transfer_amount", None
        if p["state"] != "open":
            finished = p["state"] if p["state"] == "expired" else f"already_{p['state']}"
            return f"pending_transfer_{finished}", None
        if timestamp is not None and deadline(p) is not None and timestamp >= deadline(p):
            return "pending_transfer_expired", None
        if posts:
            if debit["flags"] & CLOSED:
                return "debit_account_closed", None
            if debit["flags"] & DEBITS_FROZEN:
                return "debit_account_frozen", None
            credit = self.accounts[p["credit_account_id"]]
            if credit["flags"] & CLOSED:
                return "credit_account_closed", None
            if credit["flags"] & CREDITS_FROZEN:
                return "credit_account_frozen", None
        return None, p["amount"] if e["amount"] == MAX else e["amount"]

    def _apply(self, event, amount, timestamp):
        flags = event["flags"]
        record = dict(event, amount=amount, timestamp=timestamp, asked=event, state=None)
        if flags & (POST | VOID):
            pending = self.transfers[event["debit_account_id"], event["pending_id"]]
            record.update((name, pending[name]) for name in ("credit_account_id", "ledger", "code"))
            self._release(pending, "posted" if flags & POST else "voided")
            if flags & POST:
                self._move(record, "posted", amount)
        elif flags & PENDING:
            record["state"] = "open"
            self._move(record, "pending", amount)
            for flag, side in (CLOSING_DEBIT, "debit_account_id"), (CLOSING_CREDIT, "credit_account_id"):
                if flags & flag:
                    account = self.accounts[event[side]]
                    self._set(account, "flags", account["flags"] | CLOSED)
        else:
            self._move(record, "posted", amount)
        self._set(self.transfers, (event["debit_account_id"], event["id"]), record)

    def _move(self, record, kind, amount):
        debit, credit = self.accounts[record["debit_account_id"]], self.accounts[record["credit_account_id"]]
        self._set(debit, f"debits_{kind}", debit[f"debits_{kind}"] + amount)
        self._set(credit, f"credits_{kind}", credit[f"credits_{kind}"] + amount)

    def _release(self, pending, state):
        """Ends a pending transfer; all of it is released, and what it closed is opened unless it is posted."""
        self._set(pending, "state", state)
        self._move(pending, "pending", -pending["amount"])
        for flag, side in (CLOSING_DEBIT, "debit_account_id"), (CLOSING_CREDIT, "credit_account_id"):
            if state != "posted" and pending["flags"] & flag:
                account = self.accounts[pending[side]]
                self._set(account, "flags", account["flags"] & ~CLOSED)

    def expire(self, identity):
        self._release(self.transfers[identity], "expired")

    def due(self, now):
        """Identities of the open pending transfers whose deadline is not later than `now`."""
        return [identity for identity, t in self.transfers.items()
                if t["state"] == "open" and deadline(t) is not None and deadline(t) <= now]

    # Chains: a result per event.

    def chain(self, events, timestamps=None, open=False):
        """Linked transfers; `open` where the request ends inside the chain."""
        timestamps = timestamps or [None] * len(events)
        return self._chain(events, open, self._before_state, self._by_state, timestamps)

    def account_chain(self, events, timestamps=None, open=False):
        timestamps = timestamps or [None] * len(events)

        def before(event):
            answer = self._account_fault(event)
            if answer is not None:
                return Result(answer)
            there = self.accounts.get(event["id"])
            return None if there is None else self._compare("exists", event, there, ACCOUNT_COMPARED)
        return self._chain(events, open, before, self.create_account, timestamps)

    def _chain(self, events, open, before_state, by_state, timestamps):
        if open:
            return [LINKED_FAILED] * (len(events) - 1) + [Result("linked_event_chain_open")]
        if len(events) > CHAIN_MAX:
            return [LINKED_FAILED] * (len(events) - 1) + [Result("chain_too_long")]
        first = [before_state(event) for event in events]
        if all(answer is not None and answer.code == "exists" for answer in first):
            return first
        mark, results = self.mark(), []
        if CHAIN_GROUPS_FIRST:
            for at, answer in enumerate(first):
                answer = answer or self._twice(events, at, before_state)
                if answer is not None:
                    return self._at_fault(events, at, answer)
        for at, (event, timestamp) in enumerate(zip(events, timestamps)):
            answer = before_state(event)
            by_the_state = answer is None
            if by_the_state:
                answer = by_state(event, timestamp)
            if answer.code != "created":
                self.undo(mark)
                if by_the_state:
                    self._set(self.failed, identity_of(event), answer.code)
                return self._at_fault(events, at, answer)
            results.append(answer)
        return results

    def _twice(self, events, at, before_state):
        """The answer of an event whose identity an earlier event of the chain has."""
        key = identity_of(events[at])
        for earlier in events[:at]:
            if identity_of(earlier) == key:
                names = TRANSFER_COMPARED if "debit_account_id" in earlier else ACCOUNT_COMPARED
                return self._compare("exists", events[at], {"asked": earlier, "timestamp": None}, names)
        return None

    @staticmethod
    def _at_fault(events, at, answer):
        return [LINKED_FAILED] * at + [answer] + [LINKED_FAILED] * (len(events) - at - 1)

    # Sums.

    def totals(self):
        """Per ledger the four sums over all accounts, modulo 2^128."""
        sums = {}
        for account in self.accounts.values():
            into = sums.setdefault(account["ledger"], dict.fromkeys(BALANCES, 0))
            for name in BALANCES:
                into[name] = (into[name] + account[name]) & MAX
        return sums


def identity_of(event):
    return (event["debit_account_id"], event["id"]) if "debit_account_id" in event else event["id"]


def deadline(pending):
    """When a pending transfer expires, nanoseconds since the epoch; None: never."""
    return pending["timestamp"] + pending["timeout"] * SECOND if pending["timeout"] and pending["timestamp"] else None
