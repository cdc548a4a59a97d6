"""What holds for every resource: Lists, contained resources, ids, references, empty text, what can't be read."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.gp_connect.stu3 import Reason, cardinality, prepare, translate
from connectors.gp_connect.stu3.reasons import UNKNOWN_ELEMENTS
from connectors.sdk import shape
from connectors.sdk.bundle import examine
from connectors.sdk.model import Section
from tests.connectors.stu3.sent import LEAST, about, json_of, national, patient
from tests.connectors.stu3.test_medicines import one

ALLERGIES = "886921000000105"
ENDED = "1103671000000101"
NOT = {"url": "urn:not", "valueBoolean": True}


def a_list(list_code: str, /, **more: Any) -> dict[str, Any]:
    coding = {"system": "http://snomed.info/sct", "code": list_code}
    return {"resourceType": "List", "status": "current", "mode": "snapshot", "code": {"coding": [coding]}, **more}


def test_a_list_says_what_is_kept_back_and_why_it_is_empty() -> None:
    warning = [national("ListWarningCode", valueCode=code) for code in ("confidential-items", "data-in-transit")]
    done = translate(
        [
            a_list(
                "933361000000108",
                title="Medications and medical devices",
                extension=[*warning, warning[0]],
                emptyReason={"coding": [{"code": "no-content-recorded"}]},
                note=[{"text": "Information not available"}],
            )
        ]
    )
    (said,) = done.lists
    assert said.section is Section.MEDICINES
    assert said.warnings == ("confidential-items", "data-in-transit")
    assert (said.empty_reason, said.entries, said.title) == (
        "no-content-recorded",
        0,
        "Medications and medical devices",
    )
    assert said.notes == ("Information not available",)
    assert (said.withheld_whole, said.is_section, said.ended_allergies, said.known) == (True, True, False, True)
    assert done.resources == []
    assert [(trace.key, trace.reason) for trace in done.traced] == [("List/?1", Reason.LIST)]


@pytest.mark.parametrize(
    ("code", "section", "is_section", "reason"),
    [
        ("717711000000103", Section.PROBLEMS, True, Reason.LIST),
        ("792931000000107", None, True, Reason.LIST),
        ("24781000000107", Section.CONTACTS, False, Reason.ARRANGEMENT),
        ("problems-medications-related-to-problems", Section.MEDICINES, False, Reason.LIST),
        ("consultations-outbound-referrals-in-consultations", None, False, Reason.LIST),
        ("problems-linked-problems-not-relating-to-the-primary-query", Section.PROBLEMS, False, Reason.LIST),
    ],
)
def test_what_a_list_is_about(code: str, section: Section | None, is_section: bool, reason: Reason) -> None:
    done = translate([a_list(code, entry=[{"item": {"reference": "Condition/1"}}])])
    (said,) = done.lists
    assert (said.section, said.is_section, said.known, said.entries) == (section, is_section, True, 1)
    assert said.withheld_whole is False
    assert done.traced[0].reason == reason


def test_a_list_of_a_code_that_nobody_knows_says_so() -> None:
    (said,) = translate([a_list("TBD", extension=[national("ListWarningCode", valueCode="x")])]).lists
    assert (said.section, said.is_section, said.known) == (None, False, False)
    assert said.warnings == ("x",)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"valueCodeableConcept": {"coding": [{"code": "confidential-items"}]}}, "confidential-items"),
        ({"valueCodeableConcept": {"text": "secret"}}, "unspecified"),
        ({"valueBoolean": True}, "unspecified"),
    ],
)
def test_a_warning_is_a_warning_whatever_its_type(value: dict[str, Any], code: str) -> None:
    (said,) = translate([a_list(ALLERGIES, extension=[national("ListWarningCode", **value)])]).lists
    assert said.warnings == (code,)


@pytest.mark.parametrize(
    "broken", [{"code": 7}, {"entry": 7}, {"emptyReason": []}, {"extension": "x"}, {"note": ["x"]}]
)
def test_a_list_that_can_not_be_read_may_be_short_of_anything(broken: dict[str, Any]) -> None:
    if broken == {"emptyReason": []}:
        broken = {"emptyReason": ["x", "y"]}
    done = translate([a_list(ALLERGIES, **broken)])
    assert done.lists == []
    assert done.broken == {None: 1}
    assert [trace.reason for trace in done.traced] == [Reason.BROKEN]


def ended(**more: Any) -> dict[str, Any]:
    allergy = {name: value for name, value in about("AllergyIntolerance").items() if name != "clinicalStatus"}
    return allergy | {"id": "Resolved-1", **more}


def codes_of(resource: dict[str, Any]) -> list[str]:
    return [coding["code"] for coding in resource["clinicalStatus"]["coding"]]


@pytest.mark.parametrize("sent", [{}, {"clinicalStatus": ""}, {"clinicalStatus": "resolved"}])
def test_an_ended_allergy_is_an_allergy_of_its_own_that_is_resolved(sent: dict[str, Any]) -> None:
    done = translate([a_list(ENDED, id="L", contained=[ended(**sent)], entry=[{"item": {"reference": "#Resolved-1"}}])])
    (made,) = done.resources
    assert made["id"] == "L-Resolved-1"
    assert codes_of(made) == ["resolved"]
    assert [(trace.key, trace.became, trace.reason) for trace in done.traced] == [
        ("List/L", (), Reason.LIST),
        ("List/L#Resolved-1", ("AllergyIntolerance/L-Resolved-1",), ""),
    ]
    assert done.lists[0].ended_allergies is True


def test_nothing_plays_an_allergy_down() -> None:
    done = translate([a_list(ENDED, id="L", contained=[ended(clinicalStatus="active")])])
    assert codes_of(done.resources[0]) == ["active"]
    other = translate([a_list(ALLERGIES, id="L", contained=[ended()])])
    assert "clinicalStatus" not in other.resources[0]


def test_ended_allergies_are_known_by_the_title_where_the_code_is_odd() -> None:
    (said,) = translate([a_list("TBD", title="Resolved Allergies")]).lists
    assert (said.section, said.ended_allergies, said.known, said.is_section) == (Section.ALLERGIES, True, True, False)


def test_an_ended_allergy_of_a_list_without_an_id_is_called_the_same_each_time() -> None:
    first = translate([a_list(ENDED, date="2021-01-01", contained=[ended(), ended(criticality="high")])])
    again = translate([a_list(ENDED, date="2022-02-02", contained=[ended(criticality="high"), ended()])])
    ids = [resource["id"] for resource in first.resources]
    assert len(set(ids)) == 2
    assert all(one.startswith("ended-Resolved-1-") for one in ids)
    assert {resource["id"] for resource in again.resources} == set(ids)


def test_what_a_list_contains_refers_to_each_other_as_resources_of_their_own() -> None:
    practitioner = {"resourceType": "Practitioner", "id": "dr", "name": [{"family": "Adams"}]}
    contained = [ended(recorder={"reference": "#dr"}), practitioner, {"resourceType": "Slot", "id": "s"}, "rubbish"]
    done = translate([a_list(ENDED, id="L", contained=contained)])
    allergy, lifted = done.resources
    assert lifted["id"] == "L-dr"
    assert allergy["recorder"] == {"reference": "Practitioner/L-dr"}
    assert {trace.key: trace.reason for trace in done.traced if trace.reason} == {
        "List/L": Reason.LIST,
        "List/L#s": Reason.SERVICE,
        "List/L#?4": Reason.BROKEN,
    }
    assert done.broken == {None: 1}


def test_a_local_reference_that_could_mean_two_is_left_alone() -> None:
    doctors = [{"resourceType": kind, "id": "dr"} for kind in ("Practitioner", "PractitionerRole")]
    done = translate([a_list(ENDED, id="L", contained=[ended(recorder={"reference": "#dr"}), *doctors])])
    assert done.resources[0]["recorder"] == {"reference": "#dr"}


def test_an_ended_allergy_that_can_not_be_read_leaves_the_others() -> None:
    done = translate([a_list(ENDED, id="L", contained=[ended(code=7), ended(id="")])])
    assert len(done.resources) == 1
    assert done.broken == {Section.ALLERGIES: 1}
    assert [trace.reason for trace in done.traced] == [Reason.LIST, Reason.BROKEN, ""]


def test_a_contained_resource_that_can_not_be_read_takes_what_holds_it_with_it() -> None:
    medication = {"resourceType": "Medication", "id": "m", "code": "Aspirin"}
    sent = about("MedicationRequest", medicationReference={"reference": "#m"}, contained=[medication])
    done = translate([sent])
    assert done.resources == []
    assert [(trace.key, trace.reason) for trace in done.traced] == [
        ("MedicationRequest/x", Reason.BROKEN),
        ("MedicationRequest/x#m", Reason.BROKEN),
    ]
    assert done.broken == {Section.MEDICINES: 1}


def test_what_is_contained_in_a_contained_resource_is_not_legal() -> None:
    inner = {"resourceType": "Organization", "id": "o", "contained": [{"resourceType": "Location", "id": "l"}]}
    done = translate([about("Condition", contained=[inner])])
    assert done.broken == {Section.PROBLEMS: 1}


def test_a_contained_resource_of_another_kind_is_named() -> None:
    done = translate([about("Condition", contained=[{"resourceType": "Slot", "id": "s"}, 7])])
    assert "contained" not in done.resources[0]
    assert [trace.reason for trace in done.traced] == ["", Reason.SERVICE, Reason.BROKEN]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ProcedureRequest", Reason.REQUEST),
        ("ReferralRequest", Reason.REFERRAL),
        ("DocumentReference", Reason.DOCUMENT),
        ("QuestionnaireResponse", Reason.QUESTIONNAIRE),
        ("HealthcareService", Reason.SERVICE),
        ("OperationOutcome", Reason.MESSAGE),
        ("Composition", Reason.OTHER),
        ("Nonsense", Reason.OTHER),
    ],
)
def test_a_kind_that_is_not_carried_is_named(kind: str, reason: Reason) -> None:
    held = {"resourceType": "Organization", "id": "o"}
    done = translate([{"resourceType": kind, "id": "1", "contained": [held]}])
    assert [(trace.key, trace.reason) for trace in done.traced] == [(f"{kind}/1", reason), (f"{kind}/1#o", reason)]
    assert not done.broken


@pytest.mark.parametrize("sent_id", ["a_b", "x" * 80, "5E49_-.~"])
def test_an_id_that_breaks_the_rule_stays_what_it_is(sent_id: str) -> None:
    referring = about("Observation", context={"reference": f"Encounter/{sent_id}"})
    encounter, observation = translate([about("Encounter", id=sent_id), referring]).resources
    assert observation["encounter"]["reference"] == f"Encounter/{encounter['id']}"


def test_a_resource_without_an_id_gets_one_that_depends_on_its_content_alone() -> None:
    without = {name: value for name, value in about("Condition").items() if name != "id"}
    done = translate([without, without | {"id": " "}, without | {"note": [{"text": "other"}]}])
    ids = [resource["id"] for resource in done.resources]
    assert len(set(ids)) == 3
    assert [trace.key for trace in done.traced] == ["Condition/?1", "Condition/ ", "Condition/?3"]
    assert translate([without]).resources[0]["id"] == ids[0]


def changed(day: int, **more: Any) -> dict[str, Any]:
    return about("Condition", meta={"lastUpdated": f"2026-01-0{day}T00:00:00Z"}, **more)


def test_the_same_resource_twice_is_one_and_two_versions_of_it_are_two() -> None:
    done = translate([changed(1), changed(1), changed(2, note=[{"text": "new"}])])
    assert len(done.resources) == 2
    assert [trace.became for trace in done.traced] == [("Condition/x",)] * 3
    assert not done.broken


def test_two_allergies_under_one_id_are_both_there_and_no_reference_is_guessed_at() -> None:
    nuts, latex = (about("AllergyIntolerance", code={"text": text}) for text in ("Nuts", "Latex"))
    done = translate([nuts, latex, nuts])
    ids = [resource["id"] for resource in done.resources]
    assert len(set(ids)) == 2
    assert all(one.startswith("x-") for one in ids)
    assert [trace.became for trace in done.traced] == [tuple(f"AllergyIntolerance/{one}" for one in ids)] * 3
    assert done.broken == {Section.ALLERGIES: 2}
    again = translate([latex, nuts])
    assert {resource["id"] for resource in again.resources} == set(ids)


def test_two_medicines_under_one_id_name_no_medicine() -> None:
    sent = [{"resourceType": "Medication", "id": "m", "code": {"text": text}} for text in ("Aspirin", "Warfarin")]
    statement, *medications = translate([about("MedicationStatement"), *sent]).resources
    assert statement["medicationReference"]["reference"] not in {f"Medication/{one['id']}" for one in medications}


def test_two_that_differ_in_their_bookkeeping_alone_and_two_parties_stay_as_they_are() -> None:
    names = [{"resourceType": "Organization", "id": "o", "name": name} for name in ("A", "B")]
    done = translate(
        [about("Condition"), about("Condition", meta={"versionId": "2"}), *names, patient(), patient(active=True)]
    )
    assert {resource["id"] for resource in done.resources} == {"x", "o", "p"}
    assert not done.broken


@pytest.mark.parametrize(
    "sent",
    [
        about("MedicationRequest", doNotPerform=True),
        about("MedicationRequest", requester={"modifierExtension": [NOT], "agent": {"reference": "Practitioner/1"}}),
        about("MedicationRequest", modifierExtension=[{"url": "urn:not"}]),
        about("MedicationStatement", wasNotTaken=True),
        about("Immunization", wasNotGiven=True),
        about("Immunization", notGiven="true"),
        about("Immunization", explanation={"modifierExtension": [NOT]}),
        about("Condition", abatementBoolean="true"),
        about("Condition", code={"modifierExtension": [NOT], "text": "x"}),
        about("Observation", focus=[{"reference": "RelatedPerson/1"}]),
        about("Observation", valueInteger=7),
        about("Observation", related=[{"modifierExtension": [NOT], "target": {"reference": "Observation/1"}}]),
    ],
)
def test_what_would_mean_something_else_without_what_is_left_out_is_not_carried(sent: dict[str, Any]) -> None:
    done = translate([sent])
    assert done.resources == []
    assert [trace.reason for trace in done.traced] == [Reason.BROKEN]
    assert done.broken.total() == 1


def test_a_modifier_that_r4_has_a_place_for_stays() -> None:
    dosage = {"text": "x", "modifierExtension": [NOT]}
    made = one(about("MedicationRequest", modifierExtension=[NOT], dosageInstruction=[dosage]))
    assert made["modifierExtension"] == made["dosageInstruction"][0]["modifierExtension"] == [NOT]
    harmless = translate([about("MedicationRequest", doNotPerform=False)])
    assert (len(harmless.resources), harmless.left_out) == (1, {"MedicationRequest.doNotPerform": 1})


@pytest.mark.parametrize("status", ["refuted", " refuted "])
def test_blanks_around_a_status_change_nothing(status: str) -> None:
    made = one(about("AllergyIntolerance", verificationStatus=status))
    assert made["verificationStatus"]["coding"][0]["code"] == "refuted"
    in_error = translate([about("AllergyIntolerance", verificationStatus="entered-in-error ")]).resources[0]
    assert "clinicalStatus" not in in_error
    assert one(about("MedicationRequest", status="stopped "))["status"] == "stopped"


def test_references_by_uuid_become_relative_where_they_can_mean_only_one() -> None:
    uuid = "8B339981-e9be-4e37-bf03-799295a6aec8"
    medication = {"resourceType": "Medication", "id": uuid}
    request = about("MedicationRequest", medicationReference={"reference": f"urn:uuid:{uuid.lower()}"})
    assert translate([request, medication]).resources[0]["medicationReference"] == {"reference": f"Medication/{uuid}"}
    alone = translate([request, medication, medication | {"resourceType": "Location"}]).resources[0]
    assert alone["medicationReference"] == {"reference": f"urn:uuid:{uuid.lower()}"}


def test_an_absolute_reference_stays_for_the_guard_to_judge() -> None:
    elsewhere = {"reference": "https://elsewhere.example/Patient/p"}
    assert one(about("Condition", subject=elsewhere))["subject"] == elsewhere


def test_empty_text_goes_and_a_null_keeps_a_place_that_an_extension_needs() -> None:
    why = {"extension": [{"url": "http://example.org/why", "valueString": "unknown"}]}
    done = translate(
        [
            patient(
                name=[{"family": "Adams", "given": ["", "Ann"], "_given": [why, None], "prefix": [" "]}],
                address=[{"city": ""}],
                telecom=[],
                gender=None,
            )
        ]
    )
    (made,) = done.resources
    assert made["name"] == [{"family": "Adams", "given": [None, "Ann"], "_given": [why, None]}]
    assert not made.keys() & {"address", "telecom", "gender"}
    assert done.left_out == {"(empty text)": 3}


def test_blanks_around_a_code_go_and_a_number_in_quotes_is_the_number() -> None:
    coding = {"system": "http://hl7.org/fhir/v3/NullFlavor ", "code": "UNK\t"}
    sent = about(
        "MedicationRequest",
        category={"coding": [coding]},
        dispenseRequest={"quantity": {"value": "28", "unit": "tablet"}, "expectedSupplyDuration": {"value": "0.50"}},
    )
    made = one(sent)
    assert made["category"][0]["coding"] == [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
    ]
    assert made["dispenseRequest"]["quantity"]["value"] == 28
    assert made["dispenseRequest"]["expectedSupplyDuration"]["value"] == Decimal("0.50")
    bad = sent | {"dispenseRequest": {"quantity": {"value": "a few"}}}
    assert translate([bad]).broken == {Section.MEDICINES: 1}


def test_one_where_a_list_belongs_and_a_list_of_one_are_read() -> None:
    made = one(patient(name={"family": "Adams", "given": "Ann"}, generalPractitioner={"reference": "Practitioner/1"}))
    assert made["name"] == [{"family": "Adams", "given": ["Ann"]}]
    assert made["generalPractitioner"] == [{"reference": "Practitioner/1"}]
    location = one({"resourceType": "Location", "id": "l", "address": [{"city": "Leeds"}]})
    assert location["address"] == {"city": "Leeds"}
    two = translate([{"resourceType": "Location", "id": "l", "address": [{"city": "Leeds"}, {"city": "York"}]}])
    assert two.traced[0].reason == Reason.BROKEN
    assert not two.broken  # no section is short of a Location


def test_profiles_security_and_narrative_of_a_resource() -> None:
    label = {"system": "http://hl7.org/fhir/v3/Confidentiality", "code": "R"}
    meta = {
        "profile": [
            "https://fhir.nhs.uk/STU3/StructureDefinition/CareConnect-GPC-Condition-1",
            "http://example.org/mine",
        ],
        "security": [label],
        "versionId": "7",
    }
    text = {"status": "generated", "div": "<div>x</div>"}
    done = translate([about("Condition", meta=meta, text=text, fhir_comments=["x"], modifierExtension=[])])
    (made,) = done.resources
    assert made["meta"] == {
        "profile": ["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Condition"],
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}],
        "versionId": "7",
    }
    assert made["text"] == text
    assert done.left_out == {"meta.profile": 1, "fhir_comments": 1}


def test_what_stu3_does_not_know_is_left_out_and_counted_by_its_path() -> None:
    done = translate([about("Condition", mood="sad", code={"coding": [{"code": "1", "weight": 7}]})])
    assert done.resources[0]["code"] == {"coding": [{"code": "1"}]}
    assert done.left_out == {"Condition.mood": 1, "Condition.code.coding.weight": 1}
    assert [(trace.became, trace.reason) for trace in done.traced] == [(("Condition/x",), UNKNOWN_ELEMENTS)]
    lifted = translate([a_list(ENDED, id="L", contained=[ended(mood="sad"), ended(id="2")])])
    assert [trace.reason for trace in lifted.traced] == [Reason.LIST, UNKNOWN_ELEMENTS, ""]


def test_an_extension_without_url_or_content_is_left_out() -> None:
    done = translate(
        [about("Condition", extension=[{"valueCode": "x"}, {"url": "http://x"}, {"url": 7, "valueCode": "x"}])]
    )
    assert "extension" not in done.resources[0]
    assert done.left_out == {"(extension without url or value)": 3}


def deep(levels: int) -> Any:
    node: Any = "x"
    for _ in range(levels):
        node = (
            {"extension": [{"url": "u", "valueString": "x", "extension": [node]}]}
            if isinstance(node, dict)
            else {"a": node}
        )
    return node


@pytest.mark.parametrize(
    "broken",
    [
        None,
        7,
        "Patient",
        [],
        {},
        {"resourceType": 7},
        {"resourceType": ""},
        {"id": "1"},
        about("Condition", id=7),
        about("Condition", code="text"),
        about("Condition", code=[[{"text": "x"}]]),
        about("Condition", clinicalStatus={"text": "active"}),
        about("Condition", extension=["x"]),
        about("Condition", meta="x"),
        about("Condition", meta={"profile": [{"x": "y"}]}),
        about("Condition", onsetAge={"value": 0.5}),
        about("Condition", onsetDateTime="2020", onsetString="long ago"),
        about("Condition", note=[{"text": "x", "extension": deep(50)["extension"]}]),
        {"resourceType": "Condition", "id": "1"},
        about("Observation", comment=7),
        about("Observation", component=["x"]),
        about("Observation", related={"type": {"x": "y"}, "target": {"reference": "Observation/1"}}),
        about("DiagnosticReport", performer=["x"]),
        about("MedicationRequest", medicationReference=None),
        about("MedicationRequest", requester="me"),
    ],
)
def test_what_can_not_be_read_is_named_and_the_rest_survives(broken: Any) -> None:
    done = translate([broken, patient()])
    assert [resource["resourceType"] for resource in done.resources] == ["Patient"]
    assert done.traced[0].reason == Reason.BROKEN
    assert done.broken.total() == 1
    assert not done.left_out


def test_what_was_prepared_is_not_read_again() -> None:
    prepare()
    before = set(cardinality.STU3._read)
    assert {resource["resourceType"] for resource in translate([about(kind) for kind in LEAST]).resources} == set(LEAST)
    assert set(cardinality.STU3._read) == before


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.decimals(-9, 9, places=2) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "resourceType",
                    "id",
                    "extension",
                    "contained",
                    "url",
                    "reference",
                    "coding",
                    "value",
                    "code",
                    "system",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_kinds = st.sampled_from([*LEAST, "Patient", "List", "Medication", "Location", "Specimen", "Appointment", "Slot"])


@st.composite
def _mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A resource that is nearly right: any of its elements, at any depth, is anything."""
    resource: dict[str, Any] = copy.deepcopy(about(draw(_kinds)))
    for _ in range(draw(st.integers(0, 3))):
        node: Any = resource
        while isinstance(node, dict) and node and draw(st.booleans()):
            inner = node[draw(st.sampled_from(sorted(node)))]
            if not isinstance(inner, dict):
                break
            node = inner
        names = [*node, "extension", "contained", "related", "dosage", "type", "performer", "meta", "entry", "title"]
        node[draw(st.sampled_from(names))] = draw(_json)
    return resource


@settings(max_examples=300, deadline=None)
@given(st.lists(_mutated() | _json, max_size=4))
def test_nothing_that_a_source_sends_can_raise_and_nothing_is_lost(sent: list[Any]) -> None:
    check(sent)


def check(sent: list[Any]) -> None:
    """Whatever was sent is accounted for, and what it became can be shown. Raises AssertionError."""
    before = copy.deepcopy(sent)
    done = translate(sent)
    assert sent == before
    # What is contained is called `Type/id#its-id`: what looks like it by its own type or id isn't told apart here.
    traced = [trace for trace in done.traced if "#" not in trace.key]
    lookalikes = [one for one in sent if isinstance(one, dict) and "#" in f"{one.get('resourceType')}{one.get('id')}"]
    assert len(traced) >= len(sent) - len(lookalikes)
    assert len(done.traced) >= len(sent)
    assert all(bool(trace.became) != (trace.reason not in ("", UNKNOWN_ELEMENTS)) for trace in done.traced)
    made = {f"{resource['resourceType']}/{resource['id']}" for resource in done.resources}
    assert {key for trace in done.traced for key in trace.became} == made
    for resource in done.resources:
        shape.check(resource)
        examine(resource)
        json_of(resource)
