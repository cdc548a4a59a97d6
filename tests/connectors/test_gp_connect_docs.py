"""What the README of `gp_connect` says is so: its examples load, its settings and its words are the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from connectors.gp_connect import errors
from connectors.gp_connect.sandbox import organisations
from connectors.gp_connect.settings import Device, Sds, Settings
from connectors.sdk.errors import NotUnderstood, Refused, SourceError, Unwell
from connectors.sdk.nhs_number import is_nhs_number
from connectors.sdk.organisations import load_organisations

CONNECTORS = Path(__file__).resolve().parents[2] / "connectors"
README = (CONNECTORS / "gp_connect" / "README.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["least", "every setting"])
def test_each_example_loads(example: str, tmp_path: Path) -> None:
    file = tmp_path / "organisations.yaml"
    file.write_text(example)
    (entry,) = load_organisations(file).listed()
    assert Settings.model_validate(dict(entry.settings))


def test_the_second_example_has_every_setting() -> None:
    for model in (Settings, Device, Sds):
        for name in model.model_fields:
            assert f"{name}:" in EXAMPLES[1], name


WORDS: dict[str, type[SourceError]] = {
    "NO_PATIENT_CONSENT": errors.Dissented,
    "NO_ORGANISATION_CONSENT": errors.NotSharedWithUs,
    "NO_RELATIONSHIP": errors.NoRelationship,
    "ACCESS_DENIED": errors.AccessDenied,
    "NON_AUTHORITATIVE": errors.NotAuthoritative,
    "401, 403": Refused,
    "PATIENT_NOT_FOUND": errors.NothingToShare,
    "INVALID_NHS_NUMBER": errors.NumberRefused,
    "INVALID_PATIENT_DEMOGRAPHICS": errors.NotTraced,
    "NOT_IMPLEMENTED": errors.NotOffered,
    "BAD_REQUEST": NotUnderstood,
    "INTERNAL_SERVER_ERROR": Unwell,
    "no endpoint or ASID": errors.NoRoute,
    "no ASID": errors.NoSender,
}


@pytest.mark.parametrize("code", WORDS)
def test_the_table_of_errors_has_the_words_that_are_said(code: str) -> None:
    (row,) = [line for line in README.splitlines() if re.match(rf"\| `?{code}\b", line)]
    assert row.endswith(f"| {WORDS[code].told} |")


def test_the_sandbox_has_the_people_of_the_demo_and_nobody_real() -> None:
    people = json.loads((CONNECTORS / "fhir_r4" / "sandbox" / "people.json").read_text())
    known = {person["nhsNumber"]: (person["name"], person["birthDate"]) for person in people}
    for ods in organisations():
        for file in (CONNECTORS / "gp_connect" / "sandbox" / "data" / ods).glob("[!_]*.json"):
            (patient,) = [one for one in json.loads(file.read_text())["resources"] if one["resourceType"] == "Patient"]
            (number,) = [one["value"] for one in patient["identifier"]]
            name, born = known[number]
            # One of them goes by a shorter given name at one practice: a difference that the record has to show.
            assert (name.split()[-1], born) == (patient["name"][0]["family"], patient["birthDate"])
            assert is_nhs_number(number)
            assert number.startswith("999")
