"""Goal: Redis clients that nobody here wrote work as they are. Method: redis-py (pipelines included), redis-cli in both
versions of the protocol, and redis-benchmark against a real server. Needs /usr/bin/python3 with python3-redis, redis-tools."""

import json
import re
import shutil
import socket
import subprocess
import unittest

import redis

from server import BINARY, Server

TIMESTAMP = rb"^\d{19}$"


def pairs(flat):
    """The map that a RESP2 flat array stands for, as text."""
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2]))


class RedisTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=2)
        cls.next_id = 1000

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def setUp(self):
        self.client = redis.Redis(*self.server.resp, socket_timeout=60)
        self.addCleanup(self.client.close)
        self.run_command = self.client.execute_command

    def ids(self, count):
        first = type(self).next_id
        type(self).next_id += count
        return list(range(first, first + count))

    def funded(self, count, amount=1000):
        bank, *ids = self.ids(count + 1)
        self.assertEqual(self.run_command("ACCOUNT.CREATE", bank, 1, 1), b"OK")
        for i, t in zip(ids, self.ids(count)):
            created = self.run_command("ACCOUNT.CREATE", i, 1, 10, "FLAGS", "debits_must_not_exceed_credits")
            self.assertEqual(created, b"OK")
            self.assertRegex(self.run_command("TRANSFER", t, bank, i, amount, 1, 1), TIMESTAMP)
        return ids

    def account(self, id):
        return pairs(self.run_command("ACCOUNT.GET", id))

    def refused(self, name, *command):
        with self.assertRaises(redis.ResponseError) as error:
            self.run_command(*command)
        self.assertEqual(str(error.exception).split()[0], name)
        return str(error.exception)

    # redis-py

    def test_connection_commands(self):
        self.assertTrue(self.client.ping())
        self.assertEqual(self.client.echo("hello"), b"hello")
        info = self.client.info()
        self.assertEqual(info["shards"], 2)
        self.assertIn("version", self.client.info("server"))
        self.assertEqual(self.client.config_get("appendonly"), {"appendonly": "yes"})
        self.assertIsInstance(self.client.client_id(), int)
        self.assertTrue(self.client.select(0))
        self.assertEqual(self.client.command_count(), len(self.run_command("COMMAND LIST")))
        with self.assertRaises(redis.ResponseError):
            self.run_command("NO.SUCH", 1)

    def test_what_redis_clients_read_of_a_server(self):
        mine = self.client.client_info()
        self.assertEqual([mine["name"], mine["db"], mine["omem"]], ["", 0, 0])
        self.assertEqual(mine["laddr"], "%s:%d" % self.server.resp)
        self.assertRegex(mine["addr"], r"^127\.0\.0\.1:[0-9]+$")
        self.assertEqual([client["id"] for client in self.client.client_list()], [str(mine["id"])])
        long_name = "payments-" + "x" * 200
        with redis.Redis(*self.server.resp, client_name=long_name, single_connection_client=True) as other:
            self.assertNotEqual(other.client_id(), mine["id"])
            self.assertEqual(other.client_getname(), long_name)
            self.assertIn(other.execute_command("RESET"), ("RESET", b"RESET"))
            self.assertIsNone(other.client_getname())
        self.assertEqual(self.client.config_get("append*"), {"appendonly": "yes", "appendfsync": "always"})
        self.assertEqual(self.client.config_get("no?such"), {})
        some = self.client.execute_command("INFO", "memory", "clients")
        self.assertEqual([some["connected_clients"] > 0, some["used_memory"] > 1 << 20, "shards" in some],
                         [True, True, False])

    def test_money_moves(self):
        a, b = self.funded(2)
        timestamp = self.run_command("TRANSFER", self.ids(1)[0], a, b, 400, 1, 7, "DATA64", 5)
        self.assertRegex(timestamp, TIMESTAMP)
        self.assertEqual(self.account(a)["debits_posted"], "400")
        got = self.account(b)
        self.assertEqual((got["credits_posted"], got["flags"]), ("1400", "debits_must_not_exceed_credits"))
        self.assertIsNone(self.run_command("ACCOUNT.GET", 999999999))
        several = self.run_command("ACCOUNT.GET", a, 999999999, hex(b))
        self.assertEqual([pairs(s)["id"] if s else None for s in several], [str(a), None, str(b)])

    def test_transfers_come_back(self):
        a, b = self.funded(2)
        t = 2 ** 127 + self.ids(1)[0]
        timestamp = self.run_command("TRANSFER", t, a, b, 1, 1, 7, "DATA128", 2 ** 100, "DATA32", "0xff")
        got = pairs(self.run_command("TRANSFER.GET", t, a))
        self.assertEqual((got["id"], got["user_data_128"], got["user_data_32"]), (str(t), str(2 ** 100), "255"))
        self.assertEqual(got["timestamp"], timestamp.decode())
        self.assertIsNone(self.run_command("TRANSFER.GET", t, b))

    def test_sending_again_is_safe(self):
        a, b = self.funded(2)
        command = ("TRANSFER", self.ids(1)[0], a, b, 5, 1, 1)
        first = self.run_command(*command)
        self.assertEqual(self.run_command(*command), first)
        self.assertEqual(self.account(b)["credits_posted"], "1005")
        self.refused("EXISTS_WITH_DIFFERENT_AMOUNT", *command[:4], 6, 1, 1)
        self.assertEqual(
            self.run_command("ACCOUNT.CREATE", a, 1, 10, "FLAGS", "debits_must_not_exceed_credits"), b"OK")

    def test_refusals_are_named_and_final(self):
        a, b = self.funded(2, amount=10)
        command = ("TRANSFER", self.ids(1)[0], a, b, 11, 1, 1)
        self.refused("EXCEEDS_CREDITS", *command)
        self.run_command("TRANSFER", self.ids(1)[0], b, a, 5, 1, 1)
        self.assertTrue(self.refused("ID_ALREADY_FAILED", *command).startswith("ID_ALREADY_FAILED exceeds_credits "))
        self.refused("CREDIT_ACCOUNT_NOT_FOUND", "TRANSFER", self.ids(1)[0], a, 999999999, 1, 1, 1)
        self.refused("ACCOUNTS_MUST_BE_DIFFERENT", "TRANSFER", self.ids(1)[0], a, a, 1, 1, 1)
        self.refused("amount", "TRANSFER", self.ids(1)[0], a, b, "many", 1, 1)
        self.assertEqual(self.account(b)["debits_posted"], "5")

    def test_a_pipeline_sees_its_own_effects_in_order(self):
        # A chain of accounts on both shards: money runs through it, each command needing the one before it.
        ids = self.ids(40)
        bank = ids[0]
        pipe = self.client.pipeline(transaction=False)
        pipe.execute_command("ACCOUNT.CREATE", bank, 1, 1)
        for i in ids[1:]:
            pipe.execute_command("ACCOUNT.CREATE", i, 1, 1, "FLAGS", "debits_must_not_exceed_credits")
        for t, debit, credit in zip(self.ids(39), ids, ids[1:]):
            pipe.execute_command("TRANSFER", t, debit, credit, 77, 1, 1)
            pipe.execute_command("ACCOUNT.GET", credit)
        replies = pipe.execute()
        self.assertEqual(replies[:40], [b"OK"] * 40)
        timestamps = replies[40::2]
        self.assertEqual(timestamps, sorted(set(timestamps)))
        self.assertEqual([pairs(r)["credits_posted"] for r in replies[41::2]], ["77"] * 39)

    def test_a_long_pipeline_with_errors_in_it(self):
        a, b = self.funded(2, amount=100)
        pipe = self.client.pipeline(transaction=False)
        for t in self.ids(300):
            pipe.execute_command("TRANSFER", t, a, b, 1, 1, 1)
        replies = pipe.execute(raise_on_error=False)
        self.assertTrue(all(re.match(TIMESTAMP, r) for r in replies[:100]), replies[:3])
        self.assertEqual({str(r).split()[0] for r in replies[100:]}, {"EXCEEDS_CREDITS"})

    def test_inline_commands_and_hostile_streams(self):
        def talk(data):
            """Sends, and reads until the server closes."""
            with socket.create_connection(self.server.resp, timeout=60) as connection:
                connection.sendall(data)
                answer = b""
                while piece := connection.recv(65536):
                    answer += piece
                return answer
        self.assertEqual(
            talk(b"PING\r\n\r\nECHO \"a b\"\r\nQUIT\r\nPING\r\n"), b"+PONG\r\n$3\r\na b\r\n+OK\r\n")
        for hostile, words in [
            (b"*1\r\n$x\r\n", b"invalid bulk length"), (b"*x\r\n", b"invalid multibulk length"),
            (b"*1\r\n:1\r\n", b"expected '$', got ':'"), (b"*1\r\n$-1\r\n", b"invalid bulk length"),
            (b"*1\r\n$999999999\r\n", b"invalid bulk length"), (b"\"abc\r\n", b"unbalanced quotes"),
            (b"*1000000\r\n", b"invalid multibulk length"), (b"x" * 70000, b"too big inline request"),
        ]:
            answer = talk(b"PING\r\n" + hostile + b"PING\r\n")
            self.assertTrue(answer.startswith(b"+PONG\r\n-ERR Protocol error: " + words), (hostile[:20], answer))
            self.assertEqual(answer.count(b"\r\n"), 2, "nothing is executed after a protocol error")
        self.assertTrue(self.client.ping())

    # redis-cli and redis-benchmark

    def cli(self, *words, input=None):
        host, port = self.server.resp
        done = subprocess.run(
            ["redis-cli", "-h", host, "-p", str(port), *map(str, words)], input=input, capture_output=True, text=True,
            timeout=120)
        return done.stdout

    @unittest.skipUnless(shutil.which("redis-cli"), "redis-cli is not installed")
    def test_redis_cli(self):
        a, b = self.funded(2)
        self.assertEqual(self.cli("PING"), "PONG\n")
        timestamp = self.cli("TRANSFER", self.ids(1)[0], a, b, 3, 1, 1).strip()
        self.assertRegex(timestamp, r"^\d{19}$")
        self.assertIn("EXCEEDS_CREDITS", self.cli("TRANSFER", self.ids(1)[0], a, b, 10 ** 9, 1, 1))
        words = self.cli("ACCOUNT.GET", b).split("\n")
        self.assertEqual(words[words.index("credits_posted") + 1], "1003")
        self.assertIn("# Server", self.cli("INFO"))
        self.assertEqual(self.cli(input=f"ECHO one\nTRANSFER {self.ids(1)[0]} {a} {b} 1 1 1\nECHO two\n").split("\n")[2], "two")

    @unittest.skipUnless(shutil.which("redis-cli"), "redis-cli is not installed")
    def test_redis_cli_of_version_3(self):
        a, b = self.funded(2)
        self.assertEqual(self.cli("-3", "PING"), "PONG\n")
        lines = self.cli("-3", "--no-raw", "ACCOUNT.GET", a)
        self.assertRegex(lines, r'"credits_posted" => "1000"')
        self.assertIn('"proto" => (integer) 3', self.cli("-3", "--no-raw", "HELLO", "3"))
        self.assertIn("(nil)", self.cli("-3", "--no-raw", "ACCOUNT.GET", 999999999))

    @unittest.skipUnless(shutil.which("redis-benchmark"), "redis-benchmark is not installed")
    def test_a_load_run_tells_what_it_cost_the_server(self):
        for protocol, address in [("resp", self.server.resp), ("native", self.server.native)]:
            done = subprocess.run(
                [BINARY, "load", "--protocol", protocol, "--target", "%s:%d" % address, "--accounts", "10",
                 "--duration", "1", "--connections", "4", "--json", "-"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            report = json.loads(done.stdout)
            self.assertGreater(report["accepted"], 0)
            self.assertGreater(report["server"]["cpu_s"], 0)
            self.assertGreater(report["server"]["bytes_per_transfer"], 100)

    def test_redis_benchmark(self):
        bank, shop = self.ids(2)
        for i in (bank, shop):
            self.run_command("ACCOUNT.CREATE", i, 1, 1)
        host, port = self.server.resp
        # It seeds by time and process id, so that two runs may draw the same numbers.
        for run, pipeline in ((1, "1"), (2, "16")):
            done = subprocess.run(
                ["redis-benchmark", "-h", host, "-p", str(port), "-c", "20", "-n", "4000", "-P", pipeline, "-r",
                 "2147483647", "-q", "TRANSFER", f"{run}__rand_int____rand_int____rand_int__", str(bank), str(shop), "1", "1", "1"],
                capture_output=True, text=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("requests per second", done.stdout)
            self.assertNotRegex(done.stdout + done.stderr, "[Ee]rror|WARN")
        self.assertEqual(self.account(shop)["credits_posted"], "8000")


class RedisAuthenticationTests(unittest.TestCase):
    def test_a_password_is_asked_for(self):
        server = Server(shards=1, environment={"SUANPAN_PASSWORD": "secret"})
        self.addCleanup(server.close)
        with self.assertRaises(redis.AuthenticationError):
            redis.Redis(*server.resp, socket_timeout=60).ping()
        with self.assertRaisesRegex(redis.RedisError, "WRONGPASS"):
            redis.Redis(*server.resp, password="wrong", socket_timeout=60).ping()
        self.assertTrue(redis.Redis(*server.resp, password="secret", socket_timeout=60).ping())


class RedisCrashTests(unittest.TestCase):
    def test_what_was_acknowledged_survives_kill_9(self):
        server = Server(shards=2)
        self.addCleanup(server.close)
        client = redis.Redis(*server.resp, socket_timeout=60)
        for i in range(1, 11):
            client.execute_command("ACCOUNT.CREATE", i, 1, 1)
        timestamps = {}
        for t in range(1, 201):
            timestamps[t] = client.execute_command("TRANSFER", t, t % 10 + 1, (t + 3) % 10 + 1, t, 1, 1)
        client.close()
        server.restart()
        client = redis.Redis(*server.resp, socket_timeout=60)
        for t, timestamp in timestamps.items():
            self.assertEqual(client.execute_command("TRANSFER", t, t % 10 + 1, (t + 3) % 10 + 1, t, 1, 1), timestamp)
        sums = [pairs(client.execute_command("ACCOUNT.GET", i)) for i in range(1, 11)]
        self.assertEqual(sum(int(s["debits_posted"]) for s in sums), sum(range(1, 201)))
        self.assertEqual(sum(int(s["credits_posted"]) for s in sums), sum(range(1, 201)))


if __name__ == "__main__":
    unittest.main()
