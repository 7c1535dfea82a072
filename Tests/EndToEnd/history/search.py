"""Looks for an order of steps that explains every answer (after Wing and Gong, with Lowe's memory of what was tried).

A step takes effect at one moment between its start and its end. Since answers name timestamps and refusals, the state
after a set of steps does not depend on their order, so a set of steps is never tried twice. A step whose answer fits
and changes no balance is taken at once: taking it earlier never spoils an explanation. The rest is tried in the order
of timestamps. A pending transfer whose deadline has passed may expire at any moment; that is tried when nothing fits."""

from .model import READS, BALANCES, BALANCING_CREDIT, BALANCING_DEBIT, VOID, deadline

CHAIN_FAULTS = ("linked_event_chain_open", "chain_too_long")
BALANCING = BALANCING_DEBIT | BALANCING_CREDIT
NEVER = 1 << 63


class Explanation:
    """`done`: every step is explained, and the model is in the state after them. Else `stuck` are the steps of which
    one had to be next at the furthest point, with what the model would have answered; `gave_up` when not all was tried."""

    def __init__(self, done, gave_up=False, stuck=(), order=()):
        self.done, self.gave_up, self.stuck, self.order = done, gave_up, stuck, order

    def __str__(self):
        if self.done:
            return "explained"
        lines = ["gave up, furthest point:" if self.gave_up else "no order of the steps explains the answers:"]
        return "\n".join(lines + [f"  {step}\n    the model: {answer}" for step, answer in self.stuck])


# What the model says to a step.


def apply(model, step):
    """Takes the step in the model. Returns (the answer fits, balances or flags changed, the model's answer)."""
    mark = model.mark()
    if step.kind in ("transfer", "account", "chain", "account_chain"):
        return _apply_events(model, step, mark)
    if step.kind == "freeze":
        from .doors import SIDES
        id, side, on = step.body
        known = model.freeze(id, SIDES[side], on)
        fits = step.answer is None or (step.answer[0].code == "ok") == known
        return fits, known, "ok" if known else "an error"
    answer = observe(model, step)
    return same_view(step, answer), False, answer


def _apply_events(model, step, mark):
    times = [result.timestamp for result in step.answer]
    failed = len(model.failed)
    if step.kind == "transfer":
        results = [model.transfer(step.body, times[0])]
    elif step.kind == "account":
        results = [model.create_account(step.body, times[0])]
    else:
        chain = model.chain if step.kind == "chain" else model.account_chain
        results = chain(step.body, times, step.open)
    exact = all(same_result(a, r, False) for a, r in zip(step.answer, results)) or same_fault(step.answer, results)
    fits = exact or step.again and all(same_result(a, r, True) for a, r in zip(step.answer, results))
    if fits and step.amounts:
        for event, amount in zip(step.events, step.amounts):
            there = model.transfers.get((event.get("debit_account_id"), event["id"]))
            fits = fits and (amount is None or there is None or there["amount"] == amount)
    changed = any(result.code == "created" for result in results)
    # A chain may be refused for good at another event than one with the same ids, which then came before it.
    changed = changed or step.kind == "chain" and len(model.failed) != failed
    # A first refusal that the answer only repeats has to find its place among other steps with the same id.
    return fits, changed or not exact, results


def same_result(answer, result, again):
    """Whether an answer is the model's result; `again`: of a step whose first answer was lost."""
    if answer.code == "ok":
        return result.code in ("created", "exists") and same_time(answer, result)
    if answer.code in ("created", "exists") and result.code in ("created", "exists"):
        return (again or answer.code == result.code) and same_time(answer, result)
    if again and answer.code == "id_already_failed" and result.code == answer.reason:
        return True
    return answer.code == result.code and answer.reason == result.reason


def same_time(answer, result):
    return answer.timestamp is None or result.timestamp is None or answer.timestamp == result.timestamp


def same_fault(answer, results):
    """A chain that is open or too long: at least one event says so."""
    code = results[-1].code
    return code in CHAIN_FAULTS and all(a.code in (code, "linked_event_failed") for a in answer) and any(
        a.code == code for a in answer)


