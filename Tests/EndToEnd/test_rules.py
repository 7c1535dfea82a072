"""Goal: pending, posting, voiding, expiry, chains, balancing, closing and freezing do what the semantics say, alike on one
shard and across two, through both protocols, and survive kill -9. Method: native_client.py and redis-py against a real
server; every rule with accounts of one shard and with accounts of two."""

import itertools
import unittest

import redis

import native_client as native
from bad_input import codes, shard_of, wait_until
from native_client import (ALL, BALANCING_CREDIT, BALANCING_DEBIT, CLOSED, CLOSING_CREDIT, CLOSING_DEBIT, CREATED,
                           CREDITS_FROZEN, DEBITS_FROZEN, DEBITS_MUST_NOT_EXCEED_CREDITS, EXCEEDS_CREDITS, EXISTS,
                           ID_ALREADY_FAILED, LINKED, PENDING, POST_PENDING, VOID_PENDING)
from server import Server

LINKED_EVENT_FAILED, CHAIN_OPEN, CHAIN_TOO_LONG, RESERVED_FIELD, RESERVED_FLAG = 1, 2, 3, 11, 12
DIFFERENT_AMOUNT, DEBIT_NOT_FOUND, CREDIT_NOT_FOUND = 54, 70, 100
PENDING_NOT_FOUND, NOT_PENDING, OTHER_CREDIT, OTHER_LEDGER, OTHER_CODE, EXCEEDS_PENDING = range(72, 78)
ALREADY_POSTED, ALREADY_VOIDED, EXPIRED, DEBIT_CLOSED, DEBIT_FROZEN = range(78, 83)
CREDIT_CLOSED, CREDIT_FROZEN = 102, 103
CREDITS_MUST_NOT_EXCEED_DEBITS = 1 << 2


def transfer(id, debit, credit, amount=0, flags=0, **more):
    return {**dict(id=id, debit_account_id=debit, credit_account_id=credit, amount=amount, ledger=1, code=1,
                   flags=flags), **more}


def resolution(id, debit, pending, flags, amount=0, **more):
    """A post or void that leaves to the pending transfer what it may."""
    return {**dict(id=id, debit_account_id=debit, pending_id=pending, amount=amount, flags=flags), **more}


def linked(events):
    """The events as one chain."""
    return [dict(event, flags=event["flags"] | LINKED) for event in events[:-1]] + [events[-1]]


class RulesCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(shards=2)
        cls.counter = itertools.count(1000)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def setUp(self):
        self.client = native.Client(*self.server.native)
        self.addCleanup(self.client.close)

    def new_id(self):
        return next(type(self).counter)

    def create(self, *events):
        """Results of transfers in one request."""
        return self.client.create_transfers(list(events))

    def code(self, event):
        return self.create(event)[0][0]

    def accounts(self, *shards, amount=1000, flags=DEBITS_MUST_NOT_EXCEED_CREDITS):
        """Accounts of their own for a test, on these shards, with money on them."""
        shard = shard_of(self.client)
        bank, ids = self.new_id(), []
        for wanted in shards:
            ids.append(next(i for i in iter(self.new_id, None) if shard(i) == wanted))
        new = [dict(id=bank, ledger=1, code=1)] + [dict(id=i, ledger=1, code=10, flags=flags) for i in ids]
        self.assertEqual(set(codes(self.client.create_accounts(new))), {CREATED})
        if amount:
            self.assertEqual(set(codes(self.create(*[transfer(self.new_id(), bank, i, amount) for i in ids]))), {CREATED})
        return ids

    def balances(self, id):
        """(debits pending, debits posted, credits pending, credits posted)"""
        found, = self.client.lookup_accounts([id])
        return found["debits_pending"], found["debits_posted"], found["credits_pending"], found["credits_posted"]

    def flags(self, id):
        return self.client.lookup_accounts([id])[0]["flags"]

    def pairs(self, **more):
        """A debit and a credit account on one shard, then on two."""
        for shards in ((0, 0), (0, 1), (1, 0)):
            yield self.accounts(*shards, **more)


