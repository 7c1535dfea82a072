"""Goal: Docs/Operations.md names every field of INFO, and what it says of when counters begin is so. Method: the fields of a
server that has worked, beside the words of the page; the counters before and after a restart."""

import os
import re
import unittest

import native_client as native
from bad_input import Resp, account, codes, transfer, wait_until
from server import ROOT, Server


def fields(text):
    """By name; of `shard0:appended_lsn=1,groups=2` the names behind the colon, of a ledger's line likewise."""
    found = {}
    for line in text.replace("\r", "").splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            continue
        if re.fullmatch(r"(shard|ledger)\d+", name):
            for part in value.split(","):
                inner, _, number = part.partition("=")
                found.setdefault(inner, []).append(number)
        else:
            found[name] = value
    return found


def sections():
    """Names in code style, by the section of INFO in whose row of the table they stand."""
    with open(os.path.join(ROOT, "Docs", "Operations.md")) as file:
        page = file.read().split("## What INFO says\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|(.*)$", page, re.M)
    return {section: set(re.findall(r"`(\w+)`", text)) for section, text in rows}


class InfoTests(unittest.TestCase):
    def setUp(self):
        self.server = Server(shards=2, options=["--segment", "1MiB"])
        self.addCleanup(self.server.close)

    def work(self, first):
        client = native.Client(*self.server.native)
        self.addCleanup(client.close)
        client.create_accounts([account(id) for id in range(1, 21)])
        results = client.create_transfers([transfer(first + id, id, id % 20 + 1) for id in range(1, 21)])
        self.assertEqual(set(codes(results)), {native.CREATED})

    def info(self, *section):
        connection = Resp(self.server.resp)
        self.addCleanup(connection.close)
        return connection.ask("INFO", *section)

    def test_every_field_is_explained(self):
        self.work(1000)
        wait_until(lambda: "balanced:1" in self.info(), "a look at the books")
        named = sections()
        text = self.info()
        titles = [line[2:].strip().lower() for line in text.splitlines() if line.startswith("# ")]
        self.assertEqual(sorted(titles), sorted(named))
        for section in titles:
            missing = set(fields(self.info(section))) - named[section]
            self.assertEqual(missing, set(), f"fields of INFO {section} that Docs/Operations.md does not name")
            if section not in ("persistence", "totals"):
                self.assertNotEqual(fields(self.info(section)), {}, section)

    def test_counters_begin_with_the_process_and_the_ledgers_go_on(self):
        self.work(1000)
        wait_until(lambda: "\ntransfers:20\r" in self.info("server"), "INFO has caught up")
        self.assertNotEqual(fields(self.info("stats"))["total_commands_processed"], "0")
        self.server.terminate()
        self.server.start()
        wait_until(lambda: "\ntransfers:20\r" in self.info("server"), "INFO knows what the log holds")
        self.assertEqual(fields(self.info("shards"))["crossing_share"], ["0.000", "0.000"])
        self.assertEqual(fields(self.info("journal"))["groups"], ["0", "0"])
        # The first transfer to an account of the other shard is one of those since the start, not of all in the log.
        client = native.Client(*self.server.native)
        self.addCleanup(client.close)
        for count in range(1, 20):
            self.assertEqual(codes(client.create_transfers([transfer(2000 + count, 1, count + 1)])), [native.CREATED])
            wait_until(lambda: f"\ntransfers:{20 + count}\r" in self.info("server"), "INFO has caught up")
            crossed = max(float(share) for share in fields(self.info("shards"))["crossing_share"])
            if crossed > 0:
                break
        self.assertAlmostEqual(crossed, 1 / count, delta=0.001)


if __name__ == "__main__":
    unittest.main()
