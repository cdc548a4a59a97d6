"""The filter: whole, in outline, not at all; supporting items; references; contained resources."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from connectors.sdk.model import Item, Section
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.policy.decide import Policy, best_circumstances
from gateway.policy.filter import MISPLACED, UNSHOWABLE, apply
from gateway.policy.matrix import USUAL_PLACE
from gateway.policy.model import Circumstances
from gateway.policy.outline import SUBSETTED
from tests.policies.build import (
    ASTHMA,
    HIV,
    PATIENT,
    PSYCHOSIS,
    SOURCES,
    code,
    ids,
    item,
    ref,
    resolver,
    seen_by,
    shown,
)

SENSITIVE_RULE = "label.sensitive.agreement"


def valid(resource: dict[str, Any]) -> dict[str, Any]:
    """The same resource, if R4's models accept it (they want a real id, so a stand-in goes to them)."""
    get_fhir_model_class(resource["resourceType"]).model_validate(deepcopy(resource))
    return resource


def visit(**elements: Any) -> Item:
    return item(
        "Encounter",
        "visit",
        type=[code("185349003", text="Outpatient clinic")],
        period={"start": "2026-10-02"},
        serviceProvider=ref("Organization", "org", "Lewisham and Greenwich"),
        participant=[{"individual": ref("Practitioner", "doctor", "Dr Ahmed")}],
        location=[{"location": ref("Location", "ward", "Ward 4")}],
        reasonCode=[{"text": "Wheeze"}],
        diagnosis=[{"condition": ref("Condition", "asthma", "Asthma")}],
        **elements,
    )


def around() -> list[Item]:
    return [
        item("Condition", "asthma", code=code(ASTHMA, text="Asthma")),
        item("Organization", "org", name="Lewisham and Greenwich", telecom=[{"system": "phone", "value": "1"}]),
        item("Location", "ward", name="Ward 4"),
        item("Practitioner", "doctor", name=[{"family": "Ahmed"}]),
        item("Practitioner", "stranger", name=[{"family": "Nobody"}]),
    ]


def test_a_doctor_sees_a_contact_whole_and_untouched(policy: Policy) -> None:
    contact = visit()
    filtered = seen_by(Role.HOSPITAL_DOCTOR, policy, [contact, *around()])
    assert next(each for each in filtered.items if each.sealed_id == "visit") is contact
    assert ids(filtered) == {"visit", "asthma", "org", "ward", "doctor"}
    assert not filtered.withheld
    assert not filtered.outlined


def test_a_social_worker_sees_when_where_and_what_kind(policy: Policy) -> None:
    filtered = seen_by(Role.SOCIAL_WORKER, policy, [visit(), *around()])
    contact = valid(shown(filtered, "visit"))
    assert set(contact) == {
        "resourceType",
        "id",
        "meta",
        "status",
        "class",
        "type",
        "subject",
        "period",
        "location",
        "serviceProvider",
    }
    assert contact["meta"]["tag"] == [SUBSETTED]
    assert ids(filtered) == {"visit", "org", "ward"}
    assert set(shown(filtered, "org")) == {"resourceType", "id", "meta", "name"}
    assert filtered.outlined == {"section.contacts.outline": 1}
    assert filtered.withheld == {"policy.default-deny": 1}


def test_what_came_in_is_not_changed(policy: Policy) -> None:
    record = [visit(text={"status": "generated", "div": "<div>x</div>"}), *around()]
    before = deepcopy([each.resource for each in record])
    for role in Role:
        seen_by(role, policy, record)
        assert [each.resource for each in record] == before


@pytest.mark.parametrize("role", [Role.PRIVACY_OFFICER, Role.COMMISSIONER])
def test_who_sees_nothing_sees_no_supporting_item_either(policy: Policy, role: Role) -> None:
    assert seen_by(role, policy, [visit(), *around()]).items == []


