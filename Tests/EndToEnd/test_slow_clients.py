"""Goal: a client that sends everything before it reads gets an answer to each request, and what is answered is what was
done; many of them share the memory for it; whoever sends a byte now and then is ended in its time, and shuts nobody out.
Method: raw sockets that hold back their reading or their bytes, with a bystander beside them."""

import select
import socket
import threading
import time
import unittest

import native_client as native
from bad_input import HANG_SECONDS, Resp, account, command, info, memory_bytes, transfer, wait_until
from server import Server

LEAST_MEMORY = 64 << 20
REPLY_LIMIT = LEAST_MEMORY // 16
# `ACCOUNT.GET 1` is answered with about 500 bytes: so many are more than any socket holds.
MANY = 40_000


def narrow(address):
    """A connection whose kernel keeps little that is not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    connection.settimeout(HANG_SECONDS)
    connection.connect(address)
    return connection


class Narrow(Resp):
    def __init__(self, address):
        self.socket = narrow(address)
        self.file = self.socket.makefile("rb", 1 << 20)


def transfers(first, count):
    return b"".join(command("TRANSFER", first + i, 1, 2, 1, 1, 1) for i in range(count))


def is_busy(reply):
    return isinstance(reply, str) and reply.startswith("-BUSY ")


def statuses(connection, count):
    """The status by request id of so many replies; fewer where the other side ends."""
    found, data = {}, bytearray()
    while len(found) < count:
        piece = connection.recv(1 << 20)
        if not piece:
            break
        data += piece
        at = 0
        while len(data) - at >= 64 and len(data) - at >= (size := 64 + int.from_bytes(data[at + 20:at + 24], "little")):
            id = int.from_bytes(data[at + 8:at + 16], "little")
            assert id not in found, f"two replies to request {id}"
            found[id] = data[at + 7]
            at += size
        del data[:at]
    return found


class ServedTests(unittest.TestCase):
    def serve(self, *options, **more):
        self.server = Server(shards=2, options=options, **more)
        self.addCleanup(self.server.close)
        return self.server

    def bystander(self):
        client = native.Client(*self.server.native)
        self.addCleanup(client.close)
        client.create_accounts([account(id) for id in range(1, 5)])
        return client

    def open(self, address, kind=narrow):
        connection = kind(address)
        self.addCleanup(connection.close)
        return connection


class PipelineTests(ServedTests):
    def wait_until_busy(self):
        """It was not read until the memory for replies was used up, and everything sent was answered."""
        def settled():
            busy = int(info(self.server, "overload")["busy_answers"])
            time.sleep(0.5)
            return busy > 0 and int(info(self.server, "overload")["busy_answers"]) == busy
        wait_until(settled, "busy answers")

    def executed(self, client):
        return client.lookup_accounts([2])[0]["credits_posted"]

    def test_replies_are_kept_for_whoever_sends_everything_first(self):
        server = self.serve("--timeout", "8", "--memory", "1GiB")
        self.bystander()
        connection = self.open(server.resp, Narrow)
        connection.send(b"ACCOUNT.GET 1\r\n" * MANY)
        wait_until(lambda: int(info(server, "memory")["reply_bytes"]) > 8 << 20, "INFO shows what is kept")
        for _ in range(MANY):
            reply = connection.reply()
            self.assertEqual(reply[:2], ["id", "1"])
        self.assertEqual(connection.ask("PING"), "+PONG")
        wait_until(lambda: int(info(server, "memory")["reply_bytes"]) < 1 << 16, "what was read is given back")
        self.assertEqual(int(info(server, "overload")["busy_answers"]), 0)

    def test_where_memory_ends_commands_are_refused_unexecuted(self):
        server = self.serve("--timeout", "8", "--memory", str(LEAST_MEMORY))
        client = self.bystander()
        self.assertEqual(int(info(server, "memory")["reply_limit_bytes"]), REPLY_LIMIT)
        connection = self.open(server.resp, Narrow)
        chain = b"MULTI\r\n" + transfers(9000, 10) + b"EXEC\r\n"
        connection.send(transfers(1000, 1000) + b"ACCOUNT.GET 1\r\n" * MANY + transfers(5000, 1000) + chain)
        self.wait_until_busy()
        # A bystander is served meanwhile.
        self.assertEqual([code for code, _, _ in client.create_transfers([transfer(1, 3, 4)])], [native.CREATED])
        first = [connection.reply() for _ in range(1000)]
        self.assertFalse([reply for reply in first if reply.startswith("-")])
        looks = [connection.reply() for _ in range(MANY)]
        refused = next(i for i, reply in enumerate(looks) if is_busy(reply))
        self.assertGreater(refused, 1000)
        self.assertTrue(all(map(is_busy, looks[refused:])), "in order: executed, then refused")
        later = [connection.reply() for _ in range(1000)]
        self.assertTrue(all(map(is_busy, later)))
        self.assertTrue(all(map(is_busy, [connection.reply() for _ in range(12)])), "no part of a chain is executed")
        self.assertEqual(self.executed(client), 1000, "what was answered busy was not executed")
        # Whoever has read goes on.
        self.assertFalse(is_busy(connection.ask("TRANSFER", 5000, 1, 2, 1, 1, 1)))
        self.assertEqual(connection.ask("MULTI"), "+OK")
        self.assertEqual(connection.ask("DISCARD"), "+OK")

    def test_a_pipeline_of_frames(self):
        server = self.serve("--timeout", "8", "--memory", str(LEAST_MEMORY))
        client = self.bystander()
        connection = self.open(server.native)
        # Look-ups whose replies are more than the memory for them, then transfers.
        lookups, later = 100, 300
        body = (1).to_bytes(16, "little") * 2000
        data = b"".join(native.frame(native.LOOKUP_ACCOUNTS, 1 + i, 2000, body) for i in range(lookups))
        data += b"".join(
            native.frame(native.CREATE_TRANSFERS, 1000 + i, 1,
                         native.record(native.TRANSFER_FIELDS, transfer(1000 + i, 1, 2))) for i in range(later))
        connection.sendall(data)
        self.wait_until_busy()
        found = statuses(connection, lookups + later)
        self.assertEqual(len(found), lookups + later, "every frame is answered")
        self.assertEqual(set(found.values()), {native.OK, native.BUSY})
        done = sum(found[1000 + i] == native.OK for i in range(later))
        self.assertEqual(self.executed(client), done, "what was answered busy was not executed")
        connection.sendall(native.frame(native.PING, 5000))
        self.assertEqual(statuses(connection, 1), {5000: native.OK})

    def test_many_that_read_last_share_the_memory(self):
        server = self.serve("--timeout", "8", "--memory", str(LEAST_MEMORY))
        client = self.bystander()
        before = memory_bytes(server)
        connections = [self.open(server.resp, Narrow) for _ in range(4)]
        for connection in connections:
            connection.send(b"ACCOUNT.GET 1\r\n" * MANY)
        self.assertEqual([code for code, _, _ in client.create_transfers([transfer(1, 3, 4)])], [native.CREATED])
        self.wait_until_busy()
        self.assertLessEqual(int(info(server, "memory")["reply_bytes"]), REPLY_LIMIT + (1 << 20))
        self.assertLess(memory_bytes(server) - before, 64 << 20)
        served = []
        readers = [threading.Thread(target=lambda c=c: served.append(
            sum(not is_busy(c.reply()) for _ in range(MANY)))) for c in connections]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(HANG_SECONDS)
        self.assertEqual(len(served), len(connections), "everything is answered")
        self.assertGreater(min(served), 500, "everybody gets a share")


class PatienceTests(ServedTests):
    """What a byte now and then keeps open, and for how long."""

    def drip(self, connections, seconds, tail=b""):
        """Sends each a byte four times a second, until all have got something or the time is over. The ones that have."""
        told, until = [], time.monotonic() + seconds
        while len(told) < len(connections) and time.monotonic() < until:
            for connection in connections:
                if connection in told:
                    continue
                if select.select([connection], [], [], 0)[0]:
                    told.append(connection)
                    continue
                try:
                    connection.sendall(tail or b"1")
                except ConnectionError:
                    told.append(connection)
            time.sleep(0.25)
        return told

    def test_a_request_has_its_time_from_its_first_byte(self):
        server = self.serve("--timeout", "1")
        client = self.bystander()
        begun = [self.open(server.resp, lambda a: self.begin(a, b"*2\r\n$4\r\nECHO\r\n$1000\r\n")),
                 self.open(server.resp, lambda a: self.begin(a, b"MULTI\r\n*7\r\n$8\r\nTRANSFER\r\n$1000\r\n")),
                 self.open(server.native, lambda a: self.begin(a, native.frame(
                     native.CREATE_TRANSFERS, 1, 100, bytes(12800))[:100]))]
        self.assertEqual(begun[1].recv(5), b"+OK\r\n")
        self.assertEqual(len(self.drip(begun, HANG_SECONDS)), 3, "all are told")
        self.assertTrue(begun[0].recv(100).startswith(b"-TIMEOUT "))
        self.assertTrue(begun[1].recv(100).startswith(b"-TIMEOUT "))
        self.assertEqual(begun[2].recv(100)[7], native.TIMEOUT)
        client.ping()

    def begin(self, address, data):
        connection = socket.create_connection(address, timeout=HANG_SECONDS)
        connection.sendall(data)
        return connection

    def test_strangers_have_their_time_too(self):
        server = self.serve("--timeout", "1", environment={"SUANPAN_PASSWORD": "open sesame"})
        known = self.open(server.resp, Resp)
        self.assertEqual(known.ask("AUTH", "open sesame"), "+OK")
        # One begins to give a password and one says nothing; two ask again and again without it.
        slow = [self.open(server.resp, lambda a: self.begin(a, b"*2\r\n$4\r\nAUTH\r\n$1000\r\n")),
                self.open(server.native, lambda a: self.begin(a, native.frame(
                    native.AUTHENTICATE, 1, 0, bytes(1000))[:70]))]
        silent = self.open(server.native, lambda a: self.begin(a, b""))
        asking = [(self.open(server.resp, Resp), "PING", "-NOAUTH"), (self.open(server.resp, Resp), "RESET", "+RESET")]
        self.assertEqual(len(self.drip(slow, HANG_SECONDS)), 2, "all are told")
        self.assertTrue(slow[0].recv(100).startswith(b"-TIMEOUT "))
        self.assertEqual(slow[1].recv(100)[7], native.TIMEOUT)
        self.assertEqual(silent.recv(100)[7], native.TIMEOUT)

        def ended():
            connection, word, answer = asking[0]
            try:
                return not connection.ask(word).startswith(answer)
            except ConnectionError:
                return True
        while asking:
            wait_until(ended, f"who says {asking[0][1]} and never gives the password is ended")
            asking.pop(0)
        self.assertEqual(known.ask("PING"), "+PONG", "who has given it may be silent")

    def test_a_large_request_over_a_slow_line_gets_through(self):
        server = self.serve("--timeout", "1")
        client = self.bystander()
        connection = self.open(server.native)
        count = 1000
        whole = native.frame(native.CREATE_TRANSFERS, 1, count, b"".join(
            native.record(native.TRANSFER_FIELDS, transfer(1000 + i, 1, 2)) for i in range(count)))
        # 40 KiB a second for more than three times the timeout.
        for at in range(0, len(whole), 4 << 10):
            connection.sendall(whole[at:at + (4 << 10)])
            time.sleep(0.1)
        self.assertEqual(statuses(connection, 1), {1: native.OK})
        self.assertEqual(client.lookup_accounts([2])[0]["credits_posted"], count)

    def test_half_sent_requests_do_not_shut_others_out(self):
        server = self.serve("--timeout", "4", "--connections-max", "8")
        slow = [self.open(server.resp, lambda a: self.begin(a, b"*2\r\n$4\r\nECHO\r\n$1000\r\n")) for _ in range(8)]

        def served():
            self.drip(slow, 0.3)
            connection = Resp(server.resp)
            try:
                return connection.ask("PING") == "+PONG"
            except ConnectionError:
                return False
            finally:
                connection.close()
        wait_until(served, "one more is served")

    def test_a_byte_now_and_then_does_not_keep_what_is_not_read(self):
        server = self.serve("--timeout", "1", "--memory", "1GiB")
        self.bystander()
        connection = self.open(server.resp)
        connection.sendall(b"ACCOUNT.GET 1\r\n" * MANY)
        wait_until(lambda: int(info(server, "memory")["reply_bytes"]) > 1 << 20, "replies wait")

        def ended():
            try:
                connection.sendall(b"PING\r\n")
                time.sleep(0.2)
                return False
            except ConnectionError:
                return True
        wait_until(ended, "who sends little and reads nothing is closed")
        wait_until(lambda: int(info(server, "memory")["reply_bytes"]) < 1 << 16, "its replies are given up")


if __name__ == "__main__":
    unittest.main()
