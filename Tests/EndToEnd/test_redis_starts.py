"""Goal: clients and tools of Redis find what they read when they connect. Method: what each is known to send first, and the
fields that it looks for: valkey-glide (INFO REPLICATION), ioredis' ready check (INFO), StackExchange.Redis (INFO, CONFIG GET),
node-redis, go-redis and Lettuce (HELLO, CLIENT SETINFO), redis_exporter (INFO ALL), cluster clients (CLUSTER, told that there
is none)."""

import time
import unittest

import native_client as native
from bad_input import Resp
from server import Server


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


class StartTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=2)
        cls.addClassCleanup(cls.server.close)

    def connect(self):
        connection = Resp(self.server.resp)
        self.addCleanup(connection.close)
        return connection

    def info(self, *sections):
        text = self.connect().ask("INFO", *sections)
        lines = [line for line in text.split("\r\n") if line and not line.startswith("#")]
        # A shard has a line of the journal and one of its own.
        names = [line.split(":", 1)[0] for line in lines if not line.startswith("shard")]
        self.assertEqual(len(names), len(set(names)), "each field once")
        return dict(line.split(":", 1) for line in lines)

    def test_info(self):
        one = self.info("REPLICATION")
        self.assertEqual((one["role"], one["connected_slaves"]), ("master", "0"))
        self.assertTrue(one["master_repl_offset"].isdigit())
        self.assertRegex(one["master_replid"], "^[0-9a-f]{40}$")
        self.assertEqual(self.info("persistence")["loading"], "0")
        self.assertEqual(self.info("cluster"), {"cluster_enabled": "0"})
        whole = self.info()
        self.assertEqual(whole, whole | {
            "role": "master", "loading": "0", "redis_mode": "standalone", "cluster_enabled": "0",
            "maxmemory_policy": "noeviction", "aof_last_write_status": "ok", "tcp_port": str(self.server.resp[1])})
        for name in ("redis_version", "run_id", "process_id", "uptime_in_seconds", "connected_clients", "used_memory",
                     "maxmemory", "total_connections_received", "total_commands_processed", "rejected_connections",
                     "acl_access_denied_auth", "instantaneous_ops_per_sec", "balanced", "disk_full", "busy_answers"):
            self.assertIn(name, whole | {"balanced": ""})
        self.assertEqual(self.info("all").keys(), whole.keys())
        self.assertEqual(self.info("everything").keys(), whole.keys())
        self.assertEqual(len(whole["run_id"]), 40)

    def test_the_version_keeps_its_meaning(self):
        server = self.info("server")
        for version in (2, 3):
            hello = pairs(self.connect().ask("HELLO", version))
            self.assertEqual((hello["server"], hello["role"], hello["mode"]), ("suanpan", "master", "standalone"))
            self.assertEqual(hello["version"], server["redis_version"])
            self.assertEqual(hello["suanpan_version"], server["suanpan_version"])
            # Clients ask for what came with a version: SETINFO with 7.2, COMMAND DOCS with 7.0, HELLO with 6.0.
            self.assertGreaterEqual([int(part) for part in hello["version"].split(".")], [7, 2, 0])
        connection = self.connect()
        for words in (("CLIENT", "SETINFO", "LIB-NAME", "x"), ("CLIENT", "SETINFO", "lib-ver", "1.2.3"),
                      ("CLIENT", "NO-TOUCH", "on"), ("CLIENT", "NO-EVICT", "off"), ("CLIENT", "SETNAME", "x")):
            self.assertEqual(connection.ask(*words), "+OK", words)

    def test_what_is_asked_for_is_answered(self):
        connection, other = self.connect(), self.connect()
        own, foreign = (one.ask("CLIENT", "ID")[1:] for one in (connection, other))
        self.assertIn(f"id={own} ", connection.ask("CLIENT", "LIST"))
        self.assertIn(f"id={own} ", connection.ask("CLIENT", "LIST", "ID", foreign, own))
        self.assertIn(f"id={own} ", connection.ask("CLIENT", "LIST", "TYPE", "normal"))
        self.assertEqual(connection.ask("CLIENT", "LIST", "ID", "999999999"), "")
        self.assertEqual(connection.ask("CLIENT", "LIST", "TYPE", "pubsub"), "")
        self.assertEqual(connection.ask("CLIENT", "LIST", "TYPE", "friends"), "-ERR Unknown client type 'friends'")
        self.assertEqual(connection.ask("CLIENT", "LIST", "ID", "x"), "-ERR Invalid client ID")
        self.assertEqual(connection.ask("CLIENT", "SETINFO", "colour", "red"), "-ERR Unrecognized option 'colour'")
        self.assertEqual(connection.ask("CLIENT", "SETINFO", "LIB-NAME", "a b"),
                         "-ERR lib-name cannot contain spaces, newlines or special characters, and has at most 256 bytes")
        self.assertTrue(connection.ask("CLIENT", "NO-EVICT", "perhaps").startswith("-ERR syntax error"))
        every = connection.ask("COMMAND", "LIST")
        self.assertGreater(len(every), 20)
        self.assertEqual(sorted(connection.ask("COMMAND", "LIST", "FILTERBY", "PATTERN", "ACCOUNT.*")),
                         sorted(name for name in every if name.startswith("account.")))
        self.assertEqual(connection.ask("COMMAND", "LIST", "FILTERBY", "MODULE", "json"), [])
        self.assertEqual(connection.ask("COMMAND", "LIST", "FILTERBY", "ACLCAT", "admin"), [])
        self.assertTrue(connection.ask("COMMAND", "LIST", "FILTERBY", "colour", "x").startswith("-ERR syntax error"))

    def test_all_commands_are_counted(self):
        looks = 0

        def processed():
            nonlocal looks
            looks += 1
            return int(self.info("stats")["total_commands_processed"])

        def settled():
            # INFO is up to a second old.
            time.sleep(1.5)
            return processed()
        connection = self.connect()
        before = settled()
        for _ in range(20):
            self.assertEqual(connection.ask("PING"), "+PONG")
            self.assertTrue(connection.ask("NOPE").startswith("-ERR unknown command"))
            self.assertTrue(connection.ask("TRANSFER", 1).startswith("-ERR wrong number"))
        client = native.Client(*self.server.native)
        self.addCleanup(client.close)
        for _ in range(20):
            client.ping()
        # What is not understood is none, as in Redis; the last look is not among them yet.
        self.assertEqual(settled() - before, 40 + looks - 1)

    def test_the_role(self):
        self.assertEqual(self.connect().ask("ROLE"), ["master", ":0", []])
        connection = self.connect()
        connection.ask("HELLO", 3)
        self.assertEqual(connection.ask("ROLE"), ["master", ":0", []])

    def test_configuration(self):
        connection = self.connect()
        wanted = {"save": "", "appendonly": "yes", "databases": "1", "timeout": "0", "maxmemory-policy": "noeviction"}
        for name, value in wanted.items():
            self.assertEqual(connection.ask("CONFIG", "GET", name), [name, value])
        found = pairs(connection.ask("CONFIG", "GET", "*"))
        self.assertEqual(found, found | wanted)
        self.assertEqual(connection.ask("CONFIG", "GET", "replica-read-only"), [])

    def test_there_is_no_cluster_and_no_sentinel(self):
        connection = self.connect()
        for words in (("CLUSTER", "INFO"), ("CLUSTER", "NODES"), ("cluster", "slots"), ("READONLY",)):
            self.assertEqual(connection.ask(*words), "-ERR This instance has cluster support disabled")
        self.assertTrue(connection.ask("SENTINEL", "masters").startswith("-ERR unknown command 'SENTINEL'"))
        self.assertEqual(connection.ask("PING"), "+PONG")


if __name__ == "__main__":
    unittest.main()
