"""Every patient, searchset and outcome that the register's own team publishes, through the connector: one table."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.errors import (
    Invalidated,
    NoRecord,
    NotUnderstood,
    Refused,
    SourceError,
    Superseded,
    WrongContent,
)
from connectors.sdk.model import Found
from tests.connectors.pds_asking import DATA, Says, asked_of, found_by, of, person

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the register's published examples are not beside the project"
)

OTHER = "9990000409"

ERRORS: dict[str, tuple[int, type[SourceError]]] = {
    "ACCESS_DENIED": (401, Refused),
    "ADDITIONAL_PROPERTIES": (400, NotUnderstood),
    "FORBIDDEN_UPDATE": (403, Refused),
    "INSERT_BIRTH_DEATH_STATUS_INCONSISTENT": (400, NotUnderstood),
    "INVALIDATED_RESOURCE": (404, Invalidated),
    "INVALID_CREATE": (400, NotUnderstood),
    "INVALID_METHOD": (403, Refused),
    "INVALID_RESOURCE_ID": (400, NotUnderstood),
    "INVALID_SEARCH_DATA": (400, NotUnderstood),
    "INVALID_UPDATE": (400, NotUnderstood),
    "INVALID_VALUE": (400, NotUnderstood),
    "MISSING_VALUE": (400, NotUnderstood),
    "NOT_SUPPORTED_SEARCH": (200, NotUnderstood),
    "PRECONDITION_FAILED": (412, NotUnderstood),
    "RESOURCE_NOT_FOUND": (404, NoRecord),
    "RESOURCE_VERSION_MISMATCH": (409, NotUnderstood),
    "TOO_FEW_VALUES_SUBMITTED": (400, NotUnderstood),
    "TOO_MANY_MATCHES": (200, WrongContent),
    "TOO_MANY_VALUES_SUBMITTED": (400, NotUnderstood),
    "UNSUPPORTED_SERVICE": (400, NotUnderstood),
}
"""Each outcome with its status by the register's specification, and what a retrieval becomes of it."""

SEARCHES: dict[str, str] = {
    "Minimal_PatientSearch": "nobody: in part",
    "PatientCompoundName": "nobody: in part",
    "PatientSearch": "nobody: in part",
    "PatientSearch-Jayne-Smyth": "nobody: in part",
    "Sensitive_PatientSearch": "nobody: restricted",
    "bill_garton_searchset": "found",
    "countrycode_mobile_searchset": "found",
    "cuff_superseded_searchset": "found",
    "dateOfDeath_searchset": "found",
    "fuzzy_multimatch_searchset": "too many",
    "fuzzy_single_searchset": "nobody: in part",
    "general_practitioner_searchset": "nobody: in part",
    "historic_email_searchset": "found",
    "jackie_jones_searchset": "found",
    "john_paul_smith_searchset": "nobody: in part",
    "knap_kathy_exact_match": "found",
    "martha_massam_searchset": "found",
    "med_rowenad_searchset": "nobody: in part",
    "mock_multiple_searchset": "too many",
    "mock_single_searchset": "found",
    "multimatch_phoneAndEmail_searchset": "too many",
    "other_givenName": "found",
    "pauline_attison_searchset": "too many",
    "postalcode_wildcard_searchset": "too many",
    "rodney_godsoe_searchset": "nobody: restricted",
    "search_patient_9000000025": "nobody: restricted",
    "youds_searchset": "too many",
}
"""What a search comes to that is answered with each of the searchsets, by name and birth date of its first match."""


@cache
def files(kind: str) -> dict[Path, dict[str, Any]]:
    """Every file of a resource type."""
    read = {file: json.loads(file.read_bytes()) for file in sorted(DATA.rglob("*.json"))}
    return {file: body for file, body in read.items() if body["resourceType"] == kind}


def related(body: dict[str, Any]) -> bool:
    return any(entry["resource"]["resourceType"] == "RelatedPerson" for entry in body["entry"])


async def test_every_file_has_its_row() -> None:
    searches = {file.stem for file, body in files("Bundle").items() if not related(body)}
    assert searches == SEARCHES.keys()
    assert {file.stem for file in files("OperationOutcome")} == ERRORS.keys()
    assert len(files("Patient")) >= 15 + 8
    everything = sum(len(files(kind)) for kind in ("Patient", "Bundle", "OperationOutcome"))
    assert everything == len(list(DATA.rglob("*.json")))


async def test_every_patient_is_an_item_as_it_came() -> None:
    for file, body in files("Patient").items():
        item = await asked_of(Says(file.read_bytes()), of(body["id"]))
        assert item.resource == body, file.name
        assert item.original_id == body["id"]


async def test_every_patient_supersedes_another_number() -> None:
    for file, body in files("Patient").items():
        with pytest.raises(Superseded) as raised:
            await asked_of(Says(file.read_bytes()), of(OTHER))
        assert raised.value.current == body["id"]


async def test_every_outcome_has_its_class() -> None:
    for file in files("OperationOutcome"):
        status, error = ERRORS[file.stem]
        with pytest.raises(error) as raised:
            await asked_of(Says(file.read_bytes(), status))
        assert type(raised.value) is error, file.name


async def test_too_many_matches_is_no_error_of_a_search() -> None:
    (file,) = (file for file in files("OperationOutcome") if file.stem == "TOO_MANY_MATCHES")
    assert await found_by(Says(file.read_bytes())) == Found(too_many=True)


@pytest.mark.parametrize("name", sorted(SEARCHES))
async def test_every_searchset_comes_to_one_person_or_to_none(name: str) -> None:
    same = [(file, body) for file, body in files("Bundle").items() if file.stem == name]
    assert same
    for file, body in same:
        first = body["entry"][0]["resource"]
        called = (first.get("name") or [{"family": "Smith", "given": ["Jane"]}])[0]
        sought = person(called["family"], called["given"][0], first.get("birthDate", "2010-10-22"))
        found = await found_by(Says(file.read_bytes()), sought)
        assert said(found) == SEARCHES[name].partition(":")[0]
        if found.patient is not None:
            assert found.patient == first


def said(found: Found) -> str:
    return "too many" if found.too_many else "nobody" if found.patient is None else "found"


async def test_related_people_are_nobody_who_was_sought() -> None:
    those = [file for file, body in files("Bundle").items() if related(body)]
    assert len(those) == 5
    for file in those:
        with pytest.raises(WrongContent):
            await found_by(Says(file.read_bytes()), person())


async def test_the_restricted_patient_shows_neither_address_nor_practice_even_if_they_came() -> None:
    open_one = next(body for body in files("Patient").values() if body["id"] == "9000000009")
    restricted = next(body for body in files("Patient").values() if body["id"] == "9000000025")
    leaked = {**open_one, **restricted, "extension": open_one["extension"]}
    assert {"address", "telecom", "generalPractitioner", "managingOrganization", "contact"} <= leaked.keys()
    item = await asked_of(Says(leaked), of("9000000025"))
    told = json.dumps(item.resource)
    for secret in ("LS1 6AE", "Trevelyan", "Y12345", "Y23456", "Y34567", "0163", "example.com", "Manchester", "SCT"):
        assert secret not in told
    assert {name: value for name, value in item.resource.items() if name != "extension"} == {
        name: value for name, value in restricted.items() if name != "extension"
    }