class PendingTests(RulesCase):
    def test_a_reservation_is_posted_in_part(self):
        for a, b in self.pairs():
            p, q = self.new_id(), self.new_id()
            self.assertEqual(self.code(transfer(p, a, b, 600, PENDING)), CREATED)
            self.assertEqual((self.balances(a), self.balances(b)), ((600, 0, 0, 1000), (0, 0, 600, 1000)))
            # What is reserved is not free, and what is promised is not there yet.
            self.assertEqual(self.code(transfer(self.new_id(), a, b, 500, PENDING)), EXCEEDS_CREDITS)
            self.assertEqual(self.code(transfer(self.new_id(), b, a, 1100)), EXCEEDS_CREDITS)
            post = resolution(q, a, p, POST_PENDING, 250)
            (code, timestamp, _), = self.create(post)
            self.assertEqual(code, CREATED)
            self.assertEqual((self.balances(a), self.balances(b)), ((0, 250, 0, 1000), (0, 0, 0, 1250)))
            self.assertEqual(self.create(post), [(EXISTS, timestamp, 0)])
            self.assertEqual(self.code(dict(post, amount=251)), DIFFERENT_AMOUNT)
            self.assertEqual(self.code(resolution(self.new_id(), a, p, POST_PENDING, 1)), ALREADY_POSTED)
            self.assertEqual(self.code(resolution(self.new_id(), a, p, VOID_PENDING)), ALREADY_POSTED)
            found, recorded = self.client.lookup_transfers([(a, p), (a, q)])
            self.assertEqual((found["amount"], found["flags"], found["pending_id"]), (600, PENDING, 0))
            self.assertEqual(
                {k: recorded[k] for k in ("amount", "flags", "pending_id", "credit_account_id", "ledger", "code")},
                dict(amount=250, flags=POST_PENDING, pending_id=p, credit_account_id=b, ledger=1, code=1))

    def test_all_of_it_is_posted(self):
        for a, b in self.pairs():
            p, q = self.new_id(), self.new_id()
            self.code(transfer(p, a, b, 600, PENDING))
            post = resolution(q, a, p, POST_PENDING, ALL)
            (code, timestamp, _), = self.create(post)
            self.assertEqual(code, CREATED)
            self.assertEqual((self.balances(a), self.balances(b)), ((0, 600, 0, 1000), (0, 0, 0, 1600)))
            # The amount compares as it was asked; the record shows what was posted.
            self.assertEqual(self.create(post), [(EXISTS, timestamp, 0)])
            self.assertEqual(self.code(dict(post, amount=600)), DIFFERENT_AMOUNT)
            self.assertEqual(self.client.lookup_transfers([(a, q)])[0]["amount"], 600)

    def test_a_reservation_is_voided(self):
        for a, b in self.pairs():
            p = self.new_id()
            self.code(transfer(p, a, b, 600, PENDING))
            void = resolution(self.new_id(), a, p, VOID_PENDING)
            (code, timestamp, _), = self.create(void)
            self.assertEqual(code, CREATED)
            self.assertEqual((self.balances(a), self.balances(b)), ((0, 0, 0, 1000), (0, 0, 0, 1000)))
            self.assertEqual(self.create(void), [(EXISTS, timestamp, 0)])
            self.assertEqual(self.code(resolution(self.new_id(), a, p, POST_PENDING, ALL)), ALREADY_VOIDED)
            self.assertEqual(self.code(resolution(self.new_id(), a, p, VOID_PENDING)), ALREADY_VOIDED)
            self.assertEqual(self.code(transfer(self.new_id(), a, b, 1000)), CREATED)

    def test_what_a_resolution_names_must_fit(self):
        for a, b in self.pairs():
            p, plain = self.new_id(), self.new_id()
            self.create(transfer(p, a, b, 100, PENDING), transfer(plain, a, b, 1))
            for change, code in [
                    (dict(pending_id=self.new_id()), PENDING_NOT_FOUND), (dict(pending_id=plain), NOT_PENDING),
                    (dict(credit_account_id=self.new_id()), OTHER_CREDIT), (dict(code=2), OTHER_CODE),
                    (dict(amount=101), EXCEEDS_PENDING)]:
                self.assertEqual(self.code(dict(resolution(self.new_id(), a, p, POST_PENDING, 1), **change)), code)
            self.assertEqual(self.balances(a), (100, 1, 0, 1000))
            self.assertEqual(
                self.code(resolution(self.new_id(), a, p, POST_PENDING, 1, credit_account_id=b, ledger=1, code=1)), CREATED)

    def test_refusals_by_the_request_alone(self):
        a, b = self.accounts(0, 1)
        for event, code in [
                (transfer(self.new_id(), a, b, 1, PENDING | POST_PENDING, pending_id=7), 13),
                (resolution(self.new_id(), a, 7, POST_PENDING | VOID_PENDING), 13),
                (resolution(self.new_id(), a, 0, POST_PENDING), 31), (resolution(self.new_id(), a, ALL, VOID_PENDING), 32),
                (resolution(7, a, 7, VOID_PENDING), 33), (transfer(self.new_id(), a, b, 1, PENDING, pending_id=7), 30),
                (transfer(self.new_id(), a, b, 1, timeout=5), 34), (transfer(self.new_id(), a, b, 1, CLOSING_DEBIT), 35),
                (transfer(self.new_id(), a, b, 1, 1 << 8), RESERVED_FLAG)]:
            self.assertEqual(self.create(event), [(code, 0, 0)])
            self.assertEqual(self.create(event), [(code, 0, 0)], "nothing is remembered")

    def test_reservations_expire(self):
        for a, b in self.pairs():
            p, q = self.new_id(), self.new_id()
            self.assertEqual(set(codes(self.create(
                transfer(p, a, b, 100, PENDING, timeout=1), transfer(q, a, b, 10, PENDING, timeout=3600)))), {CREATED})
            wait_until(lambda: self.balances(a)[0] == 10, "the debit side is released")
            wait_until(lambda: self.balances(b)[2] == 10, "the credit side is released")
            self.assertEqual(self.code(resolution(self.new_id(), a, p, POST_PENDING, ALL)), EXPIRED)
            self.assertEqual(self.code(resolution(self.new_id(), a, p, VOID_PENDING)), EXPIRED)
            self.assertEqual(self.code(resolution(self.new_id(), a, q, POST_PENDING, ALL)), CREATED)
            self.assertEqual((self.balances(a), self.balances(b)), ((0, 10, 0, 1000), (0, 0, 0, 1010)))


