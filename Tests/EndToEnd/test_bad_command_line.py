"""Goal: a wrong command line or configuration ends with exit code 2, and the last line on stderr is the error and says what
to do. Method: the real binary, one wrong thing each. The table of Docs/Operations.md names these tests."""

import os
import shutil
import subprocess
import tempfile
import unittest

from bad_input import HANG_SECONDS, run
from server import BINARY, DATA_PARENT, Server


class CommandLineTests(unittest.TestCase):
    def setUp(self):
        os.makedirs(DATA_PARENT, exist_ok=True)
        self.directory = tempfile.mkdtemp(prefix="command-", dir=DATA_PARENT)
        self.addCleanup(shutil.rmtree, self.directory)

    def refused(self, *arguments, says, **more):
        code, last, everything = run(*arguments, **more)
        self.assertEqual(code, 2, everything)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, last, everything)

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def test_unknown_options_and_commands(self):
        self.refused("serve", "--nope", says="Unknown option '--nope'")
        self.refused("nope", says="nope")
        self.refused("verify", "--data", says="--data")
        self.refused("dump", "wages", "--data", self.directory, says="wages")
        self.refused("load", "--target", "127.0.0.1", says="--target")

    def test_bad_values(self):
        for option, value, says in [
            ("--memory", "much", "give a size such as"), ("--memory", "1KiB", "is too small"),
            ("--memory", "-1GiB", "give a size such as"), ("--segment", "1500KiB", "give a multiple of 1MiB"),
            ("--shards", "0", "give a whole number from 1 to 64"), ("--shards", "65", "give a whole number"),
            ("--durability", "maybe", "give one of sync, async"), ("--pin", "perhaps", "give on or off"),
            ("--timeout", "0", "give a whole number from 1 to 3600"), ("--connections-max", "0", "give a whole number"),
            ("--native", "127.0.0.1:65536", "the port must be a number from 0 to 65535"),
            ("--native", "127.0.0.1:x", "the port must be a number"), ("--resp", "7421", "has no port or no host"),
            ("--resp", "300.0.0.1:7421", "is not an IPv4 address"), ("--resp", "[::g]:1", "is not an IPv6 address"),
            ("--password-file", "/nowhere", "cannot be read"),
        ]:
            with self.subTest(f"{option} {value}"):
                # The parser takes a value that begins with a dash for an option.
                self.refused("serve", "--data", self.directory, f"{option}={value}", says=[f"{option} '{value}'", says])

    def test_negative_numbers(self):
        # The parser alone would take them for options.
        for option, says in [
            ("--shards", "from 1 to 64"), ("--timeout", "from 1 to 3600"), ("--connections-max", "from 1 to 1000000"),
            ("--clock-jump-max", "from 0 to"), ("--memory", "give a size such as"), ("--segment", "give a size such as"),
        ]:
            with self.subTest(option):
                self.refused("serve", "--data", self.directory, option, "-1", says=[f"{option} '-1'", says])
        for option in ("accounts", "connections", "batch", "in-flight", "rate", "duration", "transfers", "hot-share",
                       "hot-accounts", "hot-payer-share", "zipf", "cross-shard", "pending", "chain", "seed", "threads"):
            with self.subTest(option):
                _, last, _ = run("load", "--target", "127.0.0.1:1", f"--{option}", "-1")
                self.assertRegex(last, rf"^suanpan: --{option} '?-1.*(must be|give a)")

    def test_profiles_without_an_end(self):
        for path, says in (("/dev/zero", "it is longer than 1048576 bytes"), ("/tmp/", "Is a directory")):
            self.refused("load", "--target", "127.0.0.1:1", "--profile", path, says=[f"profile {path}: cannot be read", says])

    def test_what_is_not_utf8(self):
        # Mended it would be another password.
        environment = {**os.environb, b"SUANPAN_PASSWORD": b"a\xff"}
        for words in (["serve", "--data", self.directory], ["load", "--target", "127.0.0.1:1"]):
            done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=HANG_SECONDS, env=environment)
            self.assertEqual((done.returncode, done.stderr.splitlines()[-1]),
                             (2, "suanpan: SUANPAN_PASSWORD is not UTF-8; write it in UTF-8"))
        for words in ([b"serve", b"--data", os.fsencode(self.directory) + b"/\xff"], [b"verify", b"--data", b"\xff"]):
            done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=HANG_SECONDS)
            self.assertEqual((done.returncode, done.stderr), (2, "suanpan: argument 3 is not UTF-8; write it in UTF-8\n"))
        self.assertEqual(os.listdir(self.directory), [])

    def test_blank_values(self):
        for name in ("PASSWORD", "SHARDS"):
            self.refused("serve", "--data", os.path.join(self.directory, "data"), environment={f"SUANPAN_{name}": "  "},
                         says=f"SUANPAN_{name} '  ': is blank; give a value or leave the option out")
        blank = self.file("blank.json", '{"password": "  "}')
        self.refused("serve", "--data", os.path.join(self.directory, "data"), "--config", blank,
                     says=f"password in {blank} '  ': is blank")

    def test_wrong_types(self):
        for text, says in [('{"shards": true}', "shards in {} 'true': give a whole number from 1 to 64"),
                           ('{"timeout": true}', "timeout in {} 'true': give a whole number from 1 to 3600"),
                           ('{"memory": 100000000.5}', "memory in {} '100000000.5': give a size such as"),
                           ('{"timeout": null}', "timeout in {} is null: give a whole number"),
                           ('{"password": 0.10}', "password in {}: give a text, in quotes"),
                           ('{"pin": 1}', "pin in {} '1': give on or off")]:
            path = self.file("types.json", text)
            self.refused("serve", "--data", os.path.join(self.directory, "data"), "--config", path,
                     says=says.format(path))
        path = self.file("types.yaml", "timeout: ~\n")
        self.refused("serve", "--data", os.path.join(self.directory, "data"), "--config", path,
                     says=f"timeout in {path} is null: give a whole number")

    def test_environment(self):
        self.refused("serve", says="SUANPAN_SHARDS 'many'", environment={"SUANPAN_SHARDS": "many"})

    def test_a_variable_that_names_no_option(self):
        environment = {"SUANPAN_SHRADS": "2", "SUANPAN_SEGMENT": "1MiB", "SUANPAN_EMPTY": ""}
        server = Server(shards=1, environment=environment)
        self.addCleanup(server.close)
        self.assertEqual(self.notes(server), ["SUANPAN_SHRADS: read by nothing; variables are SUANPAN_ and the name of an "
                                              "option, such as SUANPAN_SHARDS"])
        server.terminate()
        _, last, _ = run("verify", "--data", server.directory, environment=environment)
        self.assertIn("SUANPAN_SHRADS: read by nothing", last)

    def test_segments_of_another_size_than_the_directory_has(self):
        server = Server(shards=1, options=["--segment", "1MiB"])
        self.addCleanup(server.close)
        self.assertEqual(self.notes(server), [])
        server.terminate()
        for options, environment, origin in (
                (["--segment", "8MiB"], {}, "--segment 8MiB"), ([], {"SUANPAN_SEGMENT": "8388608"}, "SUANPAN_SEGMENT 8388608"),
                (["--segment", "1024KiB"], {}, None), ([], {}, None)):
            server.options = options
            server.environment = dict(os.environ, **environment)
            server.start()
            self.assertEqual(self.notes(server), [] if origin is None else [
                f"{origin} is not used: {server.directory} was made with segments of 1MiB, and keeps them"])
            server.terminate()

    def notes(self, server):
        lines = [line.removeprefix("suanpan: note: ") for line in server.error_text().splitlines()]
        # Other engines of the machine may have pinned its CPUs.
        return [line for line in lines if "not pinned" not in line]

    def test_configuration_files(self):
        self.refused("serve", "--config", "/nowhere.json", says="--config '/nowhere.json' cannot be read")
        broken = self.file("broken.json", '{\n  "shards": 2,\n  "data" "x"\n}\n')
        self.refused("serve", "--config", broken, says=[f"--config '{broken}' is not valid JSON", "around character 26"])
        broken = self.file("broken.yaml", "shards: 2\ndata: [\n")
        self.refused("serve", "--config", broken, says=[f"--config '{broken}' is not valid YAML"])
        unknown = self.file("unknown.json", '{"shard": 2}')
        self.refused("serve", "--config", unknown, says=f"'shard' in {unknown} is not an option")
        wrong = self.file("wrong.json", '{"shards": "two"}')
        self.refused("serve", "--config", wrong, says=f"shards in {wrong} 'two'")


if __name__ == "__main__":
    unittest.main()
