"""What a reader may rely on: gaps, and the four states of allergies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from connectors.sdk.model import Gap, Item, Outcome, Section, SourceWarning
from gateway.allergies import contradicts, denied_category, is_no_known_allergy, stands
from gateway.manifest import AllergyState, Manifest, ManifestLine, allergy_state
from tests.unit.pipeline import COUNCIL, DMD, EVERYTHING, PRACTICE, SNOMED, TRUST, an_item, coded, resource

IPS = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
PENICILLIN = (SNOMED, "91936005")
NO_ALLERGY = (SNOMED, "716186003")


def allergy(*codes: tuple[str, str], text: str | None = None, **more: Any) -> Item:
    return an_item(TRUST, resource("AllergyIntolerance", "a", code=coded(*codes, text=text), **more))


NONE, PENICILLIN_ALLERGY = allergy(NO_ALLERGY), allergy(PENICILLIN)
NO_DRUG = allergy((SNOMED, "409137002"))


def line(source: str = PRACTICE, gaps: Iterable[Section] = (), **more: Any) -> ManifestLine:
    return ManifestLine(source, source, Outcome.ANSWERED, dict.fromkeys(gaps, Gap.FAILED), **more)


@pytest.mark.parametrize(
    ("code", "denied"),
    [
        ("716186003", "any"), ("160244002", "any"), ("409137002", "medication"), ("429625007", "food"),
        ("428607008", "environment"), ("428197003", "environment"), ("716220001", "environment"),
        ("716184000", "environment"), ("1003774007", "environment"),
    ],
)  # fmt: skip
def test_each_published_code_of_no_known_allergy_is_known(code: str, denied: str) -> None:
    assert denied_category(allergy((SNOMED, code))) == denied
    assert is_no_known_allergy(allergy((SNOMED, code), ("https://local.example", "NKA")))
    assert not is_no_known_allergy(allergy(("https://local.example", code)))


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("No known allergies", "any"), ("no known allergy.", "any"), ("NKA", "any"), ("Nil known", "any"),
        ("No allergies recorded", "any"), ("None known", "any"), ("NKDA", "medication"),
        ("No Known Drug Allergies", "medication"), ("nil known food allergies", "food"),
        ("No known latex allergy", "environment"),
        ("No known allergies except penicillin", None), ("Penicillin", None), ("No known drug allergies, eggs", None),
        ("Allergy", None), ("", None),
    ],
)  # fmt: skip
def test_without_a_code_the_whole_text_must_say_it(text: str, denied: str | None) -> None:
    assert denied_category(allergy(text=text)) == denied
    local = {"coding": [{"system": "https://local.example", "code": "1", "display": text}]}
    assert denied_category(an_item(TRUST, resource("AllergyIntolerance", "a", code=local))) == denied


def test_text_and_display_must_agree_that_there_is_none() -> None:
    mixed = {"text": "No known allergies", "coding": [{"system": "x", "code": "1", "display": "Penicillin"}]}
    assert not is_no_known_allergy(an_item(TRUST, resource("AllergyIntolerance", "a", code=mixed)))


@pytest.mark.parametrize("system", [SNOMED, DMD])
def test_a_substance_beside_the_code_of_no_known_allergy_is_an_allergy(system: str) -> None:
    for codes in [((SNOMED, "716186003"), (system, "91936005")), ((system, "91936005"), (SNOMED, "716186003"))]:
        assert not is_no_known_allergy(allergy(*codes))


def test_an_allergy_without_a_code_is_an_allergy() -> None:
    assert not is_no_known_allergy(an_item(TRUST, resource("AllergyIntolerance", "a")))
    assert not is_no_known_allergy(allergy())


@pytest.mark.parametrize(
    ("items", "state"),
    [
        ([], AllergyState.NOT_RECORDED),
        ([NONE], AllergyState.NONE_KNOWN),
        ([NO_DRUG], AllergyState.NOT_RECORDED),
        ([NO_DRUG, NONE], AllergyState.NONE_KNOWN),
        ([allergy((IPS, "no-known-allergies"))], AllergyState.NONE_KNOWN),
        ([allergy((IPS, "no-allergy-info"))], AllergyState.NOT_RECORDED),
        ([PENICILLIN_ALLERGY], AllergyState.KNOWN),
        ([NONE, PENICILLIN_ALLERGY], AllergyState.KNOWN),
        ([allergy(PENICILLIN, clinicalStatus=coded(("c", "resolved")))], AllergyState.KNOWN),
        ([allergy(PENICILLIN, verificationStatus=coded(("v", "unconfirmed")))], AllergyState.KNOWN),
        ([allergy(PENICILLIN, verificationStatus=coded(("v", "refuted")))], AllergyState.NOT_RECORDED),
        ([allergy(PENICILLIN, verificationStatus=coded(("v", "entered-in-error"))), NONE], AllergyState.NONE_KNOWN),
        ([allergy(NO_ALLERGY, clinicalStatus=coded(("c", "inactive")))], AllergyState.NOT_RECORDED),
        ([allergy(NO_ALLERGY, verificationStatus=coded(("v", "entered-in-error")))], AllergyState.NOT_RECORDED),
    ],
)
def test_the_state_of_allergies(items: list[Item], state: AllergyState) -> None:
    assert allergy_state(items, [line(), line(TRUST, [Section.RESULTS])]) is state
    missing = AllergyState.KNOWN if state is AllergyState.KNOWN else AllergyState.UNAVAILABLE
    assert allergy_state(items, [line(), line(TRUST, [Section.ALLERGIES])]) is missing
    for section in (None, Section.ALLERGIES):
        warned = line(TRUST, warnings=(SourceWarning(section, "data-in-transit", "…"),))
        assert allergy_state(iter(items), iter([line(), warned])) is missing


def test_a_line_lacks_what_it_has_a_gap_or_a_warning_for() -> None:
    assert line(gaps=[Section.RESULTS]).lacks(Section.RESULTS)
    assert not line(gaps=[Section.RESULTS]).lacks(Section.ALLERGIES)
    assert line(warnings=(SourceWarning(Section.RESULTS, "x", "y"),)).lacks(Section.RESULTS)
    assert not line(warnings=(SourceWarning(Section.RESULTS, "x", "y"),)).lacks(Section.ALLERGIES)
    assert line(warnings=(SourceWarning(None, "x", "y"),)).lacks(Section.ALLERGIES)


def test_sections_with_gaps_are_in_reading_order_with_the_sources_that_are_missing() -> None:
    manifest = Manifest(
        (line(COUNCIL), line(PRACTICE, [Section.RESULTS, Section.ALLERGIES]), line(TRUST, [Section.RESULTS])),
        EVERYTHING,
    )
    assert list(manifest.sections_with_gaps.items()) == [
        (Section.ALLERGIES, (PRACTICE,)),
        (Section.RESULTS, (PRACTICE, TRUST)),
    ]
    assert Manifest((), EVERYTHING).sections_with_gaps == {}


def test_a_statement_stands_until_its_source_takes_it_back() -> None:
    assert stands(NONE)
    assert stands(PENICILLIN_ALLERGY)
    assert not stands(allergy(PENICILLIN, verificationStatus=coded(("v", "refuted"))))


def test_what_a_statement_contradicts() -> None:
    assert contradicts(NONE, PENICILLIN_ALLERGY)
    assert contradicts(NO_DRUG, PENICILLIN_ALLERGY)
    assert not contradicts(NO_DRUG, allergy(PENICILLIN, category=["food"]))
    assert not contradicts(allergy((IPS, "no-allergy-info")), PENICILLIN_ALLERGY)
    assert not contradicts(PENICILLIN_ALLERGY, PENICILLIN_ALLERGY)