def test_a_hidden_reason_takes_its_reference_and_display_with_it(policy: Policy) -> None:
    record = [visit(), *around()]
    contact = valid(shown(seen_by(Role.OCCUPATIONAL_THERAPIST, policy, record), "visit"))
    # An occupational therapist sees problems in outline: the reference stays, the display goes.
    assert contact["diagnosis"] == [{"condition": {"reference": "Condition/asthma"}}]
    absent = [each for each in record if each.sealed_id != "asthma"]
    contact = valid(shown(seen_by(Role.OCCUPATIONAL_THERAPIST, policy, absent), "visit"))
    assert "diagnosis" not in contact


def test_hidden_and_absent_look_the_same(policy: Policy) -> None:
    hidden = item("Encounter", "hidden", reasonCode=[code(HIV)])
    result = item("Observation", "o", encounter=ref("Encounter", "hidden", "HIV clinic"))
    with_it = seen_by(Role.NURSE, policy, [result, hidden])
    without = seen_by(Role.NURSE, policy, [result])
    assert [each.resource for each in with_it.items] == [each.resource for each in without.items]
    assert "encounter" not in valid(shown(with_it, "o"))
    assert with_it.withheld == {SENSITIVE_RULE: 1}


def test_of_a_party_that_the_source_did_not_send_the_name_stays(policy: Policy) -> None:
    performer = {**ref("Practitioner", "gone", "Dr Ahmed"), "identifier": {"system": "s", "value": "1"}}
    result = item("Observation", "o", performer=[performer, ref("Practitioner", "nameless")])
    kept = valid(shown(seen_by(Role.GP, policy, [result]), "o"))["performer"]
    assert kept == [{"identifier": {"system": "s", "value": "1"}, "display": "Dr Ahmed"}]


@pytest.mark.parametrize(
    ("element", "kept"),
    [
        ({"performer": [{"display": "Dr Ahmed"}]}, True),
        ({"performer": [{"reference": "urn:uuid:1", "display": "Dr Ahmed"}]}, True),
        ({"performer": [{"reference": "CareTeam/x", "display": "HIV team"}]}, False),
        ({"performer": [{"type": "CareTeam", "display": "HIV team"}]}, False),
        ({"performer": [{"type": "Organization", "display": "RJ2"}]}, True),
        ({"encounter": {"display": "HIV clinic"}}, False),
        ({"encounter": {"identifier": {"value": "1"}}}, False),
        ({"encounter": {"reference": "urn:uuid:1", "display": "HIV clinic"}}, False),
        ({"hasMember": [{"display": "HIV test"}]}, False),
        ({"basedOn": [{"reference": "ServiceRequest/1", "display": "HIV test"}]}, False),
        ({"extension": [{"url": "u", "valueReference": {"display": "HIV"}}]}, False),
        ({"extension": [{"url": "u", "valueReference": {"reference": "Condition/1", "display": "HIV"}}]}, False),
        ({"extension": [{"url": "u", "extension": [{"url": "v", "valueReference": {"display": "HIV"}}]}]}, False),
        ({"extension": [{"url": "u", "valueReference": {"type": "Organization", "display": "RJ2"}}]}, True),
        ({"extension": [{"url": "u", "valueString": "plain"}]}, True),
        ({"subject": {"reference": f"Patient/{PATIENT}", "display": "Ms Okafor"}}, True),
        ({"subject": {"identifier": {"value": PATIENT}}}, True),
        ({"subject": {"type": "Condition", "display": "HIV"}}, False),
    ],
)
def test_which_names_stay_without_their_target(policy: Policy, element: dict[str, Any], kept: bool) -> None:
    resource = valid(shown(seen_by(Role.GP, policy, [item("Observation", "o", **element)]), "o"))
    assert (next(iter(element)) in resource) is kept


def test_of_several_extensions_the_one_goes_that_names_what_is_not_shown(policy: Policy) -> None:
    plain, names = {"url": "v", "valueBoolean": True}, {"url": "u", "valueReference": {"display": "HIV"}}
    measured = item("Observation", "o", extension=[plain, names])
    assert shown(seen_by(Role.GP, policy, [measured]), "o")["extension"] == [plain]


