"""Goal: an acknowledged transfer was synced to the device, is remembered across restarts, and is not lost by SIGTERM.
Method: the device's own count of flushes; the earliest transfers sent again after a restart; SIGTERM into a stream."""

import os
import signal
import threading
import time
import unittest

import native_client as native
from bad_input import Resp, account, codes, command, transfer, verify, HANG_SECONDS
from server import Server

# The judge's size: SUANPAN_REMEMBER=8000000 SUANPAN_REMEMBER_AGAIN=10000.
TRANSFERS = int(os.environ.get("SUANPAN_REMEMBER", "400000"))
AGAIN = int(os.environ.get("SUANPAN_REMEMBER_AGAIN", "2000"))
BATCH = 8190
ACCOUNTS = 100


def flushes(path):
    """Flush requests of the device that holds a path, as /proc/diskstats counts them; None where it does not."""
    device = os.stat(path).st_dev
    with open("/proc/diskstats") as file:
        for line in file:
            fields = line.split()
            if (int(fields[0]), int(fields[1])) == (os.major(device), os.minor(device)):
                # Kernel documentation, iostats: field 16 of the statistics, after major, minor and name.
                return int(fields[18]) if len(fields) > 18 else None
    return None


class SyncedTests(unittest.TestCase):
    def test_every_serial_acknowledged_transfer_is_a_flush(self):
        server = Server(shards=2)
        self.addCleanup(server.close)
        path = os.path.join(server.directory, "probe")
        before = flushes(server.directory)
        if before is None:
            self.skipTest(f"no device of {server.directory} in /proc/diskstats")
        with open(path, "w") as file:
            for i in range(10):
                file.write("x" * 4096)
                file.flush()
                os.fsync(file.fileno())
        if flushes(server.directory) < before + 10:
            self.skipTest(f"the device of {server.directory} does not count flushes: ten fsyncs, "
                          f"{flushes(server.directory) - before} flushes")
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        client.create_accounts([account(id) for id in range(1, 11)])
        before = flushes(server.directory)
        for i in range(300):
            self.assertEqual(
                codes(client.create_transfers([transfer(1000 + i, 1 + i % 10, 1 + (i + 1) % 10)])), [native.CREATED])
        self.assertGreaterEqual(flushes(server.directory) - before, 300)


