"""A client of the native protocol, written from Docs/Protocol.md alone. Python 3.9 or later, standard library only."""

import json
import socket
import struct

MAGIC, VERSION = 0x314E5053, 1
AUTHENTICATE, PING, STATUS, CREATE_ACCOUNTS, CREATE_TRANSFERS, LOOKUP_ACCOUNTS, LOOKUP_TRANSFERS = 1, 2, 3, 16, 17, 18, 19
OK, BUSY, NOT_AUTHENTICATED, UNKNOWN_OPERATION, SHUTTING_DOWN, UNBALANCED, INVALID_FILTER, LOADING = range(8)
MALFORMED, UNSUPPORTED_VERSION, TOO_LARGE, CHECKSUM_MISMATCH, TIMEOUT = 16, 17, 18, 19, 20
CREATED, EXISTS, ID_ALREADY_FAILED, EXCEEDS_CREDITS = 0, 60, 61, 87
FREEZE_ACCOUNTS, UNFREEZE_ACCOUNTS, TOTALS = 20, 21, 22
CONSISTENT = 1
GET_ACCOUNT_TRANSFERS, GET_ACCOUNT_BALANCES, QUERY_ACCOUNTS, QUERY_TRANSFERS = 23, 24, 25, 26
DEBITS_MUST_NOT_EXCEED_CREDITS, HISTORY, CLOSED, DEBITS_FROZEN, CREDITS_FROZEN = 1 << 1, 1 << 3, 1 << 4, 1 << 5, 1 << 6
DEBITS, CREDITS, REVERSED = 1, 2, 4  # of a filter
LINKED, PENDING, POST_PENDING, VOID_PENDING, BALANCING_DEBIT, BALANCING_CREDIT, CLOSING_DEBIT, CLOSING_CREDIT = (
    1 << bit for bit in range(8))
ALL = 2 ** 128 - 1  # the amount that posts all of a pending transfer
HEADER = struct.Struct("<IHBBQIIII24xII")
ACCOUNT_FIELDS = ("id", "debits_pending", "debits_posted", "credits_pending", "credits_posted", "user_data_128",
                  "user_data_64", "user_data_32", "reserved", "ledger", "code", "flags", "timestamp")
TRANSFER_FIELDS = ("id", "debit_account_id", "credit_account_id", "amount", "pending_id", "user_data_128",
                   "user_data_64", "user_data_32", "timeout", "ledger", "code", "flags", "timestamp")
WIDTHS = (16, 16, 16, 16, 16, 16, 8, 4, 4, 4, 2, 2, 8)  # of both records
FILTER_FIELDS = ("account", "user_data_128", "user_data_64", "user_data_32", "ledger", "code", "flags", "limit",
                 "timestamp_min", "timestamp_max", "reserved")
FILTER_WIDTHS = (16, 16, 8, 4, 4, 2, 2, 4, 8, 8, 56)
BALANCE_FIELDS = ("debits_pending", "debits_posted", "credits_pending", "credits_posted", "timestamp", "reserved")
BALANCE_WIDTHS = (16, 16, 16, 16, 8, 8)

TABLE = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
    TABLE.append(i)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def frame(operation, request_id, count=0, body=b"", flags=0, magic=MAGIC, version=VERSION):
    head = HEADER.pack(magic, version, operation, 0, request_id, count, len(body), flags, 0, crc32c(body), 0)
    return head[:60] + struct.pack("<I", crc32c(head[:60])) + body


def record(fields, values, widths=WIDTHS):
    unknown = set(values) - set(fields)
    if unknown:
        raise ValueError(f"no such field: {unknown}")
    return b"".join(values.get(name, 0).to_bytes(width, "little") for name, width in zip(fields, widths))


def records(fields, body, widths=WIDTHS):
    for start in range(0, len(body), sum(widths)):
        offset, values = start, {}
        for name, width in zip(fields, widths):
            values[name] = int.from_bytes(body[offset:offset + width], "little")
            offset += width
        yield values


def totals(body):
    """Four sums and the cut's timestamp, by ledger."""
    found = {}
    for start in range(0, len(body), 80):
        ledger, _, timestamp = struct.unpack_from("<IIQ", body, start)
        sums = [int.from_bytes(body[at:at + 16], "little") for at in range(start + 16, start + 80, 16)]
        names = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
        found[ledger] = dict(zip(names, sums), timestamp=timestamp)
    return found


def slot_of(account_id, salt):
    """The slot of an account; status' slot_map[slot] is its shard."""
    mask = (1 << 64) - 1

    def fold(x, y):
        product = x * y
        return product >> 64 ^ product & mask
    a, b = salt & mask, salt >> 64
    h = fold(account_id & mask ^ a ^ 0x2D358DCCAA6C78A5, account_id >> 64 ^ b ^ 0x8BB84B93962EACC9)
    return fold(h ^ a, 0x9E3779B97F4A7C15) >> 52


