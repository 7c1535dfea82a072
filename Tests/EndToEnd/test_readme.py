"""Goal: what README gives to type works as it stands there, from top to bottom, on a fresh server. Method: the lines after
`>` go to redis-cli and the Python blocks are run, in the order of the page; the replies shown there are compared. The Swift
blocks are compiled and run as `Tests/EngineTests/ReadmeTests.swift`; here the two are compared."""

import contextlib
import functools
import io
import os
import re
import shutil
import subprocess
import sys
import unittest

from bad_input import Resp
from server import ROOT, Server

SENTINEL = "next command"
SHOWN = r"^(\d{19}|EXCEEDS_CREDITS .*|\['\d{19}', '\d{19}'\]|\{'id': .*\})$"
TIMESTAMP = re.compile(r"\b\d{19}\b")


def blocks():
    """(language, lines) of each fenced block."""
    with open(os.path.join(ROOT, "README.md")) as file:
        text = file.read()
    return [(language, body.splitlines()) for language, body in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)]


@functools.cache
def newest_redis_py():
    """A Python with the newest redis-py of PyPI, and the reason where there is none."""
    folder = os.path.join(ROOT, ".build", "redis-py-newest")
    python = os.path.join(folder, "bin", "python")
    for command in ([sys.executable, "-m", "venv", folder], [python, "-m", "pip", "install", "-q", "-U", "redis>=8"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        except subprocess.TimeoutExpired:
            return None, "PyPI does not answer"
        if done.returncode != 0:
            why = (done.stderr or done.stdout).strip().splitlines() or [""]
            return None, f"no newest redis-py ({' '.join(command[1:4])}): {why[-1]}"
    return python, None


def is_typed(block):
    language, lines = block
    return language == "" and any(line.startswith("> ") for line in lines)


class ReadmeTests(unittest.TestCase):
    def typed(self, lines, server):
        """Types a block into one redis-cli, and compares the replies that are shown."""
        exchanges = []
        for line in lines:
            if line.startswith("$ "):
                self.assertEqual(line, "$ redis-cli -p 7421")
            elif line.startswith("> "):
                exchanges.append((line[2:], []))
            else:
                exchanges[-1][1].append(line)
        parts, typed, is_queuing = [([], [])], [], False
        for command, replies in exchanges:
            self.assertNotIn("  ", command, "a comment on a typed line")
            parts[-1][0].append(command)
            parts[-1][1].extend(replies)
            typed.append(TIMESTAMP.sub(lambda found: self.timestamps[found.group()], command))
            is_queuing = command == "MULTI" or is_queuing and command != "EXEC"
            if not is_queuing:  # Nothing else may come between MULTI and EXEC.
                typed.append(f'ECHO "{SENTINEL}"')
                parts.append(([], []))
        host, port = server.resp
        done = subprocess.run(["redis-cli", "--no-raw", "-h", host, "-p", str(port)], input="\n".join(typed) + "\n",
                              capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        answers = done.stdout.split(f'"{SENTINEL}"\n')
        self.assertEqual(len(answers), len(parts), done.stdout)
        for (commands, shown), answer in zip(parts, answers):
            if shown:
                answered = answer.splitlines()
                self.assertEqual([TIMESTAMP.sub("T", line) for line in answered],
                                 [TIMESTAMP.sub("T", line) for line in shown], commands)
                self.timestamps.update(zip(TIMESTAMP.findall("\n".join(shown)), TIMESTAMP.findall(answer)))
            elif commands:
                self.assertNotRegex(answer, r"\(error\)|^\(nil\)|^\(empty array\)|^$", commands)

    def run_python(self, lines, names, server):
        """Runs a block where the ones before it ran; an error reply raises, or is printed."""
        said = io.StringIO()
        text = "\n".join(lines).replace("port=7421", "host=%r, port=%d" % server.resp)
        with contextlib.redirect_stdout(said):
            exec(compile(text, "README.md", "exec"), names)
        self.assertIn("# ", text, "says what is printed")
        for line in said.getvalue().splitlines():
            # 2 has not enough for ten transfers: the comment there says so.
            self.assertRegex(line, SHOWN, text)
        return said.getvalue()

    @unittest.skipUnless(shutil.which("redis-cli"), "redis-cli is not installed")
    def test_what_is_typed_works(self):
        server = Server(shards=2)
        self.addCleanup(server.close)
        self.timestamps, names, said, typed = {}, {}, "", 0
        for block in blocks():
            if is_typed(block):
                self.typed(block[1], server)
                typed += 1
            elif block[0] == "python":
                said += self.run_python(block[1], names, server)
        self.addCleanup(names["ledger"].close)
        self.assertEqual(typed, 3)
        self.assertEqual(len(said.splitlines()), 1 + 10 + 1 + 1)
        self.assertEqual(said.count("EXCEEDS_CREDITS"), 5)
        balances = [names["ledger"].execute_command("ACCOUNT.GET", id) for id in (10, 20, 30, 40)]
        left = [int(b[b.index("credits_posted") + 1]) - int(b[b.index("debits_posted") + 1]) for b in balances]
        self.assertEqual(left, [-20000, 5000, 14400, 600])

    def test_python_works_with_the_oldest_and_the_newest_client(self):
        newest, reason = newest_redis_py()
        for python, release in ((sys.executable, r"^\d"), (newest, r"^([89]|\d\d)\.")):
            with self.subTest(python=python):
                if python is None:
                    self.skipTest(reason)
                server = Server(shards=2)
                self.addCleanup(server.close)
                connection = Resp(server.resp)
                self.addCleanup(connection.close)
                # What is typed before the second block.
                for id in (10, 20, 30, 40):
                    self.assertEqual(connection.ask("ACCOUNT.CREATE", id, 156, id), "+OK")
                connection.ask("TRANSFER", 5000, 10, 20, 20000, 156, 9)
                text = "\n".join(line for language, lines in blocks() if language == "python" for line in lines)
                text = text.replace("port=7421", "host=%r, port=%d" % server.resp)
                done = subprocess.run([python, "-c", text + "\nprint(redis.__version__)"], capture_output=True, text=True,
                                      timeout=120)
                self.assertEqual(done.returncode, 0, done.stderr)
                *said, version = done.stdout.splitlines()
                self.assertRegex(version, release)
                self.assertEqual(len(said), 1 + 10 + 1 + 1, done.stdout)
                self.assertIn("'credits_posted': '500'", said[11])
                for line in said:
                    self.assertRegex(line, SHOWN)

    def test_commands_of_the_shell_have_no_comments(self):
        for language, lines in blocks():
            if language == "sh":
                for line in lines:
                    self.assertRegex(line, r"^make [a-z]+$")

    def test_the_swift_blocks_are_those_that_are_compiled(self):
        with open(os.path.join(ROOT, "Tests", "EngineTests", "ReadmeTests.swift")) as file:
            compiled = re.sub(r"\s", "", re.sub(r"//.*", "", file.read()))
        place = statements = 0
        for language, lines in blocks():
            if language != "swift" or lines[0] == "// Package.swift":
                continue
            statement = ""
            for line in lines:
                line = re.sub(r"//.*", "", line.replace('"ledger-data"', "folder.path"))
                statement += re.sub(r"\s", "", line)
                if statement.count("(") > statement.count(")"):
                    continue
                found = compiled.find(statement, place)
                self.assertGreaterEqual(found, 0, f"not in ReadmeTests.swift, or in another order: {statement}")
                place, statement, statements = found + len(statement), "", statements + (statement != "")
        self.assertGreater(statements, 15)
        self.assertTrue(compiled.startswith("}", place), "the last statement is not the test's last")


if __name__ == "__main__":
    unittest.main()
