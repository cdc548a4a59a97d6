"""Evidence of a care relationship: what shows one, what doesn't, and when its absence proves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM, Answer, Gap, Outcome, Resource, Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Caller, Role
from gateway.merge import Merger, Record
from gateway.register.standing import Hold, Standing
from gateway.relationship import Evidence, evidence
from tests.unit.pipeline import (
    COUNCIL,
    EVERYTHING,
    NHS,
    PRACTICE,
    PRACTICE_2,
    SEALER,
    TAKING_PART,
    TRUST,
    an_ask,
    an_item,
    answered,
    guarded,
    patient,
    registered_at,
    resource,
)

NOW = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
DOCTOR = Caller(
    "https://issuer.example", "555", "A Doctor", "rp", "R8000", Role.HOSPITAL_DOCTOR, TRUST, "Trust",
    OrganisationType.ACUTE_TRUST, "client",
)  # fmt: skip
GP = replace(DOCTOR, role=Role.GP, organisation=PRACTICE, organisation_type=OrganisationType.GP_PRACTICE)
WORKER = replace(DOCTOR, role=Role.SOCIAL_WORKER, organisation=COUNCIL, organisation_type=OrganisationType.COUNCIL)
SHOWING = frozenset({Section.DEMOGRAPHICS, Section.CONTACTS, Section.CARE_TEAM})


def at(ods: str) -> dict[str, Any]:
    """A reference by ODS code."""
    return {"identifier": {"system": ODS_SYSTEM, "value": ods}}


def an_organisation(id_: str, ods: str | None = None, **more: Any) -> Resource:
    known = {"identifier": [{"system": ODS_SYSTEM, "value": ods}]} if ods else {}
    return {"resourceType": "Organization", "id": id_, **known, **more}


def encounter(status: str = "in-progress", **more: Any) -> Resource:
    return resource("Encounter", "e1", status=status, **more)


def merged(*answers: Answer, standing: Standing | None = None, asked: frozenset[Section] = EVERYTHING) -> Record:
    asks = {answer.source: an_ask(asked) for answer in answers}
    checked = guarded(*answers, sections=asked)
    return Merger(SEALER, TAKING_PART).merge(checked, asks, NHS, asked, *([standing] if standing else []))


def of(source: str, *bodies: Resource, caller: Caller = DOCTOR, **more: Any) -> Evidence:
    """What one source's answer shows for the caller."""
    return evidence(merged(answered(source, patient(), *deepcopy(bodies)), **more), caller, SHOWING, NOW)


def test_registered_at_the_callers_practice() -> None:
    record = merged(answered(PRACTICE, patient(**registered_at(PRACTICE))))
    assert evidence(record, GP, SHOWING, NOW) is Evidence.REGISTERED
    elsewhere = replace(GP, organisation=PRACTICE_2)
    assert evidence(record, elsewhere, SHOWING, NOW) is Evidence.NOT_ASKED, "that practice itself was not asked"


@pytest.mark.parametrize("status", ["arrived", "triaged", "in-progress", "onleave"])
def test_an_open_attendance_at_the_callers_organisation(status: str) -> None:
    assert of(TRUST, encounter(status)) is Evidence.ATTENDANCE
    assert of(TRUST, encounter(status, serviceProvider=at(TRUST))) is Evidence.ATTENDANCE
    assert of(TRUST, encounter(status, serviceProvider=at("RJ211"))) is Evidence.ATTENDANCE, "a site of the trust"
    assert of(PRACTICE, encounter(status, serviceProvider=at(TRUST))) is Evidence.ATTENDANCE, "as another source says"
    assert of(TRUST, encounter(status, serviceProvider=at("RPG"))) is Evidence.SELF_CLAIMED, (
        "somebody else's attendance"
    )


@pytest.mark.parametrize(
    "status", ["finished", "cancelled", "entered-in-error", "unknown", "planned", "", "IN-PROGRESS"]
)
def test_an_attendance_that_is_not_open(status: str) -> None:
    assert of(TRUST, encounter(status)) is Evidence.SELF_CLAIMED


