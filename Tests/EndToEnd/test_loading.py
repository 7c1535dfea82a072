"""Goal: a server that replays its logs answers everybody at once, executes nothing, and ends at a signal. Method: a debug
binary whose replay is slow, clients of both doors that come while it lasts and go on after it, and signals in it."""

import fcntl
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import native_client as native
import server as servers
from bad_input import DEBUG_BINARY, HANG_SECONDS, Resp, account, codes, run, transfer, verify, wait_until
from server import Server

GROUPS = 30
F_OFD_SETLK = 37


@unittest.skipUnless(os.access(DEBUG_BINARY, os.X_OK), f"no debug binary: {DEBUG_BINARY}")
class LoadingTests(unittest.TestCase):
    def setUp(self):
        self.addCleanup(setattr, servers, "BINARY", servers.BINARY)
        servers.BINARY = DEBUG_BINARY
        self.server = Server(shards=1, options=["--segment", "1MiB", "--memory", "64MiB"])
        self.addCleanup(self.server.close)
        client = native.Client(*self.server.native)
        client.create_accounts([account(1), account(2)])
        for id in range(1, GROUPS + 1):
            client.create_transfers([transfer(id, 1, 2)])
        client.close()
        self.server.terminate()
        self.process = None

    def begin(self, pause, *options):
        """Starts a server whose replay takes `pause` milliseconds a group, and returns when it answers."""
        with socket.socket() as first, socket.socket() as second:
            for taken in (first, second):
                taken.bind(("127.0.0.1", 0))
            self.native, self.resp = first.getsockname(), second.getsockname()
        self.end()
        self.process = subprocess.Popen(
            [DEBUG_BINARY, "serve", "--data", self.server.directory, "--native", "%s:%d" % self.native,
             "--resp", "%s:%d" % self.resp, "--memory", "64MiB", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=dict(os.environ, SUANPAN_REPLAY_PAUSE=str(pause)))
        self.addCleanup(self.end)
        deadline = time.monotonic() + HANG_SECONDS
        while time.monotonic() < deadline:
            try:
                return socket.create_connection(self.resp, HANG_SECONDS).close()
            except ConnectionRefusedError:
                time.sleep(0.01)
        self.fail("never listens")

    def end(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    @staticmethod
    def is_locked(path):
        with open(path, "r+") as file:
            try:
                fcntl.fcntl(file, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
                return False
            except BlockingIOError:
                return True

    def connect_resp(self):
        connection = Resp(self.resp)
        self.addCleanup(connection.close)
        return connection

    def connect(self):
        client = native.Client(*self.native)
        self.addCleanup(client.close)
        return client

    def refused_loading(self, client, operation, count=0, body=b""):
        with self.assertRaises(native.Refused) as caught:
            client.call(operation, count, body)
        self.assertEqual(caught.exception.status, native.LOADING)
        self.assertGreater(caught.exception.retry_after_ms, 0)
        self.assertRegex(caught.exception.reason, r"^replaying, \d+% done$")

    def test_answers_at_once_and_goes_on(self):
        self.begin(50)
        resp, client = self.connect_resp(), self.connect()
        for words in (["PING"], ["TRANSFER", 900, 1, 2, 5, 1, 1], ["ACCOUNT.GET", 1], ["TOTALS"]):
            self.assertRegex(resp.ask(*words), r"^-LOADING replaying, \d+% done")
        info = dict(line.split(":", 1) for line in resp.ask("INFO", "persistence").splitlines() if ":" in line)
        self.assertEqual(info["loading"], "1")
        self.assertLess(float(info["loading_loaded_perc"]), 100)
        self.assertEqual(resp.ask("CLIENT", "SETNAME", "early"), "+OK")
        self.assertEqual(resp.ask("MULTI"), "+OK")
        self.assertRegex(resp.ask("TRANSFER", 901, 1, 2, 5, 1, 1), "^-LOADING ")
        self.assertRegex(resp.ask("EXEC"), "^-EXECABORT ")
        for operation in (native.PING, native.STATUS, native.TOTALS):
            self.refused_loading(client, operation)
        body = native.record(native.TRANSFER_FIELDS, transfer(902, 1, 2))
        self.refused_loading(client, native.CREATE_TRANSFERS, 1, body)
        self.refused_loading(client, native.CREATE_TRANSFERS, 8000, body * 8000)
        with self.assertRaises(native.Refused) as caught:
            client.call(99, 0, b"")
        self.assertEqual(caught.exception.status, native.UNKNOWN_OPERATION)
        # Half a request now, the rest when it serves.
        half = self.connect_resp()
        half.send(b"*2\r\n$11\r\nACCOUNT.GET\r\n$1\r")
        self.assertEqual(self.process.poll(), None)
        self.assertRegex(resp.ask("PING"), "^-LOADING ")
        self.assertRegex(self.process.stdout.readline(), "^ready ")
        self.assertEqual(resp.ask("PING"), "+PONG")
        self.assertEqual(resp.ask("CLIENT", "GETNAME"), "early")
        half.send(b"\n1\r\n")
        self.assertEqual(half.reply()[:2], ["id", "1"])
        self.assertEqual(client.lookup_transfers([(1, id) for id in (900, 901, 902)]), [])
        self.assertEqual(codes(client.create_transfers([transfer(902, 1, 2)])), [native.CREATED])
        info = dict(line.split(":", 1) for line in resp.ask("INFO").splitlines() if ":" in line)
        self.assertEqual(info["loading"], "0")

    def test_passwords_and_garbage(self):
        password = os.path.join(self.server.directory + ".password")
        with open(password, "w") as file:
            file.write("secret\n")
        self.addCleanup(os.remove, password)
        self.begin(200, "--password-file", password)
        resp = self.connect_resp()
        self.assertRegex(resp.ask("INFO"), "^-NOAUTH ")
        self.assertRegex(resp.ask("AUTH", "wrong"), "^-WRONGPASS ")
        self.assertEqual(resp.ask("AUTH", "secret"), "+OK")
        # Guesses are slowed, counted and ended as ever, and so are strangers.
        guesser = Resp(self.resp)
        self.addCleanup(guesser.close)
        guesser.send(b"AUTH guess\r\n" * 7)
        for _ in range(7):
            self.assertRegex(guesser.reply(), "^-WRONGPASS ")
        guesser.send(b"POST / HTTP/1.1\r\nAUTH secret\r\n")
        self.assertRegex(guesser.line(), "^-ERR Protocol error: HTTP ")
        self.assertTrue(guesser.is_closed())
        told = resp.ask("INFO", "security")
        self.assertRegex(told, r"auth_failures:8\r\nauth_delayed:[1-9]\d*\r\nhttp:1\r\n")
        self.assertRegex(resp.ask("PING"), "^-LOADING ")
        client = self.connect()
        with self.assertRaises(native.Refused) as caught:
            client.call(native.PING, 0, b"")
        self.assertEqual(caught.exception.status, native.NOT_AUTHENTICATED)
        client.call(native.AUTHENTICATE, 0, b"secret")
        self.refused_loading(client, native.PING)
        garbage = self.connect_resp()
        garbage.send(b"*2\r\nnonsense\r\n")
        self.assertRegex(garbage.line(), "^-ERR Protocol error")
        self.assertTrue(garbage.is_closed())
        with socket.create_connection(self.native, HANG_SECONDS) as stray:
            stray.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assertEqual(stray.recv(100)[7], native.MALFORMED)
        self.assertRegex(self.process.stdout.readline(), "^ready ")
        self.assertEqual(resp.ask("PING"), "+PONG")
        client.call(native.PING, 0, b"")

    def test_whoever_is_late_is_ended(self):
        password = os.path.join(self.server.directory + ".password")
        with open(password, "w") as file:
            file.write("secret\n")
        self.addCleanup(os.remove, password)
        self.begin(2000, "--password-file", password, "--timeout", "1")
        patient = self.connect_resp()
        self.assertEqual(patient.ask("AUTH", "secret"), "+OK")
        stranger, slow, frame, greedy = (socket.create_connection(address, HANG_SECONDS) for address in
                                         (self.resp, self.resp, self.native, self.resp))
        for one in (stranger, slow, frame, greedy):
            self.addCleanup(one.close)
        # One gives no password, one a byte now and then, one half a frame; one takes nothing.
        greedy.sendall(b"AUTH secret\r\n")
        slow.sendall(b"AUTH secret\r\n")
        self.assertEqual(slow.recv(5), b"+OK\r\n")
        frame.sendall(native.frame(native.AUTHENTICATE, 1, 0, b"secret")[:-3])
        answers = {stranger: b"", slow: b"", frame: b""}
        ended = set()
        deadline = time.monotonic() + HANG_SECONDS
        while len(ended) < 4 and time.monotonic() < deadline:
            for one, bytes in ((slow, b"P"), (greedy, b"PING\r\n" * 10_000)):
                try:
                    one.settimeout(0.05)
                    one.sendall(bytes)
                except TimeoutError:
                    pass
                except OSError:
                    ended.add(one)
            for one in set(answers) - ended:
                try:
                    piece = one.recv(100)
                    answers[one] += piece
                    if not piece:
                        ended.add(one)
                except TimeoutError:
                    pass
                except OSError:
                    ended.add(one)
        self.assertEqual(ended, {stranger, slow, frame, greedy})
        self.assertRegex(answers[stranger], b"^-TIMEOUT ")
        self.assertRegex(answers[slow], b"^-TIMEOUT ")
        self.assertEqual(answers[frame][7], native.TIMEOUT)
        # Who owes nothing may be silent.
        self.assertRegex(patient.ask("PING"), "^-LOADING ")
        self.assertIn("timeouts:4\r\n", patient.ask("INFO", "overload"))

    def test_one_connection_too_many(self):
        self.begin(50, "--connections-max", "2")
        first, second = self.connect_resp(), self.connect_resp()
        self.assertRegex(first.ask("PING"), "^-LOADING ")
        self.assertRegex(second.ask("PING"), "^-LOADING ")
        self.assertRegex(self.connect_resp().line(), "^-ERR max number of clients")
        self.assertRegex(self.process.stdout.readline(), "^ready ")
        self.assertEqual(second.ask("PING"), "+PONG")

    def test_a_signal_ends_the_start(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                # The whole replay would take more than a minute.
                self.begin(2000)
                self.assertRegex(self.connect_resp().ask("PING"), "^-LOADING replaying, 0% done")
                self.process.send_signal(number)
                self.assertEqual(self.process.wait(HANG_SECONDS), 0)
                self.assertEqual(self.process.stdout.read(), "")
                self.assertIn("ended while it was starting", self.process.stderr.read())
                self.assertEqual(verify(self.server.directory)[0], 0, "the lock is free, the files are whole")

    def test_a_signal_ends_the_offline_commands(self):
        for words in (["verify"], ["dump", "accounts"], ["dump", "transfers"]):
            with self.subTest(words):
                process = subprocess.Popen(
                    [DEBUG_BINARY, *words, "--data", self.server.directory], stdout=subprocess.PIPE,
                    env=dict(os.environ, SUANPAN_REPLAY_PAUSE="2000"))
                self.addCleanup(process.kill)
                lock = os.path.join(self.server.directory, "LOCK")
                wait_until(lambda: self.is_locked(lock), "it reads the directory")
                process.terminate()
                process.communicate(timeout=HANG_SECONDS)
                self.assertEqual(process.returncode, -signal.SIGTERM)

    def test_load_waits_and_ends(self):
        self.begin(50)
        found = []
        options = ["--transfers", "100", "--accounts", "10", "--batch", "10"]
        loads = [threading.Thread(target=lambda: found.append(
            run("load", "--target", "%s:%d" % self.native, *options))), threading.Thread(target=lambda: found.append(
                run("load", "--protocol", "resp", "--target", "%s:%d" % self.resp, *options[:4])))]
        for load in loads:
            load.start()
        for load in loads:
            load.join()
        for code, _, text in found:
            self.assertEqual(code, 0, text)
            self.assertIn("waiting for the server: replaying, ", text)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(HANG_SECONDS), 0)
        self.begin(2000)
        load = subprocess.Popen([DEBUG_BINARY, "load", "--target", "%s:%d" % self.native], stderr=subprocess.PIPE)
        self.assertIn(b"waiting", load.stderr.readline())
        load.terminate()
        load.communicate(timeout=HANG_SECONDS)
        self.assertEqual(load.returncode, -signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