class ChainTests(RulesCase):
    def test_a_chain_is_applied_whole_and_in_order(self):
        for shards in ((0, 0, 0), (0, 1, 0), (1, 0, 1)):
            with self.subTest(shards=shards):
                a, = self.accounts(shards[0])
                b, c = self.accounts(*shards[1:], amount=0)
                # b and c have nothing but what the chain itself brings them.
                chain = linked([transfer(self.new_id(), a, b, 100), transfer(self.new_id(), b, c, 90),
                                transfer(self.new_id(), c, a, 80)])
                results = self.create(*chain)
                self.assertEqual(codes(results), [CREATED] * 3)
                timestamps = [timestamp for _, timestamp, _ in results]
                self.assertEqual(timestamps, sorted(set(timestamps)))
                self.assertEqual([self.balances(i) for i in (a, b, c)],
                                 [(0, 100, 0, 1080), (0, 90, 0, 100), (0, 80, 0, 90)])
                # Sent again whole it gets its first answers; mixed with something new it is refused.
                again = self.create(*chain)
                self.assertEqual([timestamp for _, timestamp, _ in again], timestamps)
                self.assertLessEqual(set(codes(again)), {CREATED, EXISTS})
                mixed = linked([transfer(self.new_id(), a, c, 1), chain[1], transfer(self.new_id(), a, b, 1)])
                self.assertEqual(codes(self.create(*mixed)), [LINKED_EVENT_FAILED, EXISTS,
                                                              LINKED_EVENT_FAILED])
                self.assertEqual(self.balances(b), (0, 90, 0, 100))

    def test_how_a_request_was_grouped_is_not_compared(self):
        # A job that clears up after a lost answer sends events alone that were a chain, and the other way round.
        for shards in ((0, 0), (0, 1)):
            with self.subTest(shards=shards):
                a, b = self.accounts(*shards)
                chain = linked([transfer(self.new_id(), a, b, 5, PENDING), transfer(self.new_id(), b, a, 4),
                                transfer(self.new_id(), a, b, 3)])
                times = [timestamp for _, timestamp, _ in self.create(*chain)]
                chain.append(resolution(self.new_id(), a, chain[0]["id"], POST_PENDING, 5))
                (code, timestamp, _), = self.create(chain[3])
                self.assertEqual(code, CREATED)
                times.append(timestamp)
                alone = [dict(event, flags=event["flags"] & ~LINKED) for event in chain]
                before = [self.balances(id) for id in (a, b)]
                for event, timestamp in zip(alone, times):
                    self.assertEqual(self.create(event), [(EXISTS, timestamp, 0)])
                again = [(EXISTS, timestamp, 0) for timestamp in times]
                self.assertEqual(self.create(*alone), again)
                self.assertEqual(self.create(*linked(alone)), again)
                self.assertEqual(self.create(*linked(alone[::-1])), again[::-1])
                # The other fields still are, and a chain that mixes known with new is still refused.
                other = dict(alone[1], amount=5)
                self.assertEqual(codes(self.create(other)), [DIFFERENT_AMOUNT])
                mixed = linked([transfer(self.new_id(), a, b, 1), alone[2]])
                self.assertEqual(codes(self.create(*mixed)), [LINKED_EVENT_FAILED, EXISTS])
                self.assertEqual([self.balances(id) for id in (a, b)], before)

    def test_a_chain_is_refused_whole(self):
        for shards in ((0, 0, 0), (0, 1, 0), (1, 0, 1), (0, 0, 1)):
            with self.subTest(shards=shards):
                a, b, c = self.accounts(*shards, amount=100)
                before = [self.balances(i) for i in (a, b, c)]
                chain = linked([transfer(self.new_id(), a, b, 10), transfer(self.new_id(), b, c, 111),
                                transfer(self.new_id(), c, a, 10, PENDING)])
                self.assertEqual(self.create(*chain), [
                    (LINKED_EVENT_FAILED, 0, 0), (EXCEEDS_CREDITS, 0, 0), (LINKED_EVENT_FAILED, 0, 0)])
                self.assertEqual([self.balances(i) for i in (a, b, c)], before)
                self.assertEqual(self.client.lookup_transfers([(e["debit_account_id"], e["id"]) for e in chain]), [])
                # The event at fault is final, those around it are not.
                self.assertEqual(self.create(*chain), [
                    (LINKED_EVENT_FAILED, 0, 0), (ID_ALREADY_FAILED, 0, EXCEEDS_CREDITS), (LINKED_EVENT_FAILED, 0, 0)])
                self.assertEqual(codes(self.create(dict(chain[0], flags=0), chain[2])), [CREATED, CREATED])
                self.assertEqual(self.create(dict(chain[1], flags=0)), [(ID_ALREADY_FAILED, 0, EXCEEDS_CREDITS)])

    def test_a_fault_on_the_credit_side_of_the_other_shard(self):
        a, b = self.accounts(0, 1)
        chain = linked([transfer(self.new_id(), a, b, 10), transfer(self.new_id(), b, 999_999_999, 1)])
        self.assertEqual(codes(self.create(*chain)), [LINKED_EVENT_FAILED, CREDIT_NOT_FOUND])
        self.assertEqual((self.balances(a), self.balances(b)), ((0, 0, 0, 1000), (0, 0, 0, 1000)))

    def test_a_chain_mixes_kinds(self):
        for a, b in self.pairs():
            c, = self.accounts(1, amount=0)
            old, p = self.new_id(), self.new_id()
            self.code(transfer(old, a, b, 300, PENDING))
            chain = linked([
                resolution(self.new_id(), a, old, POST_PENDING, ALL), transfer(self.new_id(), b, c, 30),
                transfer(p, a, c, 50, PENDING), resolution(self.new_id(), a, p, VOID_PENDING)])
            self.assertEqual(codes(self.create(*chain)), [CREATED] * 4)
            self.assertEqual([self.balances(i) for i in (a, b, c)],
                             [(0, 300, 0, 1000), (0, 30, 0, 1300), (0, 0, 0, 30)])
            self.assertEqual(self.code(resolution(self.new_id(), a, p, POST_PENDING, ALL)), ALREADY_VOIDED)
            # A chain that fails leaves a reservation as it was.
            q = self.new_id()
            self.code(transfer(q, a, b, 7, PENDING))
            failing = linked([resolution(self.new_id(), a, q, VOID_PENDING), transfer(self.new_id(), c, a, 31)])
            self.assertEqual(codes(self.create(*failing)), [LINKED_EVENT_FAILED, EXCEEDS_CREDITS])
            self.assertEqual(self.balances(a)[0], 7)
            self.assertEqual(self.code(resolution(self.new_id(), a, q, POST_PENDING, ALL)), CREATED)

    def test_the_faults_that_a_request_shows(self):
        a, b = self.accounts(0, 1)
        one = lambda flags=LINKED: transfer(self.new_id(), a, b, 1, flags)
        self.assertEqual(codes(self.create(one())), [CHAIN_OPEN])
        self.assertEqual(codes(self.create(one(0), one(), one())), [CREATED, LINKED_EVENT_FAILED, CHAIN_OPEN])
        whole = [one() for _ in range(63)] + [one(0)]
        self.assertEqual(codes(self.create(*whole)), [CREATED] * 64)
        long = [one() for _ in range(65)] + [one(0), one(0)]
        self.assertEqual(codes(self.create(*long)), [LINKED_EVENT_FAILED] * 64 + [CHAIN_TOO_LONG, LINKED_EVENT_FAILED,
                                                                                 CREATED])
        # Nothing of it is remembered.
        self.assertEqual(codes(self.create(*[dict(event, flags=0) for event in long])), [CREATED] * 66 + [EXISTS])
        self.assertEqual(self.balances(a)[1], 1 + 64 + 67)

    def test_chains_of_all_lengths_in_a_full_request(self):
        # Runs across every border that a server may cut a request at; each chain's fault is its own.
        accounts = self.accounts(*([0, 1] * 4), amount=10 ** 6)
        lengths = itertools.cycle([1, 2, 3, 31, 32, 33, 63, 64, 1, 5])
        events, expected, moved = [], [], 0
        for length in lengths:
            if len(events) + length > 8190:
                break
            fails = length % 3 == 2
            chain = [transfer(self.new_id(), accounts[n % 8], accounts[(n + length) % 8 if length % 8 else (n + 1) % 8], 1)
                     for n in range(length)]
            if fails:
                chain[-1]["credit_account_id"] = 999_999_999
            events += linked(chain)
            expected += [LINKED_EVENT_FAILED] * (length - 1) + [CREDIT_NOT_FOUND] if fails else [CREATED] * length
            moved += 0 if fails else length
        results = self.create(*events)
        self.assertEqual(codes(results), expected)
        found = self.client.lookup_accounts(accounts)
        self.assertEqual(sum(account["debits_posted"] for account in found), moved)
        self.assertEqual(sum(account["credits_posted"] for account in found), moved + 8 * 10 ** 6)

    def test_chains_against_each_other(self):
        # Two clients at once, opposite ways round the same accounts: all are decided, none in half.
        ids = self.accounts(0, 1, 0, 1, amount=500)
        other = native.Client(*self.server.native)
        self.addCleanup(other.close)
        sent = []
        for round_number in range(40):
            for client, ring in ((self.client, ids), (other, ids[::-1])):
                chain = linked([transfer(self.new_id(), x, y, 1) for x, y in zip(ring, ring[1:] + ring[:1])])
                body = b"".join(native.record(native.TRANSFER_FIELDS, event) for event in chain)
                sent.append((client, client.send(native.CREATE_TRANSFERS, len(chain), body)))
        for client, request in sent:
            self.assertEqual(set(codes(client.results(*client.wait(request)))), {CREATED})
        self.assertEqual([self.balances(i) for i in ids], [(0, 80, 0, 580)] * 4)


