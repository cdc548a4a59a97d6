"""Fair use: counts by person, client and organisation on a turned clock, rows that a storm can't fill, the alert."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.audit.row import Kind, Row
from gateway.caller.model import KnownCaller, Role
from gateway.caller.patients import SignedIn, patient_caller
from gateway.errors import AuditUnavailable, TooMany
from gateway.fair_use.count import Counts, Exceeded, Scope, Use
from gateway.fair_use.settings import Budget, FairUseSettings
from gateway.fair_use.storms import Storms
from gateway.fair_use.use import FairUse
from gateway.fair_use.window import Windows
from tests.unit.desk.room import NURSE, Room

MUCH = "1000 per minute"
WIDE = Budget(person=MUCH, client=MUCH, organisation=MUCH, client_in_organisation=MUCH)
COLLEAGUE = replace(NURSE, user_id="555000000002", role_profile_id="555100000002")
ELSEWHERE = replace(COLLEAGUE, organisation="RPG")
OTHER_CLIENT = replace(COLLEAGUE, client_id="another")
ROLELESS = KnownCaller(issuer=NURSE.issuer, token_id="t-1", user_id=NURSE.user_id, client_id=NURSE.client_id)
SYSTEM = replace(ROLELESS, user_id="")


def settings(**requests: str) -> FairUseSettings:
    budget = WIDE.model_copy(update=requests)
    return FairUseSettings(requests=budget, person_searches=WIDE, best_interests=WIDE)


class Ground(Room):
    """A room in which what is asked is counted."""

    def __init__(self, folder: Path, given: FairUseSettings, workers: int = 1) -> None:
        super().__init__(folder, most=1000)
        self.counts = Counts(given, lambda: self.now.timestamp(), workers)
        self.storms = Storms(self.journal, self.clock)
        self.fair_use = FairUse(self.counts, self.storms, self.volume)

    async def ask(self, caller: Any = NURSE, *uses: Use, request: str = "r-1") -> TooMany | None:
        try:
            await self.fair_use.demand(caller, request, "GET /x", *(uses or (Use.REQUEST,)))
        except TooMany as error:
            return error
        return None

    async def turn_away(self, known: KnownCaller, request: str = "r-1") -> TooMany | None:
        try:
            await self.fair_use.demand_of_refused(known, request, "GET /x")
        except TooMany as error:
            return error
        return None

    async def rows(self) -> list[Row]:
        kept = await self.store.rows(limit=200)
        return [each.row for each in kept if each.row.kind is Kind.REFUSAL]


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    made = Ground(tmp_path, settings(person="3 per minute; 5 per hour"))
    yield made
    await made.fair_use.aclose()
    await made.volume.aclose()
    await made.store.aclose()


async def test_a_person_is_refused_until_the_window_has_moved_on(ground: Ground) -> None:
    for _ in range(3):
        assert await ground.ask() is None
        ground.now += timedelta(seconds=10)
    error = await ground.ask()
    assert error is not None
    assert (error.status, error.rule, error.code) == (429, "fair-use.person", "throttled")
    assert error.headers == {"Retry-After": "30"}, "the first of the three counts for a minute, half of which is over"
    assert "Try again in 30 seconds" in error.told
    ground.now += timedelta(seconds=29.5)
    error = await ground.ask()
    assert error is not None
    assert error.headers == {"Retry-After": "1"}
    assert "in 1 second." in error.told
    ground.now += timedelta(seconds=0.5)
    assert await ground.ask() is None
    assert await ground.ask() is not None


async def test_every_window_holds_and_the_longest_wait_is_told(ground: Ground) -> None:
    for _ in range(5):
        assert await ground.ask() is None
        ground.now += timedelta(minutes=1)
    error = await ground.ask()
    assert error is not None
    assert error.headers == {"Retry-After": str(55 * 60)}
    assert error.detail == "requests: 5 per hour"


async def test_a_refused_request_isnt_counted(ground: Ground) -> None:
    for _ in range(3):
        await ground.ask()
    for _ in range(50):
        assert await ground.ask() is not None
    ground.now += timedelta(minutes=1)
    assert await ground.ask() is None


async def test_a_person_is_one_person_in_every_role_and_another_is_another(ground: Ground) -> None:
    other_role = replace(NURSE, role=Role.GP, role_profile_id="555100000077", organisation="G85005")
    for caller in (NURSE, other_role, NURSE):
        assert await ground.ask(caller) is None
    assert await ground.ask(other_role) is not None
    assert await ground.ask(COLLEAGUE) is None
    assert await ground.ask(replace(NURSE, issuer="https://another.example")) is None


@pytest.mark.parametrize(
    ("scope", "counted_too", "not_counted"),
    [(Scope.CLIENT, ELSEWHERE, OTHER_CLIENT), (Scope.ORGANISATION, OTHER_CLIENT, ELSEWHERE)],
)
async def test_a_client_and_an_organisation_are_counted_whoever_asks(
    tmp_path: Path, scope: Scope, counted_too: Any, not_counted: Any
) -> None:
    ground = Ground(tmp_path, settings(**{scope: "6 per minute"}))
    for number in range(6):
        assert await ground.ask(replace(NURSE, user_id=str(number))) is None
    error = await ground.ask(counted_too)
    assert error is not None
    assert error.rule == f"fair-use.{scope}"
    assert await ground.ask(not_counted) is None
    await ground.volume.settled()
    assert await ground.kinds() == [], "a busy ward is nobody's fault"
    await ground.fair_use.aclose()
    await ground.store.aclose()


async def test_a_client_that_runs_wild_leaves_room_in_its_organisation(tmp_path: Path) -> None:
    given = settings(organisation="9 per minute", client="8 per minute").model_dump()
    given["requests"]["client_in_organisation"] = None
    ground = Ground(tmp_path, FairUseSettings.model_validate(given))
    for number in range(5):
        assert await ground.ask(replace(NURSE, user_id=str(number))) is None, "half of nine, rounded up"
    error = await ground.ask()
    assert error is not None
    assert (error.rule, error.detail) == ("fair-use.client-in-organisation", "requests: 5 per minute")
    assert "Those in your organisation who use this application" in error.told
    assert await ground.ask(OTHER_CLIENT) is None
    assert await ground.ask(ELSEWHERE) is None
    await ground.fair_use.aclose()
    await ground.store.aclose()


async def test_each_patient_is_counted_alone(tmp_path: Path) -> None:
    """All of them use one client, and work nowhere: none uses up another's room, and no officer is told of one."""
    ground = Ground(tmp_path, settings(person="2 per minute", client="2 per minute", organisation="2 per minute"))
    one, other = (
        patient_caller(SignedIn(issuer="i", client_id="c", account=account, proofing="P9", token_id="t"), "9990000409")
        for account in ("a", "b")
    )
    assert [await ground.ask(one), await ground.ask(one)] == [None, None]
    refused = await ground.ask(one)
    assert refused is not None
    assert refused.rule == "fair-use.person"
    assert await ground.ask(other) is None
    await ground.volume.settled()
    assert await ground.store.cases(status=None, limit=10) == []
    await ground.fair_use.aclose()
    await ground.store.aclose()


