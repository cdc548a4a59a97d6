"""Whole records of real GP systems: every resource accounted for, every value found again, every output R4."""

from __future__ import annotations

import copy
import re
from collections import Counter
from functools import cache
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from connectors.gp_connect.stu3 import Reason, Translated, translate
from connectors.gp_connect.stu3.reasons import LEFT_OUT
from connectors.gp_connect.stu3.resources import TABLES
from connectors.sdk import shape
from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES, Section
from tests.connectors.stu3.leaves import unaccounted
from tests.connectors.stu3.sent import NAMES, NEEDS_DATA, json_of, record, resources, responses

pytestmark = NEEDS_DATA
translated = cache(lambda name: translate(record(name)))

EXPECTED = {  # resources; items; supporting; lists; arrangements; kinds that no section holds: counted by type
    "Daniels": (502, 361, 93, 17, 30, 1),
    "Gainsford": (93, 55, 11, 15, 10, 2),
    "Magre": (298, 147, 36, 21, 81, 13),
    "Sajal": (412, 172, 58, 23, 155, 4),
    "Birdi": (190, 36, 10, 11, 99, 34),
    "Meyers": (380, 178, 27, 26, 120, 29),
    "Dougill": (175, 112, 20, 13, 26, 4),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_resource_of_a_record_is_accounted_for(name: str) -> None:
    done = translated(name)
    sent = record(name)
    assert [one.key for one in done.traced] == [_key(one, place) for place, one in enumerate(sent, 1)]
    made = {f"{one['resourceType']}/{one['id']}" for one in done.resources}
    assert {key for one in done.traced for key in one.became} == made
    assert all(bool(one.became) != bool(one.reason) for one in done.traced)
    assert {one.reason for one in done.traced if one.reason} <= {str(reason) for reason in Reason}
    assert not done.broken
    fates = fates_of(done)
    print(f"\n{name}: {len(sent)} resources: {dict(sorted(fates.items()))}")
    assert (len(sent), *(fates[fate] for fate in FATES)) == EXPECTED[name]


FATES = ("item", "supporting", "list", "arrangement", "not in the record")


def fates_of(done: Translated) -> Counter[str]:
    return Counter(_fate(one.became, one.reason) for one in done.traced)


def _fate(became: tuple[str, ...], reason: str) -> str:
    if became:
        return "item" if became[0].partition("/")[0] in SECTION_OF_TYPE else "supporting"
    named = {Reason.LIST: "list", Reason.ARRANGEMENT: "arrangement"}
    return named.get(Reason(reason), "not in the record")


def _key(resource: dict[str, Any], place: int) -> str:
    return f"{resource['resourceType']}/{resource.get('id', f'?{place}')}"


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_a_record_is_found_again_or_named(name: str) -> None:
    for sent in record(name):
        if sent["resourceType"] in TABLES:
            _assert_accounted(sent)


@pytest.mark.parametrize("path", responses(), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_value_of_a_published_example_is_found_again_or_named(path: Any) -> None:
    carried = [one for one in resources(path) if one["resourceType"] in TABLES]
    for sent in carried:
        _assert_accounted(sent)
    assert not translate(resources(path)).broken


def _assert_accounted(sent: dict[str, Any]) -> None:
    before = copy.deepcopy(sent)
    done = translate([sent])
    assert sent == before
    assert unaccounted(sent, done.resources, done.left_out) == []
    assert {name for name in done.left_out if not name.startswith("(")} <= LEFT_OUT.keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_output_of_a_record_is_r4(name: str) -> None:
    for resource in translated(name).resources:
        assert resource["resourceType"] in SECTION_OF_TYPE or resource["resourceType"] in SUPPORTING_TYPES
        load_as_r4(resource)


def test_every_output_of_the_published_examples_is_r4() -> None:
    for path in responses():
        for resource in translate(resources(path)).resources:
            load_as_r4(with_time_zones(resource))


def with_time_zones(resource: dict[str, Any]) -> dict[str, Any]:
    """One published example has times without a zone, which no version of FHIR allows. They are passed on as sent."""
    return {
        name: f"{value}Z" if isinstance(value, str) and re.fullmatch(r"[0-9-]{10}T[0-9:]{8}", value) else value
        for name, value in resource.items()
    }


def load_as_r4(resource: dict[str, Any]) -> None:
    """Checked by our own tables and by `fhir.resources`, whose R4B models are R4's for every type that we make.

    The models don't know that a choice (`occurrence[x]`, `doseNumber[x]`) may be absent by an extension: it gets one.
    """
    shape.check(resource)
    if "_occurrenceDateTime" in resource:
        resource = resource | {"occurrenceDateTime": "2020"}
    if "protocolApplied" in resource:
        resource = resource | {
            "protocolApplied": [{"doseNumberPositiveInt": 1} | one for one in resource["protocolApplied"]]
        }
    get_fhir_model_class(resource["resourceType"]).model_validate_json(json_of(resource))


@pytest.mark.parametrize("name", NAMES)
def test_references_lead_to_what_they_led_to(name: str) -> None:
    done = translated(name)
    sent = {f"{one['resourceType']}/{one.get('id')}" for one in record(name)}
    made = {f"{one['resourceType']}/{one['id']}" for one in done.resources}
    leads = Counter(reference for one in done.resources for reference in _references(one))
    renamed = {
        key.replace("ProcedureRequest/", "ServiceRequest/").replace("ReferralRequest/", "ServiceRequest/")
        for key in sent
    }
    assert leads.keys() <= renamed
    assert {key for key in leads if key.partition("/")[0] in TABLES} <= made


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["reference"]] if isinstance(node.get("reference"), str) else []
        return own + [one for value in node.values() for one in _references(value)]
    return [one for value in node for one in _references(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("name", NAMES)
def test_each_medicine_is_one_statement_with_its_plan_and_issues(name: str) -> None:
    by_key = {f"{one['resourceType']}/{one['id']}": one for one in translated(name).resources}
    statements = [one for one in by_key.values() if one["resourceType"] == "MedicationStatement"]
    requests = [one for one in by_key.values() if one["resourceType"] == "MedicationRequest"]
    plans = [by_key[link["reference"]] for one in statements for link in one["basedOn"]]
    assert {plan["intent"] for plan in plans} <= {"plan"}
    assert len({plan["id"] for plan in plans}) == len(statements)
    for request in requests:
        if request["intent"] == "order":
            assert [by_key[link["reference"]]["intent"] for link in request["basedOn"]] == ["plan"]
        else:
            assert request in plans
        assert by_key[request["medicationReference"]["reference"]]["code"]


def test_the_lists_of_the_record_with_confidential_items_say_so() -> None:
    said = [one for one in translated("Sajal").lists if one.is_section]
    warned = [one for one in translated("Sajal").lists if "confidential-items" in one.warnings]
    assert len(warned) == 6
    assert {one.section for one in warned} >= {Section.PROBLEMS, Section.RESULTS}
    assert all(one.known for name in NAMES for one in translated(name).lists)
    ended = [one for one in said if one.ended_allergies]
    assert [(one.section, one.title, one.entries) for one in ended] == [(Section.ALLERGIES, "Ended allergies", 0)]


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_resources_does_not_matter(name: str) -> None:
    backwards = translate(list(reversed(record(name))))
    assert sorted(map(str, backwards.resources)) == sorted(map(str, translated(name).resources))
    assert backwards.left_out == translated(name).left_out