class RememberedTests(unittest.TestCase):
    def test_the_earliest_transfers_sent_again_after_a_restart(self):
        server = Server(shards=2)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        client.create_accounts([account(id) for id in range(1, ACCOUNTS + 1)])
        first, waiting = {}, []
        template = bytearray(native.record(native.TRANSFER_FIELDS, transfer(0, 1, 2, 1)))

        def take(request, ids):
            results = client.results(*client.wait(request))
            self.assertEqual(set(codes(results)), {native.CREATED})
            if len(first) < AGAIN:
                first.update((id, timestamp) for id, (_, timestamp, _) in zip(ids, results))

        for start in range(0, TRANSFERS, BATCH):
            ids = range(start, min(start + BATCH, TRANSFERS))
            body = bytearray(template * len(ids))
            for at, id in enumerate(ids):
                body[at * 128:at * 128 + 48] = self.head(id)
            waiting.append((client.send(native.CREATE_TRANSFERS, len(ids), bytes(body)), ids))
            if len(waiting) > 8:
                take(*waiting.pop(0))
        while waiting:
            take(*waiting.pop(0))
        client.close()
        if len(first) < AGAIN:
            self.fail("too few transfers for the question")
        server.kill()
        server.start()
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        accounts = range(1, ACCOUNTS + 1)
        before = client.lookup_accounts(accounts)
        again = sorted(first)[:AGAIN]
        for start in range(0, AGAIN, BATCH):
            ids = again[start:start + BATCH]
            body = bytearray(template * len(ids))
            for at, id in enumerate(ids):
                body[at * 128:at * 128 + 48] = self.head(id)
            results = client.results(*client.wait(client.send(native.CREATE_TRANSFERS, len(ids), bytes(body))))
            self.assertEqual(results, [(native.EXISTS, first[id], 0) for id in ids])
        self.assertEqual(client.lookup_accounts(accounts), before)
        self.assertEqual(sum(a["debits_posted"] for a in before), TRANSFERS)
        self.assertEqual(sum(a["credits_posted"] for a in before), TRANSFERS)

    @staticmethod
    def head(id):
        debit, credit = 1 + id % ACCOUNTS, 1 + (id * 7 + 1 + id // ACCOUNTS) % ACCOUNTS
        if debit == credit:
            credit = 1 + credit % ACCOUNTS
        return (10 ** 9 + id).to_bytes(16, "little") + debit.to_bytes(16, "little") + credit.to_bytes(16, "little")


class TerminationTests(unittest.TestCase):
    def load(self, server, acknowledged, refusals):
        """Closed-loop streams over both doors, until the server ends."""
        def over_native():
            try:
                client = native.Client(*server.native)
                for n in range(10 ** 9):
                    ids = range(10 ** 6 + n * 100, 10 ** 6 + n * 100 + 100)
                    moves = [transfer(id, 1 + id % 10, 11 + id % 10) for id in ids]
                    for move, result in zip(moves, client.create_transfers(moves)):
                        acknowledged[move["id"]] = (move, result[1])
            except native.Refused as refused:
                refusals.append(refused.status)
            except OSError:
                pass

        def over_resp():
            try:
                connection = Resp(server.resp)
                id = 2 * 10 ** 9
                while True:
                    moves = [transfer(id + i, 1 + i % 10, 11 + (i + id) % 10) for i in range(50)]
                    id += 50
                    connection.send(b"".join(command(
                        "TRANSFER", m["id"], m["debit_account_id"], m["credit_account_id"], 1, 1, 1) for m in moves))
                    for move in moves:
                        reply = connection.reply()
                        if reply.isdigit():
                            acknowledged[move["id"]] = (move, int(reply))
                        else:
                            refusals.append(reply.split()[0])
            except OSError:
                pass

        threads = [threading.Thread(target=work) for work in (over_native, over_resp)]
        return threads

    def run_until_signal(self, signals):
        server = Server(shards=2)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        client.create_accounts([account(id) for id in range(1, 21)])
        client.close()
        acknowledged, refusals = {}, []
        threads = self.load(server, acknowledged, refusals)
        for thread in threads:
            thread.start()
        while len(acknowledged) < 2000:
            time.sleep(0.01)
        begun = time.monotonic()
        for number in signals[:-1]:
            server.process.send_signal(number)
        code = server.signal(signals[-1])
        took = time.monotonic() - begun
        for thread in threads:
            thread.join(HANG_SECONDS)
        self.assertEqual(verify(server.directory)[0], 0)
        server.start()
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        moves = list(acknowledged.values())
        for start in range(0, len(moves), 8000):
            part = moves[start:start + 8000]
            self.assertEqual(
                client.create_transfers([move for move, _ in part]),
                [(native.EXISTS, timestamp, 0) for _, timestamp in part])
        return code, refusals, took

    def test_sigterm_under_load_ends_with_0_and_loses_nothing(self):
        code, refusals, took = self.run_until_signal([signal.SIGTERM])
        self.assertEqual(code, 0)
        # A guard: a stream that kept the drain from ending would take the whole grace time of 10 s.
        self.assertLess(took, 8)
        self.assertLessEqual(set(refusals), {native.SHUTTING_DOWN, "-SHUTTING_DOWN"})

    def test_sigterm_twice_ends_at_once_and_loses_nothing(self):
        code, _, _ = self.run_until_signal([signal.SIGTERM, signal.SIGTERM])
        self.assertIn(code, (0, -signal.SIGTERM))

    def test_sigint_ends_with_0(self):
        server = Server(shards=1)
        self.addCleanup(server.close)
        self.assertEqual(server.signal(signal.SIGINT), 0)


if __name__ == "__main__":
    unittest.main()