@pytest.mark.parametrize(
    ("period", "shown"),
    [
        ({}, True),
        ({"start": "2026-06-08T11:00:00Z"}, True),
        ({"start": "2025-01-01"}, True),
        ({"start": "2026-06-08T11:00:00Z", "end": "2026-06-08T11:30:00Z"}, False),
        ({"end": "2026-06-08"}, True),
        ({"end": "2026-06-07"}, False),
        ({"start": "2026-06-09"}, False),
        ({"start": "soon"}, False),
        ({"end": "whenever"}, False),
    ],
)
def test_an_attendance_has_begun_and_has_not_ended(period: Mapping[str, str], shown: bool) -> None:
    expected = Evidence.ATTENDANCE if shown else Evidence.SELF_CLAIMED
    assert of(TRUST, encounter(period=dict(period))) is expected


def test_references_lead_to_the_organisation_by_way_of_the_record() -> None:
    trust = an_organisation("o1", TRUST)
    other = an_organisation("o2", "RPG")
    for reference, there in (
        ({"reference": "Organization/o1"}, True),
        ({"reference": "Organization/o1/_history/3"}, True),
        ({"reference": "https://rj2.example/fhir/Organization/o1"}, True),
        ({"reference": "Organization/o2"}, False),
        ({"reference": "Organization/unheard-of"}, True),  # can't be told: the source's own
        ({"display": "Lewisham and Greenwich"}, True),
    ):
        found = of(TRUST, encounter(serviceProvider=reference), trust, other)
        assert found is (Evidence.ATTENDANCE if there else Evidence.SELF_CLAIMED), reference


def test_references_are_followed_where_merging_leaves_them_alone() -> None:
    answer = answered(
        TRUST, patient(), encounter(serviceProvider={"reference": "Organization/o2"}), includes=frozenset()
    )
    answer.items.append(an_item(TRUST, an_organisation("o2", "RPG")))
    assert evidence(merged(answer), DOCTOR, SHOWING, NOW) is Evidence.SELF_CLAIMED
    answer = answered(TRUST, patient(), encounter(serviceProvider={"reference": "urn:uuid:1"}), includes=frozenset())
    answer.items.append(an_item(TRUST, an_organisation("o2", "RPG"), full_url="urn:uuid:1"))
    assert evidence(merged(answer), DOCTOR, SHOWING, NOW) is Evidence.SELF_CLAIMED


def test_a_team_is_that_of_the_organisation_it_is_part_of_and_a_circle_ends() -> None:
    team = an_organisation("t", partOf={"reference": "Organization/s"})
    service = an_organisation("s", partOf={"reference": "Organization/c"})
    council = an_organisation("c", COUNCIL)
    visit = encounter(serviceProvider={"reference": "Organization/t"})
    assert of(TRUST, visit, team, service, council, caller=WORKER) is Evidence.ATTENDANCE
    circle = an_organisation("s", partOf={"reference": "Organization/t"})
    assert of(TRUST, visit, team, circle) is Evidence.ATTENDANCE, "nobody's that can be told: the source's own"


def test_a_contained_organisation() -> None:
    held = {"contained": [an_organisation("o", "RPG")], "serviceProvider": {"reference": "#o"}}
    assert of(TRUST, encounter(**held)) is Evidence.SELF_CLAIMED


def appointment(status: str = "booked", start: Any = "2026-06-10T09:00:00+01:00", *actors: dict[str, Any]) -> Resource:
    body = resource("Appointment", "a1", status=status, **({"start": start} if start else {}))
    body["participant"] += [{"actor": actor, "status": "accepted"} for actor in actors]
    return body


@pytest.mark.parametrize("status", ["booked", "arrived", "checked-in", "fulfilled", "noshow"])
def test_an_appointment_at_the_callers_organisation(status: str) -> None:
    assert of(TRUST, appointment(status)) is Evidence.APPOINTMENT
    assert of(PRACTICE, appointment(status)) is Evidence.NOT_ASKED


@pytest.mark.parametrize("status", ["proposed", "pending", "waitlist", "cancelled", "entered-in-error"])
def test_an_appointment_that_does_not_stand(status: str) -> None:
    assert of(TRUST, appointment(status)) is Evidence.SELF_CLAIMED


