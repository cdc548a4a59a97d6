"""A broken promise is called one, a spoiled ratio fails the gate, and what wasn't measured isn't kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import assembly, release
from gateway.audit.row import Kind, Row
from tests.bench import __main__ as bench
from tests.bench import report
from tests.bench.figures import RATIO, Figure, Rounds, at_percent
from tests.bench.gate import gated, worse
from tests.bench.judge import PROMISES, Promise, judge
from tests.bench.load import Dishonest
from tests.bench.scenarios import ALL
from tests.bench.scenarios.scenario import Found, Scenario
from tests.bench.unjournalled import Unwritten, take_the_journal_out

COST = Promise("whole", "ours.cpu_ms", "a record", most=25)
SPEED = Promise("whole", "naive:sqlite.cpu", "a peer's by ours", least=60)


def figure(value: float, unit: str = RATIO) -> Figure:
    return Figure.of([value], unit)


@pytest.mark.parametrize(
    ("promise", "value", "kept"),
    [(COST, 25, True), (COST, 25.1, False), (SPEED, 60, True), (SPEED, 59, False)],
)
def test_a_promise_is_kept_up_to_its_bound(promise: Promise, value: float, kept: bool) -> None:
    [verdict] = judge({"whole": {promise.figure: figure(value)}}, [promise])
    assert verdict.is_kept is kept
    assert ("NOT KEPT" in str(verdict)) is not kept


def test_what_was_not_measured_is_not_kept() -> None:
    [verdict] = judge({"whole": {}}, [COST])
    assert not verdict.is_kept
    assert "NOT KEPT" in str(verdict)
    assert "not measured" in str(verdict)
    assert judge({"other": {}}, [COST]) == []


def test_every_promise_is_about_a_scenario_that_there_is() -> None:
    assert {promise.scenario for promise in PROMISES} <= {scenario.name for scenario in ALL}


@pytest.mark.parametrize(
    ("name", "accepted", "now", "spoiled"),
    [
        ("sqlite:floor.cpu", 14, 16, False),
        ("sqlite:floor.cpu", 14, 16.2, True),
        ("sqlite:floor.cpu", 14, 5, False),
        ("naive:sqlite.cpu", 60, 53, False),
        ("naive:sqlite.cpu", 60, 51, True),
        ("others-hung:others-well.read", 1.0, 0.8, True),
        ("sqlite:slowest.p99", 1.8, 2.8, False),
    ],
)
def test_the_gate_knows_which_way_is_worse(name: str, accepted: float, now: float, spoiled: bool) -> None:
    told = worse({"whole": {name: figure(now)}}, {"whole": {name: accepted}, "not-run": {name: 0.1}})
    assert bool(told) is spoiled


def test_a_ratio_that_is_no_longer_measured_fails_the_gate() -> None:
    assert worse({"whole": {}}, {"whole": {"sqlite:floor.cpu": 14}}) == [
        "whole: sqlite:floor.cpu is no longer measured; it was 14"
    ]


def test_peers_among_themselves_and_times_are_not_gated() -> None:
    figures = {"naive:floor.cpu": figure(100), "sqlite.cpu_ms": figure(20, "ms"), "sqlite:plain.cpu": figure(0.5)}
    assert gated(figures) == {"sqlite:plain.cpu": 0.5}


def test_ratios_are_made_within_their_rounds() -> None:
    rounds = Rounds()
    for slowed in (1, 10, 1):  # the machine was slow in the second round, for both
        rounds.add("sqlite", {"cpu_ms": 20.0 * slowed})
        rounds.add("floor", {"cpu_ms": 2.0 * slowed})
    assert rounds.ratio("sqlite", "floor", "cpu_ms") == {"sqlite:floor.cpu": Figure(10, 10, 10, RATIO)}
    assert rounds.ratio("sqlite", "healthchain", "cpu_ms") == {}
    assert rounds.figures()["sqlite.cpu_ms"] == Figure(20, 20, 200, "ms")


def test_a_percentile_lies_among_what_was_seen() -> None:
    assert at_percent([float(number) for number in range(1, 102)], 99) == pytest.approx(100)
    assert at_percent([7.0], 99) == 7.0


def test_a_run_that_was_kept_reads_back_and_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"whole-record": Found({"sqlite.cpu_ms": figure(31, "ms"), "sqlite:floor.cpu": figure(9)}, ["a note"])}
    run, again = report.read(report.as_json({"commit": "abc"}, found))
    assert again == found
    text = report.told("whole-record", found["whole-record"])
    assert all(word in text for word in ("31 ms", "sqlite:floor.cpu", "a note"))
    document = tmp_path / "performance.md"
    document.write_text((report.DOCUMENT).read_text())
    drawn: list[Sequence[str]] = []
    monkeypatch.setattr(report, "DOCUMENT", document)
    monkeypatch.setattr(report, "python", lambda: Path("python"))
    monkeypatch.setattr(report.subprocess, "run", lambda command, **_: drawn.append(command))
    report.write_document(run, again)
    shown = document.read_text()
    assert all(words in shown for words in ("| **not kept** | processor time", "31 ms", "| commit | abc |"))
    assert drawn


def test_accepted_ratios_of_what_was_not_run_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ACCEPTED", tmp_path / "accepted.json")
    bench.accept({}, {"tls": Found({"sqlite-tls:sqlite.cpu": figure(1.1)})})
    bench.accept({}, {"one-storming": Found({"storming:well.cpu": figure(1.2)})})
    assert bench.verdict({"tls": Found({"sqlite-tls:sqlite.cpu": figure(1.2)})}) == 0
    assert bench.verdict({"tls": Found({"sqlite-tls:sqlite.cpu": figure(1.5)})}) == 1
    assert bench.verdict({"one-storming": Found({"storming:well.cpu": figure(1.5)})}) == 1


def test_a_scenario_that_there_is_not_is_told() -> None:
    assert [one.name for one in bench.chosen(["tls"], everything=False)] == ["tls"]
    assert not any(one.takes_long for one in bench.chosen(None, everything=False))
    with pytest.raises(SystemExit, match=r"no scenario tsl\. Choose from whole-record"):
        bench.chosen(["tsl"], everything=False)


async def test_without_its_journal_a_gateway_keeps_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((release, "release_row"), (assembly, "open_for_writing")):
        monkeypatch.setattr(module, name, getattr(module, name))  # put back afterwards
    take_the_journal_out()
    assert release.release_row.__module__ == assembly.open_for_writing.__module__ == "tests.bench.unjournalled"
    store = Unwritten(tmp_path)
    row = Row(kind=Kind.INTENT, request_id="r", at=datetime(2026, 1, 1, tzinfo=UTC), door="GET /")
    assert await store.append(row) < await store.release(row)
    assert await store.rows() == []
    await store.aclose()


def test_a_scenario_that_breaks_costs_no_other_its_figures(tmp_path: Path) -> None:
    async def broken(*_: object) -> Found:
        raise Dishonest("a server answered 503")

    found = bench.one_of(Scenario("memory", "broken", broken), tmp_path, "http://127.0.0.1/nobody", 1)
    assert found.figures == {}
    assert "503" in found.notes[0]
    assert bench.verdict({"memory": found}) == 1
