"""Goal: each check of Scripts/lint finds what it is for, and nothing in a sound tree.

Method: a small tree in a temporary directory, sound at first; one fault is planted at a time.
"""

import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "Scripts"

SOUND = {
    "Package.swift": '.target(name: "SuanpanCore", path: "Sources/Core")\n',
    "Sources/Suanpan/Exports.swift": "@_exported public import struct SuanpanCore.Account\n",
    "Sources/SuanpanClient/Exports.swift": "@_exported public import struct SuanpanCore.Account\n",
    "Sources/Core/Account.swift": """
        // Group 6 of the refusals: Docs/Semantics.md. See README.
        public struct Account {
            public var balance = 0
            public mutating func add(_ amount: Int, twice: Bool = false) { balance += amount }
        }
        func total(_ accounts: [Account]) throws -> Int {
            var first = accounts[0]
            first.add(1)
            return try !accounts.isEmpty ? first.balance : 0
        }
        @main enum Program { static func main() throws { print("\\(try total([Account()]))") } }
        """,
    "Tests/CoreTests/AccountTests.swift": "struct Sums { @Test func addsUp() throws {} }\n",
    "Tests/EndToEnd/test_door.py": "class DoorTests:\n    def test_it_opens(self): pass\n",
    "README.md": "# A ledger\n[pages](Docs/Semantics.md#group-6-the-debit-side), `Sources/Core`\n",
    "Docs/Semantics.md": "# Semantics\n## Group 6: the debit side\n[back](../README.md)\n",
    "Docs/Operations.md": """
        | input | message | effect | test |
        |---|---|---|---|
        | a \\| b | `-ERR a|b` | closed | test_door `test_it_opens`, `DoorTests` |
        | c | none | closed | the same |
        | d | none | none | CoreTests `addsUp`; test_door |
        | e | none | none | AccountTests `addsUp`, `Sums`; Sums `addsUp` |
        """,
}


class CheckTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for name, text in SOUND.items():
            self.plant(name, text)

    def plant(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.lstrip("\n").splitlines()
        margin = len(lines[0]) - len(lines[0].lstrip())
        path.write_text("".join(line[margin:] + "\n" for line in lines), encoding="utf-8")

    def run_check(self, check):
        done = subprocess.run(
            [SCRIPTS / check, self.root], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr

    def assert_found(self, check, name, text, message):
        """The fault is seen where it is planted, and gone with it."""
        before = (self.root / name).read_text(encoding="utf-8") if (self.root / name).exists() else None
        self.plant(name, text)
        status, told = self.run_check(check)
        self.assertEqual(status, 1, told)
        self.assertIn(message, told)
        if before is None:
            (self.root / name).unlink()
        else:
            (self.root / name).write_text(before, encoding="utf-8")

    def test_a_sound_tree_passes(self):
        for check in ("check-declarations", "check-rules", "check-documents"):
            self.assertEqual(self.run_check(check), (0, ""), check)

    def test_dead_declarations(self):
        for text, message in (
                ("func nobody() {}", "nothing uses func nobody()"),
                ("let spare = 1", "nothing uses var spare"),
                ("enum Word { case said }\nfunc say(_ w: Word) {}\nfunc all() { say(.said); all() }",
                 "nothing uses func all()"),
                ("extension Account { func add(_ amount: Int, thrice: Bool) {} }", "Account.add(_:thrice:)"),
                ("struct Empty {}", "nothing uses type Empty"),
                ("struct Own { static let one = Own() }", "nothing uses type Own"),
                ("extension Account {\n  init(_ amount: Int, from other: Account) {}\n}", "Account.init(_:from:)"),
                ("// nobody()\nlet text = \"nobody()\"\nfunc nobody() { print(text) }", "nothing uses func nobody()"),
                ("func nobody() { let nobody = 1; print(nobody) }", "nothing uses func nobody()")):
            with self.subTest(text):
                self.assert_found("check-declarations", "Sources/Core/Fault.swift", text, message)

    def test_declarations_that_only_tests_use(self):
        self.plant("Tests/CoreTests/SpareTests.swift", "@Test func spares() { spare(1) }")
        self.assert_found(
            "check-declarations", "Sources/Core/Fault.swift", "func spare(_ n: Int) {}", "only tests use func spare(_:)")

    def test_declarations_that_are_allowed(self):
        self.plant("Sources/Core/Spare.swift", "func spare(_ n: Int) {}")
        self.plant("Scripts/declarations-allowed", "spare(_:)  # a test's helper\n")
        self.assertEqual(self.run_check("check-declarations"), (0, ""))
        self.assert_found("check-declarations", "Scripts/declarations-allowed", "spare(_:)", "give a reason")
        self.assert_found(
            "check-declarations", "Scripts/declarations-allowed", "spare(_:)  # one\nother  # two", "other is not needed")

    def test_rules(self):
        for name, text, message in (
                ("Package.swift", '.target(\n    name: "CSupport", path: "x")', "target CSupport"),
                ("Sources/Suanpan/Exports.swift", "@_exported public import SuanpanCore", "re-export single types"),
                ("Sources/Core/Fault.swift", "@_exported import Glibc", "re-export single types"),
                ("Scripts/fault", "swift build -c release --product suanpan", "Scripts/fault:1: build with Scripts/release"),
                ("Makefile", "demo:\n\tswift run -c release suanpan", "Makefile:2: build with Scripts/release"),
                ("Sources/Core/Fault.swift", "let a = try? b()", "Fault.swift:1: try?"),
                ("Sources/Core/Fault.swift", "let b = 1\nlet a = try! b()", "Fault.swift:2: try!"),
                ("Sources/Core/Fault.swift", "let a = unsafe b()", "Fault.swift:1: unsafe"),
                ("Sources/Core/Fault.swift", "// TO" + "DO: later", "do it now"),
                ("Sources/Core/Fault.swift", "let a = 1\n" * 701, "701 lines")):
            with self.subTest(message):
                self.assert_found("check-rules", name, text, message)

    def test_documents(self):
        for name, text, message in (
                ("README.md", "[a](Docs/Nowhere.md)", "the link to Docs/Nowhere.md leads nowhere"),
                ("README.md", "[a](Docs/Semantics.md#group-7)", "no heading has the anchor #group-7"),
                ("README.md", "# A\n[a](#b)", "no heading has the anchor #b"),
                ("README.md", "see `Sources/Nowhere`", "Sources/Nowhere leads nowhere"),
                ("Sources/Core/Fault.swift", "// See Docs/Nowhere.md.", "there is no document Docs/Nowhere.md"),
                ("Sources/Core/Fault.swift", "// See Docs/Nowhere: it says.", "there is no document Docs/Nowhere"),
                ("Sources/Core/Fault.swift", "// As NOWHERE.md says.", "there is no document NOWHERE.md"),
                ("Sources/Core/Fault.swift", "// As SEMANTICS says.", "SEMANTICS: write Docs/Semantics.md"),
                ("Tests/EndToEnd/fault.py", "# DESIGN's rule", "DESIGN: there is no such document"),
                ("Makefile", "# see Nowhere.md", "there is no document Nowhere.md"),
                ("Scripts/fault", "# see Docs/Nowhere.md", "there is no document Docs/Nowhere.md"),
                ("Sources/Core/Fault.swift", "// Group 6", "name Docs/Semantics.md"),
                ("Sources/Core/Fault.swift", "// Groups 6 and 9: Docs/Semantics.md", "no heading of Group 9")):
            with self.subTest(message):
                self.assert_found("check-documents", name, text, message)

    def test_the_table_of_bad_input(self):
        table = "| input | test |\n|---|---|\n| a | {} |\n"
        for cell, message in (
                ("test_door `test_it_closes`", "test_door has no test test_it_closes"),
                ("CoreTests `addsUp`, `nothing`", "CoreTests has no test nothing"),
                ("test_window `test_it_opens`", "there are no tests test_window"),
                ("", "names no test"), ("none yet", "names no test"), ("a | b", "3 cells instead of 2")):
            with self.subTest(cell):
                self.assert_found("check-documents", "Docs/Operations.md", table.format(cell), message)


if __name__ == "__main__":
    unittest.main()
