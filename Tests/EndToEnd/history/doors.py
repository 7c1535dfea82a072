"""Sends requests over both doors of the server and notes what was asked, what was answered, and when.

A request becomes steps: what takes effect at one moment. A step whose answer was lost, or was `busy`, is sent again
until it is decided; it then counts as one that was under way since it was sent first (`again`)."""

import os
import re
import socket
import time

import native_client as native

from .model import (
    ACCOUNT_LINKED, BALANCING_CREDIT, BALANCING_DEBIT, CLOSING_CREDIT, CLOSING_DEBIT, CREDITS_FROZEN, CREDITS_LIMITED,
    DEBITS_FROZEN, LINKED, MAX, PENDING, POST, READS, VOID, Result)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SIDES = {"DEBITS": DEBITS_FROZEN, "CREDITS": CREDITS_FROZEN, "BOTH": DEBITS_FROZEN | CREDITS_FROZEN}


def result_codes():
    """Names by number, from the protocol's table."""
    with open(os.path.join(ROOT, "Docs", "Protocol.md")) as file:
        section = file.read().split("## Result codes")[1].split("\n## ")[0]
    return {int(number): name for number, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", section, re.M)}


NAMES = result_codes()
ACCOUNT_FLAG_NAMES = ("linked", "debits_must_not_exceed_credits", "credits_must_not_exceed_debits", "history",
                      "closed", "debits_frozen", "credits_frozen", "striped")
TRANSFER_FLAG_NAMES = ("linked", "pending", "post_pending", "void_pending", "balancing_debit", "balancing_credit",
                       "closing_debit", "closing_credit", "imported")


class Wrong(Exception):
    """The server said what no server may say, whatever the history."""


class Step:
    """`kind`: account, account_chain, transfer, chain (bodies: events), freeze (id, side, on), read (id), look
    (debit, id), by_id (id), of_account (id), cut (ids), totals. `answer`: results for events, records for reads; None until known."""

    def __init__(self, kind, body, open=False):
        self.kind, self.body, self.open = kind, body, open
        self.answer = None
        self.again = False  # Sent more than once: the answer may be a repetition of the first one's.
        self.optional = False  # May have happened or not.
        self.after = []  # Steps that take effect before this one, although they overlap.
        self.start = self.end = self.wall_end = None
        self.client = self.door = None
        self.amounts = None  # Of balancing transfers, as they came out.

    @property
    def events(self):
        return self.body if self.kind in ("chain", "account_chain") else [self.body]

    def __str__(self):
        body = " ; ".join(describe(e) for e in self.events) if isinstance(self.events[0], dict) else str(self.body)
        answer = self.answer
        if isinstance(answer, list) and answer and isinstance(answer[0], Result):
            answer = " ; ".join(str(a) for a in answer)
        elif isinstance(answer, dict):
            answer = describe(answer)
        return (f"client {self.client} {self.door}{' again' if self.again else ''}{' open' if self.open else ''} "
                f"{self.kind} {body} -> {answer}")


def describe(event):
    """The fields that are not 0, shortly."""
    short = {"debit_account_id": "debit", "credit_account_id": "credit"}
    return " ".join(f"{short.get(name, name)}={'MAX' if value == MAX else value}"
                    for name, value in event.items() if value or name == "id")


def steps_of(request):
    """The steps of a request, in the order of its body."""
    kind, body = request.kind, request.body
    if kind in ("transfers", "accounts"):
        single, chained = ("transfer", "chain") if kind == "transfers" else ("account", "account_chain")
        linked = LINKED if kind == "transfers" else ACCOUNT_LINKED
        steps, run = [], []
        for event in body:
            run.append(event)
            if event["flags"] & linked:
                continue
            steps.append(Step(chained, run) if len(run) > 1 else Step(single, run[0]))
            run = []
        if run:
            steps.append(Step(chained, run, open=True))
        if kind == "transfers":
            for at, step in enumerate(steps):
                if step.kind == "transfer":
                    debit = step.body["debit_account_id"]
                    step.after = [s for s in steps[:at] if s.kind == "transfer" and s.body["debit_account_id"] == debit]
        return steps
    if kind == "multi":
        return [Step("chain", body)]
    if kind in ("read", "look"):
        return [Step(kind, item) for item in body]
    return [Step(kind, body)]


# Native.


def send_native(client, steps):
    """Sends steps of one request, without waiting; returns what `take_native` needs."""
    kind = steps[0].kind
    events = [event for step in steps for event in step.events]
    if kind in ("transfer", "chain", "account", "account_chain"):
        transfers = kind in ("transfer", "chain")
        fields = native.TRANSFER_FIELDS if transfers else native.ACCOUNT_FIELDS
        operation = native.CREATE_TRANSFERS if transfers else native.CREATE_ACCOUNTS
        return client.send(operation, len(events), b"".join(native.record(fields, event) for event in events))
    if kind in ("read", "cut"):
        ids = [step.body for step in steps] if kind == "read" else steps[0].body
        body = b"".join(id.to_bytes(16, "little") for id in ids)
        return client.send(native.LOOKUP_ACCOUNTS, len(ids), body, flags=1 if kind == "cut" else 0)
    if kind == "totals":
        return client.send(native.TOTALS, 0)
    if kind == "of_account":
        wanted = dict(account=steps[0].body, limit=8190)
        return client.send(
            native.GET_ACCOUNT_TRANSFERS, 1, native.record(native.FILTER_FIELDS, wanted, native.FILTER_WIDTHS))
    keys = [step.body for step in steps] if kind == "look" else [(0, steps[0].body)]
    body = b"".join(debit.to_bytes(16, "little") + id.to_bytes(16, "little") for debit, id in keys)
    return client.send(native.LOOKUP_TRANSFERS, len(keys), body)


def take_native(client, request_id, steps):
    """Waits for the answers. Those of steps that were `busy` stay None."""
    try:
        count, flags, body = client.wait(request_id)
    except native.Refused as refused:
        if refused.status in (native.BUSY, native.SHUTTING_DOWN):
            return
        raise Wrong(f"status {refused.status} for {steps[0]}") from None
    kind = steps[0].kind
    if kind in ("transfer", "chain", "account", "account_chain"):
        results = [native_result(*result) for result in client.results(count, flags, body)]
        if len(results) != sum(len(step.events) for step in steps):
            raise Wrong(f"{len(results)} results for {steps}")
        for step in steps:
            answer, results = results[:len(step.events)], results[len(step.events):]
            if not any(result.code == "busy" for result in answer):
                step.answer = answer
        return
    if kind in ("read", "cut"):
        found = list(native.records(native.ACCOUNT_FIELDS, body))
        asked = [step.body for step in steps] if kind == "read" else steps[0].body
        if [a["id"] for a in found] != [id for id in asked if id in {a["id"] for a in found}]:
            raise Wrong(f"accounts {[a['id'] for a in found]} for {asked}")
        by_id = {a["id"]: a for a in found}
        if kind == "cut":
            steps[0].answer = by_id
        else:
            for step in steps:
                step.answer = by_id.get(step.body, ())
        return
    if kind == "totals":
        steps[0].answer = native.totals(body)
        return
    found = list(native.records(native.TRANSFER_FIELDS, body))
    if kind in ("by_id", "of_account"):
        steps[0].answer = found
        return
    by_key = {(t["debit_account_id"], t["id"]): t for t in found}
    if list(by_key) != [step.body for step in steps if step.body in by_key] or len(by_key) != len(found):
        raise Wrong(f"transfers {list(by_key)} for {[step.body for step in steps]}")
    for step in steps:
        step.answer = by_key.get(step.body, ())


def native_result(code, timestamp, reason):
    name = NAMES.get(code)
    if name is None:
        raise Wrong(f"result code {code}")
    # A duplicate within a chain that is refused has no first timestamp.
    has_timestamp = timestamp != 0 or name == "exists"
    if has_timestamp != (name in ("created", "exists")) or (reason != 0) != (name == "id_already_failed"):
        raise Wrong(f"result {name} with timestamp {timestamp}, reason {reason}")
    return Result(name, timestamp or None, NAMES[reason] if reason else None)


# RESP.


class Resp:
    """A RESP2 connection. Replies: int, str, None, list, or an Exception for an error."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, commands):
        out = []
        for words in commands:
            words = [str(word).encode() for word in words]
            out.append(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        self.socket.sendall(b"".join(out))

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        if kind == b"-":
            return Exception(rest)
        if kind == b"*":
            return None if rest == "-1" else [self.reply() for _ in range(int(rest))]
        if kind != b"$":
            raise Wrong(f"reply {line!r}")
        if rest == "-1":
            return None
        data = self.file.read(int(rest) + 2)
        if len(data) < int(rest) + 2:
            raise ConnectionError("closed")
        return data[:-2].decode()


def data_words(e):
    return [word for name in ("user_data_128", "user_data_64", "user_data_32") if e[name]
            for word in ("DATA" + name.rsplit("_", 1)[1], e[name])]


def transfer_words(e):
    flags = e["flags"]
    if flags & POST:
        amount = [] if e["amount"] == MAX else ["AMOUNT", e["amount"]]
        return ["TRANSFER.POST", e["id"], e["debit_account_id"], e["pending_id"], *amount, *data_words(e)]
    if flags & VOID:
        return ["TRANSFER.VOID", e["id"], e["debit_account_id"], e["pending_id"], *data_words(e)]
    words = ["TRANSFER", e["id"], e["debit_account_id"], e["credit_account_id"], e["amount"], e["ledger"], e["code"]]
    if flags & PENDING:
        words += ["PENDING", e["timeout"]] if e["timeout"] else ["PENDING"]
    for mask, option in ((BALANCING_DEBIT, "BALANCING DEBIT"), (BALANCING_CREDIT, "BALANCING CREDIT"),
                         (CLOSING_DEBIT, "CLOSING DEBIT"), (CLOSING_CREDIT, "CLOSING CREDIT")):
        if flags & mask:
            words += option.split()
    return words + data_words(e)


def commands_of(step):
    """The commands of a step, the answer is in the reply to the last."""
    kind, body = step.kind, step.body
    if kind == "transfer":
        return [transfer_words(body)]
    if kind == "chain":
        return [["MULTI"], *(transfer_words(e) for e in body), ["EXEC"]]
    if kind == "account":
        names = [name for bit, name in enumerate(ACCOUNT_FLAG_NAMES) if body["flags"] & 1 << bit]
        flags = ["FLAGS", ",".join(names)] if names else []
        return [["ACCOUNT.CREATE", body["id"], body["ledger"], body["code"], *flags, *data_words(body)]]
    if kind == "freeze":
        return [["ACCOUNT.FREEZE" if body[2] else "ACCOUNT.UNFREEZE", body[0], body[1]]]
    if kind == "read":
        return [["ACCOUNT.GET", body]]
    if kind == "cut":
        return [["ACCOUNT.GET", *body]]
    if kind == "look":
        return [["TRANSFER.GET", body[1], body[0]]]
    if kind == "of_account":
        return [["ACCOUNT.TRANSFERS", body, "LIMIT", 8190]]
    return [["TRANSFER.GET", body]] if kind == "by_id" else [["TOTALS"]]


def take_resp(connection, step):
    """Reads the replies to a step's commands. The answer of one that was `busy` stays None."""
    replies = [connection.reply() for _ in commands_of(step)]
    reply = replies[-1]
    if isinstance(reply, Exception) and str(reply).startswith(("BUSY", "SHUTTING_DOWN")):
        return
    kind = step.kind
    if kind == "chain":
        if replies[:-1] != ["OK"] + ["QUEUED"] * (len(replies) - 2) or not isinstance(reply, list):
            raise Wrong(f"replies {replies} to {step}")
        answer = [resp_result(r) for r in reply]
        if not any(result.code == "busy" for result in answer):
            step.answer = answer
    elif kind in ("transfer", "account"):
        step.answer = [resp_result(reply)]
    elif kind == "freeze":
        step.answer = [Result("ok") if reply == "OK" else Result("error", reason=str(reply))]
    elif isinstance(reply, Exception):
        raise Wrong(f"reply {reply} to {step}")
    elif kind == "read":
        step.answer = () if reply is None else parse_map(reply, ACCOUNT_FLAG_NAMES)
    elif kind == "cut":
        found = [item and parse_map(item, ACCOUNT_FLAG_NAMES) for item in reply]
        if len(found) != len(step.body) or any(a and a["id"] != id for a, id in zip(found, step.body)):
            raise Wrong(f"reply {reply} to {step}")
        step.answer = {a["id"]: a for a in found if a}
    elif kind == "look":
        step.answer = () if reply is None else parse_map(reply, TRANSFER_FLAG_NAMES)
    elif kind in ("by_id", "of_account"):
        step.answer = [parse_map(item, TRANSFER_FLAG_NAMES) for item in reply]
    else:
        ledgers = [parse_map(item, ()) for item in reply]
        step.answer = {item.pop("ledger"): item for item in ledgers}


def resp_result(reply):
    """`ok` is created or exists: RESP does not tell them apart."""
    if isinstance(reply, str) and reply.isdigit():
        return Result("ok", int(reply))
    if reply == "OK":
        return Result("ok")
    if not isinstance(reply, Exception):
        raise Wrong(f"reply {reply!r}")
    words = str(reply).split()
    name = words[0].lower()
    if name not in NAMES.values():
        raise Wrong(f"error {reply}")
    return Result(name, None, words[1] if name == "id_already_failed" else None)


def parse_map(flat, flag_names):
    values = dict(zip(flat[::2], flat[1::2]))
    flags = values.pop("flags", "")
    record = {name: int(value) for name, value in values.items()}
    if flag_names:
        bits = {name: 1 << bit for bit, name in enumerate(flag_names)}
        record["flags"] = sum(bits[name] for name in flags.split(",") if name)
    return record


# Both.


class Doors:
    """A client's two connections. `strict_pipelines`: see `_in_order`. `keeper` knows the server and whether it is meant to be up."""

    strict_pipelines = False

    def __init__(self, keeper, world, client):
        self.keeper, self.world, self.client, self.epoch = keeper, world, client, keeper.epoch
        self.native = self.resp = None

    def close(self):
        for connection in (self.native, self.resp):
            if connection is not None:
                connection.close()
        self.native = self.resp = None

    def perform(self, burst):
        """Sends requests of one door together and again until all their steps are decided; returns the steps."""
        groups = [steps_of(request) for request in burst]
        steps, lost = [step for group in groups for step in group], []
        door = burst[0].door
        for group, request in zip(groups, burst):
            for step in group:
                step.client, step.door = self.client, request.door
        if door == "resp":
            for at, step in enumerate(steps):
                step.after = [earlier for earlier in steps[:at] if self._in_order(earlier, step)]
        attempts = 0
        while groups:
            try:
                self._attempt(groups, burst[0].door)
            except OSError as error:
                self.close()
                self.epoch = self.keeper.lost(self.epoch, error)
            left = [step for group in groups for step in group if step.answer is None]
            for step in left:
                step.again = True
                if step.kind == "freeze":
                    # It may have been done, and it will be done again.
                    lost.append(self._maybe(step))
                for other in steps:
                    # What is sent again comes after what was answered; a read also after what was done unanswered.
                    if step in other.after and (other.answer is not None or step.kind in READS):
                        other.after.remove(step)
            groups = [[step for step in group if step.answer is None] for group in groups]
            groups = [group for group in groups if group]
            attempts += 1
            if groups:
                time.sleep(min(0.002 * attempts, 0.1))
            if attempts > 2000:
                raise Wrong(f"undecided after {attempts} attempts: {left[0]}")
        return steps + lost

    def concerns(self, step):
        """The accounts of a step."""
        if step.kind in ("totals", "by_id", "cut"):
            return self.world.account_ids
        if step.kind in ("read", "of_account", "account"):
            return {step.body if step.kind != "account" else step.body["id"]}
        if step.kind in ("freeze", "look"):
            return {step.body[0]}
        debits, credits = self._sides(step)
        return debits | credits

    def _sides(self, step):
        debits, credits = set(), set()
        for e in step.events:
            debits.add(e["debit_account_id"])
            credits.add(e["credit_account_id"])
            if e["pending_id"]:
                credits |= {slot["credit_account_id"] for slot in self.world.slots if slot["id"] == e["pending_id"]}
        return debits - {0}, credits - {0}

    def _in_order(self, earlier, later):
        """Whether a command of a pipeline takes effect before a later one. A command sees the effects of those before
        it: so does a read of one of their accounts, and a transfer whose answer can depend on them. Strictly taken
        the same holds for any two commands that have an account in common (`strict_pipelines`)."""
        common = self.concerns(earlier) & self.concerns(later)
        both = earlier.kind == later.kind == "transfer"
        if not common or not both or self.strict_pipelines:
            return bool(common)
        special = ~(LINKED | PENDING)
        if (earlier.body["flags"] | later.body["flags"]) & special:
            return True
        limited = {a["id"] for a in self.world.all if a["flags"] & CREDITS_LIMITED}
        return bool(common & self._sides(later)[0] or common & limited)

    @staticmethod
    def _maybe(step):
        copy = Step(step.kind, step.body)
        copy.client, copy.door, copy.start, copy.optional = step.client, step.door, step.start, True
        copy.after = list(step.after)
        step.start = None
        return copy

    def _attempt(self, groups, door):
        now = time.monotonic_ns()
        for group in groups:
            for step in group:
                if step.start is None or step.kind in READS:
                    step.start = now
        if door == "native":
            if self.native is None:
                self.native = native.Client(*self.keeper.server.native)
            sent = [(send_native(self.native, group), group) for group in groups]
            for request_id, group in sent:
                take_native(self.native, request_id, group)
                self._stamp(group)
        else:
            if self.resp is None:
                self.resp = Resp(self.keeper.server.resp)
            steps = [step for group in groups for step in group]
            self.resp.send([words for step in steps for words in commands_of(step)])
            for step in steps:
                take_resp(self.resp, step)
                self._stamp([step])

    @staticmethod
    def _stamp(steps):
        now, wall = time.monotonic_ns(), time.time_ns()
        for step in steps:
            if step.answer is not None:
                step.end, step.wall_end = now, wall