def test_the_order_in_which_items_came_decides_nothing(policy: Policy) -> None:
    record = [visit(), *around()]
    there = {each.sealed_id: each.resource for each in seen_by(Role.GP, policy, record).items}
    back = {each.sealed_id: each.resource for each in seen_by(Role.GP, policy, [*reversed(record)]).items}
    assert back == there
    assert {"visit", "asthma"} <= there.keys()


def test_what_was_not_examined_is_walked_itself(policy: Policy) -> None:
    """What the guard found spares a walk, and changes nothing."""
    record = [visit(), *around()]
    there = [each.resource for each in seen_by(Role.GP, policy, record).items]
    for each in record:
        each.findings = None
    best = best_circumstances(Role.GP, USUAL_PLACE[Role.GP], Section.CONTACTS, SOURCES["RJ2"])

    def at(each: Item) -> Circumstances:
        assert each.section is not None
        return replace(best, section=each.section, labels=each.labels)

    walked = apply(record, at, policy, resolver(record), patient=PATIENT)
    assert [each.resource for each in walked.items] == there


def test_a_name_without_a_target_goes_from_beside_one_that_stays(policy: Policy) -> None:
    panel = item("Observation", "o", hasMember=[ref("Observation", "hb"), {"display": "HIV test"}])
    resource = valid(shown(seen_by(Role.GP, policy, [panel, item("Observation", "hb")]), "o"))
    assert resource["hasMember"] == [ref("Observation", "hb")]


def test_what_has_no_section_and_explains_nothing_is_not_shown_whoever_refers_to_it(policy: Policy) -> None:
    result = item("Observation", "o", partOf=[ref("Procedure", "p", "Termination")])
    filtered = seen_by(Role.GP, policy, [result, item("Procedure", "p")])
    assert "partOf" not in valid(shown(filtered, "o"))
    assert (ids(filtered), filtered.withheld) == ({"o"}, {MISPLACED: 1})


def test_another_patient_is_never_referred_to(policy: Policy) -> None:
    other = {"reference": "Patient/9990000026", "display": "Her brother"}
    shown_ = valid(shown(seen_by(Role.GP, policy, [item("Observation", "o", performer=[other])]), "o"))
    assert "performer" not in shown_


def test_a_mandatory_reference_without_a_target_says_so(policy: Policy) -> None:
    request = item("MedicationRequest", "r", medicationReference=ref("Medication", "gone"))
    resource = valid(shown(seen_by(Role.GP, policy, [request]), "r"))
    assert resource["medicationReference"]["extension"][0]["valueCode"] == "unknown"
    named = item("MedicationRequest", "r", medicationReference=ref("Medication", "gone", "Amoxicillin"))
    resource = valid(shown(seen_by(Role.GP, policy, [named]), "r"))
    assert resource["medicationReference"] == {"display": "Amoxicillin"}


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        ("Encounter", {"diagnosis": [{"condition": ref("Condition", "gone"), "rank": 1}]}),
        ("Encounter", {"location": [{"location": ref("Location", "gone"), "status": "active"}]}),
        ("Condition", {"stage": [{"assessment": [ref("Observation", "gone")]}]}),
        ("Condition", {"evidence": [{"detail": [ref("Observation", "gone")]}]}),
        ("Immunization", {"performer": [{"actor": ref("Practitioner", "gone"), "function": {"text": "gave"}}]}),
        ("DiagnosticReport", {"media": [{"comment": "c", "link": ref("Media", "gone")}]}),
        ("DiagnosticReport", {"result": [ref("Observation", "gone")]}),
        ("Patient", {"link": [{"type": "seealso", "other": ref("Patient", "gone")}]}),
        ("Patient", {"contact": [{"organization": ref("Organization", "gone"), "gender": "female"}]}),
        ("CareTeam", {"participant": [{"member": ref("CareTeam", "gone")}]}),
    ],
)
def test_a_backbone_goes_with_its_mandatory_reference(policy: Policy, kind: str, elements: dict[str, Any]) -> None:
    resource = valid(shown(seen_by(Role.GP, policy, [item(kind, "x", **elements)]), "x"))
    assert next(iter(elements)) not in resource


