"""What is noticed after a look: unusually many patients, and looks that nothing ever bore out."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.audit.bound import digest_of
from gateway.audit.row import Kind
from gateway.desk import follow_up
from gateway.desk.follow_up import GRACE, FollowUp
from gateway.desk.model import CaseKind, CaseStatus
from gateway.desk.volume import Volume
from gateway.errors import AuditUnavailable
from gateway.relationship import Evidence
from tests.unit.desk.room import MONDAY, NURSE, OFFICER, Room
from tests.unit.pipeline import NHS, OTHER, SEALER, nhs_numbers

VOLUME, NONE = CaseKind.UNUSUAL_VOLUME, CaseKind.NO_RELATIONSHIP
NUMBERS = nhs_numbers()[:12]
COLLEAGUE = replace(NURSE, user_id="555000000003")


async def see(room: Room, *numbers: str) -> None:
    for number in numbers:
        await room.look(nhs_number=number)
        room.volume.seen(NURSE, "r-1")
        await room.volume.settled()
        room.now += timedelta(seconds=1)


async def test_over_the_limit_a_case_is_opened_once_and_names_no_patient(room: Room) -> None:
    await see(room, *NUMBERS[:3], *NUMBERS[:3])
    assert await room.kinds() == [], "three different patients are not over three"
    await see(room, *NUMBERS[3:8])
    [file] = await room.files()
    case, row = file.case, await room.newest()
    assert (case.kind, case.patient, case.sealed_patient, case.permission) == (VOLUME, None, None, None)
    assert (case.caller, case.organisation) == (NURSE.key, NURSE.organisation)
    opening = next(kept.row for kept in await room.store.rows(limit=1000) if kept.row.kind is Kind.CASE_OPENED)
    assert (opening.patient, opening.detail) == (None, "4 patients within 24 hours, over 3")
    assert (opening.cases, opening.bound) == ([case.id], {case.id: digest_of(case)})
    assert row.kind is Kind.RELEASE, "nothing was written for a case that is open"
    opened = await room.desk.read(OFFICER, case.id, "r", door="d")
    assert len(opened.looks.rows) == 7, "every look until then"


async def test_looks_of_yesterday_and_of_others_do_not_count(room: Room) -> None:
    await see(room, *NUMBERS[:3])
    room.now += timedelta(hours=24, seconds=1)
    await see(room, *NUMBERS[3:6])
    for number in NUMBERS[6:9]:
        await room.look(nhs_number=number, caller=COLLEAGUE)
    assert not await room.volume.check(NURSE, "r")
    assert await room.kinds() == []


async def test_what_was_judged_is_not_counted_again(room: Room) -> None:
    await see(room, *NUMBERS[:4])
    [file] = await room.files()
    room.now += timedelta(minutes=10)
    await room.desk.move(OFFICER, file.case.id, CaseStatus.JUSTIFIED, "A clinic.", "r", door="d")
    room.now += timedelta(minutes=10)
    await see(room, *NUMBERS[4:7])
    assert await room.kinds() == [VOLUME], "three since the judgement"
    await see(room, NUMBERS[7])
    assert await room.kinds() == [VOLUME, VOLUME]


async def test_while_a_case_is_open_nobody_counts_for_a_while(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    await see(room, *NUMBERS[:4])

    async def counted(_caller: str, _since: object) -> int:
        raise AssertionError("counted again")

    monkeypatch.setattr(room.store, "patients_seen", counted)
    room.now += timedelta(minutes=4)
    assert not await room.volume.check(NURSE, "r")
    room.now += timedelta(minutes=2)
    with pytest.raises(AssertionError, match="counted again"):
        await room.volume.check(NURSE, "r")


async def test_several_workers_open_one_case(room: Room) -> None:
    for number in NUMBERS[:5]:
        await room.look(nhs_number=number)
    workers = [Volume(room.store, room.journal, room.clock, 3) for _ in range(4)]
    opened = await asyncio.gather(*(worker.check(NURSE, "r") for worker in workers))
    assert sorted(opened) == [False, False, False, True]
    assert await room.kinds() == [VOLUME]


async def test_the_last_look_is_always_counted(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that is under way when a look is released doesn't know of it: another follows."""
    asked: list[str] = []

    async def slow(caller: object, request_id: str) -> bool:
        asked.append(request_id)
        await asyncio.sleep(0)
        return False

    monkeypatch.setattr(room.volume, "check", slow)
    room.volume.seen(NURSE, "r-1")
    await asyncio.sleep(0)
    for request in ("r-2", "r-3"):
        room.volume.seen(NURSE, request)
    room.volume.seen(COLLEAGUE, "r-4")
    await room.volume.settled()
    assert sorted(asked) == ["r-1", "r-3", "r-4"]


