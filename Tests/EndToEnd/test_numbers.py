"""Goal: a client whose numbers are doubles (JavaScript, Lua, jq) reads the ledger right. Method: every command of the ledger
is asked in both versions of the protocol, and no integer of any reply is beyond what a double holds exactly; a timestamp
that a transfer answers is, to the digit, the one that maps show and that pages go on from."""

import unittest

from bad_input import Resp
from server import Server

EXACT = 2 ** 53


def integers(reply):
    """All integers in a reply."""
    if isinstance(reply, list):
        return [number for element in reply for number in integers(element)]
    return [int(reply[1:])] if reply and reply[0] == ":" else []


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


class NumberTests(unittest.TestCase):
    def test_timestamps_are_text_to_the_digit(self):
        server = Server(shards=2)
        self.addCleanup(server.close)
        for version in (2, 3):
            with self.subTest(version=version):
                self.converse(Resp(server.resp), version)

    def converse(self, connection, version):
        self.addCleanup(connection.close)
        first = 1000 * version
        a, b, c = first + 1, first + 2, first + 3
        said = []

        def ask(*words):
            said.append(connection.ask(*words))
            self.assertFalse(isinstance(said[-1], str) and said[-1].startswith("-"), (words, said[-1]))
            return said[-1]

        ask("HELLO", version)
        for account in (a, b, c):
            ask("ACCOUNT.CREATE", account, 1, 1, "FLAGS", "history")
        plain = ask("TRANSFER", first + 10, a, b, 2 ** 100, 1, 1)
        again = ask("TRANSFER", first + 10, a, b, 2 ** 100, 1, 1)
        held = ask("TRANSFER", first + 11, a, b, 2 ** 60, 1, 1, "PENDING", 900)
        posted = ask("TRANSFER.POST", first + 12, a, first + 11)
        ask("TRANSFER", first + 13, a, b, 1, 1, 1, "PENDING")
        voided = ask("TRANSFER.VOID", first + 14, a, first + 13)
        for words in (("MULTI",), ("TRANSFER", first + 15, a, b, 1, 1, 1), ("TRANSFER", first + 16, b, c, 1, 1, 1)):
            ask(*words)
        linked = ask("EXEC")
        told = dict(zip((first + n for n in (10, 11, 12, 14, 15)), (plain, held, posted, voided, linked[0])))
        self.assertEqual(plain, again)
        for id, timestamp in told.items():
            self.assertRegex(timestamp, r"^\d{19}$")
            self.assertEqual(pairs(ask("TRANSFER.GET", id, a))["timestamp"], timestamp)
            self.assertEqual(pairs(ask("TRANSFER.GET", id)[0])["timestamp"], timestamp)
            page = [pairs(t)["id"] for t in ask("ACCOUNT.TRANSFERS", a, "FROM", timestamp, "LIMIT", 1)]
            self.assertEqual(page, [str(id)])
        self.assertIn(linked[1], [pairs(change)["timestamp"] for change in ask("ACCOUNT.BALANCES", c)])
        for words in (("ACCOUNT.GET", a), ("ACCOUNT.GET", a, b), ("ACCOUNT.FREEZE", c, "BOTH"),
                      ("ACCOUNT.UNFREEZE", c, "BOTH"), ("TOTALS",), ("INFO",), ("CLIENT", "ID"), ("CLIENT", "LIST"),
                      ("COMMAND",), ("COMMAND", "DOCS"), ("CONFIG", "GET", "*"), ("HELLO",)):
            ask(*words)
        found = [number for reply in said for number in integers(reply)]
        self.assertGreater(len(found), 10, "HELLO and COMMAND have integers")
        self.assertLess(max(found), EXACT)


if __name__ == "__main__":
    unittest.main()
