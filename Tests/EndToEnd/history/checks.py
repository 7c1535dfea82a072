"""Checks that hold for every right history, whatever the order of its steps: cheap, and independent of the search."""

from .model import BALANCES, CREDITS_LIMITED, DEBITS_LIMITED, MAX, PENDING, POST, VOID, deadline, identity_of

# What the wall clock may stand behind the engine's, which never goes back.
CLOCKS_APART = 1_000_000
STATE_PREFIXES = ("debit_account_not", "debit_account_has", "debit_account_cl", "debit_account_fr", "pending_transfer",
                  "exceeds", "overflows", "credit_account_not", "credit_account_has", "credit_account_cl",
                  "credit_account_fr")


def is_final(code):
    return code.startswith(STATE_PREFIXES)


def problems(steps, accounts, transfers):
    """What is wrong with a finished history. `accounts`: records by id, `transfers`: records by identity, read last."""
    return [*identities(steps, transfers), *times(steps, accounts, transfers), *replay(accounts, transfers)]


def outcomes(steps):
    """(step, event, result) of every event that was answered."""
    for step in steps:
        if step.kind in ("transfer", "chain", "account", "account_chain") and step.answer is not None:
            for event, result in zip(step.events, step.answer):
                yield step, event, result


def identities(steps, transfers):
    """One timestamp or one final refusal per identity; what was refused is not there, what was accepted is."""
    stamps, refusals = {}, {}
    for step, event, result in outcomes(steps):
        key = identity_of(event)
        if result.timestamp:
            if stamps.setdefault(key, result.timestamp) != result.timestamp:
                yield f"{key} has the timestamps {stamps[key]} and {result.timestamp}"
        if isinstance(key, tuple) and result.code != "ok":
            reason = result.reason if result.code == "id_already_failed" else result.code
            if is_final(reason) and refusals.setdefault(key, reason) != reason:
                yield f"{key} was refused for {refusals[key]} and for {reason}"
    for key in refusals.keys() & (stamps.keys() | transfers.keys()):
        yield f"{key} was refused for {refusals[key]} and accepted"
    for key, stamp in stamps.items():
        if isinstance(key, tuple) and transfers.get(key, {}).get("timestamp") != stamp:
            yield f"{key} was accepted at {stamp}, a look-up finds {transfers.get(key)}"
    for key in transfers.keys() - stamps.keys():
        yield f"{key} was never answered as accepted, a look-up finds {transfers[key]}"


def times(steps, accounts, transfers):
    """Timestamps are unique, and later than everything that was answered before the first request for them."""
    spans = {}  # key -> [first sent, first answered]
    for step, event, result in outcomes(steps):
        key = identity_of(event)
        span = spans.setdefault(key, [step.start, None])
        span[0] = min(span[0], step.start)
        if result.timestamp or (step.kind == "account" and result.code == "ok"):
            span[1] = min(step.end, span[1] or step.end)
            if result.timestamp and result.timestamp > step.wall_end + CLOCKS_APART:
                yield f"{key} was answered {result.timestamp - step.wall_end} ns before its timestamp"
    stamped = [(a["timestamp"], id) for id, a in accounts.items()] + [(t["timestamp"], k) for k, t in transfers.items()]
    stamped.sort(key=lambda pair: pair[0])
    latest, latest_key, before = 0, None, 0
    for timestamp, key in stamped:
        if timestamp == before:
            yield f"two things have the timestamp {timestamp}, one is {key}"
        before = timestamp
        start, end = spans.get(key, (0, None))
        if end is not None and end < latest:
            yield f"{key} was answered before {latest_key} was sent and has a later timestamp, {timestamp}"
        if start > latest:
            latest, latest_key = start, key


def replay(accounts, transfers):
    """Applied in the order of timestamps, what was accepted breaks no limit and ends at the balances found."""
    sums = {id: dict.fromkeys(BALANCES, 0) for id in accounts}
    resolved = {(t["debit_account_id"], t["pending_id"]) for t in transfers.values() if t["flags"] & (POST | VOID)}
    moments = [(t["timestamp"], key, False) for key, t in transfers.items()]
    moments += [(deadline(t), key, True) for key, t in transfers.items()
                if t["flags"] & PENDING and deadline(t) and key not in resolved]
    unsettled = set()
    now = max((t["timestamp"] for t in transfers.values()), default=0)
    for moment, key, expiry in sorted(moments, key=lambda m: m[0]):
        t = transfers[key]
        if expiry and moment > now:
            unsettled.update((t["debit_account_id"], t["credit_account_id"]))
            continue
        p = transfers.get((t["debit_account_id"], t["pending_id"])) if t["flags"] & (POST | VOID) else None
        if t["flags"] & (POST | VOID) and (p is None or p["timestamp"] >= t["timestamp"]):
            yield f"{key} at {t['timestamp']} resolves {p}"
            continue
        base = p or t
        debit, credit = sums.get(base["debit_account_id"]), sums.get(base["credit_account_id"])
        if debit is None or credit is None:
            yield f"{key} is between accounts that are not there: {t}"
            continue
        if p or expiry:
            debit["debits_pending"] -= base["amount"]
            credit["credits_pending"] -= base["amount"]
        if not expiry and not t["flags"] & VOID:
            kind = "pending" if t["flags"] & PENDING else "posted"
            debit[f"debits_{kind}"] += t["amount"]
            credit[f"credits_{kind}"] += t["amount"]
        for id in (base["debit_account_id"], base["credit_account_id"]):
            yield from _limits(id, accounts[id], sums[id], key)
    for id, account in accounts.items():
        found = {name: account[name] for name in BALANCES}
        posted = all(found[name] == sums[id][name] for name in ("debits_posted", "credits_posted"))
        if not posted or id not in unsettled and found != sums[id]:
            yield f"account {id} has {found}, the accepted transfers make {sums[id]}"


def _limits(id, account, s, key):
    if account["flags"] & DEBITS_LIMITED and s["debits_pending"] + s["debits_posted"] > s["credits_posted"]:
        yield f"account {id} is overdrawn by {key} in the order of timestamps: {s}"
    if account["flags"] & CREDITS_LIMITED and s["credits_pending"] + s["credits_posted"] > s["debits_posted"]:
        yield f"account {id} exceeds its debits by {key} in the order of timestamps: {s}"
    for side in ("debits", "credits"):
        if s[f"{side}_pending"] + s[f"{side}_posted"] > MAX:
            yield f"account {id} overflows by {key}"