def test_a_participant_that_nothing_names_goes_and_the_patient_stays(policy: Policy) -> None:
    me = {"actor": {"reference": f"Patient/{PATIENT}"}, "status": "accepted"}
    gone = {"actor": ref("Practitioner", "gone"), "status": "accepted"}
    booked = item("Appointment", "a", participant=[me, gone])
    assert valid(shown(seen_by(Role.GP, policy, [booked]), "a"))["participant"] == [me]


def test_an_appointment_of_which_nobody_is_left_can_not_be_shown(policy: Policy) -> None:
    gone = {"actor": ref("Practitioner", "gone"), "status": "accepted"}
    filtered = seen_by(Role.GP, policy, [item("Appointment", "a", participant=[gone])])
    assert filtered.items == []
    assert filtered.withheld == {UNSHOWABLE: 1}


def test_what_it_contains_makes_nothing_showable(policy: Policy) -> None:
    gone = {"actor": ref("Practitioner", "gone"), "status": "accepted"}
    inside = [{"resourceType": "Practitioner", "id": "near", "name": [{"family": "Near"}]}]
    filtered = seen_by(Role.GP, policy, [item("Appointment", "a", participant=[gone], contained=inside)])
    assert filtered.items == []
    assert filtered.withheld == {UNSHOWABLE: 1}


def test_what_refers_to_an_item_that_can_not_be_shown_loses_the_reference(policy: Policy) -> None:
    gone = {"actor": ref("Practitioner", "gone"), "status": "accepted"}
    booked = item("Appointment", "a", participant=[gone], supportingInformation=[ref("Condition", "c")])
    contact = item("Encounter", "e", appointment=[ref("Appointment", "a")], serviceProvider=ref("Organization", "org"))
    filtered = seen_by(Role.GP, policy, [booked, contact, *around()])
    assert ids(filtered) == {"e", "org", "asthma"}
    assert "appointment" not in valid(shown(filtered, "e"))
    assert filtered.withheld == {UNSHOWABLE: 1}


@pytest.mark.parametrize(
    "turned", [{"modifierExtension": [{"url": "u", "valueBoolean": True}]}, {"implicitRules": "u"}]
)
def test_what_turns_its_own_meaning_round_is_not_outlined(policy: Policy, turned: dict[str, Any]) -> None:
    request = item("MedicationRequest", "r", medicationCodeableConcept={"text": "Aspirin"}, **turned)
    assert ids(seen_by(Role.GP, policy, [request])) == {"r"}
    filtered = seen_by(Role.SOCIAL_WORKER, policy, [request])
    assert filtered.items == []
    assert filtered.withheld == {UNSHOWABLE: 1}


def test_a_supporting_item_that_can_not_be_outlined_takes_along_what_is_nothing_without_it(policy: Policy) -> None:
    turned = item("Medication", "m", code={"text": "Aspirin"}, implicitRules="u")
    statement = item("MedicationStatement", "s", medicationReference=ref("Medication", "m"))
    assert ids(seen_by(Role.GP, policy, [statement, turned])) == {"s", "m"}
    filtered = seen_by(Role.SOCIAL_WORKER, policy, [statement, turned])
    assert filtered.items == []
    assert filtered.withheld == {UNSHOWABLE: 2}


def test_an_outline_keeps_why_a_mandatory_element_is_absent_and_no_other_extension(policy: Policy) -> None:
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    other = {"url": "https://example.org/secret", "valueString": "secret"}
    contact = item("Encounter", "e", extension=[other], period={"start": "2026-01-01", "_end": {"extension": [other]}})
    del contact.resource["status"]
    contact.resource |= {"class": {"extension": [other, absent]}, "_status": {"extension": [absent, other]}}
    resource = valid(shown(seen_by(Role.SOCIAL_WORKER, policy, [contact]), "e"))
    assert resource["class"] == {"extension": [absent]}
    assert resource["_status"] == {"extension": [absent]}
    assert resource["period"] == {"start": "2026-01-01"}
    assert "extension" not in resource


