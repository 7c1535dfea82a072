"""Goal: whatever a client sends, or stops sending, it gets a typed answer or the end of its own connection, and others do
not notice. Method: raw sockets against real servers, with a bystander that works before and after. The table of
Docs/Operations.md names these tests."""

import os
import resource
import select
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import native_client as native
from bad_input import (HANG_SECONDS, Resp, account, codes, command, info, memory_bytes, run, transfer, wait_until)
from server import BINARY, Server

TIMEOUT = ["--timeout", "1"]


def connect(address):
    return socket.create_connection(address, timeout=HANG_SECONDS)


def vanish(connection):
    """Ends without FIN: the peer sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_all(connection):
    """Everything until the other side ends, by FIN or reset."""
    data = b""
    try:
        while piece := connection.recv(1 << 16):
            data += piece
    except ConnectionError:
        pass
    return data


def sealed(fields):
    head = native.HEADER.pack(*fields)
    return head[:60] + struct.pack("<I", native.crc32c(head[:60]))


class NetworkTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Little memory kept ready: its growth is looked at.
        cls.server = Server(shards=2, options=[*TIMEOUT, "--memory", "256MiB"])
        cls.addClassCleanup(cls.server.close)
        cls.bystander = native.Client(*cls.server.native)
        cls.addClassCleanup(cls.bystander.close)
        cls.assertCreated(cls.bystander.create_accounts([account(id) for id in range(1, 21)]))
        cls.next_id = 1000

    @staticmethod
    def assertCreated(results):
        if set(codes(results)) != {native.CREATED}:
            raise AssertionError(results)

    def setUp(self):
        self.addCleanup(self.bystander_works)

    def bystander_works(self):
        type(self).next_id += 1
        self.assertCreated(self.bystander.create_transfers([transfer(self.next_id, 1, 2)]))

    def open(self, address=None):
        connection = connect(address or self.server.native)
        self.addCleanup(connection.close)
        return connection

    def open_resp(self):
        connection = Resp(self.server.resp)
        self.addCleanup(connection.close)
        return connection

    def status_then_end(self, connection):
        """The status of the one reply that comes before the server closes."""
        data = read_all(connection)
        self.assertEqual(len(data), 64, "one reply, then the end")
        self.assertEqual(native.crc32c(data[:60]), struct.unpack_from("<I", data, 60)[0])
        return data[7]

    # Frames

    def test_a_truncated_frame_then_close(self):
        whole = native.frame(native.CREATE_TRANSFERS, 1, 1, native.record(
            native.TRANSFER_FIELDS, transfer(999, 1, 2)))
        for length in (1, 63, 64, 65, len(whole) - 1):
            connection = connect(self.server.native)
            connection.sendall(whole[:length])
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(connection), b"")
            connection.close()
        self.assertEqual(self.bystander.lookup_transfers([(1, 999)]), [], "half a request was executed")

    def test_wrong_header_fields_are_answered_then_closed(self):
        magic, operation = native.MAGIC, native.CREATE_TRANSFERS
        good = native.frame(native.LOOKUP_ACCOUNTS, 7, 1, bytes(16))
        rows = [
            ("magic", native.frame(native.PING, 7, magic=magic ^ 1), native.MALFORMED),
            ("version 0", native.frame(native.PING, 7, version=0), native.UNSUPPORTED_VERSION),
            ("version 2", native.frame(native.PING, 7, version=2), native.UNSUPPORTED_VERSION),
            ("header checksum", good[:20] + b"\xff" + good[21:], native.CHECKSUM_MISMATCH),
            ("body checksum", good[:-1] + b"\xff", native.CHECKSUM_MISMATCH),
            ("body of 1 MiB and a byte", sealed((magic, 1, operation, 0, 7, 1, (1 << 20) + 1, 0, 0, 0, 0)),
             native.TOO_LARGE),
            ("body of 4 GiB", sealed((magic, 1, operation, 0, 7, 1, 0xFFFFFFFF, 0, 0, 0, 0)), native.TOO_LARGE),
            ("8191 events", sealed((magic, 1, operation, 0, 7, 8191, 8191 * 128, 0, 0, 0, 0)), native.TOO_LARGE),
            ("count and length differ", native.frame(operation, 7, 2, bytes(128)), native.MALFORMED),
            ("status in a request", sealed((magic, 1, native.PING, 1, 7, 0, 0, 0, 0, 0, 0)), native.MALFORMED),
        ]
        for name, data, status in rows:
            with self.subTest(name):
                connection = self.open()
                connection.sendall(data)
                self.assertEqual(self.status_then_end(connection), status)

    def test_an_oversized_frame_is_answered_before_its_body_is_read(self):
        connection = self.open()
        connection.sendall(native.frame(native.PING, 3))
        count = 9000
        connection.sendall(sealed((native.MAGIC, 1, native.CREATE_TRANSFERS, 0, 7, count, count * 128, 0, 0, 0, 0)))
        try:
            connection.sendall(bytes(count * 128))
        except ConnectionError:
            pass
        data = read_all(connection)
        self.assertEqual([data[7], data[71]], [native.OK, native.TOO_LARGE])

    def test_garbage_on_the_native_port(self):
        for data in (b"\0" * 64, b"\xff" * 4096, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 4, command("PING") * 8,
                     os.urandom(1 << 20)):
            connection = self.open()
            try:
                connection.sendall(data)
            except ConnectionError:
                pass
            self.assertEqual(self.status_then_end(connection), native.MALFORMED)

    # RESP

    def test_garbage_on_the_resp_port(self):
        rows = [
            (b"*1\r\n:5\r\n", "expected '$', got ':'"),
            (b"*1\r\n$abc\r\n", "invalid bulk length"),
            (b"*abc\r\n", "invalid multibulk length"),
            (b"*2000000000\r\n", "invalid multibulk length"),
            (b"*1025\r\n", "invalid multibulk length"),
            (b"*1\r\n$2000000000\r\n", "invalid bulk length"),
            (b"*1\r\n$65537\r\n", "invalid bulk length"),
            (b"*1\r\n$4\r\nPINGxx", "a bulk string does not end where its length says"),
            (b"x" * (65 << 10), "too big inline request"),
            (b"*" + b"1" * 100, "invalid multibulk length"),
            (b"*1\r\n$" + b"1" * 100, "invalid bulk length"),
            (b"SET \"a\r\n", "unbalanced quotes in request"),
            (b"*1024\r\n" + b"$65536\r\n%s\r\n" % (b"x" * 65536) * 17, "too big command"),
        ]
        for data, reason in rows:
            with self.subTest(data[:20]):
                connection = self.open(self.server.resp)
                try:
                    connection.sendall(data)
                except ConnectionError:
                    pass
                reply = read_all(connection).decode()
                self.assertTrue(reply.startswith("-ERR Protocol error: "), reply[:100])
                self.assertIn(reason, reply)

    def test_binary_garbage_on_the_resp_port_ends_or_is_refused(self):
        for data in (b"\0" * 4096 + b"\r\n", b"\xff" * 100 + b"\r\n", native.frame(native.PING, 1) + b"\r\n",
                     os.urandom(1 << 20)):
            connection = self.open(self.server.resp)
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            for line in read_all(connection).splitlines():
                self.assertTrue(line.startswith(b"-ERR"), line[:100])

    def test_commands_that_are_not_understood_leave_the_connection_open(self):
        connection = self.open_resp()
        for words, error in [
            (("NOPE",), "-ERR unknown command 'NOPE'"),
            (("TRANSFER", 1), "-ERR wrong number of arguments for 'transfer' command"),
            (("ACCOUNT.GET", "a"), "-ERR account 'a' is not an unsigned 128-bit integer"),
            (("ACCOUNT.GET", 2 ** 128), "-ERR account"), (("TRANSFER", 1, 2, 3, -4, 5, 6), "-ERR amount"),
            (("SELECT", 1), "-ERR DB index is out of range"), (("HELLO", 4), "-NOPROTO"),
        ]:
            self.assertIn(error, connection.ask(*words))
        self.assertEqual(connection.ask("PING"), "+PONG")

    def test_ten_thousand_commands_in_one_pipeline(self):
        connection = self.open_resp()
        first = 5_000_000
        connection.send(b"".join(command("TRANSFER", first + i, 3 + i % 5, 8 + i % 7, 1, 1, 1) for i in range(10_000)))
        timestamps = [connection.reply() for _ in range(10_000)]
        self.assertTrue(all(timestamp.isdigit() for timestamp in timestamps))
        self.assertEqual(len(set(timestamps)), 10_000)
        connection.send(command("PING") * 10_000)
        self.assertEqual({connection.reply() for _ in range(10_000)}, {"+PONG"})

    # Slow and half-open

    def test_a_slow_frame_is_answered_timeout_and_closed(self):
        half = native.frame(native.CREATE_TRANSFERS, 1, 1, bytes(128))
        before = int(info(self.server, "overload")["timeouts"])
        connections = [self.open() for _ in range(3)]
        for connection, length in zip(connections, (1, 32, 100)):
            connection.sendall(half[:length])
        slow = self.open_resp()
        slow.send(b"*2\r\n$4\r\nPI")
        for connection in connections:
            self.assertEqual(self.status_then_end(connection), native.TIMEOUT)
        self.assertTrue(slow.line().startswith("-TIMEOUT "))
        self.assertTrue(slow.is_closed())
        wait_until(lambda: int(info(self.server, "overload")["timeouts"]) >= before + 4, "timeouts are counted")

    def test_a_slow_frame_is_closed_while_others_keep_the_core_busy(self):
        slow = self.open()
        slow.sendall(b"S")
        slow.setblocking(False)

        def ended():
            self.bystander.create_transfers([transfer(self.take_id(), 1, 2) for _ in range(200)])
            return bool(select.select([slow], [], [], 0)[0])
        wait_until(ended, "the slow frame is answered under load")
        slow.setblocking(True)
        self.assertEqual(self.status_then_end(slow), native.TIMEOUT)

    def take_id(self):
        type(self).next_id += 1
        return self.next_id

    def test_a_silent_connection_is_left_alone(self):
        silent = native.Client(*self.server.native)
        self.addCleanup(silent.close)
        silent.ping()
        self.test_a_slow_frame_is_answered_timeout_and_closed()
        silent.ping()

    def test_clients_that_vanish_are_forgotten(self):
        open_before = self.settled_clients()
        for _ in range(50):
            connection = connect(self.server.native)
            connection.sendall(native.frame(native.CREATE_TRANSFERS, 1, 1, native.record(
                native.TRANSFER_FIELDS, transfer(self.take_id(), 3, 4))) * 3 + b"SPN1")
            vanish(connection)
            connection = connect(self.server.resp)
            connection.sendall(command("TRANSFER", self.take_id(), 3, 4, 1, 1, 1) * 3 + b"*1\r\n$")
            vanish(connection)
        wait_until(lambda: self.settled_clients() <= open_before, "vanished clients are forgotten")

    def settled_clients(self):
        return int(info(self.server, "clients")["connected_clients"])

    def test_a_client_that_never_reads_is_bounded_and_closed(self):
        self.take_without_reading(self.server.resp, command("INFO") * 1000, 256 << 20)
        self.take_without_reading(self.server.native, native.frame(native.STATUS, 1) * 1000, 256 << 20)

    def take_without_reading(self, address, data, bytes_max):
        before = memory_bytes(self.server)
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(HANG_SECONDS)
        connection.connect(address)
        sent = 0
        try:
            while sent < bytes_max:
                sent += connection.send(data)
            self.fail("the server took everything")
        except ConnectionError:
            pass  # What the timeout of the server does.
        self.assertLess(memory_bytes(self.server) - before, 64 << 20)

    def reader_of_large_replies(self, options=(), window=4096):
        """A server, a connection that takes little at a time, and a request that is answered with 1 MiB."""
        server = Server(shards=2, options=options)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        self.assertCreated(client.create_accounts([account(1)]))
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        connection.settimeout(HANG_SECONDS)
        connection.connect(server.native)
        count = 8000
        request = native.frame(native.LOOKUP_ACCOUNTS, 1, count, (1).to_bytes(16, "little") * count)
        return server, connection, request, 64 + count * 128

    @staticmethod
    def receive(connection, count, piece_max=1 << 16, pause=0):
        """Takes `count` bytes, fewer only where the other side ends."""
        taken = 0
        while taken < count:
            piece = connection.recv(min(piece_max, count - taken))
            if not piece:
                break
            taken += len(piece)
            time.sleep(pause)
        return taken

    def requests_of(self, server):
        return int(info(server, "clients")["requests"])

    def test_a_slow_reader_that_goes_on_reading_is_kept(self):
        server, connection, request, length = self.reader_of_large_replies(["--timeout", "2"], 1 << 17)
        connection.sendall(request * 8)
        self.assertEqual(self.receive(connection, 6 * length, 1 << 15, 0.03), 6 * length)
        self.assertEqual(int(info(server, "overload")["timeouts"]), 0)

    def test_output_handed_to_the_kernel_counts(self):
        server, connection, request, length = self.reader_of_large_replies(["--memory", "64MiB"])
        before = self.requests_of(server)
        sender = threading.Thread(target=lambda: connection.sendall(request * 32), daemon=True)
        sender.start()
        sender.join(HANG_SECONDS)

        def settled():
            # A look that comes too early sees fewer requests, never more.
            seen, last = -1, -2
            while seen != last:
                time.sleep(0.2)
                seen, last = self.requests_of(server) - before, seen
            return seen
        settled()
        # What gathered behind the first send is one send now, and more may gather behind that.
        taken = 2
        self.assertEqual(self.receive(connection, taken * length), taken * length)
        with open("/proc/sys/net/ipv4/tcp_wmem") as file:
            kernel = int(file.read().split()[2]) >> 20
        # Half of the 4 MiB for all replies and a reply more in the server, and what the sockets hold.
        self.assertLessEqual(settled() - taken, 2 + 1 + kernel + 1)

    def test_replies_under_way_are_sent_before_the_end(self):
        server, connection, request, length = self.reader_of_large_replies()
        before = self.requests_of(server)
        connection.sendall(request * 3)
        wait_until(lambda: self.requests_of(server) - before >= 3, "requests are taken")
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        self.assertEqual(self.receive(connection, 4 * length), 3 * length)
        # A second signal would end it at once.
        self.assertEqual(server.process.wait(HANG_SECONDS), 0)

    # Many

    def test_two_thousand_connections_with_a_request_each(self):
        allow_files(5000)
        addresses = [self.server.native, self.server.resp]
        connections = [connect(addresses[i % 2]) for i in range(2000)]
        try:
            for i, connection in enumerate(connections):
                move = transfer(7_000_000 + i, 1 + i % 10, 11 + i % 10)
                connection.sendall(
                    command("TRANSFER", move["id"], move["debit_account_id"], move["credit_account_id"], 1, 1, 1)
                    if i % 2 else
                    native.frame(native.CREATE_TRANSFERS, i, 1, native.record(native.TRANSFER_FIELDS, move)))
            for i, connection in enumerate(connections):
                reply = b""
                while len(reply) < (72 if i % 2 == 0 else 26):
                    piece = connection.recv(1000)
                    self.assertTrue(piece, f"connection {i} was closed")
                    reply += piece
                if i % 2:
                    self.assertRegex(reply, rb"^\$19\r\n\d{19}\r\n$")
                else:
                    self.assertEqual((reply[7], reply[24]), (native.OK, 1))
            wait_until(lambda: self.settled_clients() >= 2000, "INFO tells of all")
        finally:
            for connection in connections:
                connection.close()


def allow_files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count)), hard))


class ConnectionLimitTests(unittest.TestCase):
    def test_one_connection_too_many_is_refused_by_name(self):
        server = Server(shards=2, options=["--connections-max", "8"])
        self.addCleanup(server.close)
        kept = []
        for _ in range(8):
            kept.append(Resp(server.resp))
            self.assertEqual(kept[-1].ask("PING"), "+PONG")
        extra = Resp(server.resp)
        self.assertEqual(extra.line(), "-ERR max number of clients reached")
        self.assertTrue(extra.is_closed())
        extra.close()
        one = connect(server.native)
        reply = read_all(one)
        one.close()
        self.assertEqual((len(reply), reply[7]), (64, native.BUSY))
        for connection in kept:
            self.assertEqual(connection.ask("PING"), "+PONG")
        for connection in kept:
            connection.close()

        def serves_again():
            again = Resp(server.resp)
            try:
                return again.ask("PING") == "+PONG"
            finally:
                again.close()
        wait_until(serves_again, "a place is free again")

    def test_the_limit_counts_all_cores_together(self):
        server = Server(shards=2, options=["--connections-max", "4"])
        self.addCleanup(server.close)
        kept = []

        def open_one():
            connection = Resp(server.resp)
            self.addCleanup(connection.close)
            self.assertEqual(connection.ask("PING"), "+PONG")
            return connection

        def close_one():
            open_one().close()
            wait_until(lambda: f"connected_clients:{len(kept)}\r\n" in kept[0].ask("INFO", "clients"), "it is forgotten")
        # Whatever comes and goes between them, the fourth that stays is taken.
        for _ in range(3):
            kept.append(open_one())
            if len(kept) < 3:
                close_one()
        fourth = open_one()
        for connection in [*kept, fourth]:
            self.assertEqual(connection.ask("PING"), "+PONG")
        extra = Resp(server.resp)
        self.addCleanup(extra.close)
        self.assertEqual(extra.line(), "-ERR max number of clients reached")

    def test_long_lived_connections_are_spread_over_the_cores(self):
        server = Server(shards=2)
        self.addCleanup(server.close)
        kept = []
        for _ in range(20):
            for keeps in (True, False):
                connection = Resp(server.resp)
                self.addCleanup(connection.close)
                # Ids tell the core: id modulo the number of shards.
                core = int(connection.ask("CLIENT", "ID")[1:]) % 2
                if keeps:
                    kept.append(core)
                else:
                    connection.close()
                    time.sleep(0.02)
        self.assertGreaterEqual(min(kept.count(0), kept.count(1)), 8, kept)

    def test_the_limit_of_open_files_is_a_limit_of_connections(self):
        # The hard limit of the child only; 112 are kept for the other files of two shards.
        server = Limited(120)
        self.addCleanup(server.close)
        self.assertIn("note: at most 8 connections of 16384", server.error_text())
        kept = [Resp(server.resp) for _ in range(20)]
        replies = []
        for connection in kept:
            try:
                replies.append(connection.ask("PING"))
            except ConnectionError:
                replies.append("closed")
            connection.close()
        self.assertEqual(replies.count("+PONG"), 8, replies)
        self.assertGreaterEqual(replies.count("-ERR max number of clients reached") + replies.count("closed"), 12)


    def test_shards_that_lack_files_are_refused_with_the_number(self):
        # 64 for the program and 24 for each shard: 4 shards need 160.
        with self.assertRaises(RuntimeError) as caught:
            Limited(160, shards=4)
        self.assertIn("4 shards may have 160 files open beside one for each connection: this process may open 160; raise the "
                      "limit to at least 161", str(caught.exception))
        server = Limited(161, shards=4)
        self.addCleanup(server.close)
        self.assertIn("note: at most 1 connection of 16384", server.error_text())
        connection = Resp(server.resp)
        self.addCleanup(connection.close)
        self.assertEqual(connection.ask("PING"), "+PONG")


class OverloadTests(unittest.TestCase):
    # 65 events: one more than a small request has. 4 frames of them fit into what the kernel keeps of a connection.
    CONNECTIONS, FRAMES, EVENTS = 256, 4, 65

    def test_more_than_is_taken_at_once_is_busy(self):
        self.server = Server(shards=1)
        self.addCleanup(self.server.close)
        bystander = native.Client(*self.server.native)
        self.addCleanup(bystander.close)
        typed = Resp(self.server.resp)
        self.addCleanup(typed.close)
        self.assertEqual(set(codes(bystander.create_accounts([account(id) for id in range(1, 5)]))), {native.CREATED})
        clients = [native.Client(*self.server.native) for _ in range(self.CONNECTIONS)]
        for client in clients:
            self.addCleanup(client.close)

        # A fast disk may keep up with it all, once.
        executed = busy = first = 0
        while busy == 0:
            self.assertLess(first, 10 * self.CONNECTIONS * self.FRAMES * self.EVENTS, "it was never too much")
            requests = [self.frames(first + i * self.FRAMES * self.EVENTS) for i in range(self.CONNECTIONS)]
            first += self.CONNECTIONS * self.FRAMES * self.EVENTS
            refused = self.ask_all(clients, requests)
            busy = sum(map(len, refused))
            executed += (self.CONNECTIONS * self.FRAMES - busy) * self.EVENTS

        bystander.ping()
        self.assertEqual(codes(bystander.create_transfers([transfer(1, 3, 4)])), [native.CREATED])
        self.assertTrue(typed.ask("TRANSFER", 2, 3, 4, 1, 1, 1).isdigit())
        self.assertEqual(bystander.lookup_accounts([2])[0]["credits_posted"], executed)
        wait_until(lambda: int(info(self.server, "overload")["busy_answers"]) == busy, "busy answers are counted")
        # Sent again, each is executed for the first time.
        while any(refused):
            still = self.ask_all(clients, refused)
            self.assertLess(sum(map(len, still)), sum(map(len, refused)), "no way on")
            refused = still
        self.assertEqual(bystander.lookup_accounts([2])[0]["credits_posted"], first)

    def frames(self, first):
        """Requests of one connection, by request id: the first transfer's."""
        made = {}
        for id in range(1000 + first, 1000 + first + self.FRAMES * self.EVENTS, self.EVENTS):
            body = b"".join(native.record(native.TRANSFER_FIELDS, transfer(id + i, 1, 2)) for i in range(self.EVENTS))
            made[id] = native.frame(native.CREATE_TRANSFERS, id, self.EVENTS, body)
        return made

    def ask_all(self, clients, requests):
        """Sends all before the server reads any; the requests that were busy, the others being created."""
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            for client, mine in zip(clients, requests):
                client.socket.sendall(b"".join(mine.values()))
        finally:
            self.server.process.send_signal(signal.SIGCONT)
        refused = []
        for client, mine in zip(clients, requests):
            left = dict(mine)
            for _ in mine:
                id, (status, retry, count, flags, body) = client.read_reply()
                if status == native.BUSY:
                    self.assertGreater(retry, 0)
                    self.assertEqual((count, body), (0, b""))
                else:
                    self.assertEqual(status, native.OK)
                    results = codes(client.results(count, flags, body))
                    self.assertEqual(results, [native.CREATED] * self.EVENTS, "a busy request was executed")
                    del left[id]
            refused.append(left)
        return refused


