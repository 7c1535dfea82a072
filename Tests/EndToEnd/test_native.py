"""Goal: a client written from Docs/Protocol.md alone moves money, is refused, retries, and survives kill -9; liars are told
and others do not notice. Method: native_client.py against a real server."""

import os
import socket
import struct
import threading
import unittest

import native_client as native
from server import Server

BANK = 1  # without limits: money enters the ledger from here


def account(id, flags=native.DEBITS_MUST_NOT_EXCEED_CREDITS, **more):
    return dict(id=id, ledger=1, code=10, flags=flags, **more)


def transfer(id, debit, credit, amount, **more):
    return dict(id=id, debit_account_id=debit, credit_account_id=credit, amount=amount, ledger=1, code=1, **more)


def codes(results):
    return [code for code, _, _ in results]


class NativeTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=2)
        cls.next_id = 1000

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def setUp(self):
        self.client = native.Client(*self.server.native)
        self.addCleanup(self.client.close)

    def ids(self, count):
        first = type(self).next_id
        type(self).next_id += count
        return list(range(first, first + count))

    def funded(self, count, amount=1000):
        """Accounts of their own for a test, with money on them."""
        bank, *ids = self.ids(count + 1)
        self.assertEqual(
            codes(self.client.create_accounts([account(bank, 0)] + [account(i) for i in ids])),
            [native.CREATED] * (count + 1))
        results = self.client.create_transfers(
            [transfer(t, bank, i, amount) for t, i in zip(self.ids(count), ids)])
        self.assertEqual(codes(results), [native.CREATED] * count)
        return ids

    def balance(self, id, client=None):
        found = (client or self.client).lookup_accounts([id])[0]
        return found["credits_posted"] - found["debits_posted"]

    def test_ping_and_status(self):
        self.client.ping()
        status = self.client.status()
        self.assertEqual((status["durability"], status["shards"]), ("sync", 2))
        self.assertEqual((len(status["salt"]), len(status["slot_map"])), (32, 4096))
        slot = native.slot_of(12345, int(status["salt"], 16))
        self.assertIn(status["slot_map"][slot], (0, 1))

    def test_money_moves_within_and_between_shards(self):
        ids = self.funded(10)
        status = self.client.status()
        shards = {status["slot_map"][native.slot_of(i, int(status["salt"], 16))] for i in ids}
        moves = [transfer(t, a, b, 10) for t, (a, b) in zip(self.ids(45), [
            (a, b) for n, a in enumerate(ids) for b in ids[n + 1:]])]
        results = self.client.create_transfers(moves)
        self.assertEqual(codes(results), [native.CREATED] * 45)
        timestamps = [timestamp for _, timestamp, _ in results]
        self.assertEqual(len(set(timestamps)), 45)
        self.assertEqual([self.balance(i) for i in ids], [1000 - 90 + 20 * n for n in range(10)])
        self.assertEqual(shards, {0, 1}, "ids on one shard only: the test is weaker than it looks")
        found = self.client.lookup_transfers([(m["debit_account_id"], m["id"]) for m in moves] + [(ids[0], 7)])
        self.assertEqual([(f["id"], f["timestamp"]) for f in found], [
            (m["id"], timestamp) for m, timestamp in zip(moves, timestamps)])

    def test_records_come_back_as_sent(self):
        big = 2 ** 127 + 5
        a, b = self.ids(2)
        sent = account(a, 0, user_data_128=big, user_data_64=2 ** 63, user_data_32=2 ** 31)
        self.client.create_accounts([sent, account(b, 0)])
        got = self.client.lookup_accounts([a])[0]
        self.assertEqual({k: got[k] for k in sent}, sent)
        move = transfer(big, a, b, 2 ** 100, user_data_128=1, user_data_64=2, user_data_32=3)
        self.assertEqual(codes(self.client.create_transfers([move])), [native.CREATED])
        got = self.client.lookup_transfers([(a, big)])[0]
        self.assertEqual({k: got[k] for k in move}, move)
        self.assertEqual(self.client.lookup_accounts([b, 999999999, a, b])[0]["credits_posted"], 2 ** 100)
        self.assertEqual([x["id"] for x in self.client.lookup_accounts([b, 999999999, a])], [b, a])

    def test_sending_again_answers_exists_with_the_first_timestamp(self):
        a, b = self.funded(2)
        move = transfer(self.ids(1)[0], a, b, 7)
        (code, first, _), = self.client.create_transfers([move])
        self.assertEqual(code, native.CREATED)
        self.assertEqual(self.client.create_transfers([move]), [(native.EXISTS, first, 0)])
        self.assertEqual(codes(self.client.create_transfers([dict(move, amount=8)])), [54])
        self.assertEqual(self.balance(b), 1007)
        self.assertEqual(codes(self.client.create_accounts([account(a)])), [native.EXISTS])
        self.assertEqual(codes(self.client.create_accounts([dict(account(a), code=11)])), [59])

    def test_a_refusal_that_rests_on_balances_is_final(self):
        a, b = self.funded(2, amount=10)
        move = transfer(self.ids(1)[0], a, b, 11)
        self.assertEqual(self.client.create_transfers([move]), [(native.EXCEEDS_CREDITS, 0, 0)])
        top_up = transfer(self.ids(1)[0], b, a, 5)
        self.assertEqual(codes(self.client.create_transfers([top_up])), [native.CREATED])
        self.assertEqual(
            self.client.create_transfers([move]), [(native.ID_ALREADY_FAILED, 0, native.EXCEEDS_CREDITS)])
        self.assertEqual(codes(self.client.create_transfers([dict(move, id=self.ids(1)[0])])), [native.CREATED])

    def test_refusals_have_their_numbers_in_order(self):
        a, b = self.funded(2)
        other, = self.ids(1)
        self.client.create_accounts([dict(account(other, 0), ledger=2)])
        maximum = 2 ** 128 - 1
        cases = [
            (dict(timestamp=1, id=0), 10), (dict(flags=1 << 15), 12), (dict(id=0), 14), (dict(id=maximum), 15),
            (dict(debit_account_id=0), 20), (dict(debit_account_id=maximum), 21), (dict(credit_account_id=0), 22),
            (dict(credit_account_id=maximum), 23), (dict(credit_account_id=a), 24), (dict(pending_id=1), 30),
            (dict(timeout=1), 34), (dict(ledger=0), 36), (dict(code=0), 37), (dict(debit_account_id=999999998), 70),
            (dict(ledger=2), 71), (dict(credit_account_id=999999998), 100), (dict(credit_account_id=other), 101)]
        moves = [dict(transfer(i, a, b, 1), **change) for (change, _), i in zip(cases, self.ids(len(cases)))]
        self.assertEqual(codes(self.client.create_transfers(moves)), [code for _, code in cases])
        self.assertEqual(self.balance(b), 1000)
        cases = [(dict(id=0), 14), (dict(ledger=0), 36), (dict(code=0), 37), (dict(flags=6), 13), (dict(reserved=1), 11),
                 (dict(timestamp=1), 10), (dict(credits_posted=1), 41)]
        accounts = [dict(account(i), **change) for (change, _), i in zip(cases, self.ids(len(cases)))]
        self.assertEqual(codes(self.client.create_accounts(accounts)), [code for _, code in cases])

    def test_events_of_one_debit_account_take_effect_in_order(self):
        a, b = self.funded(2, amount=100)
        ids = self.ids(300)
        results = self.client.create_transfers([transfer(i, a, b, 1) for i in ids])
        self.assertEqual(codes(results), [native.CREATED] * 100 + [native.EXCEEDS_CREDITS] * 200)
        timestamps = [timestamp for _, timestamp, _ in results[:100]]
        self.assertEqual(timestamps, sorted(timestamps))

    def test_pipelined_requests_are_told_apart_by_their_ids(self):
        a, b = self.funded(2)
        sent = []
        for i in self.ids(200):
            body = native.record(native.TRANSFER_FIELDS, transfer(i, a, b, 1))
            sent.append(self.client.send(native.CREATE_TRANSFERS, 1, body))
        for request in reversed(sent):
            self.assertEqual(codes(self.client.results(*self.client.wait(request))), [native.CREATED])
        self.assertEqual(self.balance(b), 1200)

    def test_the_largest_request(self):
        a, b = self.funded(2, amount=10000)
        ids = self.ids(8190)
        results = self.client.create_transfers([transfer(i, a, b, 1) for i in ids])
        self.assertEqual(codes(results), [native.CREATED] * 8190)
        with self.assertRaises(native.Refused) as refused:
            self.client.create_transfers([transfer(i, a, b, 1) for i in range(8191)])
        self.assertEqual(refused.exception.status, native.TOO_LARGE)
        another = native.Client(*self.server.native)
        self.addCleanup(another.close)
        self.assertEqual(self.balance(b, another), 10000 + 8190)

    def test_empty_requests(self):
        self.assertEqual(self.client.create_transfers([]), [])
        self.assertEqual(self.client.lookup_accounts([]), [])

    def test_an_unknown_operation_leaves_the_connection_open(self):
        with self.assertRaises(native.Refused) as refused:
            self.client.call(99, 3, b"abc")
        self.assertEqual(refused.exception.status, native.UNKNOWN_OPERATION)
        self.client.ping()

    def expect_refused(self, data, status, request_id=None):
        liar = native.Client(*self.server.native)
        self.addCleanup(liar.close)
        liar.socket.sendall(data)
        answered, (got, _, _, _, _) = liar.read_reply()
        self.assertEqual(got, status)
        if request_id is not None:
            self.assertEqual(answered, request_id)
        with self.assertRaises(ConnectionError, msg="the connection was left open"):
            liar.receive(1)

    def test_malformed_frames_get_a_typed_error_and_others_do_not_notice(self):
        def broken(data, at):
            return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        good = native.frame(native.LOOKUP_ACCOUNTS, 77, 1, bytes(16))
        self.expect_refused(b"\0" * 64, native.MALFORMED)
        self.expect_refused(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: close\r\n\r\n", native.MALFORMED)
        self.expect_refused(native.frame(native.PING, 77, magic=native.MAGIC + 1), native.MALFORMED)
        self.expect_refused(native.frame(native.PING, 77, version=2), native.UNSUPPORTED_VERSION, 77)
        self.expect_refused(broken(good, 9), native.CHECKSUM_MISMATCH)
        self.expect_refused(broken(good, 40), native.CHECKSUM_MISMATCH)
        self.expect_refused(broken(good, 70), native.CHECKSUM_MISMATCH, 77)
        self.expect_refused(native.frame(native.LOOKUP_ACCOUNTS, 77, 2, bytes(16)), native.MALFORMED, 77)
        self.expect_refused(native.frame(native.LOOKUP_ACCOUNTS, 77, 8191, b""), native.TOO_LARGE, 77)
        # What an operation has no use for.
        self.expect_refused(native.frame(native.PING, 77, 1), native.MALFORMED, 77)
        self.expect_refused(native.frame(native.STATUS, 77, 0, b"x"), native.MALFORMED, 77)
        self.expect_refused(native.frame(native.CREATE_TRANSFERS, 77, 0, flags=1), native.MALFORMED, 77)
        self.expect_refused(native.frame(native.LOOKUP_ACCOUNTS, 77, 1, bytes(16), flags=2), native.MALFORMED, 77)
        huge = native.HEADER.pack(native.MAGIC, 1, native.CREATE_TRANSFERS, 0, 77, 1, 2 ** 32 - 1, 0, 0, 0, 0)
        huge = huge[:60] + struct.pack("<I", native.crc32c(huge[:60]))
        self.expect_refused(huge, native.TOO_LARGE, 77)
        self.client.ping()
        a, b = self.funded(2)
        self.assertEqual(codes(self.client.create_transfers([transfer(self.ids(1)[0], a, b, 1)])), [native.CREATED])

    def test_random_garbage_and_half_open_connections(self):
        half = native.Client(*self.server.native)
        self.addCleanup(half.close)
        half.socket.sendall(native.frame(native.CREATE_TRANSFERS, 1, 1, bytes(128))[:100])
        for _ in range(20):
            liar = socket.create_connection(self.server.native)
            liar.sendall(os.urandom(200))
            liar.close()
        self.client.ping()

    def test_a_frame_may_come_byte_by_byte(self):
        for byte in native.frame(native.PING, 5):
            self.client.socket.sendall(bytes([byte]))
        request_id, (status, *_) = self.client.read_reply()
        self.assertEqual((request_id, status), (5, native.OK))


class AuthenticationTests(unittest.TestCase):
    def test_a_password_is_asked_for(self):
        server = Server(shards=1, environment={"SUANPAN_PASSWORD": "secret"})
        self.addCleanup(server.close)
        stranger = native.Client(*server.native)
        self.addCleanup(stranger.close)
        for attempt in (stranger.ping, lambda: stranger.call(native.AUTHENTICATE, 0, b"wrong"),
                        lambda: stranger.create_accounts([account(5)])):
            with self.assertRaises(native.Refused) as refused:
                attempt()
            self.assertEqual(refused.exception.status, native.NOT_AUTHENTICATED)
        stranger.call(native.AUTHENTICATE, 0, b"secret")
        stranger.ping()
        friend = native.Client(*server.native, password="secret")
        self.addCleanup(friend.close)
        self.assertEqual(codes(friend.create_accounts([account(5)])), [native.CREATED])


class CrashTests(unittest.TestCase):
    ACCOUNTS = 20

    def test_what_was_acknowledged_survives_kill_9(self):
        server = Server(shards=2)
        self.addCleanup(server.close)
        client = native.Client(*server.native)
        ids = list(range(100, 100 + self.ACCOUNTS))
        client.create_accounts([account(BANK, 0)] + [account(i) for i in ids])
        client.create_transfers([transfer(i, BANK, i, 10 ** 6) for i in ids])
        client.close()
        acknowledged = {}
        for round_number in range(3):
            self.load_until_killed(server, round_number, ids, acknowledged)
            server.start()
            client = native.Client(*server.native)
            self.check(client, ids, acknowledged)
            client.close()
        self.assertGreater(len(acknowledged), 300, "too little was acknowledged to prove anything")
        self.assertEqual(server.terminate(), 0)
        verified = server.verify()
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)

    def load_until_killed(self, server, round_number, ids, acknowledged):
        client = native.Client(*server.native)
        enough = threading.Event()

        def load():
            sequence = 0
            try:
                while True:
                    batch = []
                    for _ in range(50):
                        sequence += 1
                        debit = ids[sequence % len(ids)]
                        credit = ids[(sequence * 7 + 1) % len(ids)]
                        if debit != credit:
                            batch.append(transfer((round_number + 1) * 10 ** 9 + sequence, debit, credit, 1))
                    for move, (code, timestamp, _) in zip(batch, client.create_transfers(batch)):
                        if code == native.CREATED:
                            acknowledged[move["debit_account_id"], move["id"]] = (move, timestamp)
                    if sequence > 500:
                        enough.set()
            except (ConnectionError, OSError):
                enough.set()

        thread = threading.Thread(target=load)
        thread.start()
        enough.wait(60)
        server.kill()
        thread.join(60)
        client.close()
        self.assertFalse(thread.is_alive())

    def check(self, client, ids, acknowledged):
        keys = list(acknowledged)
        found = {}
        for start in range(0, len(keys), 4000):
            for got in client.lookup_transfers(keys[start:start + 4000]):
                found[got["debit_account_id"], got["id"]] = got["timestamp"]
        self.assertEqual(found, {key: timestamp for key, (_, timestamp) in acknowledged.items()})
        before = client.lookup_accounts([BANK] + ids)
        moves = [move for move, _ in acknowledged.values()][-2000:]
        results = client.create_transfers(moves)
        self.assertEqual(results, [
            (native.EXISTS, acknowledged[move["debit_account_id"], move["id"]][1], 0) for move in moves])
        after = client.lookup_accounts([BANK] + ids)
        self.assertEqual(after, before)
        self.assertEqual(sum(a["debits_posted"] for a in after), sum(a["credits_posted"] for a in after))


if __name__ == "__main__":
    unittest.main()
