"""What the tests of bad input share: servers on small segments, records of a data directory, outcomes of a command."""

import os
import re
import signal
import socket
import struct
import subprocess
import time

import native_client as native
from server import BINARY, ROOT, Server

DEBUG_BINARY = os.environ.get("SUANPAN_DEBUG_BINARY", os.path.join(ROOT, ".build", "debug", "suanpan"))
HANG_SECONDS = 60  # A guard against hanging, never a claim about speed.
BLOCK = 4096
GROUP = struct.Struct("<QHHI16sQQIIQQQQQIIQQQ")  # Docs/DiskFormat.md, group header
IDLE = 2


def account(id, flags=0):
    return dict(id=id, ledger=1, code=10, flags=flags)


def transfer(id, debit, credit, amount=1):
    return dict(id=id, debit_account_id=debit, credit_account_id=credit, amount=amount, ledger=1, code=1)


def codes(results):
    return [code for code, _, _ in results]


def run(*arguments, binary=BINARY, environment=None, prefix=()):
    """Runs the program to its end: (exit code, last line on stderr, everything it said)."""
    done = subprocess.run([*prefix, binary, *arguments], capture_output=True, text=True, timeout=HANG_SECONDS,
                          env=dict(os.environ, **(environment or {})))
    lines = done.stderr.strip().splitlines()
    return done.returncode, lines[-1] if lines else "", done.stdout + done.stderr


def serve(directory, *options, **more):
    """Runs `serve` that is expected to refuse."""
    return run("serve", "--data", directory, "--native", "127.0.0.1:0", "--resp", "127.0.0.1:0", *options, **more)


def verify(directory):
    return run("verify", "--data", directory)


def wait_until(condition, what):
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never: {what}")
        time.sleep(0.02)


class Resp:
    """A RESP connection that says exactly what it is told. Replies: a string, simple ones and integers with their first
    letter; None; a list, flat for a map."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=HANG_SECONDS)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        return self.file.readline().decode().rstrip("\r\n")

    def ask(self, *words):
        self.send(command(*words))
        return self.reply()

    def reply(self):
        line = self.line()
        if not line:
            raise ConnectionError("closed")
        if line[0] in "$=":
            return self.file.read(int(line[1:]) + 2)[:-2].decode() if line != "$-1" else None
        if line[0] in "*~%":
            return [self.reply() for _ in range(int(line[1:]) * (2 if line[0] == "%" else 1))]
        return None if line == "_" else line

    def is_closed(self):
        try:
            return self.file.read(1) == b""
        except ConnectionError:
            return True

    def close(self):
        self.file.close()
        self.socket.close()


def command(*words):
    words = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def info(server, section):
    """INFO of a server as a dictionary."""
    connection = Resp(server.resp)
    try:
        text = connection.ask("INFO", section)
    finally:
        connection.close()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def memory_bytes(server):
    """Resident memory that is the process's own."""
    with open(f"/proc/{server.process.pid}/status") as file:
        return int(re.search(r"RssAnon:\s+(\d+) kB", file.read()).group(1)) * 1024


def segments(directory, shard=0):
    folder = os.path.join(directory, f"shard-{shard:03}")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".log"))


def groups(path):
    """(offset, records, bytes, flags) of each group in a segment file, by its headers alone."""
    with open(path, "rb") as file:
        data = file.read()
    found, offset = [], BLOCK
    while offset < len(data):
        fields = GROUP.unpack_from(data, offset)
        if fields[0] != int.from_bytes(b"SUANGRP1", "little"):
            break
        found.append((offset, fields[8], fields[14], fields[3]))
        offset += fields[14]
    return found


def flip(path, offset, bits=1):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bits]))


def shard_of(client):
    """A function from account id to shard."""
    status = client.status()
    salt, slots = int(status["salt"], 16), status["slot_map"]
    return lambda id: slots[native.slot_of(id, salt)]