def test_a_clients_own_limit_in_an_organisation_can_be_set() -> None:
    counts = Counts(settings(client_in_organisation="2 per minute"), lambda: 1.0, workers=1)
    assert [counts.take(NURSE, [Use.REQUEST]) for _ in range(2)] == [None, None]
    exceeded = counts.take(COLLEAGUE, [Use.REQUEST])
    assert exceeded == Exceeded(Use.REQUEST, Scope.CLIENT_IN_ORGANISATION, "2 per minute", 60)


async def test_who_may_not_ask_is_counted_as_the_person_that_they_are(ground: Ground) -> None:
    assert await ground.ask() is None
    elsewhere = replace(ROLELESS, organisation="X99", role_profile_id="5")
    assert [await ground.turn_away(each) for each in (ROLELESS, elsewhere)] == [None, None]
    for number in range(40):
        error = await ground.turn_away(replace(elsewhere, role_profile_id=str(number)), f"r-{number}")
        assert error is not None
        assert (error.rule, error.headers) == ("fair-use.person", {"Retry-After": "60"})
    [row] = await ground.rows()
    assert row.who is not None
    assert (row.status, row.request_id, row.who.user_id) == (429, "r-0", NURSE.user_id)
    await ground.volume.settled()
    assert await ground.kinds() == []
    assert await ground.ask(COLLEAGUE) is None
    assert await ground.turn_away(SYSTEM) is None, "a system without a person is counted by its client"