class Refused(Exception):
    """The request as a whole was not executed; `status` says why, `reason` what is wrong with a filter."""

    def __init__(self, status, retry_after_ms, reason=""):
        super().__init__(f"status {status}, retry after {retry_after_ms} ms {reason}")
        self.status, self.retry_after_ms, self.reason = status, retry_after_ms, reason


class Client:
    def __init__(self, host, port, password=None):
        self.socket = socket.create_connection((host, port), timeout=60)
        self.last_id, self.replies = 0, {}
        if password is not None:
            self.call(AUTHENTICATE, 0, password.encode())

    def close(self):
        self.socket.close()

    def receive(self, count):
        data = bytearray()
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise ConnectionError("the server closed the connection")
            data += piece
        return bytes(data)

    def read_reply(self):
        """Returns (request id, (status, retry after, count, flags, body)) of the next reply, whichever it is."""
        head = self.receive(64)
        magic, version, _, status, request_id, count, length, flags, retry, body_crc, head_crc = HEADER.unpack(head)
        if (magic, version) != (MAGIC, VERSION) or crc32c(head[:60]) != head_crc:
            raise ConnectionError("not a reply")
        body = self.receive(length)
        if crc32c(body) != body_crc:
            raise ConnectionError("the reply is damaged")
        return request_id, (status, retry, count, flags, body)

    def send(self, operation, count, body=b"", flags=0):
        """Sends a request without waiting; `wait` takes the id returned."""
        self.last_id += 1
        self.socket.sendall(frame(operation, self.last_id, count, body, flags))
        return self.last_id

    def wait(self, request_id):
        while request_id not in self.replies:
            other, reply = self.read_reply()
            self.replies[other] = reply
        status, retry, count, flags, body = self.replies.pop(request_id)
        if status != OK:
            raise Refused(status, retry, body.decode())
        return count, flags, body

    def call(self, operation, count=0, body=b"", flags=0):
        return self.wait(self.send(operation, count, body, flags))

    @staticmethod
    def results(count, flags, body):
        """One (code, timestamp, reason) per event."""
        if flags & 1:
            return [(CREATED, timestamp, 0) for timestamp, in struct.iter_unpack("<Q", body)]
        return [(code, timestamp, reason) for timestamp, code, reason in struct.iter_unpack("<QHH4x", body)]

    def ping(self):
        self.call(PING)

    def status(self):
        return json.loads(self.call(STATUS)[2])

    def create_accounts(self, accounts):
        body = b"".join(record(ACCOUNT_FIELDS, account) for account in accounts)
        return self.results(*self.call(CREATE_ACCOUNTS, len(accounts), body))

    def create_transfers(self, transfers):
        body = b"".join(record(TRANSFER_FIELDS, transfer) for transfer in transfers)
        return self.results(*self.call(CREATE_TRANSFERS, len(transfers), body))

    def freeze(self, items, operation=FREEZE_ACCOUNTS):
        """Items are (account, DEBITS_FROZEN | CREDITS_FROZEN)."""
        body = b"".join(i.to_bytes(16, "little") + sides.to_bytes(2, "little") + bytes(14) for i, sides in items)
        return self.results(*self.call(operation, len(items), body))

    def unfreeze(self, items):
        return self.freeze(items, UNFREEZE_ACCOUNTS)

    def lookup_accounts(self, ids, consistent=False):
        body = b"".join(i.to_bytes(16, "little") for i in ids)
        flags = CONSISTENT if consistent else 0
        return list(records(ACCOUNT_FIELDS, self.call(LOOKUP_ACCOUNTS, len(ids), body, flags)[2]))

    def totals(self, ledgers=()):
        body = b"".join(ledger.to_bytes(4, "little") for ledger in ledgers)
        return totals(self.call(TOTALS, len(ledgers), body)[2])

    def query(self, operation, **filter):
        """Transfers, accounts or balances, by a filter's fields; what is left out is 0, but limit 8190."""
        wanted = record(FILTER_FIELDS, dict(dict(limit=8190), **filter), FILTER_WIDTHS)
        count, _, body = self.call(operation, 1, wanted)
        if operation == GET_ACCOUNT_BALANCES:
            found = list(records(BALANCE_FIELDS, body, BALANCE_WIDTHS))
        else:
            found = list(records(ACCOUNT_FIELDS if operation == QUERY_ACCOUNTS else TRANSFER_FIELDS, body))
        if len(found) != count:
            raise ConnectionError(f"{count} records said, {len(found)} there")
        return found

    def lookup_transfers(self, keys):
        """Of (debit account, id) pairs, those that exist; of a debit account 0, all with the id."""
        body = b"".join(debit.to_bytes(16, "little") + i.to_bytes(16, "little") for debit, i in keys)
        return list(records(TRANSFER_FIELDS, self.call(LOOKUP_TRANSFERS, len(keys), body)[2]))
