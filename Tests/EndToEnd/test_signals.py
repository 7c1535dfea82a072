"""Goal: a signal that asks for the end ends the program, by the signal itself, so that a shell and systemd see it, with Swift's
backtracer installed or not; those that ask for a clean end get one. Method: each signal, sent to each command while it runs."""

import json
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

    def test_sigusr1_ends_all_but_serve(self):
        server = Server(shards=1, options=SMALL)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        client.create_accounts([account(1), account(2)])
        client.create_transfers([transfer(1000 + i, 1, 2) for i in range(2000)])
        os.kill(server.process.pid, signal.SIGUSR1)
        client.ping()
        load = self.load(server, client)
        self.end(load, signal.SIGUSR1)
        client.close()
        server.terminate()
        # More than a pipe takes: it waits for its reader.
        dump = self.command("dump", "transfers", "--data", server.directory, ready=lambda p: p.stdout.read(1))
        self.end(dump, signal.SIGUSR1)

    def load(self, server, client, *options, prefix=()):
        """A load that has begun to send."""
        before = client.status()["transfers"]
        load = subprocess.Popen(
            [*prefix, BINARY, "load", "--target", "%s:%d" % server.native, "--duration", "60", "--accounts", "100", "--batch",
             "10", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: load.poll() is None and load.kill())
        while not client.status()["transfers"] > before + 100:
            self.assertIsNone(load.poll(), "the load has ended")
        return load

    def test_a_load_that_is_cut_short_says_so_and_ends_by_the_signal(self):
        server = Server(shards=1, options=SMALL)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        report = os.path.join(server.directory, "..", f"report-{os.getpid()}.json")
        self.addCleanup(lambda: os.path.exists(report) and os.remove(report))
        for number, options in ((signal.SIGINT, []), (signal.SIGTERM, ["--rate", "2000"])):
            with self.subTest(number.name):
                load = self.load(server, client, "--json", report, *options)
                load.send_signal(number)
                out, errors = load.communicate(timeout=HANG_SECONDS)
                self.assertEqual(load.returncode, -number, errors)
                self.assertRegex(out, rf"(?m)^cut +by {number.name}: what follows is of a part of the run")
                self.assertRegex(out, r"(?m)^result ")
                self.assertEqual(errors.splitlines()[-1],
                                 f"suanpan: the run was cut short by {number.name}: the report covers what was done until then")
                with open(report) as file:
                    self.assertEqual(json.load(file)["cut"], number.name)

    def test_a_load_that_is_the_first_process_of_a_container_ends_with_128_and_the_signal(self):
        alone = ["unshare", "--pid", "--fork"]
        if subprocess.run([*alone, "true"], capture_output=True).returncode:
            self.skipTest("no process namespace can be made here")
        server = Server(shards=1, options=SMALL)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        for number in (signal.SIGINT, signal.SIGUSR1):
            with self.subTest(number.name):
                load = self.load(server, client, prefix=alone)
                child = self.child(load)
                try:
                    os.kill(child, number)
                    load.communicate(timeout=HANG_SECONDS)
                    self.assertEqual(load.returncode, 128 + number)
                finally:
                    if load.poll() is None:
                        os.kill(child, signal.SIGKILL)

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
