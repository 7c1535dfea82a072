#!/usr/bin/python3
"""Drives a server with random histories and compares every answer with the model.

usage: Tests/EndToEnd/history/run.py [--features plain|all|a,b] [--shards 1,2,4] [--mode sequential,concurrent]
       [--seeds N] [--seed FIRST] [--operations N] [--clients N] [--burst N] [--kills N] [--minutes M]

Sequential: one client, over both doors in turn, every answer compared at once and all balances now and then.
Concurrent: several clients over shared accounts; afterwards a search for an order of all steps that explains every
answer, reads included, and checks that hold in any order. Both with kill -9 in between, both end with everything sent
again, looked up again, `suanpan verify` and `suanpan dump`. SUANPAN_BINARY names the server. What fails prints the
command that repeats it (what two clients do at the same time repeats only mostly), and keeps the history in a file."""

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import server as servers  # noqa: E402
from history import checks, search  # noqa: E402
from history.doors import Doors, Step, Wrong, ROOT  # noqa: E402
from history.generator import (  # noqa: E402
    Client, FEATURES, Request, World, account_flags, parse_features, transfer_flags)
from history.model import Model, deadline, identity_of  # noqa: E402

BALANCES_EVERY = 25


class Disagreement(Exception):
    pass


class Keeper:
    """The server and whether it is meant to be up."""

    def __init__(self, shards):
        self.server = servers.Server(shards=shards)
        self.changed = threading.Condition()
        self.epoch, self.killing, self.failure = 0, False, None

    def kill_and_start(self, delay):
        time.sleep(delay)
        with self.changed:
            self.killing = True
        try:
            self.server.kill()
            verified = self.server.verify()
            if verified.returncode != 0:
                raise RuntimeError(f"verify after a kill: {verified.stderr}")
            self.server.start()
            failure = None
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            failure = error
        with self.changed:
            self.epoch, self.killing, self.failure = self.epoch + 1, False, failure
            self.changed.notify_all()

    def lost(self, epoch, error):
        """A connection made in `epoch` failed. Returns the epoch to connect in."""
        with self.changed:
            if epoch == self.epoch and not self.killing:
                code = self.server.process.poll()
                self.server.errors.seek(0)
                raise Wrong(f"a connection ended: {error!r}; the server's exit code {code}, "
                            f"it said: {self.server.errors.read().decode(errors='replace')[-2000:]}")
            self.changed.wait_for(lambda: self.epoch > epoch, timeout=300)
            if self.epoch == epoch or self.failure:
                raise Wrong(f"the server did not come back: {self.failure}")
            return self.epoch