async def test_a_count_that_fails_fails_no_look(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_caller: str, _since: object) -> int:
        raise AuditUnavailable("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(room.store, "patients_seen", away)
        await see(room, *NUMBERS[:4])
    assert await room.kinds() == []
    await see(room, NUMBERS[0])
    assert await room.kinds() == [VOLUME], "the next look is counted, and everything with it"


async def test_a_look_that_nothing_bore_out_is_a_case_a_quarter_of_an_hour_later(room: Room) -> None:
    row = await room.look(word=Evidence.NOT_ASKED, request="r-7")
    room.now += GRACE
    assert await room.follow_up.catch_up() == 0, "not yet"
    room.now += timedelta(seconds=1)
    assert await room.follow_up.catch_up() == 1
    [file] = await room.files()
    case, opening = file.case, await room.newest()
    assert (case.kind, case.patient, case.caller, case.request_id) == (NONE, row.patient, NURSE.key, "r-7")
    assert case.opened_at == room.now
    assert (opening.kind, opening.who, opening.patient) == (Kind.CASE_OPENED, row.who, row.patient)
    assert (opening.seen, opening.sources) == ({}, {})
    assert opening.bound == {case.id: digest_of(case)}
    assert SEALER.open_patient(case.sealed_patient or "") == NHS
    assert await room.follow_up.catch_up() == 0, "dealt with"


@pytest.mark.parametrize("offset", [timedelta(hours=-11), timedelta(minutes=-1), timedelta(minutes=14)])
@pytest.mark.parametrize("word", [word for word in Evidence if word.is_shown])
async def test_another_look_of_the_same_caller_may_bear_it_out(room: Room, word: Evidence, offset: timedelta) -> None:
    for at, said in sorted([(MONDAY, Evidence.NOT_ASKED), (MONDAY + offset, word)]):
        room.now = at
        await room.look(word=said)
    room.now = MONDAY + timedelta(hours=1)
    assert await room.follow_up.catch_up() == 0


@pytest.mark.parametrize(("last", "cases"), [(Evidence.NOT_ANSWERED, 0), (Evidence.NOT_CONNECTED, 0), (None, 1)])
async def test_of_a_look_in_parts_the_last_one_says_what_the_whole_bears_out(
    room: Room, last: Evidence | None, cases: int
) -> None:
    """Where that one never came, whoever went away early is noticed all the same."""
    for word in [Evidence.NOT_ASKED, Evidence.NOT_ASKED, *([last] if last else [])]:
        await room.look(word=word, intent=77)
    room.now += GRACE + timedelta(seconds=1)
    assert await room.follow_up.catch_up() == cases


async def test_others_evidence_and_that_of_other_days_is_none(room: Room) -> None:
    room.now = MONDAY - timedelta(hours=13)
    await room.look()
    room.now = MONDAY
    await room.look(caller=COLLEAGUE)
    await room.look(nhs_number=OTHER)
    await room.look(word=Evidence.NOT_ANSWERED)
    await room.look(word=Evidence.NOT_ASKED)
    room.now = MONDAY + timedelta(hours=1)
    await room.look()
    assert await room.follow_up.catch_up() == 1


@pytest.mark.parametrize("word", [Evidence.NOT_ANSWERED, Evidence.NOT_CONNECTED])
async def test_a_source_that_is_down_floods_no_desk(room: Room, word: Evidence) -> None:
    for number in NUMBERS:
        await room.look(word=word, nhs_number=number)
    room.now += timedelta(hours=1)
    assert await room.follow_up.catch_up() == 0
    assert await room.kinds() == []


async def test_many_looks_are_one_case_until_it_is_judged(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_up, "_PAGE", 2)
    for _ in range(5):
        await room.look(word=Evidence.NOT_ASKED)
    await room.look(kinds=[NONE], word=Evidence.SELF_CLAIMED)
    room.now += timedelta(hours=1)
    assert await room.follow_up.catch_up() == 0, "the one that is open stands for all"
    [file] = await room.files()
    await room.look(word=Evidence.NOT_ASKED)
    room.now += timedelta(minutes=5)
    await room.desk.move(OFFICER, file.case.id, CaseStatus.JUSTIFIED, "Explained.", "r", door="d")
    room.now += timedelta(hours=1)
    assert await room.follow_up.catch_up() == 0, "it was judged after that look"
    await room.look(word=Evidence.NOT_ASKED)
    room.now += timedelta(hours=1)
    assert await room.follow_up.catch_up() == 1
    assert await room.kinds() == [NONE, NONE]


async def test_what_bears_a_look_out_is_found_on_a_later_page(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await room.look(word=Evidence.NOT_ASKED)
    await room.look(word=Evidence.APPOINTMENT)
    monkeypatch.setattr(follow_up, "_PAGE", 1)
    room.now += timedelta(hours=1)
    assert await room.follow_up.catch_up() == 0


async def test_several_workers_follow_and_one_case_is_opened(room: Room) -> None:
    await room.look(word=Evidence.NOT_ASKED)
    room.now += timedelta(hours=1)
    opened = await asyncio.gather(*(FollowUp(room.store, room.clock).catch_up() for _ in range(4)))
    assert sum(opened) == 1
    assert await room.kinds() == [NONE]


async def test_it_follows_by_itself_and_survives_a_store_that_is_away(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.look(word=Evidence.NOT_ASKED)
    room.now += timedelta(hours=1)
    monkeypatch.setattr(follow_up, "_EVERY_SECONDS", 0.001)
    catch_up, tries, done = room.follow_up.catch_up, iter([1, 2, 3]), asyncio.Event()

    async def flaky() -> int:
        if next(tries, 0) in (1, 2):
            raise AuditUnavailable("away")
        opened = await catch_up()
        done.set()
        return opened

    monkeypatch.setattr(room.follow_up, "catch_up", flaky)
    room.follow_up.start()
    async with asyncio.timeout(30):
        await done.wait()
    await room.follow_up.aclose()
    assert await room.kinds() == [NONE]


async def test_stopped_in_the_middle_nothing_is_lost(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in NUMBERS[:3]:
        await room.look(word=Evidence.NOT_ASKED, nhs_number=number)
    room.now += timedelta(hours=1)

    async def killed(_follower: str, _seq: int) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(room.store, "move_position", killed)
        with contextlib.suppress(asyncio.CancelledError):
            await room.follow_up.catch_up()
    assert await room.follow_up.catch_up() == 0, "opened before, and not twice"
    assert len(await room.kinds()) == 3
