"""From an EHR's Patient to the one verified NHS number, or none."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.launch.patient import NoNhsNumber, birth_date_of, nhs_number_of_patient, nhs_number_of_token
from tests.launcher import NHS_NUMBER, an_ehr_patient

GOOD, OTHER, WRONG = "9990000409", "9990000476", "9990000408"
OLD_SPELLING = "https://fhir.nhs.uk/STU3/StructureDefinition/Extension-CareConnect-GPC-NHSNumberVerificationStatus-1"


def patient(*identifiers: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p", "identifier": list(identifiers), **more}


def number(value: Any = GOOD, **more: Any) -> dict[str, Any]:
    return {"system": NHS_NUMBER, "value": value, **more}


def status(*codings: Any, url: str = OLD_SPELLING) -> dict[str, Any]:
    return {"extension": [{"url": url, "valueCodeableConcept": {"coding": list(codings)}}]}


@pytest.mark.parametrize(
    "held",
    [
        an_ehr_patient("p", GOOD),
        patient(number()),
        patient(number(), {"system": "urn:local", "value": "17"}),
        patient(number(), number(use="official")),
        patient(number(OTHER, use="old"), number()),
        patient(number(**status({"code": "01"}))),
        patient(number(extension=[{"url": "https://elsewhere.example/x", "valueString": "02"}])),
        patient(number(), link=[{"type": "seealso"}], active=True),
    ],
)
def test_one_verified_number_of_the_official_system(held: dict[str, Any]) -> None:
    assert nhs_number_of_patient(held, "p") == GOOD


@pytest.mark.parametrize(
    "held",
    [
        None,
        [],
        {"resourceType": "Practitioner", "id": "p", "identifier": [number()]},
        patient(number(), id="q"),
        patient(),
        patient(number(use="old")),
        patient(number(use=["old"])),
        patient(number(use={})),
        patient(number(), number(use=["old"])),
        patient(number(WRONG)),
        patient(number(9990000409)),
        patient(number(f" {GOOD}")),
        patient(number("0000000000")),
        patient({"system": "http://fhir.nhs.uk/Id/nhs-number", "value": GOOD}),
        patient({"system": f"{NHS_NUMBER}/", "value": GOOD}),
        patient(number(), number(OTHER)),
        patient(number(), number(WRONG)),
        patient(number(**status({"code": "02"}))),
        patient(number(**status({"code": "01"}, {"code": "03"}))),
        patient(number(**status())),
        patient(number(**status("x"))),
        patient(number(), active=False),
        patient(number(), link=[{"type": "replaced-by"}]),
        {"resourceType": "Patient", "id": "p", "identifier": number()},
    ],
)
def test_anything_less_certain_opens_nothing(held: Any) -> None:
    with pytest.raises(NoNhsNumber) as refused:
        nhs_number_of_patient(held, "p")
    assert "999" not in str(refused.value)


def test_a_number_as_a_token() -> None:
    assert nhs_number_of_token(f"{NHS_NUMBER}|{GOOD}") == GOOD
    for wrong in (None, GOOD, f"|{GOOD}", f"urn:x|{GOOD}", f"{NHS_NUMBER}|{WRONG}", f"{NHS_NUMBER}|{GOOD} ", 1):
        with pytest.raises(NoNhsNumber):
            nhs_number_of_token(wrong)


def test_a_birth_date_is_whole_or_absent() -> None:
    assert birth_date_of(None) is None
    assert birth_date_of("1961-03-12") == "1961-03-12"
    for wrong in ("1961", "1961-03", "12-03-1961", 19610312, ""):
        with pytest.raises(NoNhsNumber):
            birth_date_of(wrong)