async def test_who_may_not_ask_uses_up_nobody_elses_room(tmp_path: Path) -> None:
    ground = Ground(tmp_path, settings(client="2 per minute", organisation="2 per minute"))
    for _ in range(20):
        assert await ground.turn_away(replace(ROLELESS, organisation=NURSE.organisation)) is None
    assert await ground.ask() is None
    await ground.store.aclose()


async def test_systems_without_a_person_are_counted_by_client(ground: Ground) -> None:
    assert [await ground.turn_away(SYSTEM) for _ in range(3)] == [None] * 3
    assert await ground.turn_away(SYSTEM) is not None
    assert await ground.turn_away(replace(SYSTEM, client_id="another")) is None
    assert await ground.turn_away(replace(SYSTEM, user_id=SYSTEM.client_id, client_id="another")) is None


async def test_searches_for_people_are_counted_by_themselves_and_as_requests(tmp_path: Path) -> None:
    given = settings(person="4 per minute").model_copy(
        update={"person_searches": WIDE.model_copy(update={"person": "2 per minute"})}
    )
    ground = Ground(tmp_path, given)
    both = (Use.REQUEST, Use.PERSON_SEARCH)
    assert [await ground.ask(NURSE, *both) for _ in range(2)] == [None, None]
    error = await ground.ask(NURSE, *both)
    assert error is not None
    assert "searches for a person by name" in error.told
    assert [await ground.ask() for _ in range(2)] == [None, None], "the refused search took no request"
    error = await ground.ask(NURSE, *both)
    assert error is not None
    assert "more requests" in error.told
    await ground.fair_use.aclose()
    await ground.volume.aclose()
    await ground.store.aclose()


async def test_a_worker_holds_its_share_and_never_less_than_a_few(tmp_path: Path) -> None:
    counts = Counts(settings(person="290 per minute"), lambda: 1.0, workers=4)
    assert [counts.take(NURSE, [Use.REQUEST]) for _ in range(73)] == [None] * 73
    assert counts.take(NURSE, [Use.REQUEST]) == Exceeded(Use.REQUEST, Scope.PERSON, "290 per minute", 60)
    few = Counts(settings(person="12 per minute"), lambda: 1.0, workers=64)
    assert [few.take(NURSE, [Use.REQUEST]) for _ in range(12)] == [None] * 12
    assert few.take(NURSE, [Use.REQUEST]) is not None


@pytest.mark.parametrize(("use", "least"), [(Use.REQUEST, 60), (Use.PERSON_SEARCH, 5), (Use.BEST_INTERESTS, 5)])
def test_one_worker_of_many_lets_whole_batches_through(use: Use, least: int) -> None:
    counts = Counts(FairUseSettings(), lambda: 1.0, workers=64)
    caller = replace(NURSE, client_id="theirs")
    assert [counts.take(caller, [use]) for _ in range(least)] == [None] * least
    exceeded = counts.take(caller, [use])
    assert exceeded is not None
    assert exceeded.scope is Scope.PERSON


async def test_a_storm_is_one_row_a_minute_that_counts_the_rest(ground: Ground) -> None:
    for _ in range(3):
        await ground.ask()
    for number in range(40):
        assert await ground.ask(request=f"r-{number}") is not None
        ground.now += timedelta(seconds=0.1)
    [first] = await ground.rows()
    assert (first.status, first.rule, first.request_id, first.door) == (429, "fair-use.person", "r-0", "GET /x")
    assert "1 by fair-use.person" in first.detail
    ground.now += timedelta(minutes=1)
    await ground.storms.tidy()
    [_, second] = await ground.rows()
    assert "39 by fair-use.person" in second.detail
    assert second.request_id == "r-39"
    ground.now += timedelta(minutes=1)
    await ground.storms.tidy()
    await ground.storms.tidy()
    assert len(await ground.rows()) == 2, "nothing was left to count"


