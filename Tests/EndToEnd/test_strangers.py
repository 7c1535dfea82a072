"""Goal: what is no client of this door moves nothing and is told so. Method: browsers and services can be made to send HTTP
to any port, with commands in the body: requests of many kinds, whole and in pieces, before and behind a password and within
MULTI; TLS, and each of our protocols at the other's port. Nothing behind the first line is executed, the connection ends,
INFO counts it, and one line on stderr names the peer."""

import os
import socket
import subprocess
import unittest

import native_client as native
from bad_input import HANG_SECONDS, Resp, command, info, wait_until
from server import BINARY, Server


def exchange(address, *pieces):
    """Sends pieces, and returns what comes until the server closes."""
    with socket.create_connection(address, timeout=HANG_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            while part := connection.recv(65536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass  # It closes with bytes of ours unread.
        return answer


class StrangerTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=2)
        cls.addClassCleanup(cls.server.close)
        cls.next_id = 100
        client = native.Client(*cls.server.native)
        cls.addClassCleanup(client.close)
        client.create_accounts([dict(id=id, ledger=1, code=1, flags=0) for id in (1, 2)])
        cls.client = client

    def move(self):
        type(self).next_id += 1
        return b"TRANSFER %d 1 2 5 1 1\r\n" % self.next_id

    def moved(self):
        return self.client.lookup_accounts([1])[0]["debits_posted"]

    def test_http_moves_nothing(self):
        head = b"Host: 127.0.0.1:7421\r\nContent-Type: text/plain\r\nContent-Length: 999\r\n"
        for line in (b"POST / HTTP/1.1", b"post /x http/1.1", b"PUT /a%20b HTTP/1.1", b"GET /?q='a HTTP/1.0",
                     b"DELETE / HTTP/1.1", b"PATCH / HTTP/1.1", b"HEAD / HTTP/1.1", b"OPTIONS * HTTP/1.1",
                     b"TRACE / HTTP/1.1", b"CONNECT localhost:1 HTTP/1.1", b"PROPFIND /dav HTTP/1.1",
                     b"PRI * HTTP/2.0", b"  GET / HTTP/1.1  ", b"POST /", b"Host: localhost", b"content-length: 9",
                     b"GET /", b"put /x", b"GET http://x/", b"HEAD /x y", b"DELETE /", b"OPTIONS /", b"GET  HTTP/1.1",
                     b"GET / HTTP/1.1 x", b"OPTIONS * RTSP/1.0", b"INVITE sip:x SIP/2.0", b"HTTP/1.1 200 OK"):
            for end in (b"\r\n", b"\n"):
                with self.subTest(line=line, end=end):
                    body = self.move() + command("TRANSFER", self.next_id, 1, 2, 5, 1, 1) + b"QUIT\r\n"
                    answer = exchange(self.server.resp, b"PING\r\n" + line + end + head + b"\r\n" + body)
                    self.assertTrue(answer in (b"", b"+PONG\r\n") or answer.startswith(
                        b"+PONG\r\n-ERR Protocol error: HTTP"), answer)
                    self.assertLessEqual(answer.count(b"\r\n"), 2)
                    exchange(self.server.resp, line[:3], line[3:] + end, head, b"\r\n", body, self.move())
        self.assertEqual(self.moved(), 0)
        wait_until(lambda: int(info(self.server, "security")["http"]) >= 64, "HTTP is counted")
        said = [line for line in self.server.error_text().splitlines() if "HTTP at the RESP port" in line]
        self.assertEqual(len(said), 1, said)
        self.assertRegex(said[0], r"HTTP at the RESP port from 127\.0\.0\.1:\d+: connection closed")

    def test_http_within_multi_and_behind_what_is_under_way(self):
        before = self.moved()
        for begin in (b"MULTI\r\n" + self.move(), b"MULTI\r\nNOPE\r\n"):
            exchange(self.server.resp, begin + b"POST / HTTP/1.1\r\n\r\n" + self.move() + b"EXEC\r\n" + self.move())
        self.assertEqual(self.moved(), before)
        # What stands before it is answered as ever.
        answer = exchange(self.server.resp, self.move() * 20 + b"POST / HTTP/1.1\r\n\r\n" + self.move())
        self.assertEqual(self.moved(), before + 5)
        self.assertLessEqual(answer.count(b"$19\r\n"), 20)

    def test_words_that_only_look_like_it_are_commands(self):
        connection = Resp(self.server.resp)
        self.addCleanup(connection.close)
        for line, answer in ((b"GET x\r\n", "-ERR unknown command 'GET'"), (b"PUT\r\n", "-ERR unknown command 'PUT'"),
                             (b"ECHO /\r\n", "/"), (b"CLIENT SETNAME a/1.0\r\n", "+OK"),
                             (b"ECHO HTTP/1.1\r\n", "HTTP/1.1"),
                             (b"ECHO 'POST / HTTP/1.1'\r\n", "POST / HTTP/1.1"),
                             (command("ECHO", "POST / HTTP/1.1"), "POST / HTTP/1.1"),
                             (b"SELECT 0\r\n", "+OK"), (command("HEAD", "/", "HTTP/1.1"), "-ERR unknown command 'HEAD'")):
            connection.send(line)
            self.assertTrue(connection.reply().startswith(answer), line)

    def test_the_password_is_not_tried_by_http(self):
        server = Server(shards=1, environment={"SUANPAN_PASSWORD": "secret"})
        self.addCleanup(server.close)
        answer = exchange(server.resp, b"POST / HTTP/1.1\r\nHost: x\r\n\r\nAUTH secret\r\nACCOUNT.CREATE 1 1 1\r\n")
        self.assertNotIn(b"+OK", answer)
        connection = Resp(server.resp)
        self.addCleanup(connection.close)
        connection.ask("AUTH", "secret")
        self.assertIsNone(connection.ask("ACCOUNT.GET", 1))

    def test_other_protocols_are_told_at_once(self):
        hello = bytes.fromhex("16030100c8010000c40303") + os.urandom(32) + b"\n" * 8
        frame = native.frame(native.PING, 1, 0)
        server = Server(shards=1)
        self.addCleanup(server.close)
        for pieces in ((hello,), (hello[:1], hello[1:2], hello[2:])):
            self.assertTrue(exchange(server.resp, *pieces).startswith(b"-ERR Protocol error: TLS"))
        self.assertIn(b"the native protocol is not spoken at this port", exchange(server.resp, frame))
        status = lambda reply: (reply[:4], reply[7])
        for sent in (hello, b"GET / HTTP/1.1\r\n\r\n", b"POST /", command("PING")):
            answer = exchange(server.native, sent)
            self.assertEqual(status(answer), (b"SPN1", native.MALFORMED), sent)
        told = info(server, "security")
        self.assertEqual((told["foreign_protocols"], told["http"]), ("5", "2"))

    def test_a_server_says_which_peer(self):
        for door, sent, says in (("resp", b"\x16\x03\x01\x00\n", "TLS at the RESP port"),
                                 ("native", b"GET / HTTP/1.1\r\n\r\n", "HTTP at the native port")):
            server = Server(shards=1)
            self.addCleanup(server.close)
            for _ in range(3):
                exchange(getattr(server, door), sent)
            said = server.error_text()
            self.assertEqual(said.count("port from 127.0.0.1:"), 1, said)
            self.assertIn(says, said)


if __name__ == "__main__":
    unittest.main()
