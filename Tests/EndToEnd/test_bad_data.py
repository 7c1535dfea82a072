"""Goal: a data directory that cannot be served is refused with a message that names it, nothing acknowledged is lost, and the
server goes on where it can. Method: one damage or shortage each; loop mounts for the full and read-only disk."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import native_client as native
from bad_input import IDLE, account, codes, flip, groups, info, run, segments, serve, transfer, verify, wait_until
from server import BINARY, DATA_PARENT, Server


# Runs the program that is given in a process where io_uring_setup, 425 on every machine, ends with EPERM: seccomp asks for
# no privilege. The filter's four instructions: load the call's number; is it 425?; EPERM; allow.
WITHOUT_IO_URING = """
import ctypes, os, struct, sys
code = b"".join(struct.pack("<HBBI", *i) for i in [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)])
class Filter(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_char_p)]
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Filter(4, code)), 0, 0):
    sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
"""


def mounted(test, megabytes):
    """A small ext4 of its own, or a skip that says why."""
    place = tempfile.mkdtemp(prefix="mount-", dir=DATA_PARENT)
    image = place + ".img"
    test.addCleanup(lambda: (os.path.exists(image) and os.remove(image), os.rmdir(place)))
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    for command in (["mkfs.ext4", "-q", "-F", "-m", "0", image], ["mount", "-o", "loop", image, place]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"skipped: {' '.join(command)}: {done.stderr.strip()}")
            test.skipTest(done.stderr)
    test.addCleanup(subprocess.run, ["umount", place])
    return place


class DirectoryTests(unittest.TestCase):
    def server(self, **more):
        server = Server(**dict(dict(shards=1, options=["--segment", "1MiB"]), **more))
        self.addCleanup(server.close)
        return server

    def fill(self, server, batches=1, size=8000):
        client = native.Client(*server.native)
        client.create_accounts([account(1), account(2)])
        moves = [transfer(1000 + i, 1, 2) for i in range(batches * size)]
        for start in range(0, len(moves), size):
            self.assertEqual(set(codes(client.create_transfers(moves[start:start + size]))), {native.CREATED})
        client.close()

    def idle(self, server):
        def last():
            return [group for path in segments(server.directory) for group in groups(path)][-1]
        wait_until(lambda: last()[3] & IDLE, "an idle group is written")

    def refused(self, directory, *says, options=(), verified=True):
        for code, last, text in [serve(directory, *options)] + ([verify(directory)] if verified else []):
            self.assertEqual(code, 1, text)
            for what in says:
                self.assertIn(what, last)

    def test_another_shard_count(self):
        server = self.server()
        server.terminate()
        self.refused(server.directory, "holds 1 shard, 3 were asked for", options=["--shards", "3"], verified=False)

    def test_a_second_server_on_the_same_directory(self):
        server = self.server()
        self.refused(server.directory, f"in use by process {server.process.pid}")
        self.fill(server, 1, 10)

    def test_a_lock_file_that_was_taken_away_keeps_others_out(self):
        server = self.server(shards=2)
        lock, away = os.path.join(server.directory, "LOCK"), os.path.join(server.directory, "LOCK.away")
        says = f"{server.directory}: in use by process {server.process.pid}; stop it first"
        os.rename(lock, away)
        self.refused(server.directory, says)
        self.assertFalse(os.path.exists(lock), "a start that is refused has made one")
        shutil.copy(away, lock)
        self.refused(server.directory, says)
        os.remove(lock)
        with open(lock, "w") as file:
            file.write("closed\n")
        self.refused(server.directory, says)
        os.remove(lock)
        # The whole directory has another name, and the old one leads to it.
        moved = server.directory + "-moved"
        os.rename(server.directory, moved)
        self.addCleanup(shutil.rmtree, moved, True)
        self.refused(moved, f"{moved}: in use by process {server.process.pid}")
        os.symlink(moved, server.directory)
        self.refused(server.directory, says)
        os.remove(server.directory)
        os.rename(moved, server.directory)
        self.fill(server, 1, 10)
        self.assertEqual(server.terminate(), 0)
        self.assertEqual(server.verify().returncode, 0)
        server.start()
        self.assertIn("transfers=10", server.ready)

    def test_a_directory_that_was_renamed_and_replaced_while_it_served(self):
        server, moves = self.server(), [transfer(1000 + i, 1, 2) for i in range(40_000)]
        moved = server.directory + "-moved"
        self.addCleanup(shutil.rmtree, moved, True)
        client = native.Client(*server.native)
        client.create_accounts([account(1), account(2)])
        answered = codes(client.create_transfers([transfer(1 + i, 1, 2) for i in range(10)])).count(native.CREATED)
        os.rename(server.directory, moved)
        other = Server(shards=1, options=["--segment", "1MiB", "--data", server.directory])
        self.addCleanup(other.close)
        try:
            for start in range(0, len(moves), 1000):
                answered += codes(client.create_transfers(moves[start:start + 1000])).count(native.CREATED)
        except (ConnectionError, native.Refused):
            pass
        client.close()
        self.assertLess(answered, len(moves))
        self.assertEqual(server.process.wait(60), 1)
        self.assertIn("somebody has renamed or replaced the directory while it was in use", server.error_text())
        server.process.stdout.close()
        server.errors.close()
        self.assertEqual(other.terminate(), 0)
        self.assertEqual(verify(server.directory)[0], 0, "one wrote into the other's directory")
        os.rename(server.directory, server.directory + "-other")
        self.addCleanup(shutil.rmtree, server.directory + "-other", True)
        os.rename(moved, server.directory)
        server.start()
        self.assertGreaterEqual(answered, 10)
        self.assertGreaterEqual(int(server.ready.split("transfers=")[1].split()[0]), answered)

    def test_something_else_in_the_place_of_a_file(self):
        server = self.server()
        self.fill(server, 1, 10)
        server.kill()
        for name in "LOCK", "superblock", "shard-000/epochs", "shard-000/0000000000000001.log":
            path = os.path.join(server.directory, name)
            os.rename(path, path + ".away")
            for make in os.mkdir, os.mkfifo:
                with self.subTest(name=name, make=make.__name__):
                    make(path)
                    self.refused(server.directory, f"{path}: not a file; move it away")
                    (os.rmdir if make is os.mkdir else os.remove)(path)
            os.rename(path + ".away", path)
        self.assertEqual(server.verify().returncode, 0)

    def test_a_marker_of_creation_does_not_make_records_go(self):
        server = self.server()
        self.fill(server, 1, 10)
        server.kill()
        path = os.path.join(server.directory, "superblock")
        with open(path, "rb") as file:
            superblock = file.read()
        os.remove(path)
        open(os.path.join(server.directory, "CREATING"), "w").close()
        self.refused(server.directory, path, "missing, while the directory holds shards")
        with open(path, "wb") as file:
            file.write(superblock)
        server.start()
        self.assertIn("transfers=10", server.ready)

    def test_files_that_may_not_grow_to_a_segment(self):
        os.makedirs(DATA_PARENT, exist_ok=True)
        place = os.path.join(tempfile.mkdtemp(dir=DATA_PARENT), "data")
        self.addCleanup(shutil.rmtree, os.path.dirname(place))
        for kibibytes in 0, 512:  # ulimit counts blocks of 512 bytes in dash, of 1024 in bash.
            code, last, text = serve(place, "--segment", "1MiB", "--shards", "1",
                                     prefix=["bash", "-c", f'ulimit -f {kibibytes}; exec "$@"', "bash"])
            self.assertEqual(code, 1, text)
            self.assertIn(f"suanpan: {place}/", last)
            self.assertIn("File too large (errno 27); raise the limit of the size of files (ulimit -f)", last)
        server = self.server()
        self.fill(server, 1, 8000)
        server.kill()
        done = subprocess.run(["bash", "-c", 'ulimit -f 64; exec "$@" >"$0"', place + ".csv", BINARY, "dump", "transfers", "--data",
                               server.directory], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr),
                         (1, "suanpan: standard output could not be written to its end: File too large\n"))

    def test_a_directory_that_is_not_there(self):
        place = os.path.join(DATA_PARENT, f"none-{os.getpid()}")
        code, last, text = verify(place)
        self.assertEqual((code, last), (1, f"suanpan: {place}: no such data directory; check the path or create one"), text)
        self.assertFalse(os.path.exists(place), "verify made it")

    def test_an_empty_directory(self):
        os.makedirs(DATA_PARENT, exist_ok=True)
        place = tempfile.mkdtemp(dir=DATA_PARENT)
        self.addCleanup(shutil.rmtree, place)
        said = (f"suanpan: {place}: an empty directory, no data directory yet; check the path, or let `suanpan serve` make "
                "one there")
        for command in (["verify"], ["dump", "accounts"]):
            code, last, text = run(*command, "--data", place)
            self.assertEqual((code, last), (1, said), text)
        self.assertEqual(os.listdir(place), [])

    def test_a_directory_that_cannot_be_made(self):
        # Not even root makes a directory there.
        self.refused("/proc/x", "/proc/x: cannot create directory: No such file or directory (errno 2)", verified=False)

    def test_a_file_as_directory(self):
        os.makedirs(DATA_PARENT, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=DATA_PARENT) as file:
            file.write(b"a letter")
            file.flush()
            self.refused(file.name, f"{file.name}: cannot list: Not a directory (errno 20)")
            with open(file.name, "rb") as again:
                self.assertEqual(again.read(), b"a letter")

    def test_no_io_uring(self):
        os.makedirs(DATA_PARENT, exist_ok=True)
        place = tempfile.mkdtemp(dir=DATA_PARENT)
        self.addCleanup(shutil.rmtree, place)
        filtered = (sys.executable, "-c", WITHOUT_IO_URING)
        code, last, text = serve(os.path.join(place, "data"), prefix=filtered)
        if "no filter" in text:
            self.skipTest(text)
        self.assertEqual(code, 1, text)
        self.assertIn("io_uring is not available (errno 1): Linux 6.1 or later is needed, and the sysctl "
                      "kernel.io_uring_disabled must be 0", last)
        self.assertEqual(os.listdir(place), [], "a directory was made")
        code, _, text = run("version", prefix=filtered)
        self.assertEqual(code, 0, text)
        self.assertIn("io_uring: no: io_uring is not available (errno 1)", text)

    def test_a_port_in_use(self):
        server = self.server()
        place = tempfile.mkdtemp(dir=DATA_PARENT)
        self.addCleanup(shutil.rmtree, place)
        taken = ["--resp", "%s:%d" % server.resp]
        self.refused(place, "Address already in use", options=taken, verified=False)
        self.assertEqual(os.listdir(place), [], "a directory was made, and its shards are fixed")
        place = os.path.join(place, "new")
        self.refused(place, "Address already in use", options=taken, verified=False)
        self.assertFalse(os.path.exists(place))

    def test_a_refused_start_leaves_no_mark(self):
        # A directory written without syncs is judged otherwise for ever: not because of a start that never was.
        server = self.server()
        other = self.server()
        other.terminate()
        path = os.path.join(other.directory, "superblock")
        with open(path, "rb") as file:
            before = file.read()
        self.refused(other.directory, "Address already in use", verified=False,
                     options=["--resp", "%s:%d" % server.resp, "--durability", "async"])
        with open(path, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_a_name_that_leads_nowhere(self):
        os.makedirs(DATA_PARENT, exist_ok=True)
        place = os.path.join(DATA_PARENT, f"nowhere-{os.getpid()}")
        for environment in {}, {"SUANPAN_PASSWORD": "secret"}:
            for door in "--native", "--resp":
                code, last, text = serve(place, door, "nosuch.invalid:1", environment=environment)
                self.assertEqual(code, 1, text)
                self.assertIn("suanpan: cannot listen on nosuch.invalid:1: ", last)
                self.assertIn("check the name", last)
                self.assertFalse(os.path.exists(place), "a directory was made")

    def test_corrupted_bytes(self):
        for name in ("sealed segment", "last acknowledged group", "segment header"):
            with self.subTest(name):
                server = self.server()
                self.fill(server, 3)
                self.idle(server)
                server.kill()
                files = [s for s in segments(server.directory) if groups(s)]
                if name == "sealed segment":
                    path, offset = files[1], groups(files[1])[0][0] + 5000
                elif name == "segment header":
                    path, offset = files[1], 40
                else:
                    path, last = [(s, g) for s in files for g in groups(s) if not g[3] & IDLE][-1]
                    offset = last[0] + 200
                flip(path, offset)
                self.refused(server.directory, path, "damaged at offset")
                flip(path, offset)
                self.assertEqual(verify(server.directory)[0], 0)

    def test_missing_and_truncated_segments(self):
        server = self.server()
        self.fill(server, 3)
        server.kill()
        path = segments(server.directory)[1]
        os.rename(path, path + ".away")
        self.refused(server.directory, path, "a segment file is missing")
        os.rename(path + ".away", path)
        os.truncate(path, 500_000)
        self.refused(server.directory, path, "a segment file has the wrong size")

    def test_superblock_version_and_strangers(self):
        server = self.server()
        server.kill()
        path = os.path.join(server.directory, "superblock")
        flip(path, 40)
        self.refused(server.directory, path, "checksum")
        flip(path, 40)
        flip(path, 8, 2)
        self.refused(server.directory, path, "format version 3; this build reads version 1")
        os.remove(path)
        self.refused(server.directory, path, "missing, while the directory holds shards")
        place = tempfile.mkdtemp(dir=DATA_PARENT)
        self.addCleanup(shutil.rmtree, place)
        open(os.path.join(place, "letter.txt"), "w").close()
        self.refused(place, "not a suanpan data directory, and not empty (it holds letter.txt)")

    def test_a_read_only_disk(self):
        place = mounted(self, 32)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        self.refused(place, place, "Read-only file system", verified=False)

    def test_a_full_disk(self):
        place = mounted(self, 24)
        server = self.server()
        server.kill()
        shutil.rmtree(server.directory)
        old, server.directory = server.directory, os.path.join(place, "data")
        self.addCleanup(lambda: server.process.poll() is None and server.kill())
        ballast = os.path.join(place, "ballast")
        with open(ballast, "wb") as file:
            file.write(bytes(12 << 20))
        server.start()
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        client.create_accounts([account(1), account(2)])
        first, full = {}, False
        for start in range(1000, 400_000, 2000):
            moves = [transfer(i, 1, 2) for i in range(start, start + 2000)]
            for move, (code, timestamp, _) in zip(moves, client.create_transfers(moves)):
                if code == native.CREATED:
                    first[move["id"]] = timestamp
                elif code == 201:
                    full = True
                else:
                    self.assertEqual(code, 200)
            if full:
                break
        self.assertTrue(full, "the disk never filled")
        client.ping()
        self.assertEqual(client.lookup_accounts([2])[0]["credits_posted"], len(first))
        wait_until(lambda: info(server, "overload")["disk_full"] == "1", "INFO tells of the full disk")
        os.remove(ballast)
        wait_until(lambda: codes(client.create_transfers([transfer(999, 1, 2)])) in ([0], [60]), "it goes on")
        server.kill()
        self.assertEqual(verify(server.directory)[0], 0)
        server.start()
        again = native.Client(*server.native)
        self.addCleanup(again.close)
        ids = sorted(first)[-2000:]
        self.assertEqual(again.create_transfers([transfer(i, 1, 2) for i in ids]),
                         [(native.EXISTS, first[i], 0) for i in ids])
        server.terminate()
        server.directory = old

    def test_the_clock_set_back(self):
        library = os.path.join(DATA_PARENT, f"clock-{os.getpid()}.so")
        source = ("#define _GNU_SOURCE\n#include <time.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n"
                  "int clock_gettime(clockid_t c, struct timespec *t) { int r = syscall(SYS_clock_gettime, c, t);"
                  " if (c == CLOCK_REALTIME) t->tv_sec += 86400; return r; }\n")
        done = subprocess.run(["clang", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=source,
                              text=True, capture_output=True)
        if done.returncode:
            self.skipTest(f"no preload library: {done.stderr}")
        self.addCleanup(os.remove, library)
        server = self.server(environment={"LD_PRELOAD": library})
        client = native.Client(*server.native)
        client.create_accounts([account(1), account(2)])
        (_, before, _), = client.create_transfers([transfer(1, 1, 2)])
        client.close()
        server.kill()
        server.environment.pop("LD_PRELOAD")
        server.start()
        self.assertIn("behind the ledger's last timestamp (was it set back?)", server.error_text())
        client = native.Client(*server.native)
        self.addCleanup(client.close)
        (code, after, _), = client.create_transfers([transfer(2, 1, 2)])
        self.assertEqual(code, native.CREATED)
        self.assertGreater(after, before)


if __name__ == "__main__":
    unittest.main()
