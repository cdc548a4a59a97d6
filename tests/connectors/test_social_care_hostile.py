"""`social_care` against facades that mislead or are careless: what is missing is a gap, and never somebody else's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connectors.sdk.errors import Ambiguous, NoRecord, Refused, SourceError, SourceTimeout, Unwell, WrongContent
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Gap, Outcome, Section
from tests.connectors.asking import NHS_NUMBER, Question, outcome
from tests.connectors.social_care_asking import (
    CONTACTS,
    COUNCIL,
    SUBJECT,
    TEAMS,
    ask,
    bundle,
    case,
    facade,
    items,
    keys,
    numbered,
    only,
    person,
    trace,
    visit,
)

OTHER = {"reference": "Patient/p2"}
NURSE = {"reference": "Practitioner/w1", "display": "Ms A"}


def remark(code: str, severity: str = "warning") -> dict[str, Any]:
    return outcome(code, severity)


# ---- the person ----


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (bundle(total=0), NoRecord),
        (bundle(total=None), WrongContent),
        (bundle(total=1), WrongContent),
        (bundle(person(), person(id="p2"), total=2), Ambiguous),
        (bundle(person(), total=2), Ambiguous),
        (bundle(person(gender=7)), WrongContent),
        (bundle(person(), remark("incomplete"), total=1), WrongContent),
        (bundle(remark("security", "error"), total=0), WrongContent),
        (bundle(person(), link=[{"relation": "next", "url": "http://source.test/fhir/Patient?page=2"}]), WrongContent),
        (bundle(person(), link=[{"relation": "self", "url": "http://source.test/fhir/Patient"}]), WrongContent),
        (bundle(person(modifierExtension=[{"url": "urn:not-this-person"}])), WrongContent),
        (bundle(person(name=[{"modifierExtension": [{"url": "urn:former"}]}])), WrongContent),
        (bundle(person(implicitRules="urn:rules")), WrongContent),
        (remark("exception", "error"), WrongContent),
        (b"", WrongContent),
        (500, Unwell),
        (403, Refused),
    ],
)
async def test_without_one_certain_person_nothing_is_answered(found: Any, expected: type[SourceError]) -> None:
    source = facade(Patient=found)
    with pytest.raises(expected):
        await ask(source)
    assert set(source.kinds()) == {"Patient"}


@pytest.mark.parametrize(
    "who",
    [
        {"identifier": [numbered(number="9990000018")]},
        {"identifier": []},
        {},
        {"identifier": [{"system": "urn:council:nhs-number", "value": NHS_NUMBER}]},
        {"identifier": [numbered(), numbered(number="9990000018")]},
        {"identifier": [numbered(), {"system": "urn:oid:2.16.840.1.113883.2.1.4.1", "value": "9990000018"}]},
        {"identifier": [numbered()], "managingOrganization": {"reference": "Patient/p9"}},
    ],
)
async def test_who_is_not_certainly_the_person_is_handed_over_and_not_searched_with(who: dict[str, Any]) -> None:
    came = {"resourceType": "Patient", "id": "p1", **who}
    source = facade(Patient=bundle(came))
    answer = await ask(source)
    assert source.kinds() == ["Patient"]
    assert [item.resource for item in answer.items] == [came]
    assert answer.gaps == dict.fromkeys(COUNCIL, Gap.IDENTITY_ALARM)
    assert answer.outcome is Outcome.PARTIAL


async def test_a_merged_record_is_nobody_else() -> None:
    answer = await ask(facade(Patient=bundle(person(link=[{"other": OTHER, "type": "replaces"}]))))
    assert answer.outcome is Outcome.ANSWERED
    assert "link" not in only(answer, "Patient")


@pytest.mark.parametrize(
    ("identifiers", "shown", "shown_with_warning"),
    [
        ([numbered("01")], True, True),
        ([numbered("02")], False, True),
        ([numbered("03")], False, True),
        ([numbered("06")], False, True),
        ([numbered("08")], False, True),
        ([numbered(None)], False, True),
        ([numbered("04")], False, False),
        ([numbered("05")], False, False),
        ([numbered("07")], False, False),
        ([numbered("10")], False, False),
        ([numbered("01"), numbered("05")], False, False),
        ([numbered("01"), numbered("02")], False, True),
        ([numbered("01"), numbered("01")], True, True),
    ],
)
async def test_whom_the_council_has_not_verified(
    identifiers: list[dict[str, Any]], shown: bool, shown_with_warning: bool
) -> None:
    source = facade(case(), Patient=bundle(person(identifier=identifiers)))
    for unverified, expected in (("hold-back", shown), ("show-with-warning", shown_with_warning)):
        answer = await ask(source, unverified_number=unverified)
        assert bool(items(answer, "CareTeam")) is bool(answer.items) is expected
        assert bool(answer.warnings) is (expected and not shown)
        assert (answer.outcome is Outcome.FAILED) is not expected


@pytest.mark.parametrize(
    "extension",
    [
        {"url": "x"},
        {"url": "x", "valueCodeableConcept": {"coding": [{"code": "01"}]}},
    ],
)
async def test_a_status_that_stands_elsewhere_is_none(extension: dict[str, Any]) -> None:
    number = {"system": NHS_NUMBER_SYSTEM, "value": NHS_NUMBER, "extension": [extension]}
    answer = await ask(facade(Patient=bundle(person(identifier=[number]))))
    assert answer.outcome is Outcome.FAILED


@pytest.mark.parametrize("value", [7, {"coding": "01"}, {"coding": []}, {"coding": ["01"]}, {"text": "verified"}])
async def test_a_status_that_cannot_be_read_is_held_back_always(value: Any) -> None:
    number = numbered()
    number["extension"][0]["valueCodeableConcept"] = value
    source = facade(Patient=bundle(person(identifier=[number])))
    for unverified in ("hold-back", "show-with-warning"):
        assert (await ask(source, unverified_number=unverified)).outcome is Outcome.FAILED


async def test_the_warning_is_seen_without_the_demographics_too() -> None:
    source = facade(Patient=bundle(person(identifier=[numbered("02")])))
    answer = await ask(source, CONTACTS, unverified_number="show-with-warning")
    assert [one.section for one in answer.warnings] == [Section.CONTACTS]


# ---- whole, or a gap ----


@pytest.mark.parametrize(
    ("found", "gap"),
    [
        (bundle(visit(), total=None), Gap.HELD_BACK),
        (bundle(total=None), Gap.HELD_BACK),
        (bundle(visit(), total=2), Gap.HELD_BACK),
        (bundle(visit("v1"), visit("v1"), total=2), Gap.HELD_BACK),
        (bundle(visit("v1"), visit("v2"), visit("v3")), Gap.TOO_MUCH),
        (bundle(visit("v1"), visit("v2"), visit("v3"), visit("v4")), Gap.TOO_MUCH),
        (bundle(visit("v1"), visit("v2"), visit("v3"), total=None), Gap.TOO_MUCH),
        (bundle(visit(), link=[{"relation": "next", "url": "Encounter?page=2"}]), Gap.HELD_BACK),
        (bundle(visit(), link=[{"relation": "self", "url": "http://source.test/fhir/Encounter"}]), Gap.FAILED),
        (bundle(visit(), remark("throttled"), total=1), Gap.HELD_BACK),
        (bundle(visit(), remark("informational", "fatal"), total=1), Gap.HELD_BACK),
        (bundle(visit("v1"), {**visit("v2"), "class": "HH"}), Gap.HELD_BACK),
        (bundle(visit("v1"), {"resourceType": "Encounter", "id": "v2"}), Gap.HELD_BACK),
        (bundle(visit(period={"start": "2026-09-03T10:00:00"})), Gap.HELD_BACK),
        (bundle(visit(modifierExtension=[{"url": "urn:did-not-happen"}])), Gap.HELD_BACK),
        (bundle(visit(status="finished"), visit(status="cancelled"), total=1), Gap.HELD_BACK),
        ({"resourceType": "Bundle", "type": "searchset", "total": "1"}, Gap.FAILED),
        (b'{"resourceType":"Bundle","total":0,"total":1}', Gap.FAILED),
        (404, Gap.FAILED),
        (401, Gap.REFUSED),
        (429, Gap.FAILED),
        (503, Gap.FAILED),
    ],
)
async def test_contacts_that_are_not_whole_are_a_gap_and_the_care_team_is(found: Any, gap: Gap) -> None:
    source = facade(case(), Encounter=found)
    answer = await ask(source, cap=3)
    assert answer.outcome is Outcome.PARTIAL
    assert answer.told == "answered in part"
    assert answer.gaps == {Section.CONTACTS: gap}
    assert answer.detail.startswith("Encounter: ")
    assert items(answer, "CareTeam")
    assert NHS_NUMBER not in answer.detail


@pytest.mark.parametrize(
    "found",
    [
        bundle(total=0),
        bundle(visit()),
        bundle(visit("v1"), visit("v2")),
        bundle(visit("v1"), visit("v2"), total=1),
        bundle(visit("v1"), visit("v1"), total=1),
        bundle(visit(), remark("informational", "information"), total=1),
        bundle(visit(), link=[{"relation": "self", "url": "http://source.test/fhir/Encounter?patient=p1"}]),
    ],
)
async def test_contacts_that_are_whole_have_no_gap(found: Any) -> None:
    answer = await ask(facade(Encounter=found), cap=3)
    assert (answer.outcome, answer.gaps, answer.detail) == (Outcome.ANSWERED, {}, "")


async def test_cases_that_fail_are_a_gap_of_the_care_team_alone() -> None:
    for found in (500, bundle(case(), total=5), bundle({"resourceType": "EpisodeOfCare", "id": "c1"})):
        answer = await ask(facade(visit(), EpisodeOfCare=found))
        assert set(answer.gaps) == {Section.CARE_TEAM}
        assert items(answer, "Encounter")


async def test_what_comes_too_late_is_a_gap_and_the_rest_is_handed_over_in_time() -> None:
    async def never(_: Question) -> Any:
        await asyncio.sleep(30)

    answer = await ask(facade(case(), Encounter=never), seconds=0.3)
    assert answer.gaps == {Section.CONTACTS: Gap.TIMED_OUT}
    assert items(answer, "CareTeam")
    with pytest.raises(SourceTimeout):
        await ask(facade(Patient=never), seconds=0.2)


async def test_two_versions_under_one_id_are_both_held_back() -> None:
    source = facade(visit("v1", status="planned"), visit("v1", status="cancelled"), visit("v2"))
    answer = await ask(source, CONTACTS)
    assert [one["id"] for one in items(answer, "Encounter")] == ["v2"]
    assert "two versions" in trace(answer, "Encounter/v1").reason
    assert answer.gaps == {Section.CONTACTS: Gap.HELD_BACK}


@pytest.mark.parametrize(
    "odd", [{"resourceType": "EpisodeOfCare"}, case(id={"a": 1}), case(id=""), case(id=7), case("c2", careManager=[7])]
)
async def test_a_case_of_a_shape_that_nobody_foresaw_is_held_back_alone(odd: dict[str, Any]) -> None:
    answer = await ask(facade(EpisodeOfCare=bundle(case(), odd)), TEAMS)
    assert [one["id"] for one in items(answer, "CareTeam")] == ["c1"]
    assert answer.gaps == {Section.CARE_TEAM: Gap.HELD_BACK}


async def test_a_planned_contact_of_nobody_and_with_nobody_is_held_back() -> None:
    planned = visit("v1", status="planned", period={"start": "2027-03-03T10:00:53Z"})
    del planned["subject"]
    answer = await ask(facade(planned, visit("v2")), CONTACTS)
    assert keys(answer.items) == {"Patient/p1", "Encounter/v2"}
    assert trace(answer, "Encounter/v1").reason == "held back: what R4 demands of it is missing"
    assert answer.gaps == {Section.CONTACTS: Gap.HELD_BACK}


async def test_what_cannot_be_read_is_accounted_for() -> None:
    found = bundle(visit("v1"), {**visit("v2"), "class": "HH"}, {**visit("v3"), "subject": []})
    answer = await ask(facade(Encounter=found), CONTACTS)
    assert {"Encounter/(unreadable 1)", "Encounter/(unreadable 2)"} <= {one.key for one in answer.traced}
    assert "2 resources of broken shape" in answer.detail


# ---- somebody else ----


@pytest.mark.parametrize(
    "stray",
    [
        visit("v9", subject=OTHER),
        visit("v9", subject={"reference": "http://elsewhere.test/Patient/p1"}),
        visit("v9", participant=[{"individual": OTHER}]),
        visit("v9", extension=[{"url": "urn:x", "valueReference": OTHER}]),
        visit("v9", identifier=[{"system": NHS_NUMBER_SYSTEM, "value": "9990000018"}]),
        visit("v9", partOf={"reference": "Encounter/1", "type": "Patient"}),
        visit("v9", partOf={"reference": "Patient?identifier=9"}),
        visit("v9", text={"status": "generated", "div": "x"}, partOf={"reference": "patient%2Fp2"}),
        visit("v9", contained=[numbered(number="9990000018") | {"resourceType": "Basic", "id": "b"}]),
        person(id="p2", identifier=[numbered(number="9990000018")]),
        {"resourceType": "Basic", "id": "b1", "subject": OTHER},
        {"resourceType": "Basic", "id": "b1", "subject": {"reference": 7}},
        {"resourceType": "Organization", "id": "o1", "extension": [{"url": "urn:x", "valueReference": OTHER}]},
    ],
)
async def test_what_speaks_of_somebody_else_goes_to_the_guard_as_it_came(stray: dict[str, Any]) -> None:
    answer = await ask(facade(Encounter=bundle(visit(), stray, total=1)), CONTACTS)
    (handed,) = [item for item in answer.items if item.resource == stray]
    assert handed.section is None
    assert answer.gaps == {Section.CONTACTS: Gap.IDENTITY_ALARM}
    assert "as it came" in trace(answer, f"{stray['resourceType']}/{stray['id']}").reason


async def test_what_was_not_asked_for_is_not_handed_on_even_so() -> None:
    stray = {"resourceType": "Condition", "id": "x1", "subject": OTHER}
    answer = await ask(facade(Encounter=bundle(visit(), stray, total=1)), CONTACTS)
    assert keys(answer.items) == {"Patient/p1", "Encounter/v1"}
    assert answer.gaps == {Section.CONTACTS: Gap.IDENTITY_ALARM}
    assert "goes no further" in trace(answer, "Condition/x1").reason


async def test_the_person_may_be_named_in_each_way_that_is_theirs() -> None:
    answer = await ask(
        facade(
            visit("v1", subject={"reference": "Patient/p1/_history/3"}),
            visit("v2", subject={"reference": "http://source.test/fhir/Patient/p1"}),
            visit("v3", serviceProvider={"reference": "Organization/patient-safety"}, partOf={"reference": "#x"}),
        ),
        CONTACTS,
    )
    assert len(items(answer, "Encounter")) == 3
    assert answer.gaps == {}


# ---- what was never asked for ----


async def test_family_and_carers_are_left_out_wherever_they_stand() -> None:
    daughter = {"reference": "RelatedPerson/r1", "display": "Mrs Joan Smith (daughter)"}
    relative = {
        "resourceType": "RelatedPerson",
        "id": "r1",
        "patient": SUBJECT,
        "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": "9990000018"}],
        "name": [{"family": "Smith"}],
    }
    met = visit(participant=[{"individual": daughter}, {"individual": NURSE}, {"individual": {"display": "Joan"}}])
    led = case(careManager=daughter, managingOrganization={"reference": "RelatedPerson/r1"})
    answer = await ask(facade(EpisodeOfCare=bundle(led, relative, total=1), Encounter=bundle(met, relative, total=1)))
    assert answer.gaps == {}
    assert "Smith" not in repr(answer)
    assert "Joan" not in repr(answer)
    assert [one["individual"] for one in only(answer, "Encounter")["participant"]] == [NURSE]
    assert "participant" not in only(answer, "CareTeam")
    assert "participant (2)" in trace(answer, "Encounter/v1").reason
    assert "careManager that leads to no Practitioner (1)" in trace(answer, "EpisodeOfCare/c1").reason
    reasons = {one.reason for one in answer.traced if one.key == "RelatedPerson/r1"}
    assert reasons == {"about somebody else (family or carer): never carried over"}


@pytest.mark.parametrize(
    "extra",
    [
        {"contact": [{"name": {"family": "SECRET"}}]},
        {"photo": [{"title": "SECRET"}]},
        {"extension": [{"url": "urn:key-safe", "valueString": "SECRET"}]},
        {"text": {"status": "generated", "div": "<div>SECRET</div>"}},
        {"contained": [{"resourceType": "Basic", "id": "b", "code": {"text": "SECRET"}}]},
        {"keySafe": "SECRET"},
        {"_birthDate": {"extension": [{"url": "urn:x", "valueString": "SECRET"}]}},
        {"address": [{"text": "SECRET", "city": "London"}]},
        {"address": [{"line": ["4 High Street", "Key safe SECRET"]}]},
        {"address": [{"line": ["door code: SECRET"]}]},
        {"address": [{"line": ["Keysafe SECRET"]}]},
        {"address": [{"line": ["gate-code SECRET"]}]},
        {"address": [{"city": "London (keys under SECRET)", "postalCode": "SE1"}]},
        {"telecom": [{"system": "phone", "value": "07700 900000 (SECRET)"}]},
        {"telecom": [{"system": "other", "value": "SECRET"}]},
        {"communication": [{"language": {"extension": [{"url": "urn:x", "valueString": "SECRET"}]}}]},
        {"communication": [{"language": {"id": "SECRET"}, "preferred": True}]},
        {"identifier": [numbered(), {"system": "urn:ni", "value": "SECRET"}]},
        {"identifier": [{**numbered(), "extension": [*numbered()["extension"], {"url": "urn:SECRET"}]}]},
        {"identifier": [{**numbered(), "extension": [*numbered()["extension"], {"valueCodeableConcept": "SECRET"}]}]},
        {"name": [{"family": "A", "extension": [{"url": "urn:alias", "valueString": "SECRET"}]}]},
        {"generalPractitioner": [{"display": "A", "identifier": {"type": {"text": "SECRET"}}}]},
        {"meta": {"tag": [{"display": "SECRET"}], "extension": [{"url": "urn:x", "valueString": "SECRET"}]}},
    ],
)
async def test_nothing_of_a_person_but_what_the_contract_names(extra: dict[str, Any]) -> None:
    answer = await ask(facade(Patient=bundle(person(**extra))))
    assert "SECRET" not in repr(answer)
    assert answer.outcome is Outcome.ANSWERED
    if "meta" not in extra:
        assert "left out" in trace(answer, "Patient/p1").reason


@pytest.mark.parametrize(
    "extra",
    [
        {"reasonCode": [{"text": "SECRET"}]},
        {"reasonCode": [{"text": "SECRET", "coding": [{"system": "urn:r", "code": "a"}]}]},
        {"diagnosis": [{"condition": {"reference": "Condition/1", "display": "SECRET"}}]},
        {"hospitalization": {"dischargeDisposition": {"text": "SECRET"}}},
        {"location": [{"location": {"reference": "Patient/p1", "display": "SECRET"}}]},
        {"location": [{"location": {"reference": "Location/1", "display": "Home, key safe SECRET"}}]},
        {"participant": [{"individual": {"reference": "Practitioner/1", "display": "A (door code SECRET)"}}]},
        {"type": [{"text": "Visit, keysafe SECRET"}]},
        {"class": {"code": "HH", "extension": [{"url": "urn:SECRET"}]}},
        {"length": {"value": 4.50, "unit": "SECRET"}},
    ],
)
async def test_nothing_of_a_contact_but_what_the_contract_names(extra: dict[str, Any]) -> None:
    answer = await ask(facade(visit(**extra)), CONTACTS)
    assert "SECRET" not in repr(answer)
    assert (answer.gaps, len(items(answer, "Encounter"))) == ({}, 1)
    assert trace(answer, "Encounter/v1").reason


async def test_nothing_of_workers_teams_and_places_but_what_the_contract_names() -> None:
    worker = {
        "resourceType": "Practitioner",
        "id": "w1",
        "name": [{"family": "A"}],
        "telecom": [
            {"system": "phone", "value": "020 7946 0700", "use": "work"},
            {"system": "phone", "value": "SECRET"},
            {"system": "phone", "value": "SECRET", "use": "mobile"},
        ],
        "address": [{"text": "SECRET"}],
        "birthDate": "SECRET",
        "qualification": [{"code": {"text": "Nurse"}, "identifier": [{"value": "SECRET"}]}],
    }
    place = {"resourceType": "Location", "id": "l1", "name": "8 High Street, key safe SECRET", "description": "SECRET"}
    office = {"resourceType": "Location", "id": "l2", "name": "Town hall", "address": {"text": "SECRET"}}
    team = {"resourceType": "Organization", "id": "o1", "name": "A", "contact": [{"name": {"text": "SECRET"}}]}
    found = bundle(visit(), worker, place, office, team, total=1)
    answer = await ask(facade(Encounter=found), CONTACTS)
    assert "SECRET" not in repr(answer)
    assert [one["value"] for one in only(answer, "Practitioner")["telecom"]] == ["020 7946 0700"]
    assert [one.get("name") for one in items(answer, "Location")] == [None, "Town hall"]
    assert answer.gaps == {}


async def test_types_that_the_contract_does_not_name_are_left_out_and_accounted_for() -> None:
    allergy = {"resourceType": "AllergyIntolerance", "id": "a1", "patient": SUBJECT, "code": {"text": "Nuts"}}
    contained = visit("v2", contained=[{"resourceType": "Basic", "id": "b1"}, {"resourceType": "Basic"}])
    answer = await ask(facade(visit(), contained, allergy, remark("informational", "information") | {"id": "o"}))
    assert keys(answer.items) == {"Patient/p1", "Encounter/v1", "Encounter/v2"}
    assert "doesn't name" in trace(answer, "AllergyIntolerance/a1").reason
    assert "remark" in trace(answer, "OperationOutcome/o").reason
    assert {"Encounter/v2#b1", "Encounter/v2#2"} <= {one.key for one in answer.traced}


async def test_one_search_may_bring_what_the_other_was_asked_for() -> None:
    """A case that stands among the contacts too is neither lost nor told twice."""
    answer = await ask(facade(EpisodeOfCare=bundle(case()), Encounter=bundle(visit(), case(), total=1)))
    assert keys(answer.items) == {"Patient/p1", "CareTeam/c1", "Encounter/v1"}
    assert trace(answer, "EpisodeOfCare/c1").became == ("CareTeam/c1",)
    alone = await ask(facade(Encounter=bundle(visit(), case(), total=1)), CONTACTS)
    assert keys(alone.items) == {"Patient/p1", "Encounter/v1"}
    assert "never asked for" in trace(alone, "EpisodeOfCare/c1").reason


async def test_a_name_of_an_element_is_never_the_facades_own_word() -> None:
    answer = await ask(facade(visit(annaSmith="x"), visit("v2", careNote=["a", "b"])), CONTACTS)
    assert "annaSmith" not in repr(answer)
    assert trace(answer, "Encounter/v2").reason.endswith("what R4 doesn't know (2)")


async def test_more_entries_than_a_question_may_bring_are_a_gap() -> None:
    places = [{"resourceType": "Location", "id": f"l{number}"} for number in range(4_999)]
    found = {"EpisodeOfCare": bundle(case(), *places, total=1), "Encounter": bundle(visit(), *places, total=1)}
    answer = await ask(facade(**found))
    assert list(answer.gaps.values()) == [Gap.TOO_MUCH]
    assert "over the budget of the whole question" in answer.detail
    assert len(answer.items) == 5_002  # the places of one search are those of the other


async def test_team_references_that_cannot_be_followed_leave_the_display() -> None:
    answer = await ask(facade(case(managingOrganization={"reference": "Organization/o9", "display": "Team A"})), TEAMS)
    assert only(answer, "CareTeam")["name"] == "Team A"
    assert answer.gaps == {}
