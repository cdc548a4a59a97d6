"""A privacy officer at the desk: what they see, what they may decide, and that each step is a row."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.audit.bound import digest_of
from gateway.audit.row import Kind
from gateway.choice.model import Basis, Scope
from gateway.choice.reasons import ReasonCode
from gateway.desk.kinds import MEANS
from gateway.desk.model import CaseFile, CaseKind, CaseStatus
from gateway.desk.officer import CasePage, Wanted
from gateway.errors import BadRequest, Conflict, GatewayError, NotFound, Refusal
from tests.unit.desk.room import MONDAY, NURSE, OFFICER, Room, private
from tests.unit.pipeline import NHS, OTHER, PRACTICE, SEALER

OPEN, QUESTIONED = CaseStatus.OPEN, CaseStatus.QUESTIONED
JUSTIFIED, NOT_JUSTIFIED = CaseStatus.JUSTIFIED, CaseStatus.NOT_JUSTIFIED
OTHER_OFFICER = replace(OFFICER, user_id="555000000008", name="MARLOWE Helen Ms")


async def a_case(room: Room, kind: CaseKind = CaseKind.NO_RELATIONSHIP, **look: Any) -> str:
    row = await room.look(kinds=[kind], **look)
    return row.cases[-1]


async def move(room: Room, case: str, to: CaseStatus, note: str = "As agreed.", **more: Any) -> CaseFile:
    return await room.desk.move(more.pop("by", OFFICER), case, to, note, "r-9", door="POST /desk/{id}/_move", **more)


async def queue(room: Room, **more: Any) -> CasePage:
    paging = {name: more.pop(name) for name in ("after", "limit") if name in more}
    return await room.desk.queue(more.pop("by", OFFICER), Wanted(**more), "r-9", door="POST /desk/_search", **paging)


async def refused(doing: Awaitable[Any], kind: type[GatewayError], rule: str, room: Room) -> GatewayError:
    """It's refused, and that is a row."""
    with pytest.raises(kind) as caught:
        await doing
    row = await room.newest()
    assert (caught.value.rule, row.kind, row.rule, row.status) == (rule, Kind.REFUSAL, rule, kind.status)
    return caught.value


async def test_the_queue_names_who_looked_and_at_whom_oldest_due_first(room: Room) -> None:
    first = await a_case(room)
    room.now += timedelta(days=1)
    second = await a_case(room, CaseKind.SAME_SURNAME, nhs_number=OTHER)
    page = await queue(room)
    assert [file.case.id for file in page.files] == [first, second]
    assert [SEALER.open_patient(file.case.sealed_patient or "") for file in page.files] == [NHS, OTHER]
    assert page.after is None
    row = await room.newest()
    assert (row.kind, row.subject, row.patient) == (Kind.AUDIT_READ, "cases after=0", None)


async def test_pages_go_on_where_the_last_one_ended(room: Room) -> None:
    made = [await a_case(room, kind) for kind in (CaseKind.SAME_SURNAME, CaseKind.SAME_ADDRESS, CaseKind.COLLEAGUE)]
    found, after = [], 0
    for _ in made:
        page = await queue(room, after=after, limit=1)
        found += [file.case.id for file in page.files]
        after = page.after or 0
    assert found == made
    assert after == 0


