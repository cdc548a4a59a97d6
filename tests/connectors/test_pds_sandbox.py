"""The stand-in for the register: what it checks, whom it knows, and how it searches."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connectors.fhir_r4.sandbox import people as people_of_the_sources
from connectors.kit.canaries import PATTERN
from connectors.pds.sandbox import create_app, organisations, people, register
from connectors.sdk.nhs_number import is_nhs_number

HEADERS = {"X-Request-ID": "60E0B220-8136-4CA5-AE46-1D97EF59D068", "X-Correlation-ID": "any thing"}
SEARCH = {"family": "clarke", "birthdate": "eq1966-10-03"}
PRACTICES = {
    "Grace Adebayo": "G85005",
    "Tomasz Kowalski": "G85004",
    "Aaliyah Hussain": "G83021",
    "Winston Campbell": "G85005",
    "Daniel Okafor": "G83021",
    "Siobhan Murphy": "G83021",
    "Mia Nguyen": "G83021",
    "Rajesh Patel": "G85005",
    "Elsie Thompson": "G85005",
    "Harold Bennett": "G85005",
}


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=create_app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://register.test/fhir", headers=HEADERS) as made:
        yield made


def spine(answer: httpx2.Response) -> str:
    return str(answer.json()["issue"][0]["details"]["coding"][0]["code"])


def test_everybody_of_the_demo_is_registered_where_their_record_is() -> None:
    known = register().people
    for one in people_of_the_sources():
        held = known[one["nhsNumber"]]
        assert held["birthDate"] == one["birthDate"]
        assert f"{held['name'][0]['given'][0]} {held['name'][0]['family']}" == one["name"]
        assert held["generalPractitioner"][0]["identifier"]["value"] == PRACTICES[one["name"]]
        assert held["meta"]["security"][0]["code"] == "U"


def test_the_numbers_are_synthetic_and_the_stories_add_to_the_demos() -> None:
    held = register()
    told = {one["nhsNumber"] for one in people()}
    for number in {*held.people, *held.superseded, *held.invalidated}:
        assert is_nhs_number(number)
        assert number.startswith("999")
    others = {one["nhsNumber"] for one in people_of_the_sources()}
    assert not told & others
    assert told | others == {*held.people, *held.superseded, *held.invalidated}


def test_the_restricted_person_is_stored_without_a_place() -> None:
    restricted = [one for one in register().people.values() if one["meta"]["security"][0]["code"] == "R"]
    assert len(restricted) == 1
    assert not {"address", "telecom", "generalPractitioner"} & restricted[0].keys()


def test_there_is_one_register() -> None:
    assert organisations() == ("X26",)
    with pytest.raises(LookupError, match="one register"):
        create_app("RJ2")


async def test_canaries_are_planted_and_listed() -> None:
    sandbox = create_app(canaries=True)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=sandbox), base_url="http://r.test") as client:
        body = (await client.get("/fhir/Patient/9990000409", headers=HEADERS)).text
    assert set(PATTERN.findall(body)) <= set(sandbox.canaries)
    assert len(sandbox.canaries) == len(register().people) + 1
    assert PATTERN.search(body)


async def test_ids_are_mirrored(client: httpx2.AsyncClient) -> None:
    for path in ("/Patient/9990000409", "/Patient/9990009996"):
        answer = await client.get(path)
        assert answer.headers["X-Request-ID"] == HEADERS["X-Request-ID"]
        assert answer.headers["X-Correlation-ID"] == HEADERS["X-Correlation-ID"]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "MISSING_VALUE"),
        ({"X-Request-ID": "1234"}, "INVALID_VALUE"),
        ({**HEADERS, "NHSD-Session-URID": "abc"}, "INVALID_VALUE"),
    ],
)
async def test_headers_are_checked_first(headers: dict[str, str], code: str) -> None:
    transport = httpx2.ASGITransport(app=create_app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://register.test/fhir") as client:
        for path in ("/Patient/9990000409", "/Patient?family=x"):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, spine(answer)) == (400, code)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/Patient/9000000000", 400, "INVALID_RESOURCE_ID"),
        ("/Patient/9990009996", 404, "RESOURCE_NOT_FOUND"),
        ("/Patient/9990007020", 404, "INVALIDATED_RESOURCE"),
        ("/Patient", 400, "UNSUPPORTED_SERVICE"),
        ("/Observation/1/2", 400, "UNSUPPORTED_SERVICE"),
        ("/Patient?family=Clarke&birthdate=eq1966-10-03&phone=1", 400, "ADDITIONAL_PROPERTIES"),
        ("/Patient?family=Clarke", 400, "MISSING_VALUE"),
        ("/Patient?family=Clarke&birthdate=19661003", 400, "INVALID_VALUE"),
        ("/Patient?birthdate=eq1966-10-03", 400, "INVALID_SEARCH_DATA"),
        ("/Patient?family=Cl*&birthdate=eq1966-10-03", 400, "INVALID_SEARCH_DATA"),
        ("/Patient?family=Clarke&family=x&birthdate=eq1966-10-03", 400, "TOO_MANY_VALUES_SUBMITTED"),
        ("/Patient?family=Clarke&birthdate=eq1966-10-03&_max-results=51", 400, "INVALID_VALUE"),
        ("/Patient?family=Clarke&birthdate=eq1966-10-03&_max-results=1", 200, "TOO_MANY_MATCHES"),
    ],
)
async def test_refusals(client: httpx2.AsyncClient, path: str, status: int, code: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, spine(answer)) == (status, code)


async def test_nothing_is_written(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/Patient")
    assert (answer.status_code, spine(answer)) == (403, "INVALID_METHOD")


@pytest.mark.parametrize(
    ("more", "numbers"),
    [
        ({}, ["9990007039", "9990007047"]),
        ({"given": "DAVID"}, ["9990007039", "9990007047"]),
        ({"address-postalcode": "se64uu"}, ["9990007039"]),
        ({"gender": "female"}, []),
        ({"given": "peter"}, []),
        ({"family": "ellis", "birthdate": "1944-04-30", "given": "rose"}, ["9990007071"]),
        ({"family": "ellis", "birthdate": "1944-04-30", "given": "rose", "_exact-match": "true"}, []),
        ({"family": "rahman", "birthdate": "1990-02-17"}, ["9990007004"]),
        ({"family": "rahman", "birthdate": "1990-02-17", "address-postalcode": "SE64UU"}, []),
        ({"family": "murphy", "birthdate": "1992-04-05"}, ["9990000751"]),
    ],
)
async def test_who_is_found(client: httpx2.AsyncClient, more: dict[str, str], numbers: list[str]) -> None:
    bundle = (await client.get("/Patient", params={**SEARCH, **more})).json()
    assert [entry["resource"]["id"] for entry in bundle.get("entry", [])] == numbers
    assert bundle["total"] == len(numbers)
    scores = {entry["search"]["score"] for entry in bundle.get("entry", [])}
    assert scores <= ({0.9259} if more.get("given") == "rose" else {1})


async def test_a_search_tells_less_than_a_retrieval(client: httpx2.AsyncClient) -> None:
    elsie = {"family": "thompson", "birthdate": "eq1937-02-14"}
    found: dict[str, Any] = (await client.get("/Patient", params=elsie)).json()["entry"][0]["resource"]
    whole: dict[str, Any] = (await client.get("/Patient/9990000964")).json()
    assert [address["use"] for address in found["address"]] == ["home"]
    assert [address["use"] for address in whole["address"]] == ["home", "temp"]
    dead = {"family": "bennett", "birthdate": "eq1931-05-08"}
    extensions = (await client.get("/Patient", params=dead)).json()["entry"][0]["resource"]["extension"]
    assert extensions[0]["url"].endswith("DeathNotificationStatus")


def test_the_fixtures_are_plain_json() -> None:
    folder = Path(__file__).parents[2] / "connectors/pds/sandbox"
    assert {file.name for file in folder.glob("*.json")} == {"patients.json", "people.json", "numbers.json"}
    assert all(json.loads(file.read_text()) for file in folder.glob("*.json"))
