"""Over generated records: what is shown is valid R4, and nothing that is hidden leaves a trace in it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.sdk.model import Item
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.policy.decide import Policy
from gateway.policy.filter import Filtered, apply
from gateway.policy.matrix import USUAL_PLACE
from gateway.policy.model import Circumstances
from tests.policies.build import ASTHMA, HIV, PATIENT, PSYCHOSIS, SOURCES, code, item, resolver

CANARY = "canary"
CODES = st.sampled_from([ASTHMA, ASTHMA, HIV, PSYCHOSIS, "387001004", "89301000000108"])
KINDS = (
    "AllergyIntolerance",
    "MedicationRequest",
    "MedicationStatement",
    "Encounter",
    "Appointment",
    "Observation",
    "DiagnosticReport",
    "Condition",
    "Immunization",
    "CareTeam",
    "Medication",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Location",
)
NUMBERS = st.integers(0, 2)


def references(*kinds: str) -> st.SearchStrategy[dict[str, Any]]:
    """To an item that may be there, hidden or absent; each names its target, as sources do."""
    return st.builds(
        lambda kind, number, named: {
            "reference": f"{kind}/{kind}{number}",
            **({"display": f"{CANARY}-{kind}{number}"} if named else {}),
        },
        st.sampled_from(kinds),
        NUMBERS,
        st.booleans(),
    )


def several(*kinds: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(references(*kinds), min_size=1, max_size=2)


CONCEPTS = st.builds(code, CODES)
MEDICINE = st.one_of(
    st.fixed_dictionaries({"medicationCodeableConcept": CONCEPTS}),
    st.fixed_dictionaries({"medicationReference": references("Medication")}),
)
NOTES = st.just([{"text": f"{CANARY}-note"}])
ELEMENTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "AllergyIntolerance": {
        "code": CONCEPTS,
        "encounter": references("Encounter"),
        "recorder": references("Practitioner"),
    },
    "MedicationRequest": {
        "reasonReference": several("Condition", "Observation"),
        "encounter": references("Encounter"),
        "basedOn": several("MedicationRequest"),
        "note": NOTES,
        "dosageInstruction": st.just([{"text": f"{CANARY}-dose"}]),
    },
    "MedicationStatement": {"reasonReference": several("Condition"), "context": references("Encounter"), "note": NOTES},
    "Encounter": {
        "type": st.lists(CONCEPTS, min_size=1, max_size=1),
        "reasonCode": st.lists(CONCEPTS, min_size=1, max_size=1),
        "reasonReference": several("Condition"),
        "diagnosis": st.lists(st.fixed_dictionaries({"condition": references("Condition")}), min_size=1, max_size=2),
        "location": st.lists(st.fixed_dictionaries({"location": references("Location")}), min_size=1, max_size=1),
        "participant": st.lists(
            st.fixed_dictionaries({"individual": references("Practitioner", "PractitionerRole")}),
            min_size=1,
            max_size=1,
        ),
        "partOf": references("Encounter"),
        "appointment": several("Appointment"),
        "serviceProvider": references("Organization"),
    },
    "Appointment": {"reasonReference": several("Condition"), "description": st.just(f"{CANARY}-why")},
    "Observation": {
        "code": CONCEPTS,
        "hasMember": several("Observation"),
        "derivedFrom": several("Observation"),
        "encounter": references("Encounter"),
        "performer": several("Practitioner", "Organization", "CareTeam"),
    },
    "DiagnosticReport": {"result": several("Observation"), "encounter": references("Encounter")},
    "Condition": {
        "code": CONCEPTS,
        "encounter": references("Encounter"),
        "evidence": st.lists(st.fixed_dictionaries({"detail": several("Observation")}), min_size=1, max_size=1),
        "note": NOTES,
    },
    "Immunization": {"reasonReference": several("Condition"), "location": references("Location")},
    "CareTeam": {
        "reasonReference": several("Condition"),
        "participant": st.lists(
            st.fixed_dictionaries({"member": references("Practitioner", "CareTeam")}), min_size=1, max_size=2
        ),
    },
    "Medication": {"code": CONCEPTS, "manufacturer": references("Organization")},
    "Practitioner": {"name": st.just([{"family": "Ahmed"}])},
    "PractitionerRole": {
        "practitioner": references("Practitioner"),
        "specialty": st.lists(CONCEPTS, max_size=1, min_size=1),
    },
    "Organization": {"name": st.just("RJ2"), "partOf": references("Organization")},
    "Location": {
        "name": st.just("Ward"),
        "partOf": references("Location"),
        "type": st.lists(CONCEPTS, min_size=1, max_size=1),
    },
}
TEXT = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{CANARY}-text</div>'}


@st.composite
def items(draw: st.DrawFn) -> list[Item]:
    found = []
    for kind in KINDS:
        for number in range(draw(NUMBERS) + (kind == "Encounter")):
            optional = ELEMENTS[kind]
            elements = draw(st.fixed_dictionaries({}, optional=optional))
            if kind in ("MedicationRequest", "MedicationStatement"):
                elements |= draw(MEDICINE)
            if draw(st.booleans()):
                elements["text"] = TEXT
            found.append(item(kind, f"{kind}{number}", draw(st.sampled_from(sorted(SOURCES))), **elements))
    return found


CALLERS = st.tuples(
    st.sampled_from([Role.GP, Role.NURSE, Role.OCCUPATIONAL_THERAPIST, Role.SOCIAL_WORKER]),
    st.sampled_from(list(Basis)),
    st.sampled_from(list(Scope)),
    st.booleans(),
)
Caller = tuple[Role, Basis, Scope, bool]


def filtered_for(policy: Policy, record: list[Item], caller: Caller) -> Filtered:
    """Filter items that are labelled already."""
    role, basis, scope, own = caller

    def circumstances_of(each: Item) -> Circumstances:
        assert each.section is not None
        source = SOURCES[each.source]
        return Circumstances(role, USUAL_PLACE[role], "TREAT", basis, scope, own, each.section, source, each.labels)

    return apply(record, circumstances_of, policy, resolver(record), patient=PATIENT)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(record=items(), caller=CALLERS)
def test_what_is_shown_is_valid_and_whole_in_itself(policy: Policy, record: list[Item], caller: Caller) -> None:
    policy.labels.label(record, SOURCES, resolver(record))
    before = deepcopy([each.resource for each in record])
    filtered = filtered_for(policy, record, caller)
    assert [each.resource for each in record] == before
    known = {f"{each.type}/{each.sealed_id}" for each in filtered.items} | {f"Patient/{PATIENT}"}
    for each in filtered.items:
        get_fhir_model_class(each.type).model_validate(deepcopy(each.resource))
        _check(each.resource, known)


def _check(node: Any, known: set[str]) -> None:
    """No empty object or list, and no reference to what isn't shown."""
    assert node not in ({}, [])
    if isinstance(node, dict):
        if "reference" in node:
            assert node["reference"] in known
        for value in node.values():
            _check(value, known)
    elif isinstance(node, list):
        for value in node:
            _check(value, known)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(record=items(), caller=CALLERS)