class BalancingAndClosingTests(RulesCase):
    def test_a_balancing_debit_takes_what_is_left(self):
        for a, b in self.pairs(amount=70):
            first, second = self.new_id(), self.new_id()
            move = transfer(first, a, b, 100, BALANCING_DEBIT)
            (code, timestamp, _), = self.create(move)
            self.assertEqual(code, CREATED)
            self.assertEqual((self.balances(a), self.balances(b)), ((0, 70, 0, 70), (0, 0, 0, 140)))
            recorded, = self.client.lookup_transfers([(a, first)])
            self.assertEqual((recorded["amount"], recorded["flags"], recorded["pending_id"]), (70, BALANCING_DEBIT, 0))
            self.assertEqual(self.create(move), [(EXISTS, timestamp, 0)])
            self.assertEqual(self.code(dict(move, amount=70)), DIFFERENT_AMOUNT)
            self.assertEqual(self.code(transfer(second, a, b, 100, BALANCING_DEBIT)), CREATED)
            self.assertEqual(self.client.lookup_transfers([(a, second)])[0]["amount"], 0)

    def test_a_balancing_credit_gives_what_may_be_received(self):
        for a, b in self.pairs(amount=70):
            for shard in (0, 1):
                debtor, = self.accounts(shard, amount=0, flags=CREDITS_MUST_NOT_EXCEED_DEBITS)
                self.assertEqual(self.code(transfer(self.new_id(), debtor, b, 25)), CREATED)
                first = self.new_id()
                self.assertEqual(self.code(transfer(first, a, debtor, 60, BALANCING_DEBIT | BALANCING_CREDIT)), CREATED)
                self.assertEqual(self.client.lookup_transfers([(a, first)])[0]["amount"], 25)
                self.assertEqual(self.balances(debtor), (0, 25, 0, 25))

    def test_a_balancing_transfer_may_be_pending(self):
        for a, b in self.pairs(amount=70):
            p = self.new_id()
            self.assertEqual(self.code(transfer(p, a, b, 100, PENDING | BALANCING_DEBIT)), CREATED)
            self.assertEqual(self.balances(a), (70, 0, 0, 70))
            self.assertEqual(self.code(resolution(self.new_id(), a, p, POST_PENDING, ALL)), CREATED)
            self.assertEqual(self.balances(a), (0, 70, 0, 70))

    def test_an_account_is_closed_and_opened_again(self):
        for flag, refused in ((CLOSING_DEBIT, 0), (CLOSING_CREDIT, 1)):
            for pair in self.pairs():
                a, b = pair
                closed, other = pair[refused], pair[1 - refused]
                p = self.new_id()
                self.assertEqual(self.code(transfer(p, a, b, 0, PENDING | flag)), CREATED)
                self.assertEqual((bool(self.flags(closed) & CLOSED), bool(self.flags(other) & CLOSED)), (True, False))
                self.assertEqual(self.code(transfer(self.new_id(), closed, other, 1)), DEBIT_CLOSED)
                self.assertEqual(self.code(transfer(self.new_id(), other, closed, 1)), CREDIT_CLOSED)
                self.assertEqual(self.code(resolution(self.new_id(), a, p, VOID_PENDING)), CREATED)
                self.assertFalse(self.flags(closed) & CLOSED)
                self.assertEqual(self.code(transfer(self.new_id(), closed, other, 1)), CREATED)