async def test_filters(room: Room) -> None:
    open_case, questioned = await a_case(room), await a_case(room, CaseKind.SAME_SURNAME)
    judged = await a_case(room, CaseKind.SAME_ADDRESS, nhs_number=OTHER)
    await move(room, questioned, QUESTIONED)
    await move(room, judged, JUSTIFIED)

    async def ids(**wanted: Any) -> list[str]:
        return [file.case.id for file in (await queue(room, **wanted)).files]

    assert await ids(status=frozenset({OPEN})) == [open_case]
    assert await ids(status=frozenset({QUESTIONED, JUSTIFIED})) == [questioned, judged]
    assert await ids(kinds=frozenset({CaseKind.SAME_ADDRESS})) == [judged]
    assert await ids(nhs_number=OTHER) == [judged]
    assert (await room.newest()).patient == SEALER.patient_tag(OTHER)
    assert await ids(organisation=OFFICER.organisation, overdue=False) == [open_case, questioned, judged]
    assert await ids(overdue=True) == []
    room.now = MONDAY + timedelta(days=2)
    assert await ids(overdue=True) == [open_case, questioned], "what is judged is never overdue"
    assert await ids(overdue=False) == [judged]
    assert await ids(overdue=True, status=frozenset({JUSTIFIED})) == []
    assert await ids(overdue=True, status=frozenset({OPEN})) == [open_case]
    assert (await room.newest()).subject == "cases status=open overdue=true after=0"


async def test_overdue_begins_after_the_next_working_day(room: Room) -> None:
    case = await a_case(room)
    [file] = await room.files()
    assert not file.is_overdue(file.case.due_at)
    assert file.is_overdue(file.case.due_at + timedelta(seconds=1))
    await move(room, case, NOT_JUSTIFIED)
    [file] = await room.files()
    assert not file.is_overdue(file.case.due_at + timedelta(days=9))