def test_a_backbone_with_a_modifier_is_not_outlined(policy: Policy) -> None:
    place = {"location": ref("Location", "ward"), "modifierExtension": [{"url": "u", "valueBoolean": True}]}
    contact = item("Encounter", "e", location=[place])
    assert "location" not in shown(seen_by(Role.SOCIAL_WORKER, policy, [contact, *around()]), "e")


def test_a_refuted_problem_says_so_in_outline(policy: Policy) -> None:
    refuted = code("refuted", system="http://terminology.hl7.org/CodeSystem/condition-ver-status")
    problem = item("Condition", "c", code=code(ASTHMA, text="Asthma"), verificationStatus=refuted, note=[{"text": "n"}])
    resource = valid(shown(seen_by(Role.OCCUPATIONAL_THERAPIST, policy, [problem]), "c"))
    assert set(resource) == {"resourceType", "id", "meta", "verificationStatus", "code", "subject"}


def test_an_outline_of_an_organisation_keeps_identifiers_without_their_assigner(policy: Policy) -> None:
    trust = item("Organization", "org", identifier=[{"value": "RJ2", "assigner": {"display": "HIV clinic"}}])
    contact = item("Encounter", "e", serviceProvider=ref("Organization", "org"))
    resource = valid(shown(seen_by(Role.SOCIAL_WORKER, policy, [contact, trust]), "org"))
    assert resource["identifier"] == [{"value": "RJ2"}]


def test_nulls_that_keep_the_place_of_a_primitive_stay(policy: Policy) -> None:
    name = {"given": [None, "Ada"], "_given": [{"extension": [{"url": "u", "valueString": "x"}]}, None]}
    extensions = [{"url": "u", "valueReference": ref("Condition", "gone")}]
    person = item("Patient", "p", name=[{**name, "family": "Okafor"}], extension=extensions)
    resource = valid(shown(seen_by(Role.GP, policy, [person]), "p"))
    assert resource["name"][0]["given"] == [None, "Ada"]
    assert "extension" not in resource


def test_a_section_that_is_not_the_types_own_is_withheld(policy: Policy) -> None:
    lying = item("Observation", "o")
    lying.section = Section.DEMOGRAPHICS
    sectionless = item("Condition", "c", code=code(ASTHMA))
    sectionless.section = None
    strange = item("Procedure", "p", status="completed")
    filtered = seen_by(Role.GP, policy, [lying, sectionless, strange])
    assert filtered.items == []
    assert filtered.withheld == {MISPLACED: 3}


def test_supporting_items_come_with_whom_they_support_and_their_own(policy: Policy) -> None:
    role = item("PractitionerRole", "role", practitioner=ref("Practitioner", "doctor"))
    allergy = item("AllergyIntolerance", "a", recorder=ref("PractitionerRole", "role"))
    result = item("Observation", "o", performer=[ref("Practitioner", "stranger")])
    filtered = seen_by(Role.SOCIAL_WORKER, policy, [allergy, result, role, *around()])
    assert ids(filtered) == {"a", "role", "doctor"}


def test_a_supporting_item_is_shown_as_far_as_the_most_open_of_what_it_explains(policy: Policy) -> None:
    request = item("MedicationRequest", "r", medicationReference=ref("Medication", "m"))
    tablets = item("Medication", "m", code=code("27658006"), batch={"lotNumber": "7"})
    outlined = seen_by(Role.OCCUPATIONAL_THERAPIST, policy, [request, tablets])
    assert set(valid(shown(outlined, "m"))) == {"resourceType", "id", "meta", "code"}
    assert shown(outlined, "r")["medicationReference"] == ref("Medication", "m")
    assert outlined.outlined == {"section.medicines.outline": 1}
    assert seen_by(Role.GP, policy, [request, tablets]).items == [request, tablets]


