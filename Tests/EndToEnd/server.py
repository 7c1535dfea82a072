"""Starts and stops `suanpan serve` for the end-to-end tests. SUANPAN_BINARY names the binary."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("SUANPAN_BINARY", os.path.join(ROOT, ".build", "release", "suanpan"))
# Not /tmp, which may be memory: synced writes must meet a disk.
DATA_PARENT = os.environ.get("SUANPAN_TEST_DATA", os.path.join(ROOT, ".build", "end-to-end"))
START_SECONDS = 120
# Under nohup servers would inherit that it is ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Server:
    """One engine on a throw-away directory. `restart` keeps the directory, `close` removes it."""

    def __init__(self, shards=2, environment=None, options=(), prefix=()):
        os.makedirs(DATA_PARENT, exist_ok=True)
        self.directory = tempfile.mkdtemp(prefix="data-", dir=DATA_PARENT)
        self.shards, self.options, self.prefix = shards, list(options), list(prefix)
        self.environment = dict(os.environ, **(environment or {}))
        self.process = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        command = [*self.prefix, BINARY, "serve", "--data", self.directory, "--native", "127.0.0.1:0", "--resp", "127.0.0.1:0",
                   "--shards", str(self.shards)] + self.options
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, env=self.environment)
        # A server that says nothing is ended, so that reading its output cannot wait for ever.
        guard = threading.Timer(START_SECONDS, self.process.kill)
        guard.start()
        try:
            self.ready = ""
            while not self.ready.startswith("ready "):
                line = self.process.stdout.readline().decode()
                if not line:
                    raise RuntimeError(f"the server did not start: {self.ready}{self.error_text()}")
                self.ready = line
        finally:
            guard.cancel()
        self.native = self.endpoint("native")
        self.resp = self.endpoint("resp")

    def endpoint(self, name):
        found = re.search(rf"\b{name}=(\S+):(\d+)", self.ready)
        if not found:
            raise RuntimeError(f"no {name}= in the line '{self.ready}'")
        return found.group(1), int(found.group(2))

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def signal(self, number):
        """Ends the process and returns its exit code."""
        self.process.send_signal(number)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.process.stdout.close()
        self.errors.close()
        return code

    def kill(self):
        return self.signal(signal.SIGKILL)

    def terminate(self):
        return self.signal(signal.SIGTERM)

    def restart(self):
        self.kill()
        self.start()

    def verify(self):
        """Runs `suanpan verify` over the directory of a stopped server."""
        return subprocess.run([BINARY, "verify", "--data", self.directory], capture_output=True, text=True, timeout=300)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