def test_hidden_items_leave_no_trace(policy: Policy, record: list[Item], caller: Caller) -> None:
    """The same answer, byte for byte, as if the hidden items had never been."""
    policy.labels.label(record, SOURCES, resolver(record))
    with_hidden = filtered_for(policy, record, caller)
    seen = {(each.type, each.sealed_id) for each in with_hidden.items}
    without = filtered_for(policy, [each for each in record if (each.type, each.sealed_id) in seen], caller)
    encode = msgspec.json.Encoder(decimal_format="number").encode
    assert [encode(each.resource) for each in with_hidden.items] == [encode(each.resource) for each in without.items]


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(record=items(), caller=CALLERS)
def test_hidden_clinical_items_are_not_named(policy: Policy, record: list[Item], caller: Caller) -> None:
    """No display names a clinical item that isn't shown whole; no outline holds a note, a dose or a narrative."""
    policy.labels.label(record, SOURCES, resolver(record))
    filtered = filtered_for(policy, record, caller)
    given_whole = {each.sealed_id for each in filtered.items if "tag" not in each.resource["meta"]}
    clinical = {each.sealed_id for each in record if each.section is not None}
    for each in filtered.items:
        text = msgspec.json.encode(each.resource).decode()
        named = {id_ for id_ in clinical | {f"{kind}2" for kind in KINDS[:10]} if f'"{CANARY}-{id_}"' in text}
        assert named <= given_whole, (each.sealed_id, named - given_whole)
        if each.sealed_id not in given_whole:
            assert all(f"{CANARY}-{what}" not in text for what in ("note", "dose", "why", "text"))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(record=items(), seed=st.randoms(use_true_random=False))
def test_the_order_of_items_changes_no_label(policy: Policy, record: list[Item], seed: Any) -> None:
    policy.labels.label(record, SOURCES, resolver(record))
    labels = {id(each): each.labels for each in record}
    seed.shuffle(record)
    policy.labels.label(record, SOURCES, resolver(record))
    assert labels == {id(each): each.labels for each in record}


@pytest.mark.parametrize("role", [Role.PRIVACY_OFFICER, Role.COMMISSIONER])
@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(record=items())
def test_who_may_see_nothing_sees_nothing(policy: Policy, role: Role, record: list[Item]) -> None:
    policy.labels.label(record, SOURCES, resolver(record))
    assert filtered_for(policy, record, (role, Basis.PATIENT_AGREED, Scope.INCLUDING_SENSITIVE, True)).items == []