def test_a_labelled_medication_goes_with_the_medicine(policy: Policy) -> None:
    request = item("MedicationRequest", "r", medicationReference=ref("Medication", "m", "Efavirenz"))
    tablets = item("Medication", "m", code=code("387001004"))
    assert seen_by(Role.NURSE, policy, [request, tablets]).items == []
    agreed = seen_by(Role.NURSE, policy, [request, tablets], scope=Scope.INCLUDING_SENSITIVE)
    assert ids(agreed) == {"r", "m"}


def test_a_labelled_party_is_shown_no_further_than_its_label_lets(policy: Policy) -> None:
    psychiatrist = item("PractitionerRole", "p", specialty=[code("394587001")], organization=ref("Organization", "org"))
    sexual_health = item("PractitionerRole", "s", specialty=[code("830039004")])
    allergies = [
        item("AllergyIntolerance", "1", recorder=ref("PractitionerRole", "p")),
        item("AllergyIntolerance", "2", recorder=ref("PractitionerRole", "s", "Dr Bello")),
    ]
    filtered = seen_by(Role.SOCIAL_WORKER, policy, [*allergies, psychiatrist, sexual_health, *around()])
    assert set(shown(filtered, "p")) == {"resourceType", "id", "meta", "organization"}
    assert "s" not in ids(filtered)
    assert shown(filtered, "2")["recorder"] == {"display": "Dr Bello"}


def test_best_interests_shows_no_sensitive_item_whatever_its_scope(policy: Policy) -> None:
    hiv = item("Condition", "c", code=code(HIV))
    for scope in Scope:
        assert seen_by(Role.HOSPITAL_DOCTOR, policy, [hiv], basis=Basis.BEST_INTERESTS, scope=scope).items == []
    assert ids(seen_by(Role.GP, policy, [hiv], own_practice=True)) == {"c"}


def test_a_restricted_patient_keeps_identity_and_loses_the_way_to_the_door(policy: Policy) -> None:
    restricted = item(
        "Patient",
        "p",
        meta={"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]},
        address=[{"line": ["1 High Street"]}],
        generalPractitioner=[{"identifier": {"value": "G85005"}}],
    )
    open_copy = item("Patient", "q", "G85005", address=[{"line": ["1 High Street"]}])
    filtered = seen_by(Role.NURSE, policy, [restricted, open_copy])
    for id_ in ("p", "q"):
        assert set(valid(shown(filtered, id_))) == {"resourceType", "id", "meta", "name", "birthDate"}
    assert filtered.outlined == {"label.sensitive.identity-only": 2}


def contained_visit() -> Item:
    return visit(
        reasonReference=[{"reference": "#why", "display": "Asthma"}, {"reference": "#dangling"}],
        contained=[
            {
                "resourceType": "Condition",
                "id": "why",
                "subject": {"reference": f"Patient/{PATIENT}"},
                "code": code(ASTHMA, text="Asthma"),
                "note": [{"text": "private"}],
                "text": {"status": "generated", "div": "<div>Asthma, private</div>"},
                "asserter": {"reference": "#who"},
            },
            {"resourceType": "Practitioner", "id": "who", "name": [{"family": "Ahmed"}]},
            {"resourceType": "Procedure", "id": "what", "status": "completed"},
        ],
    )


def test_contained_resources_are_shown_as_far_as_their_section(policy: Policy) -> None:
    whole = valid(shown(seen_by(Role.GP, policy, [contained_visit(), *around()]), "visit"))
    assert [part["id"] for part in whole["contained"]] == ["why", "who"]
    assert "text" not in whole["contained"][0]
    assert whole["reasonReference"] == [{"reference": "#why", "display": "Asthma"}]

    part = valid(shown(seen_by(Role.OCCUPATIONAL_THERAPIST, policy, [contained_visit(), *around()]), "visit"))
    assert [each["id"] for each in part["contained"]] == ["why"]
    assert set(part["contained"][0]) == {"resourceType", "id", "meta", "code", "subject"}

    outline = valid(shown(seen_by(Role.SOCIAL_WORKER, policy, [contained_visit(), *around()]), "visit"))
    assert "contained" not in outline


def test_a_contained_resource_of_a_hidden_section_goes_with_its_references(policy: Policy) -> None:
    result = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "Peak flow"}}
    contact = item(
        "Appointment",
        "a",
        supportingInformation=[{"reference": "#o", "display": "Peak flow"}],
        contained=[{**result, "performer": [ref("Practitioner", "doctor")]}],
    )
    resource = valid(shown(filtered := seen_by(Role.OCCUPATIONAL_THERAPIST, policy, [contact, *around()]), "a"))
    assert "contained" not in resource
    assert "supportingInformation" not in resource
    assert "doctor" not in ids(filtered)


