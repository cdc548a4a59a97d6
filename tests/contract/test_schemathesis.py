"""Both contracts against the gateway: no answer that they don't promise, and no fault, whatever is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.api import models
from gateway.api.contract import own_contract
from gateway.contracts.published import fhir_of_everything
from tests.contract.fuzz import OTHER, PATIENT, Fuzz
from tests.flow.stack import Stack, resources, running

QUICK, SLOW = 100, 10_000
"""Cases of each contract."""


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzz]:
    """A gateway on a loop of its own: Hypothesis calls what isn't asynchronous."""
    with asyncio.Runner() as runner:
        exits = AsyncExitStack()
        stack = runner.run(exits.enter_async_context(running(tmp_path_factory.mktemp("fuzz"), canaries=False)))
        try:
            yield Fuzz(stack, runner, runner.run(_known_ids(stack)))
        finally:
            runner.run(exits.aclose())


async def _known_ids(stack: Stack) -> dict[str, list[str]]:
    """Real ids by the first part of their path: of resources, permissions and cases."""
    permissions = [await stack.agree(number, who) for number in (PATIENT, OTHER) for who in ("gp", "hospital-doctor")]
    bundle = (await stack.everything(PATIENT, "hospital-doctor")).json()
    ids: dict[str, list[str]] = {"permissions": permissions}
    for resource in resources(bundle):
        ids.setdefault(resource["resourceType"], []).append(resource["id"])
    ids["Patient"] = [PATIENT]
    cases = await stack.post("/desk/_search", {}, "privacy-officer")
    return ids | {"desk": [case["id"] for case in cases.json()["cases"]]}


def _contracts(fuzz: Fuzz) -> dict[str, dict[str, Any]]:
    app = fuzz.stack.client._transport.app  # type: ignore[attr-defined]
    return {"own": own_contract(app, models.REQUESTS), "fhir": fhir_of_everything(app.version)}


@pytest.mark.parametrize("contract", ["own", "fhir"])
def test_a_few_cases_are_answered_as_the_contract_says(fuzz: Fuzz, contract: str) -> None:
    before = fuzz.total
    fuzz.run(_contracts(fuzz)[contract], QUICK, derandomize=True)
    assert fuzz.total - before >= QUICK


@pytest.mark.slow
@pytest.mark.parametrize("contract", ["own", "fhir"])
def test_ten_thousand_cases_are_answered_as_the_contract_says(
    fuzz: Fuzz, contract: str, pytestconfig: pytest.Config
) -> None:
    """The same cases each time, so that a change is judged by what it changed; others with `--hypothesis-seed`."""
    before = fuzz.total
    fuzz.run(_contracts(fuzz)[contract], SLOW, derandomize=pytestconfig.getoption("--hypothesis-seed") is None)
    print(json.dumps({f"{door} {status}": count for (door, status), count in sorted(fuzz.seen.items())}, indent=1))
    assert fuzz.total - before >= SLOW