@pytest.mark.parametrize(
    ("start", "shown"),
    [
        ("2026-06-07T00:00:00+01:00", True),
        ("2026-06-06T22:59:59Z", False),  # a second before yesterday began in London
        ("2026-06-08T09:00:00+01:00", True),
        ("2027-06-08T09:00:00+01:00", True),
        ("2026-06-01T09:00:00+01:00", False),
        ("next week", False),
        (None, False),
    ],
)
def test_an_appointment_from_yesterday_on(start: str | None, shown: bool) -> None:
    assert of(TRUST, appointment("booked", start)) is (Evidence.APPOINTMENT if shown else Evidence.SELF_CLAIMED)
    planned = encounter("planned", **({"period": {"start": start}} if start else {}))
    assert of(TRUST, planned) is (Evidence.APPOINTMENT if shown else Evidence.SELF_CLAIMED)


def test_the_place_of_an_appointment_says_whose_it_is() -> None:
    clinic = {"resourceType": "Location", "id": "l", "managingOrganization": at("RPG")}
    role = {"resourceType": "PractitionerRole", "id": "r", "organization": at(TRUST)}
    at_clinic, with_role = {"reference": "Location/l"}, {"reference": "PractitionerRole/r"}
    assert of(TRUST, appointment("booked", "2026-06-10", at_clinic), clinic) is Evidence.SELF_CLAIMED
    assert of(PRACTICE, appointment("booked", "2026-06-10", with_role), role) is Evidence.APPOINTMENT


def care_team(status: str | None = "active", **more: Any) -> Resource:
    return resource("CareTeam", "c1", **({"status": status} if status else {}), **more)


def test_an_allocation_to_a_worker_or_team_of_the_callers_council() -> None:
    team, council = an_organisation("t", partOf={"reference": "Organization/c"}), an_organisation("c", COUNCIL)
    allocated = care_team(participant=[{"member": {"reference": "Organization/t"}}], managingOrganization=[at("703")])
    assert of(COUNCIL, care_team(), caller=WORKER) is Evidence.ALLOCATION
    assert of(COUNCIL, allocated, team, council, caller=WORKER) is Evidence.ALLOCATION
    assert of(COUNCIL, care_team(managingOrganization=[at("703")]), caller=WORKER) is Evidence.SELF_CLAIMED
    for status in ("proposed", "suspended", "inactive", "entered-in-error", None):
        assert of(COUNCIL, care_team(status), caller=WORKER) is Evidence.SELF_CLAIMED
    assert of(COUNCIL, care_team(period={"end": "2026-06-01"}), caller=WORKER) is Evidence.SELF_CLAIMED


def test_the_strongest_word_stands() -> None:
    assert of(TRUST, care_team(), appointment(), encounter()) is Evidence.ATTENDANCE
    assert of(TRUST, care_team(), appointment()) is Evidence.APPOINTMENT


def test_what_did_not_come_whole_proves_no_absence() -> None:
    lame = answered(TRUST, patient(), outcome=Outcome.PARTIAL, gaps={Section.CONTACTS: Gap.TIMED_OUT})
    assert evidence(merged(lame), DOCTOR, SHOWING, NOW) is Evidence.NOT_ANSWERED
    down = Answer(TRUST, Outcome.FAILED, gaps=dict.fromkeys(Section, Gap.FAILED))
    record = merged(down, answered(PRACTICE, patient()))
    assert evidence(record, DOCTOR, SHOWING, NOW) is Evidence.NOT_ANSWERED


def test_what_was_not_asked_proves_no_absence() -> None:
    medicines = frozenset({Section.DEMOGRAPHICS, Section.MEDICINES})
    record = merged(answered(TRUST, patient()), asked=medicines)
    assert evidence(record, DOCTOR, SHOWING, NOW) is Evidence.NOT_ASKED
    assert evidence(record, DOCTOR, frozenset(), NOW) is Evidence.NOT_CONNECTED, "no system here that could show it"
    contacts = merged(answered(TRUST, patient()), asked=frozenset({Section.DEMOGRAPHICS, Section.CONTACTS}))
    assert evidence(contacts, DOCTOR, SHOWING, NOW) is Evidence.NOT_ASKED, "the care team was not asked for"
    assert evidence(contacts, DOCTOR, SHOWING - {Section.CARE_TEAM}, NOW) is Evidence.SELF_CLAIMED, "it has none"


