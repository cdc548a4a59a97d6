"""What of a record tells where a patient lives or is registered, and goes; and what stays."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM, Resource
from gateway.merge import Merger, Record
from gateway.register import whereabouts
from gateway.register.standing import Hold, Standing
from gateway.register.whereabouts import hold_back, identity, told
from tests.unit.pipeline import (
    EVERYTHING,
    NHS,
    PRACTICE,
    SEALER,
    TAKING_PART,
    TRUST,
    answered,
    found,
    guarded,
    patient,
    registered_at,
    resource,
)

HOME = {"line": ["17 Marigold Gardens"], "postalCode": "SE13 9QQ"}
WHERE = {"address": [HOME], "telecom": [{"system": "phone", "value": "020 7946 0123"}], **registered_at(PRACTICE)}


def held(*bodies: Resource, hold: Hold | None = Hold.SENSITIVE, of: dict[str, Any] | None = None) -> Record:
    """The record of a trust that knows where the patient lives, after holding back."""
    answers = guarded(answered(TRUST, patient(**deepcopy(WHERE if of is None else of)), *bodies))
    record = Merger(SEALER, TAKING_PART).merge(answers, {}, NHS, EVERYTHING, Standing("X26", None, hold))
    hold_back(record)
    return record


def left(kind: str, **elements: Any) -> Resource | None:
    """What stays of one resource."""
    bodies = found(held(resource(kind, "x", **elements)), kind)
    return bodies[0] if bodies else None


def test_where_nothing_must_be_held_back_nothing_is_touched() -> None:
    record = held(resource("Location", "l", name="Ward 7"), hold=None)
    assert record.patients[0].resource["address"] == [HOME]
    assert found(record, "Location")
    assert hold_back(record) == {}
    assert told(None) == ""


def test_of_the_patient_stays_who_they_are() -> None:
    full = {
        **WHERE,
        "active": True,
        "name": [{"family": "A", "given": ["B"], "extension": [{"url": "x", "valueString": "y"}]}],
        "birthDate": "1950-01-01",
        "_birthDate": {"extension": [{"url": "x", "valueDateTime": "1950-01-01T10:00:00Z"}]},
        "deceasedBoolean": False,
        "contact": [{"address": HOME}],
        "managingOrganization": {"display": "The practice"},
        "contained": [{"resourceType": "Organization", "id": "o", "name": "The practice"}],
        "photo": [{"url": "https://x.example"}],
        "maritalStatus": {"text": "married"},
        "unheardOf": {"homeAddress": "17 Marigold Gardens"},
    }
    full["identifier"] = [
        {"system": NHS_NUMBER_SYSTEM, "value": NHS, "assigner": {"display": "The practice"}},
        {"system": "https://practice.example/id", "value": "17"},
    ]
    (item,) = held(of=full).patients
    assert item.resource.keys() == {
        *("resourceType", "id", "meta", "identifier", "active", "name", "birthDate", "deceasedBoolean")
    }
    assert item.resource["identifier"] == [{"system": NHS_NUMBER_SYSTEM, "value": NHS}]
    assert item.resource["name"] == [{"family": "A", "given": ["B"]}]
    assert item.resource["meta"]["tag"][-1]["code"] == "SUBSETTED"


@pytest.mark.parametrize("kind", ["Location", "Organization"])
def test_places_go_whatever_they_are(kind: str) -> None:
    record = held(resource(kind, "x", name="Ward 7"))
    assert not found(record, kind)
    assert not [reference for reference in record.index if reference.startswith(kind)]


def test_the_people_of_the_practice_go_and_others_stay() -> None:
    of = {"generalPractitioner": [{"reference": "https://rj2.example/fhir/Practitioner/gp"}]}
    record = held(
        resource("Practitioner", "gp", name=[{"text": "Dr A"}]),
        resource("Practitioner", "nurse", name=[{"text": "Ms B"}], address=[HOME], telecom=[{"value": "1"}]),
        resource(
            "Encounter",
            "e",
            participant=[
                {"individual": {"reference": "Practitioner/gp", "display": "Dr A"}},
                {"individual": {"reference": "Practitioner/nurse", "display": "Ms B"}},
            ],
        ),
        of=of,
    )
    (nurse,) = found(record, "Practitioner")
    assert nurse["name"] == [{"text": "Ms B"}]
    assert not nurse.keys() & {"address", "telecom"}
    (encounter,) = found(record, "Encounter")
    assert [one["individual"]["display"] for one in encounter["participant"]] == ["Ms B"]


@pytest.mark.parametrize(
    ("kind", "elements", "gone"),
    [
        ("Encounter", {"location": [{"location": {"display": "Home"}}]}, "location"),
        ("Encounter", {"serviceProvider": {"reference": "Organization/1"}}, "serviceProvider"),
        ("Encounter", {"hospitalization": {"destination": {"display": "Home"}}}, "hospitalization"),
        ("Appointment", {"comment": "Third floor"}, "comment"),
        ("Appointment", {"description": "At home"}, "description"),
        ("Appointment", {"patientInstruction": "Stay in"}, "patientInstruction"),
        ("Observation", {"performer": [{"display": "The practice"}]}, "performer"),
        ("Observation", {"performer": [{"type": "Organization", "display": "X"}]}, "performer"),
        ("Observation", {"valueString": "lives in SE13 9QQ"}, "valueString"),
        ("Observation", {"valueString": "17, MARIGOLD gardens"}, "valueString"),
        ("Observation", {"valueString": "ring 02079460123"}, "valueString"),
        ("Observation", {"valueString": f"sent by {PRACTICE}"}, "valueString"),
        ("Observation", {"text": {"status": "generated", "div": "<div>x</div>"}}, "text"),
        ("Observation", {"note": [{"text": "now at N1C 4AG"}]}, "note"),
        ("Observation", {"extension": [{"url": "x", "valueAddress": HOME}]}, "extension"),
        ("Observation", {"extension": [{"url": "x", "valueContactPoint": {"value": "1"}}]}, "extension"),
        ("Observation", {"extension": [{"url": "x", "valueReference": {"reference": "Location/1"}}]}, "extension"),
        ("Observation", {"extension": [{"url": "x", "valueReference": {"display": "Home"}}]}, "extension"),
        ("Observation", {"extension": [{"url": "x/HomeAddress", "valueString": "y"}]}, "extension"),
        ("Observation", {"extension": [{"url": "x", "extension": [{"url": "y", "valueAddress": HOME}]}]}, "extension"),
        ("Observation", {"homePostcode": "x"}, "homePostcode"),
        ("Observation", {"somewhere": {"reference": "Location/1"}}, "somewhere"),
        ("CareTeam", {"name": "Round 17 Marigold Gardens"}, "name"),
        ("CareTeam", {"telecom": [{"value": "1"}]}, "telecom"),
        ("CareTeam", {"managingOrganization": [{"reference": "Organization/1"}]}, "managingOrganization"),
        ("CareTeam", {"participant": [{"member": {"type": "Organization", "display": "X"}}]}, "participant"),
        ("DiagnosticReport", {"presentedForm": [{"data": "AAAA"}]}, "presentedForm"),
        ("Immunization", {"location": {"reference": "Location/1"}}, "location"),
        ("MedicationRequest", {"dispenseRequest": {"performer": {"display": "Corner pharmacy"}}}, "dispenseRequest"),
        ("Encounter", {"reasonCode": [{"text": "Fall at 17 Marigold Gardens"}]}, "reasonCode"),
        ("Encounter", {"type": [{"coding": [{"display": "Visit, SE13 9QQ"}]}]}, "type"),
        ("Condition", {"note": [{"text": "now at SE6\u00a04UU"}]}, "note"),
        ("Condition", {"note": [{"text": "now at SE6\n 4UU"}]}, "note"),
        ("Condition", {"note": [{"text": "now at se6-4uu"}]}, "note"),
        ("Condition", {"note": [{"text": "now at SE6\u200b4UU"}]}, "note"),
        ("Condition", {"note": [{"text": "now at \uff33\uff25\uff16 \uff14\uff35\uff35"}]}, "note"),
        ("Condition", {"extension": [{"url": "x", "valueAttachment": {"data": "AAAA"}}]}, "extension"),
        ("Condition", {"extension": [{"url": "x", "valueCoding": {"system": ODS_SYSTEM, "code": "A1"}}]}, "extension"),
        ("Condition", {"identifier": [{"system": ODS_SYSTEM, "value": "A1"}]}, "identifier"),
    ],
)
def test_what_may_tell_where_goes(kind: str, elements: dict[str, Any], gone: str) -> None:
    body = left(kind, **elements)
    assert body is not None
    assert gone not in body


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        ("Observation", {"code": {"text": "Vitamin B12 5ug"}}),  # no postcode
        ("Observation", {"valueQuantity": {"value": 71, "unit": "kg"}}),
        ("Observation", {"valueString": "well; B6 5mg, 10 MG"}),
        ("Observation", {"note": [{"text": "Feels well"}], "performer": [{"reference": "Practitioner/9"}]}),
        ("Observation", {"extension": [{"url": "x", "valueString": "y"}]}),
        ("Observation", {"component": [{"code": {"text": "systolic"}, "valueQuantity": {"value": 120}}]}),
        ("AllergyIntolerance", {"recorder": {"display": "Dr C"}, "note": [{"text": "rash"}]}),
        ("Immunization", {"manufacturer": {"display": "Maker"}, "lotNumber": "SE13"}),
        ("CareTeam", {"name": "Diabetes team", "participant": [{"member": {"type": "Practitioner", "display": "D"}}]}),
        ("MedicationRequest", {"dispenseRequest": {"quantity": {"value": 28}}}),
    ],
)
def test_what_tells_of_care_stays(kind: str, elements: dict[str, Any]) -> None:
    body = left(kind, **deepcopy(elements))
    assert body is not None
    assert {name: body[name] for name in elements} == elements


def test_what_lost_something_says_so_by_its_tag_and_no_tag_of_the_source_stays() -> None:
    told_by_tag = {"tag": [{"system": "https://rj2.example/clinic", "code": "17", "display": "Clinic in Catford"}]}
    body = left("Condition", meta=told_by_tag, code={"text": "Fall"})
    assert body is not None
    assert [tag["code"] for tag in body["meta"]["tag"]] == [TRUST, "SUBSETTED"]
    whole = left("Condition", code={"text": "Fall"})
    assert whole is not None
    assert [tag["code"] for tag in whole["meta"]["tag"]] == [TRUST]
    (item,) = held(of={**deepcopy(WHERE), "meta": deepcopy(told_by_tag)}).patients
    assert [tag["code"] for tag in item.resource["meta"]["tag"]] == [TRUST, "SUBSETTED"]


def test_a_contained_patients_links_lead_and_say_nothing() -> None:
    link = {"other": {"reference": "Patient/2", "display": "17 Marigold Gardens"}, "type": "seealso", "id": "l"}
    assert identity({"resourceType": "Patient", "link": [link]})["link"] == [
        {"other": {"reference": "Patient/2"}, "type": "seealso"}
    ]


def test_who_an_item_is_about_stays_however_it_is_said() -> None:
    by_number = resource("Observation", "o", None, subject={"identifier": {"system": NHS_NUMBER_SYSTEM, "value": NHS}})
    (body,) = found(held(by_number), "Observation")
    assert body["subject"]["identifier"]["value"] == NHS


def test_an_appointment_keeps_the_patient_and_the_people() -> None:
    home = {"resourceType": "Location", "id": "home", "address": HOME}
    relative = {"resourceType": "RelatedPerson", "id": "son", "name": [{"text": "Son"}], "address": [HOME]}
    own = {**patient("own"), "address": [HOME]}
    body = left(
        "Appointment",
        contained=[home, relative, own],
        participant=[
            {"actor": {"reference": "Patient/p1"}, "status": "accepted"},
            {"actor": {"reference": "#home"}, "status": "accepted"},
            {"actor": {"reference": "#son"}, "status": "accepted"},
            {"actor": {"identifier": {"system": ODS_SYSTEM, "value": PRACTICE}}, "status": "accepted"},
            {"actor": {"display": "17 Marigold Gardens"}, "status": "accepted"},
        ],
    )
    assert body is not None
    assert [one["actor"]["reference"] for one in body["participant"]] == [f"Patient/{NHS}", "#son"]
    assert [part["id"] for part in body["contained"]] == ["son", "own"]
    assert not any("address" in part for part in body["contained"])


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("Tŷ Gwyn", "Ty Gwyn"),
        ("Ty Gwyn", "Tŷ Gwyn"),
        ("Heol y Llŷs", "heol y lly\u0302s"),
        ("Ty Gwyn", "Ｔｙ Ｇｗｙｎ"),
    ],
)
def test_an_accent_or_a_width_hides_no_address(line: str, written: str) -> None:
    note = [{"text": f"Visited at {written} today"}]
    [body] = found(held(resource("Condition", "c", note=note), of={"address": [{"line": [line]}]}), "Condition")
    assert "note" not in body


def test_what_a_source_writes_beside_its_tags_goes_too() -> None:
    said = {"url": "https://trust.example/sent-to", "valueString": "17 Marigold Gardens"}
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
    meta = {"lastUpdated": "2026-11-01T09:00:00Z", "security": [{**label, "display": "SE13 9QQ"}], "extension": [said]}
    body = left("Condition", meta=meta)
    assert body is not None
    assert body["meta"]["security"] == [label]
    assert body["meta"]["lastUpdated"] == meta["lastUpdated"]
    assert "extension" not in body["meta"]
    assert [tag["code"] for tag in body["meta"]["tag"]] == [TRUST, "SUBSETTED"]


def test_an_item_of_which_nothing_valid_is_left_goes() -> None:
    record = held(resource("Immunization", "i", vaccineCode={"text": "flu"}, occurrenceString="at 17 Marigold Gardens"))
    assert not found(record, "Immunization")


def test_items_are_counted_by_rule_and_keep_their_labels() -> None:
    answers = guarded(
        answered(TRUST, patient(**deepcopy(WHERE)), resource("Location", "l"), resource("Condition", "c"))
    )
    record = Merger(SEALER, TAKING_PART).merge(answers, {}, NHS, EVERYTHING, Standing("X26", None, Hold.UNCHECKED))
    for item in record.items:
        item.labels = frozenset({"HIV"})
    assert hold_back(record) == {"whereabouts.unchecked": 2}
    assert {item.type for item in record.items} == {"Patient", "Condition"}
    assert all(item.labels == {"HIV"} for item in record.items)
    assert all(item.findings is not None for item in record.items)


def test_it_is_said_why() -> None:
    assert "details are restricted" in told(Hold.SENSITIVE)
    assert "could not be checked" in told(Hold.UNCHECKED)
    assert replace(Standing("X26"), hold=Hold.SENSITIVE).practice is None


TEXTS = st.text(st.sampled_from("SE13 9QQ1a\u00a0\u200b-.,vitaminB12ugſKﬁ１９ß"), max_size=24) | st.text(max_size=40)


@given(TEXTS)
def test_what_is_told_quickly_is_what_is_told(text: str) -> None:
    """A postcode is looked for by its second half first, and ASCII is stripped without a regular expression."""
    seen = normalize("NFKC", text)
    assert whereabouts._holds_postcode(seen) == bool(whereabouts._POSTCODE.search(seen))
    assert whereabouts._squeezed(text) == "".join(
        one for one in normalize("NFKD", text).casefold() if one in "abcdefghijklmnopqrstuvwxyz0123456789"
    )


def test_what_holds_nothing_is_the_same_object_and_what_does_is_another() -> None:
    """Nothing of what came is changed: the whole record is made of the same objects."""
    note = [{"text": "Feels well"}, {"text": "Write to SE13 9QQ"}]
    clean, told_of = resource("Condition", "c", note=note[:1]), resource("Condition", "d", note=note, severity={})
    before = deepcopy(told_of)
    sweep = whereabouts._Sweep()
    [clean_item, told_item] = answered(TRUST, clean, told_of).items
    assert sweep.left_of(clean_item) is clean
    left_over = sweep.left_of(told_item)
    assert left_over is not None
    assert left_over["note"] == note[:1]
    assert told_of == before