def test_an_outline_keeps_the_code_of_a_contained_medication_and_nothing_else_of_it(policy: Policy) -> None:
    tablets = {"resourceType": "Medication", "id": "m", "code": code("27658006"), "batch": {"lotNumber": "7"}}
    request = item(
        "MedicationRequest",
        "r",
        medicationReference={"reference": "#m", "display": "Amoxicillin 500 mg"},
        contained=[tablets, {"resourceType": "Condition", "id": "c", "code": code(ASTHMA)}],
        reasonReference=[{"reference": "#c"}],
        dosageInstruction=[{"text": "three times a day"}],
    )
    resource = valid(shown(seen_by(Role.SOCIAL_WORKER, policy, [request]), "r"))
    assert resource["contained"] == [{"resourceType": "Medication", "id": "m", "code": code("27658006")}]
    assert resource["medicationReference"] == {"reference": "#m"}
    assert {"dosageInstruction", "reasonReference"}.isdisjoint(resource)


def test_a_circle_of_supporting_items_ends(policy: Policy) -> None:
    one = item("Organization", "1", name="A", partOf=ref("Organization", "2"))
    two = item("Organization", "2", name="B", partOf=ref("Organization", "1"))
    allergy = item("AllergyIntolerance", "a", encounter=ref("Encounter", "e"))
    contact = item("Encounter", "e", serviceProvider=ref("Organization", "1"))
    assert ids(seen_by(Role.GP, policy, [allergy, contact, one, two])) == {"a", "e", "1", "2"}


def test_mental_health_items_are_outlined_for_care_staff(policy: Policy) -> None:
    allergy = item("AllergyIntolerance", "a", code=code("387568001", text="Clozapine"), note=[{"text": "seizure"}])
    contact = item("Encounter", "e", reasonCode=[code(PSYCHOSIS)])
    for role in (Role.OCCUPATIONAL_THERAPIST, Role.SOCIAL_WORKER):
        filtered = seen_by(role, policy, [allergy, contact])
        assert filtered.outlined == {"label.mental-health.outline": 2}
        assert "note" not in valid(shown(filtered, "a"))
        assert "reasonCode" not in valid(shown(filtered, "e"))
    assert not seen_by(Role.DISTRICT_NURSE, policy, [allergy, contact]).outlined


def record_of(size: int) -> list[Item]:
    found: list[Item] = [
        item("Practitioner", "doctor", name=[{"family": "Ahmed"}]),
        item("Organization", "org", name="O"),
    ]
    for n in range(size // 3):
        found.append(
            item(
                "Observation",
                f"o{n}",
                code=code("1234-5", system="http://loinc.org", text="Haemoglobin"),
                category=[code("laboratory", system="http://terminology.hl7.org/CodeSystem/observation-category")],
                performer=[ref("Practitioner", "doctor"), ref("Organization", "org")],
                encounter=ref("Encounter", f"e{n}"),
                valueQuantity={"value": 141, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"},
            )
        )
        found.append(
            item(
                "Encounter",
                f"e{n}",
                type=[code("185349003", text="Clinic")],
                reasonCode=[code(HIV if n % 20 == 0 else ASTHMA)],
                participant=[{"individual": ref("Practitioner", "doctor")}],
                serviceProvider=ref("Organization", "org"),
            )
        )
        found.append(item("MedicationRequest", f"m{n}", medicationCodeableConcept=code("27658006", text="Amoxicillin")))
    return found
