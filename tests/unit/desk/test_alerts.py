"""What is noticed at a look, and that its cases are opened with the release or not at all."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.audit.bound import digest_of
from gateway.audit.row import Kind
from gateway.caller.model import Caller
from gateway.choice.model import Channel, Choice, StatedBy
from gateway.choice.sharing import SharingChoices
from gateway.desk.alerts import Noticed
from gateway.desk.cases import new_case
from gateway.desk.model import CaseKind, CaseStatus
from gateway.errors import AuditUnavailable, NoPermission, OptedOut
from gateway.merge import Record
from gateway.register.standing import Hold, Standing
from gateway.relationship import Evidence
from tests.unit.desk.room import MONDAY, NURSE, OFFICER, Room, as_text, private
from tests.unit.pipeline import NHS, OTHER, PRACTICE, SEALER, TRUST, answered, merged, patient, resource

HOME = {"line": ["5 Vanbrugh Terrace"], "postalCode": "SE3 7AP"}
MURPHY = {
    "name": [{"family": "Murphy", "given": ["Siobhan"]}],
    "birthDate": "1992-04-05",
    "address": [HOME],
}


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def a_record(**about: Any) -> Record:
    """A record in which an open attendance at the trust shows a care relationship."""
    visit = resource("Encounter", "e1", status="in-progress")
    return merged(answered(TRUST, patient(**(MURPHY | about)), visit))


async def noticed(room: Room, caller: Caller, record: Record | None = None) -> set[CaseKind]:
    return set((await room.alerts.notice(caller, record or a_record())).kinds)


async def test_nothing_is_noticed_where_there_is_nothing(room: Room) -> None:
    found = await room.alerts.notice(NURSE, a_record())
    assert found == Noticed(Evidence.ATTENDANCE)


async def test_own_record_by_nhs_number(room: Room) -> None:
    own = private(nhs_number=NHS, family_name="Murphy", address="5 Vanbrugh Terrace", postcode="SE3 7AP")
    assert await noticed(room, own) == {CaseKind.OWN_RECORD}, "one case, not three"
    namesake = private(nhs_number=OTHER, family_name="Murphy", given_name="Siobhan", birth_date="1992-04-05")
    assert await noticed(room, namesake) == {CaseKind.SAME_SURNAME}, "the number says that it is somebody else"


async def test_own_record_by_name_and_birth_date_where_the_issuer_gives_no_number(room: Room) -> None:
    own = private(family_name="MURPHY", given_name="Siobhán", birth_date="1992-04-05")
    assert await noticed(room, own) == {CaseKind.OWN_RECORD}
    assert await noticed(room, private(family_name="MURPHY", given_name="Siobhán")) == {CaseKind.SAME_SURNAME}


async def test_same_surname_and_same_address(room: Room) -> None:
    assert await noticed(room, private(family_name="murphy")) == {CaseKind.SAME_SURNAME}
    neighbour = private(family_name="Vale", address="5 Vanbrugh Terrace", postcode="SE3 7AP")
    assert await noticed(room, neighbour) == {CaseKind.SAME_ADDRESS}


async def test_a_restricted_patients_address_is_compared_and_told_nobody(room: Room) -> None:
    record = a_record()
    record.standing = Standing("X26", None, Hold.SENSITIVE)
    caller = private(family_name="Vale", address="5 Vanbrugh Terrace", postcode="SE3 7AP")
    found = await room.alerts.notice(caller, record)
    assert found.kinds == (CaseKind.SAME_ADDRESS,)
    await room.look(found, caller)
    assert "Vanbrugh" not in as_text(await room.newest(), *await room.files())


async def test_each_sources_word_for_the_patient_is_compared(room: Room) -> None:
    record = merged(
        answered(TRUST, patient(**MURPHY), resource("Encounter", "e1", status="in-progress")),
        answered(
            PRACTICE, patient(name=[{"family": "Kelly"}], address=[{"line": ["9 Other"], "postalCode": "SE1 1AA"}])
        ),
    )
    assert await noticed(room, private(family_name="Kelly")) == set()
    assert await noticed(room, private(family_name="Kelly"), record) == {CaseKind.SAME_SURNAME}
    assert await noticed(room, private(address="9 Other", postcode="SE1 1AA"), record) == {CaseKind.SAME_ADDRESS}


async def test_a_colleague_is_known_once_they_signed_in_with_their_number(room: Room) -> None:
    assert await noticed(room, NURSE) == set()
    patient_too = private(replace(NURSE, user_id="555000000002"), nhs_number=NHS)
    elsewhere = merged(answered(TRUST, patient(number=NHS), resource("Encounter", "e1", status="in-progress")))
    await room.alerts.notice(patient_too, elsewhere)
    assert await noticed(room, NURSE) == {CaseKind.COLLEAGUE}
    assert await noticed(room, patient_too) == {CaseKind.OWN_RECORD}, "nobody is their own colleague"
    other_house = replace(NURSE, organisation=PRACTICE)
    assert CaseKind.COLLEAGUE not in await noticed(room, other_house), "of another organisation"


async def test_staff_are_noted_by_tag_alone(room: Room, tmp_path: Path) -> None:
    await room.alerts.notice(
        private(nhs_number=NHS, family_name="Zebulon", address="5 X", postcode="SE3 7AP"), a_record()
    )
    await room.alerts.notice(private(nhs_number=NHS), a_record())
    await room.store.aclose()
    kept = everything_in(tmp_path)
    assert SEALER.patient_tag(NHS).encode() in kept or bytes.fromhex(SEALER.patient_tag(NHS)) in kept
    for secret in (NHS, NURSE.user_id, "Zebulon", "SE3 7AP"):
        assert secret.encode() not in kept, secret


async def test_no_evidence_opens_a_case_only_where_absence_is_proven(room: Room) -> None:
    none = merged(answered(TRUST, patient()))
    none.asked_of = none.whole = {TRUST: frozenset({*none.asked})}
    found = await room.alerts.notice(NURSE, none)
    assert found == Noticed(Evidence.SELF_CLAIMED, (CaseKind.NO_RELATIONSHIP,))
    none.whole = {}
    assert await room.alerts.notice(NURSE, none) == Noticed(Evidence.NOT_ANSWERED)
    none.asked_of = {}
    assert await room.alerts.notice(NURSE, none) == Noticed(Evidence.NOT_ASKED)


async def test_in_a_disclosure_nothing_is_noticed(room: Room) -> None:
    own = private(OFFICER, nhs_number=NHS)
    found = await room.alerts.notice(own, a_record(), is_care=False)
    row, cases = found.onto(room.row(await room.agreed()))
    assert (row.relationship, row.cases, row.bound, cases) == ("", [], {}, [])


async def test_what_was_noticed_is_in_the_release_and_holds_nothing_that_was_compared(room: Room) -> None:
    caller = private(family_name="Murphy", address="5 Vanbrugh Terrace", postcode="SE3 7AP")
    found = await room.alerts.notice(caller, a_record())
    row = await room.look(found, caller)
    files = await room.files()
    assert [file.case.kind for file in files] == [CaseKind.SAME_SURNAME, CaseKind.SAME_ADDRESS]
    kept = await room.newest()
    assert kept == row
    assert (kept.kind, kept.relationship, kept.cases) == (Kind.RELEASE, "attendance", [file.case.id for file in files])
    assert kept.bound == {file.case.id: digest_of(file.case) for file in files}
    for file in files:
        case = file.case
        assert (case.caller, case.user_id, case.role, case.organisation) == (NURSE.key, NURSE.user_id, "nurse", TRUST)
        assert (case.patient, case.request_id, case.permission) == (row.patient, "r-1", row.permission)
        assert (case.opened_at, case.due_at) == (MONDAY, MONDAY.replace(day=9, hour=22, minute=59, second=59))
        assert file.status is CaseStatus.OPEN
    written = as_text(kept, *files)
    assert not [word for word in ("Murphy", "Vanbrugh", "SE3", NHS, "1992") if word in written]


async def test_a_case_is_not_opened_twice_while_it_waits_for_a_judgement(room: Room) -> None:
    first = await room.look(kinds=[CaseKind.NO_RELATIONSHIP])
    again = await room.look(kinds=[CaseKind.NO_RELATIONSHIP, CaseKind.SAME_SURNAME], request="r-2")
    assert await room.kinds() == [CaseKind.NO_RELATIONSHIP, CaseKind.SAME_SURNAME]
    kept = await room.newest()
    assert (kept.cases, list(kept.bound)) == ([again.cases[1]], [again.cases[1]]), "the row says what was written"
    [case_id] = first.cases
    await room.desk.move(OFFICER, case_id, CaseStatus.QUESTIONED, "Asked.", "r-3", door="d")
    await room.look(kinds=[CaseKind.NO_RELATIONSHIP], request="r-4")
    assert len(await room.kinds()) == 2, "one that is questioned waits too"
    await room.desk.move(OFFICER, case_id, CaseStatus.JUSTIFIED, "Explained.", "r-5", door="d")
    room.now += timedelta(minutes=1)
    await room.look(kinds=[CaseKind.NO_RELATIONSHIP], request="r-6")
    assert await room.kinds() == [CaseKind.NO_RELATIONSHIP, CaseKind.SAME_SURNAME, CaseKind.NO_RELATIONSHIP]


async def test_another_caller_or_patient_has_a_case_of_their_own(room: Room) -> None:
    await room.look(kinds=[CaseKind.NO_RELATIONSHIP])
    await room.look(kinds=[CaseKind.NO_RELATIONSHIP], nhs_number=OTHER)
    await room.look(kinds=[CaseKind.NO_RELATIONSHIP], caller=replace(NURSE, user_id="555000000003"))
    assert len(await room.kinds()) == 3


async def test_without_a_release_there_is_no_case(room: Room) -> None:
    permission = await room.agreed()
    row, cases = Noticed(Evidence.SELF_CLAIMED, (CaseKind.NO_RELATIONSHIP,)).onto(room.row(permission))
    room.now = permission.expires_at
    with pytest.raises(NoPermission):
        await room.store.release(row, cases)
    room.now = MONDAY
    choices = SharingChoices(room.store, SEALER, room.journal, room.may, room.clock)
    await choices.record(OFFICER, NHS, Choice.OPTED_OUT, StatedBy.PATIENT, Channel.PHONE, "r-9")
    with pytest.raises(OptedOut):
        await room.store.release(row, cases)
    assert await room.files() == []
    refusal = await room.newest()
    assert (refusal.kind, refusal.cases) == (Kind.REFUSAL, [])
    assert not refusal.bound.keys() & {case.id for case in cases}


async def test_release_and_cases_are_one_transaction(room: Room) -> None:
    """What stops a case stops the release, and nothing of either is left."""
    permission = await room.agreed()
    noticed = Noticed(Evidence.SELF_CLAIMED, (CaseKind.NO_RELATIONSHIP, CaseKind.SAME_SURNAME))
    row, cases = noticed.onto(room.row(permission))
    before = await room.store.log_size()
    twice = msgspec.structs.replace(cases[1], id=cases[0].id)  # can't be written beside the first
    with pytest.raises((AuditUnavailable, sqlite3.Error)):
        await room.store.release(row, [cases[0], twice])
    assert await room.files() == []
    assert await room.store.log_size() == before
    await room.store.release(row, cases)
    assert await room.kinds() == [CaseKind.NO_RELATIONSHIP, CaseKind.SAME_SURNAME]
    assert await room.store.log_size() == before + 1


async def test_a_case_needs_somebody_to_ask(room: Room) -> None:
    with pytest.raises(ValueError, match="who it was"):
        new_case(CaseKind.OWN_RECORD, room.journal.row(Kind.RELEASE, None, "r", "d"))
