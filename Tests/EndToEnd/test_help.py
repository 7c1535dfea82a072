"""Goal: what help and messages say is what is done. Method: every form that COMMAND DOCS describes of every command, and so
redis-cli's help shows, is sent and understood: each option alone and all together, each alternative, what may stand several
times twice; the syntax in Docs/Protocol.md names the same commands and options; limits in messages are tried at the limit and
one beyond."""

import os
import re
import shutil
import subprocess
import unittest

from bad_input import Resp, command
from server import ROOT, Server

# What may stand for an argument of that name; the alternatives of others stand in their names: DEBITS|CREDITS.
VALUES = {"flag[,flag]": ["history", "debits_must_not_exceed_credits,history"], "subcommand [value]": ["ID", "GETNAME", "SETNAME x", "NO-EVICT on"],
          "message": ["hello"], "password": ["p"], "user": ["default"], "section": ["server"], "name": ["transfer"],
          "parameter": ["save"], "timestamp": ["5"],
          "version [AUTH user password] [SETNAME client-name]": [
              "2", "3", "3 AUTH default p", "2 SETNAME x", "3 AUTH default p SETNAME x"],
          "COUNT|LIST|DOCS [name ...]|INFO [name ...]": ["COUNT", "LIST", "DOCS", "DOCS transfer", "INFO transfer echo"]}
NUMBER = ("id", "ledger", "code", "debit", "credit", "amount", "pending_id", "n", "timeout")


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def words_of(name):
    """Examples of an argument, each a list of words."""
    if name in VALUES:
        return [value.split() for value in VALUES[name]]
    if "|" in name:
        return [[word] for word in name.split("|")]
    return [["7"]] if name in NUMBER else [[name]]


class HelpTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=1)
        cls.addClassCleanup(cls.server.close)

    def connect(self):
        connection = Resp(self.server.resp)
        self.addCleanup(connection.close)
        return connection

    def docs(self):
        return {name: pairs(described) for name, described in pairs(self.connect().ask("COMMAND", "DOCS")).items()}

    @staticmethod
    def forms(argument):
        """The ways in which one argument can be written, without leaving it out."""
        token = [argument["token"]] if "token" in argument else []
        if argument["type"] == "pure-token":
            return [token]
        once = [token + words for words in words_of(argument["name"])]
        flags = argument.get("flags", [])
        if "+multiple" not in flags:
            return once
        again = token if "+multiple_token" in flags else []
        examples = words_of(argument["name"])
        return once + [token + examples[0] + again + examples[-1]]

    def examples(self, name, arguments):
        """Word lists of a command: each option alone in each form, and all together; whatever must be there, is."""
        must = [self.forms(a)[0] if "+optional" not in a.get("flags", []) else [] for a in arguments]
        for i, argument in enumerate(arguments):
            for form in self.forms(argument):
                yield [name] + sum(must[:i] + [form] + must[i + 1:], [])
        yield [name] + sum(must, [])
        yield [name] + sum((self.forms(a)[-1] for a in arguments), [])

    def test_every_form_that_help_shows_is_understood(self):
        docs = self.docs()
        self.assertGreater(len(docs), 25)
        tried = 0
        for name, described in docs.items():
            arguments = [pairs(a) for a in described.get("arguments", [])]
            for words in self.examples(name, arguments):
                connection = self.connect()
                if name in ("exec", "discard"):
                    connection.ask("MULTI")
                answer = connection.ask(*words)
                tried += 1
                if isinstance(answer, str):
                    # Refusals by name are answers; ERR says that it was not understood.
                    self.assertNotRegex(answer, "^-(ERR|NOPROTO|NOAUTH)", words)
        self.assertGreater(tried, 100)

    def test_arities_hold(self):
        arities = {entry[0]: int(entry[1][1:]) for entry in self.connect().ask("COMMAND")}
        self.assertEqual(arities.keys(), self.docs().keys())
        for name, arity in arities.items():
            if abs(arity) > 1:
                answer = self.connect().ask(name, *["7"] * (abs(arity) - 2))
                self.assertRegex(answer, "^-ERR (wrong number|unknown subcommand)", name)
            elif arity == 1:
                self.assertRegex(self.connect().ask(name, "7", "7", "7"), "^-ERR wrong number", name)

    def test_the_protocol_page_names_the_same(self):
        with open(os.path.join(ROOT, "Docs", "Protocol.md")) as file:
            page = file.read().split("\n# RESP")[1]
        rows = [row for row in re.findall(r"^\| (`[A-Z].*?) \|", page.replace("\\|", "¦"), re.M)]
        written = " ".join(re.findall(r"`([^`]*)`", " ".join(rows) + page.split("Options of TRANSFER: ")[1].split(", in any")[0]))
        for name, described in self.docs().items():
            self.assertRegex(written, rf"(^|[ ¦]){re.escape(name.upper())}([ ¦]|$)", name)
            for argument in map(pairs, described.get("arguments", [])):
                if "token" in argument:
                    self.assertIn(argument["token"], written, name)

    @unittest.skipUnless(shutil.which("redis-cli"), "redis-cli is not installed")
    def test_redis_cli_shows_it(self):
        host, port = self.server.resp
        done = subprocess.run(["redis-cli", "-h", host, "-p", str(port)], input="HELP TRANSFER\nHELP CLIENT\n",
                              capture_output=True, text=True, timeout=120)
        shown = done.stdout.lower()
        self.assertIn("[balancing debit|credit [balancing debit|credit ...]]", shown)
        self.assertIn("moves money", shown)

    def test_limits_in_messages_are_those_that_hold(self):
        """Each: what is taken, what is refused, and the number that the refusal names."""
        for taken, refused, limit in (
                (("CLIENT", "SETNAME", "x" * 256), ("CLIENT", "SETNAME", "x" * 257), "256"),
                (("HELLO", 2, "SETNAME", "x" * 256), ("HELLO", 2, "SETNAME", "x" * 257), "256"),
                (("ACCOUNT.GET", *range(1, 1024)), ("ACCOUNT.GET", *range(1, 1025)), "1024"),
                (("ACCOUNT.TRANSFERS", 1, "LIMIT", 8190), ("ACCOUNT.TRANSFERS", 1, "LIMIT", 8191), "8190"),
                (("ECHO", "x" * 65536), ("ECHO", "x" * 65537), None),
                (("TRANSFER", 2 ** 128 - 2, 1, 2, 1, 1, 1), ("TRANSFER", 2 ** 128, 1, 2, 1, 1, 1), "128"),
                (("TRANSFER", 9, 1, 2, 1, 1, 65535), ("TRANSFER", 9, 1, 2, 1, 1, 65536), "16")):
            answer = self.connect().ask(*taken)
            if isinstance(answer, str):
                self.assertNotRegex(answer, "^-(ERR|INVALID)", taken[:2])
            answer = self.connect().ask(*refused)
            self.assertRegex(answer, "^-(ERR|INVALID)", refused[:2])
            if limit:
                self.assertIn(limit, re.findall(r"\d+", answer.replace(f"'{refused[-1]}'", "")), answer)
        connection = self.connect()
        connection.ask("MULTI")
        for n in range(64):
            self.assertEqual(connection.ask("TRANSFER", n + 1, 1, 2, 1, 1, 1), "+QUEUED")
        self.assertIn("64", connection.ask("TRANSFER", 65, 1, 2, 1, 1, 1))
        # A command of as many bytes as are taken, and of one more.
        for spare, says in ((0, "*"), (1, "-ERR Protocol error: too big command, up to 1 MiB")):
            whole = command(*["ECHO"] + ["x" * 65000] * 16)
            rest = (1 << 20) - len(whole) + spare - len("$8192\r\n\r\n")
            connection = self.connect()
            connection.send(whole.replace(b"*17\r\n", b"*18\r\n") + b"$%d\r\n%s\r\n" % (rest, b"y" * rest))
            self.assertTrue(connection.line().startswith(says if spare else "-ERR wrong number"), spare)


if __name__ == "__main__":
    unittest.main()
