"""The rows of the hostile world: what is promised, at which figure, by which tests; and what those tests saw.

Each folder below tests/hostile is one row. Its `row.yaml` says the promise, the figure that is asked, and which tests
elsewhere hold it; what stands in the folder itself holds it too. After a run that had any test of tests/hostile in it,
a table says of every row whether it held, and build/hostile/figures.json holds the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

TESTS: Final = Path(__file__).parent
ROOT: Final = TESTS.parent
HOSTILE: Final = TESTS / "hostile"
WRITTEN: Final = ROOT / "build" / "hostile" / "figures.json"
_FIGURE: Final = "hostile-figure"

Figure = Callable[[str], None]
"""`figure("2,000 bundles: 0 released")`: what the table shows of this test."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `tests` are node ids below the project's folder, without parameters."""

    name: str
    promise: str
    asked: str
    tests: tuple[str, ...] = ()


@dataclass(slots=True)
class Seen:
    """What became of a row in this run."""

    row: Row
    passed: int = 0
    failed: int = 0
    figures: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """`broken` where any of its tests failed, `not run` where none ran."""
        return "broken" if self.failed else "held" if self.passed else "not run"


def rows(folder: Path = HOSTILE) -> list[Row]:
    """Every row, by name. Raises KeyError or TypeError where a `row.yaml` isn't one."""
    yaml = YAML(typ="safe")
    return [_row(path.parent.name, yaml.load(path)) for path in sorted(folder.glob("*/row.yaml"))]


def _row(name: str, node: Mapping[str, Any]) -> Row:
    return Row(name, str(node["promise"]), str(node["asked"]), tuple(node.get("tests", ())))


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Says what a test saw. It travels with the test's report, also from another process."""
    return lambda text: request.node.user_properties.append((_FIGURE, text))


def seen_in(reports: Iterable[pytest.TestReport], known: Iterable[Row]) -> list[Seen]:
    """What became of each row, by the reports of one run."""
    found = {row.name: Seen(row) for row in known}
    of_test: dict[str, list[Seen]] = {}
    for seen in found.values():
        for test in seen.row.tests:
            of_test.setdefault(test, []).append(seen)
    for report in reports:
        folder = report.nodeid.removeprefix("tests/hostile/").partition("/")[0]
        own = [found[folder]] if report.nodeid.startswith("tests/hostile/") and folder in found else []
        for seen in [*own, *of_test.get(report.nodeid.partition("[")[0], ())]:
            _count(seen, report)
    return list(found.values())


def _count(seen: Seen, report: pytest.TestReport) -> None:
    if report.failed:
        seen.failed += 1
    elif report.passed and report.when == "call":
        seen.passed += 1
        seen.figures += [text for name, text in report.user_properties if name == _FIGURE]


def pytest_configure(config: pytest.Config) -> None:
    """Who asks for tests/hostile alone asks for the tests elsewhere that its rows name."""
    if [Path(argument).resolve() for argument in config.args] == [HOSTILE]:
        config.args += [f"{ROOT}/{test}" for row in rows() for test in row.tests]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table, where any test of tests/hostile ran."""
    found = [each for kind in ("passed", "failed", "error") for each in terminalreporter.stats.get(kind, ())]
    reports = [report for report in found if isinstance(report, pytest.TestReport)]
    if not any(report.nodeid.startswith("tests/hostile/") for report in reports):
        return
    seen = seen_in(reports, rows())
    terminalreporter.section("hostile world")
    for each in seen:
        terminalreporter.write_line(f"{each.verdict:8} {each.row.name}: {each.row.asked} ({each.passed} passed)")
        for text in each.figures:
            terminalreporter.write_line(f"             {text}")
    _write(seen)


def _write(seen: Iterable[Seen]) -> None:
    WRITTEN.parent.mkdir(parents=True, exist_ok=True)
    told = [{**asdict(each.row), "verdict": each.verdict, "passed": each.passed, "seen": each.figures} for each in seen]
    WRITTEN.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
