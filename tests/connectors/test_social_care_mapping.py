"""How a council's case becomes a CareTeam and its contact an Encounter or Appointment: nothing invented or lost."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class

from connectors.sdk.model import Gap, Section
from connectors.social_care.codes import SHIPPED, Codes
from connectors.social_care.kept import leads_to, tells_a_way_in, tree, with_labels
from connectors.social_care.sandbox import holdings, organisations
from tests.connectors.social_care_asking import (
    ABSENT,
    CONTACTS,
    SUBJECT,
    TEAMS,
    ask,
    bundle,
    case,
    facade,
    items,
    only,
    person,
    trace,
    visit,
)

SECURITY = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PRACTITIONER = {"reference": "Practitioner/w1", "display": "Ms A"}
TEAM = {"reference": "Organization/t1", "display": "Team T"}


def local(code: str, kind: str = "contact-type", **more: Any) -> dict[str, Any]:
    system = f"https://709.sandbox.example/CodeSystem/{kind}"
    return {"coding": [{"system": system, "code": code, "display": "LOCAL"}], **more}


def is_r4(resource: dict[str, Any]) -> bool:
    kind = resource["resourceType"]
    get_fhir_model_class(kind).model_validate(json.loads(msgspec.json.encode(resource)))
    return True


# ---- cases ----


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("planned", "proposed"),
        ("waitlist", "proposed"),
        ("active", "active"),
        ("onhold", "suspended"),
        ("finished", "inactive"),
        ("cancelled", "inactive"),
        ("entered-in-error", "entered-in-error"),
        ("OPEN", None),
    ],
)
async def test_the_status_of_a_case(status: str, expected: str | None) -> None:
    answer = await ask(facade(case(status=status, careManager=PRACTITIONER)), TEAMS)
    team = only(answer, "CareTeam")
    assert team.get("status") == expected
    when = " when the case was closed" if expected == "inactive" else ""
    assert team["participant"][0]["role"] == [{"text": f"Allocated worker{when}"}]
    assert ("status" in trace(answer, "EpisodeOfCare/c1").reason) is (expected is None)
    assert is_r4(team)


async def test_a_case_with_the_least_in_it() -> None:
    answer = await ask(facade(case()), TEAMS)
    assert only(answer, "CareTeam") == {
        "resourceType": "CareTeam",
        "id": "c1",
        "status": "active",
        "subject": SUBJECT,
    }


async def test_a_case_takes_the_labels_of_its_kind_and_its_team() -> None:
    team = {
        "resourceType": "Organization",
        "id": "t1",
        "name": "Team T",
        "type": [local("SMS", "team-type")],
        "meta": {"security": [{"system": SECURITY, "code": "MH"}]},
    }
    found = bundle(
        case(
            managingOrganization=TEAM,
            type=[local("AMHP1")],
            meta={"security": [{"system": "urn:own", "code": "X", "display": "x"}]},
        ),
        team,
        total=1,
    )
    answer = await ask(facade(EpisodeOfCare=found), TEAMS)
    assert only(answer, "CareTeam")["meta"]["security"] == [
        {"system": "urn:own", "code": "X", "display": "x"},
        {"system": SECURITY, "code": "MH"},
        {"system": SECURITY, "code": "SUD"},
    ]
    assert [one["code"] for one in only(answer, "Organization")["meta"]["security"]] == ["MH", "SUD"]


@pytest.mark.parametrize(
    "reference",
    ["Organization/t1", "Organization/t1/_history/2", "https://facade.council.example/fhir/Organization/t1"],
)
async def test_a_team_gives_its_labels_however_it_is_referred_to(reference: str) -> None:
    team = {"resourceType": "Organization", "id": "t1", "name": "Team T", "type": [local("SMS ", "team-type")]}
    found = bundle(visit(serviceProvider={"reference": reference}), team, total=1)
    answer = await ask(facade(Encounter=found), CONTACTS)
    assert [one["code"] for one in only(answer, "Encounter")["meta"]["security"]] == ["SUD"]


@pytest.mark.parametrize("provider", [{"reference": "RelatedPerson/r1", "display": "Yemi"}, {"display": "Yemi"}])
async def test_nobody_stands_in_the_place_of_a_team(provider: dict[str, Any]) -> None:
    answer = await ask(facade(visit(serviceProvider=provider)), CONTACTS)
    assert "Yemi" not in repr(answer)
    assert "serviceProvider that leads to no Organization (1)" in trace(answer, "Encounter/v1").reason


async def test_labels_of_what_was_contained_stay() -> None:
    contained = [{"resourceType": "Basic", "id": "b", "meta": {"security": [{"system": SECURITY, "code": "SDV"}]}}]
    answer = await ask(facade(visit(contained=contained)), CONTACTS)
    assert only(answer, "Encounter")["meta"]["security"] == [{"system": SECURITY, "code": "SDV"}]


@pytest.mark.parametrize(
    "broken",
    [
        {"patient": None},
        {"patient": "Patient/p1"},
        {"status": 7},
        {"period": {"start": "last week"}},
        {"period": {"start": "2026-13-01"}},
        {"period": {"start": "2026-02-30"}},
        {"period": {"start": "2026-09-03T10:00+01:00"}},
        {"period": {"start": "2026-09-03T10:00:00Z", "end": "2026-09-03T10:00:00+01:00"}},
        {"type": {"text": "x"}},
        {"modifierExtension": [{"url": "urn:x"}]},
    ],
)
async def test_a_case_that_cannot_be_told_truthfully_is_held_back(broken: dict[str, Any]) -> None:
    answer = await ask(facade(case("c1", **broken), case("c2")), TEAMS)
    assert [one["id"] for one in items(answer, "CareTeam")] == ["c2"]
    assert answer.gaps == {Section.CARE_TEAM: Gap.HELD_BACK}
    assert trace(answer, "EpisodeOfCare/c1").reason.startswith("held back: ")


# ---- contacts ----


@pytest.mark.parametrize(
    ("period", "kind"),
    [
        ({"start": "2027-03-03T10:00:53+00:00", "end": "2027-03-03T11:00:10+00:00"}, "Appointment"),
        ({"start": "2027-03-03T10:00:53.120Z"}, "Appointment"),
        ({"start": "2027-03-03"}, "Encounter"),
        ({"start": "2027-03"}, "Encounter"),
        ({"start": "2027"}, "Encounter"),
        ({"end": "2027-03-03T11:00:10+00:00"}, "Encounter"),
        ({"start": "2027-03-03T10:00:53+00:00", "end": "2027-03-03"}, "Encounter"),
        (None, "Encounter"),
    ],
)
async def test_what_is_planned_keeps_its_times_as_they_were_written(period: dict[str, str] | None, kind: str) -> None:
    more: dict[str, Any] = {"period": period} if period else {}
    answer = await ask(facade(visit(status="planned", **more)), CONTACTS)
    met = only(answer, kind)
    assert is_r4(met)
    if kind == "Encounter":
        assert (met["status"], met.get("period")) == ("planned", period)
    else:
        assert period is not None
        assert (met["status"], met["start"]) == ("booked", period["start"])
        assert met.get("end", met.get("_end")) == period.get("end", ABSENT)
    assert trace(answer, "Encounter/v1").became == (f"{kind}/v1",)


async def test_an_appointment_says_all_that_the_contact_said() -> None:
    answer = await ask(
        facade(
            visit(
                status="planned",
                period={"start": "2027-03-03T10:00:53+00:00"},
                type=[local("RV01")],
                reasonCode=[local("PLAN", "contact-reason")],
                participant=[{"individual": PRACTITIONER}],
                location=[{"location": {"reference": "Location/l1"}}],
                serviceProvider=TEAM,
                meta={"lastUpdated": "2026-09-20T15:45:24+01:00", "versionId": "2"},
            )
        ),
        CONTACTS,
    )
    assert only(answer, "Appointment") == {
        "resourceType": "Appointment",
        "id": "v1",
        "meta": {"versionId": "2", "lastUpdated": "2026-09-20T15:45:24+01:00"},
        "status": "booked",
        "serviceType": [local("RV01", text="Six month review")],
        "reasonCode": [local("PLAN", "contact-reason", text="Review of the care and support plan")],
        "supportingInformation": [TEAM],
        "start": "2027-03-03T10:00:53+00:00",
        "_end": ABSENT,
        "participant": [
            {"actor": SUBJECT, "_status": ABSENT},
            {"actor": PRACTITIONER, "_status": ABSENT},
            {"actor": {"reference": "Location/l1"}, "_status": ABSENT},
        ],
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [("in-progress", "in-progress"), ("cancelled", "cancelled"), ("DNA", "unknown"), ("Completed", "unknown")],
)
async def test_whether_it_took_place_is_not_guessed(status: str, expected: str) -> None:
    answer = await ask(facade(visit(status=status)), CONTACTS)
    assert only(answer, "Encounter")["status"] == expected
    assert ("status" in trace(answer, "Encounter/v1").reason) is (expected == "unknown")


async def test_a_status_that_is_absent_with_its_reason_is_unknown() -> None:
    absent = visit()
    del absent["status"]
    answer = await ask(facade(Encounter=bundle({**absent, "_status": ABSENT})), CONTACTS)
    assert only(answer, "Encounter")["status"] == "unknown"


@pytest.mark.parametrize(
    ("stated", "types", "expected"),
    [
        ({"code": "AMB"}, [local("TC01")], {"code": "AMB"}),
        (ABSENT, [local("TC01")], {"system": SECURITY, "code": "VR", "display": "virtual"}),
        (ABSENT, [local("CA01")], ABSENT),
        (ABSENT, [local("TC01"), local("OT02")], ABSENT),
        (ABSENT, [local("XX77")], ABSENT),
        (ABSENT, [], ABSENT),
        ({}, [], ABSENT),
    ],
)
async def test_where_it_was(stated: dict[str, Any], types: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    more: dict[str, Any] = {"class": stated, **({"type": types} if types else {})}
    answer = await ask(facade(visit(**more)), CONTACTS)
    met = only(answer, "Encounter")
    assert met["class"] == expected
    assert is_r4(met)


@pytest.mark.parametrize(
    ("came", "text"),
    [
        (local("TC01"), "Telephone call"),
        (local("TC01", text="nobody in"), "Telephone call (nobody in)"),
        (local("TC01", text="telephone call"), "Telephone call"),
        (local("TC01", text="LOCAL"), "Telephone call"),
        (local("XX77", text="Blue badge"), "Blue badge"),
        (local("XX77"), None),
        ({"text": "Drop-in"}, "Drop-in"),
        ({"coding": [{"code": "TC01"}], "text": "Something"}, "Something"),
        ({"coding": [{"system": "urn:other", "code": "TC01"}, *local("TC01")["coding"]]}, "Telephone call"),
    ],
)
async def test_codes_stay_and_words_are_plain(came: dict[str, Any], text: str | None) -> None:
    answer = await ask(facade(visit(type=[came])), CONTACTS)
    (shown,) = only(answer, "Encounter")["type"]
    assert shown.get("coding") == came.get("coding")
    assert shown.get("text") == text


def test_a_label_on_a_reason_counts_too() -> None:
    codes = Codes.load(SHIPPED)
    assert codes.labels([local("SG42"), local("AMHP1"), local("SG42"), local("CA01")]) == [
        {"system": SECURITY, "code": "MH"},
        {"system": SECURITY, "code": "SDV"},
    ]
    assert codes.labels([]) == []


# ---- the small parts ----


def test_a_tree_is_made_of_paths() -> None:
    assert tree("a.b", "a.c:period", "d") == {"a": {"b": {}, "c": {"start": {}, "end": {}}}, "d": {}}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Key safe 4471", True),
        ("KEYSAFE by the door", True),
        ("entry code 12", True),
        ("Door-code #9", True),
        ("keypad 1", True),
        ("Keys with the neighbour", True),
        ("spare key under the mat", True),
        ("lock box by the meter", True),
        ("code for the gate: 4471", True),
        ("K/S 4471", True),
        ("3 Lock Lane", False),
        ("Key House, Box Hill", False),
        ("4 Keysworth Road", False),
        ("Gatekeeper's Lodge", False),
        ("Post code SE6 2NA", False),
        ("Flat 2, Door 3", False),
        (None, False),
    ],
)
def test_lines_that_tell_a_way_in(line: str | None, found: bool) -> None:
    assert tells_a_way_in(line) is found


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ({"reference": "Practitioner/1"}, True),
        ({"reference": "https://x.example/fhir/Practitioner/1"}, True),
        ({"reference": "Practitioner/1/_history/2"}, True),
        ({"reference": "RelatedPerson/1"}, False),
        ({"reference": 7}, False),
        ({"reference": "#w1"}, False),
        ({"display": "A"}, False),
        (None, False),
    ],
)
def test_where_a_reference_leads(reference: Any, found: bool) -> None:
    assert leads_to(reference, "Practitioner") is found


def test_labels_are_added_once() -> None:
    label = {"system": SECURITY, "code": "MH"}
    assert with_labels({}, []) == {}
    assert with_labels({"security": [label]}, [dict(label)]) == {"security": [label]}


async def test_the_person_keeps_all_that_the_contract_names() -> None:
    whole = person(
        active=True,
        name=[{"use": "official", "family": "A", "given": ["B", "C"], "period": {"start": "2001"}}],
        telecom=[{"system": "email", "value": "a.b@council.example", "use": "home"}, {"value": "+44 (0)20 7946 0000"}],
        gender="female",
        birthDate="1958-03-12",
        deceasedDateTime="2026-07-01",
        address=[{"use": "home", "line": ["1 High Street"], "postalCode": "SE1", "period": {"end": "2026"}}],
        communication=[{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "yo"}]}, "preferred": True}],
        generalPractitioner=[{"identifier": {"system": "urn:ods", "value": "G85005"}, "display": "A practice"}],
    )
    answer = await ask(facade(Patient=bundle(whole)))
    kept = only(answer, "Patient")
    status = kept["identifier"][0].pop("extension")[0]["valueCodeableConcept"]["coding"][0]
    assert (status["system"].rpartition("/")[2], status["code"]) == ("UKCore-NHSNumberVerificationStatusEngland", "01")
    assert {name: value for name, value in kept.items() if name != "identifier"} == {
        name: value for name, value in whole.items() if name != "identifier"
    }
    assert trace(answer, "Patient/p1").reason == ""


def test_every_system_that_the_sandbox_uses_is_in_the_table_that_ships() -> None:
    used = {
        coding["system"]
        for ods in organisations()
        for one in holdings(ods).resources
        for concept in [*one.get("type", []), *one.get("reasonCode", [])]
        for coding in concept.get("coding", [])
    }
    shipped = {line.strip().removesuffix(":") for line in SHIPPED.read_text().splitlines() if line.startswith("  http")}
    assert used <= shipped
    assert len(used) == 8