class Limited(Server):
    """A server whose process may open so many files."""

    def __init__(self, files, shards=2):
        self.files = files
        super().__init__(shards=shards)

    def start(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        real = subprocess.Popen
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))
        subprocess.Popen = lambda *a, **k: real(*a, preexec_fn=limit, **k)
        try:
            super().start()
        finally:
            subprocess.Popen = real


class PasswordTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=1, environment={"SUANPAN_PASSWORD": "open sesame"})
        cls.addClassCleanup(cls.server.close)

    def test_resp(self):
        connection = Resp(self.server.resp)
        self.addCleanup(connection.close)
        for words in (("PING",), ("INFO",), ("TRANSFER", 1, 2, 3, 4, 5, 6), ("ACCOUNT.GET", 1), ("HELLO", 3)):
            self.assertTrue(connection.ask(*words).startswith("-NOAUTH"), words)
        for words in (("AUTH", "wrong"), ("AUTH", "open sesame "), ("AUTH", "default", "open"),
                      ("HELLO", "2", "AUTH", "default", "x")):
            self.assertTrue(connection.ask(*words).startswith("-WRONGPASS"), words)
        self.assertTrue(connection.ask("PING").startswith("-NOAUTH"))
        self.assertEqual(connection.ask("AUTH", "open sesame"), "+OK")
        self.assertEqual(connection.ask("PING"), "+PONG")

    def test_resp_takes_little_from_strangers(self):
        for data, reason in ((b"*11\r\n", "unauthenticated multibulk length"),
                             (b"*1\r\n$16385\r\n", "unauthenticated bulk length")):
            connection = connect(self.server.resp)
            connection.sendall(data)
            self.assertIn(reason, read_all(connection).decode())
            connection.close()

    def test_native(self):
        client = native.Client(*self.server.native)
        self.addCleanup(client.close)
        for attempt in (client.ping, client.status, lambda: client.create_accounts([account(1)]),
                        lambda: client.lookup_accounts([1]), lambda: client.call(native.AUTHENTICATE, 0, b""),
                        lambda: client.call(native.AUTHENTICATE, 0, b"wrong")):
            with self.assertRaises(native.Refused) as refused:
                attempt()
            self.assertEqual(refused.exception.status, native.NOT_AUTHENTICATED)
        client.call(native.AUTHENTICATE, 0, b"open sesame")
        client.ping()

    def test_native_takes_little_from_strangers(self):
        for count, status in ((32, native.NOT_AUTHENTICATED), (33, native.TOO_LARGE)):
            frame = native.frame(native.CREATE_TRANSFERS, 7, count, bytes(128 * count))
            connection = connect(self.server.native)
            # The header alone where the body is too long: it is not waited for.
            connection.sendall(frame if status == native.NOT_AUTHENTICATED else frame[:64])
            reply = connection.recv(64)
            self.assertEqual((len(reply), reply[7]), (64, status))
            if status == native.TOO_LARGE:
                self.assertEqual(read_all(connection), b"")
            connection.close()
        client = native.Client(*self.server.native, password="open sesame")
        self.addCleanup(client.close)
        self.assertEqual(len(client.create_transfers([transfer(i, 1, 2) for i in range(1, 101)])), 100)

    def test_beyond_loopback_without_a_password(self):
        environment = {name: value for name, value in os.environ.items() if name != "SUANPAN_PASSWORD"}
        for door in ("native", "resp"):
            done = subprocess.run([BINARY, "serve", f"--{door}", "0.0.0.0:0", "--data", "/nowhere/at/all"],
                                  capture_output=True, text=True, timeout=HANG_SECONDS, env=environment)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"--{door} 0.0.0.0:0 is beyond loopback and there is no password",
                          done.stderr.splitlines()[-1])


if __name__ == "__main__":
    unittest.main()