def test_without_a_register_a_practice_says_itself_who_is_registered() -> None:
    record = merged(answered(PRACTICE, patient()))
    assert evidence(record, GP, SHOWING, NOW) is Evidence.SELF_CLAIMED
    down = Answer(PRACTICE, Outcome.FAILED, gaps=dict.fromkeys(Section, Gap.FAILED))
    assert evidence(merged(down, answered(TRUST, patient())), GP, SHOWING, NOW) is Evidence.NOT_ANSWERED


def test_with_a_register_its_word_settles_who_is_registered() -> None:
    register = "X26"
    said = answered(register, patient(**registered_at(PRACTICE_2)))
    elsewhere = merged(said, standing=Standing(register, PRACTICE_2))
    assert evidence(elsewhere, GP, SHOWING, NOW) is Evidence.SELF_CLAIMED
    assert evidence(elsewhere, replace(GP, organisation=PRACTICE_2), SHOWING, NOW) is Evidence.REGISTERED
    nowhere = merged(answered(register, patient()), standing=Standing(register))
    assert evidence(nowhere, GP, SHOWING, NOW) is Evidence.SELF_CLAIMED
    two = merged(answered(register, patient(**registered_at(PRACTICE, PRACTICE_2))), standing=Standing(register))
    assert evidence(two, GP, SHOWING, NOW) is Evidence.NOT_ANSWERED, "it names the caller's among several"


@pytest.mark.parametrize("hold", Hold)
def test_where_whereabouts_are_held_back_nobody_can_say(hold: Hold) -> None:
    record = merged(answered(TRUST, patient()), standing=Standing("X26", None, hold))
    assert evidence(record, GP, SHOWING, NOW) is Evidence.NOT_ANSWERED


HOSTILE: list[Any] = [
    None, 7, "x", True, [], {}, [None], [[]], [{}], {"reference": 7}, {"reference": {}}, ["x"], [7, "x"],
    {"reference": "#"}, {"reference": "#o"}, {"identifier": 7}, {"identifier": [{}]}, {"identifier": {"value": 7}},
    {"identifier": {"system": ODS_SYSTEM}}, {"identifier": {"system": ODS_SYSTEM, "value": ["RJ2"]}},
]  # fmt: skip


@pytest.mark.parametrize("odd", HOSTILE)
@pytest.mark.parametrize(
    ("kind", "element"),
    [
        *[("Encounter", name) for name in ("status", "serviceProvider", "period", "contained")],
        *[("Appointment", name) for name in ("status", "start", "participant", "contained")],
        *[("CareTeam", name) for name in ("status", "period", "managingOrganization", "participant")],
        *[("Organization", name) for name in ("identifier", "partOf", "resourceType")],
        *[("Patient", name) for name in ("generalPractitioner", "identifier")],
    ],
)
def test_hostile_shapes_raise_nothing_and_are_no_evidence_for_others(kind: str, element: str, odd: Any) -> None:
    """The guard lets no such shape pass; whatever does all the same must not cost anybody a record."""
    record = merged(
        answered(
            TRUST,
            patient(),
            encounter(serviceProvider={"reference": "Organization/o"}),
            appointment(),
            care_team(),
            an_organisation("o", "RPG"),
        )
    )
    for item in record.items:
        if item.type == kind:
            item.resource[element] = odd
    assert evidence(record, DOCTOR, SHOWING, NOW) in Evidence
    assert evidence(record, GP, SHOWING, NOW) is Evidence.NOT_ASKED
    assert evidence(record, WORKER, frozenset(), NOW) is Evidence.NOT_CONNECTED
    record.standing = Standing(TRUST)
    assert evidence(record, GP, SHOWING, NOW) is Evidence.SELF_CLAIMED


def test_the_patients_own_number_is_no_organisation() -> None:
    odd = {"identifier": {"system": NHS_NUMBER_SYSTEM, "value": TRUST}}
    assert of(PRACTICE, encounter(serviceProvider=odd)) is Evidence.NOT_ASKED