class FreezeTests(RulesCase):
    def test_frozen_sides_refuse(self):
        for a, b in self.pairs():
            self.assertEqual(codes(self.client.freeze([(a, DEBITS_FROZEN)])), [CREATED])
            self.assertEqual(self.flags(a), DEBITS_MUST_NOT_EXCEED_CREDITS | DEBITS_FROZEN)
            move = transfer(self.new_id(), a, b, 1)
            self.assertEqual(self.code(move), DEBIT_FROZEN)
            self.assertEqual(self.code(transfer(self.new_id(), b, a, 1)), CREATED)
            self.assertEqual(codes(self.client.freeze([(a, CREDITS_FROZEN)])), [CREATED])
            self.assertEqual(self.code(transfer(self.new_id(), b, a, 1)), CREDIT_FROZEN)
            self.assertEqual(codes(self.client.unfreeze([(a, DEBITS_FROZEN)])), [CREATED])
            self.assertEqual(self.create(move), [(ID_ALREADY_FAILED, 0, DEBIT_FROZEN)])
            self.assertEqual(self.code(transfer(self.new_id(), a, b, 1)), CREATED)
            self.assertEqual(codes(self.client.unfreeze([(a, DEBITS_FROZEN | CREDITS_FROZEN)])), [CREATED])
            self.assertEqual(self.flags(a), DEBITS_MUST_NOT_EXCEED_CREDITS)

    def test_a_reservation_of_a_frozen_account_can_only_be_voided(self):
        for a, b in self.pairs():
            p = self.new_id()
            self.code(transfer(p, a, b, 100, PENDING))
            self.client.freeze([(a, DEBITS_FROZEN | CREDITS_FROZEN)])
            self.assertEqual(self.code(resolution(self.new_id(), a, p, POST_PENDING, ALL)), DEBIT_FROZEN)
            self.assertEqual(self.code(resolution(self.new_id(), a, p, VOID_PENDING)), CREATED)
            self.assertEqual((self.balances(a), self.balances(b)), ((0, 0, 0, 1000), (0, 0, 0, 1000)))

    def test_many_in_one_request_and_what_is_wrong_with_them(self):
        a, b = self.accounts(0, 1)
        results = self.client.freeze([
            (a, DEBITS_FROZEN), (0, DEBITS_FROZEN), (ALL, DEBITS_FROZEN), (a, 0), (a, CLOSED), (999_999_999, DEBITS_FROZEN),
            (b, CREDITS_FROZEN)])
        self.assertEqual(codes(results), [CREATED, 14, 15, RESERVED_FLAG, RESERVED_FLAG, DEBIT_NOT_FOUND, CREATED])
        timestamps = [results[n][1] for n in (0, 6)]
        self.assertTrue(all(timestamps) and len(set(timestamps)) == 2, timestamps)
        body = a.to_bytes(16, "little") + DEBITS_FROZEN.to_bytes(2, "little")
        for n in range(14):
            reserved = bytearray(14)
            reserved[n] = 1
            reply = self.client.call(native.FREEZE_ACCOUNTS, 1, body + reserved)
            self.assertEqual(codes(self.client.results(*reply)), [RESERVED_FIELD])