def observe(model, step):
    """What the model answers to a read."""
    if step.kind == "read":
        return model.accounts.get(step.body, ())
    if step.kind == "look":
        return model.transfers.get(step.body, ())
    if step.kind == "by_id":
        found = [t for (_, id), t in model.transfers.items() if id == step.body]
        return sorted(found, key=lambda t: t["timestamp"] or 0)
    if step.kind == "of_account":
        found = [t for t in model.transfers.values() if step.body in (t["debit_account_id"], t["credit_account_id"])]
        return sorted(found, key=lambda t: t["timestamp"] or 0)
    if step.kind == "cut":
        return {id: model.accounts[id] for id in step.body if id in model.accounts}
    return model.totals()


def same_view(step, wanted):
    found = step.answer
    if step.kind in ("read", "look"):
        return same_record(found, wanted)
    if len(found) != len(wanted):
        return False
    if step.kind == "by_id":
        return all(same_record(a, b) for a, b in zip(found, wanted))
    if step.kind == "of_account":
        # In order of time, which the model may not know of all.
        times = [t["timestamp"] for t in found]
        by_key = {(t["debit_account_id"], t["id"]): t for t in wanted}
        return times == sorted(times) and all(
            same_record(t, by_key.get((t["debit_account_id"], t["id"]))) for t in found)
    if step.kind == "cut":
        return all(id in wanted and same_record(a, wanted[id]) for id, a in found.items())
    return all(ledger in wanted and all(sums[name] == wanted[ledger][name] for name in BALANCES)
               for ledger, sums in found.items())


def same_record(found, wanted):
    if not found or not wanted:
        return not found and not wanted
    for name, value in found.items():
        allowed = [wanted[name]] if name in wanted else [0]
        if name == "timestamp" and wanted[name] is None:
            continue
        if "pending_id" in wanted and wanted["pending_id"]:
            if name in ("credit_account_id", "ledger", "code"):
                allowed.append(wanted["asked"][name])
            if name == "amount" and wanted["flags"] & VOID:
                allowed += [wanted["asked"]["amount"], 0]
        if value not in allowed:
            return False
    return True


# The search.


class Search:
    def __init__(self, model, steps, budget):
        self.model, self.budget = model, budget
        self.steps = sorted(steps, key=lambda step: step.start)
        self.at = {id(step): i for i, step in enumerate(self.steps)}
        self.after = [[self.at[id(other)] for other in step.after if id(other) in self.at] for step in self.steps]
        self.end = [NEVER if step.optional else step.end for step in self.steps]
        self.done = [False] * len(self.steps)
        self.log = []  # Steps done, as places; expiries as identities.
        self.expired = []
        self.first = 0
        self.left = sum(not step.optional for step in self.steps)
        self.furthest, self.stuck = -1, []
        self.tried = set()

    def run(self):
        stack = []
        while True:
            self._take_what_changes_nothing()
            if self.left == 0:
                return Explanation(True, order=self._order())
            window = self._window()
            key = (self.first, frozenset(i for i in self._beyond() if self.done[i]), frozenset(self.expired))
            choices = [] if key in self.tried else self._choices(window)
            self.tried.add(key)
            stack.append((choices, self.model.mark(), len(self.log)))
            moved = False
            while stack and not moved:
                choices, mark, length = stack[-1]
                self._back(mark, length)
                if choices:
                    moved = self._try(choices.pop(0))
                else:
                    self._note_stuck()
                    stack.pop()
            if not moved:
                return Explanation(False, stuck=self.stuck, order=self._order())
            self.budget -= 1
            if self.budget <= 0:
                return Explanation(False, gave_up=True, stuck=self.stuck, order=self._order())

    def _order(self):
        return [self.steps[i] if isinstance(i, int) else i for i in self.log]

    def _beyond(self):
        """Places from the first undone one to the last done one."""
        i, count = self.first, sum(1 for e in self.log if isinstance(e, int)) - self.first
        while count > 0:
            if self.done[i]:
                count -= 1
                yield i
            i += 1

    def _window(self):
        """Steps that may be next: none that is undone ended before they began."""
        found, end, i = [], NEVER, self.first
        while i < len(self.steps) and self.steps[i].start <= end:
            if not self.done[i]:
                end = min(end, self.end[i])
                found.append(i)
            i += 1
        return [i for i in found if self.steps[i].start <= end and all(self.done[j] for j in self.after[i])]

    def _mark_done(self, i):
        self.done[i] = True
        self.log.append(i)
        self.left -= not self.steps[i].optional
        while self.first < len(self.steps) and self.done[self.first]:
            self.first += 1

    def _back(self, mark, length):
        self.model.undo(mark)
        while len(self.log) > length:
            i = self.log.pop()
            if isinstance(i, int):
                self.done[i] = False
                self.left += not self.steps[i].optional
                self.first = min(self.first, i)
            else:
                self.expired.pop()

    def _take_what_changes_nothing(self):
        again = True
        while again:
            again = False
            for i in self._window():
                if self.steps[i].optional or self.done[i]:
                    continue
                mark = self.model.mark()
                fits, changed, _ = apply(self.model, self.steps[i])
                if fits and not changed:
                    self._mark_done(i)
                    again = True
                else:
                    self.model.undo(mark)

    def _choices(self, window):
        def key(i):
            times = [r.timestamp for r in self.steps[i].answer or () if getattr(r, "timestamp", None)]
            return (not times, times[0] if times else self.end[i])
        changing = [i for i in window if self.steps[i].kind not in READS]
        # An expiry at the moment of the next step: not later than any undone step's end.
        undone = [self.steps[i].wall_end for i in window if not self.steps[i].optional]
        due = self.model.due(min(undone)) if undone else []
        # Those first that a step names: of several orders that fit, one that releases no more than was seen, as the next
        # steps may show the others still held.
        named = {(e["debit_account_id"], e["pending_id"]) for i in window if self.steps[i].kind in ("transfer", "chain")
                 for e in self.steps[i].events}
        due.sort(key=lambda identity: (identity not in named, deadline(self.model.transfers[identity])))
        return sorted(changing, key=key) + due

    def _try(self, choice):
        if not isinstance(choice, int):
            self.model.expire(choice)
            self.expired.append(choice)
            self.log.append(choice)
            return True
        fits, _, _ = apply(self.model, self.steps[choice])
        if fits:
            self._mark_done(choice)
        return fits

    def _note_stuck(self):
        if len(self.log) <= self.furthest:
            return
        self.furthest, self.stuck = len(self.log), []
        for i in self._window():
            mark = self.model.mark()
            _, _, answer = apply(self.model, self.steps[i]) if not self.steps[i].optional else (0, 0, "")
            self.model.undo(mark)
            if isinstance(answer, list):
                answer = " ; ".join(str(a) for a in answer)
            elif isinstance(answer, dict) and "id" in answer:
                answer = {name: answer[name] for name in (*BALANCES, "flags", "timestamp", "amount") if name in answer}
            self.stuck.append((self.steps[i], answer))


