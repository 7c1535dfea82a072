"""Goal: the search finds every order that explains a history. Method: small histories, written by hand."""

import sys
import unittest

from history.doors import Step
from history.generator import ACCOUNT_ZERO, TRANSFER_ZERO
from history.model import LINKED_FAILED, Model, Result
from history.search import explain

LINKED, POST = 1, 4


def step(kind, body, answer, start, end):
    made = Step(kind, body)
    made.answer, made.start, made.end, made.wall_end = answer, start, end, end
    return made


class SearchTest(unittest.TestCase):
    def test_a_chain_refused_elsewhere_finds_its_place(self):
        """Two chains of the same ids, under way at the same time, are refused for good at different events: the one that came
        to its second event was first, though the other began first."""
        accounts = [step("account", dict(ACCOUNT_ZERO, id=i, ledger=1, code=1), [Result("created", i)], i, i) for i in (1, 2)]
        first = dict(TRANSFER_ZERO, id=5, debit_account_id=1, credit_account_id=2, amount=1, ledger=1, code=1, flags=LINKED)
        second = dict(TRANSFER_ZERO, id=6, debit_account_id=2, pending_id=9, flags=POST)
        changed = step("chain", [dict(first, ledger=2), second],
                       [Result("debit_account_has_different_ledger"), LINKED_FAILED], 10, 40)
        whole = step("chain", [first, second], [LINKED_FAILED, Result("pending_transfer_not_found")], 20, 30)
        found = explain(Model(), accounts + [changed, whole])
        self.assertTrue(found.done, str(found))


if __name__ == "__main__":
    sys.exit(unittest.main())
