"""The rows of the hostile world are whole: each names its promise, its figure and tests that are there."""

from __future__ import annotations

import ast
import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from tests import figures
from tests.figures import HOSTILE, ROOT, Row, rows, seen_in

SURFACES: Final = frozenset({
    "includes", "joins", "counts_and_pages", "ignored_parameters", "reads_and_batches", "contained_and_references",
    "narrative", "source_words", "next_links", "wrong_patient", "bombs", "wrong_content", "tokens", "keys",
    "numbers_in_logs", "smuggling", "viewer", "existence",
})  # fmt: skip
"""Where gateways like this one have been attacked."""
PROMISES: Final = frozenset({
    "no_audit_no_data", "acknowledged_is_durable", "tamper_evident", "report_is_complete", "opt_out_is_immediate",
    "permission_expires", "no_oracle", "joins", "wrong_patient", "no_canary_leaks", "one_bad_source", "no_retry_storm",
    "bombs", "robust", "policy",
})  # fmt: skip


@cache
def names_in(path: Path) -> frozenset[str]:
    """`test_x` and `Class::test_x` of a file."""
    tree = ast.parse(path.read_text())
    found = set(_named(tree.body))
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{name}" for name in _named(node.body)}
    return frozenset(found)


def _named(body: list[ast.stmt]) -> list[str]:
    return [
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]


def test_every_surface_and_every_promise_has_its_row() -> None:
    assert {row.name for row in rows()} == SURFACES | PROMISES


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_what_holds_a_row_is_there(row: Row) -> None:
    own = {path for path in (HOSTILE / row.name).glob("test_*.py") if names_in(path)}
    assert own or row.tests
    for test in row.tests:
        path, _, name = test.partition("::")
        assert name in names_in(ROOT / path), test


def report(nodeid: str, outcome: str = "passed", when: str = "call", *said: str) -> Any:
    properties = [("hostile-figure", text) for text in said]
    return SimpleNamespace(
        nodeid=nodeid, passed=outcome == "passed", failed=outcome == "failed", when=when, user_properties=properties
    )


ONE, OTHER = Row("one", "p", "f"), Row("other", "p", "f", ("tests/unit/test_x.py::test_y",))


def test_a_row_is_held_by_its_own_tests_and_by_those_it_names() -> None:
    reports = [
        report("tests/hostile/one/test_a.py::test_b[1]", "passed", "setup"),
        report("tests/hostile/one/test_a.py::test_b[1]", "passed", "call", "7 of 7"),
        report("tests/unit/test_x.py::test_y[2]"),
        report("tests/unit/test_x.py::test_z", "failed"),
    ]
    one, other = seen_in(reports, [ONE, OTHER])
    assert (one.verdict, one.passed, one.figures) == ("held", 1, ["7 of 7"])
    assert (other.verdict, other.passed) == ("held", 1)


def test_one_failure_breaks_a_row_and_none_at_all_is_said() -> None:
    reports = [report("tests/unit/test_x.py::test_y"), report("tests/unit/test_x.py::test_y[b]", "failed", "setup")]
    assert [each.verdict for each in seen_in(reports, [ONE, OTHER])] == ["not run", "broken"]


def test_the_table_is_printed_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    passed = pytest.TestReport(
        "tests/hostile/bombs/test_a.py::test_b",
        ("", 0, ""),
        {},
        "passed",
        None,
        "call",
        user_properties=[("hostile-figure", "12 MiB")],
    )
    printer = SimpleNamespace(stats={"passed": [passed]}, section=lines.append, write_line=lines.append)
    monkeypatch.setattr(figures, "WRITTEN", tmp_path / "build" / "figures.json")
    figures.pytest_terminal_summary(printer)
    assert any(line.startswith("held     bombs") for line in lines)
    assert any("12 MiB" in line for line in lines)
    kept = json.loads((tmp_path / "build" / "figures.json").read_text())
    assert {each["name"]: each["verdict"] for each in kept}["tokens"] == "not run"


def test_a_run_without_the_hostile_world_prints_nothing() -> None:
    figures.pytest_terminal_summary(SimpleNamespace(stats={"passed": [report("tests/unit/test_x.py::test_y")]}))
