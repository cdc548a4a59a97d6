"""The tables against STU3's own element tables, the published differences, and the decision that explains them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fhir.resources.STU3 import get_fhir_model_class

from connectors.gp_connect.stu3 import Reason, naming
from connectors.gp_connect.stu3.reasons import LEFT_OUT, REASON_OF_TYPE
from connectors.gp_connect.stu3.resources import TABLES
from connectors.gp_connect.stu3.rules import To
from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES
from tests.connectors.stu3.sent import NEEDS_DATA, SHARED

DECISION = (Path(__file__).parents[3] / "docs" / "decisions" / "0008-stu3-to-r4.md").read_text()
_COMMON = {"id", "implicitRules", "language", "text", "contained", "extension", "modifierExtension", "meta"}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_names_every_element_of_stu3_and_no_other(kind: str) -> None:
    fields = get_fhir_model_class(kind).model_fields.values()
    stu3 = {
        str(field.alias)
        for field in fields
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("element_property")
    }
    assert set(TABLES[kind].elements) == {name for name in stu3 if not name.startswith("_")} - _COMMON


def test_every_type_that_can_be_shown_and_that_gp_connect_sends_has_a_table() -> None:
    assert set(TABLES) == (set(SECTION_OF_TYPE) | SUPPORTING_TYPES) - {"CareTeam", "Device"}
    assert not TABLES.keys() & REASON_OF_TYPE.keys()


def _changes() -> list[tuple[str, str, str, str]]:
    """What happened, type, element and the rest of each line about an element that a table has."""
    path = SHARED / "stu3-to-r4" / "element-diff.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    found = (re.fullmatch(r"\s+(REMOVED|CHANGED)\s+(\w+)\.(\w+)(?:\[x\])? (.*)", line) for line in lines)
    return [
        (match[1], match[2], match[3], match[4])
        for match in found
        if match and match[3] in getattr(TABLES.get(match[2]), "elements", {})
    ]


@NEEDS_DATA
def test_every_published_difference_is_met_by_a_rule() -> None:
    met = 0
    for what, kind, element, rest in _changes():
        rule = TABLES[kind].elements[element]
        if what == "REMOVED":
            assert rule != To(element), (kind, element)
        elif re.match(r"0\.\.1 (?!BackboneElement).* -> 0\.\.\*", rest) or rest.startswith(
            "0..1 BackboneElement -> 0..*"
        ):
            assert rule == To(element, many=True), (kind, element)
        elif " code -> " in f" {rest}" and rest.endswith("CodeableConcept"):
            assert not isinstance(rule, To), (kind, element)
        else:
            continue
        met += 1
    assert met == 39


@pytest.mark.parametrize("path", LEFT_OUT)
def test_the_decision_explains_each_element_that_is_left_out(path: str) -> None:
    assert f"| `{path}` | {LEFT_OUT[path]} |" in DECISION


def test_the_decision_explains_no_element_that_is_carried() -> None:
    section = DECISION.partition("## Elements that are left out")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)) == LEFT_OUT.keys()


@pytest.mark.parametrize("reason", Reason)
def test_the_decision_explains_each_kind_that_is_not_carried(reason: Reason) -> None:
    assert f" | {reason} |" in DECISION
    assert not re.search(r"\d", reason.replace("STU3", ""))


@pytest.mark.parametrize(
    ("sent", "moved"),
    [
        ("http://hl7.org/fhir/v2/0443", "http://terminology.hl7.org/CodeSystem/v2-0443"),
        ("http://hl7.org/fhir/v3/NullFlavor", "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"),
        ("http://hl7.org/fhir/observation-category", "http://terminology.hl7.org/CodeSystem/observation-category"),
        (
            "http://hl7.org/fhir/medication-request-category",
            "http://terminology.hl7.org/CodeSystem/medicationrequest-category",
        ),
        ("http://hl7.org/fhir/medicationrequest-category", "http://hl7.org/fhir/medicationrequest-category"),
        (
            "https://fhir.nhs.uk/CareConnect-NHSNumberVerificationStatus-1",
            "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland",
        ),
        (
            "https://fhir.hl7.org.uk/STU3/CodeSystem/CareConnect-PrescribingAgency-1",
            "https://fhir.hl7.org.uk/CodeSystem/UKCore-MedicationPrescribingOrganizationType",
        ),
        ("http://hl7.org/fhir/administrative-gender", "http://hl7.org/fhir/administrative-gender"),
        ("http://snomed.info/sct", "http://snomed.info/sct"),
        ("http://read.info/readv2", "http://read.info/readv2"),
        ("https://fhir.nhs.uk/Id/nhs-number", "https://fhir.nhs.uk/Id/nhs-number"),
    ],
)
def test_a_code_system_is_called_by_its_name_in_force(sent: str, moved: str) -> None:
    assert naming.code_system(sent) == moved


def test_an_extension_is_known_by_each_of_its_national_urls() -> None:
    for prefix in (
        "https://fhir.nhs.uk/STU3/StructureDefinition/Extension-CareConnect-GPC-",
        "https://fhir.hl7.org.uk/STU3/StructureDefinition/Extension-CareConnect-",
        "http://fhir.hl7.org.uk/STU3/StructureDefinition/Extension-",
        "https://fhir.nhs.uk/StructureDefinition/Extension-GPConnect-",
    ):
        assert naming.extension_name(f"{prefix}Evidence-1") == "Evidence"
    assert (
        naming.extension_url("https://example.org/Extension-Evidence-1") == "https://example.org/Extension-Evidence-1"
    )
    kept = "https://fhir.hl7.org.uk/STU3/StructureDefinition/Extension-CareConnect-ProblemSignificance-1"
    assert naming.extension_url(kept) == kept


def test_a_profile_that_is_not_a_national_one_of_stu3_has_no_place() -> None:
    url = "https://fhir.nhs.uk/STU3/StructureDefinition/CareConnect-GPC-ProblemHeader-Condition-1"
    assert naming.profile(url, "Condition") == "https://fhir.hl7.org.uk/StructureDefinition/UKCore-Condition"
    assert naming.profile("http://hl7.org/fhir/StructureDefinition/vitalsigns", "Observation") is None
