"""Goal: `load` at a wrong door says which door it is and ends with 1, in seconds. Method: the two ports of a server, an
HTTP server, a TLS server, one of the Redis protocol that is not ours, one that never answers, a port where nobody listens;
all loads at once, the last line on stderr read."""

import http.server
import socket
import ssl
import subprocess
import threading
import unittest

from server import BINARY, Server


class Door:
    """A listener on a free port; `answer` gets each connection, on a thread of its own."""

    def __init__(self, answer):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answer, self.open = answer, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(30)
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.answer(connection)
        except OSError:
            pass  # The client went away, as it may.

    def close(self):
        self.listener.close()
        for connection in self.open:
            connection.close()


def redis(connection):
    """Answers as a Redis server would, as far as a load goes."""
    while data := connection.recv(65536):
        if b"INFO" in data:
            connection.sendall(b"$23\r\nredis_version:7.2.0\r\n\r\n\r\n")
        elif b"PING" in data:
            connection.sendall(b"+PONG\r\n")
        else:
            connection.sendall(b"-ERR unknown command 'ACCOUNT.CREATE', with args beginning with: \r\n")


def tls(connection):
    """Without a certificate there is no cipher to agree on: the answer is an alert, as good as any."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(connection, server_side=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class Web(http.server.ThreadingHTTPServer):
    def handle_error(self, *arguments):
        pass  # A load hangs up when it knows enough.


class LoadDoorTests(unittest.TestCase):
    def test_a_wrong_door_is_named(self):
        server = Server(shards=1, options=["--segment", "4MiB"])
        web = Web(("127.0.0.1", 0), Handler)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        nobody = socket.socket()
        nobody.bind(("127.0.0.1", 0))
        doors = {name: Door(answer) for name, answer in [
            ("redis", redis), ("tls", tls), ("silent", lambda connection: connection.recv(1 << 20, socket.MSG_WAITALL))]}
        ports = {name: door.port for name, door in doors.items()}
        ports.update(native=server.native[1], resp=server.resp[1], web=web.server_port, nobody=nobody.getsockname()[1])
        wrong = [
            ("native", "resp", r"a RESP port .* native= .* --protocol resp$"),
            ("resp", "native", r"a native port: .* resp= .*leave --protocol resp out$"),
            ("native", "web", r"an HTTP server"), ("resp", "web", r"an HTTP server"),
            ("native", "tls", r"a TLS server"), ("resp", "tls", r"a TLS server"),
            ("native", "redis", r"a RESP port"), ("resp", "redis", r"not suanpan$"),
            ("native", "silent", r"no reply for 5 s; is that a suanpan server"), ("resp", "silent", r"no reply for 5 s; is"),
            ("native", "nobody", r"^suanpan: cannot connect to .* Connection refused: nothing listens there; `suanpan serve`"),
        ]
        try:
            loads = [(wanted, door, says, subprocess.Popen(
                [BINARY, "load", "--target", f"127.0.0.1:{ports[door]}", "--protocol", wanted, "--accounts", "10",
                 "--transfers", "10"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
                for wanted, door, says in wrong]
            for wanted, door, says, load in loads:
                out, err = load.communicate(timeout=60)
                with self.subTest(wanted=wanted, door=door):
                    self.assertEqual(load.returncode, 1, err)
                    self.assertEqual(out, "")
                    self.assertRegex(err.splitlines()[-1], says)
        finally:
            for door in doors.values():
                door.close()
            web.shutdown()
            web.server_close()
            nobody.close()
            server.close()


if __name__ == "__main__":
    unittest.main()
