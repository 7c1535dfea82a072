"""Goal: `verify` and `dump` read a directory as the next start would have it, and change nothing in it. Method: directories of
servers that were killed, stopped, mounted read-only, copied while they served, put together from different moments; what dump
says before a start is compared with what it says after one."""

import csv
import fcntl
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

import native_client as native
from bad_input import Resp, account, codes, command, segments, serve, shard_of, transfer, verify, wait_until
from server import BINARY, DATA_PARENT, Server

# Two ids whose identities, with debit account 1, had equal hashes under the key that verify once used in every run.
EQUAL_HASHES = 25535628922199697821, 43982372995909249437
READ_ONLY = 'mount --bind "$1" "$2" && mount -o remount,ro,bind "$2" || exit 99; place=$2; shift 2; exec "$@" --data "$place"'


def dump(directory, what):
    done = subprocess.run([BINARY, "dump", what, "--data", directory], capture_output=True, text=True, timeout=60)
    return done.returncode, list(csv.DictReader(io.StringIO(done.stdout))), done.stderr


def sums(accounts):
    return tuple(sum(int(a[f"{side}_{kind}"]) for a in accounts) for side in ("debits", "credits") for kind in ("pending", "posted"))


class OfflineTests(unittest.TestCase):
    def server(self, shards=2, **more):
        server = Server(shards=shards, options=["--segment", "1MiB"], **more)
        self.addCleanup(server.close)
        return server

    def place(self, name):
        place = tempfile.mkdtemp(prefix=name, dir=DATA_PARENT)
        self.addCleanup(shutil.rmtree, place, True)
        return place

    def books(self, directory):
        """The accounts and transfers that dump shows, balanced."""
        code, accounts, text = dump(directory, "accounts")
        self.assertEqual(code, 0, text)
        total = sums(accounts)
        self.assertEqual(total[:2], total[2:], "debits and credits differ")
        code, transfers, text = dump(directory, "transfers")
        self.assertEqual(code, 0, text)
        return ({a["id"]: a for a in accounts}, {(t["debit_account_id"], t["id"]): t for t in transfers})

    def test_two_transfers_with_equal_hashes(self):
        server = self.server(shards=1)
        client = native.Client(*server.native)
        client.create_accounts([account(1), account(2)])
        self.assertEqual(codes(client.create_transfers([transfer(id, 1, 2) for id in EQUAL_HASHES])), [native.CREATED] * 2)
        client.close()
        self.assertEqual(server.terminate(), 0)
        code, _, text = server.verify().returncode, None, server.verify().stderr
        self.assertEqual(code, 0, text)

    def test_what_dump_shows_after_a_kill_is_what_the_next_start_has(self):
        for round in range(6):
            with self.subTest(round):
                server = self.server()
                answered = self.run_until_killed(server, chains=round % 2 == 1, after=0.02 * round)
                accounts, transfers = self.books(server.directory)
                self.assertLessEqual(answered, {int(id) for _, id in transfers}, "an acknowledged transfer is not there")
                server.start()
                self.assertEqual(server.terminate(), 0)
                self.assertEqual(self.books(server.directory), (accounts, transfers))
                server.close()

    def test_a_hold_that_is_over_is_not_shown_as_held(self):
        server = self.server()
        client = native.Client(*server.native)
        client.create_accounts([account(id) for id in range(1, 23)])
        holds = [dict(transfer(100 + id, id, id % 20 + 1, 10), flags=native.PENDING, timeout=1 if id % 2 else 3600)
                 for id in range(1, 21)]
        holds.append(dict(transfer(200, 21, 22, 10), flags=native.PENDING | native.CLOSING_DEBIT, timeout=1))
        results = client.create_transfers(holds)
        self.assertEqual(set(codes(results)), {native.CREATED})
        client.close()
        server.kill()
        over = max(timestamp for _, timestamp, _ in results) + 10**9
        wait_until(lambda: time.time_ns() > over, "the deadlines are over")
        accounts, transfers = self.books(server.directory)
        self.assertEqual(sum(int(a["debits_pending"]) for a in accounts.values()), 100)
        self.assertEqual([a["flags"] for a in accounts.values()], [""] * 22)
        self.assertEqual(len(transfers), 21)
        report = subprocess.run([BINARY, "verify", "--data", server.directory, "--json", "-"], capture_output=True, text=True)
        report = json.loads(report.stdout)
        self.assertTrue(report["balanced"])
        self.assertEqual(report["ledgers"]["1"]["debits_pending"], "100")
        self.assertEqual(report["ledgers"]["1"]["credits_pending"], "100")
        self.assertGreater(int(report["as_of"]), over)
        server.start()
        client = native.Client(*server.native)
        ids = sorted(int(id) for id in accounts)
        self.assertEqual([a["debits_pending"] for a in client.lookup_accounts(ids)],
                         [int(accounts[str(id)]["debits_pending"]) for id in ids])
        client.close()

    def run_until_killed(self, server, chains, after):
        """Transfers, or chains of transfers and of accounts, over two shards; killed amid them. The ids acknowledged."""
        connection = Resp(server.resp)
        for id in range(1, 101):
            connection.send(command("ACCOUNT.CREATE", id, 1, 10))
        for id in range(1, 101):
            connection.reply()
        sent, words = [], []
        for i in range(400):
            if chains:
                a = 1 + i % 25
                ids = [1000 + 4 * i + k for k in range(4)]
                words += [("MULTI",)]
                words += [("TRANSFER", id, a + 25 * k, (a + 25 * k + 25) % 100 + 1, 1, 1, 1) for k, id in enumerate(ids)]
                words += [("EXEC",), ("MULTI",)] + [("ACCOUNT.CREATE", 10_000 + 3 * i + k, 1, 10) for k in range(3)]
                words += [("EXEC",)]
                sent += [None] * 5 + [ids] + [None] * 5
            else:
                words.append(("TRANSFER", 1000 + i, 1 + i % 50, 51 + i % 50, 1, 1, 1))
                sent.append([1000 + i])
        connection.send(b"".join(command(*each) for each in words))
        answered = set()
        begun = time.monotonic()
        for ids in sent:
            reply = connection.reply()
            for id, result in zip(ids or [], reply if isinstance(reply, list) else [reply]):
                if not str(result).startswith("-"):
                    answered.add(id)
            if time.monotonic() > begun + after and answered:
                break
        server.kill()
        connection.close()
        return answered

    def test_a_read_only_directory_is_read_and_a_writable_one_left_alone(self):
        server = self.server()
        client = native.Client(*server.native)
        client.create_accounts([account(id) for id in range(1, 21)])
        client.create_transfers([transfer(100 + i, 1 + i % 10, 11 + i % 10) for i in range(50)])
        client.close()
        server.kill()
        before = self.state(server.directory)
        commands = (["verify"], ["dump", "accounts"], ["dump", "transfers"])
        for words in commands:
            done = subprocess.run([BINARY, *words, "--data", server.directory], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.state(server.directory), before, "something was written")
        frozen = self.place("frozen-")
        for words in commands:
            done = subprocess.run(["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", READ_ONLY, "sh",
                                   server.directory, frozen, BINARY, *words], capture_output=True, text=True)
            if done.returncode == 99 or "unshare" in done.stderr:
                self.skipTest(f"cannot mount: {done.stderr}")
            self.assertEqual(done.returncode, 0, done.stderr)
        server.start()
        # The server's lock is seen through the mount too.
        done = subprocess.run(["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", READ_ONLY, "sh",
                               server.directory, frozen, BINARY, "verify"], capture_output=True, text=True)
        self.assertIn(f"in use by process {server.process.pid}", done.stderr)

    def state(self, directory):
        found = {}
        for place, _, names in os.walk(directory):
            for path in (os.path.join(place, name) for name in names):
                with open(path, "rb") as file:
                    found[path] = hashlib.sha256(file.read()).digest(), os.stat(path).st_mtime_ns
        return found

    def test_readers_share_a_directory_and_keep_a_server_out(self):
        server = self.server(shards=1)
        self.assertEqual(server.terminate(), 0)
        with open(os.path.join(server.directory, "LOCK"), "rb") as lock:
            # As verify and dump hold it.
            fcntl.fcntl(lock, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))  # F_OFD_SETLK
            self.assertEqual(verify(server.directory)[0], 0)
            code, last, text = serve(server.directory)
            self.assertEqual(code, 1, text)
            self.assertIn(f"{server.directory}: being read by verify or dump", last)
        server.start()

    def crossing(self, server, first, count):
        """Transfers from an account of shard 0 to one of shard 1, until the latter has written the last of them: it may be
        answered before."""
        client = native.Client(*server.native)
        shard = shard_of(client)
        payer, payee = (next(id for id in range(1, 100) if shard(id) == s) for s in (0, 1))
        client.create_accounts([account(payer), account(payee)])
        results = client.create_transfers([transfer(first + i, payer, payee) for i in range(count)])
        self.assertEqual(set(codes(results)), {native.CREATED})
        client.close()
        # As a record of credits has it: account, amount, timestamp.
        last = struct.pack("<QQQQ", payee, 0, 1, max(timestamp for _, timestamp, _ in results))

        def is_written():
            for path in segments(server.directory, 1):
                with open(path, "rb") as file:
                    if last in file.read():
                        return True
            return False
        wait_until(is_written, "shard 1 writes the credit")

    def test_a_log_that_ends_before_what_another_shard_proves(self):
        server = self.server()
        self.crossing(server, 1000, 50)
        server.terminate()
        older = os.path.join(self.place("older-"), "shard-000")
        shutil.copytree(os.path.join(server.directory, "shard-000"), older)
        server.start()
        self.crossing(server, 2000, 50)
        server.terminate()
        self.assertEqual(server.verify().returncode, 0)
        # The whole log of shard 0, sound as it was 50 decisions ago: only shard 1 knows that there was more.
        shutil.rmtree(os.path.join(server.directory, "shard-000"))
        shutil.copytree(older, os.path.join(server.directory, "shard-000"))
        for door in (serve, verify):
            code, last, text = door(server.directory)
            self.assertEqual(code, 1, text)
            self.assertIn("shard-000/0000000000000001.log: damaged at offset", last)
            self.assertIn("the log ends with decision 50 for shard 1, which has applied decision 100", last)
            self.assertIn("restore the data directory from a backup", last)
        self.assertEqual(dump(server.directory, "accounts")[:2], (1, []))

    def test_a_copy_taken_while_a_server_writes(self):
        server = self.server()
        self.crossing(server, 1000, 50)
        copy = os.path.join(self.place("copy-"), "data")
        shutil.copytree(server.directory, copy)
        self.crossing(server, 2000, 50)
        # What `cp` does, one shard after the other.
        shutil.rmtree(os.path.join(copy, "shard-001"))
        shutil.copytree(os.path.join(server.directory, "shard-001"), os.path.join(copy, "shard-001"))
        for _ in range(2):  # A start that fails leaves it what it is.
            for door in (verify, serve):
                code, last, text = door(copy)
                self.assertEqual(code, 1, text)
                self.assertIn("the log ends with decision 50 for shard 1, which has applied decision 100; ", last)
                self.assertIn(f"{copy} is a copy of a directory that was open", last)
                self.assertIn("if it was copied while a server had it open", last)
                self.assertIn("copy it again when the server has stopped", last)
        self.assertEqual(dump(copy, "accounts")[:2], (1, []))

    def test_a_copy_of_a_killed_server_that_is_damaged_says_the_damage_first(self):
        server = self.server()
        self.crossing(server, 1000, 50)
        server.kill()

        def swap(copy):
            for old, new in ("shard-000", "x"), ("shard-001", "shard-000"), ("x", "shard-001"):
                os.rename(os.path.join(copy, old), os.path.join(copy, new))

        def zero(copy):
            with open(os.path.join(copy, segment), "r+b") as file:
                file.seek(4096)
                file.write(bytes(4096))

        segment = "shard-000/0000000000000001.log"
        for damage, path, found in (
                (lambda copy: os.remove(os.path.join(copy, "shard-000/epochs")), "shard-000/epochs", "the epochs file is missing"),
                (lambda copy: os.remove(os.path.join(copy, segment)), segment, "a segment file is missing"),
                (zero, segment, "damaged at offset 4096"), (swap, "shard-000/epochs", "of another directory or shard")):
            copy = os.path.join(self.place("copy-"), "data")
            shutil.copytree(server.directory, copy)
            self.assertEqual(verify(copy)[0], 0)
            damage(copy)
            for door in verify, serve:
                with self.subTest(found, door=door.__name__):
                    code, last, text = door(copy)
                    self.assertEqual(code, 1, text)
                    self.assertTrue(last.startswith(f"suanpan: {copy}/{path}: "), last)
                    self.assertLess(last.index(found), last.index(f"{copy} is a copy of a directory that was open"), last)
                    self.assertIn("copy it again", last)
                    self.assertIn("or restore a backup", last)

    def test_a_copy_of_a_stopped_server_opens_and_stands_for_itself(self):
        server = self.server()
        self.crossing(server, 1000, 50)
        server.kill()
        copies = self.place("copies-")
        killed, again = os.path.join(copies, "killed"), os.path.join(copies, "again")
        shutil.copytree(server.directory, killed)
        self.assertEqual(verify(killed)[0], 0)
        other = self.server()
        shutil.rmtree(other.directory if other.terminate() == 0 else "")
        shutil.copytree(killed, other.directory)
        other.start()
        self.crossing(other, 3000, 10)
        self.assertEqual(other.terminate(), 0)
        shutil.copytree(other.directory, again)
        os.remove(os.path.join(again, "shard-000", "0000000000000001.log"))
        code, last, text = verify(again)
        self.assertEqual(code, 1, text)
        self.assertIn("restore the data directory from a backup", last)


if __name__ == "__main__":
    unittest.main()