class RedisRulesTests(RulesCase):
    def setUp(self):
        super().setUp()
        self.redis = redis.Redis(*self.server.resp, socket_timeout=60)
        self.addCleanup(self.redis.close)
        self.run_command = self.redis.execute_command

    def refused(self, name, *command):
        with self.assertRaises(redis.ResponseError) as error:
            self.run_command(*command)
        self.assertEqual(str(error.exception).split()[0], name)

    def transfer_map(self, id, debit):
        words = [word.decode() for word in self.run_command("TRANSFER.GET", id, debit)]
        return dict(zip(words[::2], words[1::2]))

    def test_reserve_post_and_void(self):
        for a, b in self.pairs():
            p, q, r = self.new_id(), self.new_id(), self.new_id()
            reserved = self.run_command("TRANSFER", p, a, b, 600, 1, 7, "PENDING", 3600)
            posted = self.run_command("TRANSFER.POST", q, a, p, "AMOUNT", 250, "DATA64", 5)
            self.assertLess(reserved, posted)
            self.assertEqual(self.run_command("TRANSFER.POST", q, a, p, "AMOUNT", 250, "DATA64", 5), posted)
            self.refused("PENDING_TRANSFER_ALREADY_POSTED", "TRANSFER.VOID", self.new_id(), a, p)
            self.assertEqual(self.balances(a), (0, 250, 0, 1000))
            got = self.transfer_map(q, a)
            self.assertEqual(
                [got[k] for k in ("amount", "pending_id", "flags", "credit_account_id", "code", "user_data_64")],
                ["250", str(p), "post_pending", str(b), "7", "5"])
            self.assertEqual(self.transfer_map(p, a)["flags"], "pending")
            self.assertEqual(self.transfer_map(p, a)["timeout"], "3600")
            self.run_command("TRANSFER", r, a, b, 600, 1, 7, "PENDING")
            self.run_command("TRANSFER.POST", self.new_id(), a, r)
            self.assertEqual(self.balances(a), (0, 850, 0, 1000))
            p = self.new_id()
            self.run_command("TRANSFER", p, a, b, 10, 1, 7, "PENDING")
            self.run_command("TRANSFER.VOID", self.new_id(), a, p)
            self.assertEqual((self.balances(a), self.balances(b)), ((0, 850, 0, 1000), (0, 0, 0, 1850)))

    def test_balancing_closing_and_freezing(self):
        for a, b in self.pairs(amount=70):
            t, u, p = self.new_id(), self.new_id(), self.new_id()
            # b has more credits than debits: its balance has room for none.
            self.run_command("TRANSFER", u, a, b, 100, 1, 1, "BALANCING", "DEBIT", "BALANCING", "CREDIT")
            self.assertEqual(self.transfer_map(u, a)["amount"], "0")
            self.assertEqual(self.transfer_map(u, a)["flags"], "balancing_debit,balancing_credit")
            self.run_command("TRANSFER", t, a, b, 100, 1, 1, "BALANCING", "DEBIT")
            self.assertEqual(self.transfer_map(t, a)["amount"], "70")
            self.run_command("TRANSFER", p, a, b, 0, 1, 1, "PENDING", "CLOSING", "DEBIT")
            self.refused("DEBIT_ACCOUNT_CLOSED", "TRANSFER", self.new_id(), a, b, 0, 1, 1)
            self.run_command("TRANSFER.VOID", self.new_id(), a, p)
            self.assertEqual(self.run_command("ACCOUNT.FREEZE", b, "DEBITS"), b"OK")
            self.refused("DEBIT_ACCOUNT_FROZEN", "TRANSFER", self.new_id(), b, a, 1, 1, 1)
            self.assertEqual(self.run_command("ACCOUNT.UNFREEZE", b, "BOTH"), b"OK")
            self.run_command("TRANSFER", self.new_id(), b, a, 1, 1, 1)
            self.refused("DEBIT_ACCOUNT_NOT_FOUND", "ACCOUNT.FREEZE", 999_999_999, "BOTH")
            self.refused("ID_MUST_NOT_BE_ZERO", "ACCOUNT.FREEZE", 0, "BOTH")

    def test_exec_is_all_or_nothing(self):
        for a, b in self.pairs():
            fee, = self.accounts(1, amount=0)
            pipe = self.redis.pipeline(transaction=True)
            first, second = self.new_id(), self.new_id()
            pipe.execute_command("TRANSFER", first, a, b, 100, 1, 1)
            pipe.execute_command("TRANSFER", second, b, fee, 1100, 1, 2)
            replies = pipe.execute()
            self.assertTrue(all(reply.isdigit() for reply in replies) and replies[0] < replies[1], replies)
            self.assertEqual(self.transfer_map(first, a)["flags"], "linked")
            self.assertEqual(self.transfer_map(second, b)["flags"], "")
            # Sent again whole: the first answers.
            pipe.execute_command("TRANSFER", first, a, b, 100, 1, 1)
            pipe.execute_command("TRANSFER", second, b, fee, 1100, 1, 2)
            self.assertEqual(pipe.execute(), replies)
            pipe.execute_command("TRANSFER", self.new_id(), a, b, 100, 1, 1)
            pipe.execute_command("TRANSFER", self.new_id(), b, fee, 101, 1, 2)
            pipe.execute_command("TRANSFER", self.new_id(), a, fee, 1, 1, 2)
            errors = [str(reply).split()[0] for reply in pipe.execute(raise_on_error=False)]
            self.assertEqual(errors, ["LINKED_EVENT_FAILED", "EXCEEDS_CREDITS", "LINKED_EVENT_FAILED"])
            # Sent again one by one: what the chain answered.
            self.assertEqual(self.run_command("TRANSFER", first, a, b, 100, 1, 1), replies[0])
            self.assertEqual(self.run_command("TRANSFER", second, b, fee, 1100, 1, 2), replies[1])
            self.assertEqual([self.balances(i) for i in (a, b, fee)],
                             [(0, 100, 0, 1000), (0, 1100, 0, 1100), (0, 0, 0, 1100)])

    def test_the_first_error_of_exec_says_which_and_why(self):
        # Several clients show no more of a refused chain.
        a, b = self.accounts(0, 1)
        known, spent = self.new_id(), self.new_id()
        first = self.run_command("TRANSFER", known, a, b, 1, 1, 1)
        self.refused("EXCEEDS_CREDITS", "TRANSFER", spent, a, b, 9999, 1, 1)

        def shown(*moves):
            pipe = self.redis.pipeline(transaction=True)
            for id, amount in moves:
                pipe.execute_command("TRANSFER", id, a, b, amount, 1, 1)
            replies = pipe.execute(raise_on_error=False)
            return [reply.decode() if isinstance(reply, bytes) else str(reply) for reply in replies]

        p, q, r = self.new_id(), self.new_id(), self.new_id()
        why = f"LINKED_EVENT_FAILED event 2 of 3, id {q}, was refused: EXCEEDS_CREDITS the debit account has not so much left"
        self.assertEqual(shown((p, 1), (q, 5000), (r, 1)), [why, why.split(": ")[1], why])
        why = f"LINKED_EVENT_FAILED event 1 of 2, id {spent}, was refused: "
        self.assertEqual(shown((spent, 1), (p, 1))[1].split(" the ")[0], why + "ID_ALREADY_FAILED exceeds_credits")
        why = f"LINKED_EVENT_FAILED event 2 of 2, id {known}, was refused: EXISTS the same was created before"
        self.assertEqual(shown((p, 1), (known, 1)), [why, first.decode()])
        # The second of the same is not told a success.
        self.assertEqual(shown((p, 1), (p, 1)), [
            f"LINKED_EVENT_FAILED event 2 of 2, id {p}, was refused: EXISTS the chain holds this id twice",
            "EXISTS the chain holds this id twice"])
        self.assertEqual(self.balances(b), (0, 0, 0, 1001))

    def test_a_purchase(self):
        buyer, merchant, fee = self.accounts(0, 1, 0)
        reserve, refund = self.new_id(), self.new_id()
        self.run_command("TRANSFER", reserve, buyer, merchant, 500, 1, 1, "PENDING", 900)
        pipe = self.redis.pipeline(transaction=True)
        pipe.execute_command("TRANSFER.POST", self.new_id(), buyer, reserve)
        pipe.execute_command("TRANSFER", self.new_id(), merchant, fee, 15, 1, 2)
        self.assertEqual(len(pipe.execute()), 2)
        self.run_command("TRANSFER", refund, merchant, buyer, 200, 1, 3)
        self.assertEqual([self.balances(i) for i in (buyer, merchant, fee)],
                         [(0, 500, 0, 1200), (0, 215, 0, 1500), (0, 0, 0, 1015)])

    def test_what_multi_refuses(self):
        a, b = self.accounts(0, 1)
        one = self.redis.connection_pool.make_connection()
        self.addCleanup(one.disconnect)

        def ask(*words):
            one.send_command(*words)
            try:
                return one.read_response()
            except redis.ResponseError as error:
                return str(error).split()[0]
        # redis-py takes "ERR" and "EXECABORT" off; what is left begins with the sentence.
        self.assertEqual(ask("EXEC"), "EXEC")
        self.assertEqual(ask("DISCARD"), "DISCARD")
        self.assertEqual((ask("MULTI"), ask("EXEC")), (b"OK", []))
        for words in (("PING",), ("ACCOUNT.GET", a), ("MULTI",), ("NOPE",), ("TRANSFER", 1), ("WATCH", "x")):
            kept = self.new_id()
            self.assertEqual(ask("MULTI"), b"OK")
            self.assertEqual(ask("TRANSFER", kept, a, b, 1, 1, 1), b"QUEUED")
            self.assertIsInstance(ask(*words), str)
            self.assertEqual(ask("EXEC"), "Transaction")
            self.assertIsNone(self.run_command("TRANSFER.GET", kept, a))
        self.assertEqual(ask("MULTI"), b"OK")
        for _ in range(64):
            self.assertEqual(ask("TRANSFER", self.new_id(), a, b, 1, 1, 1), b"QUEUED")
        self.assertEqual(ask("TRANSFER", self.new_id(), a, b, 1, 1, 1), "MULTI")
        self.assertEqual(ask("EXEC"), "Transaction")
        self.assertEqual((ask("MULTI"), ask("TRANSFER", self.new_id(), a, b, 1, 1, 1), ask("DISCARD")),
                         (b"OK", b"QUEUED", b"OK"))
        self.assertEqual(ask("WATCH", "x"), "WATCH")
        self.assertEqual(ask("UNWATCH"), "UNWATCH")
        self.assertEqual(self.balances(a), (0, 0, 0, 1000))

    def test_a_pipeline_keeps_its_order(self):
        # Each command needs the one before it, plain or not.
        for a, b in self.pairs(amount=100):
            p, q = self.new_id(), self.new_id()
            pipe = self.redis.pipeline(transaction=False)
            pipe.execute_command("TRANSFER", self.new_id(), a, b, 100, 1, 1)
            pipe.execute_command("TRANSFER", p, b, a, 150, 1, 1, "PENDING")
            pipe.execute_command("ACCOUNT.GET", b)
            pipe.execute_command("TRANSFER.POST", q, b, p, "AMOUNT", 120)
            pipe.execute_command("TRANSFER", self.new_id(), a, b, 120, 1, 1)
            pipe.execute_command("ACCOUNT.FREEZE", b, "DEBITS")
            pipe.execute_command("TRANSFER", self.new_id(), b, a, 1, 1, 1)
            pipe.execute_command("ACCOUNT.UNFREEZE", b, "DEBITS")
            pipe.execute_command("TRANSFER", self.new_id(), b, a, 1, 1, 1)
            pipe.execute_command("TRANSFER.GET", q, b)
            replies = pipe.execute(raise_on_error=False)
            self.assertEqual(str(replies[6]).split()[0], "DEBIT_ACCOUNT_FROZEN")
            got = dict(zip(replies[2][::2], replies[2][1::2]))
            self.assertEqual((got[b"debits_pending"], got[b"credits_posted"]), (b"150", b"200"))
            self.assertEqual([n for n in (0, 1, 3, 4, 8) if not replies[n].isdigit()], [])
            self.assertEqual(dict(zip(replies[9][::2], replies[9][1::2]))[b"amount"], b"120")
            self.assertEqual(self.balances(b), (0, 121, 0, 320))