async def test_many_cases_are_read_in_batches(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.desk.officer._BATCH", 2)
    kinds = [CaseKind.SAME_SURNAME, CaseKind.SAME_ADDRESS, CaseKind.COLLEAGUE, CaseKind.OWN_RECORD]
    made = [await a_case(room, kind) for kind in kinds]
    await move(room, made[0], JUSTIFIED)
    room.now += timedelta(days=3)
    page = await queue(room, overdue=True, limit=2)
    assert [file.case.id for file in page.files] == made[1:3]
    rest = await queue(room, overdue=True, limit=2, after=page.after)
    assert ([file.case.id for file in rest.files], rest.after) == (made[3:], None)


async def test_other_organisations_cases_are_not_there(room: Room) -> None:
    case = await a_case(room, caller=replace(NURSE, organisation=PRACTICE))
    assert (await queue(room)).files == ()
    elsewhere = replace(OFFICER, organisation=PRACTICE)
    assert [file.case.id for file in (await queue(room, by=elsewhere)).files] == [case]
    await refused(queue(room, organisation=PRACTICE), Refusal, "desk.other-organisation", room)
    for doing in (
        room.desk.read(OFFICER, case, "r", door="d"),
        move(room, case, JUSTIFIED),
        room.desk.note(OFFICER, case, "A note.", "r", door="d"),
        room.desk.read(OFFICER, "no such case", "r", door="d"),
    ):
        await refused(doing, NotFound, "desk.no-case", room)


async def test_wrong_questions_are_told(room: Room) -> None:
    await refused(queue(room, limit=0), BadRequest, "desk.page-size", room)
    await refused(queue(room, limit=201), BadRequest, "desk.page-size", room)
    with pytest.raises(BadRequest):
        await queue(room, nhs_number="9990000019")


async def test_whom_policy_does_not_let_in_sees_nothing(room: Room) -> None:
    case = await a_case(room)
    room.refused = frozenset({"read-desk", "judge-case"})
    for doing in (queue(room), room.desk.read(OFFICER, case, "r", door="d")):
        await refused(doing, Refusal, "read-desk.privacy-officer", room)
    for doing in (move(room, case, JUSTIFIED), room.desk.note(OFFICER, case, "A note.", "r", door="d")):
        await refused(doing, Refusal, "judge-case.privacy-officer", room)


async def test_a_case_with_its_reason_its_history_and_the_rows_it_is_about(room: Room) -> None:
    await room.look()  # an ordinary look before, on the patient's word
    room.now += timedelta(minutes=5)
    permission = await room.permissions.grant(
        NURSE,
        NHS,
        Basis.BEST_INTERESTS,
        "GCS 3, no relative here",
        Scope.STANDARD,
        "r-2",
        reason_code=next(iter(ReasonCode)),
    )
    released = await room.store.release(room.row(permission, request="r-3"))
    [file] = await room.files()
    await move(room, file.case.id, QUESTIONED, "Rang the ward.")
    opened = await room.desk.read(OFFICER, file.case.id, "r-4", door="GET /desk/{id}")
    assert opened.permission is not None
    assert SEALER.open_text(opened.permission.reason, permission.id) == "GCS 3, no relative here"
    assert [kept.row.kind for kept in opened.looks.rows] == [Kind.PERMISSION_GRANTED, Kind.RELEASE]
    assert opened.looks.rows[-1].seq == released
    assert not opened.looks.more
    [entry] = opened.file.entries
    assert (entry.number, entry.status, entry.by, entry.by_name) == (1, QUESTIONED, OFFICER.user_id, OFFICER.name)
    assert SEALER.open_text(entry.note, f"{file.case.id}:1") == "Rang the ward."
    row = await room.newest()
    assert (row.kind, row.subject, row.patient) == (Kind.AUDIT_READ, f"case {file.case.id}", SEALER.patient_tag(NHS))


async def test_looks_are_the_callers_own_from_a_day_before_until_the_judgement(room: Room) -> None:
    async def look_at(offset: timedelta, **more: Any) -> int:
        room.now = MONDAY + offset
        row = await room.look(**more)
        return next(kept.seq for kept in await room.store.rows(limit=1000) if kept.row == row)

    await look_at(timedelta(hours=-25))
    before = await look_at(timedelta(hours=-2))
    await look_at(timedelta(hours=-1), nhs_number=OTHER)
    await look_at(timedelta(hours=-1), caller=replace(NURSE, user_id="555000000004"))
    await look_at(timedelta(hours=-1), caller=replace(NURSE, role_profile_id="555100000077"))
    opening = await look_at(timedelta(0), kinds=[CaseKind.SAME_SURNAME])
    after = await look_at(timedelta(hours=1))
    [file] = await room.files()
    room.now = MONDAY + timedelta(hours=2)
    await move(room, file.case.id, JUSTIFIED)
    await look_at(timedelta(hours=3))
    opened = await room.desk.read(OFFICER, file.case.id, "r", door="d")
    assert [kept.seq for kept in opened.looks.rows] == [before, opening, after]


async def test_more_looks_than_are_listed_are_said_to_be_there(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    case = await a_case(room)
    await room.look()
    monkeypatch.setattr("gateway.desk.looks.MOST", 1)
    opened = await room.desk.read(OFFICER, case, "r", door="d")
    assert (len(opened.looks.rows), opened.looks.more) == (1, True)


@pytest.mark.parametrize("way", [[JUSTIFIED], [NOT_JUSTIFIED], [QUESTIONED, JUSTIFIED], [QUESTIONED, NOT_JUSTIFIED]])
async def test_the_ways_a_case_may_go(room: Room, way: list[CaseStatus]) -> None:
    case, at = await a_case(room), OPEN
    for number, to in enumerate(way, 1):
        file = await move(room, case, to, f"Step {number} for {NHS}.", seen=number - 1)
        assert file.status is to
        row, entry = await room.newest(), file.entries[-1]
        assert (row.kind, row.detail, row.cases) == (Kind.CASE_MOVED, f"no-relationship: {at} -> {to}", [case])
        assert row.bound == {f"{case}:{number}": digest_of(entry)}
        assert (row.patient, row.subject) == (SEALER.patient_tag(NHS), f"case {case}")
        assert SEALER.open_text(entry.note, f"{case}:{number}") == f"Step {number} for [nhs-number]."
        assert "Step" not in entry.note
        at = to
    assert [file] == await room.files()


@pytest.mark.parametrize(
    ("before", "to", "rule"),
    [
        ([], OPEN, "desk.no-such-move"),
        ([QUESTIONED], OPEN, "desk.no-such-move"),
        ([QUESTIONED], QUESTIONED, "desk.no-such-move"),
        ([JUSTIFIED], NOT_JUSTIFIED, "desk.judged"),
        ([JUSTIFIED], JUSTIFIED, "desk.judged"),
        ([NOT_JUSTIFIED], OPEN, "desk.judged"),
        ([QUESTIONED, NOT_JUSTIFIED], QUESTIONED, "desk.judged"),
    ],
)
async def test_the_ways_it_may_not_go(room: Room, before: list[CaseStatus], to: CaseStatus, rule: str) -> None:
    case = await a_case(room)
    for status in before:
        await move(room, case, status)
    error = await refused(move(room, case, to), Conflict, rule, room)
    assert error.status == 409
    [file] = await room.files()
    assert len(file.entries) == len(before)


async def test_a_note_leaves_the_status_and_may_follow_a_judgement(room: Room) -> None:
    case = await a_case(room)
    for number, status in enumerate((OPEN, QUESTIONED, JUSTIFIED)):
        if status is not OPEN:
            await move(room, case, status)
        file = await room.desk.note(OFFICER, case, "More was heard.", "r", door="d")
        assert (file.status, len(file.entries)) == (status, 2 * number + 1)
    assert file.judged_at == file.entries[3].at, "the judgement's moment, not the note's"


@pytest.mark.parametrize(
    ("note", "rule"),
    [*((note, "desk.note-missing") for note in ("", " \n ", "...", "123")), ("x" * 2001, "desk.note-too-long")],
)
async def test_every_step_says_why(room: Room, note: str, rule: str) -> None:
    case = await a_case(room)
    await refused(move(room, case, JUSTIFIED, note), BadRequest, rule, room)
    await refused(room.desk.note(OFFICER, case, note, "r", door="d"), BadRequest, rule, room)


async def test_nobody_decides_on_what_they_have_not_read(room: Room) -> None:
    case = await a_case(room)
    await move(room, case, QUESTIONED, seen=0, by=OTHER_OFFICER)
    error = await refused(move(room, case, JUSTIFIED, seen=0), Conflict, "desk.somebody-was-first", room)
    assert "GET /desk/{id}" in error.told
    await refused(room.desk.note(OFFICER, case, "A note.", "r", seen=7, door="d"), Conflict, error.rule, room)
    await move(room, case, JUSTIFIED, seen=1)


async def test_of_two_at_once_one_is_first(room: Room) -> None:
    case = await a_case(room)
    both = [move(room, case, JUSTIFIED), move(room, case, NOT_JUSTIFIED, by=OTHER_OFFICER)]
    first, second = await asyncio.gather(*both, return_exceptions=True)
    conflict, file = (first, second) if isinstance(first, BaseException) else (second, first)
    assert isinstance(conflict, Conflict)
    assert isinstance(file, CaseFile)
    assert [file] == await room.files()
    moved = [kept for kept in await room.store.rows(limit=100) if kept.row.kind is Kind.CASE_MOVED]
    assert len(moved) == 1, "what wasn't written leaves no row that says so"


@pytest.mark.parametrize(
    "officer",
    [replace(OFFICER, user_id=NURSE.user_id), private(OFFICER, nhs_number=NHS)],
    ids=["as the one who looked", "as the patient"],
)
async def test_nobody_reads_or_judges_a_case_about_themselves(room: Room, officer: Any) -> None:
    case = await a_case(room)
    for doing in (
        room.desk.read(officer, case, "r", door="d"),
        move(room, case, JUSTIFIED, by=officer),
        room.desk.note(officer, case, "A note.", "r", door="d"),
    ):
        error = await refused(doing, Refusal, "desk.own-case", room)
        assert "Another privacy officer" in error.told
    assert [file.entries for file in await room.files()] == [()]


def test_each_kind_has_its_sentence() -> None:
    assert MEANS.keys() == set(CaseKind)
    assert len(set(MEANS.values())) == len(MEANS)