class Run:
    """One history on one server."""

    def __init__(self, seed, features, shards, mode, operations, clients=4, burst=3, kills=0, budget=200_000):
        self.seed, self.features, self.shards, self.mode = seed, features, shards, mode
        self.operations, self.clients, self.burst, self.kills = operations, clients, burst, kills
        self.budget = budget
        self.random = random.Random(f"run {seed}")
        self.world = World(seed, features, max(20, operations * 2 // 3))
        self.model = Model(transfer_flags(features), account_flags(features))
        self.steps, self.known = [], {}
        self.gave_up = False

    def command(self):
        features = ",".join(name for name in FEATURES if name in self.features) or "plain"
        return (f"Tests/EndToEnd/history/run.py --features {features} --shards {self.shards} --mode {self.mode} "
                f"--seed {self.seed} --seeds 1 --operations {self.operations} --clients {self.clients} "
                f"--burst {self.burst} --kills {self.kills}")

    def go(self):
        self.keeper = Keeper(self.shards)
        self.server = self.keeper.server
        self.doors = Doors(self.keeper, self.world, 0)
        try:
            self._take(self.doors.perform([Request("native", "accounts", [dict(a) for a in self.world.early])]))
            if self.mode == "sequential":
                self._sequential()
            else:
                self._concurrent()
            self._finish()
        except (Disagreement, Wrong) as problem:
            raise Disagreement(f"{problem}\nagain: {self.command()}\nhistory: {self._save()}") from None
        finally:
            self.doors.close()
            self.server.close()

    def _save(self):
        directory = os.path.join(ROOT, ".build", "histories")
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, f"{self.mode}-{self.shards}-{self.seed}.txt")
        first = min((step.start for step in self.steps), default=0)
        with open(path, "w") as file:
            for step in sorted(self.steps, key=lambda s: s.start):
                end = "-" if step.end is None else (step.end - first) // 1000
                file.write(f"{(step.start - first) // 1000}..{end} us: {step}\n")
        return path

    # Sequential.

    def _sequential(self):
        client = Client(self.world, self.seed, 0, operations=self.operations)
        kill_at = {self.random.randrange(self.operations) for _ in range(self.kills)}
        while client.made < self.operations:
            at, killer = client.made, None
            burst = client.burst(1)
            if at in kill_at:
                delay = self.random.choice((0, 0.0002, 0.0005, 0.001, 0.003))
                killer = threading.Thread(target=self.keeper.kill_and_start, args=(delay,))
                killer.start()
            steps = self.doors.perform(burst)
            if killer is not None:
                killer.join()
            self._take(steps)
            if at % BALANCES_EVERY == 0 or killer is not None:
                self._take(self._balances())

    def _balances(self):
        ids = [a["id"] for a in self.world.all] + [self.world.ghost]
        return self.doors.perform([Request("native", "read", ids)])

    def _take(self, steps):
        """Explains steps right after those before them."""
        self.steps += steps
        self._amounts(steps)
        if self.gave_up:
            return
        found = search.explain(self.model, steps, self.budget)
        if not found.done:
            raise Disagreement(str(found))

    def _amounts(self, steps):
        """Looks up what balancing transfers came out as: answers do not tell."""
        def balancing(step):
            return [event for event, result in zip(step.events, step.answer or ())
                    if event["flags"] & search.BALANCING and result.timestamp]
        steps = [step for step in steps if step.kind in ("transfer", "chain")]
        keys = {identity_of(event): None for step in steps for event in balancing(step)}
        for record in self._look_up([key for key in keys if key not in self.known]).values():
            self.known[identity_of(record)] = record["amount"]
        for step in steps:
            if balancing(step):
                step.amounts = [self.known.get(identity_of(e)) if e["flags"] & search.BALANCING else None
                                for e in step.events]

    def _look_up(self, keys):
        """Transfers by identity, those that are there."""
        found = {}
        for at in range(0, len(keys), 500):
            for step in self.doors.perform([Request("native", "look", keys[at:at + 500])]):
                if step.answer:
                    found[step.body] = step.answer
        return found

    # Concurrent.

    def _concurrent(self):
        failures, made = [], []

        def drive(number):
            doors = Doors(self.keeper, self.world, number + 1)
            client = Client(self.world, self.seed, number + 1, self.clients, self.operations // self.clients)
            try:
                while client.made < client.operations and not failures:
                    burst = client.burst(self.burst)
                    steps = doors.perform(burst)
                    made.extend(steps)
            except Exception as error:  # The thread must not end in silence.
                failures.append(error)
            finally:
                doors.close()
        threads = [threading.Thread(target=drive, args=(number,)) for number in range(self.clients)]
        kill_at = sorted(self.random.random() for _ in range(self.kills))
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            if kill_at and len(made) >= kill_at[0] * self.operations:
                kill_at.pop(0)
                self.keeper.kill_and_start(self.random.uniform(0, 0.02))
            time.sleep(0.001)
        for thread in threads:
            thread.join()
        self.made = made
        if failures:
            self.steps += made
            raise failures[0] if isinstance(failures[0], Wrong) else Wrong(repr(failures[0])) from failures[0]
        self._explain_all(made)

    def _explain_all(self, made):
        self.steps += made
        self._amounts(made)
        found = search.explain(self.model, made, self.budget)
        if found.gave_up:
            self.gave_up = True
            print(f"  seed {self.seed}: the search gave up, only the cheap checks are made", file=sys.stderr)
        elif not found.done:
            raise Disagreement(f"{found}\n{self._contradiction(made)}")

    def _contradiction(self, made):
        """The few steps that contradict each other, and what changed their accounts at the time."""
        kept, odd = search.smallest(self.model, made)
        if not odd:
            return ""
        first, last = min(step.start for step in odd), max(step.end for step in odd)
        ids = {id for step in odd for id in self.doors.concerns(step)}
        near = [step for step in kept if step in odd or not step.optional and step.end >= first - 2_000_000
                and step.start <= last and ids & self.doors.concerns(step)]
        lines = [f"  {(step.start - first) // 1000}..{(step.end - first) // 1000} us: {step}"
                 for step in sorted(near, key=lambda step: step.start)]
        return "\n".join(["the contradiction, with what changed the accounts concerned (microseconds):"] + lines)

    # The end.

    def _finish(self):
        self._settle()
        self._send_again()
        self._settle()
        keys = list({identity_of(event): None for step, event, _ in checks.outcomes(self.steps)
                     if step.kind in ("transfer", "chain") and event["debit_account_id"] != 0})
        transfers = self._look_up(keys)
        reads = self._balances()
        self._take(reads)
        accounts = {step.body: step.answer for step in reads if step.answer}
        self.accepted = len(transfers)
        found = list(checks.problems(self.steps, accounts, transfers))
        if found:
            raise Disagreement("\n".join(found[:20]))
        if not self.gave_up:
            self._compare_transfers(transfers)
        self.doors.close()
        code = self.server.terminate()
        if code != 0:
            raise Disagreement(f"SIGTERM ended the server with {code}")
        verified = self.server.verify()
        if verified.returncode != 0:
            raise Disagreement(f"verify exits {verified.returncode}: {verified.stderr}")
        self._compare_dump("transfers", [t["timestamp"] for t in transfers.values()])
        self._compare_dump("accounts", [a["timestamp"] for a in accounts.values()])

    def _settle(self):
        """Waits until every pending transfer whose deadline is near has expired; the balances tell, where it held money."""
        due = [deadline(t) for t in self.model.transfers.values() if t["state"] == "open" and deadline(t) and t["amount"]]
        due = [moment for moment in due if moment < time.time_ns() + 10 * 10 ** 9]
        guard = time.monotonic() + 60
        while due and not self.gave_up:
            time.sleep(max(0.05, (max(due) - time.time_ns()) / 10 ** 9))
            self._take(self._balances())
            held = [key for key in self.model.due(max(due)) if self.model.transfers[key]["amount"]]
            if not held:
                return
            if time.monotonic() > guard:
                raise Disagreement(f"never expired: {held}")

    def _send_again(self):
        """Every transfer and chain once more, as it was: what was decided stays so."""
        again = {}
        for step in self.steps:
            if step.kind in ("transfer", "chain") and not step.open:
                again.setdefault(repr(step.body), step)
        chains = [step.events for step in again.values() if step.kind == "chain"]
        singles = [step.body for step in again.values() if step.kind == "transfer"]
        # One identity once in a request: its events are not in order where chains are between them.
        for at in range(0, len(singles), 50):
            self._take(self.doors.perform([Request("native", "transfers", singles[at:at + 50])]))
        for events in chains:
            self._take(self.doors.perform([Request("native", "transfers", events)]))

    def _compare_transfers(self, transfers):
        for key in transfers.keys() | self.model.transfers.keys():
            if not search.same_record(transfers.get(key, ()), self.model.transfers.get(key, ())):
                raise Disagreement(f"a look-up finds {transfers.get(key)}, the model {self.model.transfers.get(key)}")

    def _compare_dump(self, what, timestamps):
        done = subprocess.run([servers.BINARY, "dump", what, "--data", self.server.directory, "--format", "jsonl"],
                              capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Disagreement(f"dump {what} exits {done.returncode}: {done.stderr}")
        dumped = sorted(int(json.loads(line)["timestamp"]) for line in done.stdout.splitlines())
        if dumped != sorted(timestamps):
            raise Disagreement(f"dump {what} has {len(dumped)} lines, look-ups found {len(timestamps)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", default="plain", type=parse_features)
    parser.add_argument("--shards", default="1,2,4")
    parser.add_argument("--mode", default="sequential,concurrent")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, help="the first; else random")
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--burst", type=int, default=3, help="requests that a client has under way at most")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="as many seeds as fit, instead of --seeds")
    parser.add_argument("--keep-going", action="store_true", help="go on with the next seed after a disagreement")
    parser.add_argument("--strict-pipelines", action="store_true",
                        help="commands of a RESP pipeline with an account in common take effect in order for everyone")
    options = parser.parse_args()
    Doors.strict_pipelines = options.strict_pipelines
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    until = time.monotonic() + 60 * options.minutes if options.minutes else None
    count = steps = failures = 0
    while until is None and count < options.seeds or until is not None and time.monotonic() < until:
        for mode in options.mode.split(","):
            for shards in options.shards.split(","):
                run = Run(seed + count, options.features, int(shards), mode, options.operations, options.clients,
                          options.burst, options.kills)
                try:
                    run.go()
                    print(f"seed {run.seed} {mode} {shards} shards: {len(run.steps)} steps, {run.accepted} transfers "
                          f"accepted, {options.kills} kills{', search gave up' if run.gave_up else ''}", flush=True)
                except Disagreement as problem:
                    failures += 1
                    print(f"seed {run.seed} {mode} {shards} shards: {problem}", file=sys.stderr, flush=True)
                    if not options.keep_going:
                        return 1
                steps += len(run.steps)
        count += 1
    print(f"{count} seeds from {seed}, {steps} steps, {failures} disagreements")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