class CrashTests(RulesCase):
    def test_what_was_answered_survives_kill_9(self):
        kept = []
        for a, b in self.pairs():
            ids = [self.new_id() for _ in range(6)]
            self.create(transfer(ids[0], a, b, 100, PENDING), transfer(ids[1], a, b, 10, PENDING),
                        transfer(ids[2], a, b, 7, PENDING))
            self.code(resolution(self.new_id(), a, ids[1], POST_PENDING, 4))
            self.code(resolution(self.new_id(), a, ids[2], VOID_PENDING))
            chain = linked([transfer(ids[3], a, b, 20), transfer(ids[4], b, a, 3)])
            self.create(*chain)
            refused = transfer(ids[5], a, b, 5000)
            self.assertEqual(self.code(refused), EXCEEDS_CREDITS)
            self.client.freeze([(b, CREDITS_FROZEN)])
            kept.append((a, b, ids, chain, refused))
        before = self.client.lookup_accounts([i for a, b, *_ in kept for i in (a, b)])
        self.client.close()
        for _ in range(2):
            self.server.restart()
        self.setUp()
        self.assertEqual(self.client.lookup_accounts([i for a, b, *_ in kept for i in (a, b)]), before)
        for a, b, ids, chain, refused in kept:
            self.assertEqual(self.balances(a), (100, 24, 0, 1003))
            self.assertLessEqual(set(codes(self.create(*chain))), {CREATED, EXISTS})
            self.assertEqual(self.create(refused), [(ID_ALREADY_FAILED, 0, EXCEEDS_CREDITS)])
            self.assertEqual(self.code(resolution(self.new_id(), a, ids[1], POST_PENDING, 1)), ALREADY_POSTED)
            self.assertEqual(self.code(resolution(self.new_id(), a, ids[2], POST_PENDING, 1)), ALREADY_VOIDED)
            self.assertEqual(self.code(transfer(self.new_id(), a, b, 1)), CREDIT_FROZEN)
            self.client.unfreeze([(b, CREDITS_FROZEN)])
            self.assertEqual(self.code(resolution(self.new_id(), a, ids[0], POST_PENDING, ALL)), CREATED)
            self.assertEqual((self.balances(a), self.balances(b)), ((0, 124, 0, 1003), (0, 3, 0, 1124)))
        self.assertEqual(self.server.terminate(), 0)
        verified = self.server.verify()
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)

    def test_a_reservation_expires_after_a_restart(self):
        ids = [(self.new_id(), pair) for pair in self.pairs()]
        for p, (a, b) in ids:
            self.assertEqual(self.code(transfer(p, a, b, 100, PENDING, timeout=2)), CREATED)
        self.client.close()
        self.server.restart()
        self.setUp()
        for p, (a, b) in ids:
            wait_until(lambda: (self.balances(a)[0], self.balances(b)[2]) == (0, 0), "both sides are released")
            self.assertEqual(self.code(resolution(self.new_id(), a, p, POST_PENDING, ALL)), EXPIRED)


if __name__ == "__main__":
    unittest.main()
