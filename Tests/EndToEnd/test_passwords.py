"""Goal: guesses of the password are slowed, counted and told, and whoever knows it is let in meanwhile. Method: many guesses
over both doors, by AUTH and HELLO, on one connection, on many, and on a new one for each; the right password among them, from
the same address. Bounds are on counts, not on speed: a second holds but few guesses of a connection."""

import socket
import tempfile
import threading
import time
import unittest

import native_client as native
from bad_input import HANG_SECONDS, Resp, command, info, wait_until
from server import Server

PASSWORD = "open sesame"


def guess_until_closed(address, frame, count):
    """Sends `count` guesses at once; returns how many bytes of answers came before the end."""
    with socket.create_connection(address, timeout=HANG_SECONDS) as connection:
        received = 0
        try:
            connection.sendall(frame * count)
            while part := connection.recv(65536):
                received += len(part)
        except (ConnectionResetError, BrokenPipeError):
            pass
        return received


class PasswordGuessTests(unittest.TestCase):
    def serve(self):
        server = Server(shards=2, environment={"SUANPAN_PASSWORD": PASSWORD})
        self.addCleanup(server.close)
        return server

    def security(self, server):
        connection = Resp(server.resp)
        try:
            self.assertEqual(connection.ask("AUTH", PASSWORD), "+OK")
            text = connection.ask("INFO", "security", "stats")
        finally:
            connection.close()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def test_a_password_is_what_was_written(self):
        # Both from the environment and from a file, with spaces at its ends.
        with tempfile.NamedTemporaryFile(mode="w", suffix=".json") as file:
            file.write('{"password": " 0.10 "}')
            file.flush()
            for more in (dict(environment={"SUANPAN_PASSWORD": " 0.10 "}), dict(options=["--config", file.name])):
                server = Server(shards=1, **more)
                self.addCleanup(server.close)
                connection = Resp(server.resp)
                self.addCleanup(connection.close)
                for word, answer in (("0.10", "-WRONGPASS"), (" 0.1 ", "-WRONGPASS"), (" 0.10 ", "+OK")):
                    self.assertTrue(connection.ask("AUTH", word).startswith(answer), word)

    def test_guesses_end_the_connection_and_are_counted(self):
        server = self.serve()
        guesses = [(server.resp, command("AUTH", "guess")), (server.resp, command("HELLO", 3, "AUTH", "u", "guess")),
                   (server.native, native.frame(native.AUTHENTICATE, 1, 0, b"guess"))]
        threads = [threading.Thread(target=guess_until_closed, args=(*guess, 5000)) for guess in guesses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG_SECONDS)
            self.assertFalse(thread.is_alive(), "an end to the guesses")
        wait_until(lambda: int(self.security(server)["auth_failures"]) == 30, "ten of each connection are judged")
        told = self.security(server)
        self.assertEqual(told["acl_access_denied_auth"], "30")
        self.assertGreater(int(told["auth_delayed"]), 10)
        said = [line for line in server.error_text().splitlines() if "a wrong password" in line]
        self.assertEqual(len(said), 1, said)
        self.assertRegex(said[0], r"a wrong password at the (RESP|native) port from 127\.0\.0\.1:\d+")

    def test_hanging_up_early_gains_nothing(self):
        server = self.serve()
        end = time.monotonic() + 3
        tried = answered = 0
        while time.monotonic() < end:
            # An answer that comes fast says right or wrong; whoever does not wait has none.
            with socket.create_connection(server.resp, timeout=HANG_SECONDS) as connection:
                connection.sendall(command("AUTH", f"guess {tried}"))
                connection.settimeout(0.005)
                try:
                    answered += connection.recv(100) != b""
                except TimeoutError:
                    pass
            tried += 1
        self.assertGreater(tried, 50)
        self.assertLess(answered, 20)

    def test_the_right_client_gets_in_meanwhile(self):
        server = self.serve()
        stop = threading.Event()

        def guess():
            while not stop.is_set():
                guess_until_closed(server.resp, command("AUTH", "guess"), 20)
        threads = [threading.Thread(target=guess) for _ in range(20)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: int(self.security(server)["auth_failures"]) > 20, "guesses")
            for _ in range(3):
                connection = Resp(server.resp)
                # Pipelined behind the password: in order, once it has waited.
                connection.send(command("AUTH", PASSWORD) + command("PING") + b"ECHO behind\r\n")
                connection.socket.shutdown(socket.SHUT_WR)
                self.assertEqual([connection.reply() for _ in range(3)], ["+OK", "+PONG", "behind"])
                self.assertTrue(connection.is_closed())
                connection.close()
                client = native.Client(*server.native, password=PASSWORD)
                client.ping()
                client.close()
        finally:
            stop.set()
            for thread in threads:
                thread.join(HANG_SECONDS)

    def test_work_goes_on_while_attempts_wait(self):
        server = self.serve()
        client = native.Client(*server.native, password=PASSWORD)
        self.addCleanup(client.close)
        waiting = []
        for _ in range(60):
            connection = Resp(server.resp)
            self.addCleanup(connection.close)
            connection.send(command("AUTH", "guess"))
            waiting.append(connection)
        for _ in range(200):
            client.ping()
        for connection in waiting:
            self.assertTrue(connection.reply().startswith("-WRONGPASS"))

    def test_where_no_password_is_set_any_is_right(self):
        server = Server(shards=1)
        self.addCleanup(server.close)
        connection = Resp(server.resp)
        self.addCleanup(connection.close)
        self.assertEqual(connection.ask("AUTH", "p"), "+OK")
        self.assertEqual(connection.ask("AUTH", "default", "p"), "+OK")
        self.assertIn("proto", connection.ask("HELLO", 2, "AUTH", "u", "p"))
        self.assertIn("proto", connection.ask("HELLO", 3, "AUTH", "default", "p"))
        client = native.Client(*server.native, password="p")
        self.addCleanup(client.close)
        client.ping()
        self.assertEqual(info(server, "security")["auth_failures"], "0")


if __name__ == "__main__":
    unittest.main()
