"""Goal: a bit that flips at rest under a running server is never believed: what is read back from the log, to answer a
duplicate, a look-up or a read of history, ends the server with the place of the damage, and no money moves twice. Method: one
bit of one old record each, of its id, amount or timestamp; the server is asked once; mended, it goes on as if nothing was."""

import os
import subprocess
import unittest

import native_client as native
from bad_input import Resp, account, codes, flip, segments, transfer, verify
from server import BINARY, Server

COUNT = 3000
ID, AMOUNT, TIMESTAMP = 0, 48, 120
OLD = 1500  # of the ids 1000 to 3999


class DamageAtRestTests(unittest.TestCase):
    def setUp(self):
        self.server = Server(shards=1, options=["--segment", "1MiB"])
        self.addCleanup(self.server.close)
        self.fill()
        path, self.place = self.find(OLD)
        self.path = path

    def fill(self):
        client = native.Client(*self.server.native)
        client.create_accounts([account(1), account(2)])
        moves = [transfer(1000 + i, 1, 2) for i in range(COUNT)]
        self.assertEqual(set(codes(client.create_transfers(moves))), {native.CREATED})
        # Each a group of its own: the old ones leave the buffers in memory.
        for i in range(40):
            client.create_transfers([transfer(100_000 + i, 1, 2)])
        client.close()

    def find(self, id):
        wanted = b"".join(number.to_bytes(16, "little") for number in (id, 1, 2))
        for path in segments(self.server.directory):
            with open(path, "rb") as file:
                at = file.read().find(wanted)
            if at >= 0:
                return path, at
        self.fail("the record was not found")

    def credited(self):
        connection = Resp(self.server.resp)
        fields = connection.ask("ACCOUNT.GET", 2)
        connection.close()
        return int(fields[fields.index("credits_posted") + 1])

    def ends(self, field, *words):
        """Flips a bit of the old record's field and asks: the server ends and says where; it answers nothing."""
        before = self.credited()
        connection = Resp(self.server.resp)
        flip(self.path, self.place + field, 0x10)
        try:
            reply = connection.ask(*words)
        except ConnectionError:
            reply = None
        connection.close()
        self.assertTrue(reply is None or str(reply).startswith("-SHUTTING_DOWN"), f"{words} is answered {reply}")
        self.assertEqual(self.server.process.wait(60), 1)
        said = self.server.error_text()
        self.assertIn(self.path, said)
        self.assertIn("damaged at offset", said)
        self.server.process.stdout.close()
        self.refused_offline()
        flip(self.path, self.place + field, 0x10)
        self.server.start()
        self.assertEqual(self.credited(), before)

    def refused_offline(self):
        for words in (["verify"], ["dump", "accounts"], ["dump", "transfers"]):
            done = subprocess.run([BINARY, *words, "--data", self.server.directory], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (1, ""), words)
            self.assertIn(self.path, done.stderr)

    def test_a_duplicate(self):
        for field in (ID, AMOUNT, TIMESTAMP):
            with self.subTest(field):
                self.ends(field, "TRANSFER", OLD, 1, 2, 1, 1, 1)

    def test_a_duplicate_whose_neighbour_is_damaged(self):
        # One checksum covers the group: its other records prove nothing either.
        self.ends(AMOUNT, "TRANSFER", OLD + 3, 1, 2, 1, 1, 1)

    def test_a_lookup(self):
        self.ends(AMOUNT, "TRANSFER.GET", OLD, 1)

    def test_reads_of_history(self):
        self.ends(TIMESTAMP, "TRANSFER.GET", OLD)
        self.ends(AMOUNT, "ACCOUNT.TRANSFERS", 2)

    def test_a_sound_log_answers(self):
        connection = Resp(self.server.resp)
        first = connection.ask("TRANSFER.GET", OLD, 1)
        self.assertEqual(connection.ask("TRANSFER", OLD, 1, 2, 1, 1, 1), first[first.index("timestamp") + 1])
        self.assertIn("EXISTS_WITH_DIFFERENT_AMOUNT", connection.ask("TRANSFER", OLD, 1, 2, 2, 1, 1))
        connection.close()
        self.server.kill()
        self.assertEqual(verify(self.server.directory)[0], 0)


if __name__ == "__main__":
    unittest.main()