def explain(model, steps, budget=200_000):
    """Looks for an order. Leaves the model in the state after all steps where there is one, else as it was."""
    mark = model.mark()
    found = Search(model, steps, budget).run()
    if found.done:
        model.trail.clear()
    else:
        model.undo(mark)
    return found


def smallest(model, steps, budget=20_000):
    """Of steps that have no explanation, few that have none either: what changes nothing is left out where it can be.
    Returns the steps kept and, of these, the ones that changed nothing: they contradict each other or the rest."""
    def unexplained(some):
        mark = model.mark()
        found = Search(model, some, budget).run()
        model.undo(mark)
        return not found.done and not found.gave_up

    def key(step):
        if step.kind == "transfer" and not any(r.timestamp for r in step.answer):
            return (step.body["debit_account_id"], step.body["id"])
        return step if step.kind in READS else None
    groups = {}
    for step in steps:
        if key(step) is not None:
            groups.setdefault(key(step), []).append(step)
    # Steps after the contradiction do not matter: the shortest time that has one.
    ends = sorted(step.end for step in steps if step.end)
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if unexplained(_until(steps, ends[middle])) else (middle + 1, high)
    kept = _until(steps, ends[high])
    groups, size = list(groups.values()), max(1, len(groups) // 2)
    while size >= 1:
        at = 0
        while at < len(groups):
            without = {id(step) for group in groups[at:at + size] for step in group}
            fewer = [step for step in kept if id(step) not in without]
            if unexplained(fewer):
                kept = fewer
                del groups[at:at + size]
            else:
                at += size
        size //= 2
    there = {id(step) for step in kept}
    return kept, [step for group in groups for step in group if id(step) in there]


def _until(steps, moment):
    """What was answered until a moment; what was sent and changed something may have happened too."""
    return [step for step in steps if step.optional or step.end <= moment or step.start <= moment and
            step.kind not in READS and any(r.timestamp for r in step.answer or ())]