async def test_a_storm_that_lasts_writes_at_the_turn_of_each_minute(ground: Ground) -> None:
    for _ in range(3):
        await ground.ask()
    for _ in range(180):
        ground.now += timedelta(seconds=1)
        await ground.ask()
    rows = await ground.rows()
    assert len(rows) <= 4
    counted = [int(row.detail.split(": ")[1].split(" ")[0]) for row in rows]
    await ground.storms.aclose()
    last = (await ground.rows())[-1]
    assert sum(counted) + int(last.detail.split(": ")[1].split(" ")[0]) == 178, "180, less the two that had room"


async def test_a_clock_set_back_an_hour_locks_nobody_out_and_silences_no_storm(ground: Ground) -> None:
    for _ in range(4):
        await ground.ask()
    assert len(await ground.rows()) == 1
    ground.now -= timedelta(hours=1)
    error = await ground.ask()
    assert error is not None
    assert error.headers == {"Retry-After": "60"}
    ground.now += timedelta(minutes=1)
    assert [await ground.ask() for _ in range(2)] == [None, None], "five an hour: three of them were counted before"
    assert await ground.ask() is not None
    assert len(await ground.rows()) == 2, "the next minute's row, an hour before the first by the clock"


async def test_requests_at_the_same_moment_write_one_row(ground: Ground) -> None:
    answers = await asyncio.gather(*(ground.ask(request=f"r-{number}") for number in range(20)))
    assert answers.count(None) == 3
    assert all(answer.journalled is not None for answer in answers if answer)
    assert len(await ground.rows()) == 1


async def test_no_refusal_goes_out_that_the_journal_never_heard_of(ground: Ground, monkeypatch: Any) -> None:
    for _ in range(3):
        await ground.ask()
    append = ground.journal.append

    async def broken(_row: Row) -> int:
        raise AuditUnavailable("the disk is full")

    monkeypatch.setattr(ground.journal, "append", broken)
    for _ in range(2):
        with pytest.raises(AuditUnavailable):
            await ground.ask()
    await ground.storms.tidy()
    await ground.storms.aclose()
    monkeypatch.setattr(ground.journal, "append", append)
    assert await ground.ask() is not None
    [row] = await ground.rows()
    assert "3 by fair-use.person" in row.detail


async def test_a_person_over_the_limit_is_one_case_until_it_is_judged(ground: Ground) -> None:
    for _ in range(10):
        await ground.ask()
    await ground.volume.settled()
    [file] = await ground.files()
    assert (file.case.kind, file.case.user_id, file.case.patient) == ("unusual-volume", NURSE.user_id, None)
    ground.now += timedelta(minutes=30)
    for _ in range(10):
        await ground.ask()
    await ground.volume.settled()
    assert await ground.kinds() == ["unusual-volume"]
    kept = await ground.store.rows(limit=200)
    [opened] = [each.row for each in kept if each.row.kind is Kind.CASE_OPENED]
    assert opened.detail == "over fair use: requests: 3 per minute"


def test_windows_forget_and_a_clock_set_back_breaks_nothing() -> None:
    now = [1000.0]
    windows = Windows(lambda: now[0])
    assert windows.acquire_entry("a", 2, 60)
    assert not windows.acquire_entry("b", 1, 60, amount=2)
    now[0] = 990.0
    assert windows.acquire_entry("a", 2, 60)
    assert windows.get_moving_window("a", 2, 60) == (990.0, 2)
    assert windows.get_expiry("a") == 1050.0
    assert (windows.get("a"), windows.get("c"), windows.check()) == (2, 0, True)
    assert windows.get_expiry("c") == 990.0
    now[0] = 1061.0
    assert windows.get_moving_window("c", 2, 60) == (1061.0, 0)
    assert len(windows) == 0, "tidied"
    windows.acquire_entry("a", 2, 60)
    windows.clear("a")
    windows.acquire_entry("b", 2, 60)
    assert windows.reset() == 1
    with pytest.raises(NotImplementedError):
        windows.incr("a", 60)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("much", "write limits as"),
        ("5 per fortnight", "write limits as"),
        ("0 per minute", "1 to 1000000"),
        ("10000000 per minute", "1 to 1000000"),
        ("5 per 2 days", "is a day"),
        ("1/second; 2/minute; 3/minute; 4/minute; 5/minute", "at most 4"),
    ],
)
def test_a_limit_that_makes_no_sense_stops_start_up(text: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        FairUseSettings(requests={"person": text, "client": "1/second", "organisation": "1/second"})  # type: ignore[arg-type]
