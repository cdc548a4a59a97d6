"""The papers of docs/assurance are held to the project: the tests that they name, their ratings, and what they list."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import documents
from tests.documents import COLUMN, ROOT, Named, fault, faults, named, nodes, rows

ASSURANCE = ROOT / "docs" / "assurance"
SECTIONS = {
    "8.1": 4, "8.2": 4, "8.3": 3, "8.4": 2,
    "9.1": 3, "9.2": 4,
    "10.1": 2, "10.2": 3, "10.3": 5, "10.4": 16, "10.5": 5, "10.6": 2, "10.7": 3,
    "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 4,
}  # fmt: skip
"""How many requirements each section of the four chapters has in ASVS 5.0.0."""

OUTSIDE = "needs what is no part of the project"
Write = Callable[[str, str], Named]


def paper(name: str) -> str:
    return (ASSURANCE / name).read_text(encoding="utf-8")


def test_every_test_that_a_document_names_exists_and_runs() -> None:
    assert faults() == []


@pytest.mark.slow
def test_pytest_collects_every_one_of_them() -> None:
    told = {test for path in documents.documents() for test in named(path.read_text(encoding="utf-8"))}
    assert len(told) > 150
    asked = sorted({node for test in told for node in nodes(test)})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    collected = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert collected == set(asked)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, text: str) -> Named:
        file = tmp_path / "tests" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return Named(f"tests/{name}", "test_it")

    return written


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("test_a.py", "def test_it():\n    assert True\n", ""),
        ("test_a.py", "class TestIt:\n    async def test_it(self):\n        assert True\n", ""),
        ("test_a.py", "@pytest.mark.skipif(CHROMIUM is None, reason='y')\ndef test_it():\n    assert True\n", ""),
        ("test_a.py", "@needs_kernel\n@pytest.mark.slow\ndef test_it():\n    assert True\n", ""),
        ("test_a.py", "@pytest.mark.skipif(x, reason='y')\ndef test_it():\n    ...\n", OUTSIDE),
        ("test_a.py", "pytestmark = NEEDS_DATA\ndef test_it():\n    ...\n", OUTSIDE),
        ("test_a.py", "WAYS = pytest.mark.parametrize('x', [1])\n@WAYS\ndef test_it(x):\n    assert x\n", ""),
        ("test_a.py", "from tests.marks_ import WHERE\n@WHERE\ndef test_it():\n    ...\n", OUTSIDE),
        ("test_a.py", "def test_it(shared_data):\n    ...\n", OUTSIDE),
        ("test_a.py", "def test_it():\n    if x:\n        pytest.skip('no network')\n    assert True\n", ""),
        ("test_a.py", "def test_other():\n    assert True\n", "there is no such test"),
        ("test_a.py", "class Kept:\n    def test_it(self):\n        assert True\n", "there is no such test"),
        ("test_a.py", "def outer():\n    def test_it():\n        assert True\n", "there is no such test"),
        ("helper.py", "def test_it():\n    assert True\n", "pytest collects nothing from this file"),
        ("test_a.py", "@pytest.mark.skip\ndef test_it():\n    assert True\n", "is skipped, whatever happens"),
        ("test_a.py", "@pytest.mark.skip(reason='later')\ndef test_it():\n    ...\n", "is skipped, whatever happens"),
        ("test_a.py", "def test_it():\n    '''Says why.'''\n    pytest.skip('x')\n", "is skipped, whatever happens"),
        ("test_a.py", "pytestmark = [pytest.mark.skip]\ndef test_it():\n    ...\n", "the whole file is skipped"),
    ],
)
def test_what_proves_nothing_is_found(tmp_path: Path, write: Write, name: str, text: str, said: str) -> None:
    write("marks_.py", "WHERE = pytest.mark.skipif(not FILES, reason='they are elsewhere')\n")
    found = fault(write(name, text), tmp_path)
    assert found.endswith(said)
    assert bool(found) is bool(said)


def test_a_file_that_is_not_there_and_one_that_no_target_runs_are_found(tmp_path: Path) -> None:
    assert "there is no such file" in fault(Named("tests/test_gone.py", "test_it"), tmp_path)
    assert "run by no target of CI" in fault(Named("tests/real/test_record.py", "test_it"))


def test_a_row_without_a_test_says_why(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    head = "| Id | Control | Test |\n|---|---|---|\n"
    body = "| 1 | one | |\n| 2 | two | none: the issuer's |\n| 3 | a \\| b | `tests/test_gone.py::test_it` |\n"
    (tmp_path / "docs" / "log.md").write_text(head + body)
    for name in ("README.md", "SECURITY.md"):
        (tmp_path / name).touch()
    assert faults(tmp_path) == [
        "docs/log.md: tests/test_gone.py::test_it: there is no such file",
        "docs/log.md: no test, and no reason why there is none, in: 1",
    ]
    (tmp_path / "docs" / "log.md").write_text(head + "| 1 | two | many | cells |\n")
    assert "a row has 4 cells where the head has 3" in faults(tmp_path)[0]
    (tmp_path / "docs" / "log.md").write_text("`tests/test_a.py::test_it[gp]`, tests/test_a.py::TestIt::test_it\n")
    assert faults(tmp_path) == ["docs/log.md: 2 tests are named in another way than `file::test`"]


def test_the_command_says_what_it_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert documents.main() == 0
    assert re.search(r"Every test that \d+ documents name exists and runs", capsys.readouterr().out)
    monkeypatch.setattr(documents, "faults", lambda: ["docs/log.md: gone"])
    assert documents.main() == 1
    assert capsys.readouterr().out == "docs/log.md: gone\n"


LOGS = ("hazard-log.md", "threat-model.md", "asvs.md", "dpia.md", "core-information-standard.md")


@pytest.mark.parametrize("name", LOGS)
def test_ids_are_there_once(name: str) -> None:
    ids = [row.get("Id") or row["Requirement"] for row in rows(paper(name))]
    assert len(ids) == len(set(ids)) > 20


def test_every_hazard_has_its_rating_by_the_matrix_and_its_controls() -> None:
    text = paper("hazard-log.md")
    matrix = {}
    severities = ("minor", "significant", "considerable", "major", "catastrophic")
    line = r"^\| (very high|high|medium|low|very low) \|" + r" (\d) \|" * 5
    for likelihood, *risks in re.findall(line, text, re.MULTILINE):
        matrix |= {(severity, likelihood): risk for severity, risk in zip(severities, risks, strict=True)}
    assert len(matrix) == 25
    rating = r"(\w+) x ([a-z ]+) = (\d)"
    listed = re.findall(rf"^\| (H\d\d) \| (.+?) \| {rating} \| {rating} \|$", text, re.MULTILINE)
    assert [found[0] for found in listed] == [f"H{number:02}" for number in range(1, len(listed) + 1)]
    assert len(listed) == 19
    for hazard, title, *ratings in listed:
        initial, residual = ratings[:3], ratings[3:]
        assert matrix[initial[0], initial[1]] == initial[2], hazard
        assert matrix[residual[0], residual[1]] == residual[2], hazard
        assert int(residual[2]) <= min(3, int(initial[2])), (
            f"{hazard}: a control doesn't raise a risk, nor leave it at 4"
        )
        assert f"### {hazard} {title}\n" in text
    controlled = [row["Id"].partition(".")[0] for row in rows(text)]
    assert set(controlled) == {found[0] for found in listed}
    stays = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert all("What stays: " in section for section in stays)


def test_every_kind_of_threat_is_thought_of() -> None:
    kinds = {row["Kind"] for row in rows(paper("threat-model.md"))}
    stride = {"spoofing", "tampering", "repudiation", "disclosure", "denial of service", "elevation"}
    linddun = {"linking", "identifying", "non-repudiation", "detecting", "disclosure", "unawareness", "non-compliance"}
    assert kinds == stride | linddun


def test_every_requirement_of_the_four_chapters_is_answered() -> None:
    wanted = [f"{section}.{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)]
    answered = list(rows(paper("asvs.md")))
    assert [row["Requirement"] for row in answered] == wanted
    assert {row["State"] for row in answered} <= {"met", "partly", "not", "operator", "n/a"}
    assert {row["Level"] for row in answered} == {"1", "2", "3"}
    bare = [row["Requirement"] for row in answered if row["State"] == "met" and not named(row[COLUMN])]
    assert not bare, "what is met is met by a test"
