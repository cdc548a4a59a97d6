"""R4's shape, held against the published examples and against the models that carry the element tables."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from connectors.sdk.bundle import read_resource
from connectors.sdk.number import read_number
from connectors.sdk.shape import KNOWN_TYPES, BrokenShape, check
from tests.unit.readers import each_reader  # noqa: F401 (autouse: both readers)

plain = msgspec.json.Decoder(dict[str, Any], float_hook=read_number)
raws = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@pytest.fixture(scope="module")
def examples(shared_data: Path) -> list[bytes]:
    """The published R4 examples of the types that we know."""
    texts = [file.read_bytes() for file in sorted((shared_data / "trust-r4" / "hl7-examples").rglob("*.json"))]
    return [text for text in texts if plain.decode(text)["resourceType"] in KNOWN_TYPES]


@pytest.fixture(scope="module")
def synthea(shared_data: Path) -> list[bytes]:
    """Every resource of a known type in six generated records."""
    files = sorted((shared_data / "trust-r4" / "synthea").glob("*.json"))
    entries = [entry for file in files for entry in raws.decode(members.decode(file.read_bytes())["entry"])]
    return [
        text
        for text in (bytes(entry["resource"]) for entry in entries)
        if json.loads(text)["resourceType"] in KNOWN_TYPES
    ]


def kinds(texts: list[bytes]) -> set[str]:
    return {str(plain.decode(text)["resourceType"]) for text in texts}


def test_published_examples_pass_unchanged(examples: list[bytes]) -> None:
    assert kinds(examples) >= KNOWN_TYPES - {"Device"}
    for text in examples:
        assert read_resource(text)[0] == plain.decode(text)


def test_generated_records_pass_unchanged(synthea: list[bytes]) -> None:
    assert len(synthea) > 700
    for text in synthea:
        assert read_resource(text)[0] == plain.decode(text)


def paths(node: object, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every element of a resource but what is inside extensions, which are carried as they are."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name not in ("extension", "modifierExtension", "contained", "resourceType") and not name.startswith("_"):
                yield (*before, name)
                yield from paths(value, (*before, name))
    elif isinstance(node, list):
        for place, value in enumerate(node[:1]):
            yield from paths(value, (*before, place))


def at(node: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        node = node[step]
    return node


def changed(resource: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """The resource with one element replaced, or taken out where `value` is None."""
    resource = copy.deepcopy(resource)
    node = at(resource, path[:-1])
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return resource


def accepted(resource: dict[str, Any]) -> bool:
    try:
        read_resource(json.dumps(resource).encode())
    except BrokenShape:
        return False
    return True


def valid(resource: dict[str, Any]) -> bool:
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except (ValidationError, ValueError):
        return False
    return True


@pytest.fixture(scope="module")
def well_shaped(examples: list[bytes]) -> list[dict[str, Any]]:
    """Examples that the models accept too (contained resources apart: they are checked by themselves)."""
    found = [{name: value for name, value in json.loads(text).items() if name != "contained"} for text in examples]
    return [resource for resource in found if valid(resource)]


def test_each_mandatory_element_must_be_there_at_every_depth(well_shaped: list[dict[str, Any]]) -> None:
    seen: set[tuple[str, ...]] = set()
    refused = 0
    for resource in well_shaped:
        kind = resource["resourceType"]
        for path in paths(resource):
            name = (kind, *(step for step in path if isinstance(step, str)))
            if name in seen:
                continue
            seen.add(name)
            without = changed(resource, path, None)
            expected = valid(without) and path != ("id",)
            assert accepted(without) == expected, name
            refused += not expected
    assert len(seen) > 1000
    assert refused > 60


def test_an_element_of_the_wrong_kind_is_refused(well_shaped: list[dict[str, Any]]) -> None:
    wrongs: tuple[object, ...] = ({"wrong": 1}, [{"wrong": 1}], [["x"]], 7, "wrong", True)
    seen: set[tuple[str, ...]] = set()
    for resource in well_shaped:
        for path in paths(resource):
            name = (resource["resourceType"], *(step for step in path if isinstance(step, str)))
            if name in seen or name[-1] in ("div", "url"):
                continue
            seen.add(name)
            right = at(resource, path)
            for wrong in wrongs:
                if same_kind(right, wrong):
                    continue
                assert not accepted(changed(resource, path, wrong)), (name, wrong)
    assert len(seen) > 1000


def same_kind(right: object, wrong: object) -> bool:
    if isinstance(right, list) and isinstance(wrong, list):
        return same_kind(right[0], wrong[0])
    if isinstance(right, dict):
        return isinstance(wrong, dict)  # what is in it was never looked at: any element may be missing
    number = (int, float)
    return type(right) is type(wrong) or (type(right) in number and type(wrong) in number)


CODE = {"coding": [{"system": "http://snomed.info/sct", "code": "1"}]}
SUBJECT = {"reference": "Patient/1"}
MEDICATION = {"reference": "Medication/1"}
LEAST: dict[str, dict[str, Any]] = {
    "AllergyIntolerance": {"patient": SUBJECT},
    "Appointment": {"status": "booked", "participant": [{"status": "accepted"}]},
    "Condition": {"subject": SUBJECT},
    "DiagnosticReport": {"status": "final", "code": CODE},
    "Encounter": {"status": "finished", "class": {"code": "AMB"}},
    "Immunization": {"status": "completed", "vaccineCode": CODE, "patient": SUBJECT, "occurrenceString": "once"},
    "MedicationRequest": {"status": "active", "intent": "order", "subject": SUBJECT, "medicationCodeableConcept": CODE},
    "MedicationStatement": {
        "status": "active",
        "subject": SUBJECT,
        "medicationReference": {"reference": "Medication/1"},
    },
    "Observation": {"status": "final", "code": CODE},
    **{
        kind: {} for kind in ("CareTeam", "Device", "Location", "Medication", "Organization", "Patient", "Practitioner")
    },
    **{kind: {} for kind in ("PractitionerRole", "Specimen")},
}


def least(kind: str) -> dict[str, Any]:
    return {"resourceType": kind, "id": "x", **LEAST[kind]}


def test_the_least_of_each_type_is_known() -> None:
    assert set(LEAST) == KNOWN_TYPES


@pytest.mark.parametrize("kind", sorted(LEAST))
def test_the_least_of_each_type_passes_and_nothing_less(kind: str) -> None:
    assert valid(least(kind))
    assert accepted(least(kind))
    for name in ("id", *LEAST[kind]):
        less = {key: value for key, value in least(kind).items() if key != name}
        assert not accepted(less), name
        with pytest.raises(BrokenShape):
            check(less)
    check(least(kind))


def test_a_mandatory_primitive_may_say_why_it_is_absent() -> None:
    absent = {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
    }
    for kind, name in (("Observation", "status"), ("Immunization", "occurrenceString"), ("Encounter", "status")):
        resource = least(kind)
        del resource[name]
        resource[f"_{name}"] = absent
        assert accepted(resource)
    nested = {**least("Observation"), "note": [{"_text": absent}]}
    assert accepted(nested)


@pytest.mark.parametrize(
    ("kind", "both"),
    [
        ("Observation", {"valueString": "x", "valueInteger": 1}),
        ("Observation", {"effectiveDateTime": "2026", "effectivePeriod": {}}),
        ("Observation", {"component": [{"code": CODE, "valueString": "x", "valueBoolean": True}]}),
        ("MedicationRequest", {"medicationReference": SUBJECT}),
        ("MedicationRequest", {"dosageInstruction": [{"asNeededBoolean": True, "asNeededCodeableConcept": CODE}]}),
        ("Immunization", {"occurrenceDateTime": "2026-01-01"}),
    ],
)
def test_a_choice_is_made_once(kind: str, both: dict[str, Any]) -> None:
    resource = {**least(kind), **both}
    assert not valid(resource)
    assert not accepted(resource)


@pytest.mark.parametrize(
    "more",
    [
        {"id": ""},
        {"id": None},
        {"status": None},
        {"status": ["final"]},
        {"code": []},
        {"code": "x"},
        {"subject": [SUBJECT]},
        {"subject": "Patient/1"},
        {"subject": {"reference": 7}},
        {"subject": {"reference": {"reference": "Patient/1"}}},
        {"category": CODE},
        {"category": [None]},
        {"category": [[CODE]]},
        {"valueQuantity": {"value": "4.50"}},
        {"valueQuantity": {"value": "NaN"}},
        {"valueInteger": 1.5},
        {"valueInteger": "1"},
        {"valueBoolean": 1},
        {"valueBoolean": "true"},
        {"meta": []},
        {"meta": {"security": {"code": "R"}}},
        {"meta": {"security": ["R"]}},
        {"meta": {"security": [{"code": 7}]}},
        {"contained": {"resourceType": "Patient", "id": "1"}},
        {"contained": ["Patient"]},
        {"contained": [{"resourceType": "Observation", "id": "c"}]},
        {"contained": [{"resourceType": "Patient"}]},
        {"extension": {"url": "x"}},
        {"extension": ["x"]},
        {"text": "<div>x</div>"},
        {"text": {"status": "generated", "div": ["x"]}},
        {"_status": "x"},
        {"note": [{"authorString": "x"}]},
    ],
)
def test_no_part_of_the_envelope_may_be_bent(more: dict[str, Any]) -> None:
    resource = {**least("Observation"), **more}
    assert not accepted(resource)
    if "contained" not in more:
        with pytest.raises(BrokenShape):
            check(json.loads(json.dumps(resource)))


def test_the_error_names_the_element_and_never_its_value() -> None:
    for more in (
        {"status": ["secret-9990000018"]},
        {"subject": {"reference": {"secret-9990000018": 1}}},
        {"code": None},
    ):
        with pytest.raises(BrokenShape) as caught:
            read_resource(json.dumps({**least("Observation"), **more}).encode())
        assert "secret" not in str(caught.value)
        assert next(iter(more)) in str(caught.value)


def test_a_type_that_we_do_not_know_is_nobodys_business() -> None:
    check({"resourceType": "Basic", "code": 7})
    check({"code": 7})
    check({"resourceType": ["Patient"]})
    assert read_resource(b'{"resourceType":"Basic","code":7}')[0] == {"resourceType": "Basic", "code": 7}
