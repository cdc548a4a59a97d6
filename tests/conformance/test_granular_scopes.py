"""Granular scopes as the Inferno US Core test kit tests them, with the numbers of the requirements that it cites.

Inferno first makes every search with resource-level scopes and keeps what came; then it repeats each with granular
scopes and compares. Three lists must be empty: *mismatched* (came, though no granted scope fits), *missing* (came
before, fits, and doesn't come now) and *unexpected* (comes now, and didn't before). The matching below is this test's
own, not the gateway's. Source: us-core-test-kit, "US Core SMART Granular Scopes", hl7.fhir.us.core 8.0.0.

Searches of Inferno's that this server doesn't offer (Condition by `encounter`, `asserted-date`) are refused
under any scope, as its CapabilityStatement says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from tests.conformance.granular_world import (
    OF_CONDITION,
    OF_OBSERVATION,
    PATIENT,
    US_CORE,
    US_CORE_CONDITION,
    categories,
    sandbox,
)
from tests.flow.stack import Stack, resources, running, told
from tests.quick import only

REQUIREMENTS: Final[Mapping[str, str]] = {
    "hl7.fhir.us.core_8.0.0@158": f"Condition.rs?category={US_CORE_CONDITION}|health-concern",
    "hl7.fhir.us.core_8.0.0@159": f"Condition.rs?category={OF_CONDITION}|encounter-diagnosis",
    "hl7.fhir.us.core_8.0.0@160": f"Condition.rs?category={OF_CONDITION}|problem-list-item",
    "hl7.fhir.us.core_8.0.0@161": f"Observation.rs?category={US_CORE}|sdoh",
    "hl7.fhir.us.core_8.0.0@162": f"Observation.rs?category={OF_OBSERVATION}|social-history",
    "hl7.fhir.us.core_8.0.0@163": f"Observation.rs?category={OF_OBSERVATION}|laboratory",
    "hl7.fhir.us.core_8.0.0@164": f"Observation.rs?category={OF_OBSERVATION}|survey",
    "hl7.fhir.us.core_8.0.0@165": f"Observation.rs?category={OF_OBSERVATION}|vital-signs",
}
"""The granular scopes that SHALL be supported. (The system of 162 is misspelt in the requirement's own text.)"""
GROUPS: Final = {
    "Granular Scopes 1": ("158", "159", "162", "163"),
    "Granular Scopes 2": ("160", "161", "164", "165"),
}
"""The two launches of the suite, each with a part of the scopes."""

LABORATORY: Final = f"{OF_OBSERVATION}|laboratory"
SEARCHES: Final[Mapping[str, tuple[dict[str, str], ...]]] = {
    "Observation": (
        {"code": "http://loinc.org|718-7"},
        {"code": "2345-7"},
        {"category": LABORATORY},
        {"category": f"{OF_OBSERVATION}|survey"},
        {"category": f"{US_CORE}|cognitive-status"},
        {"category": LABORATORY, "_lastUpdated": "ge2026-01-01"},
        {"category": LABORATORY, "status": "final,amended"},
        {"category": f"{OF_OBSERVATION}|vital-signs", "date": "ge2025-01-01"},
        {"code": "8867-4", "date": "ge2025-04-01"},
    ),
    "Condition": (
        {},
        {"category": f"{OF_CONDITION}|problem-list-item"},
        {"category": f"{US_CORE_CONDITION}|health-concern", "clinical-status": "active"},
        {"code": "73211009"},
        {"clinical-status": "active"},
        {"onset-date": "ge2011"},
        {"recorded-date": "lt2014"},
        {"abatement-date": "ge2020"},
        {"_lastUpdated": "ge2026-01-01"},
    ),
}
"""The suite's searches, each besides `patient`."""


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    data: Path = tmp_path_factory.mktemp("granular")
    async with running(data, others={"RJ2": sandbox()}) as stack:
        await stack.agree(PATIENT)
        yield stack


def scopes_of(numbers: tuple[str, ...], context: str) -> list[str]:
    return [f"{context}/{REQUIREMENTS[f'hl7.fhir.us.core_8.0.0@{number}']}" for number in numbers]


def headers(stack: Stack, *scopes: str) -> dict[str, str]:
    claims = {"scope": " ".join(("openid", "launch/patient", *scopes)), "patient": PATIENT}
    return {"Authorization": f"Bearer {stack.demo.mint('gp', claims=claims)}"}


def fits(resource: Mapping[str, Any], scopes: list[str]) -> bool:
    """Whether some granular scope of the resource's type names one of its categories."""
    return any(
        scope.partition("/")[2].startswith(f"{resource['resourceType']}.")
        and scope.partition("?category=")[2] in categories(resource)
        for scope in scopes
    )


async def found(stack: Stack, kind: str, params: dict[str, str], scopes: list[str], *, post: bool) -> dict[str, Any]:
    """Every match of a search, by id, whatever page it is on: three a page."""
    said = {"patient": PATIENT, "_count": "3", **params}
    if post:
        answer = await stack.client.post(f"/fhir/R4/{kind}/_search", data=said, headers=headers(stack, *scopes))
    else:
        answer = await stack.client.get(f"/fhir/R4/{kind}?{urlencode(said)}", headers=headers(stack, *scopes))
    matches: dict[str, Any] = {}
    while True:
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        matches |= {resource["id"]: resource for resource in resources(bundle, kind)}
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            assert bundle["total"] == len(matches)
            return matches
        answer = await stack.client.get(following[0], headers=headers(stack, *scopes))


@pytest.mark.parametrize("context", only({"user"}, ("user", "patient")))
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("kind", SEARCHES)
async def test_server_filters_results_of_every_search(world: Stack, kind: str, group: str, context: str) -> None:
    """us_core_v800_*_granular_scope_search_test; requirements 158 to 165."""
    granted = scopes_of(GROUPS[group], context)
    shown_at_all = 0
    for number, params in enumerate(SEARCHES[kind]):
        post = number % 2 == 1
        before = await found(world, kind, params, [f"{context}/*.rs"], post=post)
        now = await found(world, kind, params, granted, post=post)
        mismatched = [one for one, resource in now.items() if not fits(resource, granted)]
        expected = {one for one, resource in before.items() if fits(resource, granted)}
        missing, unexpected = expected - now.keys(), now.keys() - expected
        assert (mismatched, missing, unexpected) == ([], set(), set()), params
        assert before, params
        shown_at_all += len(now)
    assert shown_at_all


@pytest.mark.parametrize("context", ["user", "patient"])
@pytest.mark.parametrize("requirement", REQUIREMENTS)
async def test_each_required_granular_scope_is_supported_by_itself(
    world: Stack, requirement: str, context: str
) -> None:
    scope = f"{context}/{REQUIREMENTS[requirement]}"
    kind = REQUIREMENTS[requirement].partition(".")[0]
    before = await found(world, kind, {}, ["user/*.rs"], post=False)
    now = await found(world, kind, {}, [scope], post=False)
    assert now.keys() == {one for one, resource in before.items() if fits(resource, [scope])}
    assert 0 < len(now) < len(before)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("kind", SEARCHES)
async def test_server_filters_reads(world: Stack, kind: str, group: str) -> None:
    """us_core_v800_*_granular_scope_read_test; requirements 158 to 165: what fits is read, what doesn't is refused, in
    the words that are used of what doesn't exist."""
    granted = scopes_of(GROUPS[group], "patient")
    every = await found(world, kind, {}, ["user/*.rs"], post=False)
    some_id = next(iter(every))
    prefix, _, digest = some_id.partition(".")
    made_up = f"{prefix}.{digest[:-6]}{'aaaaaa' if not digest.endswith('aaaaaa') else 'bbbbbb'}"
    absent = await world.client.get(f"/fhir/R4/{kind}/{made_up}", headers=headers(world, *granted))
    assert absent.status_code == 404
    outcomes = set()
    for one, resource in every.items():
        answer = await world.client.get(f"/fhir/R4/{kind}/{one}", headers=headers(world, *granted))
        if fits(resource, granted):
            assert (answer.status_code, answer.json()["resourceType"]) == (200, kind)
        else:
            assert (answer.status_code, told(answer)) == (404, told(absent))
        outcomes.add(answer.status_code)
    assert outcomes == {200, 404}


@pytest.mark.parametrize("name", ["encounter", "asserted-date"])
async def test_searches_that_are_not_offered_are_refused_under_any_scope(world: Stack, name: str) -> None:
    for scopes in (["user/*.rs"], scopes_of(GROUPS["Granular Scopes 1"], "user")):
        answer = await world.client.get(
            f"/fhir/R4/Condition?patient={PATIENT}&{name}=2010", headers=headers(world, *scopes)
        )
        assert answer.status_code == 400, answer.text
