"""Goal: a signal that asks for the end ends the program, by the signal itself, so that a shell and systemd see it, with Swift's
backtracer installed or not; those that ask for a clean end get one. Method: each signal, sent to each command while it runs."""

import os
import signal
import subprocess
import tempfile
import unittest

import native_client as native
from bad_input import HANG_SECONDS, account, transfer
from server import BINARY, DATA_PARENT, Server

FATAL = (signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)
BACKTRACERS = ("enable=no", "enable=yes,interactive=no")
SMALL = ["--segment", "1MiB", "--memory", "64MiB"]


class SignalTests(unittest.TestCase):
    def test_fatal_signals_end_serve(self):
        for setting in BACKTRACERS:
            for number in FATAL:
                with self.subTest(setting=setting, signal=number.name):
                    server = Server(shards=1, environment=dict(SWIFT_BACKTRACE=setting), options=SMALL)
                    self.addCleanup(server.close)
                    self.assertEqual(server.signal(number), -number)

    def ping(self, server):
        client = native.Client(*server.native)
        client.ping()
        client.close()

    def command(self, *words, ready):
        """A command that runs until it is ended."""
        process = subprocess.Popen([BINARY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=dict(os.environ, SWIFT_BACKTRACE=BACKTRACERS[1]))
        self.addCleanup(lambda: process.poll() is None and process.kill())
        ready(process)
        return process

    def end(self, process, number):
        process.send_signal(number)
        try:
            self.assertEqual(process.wait(HANG_SECONDS), -number)
        finally:
            process.kill()
            process.communicate()

    def test_fatal_signals_end_the_other_commands(self):
        server = Server(shards=1, options=SMALL)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        client.create_accounts([account(1), account(2)])
        client.create_transfers([transfer(1000 + i, 1, 2) for i in range(2000)])
        target = "%s:%d" % server.native

        def accepted(process):
            while not client.status()["transfers"] > 2000:
                self.assertIsNone(process.poll(), "the load has ended")
        load = self.command("load", "--target", target, "--duration", "60", "--accounts", "100", "--connections", "1",
                            ready=accepted)
        self.end(load, signal.SIGQUIT)
        client.close()
        server.terminate()
        # More than a pipe takes: it waits for its reader.
        dump = self.command("dump", "transfers", "--data", server.directory, ready=lambda p: p.stdout.read(1))
        self.end(dump, signal.SIGABRT)

    def test_signals_end_the_first_process_of_a_container(self):
        # The kernel keeps from it what would end it by default.
        alone = ["unshare", "--pid", "--fork"]
        if subprocess.run([*alone, "true"], capture_output=True).returncode:
            self.skipTest("no process namespace can be made here")
        server = Server(shards=1, options=SMALL, prefix=alone)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        client.create_accounts([account(1), account(2)])
        client.create_transfers([transfer(1000 + i, 1, 2) for i in range(2000)])
        client.close()
        os.kill(self.child(server.process), signal.SIGTERM)
        self.assertEqual(server.process.wait(HANG_SECONDS), 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number.name):
                # More than a pipe takes: it waits for its reader.
                dump = subprocess.Popen([*alone, BINARY, "dump", "transfers", "--data", server.directory],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                dump.stdout.read(1)
                child = self.child(dump)
                try:
                    os.kill(child, number)
                    self.assertEqual(dump.wait(HANG_SECONDS), 128 + number)
                finally:
                    if dump.poll() is None:
                        os.kill(child, signal.SIGKILL)
                    dump.communicate()

    @staticmethod
    def child(process):
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as file:
                    if int(file.read().rsplit(")", 1)[1].split()[1]) == process.pid:
                        return int(name)
            except (FileNotFoundError, ProcessLookupError):
                continue  # It has ended.
        raise AssertionError("no child")

    def test_a_hang_up_is_a_clean_end(self):
        server = Server(shards=1, options=SMALL)
        self.addCleanup(server.close)
        self.assertEqual(server.signal(signal.SIGHUP), 0)

    def test_nohup_keeps_it(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            server = Server(shards=1, options=SMALL)
        finally:
            signal.signal(signal.SIGHUP, before)
        self.addCleanup(server.close)
        server.process.send_signal(signal.SIGHUP)
        self.ping(server)
        self.assertEqual(server.terminate(), 0)

    def test_a_reader_that_leaves_is_no_end(self):
        # Nobody reads what it says.
        server = Server(shards=1, options=SMALL)
        self.addCleanup(server.close)
        server.process.stdout.close()
        server.process.send_signal(signal.SIGPIPE)
        self.ping(server)
        server.process.stdout = tempfile.TemporaryFile(dir=DATA_PARENT)
        self.assertEqual(server.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
