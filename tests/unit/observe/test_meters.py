"""What is counted is counted once, under a name of ours, and an alert can see it begin."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given

from gateway import log
from gateway.errors import Busy, NotFound
from gateway.guard import KINDS
from gateway.log_events import EVENTS
from gateway.observe import meters
from gateway.observe.requests import Watched
from gateway.observe.shown import shown
from gateway.observe.steps import Step, step
from gateway.room import Room
from tests.nhs_numbers import written


def figure(name: str, **labels: str) -> float:
    return meters.REGISTRY.get_sample_value(f"connect_care_{name}", labels) or 0.0


@pytest.fixture
def few_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "_rules", set())
    monkeypatch.setattr(meters, "MOST_RULES", 1)


def test_a_refusal_is_counted_once_however_many_hands_it_passes_through() -> None:
    before = figure("refusals_total", rule="route.unknown")
    error = NotFound("There is nothing.", rule="route.unknown")
    meters.refused(error)
    meters.refused(error)
    assert figure("refusals_total", rule="route.unknown") == before + 1


@given(written())
def test_a_rule_with_something_else_in_it_is_no_label(number: str) -> None:
    before = figure("refusals_total", rule=meters.OTHER)
    meters.refused(NotFound("There is nothing.", rule=f"no.{number}"))
    assert figure("refusals_total", rule=meters.OTHER) == before + 1


def test_endless_rules_are_one_label(few_rules: None) -> None:
    before = figure("refusals_total", rule=meters.OTHER)
    for rule in ("first.one", "second.one", "x" * 65):
        meters.refused(NotFound("There is nothing.", rule=rule))
    assert figure("refusals_total", rule="first.one") >= 1
    assert figure("refusals_total", rule=meters.OTHER) == before + 2


def test_every_event_of_the_log_is_counted_from_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {sample.labels["event"] for sample in next(iter(meters.LOG_EVENTS.collect())).samples}
    assert names == set(EVENTS)
    before = figure("log_events_total", event="store.log.held")
    log.event("store.log.held", level=logging.WARNING, count=1)
    log.event("store.log.held", level=logging.DEBUG - 5, count=1)  # which nobody writes
    assert figure("log_events_total", event="store.log.held") == before + 1


def test_alarms_of_a_source_are_counted_from_nought() -> None:
    meters.expect("RYR", KINDS)
    for kind in KINDS:
        assert (
            meters.REGISTRY.get_sample_value("connect_care_source_alarms_total", {"source": "RYR", "kind": kind}) == 0
        )


def test_a_step_is_timed_also_where_it_ends_in_a_refusal() -> None:
    before = figure("step_seconds_count", step="search")
    with pytest.raises(NotFound), step(Step.SEARCH):
        raise NotFound("There is nothing.", rule="read.none")
    assert figure("step_seconds_count", step="search") == before + 1


async def test_how_long_a_look_waits_is_timed_also_where_it_waits_in_vain() -> None:
    room, before = Room(1, patience=0.01, longest=30), figure("look_wait_seconds_count")
    async with room.place():
        assert (room.under_way, room.waiting) == (1, 0)
        waits = asyncio.ensure_future(anext(aiter_place(room)))
        await asyncio.sleep(0)
        assert room.waiting == 1
        with pytest.raises(Busy):
            await waits
    assert (room.under_way, room.waiting) == (0, 0)
    assert figure("look_wait_seconds_count") == before + 2


async def aiter_place(room: Room) -> Any:
    async with room.place():
        yield


async def call(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await Watched(app)(scope, None, send)  # type: ignore[arg-type]
    return sent


def asked(method: str = "GET") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": "/9990000018", "state": {"request_id": "r"}}


async def test_a_request_that_nobody_answers_is_counted_too() -> None:
    async def gone(*_: Any) -> None:
        raise asyncio.CancelledError

    before = figure("answers_total", door="(no route)", status="none")
    with pytest.raises(asyncio.CancelledError):
        await call(gone, asked())
    assert figure("answers_total", door="(no route)", status="none") == before + 1


async def test_what_is_no_request_passes_uncounted() -> None:
    seen: list[str] = []

    async def lifespan(scope: Any, *_: Any) -> None:
        seen.append(scope["type"])

    await call(lifespan, {"type": "lifespan"})
    assert seen == ["lifespan"]


TEXT = """\
# HELP connect_care_answers_total a
# TYPE connect_care_answers_total counter
connect_care_answers_total{door="POST /records",status="2xx",worker="0"} 8
connect_care_answers_total{door="POST /records",status="5xx",worker="1"} 2
# HELP connect_care_step_seconds a
# TYPE connect_care_step_seconds histogram
connect_care_step_seconds_bucket{le="0.01",step="merge",worker="0"} 5
connect_care_step_seconds_bucket{le="0.1",step="merge",worker="0"} 10
connect_care_step_seconds_bucket{le="+Inf",step="merge",worker="0"} 10
connect_care_step_seconds_count{step="merge",worker="0"} 10
connect_care_step_seconds_sum{step="merge",worker="0"} 0.2
connect_care_step_seconds_count{step="search",worker="0"} 0
# HELP connect_care_source_answers_total a
# TYPE connect_care_source_answers_total counter
connect_care_source_answers_total{outcome="answered",source="RJ2",worker="0"} 3
connect_care_source_answers_total{outcome="timed-out",source="RJ2",worker="0"} 1
# HELP connect_care_source_breakers a
# TYPE connect_care_source_breakers gauge
connect_care_source_breakers{source="709",state="open",worker="0"} 1
connect_care_source_breakers{source="709",state="closed",worker="0"} 0
# HELP connect_care_source_in_flight a
# TYPE connect_care_source_in_flight gauge
connect_care_source_in_flight{source="RJ2",worker="0"} 2
# HELP connect_care_journal_rows a
# TYPE connect_care_journal_rows gauge
connect_care_journal_rows{worker="0"} 20
connect_care_journal_rows{worker="1"} NaN
# HELP connect_care_journal_batch_jobs a
# TYPE connect_care_journal_batch_jobs histogram
connect_care_journal_batch_jobs_count{worker="0"} 4
connect_care_journal_batch_jobs_sum{worker="0"} 10
# HELP connect_care_journal_commit_seconds a
# TYPE connect_care_journal_commit_seconds histogram
connect_care_journal_commit_seconds_count{worker="0"} 4
connect_care_journal_commit_seconds_sum{worker="0"} 0.02
"""


def test_metrics_as_tables() -> None:
    rows = [line.split() for line in shown(TEXT).splitlines() if line]
    assert ["POST", "/records", "10", "2"] in rows
    assert ["merge", "10", "20.0", "100"] in rows
    assert not [row for row in rows if row[0] == "search"]
    assert ["RJ2", "4", "1", "2"] in rows
    assert ["709", "0", "0", "0", "open"] in rows
    assert ["rows", "20"] in rows
    assert ["writes", "a", "batch", "2.5"] in rows
    assert ["milliseconds", "a", "batch", "5.0"] in rows


def test_of_a_gateway_that_nobody_asked_there_are_only_headings() -> None:
    assert [line.split()[0] for line in shown("").splitlines() if line] == ["door", "step", "source", "audit"]
