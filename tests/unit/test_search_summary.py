"""`_summary` and `_elements`: less of a resource, never a misleading rest."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.search.query import Summary
from gateway.search.summary import SUBSETTED, element_names, shaped
from gateway.search.table import SHOWN_TYPES

ALLERGY: dict[str, Any] = {
    "resourceType": "AllergyIntolerance",
    "id": "a",
    "meta": {"source": "x", "tag": [{"system": "s", "code": "c"}]},
    "text": {"status": "generated", "div": "<div/>"},
    "clinicalStatus": {"coding": [{"code": "active"}]},
    "verificationStatus": {"coding": [{"code": "refuted"}]},
    "code": {"text": "Penicillin"},
    "_recordedDate": {"extension": []},
    "recordedDate": "2024",
    "patient": {"reference": "Patient/9990000018"},
    "modifierExtension": [{"url": "http://x"}],
    "reaction": [{"manifestation": [{"text": "Rash"}]}],
}


def keys(resource: dict[str, Any], summary: Summary = Summary.FALSE, elements: tuple[str, ...] = ()) -> set[str]:
    return set(shaped(resource, summary, elements))


KEPT = {"resourceType", "id", "meta", "clinicalStatus", "verificationStatus", "patient", "modifierExtension"}


def test_nothing_asked_changes_nothing() -> None:
    assert shaped(ALLERGY) is ALLERGY


def test_elements_keep_what_changes_their_meaning() -> None:
    assert keys(ALLERGY, elements=("reaction",)) == KEPT | {"reaction"}
    assert keys(ALLERGY, elements=("recordedDate",)) == KEPT | {"recordedDate", "_recordedDate"}
    request = {"resourceType": "MedicationRequest", "id": "a", "doNotPerform": True, "intent": "order", "note": []}
    assert keys(request, elements=("status",)) == {"resourceType", "id", "doNotPerform", "intent", "meta"}


def test_summaries() -> None:
    assert keys(ALLERGY, Summary.TEXT) == KEPT | {"text"}
    assert keys(ALLERGY, Summary.TRUE) == KEPT | {"code"}
    assert keys(ALLERGY, Summary.DATA) == set(ALLERGY) - {"text"}


def test_a_choice_is_named_by_its_common_name_or_its_own() -> None:
    observation = {
        "resourceType": "Observation",
        "id": "a",
        "valueQuantity": {},
        "effectivePeriod": {},
        "status": "final",
    }
    assert "valueQuantity" in keys(observation, elements=("value",))
    assert "valueQuantity" in keys(observation, elements=("valueQuantity",))
    assert "valueQuantity" not in keys(observation, elements=("valueString", "effective"))
    assert "effectivePeriod" in keys(observation, elements=("effective",))
    assert "value[x]" not in element_names("Observation")
    assert "class" in element_names("Encounter")


def test_the_tag_is_added_once_in_place_and_the_input_stays_as_it_was() -> None:
    before = copy.deepcopy(ALLERGY)
    once = shaped(ALLERGY, Summary.DATA)
    twice = shaped(once, Summary.DATA)
    assert once == twice
    assert once["meta"] == {"source": "x", "tag": [{"system": "s", "code": "c"}, dict(SUBSETTED)]}
    assert list(once)[:4] == ["resourceType", "id", "meta", "clinicalStatus"]
    assert before == ALLERGY
    bare = shaped({"resourceType": "CareTeam", "id": "a", "status": "active"}, Summary.TRUE)
    assert list(bare) == ["resourceType", "id", "meta", "status"]


def test_a_supporting_resource_is_cut_where_it_is_read_and_other_types_pass_whole() -> None:
    medication = {"resourceType": "Medication", "id": "m", "text": {}, "status": "active", "batch": {}}
    assert shaped(medication) is medication
    assert set(shaped(medication, elements=("batch",))) == {"resourceType", "id", "meta", "status", "batch"}
    device = {"resourceType": "Device", "id": "d", "text": {}}
    assert shaped(device, Summary.TRUE) is device
    assert shaped({}, Summary.TRUE) == {}


def test_what_is_left_keeps_what_it_refers_to_within_itself() -> None:
    medication = {"resourceType": "Medication", "id": "m", "manufacturer": {"reference": "#o"}}
    contained = [medication, {"resourceType": "Organization", "id": "o"}, {"resourceType": "Practitioner", "id": "p"}]
    request = {
        "resourceType": "MedicationRequest",
        "id": "1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/1"},
        "medicationReference": {"reference": "#m"},
        "recorder": {"reference": "#p"},
        "contained": contained,
    }
    for cut in (shaped(request, Summary.TRUE), shaped(request, elements=("status",))):
        assert "recorder" not in cut
        assert cut["contained"] == contained[:2], "else nobody could tell which medicine it is"
    assert "contained" not in shaped({**request, "medicationReference": {"reference": "Medication/2"}}, Summary.TRUE)


def test_mandatory_elements_are_kept_for_every_type() -> None:
    mandatory = {
        "Encounter": {"status", "class"},
        "Appointment": {"status", "participant"},
        "Immunization": {"status", "vaccineCode"},
        "Observation": {"status", "code"},
        "MedicationStatement": {"status", "subject"},
        "Condition": {"subject"},
    }
    for resource_type, names in mandatory.items():
        whole = dict.fromkeys(element_names(resource_type), "x") | {"resourceType": resource_type}
        assert names <= keys(whole, Summary.TEXT)


@given(st.sampled_from(SHOWN_TYPES), st.dictionaries(st.text(max_size=9), st.none() | st.integers()), st.data())
def test_no_resource_is_a_fault(resource_type: str, resource: dict[str, Any], data: st.DataObject) -> None:
    elements = tuple(data.draw(st.lists(st.sampled_from(sorted(element_names(resource_type))), max_size=3)))
    whole = {"resourceType": resource_type, **resource}
    for summary in Summary:
        assert set(shaped(whole, summary)) <= set(whole) | {"meta"}
    assert set(shaped(whole, elements=elements)) <= set(whole) | {"meta"}


@pytest.mark.parametrize("resource_type", SHOWN_TYPES)
def test_summaries_of_published_examples_are_valid_r4(resource_type: str, shared_data: Path) -> None:
    """A summary of a valid resource is valid: nothing mandatory was lost."""
    import importlib

    model = getattr(importlib.import_module(f"fhir.resources.R4B.{resource_type.lower()}"), resource_type)
    files = sorted((shared_data / "trust-r4/hl7-examples" / resource_type).glob("*.json"))
    assert files
    checked = 0
    for file in files[:40]:
        resource = json.loads(file.read_text())
        try:
            model.model_validate(resource)
        except ValueError:
            continue  # the models reject a few of HL7's own examples
        for summary in (Summary.TRUE, Summary.TEXT, Summary.DATA):
            model.model_validate(shaped(resource, summary))
        model.model_validate(shaped(resource, elements=("id",)))
        checked += 1
    assert checked
